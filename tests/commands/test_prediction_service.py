"""The model in use answers about single items: ours from what is stored, others on the fly, the holdout never."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from labelloop.commands import labels as change_labels
from labelloop.commands.ml_backend import PredictionService
from labelloop.errors import BadItemError, ConfigError, OtherLabelsError
from labelloop.kinds import label_changes
from labelloop.kinds.labels import names_of
from labelloop.types import Item, Prediction, Question

from support import quick_learner
from support.small_world import SCHEMA, World


def service_of(world: World) -> PredictionService:
    """Answers of a new process."""
    return PredictionService(world.loop, lambda item: item.text.encode())


def guessed(answers: Sequence[Question | None]) -> list[Prediction]:
    """The predictions among the answers."""
    return [one.prediction for one in answers if one and one.prediction]


def names(answers: Sequence[Question | None]) -> list[tuple[str, ...]]:
    """What was answered."""
    return [names_of(SCHEMA, one.prediction.regions) if one and one.prediction else () for one in answers]


def ours(world: World, *, held_out: bool) -> list[Item]:
    """Items of the ledger that were asked on one side of the holdout."""
    wanted = [one.item_id for one in world.questions() if (one.purpose == "holdout") == held_out]
    return list(world.ledger().items.get(wanted).values())


@pytest.fixture
def learned(animals: World) -> World:
    """Two rounds have been asked, the first one is answered."""
    animals.play(1)
    animals.tick()
    return animals


def test_before_there_is_a_model_nothing_is_answered(animals: World) -> None:
    animals.tick()

    assert service_of(animals).answer(ours(animals, held_out=False)) == [None] * 6
    assert service_of(animals).version() == ""


def test_items_of_ours_are_answered_from_what_is_stored(learned: World) -> None:
    items = ours(learned, held_out=False)
    before = len(quick_learner.embedded)

    answers = service_of(learned).answer([Item(item.id, "text", text="anything") for item in items])

    assert names(answers) == [(item.text.split()[0],) for item in items]
    assert {one.model_version for one in guessed(answers)} == {learned.last().version}
    assert len(quick_learner.embedded) == before


def test_they_are_what_the_loop_itself_says(learned: World) -> None:
    asked = {one.item_id: one.prediction for one in learned.questions() if one.prediction}
    items = [item for item in ours(learned, held_out=False) if item.id in asked]

    answers = service_of(learned).answer(items)

    assert [one.regions for one in guessed(answers)] == [asked[item.id].regions for item in items]
    assert [one.score for one in guessed(answers)] == pytest.approx([asked[item.id].score for item in items])


def test_they_come_where_the_loop_has_put_them_and_all_others_after_them(learned: World) -> None:
    turns = {one.item_id: one.turn for one in learned.questions() if one.round == 2 and one.purpose == "train"}
    items = [*ours(learned, held_out=False), Item("", "text", text="owl of somebody else")]

    answers = service_of(learned).answer(items)

    at = {item.id: one.turn for item, one in zip(items, answers, strict=True) if one}
    assert len(turns) == 6
    assert {item: at[item] for item in turns} == turns
    assert {one.at for item, one in at.items() if one and item not in turns} == {1.0}


def test_without_a_queue_of_its_own_the_loop_says_nothing_about_turns(learned: World) -> None:
    model = PredictionService(lambda: learned.loop(loop__queue="asked"), lambda item: item.text.encode())

    assert [one.turn for one in model.answer(ours(learned, held_out=False)) if one] == [None] * 12


def test_the_holdout_stays_blind_even_by_its_content(learned: World) -> None:
    items = ours(learned, held_out=True)

    assert service_of(learned).answer(items) == [None] * len(items)
    assert len(items) == 8


def test_items_of_others_are_embedded_on_the_fly_once(learned: World) -> None:
    model, strange = service_of(learned), Item("", "text", text="owl that nobody added")
    before = len(quick_learner.embedded)

    first, again = model.answer([strange]), model.answer([strange])

    assert names(first) == names(again) == [("owl",)]
    assert len(quick_learner.embedded) == before + 1


def test_an_item_added_after_the_last_round_is_embedded_on_the_fly(learned: World) -> None:
    (added,) = learned.add_texts(["dog number one thousand and one"])
    item = learned.ledger().items.get([added])[added]

    (answer,) = service_of(learned).answer([Item(added, "text", text="")])

    assert item.text.startswith("dog")
    assert answer is None or names([answer]) == [("dog",)]


def test_an_id_that_is_not_ours_counts_for_nothing(learned: World) -> None:
    assert names(service_of(learned).answer([Item("made up", "text", text="cat by hand")])) == [("cat",)]


def test_what_cannot_be_read_is_not_answered_and_the_others_are(learned: World) -> None:
    answers = service_of(learned).answer([Item("", "text", text="broken"), Item("", "text", text="cat here")])

    assert names(answers) == [(), ("cat",)]


def test_a_picture_that_cannot_be_fetched_is_not_answered(learned: World) -> None:
    def fetch(_: Item) -> bytes:
        raise BadItemError("it lies elsewhere")

    model = PredictionService(learned.loop, fetch)

    assert model.answer([Item("", "image", uri="https://elsewhere.example.com/a.png")]) == [None]


def test_it_follows_the_loop_to_a_new_model(learned: World) -> None:
    model = service_of(learned)
    first = model.version()
    learned.answer_all()
    learned.tick()

    (answer,) = model.answer([Item("", "text", text="owl again")])

    assert answer is not None
    assert answer.version == model.version() == learned.last().version
    assert model.versions() == [model.version(), first]


def rename(world: World, old: str, new: str) -> None:
    """A change of the labels by another process."""
    with world.loop() as loop:
        change_labels.relabel(loop, lambda schema, history: label_changes.rename(schema, history, old, new))


def test_after_a_change_of_the_labels_it_says_nothing_until_a_model_has_learned_them(learned: World) -> None:
    model, owl = service_of(learned), Item("", "text", text="owl again")
    before = model.version()
    assert names(model.answer([owl])) == [("owl",)]

    rename(learned, "owl", "eagle owl")

    assert (model.answer([owl]), model.version()) == ([None], "")
    learned.tick()
    (answer,) = model.answer([owl])
    assert answer is not None
    assert guessed([answer])[0].regions[0]["value"]["choices"] == ["eagle owl"]
    assert answer.version == model.version() != before
    assert model.schema.labels == ("cat", "dog", "eagle owl")


def test_while_a_change_of_the_labels_is_interrupted_it_says_so(
    learned: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = service_of(learned)
    monkeypatch.setattr(change_labels, "carry_out", lambda *_: None)
    rename(learned, "owl", "eagle owl")

    with pytest.raises(OtherLabelsError, match="was interrupted"):
        model.answer([Item("", "text", text="owl again")])


def test_where_the_labels_were_changed_on_another_machine_it_names_both(learned: World) -> None:
    model, here = service_of(learned), learned.root / "labelloop.toml"
    kept = here.read_text()
    rename(learned, "owl", "eagle owl")
    learned.tick()
    here.write_text(kept)

    with pytest.raises(ConfigError, match=r"speaks cat, dog, eagle owl, and labelloop\.toml here says cat, dog, owl"):
        model.answer([Item("", "text", text="owl again")])

    here.write_text(kept.replace("owl", "eagle owl"))
    assert model.answer([Item("", "text", text="owl again")]) != [None]
