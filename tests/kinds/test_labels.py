"""Labels: regions and back, what is wrong with a prediction, and what is believed."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.kinds.consensus import consensus_of, consensus_of_all
from labelloop.kinds.labels import guess, guesses, names_of, problems, regions_of, targets
from labelloop.types import Annotation, Region

SINGLE = LabelSchema("image", ("bird", "cat", "dog"))
MULTI = LabelSchema("text", ("angry", "short", "spam"), task="multiple-choice", control="tags")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def said(schema: LabelSchema, id_: str, *names: str, **changes: Any) -> Annotation:
    """An annotation; ids count minutes after noon."""
    at = NOON + timedelta(minutes=int(id_))
    regions = changes.pop("regions", None)
    return Annotation(
        id=id_,
        item_id="x",
        regions=regions_of(schema, names) if regions is None else regions,
        annotator=changes.pop("annotator", f"person {id_}"),
        created_at=at,
        updated_at=changes.pop("updated_at", at),
        **changes,
    )


def choices(*names: str, **changes: Any) -> Region:
    region = {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [*names]}}
    return {**region, **changes}


@pytest.mark.parametrize(
    ("schema", "names"),
    [(SINGLE, ("cat",)), (SINGLE, ()), (MULTI, ()), (MULTI, ("angry",)), (MULTI, ("short", "spam"))],
)
def test_labels_become_regions_and_labels_again(schema: LabelSchema, names: tuple[str, ...]) -> None:
    regions = regions_of(schema, names)

    assert names_of(schema, regions) == names


def test_regions_have_the_annotators_own_shape() -> None:
    regions = regions_of(MULTI, ["spam", "angry"])

    assert regions == (
        {"from_name": "tags", "to_name": "text", "type": "choices", "value": {"choices": ["angry", "spam"]}},
    )


def test_a_region_for_an_unknown_label_is_refused() -> None:
    with pytest.raises(ConfigError, match="label 'wolf'") as refusal:
        regions_of(SINGLE, ["wolf"])

    assert "bird, cat, dog" in refusal.value.hint


def test_regions_for_two_labels_of_a_single_choice_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"2 labels \(cat, dog\) for a single choice"):
        regions_of(SINGLE, ["dog", "cat"])


def test_an_unknown_label_in_a_region_is_named() -> None:
    with pytest.raises(ConfigError, match="label 'wolf'"):
        names_of(SINGLE, [choices("wolf")])


@pytest.mark.parametrize("value", [None, "cat", {}, {"choices": "cat"}, {"text": ["cat"]}])
def test_a_region_without_choices_cannot_be_read(value: object) -> None:
    with pytest.raises(ConfigError, match="without a list of choices"):
        names_of(SINGLE, [choices(value=value)])


def test_other_controls_of_a_hand_made_config_are_passed_over() -> None:
    comment = {"from_name": "comment", "to_name": "image", "type": "textarea", "value": {"text": ["blurred"]}}

    assert names_of(SINGLE, [comment, choices("cat")]) == ("cat",)


def test_a_fitting_prediction_has_no_problems() -> None:
    assert problems(SINGLE, regions_of(SINGLE, ["cat"]), 0.5) == []
    assert problems(MULTI, regions_of(MULTI, ["angry", "spam"]), 1.0) == []
    assert problems(MULTI, (), 0.0) == []
    assert problems(SINGLE, regions_of(SINGLE, ["cat"]), np.float32(0.5)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("regions", "score", "problem"),
    [
        ([choices("cat", from_name="lable")], 0.5, "result[0].from_name is 'lable', not 'label'"),
        ([choices("cat", to_name="text")], 0.5, "result[0].to_name is 'text', not 'image'"),
        ([choices("cat", type="labels")], 0.5, "result[0].type is 'labels', not 'choices'"),
        ([choices(value={"labels": ["cat"]})], 0.5, "result[0].value.choices is missing: value is {'labels': ['cat']}"),
        ([choices("wolf")], 0.5, "result[0].value.choices has the unknown label 'wolf'"),
        ([choices()], 0.5, "result[0].value.choices is empty"),
        ([choices("cat", "dog")], 0.5, "result[0].value.choices has 2 labels (cat, dog) for a single choice"),
        ([choices("cat"), choices("dog")], 0.5, "result has 2 regions, a single choice has exactly 1"),
        ([], 0.5, "result has 0 regions, a single choice has exactly 1"),
        ([choices("cat")], 1.01, "score is 1.01, not between 0 and 1"),
        ([choices("cat")], -0.1, "score is -0.1, not between 0 and 1"),
        ([choices("cat")], math.nan, "score is nan, not between 0 and 1"),
        ([choices("cat")], None, "score is None, not a number"),
        ([choices("cat")], True, "score is True, not a number"),
    ],
)
def test_a_fault_of_a_prediction_names_its_field(regions: list[Region], score: Any, problem: str) -> None:
    assert problems(SINGLE, regions, score) == [problem]


def test_every_fault_of_a_prediction_is_found_at_once() -> None:
    found = problems(SINGLE, [choices("wolf", from_name="a", to_name="b", type="c")], 7.0)

    assert len(found) == 5


def test_the_newest_annotation_is_believed_by_default() -> None:
    belief = consensus_of(SINGLE, [said(SINGLE, "2", "dog"), said(SINGLE, "1", "cat")])

    assert belief.answer == ("dog",)


def test_an_edit_makes_an_annotation_the_newest() -> None:
    edited = said(SINGLE, "1", "cat", updated_at=NOON + timedelta(hours=1))

    assert consensus_of(SINGLE, [edited, said(SINGLE, "2", "dog")]).answer == ("cat",)


def test_skips_are_passed_over() -> None:
    belief = consensus_of(SINGLE, [said(SINGLE, "1", "cat"), said(SINGLE, "2", skipped=True)])

    assert (belief.answer, belief.set_aside) == (("cat",), {})


@pytest.mark.parametrize("annotations", [[], [said(SINGLE, "1", skipped=True)]])
def test_without_an_answer_nothing_is_believed(annotations: list[Annotation]) -> None:
    assert consensus_of(SINGLE, annotations).answer is None


@pytest.mark.parametrize("policy", ["newest", "majority"])
def test_ground_truth_wins(policy: Any) -> None:
    annotations = [said(SINGLE, "1", "cat", ground_truth=True), said(SINGLE, "2", "dog"), said(SINGLE, "3", "dog")]

    assert consensus_of(SINGLE, annotations, policy).answer == ("cat",)


@pytest.mark.parametrize(
    ("names", "believed"),
    [
        (["cat", "cat", "dog"], "cat"),
        (["dog", "cat", "cat", "dog"], "dog"),
        (["cat", "dog", "bird"], "bird"),
        (["cat", "cat", "dog", "dog", "bird"], "dog"),
    ],
)
def test_most_people_are_believed_and_the_newest_of_a_tie(names: list[str], believed: str) -> None:
    annotations = [said(SINGLE, str(i), name) for i, name in enumerate(names)]

    assert consensus_of(SINGLE, annotations, "majority").answer == (believed,)


def test_one_person_has_one_vote() -> None:
    annotations = [
        said(SINGLE, "1", "cat", annotator="ann"),
        said(SINGLE, "2", "cat", annotator="ann"),
        said(SINGLE, "3", "dog", annotator="bob"),
        said(SINGLE, "4", "dog", annotator="cy"),
    ]

    assert consensus_of(SINGLE, annotations, "majority").answer == ("dog",)


def test_each_label_of_a_multiple_choice_is_voted_on() -> None:
    annotations = [said(MULTI, "1", "angry", "spam"), said(MULTI, "2", "angry"), said(MULTI, "3", "short", "angry")]

    assert consensus_of(MULTI, annotations, "majority").answer == ("angry",)


def test_half_the_votes_for_a_label_follow_the_newest() -> None:
    annotations = [said(MULTI, "1", "angry"), said(MULTI, "2", "spam")]

    assert consensus_of(MULTI, annotations, "majority").answer == ("spam",)


def test_none_of_the_labels_is_an_answer_to_a_multiple_choice() -> None:
    assert consensus_of(MULTI, [said(MULTI, "1")]).answer == ()


@pytest.mark.parametrize(
    ("regions", "reason"),
    [
        ((choices("wolf"),), "label 'wolf' is not in the label schema"),
        ((choices("cat", "dog"),), "2 labels (cat, dog) for a single choice"),
        ((choices("cat", from_name="renamed"),), "annotation 2 says nothing in the control 'label'"),
        ((), "annotation 2 says nothing in the control 'label'"),
        ((choices(value=3),), "value is 3, without a list of choices"),
    ],
)
def test_an_annotation_that_does_not_fit_is_set_aside_and_the_others_are_believed(
    regions: tuple[Region, ...], reason: str
) -> None:
    belief = consensus_of(SINGLE, [said(SINGLE, "1", "cat"), said(SINGLE, "2", regions=regions)])

    assert belief.answer == ("cat",)
    assert belief.set_aside == {"2": reason}


def test_many_items_are_believed_and_strange_answers_reported_by_item() -> None:
    beliefs = consensus_of_all(
        SINGLE,
        {
            "a": [said(SINGLE, "1", "cat")],
            "b": [said(SINGLE, "1", regions=(choices("wolf"),))],
            "c": [said(SINGLE, "1", skipped=True)],
        },
    )

    assert beliefs.answers == {"a": ("cat",)}
    assert beliefs.set_aside == {"b": "label 'wolf' is not in the label schema"}


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ConfigError, match="'oldest'") as refusal:
        consensus_of_all(SINGLE, {"a": []}, "oldest")  # type: ignore[arg-type]

    assert "newest, majority" in refusal.value.hint


def test_targets_have_a_column_per_label() -> None:
    matrix = targets(MULTI, [("spam",), (), ("angry", "short")])

    assert matrix.dtype == np.bool_
    assert matrix.tolist() == [[False, False, True], [False, False, False], [True, True, False]]
    assert targets(MULTI, []).shape == (0, 3)


def test_a_target_that_is_no_label_is_refused() -> None:
    with pytest.raises(ConfigError, match="'wolf'"):
        targets(SINGLE, [["wolf"]])


def test_a_single_choice_guesses_the_most_probable_label() -> None:
    names, score = guess(SINGLE, np.array([0.2, 0.7, 0.1]))

    assert names == ("cat",)
    assert score == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("row", "names", "score"),
    [([0.9, 0.2, 0.6], ("angry", "spam"), 0.6), ([0.1, 0.2, 0.3], (), 0.7), ([0.5, 0.0, 0.0], ("angry",), 0.5)],
)
def test_a_multiple_choice_guesses_every_likely_label(row: list[float], names: tuple[str, ...], score: float) -> None:
    guessed, confidence = guess(MULTI, np.array(row))

    assert guessed == names
    assert confidence == pytest.approx(score)


def test_an_item_without_probabilities_gets_no_guess() -> None:
    (missing, nan), (names, _) = guesses(SINGLE, np.array([[np.nan] * 3, [0.0, 0.0, 1.0]], np.float32))

    assert (missing, math.isnan(nan), names) == ((), True, ("dog",))


def test_rounding_never_makes_a_score_above_one() -> None:
    ((_, score),) = guesses(SINGLE, np.array([[1.0000001, 0.0, 0.0]], np.float32))

    assert score == 1.0


@pytest.mark.parametrize("shape", [(2, 2), (3,)])
def test_guesses_need_a_column_per_label(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="the schema has 3 labels"):
        guesses(SINGLE, np.zeros(shape))
