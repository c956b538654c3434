"""cloud setup and cloud teardown as people type them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from labelloop.backends.local_secrets import LocalSecretsManager
from labelloop.cli import run
from labelloop.workspace.config import load

from support import emulators
from support.emulators import Emulator


@dataclass
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


@dataclass
class Shell:
    """Runs commands of a cloud in one workspace."""

    root: Path
    captured: pytest.CaptureFixture[str]
    server: Emulator
    bucket: str

    def __call__(self, *arguments: str) -> Said:
        """One command."""
        self.captured.readouterr()
        code = run(["-C", str(self.root), *arguments])
        heard = self.captured.readouterr()
        return Said(code, heard.out, heard.err)

    def cloud(self, verb: str, *arguments: str, before: tuple[str, ...] = ()) -> Said:
        """`cloud setup aws` or `cloud teardown aws` on the emulator."""
        return self(*before, *self.words(verb, *arguments))

    def words(self, verb: str, *arguments: str) -> list[str]:
        """The words of a command."""
        url = self.server.url
        there = ["--endpoint", url, "--iam-endpoint", url]
        return ["cloud", verb, "aws", "--bucket", self.bucket, *there, *arguments]

    def state(self) -> bytes:
        """Everything the emulator holds."""
        return httpx.get(f"{self.server.url}/moto-api/data.json", trust_env=False).content

    @property
    def secrets(self) -> LocalSecretsManager:
        """The workspace's secrets."""
        return LocalSecretsManager(home=self.root / ".labelloop")


@pytest.fixture
def shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], aws_server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> Shell:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", emulators.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", emulators.SECRET_KEY)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("LABELLOOP_SECRETS_KEY", "w0mKYOYp0Ffrz6KA2wHT3lsfHVXAHuUZCcxbEBgrbL0=")
    made = Shell(tmp_path / "farm", capsys, aws_server, f"owls-{uuid4().hex[:12]}")
    assert made("init", "--labels", "cat,dog").code == 0
    return made


def test_set_up_prints_each_change_and_what_is_left_to_type(shell: Shell) -> None:
    said = shell.cloud("setup")

    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == f"create the private bucket s3://{shell.bucket} in eu-west-1"
    assert "keep it as secret 'aws'" in said.out
    assert f"  labelloop artifact-store register {shell.bucket} --flavor=s3 --path=s3://{shell.bucket}" in said.out
    assert "--authentication_secret=aws" in said.out
    assert f"  labelloop stack update default -a {shell.bucket}" in said.out
    assert shell.secrets.names() == ["aws", "aws_label_studio"]


def test_the_second_time_there_is_nothing_to_change(shell: Shell) -> None:
    shell.cloud("setup")
    before = shell.state()

    said = shell.cloud("setup")

    assert said.out.startswith(f"s3://{shell.bucket}: nothing to change")
    assert shell.state() == before


def test_a_dry_run_prints_the_plan_and_changes_nothing(shell: Shell) -> None:
    before, files = shell.state(), sorted(shell.root.rglob("*"))

    said = shell.cloud("setup", "--dry-run", "--register")

    assert said.out.startswith(f"would create the private bucket s3://{shell.bucket}")
    assert shell.state() == before
    assert sorted(shell.root.rglob("*")) == files


def test_scripts_get_json(shell: Shell) -> None:
    told = json.loads(shell.cloud("setup", "--dry-run", before=("--json",)).out)

    assert told["bucket"] == f"s3://{shell.bucket}"
    assert told["dry_run"] is True
    assert [change["step"] for change in told["changes"]][:3] == ["bucket", "block", "cors"]
    assert len(told["next"]) == 3


def test_register_makes_the_bucket_the_active_stacks_store(shell: Shell) -> None:
    said = shell.cloud("setup", "--register", "--prefix", "mine")

    assert f"stack 'default' keeps its artifacts in s3://{shell.bucket}/mine" in said.out
    config = load(shell.root, {}).config
    assert config.stack().artifact_store == shell.bucket
    assert config.component("artifact-store", shell.bucket).options["path"] == f"s3://{shell.bucket}/mine"


def test_teardown_is_refused_while_a_stack_uses_the_bucket(shell: Shell) -> None:
    shell.cloud("setup", "--register", "--prefix", "mine")

    said = shell.cloud("teardown", "--yes")

    assert said.code == 2
    assert "is the artifact store of stack 'default'" in said.err
    gone = shell.cloud("teardown", "--yes", "--force")
    assert gone.code == 0
    assert "  labelloop annotator update default --remove-attribute media_secret" in gone.out
    assert shell("annotator", "update", "default", "--remove-attribute", "media_secret").code == 0
    assert shell.secrets.names() == []


def test_teardown_without_a_terminal_needs_a_yes(shell: Shell) -> None:
    shell.cloud("setup")
    before = shell.state()

    said = shell.cloud("teardown")

    assert said.code == 2
    assert "hint: add --yes" in said.err
    assert shell.state() == before


def test_a_dry_run_of_teardown_changes_nothing(shell: Shell) -> None:
    shell.cloud("setup")
    before = shell.state()

    said = shell.cloud("teardown", "--dry-run", "--delete-data")

    assert f"would delete the bucket s3://{shell.bucket}" in said.out
    assert shell.state() == before


def test_setup_and_teardown_may_be_repeated_for_ever(shell: Shell) -> None:
    for _ in range(2):
        assert shell.cloud("setup", "--yes").code == 0
        assert shell.cloud("teardown", "--yes", "--delete-data").code == 0

    said = shell.cloud("teardown", "--yes", "--delete-data")

    assert said.out.strip() == f"s3://{shell.bucket}: nothing to change"
    assert shell.bucket.encode() not in shell.state()


@pytest.mark.parametrize(("typed", "code"), [("wrong", 2), ("", 0)])
def test_on_a_terminal_teardown_asks_for_the_name_of_the_bucket(shell: Shell, typed: str, code: int) -> None:
    shell.cloud("setup")

    ended, shown = typing(shell, ["-C", str(shell.root), *shell.words("teardown")], typed or shell.bucket)

    assert ended == code, shown
    assert f"Type {shell.bucket} to go on" in shown
    assert (shell.secrets.names() == []) is (code == 0)


@pytest.mark.parametrize(("typed", "made"), [("n", False), ("y", True)])
def test_on_a_terminal_setup_shows_the_plan_and_asks(shell: Shell, typed: str, made: bool) -> None:
    _, shown = typing(shell, ["-C", str(shell.root), *shell.words("setup")], typed)

    assert "Make 9 changes?" in shown
    assert (shell.secrets.names() != []) is made


def typing(shell: Shell, arguments: list[str], line: str) -> tuple[int, str]:
    """A command in a process of its own, at a terminal where somebody types one line."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from labelloop.cli import main; main()", *arguments],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.write(master, f"{line}\n".encode())
    shown, _ = process.communicate(timeout=120)
    for end in (master, slave):
        os.close(end)
    return process.returncode, shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prefix", "a*"], "prefix 'a*'"),
        (["--origin", "*"], "'*' is not the origin"),
        (["--session-hours", "40"], "40"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(shell: Shell, arguments: list[str], message: str) -> None:
    before = shell.state()

    said = shell.cloud("setup", *arguments)

    assert said.code == 2
    assert message in said.err
    assert shell.state() == before


def test_the_keys_are_nowhere_but_in_the_encrypted_file(shell: Shell, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        heard = [
            shell.cloud("setup", "--register"),
            shell.cloud("setup", before=("--json",)),
            shell.cloud("setup", "--session"),
            shell("--json", "config"),
        ]
    canaries = [
        value for name in shell.secrets.names() for key, value in shell.secrets.get(name).items() if "secret" in key
    ]
    heard.append(shell.cloud("teardown", "--yes", "--force"))

    assert len(canaries) == 2
    written = b"".join(path.read_bytes() for path in sorted(shell.root.rglob("*")) if path.is_file())
    said = "".join(one.out + one.err for one in heard)
    assert [one for one in canaries if one in said or one in ours(caplog) or one.encode() in written] == []


def ours(caplog: Any) -> str:
    """What labelloop itself logged; botocore's own debug log, off by default, holds the bodies of its answers."""
    return "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("labelloop"))
