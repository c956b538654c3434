"""A double of Azure's managed identity and of Key Vault's secrets (7.x), with a memory, after the REST reference."""

from __future__ import annotations

import ipaddress
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.http_double import Request, Response

TOKEN = "eyJ.of-the-double.x"
HEADER = "identity-header"
_PAGE = 7
_STAMPS = {"enabled": True, "created": 1767225600, "updated": 1767225600, "recoveryLevel": "Recoverable+Purgeable"}


@dataclass
class KeyVaultDouble:
    """Call it with a request. Soft delete is on; `lag` polls pass before a deletion or recovery is complete."""

    kept: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    deleted: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)
    lag: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)
    _waiting: dict[str, int] = field(default_factory=dict)

    def __call__(self, request: Request) -> Response:
        with self.lock:
            return self._answer(request)

    def _answer(self, request: Request) -> Response:
        if request.path == "/msi/token":
            return self._token(request)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return challenge(request.url)
        kind, _, rest = request.path.strip("/").partition("/")
        name, _, action = rest.partition("/")
        if kind == "secrets" and not name:
            return self._listed(request)
        if kind == "secrets":
            return self._secret(request, name)
        return self._deleted(request, name, action)

    def _token(self, request: Request) -> Response:
        if request.headers.get("X-IDENTITY-HEADER") != HEADER:
            return Response(401, {"error": "unauthorized"})
        expires = int((datetime.now(UTC) + timedelta(hours=24)).timestamp())
        return Response(
            200,
            {
                "access_token": TOKEN,
                "expires_on": str(expires),
                "resource": request.query["resource"],
                "token_type": "Bearer",
            },
        )

    def _listed(self, request: Request) -> Response:
        names = sorted(self.kept, reverse=True)
        start = int(request.query.get("$skiptoken", "0"))
        found = [
            {"id": f"{request.url}/secrets/{name}", "attributes": _STAMPS} for name in names[start : start + _PAGE]
        ]
        more = f"{request.url}/secrets?api-version={request.query['api-version']}&$skiptoken={start + _PAGE}"
        return Response(200, {"value": found, "nextLink": more if start + _PAGE < len(names) else None})

    def _secret(self, request: Request, name: str) -> Response:
        if request.method == "PUT":
            return self._set(request, name)
        if name not in self.kept or (request.method == "GET" and self._is_late(name)):
            return refusal(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")
        if request.method == "DELETE":
            self.deleted[name] = self.kept.pop(name)
            self._waiting[name] = self.lag
            return self._recoverable(request, name)
        if name in self.disabled:
            return refusal(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
        return Response(200, self._bundle(request, name))

    def _set(self, request: Request, name: str) -> Response:
        if name in self.deleted:
            words = f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused."
            inner = "ObjectIsBeingDeleted" if self._waiting.get(name) else "ObjectIsDeletedButRecoverable"
            return refusal(409, "Conflict", words, inner)
        if self._is_late(name):
            return refusal(409, "Conflict", f"Secret {name} is currently being recovered.", "ObjectIsBeingRecovered")
        if len(request.json["value"].encode()) > 25600:
            return refusal(400, "BadParameter", "The secret value is too long.")
        self.kept.setdefault(name, []).append(request.json)
        return Response(200, self._bundle(request, name))

    def _deleted(self, request: Request, name: str, action: str) -> Response:
        if name not in self.deleted or self._is_late(name):
            if action == "recover" and name in self.deleted:
                return refusal(409, "Conflict", f"Secret {name} is currently being deleted.", "ObjectIsBeingDeleted")
            return refusal(404, "SecretNotFound", f"Deleted Secret not found: {name}.")
        if action == "recover":
            self.kept[name] = self.deleted.pop(name)
            self._waiting[name] = self.lag
            return Response(200, {key: value for key, value in self._bundle(request, name).items() if key != "value"})
        return self._recoverable(request, name)

    def _is_late(self, name: str) -> bool:
        """Whether this poll still comes too early."""
        left = self._waiting.get(name, 0)
        self._waiting[name] = max(0, left - 1)
        return left > 0

    def _bundle(self, request: Request, name: str) -> dict[str, Any]:
        versions = self.kept[name]
        identity = f"{request.url}/secrets/{name}/{len(versions):032x}"
        return {"id": identity, "attributes": _STAMPS, **versions[-1]}

    def _recoverable(self, request: Request, name: str) -> Response:
        identity = f"{request.url}/deletedsecrets/{name}"
        kept = {"recoveryId": identity, "deletedDate": 1767225600, "scheduledPurgeDate": 1775001600}
        return Response(200, {"id": f"{request.url}/secrets/{name}/1", "attributes": _STAMPS, **kept})


def refusal(status: int, code: str, message: str, inner: str = "") -> Response:
    """A refusal in Key Vault's shape."""
    error: dict[str, Any] = {"code": code, "message": message}
    if inner:
        error["innererror"] = {"code": inner}
    return Response(status, {"error": error})


def challenge(url: str) -> Response:
    """Who to ask for a token. The resource is a parent of the vault's host, as vault.azure.net is of a real one's."""
    parent = url.replace("127.0.0.1", "0.0.1")
    headers = {"WWW-Authenticate": f'Bearer authorization="{url}/tenant", resource="{parent}"'}
    error = {"code": "Unauthorized", "message": "AKV10000: Request is missing a Bearer or PoP token."}
    return Response(401, {"error": error}, headers)


def certificate(folder: Path) -> tuple[str, str]:
    """The files of a self-signed certificate for 127.0.0.1, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "labelloop test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    paths[1].write_bytes(private)
    return str(paths[0]), str(paths[1])
