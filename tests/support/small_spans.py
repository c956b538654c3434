"""A small world whose main question are spans of texts, with people in memory who know them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import regions_saying

from support.small_world import NAME, World
from support.span_world import BEARS, KIND, OTHERS, spans_in

EARLY = datetime(2025, 12, 1, tzinfo=UTC)
"""Before anybody answers."""

SCHEMA = LabelSchema("text", KIND.labels, control="entities", asked=KIND)
TOML = """
[dataset]
name = "animals"
modality = "text"
[controls.entities]
kind = "spans"
labels = ["PER", "LOC"]
instruction = "Mark people and places"
[loop]
batch = 6
[holdout]
share = 0.25
size = 12
per_round = 4
[learner]
flavor = "support.quick_tagger:QuickTagger"
"""


def text_of(i: int) -> str:
    """A text with people and places."""
    names, words = list(BEARS), OTHERS
    return f"{names[i % 4]} {words[i % 5]} {names[i * 3 % 7]} {words[i % 8]} {names[4 + i % 3]} {i}"


@dataclass
class SpanWorld(World):
    """A small world of texts."""

    schema: LabelSchema = SCHEMA
    clock: Callable[[], datetime] = lambda: EARLY

    def __post_init__(self) -> None:
        super().__post_init__()
        (self.root / "labelloop.toml").write_text(TOML)

    def texts(self) -> dict[str, str]:
        """Item id -> its text."""
        with self.loop() as loop:
            return {one.id: one.text for one in loop.ledger.items.between(0, loop.ledger.items.count())}

    def say(self, item_id: str, spans: Sequence[tuple[int, int, str]], by: str = "ann@example.com") -> str:
        """Somebody marks spans; the id of the annotation."""
        return self.people.answer(NAME, item_id, regions_saying(SCHEMA.main, tuple(spans)), by)

    def answer_all(self, wrongly: bool = False) -> int:
        """People mark what is true in everything that is open, or nothing; how many that were."""
        texts, waiting = self.texts(), self.dataset.open_items()
        for item_id in waiting:
            self.say(item_id, () if wrongly else spans_in(texts[item_id]))
        return len(waiting)
