"""The way to a Label Studio: our own server or somebody else's address, the token that lets us in, and the road."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256

from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.environment import DEFAULT_VERSION
from labelloop.backends.label_studio.locks import locked
from labelloop.backends.label_studio.server import Server
from labelloop.backends.label_studio.way import road_of
from labelloop.errors import BackendError, ConfigError, NoSecretError, NotFoundError
from labelloop.machine.road import Road
from labelloop.protocols import SecretsManager, silent

_TOKEN_KEYS = ("token", "api_key")

OLDEST = (1, 18)
"""The oldest release whose source has all that labelloop asks for: personal tokens, and the page that signs links."""


class ServerConnection:
    """One Label Studio, and how we get to it.

    Args:
        url: Someone else's server; empty for our own.
        server: Our own server, whether it runs or not.
        secrets: Holds the token of someone else's server.
        secret: The name of the secret with it.
        way: What stands between someone else's server and us.
        most_bytes: How large a request should be at most.

    Attributes:
        url: Of someone else's server; empty for our own.
        server: Our own server.
        home: The folder of our own server, and of what we remember of either.
    """

    def __init__(
        self,
        url: str,
        server: Server,
        secrets: SecretsManager,
        secret: str,
        *,
        way: Mapping[str, str],
        most_bytes: int,
    ) -> None:
        self.url = url
        self.server = server
        self.home = server.home
        self._secrets = secrets
        self._secret = secret
        self._way = way
        self._most_bytes = most_bytes
        self._client: Client | None = None
        self._checked = False

    @property
    def key(self) -> str:
        """What tells this server from others, in names of files."""
        return sha256(self.url.encode()).hexdigest()[:8] if self.url else "own"

    def client(self) -> Client:
        """An authenticated client of the server.

        Raises:
            BackendError: Our own server is down.
            ConfigError: The secret has no token.
            NotFoundError: There is no such secret.
        """
        url = self.url or self._managed_url()
        if self._client is None or self._client.url != url:
            token, replacing = self.credentials()
            self._client = Client(
                url,
                token,
                remedy=lambda page: f"copy a token from {page}, then {replacing}" if self.url else replacing,
                road=self.road(),
                most_bytes=self._most_bytes,
            )
        return self._client

    def use(self, client: Client) -> None:
        """Talk through this client while the server has its address."""
        self._client = client

    def road(self) -> Road:
        """Certificates, headers and proxy on the way to someone else's server."""
        return road_of(lambda: self._secrets.get(self._secret), **self._way) if self.url else Road()

    def credentials(self) -> tuple[str, str]:
        """The token, and the command that replaces it.

        Raises:
            ConfigError: The secret has no token.
            NotFoundError: There is no such secret.
        """
        if not self.url:
            return self.server.credentials()["token"], "labelloop stack up"
        values = values_of(self._secrets, self._secret)
        for key in _TOKEN_KEYS:
            if values.get(key):
                return values[key], f"labelloop secret update {self._secret} --{key}=..."
        raise ConfigError(
            f"secret {self._secret!r} has no token; it has {', '.join(sorted(values)) or 'nothing'}",
            f"labelloop secret update {self._secret} --api_key=...",
        )

    def check_version(self) -> None:
        """Once per server, and not our own, whose version is ours to choose.

        Raises:
            ConfigError: Label Studio is too old.
        """
        if self.url and not self._checked:
            version = self.client().version()
            if is_older(version):
                raise outdated(self.url, version)
            self._checked = True

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While something is written there: one process at a time."""
        with locked(self.home / f"writing-{self.key}.lock", "writes to Label Studio", silent):
            yield

    def _managed_url(self) -> str:
        running = self.server.state()
        if running is None:
            raise BackendError("Label Studio is not running", "labelloop stack up", retryable=True)
        return running.url


def values_of(secrets: SecretsManager, name: str) -> Mapping[str, str]:
    """The values of a secret that is named in the settings.

    Raises:
        NoSecretError: There is none of this name.
    """
    try:
        return secrets.get(name)
    except NotFoundError as error:
        raise NoSecretError(error.message, error.hint) from error


def is_older(version: str) -> bool:
    """Whether a release is older than the oldest that will do; one that cannot be read is not."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) < OLDEST


def outdated(url: str, version: str) -> ConfigError:
    """That a server is too old."""
    oldest = ".".join(map(str, OLDEST))
    return ConfigError(
        f"Label Studio at {url} is version {version}; labelloop needs {oldest} or newer",
        f"upgrade that server, best to {DEFAULT_VERSION}, which labelloop is tested with:"
        f" pip install label-studio=={DEFAULT_VERSION}",
    )
