"""A process that visits a folder with every command that is safe to run, and notes what leaves it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

COMMANDS: Sequence[str] = (
    "config",
    "--json config",
    "status",
    "stack list",
    "stack describe",
    "stack export",
    "artifact-store list",
    "annotator list",
    "annotator describe",
    "secret list",
    "trust --list",
    "add data.csv",
    "status",
    "check",
    "doctor",
    "forecast",
    "score",
    "train",
    "export -o out.jsonl",
    "infer -o guesses.jsonl",
    "report -o out.html",
    "example list",
    "integration list",
    "stack import team.toml",
    "tick",
)


def main(folder: str, into: str, outside: str, *commands: str) -> None:
    """Run every command in `folder`; write to `into` who was called, and which names were looked for in vain."""
    calls: list[str] = []
    missing: list[str] = []

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in _OURSELVES:
            calls.append(f"connect {arguments[1]}")
        if event == "socket.getaddrinfo" and arguments[0] not in _OURSELVES:
            calls.append(f"look-up {arguments[0]}")
        if event == "open" and str(arguments[0]).startswith(outside):
            calls.append(f"open {arguments[0]}")

    class Asked:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            del path, target
            missing.append(name)

    sys.addaudithook(heard)
    sys.meta_path.append(Asked())
    os.chdir(folder)
    from labelloop.cli import run

    codes = {}
    for command in commands or COMMANDS:
        print(f"$ labelloop {command}", flush=True)
        codes[command] = run(command.split())
    for words in ("labelloop artifact-store update x --", "labelloop stack set ", "labelloop secret get "):
        os.environ.update(
            COMP_WORDS=words, COMP_CWORD=str(len(words.split(" ")) - 1), _LABELLOOP_COMPLETE="bash_complete"
        )
        sys.argv = ["labelloop"]
        run()
    said = {"calls": calls, "missing": sorted({one.partition(".")[0] for one in missing}), "codes": codes}
    Path(into).write_text(json.dumps(said), "utf-8")


_OURSELVES = ("127.0.0.1", "::1", "localhost", None, "")

if __name__ == "__main__":
    main(*sys.argv[1:])
