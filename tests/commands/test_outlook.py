"""Advice, forecast and budgets of a whole loop."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from labelloop.cli import cli
from labelloop.commands.forecast import outlook, plot
from labelloop.commands.status import status_as_dict, status_in_words
from labelloop.errors import ConfigError
from labelloop.evaluation.stopping import advice_in
from labelloop.ledger.rounds import Round
from labelloop.loop.decide import Policy, Situation, Start, Stop, Wait, decide
from labelloop.loop.loop import Loop

from support.small_world import SCHEMA, World

RISING = (0.5, 0.62, 0.7, 0.75, 0.79)
RESTING = (0.90, 0.91, 0.91, 0.91, 0.91, 0.91, 0.91, 0.91)


def told(loop: Loop, scores: tuple[float, ...]) -> None:
    """Write rounds down that had these scores."""
    for number, score in enumerate(scores, start=1):
        made = Round(
            number,
            "as planned",
            learned_from=50 * number,
            model=f"m{number}",
            version=f"m{number}",
            metrics={"score": score, "n": 400, "score_name": "accuracy"},
            labels=SCHEMA.labels,
            notes={"advice": {"stop": False, "words": "go on: it pays", "signals": {}}},
        )
        loop.ledger.rounds.plan(made, [], loop.now())
        loop.ledger.rounds.confirm(made, {})


def test_before_there_are_scores_there_is_no_forecast(world: World) -> None:
    loop = world.loop()
    told(loop, RISING[:2])
    found = outlook(loop, 0.9)
    assert found.in_words() == "no forecast yet: 2 round(s) with a score on the holdout, 3 are needed"
    assert found.as_dict()["needed"] is None
    with pytest.raises(ConfigError, match="no forecast yet"):
        plot(found)


def test_the_forecast_says_what_more_answers_bring_and_what_a_target_needs(world: World) -> None:
    loop = world.loop(loop__batch=50, loop__budget=300)
    told(loop, RISING)
    found = outlook(loop, 0.9)
    lines = found.in_words().splitlines()
    assert lines[0] == "now       accuracy 0.790 from 250 answers, on 400 held out"
    assert lines[1].startswith("+50 ")
    assert "+300" in found.in_words() and "when the budget is spent" in found.in_words()
    assert lines[-2].startswith("target    about ")
    assert lines[-1] == "advice    go on: it pays"
    needed = found.needed
    assert needed is not None and 0 < needed.low < needed.middle
    assert json.loads(json.dumps(found.as_dict()))["needed"]["middle"] == round(needed.middle)


def test_targets_that_are_there_or_out_of_reach_are_said_to_be(world: World) -> None:
    loop = world.loop()
    told(loop, RESTING)
    assert "0.5 is reached" in outlook(loop, 0.5).in_words()
    assert "0.999 will probably not be reached" in outlook(loop, 0.999).in_words()
    assert math.isinf(outlook(loop, 0.999).needed.middle)  # type: ignore[union-attr]


@pytest.mark.parametrize("target", [0.0, 1.0, 90.0])
def test_a_target_that_is_no_share_is_refused(world: World, target: float) -> None:
    with pytest.raises(ConfigError, match="not between 0 and 1"):
        outlook(world.loop(), target)


def test_the_command_prints_and_draws(world: World) -> None:
    loop = world.loop()
    told(loop, RISING)
    loop.ledger.close()
    picture = world.root / "forecast.svg"
    result = CliRunner().invoke(
        cli, ["-C", str(world.root), "forecast", "--target", "0.85", "--plot", str(picture)], catch_exceptions=False
    )
    assert "to reach 0.85" in result.output
    assert picture.read_bytes().startswith(b"<?xml")


def test_a_round_with_a_model_advises_and_the_status_shows_it(animals: World) -> None:
    animals.play(3)
    animals.tick()
    advice = advice_in(animals.last().notes)
    assert advice["stop"] is False
    assert set(advice["signals"]) == {"stable", "flat", "spent"}
    assert f"advice    {advice['words']}" in status_in_words(animals.loop()).splitlines()
    assert status_as_dict(animals.loop())["advice"] == advice


def test_a_loop_that_follows_advice_stops_and_says_why(animals: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signals are made easy to please; the models of this little world are all alike."""
    monkeypatch.setattr("labelloop.evaluation.stopping.FEWEST_HELD_OUT", 1)
    settings = {"loop__stop_on_advice": True, "loop__batch": 3}
    animals.add(60, 40)
    for _ in range(20):
        outcome = animals.tick(**settings)
        if isinstance(outcome.action, Stop):
            break
        animals.answer_all()
    assert isinstance(outcome.action, Stop)
    assert outcome.action.reason.startswith("more labels would hardly help: the last 4 models agree")
    assert len(animals.questions()) < 100, "it stopped before everything was asked"
    more = animals.tick(**{**settings, "loop__stop_on_advice": False})
    assert isinstance(more.action, Start), "who wants more sets the setting back"


def test_advice_is_only_advice_unless_it_is_followed() -> None:
    last = Round(1, "", "asked", asked=10, items=100, notes={"advice": {"stop": True, "words": "enough"}})
    now = Situation(items=100, last=last, waiting=10, closed=10, asked=10, asking_rounds=1)
    assert decide(now, Policy()) == Start(2, None, "round 1 is answered")
    assert decide(now, Policy(stop_on_advice=True)) == Start(2, 0, "round 1 is answered")
    stopped = replace(last, asked=0, room=0, stopped="enough")
    assert decide(replace(now, last=stopped), Policy(stop_on_advice=True)) == Stop("enough")


def test_what_hours_and_money_allow_is_what_is_asked() -> None:
    last = Round(1, "", "asked", asked=10, items=100)
    now = Situation(items=100, last=last, waiting=10, closed=10, asked=10, asking_rounds=1, affordable=4)
    assert decide(now, Policy()) == Start(2, 4, "round 1 is answered")
    assert decide(now, Policy(budget=12)) == Start(2, 2, "round 1 is answered")
    assert isinstance(decide(replace(now, closed=3), Policy()), Wait)


def test_a_loop_ends_when_its_money_is_spent(animals: World) -> None:
    settings = {"budget__money": 2.5, "budget__per_label": 0.1}
    for _ in range(8):
        outcome = animals.tick(**settings)
        if isinstance(outcome.action, Stop):
            break
        animals.answer_all()
    assert outcome.action == Stop("the budget is spent: 2.50 of 2.5 in money")
    assert len(animals.questions()) == 25
    assert "spent     2.50 of 2.5 in money" in status_in_words(animals.loop(**settings)).splitlines()


def test_money_without_a_price_is_refused_before_anything_is_done(animals: World) -> None:
    with pytest.raises(ConfigError, match="nothing has a price"):
        animals.loop(budget__money=5)


def test_the_same_tick_again_computes_nothing_anew(animals: World, tmp_path: Path) -> None:
    animals.play(4)
    before = animals.dump()
    animals.tick()
    after = animals.dump()
    assert before["rounds"] != after["rounds"]
    animals.tick()
    assert animals.dump() == after
