"""Does the certified error hold? Loops on eight real tasks, with real models, whose pools are labelled in truth.

Run: python benchmarks/bench_certify.py [--runs 500] [--output certify.csv] [--plot certify.svg]
     python benchmarks/bench_certify.py --read benchmarks/results/certify.csv      the figures again
     python benchmarks/bench_certify.py --life       ten models certified one after the other on one holdout, simulated
     python benchmarks/bench_certify.py --audit      answers until the audit revokes, simulated

Each run draws a holdout of 30 % of the items, at most 800, by groups of near-duplicates; a loop asks two batches of 150
of the rest, chosen by a selector that changes from run to run; the default learner, of one strength, learns, and the
gate compares on the same holdout. Then the model's labels of the items that nobody was asked about are certified at an
error of 1, 2, 5 and 10 %, delta 5 %, and compared with the truth. An item that people would skip is an error. Tasks are
those of tasks.py.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path

import numpy as np

from labelloop.evaluation import gate
from labelloop.evaluation.audit import audit
from labelloop.evaluation.certify import Column, bound, per_label
from labelloop.evaluation.gate import Judging
from labelloop.kinds import LabelSchema
from labelloop.learners.frozen import Frozen
from labelloop.simulate.labelled import labelled
from labelloop.simulate.replay import Fitted, Player, ReplayPlan, ReplayState, World, ours, replay, world

from tasks import FRESH, Task, tasks

SELECTORS = ("uherding", "auto", "random", "typiclust")
ERRORS = (0.01, 0.02, 0.05, 0.1)
DELTA = 0.05
HOW = ("certified", "per label", "naive")
HOLDOUT, SHARE = 800, 0.3
BATCH, ASKED = 150, 300
STRENGTH = 30.0


@dataclass(frozen=True)
class Row:
    """What one run certifies at one error.

    Attributes:
        how: `certified`, `per label`, or `naive`: the lowest threshold above which the holdout shows no more errors.
        taken: Items that got the model's label.
        open: Items that nobody was asked about.
        error: The true share of wrong labels among the taken ones.
        exceeded: Whether that is more than promised; for any label, where each has a bound of its own.
        kept: How many times the gate had kept the model before.
    """

    run: int
    task: str
    selector: str
    promised: float
    how: str
    taken: int
    open: int
    error: float
    exceeded: int
    kept: int


@dataclass(frozen=True)
class Played:
    """What a loop ends with, an entry per item.

    Attributes:
        confidence: Of the model in use.
        given: The column of its label.
        right: Whether people would say the same.
        leads: Whether the item is the first of its group of near-duplicates.
        held, asked: Where the item is: in the holdout, asked to learn from, or open if neither.
        kept: How many times the gate kept the model before.
    """

    confidence: np.ndarray
    given: np.ndarray
    right: np.ndarray
    leads: np.ndarray
    held: np.ndarray
    asked: np.ndarray
    kept: int

    def column(self, rows: np.ndarray) -> Column:
        """What the bound sees of some items."""
        held, others = rows & self.held & self.leads, rows & ~self.held & self.leads
        return Column(self.confidence[held], self.right[held], self.confidence[others], ~self.asked[others])


class _Enough(Exception):  # noqa: N818 - no error
    """The loop has asked what it should."""


def play(task: Task, seed: int) -> Played:
    """One loop."""
    data = labelled(task.embeddings, task.answers, task.groups, fewest=2)
    selector = SELECTORS[seed % len(SELECTORS)]
    plan = ReplayPlan(selectors=(selector,), batch=BATCH, budget=ASKED + BATCH, noise=task.noise)
    made, held = _parted(world(data, plan, seed), seed)
    learner = Frozen(schema=LabelSchema("image", data.labels), strengths=(STRENGTH,), folds=3)
    everything = ours(plan, selector)
    champion: list[Fitted] = []
    kept = 0
    asked = np.zeros(len(data), np.bool_)

    def choose(now: ReplayState, n: int, rng: np.random.Generator) -> np.ndarray:
        nonlocal kept
        if now.predict is not None:
            answered = made.test[made.answerable[made.test]]
            old, new = (one(data.embeddings[answered]) for one in ((champion or [now.predict])[-1], now.predict))
            passes = not champion or gate.judge(old, new, made.said[answered], Judging()).promoted
            kept += not passes
            if passes:
                champion.append(now.predict)
        if len(now.asked) >= ASKED:
            asked[now.asked] = True
            raise _Enough
        return everything(now, n, rng)

    with suppress(_Enough):
        replay(made, plan, Player(selector, seed), learner, choose)
    likely = champion[-1](data.embeddings)
    given = likely.argmax(axis=1)
    right = made.said[np.arange(len(given)), given]
    leads = np.zeros(len(data), np.bool_)
    leads[np.unique(data.groups, return_index=True)[1]] = True
    return Played(likely.max(axis=1), given, right, leads, held, asked, kept)


def _parted(made: World, seed: int) -> tuple[World, np.ndarray]:
    """Another holdout than a replay's: it has the items that people would skip, too."""
    groups = made.labelled.groups
    turn = np.random.default_rng([seed, 4]).permutation(groups.max() + 1)[groups]
    wanted = min(HOLDOUT, round(SHARE * len(groups)))
    held = turn <= np.sort(turn)[wanted]
    return World(made.labelled, np.flatnonzero(~held), np.flatnonzero(held), made.said), held


def rows_of(task: str, run: int, played: Played) -> Iterator[Row]:
    """What is taken at each error, and how wrong it is."""
    everything = np.ones(len(played.right), np.bool_)
    open_ones = ~played.held & ~played.asked
    for promised in ERRORS:
        certified = bound(played.column(everything), promised, DELTA).threshold
        columns = [played.column(played.given == label) for label in np.unique(played.given)]
        each = {
            label: one.threshold
            for label, one in zip(np.unique(played.given), per_label(columns, promised, DELTA), strict=True)
        }
        own = np.array([each[label] for label in played.given])
        ways = {
            "certified": np.full(len(own), certified),
            "per label": own,
            "naive": np.full(len(own), naive(played, promised)),
        }
        for how, thresholds in ways.items():
            taken = open_ones & (played.confidence >= thresholds)
            parts = [taken & (played.given == label) for label in each] if how == "per label" else [taken]
            exceeded = any((~played.right[part]).mean() > promised for part in parts if part.any())
            error = float((~played.right[taken]).mean()) if taken.any() else 0.0
            selector = SELECTORS[run % len(SELECTORS)]
            yield Row(
                run,
                task,
                selector,
                promised,
                how,
                int(taken.sum()),
                int(open_ones.sum()),
                error,
                int(exceeded),
                played.kept,
            )


def naive(played: Played, promised: float) -> float:
    """The lowest threshold above which the share of errors in the holdout is not more than promised."""
    order = np.argsort(-played.confidence[played.held], kind="stable")
    shares = np.cumsum(~played.right[played.held][order]) / np.arange(1, len(order) + 1)
    fine = np.flatnonzero(shares <= promised)
    return float(played.confidence[played.held][order][fine[-1]]) if len(fine) else np.inf


def main() -> None:
    """Play, write what every run certified, print the figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=500)
    options.add_argument("--first-run", type=int, default=0)
    options.add_argument("--output", type=Path, default=Path("certify.csv"))
    options.add_argument("--read", type=Path, action="append", help="play nothing, judge these runs")
    options.add_argument("--plot", type=Path, help="also draw coverage and exceedance")
    options.add_argument("--life", action="store_true", help="only simulate many certificates on one holdout")
    options.add_argument("--audit", action="store_true", help="only simulate the audit")
    given = options.parse_args()
    if given.audit or given.life:
        audits() if given.audit else lives()
        return
    if not given.read:
        pools = [task for task in tasks() if task.name not in FRESH]
        with given.output.open("w", newline="") as file:
            writer = csv.DictWriter(file, [one.name for one in fields(Row)])
            writer.writeheader()
            for run in range(given.first_run, given.first_run + given.runs):
                began = time.perf_counter()
                task = pools[run // len(SELECTORS) % len(pools)]
                writer.writerows(asdict(row) for row in rows_of(task.name, run, play(task, run)))
                file.flush()
                print(f"{run} {task.name}: {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)
    found = read(given.read or [given.output])
    report(found)
    if given.plot:
        given.plot.write_bytes(plot(found))


def read(paths: list[Path]) -> list[Row]:
    """The rows of earlier runs."""
    types = {"int": int, "float": float, "str": str}
    found = []
    for path in paths:
        with path.open(newline="") as file:
            found += [
                Row(**{one.name: types[str(one.type)](row[one.name]) for one in fields(Row)})
                for row in csv.DictReader(file)
            ]
    return found


def report(found: list[Row]) -> None:
    """Print how often the promise is broken, and how much is labelled, beside the naive threshold."""
    runs = len({row.run for row in found})
    print(f"{runs} runs; broken is allowed in {DELTA:.0%}\n")
    print(
        "| promised error | how | promise broken in | something taken in | of these, broken | share of the pool taken |"
    )
    print("|---|---|---|---|---|---|")
    for promised in ERRORS:
        for how in HOW:
            rows = [row for row in found if row.promised == promised and row.how == how]
            broken, granted = sum(row.exceeded for row in rows), sum(row.taken > 0 for row in rows)
            of_granted = f"{broken / granted:.1%}" if granted else "-"
            share = np.mean([row.taken / row.open for row in rows])
            print(f"| {promised:.0%} | {how} | {broken / len(rows):.1%} | {granted} | {of_granted} | {share:.0%} |")
    print(f"\nThe gate kept the model before {sum(row.kept for row in found) // (len(ERRORS) * len(HOW))} times")
    print("\n| task | " + " | ".join(f"taken at {promised:.0%}" for promised in ERRORS) + " |")
    print("|---|" + "---|" * len(ERRORS))
    for task in dict.fromkeys(row.task for row in found):
        print(f"| {task} | " + " | ".join(f"{_share(found, task, promised):.0%}" for promised in ERRORS) + " |")


def _share(found: list[Row], task: str, promised: float, how: str = "certified") -> float:
    rows = [row for row in found if (row.task, row.promised, row.how) == (task, promised, how)]
    return float(np.mean([row.taken / row.open for row in rows]))


def lives(runs: int = 300, models: int = 10) -> None:
    """Print how often promises are broken over the life of a loop whose models the gate lets through.

    Ten models in a row, each a little better, right and wrong on mostly the same items; each that the gate promotes is
    certified on the same holdout of 500, for a pool of 4,000.
    """
    print(
        "\n| promised error | tries | granted | broken, of the tries | lives with a broken one | kept out by the gate |"
    )
    print("|---|---|---|---|---|---|")
    for promised in ERRORS:
        rng = np.random.default_rng(0)
        granted = broken = spoiled = kept = 0
        for _ in range(runs):
            hard, luck = rng.random(4500), rng.random(4500)
            held = rng.permutation(4500) < 500
            champion: np.ndarray | None = None
            bad = 0
            for number in range(models):
                luck = np.where(rng.random(4500) < 0.2, rng.random(4500), luck)
                wrong = luck < np.clip(hard * (0.8 - 0.03 * number), 0, 1) ** 2.5
                confidence = np.clip(1 - hard + 0.15 * rng.standard_normal(4500), 0, 1)
                if (
                    champion is not None
                    and not gate.judge(_two(champion[held]), _two(wrong[held]), RIGHT[held], Judging()).promoted
                ):
                    kept += 1
                    continue
                champion = wrong
                column = Column(confidence[held], ~wrong[held], confidence[~held], np.ones((~held).sum(), np.bool_))
                taken = ~held & (confidence >= bound(column, promised, DELTA).threshold)
                granted += bool(taken.any())
                bad += bool(taken.any()) and bool(wrong[taken].mean() > promised)
            broken += bad
            spoiled += bad > 0
        tries = runs * models - kept
        shares = f"{granted / tries:.0%} | {broken / tries:.1%} | {spoiled / runs:.1%}"
        print(f"| {promised:.0%} | {tries} | {shares} | {kept} |", flush=True)


RIGHT = np.tile([True, False], (4500, 1))


def _two(wrong: np.ndarray) -> np.ndarray:
    """(n, 2) probabilities of a model that is wrong there, where the first label is right everywhere."""
    return np.stack([~wrong, wrong], axis=1).astype(float)


def audits(runs: int = 400, most: int = 6000) -> None:
    """Print answers until the audit revokes, for errors over the promised one, beside CUSUM with its usual tuning."""
    rng = np.random.default_rng(0)
    print(
        "\n| promised error | true error | revoked | after (median, 90 % of runs) | CUSUM: revoked | after (median) |"
    )
    print("|---|---|---|---|---|---|")
    for promised in ERRORS:
        for times in (1.0, 2.0, 3.0, 5.0):
            wrong = [rng.random(most) < times * promised for _ in range(runs)]
            ours = [audit(one, promised).revoked_at for one in wrong]
            theirs = [cusum(one, promised) for one in wrong]
            print(f"| {promised:.0%} | {times:g} x | {_found(ours)} | {_found(theirs, several=False)} |")
        late = [np.concatenate([rng.random(300) < promised / 2, rng.random(most) < 2 * promised]) for _ in range(runs)]
        ours = [_since(audit(one, promised).revoked_at, 300) for one in late]
        theirs = [_since(cusum(one, promised), 300) for one in late]
        print(f"| {promised:.0%} | half, later 2 x | {_found(ours)} | {_found(theirs, several=False)} |")


def _since(found: int | None, when: int) -> int | None:
    return None if found is None else found - when


def _found(after: list[int | None], *, several: bool = True) -> str:
    times = np.array([np.inf if one is None else one for one in after])
    words = [
        f"{value:,.0f}" if np.isfinite(value) else "-" for value in np.quantile(times, [0.5, 0.9], method="higher")
    ]
    return f"{np.isfinite(times).mean():.0%} | " + (", ".join(words) if several else words[0])


def cusum(wrong: np.ndarray, promised: float, level: float = 500.0) -> int | None:
    """Page's CUSUM of the likelihood ratio of twice the error: answers until it alarms; None for never."""
    steps = np.where(wrong, np.log(2.0), np.log((1 - 2 * promised) / (1 - promised)))
    total = np.cumsum(steps)
    risen = total - np.minimum(np.minimum.accumulate(total), 0.0)
    crossed = np.flatnonzero(risen >= np.log(level))
    return int(crossed[0]) + 1 if len(crossed) else None


def plot(found: list[Row]) -> bytes:
    """An SVG: how often the promise is broken, and how much is labelled."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    mpl.rcParams["svg.fonttype"] = "none"
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    broken, taken = figure.subplots(1, 2)
    colours = {"certified": "#3457d5", "per label": "#2a8f5b", "naive": "#d5732a"}
    for place, (how, colour) in enumerate(colours.items()):
        at = np.arange(len(ERRORS)) + 0.27 * (place - 1)
        rows = [[row for row in found if row.how == how and row.promised == promised] for promised in ERRORS]
        broken.bar(at, [np.mean([row.exceeded for row in some]) for some in rows], 0.25, color=colour, label=how)
        taken.bar(at, [np.mean([row.taken / row.open for row in some]) for some in rows], 0.25, color=colour)
    broken.axhline(DELTA, color="#5b5f6b", lw=0.8, ls=(0, (4, 3)))
    broken.annotate(
        "delta = 5 %", (-0.4, DELTA), xytext=(0, 3), textcoords="offset points", fontsize=8, color="#5b5f6b"
    )
    broken.set(title="runs in which the error is larger than promised")
    taken.set(title="share of the pool that gets the model's label")
    for axes in (broken, taken):
        axes.set_xticks(range(len(ERRORS)), [f"{promised:.0%}" for promised in ERRORS])
        axes.set_xlabel("promised error")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(10)
    broken.legend(frameon=False, fontsize=8)
    body = BytesIO()
    figure.savefig(body, format="svg", metadata={"Date": None})
    return body.getvalue()


if __name__ == "__main__":
    main()
