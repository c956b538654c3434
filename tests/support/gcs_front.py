"""Google's XML way of writing, in front of fake-gcs-server, which reads and lists in XML but writes in JSON only.

Simple and multipart uploads are translated, the labels of buckets, which it forgets, are remembered, and everything
else is passed on: both ways see the same objects.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import httpx

_BUCKET = re.compile(r"/storage/v1/b(?:/([^/]+))?")
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "date", "server"}


class _Front(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    behind: str
    client: httpx.Client
    uploads: dict[str, dict[int, bytes]]
    labels: dict[str, dict[str, str]]
    numbers: Any

    def handle_any(self) -> None:
        """Answer what needs a translation, pass on the rest."""
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        bucket, _, name = parts.path.lstrip("/").partition("/")
        if not name or bucket in ("storage", "upload", "download", "_internal", "b", "batch") or "uploadType" in query:
            self._pass_on(body)
        elif self.command == "POST" and "uploads" in query:
            self._begin(bucket, name)
        elif "uploadId" in query:
            self._continue(bucket, name, query, body)
        elif self.command == "PUT" and "X-Goog-Signature" not in query:
            self._answer_as(self._put(bucket, name, body))
        else:
            self._pass_on(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = do_OPTIONS = handle_any  # noqa: N815

    def _begin(self, bucket: str, name: str) -> None:
        known = self.client.get(f"{self.behind}/storage/v1/b/{bucket}")
        if known.status_code != 200:
            self._answer_as(known)
            return
        upload = f"upload-{next(self.numbers)}"
        self.uploads[upload] = {}
        self._xml(
            f"<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{name}</Key>"
            f"<UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        )

    def _continue(self, bucket: str, name: str, query: dict[str, str], body: bytes) -> None:
        upload = query["uploadId"]
        if self.command == "PUT":
            self.uploads[upload][int(query["partNumber"])] = body
            self._send(200, b"", {"ETag": f'"{md5(body).hexdigest()}"'})
        elif self.command == "DELETE":
            del self.uploads[upload]
            self._send(204, b"", {})
        else:
            parts = self.uploads.pop(upload)
            answer = self._put(bucket, name, b"".join(parts[number] for number in sorted(parts)))
            etag = answer.json().get("etag", "")
            self._xml(f'<CompleteMultipartUploadResult><ETag>"{etag}"</ETag></CompleteMultipartUploadResult>')

    def _put(self, bucket: str, name: str, body: bytes) -> httpx.Response:
        return self.client.post(
            f"{self.behind}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(unquote(name), safe='')}",
            content=body,
            headers={"Content-Type": self.headers.get("Content-Type") or "application/octet-stream"},
        )

    def _answer_as(self, answer: httpx.Response) -> None:
        """A JSON answer in XML's way: an ETag in the header, Google's own code for a bucket that is not there."""
        if answer.status_code == 404:
            self._send(404, b"<Error><Code>NoSuchBucket</Code></Error>", {"Content-Type": "application/xml"})
            return
        tag = answer.json().get("etag", "") if answer.status_code == 200 else ""
        self._send(answer.status_code, b"" if tag else answer.content, {"ETag": f'"{tag}"'} if tag else {})

    def _pass_on(self, body: bytes) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP - {"host"}}
        answer = self.client.request(self.command, self.behind + self.path, content=body or None, headers=headers)
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
        if self.command == "HEAD":
            kept["Content-Length"] = answer.headers.get("Content-Length", "0")
        self._send(answer.status_code, self._with_labels(body, answer), kept)

    def _with_labels(self, sent: bytes, answer: httpx.Response) -> bytes:
        """The answer, with the labels that a bucket was made with where it is about one."""
        found = _BUCKET.fullmatch(urlsplit(self.path).path)
        if not found or not answer.is_success or self.command not in ("GET", "POST", "PATCH"):
            return answer.content
        said = answer.json()
        if self.command == "POST" and not found[1]:
            self.labels[said["name"]] = json.loads(sent).get("labels", {})
        if said.get("name") in self.labels:
            said["labels"] = self.labels[said["name"]]
        return json.dumps(said).encode()

    def _xml(self, text: str) -> None:
        self._send(200, text.encode(), {"Content-Type": "application/xml"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Quiet(ThreadingHTTPServer):
    """A server that does not tell of clients that went away."""

    request_queue_size = 64

    def handle_error(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def fronting(behind: str, port: int) -> Iterator[str]:
    """The URL of the front, while the block lasts."""
    with httpx.Client(trust_env=False, timeout=60, headers={"Accept-Encoding": "identity"}) as client:
        state = {"behind": behind, "client": client, "uploads": {}, "labels": {}, "numbers": count(1)}
        server = _Quiet(("127.0.0.1", port), type("Front", (_Front,), state))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.shutdown()
            server.server_close()
