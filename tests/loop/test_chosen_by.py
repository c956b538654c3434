"""Items are chosen by one backbone, and learned from by another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelloop.commands import check
from labelloop.commands.doctor import examine, mended
from labelloop.errors import BadItemError, ConfigError, NotFoundError
from labelloop.loop import round_steps
from labelloop.simulate.engine import simulate
from labelloop.simulate.places import NamedPlaces, of_place, of_workspace
from labelloop.simulate.replay import ReplayPlan
from labelloop.storage.artifacts import Ref
from labelloop.workspace.init import code_named

from support import chosen_by, quick_learner
from support.chosen_by import GROUPS, number_of
from support.small_world import LABELS, World

NUMBERS = {"selection__backbone": "support.chosen_by:numbers"}
LENGTHS = {"selection__backbone": "support.chosen_by:lengths"}
COVERING = {"loop__random_share": 0.0, "loop__queue": "asked"}


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture(autouse=True)
def everything_is_seen() -> Iterator[None]:
    """Nothing was embedded yet, and everything can be."""
    forget()
    yield
    chosen_by.unseen.clear()


def forget() -> None:
    """From here on counts what is embedded."""
    quick_learner.embedded.clear()
    chosen_by.embedded.clear()


def texts(world: World) -> Mapping[str, str]:
    ledger = world.ledger()
    found = {item.id: item.text for item in ledger.items.between(0, ledger.items.count())}
    ledger.close()
    return found


def asked(world: World, round: int) -> list[str]:
    """The texts that a round asks to learn from."""
    said = texts(world)
    return [said[one.item_id] for one in world.questions() if one.round == round and one.purpose == "train"]


def model(world: World, **settings: Any) -> str:
    """The model that is learned from what people said so far."""
    loop = world.loop(**settings)
    try:
        return loop.study().judged.model
    finally:
        loop.ledger.close()


def chunks(world: World, backbone: str) -> list[str]:
    ledger = world.ledger()
    found = [one.ref for one in ledger.items.chunks(backbone)]
    ledger.close()
    return found


def readable_by_both(world: World) -> bool:
    """Whether nothing is set aside, and every item has both embeddings."""
    loop = world.loop(**NUMBERS)
    with loop.ledger.lease.held():
        columns, features = loop.learning.embeddings.embedded()
    left = loop.ledger.aside.all()
    loop.ledger.close()
    both = np.isfinite(features.matrix).all() and np.isfinite(features.chosen_by).all()
    return not left and bool(columns.readable.all() and both) and features.apart is not None


def test_without_a_name_items_are_chosen_by_what_is_learned_from(animals: World) -> None:
    loop = animals.loop()

    with loop.ledger.lease.held():
        _, features = loop.learning.embeddings.embedded()

    assert [one.fingerprint for one in loop.learning.embeddings.backbones] == ["words-1"]
    assert features.apart is None
    assert features.chosen_by is features.matrix


def test_the_first_batch_covers_what_the_named_backbone_tells_apart(animals: World) -> None:
    animals.tick(**NUMBERS, **COVERING)

    assert {number_of(text) % GROUPS for text in asked(animals, 1)} == set(range(GROUPS))


def test_later_batches_are_chosen_by_it_and_people_are_asked_others_than_without(tmp_path: Path) -> None:
    batches = []
    for name, settings in (("apart", NUMBERS), ("alone", {})):
        world = World(tmp_path / name)
        world.add()
        world.play(1)  # the same first batch
        world.tick(**settings, **COVERING, loop__selector="uherding")
        batches.append(asked(world, 2))

    assert sorted(batches[0]) != sorted(batches[1])
    groups = [len({number_of(text) % GROUPS for text in batch}) for batch in batches]
    assert groups[0] > groups[1]


def test_the_learner_learns_from_its_own_backbone_the_same_model(animals: World) -> None:
    animals.play(2)
    alone = model(animals)
    before = list(quick_learner.embedded)

    assert model(animals, **NUMBERS) == alone
    assert quick_learner.embedded == before
    assert sorted(chosen_by.embedded) == sorted(texts(animals).values())


def test_both_are_kept_apart(animals: World) -> None:
    animals.tick(**NUMBERS)

    own, other = chunks(animals, "words-1"), chunks(animals, "numbers-1")

    loop = animals.loop()
    assert [loop.learning.embeddings.stored(ref).shape for ref in (*own, *other)] == [(40, 16), (40, GROUPS)]


def test_a_change_of_it_embeds_only_to_choose_by_and_going_back_costs_nothing(animals: World) -> None:
    animals.play(2, **NUMBERS)
    before = model(animals, **NUMBERS)
    forget()
    assert model(animals, **LENGTHS) == before

    assert (len(chosen_by.embedded), quick_learner.embedded) == (40, [])
    forget()
    assert model(animals, **NUMBERS) == model(animals) == before

    assert chosen_by.embedded == quick_learner.embedded == []


def test_new_items_are_embedded_by_both_and_old_ones_by_neither(animals: World) -> None:
    animals.play(2, **NUMBERS)
    forget()
    animals.add(4, start=40)

    animals.tick(**NUMBERS)

    assert sorted(chosen_by.embedded) == sorted(quick_learner.embedded)
    assert len(chosen_by.embedded) == 4


def test_killed_between_the_two_and_continued_it_embeds_nothing_twice(
    animals: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> np.ndarray:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(chosen_by.Grouped, "embed", killed)
        with pytest.raises(Killed):
            animals.tick(**NUMBERS)

    animals.tick(**NUMBERS)

    assert sorted(quick_learner.embedded) == sorted(chosen_by.embedded) == sorted(texts(animals).values())


def test_killed_when_it_chooses_and_continued_it_asks_the_same_and_embeds_nothing_again(
    animals: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = World(tmp_path / "calm")
    calm.add()
    calm.tick(**NUMBERS)

    def killed(*_: object) -> None:
        raise Killed

    forget()
    with monkeypatch.context() as patched:
        patched.setattr(round_steps, "choose", killed)
        with pytest.raises(Killed):
            animals.tick(**NUMBERS)
    animals.tick(**NUMBERS)

    assert asked(animals, 1) == asked(calm, 1)
    assert len(quick_learner.embedded) == len(chosen_by.embedded) == 40


def test_questions_that_are_open_are_put_in_order_by_it(animals: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    ranked = round_steps.ranked

    def looked_at(known: Any, rows: np.ndarray, what: Any, *others: Any, **named: Any) -> np.ndarray:
        seen.append(what[0].shape[1])
        return ranked(known, rows, what, *others, **named)

    monkeypatch.setattr(round_steps, "ranked", looked_at)
    animals.play(2, **NUMBERS)
    animals.tick(**NUMBERS)
    for item in sorted(animals.dataset.open_items())[:4]:
        animals.answer(item, animals.truth()[item])

    animals.tick(**NUMBERS, loop__retrain_after=1)

    assert seen
    assert set(seen) == {GROUPS}


def test_the_same_backbone_under_both_names_embeds_once(animals: World) -> None:
    name = "labelloop.testing.learner:FakeBackbone"
    loop = animals.loop(learner__flavor="frozen", learner__backbone=name, selection__backbone=name)

    assert [one.fingerprint for one in loop.learning.embeddings.backbones] == ["fake-text-16"]


def test_what_only_it_cannot_read_is_set_aside_by_name_until_it_can(animals: World) -> None:
    (lost,) = animals.add_texts(["cat of no number"])
    chosen_by.unseen.add("cat of no number")
    animals.tick(**NUMBERS)
    (left,) = animals.ledger().aside.all()
    assert (left.item_id, left.missing.reason) == (lost, "'cat of no number' is not seen")
    with animals.loop(**NUMBERS) as loop, loop.ledger.lease.held():
        columns, features = loop.learning.embeddings.embedded()
    assert columns.ids[features.unreadable].tolist() == [lost]
    assert np.isfinite(features.matrix).all()

    chosen_by.unseen.clear()
    animals.ledger().aside.hurry()
    animals.play(2, **NUMBERS)

    assert readable_by_both(animals)


def test_what_only_the_learner_cannot_read_comes_back_to_both(animals: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (lost,) = animals.add_texts(["cat number 99"])
    prepare = quick_learner.WordBackbone.prepare

    def torn(self: quick_learner.WordBackbone, content: bytes | str) -> Any:
        if content == "cat number 99":
            raise BadItemError("torn")
        return prepare(self, content)

    with monkeypatch.context() as patched:
        patched.setattr(quick_learner.WordBackbone, "prepare", torn)
        animals.tick(**NUMBERS)
    assert [one.item_id for one in animals.ledger().aside.all()] == [lost]

    animals.ledger().aside.hurry()
    animals.play(2, **NUMBERS)

    assert readable_by_both(animals)


def test_a_name_that_no_backbone_has_is_refused_at_once_with_those_there_are(animals: World) -> None:
    with pytest.raises(NotFoundError, match=r"^\[selection\] unknown backbone 'minilmm'") as refused:
        animals.loop(selection__backbone="minilmm")

    assert "minilm, path/to/model.onnx, hf:org/name, module:attribute" in refused.value.hint
    assert animals.ledger().rounds.last() is None


def test_a_backbone_for_something_else_is_refused_before_anything_is_embedded(animals: World) -> None:
    with pytest.raises(ConfigError, match=r"^\[selection\] backbone 'opennsfw' embeds images, and the items are texts"):
        animals.tick(selection__backbone="opennsfw")

    assert quick_learner.embedded == []


def test_a_check_says_what_is_learned_from_and_what_is_chosen_by(animals: World) -> None:
    said = check.found("learner", lambda: check.prove_learner(animals.workspace(**NUMBERS)))
    refused = check.found("learner", lambda: check.prove_learner(animals.workspace(selection__backbone="nothing")))

    assert said.ok
    assert said.detail.endswith(
        ": one text became 16 numbers; to choose by support.chosen_by:numbers, one text became 6 numbers"
    )
    assert not refused.ok
    assert refused.detail == "[selection] unknown backbone 'nothing'"


def test_the_doctor_finds_embeddings_to_choose_by_that_are_gone_and_makes_them_anew(animals: World) -> None:
    animals.play(2, **NUMBERS)
    (ref,) = chunks(animals, "numbers-1")
    loop = animals.loop(**NUMBERS)
    loop.artifacts.discard([Ref.parse(ref).key])

    (fault,) = [one for one in examine(loop) if one.what == "artifact"]

    assert fault.detail == f"embeddings to choose by {ref} is missing"
    assert mended(fault) == "repaired"
    assert [one for one in examine(loop) if one.what == "artifact"] == []


def test_code_that_is_named_to_choose_by_is_code_to_be_trusted(animals: World) -> None:
    named, hub = (animals.workspace(selection__backbone=name) for name in ("mine:net", "hf:org/name"))

    said = [{one.setting: one.target for one in code_named(one.root, one.config)} for one in (named, hub)]
    assert [one.get("selection.backbone") for one in said] == ["mine:net", None]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_replay_of_answers_chooses_by_it(animals: World, workers: int) -> None:
    animals.play(5, **NUMBERS)

    ready = of_workspace(animals.loop(**NUMBERS))
    alone = of_workspace(animals.loop())
    plan = ReplayPlan(("uherding",), 4, 3, 3)
    curves = simulate(ready.labelled, plan, ready.learner, workers=workers)
    others = simulate(alone.labelled, plan, alone.learner, workers=1)

    assert ready.labelled.embeddings.shape[1] == 16
    assert ready.labelled.chosen_by.shape == (len(ready.labelled), GROUPS)
    assert [one.full for one in curves] == [one.full for one in others]
    assert [one.scores for one in curves] != [one.scores for one in others]


def test_a_replay_of_a_table_chooses_by_it(animals: World, tmp_path: Path) -> None:
    rows = [f"{LABELS[i % 3]} number {i},{LABELS[i % 3]}" for i in range(30)]
    (tmp_path / "animals.csv").write_text("text,label\n" + "\n".join(rows), "utf-8")

    ready = of_place(NamedPlaces(str(tmp_path / "animals.csv")), animals.workspace(**NUMBERS).config)

    assert (ready.labelled.embeddings.shape, ready.labelled.chosen_by.shape) == ((30, 16), (30, GROUPS))
