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
from typing import Any

from labelloop.cloud import azure
from labelloop.cloud.azure_client import (
    CONNECT,
    LOGIN,
    MANAGEMENT,
    READ,
    RESOURCES,
    STORAGE,
    Management,
    needed,
    unreachable,
)
from labelloop.cloud.plan import MANAGED, MARK, Change, Owner, Plan, kept
from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.protocols import SecretsManager

KEY_VARIABLE = "AZURE_STORAGE_KEY"
_PATIENCE, _PAUSE = 180.0, 2.0


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
        self._endpoint = endpoint
        named = subscription or os.environ.get("AZURE_SUBSCRIPTION_ID", "")
        arm = Management(wanted, named, management or MANAGEMENT)
        self._places = _Places(wanted, arm, pause)
        self._blobs = _Blobs(wanted, _Keys(wanted, secrets, arm), endpoint)
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
            "group": self._places.make_group,
            "account": self._places.make_account,
            "container": self._blobs.make_container,
            "note": self._blobs.note,
            "cors": self._blobs.put_cors,
            "secret": self._blobs.keys.keep,
            "delete-secret": self._secrets.delete,
            "delete-container": self._blobs.delete_container,
            "delete-account": self._places.delete_account,
            "delete-group": self._places.delete_group,
        }
        with self._blobs.explained():
            steps[change.step](**change.arguments)

    def _look(self) -> azure.AzureResources:
        with self._blobs.explained():
            group, account = self._places.find()
            secret = kept(self._secrets, self._wanted.secret, lambda values: values.get("account_name", ""))
            if account == "missing":
                neighbours = self._places.neighbours() if group == "ours" else ()
                return azure.AzureResources(group=group, account=account, secret=secret, neighbours=neighbours)
            container, metadata = self._blobs.find_container()
            return azure.AzureResources(
                group=group,
                account=account,
                container=container,
                metadata=metadata,
                rules=tuple(self._blobs.rules()),
                siblings=self._blobs.siblings(),
                neighbours=self._places.neighbours() if group == "ours" else (),
                secret=secret,
                is_current=self._blobs.keys.kept() in self._blobs.keys.found,
            )


class _Places:
    """The resource group and the storage account."""

    def __init__(self, wanted: azure.AzureRequest, arm: Management, pause: float) -> None:
        self._wanted = wanted
        self._arm = arm
        self._pause = pause

    def find(self) -> tuple[Owner, Owner]:
        if not self._wanted.group:
            return "foreign", "foreign"
        group = self._arm.get(self._arm.group_path, RESOURCES, "Microsoft.Resources/subscriptions/resourceGroups/read")
        if group is None:
            return "missing", "missing"
        account = self._arm.get(self._arm.account_path, STORAGE, "Microsoft.Storage/storageAccounts/read")
        there, wanted = str((account or {}).get("location", "")), self._wanted.region
        if there and wanted and _plain(there) != _plain(wanted):
            raise ConfigError(f"{self._wanted.account} is in {there}, not in {wanted}", f"--region {_plain(there)}")
        return _owner(group), _owner(account)

    def neighbours(self) -> tuple[str, ...]:
        found = self._arm.arm(
            "GET", f"{self._arm.group_path}/resources", RESOURCES, "Microsoft.Resources/resources/read"
        )
        return tuple(one["name"] for one in found.get("value", []) if one["name"] != self._wanted.account)

    def make_group(self) -> None:
        body = {"location": self._wanted.region, "tags": {MARK: MANAGED}}
        self._arm.arm(
            "PUT", self._arm.group_path, RESOURCES, "Microsoft.Resources/subscriptions/resourceGroups/write", body
        )

    def make_account(self) -> None:
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
        self._arm.arm("PUT", self._arm.account_path, STORAGE, "Microsoft.Storage/storageAccounts/write", body)
        patience = time.monotonic() + _PATIENCE
        while not self._is_made():
            if time.monotonic() > patience:
                raise BackendError(
                    f"Azure is still making {self._wanted.account}", "run the same command again", retryable=True
                )
            time.sleep(self._pause)

    def delete_account(self) -> None:
        self._arm.arm("DELETE", self._arm.account_path, STORAGE, "Microsoft.Storage/storageAccounts/delete")

    def delete_group(self) -> None:
        self._arm.arm(
            "DELETE", self._arm.group_path, RESOURCES, "Microsoft.Resources/subscriptions/resourceGroups/delete"
        )

    def _is_made(self) -> bool:
        found = self._arm.get(self._arm.account_path, STORAGE, "Microsoft.Storage/storageAccounts/read") or {}
        return bool(found.get("properties", {}).get("provisioningState") == "Succeeded")


class _Keys:
    """The keys of the storage account, and the one that is kept."""

    def __init__(self, wanted: azure.AzureRequest, secrets: SecretsManager, arm: Management) -> None:
        self._wanted = wanted
        self._secrets = secrets
        self._arm = arm

    @cached_property
    def found(self) -> Sequence[str]:
        """The account's keys: from Azure's management, the environment, or the secret."""
        if self._wanted.group:
            action = "Microsoft.Storage/storageAccounts/listkeys/action"
            found = self._arm.arm("POST", f"{self._arm.account_path}/listKeys", STORAGE, action)
            return [str(key["value"]) for key in found["keys"]]
        given = os.environ.get(KEY_VARIABLE) or self.kept()
        if not given:
            raise ConfigError(
                f"no key of the storage account {self._wanted.account!r} to set it up with",
                f"--resource-group NAME looks it up after az login; or export {KEY_VARIABLE}=...",
            )
        return [_base64(given, self._wanted.account)]

    def kept(self) -> str:
        try:
            values = self._secrets.get(self._wanted.secret)
        except NotFoundError:
            return ""
        is_ours = values.get("account_name") == self._wanted.account
        return values.get("account_key", "") if is_ours else ""

    def keep(self) -> None:
        values = {"account_name": self._wanted.account, "account_key": self.found[0]}
        self._secrets.set(self._wanted.secret, values)


class _Blobs:
    """The container and the blob service that it is in."""

    def __init__(self, wanted: azure.AzureRequest, keys: _Keys, endpoint: str) -> None:
        self.keys = keys
        self._wanted = wanted
        self._endpoint = endpoint

    def find_container(self) -> tuple[Owner, Mapping[str, str]]:
        try:
            found = self._container.get_container_properties()
        except _errors().ResourceNotFoundError:
            return "missing", {}
        metadata = dict(found.metadata or {})
        return ("ours" if metadata.get(MARK) == MANAGED else "foreign"), metadata

    def siblings(self) -> Mapping[str, bool]:
        listed = self._service.list_containers(include_metadata=True)
        return {one.name: azure.USED in (one.metadata or {}) for one in listed if one.name != self._wanted.bucket}

    def rules(self) -> Iterator[Mapping[str, Any]]:
        for rule in self._service.get_service_properties()["cors"]:
            yield {
                "allowedOrigins": rule.allowed_origins.split(","),
                "allowedMethods": rule.allowed_methods.split(","),
                "allowedHeaders": [one for one in rule.allowed_headers.split(",") if one],
                "exposedHeaders": [one for one in rule.exposed_headers.split(",") if one],
                "maxAgeInSeconds": rule.max_age_in_seconds,
            }

    def make_container(self, metadata: Mapping[str, str]) -> None:
        self._container.create_container(metadata=dict(metadata))

    def note(self, metadata: Mapping[str, str]) -> None:
        self._container.set_container_metadata(dict(metadata))

    def put_cors(self, rules: Sequence[Mapping[str, Any]]) -> None:
        rule_of = needed("azure.storage.blob").CorsRule
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
        self._service.set_service_properties(cors=made)

    def delete_container(self) -> None:
        self._container.delete_container()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what Azure's libraries raise into what happened and what to do; no secret is ever in either."""
        errors = _errors()
        where = self._endpoint or f"storage account {self._wanted.account}"
        try:
            yield
        except (errors.ServiceRequestError, errors.ServiceResponseError) as error:
            raise unreachable(where, error) from None
        except errors.HttpResponseError as error:
            code = str(getattr(error, "error_code", "") or "")
            if error.status_code == 403:
                raise ConfigError(
                    f"{where} refuses the key: {code.rpartition('.')[2]}",
                    f"give the right one: export {KEY_VARIABLE}=..., or --resource-group NAME after az login",
                ) from None
            if error.status_code is None:
                raise ConfigError("no credentials to set up Azure with were found", LOGIN) from None
            raise BackendError(f"{where} answered {error.status_code} {code}", "try again", retryable=True) from None

    @cached_property
    def _service(self) -> Any:
        blob = needed("azure.storage.blob")
        return blob.BlobServiceClient(
            self._endpoint or f"https://{self._wanted.account}.blob.core.windows.net",
            credential={"account_name": self._wanted.account, "account_key": self.keys.found[0]},
            connection_timeout=CONNECT,
            read_timeout=READ,
            retry_policy=blob.ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=2),
        )

    @property
    def _container(self) -> Any:
        return self._service.get_container_client(self._wanted.bucket)


def _base64(key: str, account: str) -> str:
    try:
        b64decode(key, validate=True)
    except ValueError:
        raise ConfigError(
            f"the key of {account!r} is not base64, as Azure's keys are", f"export {KEY_VARIABLE}=..."
        ) from None
    return key


def _owner(resource: Mapping[str, Any] | None) -> Owner:
    if resource is None:
        return "missing"
    return "ours" if (resource.get("tags") or {}).get(MARK) == MANAGED else "foreign"


def _plain(region: str) -> str:
    """`West Europe` and `westeurope` are the same region."""
    return region.replace(" ", "").lower()


def _errors() -> Any:
    return needed("azure.core.exceptions")
