"""The F1 of spans is the one of the field: equal to seqeval in strict mode on the same predictions, which are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelloop.kinds.spans import TextSpans
from labelloop.learners.tagging import spans_of

KEPT: dict[str, Any] = json.loads((Path(__file__).parent / "seqeval.json").read_text("utf-8"))


@pytest.mark.parametrize("name", list(KEPT["sets"]))
def test_span_f1_is_that_of_seqeval(name: str) -> None:
    kept = KEPT["sets"][name]
    wanted, given = (
        [spans_of(tags.split(), [(at, at + 1) for at in range(len(tags.split()))]) for tags in kept[which]]
        for which in ("wanted", "given")
    )
    kind = TextSpans(tuple(sorted({label for spans in (*wanted, *given) for _, _, label in spans})))

    counts = np.array([kind.counts(*pair) for pair in zip(given, wanted, strict=True)]).sum(axis=0)
    hits, false, missed = counts[:3]

    assert kind.scores["span-F1"](counts[None])[0] == pytest.approx(kept["f1"], abs=1e-12)
    assert hits / max(hits + false, 1) == pytest.approx(kept["precision"], abs=1e-12)
    assert hits / max(hits + missed, 1) == pytest.approx(kept["recall"], abs=1e-12)


def test_the_predictions_are_neither_all_right_nor_all_wrong() -> None:
    assert all(0.1 < KEPT["sets"][name]["f1"] < 0.9 for name in ("tweets", "random"))
