"""BADGE without its gradients, and DropQuery without its model: the same as with them."""

from __future__ import annotations

import numpy as np
import pytest

from labelloop.errors import ConfigError
from labelloop.selection import SELECTORS
from labelloop.selection.gradients import badge, squared_distances
from labelloop.selection.votes import dropquery, linear_head
from labelloop.testing.selector import a_pool
from labelloop.types import Pool


def gradients(pool: Pool) -> np.ndarray:
    """(n, k d) gradients of the loss of the model's own answer, as the paper makes them."""
    assert pool.probabilities is not None
    outputs = pool.probabilities.copy()
    if pool.multiple:
        outputs -= outputs > 0.5
    else:
        outputs[np.arange(len(outputs)), outputs.argmax(axis=1)] -= 1
    made: np.ndarray = (outputs[:, :, None] * pool.embeddings[:, None, :]).reshape(len(pool), -1)
    return made


@pytest.mark.parametrize("multiple", [False, True])
def test_distances_are_those_of_the_gradients(multiple: bool) -> None:
    pool = a_pool(50, multiple=multiple)
    plain = gradients(pool)
    lengths = np.square(plain).sum(axis=1)

    found = squared_distances(pool, slice(0, 50), [3, 17, 40], lengths)

    assert found == pytest.approx(np.square(plain[:, None] - plain[[3, 17, 40]][None]).sum(axis=2), abs=1e-5)


def test_the_longest_gradient_comes_first() -> None:
    pool = a_pool(200)

    chosen = badge(pool, 5, np.random.default_rng(0))

    assert chosen[0] == np.square(gradients(pool)).sum(axis=1).argmax()


def test_the_second_is_drawn_in_proportion_to_its_squared_distance() -> None:
    pool = a_pool(8)
    plain = gradients(pool)
    first = int(np.square(plain).sum(axis=1).argmax())
    wanted = np.square(plain - plain[first]).sum(axis=1)
    wanted /= wanted.sum()

    drawn = np.bincount([badge(pool, 2, np.random.default_rng(seed))[1] for seed in range(1200)], minlength=8) / 1200

    assert drawn == pytest.approx(wanted, abs=0.06)


def test_the_third_is_drawn_as_a_pass_after_every_centre_would(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = a_pool(8)
    shares = []
    for turns in (1, 32):
        monkeypatch.setattr("labelloop.selection.gradients.TURNS", turns)
        third = [badge(pool, 3, np.random.default_rng(seed))[2] for seed in range(1200)]
        shares.append(np.bincount(third, minlength=8) / 1200)

    assert shares[0] == pytest.approx(shares[1], abs=0.06)


@pytest.mark.parametrize("name", ["badge", "dropquery"])
def test_a_model_is_needed(name: str) -> None:
    pool = a_pool(10)

    with pytest.raises(ConfigError, match="there is no model yet"):
        SELECTORS[name](Pool(pool.embeddings, None, pool.labeled), 2, np.random.default_rng(0))


def test_a_linear_head_is_read_back_from_what_it_says() -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((400, 12)).astype(np.float32)
    weights, bias = rng.standard_normal((12, 3)), rng.standard_normal(3)
    logits = points @ weights + bias
    said = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    found, constant = linear_head(Pool(points, said.astype(np.float32), points[:0]), rng)

    assert found == pytest.approx(weights - weights.mean(axis=1, keepdims=True), abs=1e-3)
    assert constant == pytest.approx(bias - bias.mean(), abs=1e-3)


def test_items_on_which_the_model_contradicts_itself_come_first() -> None:
    rng = np.random.default_rng(0)
    side = np.where(np.arange(300) < 270, 1.0, 0.02)[:, None] * rng.choice([-1, 1], (300, 1))
    points = np.concatenate([side.repeat(32, axis=1), rng.standard_normal((300, 32))], axis=1)
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    logits = 40 * points[:, :32].mean(axis=1) + 0.6 * points[:, 32:].sum(axis=1)
    first = 1 / (1 + np.exp(-logits))
    pool = Pool(points, np.stack([first, 1 - first], axis=1).astype(np.float32), points[:0])

    chosen = dropquery(pool, 12, rng)

    assert sum(chosen >= 270) >= 10
