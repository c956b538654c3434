"""Groups first: typical items, in groups where nothing was asked."""

from __future__ import annotations

import numpy as np
import pytest

from labelloop.errors import ConfigError
from labelloop.protocols import Selector
from labelloop.selection import SELECTORS
from labelloop.selection.clusters import typiclust
from labelloop.selection.coverage import coreset, probcover
from labelloop.testing.selector import a_pool
from labelloop.types import Pool


def on_sphere(points: np.ndarray) -> np.ndarray:
    made: np.ndarray = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    return made


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def five_groups(sizes: tuple[int, ...] = (100, 80, 60, 40, 20)) -> tuple[np.ndarray, np.ndarray]:
    """(embeddings of tight groups of these sizes, the group of each)."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    return on_sphere(np.eye(5, 8)[group] + 0.05 * np.random.default_rng(1).standard_normal((len(group), 8))), group


def five_labels(points: np.ndarray) -> np.ndarray:
    """A model that knows nothing but how many labels there are."""
    return np.full((len(points), 5), 0.2, np.float32)


@pytest.mark.parametrize("selector", [typiclust, probcover, coreset])
def test_the_first_batch_asks_once_in_every_group(selector: Selector) -> None:
    points, group = five_groups()

    chosen = selector(Pool(points, five_labels(points), points[:0]), 5, generator())

    assert sorted(group[chosen].tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("selector", [typiclust, probcover, coreset])
def test_groups_with_a_labelled_item_are_left_for_later(selector: Selector) -> None:
    points, group = five_groups()

    chosen = selector(Pool(points, five_labels(points), points[[0, 100, 180]]), 2, generator())

    assert sorted(group[chosen].tolist()) == [3, 4]


def test_the_typical_item_is_nearest_to_its_neighbours() -> None:
    rng = np.random.default_rng(2)
    spread = 0.3 * rng.standard_normal((60, 8))
    spread[:15] *= 0.1
    points = on_sphere(np.eye(1, 8) + spread)

    chosen = typiclust(Pool(points, None, points[:0]), 1, generator())

    similar = np.sort(points @ points.T, axis=1)[:, -21:-1]
    expected = np.sqrt(2 - 2 * similar).mean(axis=1).argmin()
    assert chosen.tolist() == [int(expected)]


def test_a_core_set_is_the_greedy_cover_of_the_farthest() -> None:
    pool = a_pool(300, d=8, labeled=4)
    distances = np.linalg.norm(pool.embeddings[:, None] - pool.labeled[None], axis=2).min(axis=1)
    plain = []
    for _ in range(25):
        plain.append(int(distances.argmax()))
        distances = np.minimum(distances, np.linalg.norm(pool.embeddings - pool.embeddings[plain[-1]], axis=1))

    chosen = coreset(pool, 25, generator())

    assert chosen.tolist() == plain


def test_a_core_set_keeps_few_at_hand_and_still_finds_the_farthest(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = a_pool(400, d=8, labeled=4)
    whole = coreset(pool, 100, generator())
    monkeypatch.setattr("labelloop.selection.coverage.FARTHEST", 30)

    chosen = coreset(pool, 100, generator())

    assert chosen.tolist() == whole.tolist()


def test_the_balls_of_probcover_hold_one_group_only() -> None:
    points, group = five_groups()
    pool = Pool(points, five_labels(points), points[:0])

    chosen = probcover(pool, 3, generator())

    assert group[chosen].tolist() == [0, 1, 2]


def test_once_everything_is_covered_probcover_asks_at_random() -> None:
    points, _ = five_groups()
    pool = Pool(points, five_labels(points), points[::5])

    drawn = {tuple(probcover(pool, 5, np.random.default_rng(seed)).tolist()) for seed in range(5)}

    assert len(drawn) > 1


@pytest.mark.parametrize("name", ["typiclust", "probcover", "coreset", "badge", "dropquery"])
def test_embeddings_that_are_not_numbers_are_refused_by_position(name: str) -> None:
    pool = a_pool(40)
    pool.embeddings[7, 0] = np.nan

    with pytest.raises(ConfigError, match="embedding of item 7"):
        SELECTORS[name](pool, 5, generator())


@pytest.mark.parametrize("name", sorted(SELECTORS))
def test_a_pool_larger_than_every_sample_is_chosen_from(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for constant in ("CANDIDATES", "REFERENCES", "FARTHEST", "PAIRS"):
        monkeypatch.setattr(f"labelloop.selection.coverage.{constant}", 64)
    for module, constants in {"clusters": ("CLUSTERED", "MEASURED"), "votes": ("SHARES", "CLUSTERED")}.items():
        for constant in constants:
            monkeypatch.setattr(f"labelloop.selection.{module}.{constant}", 64)
    monkeypatch.setattr("labelloop.selection.gradients.TURNS", 4)

    chosen = SELECTORS[name](a_pool(1000), 100, generator())

    assert len(set(chosen.tolist())) == 100
