"""What choosing texts to be marked saves: effort until the learner of spans has 95 % of what the whole pool teaches it.

Run: python benchmarks/bench_spans_selection.py                    all rules on news, 10 seeds
     python benchmarks/bench_spans_selection.py --corpus tweets --rule random --rule sequence/0.5
     python benchmarks/bench_spans_selection.py --read rows.csv    the table again

A rule is a signal, and what it is divided by: the number of tokens of the text to the power that stands behind the
stroke. `sequence` is the chance that the tags of the text are not all right; `token` is the same per token (the
geometric mean); `errors` is m / (1 + m) for the expected number m of wrong tags. `+cover` has `uherding` choose by it.
The pool has 2,000 texts at most; each seed draws the 50 to begin with, and 50 are asked per round. So that this takes
hours, not days, the tagger is that of the learner with 24 directions, found on the whole pool, and 25 iterations.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from corpora import WHEELS, corpus

from labelloop.data.wheels import cache_dir
from labelloop.kinds.predicted import Predicted
from labelloop.learners import tagging, tokens
from labelloop.learners.backbones import backbone
from labelloop.learners.span_model import Layer, Said, SpanModel, principal, said
from labelloop.selection.coverage import uherding
from labelloop.testing.kind_learner import examples_of, score
from labelloop.types import Examples, Pool, only

POOL, ASKED, BATCH, SHARE = 2000, 500, 50, 0.95
DIRECTIONS, ITERATIONS = 24, 25
SIGNALS = ("sequence", "token", "errors")
RULES = (
    "random",
    "sequence/0",
    "token/0",
    "sequence/0.5",
    "sequence/1",
    "sequence/0+cover",
    "sequence/0.5+cover",
    "sequence/1+cover",
    "token/0+cover",
    "errors/0.5",
)
RESULTS = Path(__file__).parent / "results" / "spans-selection.csv"
FIELDS = ("corpus", "rule", "seed", "full", "texts", "tokens", "pool_tokens")


@dataclass(frozen=True)
class World:
    """A corpus that is prepared once: row i of everything is the same text; the pool comes first.

    Attributes:
        features: As crfsuite takes them.
        embeddings: (n, d) float32 of the whole texts.
        sizes: (n,) tokens.
    """

    examples: Examples
    places: Sequence[Sequence[tokens.Place]]
    features: Sequence[Any]
    embeddings: np.ndarray
    sizes: np.ndarray
    pool: np.ndarray
    asked: np.ndarray

    def learned(self, rows: Iterable[int]) -> Layer:
        """The tagger that comes out of some texts."""
        rows = list(rows)
        tags = [tagging.tags_of(self.examples.answers[row], self.places[row]) for row in rows]
        return Layer(self.examples.labels, tagging.fit([self.features[row] for row in rows], tags))

    def said(self, layer: Layer, rows: Iterable[int]) -> list[Said]:
        """What it says about others."""
        return [said([layer], self.features[row], self.places[row]) for row in rows]

    def score(self, layer: Layer) -> float:
        """Its F1 on the texts that are only asked about."""
        answers = [one.spans for one in self.said(layer, self.asked)]
        sure = np.ones(len(answers), np.float32)
        return score(Predicted(answers, sure, 1 - sure), only(self.examples, self.asked))


def main() -> None:
    """Replay every rule for every seed, write one row each, and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--corpus", choices=list(WHEELS), default="news")
    options.add_argument("--rule", action="append", help=f"this one; repeatable [{' '.join(RULES)}]")
    options.add_argument("--seeds", type=int, default=10)
    options.add_argument("--first", type=int, default=0, help="the first seed")
    options.add_argument("--output", type=Path, default=RESULTS, help="rows are added to it")
    options.add_argument("--read", type=Path, help="print the table of these rows, and measure nothing")
    given = options.parse_args()
    if given.read is None:
        tagging.SETTINGS["max_iterations"] = ITERATIONS
        world = prepared(given.corpus)
        for seed in range(given.first, given.seeds):
            replayed(world, given.corpus, given.rule or RULES, seed, given.output)
    print(table(given.read or given.output))


def prepared(name: str) -> World:
    """A corpus with its features and embeddings."""
    known, asked = corpus(name)
    known = only(known, np.random.default_rng(0).permutation(len(known))[:POOL])
    asked = only(asked, np.arange(min(len(asked), ASKED)))
    examples = examples_of(known.kind, (*known.inputs.items, *asked.inputs.items), (*known.answers, *asked.answers))
    texts = [item.text for item in examples.inputs.items]
    places = [tokens.words(text) for text in texts]
    sizes = np.array([len(found) for found in places])
    vectors, embeddings = read(name, texts, places)
    own = np.split(vectors, np.cumsum(sizes)[:-1])
    projection = principal(vectors[: sizes[: len(known)].sum()], DIRECTIONS)
    model = SpanModel(known.labels, (), False, projection, "", 0)
    features = [
        model.features(text, found, lambda *_, mine=mine: mine)
        for text, found, mine in zip(texts, places, own, strict=True)
    ]
    pool = np.arange(len(known))
    return World(examples, places, features, embeddings, sizes, pool, len(known) + np.arange(len(asked)))


def read(name: str, texts: Sequence[str], places: Sequence[Sequence[tokens.Place]]) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of all tokens, one text after the other, and the embedding of each text; computed once."""
    kept = cache_dir(os.environ) / "benchmarks" / f"spans-{name}-{len(texts)}.npz"
    if not kept.is_file():
        reader, whole = tokens.reader("minilm"), backbone("minilm", "text")
        vectors = np.concatenate([reader.vectors(*one) for one in zip(texts, places, strict=True)])
        embeddings = np.concatenate([whole.embed([whole.prepare(text)]) for text in texts])
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, vectors=vectors.astype(np.float16), embeddings=embeddings)
    with np.load(kept) as found:
        return found["vectors"].astype(np.float32), found["embeddings"]


def replayed(world: World, name: str, rules: Sequence[str], seed: int, output: Path) -> None:
    """One row for each rule: what it took to come to the share of the full score."""
    rng = np.random.default_rng(seed)
    pool = rng.permutation(world.pool)[:POOL]
    full = world.score(world.learned(sorted(pool)))
    for rule in rules:
        texts, read = effort(world, pool, rule, SHARE * full, np.random.default_rng(seed))
        row = (name, rule, seed, round(full, 5), round(texts, 1), round(read, 1), int(world.sizes[pool].sum()))
        keep(output, dict(zip(FIELDS, row, strict=True)))


def effort(world: World, pool: np.ndarray, rule: str, wanted: float, rng: np.random.Generator) -> tuple[float, float]:
    """Texts and tokens that people read until the score is reached, between two rounds by their share of the way."""
    known, left = list(pool[:BATCH]), list(pool[BATCH:])
    before, texts, read = 0.0, 0.0, 0.0
    while True:
        layer = world.learned(sorted(known))
        reached = world.score(layer)
        now = float(len(known)), float(world.sizes[known].sum())
        if reached >= wanted:
            way = (wanted - before) / (reached - before)
            return texts + way * (now[0] - texts), read + way * (now[1] - read)
        if not left:
            return now
        before, (texts, read) = reached, now
        chosen = chosen_by(rule, world, layer, np.array(known), np.array(left), rng)
        known += [left[at] for at in chosen]
        left = [row for at, row in enumerate(left) if at not in set(chosen)]


def chosen_by(
    rule: str, world: World, layer: Layer, known: np.ndarray, left: np.ndarray, rng: np.random.Generator
) -> list[int]:
    """Positions among those that are left."""
    if rule == "random":
        return list(range(min(BATCH, len(left))))  # their order was drawn
    signal, _, rest = rule.partition("/")
    power, _, cover = rest.partition("+")
    sizes = np.maximum(world.sizes[left], 1)
    found = world.said(layer, left)
    probability = np.array([one.probability for one in found])
    wrong = np.array([one.doubts.sum() for one in found])
    uncertain = {
        "sequence": 1.0 - probability,
        "token": 1.0 - probability ** (1.0 / sizes),
        "errors": wrong / (1.0 + wrong),
    }[signal]
    weight = uncertain / sizes ** float(power)
    if not cover:
        return np.argsort(-weight, kind="stable")[:BATCH].tolist()
    half = (weight / max(weight.max(), 1e-9) / 2).astype(np.float32)
    seen = Pool(world.embeddings[left], np.stack([1 - half, half], axis=1), world.embeddings[known])
    return uherding(seen, min(BATCH, len(left)), rng).tolist()


def keep(path: Path, row: dict[str, object]) -> None:
    """Add a row, and show it."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(*row.values(), flush=True)


def table(path: Path) -> str:
    """A line per rule: the median over seeds of its effort over random's, seed by seed, with the quartiles."""
    found: dict[str, dict[str, dict[str, tuple[float, float]]]] = defaultdict(lambda: defaultdict(dict))
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found[row["corpus"]][row["rule"]][row["seed"]] = float(row["texts"]), float(row["tokens"])
    lines = [
        "| corpus | rule | texts / random's | tokens / random's | texts | tokens | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rules in found.items():
        for rule, seeds in rules.items():
            both = sorted(set(seeds) & set(rules["random"]))
            ratios = np.array([np.divide(seeds[seed], rules["random"][seed]) for seed in both])
            if len(ratios):
                parts = [quartiles(ratios[:, column]) for column in (0, 1)]
                typical = np.median([seeds[seed] for seed in both], axis=0).astype(int)
                lines.append(
                    f"| {name} | {rule} | {parts[0]} | {parts[1]} | {typical[0]} | {typical[1]} | {len(both)} |"
                )
    return "\n".join(lines)


def quartiles(values: np.ndarray) -> str:
    """Median, and the quartiles."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f} - {high:.2f})"


if __name__ == "__main__":
    main()
