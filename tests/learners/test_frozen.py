import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from labelloop.errors import ConfigError, LabelLoopError
from labelloop.kinds import LabelSchema
from labelloop.learners.frozen import Frozen
from labelloop.learners.head import Fitting, fit
from labelloop.testing.learner import LearnerContract, blobs
from labelloop.types import Examples, Inputs

SCHEMA = LabelSchema("text", ("cat", "dog", "bird"))
FAKE = "labelloop.testing.learner:FakeBackbone"


@pytest.fixture
def learner() -> Frozen:
    return Frozen(schema=SCHEMA, backbone=FAKE)


@pytest.fixture
def model(learner: Frozen, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    learner.train(blobs(30), folder)
    return folder


class TestFrozen(LearnerContract):
    pass


def rows(examples: Examples, keep: np.ndarray) -> Examples:
    features = examples.inputs.features
    assert features is not None
    inputs = Inputs(examples.inputs.ids[keep], features[keep])
    return replace(examples, inputs=inputs, targets=examples.targets[keep], held_out=examples.held_out[keep])


def test_the_order_of_the_examples_does_not_change_the_model(learner: Frozen, model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()

    learner.train(rows(blobs(30), np.arange(30)[::-1]), other)

    assert {f.name: f.read_bytes() for f in other.iterdir()} == {f.name: f.read_bytes() for f in model.iterdir()}


def test_a_label_without_an_example_has_a_small_probability(learner: Frozen, tmp_path: Path) -> None:
    known = blobs(30)

    learner.train(rows(known, ~known.targets[:, 2]), tmp_path)
    probabilities = learner.load(tmp_path).predict(known.inputs)

    np.testing.assert_allclose(probabilities[:, 2], 1 / (20 + 3), rtol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_one_class_only_predicts_the_smoothed_prior(learner: Frozen, tmp_path: Path) -> None:
    known = blobs(30)

    learner.train(rows(known, known.targets[:, 0]), tmp_path)

    np.testing.assert_allclose(learner.load(tmp_path).predict(known.inputs)[0], [11 / 13, 1 / 13, 1 / 13], rtol=1e-5)


@pytest.mark.parametrize(("value", "expected"), [(False, 1 / 42), (True, 41 / 42)])
def test_a_multiple_label_that_none_or_all_have_is_a_prior(
    learner: Frozen, tmp_path: Path, value: bool, expected: float
) -> None:
    known = blobs(40, multiple=True)
    known.targets[:, 1] = value

    learner.train(known, tmp_path)

    np.testing.assert_allclose(learner.load(tmp_path).predict(known.inputs)[:, 1], expected, rtol=1e-4)


def test_embeddings_of_nan_give_probabilities_of_nan(learner: Frozen, model: Path) -> None:
    features = np.full((2, 16), np.nan, np.float32)
    features[1] = 0.25

    probabilities = learner.load(model).predict(Inputs(np.asarray(["a", "b"]), features))

    assert np.isnan(probabilities[0]).all()
    assert np.isfinite(probabilities[1]).all()


def test_a_memory_mapped_pool_is_scored_in_chunks(learner: Frozen, model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "pool.npy", np.random.default_rng(0).normal(size=(70_000, 16)).astype(np.float32))
    pool = np.load(tmp_path / "pool.npy", mmap_mode="r")
    predictor = learner.load(model)

    whole = predictor.predict(Inputs(np.arange(70_000), pool))

    np.testing.assert_allclose(whole[-3:], predictor.predict(Inputs(np.arange(3), pool[-3:])), atol=1e-6)


def broken(examples: Examples, how: str) -> Examples:
    assert examples.inputs.features is not None
    if how == "nan":
        examples.inputs.features[3] = np.nan
    if how == "unlabelled":
        examples.targets[3] = False
    if how == "no embeddings":
        return replace(examples, inputs=Inputs(examples.inputs.ids))
    return examples


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("nan", "finite embedding: item-0-00003"),
        ("unlabelled", "no label or several, in a single choice: item-0-00003"),
        ("no embeddings", "have no embeddings"),
    ],
)
def test_examples_that_cannot_be_learned_from_are_refused(learner: Frozen, tmp_path: Path, how: str, said: str) -> None:
    with pytest.raises(LabelLoopError, match=said):
        learner.train(broken(blobs(9), how), tmp_path)


@pytest.mark.parametrize("features", [None, np.zeros((2, 7), np.float32)])
def test_embeddings_that_do_not_fit_the_model_are_refused(
    learner: Frozen, model: Path, features: np.ndarray | None
) -> None:
    with pytest.raises(ConfigError, match="embeddings"):
        learner.load(model).predict(Inputs(np.asarray(["a", "b"]), features))


def changed(folder: Path, how: str) -> None:
    description = folder / "model.json"
    said = json.loads(description.read_text("utf-8"))
    if how == "absent":
        description.unlink()
    if how == "of another learner":
        description.write_text(json.dumps(said | {"format": "other"}), "utf-8")
    if how == "newer":
        description.write_text(json.dumps(said | {"version": 2}), "utf-8")
    if how == "cut off":
        description.write_text('{"format":', "utf-8")
    if how == "array cut off":
        (folder / "weights.npy").write_bytes((folder / "weights.npy").read_bytes()[:-4])
    if how == "array gone":
        (folder / "bias.npy").unlink()
    if how == "labels lost":
        description.write_text(json.dumps(said | {"labels": ["cat"]}), "utf-8")
    if how == "of another backbone":
        description.write_text(json.dumps(said | {"backbone": "other"}), "utf-8")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("absent", "no readable model.json"),
        ("of another learner", "another learner"),
        ("newer", "format version 2"),
        ("cut off", "damaged"),
        ("array cut off", "damaged"),
        ("array gone", "damaged"),
        ("labels lost", "damaged"),
        ("of another backbone", "another backbone"),
    ],
)
def test_a_folder_that_is_no_usable_model_is_refused(learner: Frozen, model: Path, how: str, said: str) -> None:
    changed(model, how)

    with pytest.raises(ConfigError, match=said):
        learner.load(model)


@pytest.mark.parametrize("options", [{"strengths": ()}, {"strengths": (0.0,)}, {"folds": 1}])
def test_options_that_cannot_work_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Frozen(schema=SCHEMA, **options)  # type: ignore[arg-type]


def test_more_items_of_a_rare_label_are_found_where_its_examples_weigh_more(tmp_path: Path) -> None:
    rng, recalls = np.random.default_rng(0), []
    kinds = np.array([0] * 200 + [1] * 8)
    features = (rng.normal(size=(208, 8)) + 0.9 * np.eye(8)[kinds]).astype(np.float32)
    targets = np.eye(3, dtype=np.bool_)[kinds]
    new = (rng.normal(size=(500, 8)) + 0.9 * np.eye(8)[1]).astype(np.float32)
    inputs = Inputs(np.arange(208).astype(np.str_), features)
    for weight in ("none", "balanced"):
        (tmp_path / weight).mkdir()
        learner = Frozen(schema=SCHEMA, backbone=FAKE, class_weight=weight)
        learner.train(Examples(inputs, targets, SCHEMA.labels, False, np.zeros(208, np.bool_)), tmp_path / weight)
        said = learner.load(tmp_path / weight).predict(Inputs(np.arange(500).astype(np.str_), new))
        recalls.append((said.argmax(axis=1) == 1).mean())

    assert recalls[1] >= 2 * max(recalls[0], 0.1)


def test_weights_of_labels_make_another_learner_and_none_is_the_one_of_ever(learner: Frozen) -> None:
    weighted = Frozen(schema=SCHEMA, backbone=FAKE, class_weight="balanced")

    assert weighted.fingerprint != learner.fingerprint
    assert "class_weight" not in repr(learner)


def test_temperature_improves_the_log_loss_of_an_overconfident_head(tmp_path: Path) -> None:
    noisy, new = blobs(60), blobs(600, seed=1)
    noisy.targets[:12] = noisy.targets[:12][:, [1, 2, 0]]
    losses = []
    for calibrate in (False, True):
        folder = tmp_path / str(calibrate)
        folder.mkdir()
        learner = Frozen(schema=SCHEMA, backbone=FAKE, strengths=(1000.0,), calibrate=calibrate)
        learner.train(noisy, folder)
        losses.append(-np.log(learner.load(folder).predict(new.inputs)[new.targets]).mean())

    assert losses[1] < losses[0]


def test_the_only_strength_is_used_however_few_the_examples_without_cutting_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fitted: list[int] = []
    real = LogisticRegression.fit

    def counted(self: LogisticRegression, rows: np.ndarray, *rest: np.ndarray) -> LogisticRegression:
        fitted.append(len(rows))
        return real(self, rows, *rest)

    monkeypatch.setattr(LogisticRegression, "fit", counted)
    few = blobs(2)
    assert few.inputs.features is not None

    head = fit(few.inputs.features, few.targets, False, Fitting((7.0,), 5, False))

    assert head.c == 7.0
    assert fitted == [len(few)]


def test_another_option_is_another_learner_with_another_fingerprint(learner: Frozen) -> None:
    other = Frozen(schema=SCHEMA, backbone=FAKE, folds=3)

    assert other != learner
    assert other.fingerprint != learner.fingerprint
    assert "folds=3" in repr(other)
