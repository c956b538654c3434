"""Pools made from templates are parted: no group is too large, near duplicates stay together, a holdout exists."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from labelloop.commands.add import add_items
from labelloop.data.duplicates import LARGEST, Leaders, largest_group, text_fingerprint
from labelloop.data.sources import Columns
from labelloop.evaluation import metrics
from labelloop.evaluation.holdout import EARLY, Draw, early_of, held_out
from labelloop.ledger import open_ledger
from labelloop.simulate.labelled import read_labelled

from support.templates import KINDS, Made, frames, letters

DRAWS = 100


@cache
def pool(kind: str) -> tuple[Made, Mapping[str, str]]:
    """A pool of this kind, and the group of each item."""
    made = KINDS[kind](np.random.default_rng(8), 250)
    return made, made.groups()


@pytest.mark.parametrize("kind", KINDS)
def test_a_pool_from_a_template_is_parted_and_near_duplicates_stay_together(kind: str) -> None:
    made, groups = pool(kind)

    members = np.unique(list(groups.values()), return_counts=True)[1]
    apart = [one for one, other in made.twins.items() if groups[one] != groups[other]]
    assert members.max() <= largest_group(len(groups))
    assert len(members) > 0.8 * (len(groups) - len(made.twins))
    assert apart == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_holdout_can_be_drawn_and_no_near_duplicate_stands_on_both_sides(kind: str) -> None:
    made, groups = pool(kind)
    row = {item: place for place, item in enumerate(groups)}
    ours, theirs = (np.array([row[one] for one in some]) for some in zip(*made.twins.items(), strict=True))

    drawn = [held_out(list(groups.values()), 0.1, f"{salt}") for salt in range(DRAWS)]

    assert min(held.sum() for held in drawn) >= 10
    assert not np.any([held[ours] != held[theirs] for held in drawn])


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_the_next_picture_of_a_camera_finds_the_last_one_before_any_scene_and_whoever_leads(seed: int) -> None:
    made = frames(np.random.default_rng(seed), 250)
    groups = made.groups()

    assert [one for one, other in made.twins.items() if groups[one] != groups[other]] == []
    assert len(set(groups.values())) > 0.95 * (len(groups) - len(made.twins))


def test_a_picture_that_comes_later_finds_its_copy_among_those_that_follow(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "frames")
    made = frames(np.random.default_rng(3), 60)
    (tmp_path / "seen").mkdir()
    for part in (list(made.pictures)[::2], list(made.pictures)[1::2]):
        for name in part:
            (tmp_path / "seen" / f"{name}.jpg").write_bytes(made.pictures[name])
        add_items(ledger, [str(tmp_path / "seen")], "image", Columns())

    columns = ledger.items.columns()
    items = ledger.items.get(list(columns.ids))
    group = {unquote(Path(items[one].uri).stem): columns.groups[row] for row, one in enumerate(columns.ids)}
    assert [one for one, other in made.twins.items() if group[one] != group[other]] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_interval_holds_the_true_score_on_a_pool_from_a_template(kind: str) -> None:
    made, groups = pool(kind)
    leaders = np.array(list(groups.values()))
    right = _model(made)
    truth = float(right.mean())

    held = [_covers(leaders, right, f"{salt}", truth) for salt in range(DRAWS)]

    assert np.mean(held) >= 0.93


def _model(made: Made) -> np.ndarray:
    """(n,) bool: a model that is right about four of five items, and about an item as about its near duplicate."""
    rng = np.random.default_rng(3)
    right = {one: bool(rng.random() < 0.8) for one in made.labels}
    return np.array([right[made.twins.get(one, one)] for one in made.fingerprints])


def _covers(groups: np.ndarray, right: np.ndarray, salt: str, truth: float) -> bool:
    held = held_out(groups, 0.2, salt)
    targets = np.tile([True, False], (int(held.sum()), 1))
    said = np.where(right[held][:, None], [0.9, 0.1], [0.1, 0.9]).astype(np.float32)
    score = metrics.evaluate(said, targets, ("a", "b"), multiple=False, groups=groups[held])
    assert score.low is not None
    assert score.high is not None
    return score.low <= truth <= score.high


def test_a_group_that_is_full_takes_no_more_even_of_the_very_same() -> None:
    fingerprint = text_fingerprint("thank you for your answer of last week, we are looking forward to the next")
    leaders = Leaders()

    groups = leaders.group([(f"{i}", fingerprint) for i in range(100)])

    assert np.unique(list(groups.values()), return_counts=True)[1].max() == LARGEST


def test_letters_that_come_one_by_one_are_parted_as_well(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "letters")
    made = letters(np.random.default_rng(1), 60)
    for number, text in enumerate(made.texts.values()):
        (tmp_path / f"{number}.txt").write_text(text)
        add_items(ledger, [str(tmp_path / f"{number}.txt")], "text", Columns())

    sizes = np.unique(ledger.items.columns().groups, return_counts=True)[1]

    assert sizes.max() <= LARGEST
    assert len(sizes) > 40


def test_only_the_very_same_words_share_a_group_where_that_is_asked_for(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "letters")
    text = " ".join(next(iter(letters(np.random.default_rng(1), 1).texts.values())).split())
    body = io.StringIO()
    csv.writer(body).writerows([["text"], [text], [text.upper()], [text + " too"]])
    (tmp_path / "t.csv").write_text(body.getvalue())

    taken = add_items(ledger, [str(tmp_path / "t.csv")], "text", Columns(), rule="exact")

    groups = ledger.items.columns().groups
    assert taken.near_duplicates == 1
    assert groups[0] == groups[1] != groups[2]


def test_letters_on_one_template_can_be_simulated(tmp_path: Path) -> None:
    made = letters(np.random.default_rng(2), 300)
    body = io.StringIO()
    rows = [[text, made.labels[name]] for name, text in made.texts.items()]
    csv.writer(body).writerows([["text", "label"], *rows])
    (tmp_path / "letters.csv").write_text(body.getvalue())

    found = read_labelled(str(tmp_path / "letters.csv"), None, Columns())

    assert len(np.unique(found.groups)) >= 290


def test_a_third_of_the_first_items_is_held_out_by_default_and_a_tenth_of_the_others() -> None:
    ids = [f"item-{i}" for i in range(3000)]

    shares = [Draw(0.1, f"{salt}", early_of(0.1)).of(ids, ids) for salt in range(40)]

    early, later = (float(np.mean([held[part] for held in shares])) for part in (slice(EARLY), slice(EARLY, None)))
    assert abs(early - 1 / 3) < 0.05
    assert abs(later - 0.1) < 0.01
    assert early_of(0.2) == 0  # a share that somebody chose is taken as it is
