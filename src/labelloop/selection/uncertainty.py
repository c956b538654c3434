"""How unsure a model is about each item, and the selectors that ask where it is least sure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from labelloop.errors import ConfigError
from labelloop.types import Pool

CHUNK = 65_536
"""Rows scored at once: bounds the memory beside the pool."""

Uncertainty = Callable[[np.ndarray, bool], np.ndarray]
"""((n, k) probabilities, multiple) -> (n,) uncertainty in [0, 1], the highest where the model is least sure."""


def doubt_of_best(probabilities: np.ndarray, multiple: bool) -> np.ndarray:
    """(n,) one minus the probability of the model's own answer.

    Single choice: Lewis and Gale 1994 (arXiv cmp-lg/9407020). Multiple choice: the answer is the most probable set
    of labels, labels taken as independent.
    """
    if multiple:
        sets: np.ndarray = 1.0 - np.maximum(probabilities, 1.0 - probabilities).prod(axis=1)
        return sets
    best: np.ndarray = 1.0 - probabilities.max(axis=1)
    return best


def closeness_of_two(probabilities: np.ndarray, multiple: bool) -> np.ndarray:
    """(n,) one minus the distance between the two most probable answers.

    Single choice: Scheffer, Decomain and Wrobel 2001 (margin, also called breaking ties). Multiple choice: yes
    against no for the label the model is least sure of (BinMin; Brinker 2006).
    """
    if multiple:
        closest: np.ndarray = 1.0 - np.abs(2.0 * probabilities - 1.0).min(axis=1)
        return closest
    second, first = np.partition(probabilities, -2, axis=1)[:, -2:].T
    margin: np.ndarray = 1.0 - (first - second)
    return margin


def spread(probabilities: np.ndarray, multiple: bool) -> np.ndarray:
    """(n,) Shannon entropy as a share of the highest possible (Shannon 1948; Settles 2009, section 3.1).

    Multiple choice: the mean over labels of the entropy of yes against no.
    """
    if multiple:
        bits: np.ndarray = (_plogp(probabilities) + _plogp(1.0 - probabilities)).mean(axis=1) / np.log(2.0)
        return bits
    entropy: np.ndarray = _plogp(probabilities).sum(axis=1) / np.log(probabilities.shape[1])
    return entropy


def uncertainty_of(pool: Pool, measure: Uncertainty) -> np.ndarray:
    """(n,) float32 uncertainty of every item of the pool, computed in chunks; the model's own without probabilities.

    Raises:
        ConfigError: There are no probabilities, they do not fit the pool, or some are not numbers.
    """
    if pool.probabilities is None and pool.uncertainty is not None:
        return _checked_uncertainty(pool)
    probabilities = needed(pool)
    scores = np.empty(len(pool), np.float32)
    for start in range(0, len(pool), CHUNK):
        rows = np.asarray(probabilities[start : start + CHUNK], np.float32)
        scores[start : start + CHUNK] = measure(rows, pool.multiple)
    return scores


def _checked_uncertainty(pool: Pool) -> np.ndarray:
    scores = np.asarray(pool.uncertainty, np.float32)
    if scores.shape != (len(pool),):
        raise ConfigError(
            f"uncertainty of the shape {scores.shape} does not fit a pool of {len(pool)} items", "give one per item"
        )
    wrong = np.flatnonzero(~np.isfinite(scores))
    if len(wrong):
        raise ConfigError(
            f"the uncertainty of item {wrong[0]} of the pool is not a number",
            "leave items out that the model could not score",
        )
    return scores


def needed(pool: Pool) -> np.ndarray:
    """The probabilities of the pool, for a selector that does nothing without them.

    Raises:
        ConfigError: There are none, they do not fit the pool, or some are not numbers.
    """
    probabilities = checked(pool)
    if probabilities is None and pool.uncertainty is not None:
        raise ConfigError(
            "this selector needs a probability for each label of an item, and what is asked has none",
            "use a selector that goes by uncertainty: auto, uherding, least-confident",
        )
    if probabilities is None:
        raise ConfigError(
            "uncertainty needs probabilities, and there is no model yet",
            "use a selector that starts from nothing: auto, uherding, centroids, typiclust, probcover, coreset, random",
        )
    return probabilities


def checked(pool: Pool) -> np.ndarray | None:
    """The probabilities of the pool, where they can be used.

    Raises:
        ConfigError: They do not fit the pool, there are fewer than two labels for a single choice, or some are NaN.
    """
    probabilities = pool.probabilities
    if probabilities is None:
        return None
    fewest = 1 if pool.multiple else 2
    if probabilities.ndim != 2 or len(probabilities) != len(pool) or probabilities.shape[1] < fewest:
        raise ConfigError(
            f"probabilities of the shape {probabilities.shape} do not fit a pool of {len(pool)} items",
            "give one row per item and one column per label",
        )
    for start in range(0, len(pool), CHUNK):
        wrong = np.flatnonzero(~np.isfinite(probabilities[start : start + CHUNK]).all(axis=1))
        if len(wrong):
            raise ConfigError(
                f"the probabilities of item {start + wrong[0]} of the pool are not numbers: "
                f"{probabilities[start + wrong[0]].tolist()}",
                "leave items out that the model could not score",
            )
    return probabilities


def top(scores: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of the n highest of `scores`, highest first; ties in random order."""
    shuffled = rng.permutation(len(scores))
    if n < len(scores):
        shuffled = shuffled[np.argpartition(-scores[shuffled], n)[: n + 1]] if n else shuffled[:0]
    order: np.ndarray = shuffled[np.argsort(-scores[shuffled], kind="stable")][:n]
    return order


def least_confident(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The n items whose best answer is least probable (`doubt_of_best`)."""
    return top(uncertainty_of(pool, doubt_of_best), n, rng)


def margin(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The n items whose two best answers are closest (`closeness_of_two`)."""
    return top(uncertainty_of(pool, closeness_of_two), n, rng)


def entropy(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The n items whose answers are spread most evenly (`spread`)."""
    return top(uncertainty_of(pool, spread), n, rng)


def _plogp(probabilities: np.ndarray) -> np.ndarray:
    positive = np.maximum(probabilities, np.finfo(np.float32).tiny)
    terms: np.ndarray = -probabilities * np.log(positive)
    return terms
