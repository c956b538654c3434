"""A double of Azure's management: subscriptions, resource groups, storage accounts, and the managed identity's tokens.

After https://learn.microsoft.com/rest/api/resources and https://learn.microsoft.com/rest/api/storagerp: with a memory,
and refusing what the reference says is refused.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from support.http_double import Request, Response

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
TOKEN = "eyJ.of-the-double.x"
HEADER = "identity-header"
VERSIONS = {"subscriptions": "2022-12-01", "groups": "2021-04-01", "accounts": "2023-05-01"}


@dataclass
class AzureDouble:
    """Call it with a request; a new account takes `lag` looks until it is made."""

    keys: tuple[str, str]
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    others: dict[str, list[str]] = field(default_factory=dict)
    subscriptions: tuple[str, ...] = (SUBSCRIPTION,)
    taken: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    lag: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __call__(self, request: Request) -> Response:
        with self.lock:
            if request.path == "/msi/token":
                return self._token(request)
            if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                return refused(401, "AuthenticationFailed")
            return self._answer(request, request.path.strip("/").split("/"))

    def state(self) -> str:
        """Everything it holds."""
        return json.dumps([self.groups, self.accounts], sort_keys=True)

    def _token(self, request: Request) -> Response:
        if request.headers.get("X-IDENTITY-HEADER") != HEADER:
            return Response(401, {"error": "unauthorized"})
        expires = int((datetime.now(UTC) + timedelta(hours=24)).timestamp())
        resource = request.query["resource"]
        return Response(200, {"access_token": TOKEN, "expires_on": str(expires), "resource": resource})

    def _answer(self, request: Request, parts: list[str]) -> Response:
        version = request.query["api-version"]
        if len(parts) == 1:
            assert version == VERSIONS["subscriptions"]
            return Response(200, {"value": [{"subscriptionId": one} for one in self.subscriptions]})
        assert parts[:3] == ["subscriptions", SUBSCRIPTION, "resourceGroups"], parts
        group = parts[3]
        if len(parts) == 4:
            assert version == VERSIONS["groups"]
            return self._group(request, group)
        if group not in self.groups:
            return refused(404, "ResourceGroupNotFound")
        if parts[4] == "resources":
            names = [*self.accounts, *self.others.get(group, [])]
            return Response(200, {"value": [{"name": name} for name in names]})
        assert version == VERSIONS["accounts"]
        assert parts[4:7] == ["providers", "Microsoft.Storage", "storageAccounts"]
        return self._account(request, parts[7], parts[8:])

    def _group(self, request: Request, name: str) -> Response:
        if f"{request.method} group" in self.denied:
            return refused(403, "AuthorizationFailed")
        if request.method == "PUT":
            self.groups[name] = {"name": name, **request.json}
            return Response(201, self.groups[name])
        if name not in self.groups:
            return refused(404, "ResourceGroupNotFound")
        if request.method == "DELETE":
            del self.groups[name]
            self.accounts.clear()
            return Response(202)
        return Response(200, self.groups[name])

    def _account(self, request: Request, name: str, rest: list[str]) -> Response:
        if f"{request.method} account" in self.denied:
            return refused(403, "AuthorizationFailed")
        if request.method == "PUT":
            if name in self.taken:
                return refused(409, "StorageAccountAlreadyTaken")
            body = request.json
            assert body["properties"]["allowBlobPublicAccess"] is False
            self.accounts[name] = {"name": name, **body}
            return Response(202)
        if name not in self.accounts:
            return refused(404, "ResourceNotFound")
        if rest == ["listKeys"]:
            assert request.method == "POST"
            keys = [{"keyName": f"key{n}", "value": key, "permissions": "FULL"} for n, key in enumerate(self.keys, 1)]
            return Response(200, {"keys": keys})
        if request.method == "DELETE":
            del self.accounts[name]
            return Response(200)
        self.lag -= 1
        made = "Succeeded" if self.lag < 0 else "Creating"
        shown = self.accounts[name]
        return Response(200, {**shown, "properties": {**shown["properties"], "provisioningState": made}})


def refused(status: int, code: str) -> Response:
    """An answer as Azure words refusals."""
    return Response(status, {"error": {"code": code, "message": f"{code}."}})
