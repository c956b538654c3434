"""How good the model in use is: intervals, labels, calibration, the naive estimate, drift, what choosing saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from labelloop.errors import ConfigError
from labelloop.evaluation import answers, metrics
from labelloop.evaluation.gate import margin
from labelloop.evaluation.intervals import exact, fisher
from labelloop.evaluation.metrics import Bin, Metrics
from labelloop.evaluation.savings import Savings
from labelloop.loop.gatekeeper import JudgedModel
from labelloop.loop.loop import Loop
from labelloop.loop.notices import without_holdout
from labelloop.types import only

DRIFTED = 0.05
"""The p-value below which older and newer held-out answers are said to differ."""

FEWEST_PER_SLICE = 20


@dataclass(frozen=True, slots=True)
class Naive:
    """What people without a holdout report: cross-validation over the answers that were learned from.

    Attributes:
        score: The same measure as the honest one; None where there are too few answers.
        n: Answers it rests on.
        chosen: How many of them the loop chose, not at random.
    """

    score: float | None
    n: int
    chosen: int


@dataclass(frozen=True, slots=True)
class Drift:
    """The model in use on the older and the newer half of the held-out answers, by when they were asked.

    Attributes:
        older, newer: Shares of items that are right.
        p: Of Fisher's exact test, two-sided, that both are the same.
    """

    older: float
    newer: float
    n_older: int
    n_newer: int
    p: float

    def in_words(self) -> str:
        """What it says, for people."""
        seen = f"{self.older:.3f} on the {self.n_older} older, {self.newer:.3f} on the {self.n_newer} newer answers"
        verdict = "they differ: has the data changed?" if self.p < DRIFTED else "no drift that these can show"
        return f"{seen} (p = {self.p:.2g}): {verdict}"


@dataclass(frozen=True)
class Scorecard:
    """Everything known about the model in use.

    Attributes:
        learned_from: Answers it was trained on; newer models, of more answers, may not have passed the gate.
        allowed: The loss that the gate lets a new model risk with a holdout of this size.
        drift: None where there are too few answers of two times.
        beside: Other scores of the same answers, where what is asked are no choices: name -> (value, low, high).
    """

    version: str
    learned_from: int
    metrics: Metrics
    allowed: float
    naive: Naive
    drift: Drift | None
    savings: Savings
    beside: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)

    def as_dict(self) -> Mapping[str, Any]:
        """For scripts."""
        return {
            "version": self.version,
            "learned_from": self.learned_from,
            "metrics": asdict(self.metrics),
            "allowed_loss": self.allowed,
            "naive": asdict(self.naive),
            "drift": asdict(self.drift) if self.drift else None,
            "savings": self.savings.as_dict(),
            "beside": {name: list(one) for name, one in self.beside.items()},
        }


def _way_to_a_score(loop: Loop) -> str:
    """What brings a first held-out answer."""
    _, way = without_holdout(loop.ledger, loop.workspace.config)
    if way:
        return way
    if not loop.workspace.config.holdout.size:
        return "set size = 200 under [holdout]"
    open_ones = sum(one.purpose == "holdout" for one in loop.ledger.answers.questions(["asked"]))
    return f"answer the {open_ones} open question(s) for the score" if open_ones else "labelloop tick asks for it"


def scorecard(loop: Loop) -> Scorecard:
    """Score the model in use on all held-out answers of now; computed once for the same answers.

    Raises:
        ConfigError: There is no model, or no held-out answer.
    """
    learning, model = loop.learning, loop.learning.models.champion()
    last = loop.ledger.rounds.last()
    if not model or last is None or not last.matches(loop.schema.labels):
        raise ConfigError("there is no model yet: nobody's answers have been learned from", "labelloop watch")
    now = learning.gate.standing(model)
    if not len(now.judging):
        raise ConfigError("nobody has answered a held-out question yet, so there is no score", _way_to_a_score(loop))
    score = learning.gate.score(now.model, now.judging)
    brought = next(one for one in loop.ledger.rounds.all() if one.model == model)
    return Scorecard(
        last.version,
        brought.learned_from,
        score,
        margin(score.independent),
        _naive(loop),
        _drift(loop, now),
        learning.gate.savings(now, last.learned_from),
        learning.gate.beside(now.model, now.judging),
    )


def _naive(loop: Loop) -> Naive:
    try:
        unseen = loop.learning.out_of_sample()
    except ConfigError:
        return Naive(None, 0, 0)
    known, examples = unseen.said.known, unseen.examples
    drawn = loop.learning.gate.at_random()
    chosen = sum(str(item_id) not in drawn for item_id in examples.inputs.ids)
    if not known.any():
        return Naive(None, len(examples), chosen)
    if loop.schema.asked is not None:
        judged = only(examples, known)
        score = answers.evaluate(unseen.said.at(known), judged.answers, loop.schema.asked).score
        return Naive(score, len(judged), chosen)
    # An answer whose label is in no other part cannot be guessed by anybody, and counts as wrong.
    likely = np.where(known[:, np.newaxis], unseen.probabilities, ~examples.targets)
    found = metrics.evaluate(
        likely,
        examples.targets,
        examples.labels,
        multiple=examples.multiple,
        metric=loop.workspace.config.holdout.metric,
    )
    return Naive(found.score, len(examples), chosen)


def _drift(loop: Loop, now: JudgedModel) -> Drift | None:
    asked = {one.item_id: one.round for one in loop.ledger.answers.questions()}
    when = np.array([asked.get(str(item_id), 0) for item_id in now.judging.inputs.ids])
    newer = when > np.median(when)
    if min(newer.sum(), (~newer).sum()) < FEWEST_PER_SLICE:
        return None
    counts = [(int(now.right[part].sum()), int(part.sum())) for part in (~newer, newer)]
    (a, m), (b, n) = counts
    return Drift(a / m, b / n, m, n, fisher(a, m, b, n))


def notes(card: Scorecard) -> list[tuple[str, str]]:
    """What stands behind the score: what about, and what is known."""
    score = card.metrics
    intervals = ", ".join(f"{low:.3f} to {high:.3f} ({name})" for name, (low, high) in score.intervals.items())
    drift = card.drift.in_words() if card.drift else "not yet known: too few answers of two times"
    return [
        ("95 % interval", intervals),
        ("naive estimate", _naive_in_words(card.naive)),
        ("gate", f"a new model may risk {100 * card.allowed:.1f} points with this holdout"),
        ("drift", drift),
        ("saved against random", card.savings.in_words()),
    ]


def in_words(card: Scorecard) -> str:
    """The whole card, for people."""
    score = card.metrics
    worth = f", worth {score.independent:.0f} without near duplicates" if score.independent < score.n - 0.5 else ""
    lines = [
        ("model", f"{card.version}, learned from {card.learned_from} answers"),
        (score.score_name, f"{score.score:.3f} on {score.n} held-out items{worth}"),
        *((name, f"{value:.3f} ({low:.3f} to {high:.3f})") for name, (value, low, high) in card.beside.items()),
        *notes(card),
        ("calibration", f"error {score.ece or 0.0:.3f}, log loss {score.log_loss or 0.0:.3f}"),
    ]
    return "\n".join(f"{about:<21} {known}" for about, known in lines)


def _naive_in_words(naive: Naive) -> str:
    if naive.score is None:
        return "not yet known: too few answers"
    return (
        f"{naive.score:.3f} by cross-validation over {naive.n} answers learned from, {naive.chosen} of them chosen by "
        "the loop: biased"
    )


def label_rows(score: Metrics) -> list[Sequence[str]]:
    """One row per label, the weakest first: F1, precision and recall with their intervals."""
    known = sorted(score.per_label.items(), key=lambda pair: (pair[1].f1 is None, pair[1].f1 or 0.0, pair[0]))
    return [
        (
            label,
            _with_interval(one.f1, one.f1_interval),
            _with_interval(one.precision, one.precision_interval),
            _with_interval(one.recall, one.recall_interval),
            str(one.support),
        )
        for label, one in known
    ]


def bin_rows(score: Metrics) -> list[Sequence[str]]:
    """One row per bin of the reliability curve."""
    return [
        (f"{one.confidence:.2f}", _with_interval(one.accuracy, _exact_of(one)), str(one.count))
        for one in score.reliability
    ]


def _exact_of(one: Bin) -> Sequence[float]:
    return exact(round(one.accuracy * one.count), one.count)


def _with_interval(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else "")
