"""The learner of text spans: a linear-chain tagger on words, their neighbours and their vectors in a transformer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from labelloop.errors import BadItemError, ConfigError, LabelLoopError
from labelloop.kinds import LabelSchema
from labelloop.kinds.predicted import Predicted
from labelloop.kinds.spans import Spans, TextSpans
from labelloop.learners import span_folder, tagging, tokens
from labelloop.learners.backbones import refuse_unknown
from labelloop.learners.options import fingerprint_of
from labelloop.learners.span_model import Lessons, SpanModel, Vectors, layered, principal
from labelloop.types import Examples, Inputs
from labelloop.types.names import named

VERSION = 1
"""Raise it when another model comes out for the same examples."""

WITHOUT = "none"
"""Name of the network of a learner that has none."""

CUT = 0.05
"""Share of the spans that begin or end inside a word above which every character is a token."""


@named("labelloop.SpanLearner")
@dataclass(frozen=True)
class SpanLearner:
    """Learns which parts of a text bear which label, from texts that people marked.

    Spans do not overlap where the kind does not allow it. Where it does there is a tagger for each label: spans of
    different labels may overlap, those of one label may not. What is predicted begins and ends where a token does: a
    word, a number, a sign, an ideograph; never inside a word or at a space, unless `tokens` says so.

    Args:
        schema: What people are asked; its main control asks for spans of a text.
        network: The transformer that reads the tokens, by the name of a backbone of texts that is one; `none` goes
            without: many times as fast, and needs more answers for as good a model.
        directions: Principal directions of its vectors that are used.
        tokens: `words`; `characters`, for spans that begin or end inside words; or `auto`: characters where more
            than one in twenty of the spans does so.
        folds: Parts the examples are cut into, to find out how sure one may be; 0 takes the tagger's own word.

    Raises:
        ConfigError: The schema asks for something else; a number is out of its bounds; or a package is missing.
        NotFoundError: There is no network of this name.
    """

    schema: LabelSchema | None = field(default=None, repr=False)
    network: str = "minilm"
    directions: int = 64
    tokens: Literal["auto", "words", "characters"] = "auto"
    folds: int = 3
    backbone: ClassVar[None] = None

    def __post_init__(self) -> None:
        if self.schema is not None and not isinstance(self.schema.main.kind, TextSpans):
            raise _no_spans(self.schema.main.kind)
        if self.directions < 1:
            raise ConfigError(f"directions is {self.directions}", 'set directions = 64; network = "none" goes without')
        if self.folds < 0 or self.folds == 1:
            raise ConfigError(f"folds is {self.folds}, out-of-fold needs at least 2", "set folds = 3, or 0 for none")
        if self.network != WITHOUT:
            refuse_unknown(self.network)
        tagging.need_crfsuite()

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same examples would give another model."""
        return fingerprint_of("spans", VERSION, repr(self), self._network)

    @property
    def _network(self) -> str:
        """Fingerprint of what makes the vectors."""
        return WITHOUT if self.network == WITHOUT else tokens.reader(self.network).fingerprint

    @property
    def _vectors(self) -> Vectors:
        return _no_vectors if self.network == WITHOUT else tokens.reader(self.network).vectors

    def sketch(self) -> SpanLearner:
        """The same without looking for how sure one may be, which takes a tagger more for each fold."""
        return replace(self, folds=0)

    def train(self, examples: Examples, out: Path) -> None:
        """Write a model folder: `model.json`, the projection as `.npy`, a `.crfsuite` for each tagger.

        The order of the examples does not matter.

        Raises:
            ConfigError: What is asked are no spans of texts, or an answer is none of the kind.
            LabelLoopError: No example, or one that is held out.
            BadItemError: One that is no text, without an answer, or with a span outside its text.
        """
        kind, texts, answers = _checked(examples)
        vectors, labels = self._vectors, layered(kind)
        model = SpanModel(tuple(kind.labels), (), self._by_characters(texts, answers), None, self._network, len(texts))
        places = [model.places(text) for text in texts]
        if self.network != WITHOUT:
            seen = np.concatenate([vectors(text, found) for text, found in zip(texts, places, strict=True)])
            model = replace(model, projection=principal(seen, self.directions))
        features = [model.features(text, found, vectors) for text, found in zip(texts, places, strict=True)]
        lessons = Lessons(features, places, answers)
        layers = lessons.learned(labels, range(len(lessons)))
        span_folder.write(replace(model, layers=layers, calibration=lessons.calibration(labels, self.folds)), out)

    def load(self, model: Path) -> SpanPredictor:
        """A predictor of a model folder.

        Raises:
            ConfigError: The folder is not a model of this learner, is damaged, or reads another network's vectors.
        """
        found = span_folder.read(model)
        if found.network != self._network:
            raise ConfigError(
                f"the model at {model} reads the vectors of another network than {self.network!r}",
                "choose the network it was trained with, or train again: labelloop train",
            )
        return SpanPredictor(found, self._vectors)

    def _by_characters(self, texts: Sequence[str], answers: Sequence[Spans]) -> bool:
        if self.tokens != "auto":
            return self.tokens == "characters"
        edges = [_edges(text) for text in texts] if any(answers) else []
        spans = [(start in at, end in at) for at, spans in zip(edges, answers, strict=False) for start, end, _ in spans]
        return sum(not all(one) for one in spans) > CUT * len(spans)


@dataclass(frozen=True)
class SpanPredictor:
    """A loaded model of spans."""

    model: SpanModel
    vectors: Vectors

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order people see them."""
        return self.model.labels

    def predict(self, inputs: Inputs) -> Predicted:
        """The spans of n texts; nothing about what is no text.

        The confidence is the chance that the whole answer is right, corrected by what was found out of fold. The
        uncertainty is one less the probability of the tags, as the tagger has it.

        Raises:
            ConfigError: There are no items.
        """
        if len(inputs.items) != len(inputs):
            raise ConfigError(
                f"there are {len(inputs.items)} items for {len(inputs)} ids, and spans are read from the items",
                "give the learner the items: Inputs(ids, None, items)",
            )
        answers: list[Spans | None] = [None] * len(inputs)
        confidence, uncertainty = (np.full(len(inputs), np.nan, np.float32) for _ in range(2))
        # However sure a tagger is, so many examples cannot tell more: Laplace's rule of succession.
        most = (self.model.examples + 1) / (self.model.examples + 2)
        for row, item in enumerate(inputs.items):
            if item.modality == "text":
                said = self.model.say(item.text, self.vectors)
                answers[row] = said.spans
                confidence[row] = most * self.model.calibration(said.probability)
                uncertainty[row] = 1.0 - most * said.probability
        return Predicted(tuple(answers), confidence, uncertainty)


def _checked(examples: Examples) -> tuple[TextSpans, list[str], list[Spans]]:
    """The kind, the texts and the answers of examples that may be learned from, in the order of their ids."""
    kind = examples.kind
    if not isinstance(kind, TextSpans):
        raise _no_spans(kind)
    if len(examples) == 0:
        raise LabelLoopError("there is no example to learn from", "answer some questions first")
    ids, items, answers = examples.inputs.ids, examples.inputs.items, examples.answers
    if not len(ids) == len(items) == len(answers):
        raise ConfigError(
            f"{len(ids)} examples have {len(items)} items and {len(answers)} answers",
            "give each its item and its answer: Examples(Inputs(ids, None, items), ..., answers=answers, kind=kind)",
        )
    _refuse(ids, np.asarray(examples.held_out), "held out, and held-out items are never trained on", LabelLoopError)
    _refuse(ids, [item.modality != "text" for item in items], "no texts", BadItemError)
    _refuse(ids, [answer is None for answer in answers], "without an answer", BadItemError)
    order = np.argsort(ids, kind="stable").tolist()
    for row in order:
        kind.write(answers[row])
    outside = [any(end > len(item.text) for _, end, _ in spans) for item, spans in zip(items, answers, strict=True)]
    _refuse(ids, outside, "marked outside of their texts, which may have been edited since", BadItemError)
    return kind, [items[row].text for row in order], [tuple(sorted(answers[row])) for row in order]


def _refuse(ids: np.ndarray, bad: np.ndarray | Sequence[bool], why: str, error: type[LabelLoopError]) -> None:
    found = [str(one) for one in ids[np.asarray(bad, np.bool_)]]
    if not found:
        return
    named = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
    raise error(f"{len(found)} example(s) are {why}: {named}", "leave them out of the examples")


def _no_spans(kind: object) -> ConfigError:
    asked = "labels of the whole item" if kind is None else f"{type(kind).__name__}"
    return ConfigError(
        f"the learner 'spans' learns spans of texts, and what is asked are {asked}",
        'set kind = "spans" for the main control, or choose another learner: [learner] flavor = "frozen"',
    )


def _edges(text: str) -> set[int]:
    """Where a span can begin or end that is made of words."""
    return {at for place in tokens.words(text) for at in place}


def _no_vectors(text: str, places: Sequence[tokens.Place]) -> np.ndarray:
    del text
    return np.zeros((len(places), 0), np.float32)
