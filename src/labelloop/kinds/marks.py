"""What all spans share, wherever their places are: what people say together, how it is scored, what labels mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from labelloop.errors import ConfigError
from labelloop.kinds.kind import Meaning, Statistic, f1, share, tallied
from labelloop.kinds.values import brief, checked_labels, known_label

Mark = tuple[Any, Any, str]
"""Where it starts, where it ends (exclusive), its label; places are numbers, or pairs of them, in order."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Labelled parts of something that has an order; an answer is these spans in that order.

    Args:
        labels: The labels, at least one, in the order people see them.
        overlapping: Whether spans may overlap.

    Raises:
        ConfigError: No label, a label twice, or an empty label.
    """

    labels: tuple[str, ...]
    overlapping: bool = False
    scores: ClassVar[Mapping[str, Statistic]] = {
        "span-F1": lambda sums: f1(sums[:, :3]),
        "exact": lambda sums: share(sums[:, 3:]),
    }
    """F1 of spans that are exactly right, and the share of texts without a mistake."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", checked_labels(self.labels, 1, "a control of spans", "[controls.NAME]"))

    def in_words(self, answer: Any) -> str:
        """Each label with its place."""
        return ", ".join(f"{brief(label)} {_place(start)}-{_place(end)}" for start, end, label in answer) or "no span"

    def consensus(self, answers: Sequence[Any]) -> tuple[Any, ...]:
        """Each span that more than half give, or half and the newest; of overlapping ones the one with more votes."""
        votes = Counter(span for spans in answers for span in spans)
        half, newest = len(answers) / 2, answers[-1]
        chosen = [one for one, given in votes.items() if given > half or (given == half and one in newest)]
        kept: list[Mark] = []
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

    def translate(self, answer: Any, meaning: Meaning) -> tuple[Any, ...] | None:
        """Each span with what its label means now; spans of a removed label are left out."""
        meant = [(start, end, meaning(label)) for start, end, label in answer]
        if any(len(names) > 1 for _, _, names in meant):
            return None
        return tuple(sorted({(start, end, name) for start, end, names in meant for name in names}))

    def sound(self, spans: Sequence[Any]) -> tuple[Any, ...]:
        """The spans in their order, each once.

        Raises:
            ConfigError: One has no length or an unknown label, or two overlap where they must not.
        """
        ordered = sorted(set(spans))
        for start, end, label in ordered:
            known_label(self.labels, label)
            if min(start if isinstance(start, tuple) else (start,)) < 0 or not start < end:
                raise ConfigError(
                    f"a span from {_place(start)} to {_place(end)} has no length", "0 <= start < end, in characters"
                )
        if not self.overlapping:
            for one, other in pairwise(ordered):
                if _overlap(one, other):
                    raise ConfigError(
                        f"the spans {self.in_words([one, other])} overlap", "keep one, or set overlapping = true"
                    )
        return tuple(ordered)


def _place(position: Any) -> str:
    return ":".join(map(str, position)) if isinstance(position, tuple) else str(position)


def _overlap(one: Mark, other: Mark) -> bool:
    return bool(one[0] < other[1] and other[0] < one[1])
