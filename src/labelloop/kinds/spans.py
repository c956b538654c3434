"""Spans of a text, each with a label, such as named entities: scored by exact match, compared by overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar
from xml.sax.saxutils import quoteattr

from labelloop.errors import ConfigError
from labelloop.kinds.kind import Meaning, Statistic, f1, share, tallied
from labelloop.kinds.values import brief, checked_labels, known_label, listed, texts, value_of
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
class TextSpans:
    """Parts of a text, each with a label; an answer is the spans in the order of the text.

    Args:
        labels: The labels, at least one, in the order people see them.
        overlapping: Whether spans may overlap.

    Raises:
        ConfigError: No label, a label twice, or an empty label.
    """

    labels: tuple[str, ...]
    overlapping: bool = False
    region_type: ClassVar[str] = "labels"
    scores: ClassVar[Mapping[str, Statistic]] = {
        "span-F1": lambda sums: f1(sums[:, :3]),
        "exact": lambda sums: share(sums[:, 3:]),
    }
    """F1 of spans that are exactly right, and the share of texts without a mistake."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", checked_labels(self.labels, 1, "a control of spans", "[controls.NAME]"))

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
        return _sound(self, [_span(place, region) for place, region in enumerate(regions)])

    def write(self, answer: Any) -> tuple[Region, ...]:
        """A region for each span.

        Raises:
            ConfigError: As for `read`.
        """
        return tuple(
            {"type": "labels", "value": {"start": start, "end": end, "labels": [label]}}
            for start, end, label in _sound(self, answer)
        )

    def plain(self, answer: Any) -> list[dict[str, Any]]:
        """A list of start, end and label."""
        return [{"start": start, "end": end, "label": label} for start, end, label in answer]

    def in_words(self, answer: Any) -> str:
        """Each label with its place."""
        return ", ".join(f"{brief(label)} {start}-{end}" for start, end, label in answer) or "no span"

    def similarity(self, one: Any, other: Any) -> float:
        """The share of the labelled characters that are in both, of those in either (Jaccard)."""
        mine, theirs = _characters(one), _characters(other)
        either = sum((mine | theirs).values())
        return sum((mine & theirs).values()) / either if either else 1.0

    def consensus(self, answers: Sequence[Any]) -> Spans:
        """Each span that more than half give, or half and the newest; of overlapping ones the one with more votes."""
        votes = Counter(span for spans in answers for span in spans)
        half, newest = len(answers) / 2, answers[-1]
        chosen = [one for one, given in votes.items() if given > half or (given == half and one in newest)]
        kept: list[Span] = []
        for span in sorted(chosen, key=lambda one: (-votes[one], one not in newest, one)):
            if self.overlapping or not any(_overlap(span, other) for other in kept):
                kept.append(span)
        return tuple(sorted(kept))

    def counts(self, given: Any, wanted: Any) -> tuple[float, ...]:
        """(spans rightly given, wrongly given, missed, all right, 1)."""
        hits = len(set(given) & set(wanted))
        return hits, len(given) - hits, len(wanted) - hits, float(set(given) == set(wanted)), 1.0

    def labels_in(self, answer: Any) -> Sequence[str]:
        """The label of each span."""
        return [label for _, _, label in answer]

    def by_label(self, given: Any, wanted: Any) -> Mapping[str, tuple[int, int, int]]:
        """Of spans that are exactly right."""
        return tallied(*([((start, end), label) for start, end, label in spans] for spans in (given, wanted)))

    def misplaced(self, answer: Any, text: str) -> str:
        """A span that ends after the text does: the text may have been another when it was marked."""
        outside = [span for span in answer if span[1] > len(text)]
        if not outside:
            return ""
        return f"marks {self.in_words(outside[:3])} in a text of {len(text)} characters"

    def translate(self, answer: Any, meaning: Meaning) -> Spans | None:
        """Each span with what its label means now; spans of a removed label are left out."""
        meant = [(start, end, meaning(label)) for start, end, label in answer]
        if any(len(names) > 1 for _, _, names in meant):
            return None
        return tuple(sorted({(start, end, name) for start, end, names in meant for name in names}))


def _sound(kind: TextSpans, spans: Sequence[Span]) -> Spans:
    ordered = sorted(set(spans))
    for start, end, label in ordered:
        known_label(kind.labels, label)
        if not 0 <= start < end:
            raise ConfigError(f"a span from {start} to {end} has no length", "0 <= start < end, in characters")
    if not kind.overlapping:
        for one, other in pairwise(ordered):
            if _overlap(one, other):
                raise ConfigError(
                    f"the spans {kind.in_words([one, other])} overlap", "keep one, or set overlapping = true"
                )
    return tuple(ordered)


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


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _characters(spans: Spans) -> Counter[tuple[int, str]]:
    return Counter((i, label) for start, end, label in set(spans) for i in range(start, end))
