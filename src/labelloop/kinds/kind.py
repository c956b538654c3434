"""What a kind of question has to say of itself: the one page that whoever adds a kind has to fill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

from labelloop.errors import ConfigError
from labelloop.types import Region

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import numpy as np
    import pyarrow as pa

Answer = Hashable
"""What one annotation says in one control, as plain data in one canonical order: equal where people say the same."""

T = TypeVar("T", bound=Hashable)

Statistic = Callable[["np.ndarray"], "np.ndarray"]
"""(b, c) sums of counts over items -> (b,) scores; higher is better."""

Meaning = Callable[[str], tuple[str, ...]]
"""What a label of before means now: one label; none where it was removed; several where it was split."""


class Codec(Protocol):
    """How answers are asked for, read and written."""

    @property
    def arrow(self) -> pa.DataType:
        """The type of a column of answers, each as `plain` gives it."""
        ...

    @property
    def region_type(self) -> str:
        """The `type` of its regions."""
        ...

    def tag(self, name: str, shown: str) -> str:
        """The control in a label config: XML.

        Args:
            name: Of the control.
            shown: Name of the object that people see.
        """
        ...

    def read(self, regions: Sequence[Region]) -> Answer | None:
        """What one annotation's regions in this control say; None where they say nothing at all.

        Raises:
            ConfigError: They say what cannot be an answer; the field is named.
        """
        ...

    def write(self, answer: Answer) -> tuple[Region, ...]:
        """The regions that say it, each with its `type` and `value`.

        Raises:
            ConfigError: It is no answer.
        """
        ...

    def plain(self, answer: Answer) -> Any:
        """The answer as JSON for files that other tools read."""
        ...

    def in_words(self, answer: Answer) -> str:
        """The answer for people: histories, reports."""
        ...


class Comparing(Protocol):
    """How much answers are alike, and what several people say together."""

    def similarity(self, one: Answer, other: Answer) -> float:
        """In [0, 1], symmetric; 1 where both say the same."""
        ...

    def consensus(self, answers: Sequence[Answer]) -> Answer:
        """What most people say; what is tied goes to whoever spoke last.

        Args:
            answers: The last word of each person, at least one, the newest last.
        """
        ...


class Scoring(Protocol):
    """How good given answers are against wanted ones."""

    def counts(self, given: Answer, wanted: Answer) -> Sequence[float]:
        """What one item adds to every score, such as hits, false alarms and misses; always as many numbers."""
        ...

    @property
    def scores(self) -> Mapping[str, Statistic]:
        """Name -> the score as a statistic of summed counts; the first is the default."""
        ...


class Kind(Codec, Comparing, Scoring, Protocol):
    """What can be asked in one control, with its options as fields. Frozen, comparable, picklable.

    The constructor's parameters are the options that a user may set under [controls.NAME].
    """

    def __hash__(self) -> int: ...


@runtime_checkable
class Labelling(Protocol):
    """A kind whose answers bear labels: these can be renamed, merged, split, counted and shown one by one."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels there are, in the order people see them."""
        ...

    def labels_in(self, answer: Answer) -> Sequence[str]:
        """The labels an answer bears, as often as it bears them."""
        ...

    def by_label(self, given: Answer, wanted: Answer) -> Mapping[str, tuple[int, int, int]]:
        """Label -> how often it was given rightly, given wrongly, and missed; what nobody gave may be left out."""
        ...

    def translate(self, answer: Answer, meaning: Meaning) -> Answer | None:
        """The answer in the labels of now; None where it means none any more, or nobody can know."""
        ...


@runtime_checkable
class Numeric(Protocol):
    """A kind whose answers are numbers, or stand for some: people agree the more, the nearer theirs are."""

    @property
    def level(self) -> Literal["ordinal", "interval"]:
        """Whether only their order counts, or how far apart they are, too."""
        ...

    def number(self, answer: Answer) -> float:
        """The number."""
        ...


@runtime_checkable
class Between(Protocol):
    """A kind that compares what people see: its control points at several objects."""

    @property
    def between(self) -> int:
        """How many."""
        ...


@runtime_checkable
class Placed(Protocol):
    """A kind whose answers point at places in a text, so that one may not be about the text that there is."""

    def misplaced(self, answer: Answer, text: str) -> str:
        """Why an answer cannot be about this text, as what follows "the answer"; empty where it can be."""
        ...


@runtime_checkable
class Parted(Protocol):
    """A kind whose answers name parts of the one item that they are about: none can be carried over to another."""

    def parts_in(self, answer: Answer) -> Sequence[str]:
        """The ids of these parts."""
        ...


@runtime_checkable
class TagReader(Protocol):
    """A class of kinds that reads a control of a label config, so that people may bring a config of their own."""

    def of_tag(self, node: Element, shown: Sequence[str]) -> Kind | None:
        """The kind that a control asks; None where it asks for something that the kind cannot say.

        Args:
            node: The control.
            shown: The tags of the objects that it points at, such as `Text`.

        Raises:
            ConfigError: It asks for something that cannot be answered, such as an empty label.
        """
        ...


def answer_in(kind: Codec, regions: Sequence[Region]) -> Answer | None:
    """What regions say, as the kind reads them; whatever a kind of others raises is a refusal.

    Raises:
        ConfigError: They say what cannot be an answer, or the kind fails on them.
    """
    try:
        return kind.read(regions)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"cannot be read: {type(kind).__name__} raised {type(error).__name__}: {error}",
            "correct the kind; labelloop.testing.kind.KindContract proves it",
        ) from error


def medoid(kind: Comparing, answers: Sequence[Answer]) -> Answer:
    """The answer most like all others: a consensus for a kind that has no better one; the newest of equals."""
    likeness = [sum(kind.similarity(one, other) for other in answers) for one in answers]
    best = max(likeness) - 1e-9
    return [one for one, like in zip(answers, likeness, strict=True) if like >= best][-1]


def median(answers: Sequence[Any], number: Callable[[Any], float]) -> Any:
    """The answer in the middle; of two there the one that is nearer to the newest, which is the last."""
    ordered = sorted(answers, key=number)
    middle = [ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]]
    return min(middle, key=lambda one: abs(number(one) - number(answers[-1])))


def plurality(answers: Sequence[T]) -> T:
    """The answer that most give; of as many the newest."""
    counts = Counter(answers)
    most = max(counts.values())
    return next(one for one in reversed(answers) if counts[one] == most)


def by_half(labels: Sequence[str], answers: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Each label that at least half give, in the order of the labels; of just half those that the newest gives."""
    count = Counter(name for answer in answers for name in answer)
    half = len(answers) / 2
    return tuple(one for one in labels if count[one] > half or (count[one] == half and one in answers[-1]))


def renamed(names: Sequence[str], meaning: Meaning, *, optional: bool) -> tuple[str, ...] | None:
    """Each label by what it means now; None where it was split, or was removed and may not be missing.

    Args:
        optional: Whether a label that was removed is left out.
    """
    meant = [meaning(name) for name in names]
    if any(len(found) > 1 or (not found and not optional) for found in meant):
        return None
    return tuple(dict.fromkeys(name for found in meant for name in found))


def tallied(
    given: Iterable[tuple[Hashable, str]], wanted: Iterable[tuple[Hashable, str]]
) -> dict[str, tuple[int, int, int]]:
    """`Labelling.by_label` of answers that are sets of parts, each of which bears one label.

    Args:
        given, wanted: Each part with its label.
    """
    ours, theirs = set(given), set(wanted)
    found: dict[str, tuple[int, int, int]] = {}
    for part in ours | theirs:
        hit, wrong, missed = found.get(part[1], (0, 0, 0))
        is_given, is_wanted = part in ours, part in theirs
        found[part[1]] = (hit + (is_given and is_wanted), wrong + (not is_wanted), missed + (not is_given))
    return found


def f1(sums: np.ndarray) -> np.ndarray:
    """(b,) F1 of (b, 3) summed hits, false alarms and misses; 1 where nothing was to be found, nor given."""
    import numpy as np

    right = 2.0 * sums[:, 0]
    all_ = right + sums[:, 1] + sums[:, 2]
    score: np.ndarray = np.divide(right, all_, out=np.ones_like(right), where=all_ > 0)
    return score


def share(sums: np.ndarray) -> np.ndarray:
    """(b,) the share of (b, 2) summed parts and wholes."""
    parts: np.ndarray = sums[:, 0] / sums[:, 1]
    return parts
