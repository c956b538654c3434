"""Languages without tokens, as people reported them: on a real Label Studio, by the whole loop."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from desk import Desk
from reviews import LANGUAGES

pytestmark = [pytest.mark.live, pytest.mark.slow]

OURS: Mapping[str, Any] = {"learner__flavor": None, "learner__pixels": None}
"""The default learner instead of the quick one."""


def table(path: Path, texts: Mapping[str, str]) -> str:
    """A table of texts with their labels."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "kind"), *texts.items()])
    return str(path)


def learned(desk: Desk, texts: Mapping[str, str], rounds: int) -> float:
    """Accuracy of the model in use after so many answered rounds, on the texts that nobody was asked about."""
    for _ in range(rounds):
        desk.says("tick")
        desk.answer_as(texts.__getitem__)
    desk.says("tick")
    desk.says("infer", "-o", str(desk.root / "said.jsonl"))
    asked = {task["data"]["text"] for task in desk.tasks() if task["total_annotations"]}
    rows = [json.loads(line) for line in (desk.root / "said.jsonl").read_text("utf-8").splitlines()]
    right = [row["labels"] == [texts[row["text"]]] for row in rows if row["text"] not in asked]
    assert len(right) == len(texts) - len(asked)
    return float(np.mean(right))


@pytest.mark.parametrize("language", LANGUAGES)
def test_case_06_reviews_in_any_language_are_learned_from_forty_labels(
    desk: Desk, tmp_path: Path, language: str
) -> None:
    reviews = LANGUAGES[language].reviews()
    desk.labels = ("good", "bad")
    desk.begin(loop__batch=20, **OURS)

    added = " ".join(desk.says("add", table(tmp_path / "reviews.csv", reviews)).split())
    accuracy = learned(desk, reviews, 2)

    assert sum(task["total_annotations"] for task in desk.tasks()) == 40
    assert accuracy >= 0.9  # of English's, which is no more than 1
    assert ("does not know the words of" in added) == (language != "English")
    assert ("read by their letters" in desk.says("status")) == (language != "English")
