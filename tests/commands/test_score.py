"""The scorecard of a loop, in words and as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from labelloop.commands.report import report_view
from labelloop.commands.score import Drift, bin_rows, in_words, label_rows, scorecard
from labelloop.errors import ConfigError
from labelloop.evaluation.intervals import fisher
from labelloop.report.page import render

from support.small_world import LABELS, World


def test_without_a_model_there_is_no_score(animals: World) -> None:
    animals.tick()

    with pytest.raises(ConfigError, match="there is no model yet"):
        scorecard(animals.loop())


def test_without_a_holdout_there_is_no_score(animals: World) -> None:
    for _ in range(2):
        animals.tick(holdout__share=0)
        animals.answer_all()

    with pytest.raises(ConfigError, match="nobody has answered a held-out question"):
        scorecard(animals.loop(holdout__share=0))


def test_a_small_loop_says_what_it_knows_and_what_it_does_not(animals: World) -> None:
    animals.play(5)
    before = animals.dump()

    card = scorecard(animals.loop())

    assert json.loads(json.dumps(card.as_dict(), allow_nan=False))["version"] == animals.last().version
    assert set(card.metrics.intervals) == {"wilson", "exact", "bootstrap"}
    assert card.drift is None
    assert not card.savings.known
    words = in_words(card)
    last = animals.last()
    brought = next(one for one in animals.ledger().rounds.all() if one.model == last.model)
    assert words.startswith(f"model                 {last.version}, learned from {brought.learned_from} answers")
    assert card.savings.learned_from == last.learned_from
    assert "drift                 not yet known" in words
    assert "saved against random  not yet known" in words
    assert sorted(row[0] for row in label_rows(card.metrics)) == sorted(LABELS)
    assert sum(int(row[2]) for row in bin_rows(card.metrics)) == card.metrics.n
    after = animals.dump()
    assert {name: after[name] for name in ("questions", "rounds", "annotations")} == {
        name: before[name] for name in ("questions", "rounds", "annotations")
    }


def test_with_more_answers_everything_is_known(world: World) -> None:
    world.add(240)
    settings = {"holdout__size": 80, "holdout__per_round": 40, "loop__batch": 20, "loop__random_share": 0.3}
    world.play(4, **settings)
    world.tick(**settings)

    card = scorecard(world.loop(**settings))

    assert card.naive.score is not None
    assert card.naive.n == world.last().learned_from
    assert 0 < card.naive.chosen < card.naive.n
    assert card.drift is not None
    assert card.drift.n_older + card.drift.n_newer == card.metrics.n
    assert card.savings.known


def test_the_report_shows_what_stands_behind_the_score(animals: World) -> None:
    animals.play(5)

    page = render(report_view(animals.loop()))

    assert "Behind the score" in page
    assert "saved against random" in page


def test_drift_is_said_when_the_halves_differ() -> None:
    assert "they differ" in Drift(0.9, 0.7, 100, 100, fisher(90, 100, 70, 100)).in_words()
    assert "no drift" in Drift(0.9, 0.88, 100, 100, fisher(90, 100, 88, 100)).in_words()


@pytest.mark.parametrize(("a", "m", "b", "n"), [(9, 10, 3, 10), (50, 100, 50, 100), (0, 5, 5, 5), (90, 100, 70, 100)])
def test_fishers_test_is_scipys(a: int, m: int, b: int, n: int) -> None:
    from scipy.stats import fisher_exact

    expected = fisher_exact(np.array([[a, m - a], [b, n - b]])).pvalue

    assert fisher(a, m, b, n) == pytest.approx(float(expected))
