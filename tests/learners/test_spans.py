"""The learner of spans: the contract, and texts as people have them."""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelloop.errors import ConfigError, LabelLoopError, NotFoundError
from labelloop.kinds import LabelSchema
from labelloop.kinds.predicted import Predicted, checked
from labelloop.kinds.spans import Spans, TextSpans
from labelloop.learners import tagging, tokens
from labelloop.learners.backbones import backbone
from labelloop.learners.spans import SpanLearner, SpanPredictor
from labelloop.learners.texts import TextBackbone
from labelloop.machine.registry import build
from labelloop.testing.kind_learner import KindLearnerContract, SketchingContract, examples_of, marked_texts
from labelloop.types import Examples, Inputs, Item

BARE = SpanLearner(network="none")


@pytest.fixture
def learner() -> SpanLearner:
    return SpanLearner()


class TestSpans(KindLearnerContract):
    least = 0.95


class TestSpansWithoutANetwork(KindLearnerContract):
    @pytest.fixture
    def learner(self) -> SpanLearner:
        return BARE


class TestSketchesOfSpans(SketchingContract):
    pass


def marked(texts: Sequence[str], kind: TextSpans, words: Mapping[str, str]) -> Examples:
    """Texts in which everything that is one of the words bears its label."""
    answers = []
    for text in texts:
        found = [(text.find(word), word, label) for word, label in words.items() if word in text]
        answers.append(tuple(sorted((at, at + len(word), label) for at, word, label in found)))
    items = [Item(f"{row:04}", "text", text=text) for row, text in enumerate(texts)]
    return examples_of(kind, items, answers)


def learned(examples: Examples, folder: Path, learner: SpanLearner = BARE) -> SpanPredictor:
    folder.mkdir(exist_ok=True)
    learner.train(examples, folder)
    return learner.load(folder)


def said(predictor: SpanPredictor, *texts: str) -> Predicted:
    items = tuple(Item(f"new-{row}", "text", text=text) for row, text in enumerate(texts))
    return predictor.predict(Inputs(np.array([item.id for item in items]), None, items))


def spans(predictor: SpanPredictor, text: str) -> Spans:
    answer = said(predictor, text).answers[0]
    assert isinstance(answer, tuple)
    return answer


THING = TextSpans(("thing",))


@pytest.mark.parametrize(
    ("word", "around"),
    [
        ("猫", "我喜欢{}的照片"),
        ("🚀🚀", "it went {} today"),
        ("👩‍🚀", "she is {} now"),
        ("naïve", "a {} reading"),
        ("e\u0301te\u0301", "quel {} chaud"),
        ("line\r\nbreak", "one {}\r\nmore"),
        ("A.B. 2-C", "see {}, please"),
        ("นก", "เห็น {} บิน"),
        ("\ud83d", "half a pair {} here"),
    ],
)
def test_spans_of_any_script_are_learned_where_they_stand(word: str, around: str, tmp_path: Path) -> None:
    texts = [around.format(word) + f" {number}" for number in range(8)] + ["nothing is here", "nor here", "no"]
    examples = marked(texts, THING, {word: "thing"})

    predictor = learned(examples, tmp_path / "model", SpanLearner())

    new = "and then " + around.format(word)
    at = new.index(word)
    assert spans(predictor, new) == ((at, at + len(word), "thing"),)
    assert spans(predictor, "nothing at all") == ()


def test_spans_that_begin_inside_words_have_every_character_read(tmp_path: Path) -> None:
    stems = ["glad", "kind", "fair", "sure", "able", "safe", "true", "well", "wise", "just"]
    texts = [f"they were un{one} again" for one in stems] + [f"they were {one} again" for one in stems]
    examples = marked(texts, THING, {"un": "thing"})

    predictor = learned(examples, tmp_path / "model")

    assert predictor.model.by_characters
    assert spans(predictor, "he is unreal") == ((6, 8, "thing"),)


def test_a_rare_span_inside_a_word_is_widened_to_it(tmp_path: Path) -> None:
    texts = [f"{number} cats sat" for number in range(40)]
    examples = marked(texts, THING, {"cats": "thing"})
    inside = (*examples.answers[:-1], ((3, 6, "thing"),))

    predictor = learned(examples_of(THING, examples.inputs.items, inside), tmp_path / "model")

    assert not predictor.model.by_characters
    assert spans(predictor, "41 cats sat") == ((3, 7, "thing"),)


def test_every_character_is_read_where_that_is_asked_for(tmp_path: Path) -> None:
    learner = SpanLearner(network="none", tokens="characters")

    assert learned(marked_texts(20), tmp_path / "model", learner).model.by_characters


def test_no_span_in_any_text_is_learned_without_being_sure(tmp_path: Path) -> None:
    predictor = learned(marked(["one", "two", "three"], THING, {}), tmp_path / "model")

    found = said(predictor, "anything", "goes")

    assert list(found.answers) == [(), ()]
    np.testing.assert_allclose(found.confidence, 4 / 5, rtol=1e-4)
    assert (found.uncertainty > 0).all()


def test_blank_texts_have_no_span_and_pictures_have_no_answer(tmp_path: Path) -> None:
    predictor = learned(marked(["", " \r\n", "a cat", "a dog"], THING, {"cat": "thing"}), tmp_path / "model")
    items = (Item("a", "text", text=""), Item("b", "image", uri="file:///b.png"), Item("c", "text", text="\t"))

    found = checked(predictor.predict(Inputs(np.array(["a", "b", "c"]), None, items)), 3, THING)

    assert list(found.answers) == [(), None, ()]
    assert found.known.tolist() == [True, False, True]


def test_blank_texts_alone_are_learned(tmp_path: Path) -> None:
    assert spans(learned(marked(["", " "], THING, {}), tmp_path / "model", SpanLearner()), "a cat") == ()


def test_spans_of_different_labels_overlap_where_that_is_allowed(tmp_path: Path) -> None:
    kind = TextSpans(("whole", "part"), overlapping=True)
    texts = [f"{number} river bank of {number}" for number in range(12)] + [f"{number} sea" for number in range(6)]

    predictor = learned(marked(texts, kind, {"river bank": "whole", "bank": "part"}), tmp_path / "model")

    assert spans(predictor, "99 river bank") == ((3, 13, "whole"), (9, 13, "part"))
    assert predictor.labels == ("whole", "part")


def test_a_word_behind_the_window_of_the_network_is_read_in_its_context() -> None:
    reader = tokens.reader("minilm")
    text = "the river was wide and the bank of it was green " * 40
    places = tokens.words(text)

    vectors = reader.vectors(text, places)

    assert len(places) > 400
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=0.02)
    here, there = (vectors[places.index((at, at + 4))] for at in (text.index("bank"), text.rindex("bank")))
    assert here @ there > 0.8


def test_vectors_are_the_same_whatever_was_read_before() -> None:
    text = "Berlin is a city"
    first = tokens.reader("minilm").vectors(text, tokens.words(text))
    again = tokens.reader("minilm").vectors(text, tokens.words(text))
    network = backbone("minilm", "text")
    assert isinstance(network, TextBackbone)

    other = tokens.TokenReader(network, network.fingerprint).vectors(text, tokens.words(text))

    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, other)


def test_what_was_read_longest_ago_makes_room() -> None:
    kept = tokens.KeptReadings(3000)

    for name in (b"a", b"b", b"a", b"c", b"d"):
        if kept.get(name) is None:
            kept.put(name, (np.zeros(1000, np.int8),))

    assert [kept.get(name) is not None for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Don't stop.", ["Don", "'", "t", "stop", "."]),
        ("G20 in 2014", ["G", "20", "in", "2014"]),
        ("我爱猫", ["我", "爱", "猫"]),
        ("a_b\r\nc", ["a", "_", "b", "c"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("  ", []),
    ],
)
def test_words_are_runs_of_letters_or_digits(text: str, wanted: list[str]) -> None:
    assert [text[start:end] for start, end in tokens.words(text)] == wanted


def test_tags_say_spans_and_spans_tags() -> None:
    places = tokens.words("Ada Lovelace and Ada")
    wanted = ((0, 3, "name"), (4, 12, "name"), (17, 20, "thing"))

    tags = tagging.tags_of(wanted, places)

    assert tags == ["B-name", "B-name", "O", "B-thing"]
    assert tagging.spans_of(tags, places) == wanted
    assert tagging.spans_of(["I-name", "I-thing", "I-thing", "B-thing"], places) == (
        (0, 3, "name"),
        (4, 16, "thing"),
        (17, 20, "thing"),
    )


def test_it_is_found_by_name_and_takes_its_options() -> None:
    found = build("learner", "spans", {"network": "none", "folds": 0}, {"schema": None})

    assert found == SpanLearner(network="none", folds=0)
    assert found.fingerprint != SpanLearner(network="none").fingerprint


def test_a_learner_with_a_network_says_which_in_its_fingerprint() -> None:
    assert SpanLearner().fingerprint != BARE.fingerprint


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"directions": 0}, "directions is 0"),
        ({"folds": 1}, "folds is 1"),
        ({"schema": LabelSchema("text", ("a", "b"))}, "what is asked are Choices"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: Mapping[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        SpanLearner(**options)


def test_a_network_that_nobody_knows_is_refused() -> None:
    with pytest.raises(NotFoundError, match="minilmm"):
        SpanLearner(network="minilmm")


def test_a_backbone_that_makes_no_vectors_of_tokens_is_refused(tmp_path: Path) -> None:
    learner = SpanLearner(network="labelloop.testing.learner:FakeBackbone")

    with pytest.raises(ConfigError, match="FakeBackbone, which has no vectors of tokens"):
        learner.train(marked_texts(3), tmp_path)


def test_the_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "pycrfsuite":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)

    with pytest.raises(ConfigError, match="python-crfsuite") as error:
        SpanLearner()
    assert error.value.hint == "pip install 'labelloop[spans]'"


def with_answer(examples: Examples, answer: Any) -> Examples:
    return examples_of(examples.kind, examples.inputs.items, (answer, *examples.answers[1:]))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "without an answer: item-0-00000"),
        (((0, 500, "place"),), "marked outside of their texts, which may have been edited since: item-0-00000"),
        (((0, 3, "river"),), "river"),
        (((3, 3, "place"),), "has no length"),
    ],
)
def test_examples_that_cannot_be_learned_from_are_refused(answer: Any, why: str, tmp_path: Path) -> None:
    examples = marked_texts(3)
    spoilt = Examples(
        examples.inputs,
        examples.targets,
        examples.labels,
        examples.multiple,
        examples.held_out,
        (answer, *examples.answers[1:]),
        examples.kind,
    )

    with pytest.raises(LabelLoopError, match=why):
        BARE.train(spoilt, tmp_path)


def test_examples_of_pictures_and_of_choices_are_refused(tmp_path: Path) -> None:
    pictures = examples_of(THING, [Item("p", "image", uri="file:///p.png")], [()])
    with pytest.raises(LabelLoopError, match="no texts: p"):
        BARE.train(pictures, tmp_path)

    choices = Examples(pictures.inputs, pictures.targets, ("thing",), False, pictures.held_out)
    with pytest.raises(ConfigError, match="labels of the whole item"):
        BARE.train(choices, tmp_path)


def test_examples_without_their_items_are_refused(tmp_path: Path) -> None:
    examples = marked_texts(3)
    without = Inputs(examples.inputs.ids, np.zeros((3, 4), np.float32))
    alone = Examples(
        without, examples.targets, examples.labels, True, examples.held_out, examples.answers, examples.kind
    )

    with pytest.raises(ConfigError, match="3 examples have 0 items"):
        BARE.train(alone, tmp_path)
    BARE.train(examples, tmp_path)
    with pytest.raises(ConfigError, match="0 items for 3 ids"):
        BARE.load(tmp_path).predict(without)


def test_a_model_of_another_network_is_refused(tmp_path: Path) -> None:
    BARE.train(marked_texts(9), tmp_path)

    with pytest.raises(ConfigError, match="another network than 'minilm'"):
        SpanLearner().load(tmp_path)


@pytest.mark.parametrize("name", ["tagger-0.crfsuite", "mean.npy", "directions.npy", "model.json"])
def test_a_damaged_model_is_refused(name: str, tmp_path: Path) -> None:
    learner = SpanLearner()
    learner.train(marked_texts(9), tmp_path)
    body = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(body[: len(body) // 2])

    with pytest.raises(ConfigError, match="is damaged"):
        learner.load(tmp_path)


def test_a_model_without_one_of_its_files_is_refused(tmp_path: Path) -> None:
    BARE.train(marked_texts(9), tmp_path)
    (tmp_path / "tagger-0.crfsuite").unlink()

    with pytest.raises(ConfigError, match="is damaged"):
        BARE.load(tmp_path)


@pytest.mark.parametrize(("key", "value"), [("format", "labelloop.frozen"), ("version", 99), ("tokens", "syllables")])
def test_a_folder_of_another_learner_or_version_is_refused(key: str, value: object, tmp_path: Path) -> None:
    BARE.train(marked_texts(9), tmp_path)
    path = tmp_path / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), key: value}), "utf-8")

    with pytest.raises(ConfigError, match=r"no model of the learner spans|format version 99|is damaged"):
        BARE.load(tmp_path)
