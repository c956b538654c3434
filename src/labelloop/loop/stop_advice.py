"""What a round knows about going on: its models' agreement, its gain on the holdout, the forecast. Asks nobody."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labelloop.errors import ConfigError
from labelloop.evaluation import stopping
from labelloop.evaluation.forecast import Forecast, Point, fit
from labelloop.evaluation.stopping import Advice, Signal
from labelloop.kinds import LabelSchema
from labelloop.ledger.rounds import Round
from labelloop.loop.training import Learned, Learning


def advise(learning: Learning, schema: LabelSchema, learned: Learned, history: Sequence[Round]) -> Advice:
    """Whether to stop asking, from the rounds so far and the model that was just learned.

    Predictions of earlier models come from the cache of `predict`.
    """
    before = _learned_more(history, schema, learned.learned_from)
    models = [one.model for one in before[-stopping.ROUNDS :] if learning.models.is_stored(one.model)]
    signals = {
        "stable": stopping.stable(_kappas(learning, schema, learned, models)),
        "flat": _flat(learning, schema, learned, models),
        "spent": stopping.spent(curve_of([*before, *_now(learned)]), stopping.ROUNDS * learning.batch),
    }
    columns = learned.known.columns
    there = int((learned.known.held_out & columns.readable).sum())
    return stopping.advise(signals, int((columns.readable & ~learned.known.asked).sum()), there)


def curve_of(found: Sequence[Round | Point]) -> Forecast | None:
    """The forecast of these scores; None while there are too few."""
    try:
        return fit(points_of(found))
    except ConfigError:
        return None


def points_of(found: Sequence[Round | Point]) -> list[Point]:
    """The scores of models that learned from ever more answers."""
    points: list[Point] = []
    for one in found:
        point = one if isinstance(one, Point) else _point(one)
        if point is not None and (not points or point.labels > points[-1].labels):
            points.append(point)
    return points


def _point(one: Round) -> Point | None:
    score = one.metrics.get("score")
    return None if score is None else Point(one.learned_from, score, one.metrics["n"])


def _now(learned: Learned) -> list[Point]:
    score = learned.judged.metrics
    return [] if score.score is None else [Point(learned.learned_from, score.score, score.n)]


def _learned_more(history: Sequence[Round], schema: LabelSchema, until: int) -> list[Round]:
    """The rounds whose models learned from ever more answers, but from fewer than `until`, oldest first."""
    found: list[Round] = []
    for one in history:
        if one.matches(schema.labels) and one.learned_from < until:
            found = [earlier for earlier in found if earlier.learned_from < one.learned_from]
            found.append(one)
    return found


def _kappas(learning: Learning, schema: LabelSchema, learned: Learned, models: Sequence[str]) -> list[float]:
    """How far each of these models, and the one in use now, agrees with the one before it."""
    now = learned.judged.model
    distinct = [one for i, one in enumerate(models) if one != (models[i + 1] if i + 1 < len(models) else now)]
    if not now or not distinct:
        return []
    readable = np.flatnonzero(learned.known.columns.readable)
    chosen = readable[stopping.stop_set(learned.known.columns.ids[readable], learning.snapshots.salt)]
    inputs = learning.snapshots.inputs(learned.known.columns.ids[chosen], learned.features.matrix[chosen])
    said = [learning.models.decided(model, inputs) for model in (*distinct, now)]
    return [stopping.kappa(said[i], said[i + 1]) for i in range(len(said) - 1)]


def _flat(learning: Learning, schema: LabelSchema, learned: Learned, models: Sequence[str]) -> Signal:
    """What the holdout says about the model in use, against the one of some rounds ago."""
    now = learned.judged.model
    if not now or len(models) < stopping.ROUNDS:
        return Signal(None, f"only {len(models)} of {stopping.ROUNDS} earlier rounds to compare with")
    judging = learning.snapshots.examples(learned.known, learned.features, held_out=True)
    there = int((learned.known.held_out & learned.known.columns.readable).sum())
    if not len(judging):
        return stopping.flat(np.empty(0), np.empty(0), there)
    wrong = [
        (learning.models.decided(model, judging.inputs) != judging.targets).sum(axis=1) for model in (models[0], now)
    ]
    return stopping.flat(wrong[0], wrong[1], there)
