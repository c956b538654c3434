"""A double of the JSON interfaces of Cloud Storage (buckets, objects, policies) and IAM (service accounts, keys), v1.

After https://cloud.google.com/storage/docs/json_api/v1 and https://cloud.google.com/iam/docs/reference/rest/v1: with a
memory, and refusing what the reference says is refused.
"""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import unquote

from support.http_double import Request, Response

PROJECT = "labelloop-test"
SECRET_PART = "PRIVATE-HALF-OF-KEY"


@dataclass
class GoogleDouble:
    """Call it with a request; `lag` bindings are refused before a new account is known."""

    buckets: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    objects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    lag: int = 0
    numbers: Any = field(default_factory=lambda: count(1))
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __call__(self, request: Request) -> Response:
        with self.lock:
            parts = [unquote(part) for part in request.path.strip("/").split("/")]
            if parts[:3] == ["storage", "v1", "b"]:
                return self._storage(request, parts[3:])
            return self._iam(request, parts[1:])

    def state(self) -> str:
        """Everything it holds."""
        held = (self.buckets, self.policies, self.objects, self.accounts, self.keys)
        return json.dumps(held, sort_keys=True)

    def _storage(self, request: Request, rest: list[str]) -> Response:
        if not rest:
            return self._guarded("storage.buckets.create", lambda: self._create_bucket(request))
        bucket = rest[0]
        if bucket in self.taken:
            return refused(403, "PERMISSION_DENIED", "you do not have storage.buckets.get access to the bucket")
        if bucket not in self.buckets:
            return refused(404, "NOT_FOUND", "The specified bucket does not exist.")
        if rest[1:] == ["iam"]:
            return self._bucket_policy(request, bucket)
        if rest[1:2] == ["o"]:
            return self._object(request, bucket, rest[2:])
        if request.method == "PATCH":
            return self._guarded("storage.buckets.update", lambda: self._patch(request, bucket))
        if request.method == "DELETE":
            if self.objects[bucket]:
                return refused(409, "CONFLICT", "The bucket you tried to delete is not empty.")
            del self.buckets[bucket], self.policies[bucket], self.objects[bucket]
            return Response(204)
        return Response(200, self.buckets[bucket])

    def _create_bucket(self, request: Request) -> Response:
        body = request.json
        name = body["name"]
        assert request.query["project"] == PROJECT
        if name in self.buckets or name in self.taken:
            return refused(409, "CONFLICT", "The requested bucket name is not available.")
        self.buckets[name] = {**body, "kind": "storage#bucket", "metageneration": "1"}
        self.policies[name] = {
            "version": 1,
            "etag": "1",
            "bindings": [{"role": "roles/storage.legacyBucketOwner", "members": [f"projectOwner:{PROJECT}"]}],
        }
        self.objects[name] = []
        return Response(200, self.buckets[name])

    def _patch(self, request: Request, bucket: str) -> Response:
        known = self.buckets[bucket]
        if request.query.get("ifMetagenerationMatch", known["metageneration"]) != known["metageneration"]:
            return refused(412, "FAILED_PRECONDITION", "conditionNotMet")
        known.update(request.json)
        known["metageneration"] = str(int(known["metageneration"]) + 1)
        return Response(200, known)

    def _bucket_policy(self, request: Request, bucket: str) -> Response:
        now = self.policies[bucket]
        if request.method == "GET":
            assert request.query["optionsRequestedPolicyVersion"] == "3"
            return Response(200, now)
        body = request.json
        if body.get("etag") != now["etag"]:
            return refused(412, "FAILED_PRECONDITION", "etag")
        conditional = any("condition" in one for one in body["bindings"])
        uniform = self.buckets[bucket].get("iamConfiguration", {}).get("uniformBucketLevelAccess", {}).get("enabled")
        if conditional and (body["version"] != 3 or not uniform):
            return refused(400, "INVALID_ARGUMENT", "conditions need version 3 and uniform bucket-level access")
        members = {one for binding in body["bindings"] for one in binding["members"]}
        for member in members:
            email = member.removeprefix("serviceAccount:")
            if member.startswith("serviceAccount:") and (email not in self.accounts or self.lag > 0):
                self.lag -= 1
                return refused(400, "INVALID_ARGUMENT", f"Service account {email} does not exist.")
        self.policies[bucket] = {**body, "etag": str(int(now["etag"]) + 1)}
        return Response(200, self.policies[bucket])

    def _object(self, request: Request, bucket: str, rest: list[str]) -> Response:
        held = self.objects[bucket]
        if request.method == "GET":
            start = int(request.query.get("pageToken", "0"))
            page: dict[str, Any] = {"items": held[start : start + 2]}
            if start + 2 < len(held):
                # what is deleted meanwhile moves the rest up, so that pages start at what is left
                page["nextPageToken"] = "0"
            return Response(200, page)
        left = [one for one in held if (one["name"], one["generation"]) != (rest[0], request.query["generation"])]
        if len(left) == len(held):
            return refused(404, "NOT_FOUND", "No such object")
        self.objects[bucket] = left
        return Response(204)

    def _iam(self, request: Request, rest: list[str]) -> Response:
        assert rest[:3] == ["projects", PROJECT, "serviceAccounts"], rest
        if len(rest) == 3:
            return self._guarded("iam.serviceAccounts.create", lambda: self._create_account(request))
        email = rest[3]
        if email not in self.accounts:
            return refused(404, "NOT_FOUND", f"Unknown service account {email}")
        if rest[4:5] == ["keys"]:
            return self._key(request, email, rest[5:])
        if request.method == "PATCH":
            assert request.json["updateMask"] == "description"
            description = request.json["serviceAccount"]["description"]
            assert len(description.encode()) <= 256
            self.accounts[email]["description"] = description
        if request.method == "DELETE":
            del self.accounts[email], self.keys[email]
            return Response(200, {})
        return Response(200, self.accounts[email])

    def _create_account(self, request: Request) -> Response:
        email = f"{request.json['accountId']}@{PROJECT}.iam.gserviceaccount.com"
        if email in self.accounts:
            return refused(409, "ALREADY_EXISTS", "Service account already exists.")
        name = f"projects/{PROJECT}/serviceAccounts/{email}"
        self.accounts[email] = {**request.json["serviceAccount"], "name": name, "email": email}
        self.keys[email] = []
        return Response(200, self.accounts[email])

    def _key(self, request: Request, email: str, rest: list[str]) -> Response:
        held = self.keys[email]
        name = f"projects/{PROJECT}/serviceAccounts/{email}/keys"
        if request.method == "GET":
            assert request.query["keyTypes"] == "USER_MANAGED"
            return Response(200, {"keys": [{"name": f"{name}/{key}"} for key in held]} if held else {})
        if request.method == "DELETE":
            held.remove(rest[0])
            return Response(200, {})
        assert request.json == {"privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE"}
        key = f"{next(self.numbers):040x}"[::-1]
        held.append(key)
        file = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": key,
            "private_key": f"-----BEGIN PRIVATE KEY-----\n{SECRET_PART}-{key}\n-----END PRIVATE KEY-----\n",
            "client_email": email,
            "token_uri": "https://oauth2.googleapis.com/token",
        }
        data = b64encode(json.dumps(file).encode()).decode()
        return Response(200, {"name": f"{name}/{key}", "privateKeyData": data})

    def _guarded(self, permission: str, answer: Callable[[], Response]) -> Response:
        if permission in self.denied:
            return refused(403, "PERMISSION_DENIED", f"caller does not have {permission}")
        return answer()


def refused(code: int, status: str, message: str) -> Response:
    """An answer as Google words refusals."""
    return Response(code, {"error": {"code": code, "status": status, "message": message}})
