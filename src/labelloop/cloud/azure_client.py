"""Azure's management over its published REST interface, and what its refusals mean."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from typing import Any

from labelloop.cloud import azure
from labelloop.errors import BackendError, ConfigError, LabelLoopError, NotFoundError

MANAGEMENT = "https://management.azure.com"
RESOURCES, SUBSCRIPTIONS, STORAGE = "2021-04-01", "2022-12-01", "2023-05-01"
"""Versions of the management interfaces."""

CONNECT, READ = 5, 30
"""Seconds to wait for a connection, and for an answer."""

LOGIN = "az login, or a service principal in AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET"


class Management:
    """Calls in the name of whoever runs labelloop.

    Args:
        wanted: What somebody asked for.
        subscription: Where the resource group is; empty is the only one there is.
        url: Azure's management.
    """

    def __init__(self, wanted: azure.AzureRequest, subscription: str, url: str) -> None:
        self._wanted = wanted
        self._named = subscription
        self._url = url

    @property
    def group_path(self) -> str:
        """The resource group."""
        return f"/subscriptions/{self._subscription}/resourceGroups/{self._wanted.group}"

    @property
    def account_path(self) -> str:
        """The storage account."""
        return f"{self.group_path}/providers/Microsoft.Storage/storageAccounts/{self._wanted.account}"

    def get(self, path: str, version: str, action: str) -> Mapping[str, Any] | None:
        """A resource; None where there is none."""
        try:
            return self.arm("GET", path, version, action)
        except NotFoundError:
            return None

    def arm(self, method: str, path: str, version: str, action: str, body: Any = None) -> Mapping[str, Any]:
        """What the management answers to what needs the permission `action`."""
        import httpx

        token = self._credential.get_token(f"{self._url}/.default").token
        try:
            answer = httpx.request(
                method,
                self._url + path,
                params={"api-version": version},
                json=body,
                headers={"Authorization": f"Bearer {token}"},
                timeout=httpx.Timeout(READ, connect=CONNECT),
            )
        except httpx.HTTPError as error:
            raise unreachable(self._url, error) from None
        if answer.is_error:
            raise self._refusal(answer.status_code, _code_of(answer), action)
        found: Mapping[str, Any] = answer.json() if answer.content else {}
        return found

    @cached_property
    def _subscription(self) -> str:
        if self._named:
            return self._named
        found = self.arm("GET", "/subscriptions", SUBSCRIPTIONS, "Microsoft.Resources/subscriptions/read")
        ids = [str(one["subscriptionId"]) for one in found.get("value", [])]
        if len(ids) != 1:
            raise ConfigError(f"{len(ids)} subscriptions: {', '.join(ids) or 'none'}", "--subscription ID")
        return ids[0]

    @cached_property
    def _credential(self) -> Any:
        return needed("azure.identity").DefaultAzureCredential()

    def _refusal(self, status: int, code: str, action: str) -> LabelLoopError:
        account = self._wanted.account
        if status == 404:
            return NotFoundError(f"{action}: it is not there", "run the same command again")
        if status == 401:
            return ConfigError("Azure refuses the credentials of this shell: wrong or expired", LOGIN)
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


def unreachable(where: str, error: Exception) -> BackendError:
    """Says that nobody answers there."""
    return BackendError(
        f"{where} does not answer: {type(error).__name__}", "check the network, and try again", retryable=True
    )


def needed(module: str) -> Any:
    """A module of Azure's libraries.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        raise ConfigError(
            "setting up Azure needs azure-identity and azure-storage-blob", "labelloop integration install azure"
        ) from None


def _code_of(answer: Any) -> str:
    try:
        return str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""
