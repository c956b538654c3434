"""Which of many things spoil the whole: found by leaving out one half of them after the other."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from labelloop.errors import ConfigError
from labelloop.kinds.kind import Kind
from labelloop.kinds.predicted import Predicted, checked, joined, nothing_said
from labelloop.protocols import Predictor
from labelloop.types import Inputs, rows_of

PATIENCE = 600.0
"""Seconds after which looking is given up."""

_SPARE = 12

Works = Callable[[np.ndarray], bool]
"""Whether it works with these positions, and no others."""


class _EnoughError(Exception):
    """It was looked at for long enough."""


def spoilers(n: int, works: Works, clock: Callable[[], float] = time.monotonic) -> np.ndarray:
    """The positions, of n that do not work together, without which the others do; none where that is not soon found.

    One costs at most twice as many attempts as n can be halved; where all seem to spoil it, it is not they.
    """
    search = _Search(n, works, clock)
    try:
        found = search.among(np.arange(n), np.empty(0, np.intp)) if n > 1 else np.empty(0, np.intp)
    except _EnoughError:
        return np.empty(0, np.intp)
    return np.sort(found) if len(found) < n else np.empty(0, np.intp)


def predicted(predictor: Predictor, inputs: Inputs) -> np.ndarray:
    """(n, k) float32: what a model says about each item; a row of NaN for each of the few that it fails on.

    Raises:
        Exception: As the model puts it, where it fails on most.
    """
    try:
        return predictor.predict(inputs)
    except Exception:
        said = np.full((len(inputs), len(predictor.labels)), np.nan, np.float32)

        def works(rows: np.ndarray) -> bool:
            try:
                said[rows] = predictor.predict(rows_of(inputs, rows))
            except Exception:  # noqa: BLE001 - whatever a model of others raises about one item
                return False
            return True

        lost = spoilers(len(inputs), works)
        kept = np.setdiff1d(np.arange(len(inputs)), lost)
        if not len(lost) or not works(kept):
            raise
        said[lost] = np.nan
        return said


def answered(predictor: Predictor, inputs: Inputs, kind: Kind) -> Predicted:
    """What a model says about each item, in answers of this kind; nothing about each of the few that it fails on.

    Raises:
        ConfigError: What it says cannot be.
        Exception: As the model puts it, where it fails on most.
    """

    def said_of(some: Inputs) -> Predicted:
        said: Any = predictor.predict(some)
        return checked(said, len(some), kind, some.items)

    try:
        return said_of(inputs)
    except ConfigError:
        raise
    except Exception:
        parts: dict[bytes, Predicted] = {}

        def works(rows: np.ndarray) -> bool:
            try:
                parts[rows.tobytes()] = said_of(rows_of(inputs, rows))
            except Exception:  # noqa: BLE001 - whatever a model of others raises about one item
                return False
            return True

        lost = spoilers(len(inputs), works)
        kept = np.setdiff1d(np.arange(len(inputs)), lost)
        if not len(lost) or not works(kept):
            raise
        order = np.argsort(np.concatenate([kept, lost]), kind="stable")
        return joined([parts[kept.tobytes()], nothing_said(len(lost))]).at(order)


class _Search:
    def __init__(self, n: int, works: Works, clock: Callable[[], float]) -> None:
        self._everyone = np.arange(n)
        self._works = works
        self._clock = clock
        self._until = clock() + PATIENCE
        self._left = 2 * math.ceil(math.log2(max(n, 2))) + _SPARE

    def among(self, suspects: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Those of the suspects that spoil it, where it works without any of them, and without those that are out."""
        if len(suspects) == 1:
            return suspects
        first, second = suspects[: len(suspects) // 2], suspects[len(suspects) // 2 :]
        for one in (first, second):
            if self._works_without(np.concatenate([out, one])):
                return self.among(one, out)
        found = self.among(second, np.concatenate([out, first]))
        return np.concatenate([found, self.among(first, np.concatenate([out, found]))])

    def _works_without(self, out: np.ndarray) -> bool:
        rest = np.setdiff1d(self._everyone, out)
        if not len(rest):
            return True
        self._left -= 1
        if self._left < 0 or self._clock() > self._until:
            raise _EnoughError
        return self._works(rest)
