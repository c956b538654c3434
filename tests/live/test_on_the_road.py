"""The real Label Studio behind what stands before it in companies: proxies with limits, sub-paths, own certificates."""

from __future__ import annotations

import pytest

from labelloop.backends.label_studio import tasks
from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.kinds import LabelSchema
from labelloop.types import Item, Question

pytestmark = [pytest.mark.live, pytest.mark.slow]

ODD = ["50% off", "a+b", 'say "hi"', "é 猫 \N{CAT FACE}", "%25", "a,b", "&x=1", "#", "\\", "a/b?c"]
TEXTS = LabelSchema("text", ("a", "b"))


def test_five_hundred_items_and_odd_ids_are_looked_up_by_their_addresses(annotator: LabelStudioAnnotator) -> None:
    dataset = annotator.open("looked up", TEXTS)
    ids = [f"{n:032x}" for n in range(500)] + ODD
    dataset.ask([Question(Item(one, "text", text=one)) for one in ids])

    found = [row["data"][tasks.UID] for row in tasks.with_uids(annotator.client(), dataset.project, ids, "id,data")]

    assert sorted(found) == sorted(ids)
