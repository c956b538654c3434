"""What is asked is what people see, and what they say is what is heard, through a real Label Studio."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from labelloop.backends.label_studio import tasks
from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.dataset import LabelStudioDataset
from labelloop.backends.label_studio.environment import DATABASE
from labelloop.backends.label_studio.project import Visible
from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import names_of, regions_of
from labelloop.protocols import SecretsManager
from labelloop.testing.annotator import LabelStudioPerson, SimulatedAnnotator
from labelloop.types import Annotation, Item, Prediction, Question

pytestmark = pytest.mark.live

NAME = "round trip"
TEXT = LabelSchema("text", ("cat", '$5 <dog> & "x"'), instruction="What costs $5?")
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)


@pytest.fixture(autouse=True)
def _fresh(annotator: LabelStudioAnnotator) -> Iterator[None]:
    yield
    if any(summary.name == NAME for summary in annotator.datasets()):
        annotator.delete(NAME)


@pytest.fixture
def foreign(
    annotator: LabelStudioAnnotator, live_secrets: SecretsManager, personal_token: str, tmp_path: Path
) -> LabelStudioAnnotator:
    """The same server as someone else's: by url and personal access token, without sight of our files."""
    live_secrets.set("team", {"token": personal_token})
    url = annotator.client().url
    return LabelStudioAnnotator(home=tmp_path, secrets=live_secrets, url=url, authentication_secret="team")


def question(schema: LabelSchema, name: str, guess: tuple[str, ...] = (), **shown: str) -> Question:
    prediction = Prediction(name, regions_of(schema, guess), 0.25, "m1") if guess else None
    shown = shown or (
        {"text": f"the text of {name}"} if schema.modality == "text" else {"uri": "https://x.example/a.png"}
    )
    return Question(Item(name, schema.modality, meta={"row": 3, "odd": float("nan")}, **shown), prediction)


def said(dataset: LabelStudioDataset) -> Mapping[str, tuple[Annotation, ...]]:
    return {heard.item_id: heard.annotations for page in dataset.answers(None) for heard in page.heard}


@pytest.mark.parametrize("modality", ["image", "text"])
@pytest.mark.parametrize(("task", "answer"), [("single-choice", ("b & c",)), ("multiple-choice", ("a", "b & c"))])
def test_every_task_type_travels_there_and_back(
    annotator: LabelStudioAnnotator, person: LabelStudioPerson, modality: Any, task: Any, answer: tuple[str, ...]
) -> None:
    schema = LabelSchema(modality, ("a", "b & c", "<d>"), task)
    dataset = annotator.open(NAME, schema)
    asked = dataset.ask([question(schema, "one", answer), question(schema, "two")])

    shown = person.next_task(NAME)
    person.answer(NAME, "one", shown["predictions"][0]["result"])

    assert str(shown["id"]) == asked.tasks["one"]
    assert shown["predictions"][0]["model_version"] == "m1"
    assert shown["predictions"][0]["score"] == 0.25
    (heard,) = said(dataset)["one"]
    assert names_of(schema, heard.regions) == answer
    assert heard.lead_time == 3.5
    assert person.next_task(NAME)["predictions"] == []  # "two" is blind


def test_a_local_image_is_served_to_people_who_signed_in(
    annotator: LabelStudioAnnotator, person: LabelStudioPerson, tmp_path: Path
) -> None:
    schema = LabelSchema("image", ("a", "b"))
    for folder in ("one two", "drei/ü"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "pixel #1.png").write_bytes(PNG)
    dataset = annotator.open(NAME, schema)
    paths = [tmp_path / "one two" / "pixel #1.png", tmp_path / "drei/ü" / "pixel #1.png"]

    dataset.ask([question(schema, f"i{n}", uri=path.as_uri()) for n, path in enumerate(paths)])
    dataset.ask([question(schema, "again", uri=paths[0].as_uri())])

    client = annotator.client()
    shown = client.call("GET", "/api/tasks", query={"project": dataset.project, "fields": "task_only"})["tasks"]
    headers = {"Authorization": f"Token {annotator.connection.credentials()[0]}"}
    for task in shown:
        address = client.url + task["data"]["image"]
        assert httpx.get(address, headers=headers, trust_env=False).content == PNG
        assert httpx.get(address, trust_env=False).status_code in (401, 403)
    storages = client.call("GET", "/api/storages/localfiles", query={"project": dataset.project})
    assert [Path(one["path"]).is_relative_to(annotator.connection.home / "served") for one in storages] == [True]


def test_a_local_image_is_uploaded_to_someone_elses_server(foreign: LabelStudioAnnotator, tmp_path: Path) -> None:
    schema = LabelSchema("image", ("a", "b"))
    (tmp_path / "pixel").write_bytes(PNG)
    dataset = foreign.open(NAME, schema)

    dataset.ask([question(schema, f"i{n}", uri=(tmp_path / "pixel").as_uri()) for n in range(3)])

    assert dataset.present() == {"i0", "i1", "i2"}
    (task, *_) = foreign.client().call("GET", "/api/tasks", query={"project": dataset.project, "fields": "all"})[
        "tasks"
    ]
    access = foreign.client().authorization()
    served = httpx.get(foreign.client().url + task["data"]["image"], headers={"Authorization": access}, trust_env=False)
    assert served.content == PNG


def test_an_unreadable_image_is_named(foreign: LabelStudioAnnotator, tmp_path: Path) -> None:
    schema = LabelSchema("image", ("a", "b"))
    dataset = foreign.open(NAME, schema)

    asked = dataset.ask([question(schema, "gone", uri=(tmp_path / "gone.png").as_uri())])

    assert "'gone' cannot be read" in asked.missing["gone"].reason

    assert dataset.present() == set()


def test_a_personal_access_token_lets_us_in(foreign: LabelStudioAnnotator) -> None:
    state = foreign.describe()

    assert (state.state, state.version) == ("up", "1.23.2")


def test_a_wrong_token_is_unauthorised(
    foreign: LabelStudioAnnotator, live_secrets: SecretsManager, tmp_path: Path
) -> None:
    live_secrets.set("wrong", {"token": "f" * 40})
    stranger = LabelStudioAnnotator(home=tmp_path, secrets=live_secrets, url=foreign.url, authentication_secret="wrong")

    state = stranger.describe()

    assert state.state == "unauthorised"
    assert "f" * 40 not in state.detail
    with pytest.raises(ConfigError, match="legacy token is wrong"):
        stranger.open(NAME, TEXT)


def test_a_config_changed_by_hand_is_refused_by_naming_the_change(annotator: LabelStudioAnnotator) -> None:
    dataset = annotator.open(NAME, TEXT)
    client = annotator.client()
    path = f"/api/projects/{dataset.project}"
    config = client.call("GET", path)["label_config"].replace('value="cat"', 'value="kitten"')
    client.call("PATCH", path, body={"label_config": config})

    with pytest.raises(ConfigError, match="labels missing in Label Studio: 'cat'") as caught:
        annotator.open(NAME, TEXT)

    assert "'kitten'" in caught.value.message
    assert "/settings/labeling" in caught.value.hint


@pytest.mark.parametrize("name", ["ab", "x" * 51, " padded "])
def test_a_name_that_label_studio_would_not_take_is_refused(annotator: LabelStudioAnnotator, name: str) -> None:
    with pytest.raises(ConfigError, match="3 to 50"):
        annotator.open(name, TEXT)


def test_a_project_whose_title_only_contains_the_name_is_another(annotator: LabelStudioAnnotator) -> None:
    annotator.open(f"{NAME} two", TEXT)
    try:
        with pytest.raises(NotFoundError):
            annotator.open(NAME, TEXT, create=False)
    finally:
        annotator.delete(f"{NAME} two")


def test_a_task_made_by_hand_is_left_alone(annotator: LabelStudioAnnotator, person: LabelStudioPerson) -> None:
    dataset = annotator.open(NAME, TEXT)
    path = f"/api/projects/{dataset.project}/import"
    annotator.client().call("POST", path, body=[{"data": {"text": "by hand"}}])

    dataset.ask([question(TEXT, "ours")])

    assert dataset.present() == {"ours"}
    assert set(said(dataset)) == {"ours"}


def test_an_import_that_arrived_twice_keeps_the_answered_task(
    annotator: LabelStudioAnnotator, person: LabelStudioPerson
) -> None:
    dataset = annotator.open(NAME, TEXT)
    dataset.ask([question(TEXT, name) for name in "abc"])
    late = [{"data": {"text": name, "labelloop_id": name}} for name in "ab"]
    twins = annotator.client().call(
        "POST", f"/api/projects/{dataset.project}/import", query={"return_task_ids": "true"}, body=late
    )
    body = {"result": list(regions_of(TEXT, ["cat"]))}
    annotator.client().call("POST", f"/api/tasks/{twins['task_ids'][1]}/annotations/", body=body)

    asked = dataset.ask([question(TEXT, name) for name in "abc"])

    assert dataset.stats().total == 3
    assert asked.tasks["b"] == str(twins["task_ids"][1])
    assert [len(said(dataset)[name]) for name in "abc"] == [0, 1, 0]


class LosesReplies(Client):
    """Does what it is told, but the reply to the next import gets lost."""

    def __init__(self, client: Client, token: str, arrives: bool) -> None:
        super().__init__(client.url, token)
        self._arrives = arrives
        self.lost: list[Any] = []

    def call(self, method: str, path: str, **request: Any) -> Any:
        if self.lost or not path.endswith("/import"):
            return super().call(method, path, **request)
        self.lost.append((method, path, request))
        if self._arrives:
            super().call(method, path, **request)
        raise BackendError("connection lost", retryable=True)

    def arrive_late(self) -> None:
        for method, path, request in self.lost:
            super().call(method, path, **request)


@pytest.mark.parametrize("arrives", [True, False])
def test_asking_again_after_a_lost_reply_makes_each_item_one_task(
    annotator: LabelStudioAnnotator, arrives: bool
) -> None:
    first = annotator.open(NAME, TEXT)
    flaky = LosesReplies(annotator.client(), annotator.connection.credentials()[0], arrives)
    dataset = LabelStudioDataset(replace(first.place, client=flaky), Visible())
    questions = [question(TEXT, name, ("cat",)) for name in "abc"]

    with pytest.raises(BackendError, match="connection lost"):
        dataset.ask(questions)
    asked = dataset.ask(questions)

    assert (asked.created, asked.existing) == ((0, 3) if arrives else (3, 0))
    assert first.stats().total == 3
    if not arrives:  # the lost request was still on its way
        flaky.arrive_late()
        assert set(said(first)) == {"a", "b", "c"}
        assert first.stats().total == 3


def test_many_changes_at_one_moment_are_all_heard(annotator: LabelStudioAnnotator) -> None:
    dataset = annotator.open(NAME, TEXT)
    dataset.ask([question(TEXT, f"i{n}", ("cat",)) for n in range(30)])
    annotator.client().call(  # gives all of them one updated_at
        "POST",
        "/api/dm/actions",
        query={"id": "predictions_to_annotations", "project": dataset.project},
        body={"selectedItems": {"all": True, "excluded": []}, "model_version": "m1"},
    )
    small = LabelStudioDataset(replace(dataset.place, page_size=4), Visible())

    heard = [one for page in small.answers(None) for one in page.heard]

    assert sorted(one.item_id for one in heard) == sorted(f"i{n}" for n in range(30))
    assert all(len(one.annotations) == 1 for one in heard)


def test_a_hearing_repeats_nothing_of_before(annotator: LabelStudioAnnotator, person: LabelStudioPerson) -> None:
    dataset = annotator.open(NAME, TEXT)
    dataset.ask([question(TEXT, name) for name in "abc"])
    cursor = list(dataset.answers(None))[-1].cursor

    quiet = list(dataset.answers(cursor))
    given = person.answer(NAME, "b", regions_of(TEXT, ["cat"]))
    (page,) = dataset.answers(cursor)

    assert quiet == []
    assert [(one.item_id, one.annotations[0].id) for one in page.heard] == [("b", given)]


def test_what_a_slow_import_showed_late_is_heard_with_all_that_changed_beside_it(
    annotator: LabelStudioAnnotator, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = annotator.open(NAME, TEXT)
    dataset.ask([question(TEXT, name) for name in "abc"])
    real = tasks.page

    def without_the_first(*arguments: Any, **named: Any) -> tuple[list[tasks.Row], int]:
        rows, total = real(*arguments, **named)
        return [row for row in rows if row["data"][tasks.UID] != "a"], total - 1

    with monkeypatch.context() as slow:
        slow.setattr(tasks, "page", without_the_first)
        (early,) = dataset.answers(None)
    (late,) = dataset.answers(early.cursor)

    assert {one.item_id for one in early.heard} == {"b", "c"}
    assert {one.item_id for one in late.heard} == {"a", "b", "c"}
    assert list(dataset.answers(late.cursor)) == []


def test_a_question_that_vanished_is_no_reason_to_hear_the_others_again(annotator: LabelStudioAnnotator) -> None:
    dataset = annotator.open(NAME, TEXT)
    dataset.ask([question(TEXT, name) for name in "abc"])
    cursor = list(dataset.answers(None))[-1].cursor
    dataset.close(["c"])

    first = [one.item_id for page in dataset.answers(cursor) for one in page.heard]
    again = list(dataset.answers(cursor))

    assert set(first) <= {"a", "b"}
    assert again == []


def test_what_changed_is_found_by_an_index(live_annotator: LabelStudioAnnotator) -> None:
    database = live_annotator.connection.home / "data" / DATABASE

    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT COUNT(*) FROM task WHERE project_id = 1 AND updated_at >= '2026-11-25 10:00'"
        plan = str(connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall())

    assert "labelloop_task_changed" in plan


def test_a_draft_is_no_answer(annotator: LabelStudioAnnotator) -> None:
    dataset = annotator.open(NAME, TEXT)
    asked = dataset.ask([question(TEXT, "a")])
    body = {"result": list(regions_of(TEXT, ["cat"])), "lead_time": 1}
    annotator.client().call("POST", f"/api/tasks/{asked.tasks['a']}/drafts", body=body)

    assert said(dataset) == {"a": ()}


def test_a_cursor_that_is_not_ours_is_refused(annotator: LabelStudioAnnotator) -> None:
    dataset = annotator.open(NAME, TEXT)

    with pytest.raises(ConfigError, match="the cursor 'yesterday'"):
        list(dataset.answers("yesterday"))


def test_simulated_people_answer_everything_and_err_as_often_as_told(annotator: LabelStudioAnnotator) -> None:
    schema = LabelSchema("text", ("a", "b", "c"))
    dataset = annotator.open(NAME, schema)
    items = [f"i{n}" for n in range(40)]
    dataset.ask([question(schema, name) for name in [*items, "unknown"]])
    truth = dict.fromkeys(items, ("a",))
    people = SimulatedAnnotator(annotator.client(), dataset.project, schema, truth, error_rate=0.3, seed=1)

    assert people.answer_open(limit=11) == 11
    assert people.answer_open() == 30
    assert people.answer_open() == 0

    heard = said(dataset)
    assert [one.skipped for one in heard["unknown"]] == [True]
    assert {name: names_of(schema, heard[name][0].regions) for name in items} == {
        name: people.answer_to(name) for name in items
    }
    wrong = sum(people.answer_to(name) != ("a",) for name in items)
    assert 5 <= wrong <= 20


def test_a_server_that_is_down_is_said_and_comes_up_again(annotator: LabelStudioAnnotator) -> None:
    dataset = annotator.open(NAME, TEXT)
    dataset.ask([question(TEXT, "a")])

    before = annotator.client().url

    assert annotator.down()
    assert not annotator.down()
    assert annotator.describe().state == "down"
    with pytest.raises(BackendError, match="not running"):
        annotator.datasets()
    with pytest.raises(BackendError, match="cannot be reached"):
        dataset.ask([question(TEXT, "b")])
    again = annotator.up()

    assert again.url == before  # its port was free the moment it was down
    assert annotator.open(NAME, TEXT, create=False).present() == {"a"}


def test_a_prediction_the_server_would_refuse_is_refused_by_it(annotator: LabelStudioAnnotator) -> None:
    """The server's own validation is on; ours only comes first."""
    dataset = annotator.open(NAME, TEXT)
    region = {**regions_of(TEXT, ["cat"])[0], "value": {"choices": ["fish"]}}
    task = {"data": {"text": "x"}, "predictions": [{"result": [region], "score": 0.5, "model_version": "m"}]}

    with pytest.raises(BackendError, match="answered 400"):
        annotator.client().call("POST", f"/api/projects/{dataset.project}/import", body=[task])
    assert replace(dataset.stats(), model_version="").total == 0
