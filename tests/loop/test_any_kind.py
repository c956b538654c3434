"""A main control of a kind without labels, with a learner of one's own: the same loop."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from labelloop.commands.bias import bias
from labelloop.commands.export import write_labels
from labelloop.commands.infer import write_predictions
from labelloop.commands.report import report_view
from labelloop.commands.score import in_words, scorecard
from labelloop.commands.status import status_in_words
from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import regions_saying
from labelloop.kinds.ratings import Rating
from labelloop.kinds.taxonomies import Taxonomy
from labelloop.kinds.texts import FreeText
from labelloop.report.page import render

from support.small_world import NAME, World

KIND = Rating(stars=5)
SCHEMA = LabelSchema("text", (), control="anger", asked=KIND)
STARS = {"cat": 1, "dog": 4, "owl": 5}
TOML = """
[dataset]
name = "animals"
modality = "text"
[controls.anger]
kind = "rating"
stars = 5
[loop]
batch = 6
[holdout]
share = 0.25
size = 12
per_round = 4
"""
LEARNER = '[learner]\nflavor = "support.quick_rater:QuickRater"\n'


class RatedWorld(World):
    def answer_all(self, wrongly: bool = False) -> int:
        waiting, truth = self.dataset.open_items(), self.truth()
        for item_id in waiting:
            stars = 3 if wrongly else STARS[truth[item_id]]
            self.people.answer(NAME, item_id, regions_saying(SCHEMA.main, stars), "ann@example.com")
        return len(waiting)


def made(root: Path, learner: str = LEARNER) -> RatedWorld:
    world = RatedWorld(root, schema=SCHEMA, clock=lambda: datetime(2025, 12, 1, tzinfo=UTC))
    (root / "labelloop.toml").write_text(TOML + learner)
    world.add(60)
    return world


def test_ratings_are_learned_judged_guessed_and_told(tmp_path: Path) -> None:
    world = made(tmp_path)
    world.play(4)
    world.tick()

    last = world.last()
    assert last.metrics["score_name"] == next(iter(KIND.scores))
    assert last.metrics["score"] > 0.9
    assert last.metrics["per_label"] == {}
    guesses = [one.prediction for one in world.questions() if one.prediction]
    assert guesses
    assert {guess.regions[0]["type"] for guess in guesses} == {KIND.region_type}
    with world.loop() as loop:
        assert next(iter(KIND.scores)) in status_in_words(loop)
        card = scorecard(loop)
        assert next(iter(KIND.scores)) in in_words(card)
        assert set(card.beside) == set(KIND.scores) - {last.metrics["score_name"]}
        assert "quadratic-kappa       " in in_words(card)
        assert all(low <= value <= high for value, low, high in card.beside.values())
        assert bias(loop).assisted.accepted > 0
        assert "rating of texts" in render(report_view(loop))
        write_labels(loop, str(tmp_path / "said.jsonl"))
        write_predictions(loop, str(tmp_path / "guessed.parquet"))
    for line in (tmp_path / "said.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert row["answers"]["anger"] == STARS[row["text"].split()[0]]
        assert row["labels"] == []
    rows = pq.read_table(tmp_path / "guessed.parquet").to_pylist()
    assert sum(row["answers.anger"] == STARS[row["text"].split()[0]] for row in rows) > 55


def test_several_people_agree_by_the_median(tmp_path: Path) -> None:
    world = made(tmp_path)
    world.tick()
    item = world.dataset.open_items()[0]
    for who, stars in (("a", 1), ("b", 2), ("c", 5)):
        world.people.answer(NAME, item, regions_saying(SCHEMA.main, stars), f"{who}@example.com")
    world.tick(loop__belief="majority")
    with world.loop(loop__belief="majority") as loop:
        known = loop.learning.snapshots.know(loop.ledger.items.columns())
        assert known.answers is not None
        assert known.answers[list(known.columns.ids).index(item)] == 2


def test_ratings_are_learned_by_the_learner_of_their_name(tmp_path: Path) -> None:
    world = made(tmp_path, learner='[learner]\nbackbone = "support.quick_learner:WordBackbone"\n')
    world.play(4)
    world.tick()

    last = world.last()
    assert last.metrics["score"] > 0.7
    guesses = [one.prediction for one in world.questions() if one.prediction]
    assert {len(guess.regions) for guess in guesses} == {1}
    with world.loop() as loop:
        assert type(loop.learner).__name__ == "Regression"


def test_a_learner_of_choices_refuses_another_kind_with_the_way_out(tmp_path: Path) -> None:
    world = made(tmp_path, learner='[learner]\nflavor = "frozen"\n')
    path = tmp_path / "labelloop.toml"
    path.write_text(path.read_text().replace('kind = "rating"\nstars = 5', 'kind = "date"'))
    with pytest.raises(ConfigError, match="the learner frozen learns choices, and 'anger' asks for Day") as refused:
        world.loop()
    assert "flavor" in refused.value.hint


def test_places_in_a_tree_are_learned_by_the_learner_of_their_name(tmp_path: Path) -> None:
    kind = Taxonomy(("animal/cat", "animal/dog", "animal/bird/owl"))
    paths = {path.rpartition("/")[2]: (path,) for path in kind.labels}
    schema = LabelSchema("text", kind.labels, control="anger", asked=kind)

    class PlacedWorld(World):
        def answer_all(self, wrongly: bool = False) -> int:
            waiting, truth = self.dataset.open_items(), self.truth()
            for item_id in waiting:
                said = regions_saying(schema.main, paths[truth[item_id]])
                self.people.answer(NAME, item_id, said, "ann@example.com")
            return len(waiting)

    world = PlacedWorld(tmp_path, schema=schema, clock=lambda: datetime(2025, 12, 1, tzinfo=UTC))
    asked = f'kind = "taxonomy"\nlabels = {json.dumps(list(kind.labels))}'
    (tmp_path / "labelloop.toml").write_text(
        TOML.replace('kind = "rating"\nstars = 5', asked)
        + '[learner]\nbackbone = "support.quick_learner:WordBackbone"\n'
    )
    world.add(60)
    world.play(4)
    world.tick()

    last = world.last()
    assert last.metrics["score_name"] == "hierarchical-F1"
    assert last.metrics["score"] > 0.9
    assert set(last.metrics["per_label"]) == set(kind.labels)
    with world.loop() as loop:
        assert type(loop.learner).__name__ == "PlaceLearner"
        write_labels(loop, str(tmp_path / "said.jsonl"))
    rows = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    assert all(tuple(row["answers"]["anger"]) == paths[row["text"].split()[0]] for row in rows)


WRITTEN = """
[dataset]
name = "animals"
modality = "text"
[controls.reply]
kind = "text"
[loop]
batch = 8
[holdout]
share = 0.25
size = 12
per_round = 4
"""
REPLIES = {"cat": "It purrs, so feed it.", "dog": "Take it for a walk.", "owl": "Let it sleep by day."}
BACKBONE = '[learner]\nbackbone = "labelloop.testing.learner:FakeBackbone"\n'


class WritingWorld(World):
    def answer_all(self, wrongly: bool = False) -> int:
        waiting, truth = self.dataset.open_items(), self.truth()
        asked = LabelSchema("text", (), control="reply", asked=FreeText())
        for item_id in waiting:
            said = "no idea" if wrongly else REPLIES[truth[item_id]]
            self.people.answer(NAME, item_id, regions_saying(asked.main, said), "ann@example.com")
        return len(waiting)


def test_a_kind_without_a_learner_of_its_own_is_learned_by_the_nearest_answer(tmp_path: Path) -> None:
    schema = LabelSchema("text", (), control="reply", asked=FreeText())
    world = WritingWorld(tmp_path, schema=schema, clock=lambda: datetime(2025, 12, 1, tzinfo=UTC))
    (tmp_path / "labelloop.toml").write_text(WRITTEN + BACKBONE)
    world.add(60)
    world.play(3)
    world.tick()

    last = world.last()
    assert last.metrics["score_name"] == "1-CER"
    guesses = [one.prediction for one in world.questions() if one.prediction]
    assert guesses
    assert {guess.regions[0]["value"]["text"][0] for guess in guesses} <= set(REPLIES.values())
