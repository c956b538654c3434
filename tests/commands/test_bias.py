"""What the guess does to people: which one they saw, who followed it, and when nothing can be said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from labelloop.commands.bias import Reply, Side, bias, compared, shown_at
from labelloop.kinds.labels import names_of, regions_of
from labelloop.ledger.questions import Asking
from labelloop.ledger.rounds import Guessed
from labelloop.loop.round_steps import partly_blind
from labelloop.types import Prediction

from support.small_world import SCHEMA, World

LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
CAT = tuple(regions_of(SCHEMA, ["cat"]))


def replies(side: Side, accepted: int, rejected: int, seconds: float = 2.0, round: int = 2) -> list[Reply]:
    right = [Reply(side, round, ("cat",), ("cat",), seconds + i / 100) for i in range(accepted)]
    return right + [Reply(side, round, ("dog",), ("cat",), seconds) for _ in range(rejected)]


def guessed(planned: int, sent: int | None, version: str, *, shown: bool = True) -> Guessed:
    at = [LONG_AGO + timedelta(seconds=one) if one is not None else None for one in (planned, sent)]
    assert at[0] is not None
    return Guessed(planned, shown, CAT, version, at[0], at[1])


def test_people_who_follow_the_guess_are_found_with_an_interval() -> None:
    found = compared(replies("assisted", 190, 10, 1.0) + replies("blind", 120, 80, 3.0))

    assert found.assisted.agreement == 0.95
    assert found.anchoring is not None
    share, low, high = found.anchoring
    assert share == pytest.approx(0.35)
    assert 0.25 < low < share < high < 0.45
    assert found.speed is not None
    assert found.speed[0] < found.speed[2] < 0.9
    assert "people follow the guess" in found.in_words()


def test_the_difference_is_newcombes() -> None:
    found = compared(replies("assisted", 56, 14) + replies("blind", 48, 32))

    assert found.anchoring == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-4)  # Newcombe 1998, table II, example (a)


def test_few_answers_show_no_difference_and_none_are_asked_for() -> None:
    assert (
        "no difference that these answers could show"
        in compared(replies("assisted", 9, 1) + replies("blind", 4, 1)).in_words()
    )
    alone = compared(replies("assisted", 9, 1))
    assert alone.anchoring is None
    assert "set blind_share = 0.1" in alone.in_words()


def test_only_rounds_with_blind_questions_are_compared() -> None:
    found = compared(replies("assisted", 5, 5, round=1) + replies("assisted", 4, 0) + replies("blind", 3, 1))

    assert (found.assisted.answers, found.blind.answers) == (4, 4)


def test_edits_share_a_label_and_skips_count_apart() -> None:
    some = [Reply("assisted", 2, ("cat", "dog"), ("cat",), 1.0), Reply("assisted", 2, None, ("cat",), None)]

    arm = compared(some).assisted

    assert (arm.answers, arm.skipped, arm.accepted, arm.edited, arm.rejected) == (2, 1, 0, 1, 0)


@pytest.mark.parametrize(
    ("opened", "version"),
    [(5, None), (15, None), (25, "a"), (35, None), (45, "b")],
    ids=["before", "while the first was sent", "first", "while the second was sent", "second"],
)
def test_the_guess_that_was_there_is_known_or_left_open(opened: int, version: str | None) -> None:
    found = shown_at([guessed(10, 20, "a"), guessed(30, 40, "b")], LONG_AGO + timedelta(seconds=opened))

    assert (found.version if found else None) == version


def test_a_guess_that_was_perhaps_never_sent_is_left_open() -> None:
    assert shown_at([guessed(10, None, "a")], LONG_AGO + timedelta(seconds=99)) is None


def test_chance_alone_makes_questions_blind() -> None:
    batch = [Asking(str(i), "train", "why", prediction=Prediction(str(i), CAT, 0.5, "m")) for i in range(400)]

    drawn = partly_blind([*batch, Asking("h", "holdout", "blind")], 0.25, np.random.default_rng(0))

    blind = [one for one in drawn if one.purpose == "blind"]
    assert 70 < len(blind) < 130
    assert all(one.prediction is None and one.hidden is not None for one in blind)
    assert [one.item_id for one in drawn[:-1]] == [one.item_id for one in batch]
    assert drawn[-1].purpose == "holdout"
    assert partly_blind(batch, 0.0, np.random.default_rng(0)) == batch


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Four rounds, the first without a model; half of the others blind; people take what they see, else the truth."""
    made = World(tmp_path / "world", clock=lambda: LONG_AGO)
    made.add(60)
    truth = made.truth()
    for _ in range(4):
        made.tick(loop__blind_share=0.5, loop__batch=8)
        for item_id in made.dataset.open_items():
            seen = made.dataset.prediction(item_id)
            made.answer(item_id, names_of(SCHEMA, seen.regions)[0] if seen else truth[item_id])
    made.tick(loop__blind_share=0.5, loop__budget=1)
    return made


def test_blind_questions_show_no_guess_and_are_learned_from(world: World) -> None:
    blind = [one for one in world.questions() if one.purpose == "blind"]

    assert blind
    assert all(one.prediction is None and world.dataset.prediction(one.item_id) is None for one in blind)
    trained = [one for one in world.questions() if one.purpose in ("train", "blind")]
    assert world.last().learned_from == len(trained)


def test_the_guess_is_known_on_both_sides(world: World) -> None:
    loop = world.loop()
    found = bias(loop)

    asked = [one for one in world.questions() if one.round > 1]
    assert found.blind.answers == sum(one.purpose == "blind" for one in asked)
    assert found.assisted.answers == sum(one.purpose == "train" for one in asked)
    assert found.assisted.agreement == 1.0
    assert found.unknown == 0
    assert all(
        not one.shown for item in asked if item.purpose == "blind" for one in loop.ledger.rounds.guesses()[item.item_id]
    )


def test_a_blind_question_that_stays_open_stays_blind(tmp_path: Path) -> None:
    made = World(tmp_path / "open", clock=lambda: LONG_AGO)
    made.add(60)
    made.tick()
    made.answer_all()
    made.tick(loop__blind_share=1.0)
    (waiting, *others) = [one.item_id for one in made.questions() if one.purpose == "blind"]
    for item_id in [one for one in made.dataset.open_items() if one != waiting]:
        made.answer(item_id, made.truth()[item_id])

    made.tick(loop__enough=0.5, loop__retrain_after=1)

    assert others
    assert made.dataset.prediction(waiting) is None
    history = made.ledger().rounds.guesses()[waiting]
    assert [one.shown for one in history] == [False] * len(history)
    assert len({one.version for one in history}) == len(history) == 2


@pytest.mark.parametrize(
    ("stretches", "shown"),
    [
        ([], True),
        ([(0, 9, True)], True),
        ([(0, 9, False)], False),
        ([(0, 3, True), (4, 9, False)], False),
        ([(0, 3, False), (4, 9, True)], True),
        ([(0, 3, True), (7, 9, False)], False),
        ([(0, 3, True), (7, 9, True)], True),
        ([(6, 9, False)], True),
        ([(0, 3, True)], False),
    ],
)
def test_whether_guesses_were_seen_at_a_time_is_known_from_looks_before_and_after(
    tmp_path: Path, stretches: list[tuple[int, int, bool]], shown: bool
) -> None:
    answers = World(tmp_path / "seen").ledger().answers
    for first, last, seen in stretches:
        for at in (first, last):
            answers.note_seen(seen, LONG_AGO + timedelta(seconds=at))

    assert answers.seen_at()(LONG_AGO + timedelta(seconds=5)) is shown


def test_an_answer_that_was_given_while_guesses_were_hidden_is_never_counted_as_assisted(world: World) -> None:
    loop = world.loop()
    before = bias(loop)
    for year in (2000, 2100):
        loop.ledger.answers.note_seen(False, datetime(year, 1, 1, tzinfo=UTC))

    found = bias(loop)

    assert before.assisted.answers > 0
    assert (found.assisted.answers, found.unknown) == (0, before.assisted.answers)
    assert found.blind == before.blind
    assert "guesses were hidden" in found.in_words()
