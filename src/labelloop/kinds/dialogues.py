"""Spans of a dialogue, each with a label: parts of what is said in its turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from xml.sax.saxutils import quoteattr

from labelloop.errors import ConfigError
from labelloop.kinds.marks import Marks
from labelloop.kinds.values import brief, listed, texts, value_of
from labelloop.types import Region
from labelloop.types.names import named

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import pyarrow as pa

Place = tuple[int, int]
"""A turn from 0, and a character in it."""

DialogueSpan = tuple[Place, Place, str]

_FIELDS = (("start", "startOffset"), ("end", "endOffset"))
_LARGEST = 100_000_000
_COMPARED = 10_000
"""Characters of a span that are compared one by one; a longer one, or one over several turns, as a whole."""


@named("labelloop.DialogueSpans")
@dataclass(frozen=True, slots=True)
class DialogueSpans(Marks):
    """Parts of what is said in a dialogue, each with a label; an answer is the spans in the order of the dialogue.

    Args:
        labels: The labels, at least one, in the order people see them.
        overlapping: Whether spans may overlap.

    Raises:
        ConfigError: No label, a label twice, or an empty label.
    """

    region_type: ClassVar[str] = "paragraphlabels"

    @classmethod
    def of_tag(cls, node: Element, shown: Sequence[str]) -> DialogueSpans | None:
        """`ParagraphLabels` over `Paragraphs`.

        Raises:
            ConfigError: A label is empty.
        """
        labels = listed(node, "Label")
        is_ours = node.tag == "ParagraphLabels" and list(shown) == ["Paragraphs"]
        return cls(labels, overlapping=True) if is_ours and labels else None

    @property
    def arrow(self) -> pa.DataType:
        """A list of the turn and character of the start and of the end, and the label."""
        import pyarrow as pa

        names = ("start", "start_offset", "end", "end_offset")
        return pa.list_(pa.struct([*((name, pa.int64()) for name in names), ("label", pa.string())]))

    def tag(self, name: str, shown: str) -> str:
        """`ParagraphLabels`."""
        lines = "\n".join(f"  <Label value={quoteattr(label)}/>" for label in self.labels)
        return f"<ParagraphLabels name={quoteattr(name)} toName={quoteattr(shown)}>\n{lines}\n</ParagraphLabels>"

    def read(self, regions: Sequence[Region]) -> tuple[DialogueSpan, ...]:
        """The spans; no region is an answer, too: there is nothing to mark.

        Raises:
            ConfigError: A span has no length, no label or several, an unknown one, or overlaps another.
        """
        return self.sound([_span(place, region) for place, region in enumerate(regions)])

    def write(self, answer: Any) -> tuple[Region, ...]:
        """A region for each span, with the turns as texts, as Label Studio's page has them.

        Raises:
            ConfigError: As for `read`.
        """
        return tuple(
            {
                "type": self.region_type,
                "value": {
                    "start": str(start[0]),
                    "end": str(end[0]),
                    "startOffset": start[1],
                    "endOffset": end[1],
                    self.region_type: [label],
                },
            }
            for start, end, label in self.sound(answer)
        )

    def plain(self, answer: Any) -> list[dict[str, Any]]:
        """A list of the turn and character of the start and of the end, and the label."""
        return [
            {"start": start[0], "start_offset": start[1], "end": end[0], "end_offset": end[1], "label": label}
            for start, end, label in answer
        ]

    def similarity(self, one: Any, other: Any) -> float:
        """The share of the labelled characters that are in both, of those in either (Jaccard)."""
        if one == other:
            return 1.0
        mine, theirs = _parts(one), _parts(other)
        either = sum((mine | theirs).values())
        return min(sum((mine & theirs).values()) / either, 0.999) if either else 0.0

    def parts_in(self, answer: Any) -> Sequence[str]:
        """The turns that it marks."""
        return [str(turn) for turn in sorted({place[0] for start, end, _ in answer for place in (start, end)})]


def _span(number: int, region: Region) -> DialogueSpan:
    value = value_of(region, number, DialogueSpans.region_type)
    names = texts(value, DialogueSpans.region_type, number)
    start, end = ((_whole(value, turn, number), _whole(value, offset, number)) for turn, offset in _FIELDS)
    if len(names) != 1:
        raise ConfigError(
            f"result[{number}].value.{DialogueSpans.region_type} has {len(names)} labels, a span has one",
            "give one label",
        )
    return start, end, names[0]


def _whole(value: Any, field: str, number: int) -> int:
    """A whole number from 0, which Label Studio writes as a text where it is a turn."""
    found = value.get(field)
    if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) <= len(str(_LARGEST)):
        found = int(found)
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= _LARGEST:
        return found
    raise ConfigError(f"result[{number}].value.{field} is {brief(repr(found))}, no place", f"{field} = 0, or more")


def _parts(spans: Sequence[DialogueSpan]) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for start, end, label in spans:
        if start[0] == end[0] and end[1] - start[1] <= _COMPARED:
            found.update((start[0], at, label) for at in range(start[1], end[1]))
        else:
            found[start, end, label] = 1
    return found
