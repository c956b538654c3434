"""Google Cloud over its published JSON interfaces: who asks, what is sent, and refusals in words."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from typing import Any

from labelloop.cloud import gcp
from labelloop.errors import BackendError, ConfigError, LabelLoopError, NotFoundError

STORAGE, IAM = "https://storage.googleapis.com", "https://iam.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TIMEOUT = (5, 30)
"""Seconds to wait for a connection, and for an answer."""

PAUSE = 2.0
"""Seconds between two tries while Google spreads what was made."""

_PATIENCE = 60.0
_LOGIN = "gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS=/path/of/a/key.json"


class GoogleClient:
    """Calls in the name of whoever runs labelloop.

    Args:
        asked: What somebody asked for; an empty project is that of the credentials.
        endpoint: A server that speaks Cloud Storage's JSON interface, asked without credentials; empty for Google.
        iam_endpoint: The same for IAM.
        pause: Seconds between two tries while Google spreads what was made.
    """

    def __init__(self, asked: gcp.GcpRequest, endpoint: str, iam_endpoint: str, pause: float) -> None:
        self.asked = asked
        self.endpoint = endpoint
        self._iam_endpoint = iam_endpoint
        self._pause = pause

    @cached_property
    def wanted(self) -> gcp.GcpRequest:
        """What was asked for, with the project.

        Raises:
            ConfigError: None was named, and the credentials have none.
        """
        project = self.asked.project or os.environ.get("GOOGLE_CLOUD_PROJECT", "")
        if not project and not self.endpoint:
            project = self._default[1] or ""
        if not project and self.asked.identities:
            raise ConfigError("no project was named, and the credentials have none", "--project ID")
        return replace(self.asked, project=gcp.check_project(project or "none"))

    def storage(self, method: str, path: str, permission: str, **sent: Any) -> Mapping[str, Any]:
        """What Cloud Storage answers."""
        return self.call(method, (self.endpoint or STORAGE) + path, permission, **sent)

    def iam(self, method: str, path: str, permission: str, **sent: Any) -> Mapping[str, Any]:
        """What IAM answers."""
        return self.call(method, (self._iam_endpoint or IAM) + path, permission, **sent)

    def once_known(self, ask: Callable[[], Any]) -> Any:
        """Google takes seconds until everybody knows a new service account."""
        patience = time.monotonic() + _PATIENCE
        while True:
            try:
                return ask()
            except (_UnknownYetError, NotFoundError):
                if time.monotonic() > patience:
                    raise
                time.sleep(self._pause)

    def call(self, method: str, url: str, permission: str, *, query: Any = None, body: Any = None) -> Mapping[str, Any]:
        """What the server at an address answers to what needs this permission.

        Raises:
            NotFoundError, ConfigError, BackendError: It refuses, or does not answer.
        """
        with self._explained():
            answer = self._session.request(method, url, params=query, json=body, timeout=TIMEOUT)
        if answer.status_code >= 400:
            raise self._refusal(answer, permission)
        found: Mapping[str, Any] = (answer.json() or {}) if answer.content else {}
        return found

    @cached_property
    def _default(self) -> tuple[Any, str | None]:
        with self._explained():
            found: tuple[Any, str | None] = _needed("google.auth").default(scopes=[SCOPE])
            return found

    @cached_property
    def _session(self) -> Any:
        session_of = _needed("google.auth.transport.requests").AuthorizedSession
        if self.endpoint:
            return session_of(_needed("google.auth.credentials").AnonymousCredentials())
        return session_of(self._default[0])

    @contextmanager
    def _explained(self) -> Iterator[None]:
        google, requests = _needed("google.auth.exceptions"), _needed("requests.exceptions")
        try:
            yield
        except google.DefaultCredentialsError:
            raise ConfigError("no credentials to set up Google Cloud with were found", _LOGIN) from None
        except google.RefreshError as error:
            if error.retryable:
                raise self._unreachable(error) from None
            raise ConfigError("Google refuses the credentials of this shell: wrong or expired", _LOGIN) from None
        except (google.GoogleAuthError, requests.RequestException) as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> BackendError:
        return BackendError(
            f"{self.endpoint or 'Google Cloud'} does not answer: {type(error).__name__}",
            "check the network, and try again",
            retryable=True,
        )

    def _refusal(self, answer: Any, permission: str) -> LabelLoopError:
        status, bucket = answer.status_code, self.wanted.bucket
        if status == 404:
            return NotFoundError(f"{permission}: it is not there", "run the same command again")
        if status == 401:
            return ConfigError("Google refuses the credentials of this shell: wrong or expired", _LOGIN)
        if status == 403 and permission == "storage.buckets.get":
            return ConfigError(
                f"bucket {bucket!r} belongs to somebody else, or you may not look at it ({permission})",
                "choose another name: --bucket NAME, or ask its owner",
            )
        if status == 403 and "SERVICE_DISABLED" in answer.text:
            return ConfigError(
                f"project {self.wanted.project!r} has not switched on what is needed",
                f"gcloud services enable iam.googleapis.com storage.googleapis.com --project {self.wanted.project}",
            )
        if status == 403:
            return ConfigError(
                f"Google refuses {permission}: the credentials of this shell miss that permission",
                f"ask for it (roles/storage.admin, roles/iam.serviceAccountAdmin), or use other credentials: {_LOGIN}",
            )
        if status == 409 and permission == "storage.buckets.create":
            return ConfigError(
                f"bucket {bucket!r} belongs to somebody else: all of Google Cloud shares the names of buckets",
                "choose another name: --bucket NAME",
            )
        if status == 412:
            return BackendError(
                f"somebody changed {bucket!r} at the same moment", "run the same command again", retryable=True
            )
        if status == 400 and permission == "storage.buckets.setIamPolicy" and "does not exist" in answer.text:
            return _UnknownYetError(f"{self.wanted.email} is not known everywhere yet", "run the same command again")
        return BackendError(f"Google answered {status} to {permission}", "try again", retryable=status >= 500)


class _UnknownYetError(BackendError):
    """What was just made is not known everywhere."""


def _needed(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise ConfigError(
            "setting up Google Cloud needs google-auth and requests", "labelloop integration install gcp"
        ) from None
