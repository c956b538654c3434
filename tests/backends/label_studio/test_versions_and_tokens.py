"""A Label Studio that is too old, moved, or does not take our token: told before anything is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.connection import is_older
from labelloop.commands.check import bring_up
from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.protocols import silent
from labelloop.testing.secrets import MemorySecrets

from support.http_double import Answer, Double, Request, Response, serving

LEGACY = "0123456789abcdef0123456789abcdef01234567"
PETS = LabelSchema("image", ("cat", "dog"))

Serve = Callable[[Answer], Double]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts doubles that are stopped after the test."""
    started: list[Double] = []

    def start(answer: Answer) -> Double:
        started.append(serving(answer))
        return started[-1]

    yield start
    for double in started:
        double.stop()


def label_studio(version: str, *, token: str = LEGACY) -> Answer:
    """A Label Studio of some release, without projects."""

    def answer(request: Request) -> Response:
        if request.path == "/api/version":
            return Response(200, {"release": version})
        if request.headers.get("Authorization") != f"Token {token}":
            return Response(401, {"detail": "Invalid token."})
        if request.path == "/api/projects":
            return Response(200, {"results": [], "next": None})
        return Response(200, {"id": 1})

    return answer


def annotator(double: Double, home: Path, token: str = LEGACY, key: str = "api_key") -> LabelStudioAnnotator:
    secrets = MemorySecrets({"team": {key: token}})
    return LabelStudioAnnotator(home=home, secrets=secrets, url=double.url, authentication_secret="team")


@pytest.mark.parametrize(
    ("version", "older"),
    [
        *((old, True) for old in ("1.17.9", "1.9.0", "0.9")),
        *((new, False) for new in ("1.18.0", "1.23.2", "2.4.0", "1.20.0.dev0", "develop", "")),
    ],
)
def test_releases_compare_by_number(version: str, older: bool) -> None:
    assert is_older(version) is older


def test_an_old_label_studio_is_described_and_refused_with_the_version_to_upgrade_to(
    serve: Serve, tmp_path: Path
) -> None:
    double = serve(label_studio("1.12.1"))
    old = annotator(double, tmp_path)

    state = old.describe()
    with pytest.raises(ConfigError) as caught:
        old.open("pets", PETS)

    assert (state.state, state.version) == ("outdated", "1.12.1")
    assert (
        caught.value.message
        == (f"Label Studio at {double.url} is version 1.12.1; labelloop needs 1.18 or newer")
        == state.detail
    )
    assert "pip install label-studio==1.23.2" in caught.value.hint == state.hint
    assert {request.method for request in double.seen} == {"GET"}


def test_a_new_enough_one_is_up(serve: Serve, tmp_path: Path) -> None:
    state = annotator(serve(label_studio("1.18.0")), tmp_path).describe()

    assert (state.state, state.version, state.datasets) == ("up", "1.18.0", 0)


@pytest.mark.parametrize("key", ["api_key", "token"])
def test_a_refused_token_names_the_page_and_the_command(serve: Serve, tmp_path: Path, key: str) -> None:
    double = serve(label_studio("1.23.2", token="f" * 40))

    state = annotator(double, tmp_path, key=key).describe()

    assert state.state == "unauthorised"
    assert "the legacy token is wrong, expired or switched off" in state.detail
    assert f"{double.url}/user/account/personal-access-token" in state.hint
    assert f"labelloop secret update team --{key}=..." in state.hint
    assert LEGACY not in state.detail + state.hint


def test_a_server_that_sends_us_on_names_the_final_address(serve: Serve, tmp_path: Path) -> None:
    double = serve(lambda _: Response(301, headers={"Location": "https://label.example.com/api/version"}))

    state = annotator(double, tmp_path).describe()

    assert state.state == "down"
    assert "https://label.example.com/api/version" in state.detail
    assert "final address" in state.hint


def test_something_else_at_the_address_is_no_label_studio(serve: Serve, tmp_path: Path) -> None:
    double = serve(lambda _: Response(200, {"hello": "world"}))

    with pytest.raises(ConfigError, match="not as Label Studio does"):
        annotator(double, tmp_path).open("pets", PETS)


def test_an_unknown_dataset_is_answered_with_the_nearest_names(serve: Serve, tmp_path: Path) -> None:
    def answer(request: Request) -> Response:
        if request.path == "/api/projects":
            titles = [] if "title" in request.query else ["pets", "birds"]
            return Response(200, {"results": [{"id": n, "title": t} for n, t in enumerate(titles)], "next": None})
        return label_studio("1.23.2")(request)

    with pytest.raises(ConfigError, match="dataset 'pet' does not exist") as caught:
        annotator(serve(answer), tmp_path).stats("pet")

    assert caught.value.hint == "did you mean 'pets'? labelloop annotator dataset list"


def test_bringing_up_says_what_is_outdated(serve: Serve, tmp_path: Path) -> None:
    from typing import Any, cast

    from labelloop.backends.local_orchestrator import LocalOrchestrator
    from labelloop.backends.local_store import LocalArtifactStore
    from labelloop.workspace.stack import Stack

    class Parts:
        annotator: Any = annotator(serve(label_studio("1.12.1")), tmp_path)
        artifact_store = LocalArtifactStore(path=str(tmp_path / "store"))
        secrets_manager = MemorySecrets()
        orchestrator = LocalOrchestrator()

    (failed,) = [one for one in bring_up(cast(Stack, Parts()), silent, "pets") if not one.ok]

    assert (failed.what, failed.exit_code) == ("annotator", 2)
    assert "1.12.1" in failed.detail
    assert "pip install label-studio==" in failed.hint
