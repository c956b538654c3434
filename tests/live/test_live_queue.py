"""Two people on a real Label Studio get the open questions as the newest model ranks them, and blind ones blind."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.client import Client
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import regions_of
from labelloop.ledger.questions import Asking
from labelloop.testing.annotator import LabelStudioPerson
from labelloop.types import Item, Prediction, Question, Turn

from support.live_world import LiveWorld

pytestmark = pytest.mark.live

NAME = "whose turn it is"
EAGER = ("--set", "loop.batch=10", "--set", "loop.retrain_after=4")
TEXT = LabelSchema("text", ("cat", "dog"))


def colleague(annotator: LabelStudioAnnotator, email: str) -> LabelStudioPerson:
    """Someone who has come by the link of invitation."""
    url = annotator.client().url
    page = url + annotator.client().call("GET", "/api/invite")["invite_url"]
    with httpx.Client(trust_env=False, follow_redirects=True, timeout=60) as browser:
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.get(page).text)
        assert found
        form = {"email": email, "password": "a long password", "csrfmiddlewaretoken": found[1]}
        browser.post(page, data=form, headers={"Referer": url}).raise_for_status()
        token = browser.get(f"{url}/api/current-user/token").json()["token"]
    return LabelStudioPerson(Client(url, token))


@pytest.fixture
def world(annotator: LabelStudioAnnotator, tmp_path: Path) -> Iterator[LiveWorld]:
    """The first round is answered, the second one is open."""
    made = LiveWorld(tmp_path / "world", annotator, NAME)
    made.draw(60)
    made.do(*EAGER, "tick")
    made.answer_all()
    made.do(*EAGER, "tick")
    yield made
    annotator.delete(NAME)


def in_order(world: LiveWorld) -> list[str]:
    """The open items by their turns in the ledger."""
    waiting = [one for one in world.questions() if one.state == "asked"]
    assert all(one.turn for one in waiting)
    return [one.item_id for one in sorted(waiting, key=lambda one: one.turn.at if one.turn else 0.0)]


def blind(questions: Sequence[Asking]) -> set[str]:
    """The items that are asked blind."""
    return {one.item_id for one in questions if one.purpose == "holdout"}


def test_two_people_share_one_queue_and_follow_it_to_the_next_model(
    world: LiveWorld, annotator: LabelStudioAnnotator
) -> None:
    people = [world.person, colleague(annotator, "colleague@example.com")]
    expected, protected = in_order(world), blind(world.questions())
    assert protected & set(expected)

    served = []
    for turn in range(6):
        person = people[turn % 2]
        task = person.next_task(NAME)
        served.append(task["data"]["labelloop_id"])
        assert not any(one["result"] for one in task["predictions"]) or served[-1] not in protected
        person.answer(NAME, served[-1], regions_of(world.schema, world.truth[served[-1]]))
    opened = people[1].next_item(NAME)
    first = {one.version for one in world.questions() if one.state == "asked"}

    world.do(*EAGER, "tick")

    assert [*served, opened] == expected[:7]
    assert not first & {one.version for one in world.questions() if one.state == "asked"}
    assert people[1].next_item(NAME) == opened  # what somebody has open stays hers
    protected = blind(world.questions())
    again = [item for item in in_order(world) if item != opened]
    assert again != [item for item in expected[7:] if item in again]
    for item in again[:3]:
        assert people[0].next_item(NAME) == item
        filled_in = people[0].filled_in(NAME, item)
        assert (filled_in == ()) == (item in protected)
        people[0].answer(NAME, item, regions_of(world.schema, world.truth[item]))
    kept = {one["model_version"] for task in world.tasks() for one in task["predictions"]}
    assert kept > first


@pytest.mark.slow
@pytest.mark.browser
def test_in_a_browser_a_blind_question_has_nothing_filled_in(annotator: LabelStudioAnnotator, tmp_path: Path) -> None:
    dataset = annotator.open(NAME, TEXT)
    guess = Prediction("guessed", regions_of(TEXT, ["dog"]), 0.8, "m1")
    try:
        dataset.ask(
            [
                Question(Item("guessed", "text", text="first"), guess, Turn(0.1, "m1")),
                Question(Item("blind", "text", text="second"), None, Turn(0.2, "m1")),
            ]
        )
        guessed = shown(annotator, dataset.url(), tmp_path / "first")
        LabelStudioPerson(annotator.client()).answer(NAME, "guessed", guess.regions)
        unseen = shown(annotator, dataset.url(), tmp_path / "second")
    finally:
        annotator.delete(NAME)

    assert ("first" in guessed, guessed.count("ant-checkbox-checked")) == (True, 1)
    assert ("second" in unseen, unseen.count("ant-checkbox-checked")) == (True, 0)
    assert "m1" not in re.findall(r">([^<]+)<", unseen)


def shown(annotator: LabelStudioAnnotator, page: str, profile: Path) -> str:
    """The page as a browser has built it, signed in by the one-time link."""
    browser = shutil.which("chromium")
    assert browser, "this test needs chromium: apt-get install chromium, or leave it out with -m 'not browser'"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with annotator.signed_in(page) as (link, used):
        out = subprocess.run(
            [browser, *flags, f"--user-data-dir={profile}", "--virtual-time-budget=30000", "--dump-dom", link],
            check=True,
            capture_output=True,
            timeout=120,
        ).stdout
        assert used.is_set()
    return out.decode()
