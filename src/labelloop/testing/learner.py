"""For whoever brings or needs a learner or a backbone: the contracts, and a fake backbone that needs no model."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from labelloop.data.sources import content_id
from labelloop.errors import BadItemError, LabelLoopError
from labelloop.protocols import Backbone, Learner, Predictor, WarmLearner
from labelloop.types import Examples, Inputs, Item, Modality, rows_of

UNREADABLE = "unreadable"
"""What a fake backbone cannot decode."""


@dataclass(frozen=True)
class FakeBackbone:
    """Turns any content into a unit vector that depends on nothing but its bytes. Usable by name:
    `backbone = "labelloop.testing.learner:FakeBackbone"`.
    """

    modality: Modality = "text"
    dimension: int = 16
    batch_size: int = 4

    @property
    def fingerprint(self) -> str:
        """Changes with the fields."""
        return f"fake-{self.modality}-{self.dimension}"

    def prepare(self, content: bytes | str) -> bytes:
        """The bytes of the content.

        Raises:
            BadItemError: It is `UNREADABLE`.
        """
        plain = content.encode() if isinstance(content, str) else content
        if plain == UNREADABLE.encode():
            raise BadItemError("the fake backbone cannot read this")
        return plain

    def embed(self, batch: Sequence[bytes]) -> np.ndarray:
        """(n, dimension) float32, L2-normalised."""
        rows = np.empty((len(batch), self.dimension), np.float32)
        for row, plain in zip(rows, batch, strict=True):
            seed = int.from_bytes(blake2b(plain, digest_size=8).digest(), "big")
            row[:] = np.random.default_rng(seed).normal(size=self.dimension)
        unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


def blobs(
    n: int,
    labels: Sequence[str] = ("cat", "dog", "bird"),
    *,
    dimension: int = 16,
    multiple: bool = False,
    seed: int = 0,
) -> Examples:
    """Examples that a linear head can learn: a blob of unit vectors for each label, or for each set of labels."""
    rng = np.random.default_rng(seed)
    k = len(labels)
    centres = np.random.default_rng(12345).normal(size=(k, dimension))
    targets = rng.random((n, k)) < 0.5 if multiple else np.eye(k, dtype=np.bool_)[np.arange(n) % k]
    rows = targets @ centres + 0.3 * rng.normal(size=(n, dimension))
    features = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    ids = np.asarray([f"item-{seed}-{i:05}" for i in range(n)], np.str_)
    return Examples(Inputs(ids, features), targets, tuple(labels), multiple, np.zeros(n, np.bool_))


def texts(n: int, labels: Sequence[str] = ("cat", "dog", "bird"), *, multiple: bool = False, seed: int = 0) -> Examples:
    """Examples that a learner can read itself: texts with a word for each of their labels among words of no meaning."""
    rng = np.random.default_rng(seed)
    k = len(labels)
    targets = rng.random((n, k)) < 0.5 if multiple else np.eye(k, dtype=np.bool_)[np.arange(n) % k]
    items = []
    for row, wanted in enumerate(targets):
        words = [f"{labels[int(i)]}ish{rng.integers(3)}" for i in np.flatnonzero(wanted)]
        words += [f"filler{word}" for word in rng.integers(50, size=6)]
        text = " ".join(rng.permutation(words))
        items.append(Item(f"item-{seed}-{row:05}", "text", text=text, digest=content_id(text)))
    ids = np.asarray([item.id for item in items], np.str_)
    return Examples(Inputs(ids, None, tuple(items)), targets, tuple(labels), multiple, np.zeros(n, np.bool_))


class BackboneContract:
    """What every backbone does. Inherit; provide fixtures `backbone`, `contents` (five or more) and `unreadable`."""

    def test_embeddings_are_float32_rows_of_length_one(
        self, backbone: Backbone, contents: Sequence[bytes | str]
    ) -> None:
        rows = backbone.embed([backbone.prepare(content) for content in contents])
        assert rows.dtype == np.float32
        assert rows.shape == (len(contents), backbone.dimension)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-4)

    def test_the_same_content_has_the_same_embedding_whatever_is_beside_it(
        self, backbone: Backbone, contents: Sequence[bytes | str]
    ) -> None:
        prepared = [backbone.prepare(content) for content in contents]
        together = backbone.embed(prepared)
        alone = np.concatenate([backbone.embed([one]) for one in prepared])
        np.testing.assert_allclose(together, alone, atol=1e-4)

    def test_different_contents_have_different_embeddings(
        self, backbone: Backbone, contents: Sequence[bytes | str]
    ) -> None:
        rows = backbone.embed([backbone.prepare(content) for content in contents])
        assert len(np.unique(rows.round(5), axis=0)) == len(contents)

    def test_nothing_embeds_to_no_rows(self, backbone: Backbone, contents: Sequence[bytes | str]) -> None:
        assert backbone.embed([]).shape == (0, backbone.dimension)

    def test_many_threads_may_prepare_at_once(self, backbone: Backbone, contents: Sequence[bytes | str]) -> None:
        expected = backbone.embed([backbone.prepare(content) for content in contents])
        with ThreadPoolExecutor(8) as pool:
            prepared = list(pool.map(backbone.prepare, contents))
        np.testing.assert_allclose(backbone.embed(prepared), expected, atol=1e-5)

    def test_a_used_backbone_can_be_pickled_and_keeps_its_fingerprint(
        self, backbone: Backbone, contents: Sequence[bytes | str]
    ) -> None:
        before = backbone.embed([backbone.prepare(contents[0])])
        copy = pickle.loads(pickle.dumps(backbone))  # noqa: S301 - our own object
        assert copy.fingerprint == backbone.fingerprint
        np.testing.assert_allclose(copy.embed([copy.prepare(contents[0])]), before, atol=1e-6)

    def test_an_unreadable_content_is_a_bad_item(self, backbone: Backbone, unreadable: bytes) -> None:
        try:
            backbone.prepare(unreadable)
        except BadItemError as error:
            assert error.message
        else:
            raise AssertionError("an unreadable content was prepared without a BadItemError")


class LearnerContract:
    """What every learner with a backbone does. Inherit, and provide the fixture `learner`."""

    def test_a_model_predicts_what_it_was_taught(self, learner: Learner, tmp_path: Path) -> None:
        known = self._examples(learner, 90)
        new = self._examples(learner, 30, seed=1)
        probabilities = self._train(learner, known, tmp_path / "model").predict(new.inputs)
        assert (probabilities.argmax(axis=1) == new.targets.argmax(axis=1)).mean() > 0.9

    def test_probabilities_are_float32_a_column_per_label_and_sum_to_one(
        self, learner: Learner, tmp_path: Path
    ) -> None:
        examples = self._examples(learner, 30)
        predictor = self._train(learner, examples, tmp_path / "model")
        probabilities = predictor.predict(examples.inputs)
        assert predictor.labels == examples.labels
        assert probabilities.dtype == np.float32
        assert probabilities.shape == examples.targets.shape
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)

    def test_several_labels_have_a_probability_each(self, learner: Learner, tmp_path: Path) -> None:
        known = self._examples(learner, 90, multiple=True)
        new = self._examples(learner, 30, multiple=True, seed=1)
        probabilities = self._train(learner, known, tmp_path / "model").predict(new.inputs)
        assert ((probabilities > 0.5) == new.targets).mean() > 0.85
        assert ((probabilities >= 0) & (probabilities <= 1)).all()

    def test_the_same_examples_give_the_same_bytes(self, learner: Learner, tmp_path: Path) -> None:
        examples = self._examples(learner, 40)
        self._train(learner, examples, tmp_path / "one")
        self._train(learner, examples, tmp_path / "two")
        assert self._bytes(tmp_path / "one") == self._bytes(tmp_path / "two")

    def test_a_single_example_is_enough_not_to_fail(self, learner: Learner, tmp_path: Path) -> None:
        examples = self._examples(learner, 1)
        probabilities = self._train(learner, examples, tmp_path / "model").predict(examples.inputs)
        assert np.isfinite(probabilities).all()

    def test_no_example_is_refused(self, learner: Learner, tmp_path: Path) -> None:
        self._refused(learner, self._examples(learner, 0), tmp_path / "model")

    def test_a_held_out_example_is_refused_by_its_id(self, learner: Learner, tmp_path: Path) -> None:
        examples = self._examples(learner, 9)
        examples.held_out[4] = True
        assert str(examples.inputs.ids[4]) in self._refused(learner, examples, tmp_path / "model").message

    def test_nothing_to_predict_gives_no_rows(self, learner: Learner, tmp_path: Path) -> None:
        predictor = self._train(learner, self._examples(learner, 9), tmp_path / "model")
        assert predictor.predict(self._examples(learner, 0).inputs).shape == (0, 3)

    def test_equal_learners_have_equal_fingerprints_after_pickling(self, learner: Learner) -> None:
        copy = pickle.loads(pickle.dumps(learner))  # noqa: S301 - our own object
        assert copy == learner
        assert repr(copy) == repr(learner)

    def _examples(self, learner: Learner, n: int, *, multiple: bool = False, seed: int = 0) -> Examples:
        backbone = learner.backbone
        assert backbone is not None
        return blobs(n, dimension=backbone.dimension, multiple=multiple, seed=seed)

    @staticmethod
    def _train(learner: Learner, examples: Examples, folder: Path) -> Predictor:
        folder.mkdir()
        learner.train(examples, folder)
        return learner.load(folder)

    @staticmethod
    def _refused(learner: Learner, examples: Examples, folder: Path) -> LabelLoopError:
        folder.mkdir()
        try:
            learner.train(examples, folder)
        except LabelLoopError as error:
            return error
        raise AssertionError("examples that must not be trained on were trained on")

    @staticmethod
    def _bytes(folder: Path) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in folder.iterdir()}


class ReadingLearnerContract(LearnerContract):
    """What every learner does that reads the items itself. Inherit, and provide the fixture `learner`.

    The items are texts; one that reads others overrides `examples`.
    """

    def test_it_has_no_backbone_and_takes_no_embeddings(self, learner: Learner) -> None:
        assert learner.backbone is None
        assert self.examples(3).inputs.features is None

    def test_what_is_said_of_an_item_is_its_own_whatever_is_beside_it(self, learner: Learner, tmp_path: Path) -> None:
        predictor = self._train(learner, self.examples(60), tmp_path / "model")
        inputs = self.examples(12, seed=1).inputs
        together = predictor.predict(inputs)
        alone = [predictor.predict(rows_of(inputs, np.array([row]))) for row in reversed(range(len(inputs)))]
        np.testing.assert_allclose(np.concatenate(alone)[::-1], together, atol=1e-4)

    def examples(self, n: int, *, multiple: bool = False, seed: int = 0) -> Examples:
        """Examples of three labels that it can learn, with the items and without embeddings."""
        return texts(n, multiple=multiple, seed=seed)

    def _examples(self, learner: Learner, n: int, *, multiple: bool = False, seed: int = 0) -> Examples:
        del learner
        return self.examples(n, multiple=multiple, seed=seed)


class WarmLearnerContract(LearnerContract):
    """What a learner does that can begin from an earlier model, too."""

    def test_it_begins_from_an_earlier_model_and_leaves_that_as_it_was(
        self, learner: WarmLearner, tmp_path: Path
    ) -> None:
        self._train(learner, self._examples(learner, 30), tmp_path / "earlier")
        before, new = self._bytes(tmp_path / "earlier"), self._examples(learner, 60, seed=2)

        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            learner.train_from(new, tmp_path / "earlier", tmp_path / name)

        probabilities = learner.load(tmp_path / "one").predict(new.inputs)
        assert (probabilities.argmax(axis=1) == new.targets.argmax(axis=1)).mean() > 0.9
        assert self._bytes(tmp_path / "one") == self._bytes(tmp_path / "two")
        assert self._bytes(tmp_path / "earlier") == before

    def test_training_from_a_model_refuses_a_held_out_example_by_its_id(
        self, learner: WarmLearner, tmp_path: Path
    ) -> None:
        examples = self._examples(learner, 9)
        self._train(learner, examples, tmp_path / "earlier")
        examples.held_out[4] = True
        try:
            learner.train_from(examples, tmp_path / "earlier", tmp_path)
        except LabelLoopError as error:
            assert str(examples.inputs.ids[4]) in error.message
        else:
            raise AssertionError("examples that must not be trained on were trained on")
