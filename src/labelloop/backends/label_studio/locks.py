"""One process at a time, and whoever waits is told so."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic

from labelloop.errors import BackendError
from labelloop.machine.privacy import alone
from labelloop.protocols import Progress


@contextmanager
def locked(path: Path, what: str, progress: Progress, timeout: float = 900.0) -> Iterator[None]:
    """Hold the lock file `path`, which the system releases even when the holder is killed.

    Raises:
        BackendError: Another process holds it for longer than `timeout` seconds, or it cannot be created.
    """
    started = monotonic()
    with ExitStack() as held:
        while True:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(alone(path, 0.5))
                break
            except OSError as error:
                if isinstance(error, TimeoutError) and monotonic() - started < timeout:
                    progress(f"waiting for another process that {what}", int(monotonic() - started), None)
                    continue
                raise _refusal(path, what, error) from error
        yield


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock file. Never creates, removes or keeps it."""
    try:
        with path.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _refusal(path: Path, what: str, error: OSError) -> BackendError:
    if isinstance(error, TimeoutError):
        return BackendError(
            f"another process {what} for too long; it holds {path}", "wait for it or stop it", retryable=True
        )
    return BackendError(
        f"cannot lock {path}: {error.strerror or error}", "check the folder's permissions and free space"
    )
