"""How a workspace uses a bucket: origins, stacks, registration; and what origins and prefixes may be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from labelloop.cli import run
from labelloop.cloud.plan import check_origins, check_prefix
from labelloop.cloud.use import Use, commands, enlist, origins_of, stacks_using
from labelloop.errors import ConfigError
from labelloop.workspace.config import Workspace, load
from labelloop.workspace.stack import Stack

TOML = """
active_stack = "team"
# the stores
[artifact_stores.owls]
flavor = "s3"
path = "s3://owls/mine"
[artifact_stores.newts]
flavor = "s3"
path = "s3://newts"
[stacks.team]
artifact_store = "owls"
[stacks.home]
[stacks.there]
annotator = "far"
artifact_store = "newts"
[annotators.far]
flavor = "label_studio"
url = "https://label.example.com:443/"
authentication_secret = "ls"
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "labelloop.toml").write_text(TOML)
    return load(tmp_path, {})


def test_a_managed_annotator_that_is_down_will_have_its_usual_port(workspace: Workspace) -> None:
    http, other = origins_of(Stack(workspace), workspace.config)

    assert http.startswith("http://localhost:")
    assert other == http.replace("localhost", "127.0.0.1")


def test_an_annotator_elsewhere_has_its_own_origin(workspace: Workspace) -> None:
    assert origins_of(Stack(workspace, "there"), workspace.config) == ("https://label.example.com",)


def test_the_stacks_that_use_a_bucket_are_found_whatever_the_prefix(workspace: Workspace) -> None:
    assert stacks_using(workspace.config, "s3", "s3://owls") == ["team"]
    assert stacks_using(workspace.config, "s3", "s3://owl") == []
    assert stacks_using(workspace.config, "gcp", "s3://owls") == []


def test_what_is_left_to_type_is_said(workspace: Workspace) -> None:
    stack = Stack(workspace, "home")

    assert commands(stack, workspace.config, Use("bats", "s3", {"path": "s3://bats"})) == [
        "labelloop artifact-store register bats --flavor=s3 --path=s3://bats",
        "labelloop stack update home -a bats",
    ]
    assert commands(stack, workspace.config, Use("newts", "s3", {"path": "s3://newts", "region": "eu"})) == [
        "labelloop artifact-store update newts --path=s3://newts --region=eu",
        "labelloop stack update home -a newts",
    ]
    assert commands(Stack(workspace), workspace.config, Use("owls", "s3", {"path": "s3://owls/mine"})) == []


def test_registering_twice_is_the_same_and_comments_stay(workspace: Workspace) -> None:
    options = {"path": "s3://bats", "authentication_secret": "aws"}
    use = Use("bats", "s3", options, "aws_label_studio")

    for _ in range(2):
        now = load(workspace.root, {})
        enlist(Stack(now), now, use)

    config = load(workspace.root, {}).config
    assert config.component("artifact-store", "bats").options == options
    assert config.stack().artifact_store == "bats"
    assert "# the stores" in (workspace.root / "labelloop.toml").read_text()
    assert config.component("annotator", "default").options == {"media_secret": "aws_label_studio"}
    assert commands(Stack(load(workspace.root, {})), config, use) == []


def test_a_store_of_another_flavor_is_not_overwritten(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="is of flavor 's3'"):
        enlist(Stack(workspace), workspace, Use("owls", "gcp", {"path": "gs://owls"}))


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("http://localhost:8093", "http://localhost:8093"),
        ("https://label.example.com:443/", "https://label.example.com"),
        ("http://[::1]:8093", "http://[::1]:8093"),
        ("HTTPS://Label.Example.com", "https://label.example.com"),
    ],
)
def test_origins_are_what_browsers_send(given: str, origin: str) -> None:
    assert check_origins([given, given]) == (origin,)


@pytest.mark.parametrize(
    "given", ["", "*", "localhost:8093", "ftp://a", "http://", "http://a/b", "http://a?b", "http://u@a", "http://a:x"]
)
def test_what_is_no_origin_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match="is not the origin of a web page"):
        check_origins([given])


@pytest.mark.parametrize(("given", "prefix"), [("", ""), ("/", ""), ("a", "a/"), ("/a/b/", "a/b/")])
def test_prefixes_end_with_a_slash(given: str, prefix: str) -> None:
    assert check_prefix(given) == prefix


@pytest.mark.parametrize("given", ["a*", "a b", "a//b", "ü", "a/?"])
def test_prefixes_that_policies_would_read_as_patterns_are_refused(given: str) -> None:
    with pytest.raises(ConfigError, match="prefix"):
        check_prefix(given)


@pytest.mark.parametrize(
    ("module", "extra", "options"),
    [
        ("boto3", "s3", ("aws",)),
        ("google.auth", "gcp", ("gcp", "--project", "p")),
        ("azure.storage.blob", "azure", ("azure", "--account", "acc")),
    ],
)
def test_a_missing_extra_is_told_with_the_command_that_installs_it(
    workspace: Workspace,
    module: str,
    extra: str,
    options: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("AZURE_STORAGE_KEY", "a2V5")

    code = run(["-C", str(workspace.root), "cloud", "setup", *options, "--bucket", "bats", "--dry-run"])

    assert code == 2
    assert f"labelloop integration install {extra}" in capsys.readouterr().err
