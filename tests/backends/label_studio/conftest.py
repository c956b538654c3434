"""A stand-in for an environment with Label Studio: same commands, a server of thirty lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelloop.backends.label_studio.environment import CACHE_VARIABLE, DATABASE, DEFAULT_VERSION, ENV_VARIABLE
from labelloop.backends.label_studio.server import Server
from labelloop.testing.secrets import MemorySecrets

_PYTHON = """#!/bin/sh
case "$1" in
*bootstrap.py)
  if [ -e "{control}/bootstrap-fails" ]; then cat >&2; exit 3; fi
  cat > "$LABEL_STUDIO_BASE_DATA_DIR/user.json";;
*) env > "{control}/environment"; PYTHONPATH="{control}" exec "{python}" "$@";;
esac
"""

_SERVER = """
import json, os, socket, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

control = Path(__file__).parent.parent
data = Path(os.environ["LABEL_STUDIO_BASE_DATA_DIR"])
asked = threading.Event()

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        token = json.loads((data / "user.json").read_text())["token"]
        known = self.headers["Authorization"] == f"Token {token}"
        body = b"{}"
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

class Stranger(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(401)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
        asked.set()

def main():
    if (control / "dies").exists():
        sys.exit("boom: the database is on fire")
    port = int(sys.argv[sys.argv.index("--port") + 1])
    if (control / "taken").exists():
        (control / "taken").unlink()
        stranger = ThreadingHTTPServer(("127.0.0.1", port), Stranger)
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        asked.wait(20)  # as Label Studio looks at the port only after its imports
        (control / "moves").touch()
    if (control / "moves").exists():
        (control / "moves").unlink()
        print(f"* Port {port} is in use.", flush=True)
        port += 700
    try:
        ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
    except KeyboardInterrupt:
        (control / "ended cleanly").touch()
        sys.exit(0)
"""


@pytest.fixture
def secrets() -> MemorySecrets:
    return MemorySecrets()


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose files `dies`, `moves`, `taken` and `bootstrap-fails` steer the stand-in server."""
    control = tmp_path / "control"
    package = tmp_path / "env" / "lib" / "python3" / "site-packages" / "label_studio"
    package.mkdir(parents=True)
    (control / "label_studio").mkdir(parents=True)
    (control / "label_studio" / "__init__.py").touch()
    (control / "label_studio" / "server.py").write_text(_SERVER)
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir()
    python.write_text(_PYTHON.format(control=control, python=sys.executable))
    python.chmod(0o755)
    template = tmp_path / "cache" / f"label-studio-{DEFAULT_VERSION}.template" / DATABASE
    template.parent.mkdir(parents=True)
    template.write_bytes(b"an empty database")
    monkeypatch.setenv(ENV_VARIABLE, str(tmp_path / "env"))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return control


@pytest.fixture
def server(tmp_path: Path, stand_in: Path, secrets: MemorySecrets) -> Iterator[Server]:
    """A managed server that is the stand-in."""
    made = Server(tmp_path / "home", secrets, port=8393)
    yield made
    made.down()
