"""What a model says about items in one control, of whatever kind: all that the loop ever sees of a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from labelloop.errors import ConfigError
from labelloop.kinds.kind import Answer, Kind, Placed
from labelloop.kinds.labels import guess
from labelloop.kinds.schema import LabelSchema
from labelloop.types import Item
from labelloop.types.names import named

if TYPE_CHECKING:
    import pyarrow as pa


@named("labelloop.Predicted")
@dataclass(frozen=True)
class Predicted:
    """What a model says about n items, as columns; row i of every column is the same item.

    Attributes:
        answers: n answers of the control's kind; None where nothing can be said.
        confidence: (n,) float32 in [0, 1], the chance that the whole answer is right; NaN where nothing can be said.
        uncertainty: (n,) float32 in [0, 1], how much the answer of a person would teach; NaN where nothing can be said.
        probabilities: (n, k) float32, a column per label, only where the answer is one distribution over labels.
    """

    answers: Sequence[Answer | None]
    confidence: np.ndarray
    uncertainty: np.ndarray
    probabilities: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.confidence)

    @cached_property
    def known(self) -> np.ndarray:
        """(n,) bool: the items that it says something about."""
        said: np.ndarray = ~np.isnan(self.confidence)
        return said

    def at(self, rows: np.ndarray) -> Predicted:
        """What is said about some of the items, by position or as a mask (n,) bool. Pure."""
        positions = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Predicted(
            _Some(self.answers, positions),
            self.confidence[positions],
            self.uncertainty[positions],
            None if self.probabilities is None else self.probabilities[positions],
        )


class _Lazy(Sequence[Any]):
    """Answers that are found when they are asked for: a subclass has `__len__`, and `_at` for each place."""

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Any]: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return _Some(self, np.arange(len(self))[place])
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self._at(place)

    def _at(self, place: int) -> Any:
        raise NotImplementedError


class _Guessed(_Lazy):
    """The labels that probabilities give."""

    def __init__(self, schema: LabelSchema, probabilities: np.ndarray) -> None:
        self._schema = schema
        self._probabilities = probabilities

    def __len__(self) -> int:
        return len(self._probabilities)

    def _at(self, place: int) -> Any:
        row = self._probabilities[place]
        return None if np.isnan(row).any() else guess(self._schema, row)[0]


class _Chained(_Lazy):
    """The answers of one part after the other."""

    def __init__(self, parts: Sequence[Sequence[Any]]) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def _at(self, place: int) -> Any:
        part = int(np.searchsorted(self._ends, place, side="right"))
        return self._parts[part][place - (int(self._ends[part - 1]) if part else 0)]


class _Some(_Lazy):
    """The answers at some positions."""

    def __init__(self, answers: Sequence[Any], positions: np.ndarray) -> None:
        self._answers = answers
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    def _at(self, place: int) -> Any:
        return self._answers[int(self._positions[place])]


class _Written(_Lazy):
    """Answers that are kept as the regions which say them."""

    def __init__(self, kind: Kind, regions: pa.ChunkedArray) -> None:
        self._kind = kind
        self._regions = regions

    def __len__(self) -> int:
        return len(self._regions)

    def _at(self, place: int) -> Any:
        said = self._regions[place].as_py()
        return None if said is None else self._kind.read(json.loads(said))


def nothing_said(n: int) -> Predicted:
    """What is said of n items where nothing can be."""
    nan = np.full(n, np.nan, np.float32)
    return Predicted((None,) * n, nan, nan)


def by_probabilities(schema: LabelSchema, probabilities: np.ndarray) -> Predicted:
    """What (n, k) probabilities say, where what is asked are choices; a row of NaN says nothing. Pure."""
    if schema.multiple:
        confidence = np.maximum(probabilities, 1.0 - probabilities).min(axis=1, initial=1.0)
    else:
        confidence = probabilities.max(axis=1, initial=0.0)
    return Predicted(_Guessed(schema, probabilities), confidence, 1.0 - confidence, probabilities)


def joined(parts: Sequence[Predicted]) -> Predicted:
    """What is said of the items of the first part, then of the second, and so on. Pure."""
    if not parts:
        return nothing_said(0)
    with_columns = [part.probabilities for part in parts if part.probabilities is not None]
    return Predicted(
        _Chained([part.answers for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        np.concatenate([part.uncertainty for part in parts]),
        np.concatenate(with_columns) if len(with_columns) == len(parts) else None,
    )


def checked(said: Predicted, n: int, kind: Kind, items: Sequence[Item] = ()) -> Predicted:
    """What a learner said about n items, if the loop can go on with it.

    Args:
        items: The n items, where the learner reads them: an answer must be about its item's text.

    Raises:
        ConfigError: A column has another length or type, a number is not in [0, 1], or an answer is none of the kind;
            the field is named.
    """
    if not isinstance(said, Predicted):
        raise ConfigError(
            f"the learner predicted a {type(said).__name__}, not a Predicted",
            "return labelloop.kinds.predicted.Predicted(answers, confidence, uncertainty)",
        )
    confidence, uncertainty = (_numbers(getattr(said, name), name, n) for name in ("confidence", "uncertainty"))
    if len(said.answers) != n:
        raise ConfigError(
            f"Predicted.answers has {len(said.answers)} answers to {n} items", "give one for each, or None"
        )
    lost = np.isnan(confidence)
    if (lost != np.isnan(uncertainty)).any() or [one is None for one in said.answers] != lost.tolist():
        raise ConfigError(
            "Predicted says something about an item in one column, and nothing in another",
            "where nothing can be said: the answer None, confidence and uncertainty NaN",
        )
    answers = tuple(None if one is None else _answer(kind, row, one) for row, one in enumerate(said.answers))
    if isinstance(kind, Placed):
        _refuse_misplaced(kind, answers, items)
    return Predicted(
        answers,
        confidence,
        uncertainty,
        said.probabilities,
    )


def _refuse_misplaced(kind: Placed, answers: Sequence[Answer | None], items: Sequence[Item]) -> None:
    for row, (answer, item) in enumerate(zip(answers, items, strict=False)):
        if answer is not None and item.modality == "text" and (why := kind.misplaced(answer, item.text)):
            raise ConfigError(
                f"Predicted.answers[{row}] about item {item.id!r} {why}",
                "count in characters of the text that is given",
            )


def written(said: Predicted, kind: Kind) -> pa.Table:
    """It as a table that can be stored: answers as the regions that say them."""
    import pyarrow as pa

    regions = [None if one is None else json.dumps(kind.write(one), separators=(",", ":")) for one in said.answers]
    columns: dict[str, Any] = {
        "regions": pa.array(regions, pa.string()),
        "confidence": pa.array(said.confidence, pa.float32(), from_pandas=False),
        "uncertainty": pa.array(said.uncertainty, pa.float32(), from_pandas=False),
    }
    return pa.table(columns)


def read_back(table: pa.Table, kind: Kind) -> Predicted:
    """What was stored; answers are read when they are asked for."""
    confidence, uncertainty = (table[name].to_numpy() for name in ("confidence", "uncertainty"))
    return Predicted(_Written(kind, table["regions"]), confidence, uncertainty)


def _numbers(column: Any, name: str, n: int) -> np.ndarray:
    found = np.asarray(column)
    if found.shape != (n,) or not np.issubdtype(found.dtype, np.floating):
        raise ConfigError(
            f"Predicted.{name} is {found.dtype} of the shape {found.shape} for {n} items", f"give ({n},) float32"
        )
    wrong = np.flatnonzero(~np.isnan(found) & ~((found >= 0.0) & (found <= 1.0)))
    if len(wrong):
        raise ConfigError(f"Predicted.{name}[{wrong[0]}] is {found[wrong[0]]:g}, not between 0 and 1", "bound it")
    return found.astype(np.float32)


def _answer(kind: Kind, row: int, answer: Answer) -> Answer:
    try:
        kind.write(answer)
    except Exception as error:
        why = error.message if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
        raise ConfigError(f"Predicted.answers[{row}] is no answer: {why}", "predict what people could say") from error
    return answer
