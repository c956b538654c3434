"""AWS Secrets Manager, on an emulator of its protocol, and each way it can refuse."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

import boto3
import pytest

from labelloop.backends.aws_secrets import LIMIT, AWSSecretsManager
from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.testing.secrets import VALUE, SecretsManagerContract

from support.emulators import Emulator
from support.http_double import Double, Request, Response, serving

REGION = "eu-west-1"


@pytest.fixture(autouse=True)
def signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials as the environment gives them, and nothing else of this machine."""
    for variable in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def secrets(aws_server: Emulator) -> AWSSecretsManager:
    return AWSSecretsManager(region_name=REGION, endpoint=aws_server.url, prefix=f"{uuid4().hex}/")


@pytest.fixture
def console(aws_server: Emulator) -> Any:
    """AWS's own client, for what others do there."""
    return boto3.client("secretsmanager", region_name=REGION, endpoint_url=aws_server.url)


class TestAWSSecretsManager(SecretsManagerContract):
    @pytest.fixture
    def secrets(self, aws_server: Emulator) -> AWSSecretsManager:
        return AWSSecretsManager(region_name=REGION, endpoint=aws_server.url, prefix=f"{uuid4().hex}/")


class TestAWSSecretsManagerWithoutRecovery(SecretsManagerContract):
    @pytest.fixture
    def secrets(self, aws_server: Emulator) -> AWSSecretsManager:
        return AWSSecretsManager(
            region_name=REGION, endpoint=aws_server.url, prefix=f"{uuid4().hex}/", recovery_window_in_days=0
        )


def test_a_secret_is_one_json_object_that_the_console_shows(secrets: AWSSecretsManager, console: Any) -> None:
    secrets.set("ls", {"api_key": VALUE})

    kept = console.get_secret_value(SecretId=f"{secrets.prefix}ls")["SecretString"]

    assert json.loads(kept) == {"api_key": VALUE}


def test_secrets_of_others_are_not_listed(secrets: AWSSecretsManager, console: Any) -> None:
    console.create_secret(Name=f"other-{secrets.prefix}ls", SecretString="{}")
    secrets.set("ls", {"api_key": VALUE})

    assert secrets.names() == ["ls"]


def test_a_deleted_secret_can_be_brought_back_in_the_console(secrets: AWSSecretsManager, console: Any) -> None:
    secrets.set("ls", {"api_key": VALUE})
    secrets.delete("ls")

    console.restore_secret(SecretId=f"{secrets.prefix}ls")

    assert secrets.get("ls") == {"api_key": VALUE}


def test_a_secret_that_is_being_deleted_says_so(secrets: AWSSecretsManager) -> None:
    secrets.set("ls", {"api_key": VALUE})
    secrets.delete("ls")

    with pytest.raises(NotFoundError) as caught:
        secrets.get("ls")

    assert "being deleted" in caught.value.hint


@pytest.mark.parametrize("text", ["plain", "[1]", '{"port": 1}'])
def test_what_labelloop_did_not_write_is_refused_unshown(secrets: AWSSecretsManager, console: Any, text: str) -> None:
    console.create_secret(Name=f"{secrets.prefix}ls", SecretString=text)

    with pytest.raises(ConfigError, match="something else wrote it") as caught:
        secrets.get("ls")

    assert text not in caught.value.message


def test_values_beyond_the_limit_are_refused_with_both_sizes(secrets: AWSSecretsManager) -> None:
    with pytest.raises(ConfigError, match="65,536") as caught:
        secrets.set("ls", {"api_key": VALUE * LIMIT})

    assert VALUE not in caught.value.message


@pytest.mark.parametrize("days", [-1, 1, 6, 31])
def test_a_recovery_window_that_aws_does_not_take_is_refused(days: int) -> None:
    with pytest.raises(ConfigError, match="7 to 30"):
        AWSSecretsManager(region_name=REGION, recovery_window_in_days=days)


def test_a_password_in_the_endpoint_is_refused_unshown() -> None:
    with pytest.raises(ConfigError, match="must not hold") as caught:
        AWSSecretsManager(region_name=REGION, endpoint="http://me:hunter2@127.0.0.1:1")

    assert "hunter2" not in caught.value.message + caught.value.hint


def answering(status: int, code: str, message: str = "no") -> Callable[[Request], Response]:
    """A service that refuses every call as AWS does."""
    body = {"__type": code, "Message": message}
    return lambda request: Response(status, body, {"x-amzn-ErrorType": code})


@pytest.fixture
def refusing() -> Iterator[Callable[..., AWSSecretsManager]]:
    """A manager whose service gives one answer to everything."""
    running: list[Double] = []

    def start(status: int, code: str, message: str = "no") -> AWSSecretsManager:
        running.append(serving(answering(status, code, message)))
        return AWSSecretsManager(region_name=REGION, endpoint=running[-1].url)

    yield start
    for double in running:
        double.stop()


@pytest.mark.parametrize(
    ("action", "permission"),
    [("get", "GetSecretValue"), ("set", "UpdateSecret"), ("delete", "DescribeSecret"), ("names", "ListSecrets")],
)
def test_a_missing_permission_is_named(
    refusing: Callable[..., AWSSecretsManager], action: str, permission: str
) -> None:
    secrets = refusing(400, "AccessDeniedException", f"not authorized to see {VALUE}")
    arguments: Mapping[str, list[Any]] = {"set": ["ls", {"api_key": VALUE}], "names": []}

    with pytest.raises(ConfigError, match="does not allow") as caught:
        getattr(secrets, action)(*arguments.get(action, ["ls"]))

    assert f"secretsmanager:{permission}" in caught.value.hint
    assert VALUE not in f"{caught.value!r} {caught.value.hint}"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("ExpiredTokenException", "session token has expired"),
        ("UnrecognizedClientException", "refuses the credentials"),
        ("InvalidSignatureException", "refuses the credentials"),
    ],
)
def test_credentials_that_do_not_work_are_said(
    refusing: Callable[..., AWSSecretsManager], code: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        refusing(400, code).get("ls")

    assert "AWS_PROFILE" in caught.value.hint


def test_a_validation_error_does_not_repeat_what_was_sent(refusing: Callable[..., AWSSecretsManager]) -> None:
    with pytest.raises(BackendError, match="ValidationException") as caught:
        refusing(400, "ValidationException", f"Value '{VALUE}' at 'secretString'").set("ls", {"api_key": VALUE})

    assert VALUE not in f"{caught.value!r} {caught.value.hint}"
    assert not caught.value.retryable


def test_no_credentials_says_what_to_do(monkeypatch: pytest.MonkeyPatch, aws_server: Emulator) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(ConfigError, match="no credentials for AWS") as caught:
        AWSSecretsManager(region_name=REGION, endpoint=aws_server.url).names()

    assert "aws sso login" in caught.value.hint


def test_a_profile_that_does_not_exist_is_said(monkeypatch: pytest.MonkeyPatch, aws_server: Emulator) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(ConfigError, match="ProfileNotFound"):
        AWSSecretsManager(region_name=REGION, endpoint=aws_server.url).names()


def test_a_region_with_a_slip_is_named() -> None:
    with pytest.raises(ConfigError, match="'eu-wset-1'") as caught:
        AWSSecretsManager(region_name="eu-wset-1").names()

    assert "did you mean 'eu-west-1'?" in caught.value.hint


def test_a_service_that_is_away_is_retryable_and_soon_said() -> None:
    started = time.monotonic()

    with pytest.raises(BackendError, match="cannot be reached") as caught:
        AWSSecretsManager(region_name=REGION, endpoint="http://127.0.0.1:9").names()

    assert caught.value.retryable
    assert time.monotonic() - started < 30
