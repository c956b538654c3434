"""secret: what each command takes, keeps, says and refuses."""

from __future__ import annotations

import io
import json
import os
import pty
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from labelloop.backends.local_secrets import KEY_VARIABLE, LocalSecretsManager
from labelloop.cli import run

CANARY = "cAnArY-0451"


@dataclass
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it said to a script."""
        return json.loads(self.out)


@dataclass
class Shell:
    """Runs commands in one workspace whose standard input is a pipe."""

    root: Path
    captured: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Said:
        """One command."""
        self.captured.readouterr()
        self.patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = run(["-C", str(self.root), *arguments])
        heard = self.captured.readouterr()
        return Said(code, heard.out, heard.err)

    @property
    def kept(self) -> LocalSecretsManager:
        """What is kept, to look at."""
        return LocalSecretsManager(home=self.root / ".labelloop")


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """An empty workspace."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv(KEY_VARIABLE, Fernet.generate_key().decode())
    made = Shell(tmp_path / "ws", capsys, monkeypatch)
    assert made("init", "--labels", "a,b").code == 0
    return made


def refused(said: Said, *words: str) -> None:
    """It was refused as the user's move, in these words, and without the canary."""
    assert said.code == 2
    assert said.out == ""
    assert [word for word in words if word not in said.err] == []
    assert CANARY not in said.err


def test_the_rows_of_the_seed_work_as_typed(shell: Shell, tmp_path: Path) -> None:
    account = {"type": "service_account", "project_id": "p", "private_key_id": "1", "client_email": "e"}
    account |= {"private_key": "-----BEGIN PRIVATE KEY-----\n", "token_uri": "https://oauth2.googleapis.com/token"}
    (tmp_path / "key.json").write_text(json.dumps(account))
    aws = ("--aws_access_key_id=A", "--aws_secret_access_key=B", "--aws_session_token=C")
    rows: Sequence[Sequence[str]] = (
        ("aws_store", "--schema=aws", *aws),
        ("aws_label_studio", "--schema=aws_label_studio", *aws),
        ("azure_store", "--schema=azure", "--account_name=N", "--account_key=K"),
        ("gcp_store", "--schema=gcp", f"--token=@{tmp_path / 'key.json'}"),
        ("ls", "--api_key=X"),
    )

    codes = [shell("secret", "register", *row).code for row in rows]

    assert codes == [0] * 5
    assert shell.kept.get("aws_label_studio") == {
        "aws_access_key_id": "A",
        "aws_secret_access_key": "B",
        "aws_session_token": "C",
    }
    assert json.loads(shell.kept.get("gcp_store")["token"]) == account
    assert shell.kept.get("ls") == {"api_key": "X"}


@pytest.mark.parametrize(
    "words",
    [
        ("ls", "--api_key=a=b c"),
        ("ls", "--api_key", "a=b c"),
        ("--api_key=a=b c", "ls"),
        ("--api_key", "a=b c", "ls"),
        ("ls", "--api_key", "-"),
        ("ls", "--api_key=-"),
        ("ls", "--api_key=@value"),
    ],
)
def test_a_value_is_taken_from_where_it_was_given(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: Sequence[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "value").write_text("a=b c\r\n")

    said = shell("secret", "create", *words, stdin=b"a=b c\n")

    assert said.code == 0
    assert shell.kept.get("ls") == {"api_key": "a=b c"}


def test_lists_show_keys_and_schemas_and_no_values(shell: Shell) -> None:
    shell("secret", "register", "ls", f"--api_key={CANARY}")
    shell("secret", "register", "odd", f"--one={CANARY}", f"--two={CANARY}")

    listed = shell("secret", "list")

    assert listed.out == "secret\tkeys\tschema\nls\tapi_key\tlabel_studio\nodd\tone, two\t\n"
    assert shell("--json", "secret", "list").json == [
        {"name": "ls", "keys": ["api_key"], "schema": "label_studio"},
        {"name": "odd", "keys": ["one", "two"], "schema": ""},
    ]


def test_values_are_masked_unless_asked_for(shell: Shell) -> None:
    shell("secret", "register", "ls", f"--api_key={CANARY}", "--url=u")

    assert shell("secret", "get", "ls").out == "api_key: ********\nurl: ********\n"
    assert shell("--json", "secret", "get", "ls").json == {"api_key": "********", "url": "********"}
    assert shell("secret", "get", "ls", "--key=url").out == "url: ********\n"
    assert shell("secret", "get", "ls", "--key", "api_key", "--show").out == f"{CANARY}\n"
    assert shell("--json", "secret", "get", "ls", "--show").json == {"api_key": CANARY, "url": "u"}


def test_an_update_changes_what_is_named_and_keeps_the_rest(shell: Shell) -> None:
    shell("secret", "register", "s3", "--schema=aws", "--aws_access_key_id=A", "--aws_secret_access_key=B")

    assert shell("secret", "update", "s3", "--aws_session_token=T", "--aws_access_key_id=A2").code == 0
    assert list(shell.kept.get("s3").values()) == ["A2", "B", "T"]
    assert shell("secret", "update", "s3", "--remove=aws_session_token").code == 0
    assert list(shell.kept.get("s3")) == ["aws_access_key_id", "aws_secret_access_key"]
    assert shell("secret", "update", "s3", "--region=eu").code == 0
    assert shell.kept.get("s3")["region"] == "eu"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("update", "ls", f"--api_kye={CANARY}"), ("no key 'api_kye'", "did you mean 'api_key'")),
        (("update", "ls", "--remove=nothing"), ("no key 'nothing'", "it has api_key")),
        (("update", "ls", "--remove=api_key"), ("would hold no value",)),
        (("update", "ls"), ("nothing was given", "labelloop secret update ls --KEY=")),
        (("update", "ls", f"--api_key={CANARY} {CANARY}"), ("'api_key' has white space",)),
        (("update", "lss", f"--api_key={CANARY}"), ("no secret 'lss'", "labelloop secret register lss")),
        (("update", "ls", f"--api_key={CANARY}", "--schema=aws"), ("schema 'aws'", "'api_key'")),
        (("register", "ls", f"--api_key={CANARY}"), ("exists already", "labelloop secret update ls")),
        (("register", "a b", f"--api_key={CANARY}"), ("'a b' is not a name",)),
        (("register", f"--api_key={CANARY}"), ("has no name",)),
        (("register", "new"), ("would hold no value", "labelloop secret register new --KEY=VALUE")),
        (("register", "new", f"api_key={CANARY}"), ("belong to no key", "--KEY=VALUE")),
        (("register", "new", f"--{CANARY}:x!y=1"), ("a key of the secret",)),
        (("register", "new", "--api_key=1", f"--api_key={CANARY}"), ("given twice",)),
        (("register", "new", "--api_key="), ("'api_key' is empty",)),
        (("register", "new", "--api_key"), ("--api_key has no value", "--api_key=@PATH")),
        (("register", "new", "--api_key", "--other=1"), ("--api_key has no value",)),
        (("register", "new", f"--api_key=@{CANARY}"), ("cannot be read", "No such file", "standard input")),
        (("register", "new", "--api_key=@."), ("cannot be read", "directory")),
        (("register", "new", "--a=-", "--b=-"), ("two keys would read standard input",)),
        (("register", "new", "--schema=asw", f"--k={CANARY}"), ("'asw'", "did you mean 'aws'")),
        (("register", "new", "--schema=aws", f"--aws_access_key_id={CANARY}"), ("needs aws_secret_access_key",)),
        (("register", "new", "--schema=gcp", f"--token={CANARY}"), ("not JSON", "--token=@PATH")),
        (("get", "lss"), ("no secret 'lss'", "known: ls")),
        (("get", "ls", "--key=api_kye"), ("'api_kye'", "did you mean 'api_key'")),
        (("delete", "ls"), ("not deleted unasked", "labelloop secret delete ls --yes")),
        (("delete", "lss", "--yes"), ("no secret 'lss'",)),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    shell: Shell, arguments: Sequence[str], words: Sequence[str]
) -> None:
    shell("secret", "register", "ls", "--api_key=kept")

    refused(shell("secret", *arguments), *words)

    assert {name: shell.kept.get(name) for name in shell.kept.names()} == {"ls": {"api_key": "kept"}}


def test_what_is_no_text_is_refused(shell: Shell) -> None:
    refused(shell("secret", "register", "new", "--api_key=-", stdin=b"\xff\xfe"), "not UTF-8 text")


def test_deleting_with_yes_deletes(shell: Shell) -> None:
    shell("secret", "register", "ls", "--api_key=1")

    assert shell("--json", "secret", "delete", "ls", "--yes").json == {"deleted": "ls"}
    assert shell.kept.names() == []


def test_the_schemas_are_listed_with_what_may_be_left_out(shell: Shell) -> None:
    assert (
        "aws\taws_access_key_id, aws_secret_access_key, [aws_session_token]\t" in shell("secret", "schema", "list").out
    )
    assert shell("--json", "secret", "schema", "list").json["gcp"]["required"] == ["token"]


def at_terminal(root: Path, arguments: Sequence[str], typed: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """One command at a terminal of its own, and what it shows; each answer is typed after its question."""
    pid, terminal = pty.fork()
    if pid == 0:
        program = "from labelloop.cli import main; main()"
        os.execv(sys.executable, [sys.executable, "-c", program, "-C", str(root), *arguments])
    shown = ""
    for question, answer in typed:
        while question not in shown.rpartition("\n")[2]:
            shown += os.read(terminal, 1024).decode()
        os.write(terminal, f"{answer}\n".encode())
        shown += "\n"
    while heard := _rest(terminal):
        shown += heard
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


def _rest(terminal: int) -> str:
    try:
        return os.read(terminal, 1024).decode()
    except OSError:  # the other end is closed
        return ""


def test_what_a_schema_needs_is_asked_for_unseen(shell: Shell) -> None:
    answers = [("aws_access_key_id", CANARY), ("aws_secret_access_key", CANARY)]

    code, shown = at_terminal(shell.root, ["secret", "register", "s3", "--schema=aws"], answers)

    assert code == 0, shown
    assert shell.kept.get("s3") == {"aws_access_key_id": CANARY, "aws_secret_access_key": CANARY}
    assert CANARY not in shown


def test_a_key_without_a_value_is_asked_for_and_may_name_a_file(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "value").write_text(CANARY)
    shell("secret", "register", "ls", "--api_key=old")

    code, shown = at_terminal(shell.root, ["secret", "update", "ls", "--api_key"], [("api_key", f"@{tmp_path}/value")])

    assert code == 0, shown
    assert shell.kept.get("ls") == {"api_key": CANARY}
    assert CANARY not in shown


def test_interactive_asks_for_keys_and_values(shell: Shell) -> None:
    answers = [("key (empty", "api_key"), ("api_key (", CANARY), ("key (empty", "")]

    code, shown = at_terminal(shell.root, ["secret", "register", "ls", "--interactive"], answers)

    assert code == 0, shown
    assert shell.kept.get("ls") == {"api_key": CANARY}
    assert CANARY not in shown


def test_interactive_asks_for_what_may_be_left_out_and_takes_nothing(shell: Shell) -> None:
    words = ["secret", "register", "s3", "--schema=aws", "--interactive", "--aws_access_key_id=A"]

    code, shown = at_terminal(shell.root, words, [("aws_secret_access_key", "B"), ("aws_session_token", "")])

    assert code == 0, shown
    assert shell.kept.get("s3") == {"aws_access_key_id": "A", "aws_secret_access_key": "B"}


def test_interactive_updates_what_gets_an_answer(shell: Shell) -> None:
    shell("secret", "register", "ls", "--api_key=1", "--url=2")

    code, shown = at_terminal(
        shell.root, ["secret", "update", "ls", "--interactive"], [("api_key", CANARY), ("url", "")]
    )

    assert code == 0, shown
    assert shell.kept.get("ls") == {"api_key": CANARY, "url": "2"}


@pytest.mark.parametrize(("answer", "left"), [("y", []), ("n", ["ls"])])
def test_deleting_asks_at_a_terminal(shell: Shell, answer: str, left: list[str]) -> None:
    shell("secret", "register", "ls", "--api_key=1")

    code, shown = at_terminal(shell.root, ["secret", "delete", "ls"], [("delete secret", answer)])

    assert shell.kept.names() == left
    assert code == (0 if answer == "y" else 130), shown


@pytest.mark.parametrize(("name", "said"), [("aws_label_studio", "aws_label_studio"), ("x", "aws"), ("aws", "aws")])
def test_registering_says_the_schema_that_listing_says(shell: Shell, name: str, said: str) -> None:
    keys = ("--aws_access_key_id=A", "--aws_secret_access_key=B")

    registered = shell("--json", "secret", "register", name, "--schema=aws_label_studio", *keys)
    listed = shell("--json", "secret", "list")

    assert json.loads(registered.out)["schema"] == json.loads(listed.out)[0]["schema"] == said
