"""One bucket in a Google Cloud project: look at what is there, make one change."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from labelloop.cloud import gcp
from labelloop.cloud.gcp_client import PAUSE, GoogleClient
from labelloop.cloud.plan import MANAGED, MARK, Change, Owner, Plan, kept
from labelloop.errors import ConfigError, LabelLoopError, NotFoundError
from labelloop.protocols import SecretsManager

_LOCATION = "US"
_AT_ONCE = 8


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
        pause: float = PAUSE,
    ) -> None:
        gcp.check_bucket(wanted.bucket)
        self._google = GoogleClient(wanted, endpoint, iam_endpoint, pause)
        self._bucket = _Bucket(self._google)
        self._account = _ServiceAccount(self._google, secrets)
        self._secrets = secrets
        self.url = wanted.path

    def plan_setup(self) -> Plan:
        """What is missing."""
        found = self._look()
        return gcp.decide_setup(replace(self._google.wanted, region=self._google.asked.region or _LOCATION), found)

    def plan_teardown(self, *, delete_data: bool) -> Plan:
        """What labelloop made."""
        return gcp.decide_teardown(self._google.wanted, self._look(), delete_data=delete_data)

    def store_options(self) -> Mapping[str, str]:
        """As `labelloop artifact-store register` takes them."""
        options = {"path": self.url, "endpoint": self._google.endpoint}
        if self._google.asked.identities:
            options["authentication_secret"] = self._google.asked.secret
        return {name: value for name, value in options.items() if value}

    def media_secret(self) -> str:
        """Label Studio reads with the credentials of the store."""
        return ""

    def act(self, change: Change) -> None:
        """Make one change."""
        steps: Mapping[str, Callable[..., object]] = {
            "bucket": self._bucket.make,
            "cors": self._bucket.put_cors,
            "account": self._account.make,
            "bind": self._bucket.bind,
            "key": self._account.make_key,
            "note": self._account.note,
            "delete-key": self._account.delete_key,
            "delete-account": self._account.delete,
            "delete-secret": self._secrets.delete,
            "empty": self._bucket.empty,
            "delete-bucket": self._bucket.delete,
        }
        steps[change.step](**change.arguments)

    def _look(self) -> gcp.GcpResources:
        bucket = self._bucket.find()
        there = bucket is not None
        configuration = (bucket or {}).get("iamConfiguration", {})
        account = self._account.look() if self._google.wanted.identities else gcp.Account()
        return gcp.GcpResources(
            bucket=_owner(bucket),
            uniform=not there or bool(configuration.get("uniformBucketLevelAccess", {}).get("enabled")),
            rules=tuple((bucket or {}).get("cors", [])),
            policy=self._bucket.policy() if there and self._google.wanted.identities else {},
            account=account,
            secret=kept(
                self._secrets, self._google.wanted.secret, lambda values: _key_id(values, self._google.wanted.email)
            ),
        )


class _Bucket:
    """The bucket, with its rules."""

    def __init__(self, google: GoogleClient) -> None:
        self._google = google
        self._metageneration = ""

    def find(self) -> Mapping[str, Any] | None:
        try:
            found = self._google.storage("GET", self._path, "storage.buckets.get")
        except NotFoundError:
            return None
        there, wanted = str(found.get("location", "")), self._google.asked.region
        if wanted and there and wanted.upper() != there.upper():
            raise ConfigError(
                f"bucket {self._google.wanted.bucket!r} is in {there}, not in {wanted}", f"--region {there}"
            )
        self._metageneration = str(found.get("metageneration", ""))
        return found

    def policy(self) -> Mapping[str, Any]:
        query = {"optionsRequestedPolicyVersion": "3"}
        return self._google.storage("GET", f"{self._path}/iam", "storage.buckets.getIamPolicy", query=query)

    def make(self) -> None:
        access = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
        body = {
            "name": self._google.wanted.bucket,
            "location": self._google.asked.region or _LOCATION,
            "labels": {MARK: MANAGED},
            "iamConfiguration": access,
        }
        query = {"project": self._google.wanted.project}
        made = self._google.storage("POST", "/storage/v1/b", "storage.buckets.create", query=query, body=body)
        self._metageneration = str(made.get("metageneration", ""))

    def put_cors(self, rules: Sequence[Mapping[str, Any]]) -> None:
        query = {"ifMetagenerationMatch": self._metageneration} if self._metageneration else {}
        body = {"cors": list(rules)}
        self._google.storage("PATCH", self._path, "storage.buckets.update", query=query, body=body)

    def bind(self, policy: Mapping[str, Any]) -> None:
        """A bucket that was just made has bindings of its owners, which a plan could not know: they stay."""
        if "etag" not in policy:
            now = self.policy()
            policy = {**policy, "etag": now.get("etag"), "bindings": [*now.get("bindings", []), *policy["bindings"]]}
        self._google.once_known(
            lambda: self._google.storage("PUT", f"{self._path}/iam", "storage.buckets.setIamPolicy", body=policy)
        )

    def empty(self) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for page in self._pages(f"{self._path}/o", {"versions": "true"}):
                list(pool.map(self._delete_object, page.get("items", [])))

    def delete(self) -> None:
        self._google.storage("DELETE", self._path, "storage.buckets.delete")

    def _delete_object(self, found: Mapping[str, Any]) -> None:
        path = f"{self._path}/o/{quote(found['name'], safe='')}"
        query = {"generation": str(found["generation"])} if "generation" in found else {}
        try:
            self._google.storage("DELETE", path, "storage.objects.delete", query=query)
        except NotFoundError:
            return  # somebody was faster

    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        token = ""
        while True:
            more = {"pageToken": token} if token else {}
            page = self._google.storage("GET", path, "storage.objects.list", query={**query, **more})
            yield page
            token = page.get("nextPageToken", "")
            if not token:
                return

    @property
    def _path(self) -> str:
        return f"/storage/v1/b/{self._google.wanted.bucket}"


class _ServiceAccount:
    """The service account, with its keys."""

    def __init__(self, google: GoogleClient, secrets: SecretsManager) -> None:
        self._google = google
        self._secrets = secrets

    def look(self) -> gcp.Account:
        try:
            found = self._google.iam("GET", self._path, "iam.serviceAccounts.get")
        except NotFoundError:
            return gcp.Account()
        description = str(found.get("description", ""))
        listed = self._google.iam(
            "GET", f"{self._path}/keys", "iam.serviceAccountKeys.list", query={"keyTypes": "USER_MANAGED"}
        )
        return gcp.Account(
            owner="ours" if description.startswith(gcp.DESCRIPTION) else "foreign",
            description=description,
            keys=tuple(key["name"].rpartition("/")[2] for key in listed.get("keys", [])),
        )

    def make(self) -> None:
        body = {
            "accountId": gcp.account_id(self._google.wanted.bucket),
            "serviceAccount": {
                "displayName": f"labelloop {self._google.wanted.bucket}"[:100],
                "description": gcp.DESCRIPTION,
            },
        }
        path = f"/v1/projects/{self._google.wanted.project}/serviceAccounts"
        self._google.iam("POST", path, "iam.serviceAccounts.create", body=body)

    def make_key(self, secret: str) -> None:
        body = {"privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE"}
        made = self._google.once_known(
            lambda: self._google.iam("POST", f"{self._path}/keys", "iam.serviceAccountKeys.create", body=body)
        )
        key = made["name"].rpartition("/")[2]
        try:
            self._secrets.set(secret, {"token": b64decode(made["privateKeyData"]).decode()})
        except LabelLoopError:
            self.delete_key(key)
            raise
        self.note(key)

    def note(self, key: str) -> None:
        now = self.look()
        body = {
            "serviceAccount": {"description": gcp.noting(now.description, now.keys, key)},
            "updateMask": "description",
        }
        self._google.iam("PATCH", self._path, "iam.serviceAccounts.update", body=body)

    def delete_key(self, key: str) -> None:
        self._google.iam("DELETE", f"{self._path}/keys/{key}", "iam.serviceAccountKeys.delete")

    def delete(self) -> None:
        self._google.iam("DELETE", self._path, "iam.serviceAccounts.delete")

    @property
    def _path(self) -> str:
        return f"/v1/projects/{self._google.wanted.project}/serviceAccounts/{self._google.wanted.email}"


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
