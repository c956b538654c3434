"""Changes of the labels in a running loop: nothing said is lost, nobody sees old guesses, and a kill costs nothing."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labelloop.commands import labels as change_labels
from labelloop.commands.export import write_labels
from labelloop.commands.labels import LabelChangePlan
from labelloop.errors import ConfigError, OtherLabelsError
from labelloop.kinds import LabelSchema, label_changes
from labelloop.kinds.consensus import consensus_of_all
from labelloop.kinds.label_changes import LabelChange
from labelloop.kinds.labels import regions_of
from labelloop.ledger.labels import LabelBook
from labelloop.loop.decide import Start, Wait
from labelloop.testing.annotator import FakeDataset

from support.small_world import NAME, World


class Unable:
    """What no annotator and no dataset is: a capability that nobody has."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.add(40)
    made.play(2)
    made.tick()
    return made


def change(world: World, verb: str, *arguments: object, again: bool | None = None, **settings: Any) -> LabelChangePlan:
    loop = world.loop(**settings)

    def make(schema: LabelSchema, history: Sequence[LabelChange]) -> LabelChange:
        made: LabelChange = getattr(label_changes, verb)(schema, history, *arguments)
        return made

    try:
        return change_labels.relabel(loop, make, again=again)
    finally:
        loop.ledger.close()
        world.schema = replace(world.schema, labels=world.workspace().config.dataset.labels)


def believed(world: World) -> dict[str, tuple[str, ...]]:
    loop = world.loop()
    found = dict(consensus_of_all(loop.schema, loop.ledger.said(loop.schema)).answers)
    loop.ledger.close()
    return found


def of_label(world: World, label: str) -> set[str]:
    return {item for item, names in believed(world).items() if names == (label,)}


def test_after_a_rename_the_answers_say_the_new_name_and_the_loop_goes_on(world: World) -> None:
    dogs = of_label(world, "dog")
    planned = change(world, "rename", "dog", "hound")
    assert planned.translated == len(dogs) > 0
    assert of_label(world, "hound") == dogs
    assert tomllib.loads((world.root / "labelloop.toml").read_text())["dataset"]["labels"] == ["cat", "hound", "owl"]
    outcome = world.tick()
    assert isinstance(outcome.action, Start)
    assert outcome.action.reason == "the labels have changed"
    assert outcome.round is not None
    assert outcome.round.promoted
    assert isinstance(world.tick().action, Wait)


def test_what_people_said_is_kept_as_they_said_it(world: World) -> None:
    before = world.ledger().answers.current()
    change(world, "merge", ["cat", "dog"], "pet")
    assert world.ledger().answers.current() == before


def test_nobody_sees_a_guess_in_other_labels(world: World) -> None:
    assert any(world.dataset.prediction(item) for item in world.dataset.open_items())
    change(world, "rename", "dog", "hound")
    assert not any(world.dataset.prediction(item) for item in world.dataset.open_items())
    world.tick()
    shown = [guess for item in world.dataset.open_items() if (guess := world.dataset.prediction(item))]
    assert shown
    assert {name for guess in shown for name in guess.regions[0]["value"]["choices"]} <= {"cat", "hound", "owl"}


def test_open_questions_are_not_joined_by_a_whole_new_batch(world: World) -> None:
    waiting = len(world.dataset.open_items())
    change(world, "rename", "dog", "hound")
    world.tick()
    assert len(world.dataset.open_items()) == waiting


def test_answers_that_say_a_removed_label_are_set_aside_and_come_back(world: World) -> None:
    owls = of_label(world, "owl")
    planned = change(world, "remove", ["owl"])
    assert planned.set_aside == len(owls) > 0
    assert not owls & believed(world).keys()
    assert set(world.tick().set_aside) == owls
    change(world, "undo")
    assert of_label(world, "owl") == owls


def test_items_of_a_split_label_are_asked_again_and_nothing_else_is(world: World) -> None:
    owls, others = of_label(world, "owl"), believed(world).keys() - of_label(world, "owl")
    waiting = set(world.dataset.open_items())
    planned = change(world, "split", "owl", ["barn owl", "snowy owl"])
    assert planned.again == len(owls)
    assert set(world.dataset.open_items()) == waiting | owls
    assert believed(world).keys() >= others
    world.tick()
    for item in owls:
        world.answer(item, "snowy owl")
    world.tick()
    assert of_label(world, "snowy owl") == owls


def test_undoing_a_split_puts_the_answers_back(world: World) -> None:
    before = believed(world)
    change(world, "split", "owl", ["barn owl", "snowy owl"])
    world.tick()
    change(world, "undo")
    world.tick()
    assert believed(world) == before


def test_a_person_who_changed_her_mind_meanwhile_is_not_overruled(world: World) -> None:
    owl = min(of_label(world, "owl"))
    said = world.ledger().answers.current()[owl][0]
    world.people.edit(NAME, said.id, regions_of(world.schema, ["cat"]))
    assert world.dataset.retract({said.id: owl}, {"owl"}) == 0


def test_a_plan_changes_nothing(world: World) -> None:
    before = world.dump(), (world.root / "labelloop.toml").read_text()
    loop = world.loop()
    planned = change_labels.plan(loop, lambda schema, history: label_changes.remove(schema, history, ["owl"]))
    loop.ledger.close()
    assert planned.set_aside == len(of_label(world, "owl"))
    assert "set aside" in planned.in_words()
    assert (world.dump(), (world.root / "labelloop.toml").read_text()) == before


def test_a_loop_made_before_the_change_does_nothing_more(world: World) -> None:
    old = world.loop()
    change(world, "rename", "dog", "hound")
    with pytest.raises(OtherLabelsError) as caught:
        old.tick()
    assert caught.value.begin_again


def test_labels_before_anything_was_asked_are_simply_other_ones(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.add(8)
    change(world, "rename", "dog", "hound")
    world.tick()
    assert world.people.open(NAME, world.schema).size() > 0


def test_a_model_that_speaks_other_labels_is_not_used_where_nothing_is_left_to_learn_from(world: World) -> None:
    change(world, "split", "owl", ["barn owl", "snowy owl"])
    change(world, "split", "dog", ["wolf", "poodle"])
    change(world, "split", "cat", ["lion", "tiger"])
    outcome = world.tick()
    assert outcome.round is not None
    assert outcome.round.model == ""
    assert isinstance(world.tick().action, Wait)


def test_an_annotator_that_cannot_relabel_says_so_before_anything_is_planned(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelloop.commands.labels.ChangingLabels", Unable)
    with pytest.raises(ConfigError, match="cannot change the labels"):
        change(world, "rename", "dog", "hound")
    assert world.ledger().labels.changes() == []


def test_labels_from_elsewhere_than_the_file_are_not_changed(world: World) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.labels comes from the flag"):
        change(world, "rename", "dog", "hound", dataset__labels=["cat", "dog", "owl"])


class Killed(BaseException):
    """The process ended here."""


def _before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise Killed

    monkeypatch.setattr(owner, name, die)


def _after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    whole: Callable[..., Any] = getattr(owner, name)

    def die(*arguments: Any, **named: Any) -> None:
        whole(*arguments, **named)
        raise Killed

    monkeypatch.setattr(owner, name, die)


PLACES = [(LabelBook, "plan"), (FakeDataset, "relabel"), (FakeDataset, "retract"), (change_labels, "rewrite")]


@pytest.mark.parametrize(("owner", "name"), PLACES)
def test_a_change_that_was_killed_anywhere_is_completed(world: World, owner: Any, name: str) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        _after(patch, owner, name)
        change(world, "split", "owl", ["barn owl", "snowy owl"])
    with pytest.raises(OtherLabelsError, match="interrupted") as caught:
        world.tick()
    assert caught.value.hint == "labelloop labels resume"

    loop = world.loop()
    done = change_labels.resume(loop)
    loop.ledger.close()

    world.schema = replace(world.schema, labels=("cat", "dog", "barn owl", "snowy owl"))
    assert done is not None
    assert world.workspace().config.dataset.labels == world.schema.labels
    assert world.dataset.schema.labels == world.schema.labels
    assert isinstance(world.tick().action, Start)
    assert not {"owl"} & {names[0] for names in believed(world).values()}
    again = world.loop()
    assert change_labels.resume(again) is None
    again.ledger.close()


def test_a_change_that_was_killed_before_its_plan_has_not_happened(world: World) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        _before(patch, LabelBook, "plan")
        change(world, "rename", "dog", "hound")
    assert isinstance(world.tick().action, Wait)


def test_exports_say_the_labels_of_now(world: World, tmp_path: Path) -> None:
    change(world, "rename", "dog", "hound")
    loop = world.loop()
    write_labels(loop, str(tmp_path / "labels.jsonl"))
    loop.ledger.close()
    said = (tmp_path / "labels.jsonl").read_text()
    assert '"hound"' in said
    assert '["dog"]' not in said
