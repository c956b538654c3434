"""A process that has imported labelloop and forks for every command it reads, so that a tick costs no start-up.

Each line of stdin is {"arguments": [...], "point": "module:class:method:when", "effect": n, "delay": s, "log": path,
"victims": [pid, ...], "survives": bool}; it answers with the exit code of the child once it has ended, and the number
of effects it had. The child kills itself at a point, before, during or after the method of that class, or some seconds
after its n-th effect began: a statement of SQL, a request, or a change of a file. It takes the victims along, or kills
only them where it survives. Counting effects hits the same moments on a busy machine as on a quiet one.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

import httpx
from sqlalchemy import Engine, event

from labelloop.cli import run

LOADED = (
    "cleanlab.filter",
    "fsspec.implementations.local",
    "httpx",
    "PIL.Image",
    "psycopg",
    "support.quick_learner",
    "sklearn.cluster",
    "sklearn.model_selection",
    "sqlalchemy.dialects.postgresql.psycopg",
    "labelloop.backends.env_secrets",
    "labelloop.backends.label_studio.annotator",
    "labelloop.backends.local_orchestrator",
    "labelloop.backends.local_store",
    "labelloop.commands.auto_label",
    "labelloop.cli.auto_label",
    "labelloop.cli.label_errors",
    "labelloop.cli.labels",
    "labelloop.cli.loop",
    "labelloop.cli.output",
    "labelloop.cli.render",
    "labelloop.cli.score",
    "labelloop.commands.label_errors",
    "labelloop.commands.status",
    "labelloop.commands.labels",
    "labelloop.commands.rollback",
)
"""What a tick imports on its way."""


def main() -> None:
    """Serve until stdin ends."""
    for module in LOADED:
        import_module(module)
    for line in sys.stdin:
        wanted = json.loads(line)
        told, telling = os.pipe()
        pid = os.fork()
        if pid == 0:
            _live(wanted, telling)
        os.close(telling)
        _, status = os.waitpid(pid, 0)
        with os.fdopen(told) as effects:
            print(os.waitstatus_to_exitcode(status), len(effects.read()), flush=True)


def _live(wanted: Any, telling: int) -> None:
    code = 1
    try:
        written = os.open(wanted["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(written, 1)
        os.dup2(written, 2)
        if wanted["point"]:
            _lay(*wanted["point"].split(":"))
        _count(_Fuse(wanted, telling))
        code = run(list(wanted["arguments"]))
    finally:
        os._exit(code)


class _Fuse:
    """Counts effects, and kills soon after a certain one began."""

    def __init__(self, wanted: Any, telling: int) -> None:
        self._left = wanted["effect"]
        self._delay = wanted["delay"]
        self._victims = wanted["victims"]
        self._survives = wanted["survives"]
        self._telling = telling

    def burn(self, *_: Any, **__: Any) -> None:
        os.write(self._telling, b".")
        self._left -= 1
        if self._left == 0:
            threading.Timer(self._delay, self._blow).start()

    def _blow(self) -> None:
        for victim in self._victims:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        if not self._survives:
            _end()

    def before(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        def burning(*given: Any, **named: Any) -> Any:
            self.burn()
            return fn(*given, **named)

        return burning


def _count(fuse: _Fuse) -> None:
    event.listen(Engine, "before_cursor_execute", fuse.burn)
    event.listen(Engine, "commit", fuse.burn)
    httpx.Client.send = fuse.before(httpx.Client.send)  # type: ignore[method-assign]
    for name in ("fsync", "replace", "rename"):
        setattr(os, name, fuse.before(getattr(os, name)))


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
