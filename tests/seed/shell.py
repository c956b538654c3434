"""A shell that commands are typed into, and the transcript of what was said."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from pathlib import Path

PATIENCE = 600
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Shell:
    """Bash in a folder, with labelloop on its PATH and a home of its own.

    Attributes:
        folder: Where commands are typed; `cd` moves it.
        home: What `~` is.
        variables: Environment variables on top of ours; `$NAME` in a line means them.
        lines: What was typed and what came back, in order.
    """

    folder: Path
    home: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def cd(self, folder: str) -> None:
        """Go into a folder that must exist."""
        self.lines.append(f"$ cd {folder}\n")
        self.folder = (self.folder / folder).resolve(strict=True)

    def types(self, line: str, *, code: int = 0, stdin: str = "") -> str:
        """Type one line; what came back. Fails if the command exits with another code."""
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=self.environment(),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        said = _COLOUR.sub("", done.stdout)
        self.lines.append(f"$ {line}\n{in_columns(said)}")
        assert done.returncode == code, f"exit code {done.returncode}, not {code}\n{self.transcript()}"
        return said

    def comment(self, words: str) -> None:
        """A heading of the transcript."""
        self.lines.append(f"\n# {words}\n")

    def transcript(self) -> str:
        """Everything so far; the folder it all happened in is left out."""
        return "".join(self.lines).replace(f"{self.home.parent}/", "/")

    def environment(self) -> dict[str, str]:
        """The environment of what is typed."""
        kept = {name: value for name, value in os.environ.items() if name in _KEPT}
        scripts = str(Path(sys.executable).parent)
        return {
            **kept,
            "HOME": str(self.home),
            "PATH": os.pathsep.join([scripts, os.environ["PATH"]]),
            "LABELLOOP_CACHE_DIR": os.environ.get("LABELLOOP_CACHE_DIR", str(Path.home() / ".cache" / "labelloop")),
            "COLUMNS": "140",
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.variables,
        }


def in_columns(said: str) -> str:
    """What was said, with values that tabs separate below each other, as a person reads them."""
    shown: list[str] = []
    for has_tabs, block in groupby(said.splitlines(), lambda line: "\t" in line):
        rows = [line.split("\t") for line in block]
        widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
        shown += ["  ".join(map(str.ljust, row, widths)).rstrip() if has_tabs else row[0] for row in rows]
    return "".join(f"{line}\n" for line in shown)


_KEPT = {"LANG", "LC_ALL", "TMPDIR", "LABELLOOP_LABEL_STUDIO_ENV", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}


def options(values: Mapping[str, str]) -> str:
    """`--name=value` of each, quoted for a shell."""
    return " ".join(f"--{name}={shlex.quote(value)}" for name, value in values.items())


def files_with(value: str, folders: Sequence[Path], leave_out: Sequence[str] = ()) -> list[Path]:
    """The files below that hold a value, except those whose path has one of the words."""
    wanted, found = value.encode(), []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            left_out = any(word in str(path) for word in leave_out)
            if not left_out and path.is_file() and not path.is_symlink() and wanted in path.read_bytes():
                found.append(path)
    return found
