"""How long the command line takes beside `zenml stack list` and Python itself, and which heavy modules it imports."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from labelloop.machine.privacy import cache_folder

from figure import Figure, pairs, ratio, seconds

ZENML = "zenml[local]==0.98.0"
LIMIT = 1 / 8
OVER_PYTHON = 8.0
"""How many times as long as Python itself the two quickest commands may take."""
HEAVY = (
    *("boto3", "cryptography", "fsspec", "httpx", "label_studio_sdk", "matplotlib", "numpy", "onnxruntime", "pandas"),
    *("PIL", "pyarrow", "pydantic", "ray", "rich", "scipy", "sklearn", "sqlalchemy", "starlette", "tokenizers"),
    "torch",
)
"""What neither `--help` nor `stack list` may import."""

_PROBE = """
import json, sys
from labelloop.cli import run
code = run(sys.argv[2:])
print(json.dumps([code, [name for name in sys.argv[1].split() if name in sys.modules]]), file=sys.stderr)
"""


def figures(quick: bool) -> Iterator[Figure]:
    """`labelloop --help` and `stack list` over `zenml stack list`; heavy imports, which must be none."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "labelloop.toml").write_text('[dataset]\nname = "bench"\nlabels = ["cat", "dog"]\n')
        for command in (["--help"], ["stack", "list"]):
            yield heavy_imports(command, place)
            yield beside_python(command, place, 5 if quick else 15)
        home = zenml_home()
        zenml = zenml_command(home, place / "zenml")
        for command in (["--help"], ["stack", "list"]):
            yield beside_zenml(command, zenml, place, home, 3 if quick else 7)


def heavy_imports(command: Sequence[str], place: Path) -> Figure:
    """How many heavy modules a command imports."""
    probe = [sys.executable, "-c", _PROBE, " ".join(HEAVY), *command]
    said = subprocess.run(probe, cwd=place, capture_output=True, text=True, check=True).stderr
    code, found = json.loads(said.splitlines()[-1])
    if code:
        raise RuntimeError(f"labelloop {' '.join(command)} ended with {code}: {said}")
    what = f"labelloop {' '.join(command)}: heavy imports"
    return Figure(what, [len(found)], at_most=0, unit="", detail=", ".join(found) or f"none of {len(HEAVY)}")


def beside_python(command: Sequence[str], place: Path, repeats: int) -> Figure:
    """The wall time of a command over that of a Python that does nothing, both with their byte code at hand."""
    labelloop = [str(Path(sys.executable).with_name("labelloop")), *command]
    env = environment(place / "python", place)

    def timed(command: Sequence[str]) -> float:
        return seconds(lambda: subprocess.run(command, cwd=place, env=env, stdout=subprocess.DEVNULL, check=True))

    timed(labelloop)
    taken = pairs(lambda _: timed(labelloop), lambda _: timed([sys.executable, "-c", "pass"]), repeats)
    return ratio(f"labelloop {' '.join(command)} / python -c pass", taken, at_most=OVER_PYTHON)


def beside_zenml(command: Sequence[str], zenml: Sequence[str], place: Path, home: Path, repeats: int) -> Figure:
    """The wall time of a command over that of `zenml stack list`."""
    labelloop = [str(Path(sys.executable).with_name("labelloop")), *command]
    env = environment(home, place)
    taken = pairs(
        lambda _: seconds(lambda: on_terminal(labelloop, place, env)),
        lambda _: seconds(lambda: on_terminal(zenml, place / "zenml", env)),
        repeats,
    )
    return ratio(f"labelloop {' '.join(command)} / zenml stack list", taken, at_most=LIMIT)


def on_terminal(command: Sequence[str], place: Path, env: Mapping[str, str]) -> None:
    """Run a command as a person would, its output on a terminal."""
    screen, terminal = pty.openpty()
    try:
        subprocess.run(
            command, cwd=place, env=env, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, check=True
        )
    finally:
        os.close(terminal)
        os.close(screen)


def environment(home: Path, place: Path) -> dict[str, str]:
    """Both write and read byte code in the same place, report nothing, and keep their settings in a scratch folder."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **kept,
        "PYTHONPYCACHEPREFIX": str(home.parent / "pycache"),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_CONFIG_PATH": str(place / "zenml-config"),
        "ZENML_DEFAULT_ANALYTICS_OPT_IN": "false",
        "AUTO_OPEN_DASHBOARD": "false",
        "TERM": "xterm-256color",
        "COLUMNS": "120",
    }


def zenml_command(home: Path, place: Path) -> list[str]:
    """`zenml stack list` in a folder that has been initialised."""
    place.mkdir()
    zenml = str(home / "bin" / "zenml")
    subprocess.run([zenml, "init"], cwd=place, env=environment(home, place.parent), capture_output=True, check=True)
    return [zenml, "stack", "list"]


def zenml_home() -> Path:
    """A virtual environment with ZenML alone, made by the first benchmark and kept in the user's cache."""
    cache = Path(os.environ.get("LABELLOOP_CACHE_DIR") or cache_folder())
    home = cache / "benchmarks" / "zenml-0.98.0"
    if (home / "complete").exists():
        return home
    shutil.rmtree(home, ignore_errors=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    print(f"installing {ZENML} into {home} ...", file=sys.stderr)
    uv = [sys.executable, "-m", "uv"] if find_spec("uv") else ["uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(home)], check=True)
    python = str(home / "bin" / "python")
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, ZENML], check=True)
    (home / "complete").touch()
    return home
