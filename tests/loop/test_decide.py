"""What to do next is a pure function of the situation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labelloop.ledger.rounds import Round
from labelloop.loop.decide import Finish, Policy, Situation, Start, Stop, Wait, decide

FIRST = Round(1, "nothing has been asked yet", state="asked", asked=10, items=100)
ASKED = Situation(items=100, last=FIRST, waiting=10, closed=0, asked=10, asking_rounds=1)
LEARNED = replace(FIRST, number=2, asked=0, changes=10, room=0, stopped="the budget of 10 questions is spent")


@pytest.mark.parametrize(
    ("now", "policy", "action"),
    [
        (Situation(items=0), Policy(), Wait("there are no items yet: labelloop add FOLDER_OR_FILE")),
        (Situation(items=100), Policy(), Start(1, None, "nothing has been asked yet")),
        (Situation(items=100), Policy(budget=8), Start(1, 8, "nothing has been asked yet")),
        (
            replace(ASKED, last=replace(FIRST, state="planned")),
            Policy(),
            Finish(1, "round 1 was interrupted before its questions were confirmed"),
        ),
        (ASKED, Policy(), Wait("0 of 10 answers to round 1")),
        (replace(ASKED, closed=9), Policy(), Wait("9 of 10 answers to round 1")),
        (replace(ASKED, closed=9), Policy(enough=0.9), Start(2, None, "round 1 is answered")),
        (replace(ASKED, closed=10), Policy(), Start(2, None, "round 1 is answered")),
        (replace(ASKED, closed=10), Policy(budget=15), Start(2, 5, "round 1 is answered")),
        (replace(ASKED, closed=10), Policy(rounds=1), Start(2, 0, "round 1 is answered")),
        (replace(ASKED, waiting=0), Policy(), Start(2, None, "the questions of round 1 were deleted")),
        (
            replace(ASKED, last=LEARNED, waiting=0, changes=10),
            Policy(budget=10),
            Stop("the budget of 10 questions is spent"),
        ),
        (
            replace(ASKED, last=LEARNED, waiting=0, changes=11),
            Policy(budget=10),
            Start(3, 0, "answers or items have changed"),
        ),
        (
            replace(ASKED, last=LEARNED, waiting=0, changes=10, items=101),
            Policy(budget=10),
            Start(3, 0, "answers or items have changed"),
        ),
        (
            replace(ASKED, last=LEARNED, waiting=0, changes=10),
            Policy(budget=20),
            Start(3, 10, "there is room for more questions"),
        ),
    ],
)
def test_the_next_action_follows_from_the_situation(now: Situation, policy: Policy, action: object) -> None:
    assert decide(now, policy) == action


EAGER = Policy(batch=10, retrain_after=5)
OPEN = replace(ASKED, open=10)
CROWDED = replace(FIRST, number=2, asked=0, room=0, changes=5)
EXHAUSTED = replace(FIRST, number=3, asked=0, room=None, changes=10, stopped="every item has been asked")


@pytest.mark.parametrize(
    ("now", "policy", "action"),
    [
        (
            replace(OPEN, closed=4, open=6, changes=4),
            EAGER,
            Wait("4 of 10 answers to round 1; 4 of 5 new answers to learn from"),
        ),
        (replace(OPEN, closed=5, open=5, changes=5), EAGER, Start(2, 5, "5 new answers since round 1")),
        (
            replace(OPEN, closed=5, open=5, changes=5, asked=10),
            replace(EAGER, budget=12),
            Start(2, 2, "5 new answers since round 1"),
        ),
        (
            replace(OPEN, open=10, changes=5),
            EAGER,
            Start(2, 0, "5 new answers since round 1", crowded=True),
        ),
        (
            replace(OPEN, last=CROWDED, open=10, changes=6),
            EAGER,
            Wait("0 of 10 answers to round 1; 1 of 5 new answers to learn from"),
        ),
        (
            replace(OPEN, last=CROWDED, closed=10, open=0, changes=9),
            EAGER,
            Start(3, None, "there is room for more questions"),
        ),
        (
            replace(OPEN, closed=10, open=12, changes=2),
            EAGER,
            Wait("12 questions are open; 2 of 5 new answers to learn from"),
        ),
        (
            replace(OPEN, last=EXHAUSTED, closed=10, open=3, changes=12),
            EAGER,
            Wait("every item has been asked; 2 of 5 new answers to learn from"),
        ),
        (
            replace(OPEN, last=EXHAUSTED, closed=10, open=0, changes=15),
            EAGER,
            Start(4, None, "answers or items have changed"),
        ),
        (replace(OPEN, last=EXHAUSTED, closed=10, open=0, changes=10), EAGER, Stop("every item has been asked")),
        (
            replace(OPEN, closed=1, open=9, changes=1, since_round=50.0),
            Policy(batch=10, retrain_every=60.0),
            Wait("1 of 10 answers to round 1; learning from 1 new answer(s) in 10 s", 10.0),
        ),
        (
            replace(OPEN, since_round=100.0),
            Policy(batch=10, retrain_every=60.0),
            Wait("0 of 10 answers to round 1"),
        ),
        (
            replace(OPEN, closed=1, open=9, changes=1, since_round=61.0),
            Policy(batch=10, retrain_every=60.0),
            Start(2, 1, "1 new answer(s), and round 1 began 61 s ago"),
        ),
        (
            replace(ASKED, closed=10, changes=10, since_round=20.0),
            Policy(cool_down=60.0),
            Wait("round 1 is answered; cooling down for 40 s after round 1", 40.0),
        ),
        (
            replace(ASKED, closed=10, changes=10, since_round=60.0),
            Policy(cool_down=60.0),
            Start(2, None, "round 1 is answered"),
        ),
        (
            replace(ASKED, closed=10, changes=10, since_newest=2.0, since_first=9.0),
            Policy(debounce=5.0),
            Wait("round 1 is answered; waiting for 3 s without another answer", 3.0),
        ),
        (
            replace(ASKED, closed=10, changes=10, since_newest=5.0, since_first=9.0),
            Policy(debounce=5.0),
            Start(2, None, "round 1 is answered"),
        ),
        (
            replace(ASKED, closed=10, changes=10, since_newest=0.0, since_first=50.0),
            Policy(debounce=5.0),
            Start(2, None, "round 1 is answered"),
        ),
    ],
)
def test_it_learns_early_and_keeps_its_pauses(now: Situation, policy: Policy, action: object) -> None:
    assert decide(now, policy) == action
