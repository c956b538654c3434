"""One bucket in a Google Cloud project, over the published JSON interfaces: look at what is there, make one change."""

from __future__ import annotations

import json
import os
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from typing import Any
from urllib.parse import quote

from labelloop.cloud import gcp
from labelloop.cloud.plan import MANAGED, MARK, Change, Owner, Plan, kept
from labelloop.errors import BackendError, ConfigError, LabelLoopError, NotFoundError
from labelloop.protocols import SecretsManager

STORAGE, IAM = "https://storage.googleapis.com", "https://iam.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TIMEOUT = (5, 30)
"""Seconds to wait for a connection, and for an answer."""

_LOCATION = "US"
_AT_ONCE = 8
_PATIENCE, _PAUSE = 60.0, 2.0
_LOGIN = "gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS=/path/of/a/key.json"


class GCP:
    """A bucket with its service account and secret; a `labelloop.cloud.plan.Cloud`.

    Args:
        wanted: What somebody asked for; an empty project is that of the credentials.
        secrets: Where the key that is made is kept.
        endpoint: A server that speaks Cloud Storage's JSON interface, asked without credentials; empty for Google.
        iam_endpoint: The same for IAM.
        pause: Seconds between two tries while Google spreads what was made.
    """

    def __init__(
        self,
        wanted: gcp.GcpRequest,
        secrets: SecretsManager,
        *,
        endpoint: str = "",
        iam_endpoint: str = "",
        pause: float = _PAUSE,
    ) -> None:
        gcp.check_bucket(wanted.bucket)
        self._asked = wanted
        self._secrets = secrets
        self._endpoint = endpoint
        self._iam_endpoint = iam_endpoint
        self._pause = pause
        self._metageneration = ""
        self.url = wanted.path

    def plan_setup(self) -> Plan:
        """What is missing."""
        found = self._look()
        return gcp.decide_setup(replace(self._wanted, region=self._asked.region or _LOCATION), found)

    def plan_teardown(self, *, delete_data: bool) -> Plan:
        """What labelloop made."""
        return gcp.decide_teardown(self._wanted, self._look(), delete_data=delete_data)

    def store_options(self) -> Mapping[str, str]:
        """As `labelloop artifact-store register` takes them."""
        options = {"path": self.url, "endpoint": self._endpoint}
        if self._asked.identities:
            options["authentication_secret"] = self._asked.secret
        return {name: value for name, value in options.items() if value}

    def media_secret(self) -> str:
        """Label Studio reads with the credentials of the store."""
        return ""

    def act(self, change: Change) -> None:
        """Make one change."""
        steps: Mapping[str, Callable[..., object]] = {
            "bucket": self._make_bucket,
            "cors": self._put_cors,
            "account": self._make_account,
            "bind": self._bind,
            "key": self._make_key,
            "note": self._note,
            "delete-key": self._delete_key,
            "delete-account": lambda: self._iam("DELETE", self._account_path, "iam.serviceAccounts.delete"),
            "delete-secret": self._secrets.delete,
            "empty": self._empty,
            "delete-bucket": lambda: self._storage("DELETE", self._bucket_path, "storage.buckets.delete"),
        }
        steps[change.step](**change.arguments)

    @cached_property
    def _wanted(self) -> gcp.GcpRequest:
        project = self._asked.project or os.environ.get("GOOGLE_CLOUD_PROJECT", "")
        if not project and not self._endpoint:
            project = self._default[1] or ""
        if not project and self._asked.identities:
            raise ConfigError("no project was named, and the credentials have none", "--project ID")
        return replace(self._asked, project=gcp.check_project(project or "none"))

    def _look(self) -> gcp.GcpResources:
        bucket = self._get_bucket()
        there = bucket is not None
        configuration = (bucket or {}).get("iamConfiguration", {})
        account = self._account() if self._wanted.identities else gcp.Account()
        return gcp.GcpResources(
            bucket=_owner(bucket),
            uniform=not there or bool(configuration.get("uniformBucketLevelAccess", {}).get("enabled")),
            rules=tuple((bucket or {}).get("cors", [])),
            policy=self._policy() if there and self._wanted.identities else {},
            account=account,
            secret=kept(self._secrets, self._wanted.secret, lambda values: _key_id(values, self._wanted.email)),
        )

    def _get_bucket(self) -> Mapping[str, Any] | None:
        try:
            found = self._storage("GET", self._bucket_path, "storage.buckets.get")
        except NotFoundError:
            return None
        there, wanted = str(found.get("location", "")), self._asked.region
        if wanted and there and wanted.upper() != there.upper():
            raise ConfigError(f"bucket {self._wanted.bucket!r} is in {there}, not in {wanted}", f"--region {there}")
        self._metageneration = str(found.get("metageneration", ""))
        return found

    def _policy(self) -> Mapping[str, Any]:
        query = {"optionsRequestedPolicyVersion": "3"}
        return self._storage("GET", f"{self._bucket_path}/iam", "storage.buckets.getIamPolicy", query=query)

    def _account(self) -> gcp.Account:
        try:
            found = self._iam("GET", self._account_path, "iam.serviceAccounts.get")
        except NotFoundError:
            return gcp.Account()
        description = str(found.get("description", ""))
        listed = self._iam(
            "GET", f"{self._account_path}/keys", "iam.serviceAccountKeys.list", query={"keyTypes": "USER_MANAGED"}
        )
        return gcp.Account(
            owner="ours" if description.startswith(gcp.DESCRIPTION) else "foreign",
            description=description,
            keys=tuple(key["name"].rpartition("/")[2] for key in listed.get("keys", [])),
        )

    def _make_bucket(self) -> None:
        access = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
        body = {
            "name": self._wanted.bucket,
            "location": self._asked.region or _LOCATION,
            "labels": {MARK: MANAGED},
            "iamConfiguration": access,
        }
        query = {"project": self._wanted.project}
        made = self._storage("POST", "/storage/v1/b", "storage.buckets.create", query=query, body=body)
        self._metageneration = str(made.get("metageneration", ""))

    def _put_cors(self, rules: Sequence[Mapping[str, Any]]) -> None:
        query = {"ifMetagenerationMatch": self._metageneration} if self._metageneration else {}
        body = {"cors": list(rules)}
        self._storage("PATCH", self._bucket_path, "storage.buckets.update", query=query, body=body)

    def _make_account(self) -> None:
        body = {
            "accountId": gcp.account_id(self._wanted.bucket),
            "serviceAccount": {"displayName": f"labelloop {self._wanted.bucket}"[:100], "description": gcp.DESCRIPTION},
        }
        path = f"/v1/projects/{self._wanted.project}/serviceAccounts"
        self._iam("POST", path, "iam.serviceAccounts.create", body=body)

    def _bind(self, policy: Mapping[str, Any]) -> None:
        """A bucket that was just made has bindings of its owners, which a plan could not know: they stay."""
        if "etag" not in policy:
            now = self._policy()
            policy = {**policy, "etag": now.get("etag"), "bindings": [*now.get("bindings", []), *policy["bindings"]]}
        self._once_known(
            lambda: self._storage("PUT", f"{self._bucket_path}/iam", "storage.buckets.setIamPolicy", body=policy)
        )

    def _make_key(self, secret: str) -> None:
        body = {"privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE"}
        made = self._once_known(
            lambda: self._iam("POST", f"{self._account_path}/keys", "iam.serviceAccountKeys.create", body=body)
        )
        key = made["name"].rpartition("/")[2]
        try:
            self._secrets.set(secret, {"token": b64decode(made["privateKeyData"]).decode()})
        except LabelLoopError:
            self._delete_key(key)
            raise
        self._note(key)

    def _note(self, key: str) -> None:
        now = self._account()
        body = {
            "serviceAccount": {"description": gcp.noting(now.description, now.keys, key)},
            "updateMask": "description",
        }
        self._iam("PATCH", self._account_path, "iam.serviceAccounts.update", body=body)

    def _delete_key(self, key: str) -> None:
        self._iam("DELETE", f"{self._account_path}/keys/{key}", "iam.serviceAccountKeys.delete")

    def _empty(self) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for page in self._pages(f"{self._bucket_path}/o", {"versions": "true"}):
                list(pool.map(self._delete_object, page.get("items", [])))

    def _delete_object(self, found: Mapping[str, Any]) -> None:
        path = f"{self._bucket_path}/o/{quote(found['name'], safe='')}"
        query = {"generation": str(found["generation"])} if "generation" in found else {}
        try:
            self._storage("DELETE", path, "storage.objects.delete", query=query)
        except NotFoundError:
            return  # somebody was faster

    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        token = ""
        while True:
            more = {"pageToken": token} if token else {}
            page = self._storage("GET", path, "storage.objects.list", query={**query, **more})
            yield page
            token = page.get("nextPageToken", "")
            if not token:
                return

    def _once_known(self, ask: Callable[[], Any]) -> Any:
        """Google takes seconds until everybody knows a new service account."""
        patience = time.monotonic() + _PATIENCE
        while True:
            try:
                return ask()
            except (_UnknownYetError, NotFoundError):
                if time.monotonic() > patience:
                    raise
                time.sleep(self._pause)

    @property
    def _bucket_path(self) -> str:
        return f"/storage/v1/b/{self._wanted.bucket}"

    @property
    def _account_path(self) -> str:
        return f"/v1/projects/{self._wanted.project}/serviceAccounts/{self._wanted.email}"

    def _storage(self, method: str, path: str, permission: str, **sent: Any) -> Mapping[str, Any]:
        return self._call(method, (self._endpoint or STORAGE) + path, permission, **sent)

    def _iam(self, method: str, path: str, permission: str, **sent: Any) -> Mapping[str, Any]:
        return self._call(method, (self._iam_endpoint or IAM) + path, permission, **sent)

    def _call(
        self, method: str, url: str, permission: str, *, query: Any = None, body: Any = None
    ) -> Mapping[str, Any]:
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
        if self._endpoint:
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
            f"{self._endpoint or 'Google Cloud'} does not answer: {type(error).__name__}",
            "check the network, and try again",
            retryable=True,
        )

    def _refusal(self, answer: Any, permission: str) -> LabelLoopError:
        status, bucket = answer.status_code, self._wanted.bucket
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
                f"project {self._wanted.project!r} has not switched on what is needed",
                f"gcloud services enable iam.googleapis.com storage.googleapis.com --project {self._wanted.project}",
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
            return _UnknownYetError(f"{self._wanted.email} is not known everywhere yet", "run the same command again")
        return BackendError(f"Google answered {status} to {permission}", "try again", retryable=status >= 500)


class _UnknownYetError(BackendError):
    """What was just made is not known everywhere."""


def _owner(bucket: Mapping[str, Any] | None) -> Owner:
    if bucket is None:
        return "missing"
    return "ours" if bucket.get("labels", {}).get(MARK) == MANAGED else "foreign"


def _key_id(values: Mapping[str, str], email: str) -> str:
    """The id of the key in a secret, if it is of this account."""
    try:
        found = json.loads(values.get("token", ""))
    except ValueError:
        return ""
    is_ours = isinstance(found, dict) and found.get("client_email") == email
    return str(found.get("private_key_id", "")) if is_ours else ""


def _needed(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise ConfigError(
            "setting up Google Cloud needs google-auth and requests", "labelloop integration install gcp"
        ) from None
