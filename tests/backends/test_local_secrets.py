"""The encrypted file keeps the contract, gives nothing away, and is never destroyed by a wrong key."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from labelloop.backends import local_secrets
from labelloop.backends.local_secrets import KEY_VARIABLE, LocalSecretsManager
from labelloop.errors import BusyError, ConfigError
from labelloop.machine.privacy import alone
from labelloop.testing.secrets import VALUE, ExclusiveSecretsContract, MemorySecrets


class KeyringError(Exception):
    pass


class FakeKeyring(types.ModuleType):
    """A keyring with a memory; `mood` may be `kind`, `locked` or `forgetful`."""

    def __init__(self, mood: str) -> None:
        super().__init__("keyring")
        self.mood = mood
        self.kept: dict[tuple[str, str], str] = {}
        self.errors = types.SimpleNamespace(KeyringError=KeyringError)

    def get_password(self, service: str, account: str) -> str | None:
        if self.mood == "locked":
            raise KeyringError
        return self.kept.get((service, account))

    def set_password(self, service: str, account: str, password: str) -> None:
        if self.mood == "locked":
            raise KeyringError
        if self.mood == "kind":
            self.kept[service, account] = password


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's configuration folder, with no key anywhere and no keyring."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.setattr(local_secrets, "default_key_file", lambda: tmp_path / "user" / "secrets.key")
    monkeypatch.setattr(local_secrets, "find_spec", lambda name: None)
    return tmp_path / "user"


@pytest.fixture
def secrets(tmp_path: Path) -> LocalSecretsManager:
    return LocalSecretsManager(path=str(tmp_path / "ws" / "secrets"))


def use_keyring(monkeypatch: pytest.MonkeyPatch, mood: str) -> FakeKeyring:
    keyring = FakeKeyring(mood)
    monkeypatch.setattr(local_secrets, "find_spec", lambda name: keyring)
    monkeypatch.setattr(local_secrets, "import_module", lambda name: keyring)
    return keyring


class TestLocalSecretsManager(ExclusiveSecretsContract):
    @pytest.fixture
    def secrets(self, tmp_path: Path) -> LocalSecretsManager:
        return LocalSecretsManager(path=str(tmp_path / "ws" / "secrets"))


class TestMemorySecrets(ExclusiveSecretsContract):
    @pytest.fixture
    def secrets(self) -> MemorySecrets:
        return MemorySecrets()


def test_nothing_readable_is_on_the_disk(secrets: LocalSecretsManager, tmp_path: Path) -> None:
    secrets.set("label-studio", {"api_key": VALUE})

    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    for word in (VALUE, "label-studio", "api_key"):
        assert word.encode() not in everything


def test_only_the_user_can_read_the_files(secrets: LocalSecretsManager, user: Path) -> None:
    secrets.set("ls", {"api_key": VALUE})

    modes = [path.stat().st_mode & 0o777 for path in (secrets.file, user / "secrets.key", user)]

    assert modes == [0o600, 0o600, 0o700]


def test_reading_creates_no_file(secrets: LocalSecretsManager, tmp_path: Path) -> None:
    assert secrets.names() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "where"), [("", "ws/.labelloop/secrets"), ("s/file", "ws/s/file"), ("/elsewhere", "/elsewhere")]
)
def test_a_relative_path_is_relative_to_the_workspace(tmp_path: Path, path: str, where: str) -> None:
    assert LocalSecretsManager(path=path, home=tmp_path / "ws" / ".labelloop").file == tmp_path / where


def test_a_manager_without_a_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="no file"):
        LocalSecretsManager()


def test_the_key_of_the_environment_is_used_and_not_kept(
    secrets: LocalSecretsManager, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, Fernet.generate_key().decode())

    secrets.set("ls", {"api_key": VALUE})

    assert secrets.get("ls") == {"api_key": VALUE}
    assert not user.exists()


@pytest.mark.parametrize("key", ["short", "not/base64!" * 4, "é" * 44])
def test_a_key_that_is_none_is_refused_and_not_shown(
    secrets: LocalSecretsManager, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, key)

    with pytest.raises(ConfigError, match=KEY_VARIABLE) as caught:
        secrets.set("ls", {"api_key": VALUE})

    assert key not in caught.value.message + caught.value.hint
    assert "generate_key" in caught.value.hint


def test_a_key_file_that_holds_no_key_is_refused_and_kept(secrets: LocalSecretsManager, user: Path) -> None:
    user.mkdir()
    (user / "secrets.key").write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigError, match=r"secrets\.key"):
        secrets.set("ls", {"api_key": VALUE})

    assert (user / "secrets.key").read_bytes() == b"\xff\xfe"


@pytest.mark.parametrize("action", ["get", "set", "delete", "names"])
def test_a_wrong_key_destroys_nothing(
    secrets: LocalSecretsManager, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    secrets.set("ls", {"api_key": VALUE})
    before = secrets.file.read_bytes()
    monkeypatch.setenv(KEY_VARIABLE, Fernet.generate_key().decode())
    arguments: dict[str, list[Any]] = {"get": ["ls"], "set": ["ls", {"api_key": "new"}], "delete": ["ls"], "names": []}

    with pytest.raises(ConfigError, match="cannot be decrypted") as caught:
        getattr(secrets, action)(*arguments[action])

    assert KEY_VARIABLE in caught.value.hint
    assert secrets.file.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff\x00"])
def test_a_damaged_file_is_refused_and_kept(secrets: LocalSecretsManager, content: bytes) -> None:
    secrets.set("ls", {"api_key": VALUE})
    secrets.file.write_bytes(content)

    with pytest.raises(ConfigError, match="cannot be decrypted"):
        secrets.set("other", {"api_key": VALUE})

    assert secrets.file.read_bytes() == content


def test_an_empty_name_is_refused(secrets: LocalSecretsManager) -> None:
    with pytest.raises(ConfigError, match="not a name"):
        secrets.set(" ", {"api_key": VALUE})


def test_a_working_keyring_keeps_the_key(
    secrets: LocalSecretsManager, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = use_keyring(monkeypatch, "kind")

    secrets.set("ls", {"api_key": VALUE})

    assert secrets.get("ls") == {"api_key": VALUE}
    assert len(keyring.kept) == 1
    assert not (user / "secrets.key").exists()


@pytest.mark.parametrize("mood", ["locked", "forgetful"])
def test_a_keyring_that_does_not_work_gives_way_to_a_file(
    secrets: LocalSecretsManager, user: Path, monkeypatch: pytest.MonkeyPatch, mood: str
) -> None:
    use_keyring(monkeypatch, mood)

    secrets.set("ls", {"api_key": VALUE})

    assert secrets.get("ls") == {"api_key": VALUE}
    assert (user / "secrets.key").exists()


def test_a_keyring_that_comes_later_leaves_the_secrets_readable(
    secrets: LocalSecretsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets.set("ls", {"api_key": VALUE})
    keyring = use_keyring(monkeypatch, "kind")
    keyring.set_password("labelloop", "secrets-key", Fernet.generate_key().decode())

    assert secrets.get("ls") == {"api_key": VALUE}


def test_a_chosen_key_file_is_used_instead_of_the_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = use_keyring(monkeypatch, "kind")
    chosen = tmp_path / "mine" / "key"

    LocalSecretsManager(path=str(tmp_path / "secrets"), key_file=str(chosen)).set("ls", {"api_key": VALUE})

    assert chosen.exists()
    assert keyring.kept == {}


def test_another_process_that_keeps_writing_is_reported(
    secrets: LocalSecretsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_secrets, "PATIENCE", 0)
    secrets.file.parent.mkdir()

    with alone(Path(f"{secrets.file}.lock"), 1), pytest.raises(BusyError, match="another process is writing"):
        secrets.set("ls", {"api_key": VALUE})


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_file_that_others_may_read_is_refused_with_the_command(
    secrets: LocalSecretsManager, user: Path, mode: int
) -> None:
    secrets.set("ls", {"api_key": VALUE})
    (user / "secrets.key").chmod(mode)

    with pytest.raises(ConfigError, match=f"mode {mode:04o}") as caught:
        secrets.get("ls")
    (user / "secrets.key").chmod(0o600)

    assert caught.value.hint == f"chmod 600 {user / 'secrets.key'}"
    assert secrets.get("ls") == {"api_key": VALUE}


def test_a_file_whose_key_is_away_is_refused_and_no_other_key_is_made(secrets: LocalSecretsManager, user: Path) -> None:
    secrets.set("ls", {"api_key": VALUE})
    (user / "secrets.key").unlink()

    for call in (secrets.names, lambda: secrets.set("new", {"api_key": VALUE})):
        with pytest.raises(ConfigError, match="there is no key for it") as caught:
            call()

        assert KEY_VARIABLE in caught.value.hint
    assert not (user / "secrets.key").exists()


def test_what_a_killed_writer_left_is_cleared_away(secrets: LocalSecretsManager) -> None:
    secrets.set("ls", {"api_key": "1"})
    left = secrets.file.with_name("secrets~0123456789abcdef")
    left.write_bytes(b"half")

    secrets.set("ls", {"api_key": "2"})

    assert not left.exists()
    assert secrets.get("ls") == {"api_key": "2"}


def test_killed_at_any_moment_the_secrets_are_as_before_or_as_after(tmp_path: Path) -> None:
    program = """
import sys
from labelloop.backends.local_secrets import LocalSecretsManager
manager = LocalSecretsManager(path=sys.argv[1], key_file=sys.argv[2])
print(manager.names(), flush=True)
for n in range(int(sys.argv[3]), 10**9):
    manager.set("turning", {"one": str(n), "two": str(n)})
    print(n, flush=True)
    manager.set("passing", {"key": "1"})
    manager.delete("passing")
"""
    files = [str(tmp_path / "secrets"), str(tmp_path / "key")]
    secrets = LocalSecretsManager(path=files[0], key_file=files[1])
    secrets.set("standing", {"api_key": VALUE})
    moments = random.Random(7)
    turns = [0]
    for _ in range(30):
        process = subprocess.Popen([sys.executable, "-c", program, *files, str(turns[-1])], stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(1 + moments.randrange(3)):
            process.stdout.readline()
        select.select([], [], [], moments.uniform(0, 0.05))
        process.kill()
        process.communicate()

        left = {name: dict(secrets.get(name)) for name in secrets.names()}
        turning = left.pop("turning", {"one": str(turns[-1]), "two": str(turns[-1])})
        turns.append(int(turning["one"]))

        assert turning["one"] == turning["two"]
        assert left in (
            {"standing": {"api_key": VALUE}},
            {"standing": {"api_key": VALUE}, "passing": {"key": "1"}},
        )

    assert turns == sorted(turns)
    assert turns[-1] > 0


def test_processes_that_start_at_once_end_with_one_key_and_every_secret(tmp_path: Path) -> None:
    program = """
import sys
from labelloop.backends.local_secrets import LocalSecretsManager
manager = LocalSecretsManager(path=sys.argv[1], key_file=sys.argv[2])
sys.stdin.readline()
for n in range(5):
    manager.set(f"{sys.argv[3]}-{n}", {"key": "1"})
"""
    files = [str(tmp_path / "secrets"), str(tmp_path / "key")]
    processes = [
        subprocess.Popen([sys.executable, "-c", program, *files, str(n)], stdin=subprocess.PIPE, env=os.environ.copy())
        for n in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    codes = [process.wait(60) for process in processes]
    for process in processes:
        process.communicate()

    assert codes == [0, 0, 0, 0]
    assert len(LocalSecretsManager(path=files[0], key_file=files[1]).names()) == 20


def test_of_processes_that_register_one_name_at_once_one_succeeds(tmp_path: Path) -> None:
    program = """
import sys
from labelloop.workspace import secrets
from labelloop.backends.local_secrets import LocalSecretsManager
from labelloop.errors import ConfigError
manager = LocalSecretsManager(path=sys.argv[1], key_file=sys.argv[2])
sys.stdin.readline()
try:
    secrets.register(manager, "ls", {"api_key": sys.argv[3]})
except ConfigError as error:
    assert "exists already" in error.message
else:
    print(sys.argv[3])
"""
    files = [str(tmp_path / "secrets"), str(tmp_path / "key")]
    command = [sys.executable, "-c", program, *files]
    processes = [subprocess.Popen([*command, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for n in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].decode().strip() for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert len(list(filter(None, said))) == 1
    assert LocalSecretsManager(path=files[0], key_file=files[1]).get("ls") == {"api_key": "".join(said)}
