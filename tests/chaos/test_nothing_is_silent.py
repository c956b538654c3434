"""Random sequences of accidents: tick, status and doctor agree, and none says that all is well where it is not.

After every accident the loop either goes on, or refuses in words that `doctor` knows, too. Where `doctor` finds
nothing, people who answer bring the loop on. No model is in use that was never scored, unless somebody asked for that.
"""

from __future__ import annotations

import copy
import random
import shutil
from collections.abc import Callable, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labelloop.cli import run
from labelloop.commands.doctor import Fault, examine, mended
from labelloop.commands.status import status_as_dict
from labelloop.errors import LabelLoopError
from labelloop.kinds import LabelSchema
from labelloop.loop.decide import Start, Stop
from labelloop.loop.loop import Loop
from labelloop.loop.stages import Outcome

from support.chaos_form import FULL
from support.small_world import LABELS, NAME, NOW, World

pytestmark = pytest.mark.chaos

SEQUENCES = 200 if FULL else 6
ACCIDENTS = 7
SETTINGS: Mapping[str, Any] = {"dataset__modality": "image", "learner__pixels": True}


@dataclass
class Pictures(World):
    """A world of picture files, called by what they show, whose clock can jump."""

    schema: LabelSchema = field(default_factory=lambda: LabelSchema("image", LABELS))
    drawn: int = 0
    jumped: timedelta = field(default_factory=timedelta)

    def __post_init__(self) -> None:
        super().__post_init__()
        file = self.root / "labelloop.toml"
        file.write_text(file.read_text().replace('modality = "text"', 'modality = "image"'))
        self.clock = lambda: NOW + self.jumped
        self.folder.mkdir(exist_ok=True)

    @property
    def folder(self) -> Path:
        """Where the pictures lie, now."""
        return self.root / "pictures"

    def draw(self, count: int) -> None:
        """So many more pictures, and `labelloop add`."""
        for number in range(self.drawn, self.drawn + count):
            shade, noise = 60 + 80 * (number % 3), np.random.default_rng(number).integers(0, 40, (16, 16))
            Image.fromarray((shade + noise).astype(np.uint8)).save(self.folder / f"{LABELS[number % 3]}-{number}.png")
        self.drawn += count
        self.add_again()

    def add_again(self) -> None:
        """`labelloop add` of the folder, which may find nothing."""
        run(["-C", str(self.root), "add", str(self.folder)])

    def truth(self) -> Mapping[str, str]:
        """Item id -> what its picture shows."""
        with closing(self.ledger()) as ledger:
            items = ledger.items.between(0, ledger.items.count())
        return {item.id: Path(item.uri).name.partition("-")[0] for item in items}

    @contextmanager
    def looked_at(self) -> Any:
        """A loop of a new process."""
        loop = self.loop(**SETTINGS)
        try:
            yield loop
        finally:
            loop.ledger.close()


Accident = Callable[[Pictures, random.Random, dict[str, Any]], None]


def people_answer(world: Pictures, chance: random.Random, kept: dict[str, Any]) -> None:
    truth = world.truth()
    for item in sorted(world.dataset.open_items()):
        if chance.random() < kept.get("eager", 0.8):
            world.answer(item, truth[item])


def people_answer_at_random(world: Pictures, chance: random.Random, kept: dict[str, Any]) -> None:
    for item in sorted(world.dataset.open_items()):
        world.answer(item, chance.choice(LABELS))


def an_answer_is_removed(world: Pictures, chance: random.Random, kept: dict[str, Any]) -> None:
    _remove(world, chance, 0.05)


def most_answers_are_removed(world: Pictures, chance: random.Random, kept: dict[str, Any]) -> None:
    _remove(world, chance, 0.8)


def _remove(world: Pictures, chance: random.Random, share: float) -> None:
    with closing(world.ledger()) as ledger:
        said = [one.id for some in ledger.answers.current().values() for one in some]
    for one in said:
        if chance.random() < share and one in _there(world):
            world.people.retract(NAME, one)


def _there(world: Pictures) -> set[str]:
    return {said.id for item in world.dataset.present() for said in world.dataset.task(item).said}


def a_question_is_deleted(world: Pictures, chance: random.Random, kept: dict[str, Any]) -> None:
    for item in chance.sample(there := sorted(world.dataset.present()), min(2, len(there))):
        world.people.remove(NAME, item)


def the_dataset_is_emptied(world: Pictures, chance: random.Random, kept: dict[str, Any]) -> None:
    for item in world.dataset.present():
        world.people.remove(NAME, item)


def some_pictures_are_deleted(world: Pictures, chance: random.Random, kept: dict[str, Any]) -> None:
    for file in chance.sample(there := sorted(world.folder.glob("*.png")), len(there) // 5):
        file.unlink()


def all_pictures_are_away_for_a_while(world: Pictures, chance: random.Random, kept: dict[str, Any]) -> None:
    away = world.root / "away"
    world.folder.rename(away)
    kept["restore"] = lambda: away.rename(world.folder)


def more_pictures_are_added(world: Pictures, chance: random.Random, kept: dict[str, Any]) -> None:
    world.draw(12)


def a_picture_is_changed_in_place(world: Pictures, chance: random.Random, kept: dict[str, Any]) -> None:
    file = chance.choice(sorted(world.folder.glob("*.png")))
    Image.fromarray(np.full((16, 16), 90, np.uint8)).save(file)
    world.add_again()


def the_ledger_is_restored(world: Pictures, chance: random.Random, kept: dict[str, Any]) -> None:
    for left in world.root.glob(".labelloop/ledger.db*"):
        left.unlink()
    (world.root / ".labelloop" / "ledger.db").write_bytes(kept["ledger"])


def the_annotator_is_restored(world: Pictures, chance: random.Random, kept: dict[str, Any]) -> None:
    world.dataset.__dict__.update(copy.deepcopy(kept["annotator"]))


def the_store_is_emptied(world: Pictures, chance: random.Random, kept: dict[str, Any]) -> None:
    shutil.rmtree(world.root / "artifacts", ignore_errors=True)


def the_clock_jumps(world: Pictures, chance: random.Random, kept: dict[str, Any]) -> None:
    world.jumped += chance.choice([-1, 1]) * chance.choice([timedelta(hours=1), timedelta(days=1), timedelta(days=365)])


ALL: tuple[Accident, ...] = (
    people_answer,
    people_answer_at_random,
    an_answer_is_removed,
    most_answers_are_removed,
    a_question_is_deleted,
    the_dataset_is_emptied,
    some_pictures_are_deleted,
    all_pictures_are_away_for_a_while,
    more_pictures_are_added,
    a_picture_is_changed_in_place,
    the_ledger_is_restored,
    the_annotator_is_restored,
    the_store_is_emptied,
    the_clock_jumps,
)


@pytest.mark.parametrize("seed", range(SEQUENCES))
def test_nothing_is_silent(tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    chance, kept = random.Random(seed), dict[str, Any]()
    world = Pictures(tmp_path)
    world.draw(45)
    world.play(2, **SETTINGS)
    told: list[str] = []
    for _ in range(ACCIDENTS):
        if chance.random() < 0.5 or "ledger" not in kept:
            kept["ledger"] = (world.root / ".labelloop" / "ledger.db").read_bytes()
            kept["annotator"] = copy.deepcopy(world.dataset.__dict__)
        accident = chance.choice(ALL)
        accident(world, chance, kept)
        told.append(accident.__name__)
        outcome = _after(world, told)
        kept.pop("restore", lambda: None)()
        if not isinstance(outcome, LabelLoopError):
            people_answer(world, chance, kept)
    _ends(world, told)


def _after(world: Pictures, told: list[str]) -> Outcome | LabelLoopError:
    """What a tick did or refused; what status and doctor say fits."""
    with world.looked_at() as loop:
        try:
            outcome: Outcome | LabelLoopError = loop.tick()
        except LabelLoopError as refused:
            assert refused.hint, (told, refused)
            outcome = refused
    with world.looked_at() as loop:
        status, faults = status_as_dict(loop), _faults(loop)
        _no_unscored_model(loop, told)
    if isinstance(outcome, LabelLoopError):
        assert faults, (told, outcome.message, "doctor says that nothing is wrong")
    elif isinstance(outcome.action, Stop) and "every item" in outcome.action.reason:
        asked = {one.item_id for one in world.questions() if one.state != "gone"}
        left = set(world.truth()) - asked
        assert not left or faults or "cannot be read" in str(status), (told, outcome.action.reason, len(left))
    return outcome


def _faults(loop: Loop) -> list[Fault]:
    try:
        return list(examine(loop))
    except LabelLoopError as error:
        return [Fault("all", error.message, error.hint)]


def _no_unscored_model(loop: Loop, told: list[str]) -> None:
    unscored = [one.number for one in loop.ledger.rounds.all() if one.promoted and not one.metrics["n"]]
    assert not unscored, (told, unscored)


def _ends(world: Pictures, told: list[str]) -> None:
    """What doctor can repair is repaired, what only a person can do is done; then answers bring the loop on."""
    for _ in range(3):
        with world.looked_at() as loop:
            for fault in _faults(loop):
                mended(fault)
        with world.looked_at() as loop:
            try:
                loop.tick()
            except LabelLoopError as refused:
                how = {word: f"--{word.replace('_', '-')}" in refused.hint for word in ("take_over", "believe_losses")}
                if any(how.values()):
                    with world.looked_at() as again:
                        again.tick(**how)
                continue
    before = world.ledger().answers.changes()
    open_ones = world.dataset.open_items()
    world.answer_all()
    with world.looked_at() as loop:
        outcome = loop.tick()
    assert not open_ones or world.ledger().answers.changes() > before, told
    assert isinstance(outcome.action, Start | Stop), (told, outcome.action)
