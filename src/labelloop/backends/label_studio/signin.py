"""A link that opens our own Label Studio signed in: nobody types a password that labelloop made."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from urllib.parse import urlsplit

import httpx

from labelloop.errors import BackendError

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
"""Linux's own: whose each connection is."""

SILENCE = 10.0
"""Seconds that a connection may say nothing."""

_FORM_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


@contextmanager
def signed_in_link(page: str, email: str, password: str) -> Iterator[tuple[str, Event]]:
    """A one-time address that signs the browser in and leads to `page`, and the event of its use.

    It works because browsers share cookies between the ports of one host: a server on a port of its own hands the
    session over and sends the browser on. The address holds a random key, works once, and only while the block lasts;
    on Linux for this user alone, since others of the machine can read it among the arguments of the browser.

    Raises:
        BackendError: Label Studio does not take the email and password.
    """
    session = sign_in(page, email, password)
    key, used = secrets.token_urlsafe(24), Event()
    once = Lock()

    class Handler(BaseHTTPRequestHandler):
        timeout = SILENCE

        def do_GET(self) -> None:
            known = secrets.compare_digest(self.path.encode(), f"/{key}".encode())
            if not known or is_of_another(self.client_address[1], server.server_port) or not once.acquire(False):
                self.send_error(404)
                return
            self.send_response(302)
            self.send_header("Set-Cookie", f"sessionid={session}; Path=/; HttpOnly; SameSite=Lax")
            self.send_header("Location", page)
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            used.set()

        def log_message(self, *_: object) -> None:
            """Say nothing: the address is a secret."""

    host = urlsplit(page).hostname or "127.0.0.1"
    with _Server((host, 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{host}:{server.server_port}/{key}", used
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    """Browsers open connections ahead, and say nothing on them: these hold up neither the one that asks, nor us."""

    daemon_threads, block_on_close = True, False


def is_of_another(theirs: int, ours: int, tables: Sequence[Path] = TABLES) -> bool:
    """Whether a connection from port to port of this machine belongs to another user than us, and than root.

    Where the system does not tell, as on macOS or through a tunnel, it is taken for ours: it has the key.
    """
    for table in tables:
        try:
            lines = table.read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for words in map(str.split, lines):
            if (_port(words[1]), _port(words[2])) == (theirs, ours):
                return int(words[7]) not in (os.getuid(), 0)
    return False


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def sign_in(page: str, email: str, password: str) -> str:
    """The session of a user, through the form a person would fill in."""
    where = urlsplit(page)
    form = f"{where.scheme}://{where.netloc}/user/login/"
    try:
        with httpx.Client(trust_env=False, timeout=60.0) as client:
            token = _FORM_TOKEN.search(client.get(form).text)
            answer = client.post(
                form,
                data={"email": email, "password": password, "csrfmiddlewaretoken": token[1] if token else ""},
                headers={"Referer": form},
            )
            session = client.cookies.get("sessionid")
    except httpx.HTTPError as error:
        raise BackendError(
            f"Label Studio at {form} does not answer: {error}", "labelloop stack up", retryable=True
        ) from error
    if answer.status_code != httpx.codes.FOUND or not session:
        raise BackendError(
            f"Label Studio at {form} did not sign {email} in (HTTP {answer.status_code})",
            "was the password changed there? labelloop stack down, then labelloop stack up",
        )
    return session
