"""Asking again as a choice on the same scale as asking anew, for people who err: ActiveLab."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from typing import Any

import numpy as np

from labelloop.errors import ConfigError
from labelloop.protocols import Selector
from labelloop.selection.compose import Composed, traced


@dataclass(frozen=True)
class Relabelling(Composed):
    """A selector whose batches may partly be questions about items that have an answer.

    Attributes:
        share: The largest part of a batch that may be.
    """

    share: float = 0.2


def relabel(selector: Selector, share: float = 0.2) -> Relabelling:
    """A selector that gives up to this share of its batches to second opinions, as far as ActiveLab finds them useful.

    Goh and Mueller 2023 (arXiv 2301.11856): see `again`. New items are those the selector chooses.

    Raises:
        ConfigError: The share is not in [0, 1].
    """
    if not 0.0 <= share <= 1.0:
        raise ConfigError(f"relabel takes a share of {share:g}, not between 0 and 1", "relabel(auto, 0.2)")
    return Relabelling(partial(traced, selector), share)


@dataclass(frozen=True)
class Answered:
    """Items that have an answer.

    Attributes:
        votes: (m, p) float, the class that each of p people gives each of them; NaN where she has not answered.
        probabilities: (m, k) out of sample.
        suspect: (m,) bool, where what is believed is likely wrong.
    """

    votes: np.ndarray
    probabilities: np.ndarray
    suspect: np.ndarray


def again(answered: Answered, pool: np.ndarray, n: int, share: float) -> np.ndarray:
    """Positions of the answered items to ask again, most useful first.

    Every item, answered or new, has an ActiveLab score: how sure model and people together are of its label, less sure
    the fewer people have answered. Of the n items with the lowest scores, the answered ones are asked again; while
    there are new items, only those whose label is likely wrong, and at most this share of n.

    Args:
        pool: (u, k) probabilities of items without an answer.
        n: The size of the batch.

    Raises:
        ConfigError: cleanlab is not installed.
    """
    votes = answered.votes[:, ~np.isnan(answered.votes).all(axis=0)]
    new = _shares(pool) if len(pool) else None
    with warnings.catch_warnings(), redirect_stdout(StringIO()):  # it also prints
        warnings.simplefilter("ignore")
        scores = np.concatenate(_active_learning_scores()(votes, _shares(answered.probabilities), new))
    lowest = np.argsort(scores, kind="stable")[:n]
    chosen: np.ndarray = lowest[lowest < len(votes)]
    return chosen if new is None else chosen[answered.suspect[chosen]][: int(n * share)]


def _shares(probabilities: np.ndarray) -> np.ndarray:
    likely = np.asarray(probabilities, np.float64)
    normed: np.ndarray = likely / likely.sum(axis=1, keepdims=True)
    return normed


def _active_learning_scores() -> Callable[..., Any]:
    try:
        from cleanlab.multiannotator import get_active_learning_scores
    except ImportError:
        raise ConfigError(
            "asking again needs cleanlab 2.8 or newer, which is not installed", "pip install 'labelloop[quality]'"
        ) from None
    found: Callable[..., Any] = get_active_learning_scores
    return found
