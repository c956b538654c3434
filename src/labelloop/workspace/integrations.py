"""What labelloop can work with beyond its own dependencies: what is installed, and installing it."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from time import monotonic
from typing import Any

from labelloop.errors import BackendError, ConfigError
from labelloop.machine.registry import resolve, unknown
from labelloop.protocols import Progress, silent

LABEL_STUDIO = "label_studio"

PURPOSES: Mapping[str, str] = {
    LABEL_STUDIO: "the annotator, in an environment of its own; `stack up` installs it too",
    "pytorch": "learners that fine-tune a network",
    "s3": "artifact store s3 (AWS, MinIO, ...), secrets manager aws",
    "gcp": "artifact store gcp, secrets manager gcp_secret_manager",
    "azure": "artifact store azure, secrets manager azure_key_vault",
    "vault": "secrets manager vault (HashiCorp Vault, OpenBao)",
    "keyring": "the key of the local secrets in the system's keyring",
    "image": "pictures, and their default backbone",
    "text": "the default backbone for texts",
    "spans": "the learner of text spans",
    "heif": "pictures of phones (HEIC)",
    "tables": "tables of Excel, and of other encodings than UTF-8",
    "huggingface": "backbones from Hugging Face",
    "report": "curves in the HTML report",
    "quality": "finding label errors, and asking again where people err",
    "postgres": "the ledger in PostgreSQL",
    "serve": "the loop as a service: hints from Label Studio, metrics",
}
"""Name -> what it is for; each but Label Studio is an extra of the package."""

ALIASES: Mapping[str, str] = {"aws": "s3", "google": "gcp", "torch": "pytorch", "hf": "huggingface", "openbao": "vault"}

_HINTS = (
    (
        "externally-managed-environment",
        "make a virtual environment (python3 -m venv .venv) and install labelloop there",
    ),
    ("no space left", "free some disk space and run the command again"),
    ("could not find a version", "check the network and the package index, then run the command again"),
    ("no solution found", "check the network and the package index, then run the command again"),
    ("resolution", "check the network (name resolution), then run the command again"),
    ("permission denied", "install into an environment that you may write"),
)


@dataclass(frozen=True, slots=True)
class Integration:
    """One integration.

    Attributes:
        name: Its name.
        purpose: What it is for.
        requirements: The packages it needs, as pip reads them; none for Label Studio, which lives elsewhere.
        missing: Those of them that are not installed.
        installed: Whether it can be used.
    """

    name: str
    purpose: str
    requirements: Sequence[str]
    missing: Sequence[str]
    installed: bool

    def as_dict(self) -> Mapping[str, Any]:
        """The integration for scripts."""
        return {
            "for": self.purpose,
            "installed": self.installed,
            "requirements": list(self.requirements),
            "missing": list(self.missing),
            "install": install_line(self.name),
        }


def integrations() -> Sequence[Integration]:
    """Every integration there is."""
    return [_look(name) for name in PURPOSES]


def install_line(name: str) -> str:
    """The command that installs it."""
    return f"labelloop integration install {name}"


def chosen(names: Iterable[str]) -> Sequence[Integration]:
    """The named integrations, each once.

    Raises:
        NotFoundError: There is none of this name.
    """
    found: dict[str, Integration] = {}
    for given in names:
        name = given.lower().replace("-", "_")
        name = ALIASES.get(name, name)
        if name not in PURPOSES:
            raise unknown("integration", given, list(PURPOSES))
        found[name] = _look(name)
    return list(found.values())


def command_for(wanted: Sequence[Integration]) -> Sequence[str]:
    """The command that installs what the integrations need into this environment; empty if they need nothing.

    Raises:
        ConfigError: There is neither pip nor uv.
    """
    requirements = sorted({one for integration in wanted for one in integration.requirements})
    return [*installer(), *requirements] if requirements else []


def installer() -> Sequence[str]:
    """How packages are installed here: this environment's pip, whose settings are the user's, else uv.

    Raises:
        ConfigError: There is neither.
    """
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-P", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-P", "-m", "uv", "pip", "install", "--python", sys.executable]
    if found := shutil.which("uv"):
        return [found, "pip", "install", "--python", sys.executable]
    raise ConfigError(f"there is neither pip nor uv for {sys.executable}", f"{sys.executable} -m ensurepip")


def install(wanted: Sequence[Integration], progress: Progress = silent) -> None:
    """Install what is missing; Label Studio into its own environment. Safe to repeat.

    Raises:
        ConfigError: There is neither pip nor uv.
        BackendError: The installer failed; the message ends with its last lines.
    """
    if command := command_for([one for one in wanted if not one.installed]):
        run(command, f"installing {', '.join(one.name for one in wanted if one.requirements)}", progress)
    if any(one.name == LABEL_STUDIO for one in wanted):
        resolve("annotator", LABEL_STUDIO).install(progress)


def dry_run(wanted: Sequence[Integration]) -> Sequence[str]:
    """What `install` would do, a line each."""
    lines = [f"{one.name}: installed already" for one in wanted if one.installed]
    missing = [one for one in wanted if not one.installed]
    command = command_for(missing)
    lines += [shlex.join(command)] if command else []
    if any(one.name == LABEL_STUDIO for one in missing):
        lines.append("Label Studio is installed into an environment of its own in the user's cache folder")
    return lines


def _look(name: str) -> Integration:
    if name == LABEL_STUDIO:
        return Integration(name, PURPOSES[name], [], [], installed=resolve("annotator", LABEL_STUDIO).is_installed())
    requirements = _requirements(name)
    missing = [one for one in requirements if not is_there(one)]
    return Integration(name, PURPOSES[name], requirements, missing, installed=not missing)


def _requirements(extra: str) -> list[str]:
    """What an extra of the package needs, from its metadata."""
    found = []
    for line in metadata.requires("labelloop") or []:
        requirement, _, marker = line.partition(";")
        if re.search(rf"""extra\s*==\s*['"]{re.escape(extra)}['"]""", marker):
            found.append(requirement.strip())
    return sorted(found)


def is_there(requirement: str) -> bool:
    """Whether some version of it is installed."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    try:
        return bool(name and metadata.version(name[0]))
    except metadata.PackageNotFoundError:
        return False


def run(command: Sequence[str], what: str, progress: Progress) -> None:
    """Have an installer do this.

    Raises:
        BackendError: It could not; its own words are told.
    """
    with tempfile.TemporaryFile() as output:
        # elsewhere than in the folder of the data, which may hold a uv.toml
        process = subprocess.Popen(command, cwd=sys.prefix, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        started = monotonic()
        try:
            while process.poll() is None:
                progress(what, int(monotonic() - started), None)
                try:
                    process.wait(timeout=0.2)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        output.seek(0)
        said = output.read().decode(errors="replace")
    if process.returncode != 0:
        raise BackendError(f"{what} failed:\n{_tail(said)}", _hint(said), retryable=True)


def _tail(said: str) -> str:
    return "\n".join(f"  {line.rstrip()}" for line in [one for one in said.splitlines() if one.strip()][-12:])


def _hint(said: str) -> str:
    return next((hint for sign, hint in _HINTS if sign in said.lower()), "read the lines above, then run it again")
