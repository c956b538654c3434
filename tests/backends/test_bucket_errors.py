"""What goes wrong with a bucket is said by its name, with what to do next, quickly, and without a secret."""

from __future__ import annotations

import io
import json
import pickle
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from labelloop.backends.azure_store import AzureArtifactStore
from labelloop.backends.buckets import BucketArtifacts
from labelloop.backends.gcp_store import GCPArtifactStore
from labelloop.backends.s3_store import S3ArtifactStore
from labelloop.errors import BackendError, ConfigError, LabelLoopError, NotFoundError
from labelloop.machine.registry import build
from labelloop.testing.secrets import MemorySecrets
from labelloop.workspace.config import load
from labelloop.workspace.stack import Stack

from support import clouds, emulators
from support.emulators import Emulator
from support.http_double import Double, Response, serving

CANARY = "c4n4ryc4n4ryc4n4ry"
FLAVORS = {"s3": S3ArtifactStore, "gcp": GCPArtifactStore, "azure": AzureArtifactStore}
PATHS = {"s3": "s3://bucket", "gcp": "gs://bucket", "azure": "az://bucket"}


def write(store: BucketArtifacts) -> None:
    store.write("key", io.BytesIO(b"x"))


def refusal(store: BucketArtifacts, does: Callable[[Any], object] = write) -> LabelLoopError:
    with pytest.raises(LabelLoopError) as caught:
        does(store)
    return caught.value


@pytest.mark.parametrize(
    ("flavor", "path", "hint"),
    [
        ("s3", "gs://bucket", "--flavor=gcp --path=gs://bucket"),
        ("s3", "az://bucket/x", "--flavor=azure --path=az://bucket/x"),
        ("gcp", "s3://bucket", "--flavor=s3 --path=s3://bucket"),
        ("azure", "gs://bucket", "--flavor=gcp --path=gs://bucket"),
        ("s3", "/data/artifacts", "--flavor=local --path=/data/artifacts"),
        ("azure", "https://bucket", "--path=az://CONTAINER"),
        ("s3", "s3://", "--path=s3://BUCKET"),
        ("s3", "s3://My_Bucket", "3 to 63 lower-case letters"),
        ("gcp", "gs://bucket/a//b", "--path=gs://BUCKET/FOLDER"),
        ("gcp", "gs://bucket/../b", "--path=gs://BUCKET/FOLDER"),
    ],
)
def test_a_path_of_another_flavor_or_shape_names_the_right_one(flavor: Any, path: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build("artifact-store", flavor, {"path": path}, {})

    assert hint in caught.value.hint
    assert path.partition("://")[2][:3] in caught.value.message


@pytest.mark.parametrize("flavor", FLAVORS)
def test_an_endpoint_that_is_no_url_is_refused(flavor: Any) -> None:
    with pytest.raises(ConfigError, match="'localhost:9000' is no URL"):
        build("artifact-store", flavor, {"path": PATHS[flavor], "endpoint": "localhost:9000"}, {})


@pytest.mark.parametrize(
    ("flavor", "values", "missing"),
    [
        ("s3", {"aws_access_key_id": "a"}, "aws_secret_access_key"),
        ("s3", {}, "aws_access_key_id"),
        ("azure", {"account_name": "a"}, "account_key"),
        ("azure", {"account_key": "YQ=="}, "account_name"),
        ("gcp", {"api_key": "x"}, "token"),
    ],
)
def test_a_secret_that_misses_a_key_is_named_with_the_command(
    flavor: str, values: Mapping[str, str], missing: str
) -> None:
    secrets = MemorySecrets({"mine": values})
    store = FLAVORS[flavor](path=PATHS[flavor], authentication_secret="mine", secrets=secrets)

    for does in (write, lambda one: one.bucket()):
        error = refusal(store, does)
        assert (type(error), error.message) == (
            ConfigError,
            f"secret 'mine' has no {missing!r}, which {PATHS[flavor]} needs",
        )
        assert error.hint == f"labelloop secret update mine --{missing}=..."


@pytest.mark.parametrize("flavor", FLAVORS)
def test_a_secret_that_is_not_there_is_not_found(flavor: str) -> None:
    store = FLAVORS[flavor](path=PATHS[flavor], authentication_secret="none", secrets=MemorySecrets())

    assert isinstance(refusal(store), NotFoundError)


@pytest.mark.parametrize(
    ("token", "wrong"),
    [
        ("{not json", "no JSON at line 1, column 2"),
        ("[1]", "JSON of list, not of an object"),
        (json.dumps({"type": "service_account"}), "it has no 'project_id'"),
        ("shortened", "its 'private_key' is no private key in PEM"),
        ("user", "its 'type' is not 'service_account'"),
    ],
)
def test_a_malformed_gcp_key_file_says_what_is_wrong_with_it(token: str, wrong: str) -> None:
    key = json.loads(emulators.fake_gcp_key("http://127.0.0.1:1"))
    token = {
        "shortened": json.dumps({**key, "private_key": key["private_key"][:200] + CANARY}),
        "user": json.dumps({**key, "type": "authorized_user"}),
    }.get(token, token)
    store = GCPArtifactStore(
        path="gs://bucket", authentication_secret="mine", secrets=MemorySecrets({"mine": {"token": token}})
    )

    error = refusal(store)

    assert error.message == f"the token in secret 'mine' is not the key file of a service account: {wrong}"
    assert error.hint == "labelloop secret update mine --token=@KEY_FILE.json"


def test_an_azure_key_that_is_not_base64_is_refused() -> None:
    values = {"account_name": "a", "account_key": f"{CANARY}!"}
    store = AzureArtifactStore(
        path="az://bucket", authentication_secret="mine", secrets=MemorySecrets({"mine": values})
    )

    error = refusal(store)

    assert "is not base64" in error.message
    assert CANARY not in f"{error.message} {error.hint}"


def test_a_bucket_that_does_not_exist_is_named(
    aws_server: Emulator, gcs_server: Emulator, azure_server: Emulator
) -> None:
    stores = (
        clouds.s3_store(aws_server, path="s3://nobody-made-it"),
        clouds.gcp_store(gcs_server, path="gs://nobody-made-it"),
        clouds.azure_store(azure_server, path="az://nobody-made-it"),
    )

    for store in stores:
        error = refusal(store)
        assert isinstance(error, ConfigError)
        assert f"{store.path} does not exist (404" in error.message
        assert "labelloop cloud setup" in error.hint
        assert "--bucket nobody-made-it" in error.hint


def test_a_bucket_that_is_not_there_is_not_taken_for_a_key_that_is_not_there(
    aws_server: Emulator, azure_server: Emulator
) -> None:
    for store in (
        clouds.s3_store(aws_server, path="s3://nobody-made-it"),
        clouds.azure_store(azure_server, path="az://nobody-made-it"),
    ):
        assert "does not exist (404" in refusal(store, lambda one: one.read("key")).message


def test_a_bucket_that_may_only_be_read_is_read_and_says_what_to_allow(s3_server: Emulator) -> None:
    ours = clouds.s3_store(s3_server)
    write(ours)
    theirs = clouds.s3_store(s3_server, path=ours.path, authentication_secret="reader")

    error = refusal(theirs)

    with theirs.read("key") as body:
        assert body.read() == b"x"
    assert (type(error), error.message) == (
        ConfigError,
        f"s3://{clouds.S3_BUCKET} may not be written to with the credentials of secret 'reader' (403 AccessDenied)",
    )
    assert f"allow s3:PutObject on arn:aws:s3:::{clouds.S3_BUCKET}" in error.hint


def test_a_long_body_is_refused_in_the_same_words(s3_server: Emulator) -> None:
    theirs = clouds.s3_store(s3_server, authentication_secret="reader")

    error = refusal(theirs, lambda one: one.write("key", io.BytesIO(bytes(20_000_000))))

    assert "may not be written to" in error.message


@pytest.mark.parametrize(
    ("key", "secret", "code"),
    [
        ("nobody", emulators.SECRET_KEY, "InvalidAccessKeyId"),
        (emulators.ACCESS_KEY, CANARY, "SignatureDoesNotMatch"),
    ],
)
def test_wrong_keys_of_s3_are_named(s3_server: Emulator, key: str, secret: str, code: str) -> None:
    values = {"aws_access_key_id": key, "aws_secret_access_key": secret}
    store = clouds.s3_store(s3_server, authentication_secret="mine", secrets=clouds.secrets_of("mine", values))

    error = refusal(store)

    assert error.message == f"s3://{clouds.S3_BUCKET} refuses the credentials of secret 'mine' (403 {code})"
    assert error.hint == "labelloop secret update mine --aws_access_key_id=... --aws_secret_access_key=..."


def test_a_wrong_key_of_azure_is_named(azure_server: Emulator) -> None:
    values = {"account_name": emulators.AZURE_ACCOUNT, "account_key": "d3Jvbmc="}
    store = clouds.azure_store(azure_server, authentication_secret="mine", secrets=clouds.secrets_of("mine", values))

    error = refusal(store)

    assert "refuses the credentials of secret 'mine' (403" in error.message
    assert error.hint == "labelloop secret update mine --account_name=... --account_key=..."


def test_corrected_keys_are_taken_up_at_once(s3_server: Emulator) -> None:
    wrong = {"aws_access_key_id": "nobody", "aws_secret_access_key": "x"}
    secrets = clouds.secrets_of("mine", wrong)
    store = clouds.s3_store(s3_server, authentication_secret="mine", secrets=secrets)
    refusal(store)
    secrets.set("mine", secrets.get("aws"))

    write(store)

    assert store.exists("key")


@pytest.fixture
def answered() -> Iterator[Any]:
    """A server that gives one answer to everything, recorded from what Amazon documents: no emulator gives these."""
    running: list[Double] = []

    def answer(status: int, body: str, region: str = "") -> S3ArtifactStore:
        headers = {"Content-Type": "application/xml", **({"x-amz-bucket-region": region} if region else {})}
        response = Response(status, body.encode(), headers)
        server = serving(lambda _: response)
        running.append(server)
        values = {"aws_access_key_id": "A", "aws_secret_access_key": "S", "aws_session_token": CANARY}
        secrets = clouds.secrets_of("mine", values)
        return S3ArtifactStore(path="s3://bucket", endpoint=server.url, authentication_secret="mine", secrets=secrets)

    yield answer
    for server in running:
        server.stop()


EXPIRED = (
    f"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message>"
    f"<Token-0>{CANARY}</Token-0><RequestId>1</RequestId></Error>"
)
MOVED = (
    "<Error><Code>PermanentRedirect</Code><Message>The bucket you are attempting to access must be addressed using the "
    "specified endpoint.</Message><Endpoint>bucket.s3.eu-west-1.amazonaws.com</Endpoint><Bucket>bucket</Bucket></Error>"
)
MALFORMED = (
    "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; the region "
    "'us-east-1' is wrong; expecting 'eu-west-1'</Message><Region>eu-west-1</Region></Error>"
)


def test_an_expired_session_token_is_named_and_not_shown(answered: Any) -> None:
    error = refusal(answered(400, EXPIRED))

    assert error.message == "the credentials of secret 'mine' have expired (400 ExpiredToken at s3://bucket)"
    assert error.hint.startswith("labelloop secret update mine --aws_access_key_id=...")
    assert "--aws_session_token=..." in error.hint
    assert CANARY not in "".join(traceback.format_exception(error))


def test_a_bucket_in_another_region_is_named_with_the_region(answered: Any) -> None:
    moved, malformed = refusal(answered(301, MOVED, "eu-west-1")), refusal(answered(400, MALFORMED))

    assert "s3://bucket is in another region than the one asked" in moved.message
    for error in (moved, malformed):
        assert "it is in eu-west-1" in error.message
        assert error.hint == "labelloop artifact-store update NAME --region=eu-west-1"


def test_a_service_that_is_ill_may_be_asked_again(answered: Any) -> None:
    error = refusal(answered(503, "<Error><Code>SlowDown</Code></Error>"))

    assert isinstance(error, BackendError)
    assert error.retryable
    assert "(503 SlowDown)" in error.message


@pytest.mark.parametrize("flavor", FLAVORS)
def test_an_endpoint_that_does_not_answer_is_said_soon(flavor: str) -> None:
    url = "http://127.0.0.1:1"
    secrets = clouds.secrets_of("gcp", {"token": emulators.fake_gcp_key(url)})
    name = {"s3": "aws"}.get(flavor, flavor)
    store = FLAVORS[flavor](path=PATHS[flavor], authentication_secret=name, endpoint=url, secrets=secrets)
    began = time.monotonic()

    error = refusal(store)

    assert time.monotonic() - began < 20
    assert isinstance(error, BackendError)
    assert error.retryable
    assert error.message == f"{url} does not answer"


def test_a_server_that_takes_the_call_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    from labelloop.backends import bucket_connection

    monkeypatch.setattr(bucket_connection, "PATIENCE", timedelta(seconds=0.2))
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        store = S3ArtifactStore(
            path="s3://bucket", endpoint=url, authentication_secret="aws", secrets=clouds.secrets_of()
        )

        error = refusal(store, lambda one: one.read("key"))

    assert isinstance(error, BackendError)
    assert error.retryable


@pytest.mark.parametrize("flavor", FLAVORS)
def test_a_missing_extra_is_named_with_its_command(flavor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = clouds.secrets_of("gcp", {"token": emulators.fake_gcp_key("http://127.0.0.1:1")})
    name = {"s3": "aws"}.get(flavor, flavor)
    store = FLAVORS[flavor](path=PATHS[flavor], authentication_secret=name, secrets=secrets)
    monkeypatch.setitem(sys.modules, "obstore.store", None)

    error = refusal(store)

    assert isinstance(error, ConfigError)
    assert error.hint == f"labelloop integration install {flavor}"


def test_no_credentials_on_this_machine_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    for store, cloud in (
        (S3ArtifactStore(path="s3://bucket"), "AWS"),
        (GCPArtifactStore(path="gs://bucket"), "Google"),
    ):
        error = refusal(store)

        assert f"this machine has no {cloud} credentials" in error.message
        assert "labelloop secret register" in error.hint


def test_aws_default_chain_is_used_without_a_secret(s3_server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", emulators.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", emulators.SECRET_KEY)
    store = clouds.s3_store(s3_server, authentication_secret="", secrets=None)

    write(store)

    assert store.exists("key")
    assert store.bucket().credentials == {}


def test_the_environment_never_mixes_with_the_secret(s3_server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something-else")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-somebody-else")
    store = clouds.s3_store(s3_server)

    write(store)

    assert store.exists("key")


def test_a_secret_without_a_secrets_manager_is_refused() -> None:
    with pytest.raises(ConfigError, match="no secrets manager"):
        S3ArtifactStore(path="s3://bucket", authentication_secret="aws")


def test_no_secret_is_in_a_pickle_of_a_store_that_was_used(s3_server: Emulator, tmp_path: Path) -> None:
    from labelloop.backends.local_secrets import LocalSecretsManager

    kept = LocalSecretsManager(home=tmp_path)
    kept.set("aws", clouds.secrets_of().get("aws"))
    store = clouds.s3_store(s3_server, secrets=kept)
    write(store)

    travelling = pickle.dumps(store)

    assert emulators.SECRET_KEY.encode() not in travelling
    assert emulators.ACCESS_KEY.encode() not in travelling
    assert pickle.loads(travelling).exists("key")


def test_a_key_that_is_not_there_costs_no_new_connection(s3_server: Emulator) -> None:
    class Counting(MemorySecrets):
        asked = 0

        def get(self, name: str) -> Mapping[str, str]:
            self.asked += 1
            return super().get(name)

    secrets = Counting({"aws": clouds.secrets_of().get("aws")})
    store = clouds.s3_store(s3_server, secrets=secrets)

    for number in range(5):
        assert not store.exists(f"{number}")
        with pytest.raises(NotFoundError):
            store.read(f"{number}")

    assert secrets.asked == 1


def test_the_command_an_error_suggests_names_the_component(tmp_path: Path) -> None:
    (tmp_path / "labelloop.toml").write_text(
        '[stacks.default]\nartifact_store = "cellar"\n[artifact_stores.cellar]\nflavor = "azure"\npath = "az://wines"\n'
    )

    with pytest.raises(ConfigError, match="which storage account") as caught:
        Stack(load(tmp_path)).artifact_store.exists("check/probe")

    assert caught.value.hint == "labelloop artifact-store update cellar --account_name=ACCOUNT"
