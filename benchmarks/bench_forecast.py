"""Does the forecast made at 30 % of the budget contain the final score? Loops on eight real tasks, replayed.

Run: python benchmarks/bench_forecast.py [--seeds 3] [--fresh] [--rounds rounds.csv] [--plot forecast.svg]
     python benchmarks/bench_forecast.py --read benchmarks/results/forecast.csv      the figures again

Each replay is a loop: logistic regression of one fixed strength, batches of 25 up to 500 answers, and a holdout that
grows by 50 answers per round up to 200. The forecast sees what the loop would have seen by then: answers learned from
and scores on the holdout. The truth is the score on all test items that are not in the holdout. Tasks are those of
tasks.py: eight that the prior of the forecast was chosen with (on other replays), and with --fresh the five others.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path

import numpy as np

from labelloop.evaluation import stopping
from labelloop.evaluation.forecast import FEWEST, Forecast, Point, fit
from labelloop.kinds import LabelSchema
from labelloop.learners.frozen import Frozen
from labelloop.protocols import Learner
from labelloop.simulate.labelled import labelled
from labelloop.simulate.replay import Fitted, Player, ReplayPlan, ReplayState, World, ours, replay, world

from tasks import FRESH, Task, tasks

SELECTORS = ("random", "uherding", "auto")
STRENGTH = 30.0
BATCH, BUDGET = 25, 500
HOLDOUT, PER_ROUND = 200, 50


@dataclass(frozen=True)
class Row:
    """One round of one replay.

    Attributes:
        labels: Questions asked to learn from, so far.
        learned: Of these, answers that were learned from.
        held: Answers in the holdout.
        score: On the holdout.
        truth: On the rest of the test items.
        stable, flat: What the signals of `labelloop.evaluation.stopping` say: 1, 0, or -1 while they cannot say.
    """

    task: str
    selector: str
    seed: int
    labels: int
    learned: int
    held: int
    score: float
    truth: float
    stable: int
    flat: int


def main() -> None:
    """Replay, write every round, print the figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--first-seed", type=int, default=0)
    options.add_argument("--fresh", action="store_true", help="the tasks that nothing was chosen on")
    options.add_argument("--task", action="append", help="this one only; may be repeated")
    options.add_argument("--selector", action="append", help="this one only; may be repeated")
    options.add_argument("--rounds", type=Path, default=Path("rounds.csv"), help="where every round is written")
    options.add_argument("--read", type=Path, action="append", help="replay nothing, judge these rounds")
    options.add_argument("--plot", type=Path, help="also draw the forecasts")
    given = options.parse_args()
    if not given.read:
        with given.rounds.open("w", newline="") as file:
            writer = csv.DictWriter(file, [one.name for one in fields(Row)])
            writer.writeheader()
            for row in played(given):
                writer.writerow({**asdict(row), "score": round(row.score, 4), "truth": round(row.truth, 4)})
                file.flush()
    found = read(given.read or [given.rounds])
    report(found)
    if given.plot:
        given.plot.write_bytes(plot(found))


def played(given: argparse.Namespace) -> Iterator[Row]:
    """Every replay, seed by seed."""
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        for task in tasks():
            if task.name not in given.task if given.task else (task.name in FRESH) != given.fresh:
                continue
            for selector in given.selector or SELECTORS:
                began = time.perf_counter()
                yield from rounds_of(task, selector, seed)
                print(
                    f"{task.name} {selector} {seed}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True
                )


def rounds_of(task: Task, selector: str, seed: int) -> list[Row]:
    """One replay; the round after the last is not played to its end."""
    data = labelled(task.embeddings, task.answers, task.groups, fewest=2)
    plan = ReplayPlan(selectors=(selector,), batch=BATCH, budget=BUDGET + BATCH, noise=task.noise)
    made = world(data, plan, seed)
    drawn = np.random.default_rng([seed, 3]).permutation(made.test)
    watched = stopping.stop_set(made.pool.astype(np.str_), "")
    learner: Learner = Frozen(schema=LabelSchema("image", data.labels), strengths=(STRENGTH,), folds=2, calibrate=False)
    found: list[Row] = []
    said: list[tuple[np.ndarray, np.ndarray]] = []
    kappas: list[float] = []
    play = ours(plan, selector)

    def choose(now: ReplayState, n: int, rng: np.random.Generator) -> np.ndarray:
        if now.predict is not None:
            said.append((decided(now.predict, made, made.pool[watched]), decided(now.predict, made, drawn)))
            held = min(HOLDOUT, PER_ROUND * len(said))
            if len(said) > 1:
                kappas.append(stopping.kappa(said[-2][0], said[-1][0]))
            wrong = [(one != made.said[drawn]).sum(axis=1) for _, one in said]
            back = wrong[-1 - stopping.ROUNDS] if len(wrong) > stopping.ROUNDS else None
            score, truth = 1 - (wrong[-1][:held] > 0).mean(), 1 - (wrong[-1][HOLDOUT:] > 0).mean()
            learned = int(made.answerable[now.asked].sum())
            flat = stopping.flat(back[:held], wrong[-1][:held]).says_stop if back is not None else None
            signals = (_number(stopping.stable(kappas).says_stop), _number(flat))
            row = Row(task.name, selector, seed, len(now.asked), learned, held, score, truth, *signals)
            found.append(row)
        return play(now, n, rng)

    replay(made, plan, Player(selector, seed), learner, choose)
    return found


def decided(predict: Fitted, made: World, rows: np.ndarray) -> np.ndarray:
    """(n, k) bool: the labels a model gives."""
    return np.eye(made.said.shape[1], dtype=bool)[predict(made.labelled.embeddings[rows]).argmax(axis=1)]


def _number(says: bool | None) -> int:
    return -1 if says is None else int(says)


Loops = dict[tuple[str, str, int], list[Row]]


def read(paths: list[Path]) -> Loops:
    """(task, selector, seed) -> its rounds; only loops that were played to their end."""
    found: Loops = {}
    for path in paths:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                made = Row(**{one.name: TYPES[str(one.type)](row[one.name]) for one in fields(Row)})
                found.setdefault((made.task, made.selector, made.seed), []).append(made)
    return {key: rows for key, rows in found.items() if rows[-1].labels >= BUDGET}


def seen(rows: list[Row], share: float = 1.0) -> Forecast | None:
    """The forecast that a loop makes when this share of the budget is spent."""
    return curve_of([Point(one.learned, one.score, one.held) for one in rows if one.labels <= share * BUDGET])


def curve_of(points: list[Point]) -> Forecast | None:
    """The forecast; None while there are too few scores, or no new answer was learned from."""
    growing = [one for i, one in enumerate(points) if all(one.labels > earlier.labels for earlier in points[:i])]
    return fit(growing) if len(growing) >= FEWEST else None


def inside(rows: list[Row], share: float) -> tuple[bool, float, float] | None:
    """Whether the band contains the true score at the end, how wide it is, and how far off its middle."""
    curve = seen(rows, share)
    if curve is None:
        return None
    band = curve.score(rows[-1].learned)
    return band.low <= rows[-1].truth <= band.high, band.high - band.low, band.middle - rows[-1].truth


def report(found: Loops) -> None:
    """Print how often the band contains the final score, and what the advice to stop is worth."""
    print("| forecast made at | loops | contains the final score | width of the band, median | off, median |")
    print("|---|---|---|---|---|")
    for share in (0.2, 0.3, 0.5):
        told = [one for rows in found.values() if (one := inside(rows, share))]
        hits, widths, off = (np.array(column) for column in zip(*told, strict=True))
        middle = f"{100 * np.median(widths):.1f} points | {100 * np.median(np.abs(off)):.1f} points"
        print(f"| {share:.0%} of the budget | {len(told)} | {hits.mean():.1%} | {middle} |")
    for name in ("task", "selector"):
        print(f"\nAt 30 %, by {name}: " + ", ".join(_by(found, name)))
    print("\nAdvice to stop: " + advice_in_words(found))


def _by(found: Loops, name: str) -> Iterator[str]:
    groups: dict[str, list[bool]] = {}
    for rows in found.values():
        if one := inside(rows, 0.3):
            groups.setdefault(getattr(rows[0], name), []).append(one[0])
    return (f"{group} {sum(hits)} of {len(hits)}" for group, hits in groups.items())


def stopped(rows: list[Row]) -> Row | None:
    """The round at which two of three signals first say stop."""
    for i, row in enumerate(rows):
        points = [Point(one.learned, one.score, one.held) for one in rows[: i + 1]]
        spent = stopping.spent(curve_of(points), stopping.ROUNDS * BATCH).says_stop
        if (row.stable == 1) + (row.flat == 1) + bool(spent) >= 2:
            return row
    return None


def advice_in_words(found: Loops) -> str:
    """When loops would have stopped, and what share of the score at the end they had by then."""
    ends = [(stopped(rows), rows) for rows in found.values()]
    said = [(row.labels, row.truth / rows[-1].truth, rows[-1].truth - row.truth) for row, rows in ends if row]
    if not said:
        return f"in none of {len(ends)} loops before {BUDGET} answers"
    labels, shares, lost = (np.array(column) for column in zip(*said, strict=True))
    return (
        f"in {len(said)} of {len(ends)} loops before {BUDGET} answers, at {np.median(labels):.0f} (median), with "
        f"{np.median(shares):.1%} of the score at the end (median; 5th percentile {np.quantile(shares, 0.05):.1%}); "
        f"more than 2 points were still to come in {np.sum(lost > 0.02)}"
    )


def plot(found: Loops) -> bytes:
    """An SVG: a loop of each task, what its forecast at 30 % said, and what came."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    mpl.rcParams["svg.fonttype"] = "none"
    names = list(dict.fromkeys(task for task, _, _ in found))
    figure = Figure(figsize=(10, 2.6 * -(-len(names) // 4)), layout="constrained")
    for place, name in enumerate(names):
        axes = figure.add_subplot(-(-len(names) // 4), 4, place + 1)
        rows = next(rows for (task, selector, _), rows in found.items() if task == name and selector == "auto")
        curve = seen(rows, 0.3)
        assert curve is not None
        at = np.linspace(curve.now, rows[-1].learned, 16)
        bands = [curve.score(labels) for labels in at]
        axes.fill_between(
            at, [one.low for one in bands], [one.high for one in bands], color="#3457d5", alpha=0.15, lw=0
        )
        axes.plot(at, [one.middle for one in bands], color="#3457d5", ls="--", lw=1)
        learned = [one.learned for one in rows]
        axes.plot(learned, [one.truth for one in rows], color="#1b1d23", lw=1.2)
        early = [one for one in rows if one.labels <= 0.3 * BUDGET]
        axes.plot([one.learned for one in early], [one.score for one in early], "o", color="#d5732a", ms=3)
        axes.set_title(name, fontsize=9)
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    body = BytesIO()
    figure.savefig(body, format="svg", metadata={"Date": None})
    return body.getvalue()


TYPES = {"str": str, "int": int, "float": float}

if __name__ == "__main__":
    main()
