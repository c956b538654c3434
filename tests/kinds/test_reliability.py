"""Who is reliable shows among many items, and decides where people differ."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from labelloop.kinds import LabelSchema
from labelloop.kinds.consensus import consensus_of, consensus_of_all, disagreements
from labelloop.kinds.labels import regions_of
from labelloop.kinds.reliability import Vote, probable
from labelloop.types import Annotation

SINGLE = LabelSchema("text", ("cat", "dog", "owl"))
MULTI = LabelSchema("text", ("angry", "short"), task="multiple-choice")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def says(schema: LabelSchema, item: str, person: str, *names: str, **changes: Any) -> Annotation:
    """A person says something about an item."""
    return Annotation(f"{item}-{person}", item, regions_of(schema, names), person, NOON, NOON, **changes)


def crowd(seed: int, items: int, accuracies: list[float], classes: int = 3) -> tuple[list[Vote], np.ndarray]:
    """Votes of people of known accuracy about items of known class."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=items)
    votes = []
    for person, accuracy in enumerate(accuracies):
        wrong = (truth + rng.integers(1, classes, size=items)) % classes
        said = np.where(rng.random(items) < accuracy, truth, wrong)
        votes += [Vote(item, person, int(said[item])) for item in range(items)]
    return votes, truth


@pytest.mark.parametrize("seed", range(5))
def test_two_reliable_people_outweigh_three_who_guess(seed: int) -> None:
    votes, truth = crowd(seed, 300, [0.95, 0.95, 0.4, 0.4, 0.4])
    shares = np.zeros((300, 3))
    np.add.at(shares, ([vote.item for vote in votes], [vote.said for vote in votes]), 1.0)

    weighted = (probable(votes, 300, 3).argmax(axis=1) == truth).mean()
    majority = (shares.argmax(axis=1) == truth).mean()

    assert weighted > 0.9
    assert weighted > majority + 0.05


def test_the_probabilities_of_an_item_sum_to_one_and_are_even_without_votes() -> None:
    likely = probable([Vote(0, 0, 1), Vote(2, 1, 0)], 3, 3)

    assert likely.sum(axis=1) == pytest.approx(1.0)
    assert likely[0].argmax() == 1
    assert likely[2].argmax() == 0


@pytest.mark.parametrize(("items", "votes"), [(0, []), (2, [])])
def test_without_votes_there_is_nothing_to_tell_apart(items: int, votes: list[Vote]) -> None:
    assert probable(votes, items, 2) == pytest.approx(np.full((items, 2), 0.5))


def test_what_is_known_stays_and_teaches_who_is_reliable() -> None:
    votes = [Vote(item, 0, 0) for item in range(12)] + [Vote(item, 1, 1) for item in range(12)]
    known = dict.fromkeys(range(10), 1)

    likely = probable(votes, 12, 2, known)

    assert likely[:10].argmax(axis=1).tolist() == [1] * 10
    assert likely[10:].argmax(axis=1).tolist() == [1, 1]


def test_a_believed_label_follows_the_reliable_where_the_newest_and_the_majority_err() -> None:
    by_item = {}
    for number in range(30):
        right, wrong = SINGLE.labels[number % 3], SINGLE.labels[(number + 1 + number % 2) % 3]
        by_item[f"i{number}"] = [
            says(SINGLE, f"i{number}", "ann", right),
            says(SINGLE, f"i{number}", "bob", right),
            says(SINGLE, f"i{number}", "cy", wrong if number % 3 else right),
        ]
    by_item["hard"] = [says(SINGLE, "hard", "ann", "owl"), says(SINGLE, "hard", "cy", "dog")]

    believed = consensus_of_all(SINGLE, by_item, "weighted").answers

    assert believed["hard"] == ("owl",)
    assert {believed[f"i{number}"] for number in range(0, 30, 3)} == {("cat",)}


def test_each_label_of_a_multiple_choice_is_weighed_on_its_own() -> None:
    by_item = {f"i{n}": [says(MULTI, f"i{n}", who, "angry") for who in ("ann", "bob")] for n in range(8)}
    by_item["none"] = [says(MULTI, "none", "ann"), says(MULTI, "none", "bob")]

    believed = consensus_of_all(MULTI, by_item, "weighted").answers

    assert believed["i0"] == ("angry",)
    assert believed["none"] == ()


def test_ground_truth_and_skips_count_as_ever() -> None:
    by_item = {
        "true": [says(SINGLE, "true", "ann", "cat", ground_truth=True), says(SINGLE, "true", "bob", "dog")],
        "skipped": [says(SINGLE, "skipped", "ann", skipped=True)],
    }

    assert consensus_of_all(SINGLE, by_item, "weighted").answers == {"true": ("cat",)}


@pytest.mark.parametrize(
    ("names", "believed"), [(["cat", "cat"], ("cat",)), (["cat", "dog"], None), (["dog"], ("dog",)), ([], None)]
)
def test_the_unanimous_are_believed_and_nobody_else(names: list[str], believed: tuple[str, ...] | None) -> None:
    annotations = [says(SINGLE, "x", f"person {i}", name) for i, name in enumerate(names)]

    assert consensus_of(SINGLE, annotations, "unanimous").answer == believed


def test_disagreements_say_who_says_what_and_which_are_ties() -> None:
    by_item = {
        "same": [says(SINGLE, "same", "ann", "cat"), says(SINGLE, "same", "bob", "cat")],
        "tie": [says(SINGLE, "tie", "ann", "cat"), says(SINGLE, "tie", "bob", "dog")],
        "most": [says(SINGLE, "most", who, what) for who, what in (("ann", "owl"), ("bob", "cat"), ("cy", "cat"))],
        "settled": [says(SINGLE, "settled", "ann", "cat"), says(SINGLE, "settled", "bob", "dog", ground_truth=True)],
    }

    found = {one.item_id: one for one in disagreements(SINGLE, by_item, "unanimous")}

    assert list(found) == ["tie", "most"]
    assert found["tie"].votes == {"ann": ("cat",), "bob": ("dog",)}
    assert (found["tie"].tied, found["most"].tied) == (True, False)
    assert found["most"].believed is None
    assert disagreements(SINGLE, by_item, "majority")[1].believed == ("cat",)


def test_the_only_answers_to_items_are_believed_however_many_classes_there_are() -> None:
    rng = np.random.default_rng(1)
    said = rng.integers(0, 20, 100)
    votes = [Vote(item, int(rng.integers(5)), int(label)) for item, label in enumerate(said)]
    again = [Vote(item, (votes[item].annotator + 1) % 5, int(rng.integers(20))) for item in range(20)]

    assert list(probable(votes, 100, 20).argmax(axis=1)) == list(said)
    assert list(probable([*votes, *again], 100, 20).argmax(axis=1)[20:]) == list(said[20:])
