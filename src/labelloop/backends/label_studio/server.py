"""A Label Studio server of our own: started as a daemon, found again, stopped."""

from __future__ import annotations

import errno
import json
import os
import secrets as randomness
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.environment import (
    DATABASE,
    DEFAULT_VERSION,
    child_environment,
    ensure_environment,
    ensure_template,
    tail,
)
from labelloop.backends.label_studio.locks import is_held, locked
from labelloop.backends.label_studio.repeats import Repeats
from labelloop.backends.label_studio.served import Root
from labelloop.backends.label_studio.upgrade import upgrade
from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.protocols import Progress, SecretsManager, silent

DEFAULT_PORT = 8093
MANAGED_SECRET = "label-studio-managed"  # noqa: S105 - the name of a secret, not one
EMAIL = "annotator@labelloop.example"

_HERE = Path(__file__).parent
_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_START_TIMEOUT = 180.0
_MOVE_TIMEOUT = 60.0
_PORTS_TRIED = 200


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A running server."""

    url: str
    port: int
    pid: int
    version: str


class Server:
    """One Label Studio with its data under `home`, at most one process of it at a time.

    Args:
        home: Where its data, its log and its lock live.
        secrets: Keeps email, password and token under `secret`; made at the first start.
        port: The port to take, or the first free one after it.
        root: Files below it may be shown to annotators who signed in; its own folder of links where None is given.
        version: The Label Studio to install.
        secret: The name of the secret.
        hosts: More names, with commas, under which it may be asked for.
        surroundings: More variables for the server's process, asked for when it starts.

    Attributes:
        home: The folder, absolute.
        log: What the process writes.
        surroundings: As given; what is put in its place counts from the next start.
    """

    def __init__(
        self,
        home: Path,
        secrets: SecretsManager,
        *,
        port: int = DEFAULT_PORT,
        root: Root | None = None,
        version: str = DEFAULT_VERSION,
        secret: str = MANAGED_SECRET,
        hosts: str = "",
        surroundings: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self.home = home.absolute()
        self.log = self.home / "server.log"
        self._secrets = secrets
        self._port = port
        self._root = root or Root(self.home / "served", linked=True)
        self._hosts = hosts
        self._version = version
        self._secret = secret
        self.surroundings = surroundings

    def up(self, progress: Progress = silent) -> ServerInfo:
        """Have the server running and answering us; returns at once when it is.

        Raises:
            BackendError: It cannot be installed or does not come up; carries the last lines of its log.
        """
        with locked(self.home / "up.lock", "starts or stops this Label Studio", progress):
            running = self.state()
            if running and self.serves() is not None and self._answers(running, progress):
                return running
            self._stop(progress)
            python = ensure_environment(self._version, progress)
            self._ensure_data(python, progress)
            return self._start(python, progress)

    def down(self, progress: Progress = silent) -> None:
        """Stop the server if it runs; its data stays."""
        with locked(self.home / "up.lock", "starts or stops this Label Studio", progress):
            self._stop(progress)

    def state(self) -> ServerInfo | None:
        """The running server, None when it is down. Looks at its lock only: no request is made."""
        if not is_held(self.home / "server.lock"):
            return None
        try:
            where = json.loads((self.home / "server.json").read_text())
            pid, port = int(where["pid"]), int(where["port"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return ServerInfo(f"http://127.0.0.1:{port}", port, pid, self._version)

    def serves(self) -> Root | None:
        """What the running server serves files from; None for one that an older labelloop started, without a guard."""
        try:
            place = str(json.loads((self.home / "server.json").read_text())["root"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Root(Path(place), linked=Path(place) == self.home / "served")

    def credentials(self) -> Mapping[str, str]:
        """Email, password and token of the user who owns everything here, made now if there are none.

        Raises:
            BackendError, ConfigError: Whatever the secrets manager raises.
        """
        try:
            kept = self._secrets.get(self._secret)
        except NotFoundError:
            kept = {}
        if all(kept.get(key) for key in ("email", "password", "token")):
            return kept
        made = {"email": EMAIL, "password": randomness.token_urlsafe(12), "token": randomness.token_hex(20)}
        self._secrets.set(self._secret, made)
        return made

    def _answers(self, running: ServerInfo, progress: Progress) -> bool:
        """Whether the running server knows us, after a repair of its user if it does not."""
        try:
            return self._wait(running, lambda: is_held(self.home / "server.lock"), 60.0, progress)
        except ConfigError:  # the secret was lost or replaced
            self._bootstrap(ensure_environment(self._version, progress), self.home / "data", progress)
            return self._wait(running, lambda: is_held(self.home / "server.lock"), 20.0, progress)

    def _ensure_data(self, python: Path, progress: Progress) -> None:
        """Build the data folder elsewhere and move it into place whole, so that a kill leaves none or all of it."""
        if (self.home / "data" / DATABASE).exists():
            return
        template = ensure_template(python, self._version, progress)
        try:
            for half_made in self.home.glob("making-*"):
                shutil.rmtree(half_made, ignore_errors=True)
            making = Path(tempfile.mkdtemp(prefix="making-", dir=self.home))
            shutil.copyfile(template, making / DATABASE)
        except OSError as error:
            raise _disk_failure(self.home, error) from error
        self._bootstrap(python, making, progress)
        making.replace(self.home / "data")

    def _bootstrap(self, python: Path, data: Path, progress: Progress) -> None:
        """Put our user into the database; her secrets travel through a pipe, never through argv or environment."""
        progress("creating Label Studio's user", 0, None)
        user = {key: self.credentials()[key] for key in ("email", "password", "token")}
        done = subprocess.run(
            [str(python), str(_HERE / "bootstrap.py"), "user"],
            input=json.dumps(user),
            env=self._environment(data),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = tail(done.stdout + done.stderr)
            for value in (user["password"], user["token"]):
                said = said.replace(value, "...")
            raise BackendError(
                f"Label Studio's user could not be created in {data}:\n{said}",
                "read the lines above, then run the command again",
            )

    def _start(self, python: Path, progress: Progress) -> ServerInfo:
        port = self._port
        upgrade(self.home, self.home / "data" / DATABASE, self._root.path if self._root.linked else None)
        for _ in range(3):
            port = free_port(port)
            running = self._launch(python, port, progress)
            if running:
                return running
            port += 1  # somebody else took the port between our look and the server's
        raise BackendError(
            f"Label Studio found no free port from {self._port} on",
            "set another port for the annotator",
            retryable=True,
        )

    def _launch(self, python: Path, port: int, progress: Progress) -> ServerInfo | None:
        """Start one process and wait for it; None when the port turned out to be taken."""
        try:
            if self.log.exists():
                self.log.replace(self.log.with_suffix(".log.old"))
            with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
                process = subprocess.Popen(
                    [str(python), str(_HERE / "serve.py"), str(self.home), str(port)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.home,
                    env=self._environment(self.home / "data"),
                    start_new_session=True,
                )
        except OSError as error:
            raise _disk_failure(self.home, error) from error
        info = ServerInfo(f"http://127.0.0.1:{port}", port, process.pid, self._version)
        try:
            if self._wait(info, lambda: process.poll() is None, _START_TIMEOUT, progress):
                return info
        except ConfigError:  # whoever answered does not know us: ours is still waking up, and about to see that
            if not _will_move(self.log, port, process):
                process.terminate()
                process.wait()
                raise
        if not _moved(self.log, port):
            raise _failure(self.log, process)
        process.terminate()
        process.wait()
        return None

    def _wait(self, info: ServerInfo, alive: Callable[[], bool], timeout: float, progress: Progress) -> bool:
        """Whether the server of this address came to know our token within the time.

        Only our own database knows our token, so a stranger at the same port is never mistaken for it.
        """
        client = Client(info.url, self.credentials()["token"], repeats=Repeats(attempts=1))
        started = time.monotonic()
        while alive() and not _moved(self.log, info.port):
            progress("starting Label Studio", int(time.monotonic() - started), None)
            if _is_listening(info.port):
                try:
                    client.whoami()
                    return True
                except BackendError:
                    pass  # it is still waking up
            if time.monotonic() - started > timeout:
                return False
            time.sleep(0.1)
        return False

    def _stop(self, progress: Progress) -> None:
        for sign, patience in ((signal.SIGINT, 10.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 10.0)):
            running = self.state()
            if running is None:
                break
            progress("stopping Label Studio", 0, None)
            try:
                os.kill(running.pid, sign)
            except ProcessLookupError:
                break
            if _is_free(self.home / "server.lock", patience):
                break
        (self.home / "server.json").unlink(missing_ok=True)

    def _environment(self, data: Path) -> dict[str, str]:
        return child_environment(
            {
                **self.surroundings(),
                "LABEL_STUDIO_BASE_DATA_DIR": str(data),
                "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
                "LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "true",  # its guard knows what is ours
                "LABEL_STUDIO_ML_BLOCK_LOCAL_IP": "true",
                "LABEL_STUDIO_ALLOWED_HOSTS": ",".join([*_HOSTS, *filter(None, self._hosts.split(","))]),
                "LABEL_STUDIO_CORS_ALLOW_ALL_ORIGINS": "false",
                "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
                "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(self._root.path),
                "fflag_feat_utc_210_prediction_validation_15082025": "true",
                # predictions for open tasks without a recount of the whole project; ours are checked before
                "fflag_fix_back_4620_memory_efficient_predictions_import_08012025_short": "true",
            }
        )


def free_port(first: int) -> int:
    """The first port from `first` on that nobody listens on, neither on IPv4 nor on IPv6 loopback.

    Raises:
        BackendError: None among the next hundreds.
    """
    for port in range(first, min(first + _PORTS_TRIED, 65536)):
        if not _is_listening(port) and _can_bind(port):
            return port
    raise BackendError(f"no free port from {first} on", "set another port for the annotator")


def _is_listening(port: int) -> bool:
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.settimeout(1.0)
                if probe.connect_ex((host, port)) == 0:
                    return True
        except OSError:
            continue  # this machine has no such family
    return False


def _can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _moved(log: Path, port: int) -> bool:
    """Whether the server said that it silently went to another port because this one was taken."""
    try:
        return f"Port {port} is in use" in log.read_text(errors="replace")[:4000]
    except OSError:
        return False


def _will_move(log: Path, port: int, process: subprocess.Popen[bytes]) -> bool:
    """Whether the server comes to say so within a minute: it looks at the port only after its imports."""
    started = time.monotonic()
    while not _moved(log, port) and process.poll() is None and time.monotonic() - started < _MOVE_TIMEOUT:
        time.sleep(0.1)
    return _moved(log, port)


def _failure(log: Path, process: subprocess.Popen[bytes]) -> BackendError:
    said = tail(log.read_text(errors="replace"))
    code = process.poll()
    what = "did not become healthy in time" if code is None else f"ended with exit code {code} while starting"
    if code is None:
        process.terminate()
        process.wait()
    return BackendError(
        f"Label Studio {what}; the last lines of {log}:\n{said}",
        f"read {log}, then run the command again",
        retryable=True,
    )


def _is_free(lock: Path, patience: float) -> bool:
    started = time.monotonic()
    while is_held(lock):
        if time.monotonic() - started > patience:
            return False
        time.sleep(0.05)
    return True


def _disk_failure(home: Path, error: OSError) -> BackendError:
    hint = "free some disk space" if error.errno == errno.ENOSPC else "check the folder's permissions"
    return BackendError(f"Label Studio's folder {home} cannot be written: {error}", f"{hint} and run the command again")
