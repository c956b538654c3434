"""cloud setup and teardown for Google: on fake-gcs-server as far as it goes, the rest on a double of the reference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from labelloop.cli import run
from labelloop.cloud import gcp
from labelloop.cloud.gcp import Account, GcpRequest, GcpResources
from labelloop.cloud.gcp_account import GCP
from labelloop.cloud.gcp_client import GoogleClient
from labelloop.cloud.plan import Change, Kept, Plan
from labelloop.errors import BackendError, ConfigError
from labelloop.protocols import SecretsManager
from labelloop.testing.secrets import MemorySecrets

from support import emulators
from support.emulators import Emulator
from support.google_cloud import PROJECT, SECRET_PART, GoogleDouble
from support.http_double import Double, Response, serving
from support.killing import Killed, Moment

ORIGIN = "http://localhost:8093"
THEIR_RULE = {"origin": ["https://theirs.example.com"], "method": ["PUT"], "maxAgeSeconds": 5}
WANTED = GcpRequest(bucket="owls", project=PROJECT, origins=(ORIGIN,), region="EU")
KEY = "0123456789abcdef"
READY = GcpResources(
    bucket="ours",
    rules=tuple(gcp.cors([ORIGIN])),
    policy={"etag": "1", "version": 1, "bindings": gcp.bindings("owls", WANTED.member)},
    account=Account(owner="ours", description=gcp.noting("", [KEY], KEY), keys=(KEY,)),
    secret=Kept(True, KEY),
)


def steps(plan: Plan) -> list[str]:
    return [change.step for change in plan.changes]


def changed(**parts: Any) -> GcpResources:
    return replace(READY, **parts)


class TestThePlan:
    def test_an_empty_project_gets_everything_in_an_order_that_works(self) -> None:
        assert steps(gcp.decide_setup(WANTED, GcpResources())) == ["bucket", "cors", "account", "bind", "key"]

    def test_what_is_ready_is_left_alone(self) -> None:
        assert steps(gcp.decide_setup(WANTED, READY)) == []

    @pytest.mark.parametrize(
        ("missing", "expected"),
        [
            ({"rules": ()}, ["cors"]),
            ({"policy": {"etag": "1", "bindings": []}}, ["bind"]),
            ({"secret": Kept()}, ["key"]),
            ({"account": replace(READY.account, description=gcp.DESCRIPTION)}, ["note"]),
            ({"account": replace(READY.account, keys=(KEY, "ffffffffffffffff"))}, ["delete-key"]),
            ({"account": Account(), "secret": Kept()}, ["account", "key"]),
        ],
    )
    def test_only_what_is_missing_is_made(self, missing: dict[str, Any], expected: list[str]) -> None:
        assert steps(gcp.decide_setup(WANTED, changed(**missing))) == expected

    def test_a_prefix_becomes_a_condition_and_replaces_the_wider_binding(self) -> None:
        theirs = {"role": "roles/storage.objectUser", "members": ["user:owl@example.com", WANTED.member]}
        found = changed(policy={"etag": "1", "bindings": [theirs]})

        [change] = gcp.decide_setup(replace(WANTED, prefix="mine/"), found).changes

        policy = change.arguments["policy"]
        assert policy["version"] == 3
        assert policy["bindings"][0] == {**theirs, "members": ["user:owl@example.com"]}
        expression = policy["bindings"][2]["condition"]["expression"]
        assert expression == 'resource.name.startsWith("projects/_/buckets/owls/objects/mine/")'

    def test_a_prefix_is_refused_where_access_is_decided_object_by_object(self) -> None:
        with pytest.raises(ConfigError, match="object by object"):
            gcp.decide_setup(replace(WANTED, prefix="mine/"), changed(uniform=False))

    def test_an_account_or_a_secret_of_somebody_else_is_refused(self) -> None:
        for found in (changed(account=Account(owner="foreign")), changed(secret=Kept(True, "other"))):
            with pytest.raises(ConfigError, match=r"not made by labelloop|is not replaced"):
                gcp.decide_setup(WANTED, found)

    def test_an_eleventh_key_is_refused_with_the_command_that_makes_room(self) -> None:
        keys = tuple(f"{n:016x}" for n in range(10))
        description = " ".join([gcp.DESCRIPTION, *(key[:12] for key in keys)])
        full = changed(account=Account(owner="ours", description=description, keys=keys), secret=Kept())

        with pytest.raises(ConfigError, match="10 keys") as refused:
            gcp.decide_setup(WANTED, replace(full, account=replace(full.account, description=note_all(keys))))
        assert "gcloud iam service-accounts keys delete" in refused.value.hint

    def test_teardown_takes_what_is_ours_and_leaves_the_data(self) -> None:
        plan = gcp.decide_teardown(WANTED, READY, delete_data=False)

        assert steps(plan) == ["cors", "delete-secret", "bind", "delete-account"]
        assert plan.changes[2].arguments["policy"]["bindings"] == []

    def test_a_bucket_that_was_there_before_never_goes(self) -> None:
        plan = gcp.decide_teardown(WANTED, changed(bucket="foreign"), delete_data=True)

        assert not {"empty", "delete-bucket"} & set(steps(plan))

    def test_a_binding_of_the_deleted_account_goes_too(self) -> None:
        ghost = {"role": "r", "members": [f"deleted:serviceAccount:{WANTED.email}?uid=1"]}
        found = GcpResources(bucket="foreign", policy={"etag": "1", "bindings": [ghost]})

        assert steps(gcp.decide_teardown(WANTED, found, delete_data=False)) == ["bind"]

    def test_accounts_and_secrets_of_others_stay(self) -> None:
        stranger = Account(owner="foreign", keys=(KEY,))

        assert (
            steps(gcp.decide_teardown(WANTED, GcpResources(account=stranger, secret=Kept(True, KEY)), delete_data=True))
            == []
        )


def note_all(keys: tuple[str, ...]) -> str:
    description = ""
    for key in keys:
        description = gcp.noting(description, keys, key)
    return description


def test_the_notes_of_ten_keys_fit_a_description_and_forget_what_is_gone() -> None:
    keys = tuple(f"{n:040x}"[::-1] for n in range(10))

    assert len(note_all(keys)) <= 256
    assert keys[0][:12] not in gcp.noting(note_all(keys), keys[1:], keys[1])


@pytest.mark.parametrize("name", ["owls", "a_b-c.d", "0" * 63])
def test_a_good_name_of_a_bucket(name: str) -> None:
    assert gcp.check_bucket(name) == name


@pytest.mark.parametrize("name", ["ow", "Owls", "-owls", "owls_", "googly", "my-google", "10.0.0.1", "a" * 64])
def test_a_bad_name_of_a_bucket_is_refused_with_the_rules(name: str) -> None:
    with pytest.raises(ConfigError, match="not a name for a Google Cloud Storage bucket") as refused:
        gcp.check_bucket(name)
    assert "3 to 63" in refused.value.hint


@pytest.mark.parametrize("bucket", ["owls", "a.b", "a_b", "a" * 63, "a" * 62 + "b"])
def test_service_accounts_have_names_google_takes(bucket: str) -> None:
    name = gcp.account_id(bucket)

    assert 6 <= len(name) <= 30
    assert all(letter.isalnum() or letter == "-" for letter in name)


def test_service_accounts_of_similar_buckets_stay_apart() -> None:
    assert len({gcp.account_id(bucket) for bucket in ("a.b", "a_b", "a-b", "a" * 63, "a" * 62 + "b")}) == 5


@pytest.fixture
def google() -> GoogleDouble:
    return GoogleDouble()


@pytest.fixture
def double(google: GoogleDouble) -> Iterator[Double]:
    running = serving(google)
    yield running
    running.stop()


@pytest.fixture
def secrets() -> MemorySecrets:
    return MemorySecrets()


@pytest.fixture
def account(double: Double, secrets: MemorySecrets) -> GCP:
    return account_of(double.url, secrets)


def account_of(url: str, secrets: SecretsManager, wanted: GcpRequest = WANTED) -> GCP:
    return GCP(wanted, secrets, endpoint=url, iam_endpoint=url, pause=0.0)


def set_up(account: GCP) -> Plan:
    plan = account.plan_setup()
    for change in plan.changes:
        account.act(change)
    return plan


def take_down(account: GCP, *, delete_data: bool = False) -> Plan:
    plan = account.plan_teardown(delete_data=delete_data)
    for change in plan.changes:
        account.act(change)
    return plan


class TestOnADoubleOfTheReference:
    def test_an_empty_project_gets_a_private_bucket_an_account_and_its_secret(
        self, account: GCP, google: GoogleDouble, secrets: MemorySecrets
    ) -> None:
        set_up(account)

        bucket = google.buckets["owls"]
        assert bucket["labels"] == {"labelloop": "managed"}
        assert bucket["location"] == "EU"
        assert bucket["iamConfiguration"]["publicAccessPrevention"] == "enforced"
        assert bucket["cors"] == gcp.cors([ORIGIN])
        bound = [one for one in google.policies["owls"]["bindings"] if WANTED.member in one["members"]]
        assert bound == gcp.bindings("owls", WANTED.member)
        assert google.policies["owls"]["bindings"][0]["role"] == "roles/storage.legacyBucketOwner"
        token = json.loads(secrets.get("gcp")["token"])
        assert token["client_email"] == WANTED.email
        assert google.keys[WANTED.email] == [token["private_key_id"]]

    def test_setting_up_twice_changes_nothing(self, account: GCP, google: GoogleDouble) -> None:
        set_up(account)
        before = google.state()

        assert set_up(account).changes == ()
        assert google.state() == before

    def test_a_plan_changes_nothing(self, account: GCP, google: GoogleDouble) -> None:
        before = google.state()

        account.plan_setup()

        assert google.state() == before

    def test_it_waits_until_google_knows_the_new_account(
        self, account: GCP, google: GoogleDouble, secrets: MemorySecrets
    ) -> None:
        google.lag = 3

        set_up(account)

        assert secrets.names() == ["gcp"]

    def test_an_existing_bucket_keeps_its_rules_and_survives_teardown(self, account: GCP, google: GoogleDouble) -> None:
        theirs = {"name": "owls", "location": "EU", "metageneration": "7", "cors": [THEIR_RULE]}
        binding = {"role": "roles/storage.objectViewer", "members": ["user:owl@example.com"]}
        google.buckets["owls"] = dict(theirs)
        google.policies["owls"] = {"version": 1, "etag": "1", "bindings": [binding]}
        google.objects["owls"] = [{"name": "precious", "generation": "1"}]

        set_up(account)
        assert google.buckets["owls"]["cors"] == [THEIR_RULE, *gcp.cors([ORIGIN])]
        take_down(account, delete_data=True)

        assert google.buckets["owls"]["cors"] == [THEIR_RULE]
        assert google.policies["owls"]["bindings"] == [binding]
        assert google.objects["owls"] == [{"name": "precious", "generation": "1"}]
        assert google.accounts == {}

    def test_teardown_with_the_data_leaves_nothing(
        self, account: GCP, google: GoogleDouble, secrets: MemorySecrets
    ) -> None:
        secrets.set("other", {"key": "1"})
        set_up(account)
        google.objects["owls"] = [{"name": f"a/{n % 3}", "generation": str(n)} for n in range(7)]

        take_down(account, delete_data=True)

        assert json.loads(google.state()) == [{}, {}, {}, {}, {}]
        assert secrets.names() == ["other"]
        assert take_down(account, delete_data=True).changes == ()

    @pytest.mark.parametrize("verb", ["setup", "teardown"])
    def test_a_kill_after_any_change_is_repaired_by_running_again(
        self, verb: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = GoogleDouble()
        running = serving(whole)
        set_up(account_of(running.url, MemorySecrets()))
        running.stop()
        expected = blurred(whole) if verb == "setup" else [{}, {}, {}, {}, {}]

        for moment in range(1, 50):
            when, google, secrets = Moment(moment), GoogleDouble(), MemorySecrets()
            double = serving(google)
            account = account_of(double.url, secrets)
            if verb == "teardown":
                set_up(account)
            with monkeypatch.context() as patch:
                real = GoogleClient.call
                changing = when.counting(real)

                def call(
                    self: GoogleClient, method: str, *rest: Any, real: Any = real, act: Any = changing, **named: Any
                ) -> Any:
                    return (real if method == "GET" else act)(self, method, *rest, **named)

                patch.setattr(GoogleClient, "call", call)
                patch.setattr(secrets, "set", when.counting(secrets.set))
                patch.setattr(secrets, "delete", when.counting(secrets.delete))
                with suppress(Killed):
                    carry_out(account, verb)
            carry_out(account_of(double.url, secrets), verb)
            double.stop()
            assert blurred(google) == expected, f"killed after change {moment}"
            assert secrets.names() == (["gcp"] if verb == "setup" else [])
            if when.is_survived:
                break

        assert moment > 4

    def test_keys_that_are_kept_elsewhere_stay(self, account: GCP, double: Double, google: GoogleDouble) -> None:
        set_up(account)

        set_up(account_of(double.url, MemorySecrets()))

        assert len(google.keys[WANTED.email]) == 2
        assert account.plan_setup().changes == ()


def carry_out(account: GCP, verb: str) -> None:
    if verb == "setup":
        set_up(account)
    else:
        take_down(account, delete_data=True)


def blurred(google: GoogleDouble) -> Any:
    """What it holds, without what differs from run to run."""
    text = google.state()
    for keys in google.keys.values():
        for key in keys:
            text = text.replace(key, "KEY").replace(key[:12], "KEY")
    held = json.loads(text)
    for one in (*held[0].values(), *held[1].values()):
        one.pop("etag", None)
        one.pop("metageneration", None)
    return held


class TestRefusals:
    def test_a_bucket_of_somebody_else(self, account: GCP, google: GoogleDouble) -> None:
        google.taken.add("owls")

        with pytest.raises(ConfigError, match="belongs to somebody else"):
            account.plan_setup()
        with pytest.raises(ConfigError, match="all of Google Cloud shares the names"):
            account.act(Change("bucket", ""))

    def test_a_bucket_in_another_region(self, double: Double, account: GCP, secrets: MemorySecrets) -> None:
        set_up(account)

        with pytest.raises(ConfigError, match="is in EU, not in us-east1") as refused:
            account_of(double.url, secrets, replace(WANTED, region="us-east1")).plan_setup()
        assert refused.value.hint == "--region EU"

    @pytest.mark.parametrize("permission", ["storage.buckets.create", "iam.serviceAccounts.create"])
    def test_a_missing_permission_is_named(self, account: GCP, google: GoogleDouble, permission: str) -> None:
        google.denied.add(permission)

        with pytest.raises(ConfigError, match=f"Google refuses {permission}"):
            set_up(account)

    def test_somebody_who_changes_the_bucket_at_the_same_moment(self, account: GCP, google: GoogleDouble) -> None:
        set_up(account)
        google.buckets["owls"]["cors"] = []
        plan = account.plan_setup()
        google.buckets["owls"]["metageneration"] = "99"

        with pytest.raises(BackendError, match="at the same moment"):
            account.act(plan.changes[0])

    def test_a_secrets_manager_that_refuses_leaves_no_key_behind(self, double: Double, google: GoogleDouble) -> None:
        class ReadOnly(MemorySecrets):
            def set(self, name: str, values: Any) -> None:
                raise ConfigError("the environment is read only", "use another secrets manager")

        with pytest.raises(ConfigError, match="read only"):
            set_up(account_of(double.url, ReadOnly()))
        assert google.keys[WANTED.email] == []

    @pytest.mark.parametrize(
        ("status", "message"), [(401, "credentials"), (503, "answered 503"), (500, "answered 500")]
    )
    def test_other_answers(self, secrets: MemorySecrets, status: int, message: str) -> None:
        double = serving(lambda request: Response(status, {"error": {"code": status}}))

        with pytest.raises((ConfigError, BackendError), match=message):
            account_of(double.url, secrets).plan_setup()
        double.stop()

    def test_an_interface_that_is_switched_off(self, secrets: MemorySecrets) -> None:
        body = {"error": {"code": 403, "details": [{"reason": "SERVICE_DISABLED"}]}}
        double = serving(lambda request: Response(403 if "/v1/projects" in request.path else 404, body))

        with pytest.raises(ConfigError, match="has not switched on") as refused:
            account_of(double.url, secrets).plan_setup()
        assert "gcloud services enable iam.googleapis.com" in refused.value.hint
        double.stop()

    def test_a_network_that_is_down(self, secrets: MemorySecrets) -> None:
        with pytest.raises(BackendError, match="does not answer") as failed:
            account_of(f"http://127.0.0.1:{emulators.free_port()}", secrets).plan_setup()
        assert failed.value.retryable

    def test_no_credentials(self, secrets: MemorySecrets, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)

        with pytest.raises(ConfigError, match="no credentials to set up Google Cloud with") as refused:
            GCP(WANTED, secrets).plan_setup()
        assert "gcloud auth application-default login" in refused.value.hint

    def test_credentials_that_have_expired(
        self, secrets: MemorySecrets, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        double = serving(lambda request: Response(400, {"error": "invalid_grant"}))
        key = {**json.loads(emulators.fake_gcp_key(double.url)), "token_uri": f"{double.url}/token"}
        (tmp_path / "key.json").write_text(json.dumps(key))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))

        with pytest.raises(ConfigError, match="refuses the credentials"):
            GCP(WANTED, secrets).plan_setup()
        double.stop()

    @pytest.mark.parametrize("project", ["", "Not A Project"])
    def test_no_project(self, double: Double, project: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)

        with pytest.raises(ConfigError, match=r"no project|not the id of a project"):
            account_of(double.url, MemorySecrets(), replace(WANTED, project=project)).plan_setup()


class TestOnFakeGcsServer:
    """It keeps no CORS rules, and has no policies: a bucket is made and found there, and deleted, no more."""

    def test_a_bucket_is_made_once(self, gcs_server: Emulator, secrets: MemorySecrets) -> None:
        wanted = replace(WANTED, bucket=f"owls-{uuid4().hex[:8]}", identities=False, region="")
        account = GCP(wanted, secrets, endpoint=gcs_server.url)

        assert steps(set_up(account)) == ["bucket", "cors"]

        found = httpx.get(f"{gcs_server.url}/storage/v1/b/{wanted.bucket}", trust_env=False).json()
        assert found["name"] == wanted.bucket
        assert "bucket" not in steps(account.plan_setup())
        assert steps(account.plan_teardown(delete_data=True)) == ["empty", "delete-bucket"]


def test_as_typed(
    double: Double,
    google: GoogleDouble,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LABELLOOP_SECRETS_KEY", "w0mKYOYp0Ffrz6KA2wHT3lsfHVXAHuUZCcxbEBgrbL0=")
    root = ["-C", str(tmp_path / "farm")]
    there = ["--bucket", "owls", "--project", PROJECT, "--endpoint", double.url, "--iam-endpoint", double.url]
    assert run([*root, "init", "--labels", "cat,dog"]) == 0

    assert run([*root, "cloud", "setup", "gcp", *there, "--dry-run"]) == 0
    assert google.buckets == {}
    assert run([*root, "cloud", "setup", "gcp", *there, "--register"]) == 0
    assert "owls" in google.buckets
    assert run([*root, "cloud", "teardown", "gcp", *there, "--yes"]) == 2
    assert run([*root, "cloud", "teardown", "gcp", *there, "--yes", "--force", "--delete-data"]) == 0

    assert json.loads(google.state()) == [{}, {}, {}, {}, {}]
    heard = capsys.readouterr()
    written = b"".join(path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file())
    assert "create a key of" in heard.out
    assert SECRET_PART not in heard.out + heard.err
    assert SECRET_PART.encode() not in written
