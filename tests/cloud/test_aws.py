"""cloud setup and teardown on servers that speak AWS's protocols: moto for everything, SeaweedFS for the bucket."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError

from labelloop.cloud import aws
from labelloop.cloud.aws import AwsRequest
from labelloop.cloud.aws_account import AWS
from labelloop.cloud.plan import Plan
from labelloop.errors import BackendError, ConfigError
from labelloop.protocols import SecretsManager
from labelloop.testing.secrets import MemorySecrets

from support import emulators
from support.emulators import Emulator
from support.killing import Killed, Moment

ORIGIN = "http://localhost:8093"
THEIR_RULE = {
    "ID": "theirs",
    "AllowedMethods": ["PUT"],
    "AllowedOrigins": ["https://theirs.example.com"],
    "AllowedHeaders": ["*"],
}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", emulators.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", emulators.SECRET_KEY)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")


@pytest.fixture
def bucket() -> str:
    return f"owls-{uuid4().hex[:12]}"


@pytest.fixture
def secrets() -> MemorySecrets:
    return MemorySecrets()


@pytest.fixture
def account(aws_server: Emulator, bucket: str, secrets: MemorySecrets) -> AWS:
    return account_of(aws_server, wanted(bucket), secrets)


def wanted(bucket: str, **changed: Any) -> AwsRequest:
    return replace(AwsRequest(bucket=bucket, region="eu-west-1", origins=(ORIGIN,)), **changed)


def account_of(server: Emulator, what: AwsRequest, secrets: SecretsManager, **options: Any) -> AWS:
    return AWS(what, secrets, endpoint=server.url, iam_endpoint=server.url, **options)


def set_up(account: AWS) -> Plan:
    plan = account.plan_setup()
    for change in plan.changes:
        account.act(change)
    return plan


def take_down(account: AWS, *, delete_data: bool = False) -> Plan:
    plan = account.plan_teardown(delete_data=delete_data)
    for change in plan.changes:
        account.act(change)
    return plan


def client(service: str, server: Emulator, key: str = emulators.ACCESS_KEY, secret: str = emulators.SECRET_KEY) -> Any:
    return boto3.client(
        service,
        endpoint_url=server.url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="eu-west-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


def state(server: Emulator) -> bytes:
    """Everything the emulator holds."""
    return httpx.get(f"{server.url}/moto-api/data.json", trust_env=False).content


def picture(server: Emulator, bucket: str, secrets: SecretsManager) -> Mapping[str, Any]:
    """What of a bucket can be compared between runs: everything but the ids of keys and times."""
    s3, iam = client("s3", server), client("iam", server)
    users = {}
    for suffix in ("", "-reader"):
        name = aws.user_name(bucket, suffix)
        tags = {tag["Key"] for tag in iam.list_user_tags(UserName=name)["Tags"]}
        keys = {key["AccessKeyId"] for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]}
        users[suffix] = {
            "keys": len(keys),
            "noted": {aws.note_of(key) for key in keys} == tags - {"labelloop"},
            "policy": iam.get_user_policy(UserName=name, PolicyName="labelloop")["PolicyDocument"],
            "kept": [secret for secret in secrets.names() if secrets.get(secret)["aws_access_key_id"] in keys],
        }
    return {
        "tags": s3.get_bucket_tagging(Bucket=bucket)["TagSet"],
        "cors": s3.get_bucket_cors(Bucket=bucket)["CORSRules"],
        "public": s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"],
        "users": json.loads(json.dumps(users, default=str).replace(bucket, "B")),
    }


def test_an_empty_account_gets_a_private_bucket_two_users_and_their_secrets(
    account: AWS, aws_server: Emulator, bucket: str, secrets: MemorySecrets
) -> None:
    set_up(account)

    seen = picture(aws_server, bucket, secrets)
    assert client("s3", aws_server).get_bucket_location(Bucket=bucket)["LocationConstraint"] == "eu-west-1"
    assert seen["tags"] == [{"Key": "labelloop", "Value": "managed"}]
    assert seen["cors"] == aws.cors([ORIGIN])["CORSRules"]
    assert all(seen["public"].values())
    assert {suffix: user["kept"] for suffix, user in seen["users"].items()} == {
        "": ["aws"],
        "-reader": ["aws_label_studio"],
    }
    assert sorted(secrets.get("aws")) == ["aws_access_key_id", "aws_secret_access_key"]


def test_setting_up_twice_changes_nothing(account: AWS, aws_server: Emulator) -> None:
    set_up(account)
    before = state(aws_server)

    plan = set_up(account)

    assert plan.changes == ()
    assert state(aws_server) == before


def test_a_plan_changes_nothing(account: AWS, aws_server: Emulator, secrets: MemorySecrets) -> None:
    before = state(aws_server)

    plan = account.plan_setup()

    assert len(plan.changes) == 9
    assert state(aws_server) == before
    assert secrets.names() == []


def test_another_machine_gets_keys_of_its_own(account: AWS, aws_server: Emulator, bucket: str) -> None:
    set_up(account)

    plan = set_up(account_of(aws_server, wanted(bucket), MemorySecrets()))

    assert [change.step for change in plan.changes] == ["key", "key"]
    assert account.plan_setup().changes == ()


class TestAnExistingBucket:
    @pytest.fixture
    def theirs(self, aws_server: Emulator, bucket: str) -> Any:
        s3 = client("s3", aws_server)
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [THEIR_RULE]})
        s3.put_object(Bucket=bucket, Key="precious", Body=b"1")
        return s3

    def test_keeps_its_rules_and_gets_ours_once(self, theirs: Any, account: AWS, bucket: str) -> None:
        set_up(account)
        set_up(account)

        rules = theirs.get_bucket_cors(Bucket=bucket)["CORSRules"]
        assert [rule["ID"] for rule in rules] == ["theirs", "labelloop"]

    def test_keeps_its_tags_and_its_openness(self, theirs: Any, account: AWS, bucket: str) -> None:
        set_up(account)

        with pytest.raises(ClientError, match="NoSuchTagSet"):
            theirs.get_bucket_tagging(Bucket=bucket)
        with pytest.raises(ClientError, match="NoSuchPublicAccessBlock"):
            theirs.get_public_access_block(Bucket=bucket)

    def test_survives_teardown_with_everything_in_it(self, theirs: Any, account: AWS, bucket: str) -> None:
        set_up(account)

        take_down(account, delete_data=True)

        assert theirs.get_object(Bucket=bucket, Key="precious")["Body"].read() == b"1"
        assert theirs.get_bucket_cors(Bucket=bucket)["CORSRules"] == [THEIR_RULE]

    def test_in_another_region_is_refused_with_the_region(
        self, theirs: Any, aws_server: Emulator, bucket: str, secrets: MemorySecrets
    ) -> None:
        elsewhere = account_of(aws_server, wanted(bucket, region="us-west-2"), secrets)

        with pytest.raises(ConfigError, match="is in eu-west-1, not in us-west-2") as refused:
            elsewhere.plan_setup()
        assert refused.value.hint == "--region eu-west-1"

    def test_is_found_in_its_region_when_none_is_said(
        self, theirs: Any, aws_server: Emulator, bucket: str, secrets: MemorySecrets
    ) -> None:
        account = account_of(aws_server, wanted(bucket, region=""), secrets)

        set_up(account)

        assert account.store_options()["region"] == "eu-west-1"


def test_teardown_leaves_no_user_rule_or_secret_and_keeps_the_data(
    account: AWS, aws_server: Emulator, bucket: str, secrets: MemorySecrets
) -> None:
    secrets.set("other", {"api_key": "1"})
    set_up(account)
    s3, iam = client("s3", aws_server), client("iam", aws_server)
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")

    take_down(account)

    assert not [user for user in iam.list_users()["Users"] if bucket in user["UserName"]]
    assert secrets.names() == ["other"]
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"1"
    assert take_down(account).changes == ()


def test_teardown_with_the_data_leaves_nothing(
    account: AWS, aws_server: Emulator, bucket: str, secrets: MemorySecrets
) -> None:
    set_up(account)
    s3 = client("s3", aws_server)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        s3.put_object(Bucket=bucket, Key="a", Body=body)
    s3.delete_object(Bucket=bucket, Key="a")

    take_down(account, delete_data=True)

    assert bucket not in [one["Name"] for one in s3.list_buckets()["Buckets"]]
    assert take_down(account, delete_data=True).changes == ()
    assert len(account.plan_setup().changes) == 9


def test_a_kill_after_any_change_is_repaired_by_running_again(
    aws_server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = MemorySecrets()
    set_up(account_of(aws_server, wanted("whole"), reference))
    whole = picture(aws_server, "whole", reference)

    for moment in range(1, 100):
        bucket, secrets = f"killed-after-{moment}", MemorySecrets()
        with killed_after(moment, secrets, monkeypatch) as survived:
            set_up(account_of(aws_server, wanted(bucket), secrets))
        set_up(account_of(aws_server, wanted(bucket), secrets))
        assert picture(aws_server, bucket, secrets) == whole, f"killed after change {moment}"
        if survived():
            break

    assert moment > 10


def test_a_kill_during_teardown_is_repaired_by_running_again(
    aws_server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for moment in range(1, 100):
        bucket, secrets = f"torn-after-{moment}", MemorySecrets()
        account = account_of(aws_server, wanted(bucket), secrets)
        set_up(account)
        with killed_after(moment, secrets, monkeypatch) as survived:
            take_down(account, delete_data=True)
        take_down(account, delete_data=True)
        assert bucket.encode() not in state(aws_server), f"killed after change {moment}"
        assert secrets.names() == []
        if survived():
            break

    assert moment > 10


@contextmanager
def killed_after(moment: int, secrets: MemorySecrets, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], bool]]:
    """Raise what nothing catches after the given number of changes, as a kill between two requests would."""
    when = Moment(moment)
    real = BaseClient._make_api_call

    def as_aws_does(self: Any, operation: str, arguments: Any) -> Any:
        """AWS makes a bucket with its tags in one step; moto drops the tags."""
        answer = real(self, operation, arguments)
        if operation == "CreateBucket":
            tags = {"TagSet": arguments["CreateBucketConfiguration"]["Tags"]}
            real(self, "PutBucketTagging", {"Bucket": arguments["Bucket"], "Tagging": tags})
        return answer

    changing = when.counting(as_aws_does)

    def call(self: Any, operation: str, arguments: Any) -> Any:
        looks = operation.startswith(("Get", "List", "Head"))
        return (real if looks else changing)(self, operation, arguments)

    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", call)
        patch.setattr(secrets, "set", when.counting(secrets.set))
        patch.setattr(secrets, "delete", when.counting(secrets.delete))
        try:
            yield lambda: when.is_survived
        except Killed:
            return


class TestWhatTheCredentialsMayDo:
    """With moto's enforcement of policies switched on."""

    @pytest.fixture
    def enforced(self, aws_server: Emulator) -> Iterator[Callable[[], None]]:
        def switch(after: str) -> None:
            httpx.post(f"{aws_server.url}/moto-api/reset-auth", content=after, trust_env=False).raise_for_status()

        yield lambda: switch("0")
        switch("inf")

    def test_labelloop_writes_under_its_prefix_and_nowhere_else(
        self, aws_server: Emulator, bucket: str, secrets: MemorySecrets, enforced: Callable[[], None]
    ) -> None:
        client("s3", aws_server).create_bucket(
            Bucket=f"{bucket}-other", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        set_up(account_of(aws_server, wanted(bucket, prefix="mine/"), secrets))
        enforced()
        ours = as_secret(aws_server, secrets, "aws")

        ours.put_object(Bucket=bucket, Key="mine/a", Body=b"1")
        assert ours.get_object(Bucket=bucket, Key="mine/a")["Body"].read() == b"1"
        ours.delete_object(Bucket=bucket, Key="mine/a")
        for where, key in ((bucket, "theirs/a"), (f"{bucket}-other", "mine/a")):
            with pytest.raises(ClientError, match="AccessDenied"):
                ours.put_object(Bucket=where, Key=key, Body=b"1")
        with pytest.raises(ClientError, match="AccessDenied"):
            ours.delete_bucket(Bucket=bucket)

    def test_label_studio_reads_and_does_not_write(
        self, aws_server: Emulator, bucket: str, secrets: MemorySecrets, enforced: Callable[[], None]
    ) -> None:
        set_up(account_of(aws_server, wanted(bucket), secrets))
        enforced()
        as_secret(aws_server, secrets, "aws").put_object(Bucket=bucket, Key="a", Body=b"1")
        theirs = as_secret(aws_server, secrets, "aws_label_studio")

        assert theirs.get_object(Bucket=bucket, Key="a")["Body"].read() == b"1"
        assert theirs.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
        with pytest.raises(ClientError, match="AccessDenied"):
            theirs.put_object(Bucket=bucket, Key="b", Body=b"1")

    def test_a_missing_permission_is_named(
        self, account: AWS, aws_server: Emulator, enforced: Callable[[], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        iam = client("iam", aws_server)
        name = f"clerk-{uuid4().hex[:8]}"
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        allowed = {"Effect": "Allow", "Action": ["s3:*", "sts:*", "iam:Get*", "iam:List*"], "Resource": "*"}
        iam.put_user_policy(
            UserName=name,
            PolicyName="clerk",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
        )
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        enforced()

        with pytest.raises(ConfigError, match="refuses iam:CreateUser") as refused:
            set_up(account)
        assert "ask for iam:CreateUser" in refused.value.hint

    def test_wrong_credentials_are_refused_with_the_command_that_sets_them(
        self, account: AWS, enforced: Callable[[], None]
    ) -> None:
        enforced()

        with pytest.raises(ConfigError, match="refuses the credentials of this shell") as refused:
            account.plan_setup()
        assert "aws configure" in refused.value.hint


def as_secret(server: Emulator, secrets: SecretsManager, name: str) -> Any:
    values = secrets.get(name)
    return client("s3", server, values["aws_access_key_id"], values["aws_secret_access_key"])


class TestTemporaryCredentials:
    def test_they_are_kept_with_their_token_and_renewed_when_half_their_life_is_over(
        self, aws_server: Emulator, bucket: str, secrets: MemorySecrets
    ) -> None:
        what = wanted(bucket, session=True, lifetime=timedelta(hours=2))
        set_up(account_of(aws_server, what, secrets))
        first = secrets.get("aws_label_studio")
        assert sorted(first) == ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"]
        assert set_up(account_of(aws_server, what, secrets)).changes == ()

        def later() -> datetime:
            return datetime.now(UTC) + timedelta(minutes=90)

        plan = set_up(account_of(aws_server, what, secrets, now=later))

        assert [change.step for change in plan.changes] == ["session"]
        assert "UTC" in plan.changes[0].words

    def test_teardown_takes_their_secret(self, aws_server: Emulator, bucket: str, secrets: MemorySecrets) -> None:
        account = account_of(aws_server, wanted(bucket, session=True), secrets)
        set_up(account)

        take_down(account)

        assert secrets.names() == []


class TestOnSeaweedFS:
    """A real S3 server without IAM; it knows no blocks of public access."""

    @pytest.fixture
    def account(self, s3_server: Emulator, bucket: str, secrets: MemorySecrets) -> AWS:
        return AWS(wanted(bucket, identities=False), secrets, endpoint=s3_server.url)

    def test_a_bucket_and_a_rule_are_made_once(self, account: AWS, s3_server: Emulator, bucket: str) -> None:
        assert [change.step for change in set_up(account).changes] == ["bucket", "cors"]

        assert set_up(account).changes == ()
        rules = client("s3", s3_server).get_bucket_cors(Bucket=bucket)["CORSRules"]
        assert rules == aws.cors([ORIGIN])["CORSRules"]

    def test_the_rule_lets_the_page_in(self, account: AWS, s3_server: Emulator, bucket: str) -> None:
        set_up(account)
        s3 = client("s3", s3_server)
        s3.put_object(Bucket=bucket, Key="a.png", Body=b"1")
        link = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a.png"})

        let_in = httpx.get(link, headers={"Origin": ORIGIN}, trust_env=False).headers
        kept_out = httpx.get(link, headers={"Origin": "http://evil.example.com"}, trust_env=False).headers

        assert let_in["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-origin" not in kept_out

    def test_all_of_it_goes(self, account: AWS, s3_server: Emulator, bucket: str) -> None:
        set_up(account)
        s3 = client("s3", s3_server)
        s3.upload_fileobj(io.BytesIO(b"1"), bucket, "mine/a")

        take_down(account, delete_data=True)

        assert bucket not in [one["Name"] for one in s3.list_buckets()["Buckets"]]

    def test_somebody_who_may_only_read_is_told_which_permission_is_missing(
        self, account: AWS, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", emulators.READER_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", emulators.READER_SECRET)

        with pytest.raises(ConfigError, match=r"s3:|belongs to another account"):
            set_up(account)


class TestWhenItCannotWork:
    def test_a_network_that_is_down_is_said_and_does_not_take_for_ever(
        self, bucket: str, secrets: MemorySecrets
    ) -> None:
        nowhere = Emulator(f"http://127.0.0.1:{emulators.free_port()}", 0)

        with pytest.raises(BackendError, match="does not answer") as failed:
            account_of(nowhere, wanted(bucket), secrets).plan_setup()
        assert failed.value.retryable

    def test_no_credentials_are_said_with_the_command_that_sets_them(
        self, account: AWS, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

        with pytest.raises(ConfigError, match="no credentials to set up AWS with") as refused:
            account.plan_setup()
        assert "aws configure" in refused.value.hint

    @pytest.mark.parametrize(("operation", "code"), [("HeadBucket", "403"), ("CreateBucket", "BucketAlreadyExists")])
    def test_a_bucket_of_somebody_else_is_refused(
        self, account: AWS, monkeypatch: pytest.MonkeyPatch, operation: str, code: str
    ) -> None:
        """moto looks at no owner, so that its answer is replaced by AWS's documented one."""
        real = BaseClient._make_api_call

        def call(self: Any, asked: str, arguments: Any) -> Any:
            if asked == operation and (asked != "HeadBucket" or arguments["ExpectedBucketOwner"] == "123456789012"):
                raise ClientError({"Error": {"Code": code}}, operation)
            return real(self, asked, arguments)

        monkeypatch.setattr(BaseClient, "_make_api_call", call)

        with pytest.raises(ConfigError, match="belongs to another account"):
            set_up(account)

    def test_a_secrets_manager_that_refuses_leaves_no_key_behind(self, aws_server: Emulator, bucket: str) -> None:
        class ReadOnly(MemorySecrets):
            def set(self, name: str, values: Mapping[str, str]) -> None:
                raise ConfigError("the environment is read only", "use another secrets manager")

        with pytest.raises(ConfigError, match="read only"):
            set_up(account_of(aws_server, wanted(bucket), ReadOnly()))

        iam = client("iam", aws_server)
        assert iam.list_access_keys(UserName=aws.user_name(bucket))["AccessKeyMetadata"] == []

    def test_more_that_somebody_attached_to_our_user_is_left_to_her(
        self, account: AWS, aws_server: Emulator, bucket: str
    ) -> None:
        set_up(account)
        client("iam", aws_server).put_user_policy(
            UserName=aws.user_name(bucket), PolicyName="hers", PolicyDocument=json.dumps(aws.policy("hers"))
        )

        with pytest.raises(ConfigError, match="somebody attached more"):
            take_down(account)
