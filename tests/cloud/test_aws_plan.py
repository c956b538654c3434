"""What AWS is asked for: the documents, and which changes lead there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from labelloop.cloud import aws
from labelloop.cloud.aws import AwsRequest, AwsResources, User
from labelloop.cloud.plan import Kept, Plan
from labelloop.errors import ConfigError

NOW = datetime(2026, 2, 3, tzinfo=UTC)
LATER = "2026-02-03T12:00:00+00:00"
WANTED = AwsRequest(bucket="owls", origins=("http://localhost:8093",), region="eu-west-1")
READY = AwsResources(
    account="1",
    bucket="ours",
    public_blocked=True,
    rules=tuple(aws.cors(["http://localhost:8093"])["CORSRules"]),
    store=User(owner="ours", policy=aws.policy("owls"), keys=("AKIA1",), noted={"AKIA1": ""}),
    reader=User(owner="ours", policy=aws.policy("owls", write=False), keys=("AKIA2",), noted={"AKIA2": ""}),
    secret=Kept(True, "AKIA1"),
    reader_secret=Kept(True, "AKIA2"),
)


def steps(plan: Plan) -> list[str]:
    return [change.step for change in plan.changes]


def setup(found: AwsResources, wanted: AwsRequest = WANTED) -> list[str]:
    return steps(aws.decide_setup(wanted, found, NOW))


def changed(**parts: Any) -> AwsResources:
    return replace(READY, **parts)


def actions(policy: Any) -> set[str]:
    return {action for statement in policy["Statement"] for action in statement["Action"]}


def test_an_empty_account_gets_everything_in_an_order_that_works() -> None:
    assert setup(AwsResources(account="1")) == [
        "bucket",
        "block",
        "cors",
        "user",
        "policy",
        "key",
        "user",
        "policy",
        "key",
    ]


def test_what_is_ready_is_left_alone() -> None:
    assert setup(READY) == []


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ({"public_blocked": False}, ["block"]),
        ({"rules": ()}, ["cors"]),
        ({"secret": Kept()}, ["key"]),
        ({"store": replace(READY.store, policy=None)}, ["policy"]),
        ({"store": replace(READY.store, policy=aws.policy("owls", "mine/"))}, ["policy"]),
        ({"store": replace(READY.store, noted={})}, ["note"]),
        ({"store": replace(READY.store, keys=("AKIA1", "AKIA9"))}, ["delete-key"]),
        ({"store": User(), "secret": Kept()}, ["user", "policy", "key"]),
        ({"reader": replace(READY.reader, keys=("AKIA9",), noted={}), "reader_secret": Kept()}, ["delete-key", "key"]),
    ],
)
def test_only_what_is_missing_is_made(missing: dict[str, Any], expected: list[str]) -> None:
    assert setup(changed(**missing)) == expected


def test_a_key_that_another_machine_keeps_is_not_deleted() -> None:
    elsewhere = replace(READY.store, keys=("AKIA7",), noted={"AKIA7": ""})

    assert setup(replace(READY, store=elsewhere, secret=Kept())) == ["key"]


def test_a_third_key_is_refused_with_the_command_that_makes_room() -> None:
    full = replace(READY.store, keys=("AKIA7", "AKIA8"), noted={"AKIA7": "", "AKIA8": ""})

    with pytest.raises(ConfigError, match="2 access keys") as refused:
        setup(replace(READY, store=full, secret=Kept()))
    assert "aws iam delete-access-key --user-name labelloop-owls --access-key-id AKIA7" in refused.value.hint


def test_settings_of_a_bucket_that_was_there_before_stay() -> None:
    plan = aws.decide_setup(WANTED, replace(READY, bucket="foreign", public_blocked=False), NOW)

    assert steps(plan) == []
    assert "was there before labelloop" in plan.notes[0]


def test_somebody_elses_cors_rules_are_kept_and_ours_is_added_once() -> None:
    foreign = {"AllowedMethods": ["PUT"], "AllowedOrigins": ["https://theirs.example.com"]}

    [change] = aws.decide_setup(WANTED, replace(READY, rules=(foreign,)), NOW).changes

    assert change.arguments["rules"] == [foreign, *aws.cors(WANTED.origins)["CORSRules"]]
    assert setup(replace(READY, rules=tuple(change.arguments["rules"]))) == []


def test_another_page_is_let_in_beside_the_first() -> None:
    wanted = replace(WANTED, origins=("https://label.example.com",))

    [change] = aws.decide_setup(wanted, READY, NOW).changes

    assert change.arguments["rules"][0]["AllowedOrigins"] == ["http://localhost:8093", "https://label.example.com"]
    assert "let https://label.example.com show" in change.words


@pytest.mark.parametrize("part", ["store", "reader"])
def test_a_user_that_labelloop_did_not_make_is_refused(part: str) -> None:
    with pytest.raises(ConfigError, match="does not bear labelloop's tag"):
        setup(changed(**{part: User(owner="foreign")}))


@pytest.mark.parametrize(("part", "option"), [("secret", "--secret"), ("reader_secret", "--label-studio-secret")])
def test_a_secret_that_holds_something_else_is_not_replaced(part: str, option: str) -> None:
    with pytest.raises(ConfigError, match="is not replaced") as refused:
        setup(changed(**{part: Kept(True, "AKIA-of-somebody")}))
    assert option in refused.value.hint


def test_labelloops_own_key_does_not_do_for_label_studio() -> None:
    with pytest.raises(ConfigError, match="is not replaced"):
        setup(replace(READY, reader_secret=Kept(True, "AKIA1")))


def test_a_server_without_iam_gets_a_bucket_and_a_rule_only() -> None:
    plan = aws.decide_setup(replace(WANTED, identities=False), AwsResources(public_blocked=None), NOW)

    assert steps(plan) == ["bucket", "cors"]
    assert "no IAM" in plan.notes[0]


class TestTemporaryCredentials:
    WANTED = replace(WANTED, session=True, lifetime=timedelta(hours=12))
    READY = replace(
        READY,
        store=User(
            owner="ours",
            policy=aws.policy("owls", federate="1"),
            keys=("AKIA1",),
            noted={"AKIA1": "", "ASIA1": LATER},
        ),
        reader=User(),
        reader_secret=Kept(True, "ASIA1"),
    )

    def test_they_are_kept_instead_of_a_second_user(self) -> None:
        assert setup(AwsResources(account="1"), self.WANTED) == [
            "bucket",
            "block",
            "cors",
            "user",
            "policy",
            "key",
            "session",
        ]

    def test_they_are_left_while_they_live_long_enough(self) -> None:
        assert setup(self.READY, self.WANTED) == []

    def test_they_are_renewed_in_the_second_half_of_their_life(self) -> None:
        plan = aws.decide_setup(self.WANTED, self.READY, NOW + timedelta(hours=7))

        assert steps(plan) == ["session"]
        assert "until 2026-02-03 19:00 UTC" in plan.changes[0].words

    def test_the_second_user_goes_when_they_come(self) -> None:
        found = replace(self.READY, reader=READY.reader, reader_secret=READY.reader_secret)

        assert setup(found, self.WANTED) == ["session", "delete-key", "delete-policy", "delete-user"]

    def test_they_go_when_the_second_user_comes(self) -> None:
        assert setup(self.READY) == ["policy", "user", "policy", "key"]


class TestTearingDown:
    def down(self, found: AwsResources, *, delete_data: bool = False) -> Plan:
        return aws.decide_teardown(WANTED, found, delete_data=delete_data)

    def test_everything_labelloop_made_goes_and_the_data_stay(self) -> None:
        plan = self.down(READY)

        assert steps(plan) == ["cors", *["delete-secret"] * 2, *["delete-key", "delete-policy", "delete-user"] * 2]
        assert "--delete-data" in plan.notes[0]

    def test_the_data_go_when_asked(self) -> None:
        assert steps(self.down(READY, delete_data=True))[-2:] == ["empty", "delete-bucket"]

    def test_a_bucket_that_was_there_before_never_goes(self) -> None:
        plan = self.down(replace(READY, bucket="foreign"), delete_data=True)

        assert not {"empty", "delete-bucket"} & set(steps(plan))
        assert "does not bear labelloop's tag" in plan.notes[0]

    def test_somebody_elses_rules_users_and_secrets_stay(self) -> None:
        foreign = {"AllowedMethods": ["PUT"], "AllowedOrigins": ["https://theirs.example.com"]}
        stranger = User(owner="foreign", keys=("AKIA5",))

        plan = self.down(
            AwsResources(
                bucket="foreign",
                rules=(foreign,),
                store=stranger,
                secret=Kept(True, "AKIA5"),
                reader_secret=Kept(True, "AKIA2"),
            )
        )

        assert steps(plan) == []

    def test_only_our_rule_goes(self) -> None:
        foreign = {"AllowedMethods": ["PUT"], "AllowedOrigins": ["https://theirs.example.com"]}

        change = self.down(replace(READY, rules=(foreign, *READY.rules))).changes[0]

        assert change.arguments["rules"] == [foreign]

    def test_temporary_credentials_go_too(self) -> None:
        assert steps(self.down(TestTemporaryCredentials.READY))[:3] == ["cors", "delete-secret", "delete-secret"]

    def test_nothing_is_left_to_do_the_second_time(self) -> None:
        assert self.down(AwsResources()).changes == ()


class TestThePolicy:
    def test_labelloop_may_write_and_label_studio_may_only_read(self) -> None:
        assert "s3:PutObject" in actions(aws.policy("owls"))
        assert actions(aws.policy("owls", write=False)) == {"s3:GetBucketLocation", "s3:ListBucket", "s3:GetObject"}

    def test_it_names_one_bucket_and_no_wildcard_of_actions(self) -> None:
        for statement in aws.policy("owls")["Statement"]:
            assert all(arn in {"arn:aws:s3:::owls", "arn:aws:s3:::owls/*"} for arn in statement["Resource"])
            assert all("*" not in action for action in statement["Action"])

    def test_a_prefix_limits_objects_and_listing(self) -> None:
        statements = {one["Sid"]: one for one in aws.policy("owls", "mine/")["Statement"]}

        assert statements["Objects"]["Resource"] == ["arn:aws:s3:::owls/mine/*"]
        assert statements["List"]["Condition"] == {"StringLike": {"s3:prefix": ["mine/", "mine/*"]}}

    def test_other_partitions_have_other_names(self) -> None:
        assert aws.policy("owls", partition="aws-cn")["Statement"][0]["Resource"] == ["arn:aws-cn:s3:::owls"]


@pytest.mark.parametrize("name", ["owls", "a-b.c", "0ab", "a" * 63])
def test_a_good_name_of_a_bucket(name: str) -> None:
    assert aws.check_bucket(name) == name


@pytest.mark.parametrize("name", ["ow", "Owls", "ow_ls", "-owls", "owls-", "o..wls", "10.0.0.1", "a" * 64, "xn--a", ""])
def test_a_bad_name_of_a_bucket_is_refused_with_the_rules(name: str) -> None:
    with pytest.raises(ConfigError, match="not a name for an S3 bucket") as refused:
        aws.check_bucket(name)
    assert "3 to 63" in refused.value.hint


def test_users_of_long_buckets_have_names_aws_takes_and_stay_apart() -> None:
    names = {aws.user_name("a" * 62 + last, suffix) for last in "bc" for suffix in ("", "-reader")}

    assert len(names) == 4
    assert all(len(name) <= 64 for name in names)
