"""A workspace of before the redesign, with 1,000 items: it goes on where it stood, and nothing is done twice."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import func, select

from labelloop.backends.local_store import LocalArtifactStore
from labelloop.commands.auto_label import standing
from labelloop.commands.doctor import examine
from labelloop.commands.export import write_labels
from labelloop.commands.status import status_as_dict
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import regions_of
from labelloop.ledger import tables
from labelloop.loop.decide import Wait
from labelloop.loop.loop import Loop
from labelloop.testing.annotator import FakeAnnotator
from labelloop.types import Item, Prediction, Question, Turn
from labelloop.workspace.config import load
from labelloop.workspace.stack import Stack

from support.counting import Counting
from support.small_world import NAME, NOW, Parts

pytestmark = pytest.mark.slow

HERE = Path(__file__).parents[1] / "workspaces"
BEFORE, AFTER = ("cat", "dog", "owl"), ("cat", "hound", "owl")


class Upgraded:
    """The workspace as it was left, and the annotator of now, told what the one of then was told."""

    def __init__(self, root: Path) -> None:
        shutil.unpack_archive(HERE / "large.zip", root)
        shutil.copy(HERE / "old_learner.py", root)
        self.root = root
        self.people = FakeAnnotator()
        self.counting = Counting()
        self.told: list[list[Any]] = [json.loads(line) for line in (root / "annotator.jsonl").read_text().splitlines()]
        dataset = self.people.open(NAME, LabelSchema("text", BEFORE))
        for name, *arguments in self.told:
            if name == "ask":
                dataset.ask([_question(*one) for one in arguments[0]])
            elif name == "say":
                dataset.say(*arguments)
            elif name == "relabel":
                dataset.relabel(LabelSchema("text", tuple(arguments[0])))
            else:
                dataset.show(arguments[0], by_turns=arguments[1])

    def loop(self) -> Loop:
        """The loop of a new process."""
        parts = Parts(self.people, LocalArtifactStore(path=str(self.root / "artifacts")), self.counting)
        return Loop(load(self.root, {}), cast(Stack, parts), clock=lambda: NOW)

    def answer_all(self) -> None:
        """People answer what is open, truly."""
        dataset = self.people.open(NAME, LabelSchema("text", AFTER))
        for item in dataset.open_items():
            word = dataset.shown(item).text.split()[0]
            self.people.answer(NAME, item, regions_of(dataset.schema, [{"dog": "hound"}.get(word, word)]))


def _question(item: str, text: str, said: Sequence[Any] | None, turn: Sequence[Any] | None) -> Question:
    guess = Prediction(item, tuple(said[0]), said[1], said[2]) if said else None
    return Question(Item(item, "text", text=text), guess, Turn(*turn) if turn else None)


def asked(told: Sequence[Sequence[Any]]) -> set[str]:
    return {one[0] for name, *arguments in told if name == "ask" for one in arguments[0]}


@pytest.fixture
def upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upgraded]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield Upgraded(tmp_path)


def rows(loop: Loop) -> Mapping[str, int]:
    """How much there is in the ledger."""
    counted = ("items", "questions", "annotations", "annotation_history", "rounds", "steps", "auto_labels", "opinions")
    with loop.ledger.engine.connect() as connection:
        return {
            name: connection.scalar(select(func.count()).select_from(tables.metadata.tables[name])) or 0
            for name in counted
        }


def test_it_waits_where_it_waited_asks_nothing_computes_nothing_and_is_in_order(upgraded: Upgraded) -> None:
    with upgraded.loop() as loop:
        there, questions = rows(loop), loop.ledger.answers.questions()
        assert [*examine(loop)] == []
        first, again = loop.tick(), loop.tick()
        loop.learning.learn()
        loop.learning.out_of_sample()

        assert isinstance(first.action, Wait)
        assert isinstance(again.action, Wait)
        assert (there["items"], there["questions"], there["annotations"]) == (1000, 613, 573)
        assert rows(loop) == there
        assert loop.ledger.answers.questions() == questions
        assert upgraded.counting.executed == []
        assert [*examine(loop)] == []


def test_what_was_taken_from_the_model_and_the_new_name_of_a_label_count_as_before(
    upgraded: Upgraded, tmp_path: Path
) -> None:
    with upgraded.loop() as loop:
        now, told = standing(loop), status_as_dict(loop)
        count = write_labels(loop, str(tmp_path / "all.jsonl"))

    exported = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    by = {source: [row for row in exported if row["source"] == source] for source in ("human", "model")}
    assert now.certificate is not None
    assert now.certificate.state == "active"
    assert count == len(exported)
    assert len(by["human"]) == 573
    assert len(by["model"]) == now.counting > 300
    assert {label for row in exported for label in row["labels"]} == set(AFTER)
    assert all(
        row["labels"] == [{"dog": "hound"}.get(row["text"].split()[0], row["text"].split()[0])] for row in by["model"]
    )
    assert told["unusable"]["set_aside"] == {}


def test_it_goes_on_with_new_questions_alone_and_embeds_nothing_again(upgraded: Upgraded) -> None:
    before = asked(upgraded.told)
    upgraded.answer_all()

    with upgraded.loop() as loop:
        outcome = loop.tick()
        questions = loop.ledger.answers.questions()
        assert [*examine(loop)] == []

    new = [one.item_id for one in questions if one.item_id not in before]
    assert outcome.changes.created == 40
    assert outcome.changes.edited == outcome.changes.removed == 0
    assert len(new) >= 1
    assert len(questions) == len(before) + len(new) == len({one.item_id for one in questions})
    assert "embed" not in upgraded.counting.executed
    assert upgraded.counting.executed.count("train") == 1
