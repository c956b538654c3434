"""A virtual environment for Label Studio and a migrated empty database, made once per user and shared."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic

from labelloop.backends.label_studio.locks import locked
from labelloop.errors import BackendError, ConfigError
from labelloop.machine.privacy import cache_folder
from labelloop.protocols import Progress, silent

DEFAULT_VERSION = "1.23.2"
"""The Label Studio version labelloop is tested with."""

ENV_VARIABLE = "LABELLOOP_LABEL_STUDIO_ENV"
CACHE_VARIABLE = "LABELLOOP_CACHE_DIR"
DATABASE = "label_studio.sqlite3"

LOCK = Path(__file__).with_name("label-studio.lock")
"""That version with all it depends on, each file by its digest; an index of the user's brings them."""

_BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
_NEWEST_PYTHON = (3, 14)  # numpy 2.2, which this Label Studio needs, has no wheels from here on
_HINTS = (
    ("No space left", "free some disk space (Label Studio needs about 1 GB) and run the command again"),
    ("hash", "ask who changed your package index, or name an environment of your own with LABELLOOP_LABEL_STUDIO_ENV"),
    ("ensurepip", "install the system's venv package (python3-venv), or uv, and run the command again"),
    ("Could not find a version", "check the network and the package index, then run the command again"),
    ("resolution", "check the network (name resolution), then run the command again"),
)


def ensure_environment(version: str = DEFAULT_VERSION, progress: Progress = silent) -> Path:
    """The python of an environment with Label Studio, installed now if it is not there yet.

    The environment named by LABELLOOP_LABEL_STUDIO_ENV is used as it is; otherwise one lives under the user's
    cache folder (LABELLOOP_CACHE_DIR moves it). Safe to call from several processes and after a kill.

    Raises:
        ConfigError: LABELLOOP_LABEL_STUDIO_ENV names no environment with Label Studio.
        BackendError: The installation failed; carries the last lines the installer said.
    """
    given = os.environ.get(ENV_VARIABLE, "")
    if given:
        return _given_python(Path(given).absolute())
    home = _cache() / f"label-studio-{version}"
    if (home / "complete").exists():
        return _python(home)
    with locked(home.with_name(home.name + ".lock"), "installs Label Studio", progress):
        if not (home / "complete").exists():
            _build(home, version, progress)
    return _python(home)


def is_there(version: str = DEFAULT_VERSION) -> bool:
    """Whether `ensure_environment` would have nothing to install."""
    given = os.environ.get(ENV_VARIABLE, "")
    return _python(Path(given)).exists() if given else (_cache() / f"label-studio-{version}" / "complete").exists()


def ensure_template(python: Path, version: str = DEFAULT_VERSION, progress: Progress = silent) -> Path:
    """A SQLite file with all of Label Studio's migrations applied and nobody in it.

    Migrating takes half a minute, copying the result does not.

    Raises:
        BackendError: Label Studio could not make it.
    """
    template = _cache() / f"label-studio-{version}.template" / DATABASE
    if template.exists():
        return template
    with locked(template.parent.with_name(template.parent.name + ".lock"), "prepares Label Studio", progress):
        if not template.exists():
            _migrate(python, template, progress)
    return template


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """What a Label Studio process may see: a few harmless variables of ours and `extra`.

    Label Studio reads bare HOST, PORT, USERNAME, PASSWORD, DEBUG, SECRET_KEY and others, so nothing else passes.
    """
    harmless = ("PATH", "HOME", "LANG", "LANGUAGE", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
    kept = {name: value for name, value in os.environ.items() if name in harmless or name.startswith("LC_")}
    quiet = {
        "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
        "LABEL_STUDIO_SENTRY_DSN": "",
        "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
        "LABEL_STUDIO_AZURE_MOUNT_FIX": "1",  # its name for SQLite's WAL mode
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
    }
    return {**kept, **quiet, **extra}


def watch(command: Sequence[str], what: str, progress: Progress, env: Mapping[str, str] | None = None) -> str:
    """Run a command to its end, telling `progress` the seconds it takes; what it printed.

    Raises:
        BackendError: It failed or could not be started; the message ends with its last lines.
    """
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command,
                cwd=sys.prefix,  # elsewhere than in the folder of the data, which may hold a uv.toml
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=env,
            )
        except OSError as error:
            raise BackendError(f"{what} failed: {error}", "check that the program exists and may run") from error
        try:
            _wait(process, what, progress)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        output.seek(0)
        said = output.read().decode(errors="replace")
    if process.returncode != 0:
        raise BackendError(f"{what} failed:\n{tail(said)}", _hint(said), retryable=True)
    return said


def tail(text: str, lines: int = 12) -> str:
    """The last lines of a program's output, indented."""
    kept = [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]
    return "\n".join(f"  {line}" for line in kept)


def _cache() -> Path:
    return Path(os.environ.get(CACHE_VARIABLE) or cache_folder()).absolute()


def _python(home: Path) -> Path:
    return home / "bin" / "python"


def _given_python(home: Path) -> Path:
    python = _python(home)
    if python.exists() and any(home.glob("lib/python*/site-packages/label_studio")):
        return python
    raise ConfigError(
        f"{ENV_VARIABLE} is {str(home)!r}, which is no virtual environment with Label Studio",
        f"unset {ENV_VARIABLE} to let labelloop install one, or install label-studio=={DEFAULT_VERSION} there",
    )


def _build(home: Path, version: str, progress: Progress) -> None:
    what = f"installing Label Studio {version}"
    try:
        shutil.rmtree(home, ignore_errors=True)  # half of an installation that was interrupted
        home.parent.mkdir(parents=True, exist_ok=True)
        for command in installation(home, version):
            watch(command, what, progress)
        (home / "complete").write_text(version)
    except OSError as error:
        raise BackendError(f"{what} failed: {error}", _hint(str(error))) from error


def installation(home: Path, version: str) -> list[list[str]]:
    """The commands that install Label Studio, in order."""
    locked_by = ["--require-hashes", "--requirement", str(LOCK)]
    wanted = locked_by if version == DEFAULT_VERSION else [f"label-studio=={version}"]
    uv = uv_command()
    if uv:
        interpreter = sys.executable if sys.version_info < _NEWEST_PYTHON else "3.13"
        return [
            [*uv, "venv", "--python", interpreter, str(home)],
            [*uv, "pip", "install", "--compile-bytecode", "--python", str(_python(home)), *wanted],
        ]
    return [
        [sys.executable, "-P", "-m", "venv", str(home)],
        [str(_python(home)), "-P", "-m", "pip", "install", "--disable-pip-version-check", *wanted],
    ]


def uv_command() -> list[str]:
    """How uv is called here; empty where it is not."""
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-P", "-m", "uv"]
    found = shutil.which("uv")
    return [found] if found else []


def _migrate(python: Path, template: Path, progress: Progress) -> None:
    template.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=template.parent) as scratch:
        env = child_environment({"LABEL_STUDIO_BASE_DATA_DIR": scratch, "LABEL_STUDIO_AZURE_MOUNT_FIX": ""})
        watch([str(python), str(_BOOTSTRAP), "migrate"], "preparing Label Studio's database", progress, env)
        (Path(scratch) / DATABASE).replace(template)


def _wait(process: subprocess.Popen[bytes], what: str, progress: Progress) -> None:
    started = monotonic()
    while process.poll() is None:
        progress(what, int(monotonic() - started), None)
        try:
            process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            continue


def _hint(said: str) -> str:
    for sign, hint in _HINTS:
        if sign.lower() in said.lower():
            return hint
    return "read the lines above, then run the command again"
