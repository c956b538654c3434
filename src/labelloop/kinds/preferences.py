"""Which of two things that stand side by side is better: what people prefer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from labelloop.errors import ConfigError
from labelloop.kinds.kind import Statistic, plurality, share
from labelloop.kinds.values import brief, only_one, value_of
from labelloop.types import Region
from labelloop.types.names import named

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import pyarrow as pa

SIDES = ("left", "right")
"""Of the two columns, in their order."""


@named("labelloop.Preference")
@dataclass(frozen=True, slots=True)
class Preference:
    """The better one of two columns, `shown = ["answer_a", "answer_b"]`; an answer is `left` or `right`."""

    @classmethod
    def of_tag(cls, node: Element, shown: Sequence[str]) -> Preference | None:
        """`Pairwise` of two objects."""
        return cls() if node.tag == "Pairwise" and len(shown) == len(SIDES) else None

    @property
    def between(self) -> int:
        """Two."""
        return len(SIDES)

    @property
    def arrow(self) -> pa.DataType:
        """A text."""
        import pyarrow as pa

        return pa.string()

    @property
    def region_type(self) -> str:
        """Label Studio's word."""
        return "pairwise"

    def tag(self, name: str, shown: str) -> str:
        """`Pairwise`."""
        return f"<Pairwise name={quoteattr(name)} toName={quoteattr(shown)}/>"

    def read(self, regions: Sequence[Region]) -> str | None:
        """The side; None where none is chosen.

        Raises:
            ConfigError: It is no side, or there are several.
        """
        region = only_one(regions)
        return None if region is None else _side(value_of(region, 0, "pairwise").get("selected"))

    def write(self, answer: Any) -> tuple[Region, ...]:
        """One region.

        Raises:
            ConfigError: It is no side.
        """
        return ({"type": "pairwise", "value": {"selected": _side(answer)}},)

    def plain(self, answer: Any) -> str:
        """The side."""
        return str(answer)

    def in_words(self, answer: Any) -> str:
        """The side."""
        return f"the {answer} one"

    def similarity(self, one: Any, other: Any) -> float:
        """1 where both prefer the same."""
        return float(one == other)

    def consensus(self, answers: Sequence[Any]) -> str:
        """What most prefer; a tie goes to whoever spoke last."""
        return str(plurality(answers))

    def counts(self, given: Any, wanted: Any) -> tuple[float, ...]:
        """(right, 1)."""
        return float(given == wanted), 1.0

    @property
    def scores(self) -> Mapping[str, Statistic]:
        """How many are right."""
        return {"accuracy": share}


def _side(value: Any) -> str:
    if value not in SIDES:
        raise ConfigError(f"result[0].value.selected is {brief(repr(value))}, no side", "left or right")
    return str(value)
