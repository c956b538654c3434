"""Labels that are likely wrong are asked about again, blind; what others say is believed, kept and counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labelloop.commands.label_errors import ask, find, report
from labelloop.commands.labels import relabel
from labelloop.commands.ml_backend import PredictionService
from labelloop.errors import BackendError, ConfigError
from labelloop.kinds.label_changes import remove
from labelloop.kinds.labels import names_of, regions_of
from labelloop.loop.decide import Wait

from support.small_world import LABELS, NAME, World

ANN, BOB = "ann@example.com", "bob@example.com"
WRONG = 3


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Forty texts answered by Ann, three of them wrongly, and heard; nothing is left to ask."""
    made = World(tmp_path / "world")
    made.add(60)
    made.tick(loop__batch=40)
    truth, waiting = made.truth(), made.dataset.open_items()
    train = [one.item_id for one in made.questions() if one.purpose == "train"]
    for item_id in waiting:
        wrong = item_id in train[:WRONG]
        made.answer(item_id, other(truth[item_id]) if wrong else truth[item_id])
    made.tick(loop__batch=40, loop__budget=44)
    return made


def other(label: str) -> str:
    return LABELS[(LABELS.index(label) + 1) % len(LABELS)]


def wrong_ones(world: World) -> set[str]:
    truth, said = world.truth(), world.ledger().said(world.schema)
    return {item for item, (one,) in said.items() if names_of(world.schema, one.regions) != (truth[item],)}


def opine(world: World, question: str, label: str, who: str = BOB) -> str:
    return world.people.answer(NAME, question, regions_of(world.schema, [label]), who)


def asked(world: World) -> list[str]:
    return [one.item_id for one in world.questions() if one.purpose == "opinion"]


def test_the_wrong_labels_are_found_with_what_they_should_be(world: World) -> None:
    found = find(world.loop())

    truth = world.truth()
    assert {one.item_id for one in found[:WRONG]} == wrong_ones(world)
    for one in found[:WRONG]:
        assert one.suggested == (truth[one.item_id],)
        assert one.given == (other(truth[one.item_id]),)
        assert one.by == (ANN,)
        assert truth[one.item_id] in one.why


def test_answers_of_the_holdout_are_never_suspected(world: World) -> None:
    held_out = [one.item_id for one in world.questions() if one.purpose == "holdout"]
    for item_id in held_out:
        world.answer(item_id, other(world.truth()[item_id]))
    world.loop().hear()

    assert not {one.item_id for one in find(world.loop())} & set(held_out)


def test_suspects_become_blind_questions_of_their_own(world: World) -> None:
    done = ask(world.loop(), WRONG)

    assert (done.asked, done.open, done.people) == (WRONG, WRONG, (ANN,))
    items = {one.item_id: one.about for one in world.questions() if one.purpose == "opinion"}
    assert set(items.values()) == wrong_ones(world)
    for question, item_id in items.items():
        assert world.dataset.prediction(question) is None
        assert world.dataset.url(question) != world.dataset.url(item_id)
    assert set(world.dataset.open_items()) == set(items)


def test_asking_again_changes_nothing_until_they_are_answered(world: World) -> None:
    ask(world.loop(), WRONG)
    before = world.dump()

    again = ask(world.loop(), WRONG)

    assert (again.asked, again.open) == (0, WRONG)
    assert world.dump() == before
    opine(world, asked(world)[0], "cat")
    assert ask(world.loop(), WRONG).open <= WRONG
    assert len(set(asked(world))) == len(asked(world))


def test_a_call_that_was_cut_off_is_completed_and_doubles_nothing(world: World) -> None:
    world.dataset.fail_next_ask(BackendError("cut off", retryable=True), after=1)
    with pytest.raises(BackendError):
        ask(world.loop(), WRONG)
    planned = set(asked(world))

    done = ask(world.loop(), WRONG)

    assert done.open == WRONG
    assert set(asked(world)) == planned == set(world.dataset.open_items())


def test_what_a_call_that_was_cut_off_has_left_is_sent_by_the_next_tick(world: World) -> None:
    world.dataset.fail_next_ask(BackendError("cut off", retryable=True), after=1)
    with pytest.raises(BackendError):
        ask(world.loop(), WRONG)

    outcome = world.tick(loop__batch=4)

    assert outcome.lost == 0
    assert {one.state for one in world.questions() if one.purpose == "opinion"} == {"asked"}
    assert set(asked(world)) <= set(world.dataset.open_items())


def test_second_opinions_have_a_turn_at_once_among_the_open_questions(world: World) -> None:
    world.tick(loop__batch=20)

    ask(world.loop(), WRONG)

    opinions = [one for one in world.questions() if one.purpose == "opinion"]
    assert {one.turn.version for one in opinions if one.turn} == {world.last().version}
    queue = world.dataset.queue()
    assert max(queue.index(one.item_id) for one in opinions) < len(queue) - WRONG


def test_where_people_get_questions_as_they_were_asked_second_opinions_have_no_turn(world: World) -> None:
    ask(world.loop(loop__queue="asked"), WRONG)

    assert not any(one.turn for one in world.questions() if one.purpose == "opinion")


def test_a_round_neither_waits_for_second_opinions_nor_loses_them(world: World) -> None:
    ask(world.loop(), WRONG)

    outcome = world.tick(loop__batch=4)

    assert outcome.lost == 0
    assert outcome.round is not None
    assert outcome.round.asked > 0
    assert isinstance(world.tick(loop__batch=4).action, Wait)
    assert {one.state for one in world.questions() if one.purpose == "opinion"} == {"asked"}


def test_the_verdict_of_somebody_else_is_believed_and_the_history_kept(world: World) -> None:
    ask(world.loop(), WRONG)
    truth = world.truth()
    items = {one.item_id: one.about for one in world.questions() if one.purpose == "opinion"}
    for question, item_id in items.items():
        opine(world, question, truth[item_id])
    loop = world.loop()
    loop.hear()

    for item_id in items.values():
        said = loop.ledger.said(loop.schema)[item_id]
        assert [one.annotator for one in said] == [ANN, BOB]
        known = loop.learning.snapshots.know(loop.ledger.items.columns())
        row = list(known.columns.ids).index(item_id)
        assert LABELS[int(known.targets[row].argmax())] == truth[item_id]
        past = loop.ledger.answers.past(item_id)
        assert [one.annotator for one in past] == [ANN, BOB]


def test_the_policy_decides_about_verdicts_too(world: World) -> None:
    ask(world.loop(), WRONG)
    (first, *_) = [one for one in world.questions() if one.purpose == "opinion"]
    opine(world, first.item_id, world.truth()[first.about])
    loop = world.loop(loop__belief="unanimous")
    loop.hear()

    known = loop.learning.snapshots.know(loop.ledger.items.columns())

    assert not known.believed[list(known.columns.ids).index(first.about)]


def test_the_report_counts_independent_verdicts_with_an_interval(world: World) -> None:
    ask(world.loop(), WRONG)
    truth, questions = world.truth(), [one for one in world.questions() if one.purpose == "opinion"]
    opine(world, questions[0].item_id, truth[questions[0].about])
    opine(world, questions[1].item_id, other(truth[questions[1].about]))
    opine(world, questions[2].item_id, truth[questions[2].about], ANN)
    loop = world.loop()
    loop.hear()

    told = report(loop).as_dict()

    assert told["questions"] == {"answered": 3}
    assert (told["independent"], told["same_person"], told["overturned"], told["as_suggested"]) == (2, 1, 1, 1)
    assert told["precision"] == 0.5
    assert told["low"] < 0.5 < told["high"]
    words = report(loop).in_words()
    assert "precision         0.50" in words
    assert "1 verdict(s) of people who judged their own answer" in words


def test_without_a_verdict_there_is_no_precision(world: World) -> None:
    assert report(world.loop()).as_dict()["precision"] is None
    assert "unknown" in report(world.loop()).in_words()


def test_a_verdict_in_a_label_that_is_gone_is_set_aside(world: World) -> None:
    ask(world.loop(), 1)
    (one,) = [one for one in world.questions() if one.purpose == "opinion"]
    opine(world, one.item_id, world.truth()[one.about])
    world.loop().hear()

    relabel(world.loop(), lambda schema, history: remove(schema, history, [world.truth()[one.about]]))
    world.schema = world.loop().schema
    told = report(world.loop())

    assert (len(told.verdicts), told.unreadable) == (0, 1)
    assert "1 verdict(s) in labels that are gone" in told.in_words()


def test_the_ml_backend_gives_no_hint_on_a_second_opinion(world: World) -> None:
    ask(world.loop(), 1)
    loop = world.loop()
    (one,) = [one for one in world.questions() if one.purpose == "opinion"]
    known = loop.ledger.items.get([one.about])[one.about]

    answers = PredictionService(world.loop, lambda item: item.text.encode()).answer(
        [known, replace(known, id=one.item_id)]
    )

    assert [answer is None for answer in answers] == [False, True]


def test_before_anything_was_asked_and_for_none_it_refuses(tmp_path: Path) -> None:
    empty = World(tmp_path / "empty")
    with pytest.raises(ConfigError, match="nothing has been asked yet"):
        ask(empty.loop(), 5)
    with pytest.raises(ConfigError, match="0 second opinions"):
        ask(empty.loop(), 0)
