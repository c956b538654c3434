"""Secrets in Google Cloud's Secret Manager, over its REST interface."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from labelloop.backends.secret_values import needed, packed, unpacked, without_credentials
from labelloop.errors import BackendError, BusyError, ConfigError, LabelLoopError, NotFoundError
from labelloop.machine.road import advice, verified_by
from labelloop.protocols import check_secret_name, is_secret_name

LIMIT = 65_536
"""Bytes that one version of a secret may have."""

SERVICE = "https://secretmanager.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TIMEOUT = (5, 20)
"""Seconds to wait for a connection, and for an answer."""

_ATTEMPTS = 10
_PAGE = 250
_SIGN_IN = "gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS=/path/of/a/key.json"
_OK, _UNAUTHENTICATED, _DENIED, _MISSING, _TAKEN = 200, 401, 403, 404, 409


@dataclass(frozen=True, kw_only=True)
class GCPSecretManager:
    """Google Cloud's Secret Manager: each secret is one JSON object; setting it anew adds a version.

    Signs in by Google's application default credentials: `GOOGLE_APPLICATION_CREDENTIALS`, `gcloud auth
    application-default login`, workload identity, or the service account of the machine.

    Args:
        project_id: The project.
        prefix: What the names begin with there; other secrets of the project are not touched.
        endpoint: The address of a service that speaks the same protocol; empty is Google's.
        ca_bundle: A file (PEM) of certificates that are trusted; empty is what SSL_CERT_FILE, REQUESTS_CA_BUNDLE or
            CURL_CA_BUNDLE names, else the system's.

    Raises:
        ConfigError: An option cannot work.
    """

    project_id: str
    prefix: str = "labelloop-"
    endpoint: str = ""
    ca_bundle: str = ""

    def __post_init__(self) -> None:
        without_credentials(self.endpoint, "endpoint")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.:-]*", self.project_id):
            raise ConfigError(f"{self.project_id!r} is not the id of a project", "gcloud projects list shows the ids")
        if not re.fullmatch(r"[A-Za-z0-9_-]*", self.prefix):
            raise ConfigError(f"prefix is {self.prefix!r}", "use letters, digits, - and _")

    def __getstate__(self) -> Mapping[str, Any]:
        return asdict(self)

    def get(self, name: str) -> Mapping[str, str]:
        """The values of one secret.

        Raises:
            NotFoundError: There is none of this name, or its newest version is disabled.
            ConfigError: It is not a name for a secret, or Google does not let us in.
            BackendError: Google failed, or cannot be reached.
        """
        place = self._place(name)
        answer = self._call("GET", f"/{place}/versions/latest:access", "versions.access", name)
        return unpacked(b64decode(answer["payload"].get("data", "")), f"secret {place!r}")

    def set(self, name: str, values: Mapping[str, str]) -> None:
        """Create or replace one secret as a whole; Google keeps the older versions.

        Raises:
            ConfigError: As for `get`, or the values are too long.
            BackendError: As for `get`.
        """
        place = self._place(name)
        text = packed(values, limit=LIMIT, what=f"secret {name!r}")
        version = {"payload": {"data": b64encode(text.encode()).decode()}}
        for _ in range(_ATTEMPTS):
            with suppress(NotFoundError):
                self._call("POST", f"/{place}:addVersion", "versions.add", name, body=version)
                return
            self._create(name)
        raise BusyError(f"others keep creating and deleting secret {place!r}", "try again in a moment")

    def delete(self, name: str) -> None:
        """Remove one secret with all its versions, for good.

        Raises:
            NotFoundError: There is none of this name.
            ConfigError: As for `get`.
            BackendError: As for `get`.
        """
        self._call("DELETE", f"/{self._place(name)}", "secrets.delete", name)

    def names(self) -> Sequence[str]:
        """The names there are, sorted."""
        ours = [name.removeprefix(self.prefix) for name in self._listed() if name.startswith(self.prefix)]
        return sorted(filter(is_secret_name, ours))

    def _listed(self) -> Iterator[str]:
        query = {"pageSize": str(_PAGE), **({"filter": f"name:{self.prefix}"} if self.prefix else {})}
        token = ""
        while True:
            more = {"pageToken": token} if token else {}
            page = self._call(
                "GET", f"/projects/{self.project_id}/secrets", "secrets.list", "", query={**query, **more}
            )
            yield from (secret["name"].rpartition("/")[2] for secret in page.get("secrets", []))
            token = page.get("nextPageToken", "")
            if not token:
                return

    def _create(self, name: str) -> None:
        """Make the secret without a version; somebody else may have made it."""
        with suppress(_TakenError):
            self._call(
                "POST",
                f"/projects/{self.project_id}/secrets",
                "secrets.create",
                name,
                body={"replication": {"automatic": {}}, "labels": {"made-by": "labelloop"}},
                query={"secretId": self.prefix + name},
            )

    def _call(
        self, method: str, path: str, permission: str, name: str, *, body: Any = None, query: Any = None
    ) -> Mapping[str, Any]:
        with self._explained():
            answer = self._session.request(
                method,
                f"{self.endpoint or SERVICE}/v1{path}",
                json=body,
                params=query,
                timeout=TIMEOUT,
                verify=verified_by(self.ca_bundle),
            )
        if answer.status_code != _OK:
            raise self._refusal(answer, permission, name)
        found: Mapping[str, Any] = answer.json()
        return found

    @cached_property
    def _session(self) -> Any:
        google = needed("google.auth", "gcp")
        session_of = needed("google.auth.transport.requests", "gcp").AuthorizedSession
        retry = needed("urllib3", "gcp").Retry(
            2, backoff_factor=0.3, status_forcelist=[429, 503], allowed_methods=None, raise_on_status=False
        )
        credentials, _ = google.default(scopes=[SCOPE])
        to_sign_in = needed("google.auth.transport.requests", "gcp").Request(self._trusting())
        session = session_of(credentials, auth_request=to_sign_in)
        session.mount("https://", needed("requests.adapters", "gcp").HTTPAdapter(max_retries=retry))
        return session

    def _trusting(self) -> Any:
        session = needed("requests", "gcp").Session()
        session.verify = verified_by(self.ca_bundle)
        return session

    def _place(self, name: str) -> str:
        return f"projects/{self.project_id}/secrets/{self.prefix}{check_secret_name(name)}"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what google-auth and requests raise into our errors."""
        google = needed("google.auth.exceptions", "gcp")
        requests = needed("requests.exceptions", "gcp")
        try:
            yield
        except google.DefaultCredentialsError:
            raise ConfigError(
                "no credentials for Google Cloud were found, or none that can be read", _SIGN_IN
            ) from None
        except google.RefreshError as error:
            if error.retryable:
                raise self._unreachable(error) from None
            raise ConfigError("Google refuses the credentials: they are wrong or have expired", _SIGN_IN) from None
        except (google.GoogleAuthError, requests.RequestException) as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> BackendError:
        return BackendError(
            f"Secret Manager at {self.endpoint or SERVICE} cannot be reached ({type(error).__name__})",
            advice(self.endpoint or SERVICE, "", error)
            or "check the network, and the proxy if there is one, then try again",
            retryable=True,
        )

    def _refusal(self, answer: Any, permission: str, name: str) -> LabelLoopError:
        """The error for an answer of Google, which never repeats what was sent."""
        status, reasons = _error_of(answer)
        where = f"Secret Manager of project {self.project_id!r}"
        if "SERVICE_DISABLED" in reasons:
            return ConfigError(
                f"{where} is not switched on",
                f"gcloud services enable secretmanager.googleapis.com --project {self.project_id}",
            )
        if answer.status_code == _DENIED:
            return ConfigError(
                f"{where} does not allow this, or does not exist: {permission} on {self.prefix + name!r}",
                f"give your account the permission secretmanager.{permission} (a role such as"
                " roles/secretmanager.admin has it)",
            )
        if answer.status_code == _UNAUTHENTICATED:
            return ConfigError(f"{where} refuses the credentials: they are wrong or have expired", _SIGN_IN)
        if answer.status_code == _TAKEN:
            return _TakenError(f"secret {name!r} exists already in {where}", "try again")
        if answer.status_code == _MISSING and not name:
            return ConfigError(f"there is no project {self.project_id!r}", "gcloud projects list shows the ids")
        if answer.status_code == _MISSING or (status == "FAILED_PRECONDITION" and permission == "versions.access"):
            return NotFoundError(
                f"no secret {name!r} in {where}"
                + (": its newest version is disabled" if status != "NOT_FOUND" else ""),
                f"labelloop secret list shows those there are; labelloop secret register {name} --KEY=VALUE",
            )
        busy = answer.status_code == 429 or answer.status_code >= 500
        return BackendError(
            f"{where} answered {answer.status_code} {status} to {permission}", "try again later", retryable=busy
        )


class _TakenError(BusyError):
    """Somebody else created it meanwhile."""


def _error_of(answer: Any) -> tuple[str, list[str]]:
    """The status and the reasons of a refusal; empty where the answer is not in Google's words."""
    try:
        error = answer.json()["error"]
        return str(error.get("status", "")), [str(one.get("reason", "")) for one in error.get("details", [])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", []
