"""cloud setup and teardown for Azure: the blob service on Azurite, its management on a double of the reference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from azure.storage.blob import BlobServiceClient, CorsRule

from labelloop.cli import run
from labelloop.cloud import azure
from labelloop.cloud.azure import KEPT_AS, USED, AzureRequest, AzureResources
from labelloop.cloud.azure_account import Azure
from labelloop.cloud.plan import Kept, Plan
from labelloop.errors import BackendError, ConfigError
from labelloop.protocols import SecretsManager
from labelloop.testing.secrets import MemorySecrets

from support import emulators
from support.azure_management import HEADER, AzureDouble
from support.emulators import AZURE_ACCOUNT, AZURE_KEY, Emulator
from support.http_double import Double, Response, serving
from support.killing import Killed, Moment

ORIGIN = "http://localhost:8093"
WANTED = AzureRequest(bucket="owls", account="owlaccount", group="loops", region="westeurope", origins=(ORIGIN,))
MARKS = {"labelloop": "managed", USED: "shown", KEPT_AS: "azure"}
READY = AzureResources(
    group="ours",
    account="ours",
    container="ours",
    metadata=MARKS,
    rules=tuple(azure.cors([ORIGIN])["corsRules"]),
    secret=Kept(True, "owlaccount"),
    is_current=True,
)
THEIR_RULE = {
    "allowedOrigins": ["https://theirs.example.com"],
    "allowedMethods": ["PUT"],
    "allowedHeaders": [],
    "exposedHeaders": [],
    "maxAgeInSeconds": 5,
}


def steps(plan: Plan) -> list[str]:
    return [change.step for change in plan.changes]


def changed(**parts: Any) -> AzureResources:
    return replace(READY, **parts)


class TestThePlan:
    def test_an_empty_subscription_gets_everything_in_an_order_that_works(self) -> None:
        found = AzureResources(group="missing", account="missing")

        assert steps(azure.decide_setup(WANTED, found)) == ["group", "account", "container", "cors", "secret"]

    def test_what_is_ready_is_left_alone(self) -> None:
        assert steps(azure.decide_setup(WANTED, READY)) == []

    @pytest.mark.parametrize(
        ("missing", "expected"),
        [
            ({"account": "missing", "container": "missing", "rules": ()}, ["account", "container", "cors"]),
            ({"rules": ()}, ["cors"]),
            ({"secret": Kept(), "is_current": False}, ["secret"]),
            ({"is_current": False}, ["secret"]),
            ({"metadata": {"labelloop": "managed"}}, ["note"]),
            ({"container": "foreign", "metadata": {}, "secret": Kept(), "is_current": False}, ["note", "secret"]),
        ],
    )
    def test_only_what_is_missing_is_made(self, missing: dict[str, Any], expected: list[str]) -> None:
        assert steps(azure.decide_setup(WANTED, changed(**missing))) == expected

    def test_a_secret_that_somebody_made_by_hand_is_not_noted_as_ours(self) -> None:
        [change] = azure.decide_setup(WANTED, changed(metadata={})).changes

        assert change.arguments["metadata"] == {USED: "shown"}

    def test_somebody_elses_rules_are_kept_and_ours_is_added_once(self) -> None:
        [change] = azure.decide_setup(WANTED, changed(rules=(THEIR_RULE,))).changes

        assert change.arguments["rules"] == [THEIR_RULE, *azure.cors([ORIGIN])["corsRules"]]

    def test_a_sixth_rule_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="5 CORS rules"):
            azure.decide_setup(WANTED, changed(rules=(THEIR_RULE,) * 5))

    def test_a_secret_of_another_account_is_not_replaced(self) -> None:
        with pytest.raises(ConfigError, match="is not replaced"):
            azure.decide_setup(WANTED, changed(secret=Kept(True, "other")))

    def test_what_is_to_be_made_needs_a_region(self) -> None:
        with pytest.raises(ConfigError, match="no region was said") as refused:
            azure.decide_setup(replace(WANTED, region=""), AzureResources(group="missing", account="missing"))
        assert "--region" in refused.value.hint

    def test_teardown_takes_what_is_ours_and_leaves_the_data(self) -> None:
        plan = azure.decide_teardown(WANTED, READY, delete_data=False)

        assert steps(plan) == ["delete-secret", "cors", "note"]
        assert plan.changes[2].arguments["metadata"] == {"labelloop": "managed"}

    def test_teardown_with_the_data_takes_all_we_made(self) -> None:
        plan = azure.decide_teardown(WANTED, READY, delete_data=True)

        assert steps(plan) == ["delete-secret", "cors", "delete-container", "delete-account", "delete-group"]

    @pytest.mark.parametrize(
        ("part", "stays"),
        [
            ({"container": "foreign"}, {"delete-container", "delete-account", "delete-group"}),
            ({"account": "foreign"}, {"delete-account", "delete-group"}),
            ({"group": "foreign"}, {"delete-group"}),
            ({"siblings": {"hers": False}}, {"delete-account", "delete-group"}),
            ({"siblings": {"ours-too": True}}, {"cors", "delete-account", "delete-group"}),
            ({"neighbours": ("her-database",)}, {"delete-group"}),
        ],
    )
    def test_what_others_made_or_use_stays(self, part: dict[str, Any], stays: set[str]) -> None:
        assert not stays & set(steps(azure.decide_teardown(WANTED, changed(**part), delete_data=True)))

    def test_a_secret_that_labelloop_did_not_make_stays(self) -> None:
        found = changed(metadata={"labelloop": "managed", USED: "shown"})

        assert "delete-secret" not in steps(azure.decide_teardown(WANTED, found, delete_data=True))


@pytest.mark.parametrize("name", ["ow", "Owls", "o--w", "-owls", "owls-", "ow_ls", "$web", "a" * 64])
def test_a_bad_name_of_a_container_is_refused_with_the_rules(name: str) -> None:
    with pytest.raises(ConfigError, match="not a name for a container") as refused:
        azure.check_bucket(name)
    assert "3 to 63" in refused.value.hint


@pytest.mark.parametrize("name", ["", "ow", "Owls", "ow-ls", "a" * 25])
def test_a_bad_name_of_an_account_is_refused_with_the_rules(name: str) -> None:
    with pytest.raises(ConfigError, match="storage account") as refused:
        azure.check_account(name)
    assert "3 to 24" in refused.value.hint


def test_a_bad_name_of_a_group_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a name for a resource group"):
        azure.check_group("loops/1")


@pytest.fixture
def secrets() -> MemorySecrets:
    return MemorySecrets()


@pytest.fixture
def blobs(azure_server: Emulator) -> Iterator[BlobServiceClient]:
    """The emulator's only account, empty before and after."""
    client = BlobServiceClient(azure_server.url, credential=AZURE_KEY)
    wipe(client)
    yield client
    wipe(client)


def wipe(client: BlobServiceClient) -> None:
    for one in client.list_containers():
        client.delete_container(one.name)
    client.set_service_properties(cors=[])


@pytest.fixture
def bucket() -> str:
    return f"owls-{uuid4().hex[:12]}"


def set_up(account: Azure) -> Plan:
    plan = account.plan_setup()
    for change in plan.changes:
        account.act(change)
    return plan


def take_down(account: Azure, *, delete_data: bool = False) -> Plan:
    plan = account.plan_teardown(delete_data=delete_data)
    for change in plan.changes:
        account.act(change)
    return plan


def state(blobs: BlobServiceClient) -> Any:
    """What the blob service holds that we could have touched."""
    return (
        [(one.name, one.metadata, one.etag) for one in blobs.list_containers(include_metadata=True)],
        [vars(rule) for rule in blobs.get_service_properties()["cors"]],
    )


class TestTheBlobServiceOnAzurite:
    """An account that is there, with its key in the environment."""

    @pytest.fixture(autouse=True)
    def _key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AZURE_STORAGE_KEY", AZURE_KEY)

    @pytest.fixture
    def account(self, blobs: BlobServiceClient, azure_server: Emulator, bucket: str, secrets: MemorySecrets) -> Azure:
        return by_key(azure_server, bucket, secrets)

    def test_a_private_container_a_rule_and_a_secret_are_made(
        self, account: Azure, blobs: BlobServiceClient, bucket: str, secrets: MemorySecrets
    ) -> None:
        assert steps(set_up(account)) == ["container", "cors", "secret"]

        made = blobs.get_container_client(bucket).get_container_properties()
        assert made.public_access is None
        assert made.metadata == MARKS
        [rule] = blobs.get_service_properties()["cors"]
        assert rule.allowed_origins == ORIGIN
        assert secrets.get("azure") == {"account_name": AZURE_ACCOUNT, "account_key": AZURE_KEY}

    def test_setting_up_twice_changes_nothing(self, account: Azure, blobs: BlobServiceClient) -> None:
        set_up(account)
        before = state(blobs)

        assert set_up(account).changes == ()
        assert state(blobs) == before

    def test_a_plan_changes_nothing(self, account: Azure, blobs: BlobServiceClient, secrets: MemorySecrets) -> None:
        before = state(blobs)

        account.plan_setup()

        assert state(blobs) == before
        assert secrets.names() == []

    def test_the_secret_is_key_enough(
        self,
        account: Azure,
        azure_server: Emulator,
        bucket: str,
        secrets: MemorySecrets,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        set_up(account)
        monkeypatch.delenv("AZURE_STORAGE_KEY")

        assert by_key(azure_server, bucket, secrets).plan_setup().changes == ()

    def test_an_existing_container_and_their_rules_survive_teardown(
        self, account: Azure, blobs: BlobServiceClient, bucket: str, secrets: MemorySecrets
    ) -> None:
        theirs = blobs.create_container(bucket, metadata={"owner": "her"})
        theirs.upload_blob("precious", b"1")
        blobs.set_service_properties(cors=[CorsRule(["https://theirs.example.com"], ["PUT"], max_age_in_seconds=5)])

        set_up(account)
        assert len(blobs.get_service_properties()["cors"]) == 2
        take_down(account, delete_data=True)

        assert theirs.download_blob("precious").readall() == b"1"
        assert theirs.get_container_properties().metadata == {"owner": "her"}
        assert [rule.allowed_origins for rule in blobs.get_service_properties()["cors"]] == [
            "https://theirs.example.com"
        ]
        assert secrets.names() == []

    def test_the_rule_stays_while_another_container_needs_it(
        self, account: Azure, azure_server: Emulator, blobs: BlobServiceClient, bucket: str, secrets: MemorySecrets
    ) -> None:
        set_up(account)
        other = by_key(azure_server, f"{bucket}-2", MemorySecrets())
        set_up(other)

        plan = take_down(account, delete_data=True)

        assert f"our CORS rule stays for {bucket}-2" in plan.notes
        assert len(blobs.get_service_properties()["cors"]) == 1
        take_down(other, delete_data=True)
        assert state(blobs) == ([], [])

    @pytest.mark.parametrize("verb", ["setup", "teardown"])
    def test_a_kill_after_any_change_is_repaired_by_running_again(
        self, blobs: BlobServiceClient, azure_server: Emulator, verb: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for moment in range(1, 20):
            when, secrets, bucket = Moment(moment), MemorySecrets(), f"owls-{moment}"
            if verb == "teardown":
                set_up(by_key(azure_server, bucket, secrets))
            with monkeypatch.context() as patch, suppress(Killed):
                patch.setattr(Azure, "act", when.counting(Azure.act))
                carry_out(by_key(azure_server, bucket, secrets), verb)
            again = by_key(azure_server, bucket, secrets)
            carry_out(again, verb)

            if verb == "setup":
                assert again.plan_setup().changes == ()
                assert secrets.names() == ["azure"]
                take_down(again, delete_data=True)
            assert state(blobs) == ([], []), f"killed after change {moment}"
            assert secrets.names() == []
            if when.is_survived:
                break

        assert moment > 3

    def test_a_wrong_key_is_refused(
        self, azure_server: Emulator, bucket: str, secrets: MemorySecrets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AZURE_STORAGE_KEY", f"AAAA{AZURE_KEY[4:]}")

        with pytest.raises(ConfigError, match="refuses the key") as refused:
            by_key(azure_server, bucket, secrets).plan_setup()
        assert AZURE_KEY[4:] not in refused.value.message + refused.value.hint

    def test_a_key_that_is_not_base64_is_refused(
        self, azure_server: Emulator, bucket: str, secrets: MemorySecrets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AZURE_STORAGE_KEY", "not a key")

        with pytest.raises(ConfigError, match="is not base64"):
            by_key(azure_server, bucket, secrets).plan_setup()

    def test_no_key_is_said_with_the_two_ways_to_give_one(
        self, azure_server: Emulator, bucket: str, secrets: MemorySecrets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AZURE_STORAGE_KEY")

        with pytest.raises(ConfigError, match="no key of the storage account") as refused:
            by_key(azure_server, bucket, secrets).plan_setup()
        assert "--resource-group" in refused.value.hint
        assert "AZURE_STORAGE_KEY" in refused.value.hint

    def test_a_network_that_is_down_is_said(self, bucket: str, secrets: MemorySecrets) -> None:
        nowhere = Emulator(f"http://127.0.0.1:{emulators.free_port()}/{AZURE_ACCOUNT}", 0)

        with pytest.raises(BackendError, match="does not answer") as failed:
            by_key(nowhere, bucket, secrets).plan_setup()
        assert failed.value.retryable

    def test_as_typed(
        self,
        blobs: BlobServiceClient,
        azure_server: Emulator,
        bucket: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("LABELLOOP_SECRETS_KEY", "w0mKYOYp0Ffrz6KA2wHT3lsfHVXAHuUZCcxbEBgrbL0=")
        root = ["-C", str(tmp_path / "farm")]
        there = ["--bucket", bucket, "--endpoint", azure_server.url]
        assert run([*root, "init", "--labels", "cat,dog"]) == 0

        assert run([*root, "cloud", "setup", "azure", *there, "--account", AZURE_ACCOUNT, "--dry-run"]) == 0
        assert state(blobs) == ([], [])
        assert run([*root, "cloud", "setup", "azure", *there, "--account", AZURE_ACCOUNT, "--register"]) == 0
        assert run([*root, "cloud", "teardown", "azure", *there, "--yes"]) == 2
        assert run([*root, "cloud", "teardown", "azure", *there, "--yes", "--force", "--delete-data"]) == 0

        assert state(blobs) == ([], [])
        heard = capsys.readouterr()
        written = b"".join(path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file())
        assert f"create the private container az://{bucket}" in heard.out
        assert AZURE_KEY not in heard.out + heard.err
        assert AZURE_KEY.encode() not in written


def by_key(server: Emulator, bucket: str, secrets: SecretsManager) -> Azure:
    wanted = AzureRequest(bucket=bucket, account=AZURE_ACCOUNT, origins=(ORIGIN,))
    return Azure(wanted, secrets, endpoint=server.url)


def carry_out(account: Azure, verb: str) -> None:
    if verb == "setup":
        set_up(account)
    else:
        take_down(account, delete_data=True)


class TestManagementOnADoubleOfTheReference:
    """The double knows groups, accounts and keys; the containers are Azurite's."""

    @pytest.fixture
    def cloud(self) -> AzureDouble:
        return AzureDouble((AZURE_KEY, "c2Vjb25k"))

    @pytest.fixture
    def double(self, cloud: AzureDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
        running = serving(cloud)
        sign_in(monkeypatch, running.url)
        yield running
        running.stop()

    @pytest.fixture
    def account(
        self, double: Double, blobs: BlobServiceClient, azure_server: Emulator, bucket: str, secrets: MemorySecrets
    ) -> Azure:
        return managed(double, azure_server, wanted(bucket), secrets)

    def test_group_account_container_rule_and_secret_are_made(
        self, account: Azure, cloud: AzureDouble, secrets: MemorySecrets
    ) -> None:
        cloud.lag = 2

        assert steps(set_up(account)) == ["group", "account", "container", "cors", "secret"]

        assert cloud.groups["loops"]["tags"] == {"labelloop": "managed"}
        assert cloud.accounts[AZURE_ACCOUNT]["properties"]["minimumTlsVersion"] == "TLS1_2"
        assert secrets.get("azure") == {"account_name": AZURE_ACCOUNT, "account_key": AZURE_KEY}

    def test_setting_up_twice_changes_nothing(
        self, double: Double, azure_server: Emulator, bucket: str, account: Azure, secrets: MemorySecrets
    ) -> None:
        set_up(account)

        assert managed(double, azure_server, wanted(bucket), secrets).plan_setup().changes == ()

    def test_a_plan_changes_nothing(self, account: Azure, cloud: AzureDouble, double: Double) -> None:
        before = cloud.state()

        account.plan_setup()

        assert cloud.state() == before
        assert {one.method for one in double.seen} == {"GET"}

    def test_a_key_that_was_rotated_is_kept_anew(self, account: Azure, secrets: MemorySecrets) -> None:
        set_up(account)
        secrets.set("azure", {"account_name": AZURE_ACCOUNT, "account_key": "b2xk"})

        assert steps(set_up(account)) == ["secret"]

    def test_teardown_with_the_data_takes_account_and_group_too(
        self,
        account: Azure,
        cloud: AzureDouble,
        double: Double,
        azure_server: Emulator,
        bucket: str,
        secrets: MemorySecrets,
    ) -> None:
        set_up(account)

        take_down(account, delete_data=True)

        assert cloud.state() == "[{}, {}]"
        assert secrets.names() == []
        again = managed(double, azure_server, wanted(bucket), secrets)
        assert take_down(again, delete_data=True).changes == ()

    def test_a_group_with_something_else_in_it_stays(self, account: Azure, cloud: AzureDouble) -> None:
        cloud.others["loops"] = ["her-database"]
        set_up(account)

        take_down(account, delete_data=True)

        assert list(cloud.groups) == ["loops"]
        assert cloud.accounts == {}

    def test_an_account_that_was_there_stays(self, account: Azure, cloud: AzureDouble) -> None:
        cloud.groups["loops"] = {"location": "westeurope"}
        cloud.accounts[AZURE_ACCOUNT] = {"location": "West Europe", "properties": {}}

        assert steps(set_up(account)) == ["container", "cors", "secret"]
        take_down(account, delete_data=True)

        assert list(cloud.accounts) == [AZURE_ACCOUNT]

    def test_an_account_in_another_region_is_refused(self, account: Azure, cloud: AzureDouble) -> None:
        cloud.groups["loops"] = {"location": "eastus"}
        cloud.accounts[AZURE_ACCOUNT] = {"location": "eastus", "properties": {}}

        with pytest.raises(ConfigError, match="is in eastus, not in westeurope") as refused:
            account.plan_setup()
        assert refused.value.hint == "--region eastus"

    def test_an_account_of_somebody_else_is_refused(self, account: Azure, cloud: AzureDouble) -> None:
        cloud.taken.add(AZURE_ACCOUNT)

        with pytest.raises(ConfigError, match="belongs to somebody else"):
            set_up(account)

    @pytest.mark.parametrize(
        ("denied", "action"),
        [
            ("PUT group", "Microsoft.Resources/subscriptions/resourceGroups/write"),
            ("PUT account", "Microsoft.Storage/storageAccounts/write"),
            ("POST account", "Microsoft.Storage/storageAccounts/listkeys/action"),
        ],
    )
    def test_a_missing_permission_is_named(self, account: Azure, cloud: AzureDouble, denied: str, action: str) -> None:
        cloud.denied.add(denied)

        with pytest.raises(ConfigError, match=f"Azure refuses {action}"):
            set_up(account)

    @pytest.mark.parametrize("subscriptions", [(), ("a", "b")])
    def test_without_one_subscription_one_must_be_named(
        self, account: Azure, cloud: AzureDouble, subscriptions: tuple[str, ...]
    ) -> None:
        cloud.subscriptions = subscriptions

        with pytest.raises(ConfigError, match=f"{len(subscriptions)} subscriptions") as refused:
            account.plan_setup()
        assert refused.value.hint == "--subscription ID"

    def test_a_service_that_fails_is_said(
        self, azure_server: Emulator, bucket: str, secrets: MemorySecrets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = AzureDouble((AZURE_KEY, ""))
        double = serving(lambda request: token(request) if "msi" in request.path else Response(503, b"busy"))
        sign_in(monkeypatch, double.url)

        with pytest.raises(BackendError, match="Azure answered 503"):
            managed(double, azure_server, wanted(bucket), secrets).plan_setup()
        double.stop()

    def test_no_credentials_are_said_with_the_command_that_sets_them(
        self, account: Azure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
        monkeypatch.setenv("PATH", str(tmp_path))

        with pytest.raises(ConfigError, match="no credentials to set up Azure with") as refused:
            account.plan_setup()
        assert "az login" in refused.value.hint


def sign_in(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """By a managed identity, whose tokens the double gives."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", HEADER)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
    monkeypatch.delenv("AZURE_STORAGE_KEY", raising=False)
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID", raising=False)


def wanted(bucket: str) -> AzureRequest:
    return replace(WANTED, bucket=bucket, account=AZURE_ACCOUNT)


def managed(double: Double, server: Emulator, what: AzureRequest, secrets: SecretsManager) -> Azure:
    return Azure(what, secrets, endpoint=server.url, management=double.url, pause=0.0)
