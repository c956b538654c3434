"""Whatever JSON somebody answers with, the loop hears it, says what it is, exports what counts, and goes on."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelloop.backends.label_studio.reading import annotation_of, regions_in
from labelloop.commands.doctor import examine
from labelloop.commands.export import write_labels
from labelloop.commands.history import history_as_dict
from labelloop.commands.status import status_in_words
from labelloop.kinds import LabelSchema
from labelloop.kinds.consensus import consensus_of
from labelloop.kinds.label_changes import rename, translated
from labelloop.loop.unusable import region_in_words

from support.small_world import SCHEMA, World

characters = st.characters(codec=None)  # half emojis and NUL among them
words = st.text(characters, max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
ours = st.fixed_dictionaries(
    {
        "from_name": st.just("label") | values,
        "to_name": st.just("text") | values,
        "type": st.just("choices") | values,
        "value": st.fixed_dictionaries({"choices": values}) | values,
    }
)
results = st.lists(ours | values, max_size=4) | values


def row(result: Any, **more: Any) -> dict[str, Any]:
    times = dict.fromkeys(("created_at", "updated_at"), "2026-02-03T00:00:00Z")
    said = {"id": 1, "result": result, "completed_by": None, "was_cancelled": False, "ground_truth": False}
    return {**said, "lead_time": None, **times, **more}


@given(results, values)
def test_any_json_is_an_annotation(result: Any, lead_time: Any) -> None:
    made, _ = annotation_of("a", row(result, lead_time=lead_time), str)
    changed = rename(SCHEMA, [], "cat", "tomcat")

    believed = consensus_of(SCHEMA, [made])

    assert believed.answer is None or believed.answer[0] in SCHEMA.labels
    assert all(len(why) < 500 for why in believed.set_aside.values())
    assert all(len(region_in_words(region)) < 2000 for region in made.regions)
    assert made.lead_time is None or made.lead_time >= 0
    assert json.loads(json.dumps(made.regions)) == [dict(one) for one in made.regions]
    translated(LabelSchema("text", changed.after), [changed], made.regions)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(results, min_size=4, max_size=4))
def test_a_loop_goes_on_whatever_is_answered(animals: World, many: list[Any]) -> None:
    animals.tick()
    for item, result in zip(animals.dataset.open_items(), many, strict=False):
        animals.dataset.say(item, regions_in(result)[0], "odd@example.com")
    animals.tick()

    with animals.loop() as loop:
        assert status_in_words(loop).encode()
        for item in list(animals.dataset.present())[:4]:
            assert json.dumps(history_as_dict(loop, item))
        write_labels(loop, str(animals.root / "labels.jsonl"))
        write_labels(loop, str(animals.root / "labels.csv"))
        write_labels(loop, str(animals.root / "labels.parquet"))
        assert not [one for one in examine(loop) if one.what == "answers"]
