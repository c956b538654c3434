"""Google's Secret Manager, on a hand-written double of its REST interface, and each way it can refuse."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from labelloop.backends.gcp_secrets import LIMIT, GCPSecretManager
from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.testing.secrets import VALUE, SecretsManagerContract

from support import emulators
from support.gcp_secret_manager import PROJECT, SecretManagerDouble, refusal
from support.http_double import Double, Response, serving


@dataclass(frozen=True)
class Google:
    """A project at the double."""

    memory: SecretManagerDouble
    double: Double


@pytest.fixture(scope="module")
def key() -> Mapping[str, Any]:
    """The key of a service account."""
    found: Mapping[str, Any] = json.loads(emulators.fake_gcp_key("http://unset"))
    return found


@pytest.fixture(autouse=True)
def google(key: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    """A project of its own, signed in to by a key file that the environment names."""
    memory = SecretManagerDouble()
    double = serving(memory)
    path = tmp_path / "key.json"
    path.write_text(json.dumps({**key, "token_uri": f"{double.url}/token"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    yield Google(memory, double)
    double.stop()


@pytest.fixture
def secrets(google: Google) -> GCPSecretManager:
    return GCPSecretManager(project_id=PROJECT, endpoint=google.double.url)


@pytest.fixture
def refusing(secrets: GCPSecretManager) -> Iterator[Callable[[Response], GCPSecretManager]]:
    """A manager whose service gives one answer to everything; the token server is the working one."""
    running: list[Double] = []

    def start(response: Response) -> GCPSecretManager:
        running.append(serving(lambda request: response))
        return GCPSecretManager(project_id=PROJECT, endpoint=running[-1].url)

    yield start
    for double in running:
        double.stop()


class TestGCPSecretManager(SecretsManagerContract):
    @pytest.fixture
    def secrets(self, google: Google) -> GCPSecretManager:
        return GCPSecretManager(project_id=PROJECT, endpoint=google.double.url)


def test_setting_anew_adds_a_version_and_google_keeps_the_older_one(secrets: GCPSecretManager, google: Google) -> None:
    secrets.set("ls", {"api_key": "1"})
    secrets.set("ls", {"api_key": "2"})

    assert len(google.memory.kept["labelloop-ls"]) == 2
    assert secrets.get("ls") == {"api_key": "2"}


def test_secrets_of_others_are_not_listed(secrets: GCPSecretManager, google: Google) -> None:
    google.memory.kept["other-labelloop-ls"] = []
    secrets.set("ls", {"api_key": VALUE})

    assert secrets.names() == ["ls"]


def test_a_disabled_version_is_not_found_and_said(secrets: GCPSecretManager, google: Google) -> None:
    secrets.set("ls", {"api_key": VALUE})
    google.memory.kept["labelloop-ls"][-1].state = "DISABLED"

    with pytest.raises(NotFoundError, match="disabled"):
        secrets.get("ls")


def test_a_secret_that_was_made_and_never_filled_is_not_found_and_can_be_set(
    secrets: GCPSecretManager, google: Google
) -> None:
    google.memory.kept["labelloop-ls"] = []
    with pytest.raises(NotFoundError):
        secrets.get("ls")

    secrets.set("ls", {"api_key": VALUE})

    assert secrets.get("ls") == {"api_key": VALUE}


def test_values_beyond_the_limit_are_refused_with_both_sizes(secrets: GCPSecretManager) -> None:
    with pytest.raises(ConfigError, match="65,536"):
        secrets.set("ls", {"api_key": "x" * LIMIT})


def test_values_at_the_limit_are_kept(secrets: GCPSecretManager) -> None:
    longest = "x" * (LIMIT - len('{"k": ""}'))

    secrets.set("ls", {"k": longest})

    assert secrets.get("ls") == {"k": longest}


@pytest.mark.parametrize(
    "options",
    [{"project_id": "../other"}, {"project_id": ""}, {"prefix": "a/b"}, {"endpoint": "http://me:hunter2@127.0.0.1"}],
)
def test_options_that_cannot_work_are_refused(options: Mapping[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        GCPSecretManager(**{"project_id": PROJECT, **options})

    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    ("action", "permission"),
    [
        ("get", "versions.access"),
        ("set", "versions.add"),
        ("delete", "secrets.delete"),
        ("names", "secrets.list"),
    ],
)
def test_a_missing_permission_is_named(
    refusing: Callable[[Response], GCPSecretManager], action: str, permission: str
) -> None:
    secrets = refusing(refusal(403, "PERMISSION_DENIED", f"Permission denied for {VALUE}"))
    arguments: Mapping[str, list[Any]] = {"set": ["ls", {"api_key": VALUE}], "names": []}

    with pytest.raises(ConfigError, match="does not allow") as caught:
        getattr(secrets, action)(*arguments.get(action, ["ls"]))

    assert f"secretmanager.{permission}" in caught.value.hint
    assert VALUE not in f"{caught.value!r} {caught.value.hint}"


def test_a_service_that_is_switched_off_says_how_to_switch_it_on(
    refusing: Callable[[Response], GCPSecretManager],
) -> None:
    off = refusal(403, "PERMISSION_DENIED", "Secret Manager API has not been used", "SERVICE_DISABLED")

    with pytest.raises(ConfigError, match="not switched on") as caught:
        refusing(off).names()

    assert "gcloud services enable secretmanager.googleapis.com" in caught.value.hint


@pytest.mark.parametrize(("code", "status"), [(503, "UNAVAILABLE"), (429, "RESOURCE_EXHAUSTED"), (500, "INTERNAL")])
def test_a_busy_service_is_retryable(refusing: Callable[[Response], GCPSecretManager], code: int, status: str) -> None:
    with pytest.raises(BackendError, match=str(code)) as caught:
        refusing(refusal(code, status, "later")).names()

    assert caught.value.retryable


def test_an_answer_in_other_words_is_refused_as_it_is(refusing: Callable[[Response], GCPSecretManager]) -> None:
    with pytest.raises(BackendError, match="418"):
        refusing(Response(418, ["teapot"])).names()


def test_a_project_that_does_not_exist_is_said(refusing: Callable[[Response], GCPSecretManager]) -> None:
    with pytest.raises(ConfigError, match="no project"):
        refusing(refusal(404, "NOT_FOUND", "Project not found")).names()


def test_a_token_that_has_expired_says_how_to_sign_in(refusing: Callable[[Response], GCPSecretManager]) -> None:
    with pytest.raises(ConfigError, match="have expired") as caught:
        refusing(refusal(401, "UNAUTHENTICATED", "invalid")).get("ls")

    assert "gcloud auth application-default login" in caught.value.hint


def test_a_key_that_google_refuses_says_how_to_sign_in(
    key: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secrets: GCPSecretManager
) -> None:
    refused = Response(400, {"error": "invalid_grant", "error_description": "Invalid JWT"})
    double = serving(lambda request: refused)
    (tmp_path / "other.json").write_text(json.dumps({**key, "token_uri": f"{double.url}/token"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "other.json"))

    with pytest.raises(ConfigError, match="refuses the credentials"):
        secrets.names()
    double.stop()


def test_no_credentials_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secrets: GCPSecretManager
) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")

    with pytest.raises(ConfigError, match="no credentials for Google Cloud") as caught:
        secrets.names()

    assert "gcloud auth application-default login" in caught.value.hint


def test_a_key_file_that_is_missing_or_broken_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secrets: GCPSecretManager
) -> None:
    (tmp_path / "broken.json").write_text(f'{{"private_key": "{VALUE}"')
    for path in ("missing.json", "broken.json"):
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / path))

        with pytest.raises(ConfigError, match="none that can be read") as caught:
            secrets.names()

        assert VALUE not in f"{caught.value!r} {caught.value.hint}"


def test_a_service_that_is_away_is_retryable_and_soon_said() -> None:
    started = time.monotonic()

    with pytest.raises(BackendError, match="cannot be reached") as caught:
        GCPSecretManager(project_id=PROJECT, endpoint="http://127.0.0.1:9").names()

    assert caught.value.retryable
    assert time.monotonic() - started < 30
