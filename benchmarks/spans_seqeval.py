"""Writes `tests/kinds/seqeval.json`: predictions of spans, and what seqeval in strict mode says of them.

Run: uv venv peer && uv pip install --python peer/bin/python seqeval
     python benchmarks/spans_seqeval.py --seqeval peer/bin/python

Predictions of the learner of spans on tweets, and tags drawn at random, wrong in every way that tags can be. No
text is written: the tags of its tokens are all that is compared. `tests/kinds/test_seqeval.py` computes the score of
the kind from the same tags.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from bench_spans import ours
from corpora import corpus

from labelloop.learners import tagging, tokens
from labelloop.types import only

WRITTEN = Path(__file__).parents[1] / "tests" / "kinds" / "seqeval.json"
JUDGE = """
import json, sys
from importlib.metadata import version
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2
sets = json.load(sys.stdin)
for one in sets.values():
    said = [[tags.split() for tags in one[name]] for name in ("wanted", "given")]
    for name, score in ("f1", f1_score), ("precision", precision_score), ("recall", recall_score):
        one[name] = float(score(*said, mode="strict", scheme=IOB2))
json.dump({"seqeval": version("seqeval"), "sets": sets}, sys.stdout)
"""


def main() -> None:
    """Predict, have it judged, and write both."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seqeval", required=True, help="a Python that has seqeval")
    given = options.parse_args()
    sets = {"tweets": predicted(), "random": drawn(), "nothing": {"wanted": ["O O", "O"], "given": ["O O", "B-a"]}}
    done = subprocess.run(
        [given.seqeval, "-c", JUDGE], input=json.dumps(sets).encode(), stdout=subprocess.PIPE, check=True
    )
    WRITTEN.write_text(json.dumps(json.loads(done.stdout), indent=1) + "\n", "utf-8")
    print({name: one["f1"] for name, one in json.loads(done.stdout)["sets"].items()})


def predicted() -> dict[str, list[str]]:
    """The tags of 300 tweets that are asked about after 300 others were learned from."""
    known, asked = corpus("tweets")
    asked = only(asked, np.arange(300))
    said = ours(only(known, np.arange(300)), asked)
    places = [tokens.words(item.text) for item in asked.inputs.items]
    both = {"wanted": asked.answers, "given": said.answers}
    return {
        name: [" ".join(tagging.tags_of(spans, found)) for spans, found in zip(answers, places, strict=True)]
        for name, answers in both.items()
    }


def drawn(n: int = 200) -> dict[str, list[str]]:
    """Tags in which no I- stands alone; the given ones are the wanted ones, changed here and there."""
    rng = np.random.default_rng(0)
    wanted = [sound(list(rng.choice(["O", "B-a", "I-a", "B-b", "I-b"], size=rng.integers(1, 12)))) for _ in range(n)]
    given = [sound([rng.choice([tag, "O", "B-a", "I-b"], p=[0.7, 0.1, 0.1, 0.1]) for tag in tags]) for tags in wanted]
    return {"wanted": [" ".join(tags) for tags in wanted], "given": [" ".join(tags) for tags in given]}


def sound(tags: Sequence[str]) -> list[str]:
    """The same in IOB2: an I- that goes on with nothing is a B-."""
    found: list[str] = []
    for tag in map(str, tags):
        goes_on = bool(found) and found[-1][2:] == tag[2:]
        found.append(f"B-{tag[2:]}" if tag.startswith("I-") and not goes_on else tag)
    return found


if __name__ == "__main__":
    main()
