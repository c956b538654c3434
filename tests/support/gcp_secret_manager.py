"""A double of Google's OAuth token server and Secret Manager v1, with a memory, after the published REST reference."""

from __future__ import annotations

import json
import re
import threading
from base64 import b64decode, urlsafe_b64decode
from dataclasses import dataclass, field
from typing import Any

from support.http_double import Request, Response

PROJECT = "labelloop-test"
NUMBER = "123456789"
AUDIENCE = "https://oauth2.googleapis.com/token"
TOKEN = "ya29.of-the-double"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_PAGE = 7
_PATH = re.compile(rf"/v1/projects/{PROJECT}/secrets(?:/(?P<name>[^/:]+))?(?P<rest>.*)")


@dataclass
class Version:
    """One version of a secret."""

    data: str
    state: str = "ENABLED"


@dataclass
class SecretManagerDouble:
    """Call it with a request. Pages hold seven secrets, so that listing must follow the tokens."""

    kept: dict[str, list[Version]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Request) -> Response:
        with self.lock:
            return self._answer(request)

    def _answer(self, request: Request) -> Response:
        if request.path == "/token":
            return self._token(request)
        if request.headers.get("Authorization", request.headers.get("authorization")) != f"Bearer {TOKEN}":
            return refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        found = _PATH.fullmatch(request.path)
        if found is None:
            return refusal(403, "PERMISSION_DENIED", "Permission denied on resource project.")
        if found["name"] is None:
            return self._listed(request) if request.method == "GET" else self._created(request)
        return self._one(request, found["name"], found["rest"])

    def _token(self, request: Request) -> Response:
        form = request.form
        header, claims, _ = form["assertion"].split(".")
        said = json.loads(urlsafe_b64decode(claims + "=="))
        ok = form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer" and "cloud-platform" in said["scope"]
        if not ok or said["aud"] != AUDIENCE or not header:
            return Response(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        return Response(200, {"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"})

    def _listed(self, request: Request) -> Response:
        wanted = request.query.get("filter", "name:").removeprefix("name:")
        names = [name for name in sorted(self.kept, reverse=True) if wanted in name]
        start = int(request.query.get("pageToken", "0"))
        end = start + min(_PAGE, int(request.query.get("pageSize", "25000")))
        page: dict[str, Any] = {"totalSize": len(names)}
        if names[start:end]:
            page["secrets"] = [_secret(name) for name in names[start:end]]
        if end < len(names):
            page["nextPageToken"] = str(end)
        return Response(200, page)

    def _created(self, request: Request) -> Response:
        name = request.query["secretId"]
        if not _NAME.fullmatch(name) or request.json.get("replication") != {"automatic": {}}:
            return refusal(400, "INVALID_ARGUMENT", "The provided Secret ID or replication is invalid.")
        if name in self.kept:
            return refusal(409, "ALREADY_EXISTS", f"Secret [projects/{NUMBER}/secrets/{name}] already exists.")
        self.kept[name] = []
        return Response(200, _secret(name))

    def _one(self, request: Request, name: str, rest: str) -> Response:
        versions = self.kept.get(name)
        if versions is None or (rest == "/versions/latest:access" and not versions):
            words = f"Secret [projects/{NUMBER}/secrets/{name}] not found or has no versions."
            return refusal(404, "NOT_FOUND", words)
        if (request.method, rest) == ("DELETE", ""):
            del self.kept[name]
            return Response(200, {})
        if (request.method, rest) == ("POST", ":addVersion"):
            return self._added(name, versions, request.json["payload"]["data"])
        if (request.method, rest) == ("GET", "/versions/latest:access"):
            return self._accessed(name, versions)
        return refusal(404, "NOT_FOUND", "Method not found.")

    def _added(self, name: str, versions: list[Version], data: str) -> Response:
        if len(b64decode(data, validate=True)) > 65536:
            return refusal(400, "INVALID_ARGUMENT", "The payload is larger than 64 KiB.")
        versions.append(Version(data))
        return Response(
            200, {"name": _version(name, versions), "state": "ENABLED", "createTime": "2026-01-01T00:00:00Z"}
        )

    def _accessed(self, name: str, versions: list[Version]) -> Response:
        if versions[-1].state != "ENABLED":
            words = f"Secret Version [{_version(name, versions)}] is in {versions[-1].state} state."
            return refusal(400, "FAILED_PRECONDITION", words)
        return Response(200, {"name": _version(name, versions), "payload": {"data": versions[-1].data}})


def refusal(code: int, status: str, message: str, reason: str = "") -> Response:
    """A refusal in Google's shape."""
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if reason:
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}
        error["details"] = [info]
    return Response(code, {"error": error})


def _secret(name: str) -> dict[str, Any]:
    made = {"createTime": "2026-01-01T00:00:00Z", "replication": {"automatic": {}}, "etag": '"1"'}
    return {"name": f"projects/{NUMBER}/secrets/{name}", **made}


def _version(name: str, versions: list[Version]) -> str:
    return f"projects/{NUMBER}/secrets/{name}/versions/{len(versions)}"
