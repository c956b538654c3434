"""The model in use speaks Label Studio's protocol: protected, bounded, and deaf to wishes to be trained."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from labelloop.errors import BackendError
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import regions_of
from labelloop.types import Item, Prediction, Question
from labelloop.web.batching import Batcher
from labelloop.web.ml_backend import ServedModel, ml_backend
from labelloop.web.server import serving

SCHEMA = LabelSchema("text", ("cat", "dog"))
USER = ("labelloop", "pass:word")


@dataclass
class Oracle:
    """Says cat; waits when it is told to; fails when it is told to."""

    asked: list[list[str]] = field(default_factory=list)
    may_answer: threading.Event = field(default_factory=threading.Event)
    failure: Exception | None = None

    def __call__(self, items: Sequence[Item]) -> list[Question | None]:
        assert self.may_answer.wait(30)
        if self.failure:
            raise self.failure
        self.asked.append([item.text for item in items])
        said = Prediction("x", regions_of(SCHEMA, ["cat"]), 0.75, "v1")
        return [None if item.text == "blind" else Question(item, said) for item in items]


def item_of(task: Mapping[str, Any]) -> Item:
    """The text of a task."""
    return Item("", "text", text=str(task.get("text", "")))


def misfits(config: str) -> list[str]:
    """What is wrong with a label config."""
    return [] if "<View" in config else ["the control 'label' is not in it"]


@dataclass
class Served:
    """A running backend."""

    address: str
    oracle: Oracle

    def call(self, method: str, path: str, user: tuple[str, str] | None = USER, **more: Any) -> httpx.Response:
        """One request, as Label Studio sends it."""
        with httpx.Client(trust_env=False, timeout=30) as client:
            return client.request(method, self.address + path, auth=user, **more)

    def predict(self, *texts: str) -> httpx.Response:
        """Ask about tasks with these texts."""
        tasks = [{"id": i, "data": {"text": text}, "annotations": []} for i, text in enumerate(texts)]
        return self.call("POST", "/predict", json={"tasks": tasks, "project": "1.2", "params": {"context": None}})


@pytest.fixture
def served() -> Iterator[Served]:
    oracle = Oracle()
    oracle.may_answer.set()
    batcher = Batcher(oracle, waiting=4)
    model = ServedModel(lambda: "v1", lambda: ["v1", "v0"], item_of, misfits, batcher)
    with serving(ml_backend(model, USER, patience=0.5), "127.0.0.1", 0) as address:
        yield Served(address, oracle)
    oracle.may_answer.set()
    batcher.close()


def test_tasks_are_answered_in_their_order(served: Served) -> None:
    results = served.predict("a", "blind", "b").json()["results"]

    said = {"result": [dict(one) for one in regions_of(SCHEMA, ["cat"])], "score": 0.75, "model_version": "v1"}
    assert results == [said, [], said]


def test_it_says_which_versions_there_are(served: Served) -> None:
    assert served.call("GET", "/health").json()["status"] == "UP"
    assert served.call("POST", "/setup", json={"access_token": "x", "schema": "<View/>"}).json() == {
        "model_version": "v1"
    }
    assert served.call("GET", "/versions").json() == {"versions": ["v1", "v0"]}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/setup", {"schema": "<other/>"}),
        ("/predict", {"tasks": [{"data": {"text": "a"}}], "label_config": "<other/>"}),
    ],
)
def test_a_project_that_asks_otherwise_is_told_what_does_not_fit(
    served: Served, path: str, body: Mapping[str, Any]
) -> None:
    said = served.call("POST", path, json=body)

    assert said.status_code == 409
    assert said.text == "the label config does not fit the model in use: the control 'label' is not in it"
    assert served.oracle.asked == []


@pytest.mark.parametrize("config", ["<View/>", "", " ", None, 7])
def test_a_project_whose_config_fits_or_is_not_sent_is_answered(served: Served, config: Any) -> None:
    body = {"tasks": [{"data": {"text": "a"}}], "label_config": config}

    assert served.call("POST", "/predict", json=body).json()["results"][0]["model_version"] == "v1"


def test_a_wish_to_train_is_answered_and_not_granted(served: Served) -> None:
    said = served.call("POST", "/webhook", json={"action": "START_TRAINING", "project": {"id": 1}})

    assert said.status_code == 200
    assert "the loop decides when to learn" in said.json()["status"]
    assert served.oracle.asked == []


@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook", "/versions"])
@pytest.mark.parametrize("user", [None, ("labelloop", "wrong"), ("someone", "pass:word"), ("labelloop", "")])
def test_without_the_password_nothing_is_answered(served: Served, path: str, user: tuple[str, str] | None) -> None:
    said = served.call("GET" if path == "/versions" else "POST", path, user, json={"tasks": []})

    assert said.status_code == 401
    assert served.oracle.asked == []


@pytest.mark.parametrize("header", ["Basic", "Basic %%%", "Bearer bGFiZWxsb29wOnBhc3M6d29yZA==", "Basic w6k="])
def test_a_header_that_is_none_is_no_password(served: Served, header: str) -> None:
    said = served.call("POST", "/predict", None, headers={"Authorization": header}, json={"tasks": []})

    assert said.status_code == 401


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"tasks": 3}', b'{"tasks": [1]}', b'{"tasks": [{}]}', b'{"tasks": [{"data": []}]}']
)
def test_a_body_that_is_none_is_refused(served: Served, body: bytes) -> None:
    assert served.call("POST", "/predict", content=body).status_code == 400


def test_a_slow_model_is_not_waited_for(served: Served) -> None:
    served.oracle.may_answer.clear()

    said = served.predict("slow")

    assert said.status_code == 503
    assert said.headers["Retry-After"] == "5"


def test_too_many_at_once_are_sent_away_and_the_rest_share_computations(served: Served) -> None:
    served.oracle.may_answer.clear()
    with ThreadPoolExecutor(16) as crowd:
        answers = [crowd.submit(served.predict, f"{i}") for i in range(16)]
        statuses = [one.result().status_code for one in answers]

    assert set(statuses) == {503}
    served.oracle.may_answer.set()
    assert served.predict("later").status_code == 200


def test_a_failure_is_said_and_the_next_request_is_served(served: Served) -> None:
    served.oracle.failure = BackendError("the ledger is away")
    failed = served.predict("a")
    served.oracle.failure = None

    assert (failed.status_code, failed.json()) == (503, {"detail": "the ledger is away"})
    assert served.predict("a").status_code == 200


def test_one_odd_task_does_not_fail_the_others(served: Served) -> None:
    body = b'{"tasks": [{"data": {"text": "a"}}, {"data": {"text": "\\ud800"}}, {"data": {"text": "b"}}]}'

    answer = served.call("POST", "/predict", content=body)

    first, odd, last = answer.json()["results"]
    assert (bool(first), odd, bool(last)) == (True, [], True)
    assert served.oracle.asked == [["a", "b"]]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 50_000 + b"]" * 50_000,
        b'{"tasks": ' + b'[{"data":' * 50_000,
        b'{"tasks": [{"data": {"text": NaN}}]}',
        b'{"tasks": [{"data": {"text": Infinity}}]}',
        b'{"tasks": [{"data": null}]}',
        b'{"tasks": 7}',
        b"\xff\xfe",
    ],
)
def test_a_body_that_is_none_is_refused_in_words(served: Served, body: bytes) -> None:
    assert served.call("POST", "/predict", content=body).status_code == 400


def test_more_tasks_than_anybody_waits_for_are_refused_in_words(served: Served) -> None:
    answer = served.predict(*["a"] * 10_001)

    assert (answer.status_code, "more than 10,000 tasks" in answer.text) == (413, True)
    assert served.oracle.asked == []


def test_a_request_that_fails_does_not_fail_those_beside_it() -> None:
    started, go = threading.Event(), threading.Event()

    def compute(things: Sequence[int]) -> list[int]:
        started.set()
        assert go.wait(10)
        if 7 in things:
            raise ValueError("seven")
        return list(things)

    batcher = Batcher(compute)
    first = batcher.submit([1])
    assert started.wait(10)
    good, bad = batcher.submit([2]), batcher.submit([7])
    go.set()

    assert (first.result(10), good.result(10)) == ([1], [2])
    with pytest.raises(ValueError, match="seven"):
        bad.result(10)
    batcher.close()
