"""A real Label Studio asks the model in use, and nothing else changes: the queue, the versions, the blind questions."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from labelloop.backends.label_studio import calls
from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.cli import run

from support.connected import PASSWORD, USER, Connected, connection
from support.live_world import DIGITS, LiveWorld

pytestmark = pytest.mark.live

NAME = "asks the model in use"
TITLE = "labelloop"


def picture(digit: int) -> bytes:
    """A handwritten digit that the loop has not seen."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    row = np.flatnonzero(digits.target == digit)[-1]
    body = io.BytesIO()
    Image.fromarray(255 - (digits.images[row] * 15.9).astype(np.uint8)).resize((64, 64)).save(body, "PNG")
    return body.getvalue()


@pytest.fixture
def connected(annotator: LabelStudioAnnotator, tmp_path: Path) -> Iterator[Connected]:
    """Two rounds were asked, one is answered; the backend runs and is connected."""
    world = LiveWorld(tmp_path / "world", annotator, NAME)
    world.draw(80)
    for _ in range(2):
        world.do("--set", "loop.batch=20", "tick")
        world.answer_all()
    world.do("--set", "loop.batch=20", "tick")
    with connection(world) as made:
        yield made


def test_opening_a_task_without_a_prediction_shows_ours(connected: Connected) -> None:
    shown = connected.opened(connected.dropped(picture(0)))

    (prediction,) = shown
    assert prediction["model_version"] == connected.project()["model_version"]
    assert prediction["result"][0]["value"]["choices"][0] in DIGITS
    assert 0 < prediction["score"] <= 1


def test_blind_questions_stay_blind_when_they_are_opened(connected: Connected) -> None:
    blind = [
        int(one.task_id) for one in connected.world.questions() if one.purpose == "holdout" and one.state == "asked"
    ]

    assert blind
    assert not any(one["result"] for task in blind for one in connected.opened(task))
    shown = [task["predictions"] for task in connected.world.tasks() if int(task["id"]) in blind]
    assert [[one["result"] for one in predictions] for predictions in shown] == [[[]] for _ in blind]


def test_connecting_changes_nothing_else_and_repeating_it_nothing_at_all(connected: Connected) -> None:
    newest = next(one.prediction for one in connected.world.questions() if one.prediction and one.round == 3)
    last = newest.model_version
    before = (connected.backends()[0]["id"], connected.project()["model_version"])

    connected.do("ml-backend", "connect")

    (backend,) = connected.backends()
    assert (backend["id"], connected.project()["model_version"]) == before == (backend["id"], last)
    assert (backend["title"], backend["state"], backend["basic_auth_user"]) == (TITLE, "CO", USER)
    assert connected.hooks() == []


def test_the_queue_still_follows_the_turns(connected: Connected) -> None:
    version = connected.project()["model_version"]
    waiting = {
        int(task["id"]): prediction["score"]
        for task in connected.world.tasks()
        for prediction in task["predictions"]
        if prediction["model_version"] == version and not task["annotations"]
    }

    served = connected.call("GET", f"/api/projects/{connected.world.project}/next")

    assert int(served["id"]) == min(waiting, key=lambda task: waiting[task])


def test_a_version_that_was_lost_half_way_is_put_back(connected: Connected) -> None:
    version = connected.project()["model_version"]
    connected.call("PATCH", f"/api/projects/{connected.world.project}", body={"model_version": TITLE})
    url = f"http://127.0.0.1:{connected.port}/webhook"
    connected.call("POST", "/api/webhooks/", body={"project": connected.world.project, "url": url})

    connected.do("ml-backend", "connect")

    assert connected.project()["model_version"] == version
    assert connected.hooks() == []


def test_many_tasks_are_answered_in_one_request(connected: Connected) -> None:
    dropped = [connected.dropped(picture(digit)) for digit in range(3)]
    connected.call(
        "POST",
        "/api/dm/actions",
        query={"id": "retrieve_tasks_predictions", "project": connected.world.project},
        body={"selectedItems": {"all": True, "excluded": []}},
    )

    guessed = {int(task["id"]): task["predictions"] for task in connected.world.tasks()}

    assert all(guessed[task] for task in dropped)
    held_out = {int(one.task_id) for one in connected.world.questions() if one.purpose == "holdout"}
    assert not any(one["result"] for task in held_out for one in guessed[task])


def test_a_change_of_the_labels_needs_no_restart(connected: Connected) -> None:
    connected.world.do("labels", "rename", "0", "zero", "--yes")
    assert connected.opened(connected.dropped(picture(0))) == []

    connected.world.do("tick")

    (prediction,) = connected.opened(connected.dropped(picture(0)))
    assert prediction["result"][0]["value"]["choices"] == ["zero"]
    assert prediction["model_version"] == connected.project()["model_version"]


def test_start_training_trains_nothing(connected: Connected) -> None:
    (backend,) = connected.backends()

    connected.call("POST", f"/api/ml/{backend['id']}/train", body={})

    assert len({one.round for one in connected.world.questions()}) == 3


def test_while_the_backend_is_away_people_see_what_was_sent_to_them(connected: Connected) -> None:
    connected.serving.terminate()
    connected.serving.wait(timeout=30)
    task = next(t for t in connected.world.tasks() if t["predictions"] and not t["annotations"])

    served = connected.call("GET", f"/api/projects/{connected.world.project}/next")

    assert connected.opened(int(task["id"])) != []
    assert served["id"]
    assert connected.serving.returncode == -signal.SIGTERM or connected.serving.returncode == 143


def test_disconnecting_leaves_nothing_behind(connected: Connected) -> None:
    version = connected.project()["model_version"]

    connected.do("ml-backend", "disconnect")
    connected.do("ml-backend", "disconnect")

    assert (connected.backends(), connected.hooks()) == ([], [])
    assert connected.project()["model_version"] == version


def test_a_backend_that_does_not_run_is_said_to_be_away(
    connected: Connected, capsys: pytest.CaptureFixture[str]
) -> None:
    calls.allow(connected.world.annotator.connection.home, calls.backend("http://127.0.0.1:9"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABELLOOP_SECRET_TEAM__TOKEN", connected.world.token)
        code = run(["-C", str(connected.world.root), "--set", "ml_backend.port=9", "ml-backend", "connect"])

    err = capsys.readouterr().err
    assert code == 3
    assert "reaches no ML backend at http://127.0.0.1:9" in err
    assert "labelloop ml-backend serve" in err
    assert PASSWORD not in err
