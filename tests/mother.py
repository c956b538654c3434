"""A process that has imported labelloop and forks for every command it reads, so that a tick costs no start-up.

Each line of stdin is {"arguments": [...], "point": "module:class:method:when", "log": path}; it answers with the pid of
the child, and with its exit code once it has ended. At a point the child kills itself: before, during or after the
method of that class.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from labelloop.cli import run

LOADED = (
    "fsspec.implementations.local",
    "httpx",
    "PIL.Image",
    "quick_learner",
    "sklearn.cluster",
    "labelloop.backends.env_secrets",
    "labelloop.backends.label_studio.annotator",
    "labelloop.backends.local_orchestrator",
    "labelloop.backends.local_store",
    "labelloop.cli.loop",
    "labelloop.cli.output",
    "labelloop.cli.render",
    "labelloop.overview",
)
"""What a tick imports on its way."""


def main() -> None:
    """Serve until stdin ends."""
    for module in LOADED:
        import_module(module)
    for line in sys.stdin:
        wanted = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _live(wanted["arguments"], wanted["point"], wanted["log"])
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _live(arguments: Sequence[str], point: str, log: str) -> None:
    code = 1
    try:
        written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(written, 1)
        os.dup2(written, 2)
        if point:
            _lay(*point.split(":"))
        code = run(list(arguments))
    finally:
        os._exit(code)


def _lay(module: str, owner: str, method: str, when: str) -> None:
    """Have this process end when it comes by."""
    watched = getattr(import_module(module), owner)
    kept = getattr(watched, method)

    def deadly(*given: Any, **named: Any) -> None:
        if when == "before":
            _end()
        if when == "during":
            threading.Timer(0.03, _end).start()
        kept(*given, **named)
        _end()

    setattr(watched, method, deadly)


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
