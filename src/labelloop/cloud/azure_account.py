"""One container in an Azure storage account: look at what is there, make one change.

The blob service is spoken to with azure-storage-blob, Azure's management over its published REST interface.
"""

from __future__ import annotations

import os
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from typing import Any

from labelloop.cloud import azure
from labelloop.cloud.plan import MANAGED, MARK, Change, Owner, Plan, kept
from labelloop.errors import BackendError, ConfigError, LabelLoopError, NotFoundError
from labelloop.protocols import SecretsManager

MANAGEMENT = "https://management.azure.com"
KEY_VARIABLE = "AZURE_STORAGE_KEY"
RESOURCES, SUBSCRIPTIONS, STORAGE = "2021-04-01", "2022-12-01", "2023-05-01"
"""Versions of the management interfaces."""

_CONNECT, _READ = 5, 30
_PATIENCE, _PAUSE = 180.0, 2.0
_LOGIN = "az login, or a service principal in AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET"


class Azure:
    """A container with its account and secret; a `labelloop.cloud.plan.Cloud`.

    Args:
        wanted: What somebody asked for.
        secrets: Where the account's key is kept.
        subscription: Where the resource group is; empty is the only one there is.
        endpoint: The blob service, with the account in it; empty for Azure.
        management: Azure's management; empty for Azure.
        pause: Seconds between two looks at an account that is being made.
    """

    def __init__(
        self,
        wanted: azure.AzureRequest,
        secrets: SecretsManager,
        *,
        subscription: str = "",
        endpoint: str = "",
        management: str = "",
        pause: float = _PAUSE,
    ) -> None:
        azure.check_bucket(wanted.bucket)
        azure.check_account(wanted.account)
        azure.check_group(wanted.group)
        self._wanted = wanted
        self._secrets = secrets
        self._named = subscription or os.environ.get("AZURE_SUBSCRIPTION_ID", "")
        self._endpoint = endpoint
        self._management = management or MANAGEMENT
        self._pause = pause
        self.url = wanted.path

    def plan_setup(self) -> Plan:
        """What is missing."""
        return azure.decide_setup(self._wanted, self._look())

    def plan_teardown(self, *, delete_data: bool) -> Plan:
        """What labelloop made."""
        return azure.decide_teardown(self._wanted, self._look(), delete_data=delete_data)

    def store_options(self) -> Mapping[str, str]:
        """As `labelloop artifact-store register` takes them."""
        options = {"path": self.url, "endpoint": self._endpoint, "authentication_secret": self._wanted.secret}
        return {name: value for name, value in options.items() if value}

    def media_secret(self) -> str:
        """Label Studio reads with the credentials of the store."""
        return ""

    def act(self, change: Change) -> None:
        """Make one change."""
        steps: Mapping[str, Callable[..., object]] = {
            "group": self._make_group,
            "account": self._make_account,
            "container": self._make_container,
            "note": self._note,
            "cors": self._put_cors,
            "secret": self._keep_key,
            "delete-secret": self._secrets.delete,
            "delete-container": self._delete_container,
            "delete-account": self._delete_account,
            "delete-group": self._delete_group,
        }
        with self._explained():
            steps[change.step](**change.arguments)

    def _look(self) -> azure.AzureResources:
        with self._explained():
            group, account = self._find_places()
            secret = kept(self._secrets, self._wanted.secret, lambda values: values.get("account_name", ""))
            if account == "missing":
                neighbours = self._neighbours() if group == "ours" else ()
                return azure.AzureResources(group=group, account=account, secret=secret, neighbours=neighbours)
            container, metadata = self._find_container()
            return azure.AzureResources(
                group=group,
                account=account,
                container=container,
                metadata=metadata,
                rules=tuple(self._rules()),
                siblings=self._siblings(),
                neighbours=self._neighbours() if group == "ours" else (),
                secret=secret,
                is_current=self._kept_key() in self._keys,
            )

    def _find_places(self) -> tuple[Owner, Owner]:
        if not self._wanted.group:
            return "foreign", "foreign"
        group = self._get(self._group_path, RESOURCES, "Microsoft.Resources/subscriptions/resourceGroups/read")
        if group is None:
            return "missing", "missing"
        account = self._get(self._account_path, STORAGE, "Microsoft.Storage/storageAccounts/read")
        there, wanted = str((account or {}).get("location", "")), self._wanted.region
        if there and wanted and _plain(there) != _plain(wanted):
            raise ConfigError(f"{self._wanted.account} is in {there}, not in {wanted}", f"--region {_plain(there)}")
        return _owner(group), _owner(account)

    def _find_container(self) -> tuple[Owner, Mapping[str, str]]:
        try:
            found = self._container.get_container_properties()
        except _errors().ResourceNotFoundError:
            return "missing", {}
        metadata = dict(found.metadata or {})
        return ("ours" if metadata.get(MARK) == MANAGED else "foreign"), metadata

    def _siblings(self) -> Mapping[str, bool]:
        listed = self._blobs.list_containers(include_metadata=True)
        return {one.name: azure.USED in (one.metadata or {}) for one in listed if one.name != self._wanted.bucket}

    def _neighbours(self) -> tuple[str, ...]:
        found = self._arm("GET", f"{self._group_path}/resources", RESOURCES, "Microsoft.Resources/resources/read")
        return tuple(one["name"] for one in found.get("value", []) if one["name"] != self._wanted.account)

    def _rules(self) -> Iterator[Mapping[str, Any]]:
        for rule in self._blobs.get_service_properties()["cors"]:
            yield {
                "allowedOrigins": rule.allowed_origins.split(","),
                "allowedMethods": rule.allowed_methods.split(","),
                "allowedHeaders": [one for one in rule.allowed_headers.split(",") if one],
                "exposedHeaders": [one for one in rule.exposed_headers.split(",") if one],
                "maxAgeInSeconds": rule.max_age_in_seconds,
            }

    def _make_group(self) -> None:
        body = {"location": self._wanted.region, "tags": {MARK: MANAGED}}
        self._arm("PUT", self._group_path, RESOURCES, "Microsoft.Resources/subscriptions/resourceGroups/write", body)

    def _make_account(self) -> None:
        body = {
            "sku": {"name": "Standard_LRS"},
            "kind": "StorageV2",
            "location": self._wanted.region,
            "tags": {MARK: MANAGED},
            "properties": {
                "allowBlobPublicAccess": False,
                "minimumTlsVersion": "TLS1_2",
                "supportsHttpsTrafficOnly": True,
            },
        }
        self._arm("PUT", self._account_path, STORAGE, "Microsoft.Storage/storageAccounts/write", body)
        patience = time.monotonic() + _PATIENCE
        while not self._is_made():
            if time.monotonic() > patience:
                raise BackendError(
                    f"Azure is still making {self._wanted.account}", "run the same command again", retryable=True
                )
            time.sleep(self._pause)

    def _is_made(self) -> bool:
        found = self._get(self._account_path, STORAGE, "Microsoft.Storage/storageAccounts/read") or {}
        return bool(found.get("properties", {}).get("provisioningState") == "Succeeded")

    def _make_container(self, metadata: Mapping[str, str]) -> None:
        self._container.create_container(metadata=dict(metadata))

    def _note(self, metadata: Mapping[str, str]) -> None:
        self._container.set_container_metadata(dict(metadata))

    def _put_cors(self, rules: Sequence[Mapping[str, Any]]) -> None:
        rule_of = _needed("azure.storage.blob").CorsRule
        made = [
            rule_of(
                rule["allowedOrigins"],
                rule["allowedMethods"],
                allowed_headers=rule["allowedHeaders"],
                exposed_headers=rule["exposedHeaders"],
                max_age_in_seconds=rule["maxAgeInSeconds"],
            )
            for rule in rules
        ]
        self._blobs.set_service_properties(cors=made)

    def _keep_key(self) -> None:
        values = {"account_name": self._wanted.account, "account_key": self._keys[0]}
        self._secrets.set(self._wanted.secret, values)

    def _delete_container(self) -> None:
        self._container.delete_container()

    def _delete_account(self) -> None:
        self._arm("DELETE", self._account_path, STORAGE, "Microsoft.Storage/storageAccounts/delete")

    def _delete_group(self) -> None:
        self._arm("DELETE", self._group_path, RESOURCES, "Microsoft.Resources/subscriptions/resourceGroups/delete")

    @cached_property
    def _keys(self) -> Sequence[str]:
        """The account's keys: from Azure's management, the environment, or the secret."""
        if self._wanted.group:
            action = "Microsoft.Storage/storageAccounts/listkeys/action"
            found = self._arm("POST", f"{self._account_path}/listKeys", STORAGE, action)
            return [str(key["value"]) for key in found["keys"]]
        given = os.environ.get(KEY_VARIABLE) or self._kept_key()
        if not given:
            raise ConfigError(
                f"no key of the storage account {self._wanted.account!r} to set it up with",
                f"--resource-group NAME looks it up after az login; or export {KEY_VARIABLE}=...",
            )
        return [_base64(given, self._wanted.account)]

    def _kept_key(self) -> str:
        try:
            values = self._secrets.get(self._wanted.secret)
        except NotFoundError:
            return ""
        is_ours = values.get("account_name") == self._wanted.account
        return values.get("account_key", "") if is_ours else ""

    @cached_property
    def _blobs(self) -> Any:
        blob = _needed("azure.storage.blob")
        return blob.BlobServiceClient(
            self._endpoint or f"https://{self._wanted.account}.blob.core.windows.net",
            credential={"account_name": self._wanted.account, "account_key": self._keys[0]},
            connection_timeout=_CONNECT,
            read_timeout=_READ,
            retry_policy=blob.ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=2),
        )

    @property
    def _container(self) -> Any:
        return self._blobs.get_container_client(self._wanted.bucket)

    @cached_property
    def _subscription(self) -> str:
        if self._named:
            return self._named
        found = self._arm("GET", "/subscriptions", SUBSCRIPTIONS, "Microsoft.Resources/subscriptions/read")
        ids = [str(one["subscriptionId"]) for one in found.get("value", [])]
        if len(ids) != 1:
            raise ConfigError(f"{len(ids)} subscriptions: {', '.join(ids) or 'none'}", "--subscription ID")
        return ids[0]

    @property
    def _group_path(self) -> str:
        return f"/subscriptions/{self._subscription}/resourceGroups/{self._wanted.group}"

    @property
    def _account_path(self) -> str:
        return f"{self._group_path}/providers/Microsoft.Storage/storageAccounts/{self._wanted.account}"

    def _get(self, path: str, version: str, action: str) -> Mapping[str, Any] | None:
        try:
            return self._arm("GET", path, version, action)
        except NotFoundError:
            return None

    def _arm(self, method: str, path: str, version: str, action: str, body: Any = None) -> Mapping[str, Any]:
        import httpx

        token = self._credential.get_token(f"{self._management}/.default").token
        try:
            answer = httpx.request(
                method,
                self._management + path,
                params={"api-version": version},
                json=body,
                headers={"Authorization": f"Bearer {token}"},
                timeout=httpx.Timeout(_READ, connect=_CONNECT),
            )
        except httpx.HTTPError as error:
            raise _unreachable(self._management, error) from None
        if answer.is_error:
            raise self._refusal(answer.status_code, _code_of(answer), action)
        found: Mapping[str, Any] = answer.json() if answer.content else {}
        return found

    @cached_property
    def _credential(self) -> Any:
        return _needed("azure.identity").DefaultAzureCredential()

    def _refusal(self, status: int, code: str, action: str) -> LabelLoopError:
        account = self._wanted.account
        if status == 404:
            return NotFoundError(f"{action}: it is not there", "run the same command again")
        if status == 401:
            return ConfigError("Azure refuses the credentials of this shell: wrong or expired", _LOGIN)
        if status == 403:
            return ConfigError(
                f"Azure refuses {action}: the credentials of this shell miss that permission",
                "ask for the role Contributor on the resource group, or use other credentials: az login",
            )
        if code in {"StorageAccountAlreadyTaken", "StorageAccountAlreadyExists"}:
            return ConfigError(
                f"storage account {account!r} belongs to somebody else: all of Azure shares the names",
                "choose another name: --account NAME",
            )
        return BackendError(f"Azure answered {status} {code} to {action}", "try again", retryable=status >= 500)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what Azure's libraries raise into what happened and what to do; no secret is ever in either."""
        errors = _errors()
        where = self._endpoint or f"storage account {self._wanted.account}"
        try:
            yield
        except (errors.ServiceRequestError, errors.ServiceResponseError) as error:
            raise _unreachable(where, error) from None
        except errors.HttpResponseError as error:
            code = str(getattr(error, "error_code", "") or "")
            if error.status_code == 403:
                raise ConfigError(
                    f"{where} refuses the key: {code.rpartition('.')[2]}",
                    f"give the right one: export {KEY_VARIABLE}=..., or --resource-group NAME after az login",
                ) from None
            if error.status_code is None:
                raise ConfigError("no credentials to set up Azure with were found", _LOGIN) from None
            raise BackendError(f"{where} answered {error.status_code} {code}", "try again", retryable=True) from None


def _base64(key: str, account: str) -> str:
    try:
        b64decode(key, validate=True)
    except ValueError:
        raise ConfigError(
            f"the key of {account!r} is not base64, as Azure's keys are", f"export {KEY_VARIABLE}=..."
        ) from None
    return key


def _unreachable(where: str, error: Exception) -> BackendError:
    return BackendError(
        f"{where} does not answer: {type(error).__name__}", "check the network, and try again", retryable=True
    )


def _owner(resource: Mapping[str, Any] | None) -> Owner:
    if resource is None:
        return "missing"
    return "ours" if (resource.get("tags") or {}).get(MARK) == MANAGED else "foreign"


def _plain(region: str) -> str:
    """`West Europe` and `westeurope` are the same region."""
    return region.replace(" ", "").lower()


def _code_of(answer: Any) -> str:
    try:
        return str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _errors() -> Any:
    return _needed("azure.core.exceptions")


def _needed(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise ConfigError(
            "setting up Azure needs azure-identity and azure-storage-blob", "labelloop integration install azure"
        ) from None
