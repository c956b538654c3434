"""A model of text spans: tokens, what is known about each, taggers, and how sure the whole may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from labelloop.kinds.spans import Span, TextSpans
from labelloop.learners import tagging, tokens
from labelloop.learners.tagging import Features
from labelloop.learners.tokens import Place

Vectors = Callable[[str, Sequence[Place]], np.ndarray]
"""(text, n tokens) -> (n, d) float32."""

PRIOR = 4.0
"""How many answers' worth of trust the tagger's own probabilities have, before any is compared with an answer."""


@dataclass(frozen=True)
class Projection:
    """The principal directions of vectors, each divided by the root of its spread.

    Attributes:
        mean: (d,) float32.
        directions: (d, k) float32.
    """

    mean: np.ndarray
    directions: np.ndarray

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """(n, k) of (n, d)."""
        found: np.ndarray = (vectors - self.mean) @ self.directions
        return found


def principal(vectors: np.ndarray, directions: int) -> Projection:
    """The principal directions of (n, d) vectors; at most so many.

    Half-way between the vectors as they are, of which few directions would be heard, and all directions being as
    loud as the first, of which the last are noise where examples are few.
    """
    mean = vectors.mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1])
    _, sizes, axes = np.linalg.svd((vectors - mean).astype(np.float64), full_matrices=False)
    spread = sizes / np.sqrt(max(len(vectors), 1))
    kept = np.flatnonzero(spread > 1e-6)[:directions]
    # An axis has no sign: its largest entry is positive, so that every machine takes the same one.
    signs = np.array([np.sign(axes[row, np.abs(axes[row]).argmax()]) for row in kept])
    scale = np.sqrt(spread[kept] * spread[:1])
    return Projection(mean.astype(np.float32), (axes[kept] * (signs / scale)[:, None]).T.astype(np.float32))


class Said(NamedTuple):
    """What a model says about a text: its spans, the chance that all of them are right, and of each token the chance
    that its tag is wrong.
    """

    spans: tuple[Span, ...]
    probability: float
    doubts: np.ndarray


@dataclass(frozen=True)
class Layer:
    """A tagger for some of the labels.

    Attributes:
        tagger: As crfsuite writes it; empty where none of the labels was ever seen.
    """

    labels: tuple[str, ...]
    tagger: bytes

    @cached_property
    def opened(self) -> tagging.Tagger | None:
        """The tagger."""
        return tagging.Tagger(self.tagger) if self.tagger else None


@dataclass(frozen=True)
class Calibration:
    """How sure one may be, of how sure the tagger is: a logistic curve (Platt, 1999)."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, probability: float) -> float:
        """The chance that an answer is right."""
        return float(1.0 / (1.0 + np.exp(-(self.slope * _logit(probability) + self.offset))))


@dataclass(frozen=True)
class SpanModel:
    """Everything that a model of spans is.

    Attributes:
        labels: All labels, in the order people see them.
        layers: Taggers; spans of different ones may overlap.
        by_characters: Whether every character is a token.
        projection: Of the vectors of tokens; None where they have none.
        network: Fingerprint of what makes the vectors.
        examples: How many it was trained on.
    """

    labels: tuple[str, ...]
    layers: tuple[Layer, ...]
    by_characters: bool
    projection: Projection | None
    network: str
    examples: int
    calibration: Calibration = Calibration()

    def places(self, text: str) -> list[Place]:
        """The tokens of a text."""
        return tokens.characters(text) if self.by_characters else tokens.words(text)

    def features(self, text: str, places: Sequence[Place], vectors: Vectors) -> Features:
        """What is known about each token."""
        found = tagging.hand(text, places)
        if self.projection is not None:
            for names, row in zip(found, self.projection(vectors(text, places)).tolist(), strict=True):
                names.update((f"v{at}", value) for at, value in enumerate(row))
        return tagging.packed(found)

    def say(self, text: str, vectors: Vectors) -> Said:
        """The spans of a text."""
        places = self.places(text)
        return said(self.layers, self.features(text, places, vectors), places)


def said(layers: Sequence[Layer], features: Features, places: Sequence[Place]) -> Said:
    """What taggers say together; each is taken to err for itself."""
    spans: list[Span] = []
    probability, right = 1.0, np.ones(len(places))
    for layer in layers:
        if layer.opened is not None:
            tagged = layer.opened.tag(features)
            spans += tagging.spans_of(tagged.tags, places)
            probability *= tagged.probability
            right *= 1.0 - tagged.doubts
    return Said(tuple(sorted(spans)), probability, 1.0 - right)


def layered(kind: TextSpans) -> tuple[tuple[str, ...], ...]:
    """The labels of each tagger that a kind needs."""
    return tuple((label,) for label in kind.labels) if kind.overlapping else (tuple(kind.labels),)


@dataclass(frozen=True)
class Lessons:
    """Texts to learn from; row i of every column is the same one."""

    features: Sequence[Features]
    places: Sequence[Sequence[Place]]
    answers: Sequence[tuple[Span, ...]]

    def __len__(self) -> int:
        return len(self.answers)

    def learned(self, labels: Sequence[tuple[str, ...]], rows: Sequence[int]) -> tuple[Layer, ...]:
        """The taggers that come out of some of them."""
        return tuple(self._layer(some, rows) for some in labels)

    def _layer(self, labels: tuple[str, ...], rows: Sequence[int]) -> Layer:
        tags = [
            tagging.tags_of([span for span in self.answers[row] if span[2] in labels], self.places[row]) for row in rows
        ]
        if all(tag == tagging.OUTSIDE for some in tags for tag in some):
            return Layer(labels, b"")
        return Layer(labels, tagging.fit([self.features[row] for row in rows], tags))

    def calibration(self, labels: Sequence[tuple[str, ...]], folds: int) -> Calibration:
        """What is found by asking about each text taggers that have not learned from it."""
        if not folds or len(self) < 2 * folds:
            return Calibration()
        part = np.random.default_rng(0).permutation(len(self)) % folds
        found = []
        for fold in range(folds):
            layers = self.learned(labels, np.flatnonzero(part != fold).tolist())
            for row in np.flatnonzero(part == fold).tolist():
                one = said(layers, self.features[row], self.places[row])
                found.append((one.probability, one.spans == self.answers[row]))
        return platt(np.array([p for p, _ in found]), np.array([right for _, right in found], np.float64))


def platt(probabilities: np.ndarray, right: np.ndarray) -> Calibration:
    """The logistic curve from (n,) probabilities to (n,) whether it was right; without evidence, the straight line.

    Platt, "Probabilistic Outputs for Support Vector Machines", 1999; Newton's method, with a normal prior around
    slope 1 and offset 0.
    """
    x = np.array([[_logit(p), 1.0] for p in probabilities])
    weights, prior = np.array([1.0, 0.0]), np.array([1.0, 0.0])
    for _ in range(25):
        chance = 1.0 / (1.0 + np.exp(-(x @ weights)))
        slope = x.T @ (chance - right) + PRIOR * (weights - prior)
        curve = (x * (chance * (1.0 - chance))[:, None]).T @ x + PRIOR * np.eye(2)
        weights = weights - np.linalg.solve(curve, slope)
        weights[0] = max(weights[0], 0.05)  # what is more probable stays so
    return Calibration(float(weights[0]), float(weights[1]))


def _logit(probability: float) -> float:
    bounded = min(max(probability, 1e-9), 1.0 - 1e-6)
    return float(np.log(bounded) - np.log1p(-bounded))
