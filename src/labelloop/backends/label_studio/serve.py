"""Runs under Label Studio's own python: the server, holding a lock for as long as it lives."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Serve at port `argv[2]`; the folder `argv[1]` gets `server.lock`, held, and `server.json`, who and where."""
    home, port = Path(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have left it ignored
    lock = os.open(home / "server.lock", os.O_RDWR | os.O_CREAT)  # never closed: held until the process is gone
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another Label Studio runs on {home}")
    draft = home / "server.json.new"
    draft.write_text(json.dumps({"pid": os.getpid(), "port": port}))
    draft.replace(home / "server.json")
    sys.argv = ["label-studio", "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    import_module("label_studio.server").main()


if __name__ == "__main__":
    main()
