"""What is wrong with the items as a whole: no holdout can be drawn, or the backbone does not see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields

import numpy as np

from labelloop.errors import LabelLoopError
from labelloop.evaluation import holdout
from labelloop.evaluation.holdout import Draw
from labelloop.ledger import Ledger
from labelloop.ledger.items import ItemColumns
from labelloop.loop import embedding
from labelloop.loop.embedding import Sight
from labelloop.machine.registry import build
from labelloop.protocols import Backbone, Learner
from labelloop.workspace.config import Config

SIGHT, TOLD = "what the backbone does not see", "what was said of the items"
"""Under which names the ledger keeps it."""

FEW = 20
"""Items below which nobody expects a score."""


def held_out(ledger: Ledger, groups: Sequence[str] | np.ndarray) -> np.ndarray:
    """(n,) bool, whether the items of these groups are held out, as it was fixed; none where nothing is fixed yet."""
    share, salt, early = (ledger.rounds.fact(f"holdout_{name}") for name in ("share", "salt", "early"))
    first = [item.id for item in ledger.items.between(0, early or 0)]
    return Draw(share or 0.0, str(salt), early or 0).of(groups, first)


def without_holdout(ledger: Ledger, config: Config) -> tuple[str, str]:
    """(what is wrong, the way out) where a score is wanted and no item can be held out for it; else empty."""
    wanted, columns = config.holdout, ledger.items.columns()
    fixed = ledger.rounds.fact("holdout_share") is not None
    share = ledger.rounds.fact("holdout_share") if fixed else wanted.share
    if not share or not wanted.size or len(columns.ids) < FEW:
        return "", ""
    drawn = Draw(share, str(config.loop.seed), holdout.early_of(share)).of(columns.groups, columns.ids)
    if (held_out(ledger, columns.groups) if fixed else drawn).any():
        return "", ""
    groups, sizes = np.unique(columns.groups, return_counts=True)
    words = (
        f"no item can be held out for the score: {len(columns.ids)} items are {len(groups)} group(s) of near "
        f"duplicates, the largest of {sizes.max()}, and none of them was drawn"
    )
    way = (
        'add other items; or begin a dataset of another name, with duplicates = "exact" under [dataset] where what is '
        "alike is not the same; or go on without a score: share = 0 under [holdout]"
    )
    return words, way


def noticed(ledger: Ledger, config: Config) -> list[str]:
    """What is wrong with the items as a whole, each with its way out."""
    return [f"{words}: {way}" for words, way in warnings_of(ledger, config)]


def warnings_of(ledger: Ledger, config: Config) -> list[tuple[str, str]]:
    """(what is wrong with the items as a whole, the way out), as far as it was looked at."""
    kept = ledger.answers.recall(SIGHT) or {"items": 0, "size": 0}
    seen = Sight(**{one.name: kept[one.name] for one in fields(Sight) if one.name in kept})
    return [one for one in (without_holdout(ledger, config), *seen.notices()) if one[0]]


def noticed_anew(ledger: Ledger, config: Config) -> list[str]:
    """What of that was not said before; it counts as said now."""
    told, now = ledger.answers.recall(TOLD) or [], noticed(ledger, config)
    if set(now) - set(told):
        ledger.answers.remember(TOLD, now)
    return [one for one in now if one not in told]


def look(ledger: Ledger, backbone: Backbone, ids: Sequence[str] | np.ndarray) -> Sight:
    """What a backbone does not see of these items."""
    items = ledger.items.get([str(one) for one in ids])
    prints = ledger.items.fingerprints(list(items)) if backbone.modality == "image" else []
    return embedding.sight(backbone, list(items.values()), ledger.items.count(), prints)


def look_ahead(ledger: Ledger, config: Config) -> None:
    """Keep what the backbone will not see of the items, where it can be known without code of others or a download."""
    chosen = config.learner_of()
    if any(":" in str(one) for one in (chosen.flavor, *chosen.options.values())):
        return
    try:
        made: Learner = build("learner", chosen.flavor, chosen.options, {"schema": config.schema_of()})
        backbone, columns = made.backbone, ledger.items.columns()
        if backbone is not None and len(columns.ids):
            seen = look(ledger, backbone, columns.ids[some_rows(columns)])
            ledger.answers.remember(SIGHT, {**asdict(seen), "backbone": backbone.fingerprint})
    except LabelLoopError:  # said by check, and by what needs the learner
        return


def some_rows(columns: ItemColumns) -> np.ndarray:
    """Rows of items to look at, from the first to the last."""
    n = len(columns.ids)
    rows: np.ndarray = np.linspace(0, n - 1, min(n, embedding.LOOKED_AT)).astype(np.intp)
    return rows
