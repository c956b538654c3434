"""A real proxy before a server: it passes some requests on and spoils the others, as bad networks and bad days do."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Literal

import httpx

Fate = Literal["passed", "500", "429", "timeout", "truncated", "refused", "lost"]
"""`lost` passes the request on and loses the answer; `truncated` halves it; the others keep it from the server."""

FAULTS: Sequence[Fate] = ("500", "429", "timeout", "truncated", "lost")
_HOP = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "content-encoding",
    "host",
    "accept-encoding",
}


@dataclass
class Weather:
    """How the proxy behaves now.

    Attributes:
        share: The share of requests that are spoiled, each in one of `faults`.
        down: Nothing is answered at all.
        requests: What came by: (seconds, method, path, fate).
    """

    share: float = 0.0
    faults: Sequence[Fate] = FAULTS
    down: bool = False
    random: Random = field(default_factory=lambda: Random(0))
    requests: list[tuple[float, str, str, Fate]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fate(self, method: str, path: str) -> Fate:
        """What befalls the next request."""
        with self._lock:
            chosen = self.random.choice(list(self.faults)) if self.random.random() < self.share else "passed"
            fate: Fate = "refused" if self.down else chosen
            self.requests.append((time.monotonic(), method, path.split("?", maxsplit=1)[0], fate))
            return fate

    def seen(self) -> Counter[Fate]:
        """Requests by their fate."""
        with self._lock:
            return Counter(fate for *_, fate in self.requests)


@contextmanager
def proxy(target: str, weather: Weather, patience: float = 2.0) -> Iterator[str]:
    """The address of a proxy before `target`; a timeout keeps its client waiting for `patience` seconds."""
    forward = httpx.Client(base_url=target, timeout=600.0, trust_env=False)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fate = weather.fate(self.command, self.path)
            self.close_connection = True
            if fate in ("500", "429"):
                self._say(int(fate), b'{"detail": "spoiled"}', {"Retry-After": "0"} if fate == "429" else {})
            elif fate == "timeout":
                time.sleep(patience)
            elif fate != "refused":
                headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
                answer = forward.request(self.command, self.path, content=body, headers=headers)
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
                if fate != "lost":
                    self._say(answer.status_code, answer.content, kept, cut=fate == "truncated")

        def _say(self, status: int, body: bytes, headers: Mapping[str, str], *, cut: bool = False) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) or int(cut)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815 - names of the standard library

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            forward.close()
