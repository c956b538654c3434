"""What no command foresaw: two sentences and a report file, which holds no secret and nothing of the items."""

from __future__ import annotations

import errno
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click

import labelloop
from labelloop.errors import BackendError, LabelLoopError
from labelloop.errors.masking import MASK, masked
from labelloop.workspace.root import STATE, find_root

if TYPE_CHECKING:
    from types import TracebackType

EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h."""

FOLDER = "crashes"
DEEPEST = 60
"""Frames of a traceback that are kept: those of a recursion without end are all alike."""


def told(error: Exception, words: Sequence[str], command: click.Command, *, debug: bool = False) -> LabelLoopError:
    """The error that a user is told instead, with its exit code; for what is nobody's plan a report file is written.

    Args:
        error: What came.
        words: The arguments of the command line.
        command: The command that they went to.
        debug: Print the traceback as well.
    """
    if debug:
        print(masked("".join(traceback.format_exception(error))), file=sys.stderr)  # noqa: T201
    known = _of_the_machine(error)
    if known is not None:
        return known
    where = _written(error, words, command)
    unforeseen = LabelLoopError(
        f"labelloop failed in a way that it does not know: {type(error).__name__}",
        f"what is saved stays as it is; {where}; --debug shows it here",
    )
    unforeseen.exit_code = EXIT_CODE
    return unforeseen


def _of_the_machine(error: Exception) -> BackendError | None:
    """In words, where disk or memory are to blame."""
    if isinstance(error, MemoryError):
        return BackendError("the memory of this machine is used up", "free some, or choose a smaller loop.batch")
    if isinstance(error, OSError) and error.errno is not None and isinstance(error.filename, str | bytes):
        reason = error.strerror or type(error).__name__
        hint = "free space on its disk" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "correct what is there"
        name = os.fsdecode(error.filename)
        return BackendError(f"{name}: {reason}", f"{hint}, or its permissions, then run again: nothing is lost")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE):
        return BackendError(f"this machine failed: {error.strerror}", "free space, or mend its disk, then run again")
    return None


def _written(error: Exception, words: Sequence[str], command: click.Command) -> str:
    """Where the report is, in words."""
    report = "\n".join(_report(error, words, command))
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    with suppress(OSError):
        for folder in _folders(words):
            path = folder / f"crash-{now}-{os.getpid()}.txt"
            with suppress(OSError):
                folder.mkdir(mode=0o700, exist_ok=True)
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(report)
                return f"send the report {path}, which holds no secret and nothing of your items"
    return "there is no room for a report"


def _folders(words: Sequence[str]) -> Iterator[Path]:
    given = [after for word, after in pairwise(words) if word in ("-C", "--workspace")]
    try:
        home = find_root(Path(given[0]) if given else Path.cwd()) / STATE
    except (OSError, LabelLoopError, ValueError):
        home = None
    if home is not None and home.is_dir():
        yield home / FOLDER
    yield Path(tempfile.mkdtemp(prefix="labelloop-crash-"))


def _report(error: BaseException, words: Sequence[str], command: click.Command) -> Iterator[str]:
    """Where it happened and under which versions. No message of a foreign error: it may quote a text or a password."""
    yield f"labelloop {labelloop.__version__}, Python {platform.python_version()}, {platform.platform()}"
    yield f"encoding {sys.stdout.encoding if sys.stdout else None}, {sys.getfilesystemencoding()}"
    yield "command: labelloop " + " ".join(_without_values(words, command))
    found: BaseException | None = error
    while found is not None:
        yield ""
        yield f"{type(found).__module__}.{type(found).__qualname__}"
        yield from _frames(found.__traceback__)
        found = found.__cause__ or found.__context__


def _frames(trace: TracebackType | None) -> Iterator[str]:
    frames = traceback.extract_tb(trace)
    for one in [*frames[: DEEPEST // 2], *frames[DEEPEST // 2 :][-DEEPEST // 2 :]]:
        yield f"  {one.filename}:{one.lineno} {one.name}: {one.line}"


def _without_values(words: Sequence[str], command: click.Command) -> Iterator[str]:
    """The names of commands and options; whatever else was typed is masked."""
    group: click.Command | None = command
    for word in words:
        if isinstance(group, click.Group) and word in group.list_commands(click.Context(group)):
            group = group.get_command(click.Context(group), word)
            yield word
        elif word.startswith("-"):
            name, equals, _ = word.partition("=")
            yield (name if name.startswith("--") else name[:2]) + (f"={MASK}" if equals else "")
        else:
            yield MASK
