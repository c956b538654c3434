"""The built-in steps of pipelines of one's own: two laps, mixed with steps of a user's, nothing twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from labelloop.errors import BusyError, NotFoundError
from labelloop.kinds.labels import regions_of
from labelloop.steps import (
    Judged,
    Loop,
    Proposal,
    convert_annotations,
    deploy,
    deployed_model,
    embed,
    evaluate,
    get_labeled_data,
    get_or_create_dataset,
    judge,
    load_new_data,
    older_model,
    place_in_store,
    predict,
    select,
    step,
    sync_new_data_to_label_studio,
    train,
    upload,
)
from labelloop.storage.runs import Line
from labelloop.types import Annotation, Examples

from support.small_world import LABELS, World


@dataclass(frozen=True)
class Trained:
    """What one training pipeline did."""

    judged: Judged
    examples: Examples
    is_new: bool


@pytest.fixture
def animals(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.add(40)
    return world


def infer(world: World, **settings: object) -> int:
    with world.loop(**settings) as loop:
        get_or_create_dataset(loop)
        return sync_new_data_to_label_studio(loop, chosen(loop))


def chosen(loop: Loop) -> Proposal:
    features, model = embed(loop), deployed_model(loop)
    return select(loop, features, predict(loop, model, features) if model else None)


def learn(world: World, **settings: object) -> Trained:
    with world.loop(**settings) as loop:
        get_or_create_dataset(loop)
        labeled = get_labeled_data(loop)
        converted = convert_annotations(loop, labeled, embed(loop))
        model = train(loop, converted.training)
        evaluate(loop, model, converted.held_out)
        judged = judge(loop, model, converted)
        return Trained(judged, converted.training, deploy(loop, judged, converted))


def test_two_laps_learn_from_all_annotations_and_bring_nothing_twice(animals: World) -> None:
    first = infer(animals)
    animals.answer_all()
    before = learn(animals)

    second = infer(animals)
    animals.answer_all()
    after = learn(animals)

    assert first == second == 10
    assert len(before.examples) < len(after.examples) <= 20
    assert before.is_new
    assert after.judged.version != before.judged.version
    assert len({one.item_id for one in animals.questions()}) == len(animals.questions()) == 20
    assert animals.last().version == after.judged.version


def test_every_pipeline_run_again_changes_nothing(animals: World) -> None:
    everything = {"loop__batch": 100, "holdout__per_round": 100}
    infer(animals, **everything)
    animals.answer_all()
    learn(animals)
    infer(animals, **everything)
    there = animals.dump()

    again = learn(animals)
    new = infer(animals, **everything)

    assert not again.is_new
    assert new == 0
    assert animals.dump() == there


def test_an_example_that_the_learner_cannot_take_is_set_aside_by_name_and_the_others_make_a_model(
    animals: World,
) -> None:
    settings = {"learner__flavor": "support.fragile_learner:FragileLearner", "loop__batch": 60}
    settings |= {"holdout__per_round": 24, "holdout__size": 24}
    bad = {*animals.add_texts([f"cat number {number} poison" for number in range(100, 106)])}
    infer(animals, **settings)
    animals.answer_all()
    held_out = {one.item_id for one in animals.questions() if one.purpose == "holdout"}

    first, again = (learn(animals, **settings) for _ in range(2))

    learned = bad - held_out
    reasons = {one.item_id: one.missing.reason for one in animals.ledger().aside.all()}
    assert learned
    assert bad & held_out
    assert all("cannot be learned from: ValueError: singular matrix" in reasons[one] for one in learned)
    assert first.judged.promoted
    assert first.judged.metrics.n == len(held_out - bad)
    assert not learned & {*again.examples.inputs.ids}
    assert again.judged.model == first.judged.model


def test_with_no_annotations_there_is_nothing_to_learn_from_and_the_data_say_so(animals: World) -> None:
    with animals.loop() as loop:
        get_or_create_dataset(loop)

        labeled = get_labeled_data(loop)

    assert not labeled
    assert animals.people.datasets()[0].total == 0


def test_an_edited_annotation_is_heard_and_gives_another_model(animals: World) -> None:
    infer(animals)
    animals.answer_all()
    before = learn(animals)
    item = str(before.examples.inputs.ids[0])
    said = LABELS[int(before.examples.targets[0].argmax())]
    annotation = animals.ledger().answers.current()[item][0]

    animals.people.edit("animals", annotation.id, regions_of(animals.schema, [next(x for x in LABELS if x != said)]))
    after = learn(animals)

    assert len(after.examples) == len(before.examples)
    assert after.judged.version != before.judged.version


def test_held_out_items_are_asked_blind_and_never_among_the_training_examples(animals: World) -> None:
    for _ in range(3):
        infer(animals)
        animals.answer_all()
        trained = learn(animals)

    blind = {one.item_id for one in animals.questions() if one.purpose == "holdout"}

    assert blind
    assert not blind & set(trained.examples.inputs.ids.tolist())
    assert all(one.prediction is None for one in animals.questions() if one.purpose == "holdout")


def test_predictions_carry_their_score_and_the_version_of_the_model(animals: World) -> None:
    infer(animals)
    animals.answer_all()
    version = learn(animals).judged.version
    infer(animals)

    guesses = [one.prediction for one in animals.questions() if one.round == animals.last().number and one.prediction]

    assert guesses
    assert {guess.model_version for guess in guesses} == {version}
    assert all(0 < guess.score <= 1 for guess in guesses)


def test_new_guesses_reach_the_questions_that_are_still_open(animals: World) -> None:
    infer(animals)
    for item in animals.dataset.open_items()[:6]:
        animals.answer(item, animals.truth()[item])
    version = learn(animals).judged.version
    infer(animals)

    open_ones = [one for one in animals.questions() if one.state == "asked" and one.purpose == "train"]

    assert {one.prediction.model_version for one in open_ones if one.prediction} == {version}


def test_a_sync_that_was_killed_is_completed_by_the_next(animals: World) -> None:
    with animals.loop() as loop:
        get_or_create_dataset(loop)
        proposal = chosen(loop)
        ask = loop.dataset.ask
        loop.dataset.ask = lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            sync_new_data_to_label_studio(loop, proposal)
        loop.dataset.ask = ask  # type: ignore[method-assign]

    with animals.loop() as loop:
        new = sync_new_data_to_label_studio(loop, Proposal([], []))

    assert new == 0
    assert {one.state for one in animals.questions()} == {"asked"}
    assert animals.dataset.size() == len(proposal.batch) == 10


def test_a_model_judged_against_one_that_is_gone_from_use_is_not_deployed(animals: World) -> None:
    infer(animals)
    animals.answer_all()
    learn(animals)
    with animals.loop() as loop:
        converted = convert_annotations(loop, get_labeled_data(loop), embed(loop))
        stale = Judged(
            "folder:" + "0" * 32, "0", True, "", learn(animals).judged.metrics, champion="folder:" + "1" * 32
        )

        with pytest.raises(BusyError, match="another model was put to use"):
            deploy(loop, stale, converted)


def test_a_warm_start_begins_with_the_same_model_however_often_it_is_repeated(animals: World) -> None:
    infer(animals)
    animals.answer_all()
    first = learn(animals).judged.model
    infer(animals)
    animals.answer_all()

    with animals.loop() as loop:
        bases = [older_model(loop, get_labeled_data(loop))]
    learn(animals)
    with animals.loop() as loop:
        bases.append(older_model(loop, get_labeled_data(loop)))

    assert [str(base.ref) for base in bases if base] == [first, first]


@step
def first_words(answers: Mapping[str, Sequence[Annotation]]) -> dict[str, list[str]]:
    """A user's own conversion: everything is a cat."""
    return {item: ["cat"] for item in answers}


@step
def mean_length(embeddings: np.ndarray) -> float:
    """A user's own step."""
    return float(np.linalg.norm(embeddings, axis=1).mean())


def test_steps_of_a_users_own_stand_beside_the_built_in_ones_and_are_cached(animals: World) -> None:
    told: list[Line] = []
    infer(animals)
    animals.answer_all()

    with animals.loop() as loop:
        loop.run.tell = told.append
        labeled, features = get_labeled_data(loop), embed(loop)
        names = loop.run(first_words, labeled.answers)
        converted = convert_annotations(loop, labeled, features, names.value)
        lengths = [loop.run(mean_length, features.matrix).value for _ in range(2)]

    assert converted.training.targets[:, 0].all()
    assert lengths[0] == lengths[1] == pytest.approx(1.0, abs=0.01)
    assert [line.name for line in told] == [
        "get_labeled_data",
        "embed",
        "first_words",
        "convert_annotations",
        "mean_length",
        "mean_length",
    ]
    assert [line.how for line in told[-2:]] == ["executed", "cached"]
    assert str(told[-1]).startswith("mean length")


def test_files_are_uploaded_once_and_read_back_from_the_store(animals: World, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "one.txt").write_text("cat from a file")
    (folder / "two words.txt").write_text("dog from a file")

    with animals.loop() as loop:
        place = upload(loop, folder, "texts")
        taken = load_new_data(loop, place)
        again = load_new_data(loop, upload(loop, folder, "texts"))

        assert place == place_in_store(loop, "texts")
        with pytest.raises(NotFoundError, match="there is no text in"):
            upload(loop, tmp_path / "nowhere", "texts")

    assert (taken.new, again.new, again.known) == (2, 0, 2)
