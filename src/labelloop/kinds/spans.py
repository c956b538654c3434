"""Spans of a text, each with a label, such as named entities: scored by exact match, compared by overlap."""

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

Span = tuple[int, int, str]
"""Where it starts, where it ends (exclusive), its label; in characters (code points), as Label Studio counts, too."""

Spans = tuple[Span, ...]

_HOTKEYS = "qwertyuiop"


@named("labelloop.TextSpans")
@dataclass(frozen=True, slots=True)
class TextSpans(Marks):
    """Parts of a text, each with a label; an answer is the spans in the order of the text.

    Args:
        labels: The labels, at least one, in the order people see them.
        overlapping: Whether spans may overlap.

    Raises:
        ConfigError: No label, a label twice, or an empty label.
    """

    region_type: ClassVar[str] = "labels"

    @classmethod
    def of_tag(cls, node: Element, shown: Sequence[str]) -> TextSpans | None:
        """`Labels` over a text.

        Raises:
            ConfigError: A label is empty, or there twice.
        """
        labels = listed(node, "Label")
        return cls(labels, overlapping=True) if node.tag == "Labels" and list(shown) == ["Text"] and labels else None

    @property
    def arrow(self) -> pa.DataType:
        """A list of start, end and label."""
        import pyarrow as pa

        return pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("label", pa.string())]))

    def tag(self, name: str, shown: str) -> str:
        """`Labels` with a key for each of the first ten labels, none of which is a key of choices."""
        keys = [f' hotkey="{key}"' for key in _HOTKEYS] + [""] * len(self.labels)
        lines = "\n".join(
            f"  <Label value={quoteattr(label)}{key}/>" for label, key in zip(self.labels, keys, strict=False)
        )
        return f"<Labels name={quoteattr(name)} toName={quoteattr(shown)}>\n{lines}\n</Labels>"

    def read(self, regions: Sequence[Region]) -> Spans:
        """The spans; no region is an answer, too: there is nothing to mark.

        Raises:
            ConfigError: A span has no length, no label or several, an unknown one, or overlaps another.
        """
        spans: Spans = self.sound([_span(place, region) for place, region in enumerate(regions)])
        return spans

    def write(self, answer: Any) -> tuple[Region, ...]:
        """A region for each span.

        Raises:
            ConfigError: As for `read`.
        """
        return tuple(
            {"type": "labels", "value": {"start": start, "end": end, "labels": [label]}}
            for start, end, label in self.sound(answer)
        )

    def plain(self, answer: Any) -> list[dict[str, Any]]:
        """A list of start, end and label."""
        return [{"start": start, "end": end, "label": label} for start, end, label in answer]

    def similarity(self, one: Any, other: Any) -> float:
        """The share of the labelled characters that are in both, of those in either (Jaccard)."""
        mine, theirs = _characters(one), _characters(other)
        either = sum((mine | theirs).values())
        return sum((mine & theirs).values()) / either if either else 1.0

    def misplaced(self, answer: Any, text: str) -> str:
        """A span that ends after the text does: the text may have been another when it was marked."""
        outside = [span for span in answer if span[1] > len(text)]
        if not outside:
            return ""
        return f"marks {self.in_words(outside[:3])} in a text of {len(text)} characters"


def _span(place: int, region: Region) -> Span:
    value = value_of(region, place, "labels")
    start, end, names = value.get("start"), value.get("end"), texts(value, "labels", place)
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end:
        raise ConfigError(
            f"result[{place}].value is from {brief(repr(start))} to {brief(repr(end))}, which is no span",
            "0 <= start < end, in characters",
        )
    if len(names) != 1:
        raise ConfigError(f"result[{place}].value.labels has {len(names)} labels, a span has one", "give one label")
    return start, end, names[0]


def _characters(spans: Spans) -> Counter[tuple[int, str]]:
    return Counter((i, label) for start, end, label in set(spans) for i in range(start, end))
