"""A text that people write: a transcription, a correction, a reason; scored by the characters that are wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from labelloop.errors import ConfigError
from labelloop.kinds.kind import Statistic, medoid, share
from labelloop.kinds.values import brief, numeral, texts, value_of
from labelloop.types import Region
from labelloop.types.names import named

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import pyarrow as pa

LONGEST = 100_000
"""Characters of an answer that are read."""

_COMPARED = 2_000
"""Characters of each text that are compared one by one; beyond, texts are equal or not."""


@named("labelloop.FreeText")
@dataclass(frozen=True, slots=True)
class FreeText:
    """What people write, without spaces around it.

    Args:
        rows: Lines of the field.
        placeholder: What stands in the empty field.

    Raises:
        ConfigError: There is no line.
    """

    rows: int = 3
    placeholder: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.rows <= 100:
            raise ConfigError(f"rows = {self.rows} is no field", "rows = 1 to 100")

    @classmethod
    def of_tag(cls, node: Element, shown: Sequence[str]) -> FreeText | None:
        """`TextArea`.

        Raises:
            ConfigError: It has no line, or too many.
        """
        rows = int(numeral(node, "rows", 3))
        return cls(rows, node.get("placeholder", "")) if node.tag == "TextArea" else None

    @property
    def arrow(self) -> pa.DataType:
        """Text."""
        import pyarrow as pa

        return pa.string()

    @property
    def region_type(self) -> str:
        """Label Studio's word."""
        return "textarea"

    def tag(self, name: str, shown: str) -> str:
        """`TextArea` for one text that can be corrected."""
        hint = f" placeholder={quoteattr(self.placeholder)}" if self.placeholder else ""
        return (
            f"<TextArea name={quoteattr(name)} toName={quoteattr(shown)}"
            f' rows="{self.rows}" editable="true" maxSubmissions="1"{hint}/>'
        )

    def read(self, regions: Sequence[Region]) -> str | None:
        """The text, several parts as its lines; None where nothing is written.

        Raises:
            ConfigError: It is no text, or a very long one.
        """
        parts = [part for i, one in enumerate(regions) for part in texts(value_of(one, i, "textarea"), "text", i)]
        return self._sound("\n".join(parts)) or None

    def write(self, answer: Any) -> tuple[Region, ...]:
        """One region.

        Raises:
            ConfigError: As for `read`.
        """
        return ({"type": "textarea", "value": {"text": [self._sound(answer)]}},)

    def plain(self, answer: Any) -> str:
        """The text."""
        return str(answer)

    def in_words(self, answer: Any) -> str:
        """The text, cut where it is long."""
        return brief(answer)

    def similarity(self, one: Any, other: Any) -> float:
        """1 - the edit distance as a share of the longer text."""
        longer = max(len(one), len(other))
        return 1.0 - distance(one, other) / longer if longer else 1.0

    def consensus(self, answers: Sequence[Any]) -> Any:
        """The text that is most like all others."""
        return medoid(self, answers)

    def counts(self, given: Any, wanted: Any) -> tuple[float, ...]:
        """(edits, characters wanted, equal, 1, edits of words, words wanted)."""
        ours, theirs = given.split(), wanted.split()
        by_words = float(distance(ours, theirs)), float(len(theirs))
        return float(distance(given, wanted)), float(len(wanted)), float(given == wanted), 1.0, *by_words

    @property
    def scores(self) -> Mapping[str, Statistic]:
        """1 - the error rates of characters and of words, not below 0; and how many are exactly right."""
        return {
            "1-CER": lambda sums: (1.0 - sums[:, 0] / sums[:, 1].clip(1.0)).clip(0.0),
            "1-WER": lambda sums: (1.0 - sums[:, 4] / sums[:, 5].clip(1.0)).clip(0.0),
            "exact": lambda sums: share(sums[:, 2:4]),
        }

    def _sound(self, text: Any) -> str:
        if not isinstance(text, str):
            raise ConfigError(f"the text is {brief(repr(text))}", "give a text")
        if len(text) > LONGEST:
            raise ConfigError(f"the text has {len(text):,} characters", f"at most {LONGEST:,}")
        return text.strip()


def distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Edits (a sign or a word put in, left out, or another) that make one text the other: Levenshtein's distance.

    Of long texts with a long different middle the length of the middle, which is as many edits at most.
    """
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    end = 0
    while end < min(len(one), len(other)) - start and one[-1 - end] == other[-1 - end]:
        end += 1
    one, other = one[start : len(one) - end], other[start : len(other) - end]
    if max(len(one), len(other)) > _COMPARED:
        return max(len(one), len(other))
    return _edits(one, other) if one and other else max(len(one), len(other))


def _edits(one: Sequence[str], other: Sequence[str]) -> int:
    """Levenshtein's distance of two that are not empty, a whole column at once (Myers 1999, as by Hyyro 2003)."""
    places: dict[str, int] = {}
    for at, sign in enumerate(one):
        places[sign] = places.get(sign, 0) | 1 << at
    whole, last = (1 << len(one)) - 1, 1 << (len(one) - 1)
    up, down, edits = whole, 0, len(one)
    for sign in other:
        equal = places.get(sign, 0)
        level = (((equal & up) + up) ^ up) | equal | down
        right, left = down | (~(level | up) & whole), up & level
        edits += bool(right & last) - bool(left & last)
        right, left = (right << 1 | 1) & whole, left << 1 & whole
        equal |= down
        up, down = left | (~(equal | right) & whole), right & equal
    return edits
