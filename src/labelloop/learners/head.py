"""A linear head on embeddings: logistic regression, its strength chosen and its confidence corrected out of fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

CHUNK = 65_536
"""Rows scored at once: a memory-mapped million is never in memory as a whole."""

DEFAULT_C = 100.0
"""The strength where there are too few examples to choose one by; the best at 10 to 40 examples of those tried."""

TUNED_ON = 1_000
"""Examples that choose the strength and the temperature; a random part where there are more."""

EXAMPLES_PER_LABEL = 3
"""Examples per seen label, on average, below which nothing is chosen out of fold."""

SMALLEST_SPREAD = 0.1
"""A feature that hardly varies is divided by this share of the typical spread, not by its own: noise stays small."""

TEMPERATURE_PRIOR = 0.5
"""Standard deviation of log temperature before any example is seen: a handful of examples does not move it far."""

ITERATIONS = 300

TOLERANCE = 1e-3
"""Where the optimiser stops: closer would move no probability that anyone sees."""


@dataclass(frozen=True)
class Head:
    """Embeddings -> probabilities: `softmax` or, for several labels per item, `sigmoid` of `x @ weights + bias`.

    Standardisation and temperature are folded into the weights.

    Attributes:
        weights: (d, k) float32.
        bias: (k,) float32.
        seen: (k,) bool, labels with an example; the others have a constant probability.
        floor: The probability of each label that is not seen, for a single choice.
        multiple: Whether an item may carry several labels.
        c: The inverse regularisation strength used.
        temperature: (k,) or (1,), what the logits were divided by.
    """

    weights: np.ndarray
    bias: np.ndarray
    seen: np.ndarray
    floor: float
    multiple: bool
    c: float
    temperature: np.ndarray

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """(n, k) float32 of (n, d) embeddings; a row of NaN stays a row of NaN."""
        result = np.empty((len(features), len(self.bias)), np.float32)
        for start in range(0, len(features), CHUNK):
            rows = np.asarray(features[start : start + CHUNK], np.float32)
            result[start : start + CHUNK] = self._chunk(rows)
        return result

    def _chunk(self, rows: np.ndarray) -> np.ndarray:
        logits = rows @ self.weights + self.bias
        if self.multiple:
            return _sigmoid(logits)
        mass = np.float32(1 - self.floor * np.count_nonzero(~self.seen))
        answer = np.where(np.isnan(logits), logits, np.float32(self.floor))
        answer[:, self.seen] = _softmax(logits[:, self.seen]) * mass
        return answer


@dataclass(frozen=True, slots=True)
class Fitting:
    """How a head is fitted.

    Attributes:
        strengths: Inverse regularisation strengths to choose from, for embeddings scaled to length 1.
        folds: Parts the examples are cut into to choose out of fold.
        calibrate: Whether a temperature is fitted.
        balanced: Whether the examples of a label weigh together as much as those of any other.
    """

    strengths: Sequence[float]
    folds: int
    calibrate: bool
    balanced: bool = False


def fit(features: np.ndarray, targets: np.ndarray, multiple: bool, how: Fitting) -> Head:
    """Fit a head to (n, d) embeddings and (n, k) bool targets. Deterministic.

    One thread: the matrices are small, and threads that wait for each other on busy cores cost a hundred times more.
    The strength is the one with the smallest out-of-fold log loss; the temperature divides the logits so that the
    out-of-fold log loss is smallest (Guo et al., 2017, equation 9), with a prior around 1. A label of a single choice
    that no example has gets 1 / (n + k) (Laplace); one of a multiple choice that none or all have (p + 1) / (n + 2).
    """
    centre, spread = _standard(features)
    scaled = ((features - centre) / spread).astype(np.float32)
    positives = targets.sum(axis=0)
    seen = (positives > 0) & (positives < len(targets)) if multiple else positives > 0
    wanted = targets[:, seen]
    with _one_thread():
        basis, scaled = _in_row_space(scaled)
        c, temperature = _tuned(scaled, wanted, multiple, how)
        weights, bias = _fit(scaled, wanted, multiple, _regression(c, how))
    weights = weights if basis is None else basis @ weights
    weights, bias = weights / temperature / spread[:, None], bias / temperature
    bias = bias - centre @ weights
    whole_weights = np.zeros((features.shape[1], targets.shape[1]), np.float32)
    whole_weights[:, seen] = weights
    whole_bias = _constant(positives, len(targets)) if multiple else np.zeros(targets.shape[1], np.float32)
    whole_bias[seen] = bias
    floor = 1 / (len(targets) + targets.shape[1])
    return Head(whole_weights, whole_bias, seen, floor, multiple, c, temperature)


def _in_row_space(features: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """An orthonormal basis (d, n) and the features in it (n, n), where there are fewer examples than features.

    The same model comes out: the weights of a ridge-penalised head lie in the span of its examples, and a rotation
    changes neither margins nor the penalty. Only the arithmetic shrinks, from d to n.
    """
    if len(features) >= features.shape[1]:
        return None, features
    basis = np.linalg.qr(features.T.astype(np.float64))[0].astype(np.float32)
    return basis, features @ basis


def _one_thread() -> AbstractContextManager[object]:
    """One BLAS thread: the matrices are small, and threads that wait for each other cost far more than they bring."""
    import sklearn.linear_model  # noqa: F401 - only libraries that are loaded can be limited
    from threadpoolctl import threadpool_limits

    limited: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limited


def _standard(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre and divisor of each feature; the divisor makes the typical row as long as 1, whatever d is."""
    spread = features.std(axis=0)
    typical = float(np.sqrt(np.mean(spread**2)))
    if typical == 0.0:
        return features.mean(axis=0), np.ones_like(spread)
    divisor = np.maximum(spread, SMALLEST_SPREAD * typical) * np.sqrt(features.shape[1])
    return features.mean(axis=0), divisor.astype(np.float32)


def _constant(positives: np.ndarray, n: int) -> np.ndarray:
    share = (positives + 1) / (n + 2)
    logits: np.ndarray = np.log(share / (1 - share)).astype(np.float32)
    return logits


def _tuned(features: np.ndarray, targets: np.ndarray, multiple: bool, how: Fitting) -> tuple[float, np.ndarray]:
    """The strength, and a temperature per label of a multiple choice, or one."""
    n, k = targets.shape
    unchanged = np.ones(k if multiple else 1, np.float32)
    if len(how.strengths) == 1 and not how.calibrate:
        return float(how.strengths[0]), unchanged
    if k < (1 if multiple else 2):
        return DEFAULT_C, unchanged
    if n < max(EXAMPLES_PER_LABEL * k, how.folds):
        return DEFAULT_C, unchanged
    kept = np.sort(np.random.default_rng(0).permutation(n)[:TUNED_ON])
    features, targets = features[kept], targets[kept]
    parts = _stratified(targets, how.folds)
    losses = []
    guesses = []
    for c in how.strengths:
        logits = _out_of_fold(features, targets, multiple, _regression(c, how), parts)
        guesses.append(logits)
        losses.append(_loss(logits, targets, multiple, np.ones(1, np.float32)).sum())
    best = int(np.argmin(losses))
    if not how.calibrate:
        return float(how.strengths[best]), unchanged
    return float(how.strengths[best]), _temperature(guesses[best], targets, multiple)


def _stratified(targets: np.ndarray, folds: int) -> np.ndarray:
    """(n,) the fold of each row: rows of the same labels are dealt out in turn, in a fixed random order."""
    shuffled = np.random.default_rng(0).permutation(len(targets))
    kind = np.unique(targets, axis=0, return_inverse=True)[1].reshape(-1)
    dealt = shuffled[np.argsort(kind[shuffled], kind="stable")]
    fold = np.empty(len(targets), np.intp)
    fold[dealt] = np.arange(len(targets)) % folds
    return fold


def _out_of_fold(
    features: np.ndarray, targets: np.ndarray, multiple: bool, regression: Any, parts: np.ndarray
) -> np.ndarray:
    """(n, k) logits of each row by a head that has not seen it; NaN for a label that head could not learn."""
    logits = np.full(targets.shape, np.nan, np.float32)
    for part in np.unique(parts):
        inside, outside = parts == part, parts != part
        positives = targets[outside].sum(axis=0)
        able = (positives > 0) & (positives < outside.sum())
        if not able.any():
            continue
        rows = outside if multiple else outside & targets[:, able].any(axis=1)
        weights, bias = _fit(features[rows], targets[rows][:, able], multiple, regression)
        logits[np.ix_(inside, able)] = features[inside] @ weights + bias
    return logits


def _loss(logits: np.ndarray, targets: np.ndarray, multiple: bool, temperature: np.ndarray) -> np.ndarray:
    """The summed log loss: one per label of a multiple choice, or one; what could not be learned is left out."""
    scaled = logits / temperature
    if multiple:
        each = np.logaddexp(0, np.where(targets, -scaled, scaled))
        per_label: np.ndarray = np.nansum(each, axis=0)
        return per_label
    true = np.where(targets, scaled, 0).sum(axis=1)
    usable = np.isfinite(true)
    others = np.nan_to_num(scaled[usable], nan=-np.inf)
    return np.atleast_1d((np.logaddexp.reduce(others, axis=1) - true[usable]).sum())


def _temperature(logits: np.ndarray, targets: np.ndarray, multiple: bool) -> np.ndarray:
    from scipy.optimize import minimize_scalar

    def best(columns: slice) -> float:
        def cost(log_t: float) -> float:
            fit = _loss(logits[:, columns], targets[:, columns], multiple, np.asarray([np.exp(log_t)], np.float32))
            return float(fit.sum()) + 0.5 * (log_t / TEMPERATURE_PRIOR) ** 2

        found = minimize_scalar(cost, bounds=(-3, 3), method="bounded")
        return float(np.exp(found.x))

    columns = [slice(i, i + 1) for i in range(logits.shape[1])] if multiple else [slice(None)]
    return np.asarray([best(each) for each in columns], np.float32)


def _fit(features: np.ndarray, targets: np.ndarray, multiple: bool, regression: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weights (d, k) and bias (k,) for labels that each have a positive and a negative row; zeros for a lone label."""
    if multiple:
        columns = list(_binary_heads(features, targets, regression))
        empty = np.empty((features.shape[1], 0), np.float32)
        weights = np.column_stack([one[0] for one in columns]) if columns else empty
        return weights, np.asarray([one[1] for one in columns], np.float32)
    if targets.shape[1] < 2:
        return np.zeros((features.shape[1], targets.shape[1]), np.float32), np.zeros(targets.shape[1], np.float32)
    fitted = regression.fit(features, targets.argmax(axis=1))
    weights, bias = fitted.coef_.T, fitted.intercept_
    if targets.shape[1] == 2:
        halves = np.asarray([-0.5, 0.5], np.float32)
        weights, bias = weights * halves, bias * halves
    return weights.astype(np.float32), bias.astype(np.float32)


def _binary_heads(features: np.ndarray, targets: np.ndarray, regression: Any) -> Iterator[tuple[np.ndarray, float]]:
    for column in targets.T:
        fitted = regression.fit(features, column)
        yield fitted.coef_[0].astype(np.float32), float(fitted.intercept_[0])


def _regression(c: float, how: Fitting) -> Any:
    from sklearn.linear_model import LogisticRegression

    weight = "balanced" if how.balanced else None
    return LogisticRegression(C=c, tol=TOLERANCE, max_iter=ITERATIONS, class_weight=weight)


def _softmax(logits: np.ndarray) -> np.ndarray:
    if logits.shape[1] == 0:
        return logits
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = exp / exp.sum(axis=1, keepdims=True)
    return shares


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow."""
    answer: np.ndarray = 0.5 * (1 + np.tanh(0.5 * logits))
    return answer
