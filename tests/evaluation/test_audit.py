"""The bet against labels that were taken unseen: false alarms are rare for good, and errors are found."""

from __future__ import annotations

import numpy as np
import pytest

from labelloop.evaluation.audit import ALPHA, audit, evidence


def test_nothing_checked_is_no_evidence() -> None:
    assert audit([], 0.02).evidence == 1.0
    assert audit([], 0.02).revoked_at is None


@pytest.mark.parametrize("error", [0.01, 0.05, 0.2])
def test_the_money_is_a_fair_bet_if_the_promise_just_holds(error: float) -> None:
    """What one more answer brings on average is nothing, wherever the bet stands."""
    rng = np.random.default_rng(0)
    for length in (0, 1, 7, 40):
        past = rng.random(length) < error
        now = evidence(past, error)[-1] if length else 1.0
        wrong, right = (evidence([*past, more], error)[-1] for more in (True, False))
        assert error * wrong + (1 - error) * right == pytest.approx(now)


def test_a_promise_that_holds_is_hardly_ever_revoked() -> None:
    rng = np.random.default_rng(1)
    revoked = sum(audit(rng.random(2000) < 0.05, 0.05).revoked_at is not None for _ in range(300))
    assert revoked <= 300 * ALPHA + 3 * np.sqrt(300 * ALPHA * (1 - ALPHA))


def test_twice_the_error_is_found_also_after_a_good_time() -> None:
    rng = np.random.default_rng(2)
    at_once = audit(rng.random(2000) < 0.1, 0.05)
    later = audit(np.concatenate([rng.random(300) < 0.02, rng.random(2500) < 0.1]), 0.05)
    assert at_once.revoked_at is not None
    assert at_once.revoked_at < 600
    assert later.revoked_at is not None
    assert later.revoked_at > 300


def test_wrong_answers_from_the_first_on_revoke_at_once() -> None:
    found = audit([True] * 5, 0.02)
    assert found.revoked_at is not None
    assert found.revoked_at <= 3
    assert (found.checked, found.wrong) == (5, 5)


def test_very_many_answers_are_still_a_number() -> None:
    assert np.isfinite(evidence(np.ones(2000, bool), 0.01)).all()
