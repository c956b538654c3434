"""`labelloop demo` from nothing, and again: the wall time a newcomer waits. Needs the package index, or its cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from figure import Figure, seconds

COLD = 300
WARM = 90


def figures(quick: bool) -> Iterator[Figure]:
    """Seconds of the first run with empty caches and a fresh folder, and of the second one; with images, with texts."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        env = {name: value for name, value in os.environ.items() if not name.startswith("LABELLOOP_LABEL_STUDIO")}
        env |= {"LABELLOOP_CACHE_DIR": str(place / "cache"), "UV_CACHE_DIR": str(place / "uv"), "PIP_NO_CACHE_DIR": "1"}
        try:
            yield _figure("the demo, with empty caches", play(place, env), COLD)
            yield _figure("the demo, a second time", play(place, env), WARM)
            if not quick:
                yield _figure("the demo, a second time, with texts", play(place, env, "--text"), WARM)
        finally:
            subprocess.run(
                [*_labelloop(), "-C", "labelloop-demo", "stack", "down"],
                cwd=place,
                env=env,
                capture_output=True,
                check=False,
            )


def play(place: Path, env: Mapping[str, str], *options: str) -> float:
    """Run the demo to its end."""
    command = [*_labelloop(), "demo", *options]
    return seconds(lambda: subprocess.run(command, cwd=place, env=dict(env), stdout=subprocess.DEVNULL, check=True))


def _figure(what: str, took: float, limit: float) -> Figure:
    return Figure(what, [took], at_most=limit, unit="s", detail=f"{os.cpu_count()} processors")


def _labelloop() -> list[str]:
    return [str(Path(sys.executable).with_name("labelloop"))]
