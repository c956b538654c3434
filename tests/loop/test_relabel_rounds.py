"""A loop whose people err asks some items again, in its rounds, where that helps; elsewhere it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labelloop.errors import BackendError, ConfigError
from labelloop.kinds.labels import regions_of
from labelloop.ledger.rounds import RoundBook
from labelloop.loop.decide import Finish, Wait
from labelloop.steps import sync_new_data_to_label_studio
from labelloop.types import Turn

from support.killing import Killed, Moment
from support.small_world import LABELS, NAME, World

RELABEL = {"loop__selector": "relabel(margin, 0.5)", "loop__belief": "weighted", "loop__batch": 12}
ANN, BOB = "ann@example.com", "bob@example.com"


@pytest.fixture
def taught(tmp_path: Path) -> World:
    """A round is answered, a third of Ann's answers are wrong."""
    made = World(tmp_path / "world")
    made.add(90)
    made.tick(**{**RELABEL, "loop__batch": 30})
    truth = made.truth()
    for number, item_id in enumerate(made.dataset.open_items()):
        say(made, item_id, other(truth[item_id]) if number % 3 == 0 else truth[item_id], ANN)
    return made


@pytest.fixture
def world(taught: World) -> World:
    """Round two asks again about some of the answers."""
    taught.tick(**RELABEL)
    return taught


def other(label: str) -> str:
    return LABELS[(LABELS.index(label) + 1) % len(LABELS)]


def say(world: World, question: str, label: str, who: str) -> None:
    world.people.answer(NAME, question, regions_of(world.schema, [label]), who)


def test_part_of_the_batch_asks_again_blind(world: World) -> None:
    second = [one for one in world.questions() if one.round == 2]
    again = [one for one in second if one.purpose == "opinion"]

    assert 0 < len(again) <= 6
    assert len(again) + sum(one.purpose == "train" for one in second) == 12
    assert (world.last().again, world.last().asked) == (len(again), len(second))
    assert all(world.dataset.prediction(one.item_id) is None for one in again)
    held_out = {one.item_id for one in world.questions() if one.purpose == "holdout"}
    assert not {one.about for one in again} & held_out
    assert "less sure" in again[0].why


def test_the_round_waits_for_them_and_learns_what_both_say(world: World) -> None:
    assert isinstance(world.tick(**RELABEL).action, Wait)
    truth, again = world.truth(), {one.item_id: one.about for one in world.questions() if one.about}
    for question in world.dataset.open_items():
        say(world, question, truth[again.get(question, question)], BOB)

    outcome = world.tick(**RELABEL)

    assert outcome.round is not None
    assert outcome.round.number == 3
    said = world.ledger().said(world.schema)
    assert all({one.annotator for one in said[item_id]} == {ANN, BOB} for item_id in again.values())
    assert outcome.round.learned_from == sum(one.purpose == "train" and one.round < 3 for one in world.questions())


def test_an_open_second_opinion_is_not_asked_for_again(world: World) -> None:
    truth, again = world.truth(), {one.item_id: one.about for one in world.questions() if one.about}
    for question in world.dataset.open_items():
        if question not in again:
            say(world, question, truth[question], BOB)

    world.tick(**RELABEL, loop__enough=0.5)

    about = [one.about for one in world.questions() if one.about]
    assert len(about) == len(set(about))


@pytest.mark.parametrize("belief", ["newest", "unanimous"])
def test_where_a_second_answer_could_not_help_it_refuses(tmp_path: Path, belief: str) -> None:
    made = World(tmp_path / "world")
    made.add(40)
    made.play(1)

    with pytest.raises(ConfigError, match=f"loop.belief = '{belief}'") as refused:
        made.tick(**{**RELABEL, "loop__belief": belief})

    assert 'belief = "weighted"' in refused.value.hint


def test_a_round_cut_off_while_asking_is_completed_with_its_second_opinions(taught: World) -> None:
    taught.dataset.fail_next_ask(BackendError("cut off", retryable=True), after=1)
    with pytest.raises(BackendError):
        taught.tick(**RELABEL)
    planned = {one.item_id for one in taught.questions() if one.state == "planned"}

    outcome = taught.tick(**RELABEL)

    assert isinstance(outcome.action, Finish)
    assert planned == set(taught.dataset.open_items())
    assert len([one for one in taught.questions() if one.about]) == taught.last().again > 0
    assert not [one for one in taught.questions() if one.state == "planned"]


def test_a_round_killed_once_it_is_planned_asks_its_second_opinions(taught: World) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(RoundBook, "plan", Moment(1).counting(RoundBook.plan))
        taught.tick(**RELABEL)

    taught.tick(**RELABEL)

    again = {one.item_id for one in taught.questions() if one.about}
    assert len(again) == taught.last().again > 0
    assert again <= set(taught.dataset.open_items())


def test_second_opinions_have_a_turn_at_once(world: World) -> None:
    turns = {one.item_id: one.turn for one in world.questions() if one.about}

    assert {turn.version for turn in turns.values() if turn} == {world.last().version}
    queue = world.dataset.queue()
    assert [item for item in queue if item in turns] == sorted(turns, key=lambda item: at(turns[item]))
    assert min(queue.index(item) for item in turns) < len(queue) - len(turns), "all of them come last"


def test_a_pipeline_brings_the_second_opinions_that_were_chosen(taught: World) -> None:
    with taught.loop(**RELABEL) as loop:
        proposal = loop.choosing.propose(loop.study(), 2, None)
        new = sync_new_data_to_label_studio(loop, proposal)
        again = sync_new_data_to_label_studio(loop, replace(proposal, refreshed=()))

    wanted = {one.question for one in proposal.opinions}
    assert wanted <= set(taught.dataset.open_items())
    assert (new, again) == (len(proposal.batch) + len(wanted), 0)
    assert (taught.last().again, taught.last().asked) == (len(wanted), new)
    assert wanted


def at(turn: Turn | None) -> float:
    assert turn
    return turn.at
