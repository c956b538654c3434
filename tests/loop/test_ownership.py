"""Two of a kind notice each other: before anything is asked or believed, in words, with a way on."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from labelloop.commands.doctor import examine, mended
from labelloop.commands.recovery import write_back
from labelloop.errors import ConfigError, LabelLoopError, NoSecretError, OtherOwnerError, VanishedError
from labelloop.loop.decide import Start, Wait
from labelloop.loop.ownership import OWNER, Mark, read
from labelloop.loop.vanished import FEWEST_NEWEST
from labelloop.types import Annotation, Answers

from support.small_world import NAME, SCHEMA, World


def copied(world: World, to: Path) -> World:
    """The workspace once more, with the same people: `cp -a`."""
    shutil.copytree(world.root, to)
    return World(to, world.people)


def backup(world: World) -> Callable[[], None]:
    """Keeps what the annotator holds now; the result brings it back."""
    kept = copy.deepcopy(world.dataset.__dict__)
    return lambda: world.dataset.__dict__.update(copy.deepcopy(kept))


def refusal(world: World) -> LabelLoopError:
    """What a tick says that refuses; it has asked and believed nothing."""
    before = {**world.dump(), "leases": []}
    with pytest.raises((OtherOwnerError, VanishedError)) as refused:
        world.tick()
    assert {**world.dump(), "leases": []} == before
    return refused.value


@pytest.mark.parametrize("text", ["", "labelloop:x:1:y", "what people wrote", "labelloop:0123456789abcdef:1:"])
def test_a_text_without_a_mark_has_none(text: str) -> None:
    assert read(text) is None


def test_a_mark_is_found_in_what_people_wrote() -> None:
    mark = Mark("0123456789abcdef", 7, "89abcdef")

    assert read(f"Animals, Q4 [{mark}]") == mark


def test_a_copy_that_comes_second_is_refused_before_it_hears(animals: World, tmp_path: Path) -> None:
    animals.play(2)
    second = copied(animals, tmp_path / "copy")
    animals.tick()
    animals.answer_all()

    error = refusal(second)

    assert "has gone on 1 time(s) of asking further, without this ledger" in error.message
    assert "labelloop tick --take-over" in error.hint


def test_whoever_was_taken_over_stops_in_turn(animals: World, tmp_path: Path) -> None:
    animals.play(2)
    second = copied(animals, tmp_path / "copy")
    animals.tick()
    animals.answer_all()

    second.tick_knowing(take_over=True)

    assert "without this ledger" in refusal(animals).message
    second.answer_all()
    assert isinstance(second.tick().action, Start)
    items = [one.item_id for one in second.questions() if one.state != "gone"]
    assert len(items) == len(set(items))


def test_two_copies_that_have_asked_as_often_notice_each_other(animals: World, tmp_path: Path) -> None:
    animals.play(2)
    second = copied(animals, tmp_path / "copy")
    back = backup(animals)
    animals.tick()
    back()
    second.tick()

    assert "has gone on elsewhere" in refusal(animals).message


def test_of_two_copies_that_ask_at_the_same_moment_one_is_refused(
    animals: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    animals.play(2)
    second = copied(animals, tmp_path / "copy")
    leave = animals.dataset.swap_mark

    def slowly(before: str, after: str) -> str:
        monkeypatch.undo()
        second.tick()  # between our look and our write
        return leave(before, after)

    monkeypatch.setattr(animals.dataset, "swap_mark", slowly)

    with pytest.raises(OtherOwnerError, match="without this ledger"):
        animals.tick()

    asked = [one.item_id for one in second.questions()]
    assert animals.dataset.present() == set(asked)


def test_copies_of_a_ledger_that_was_killed_while_it_left_a_mark_do_not_both_go_on(
    animals: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    animals.play(2)

    def killed(before: str, after: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(animals.dataset, "swap_mark", killed)
    with pytest.raises(KeyboardInterrupt):
        animals.tick()
    monkeypatch.undo()
    second = copied(animals, tmp_path / "copy")
    animals.tick()

    assert "without this ledger" in refusal(second).message


def test_another_ledger_on_the_same_dataset_is_refused(animals: World, tmp_path: Path) -> None:
    animals.play(2)
    other = World(tmp_path / "other", animals.people)
    other.add()

    assert "is asked by another ledger" in refusal(other).message


def test_an_older_ledger_is_refused_and_hears_what_it_has_missed_once_it_is_told(animals: World) -> None:
    animals.play(2)
    kept = (animals.root / ".labelloop" / "ledger.db").read_bytes()
    animals.play(2)
    there = animals.dataset.present()
    for left in animals.root.glob(".labelloop/ledger.db*"):
        left.unlink()
    (animals.root / ".labelloop" / "ledger.db").write_bytes(kept)

    assert "2 time(s) of asking further" in refusal(animals).message
    animals.tick_knowing(take_over=True)
    animals.answer_all()
    animals.tick()

    assert animals.dataset.present() >= there
    asked = [one.item_id for one in animals.questions()]
    assert len(asked) == len(set(asked))


def test_an_older_annotator_is_refused_and_gets_everything_back(animals: World) -> None:
    animals.play(3)
    back = backup(animals)
    animals.play(2)
    animals.loop().hear()
    said = _said(animals)
    back()

    error = refusal(animals)
    found = write_back(animals.loop())

    assert "2 time(s) of asking behind the ledger" in error.message
    assert found.questions
    assert _said(animals) == said
    assert isinstance(animals.tick().action, Start | Wait)
    assert _said(animals) == said


def test_doctor_offers_to_write_back_and_nothing_that_is_anothers(animals: World, tmp_path: Path) -> None:
    animals.play(3)
    back = backup(animals)
    animals.play(2)
    animals.loop().hear()
    back()

    faults = [one for one in examine(animals.loop()) if one.what in ("dataset", "questions", "predictions")]

    assert [one.repair for one in faults] == ["write questions and answers back from the ledger"]
    assert mended(faults[0]) == "repaired"
    assert [one.detail for one in examine(animals.loop()) if one.what in ("dataset", "questions", "answers")] == []


def test_doctor_leaves_the_predictions_of_another_ledger_alone(animals: World, tmp_path: Path) -> None:
    animals.play(2)
    second = copied(animals, tmp_path / "copy")
    animals.play(2)

    faults = list(examine(second.loop()))

    assert [one.what for one in faults if one.what in ("dataset", "predictions", "questions")] == ["dataset"]
    assert all(one.mend is None for one in faults if one.what == "dataset")


def test_answers_that_vanish_in_bulk_are_not_removed_by_people(animals: World) -> None:
    animals.play(3)
    animals.loop().hear()
    said = _said(animals)
    for found in animals.ledger().answers.current().values():
        for one in found:
            animals.people.retract(NAME, one.id)

    error = refusal(animals)

    assert "answers are gone from the annotator at once" in error.message
    assert _said(animals) == said
    animals.tick_knowing(believe_losses=True)
    assert _said(animals) == {}


def test_losses_that_are_spread_over_many_pages_are_counted_together(
    animals: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    animals.play(4)
    animals.loop().hear()
    said, hear = _said(animals), animals.dataset.answers
    for number, found in enumerate(animals.ledger().answers.current().values()):
        for one in found if number % 3 else []:
            animals.people.retract(NAME, one.id)

    def one_by_one(cursor: str | None) -> Iterator[Answers]:
        for page in hear(cursor):
            yield from (replace(page, heard=(one,)) for one in page.heard)

    monkeypatch.setattr(animals.dataset, "answers", one_by_one)

    assert "answers are gone from the annotator at once" in refusal(animals).message
    assert _said(animals) == said
    animals.tick_knowing(believe_losses=True)
    assert len(_said(animals)) < len(said)


def test_the_newest_answers_gone_and_no_others_look_like_an_older_backup(animals: World) -> None:
    animals.play(3)
    animals.loop().hear()
    said = sorted((one for some in animals.ledger().answers.current().values() for one in some), key=_when)
    for one in said[-FEWEST_NEWEST:]:
        animals.people.retract(NAME, one.id)

    assert f"the newest {FEWEST_NEWEST} of {len(said)} answers are gone" in refusal(animals).message


def test_as_many_answers_from_here_and_there_are_what_people_removed(animals: World) -> None:
    animals.play(3)
    animals.loop().hear()
    said = sorted((one for some in animals.ledger().answers.current().values() for one in some), key=_when)
    for one in said[-FEWEST_NEWEST - 1 : -1]:
        animals.people.retract(NAME, one.id)

    assert animals.tick().changes.removed == FEWEST_NEWEST


def _when(one: Annotation) -> datetime:
    return one.created_at


def test_a_few_removals_are_what_people_meant(animals: World) -> None:
    animals.play(3)
    animals.loop().hear()
    first = next(iter(animals.ledger().answers.current().values()))[0]
    animals.people.retract(NAME, first.id)

    assert animals.tick().changes.removed == 1


def test_a_dataset_of_an_older_labelloop_is_marked_when_it_is_asked_next(animals: World) -> None:
    animals.play(2)
    animals.dataset.lose_mark()
    animals.ledger().answers.remember(OWNER, {})

    animals.tick()

    assert read(animals.dataset.mark()) is not None


def test_a_new_ledger_on_a_dataset_that_an_older_labelloop_asked_is_refused(animals: World, tmp_path: Path) -> None:
    animals.play(2)
    animals.dataset.lose_mark()
    other = World(tmp_path / "other", animals.people)
    other.add()

    with pytest.raises(OtherOwnerError, match=r"question\(s\) of labelloop that this ledger never asked"):
        other.tick()

    assert animals.dataset.present() == {one.item_id for one in animals.questions()}
    other.tick_knowing(take_over=True)
    other.answer_all()
    assert isinstance(other.tick().action, Start)
    items = [one.item_id for one in other.questions() if one.state != "gone"]
    assert len(items) == len(set(items))


@pytest.mark.parametrize("moment", ["before", "between", "after"])
def test_a_kill_while_the_mark_is_left_is_no_other_owner(animals: World, moment: str, monkeypatch: Any) -> None:
    animals.play(1)
    dataset, leave = animals.dataset, animals.dataset.swap_mark

    def killed(before: str, after: str) -> str:
        if moment != "before":
            leave(before, after)
        if moment == "between":
            dataset.set_mark(before)
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "swap_mark", killed)
    with pytest.raises(KeyboardInterrupt):
        animals.tick()
    monkeypatch.undo()

    animals.tick()

    assert animals.last().state != "planned"


def test_a_missing_secret_is_not_a_missing_dataset(animals: World, monkeypatch: pytest.MonkeyPatch) -> None:
    animals.play(1)

    def refuse(*_: object, **__: object) -> None:
        raise NoSecretError("no secret 'ls' in memory", "labelloop secret register ls --api_key=...")

    monkeypatch.setattr(animals.people, "open", refuse)

    with pytest.raises(NoSecretError, match="no secret 'ls'"):
        animals.tick()


def _said(world: World) -> dict[str, Any]:
    """What people say now, without the ids that an annotator gives."""
    current = world.ledger().answers.current()
    return {item: [(one.regions, one.annotator) for one in found] for item, found in current.items() if found}


def test_doctor_says_before_the_first_round_that_a_lost_ledger_asked_already(animals: World, tmp_path: Path) -> None:
    animals.play(2)
    other = World(tmp_path / "other", animals.people)
    other.add()

    (fault,) = [one for one in examine(other.loop()) if one.what == "dataset"]

    assert "are asked already, and this ledger does not know it" in fault.detail
    assert "labelloop tick --take-over" in fault.repair
    assert fault.mend is None
    other.tick_knowing(take_over=True)
    for one in examine(other.loop()):
        mended(one)
    animals.loop().ledger.answers.rewind()
    there = {item for item in animals.dataset.present() if item not in animals.dataset.open_items()}
    assert there <= set(_said(other))


def other_items(world: World) -> None:
    world.add(start=100)


def other_items_of_an_older_labelloop(world: World) -> None:
    world.dataset.lose_mark()
    other_items(world)


def the_same_items(world: World) -> None:
    world.add()


def other_labels(world: World) -> None:
    world.people.relabel(NAME, replace(SCHEMA, labels=("cat", "cow")))
    other_items(world)


@pytest.mark.parametrize(
    "begin",
    [other_items, other_items_of_an_older_labelloop, the_same_items, other_labels],
    ids=lambda one: one.__name__,
)
def test_before_the_first_round_doctor_says_what_tick_refuses(
    animals: World, tmp_path: Path, begin: Callable[[World], None]
) -> None:
    animals.play(2)
    other = World(tmp_path / "other", animals.people)
    begin(other)

    with pytest.raises(ConfigError) as refused:
        other.tick()
    (fault,) = [one for one in examine(other.loop()) if one.what == "dataset"]

    assert begin is the_same_items or (fault.detail, fault.repair) == (refused.value.message, refused.value.hint)
    assert fault.mend is None


def test_before_the_first_round_doctor_is_silent_about_a_dataset_that_tick_takes(animals: World) -> None:
    animals.people.open(NAME, SCHEMA)

    assert list(examine(animals.loop())) == []
    assert isinstance(animals.tick().action, Start)
