"""A real Label Studio asks the model in use about texts, and gets spans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.cli import run

from support.connected import PASSWORD, USER, Connected, connection
from support.span_world import SpanWorld, spans_in

pytestmark = pytest.mark.live

TEXTS = (
    "Ann met Bob in Rome",
    "\N{GRINNING FACE}\N{FAMILY} Carol left \u6771\u4eac, saw Oslo",
    "Dan wrote\r\nabout Lima",
)


@pytest.fixture(scope="module")
def connected(live_annotator: LabelStudioAnnotator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connected]:
    """Two rounds were answered; the backend runs and is connected."""
    world = SpanWorld(tmp_path_factory.mktemp("spans") / "world", live_annotator, "asks for spans")
    world.draw(60)
    for _ in range(2):
        world.do("--set", "loop.batch=12", "tick")
        world.answer_all()
    world.do("--set", "loop.batch=12", "tick")
    with connection(world) as made:
        yield made


def marked(regions: Sequence[Mapping[str, Any]]) -> list[tuple[int, int, str]]:
    """The spans of some regions."""
    values = [region["value"] for region in regions]
    return sorted((value["start"], value["end"], *value["labels"]) for value in values)


@pytest.mark.parametrize("text", TEXTS)
def test_opening_a_text_of_somebody_else_shows_spans_on_its_words(connected: Connected, text: str) -> None:
    (shown,) = connected.opened(connected.pasted(text))

    assert marked(shown["result"]) == list(spans_in(text))
    assert shown["model_version"] == connected.project()["model_version"]
    assert {(region["from_name"], region["to_name"], region["type"]) for region in shown["result"]} == {
        ("entities", "text", "labels")
    }
    assert all(0 < region["score"] < 1 for region in shown["result"])


def test_a_text_that_the_model_fails_on_is_left_out_and_others_of_the_request_are_answered(
    connected: Connected,
) -> None:
    bad, good = connected.pasted("broken in Rome"), connected.pasted("Bob in Oslo")

    connected.call(
        "POST",
        "/api/dm/actions",
        query={"id": "retrieve_tasks_predictions", "project": connected.world.project},
        body={"selectedItems": {"all": False, "included": [bad, good]}},
    )

    guessed = {int(task["id"]): task["predictions"] for task in connected.world.tasks()}
    assert [marked(one["result"]) for one in guessed[good]] == [list(spans_in("Bob in Oslo"))]
    assert not any(one["result"] for one in guessed[bad])


def test_questions_of_the_holdout_stay_blind(connected: Connected) -> None:
    blind = [
        int(one.task_id) for one in connected.world.questions() if one.purpose == "holdout" and one.state == "asked"
    ]

    assert blind
    assert not any(one["result"] for task in blind for one in connected.opened(task))


def test_a_project_whose_control_was_renamed_is_not_connected_and_says_why(
    connected: Connected, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = str(connected.project()["label_config"])
    path = f"/api/projects/{connected.world.project}"
    text = "Ann in Lima, whatever it is called"
    monkeypatch.setenv("LABELLOOP_SECRET_TEAM__TOKEN", connected.world.token)
    monkeypatch.setenv("LABELLOOP_SECRET_LABELLOOP_ML_BACKEND__USER", USER)
    monkeypatch.setenv("LABELLOOP_SECRET_LABELLOOP_ML_BACKEND__PASSWORD", PASSWORD)

    connected.call("PATCH", path, body={"label_config": kept.replace('value="LOC"', 'value="PLACE"')})
    try:
        code = run(
            ["-C", str(connected.world.root), "--set", f"ml_backend.port={connected.port}", "ml-backend", "connect"]
        )
        err = capsys.readouterr().err
        while_it_is_another = connected.opened(connected.pasted(text))
    finally:
        connected.call("PATCH", path, body={"label_config": kept})
    afterwards = connected.opened(connected.pasted(text))

    assert code == 2
    assert "'entities' is asked otherwise than [controls.entities] says" in err
    assert while_it_is_another == []
    assert [marked(one["result"]) for one in afterwards] == [list(spans_in(text))]
