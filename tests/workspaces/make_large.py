"""How `large.zip` was made: `python make_large.py` of commit `b4b43ee`, with its PYTHONPATH=src:tests, and this folder.

Ten rounds of 1,000 texts: labels are taken from a model, one label is renamed. What the annotator in memory was told
lies beside the workspace, a call a line, so that one of now can be told the same.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

small_world, auto_labelling, label_changes, relabelling, annotators, types = (
    import_module(name)  # as they were called then
    for name in (
        "small_world",
        "labelloop.auto_labelling",
        "labelloop.label_changes",
        "labelloop.relabelling",
        "labelloop.testing.annotator",
        "labelloop.types",
    )
)
HERE = Path(__file__).parent
TOML = """
[dataset]
name = "animals"
modality = "text"
labels = ["cat", "dog", "owl"]
[loop]
batch = 40
[holdout]
share = 0.3
size = 200
per_round = 60
[auto_label]
error = 0.1
[learner]
flavor = "old_learner:OldLearner"
"""
FILLERS = ("sat", "ran", "slept", "called", "waited", "played", "hid")


def main() -> None:
    """Play in a folder, and pack it."""
    told: list[list[Any]] = []
    _listen(told)
    with TemporaryDirectory() as folder:
        world = small_world.World(Path(folder))
        (Path(folder) / "labelloop.toml").write_text(TOML)
        world.add_texts([f"{small_world.LABELS[i % 3]} {FILLERS[i % 7]} beside number {i}" for i in range(1000)])
        for _ in range(5):
            world.tick()
            _answer(world)
        world.tick()
        _carry_out(world, auto_labelling.apply)
        _answer(world)
        world.tick()
        _answer(world)
        _carry_out(world, lambda loop: relabelling.relabel(loop, _renamed))
        world.schema = types.LabelSchema("text", ("cat", "hound", "owl"))
        for _ in range(2):
            world.tick()
            _answer(world, renamed=True)
        world.tick()
        _carry_out(world, lambda loop: loop.learning.learn())
        _carry_out(world, lambda loop: loop.learning.doubt())
        lines = (json.dumps(one, separators=(",", ":"), default=str) + "\n" for one in told)
        (Path(folder) / "annotator.jsonl").write_text("".join(lines))
        shutil.make_archive(str(HERE / "large"), "zip", folder)


def _answer(world: Any, *, renamed: bool = False) -> None:
    """Everything that is open, truly but for one in forty."""
    truth = world.truth()
    for item in world.dataset.open_items():
        labels = list(small_world.LABELS)
        label = truth[item] if int(item[:8], 16) % 40 else labels[(labels.index(truth[item]) + 1) % 3]
        world.answer(item, "hound" if renamed and label == "dog" else label)


def _carry_out(world: Any, what: Callable[[Any], Any]) -> None:
    loop = world.loop()
    what(loop)
    loop.ledger.close()


def _renamed(schema: Any, history: Any) -> Any:
    return label_changes.rename(schema, history, "dog", "hound")


def _listen(told: list[list[Any]]) -> None:
    """Have every dataset in memory note what it is told."""

    def noted(name: str, words: Callable[..., list[Any]]) -> None:
        real = getattr(annotators.FakeDataset, name)

        def method(self: Any, *args: Any, **named: Any) -> Any:
            told.append([name, *words(*args, **named)])
            return real(self, *args, **named)

        setattr(annotators.FakeDataset, name, method)

    noted("ask", lambda questions, **_: [[_question(one) for one in questions]])
    noted("say", lambda item, regions, annotator, *_, **__: [item, list(regions), annotator])
    noted("relabel", lambda schema: [list(schema.labels)])
    noted("show", lambda version, *, by_turns: [version, by_turns])


def _question(one: Any) -> list[Any]:
    guess, turn = one.prediction, one.turn
    said = [list(guess.regions), float(guess.score), guess.model_version] if guess else None
    return [one.item.id, one.item.text, said, [turn.at, turn.version] if turn else None]


if __name__ == "__main__":
    os.environ["LABELLOOP_TRUST"] = "/"
    main()
