"""A live world around a label config that people brought: a grade, a preference and a reason about two replies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from labelloop.kinds import LabelSchema
from labelloop.types import Region
from labelloop.workspace.config import load

from support.live_world import STACK, LiveWorld

CONFIG = """<View>
  <Text name="asked" value="$question"/>
  <Text name="one" value="$first"/><Text name="two" value="$second"/>
  <Rating name="grade" toName="one" maxRating="5"/>
  <Pairwise name="better" toName="one,two"/>
  <TextArea name="why" toName="one"/>
</View>"""

_TOML = """
[dataset]
name = "{name}"
config = "label_config.xml"
[loop]
batch = 4
[holdout]
share = 0.25
per_round = 2
[learner]
flavor = "support.quick_rater:QuickRater"
"""
STARS = {"Good": 5, "Fair": 3, "Bad": 1}


@dataclass
class GradedWorld(LiveWorld):
    """A live world of three controls."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.config.write_text((_TOML + STACK).format(name=self.name, url=self.annotator.client().url))
        (self.root / "label_config.xml").write_text(CONFIG)

    @property
    def schema(self) -> LabelSchema:
        """What is asked."""
        return load(self.root).config.schema_of()

    def draw(self, count: int) -> None:
        """Write a table, and add it."""
        words = list(STARS)
        rows = [
            {
                "id": f"row-{number:03}",
                "question": f"What of {number}?",
                "first": f"{words[number % 3]} reply {number} {'xyzuvw'[number % 6] * (number % 7 + 1)}",
                "second": f"Another reply {number}",
            }
            for number in range(count)
        ]
        path = self.root / "pool.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.truth.update({str(row["id"]): (str(row["first"]).split()[0],) for row in rows})
        self.do("add", str(path), "--id-column", "id")

    def answer_all(self) -> int:
        """People answer everything that is open: the grade always, the others now and then."""
        return self.answer_by(self._said)

    def _said(self, item: str) -> Sequence[Region]:
        word, number = self.truth[item][0], int(item[-3:])
        said: list[Region] = [_region("grade", "rating", rating=STARS[word])]
        if number % 2:
            said.append(_region("better", "pairwise", selected="left" if word == "Good" else "right"))
        if not number % 3:
            said.append(_region("why", "textarea", text=[f"because of {number}"]))
        return said


def _region(name: str, type_: str, **value: object) -> Region:
    return {"from_name": name, "to_name": "one", "type": type_, "value": value}
