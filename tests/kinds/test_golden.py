"""What choices give is frozen: whoever rewrites what is below them sees here whether anything has changed."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, get_args

import numpy as np
import pytest

from labelloop.evaluation.gate import Judging, judge
from labelloop.evaluation.metrics import evaluate
from labelloop.kinds import LabelSchema
from labelloop.kinds.consensus import ConsensusMethod, consensus_of_all, disagreements
from labelloop.kinds.labels import guesses, names_of, problems
from labelloop.types import Annotation, Region

LABELS = ("cat", "dog", "bird", "fish")
ODD: list[Any] = [["horse"], [], "cat"]
SINGLE = LabelSchema("image", LABELS)
MULTIPLE = LabelSchema("image", LABELS, "multiple-choice")


def region(rng: random.Random, multiple: bool) -> Region:
    """What somebody may say: mostly sound, sometimes a label that is not there, none, another control."""
    said: list[Any] = rng.sample(LABELS, rng.choice([1, 1, 2]) if multiple or rng.random() < 0.05 else 1)
    if rng.random() < 0.05:
        said = rng.choice(ODD)
    control = "label" if rng.random() > 0.05 else "other"
    return {"from_name": control, "to_name": "image", "type": "choices", "value": {"choices": said}}


def said_by_people(multiple: bool) -> dict[str, list[Annotation]]:
    """What six people, of whom one is careless, say about three hundred items."""
    rng, moment = random.Random(7), datetime(2026, 1, 1, tzinfo=UTC)
    said: dict[str, list[Annotation]] = {}
    for i in range(300):
        for n in range(rng.choice([1, 1, 2, 3])):
            regions = [region(rng, multiple)] if rng.random() > 0.1 else []
            at = moment + timedelta(minutes=rng.randrange(10_000))
            said.setdefault(f"item-{i}", []).append(
                Annotation(
                    id=str(3 * i + n),
                    item_id=f"item-{i}",
                    regions=tuple(regions),
                    annotator=f"person-{rng.randrange(6)}",
                    created_at=at,
                    updated_at=at,
                    skipped=rng.random() < 0.05,
                    ground_truth=rng.random() < 0.05,
                )
            )
    return said


def digest(value: Any) -> str:
    return blake2b(json.dumps(value, sort_keys=True, default=str).encode(), digest_size=8).hexdigest()


def rounded(value: Any) -> Any:
    """Numbers to nine digits, which is what figures have to keep."""
    if isinstance(value, float):
        return round(value, 9)
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list | tuple) else value


CONSENSUS = {
    ("single-choice", "newest"): "e53706775ceb62be",
    ("single-choice", "majority"): "c774e48e13c21c20",
    ("single-choice", "unanimous"): "70731dd6ae8b5a9e",
    ("single-choice", "weighted"): "af3b5a636ca733c9",
    ("multiple-choice", "newest"): "a6612a492fd153d2",
    ("multiple-choice", "majority"): "a5e8600949f3e1e0",
    ("multiple-choice", "unanimous"): "8502a0f85bb11bd4",
    ("multiple-choice", "weighted"): "a2ecd274d132c319",
}


@pytest.mark.parametrize("schema", [SINGLE, MULTIPLE], ids=lambda schema: schema.task)
@pytest.mark.parametrize("method", get_args(ConsensusMethod))
def test_the_consensus_of_choices_is_what_it_was(schema: LabelSchema, method: ConsensusMethod) -> None:
    said = said_by_people(schema.multiple)

    found = consensus_of_all(schema, said, method)
    differ = [asdict(one) for one in disagreements(schema, said, method)]

    assert digest([dict(found.answers), dict(found.set_aside), differ]) == CONSENSUS[schema.task, method]


FAULTS: dict[str, str] = {"single-choice": "dc298fe77077e427", "multiple-choice": "e528647ec1746f48"}


@pytest.mark.parametrize("schema", [SINGLE, MULTIPLE], ids=lambda schema: schema.task)
def test_the_faults_of_predictions_of_choices_are_what_they_were(schema: LabelSchema) -> None:
    rng = random.Random(11)

    found = [problems(schema, [region(rng, schema.multiple) for _ in range(i % 3)], (i % 13) / 11) for i in range(400)]

    assert digest(found) == FAULTS[schema.task]


FIGURES = {
    ("single-choice", "auto"): "9520669e889385df",
    ("single-choice", "accuracy"): "9520669e889385df",
    ("single-choice", "macro-f1"): "eaf85d54a9a9283c",
    ("multiple-choice", "auto"): "8ccf7e3f848f41ca",
    ("multiple-choice", "accuracy"): "313fb976c8b3cf0a",
    ("multiple-choice", "macro-f1"): "50641481e7fc3ebe",
}


@pytest.mark.parametrize("schema", [SINGLE, MULTIPLE], ids=lambda schema: schema.task)
@pytest.mark.parametrize("metric", ["auto", "accuracy", "macro-f1"])
def test_the_score_of_choices_is_what_it_was(schema: LabelSchema, metric: Any) -> None:
    rng = np.random.default_rng(3)
    one, other = (rng.dirichlet(np.ones(4), 250) for _ in range(2))
    wanted = rng.random((250, 4)) < 0.4 if schema.multiple else np.eye(4, dtype=bool)[rng.integers(0, 4, 250)]
    one[:150], other[:170] = 0.5 * one[:150] + 0.5 * wanted[:150], 0.4 * other[:170] + 0.6 * wanted[:170]
    groups = rng.integers(0, 200, 250)

    score = evaluate(one, wanted, LABELS, multiple=schema.multiple, metric=metric, groups=groups)
    verdict = judge(one, other, wanted, Judging(schema.multiple, metric, "not-worse", groups))

    assert digest(rounded([asdict(score), asdict(verdict)])) == FIGURES[schema.task, metric]


@pytest.mark.parametrize("schema", [SINGLE, MULTIPLE], ids=lambda schema: schema.task)
def test_what_a_model_is_said_to_guess_is_what_it_was(schema: LabelSchema) -> None:
    found = guesses(schema, np.random.default_rng(5).dirichlet(np.ones(4), 200))

    assert digest(rounded(found)) == GUESSES[schema.task]


GUESSES: dict[str, str] = {"single-choice": "ca554bb0bf2b5466", "multiple-choice": "91266b6d3c97ea4f"}


def test_a_region_is_read_as_it_was() -> None:
    rng = random.Random(13)
    sound = [r for r in (region(rng, True) for _ in range(200)) if set(r["value"]["choices"]) <= set(LABELS)]

    assert digest([names_of(MULTIPLE, [one]) for one in sound]) == "4b83d51e0e564783"
