"""A canary among the secrets: after every command and failure, it stands in no output, no file and no process list."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from labelloop.backends.local_secrets import KEY_VARIABLE, LocalSecretsManager

from support import emulators
from support.azure_key_vault import HEADER, KeyVaultDouble, certificate
from support.emulators import Emulator
from support.gcp_secret_manager import PROJECT, SecretManagerDouble
from support.http_double import serving

pytestmark = pytest.mark.slow
PROGRAM = "from labelloop.cli import main; main()"


@dataclass
class House:
    """A home with a workspace in it, and everything that was said there."""

    root: Path
    canary: str
    environment: Mapping[str, str]
    heard: list[tuple[Sequence[str], str]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def __call__(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        """One command in a process of its own; the canary goes in by standard input alone."""
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.root / "ws",
            env=dict(self.environment),
        )
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(process.pid, done))
        watcher.start()
        said, _ = process.communicate(stdin, timeout=120)
        done.set()
        watcher.join()
        self.heard.append((arguments, said))
        assert process.returncode == code, said
        return said

    def places(self) -> list[str]:
        """Everywhere the canary stands: outputs, files, command lines."""
        said = [" ".join(words) for words, output in self.heard if self.canary in output]
        files = [
            str(path) for path in self.root.rglob("*") if path.is_file() and self.canary.encode() in path.read_bytes()
        ]
        return said + files + [line for line in self.seen if self.canary in line]

    def _watch(self, pid: int, done: threading.Event) -> None:
        """Look at the command lines of a process and of all its children until it ends."""
        while not done.wait(0.01):
            for one in [pid, *_below(pid)]:
                try:
                    self.seen.add(Path(f"/proc/{one}/cmdline").read_bytes().replace(b"\0", b" ").decode())
                except OSError:
                    continue


def _below(pid: int) -> Iterator[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in map(int, children):
        yield child
        yield from _below(child)


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A home with nothing in it, and a workspace."""
    (tmp_path / "home" / "ws").mkdir(parents=True)
    home = str(tmp_path / "home")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LABELLOOP", "AWS", "XDG"))}
    kept.pop(KEY_VARIABLE, None)
    kept |= {"HOME": home, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    made = House(tmp_path / "home", f"cAnArY{uuid4().hex}", kept)
    made("init", "--labels", "a,b")
    return made


def errands(house: House) -> None:
    """What reaches the secrets manager, each thing once."""
    house("secret", "register", "ls", "--schema=label_studio", "--api_key=-", stdin=house.canary)
    house("secret", "register", "ls", "--api_key=-", stdin=house.canary, code=2)
    house("secret", "update", "ls", "--url=-", stdin=house.canary)
    house("secret", "list")
    house("--json", "secret", "get", "ls")
    house("secret", "get", "nothing", code=2)
    house("secrets-manager", "describe")


def refusals(house: House) -> None:
    """Every refusal that has the canary in its hands, and what else shows the workspace."""
    key = json.dumps({**json.loads(emulators.fake_gcp_key("http://127.0.0.1:1")), "client_id": house.canary})
    house("secret", "create", "gcs", "--schema=gcp", "--token", "-", stdin=key)
    house("secret", "register", "new", "--schema=gcp", "--token=-", stdin=house.canary, code=2)
    house("secret", "register", "new", "--schema=gcp", "--token=-", stdin=key[:-1], code=2)
    house("secret", "register", "new", "--schema=aws", "--aws_access_key_id=-", stdin=house.canary, code=2)
    twice = f"{house.canary} {house.canary}"
    house("secret", "register", "new", "--schema=label_studio", "--api_key=-", stdin=twice, code=2)
    house("--debug", "secret", "register", "new", "--schema=nothing", "--api_key=-", stdin=house.canary, code=1)
    house("secret", "register", "b/d", "--api_key=-", stdin=house.canary, code=2)
    house("secret", "update", "ls", "--api_kye=-", stdin=house.canary, code=2)
    house("secret", "get", "ls", "--key=url")
    house("config")
    house("stack", "list")
    house("secret", "delete", "gcs", code=2)
    house("secret", "delete", "gcs", "--yes")


def test_with_the_local_manager_only_the_encrypted_file_holds_it(house: House) -> None:
    errands(house)
    refusals(house)

    assert house.places() == []
    manager = LocalSecretsManager(
        home=house.root / "ws" / ".labelloop", key_file=str(house.root / ".config" / "labelloop" / "secrets.key")
    )
    assert manager.get("ls") == {"api_key": house.canary, "url": house.canary}


def test_a_file_that_cannot_be_decrypted_gives_nothing_away(house: House) -> None:
    house("secret", "register", "ls", "--api_key=-", stdin=house.canary)
    (house.root / ".config" / "labelloop" / "secrets.key").unlink()

    house("secret", "list", code=2)
    house("secret", "update", "ls", "--api_key=-", stdin=house.canary, code=2)

    assert house.places() == []


def test_the_search_finds_a_canary_that_is_shown(house: House) -> None:
    house("secret", "register", "ls", "--api_key=-", stdin=house.canary)
    house("secret", "get", "ls", "--key=api_key", "--show")
    (house.root / "ws" / "leak").write_text(house.canary)

    assert house.places() == ["secret get ls --key=api_key --show", str(house.root / "ws" / "leak")]


def use(house: House, *registration: str, **environment: str) -> None:
    """Let the workspace keep its secrets in a cloud."""
    house.environment = {**house.environment, **environment}
    house("secrets-manager", "register", "cloud", *registration)
    house("stack", "update", "default", "-x", "cloud")


def test_aws_holds_it_and_nothing_here(house: House, aws_server: Emulator) -> None:
    use(
        house,
        "--flavor=aws",
        "--region_name=eu-west-1",
        f"--endpoint={aws_server.url}",
        f"--prefix={house.canary[-8:]}/",
        AWS_ACCESS_KEY_ID="AKIA",
        AWS_SECRET_ACCESS_KEY=house.canary,
    )

    errands(house)

    assert house.places() == []


def test_vault_holds_it_and_nothing_here(house: House, bao_server: Emulator) -> None:
    use(house, "--flavor=vault", f"--url={bao_server.url}", "--path=canary", VAULT_TOKEN=emulators.BAO_TOKEN)
    errands(house)

    house.environment = {**house.environment, "VAULT_TOKEN": house.canary}
    house("secret", "list", code=2)

    assert house.places() == []


def test_gcp_holds_it_and_nothing_here(house: House, tmp_path: Path) -> None:
    double = serving(SecretManagerDouble())
    key = json.loads(emulators.fake_gcp_key("http://127.0.0.1:1"))
    (tmp_path / "key.json").write_text(json.dumps({**key, "token_uri": f"{double.url}/token"}))
    use(
        house,
        "--flavor=gcp_secrets_manager",
        f"--project_id={PROJECT}",
        f"--endpoint={double.url}",
        GOOGLE_APPLICATION_CREDENTIALS=str(tmp_path / "key.json"),
    )

    errands(house)
    double.stop()
    house("secret", "register", "new", "--api_key=-", stdin=house.canary, code=3)

    assert house.places() == []


def test_azure_holds_it_and_nothing_here(house: House, tmp_path: Path) -> None:
    files = certificate(tmp_path)
    memory = KeyVaultDouble()
    double, identity = serving(memory, files), serving(memory)
    use(
        house,
        "--flavor=azure_key_vault",
        "--key_vault_name=my-vault",
        f"--endpoint={double.url}",
        REQUESTS_CA_BUNDLE=files[0],
        SSL_CERT_FILE=files[0],
        IDENTITY_ENDPOINT=f"{identity.url}/msi/token",
        IDENTITY_HEADER=HEADER,
    )

    errands(house)
    double.stop()
    house("secret", "register", "new", "--api_key=-", stdin=house.canary, code=3)
    identity.stop()

    assert house.places() == []
