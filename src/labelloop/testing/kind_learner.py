"""For whoever brings a learner of another kind than choices: what it does, and texts with spans that can be learned."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.data.sources import content_id
from labelloop.errors import LabelLoopError
from labelloop.kinds.kind import Labelling
from labelloop.kinds.predicted import Predicted, checked
from labelloop.kinds.spans import TextSpans
from labelloop.protocols import KindLearner, KindPredictor, Sketching
from labelloop.types import Examples, Inputs, Item, only, rows_of

PLACES = ("Accra", "Bern", "Cairo", "Delhi", "Essen", "Fargo", "Genoa", "Hanoi", "Izmir", "Jaffa")
NAMES = ("Ada", "Blaise", "Carl", "Dorothy", "Emmy", "Fibonacci", "Grace", "Hypatia", "Ivan", "Joan")
FILLERS = (
    "we",
    "saw",
    "that",
    "the",
    "rain",
    "stops",
    "soon",
    "and",
    "again",
    "it",
    "is",
    "late",
    "green",
    "or",
    "blue",
)


def marked_texts(n: int, labels: Sequence[str] = ("place", "name"), *, seed: int = 0) -> Examples:
    """Examples of spans: texts in which `in` stands before a place, and `with` before a name."""
    rng = np.random.default_rng(seed)
    kind = TextSpans(tuple(labels))
    items, answers = [], []
    for row in range(n):
        words, spans = _sentence(rng, labels)
        text = " ".join(words)
        starts = np.cumsum([0, *(len(word) + 1 for word in words)])
        items.append(Item(f"item-{seed}-{row:05}", "text", text=text, digest=content_id(text)))
        answers.append(tuple((int(starts[at]), int(starts[at]) + len(words[at]), label) for at, label in spans))
    return examples_of(kind, items, answers)


def _sentence(rng: np.random.Generator, labels: Sequence[str]) -> tuple[list[str], list[tuple[int, str]]]:
    words: list[str] = []
    spans = []
    for before, known, label in (("in", PLACES, labels[0]), ("with", NAMES, labels[-1])):
        words += [str(word) for word in rng.choice(FILLERS, size=rng.integers(1, 4))]
        if rng.random() < 0.7:
            words += [before, str(rng.choice(known))]
            spans.append((len(words) - 1, label))
    return words, spans


def examples_of(kind: Any, items: Sequence[Item], answers: Sequence[Any]) -> Examples:
    """Examples of a kind: the items, and the answer of each."""
    labels = tuple(kind.labels) if isinstance(kind, Labelling) else ()
    targets = np.zeros((len(items), len(labels)), np.bool_)
    if isinstance(kind, Labelling):
        for row, answer in enumerate(answers):
            targets[row] = [label in kind.labels_in(answer) for label in labels]
    ids = np.asarray([item.id for item in items], np.str_)
    held_out = np.zeros(len(items), np.bool_)
    return Examples(Inputs(ids, None, tuple(items)), targets, labels, True, held_out, tuple(answers), kind)


class KindLearnerContract:
    """What a learner of answers of any kind does. Inherit; provide the fixture `learner`.

    One with a backbone says `reads_items = False`, and its `examples` have embeddings.

    The kind is spans of texts; one of another kind overrides `examples`, and `least` where less can be reached.
    """

    least = 0.8
    """The kind's first score that a model of 60 examples reaches on others."""

    reads_items = True
    """Whether it has no backbone."""

    def test_a_model_predicts_what_it_was_taught(self, learner: KindLearner, tmp_path: Path) -> None:
        known, new = self.examples(60), self.examples(30, seed=1)
        said = _trained(learner, known, tmp_path / "model").predict(new.inputs)
        assert score(said, new) >= self.least

    def test_what_it_says_is_what_the_loop_can_go_on_with(self, learner: KindLearner, tmp_path: Path) -> None:
        known = self.examples(30)
        predictor = _trained(learner, known, tmp_path / "model")
        said = checked(predictor.predict(known.inputs), len(known), known.kind)
        assert tuple(predictor.labels) == known.labels
        assert said.known.all()
        assert said.confidence.dtype == said.uncertainty.dtype == np.float32

    def test_it_is_surer_of_what_is_right(self, learner: KindLearner, tmp_path: Path) -> None:
        known, new = self.examples(12), self.examples(80, seed=1)
        said = _trained(learner, known, tmp_path / "model").predict(new.inputs)
        right = np.array([mine == wanted for mine, wanted in zip(said.answers, new.answers, strict=True)])
        if right.any() and not right.all():
            assert said.confidence[right].mean() > said.confidence[~right].mean()
            assert said.uncertainty[right].mean() < said.uncertainty[~right].mean()

    def test_the_same_examples_give_the_same_bytes_whatever_their_order(
        self, learner: KindLearner, tmp_path: Path
    ) -> None:
        examples = self.examples(30)
        _trained(learner, examples, tmp_path / "one")
        _trained(learner, only(examples, np.arange(30)[::-1]), tmp_path / "two")
        assert _bytes(tmp_path / "one") == _bytes(tmp_path / "two")

    def test_a_model_says_the_same_when_it_is_loaded_again(self, learner: KindLearner, tmp_path: Path) -> None:
        examples = self.examples(30)
        one = _trained(learner, examples, tmp_path / "model").predict(examples.inputs)
        other = learner.load(tmp_path / "model").predict(examples.inputs)
        assert list(one.answers) == list(other.answers)
        np.testing.assert_array_equal(one.confidence, other.confidence)
        np.testing.assert_array_equal(one.uncertainty, other.uncertainty)

    def test_what_is_said_of_an_item_is_its_own_whatever_is_beside_it(
        self, learner: KindLearner, tmp_path: Path
    ) -> None:
        predictor = _trained(learner, self.examples(30), tmp_path / "model")
        inputs = self.examples(8, seed=1).inputs
        together = predictor.predict(inputs)
        alone = [predictor.predict(rows_of(inputs, np.array([row]))) for row in range(len(inputs))]
        assert [one.answers[0] for one in alone] == list(together.answers)
        np.testing.assert_allclose([one.confidence[0] for one in alone], together.confidence, atol=1e-4)

    def test_a_single_example_is_enough_not_to_fail(self, learner: KindLearner, tmp_path: Path) -> None:
        examples = self.examples(1)
        said = _trained(learner, examples, tmp_path / "model").predict(examples.inputs)
        assert checked(said, 1, examples.kind).known.all()

    def test_no_example_is_refused(self, learner: KindLearner, tmp_path: Path) -> None:
        _refused(learner, self.examples(0), tmp_path / "model")

    def test_a_held_out_example_is_refused_by_its_id(self, learner: KindLearner, tmp_path: Path) -> None:
        examples = self.examples(9)
        examples.held_out[4] = True
        assert str(examples.inputs.ids[4]) in _refused(learner, examples, tmp_path / "model").message

    def test_nothing_to_predict_gives_no_rows(self, learner: KindLearner, tmp_path: Path) -> None:
        predictor = _trained(learner, self.examples(9), tmp_path / "model")
        assert len(predictor.predict(self.examples(0).inputs)) == 0

    def test_it_says_what_it_reads_and_equal_ones_are_equal_after_pickling(self, learner: KindLearner) -> None:
        copy = pickle.loads(pickle.dumps(learner))  # noqa: S301 - our own object
        assert (learner.backbone is None) == self.reads_items
        assert copy == learner
        assert repr(copy) == repr(learner)

    def examples(self, n: int, *, seed: int = 0) -> Examples:
        """Examples that it can learn, with the items, their answers and the kind."""
        return marked_texts(n, seed=seed)


class SketchingContract:
    """What a learner with a cheaper recipe does. Inherit; provide the fixture `learner`."""

    def test_a_sketch_gives_the_same_answers(self, learner: Any, tmp_path: Path) -> None:
        known, new = self.examples(30), self.examples(30, seed=1)
        sketching: Sketching = learner
        assert isinstance(sketching, Sketching)
        recipes: dict[str, Any] = {"whole": learner, "cheap": sketching.sketch()}
        whole, cheap = (_trained(one, known, tmp_path / name).predict(new.inputs) for name, one in recipes.items())
        assert list(whole.answers) == list(cheap.answers)

    def examples(self, n: int, *, seed: int = 0) -> Examples:
        """Examples that it can learn."""
        return marked_texts(n, seed=seed)


def score(said: Predicted, wanted: Examples) -> float:
    """The first score of the kind."""
    pairs = zip(said.answers, wanted.answers, strict=True)
    counts = np.asarray([wanted.kind.counts(mine, theirs) for mine, theirs in pairs], np.float64)
    statistic = next(iter(wanted.kind.scores.values()))
    return float(statistic(counts.sum(axis=0, keepdims=True))[0])


def _trained(learner: KindLearner, examples: Examples, folder: Path) -> KindPredictor:
    folder.mkdir()
    learner.train(examples, folder)
    return learner.load(folder)


def _refused(learner: KindLearner, examples: Examples, folder: Path) -> LabelLoopError:
    folder.mkdir()
    try:
        learner.train(examples, folder)
    except LabelLoopError as error:
        return error
    raise AssertionError("examples that must not be trained on were trained on")


def _bytes(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}
