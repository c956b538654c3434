"""A loop whose main question are spans: asked, heard, learned from, judged, certified, exported, as labels are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from labelloop.commands import auto_label, label_errors
from labelloop.commands.bias import bias
from labelloop.commands.export import write_labels
from labelloop.commands.forecast import outlook
from labelloop.commands.history import history_as_dict
from labelloop.commands.infer import write_predictions
from labelloop.commands.score import in_words, scorecard
from labelloop.commands.status import status_as_dict, status_in_words
from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.loop.loop import Loop
from labelloop.types import Question
from labelloop.workspace.config import load

from support.small_spans import SCHEMA, SpanWorld, text_of
from support.small_world import World
from support.span_world import BEARS, KIND, spans_in


@pytest.fixture
def world(tmp_path: Path) -> SpanWorld:
    made = SpanWorld(tmp_path)
    made.add_texts([text_of(i) for i in range(80)])
    return made


@pytest.fixture
def taught(world: SpanWorld) -> SpanWorld:
    world.play(4)
    world.tick()
    return world


def test_without_labels_the_first_control_is_the_main_one(world: SpanWorld) -> None:
    schema = world.workspace().config.schema_of()

    assert schema == replace(SCHEMA, instruction="Mark people and places")
    assert schema.main.kind == KIND


def test_choices_as_a_control_are_what_labels_under_dataset_are(tmp_path: Path) -> None:
    world = World(tmp_path)
    (tmp_path / "labelloop.toml").write_text(
        '[dataset]\nname = "animals"\nmodality = "text"\n[controls.tone]\nkind = "choices"\nlabels = ["a", "b"]\n'
    )
    assert world.workspace().config.schema_of() == LabelSchema("text", ("a", "b"), control="tone", instruction="tone")


def test_the_loop_learns_spans_and_tells_their_score(taught: SpanWorld) -> None:
    last = taught.last()

    assert last.metrics["score_name"] == "span-F1"
    assert last.metrics["score"] > 0.8
    assert last.metrics["low"] <= last.metrics["score"] <= last.metrics["high"]
    assert set(last.metrics["per_label"]) == {"PER", "LOC"}
    assert last.metrics["per_label"]["PER"]["support"] > 5
    assert 0 <= last.metrics["accuracy"] <= 1


def test_people_get_the_guess_of_the_model_as_spans(taught: SpanWorld) -> None:
    asked = [one for one in taught.questions() if one.state == "asked" and one.prediction]
    texts = taught.texts()

    assert asked
    for one in asked:
        assert one.prediction is not None
        assert {region["type"] for region in one.prediction.regions} == {"labels"}
        assert {region["from_name"] for region in one.prediction.regions} == {"entities"}
        for region in one.prediction.regions:
            value = region["value"]
            assert BEARS.get(texts[one.item_id][value["start"] : value["end"]]) == value["labels"][0]
    assert any("unsure by" in one.why for one in taught.questions())


def test_the_same_answers_are_learned_from_once(taught: SpanWorld) -> None:
    with taught.loop() as loop:
        before = loop.learning.learn()
        steps = loop.ledger.steps
        again = loop.learning.learn()
        assert again.judged == before.judged
        assert steps is loop.ledger.steps


def test_items_that_a_model_says_nothing_about_do_not_hold_up_its_other_scores(world: SpanWorld) -> None:
    world.add_texts([f"mute about Oslo {number}" for number in range(40)])
    world.play(5)

    with world.loop() as loop:
        card = scorecard(loop)
        texts = world.texts()
        judged = [texts[one.item_id] for one in loop.ledger.answers.questions(["answered"]) if one.purpose == "holdout"]
    assert any(text.startswith("mute") for text in judged)
    assert set(card.beside) == set(KIND.scores) - {"span-F1"}
    assert all(low <= value <= high for value, low, high in card.beside.values())


def test_no_span_is_an_answer(world: SpanWorld) -> None:
    world.tick()
    item = world.dataset.open_items()[0]
    world.say(item, ())
    world.tick()
    with world.loop() as loop:
        known = loop.learning.snapshots.know(loop.ledger.items.columns())
        row = list(known.columns.ids).index(item)
        assert known.believed[row]
        assert known.answers is not None
        assert known.answers[row] == ()


def test_several_people_vote_on_each_span(world: SpanWorld) -> None:
    world.tick()
    item = world.dataset.open_items()[0]
    both = ((0, 3, "PER"), (8, 12, "LOC"))
    for who, said in (("a", both), ("b", both[:1]), ("c", (*both[:1], (4, 7, "LOC")))):
        world.say(item, said, f"{who}@example.com")
    world.tick(loop__belief="majority")
    with world.loop(loop__belief="majority") as loop:
        known = loop.learning.snapshots.know(loop.ledger.items.columns())
        assert known.answers is not None
        assert known.answers[list(known.columns.ids).index(item)] == both[:1]


def test_the_export_has_the_spans_in_a_column_of_their_own(taught: SpanWorld, tmp_path: Path) -> None:
    with taught.loop() as loop:
        count = write_labels(loop, str(tmp_path / "out.parquet"))
        write_labels(loop, str(tmp_path / "out.jsonl"))
        write_labels(loop, str(tmp_path / "out.csv"))
    table = pq.read_table(tmp_path / "out.parquet")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]

    assert table.num_rows == count == len(rows) > 20
    assert table["answers.entities"].to_pylist() == [row["answers"]["entities"] for row in rows]
    for row in rows:
        assert [(one["start"], one["end"], one["label"]) for one in row["answers"]["entities"]] == list(
            spans_in(row["text"])
        )
        assert set(row["labels"]) == {label for _, _, label in spans_in(row["text"])}


def test_predictions_can_be_written(taught: SpanWorld, tmp_path: Path) -> None:
    with taught.loop() as loop:
        assert write_predictions(loop, str(tmp_path / "out.parquet")) == 80
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()

    right = sum(
        [(one["start"], one["end"], one["label"]) for one in row["answers.entities"]] == list(spans_in(row["text"]))
        for row in rows
    )
    assert right > 60


def test_status_score_forecast_bias_and_history_speak_of_spans(taught: SpanWorld) -> None:
    item = next(one.item_id for one in taught.questions() if one.state == "answered")
    with taught.loop() as loop:
        told = status_as_dict(loop)
        assert told["round"]["metrics"]["score_name"] == "span-F1"
        assert "span-F1" in status_in_words(loop)
        assert "span-F1" in in_words(scorecard(loop))
        assert "span-F1" in outlook(loop).in_words()
        assert bias(loop).assisted.accepted > 0
        assert "PER" in json.dumps(history_as_dict(loop, item))


def test_labels_are_taken_whole_where_they_are_certified_and_audited(taught: SpanWorld, tmp_path: Path) -> None:
    taught.add_texts([text_of(i % 35) + f" {i}" for i in range(100, 600)])
    for _ in range(5):
        taught.tick(holdout__size=150, holdout__per_round=50, loop__batch=10)
        taught.answer_all()
    settings: dict[str, Any] = {
        "auto_label__error": 0.4,
        "auto_label__audit": 0.2,
        "holdout__size": 150,
        "holdout__per_round": 50,
    }
    with taught.loop(**settings) as loop:
        made = auto_label.apply(loop)
        assert made.taken > 10
        write_labels(loop, str(tmp_path / "out.jsonl"))
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    taken = [row for row in rows if row["source"] == "model"]
    assert taken
    wrong = [
        row
        for row in taken
        if [(one["start"], one["end"], one["label"]) for one in row["answers"]["entities"]]
        != list(spans_in(row["text"]))
    ]
    assert len(wrong) <= 0.4 * len(taken)
    taught.answer_all(wrongly=True)
    for _ in range(6):
        taught.tick(**settings)
        taught.answer_all(wrongly=True)
    with taught.loop(**settings) as loop:
        auto_label_state = auto_label.standing(loop)
        assert auto_label_state.certificate is not None
        assert auto_label_state.certificate.state == "revoked"


def test_nothing_can_be_promised_of_each_label(taught: SpanWorld) -> None:
    with (
        taught.loop(auto_label__per_label=True) as loop,
        pytest.raises(ConfigError, match="asks for more than a label"),
    ):
        auto_label.plan(loop)


def test_wrong_spans_are_suspected_and_asked_again_blind(taught: SpanWorld) -> None:
    taught.play(3)
    texts = taught.texts()
    with taught.loop() as loop:
        questions = loop.ledger.answers.questions(["answered"])
    victim = next(one for one in questions if one.purpose == "train")
    right = spans_in(texts[victim.item_id])
    taught.say(victim.item_id, [(start, end, {"PER": "LOC", "LOC": "PER"}[label]) for start, end, label in right])
    taught.tick()
    with taught.loop() as loop:
        found = label_errors.find(loop)
        assert victim.item_id in [one.item_id for one in found[:2]]
        first = next(one for one in found if one.item_id == victim.item_id)
        assert any("PER" in part for part in first.suggested)
        done = label_errors.ask(loop, 3)
        assert done.asked >= 1


def test_a_label_of_spans_is_renamed_in_answers_guesses_and_file(taught: SpanWorld) -> None:
    from labelloop.commands.labels import relabel
    from labelloop.kinds import label_changes

    with taught.loop() as loop:
        relabel(loop, lambda schema, history: label_changes.rename(schema, history, "PER", "PERSON"))
    assert load(taught.root, {}).config.schema_of().labels == ("PERSON", "LOC")
    with taught.loop() as loop:
        known = loop.learning.snapshots.know(loop.ledger.items.columns())
        assert known.answers is not None
        said = {label for answer in known.answers if answer for _, _, label in answer}
        assert said == {"PERSON", "LOC"}


@pytest.mark.parametrize("selector", ["badge", "dropquery", "balanced(margin)", "relabel(auto, 0.2)"])
def test_a_selector_that_needs_probabilities_is_refused_when_the_settings_are_read(
    world: SpanWorld, selector: str
) -> None:
    with pytest.raises(ConfigError, match="needs a probability for each label of an item"):
        world.loop(loop__selector=selector)


@pytest.mark.parametrize("selector", ["auto", "uherding", "least-confident", "margin", "probcover", "random"])
def test_other_selectors_choose(world: SpanWorld, selector: str) -> None:
    world.play(3, loop__selector=selector)
    assert world.last().asked > 0


def test_where_words_cost_short_texts_are_asked_before_long_ones(world: SpanWorld) -> None:
    world.play(2)
    long = world.add_texts([" ".join([f"Zoe{i}", *[f"word{i}x{j}" for j in range(20)]]) for i in range(30)])
    short = world.add_texts([f"Zoe{i} alone" for i in range(100, 130)])

    def asked(cost: float) -> int:
        settings = {"loop__length_cost": cost, "loop__selector": "least-confident", "loop__random_share": 0.0}
        with world.loop(**settings) as loop:
            batch = loop.choosing.propose(loop.learning.learn(), 9, 10).batch
        return sum(one.item_id in long for one in batch) - sum(one.item_id in short for one in batch)

    assert asked(0.0) > 0 > asked(1.0)


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ("length", "Predicted.answers has"),
        ("type", "not a Predicted"),
        ("nan", "says something about an item in one column"),
        ("span", "has no length"),
        ("outside", "marks PER 0-500 in a text of"),
    ],
)
def test_a_learner_that_predicts_what_cannot_be_is_refused(world: SpanWorld, odd: str, words: str) -> None:
    world.tick(learner__odd=odd)
    world.answer_all()
    with pytest.raises(ConfigError, match=words):
        world.tick(learner__odd=odd)


def test_texts_that_the_model_fails_on_or_says_nothing_about_are_left_out(world: SpanWorld) -> None:
    world.add_texts(["broken beyond Rome", "mute about Oslo"])
    world.play(3)
    world.tick()
    assert world.last().metrics["score"] > 0.5
    with world.loop() as loop:
        assert {one.missing.reason for one in loop.ledger.aside.all()} != set()


def test_a_question_with_a_guess_outside_the_schema_is_refused(world: SpanWorld) -> None:
    from labelloop.backends.label_studio.config import checked_version
    from labelloop.types import Item, Prediction

    def ask(**value: Any) -> None:
        region = {"from_name": "entities", "to_name": "text", "type": "labels", "value": value}
        guess = Prediction("1", (region,), 0.5, "v1")
        checked_version(SCHEMA, [Question(Item("1", "text", text="Ann"), guess)])

    ask(start=0, end=3, labels=["PER"])
    with pytest.raises(ConfigError, match="which is no span"):
        ask(start=0, end=0, labels=["PER"])
    with pytest.raises(ConfigError, match="'CAT' is not in the label schema"):
        ask(start=0, end=3, labels=["CAT"])
    with pytest.raises(ConfigError, match="2 labels"):
        ask(start=0, end=3, labels=["PER", "LOC"])


def test_the_loop_can_be_looked_at_without_its_learner(world: SpanWorld) -> None:
    with world.loop() as loop:
        assert isinstance(loop, Loop)
        assert loop.schema.main.name == "entities"
