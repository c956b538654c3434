"""How long `labelloop stack up` takes on a stack that is up, beside the round trips to its Label Studio."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from figure import Figure, seconds
from managed import PORT

LIMIT = 1.0


def figures(quick: bool) -> Iterator[Figure]:
    """The wall time of the command, from its start to its end, on a stack that is up."""
    with tempfile.TemporaryDirectory() as place:
        labelloop = [str(Path(sys.executable).with_name("labelloop")), "-C", place]
        _run([*labelloop, "init", "--labels", "cat,dog"])
        _run([*labelloop, "annotator", "update", "default", f"--port={PORT}"])
        _run([*labelloop, "stack", "up"])
        try:
            taken = [seconds(lambda: _run([*labelloop, "stack", "up"])) for _ in range(3 if quick else 9)]
        finally:
            _run([*labelloop, "stack", "down"])
    yield Figure(
        "labelloop stack up, on a stack that is up", taken, at_most=LIMIT, unit="s", detail="its requests included"
    )


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
