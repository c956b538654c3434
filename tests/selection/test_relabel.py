"""Asking again and asking anew are weighed on one scale."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from labelloop.errors import ConfigError
from labelloop.selection.names import selector_of
from labelloop.selection.relabel import Answered, Relabelling, again, relabel
from labelloop.selection.uncertainty import margin
from labelloop.types import Pool

NONE = np.nan


def sure(n: int, label: int = 0, of: int = 3) -> np.ndarray:
    likely = np.full((n, of), 0.02)
    likely[:, label] = 0.96
    return likely


def answered(votes: np.ndarray, likely: np.ndarray, *, suspect: bool = True) -> Answered:
    return Answered(votes, likely, np.full(len(votes), suspect))


def test_contradicted_answers_come_before_new_items_the_model_is_sure_of() -> None:
    votes = np.array([[0.0, NONE], [NONE, 1.0], [0.0, 0.0], [0.0, 1.0]])
    likely = np.array([[0.9, 0.05, 0.05], [0.9, 0.05, 0.05], [0.9, 0.05, 0.05], [0.4, 0.4, 0.2]])

    chosen = again(answered(votes, likely), sure(5), 2, 1.0)

    assert set(chosen) == {1, 3}


def test_new_items_the_model_knows_nothing_about_come_first() -> None:
    assert len(again(answered(np.zeros((10, 1)), sure(10)), np.full((5, 3), 1 / 3), 5, 1.0)) == 0


def test_at_most_the_share_of_a_batch_asks_again() -> None:
    wrong = answered(np.ones((10, 1)), sure(10))

    assert len(again(wrong, sure(20), 8, 0.25)) == 2
    assert len(again(wrong, sure(20), 8, 0.0)) == 0


def test_while_there_are_new_items_a_label_that_is_likely_right_is_left_alone() -> None:
    assert len(again(answered(np.ones((10, 1)), sure(10), suspect=False), sure(20), 8, 1.0)) == 0


def test_without_new_items_a_whole_batch_asks_again_and_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    votes = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 2.0], [1.0, NONE], [0.0, NONE]])

    assert len(again(answered(votes, np.full((5, 3), 1 / 3), suspect=False), np.empty((0, 3)), 4, 0.25)) == 4
    assert capsys.readouterr().out == ""


def test_somebody_who_answered_none_of_them_counts_for_nothing() -> None:
    votes = np.array([[0.0, NONE, 1.0], [1.0, NONE, 1.0], [0.0, NONE, 0.0]])

    chosen = again(answered(votes, sure(3)), sure(4), 3, 1.0)

    assert list(chosen) == list(again(answered(votes[:, [0, 2]], sure(3)), sure(4), 3, 1.0))


def test_as_a_selector_it_is_the_one_inside() -> None:
    form = selector_of("relabel(margin, 0.3)")
    assert isinstance(form, Relabelling)
    assert form.share == 0.3
    rng = np.random.default_rng(0)
    pool = Pool(rng.standard_normal((50, 4)), rng.dirichlet(np.ones(3), 50), np.empty((0, 4)))

    assert list(form(pool, 5, rng)) == list(margin(pool, 5, rng))


def test_a_share_that_is_none_and_a_missing_cleanlab_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"share of 1\.5"):
        relabel(margin, 1.5)
    monkeypatch.setitem(sys.modules, "cleanlab.multiannotator", None)
    with pytest.raises(ConfigError, match="needs cleanlab") as refused:
        again(answered(np.zeros((2, 1)), sure(2)), sure(2), 1, 1.0)
    assert refused.value.hint == "pip install 'labelloop[quality]'"
