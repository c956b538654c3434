"""Secrets in HashiCorp Vault or OpenBao."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from labelloop.backends.secret_values import check_size, needed, unpacked, without_credentials
from labelloop.errors import BackendError, ConfigError, LabelLoopError, NotFoundError
from labelloop.machine.road import verified_by
from labelloop.protocols import check_secret_name, is_secret_name

LIMIT = 512 * 1024
"""Bytes that one secret may have: what Vault's storage takes in every configuration."""

TIMEOUT = 20
"""Seconds to wait for an answer."""

_ROLE, _ROLE_SECRET = "VAULT_ROLE_ID", "VAULT_SECRET_ID"
_SIGN_IN = f"vault login, or set VAULT_TOKEN, or {_ROLE} and {_ROLE_SECRET} for an AppRole, or token_file = ..."


@dataclass(frozen=True, kw_only=True)
class VaultSecretsManager:
    """A key-value store (version 2) of Vault or OpenBao: each secret is an entry, each value a field of it.

    The token is `VAULT_TOKEN`, or what `token_file` holds, or what an AppRole (`VAULT_ROLE_ID`, `VAULT_SECRET_ID`)
    gets, or what `vault login` keeps in `~/.vault-token`.

    Args:
        url: The address, such as `https://vault.example.com:8200`.
        mount: Where the key-value store is mounted.
        path: The folder below it; the rest of the store is not touched.
        namespace: The namespace, where the server has them.
        token_file: A file with the token, as an agent keeps it fresh.
        ca_bundle: A file (PEM) of certificates that are trusted; empty is what VAULT_CACERT, SSL_CERT_FILE,
            REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names, else the system's.

    Raises:
        ConfigError: An option cannot work.
    """

    url: str
    mount: str = "secret"
    path: str = "labelloop"
    namespace: str = ""
    token_file: str = ""
    ca_bundle: str = ""

    def __post_init__(self) -> None:
        without_credentials(self.url, "url")
        if not self.url or not self.path.strip("/"):
            raise ConfigError(
                "the vault secrets manager needs a url and a path", "set url = ... (and leave path as it is)"
            )

    def __getstate__(self) -> Mapping[str, Any]:
        return asdict(self)

    def get(self, name: str) -> Mapping[str, str]:
        """The values of one secret.

        Raises:
            NotFoundError: There is none of this name.
            ConfigError: It is not a name for a secret, or Vault does not let us in.
            BackendError: Vault failed, or cannot be reached.
        """
        place = self._place(name)
        answer = self._ask(
            "read",
            f"data/{place}",
            name,
            lambda store: store.read_secret_version(path=place, mount_point=self.mount, raise_on_deleted_version=True),
        )
        return unpacked(json.dumps(answer["data"]["data"]), f"secret {place!r} at {self.url}")

    def set(self, name: str, values: Mapping[str, str]) -> None:
        """Create or replace one secret as a whole.

        Raises:
            ConfigError: As for `get`, or the values are too long.
            BackendError: As for `get`.
        """
        place = self._place(name)
        check_size(
            sum(len(text.encode()) for pair in values.items() for text in pair), limit=LIMIT, what=f"secret {name!r}"
        )
        answer = self._ask(
            "create and update",
            f"data/{place}",
            name,
            lambda store: store.create_or_update_secret(path=place, secret=dict(values), mount_point=self.mount),
        )
        if not isinstance(answer, Mapping):
            self._take_back(place)

    def delete(self, name: str) -> None:
        """Remove one secret with all its versions, for good.

        Raises:
            NotFoundError: There is none of this name.
            ConfigError: As for `get`.
            BackendError: As for `get`.
        """
        self.get(name)
        place = self._place(name)
        self._ask(
            "delete",
            f"metadata/{place}",
            name,
            lambda store: store.delete_metadata_and_all_versions(path=place, mount_point=self.mount),
        )

    def names(self) -> Sequence[str]:
        """The names there are, sorted."""
        folder = self.path.strip("/")
        try:
            answer = self._ask(
                "list",
                f"metadata/{folder}",
                "",
                lambda store: store.list_secrets(path=folder, mount_point=self.mount),
            )
        except NotFoundError:
            return []
        return sorted(filter(is_secret_name, answer["data"]["keys"]))

    def _ask(self, action: str, place: str, name: str, call: Callable[[Any], Any]) -> Any:
        """One call of the key-value store; a role whose token has run out signs in again."""
        forbidden = needed("hvac.exceptions", "vault").Forbidden
        with self._explained(action, place, name):
            if self.token_file:
                self.client.token = _read_token(Path(self.token_file).expanduser())
            try:
                return call(self.client.secrets.kv.v2)
            except forbidden:
                if not self._by_role:
                    raise
            self.__dict__.pop("client", None)
            return call(self.client.secrets.kv.v2)

    def _take_back(self, place: str) -> None:
        """Refuse a store of version 1, which took the secret as something else."""
        self.client.adapter.delete(f"/v1/{self.mount}/data/{place}")
        raise ConfigError(
            f"the key-value store at {self.mount!r} in Vault at {self.url} is of version 1",
            f"vault kv enable-versioning {self.mount}, or set mount = ... to a store of version 2",
        )

    @property
    def _by_role(self) -> bool:
        return not self.token_file and not os.environ.get("VAULT_TOKEN") and bool(os.environ.get(_ROLE))

    @cached_property
    def client(self) -> Any:
        """What speaks to the server, signed in."""
        hvac = needed("hvac", "vault")
        client = hvac.Client(
            url=self.url.rstrip("/"), timeout=TIMEOUT, namespace=self.namespace or None, verify=self._verified_by()
        )
        if self.token_file:
            client.token = _read_token(Path(self.token_file).expanduser())
        elif self._by_role:
            client.auth.approle.login(os.environ[_ROLE], os.environ.get(_ROLE_SECRET))
        if not client.token:
            raise ConfigError(f"there is no token for Vault at {self.url}", _SIGN_IN)
        return client

    def _verified_by(self) -> str | bool:
        return verified_by(self.ca_bundle or os.environ.get("VAULT_CACERT", ""))

    def _place(self, name: str) -> str:
        return f"{self.path.strip('/')}/{check_secret_name(name)}"

    @contextmanager
    def _explained(self, action: str, place: str, name: str) -> Iterator[None]:
        """Turn what hvac raises into our errors, which never repeat what was sent."""
        exceptions = needed("hvac.exceptions", "vault")
        transport = needed("requests.exceptions", "vault")
        try:
            yield
        except exceptions.VaultError as error:
            raise self._refusal(error, action, place, name) from None
        except transport.SSLError:
            raise ConfigError(
                f"the certificate of Vault at {self.url} is not trusted",
                "name the file of its authority as ca_bundle, or by VAULT_CACERT",
            ) from None
        except transport.RequestException as error:
            raise BackendError(
                f"Vault at {self.url} cannot be reached ({type(error).__name__})",
                "check the address and the network, then try again",
                retryable=True,
            ) from None

    def _refusal(self, error: Exception, action: str, place: str, name: str) -> LabelLoopError:
        """The error for an answer of Vault."""
        kind = type(error).__name__
        said = " ".join(getattr(error, "errors", None) or [])
        where = f"Vault at {self.url}"
        if "no handler for route" in said or "route entry not found" in said:
            return ConfigError(
                f"{where} has nothing mounted at {self.mount!r}",
                f"vault secrets enable -path={self.mount} -version=2 kv, or set mount = ...",
            )
        if kind == "InvalidPath":
            return NotFoundError(
                f"no secret {name!r} below {self.mount}/{self.path} in {where}",
                f"labelloop secret list shows those there are; labelloop secret register {name} --KEY=VALUE",
            )
        if kind in ("Forbidden", "Unauthorized") and "permission denied" in said and "invalid token" not in said:
            return ConfigError(
                f"{where} does not allow this token to {action} {self.mount}/{place}",
                f'give its policy: path "{self.mount}/{place}" with the capability to {action};'
                " an expired token is refused in the same words: vault token lookup tells",
            )
        if kind in ("Forbidden", "Unauthorized") or (kind == "InvalidRequest" and "role" in said):
            return ConfigError(f"{where} refuses the token or the role: it is wrong or has expired", _SIGN_IN)
        if kind in ("VaultDown", "VaultNotInitialized"):
            return BackendError(f"{where} is sealed or in standby", "vault operator unseal", retryable=True)
        return BackendError(
            f"{where} answered {kind} to {action} {self.mount}/{place}",
            "read the server's log, then try again",
            retryable=kind in ("InternalServerError", "BadGateway", "RateLimitExceeded"),
        )


def _read_token(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise ConfigError(
            f"the token file {path} cannot be read: {error.strerror}", "correct token_file, or start the agent"
        ) from None
