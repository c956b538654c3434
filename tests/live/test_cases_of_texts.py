"""Letters on one template, languages without tokens and long mails, as people reported them: on a real Label Studio."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelloop.data.sources import content_id
from labelloop.ledger import Ledger, open_ledger

from support.desk import Desk
from support.reviews import CANCEL, LANGUAGES, ORDER, mails
from support.templates import KINDS

pytestmark = [pytest.mark.live, pytest.mark.slow]

PREAMBLE = (
    "Dear team, thank you for your message of last week. Please note that this mailbox is monitored during office "
    "hours only, and that all requests are handled in the order in which they arrive. If your request concerns an "
    "existing case, please quote the case number in the subject line so that it can be found. Our privacy notice "
    "explains how personal data are processed and how long they are kept; it can be read on our site at any time. "
    "This message and its attachments are confidential and are meant for the addressee alone; if you have "
    "received it in error, please tell the sender and delete it. We would also like to remind you that the office "
    "will be closed on public holidays and that answers may take longer in these weeks."
)
SHORT, LONG = 30, 170
"""Words of a mail."""

OURS: Mapping[str, Any] = {"learner__flavor": None, "learner__pixels": None}
"""The default learner instead of the quick one."""
HELD_OUT: Mapping[str, Any] = {"holdout__share": None, "holdout__size": None}
"""The default holdout instead of none."""


def table(path: Path, texts: Mapping[str, str]) -> str:
    """A table of texts with their labels."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "kind"), *texts.items()])
    return str(path)


def ledger_of(desk: Desk) -> Ledger:
    return open_ledger(f"sqlite:///{desk.root / '.labelloop' / 'ledger.db'}", desk.name)


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


def test_case_04_letters_on_one_template_have_a_holdout_and_their_model_a_score(desk: Desk, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    own = [(one, "cancel") for one in CANCEL] + [(one, "order") for one in ORDER]
    texts = {
        f"{PREAMBLE} {own[n % 8][0]}, reference {number}.": own[n % 8][1]
        for n, number in enumerate(rng.choice(9000, 300, replace=False) + 1000)
    }
    desk.labels = ("cancel", "order")
    desk.begin(loop__batch=20, **OURS, **HELD_OUT)

    added = desk.says("add", table(tmp_path / "mails.csv", texts))
    accuracy = learned(desk, texts, 3)
    score = json.loads(desk.says("--json", "score"))

    assert "300 new item(s), 0 known already, 0 near duplicate(s) kept together" in added
    with closing(ledger_of(desk)) as ledger:
        assert len(np.unique(ledger.items.columns().groups)) == 300
        assert sum(one.purpose == "holdout" for one in ledger.answers.questions()) >= 10
    assert accuracy >= 0.8
    assert score["metrics"]["n"] >= 10, score
    assert score["metrics"]["low"] <= score["metrics"]["score"] <= score["metrics"]["high"]
    replayed = desk.says(
        "simulate", str(tmp_path / "mails.csv"), "--label-column", "kind", "--seeds", "1", "--budget", "40"
    )
    assert "random" in replayed


@pytest.mark.parametrize("kind", [one for one in KINDS if one != "letters on one template"])
def test_case_04_its_relatives_have_a_score_and_no_near_duplicate_on_both_sides(
    desk: Desk, tmp_path: Path, kind: str
) -> None:
    made = KINDS[kind](np.random.default_rng(4), 60)
    modality = "text" if made.texts else "image"
    desk.begin(modality, loop__batch=20, **HELD_OUT)
    (tmp_path / "pool").mkdir()
    ids = {}
    for name in made.fingerprints:
        content = made.texts[name] if made.texts else made.pictures[name]
        body, ending = (content.encode(), "txt") if isinstance(content, str) else (content, "jpg")
        (tmp_path / "pool" / f"{name}.{ending}").write_bytes(body)
        ids[name] = content_id(content)

    desk.says("add", str(tmp_path / "pool"))
    for _ in range(2):
        desk.says("tick")
        desk.answer_as(lambda shown: desk.labels[sum(map(ord, shown)) % 2], modality=modality)
    desk.says("tick")

    with closing(ledger_of(desk)) as ledger:
        columns = ledger.items.columns()
        group = dict(zip(columns.ids, columns.groups, strict=True))
        apart = [(one, other) for one, other in made.twins.items() if group[ids[one]] != group[ids[other]]]
        assert len(np.unique(columns.groups)) > 0.8 * 60
        assert apart == []
        assert sum(one.purpose == "holdout" for one in ledger.answers.questions()) >= 10
        last = ledger.rounds.last()
        assert last is not None
        assert last.model
    assert json.loads(desk.says("--json", "score"))["metrics"]["n"] >= 5


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


@pytest.mark.parametrize("before", [1.0, 0.5, 0.0])
def test_case_07_what_counts_anywhere_in_a_long_mail_is_learned_like_a_short_one(
    desk: Desk, tmp_path: Path, before: float
) -> None:
    scores = {}
    for length in (SHORT, LONG):
        texts = mails(length, 120, before)
        name = f"case 07 {length} {before}"
        seat = Desk(tmp_path / f"{length}", desk.annotator, name, desk.capsys, ("cancel", "order"))
        seat.begin(loop__batch=40, **OURS)
        added = " ".join(seat.says("add", table(tmp_path / f"{length}.csv", texts)).split())
        scores[length] = learned(seat, texts, 2)
        seat.annotator.delete(seat.name)
        assert ("texts are longer than the 128 tokens" in added) == (length == LONG)

    assert scores[LONG] >= 0.95 * scores[SHORT]


def test_case_07_texts_that_are_too_long_to_be_read_to_their_end_are_said(desk: Desk, tmp_path: Path) -> None:
    desk.begin(**OURS)
    texts = {f"{number} " + "village " * 3_000: "money" for number in range(30)}

    added = " ".join(desk.says("add", table(tmp_path / "books.csv", texts)).split())

    assert "30 of 30 texts are too long to be read to their end: add them in parts" in added
