"""Choices: one label per item, or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from xml.sax.saxutils import quoteattr

from labelloop.errors import ConfigError
from labelloop.kinds.kind import Meaning, Statistic, by_half, f1, plurality, renamed, share, tallied
from labelloop.kinds.values import brief, checked_labels, known_label, listed
from labelloop.types import Region

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import pyarrow as pa

Names = tuple[str, ...]
_HOTKEYS = "1234567890"


@dataclass(frozen=True, slots=True)
class Choices:
    """One of the labels, or several; an answer is the labels in the order of the schema.

    Args:
        labels: The labels, at least two, in the order people see them.
        multiple: Whether several may be given, or none of them.

    Raises:
        ConfigError: Fewer than two labels, a label twice, or an empty label.
    """

    labels: tuple[str, ...]
    multiple: bool = False
    region_type: ClassVar[str] = "choices"

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", checked_labels(self.labels, 2, "a choice", "[controls.NAME]"))

    @classmethod
    def of_tag(cls, node: Element, shown: Sequence[str]) -> Choices | None:
        """`Choices` in one level, with two choices or more that stand in it.

        Raises:
            ConfigError: A choice is empty, or there twice.
        """
        labels = listed(node, "Choice")
        if node.tag != "Choices" or labels is None or len(labels) < 2:
            return None
        return cls(labels, node.get("choice", "single") == "multiple")

    @property
    def arrow(self) -> pa.DataType:
        """A list of texts."""
        import pyarrow as pa

        return pa.list_(pa.string())

    def tag(self, name: str, shown: str) -> str:
        """`Choices` with a key for each label."""
        labels = "\n".join(
            f"  {_choice(label, key)}" for label, key in zip(self.labels, hotkeys(self.labels), strict=True)
        )
        choice, required = ("multiple", "") if self.multiple else ("single", ' required="true"')
        return (
            f"<Choices name={quoteattr(name)} toName={quoteattr(shown)}"
            f' choice="{choice}" showInline="true"{required}>\n{labels}\n</Choices>'
        )

    def read(self, regions: Sequence[Region]) -> Names | None:
        """The labels in the order of the schema; None where there are none, but for a multiple choice without a region.

        Raises:
            ConfigError: A label is unknown, the value is no list of labels, or a single choice has several.
        """
        said = [name for region in regions for name in _said(region)]
        for name in said:
            known_label(self.labels, name)
        names = _in_order(self.labels, said)
        if len(names) > 1 and not self.multiple:
            raise ConfigError(too_many(names))
        return names if names or (self.multiple and not regions) else None

    def write(self, answer: Any) -> tuple[Region, ...]:
        """One region; none where there is no label.

        Raises:
            ConfigError: A label is unknown, or a single choice has several.
        """
        for name in answer:
            known_label(self.labels, name)
        chosen = _in_order(self.labels, answer)
        if len(chosen) > 1 and not self.multiple:
            raise ConfigError(too_many(chosen), 'give one label, or set task = "multiple-choice" under [dataset]')
        return ({"type": "choices", "value": {"choices": list(chosen)}},) if chosen else ()

    def plain(self, answer: Any) -> list[str]:
        """A list of labels."""
        return list(answer)

    def in_words(self, answer: Any) -> str:
        """The labels, with commas."""
        return ", ".join(brief(name) for name in answer) or "none of them"

    def similarity(self, one: Any, other: Any) -> float:
        """The share of the labels that both give, of those that either gives (Jaccard)."""
        either = set(one) | set(other)
        return len(set(one) & set(other)) / len(either) if either else 1.0

    def consensus(self, answers: Sequence[Any]) -> Names:
        """The label that most give; of a multiple choice each label that at least half give, a tie by the newest."""
        return by_half(self.labels, answers) if self.multiple else plurality(answers)

    def counts(self, given: Any, wanted: Any) -> tuple[float, ...]:
        """(right, 1, labels rightly given, wrongly given, missed)."""
        hits = len(set(given) & set(wanted))
        return float(set(given) == set(wanted)), 1.0, hits, len(given) - hits, len(wanted) - hits

    @property
    def scores(self) -> Mapping[str, Statistic]:
        """Accuracy, and for a multiple choice first micro-F1."""
        accuracy: dict[str, Statistic] = {"accuracy": lambda sums: share(sums[:, :2])}
        micro: dict[str, Statistic] = {"micro-F1": lambda sums: f1(sums[:, 2:])}
        return {**micro, **accuracy} if self.multiple else {**accuracy, **micro}

    def labels_in(self, answer: Any) -> Sequence[str]:
        """The labels themselves."""
        return tuple(answer)

    def by_label(self, given: Any, wanted: Any) -> Mapping[str, tuple[int, int, int]]:
        """Of labels of the item."""
        return tallied(*([((), label) for label in labels] for labels in (given, wanted)))

    def translate(self, answer: Any, meaning: Meaning) -> Names | None:
        """Each label by what it means now; a removed one is left out of a multiple choice."""
        return renamed(answer, meaning, optional=self.multiple)


def _in_order(labels: Names, names: Sequence[str]) -> Names:
    return tuple(label for label in labels if label in names)


def hotkeys(labels: Sequence[str]) -> list[str]:
    """A key for each label: the label itself where all are single characters, else 1 to 9 and 0; then none."""
    if len({label.lower() for label in labels if len(label) == 1 and label.isalnum()}) == len(labels):
        return [label.lower() for label in labels]
    return [_HOTKEYS[place] if place < len(_HOTKEYS) else "" for place in range(len(labels))]


def too_many(names: Sequence[str]) -> str:
    """Several labels for a single choice, in words."""
    return f"{len(names)} labels ({brief(', '.join(names))}) for a single choice"


def _choice(label: str, hotkey: str) -> str:
    key = f' hotkey="{hotkey}"' if hotkey else ""
    return f"<Choice value={quoteattr(label)}{key}/>"


def _said(region: Region) -> list[Any]:
    value = region.get("value")
    choices = value.get("choices") if isinstance(value, Mapping) else None
    if not isinstance(choices, list | tuple):
        raise ConfigError(f"value is {brief(value)}, without a list of choices", 'write it as {"choices": ["..."]}')
    return list(choices)
