"""A live world whose main question are spans of texts, with people who know them, and a tagger that is quick."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from labelloop.data.sources import content_id
from labelloop.kinds import LabelSchema
from labelloop.kinds.spans import TextSpans

from support.live_world import STACK, LiveWorld
from support.quick_tagger import WORD

BEARS = {"Ann": "PER", "Bob": "PER", "Carol": "PER", "Dan": "PER", "Rome": "LOC", "Oslo": "LOC", "Lima": "LOC"}
OTHERS = ("met", "saw", "in", "left", "wrote", "about", "today", "again")
KIND = TextSpans(("PER", "LOC"))

_TOML = """
[dataset]
name = "{name}"
modality = "text"
[controls.entities]
kind = "spans"
labels = ["PER", "LOC"]
[loop]
batch = 4
[holdout]
share = 0.25
per_round = 2
[learner]
flavor = "support.quick_tagger:QuickTagger"
"""


def text_of(i: int) -> str:
    """A text with people and places, and emoji and ideographs in front of some."""
    names = list(BEARS)
    front = ("", "\N{GRINNING FACE} ", "\u6771\u4eac ")[i % 3]
    return f"{front}{names[i % 4]} {OTHERS[i % 5]} {names[i * 3 % 7]} {OTHERS[i % 8]} {names[4 + i % 3]} {i}"


def spans_in(text: str) -> tuple[tuple[int, int, str], ...]:
    """What is true of such a text."""
    return tuple((*word.span(), BEARS[word[0]]) for word in WORD.finditer(text) if word[0] in BEARS)


@dataclass
class SpanWorld(LiveWorld):
    """A live world of texts."""

    truth: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.config.write_text((_TOML + STACK).format(name=self.name, url=self.annotator.client().url))

    @property
    def schema(self) -> LabelSchema:
        """What is asked."""
        return LabelSchema("text", KIND.labels, control="entities", asked=KIND)

    def draw(self, count: int) -> None:
        """Write texts, and add them."""
        texts = [text_of(i) for i in range(count)]
        folder = self.root / "texts"
        folder.mkdir()
        path = folder / "texts.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        self.truth.update({content_id(text): spans_in(text) for text in texts})
        self.do("add", str(path))
