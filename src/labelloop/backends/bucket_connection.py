"""A connection to a bucket: its address, its client, credentials resolved at use, and errors in words."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, ClassVar, Literal

from labelloop.backends.bucket_errors import explained
from labelloop.errors import ConfigError, LabelLoopError
from labelloop.machine.road import certificates_of
from labelloop.protocols import SecretsManager, check_key

Cloud = Literal["s3", "gcp", "azure"]

PATIENCE = timedelta(seconds=60)
"""How long one request may take, its part of a body included."""

FRESH = 60.0
"""Seconds after which the secret is looked up again, so that renewed credentials are taken up by a running loop."""

SCHEMES: Mapping[Cloud, str] = {"s3": "s3", "gcp": "gs", "azure": "az"}
ALIASES: Mapping[str, Cloud] = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcp",
    "gcs": "gcp",
    "az": "azure",
    "abfs": "azure",
    "azure": "azure",
}
"""How people write the scheme of a bucket's URL."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[^/\s]+(/[^/\s]+)*")
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Held:
    """A connection, the secret's values it was made with, and when they were looked up."""

    values: Mapping[str, str]
    client: Any
    since: float


class BucketConnection:
    """Where a bucket is and how it is reached; its fields are the options of a flavor."""

    cloud: ClassVar[Cloud]
    path: str
    authentication_secret: str
    endpoint: str
    ca_bundle: str
    secrets: SecretsManager | None
    component: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", checked_path(self.cloud, self.path))
        object.__setattr__(self, "endpoint", checked_endpoint(self.endpoint))
        if self.authentication_secret and self.secrets is None:
            raise ConfigError(
                f"secret {self.authentication_secret!r} is named, and the stack has no secrets manager",
                "labelloop stack update STACK -x SECRETS_MANAGER",
            )

    def __getstate__(self) -> dict[str, Any]:
        """The options; a connection does not travel, and its credentials are looked up again where it arrives."""
        return {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def bucket_name(self) -> str:
        """The bucket, or container."""
        return self.path.split("://", maxsplit=1)[1].partition("/")[0]

    @property
    def prefix(self) -> str:
        """What the names of all our objects begin with: empty, or ending with a slash."""
        inside = self.path.split("://", maxsplit=1)[1].partition("/")[2]
        return f"{inside}/" if inside else ""

    def object_name(self, key: str) -> str:
        """The name of a key's object in the bucket."""
        return self.prefix + check_key(key)

    def client(self) -> Any:
        """obstore's client of the bucket; made when first needed, and anew when the secret has changed.

        Raises:
            NotFoundError: There is no such secret.
            ConfigError: A key is missing or malformed, the extra is not installed, or there are no credentials.
        """
        with _LOCK:
            held: Held | None = self.__dict__.get("_held")
            if held is not None and time.monotonic() - held.since < FRESH:
                return held.client
        values = self.values()
        client = held.client if held is not None and held.values == values else self._connected(values)
        with _LOCK:
            self.__dict__["_held"] = Held(values, client, time.monotonic())
        return client

    def values(self) -> Mapping[str, str]:
        """The values of the secret; none where the cloud's own default chain is used."""
        if not self.authentication_secret or self.secrets is None:
            return {}
        return dict(self.secrets.get(self.authentication_secret))

    def value(self, values: Mapping[str, str], key: str) -> str:
        """One value of the secret.

        Raises:
            ConfigError: The secret misses it.
        """
        if values.get(key):
            return values[key]
        raise ConfigError(
            f"secret {self.authentication_secret!r} has no {key!r}, which {self.path} needs",
            f"labelloop secret update {self.authentication_secret} --{key}=...",
        )

    @contextmanager
    def explaining(self, doing: str, name: str) -> Iterator[None]:
        """Turn what the client raises into errors that say what to do; an object that is not there stays as it is."""
        try:
            yield
        except Exception as error:
            told = self._explained(error, doing, name)
            if told is error:
                raise
            if isinstance(told, ConfigError):
                with _LOCK:
                    self.__dict__.pop("_held", None)  # whoever corrects the secret is heard at once
            raise told from None

    def _explained(self, error: Exception, doing: str, name: str) -> Exception:
        return explained(self, error, doing, name)

    def _connected(self, values: Mapping[str, str]) -> Any:
        try:
            return self._connect(values)
        except ImportError as error:
            raise ConfigError(
                f"artifact store flavor {self.cloud!r} needs a package that is not installed: {error.name}",
                f"labelloop integration install {self.cloud}",
            ) from error
        except LabelLoopError:
            raise
        except Exception as error:  # noqa: BLE001 - looked at, and raised again
            raise self._explained(error, "open", "") from None

    def _connect(self, values: Mapping[str, str]) -> Any:
        raise NotImplementedError


def checked_path(cloud: Cloud, path: str) -> str:
    """The URL of a bucket, if it is one of this cloud, without a slash at its end.

    Raises:
        ConfigError: It is not; the hint names the right flavor, or the right shape.
    """
    scheme = SCHEMES[cloud]
    shape = f"{scheme}://{'CONTAINER' if cloud == 'azure' else 'BUCKET'}"
    given, separator, rest = path.partition("://")
    theirs = ALIASES.get(given) if separator else None
    if theirs != cloud:
        right = theirs or ("local" if not separator or given == "file" else "")
        hint = f"--flavor={right} --path={path}, or --path={shape}" if right else f"--path={shape}[/FOLDER]"
        raise ConfigError(f"{path!r} is no path of artifact store flavor {cloud!r}", hint)
    name, _, prefix = rest.rstrip("/").partition("/")
    if not _BUCKET.fullmatch(name):
        raise ConfigError(
            f"{name!r} in {path!r} cannot be the name of a bucket",
            f"--path={shape}[/FOLDER], with 3 to 63 lower-case letters, digits, hyphens and dots",
        )
    if prefix and (not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/"))):
        raise ConfigError(f"{prefix!r} in {path!r} cannot be a folder of a bucket", f"--path={shape}/FOLDER")
    return f"{scheme}://{name}/{prefix}" if prefix else f"{scheme}://{name}"


def checked_endpoint(endpoint: str) -> str:
    """The URL of a server, without a slash at its end; empty stays empty.

    Raises:
        ConfigError: It is no URL.
    """
    if endpoint and not re.fullmatch(r"https?://[^/\s]+(/\S*)?", endpoint):
        raise ConfigError(f"endpoint {endpoint!r} is no URL", "for example --endpoint=http://127.0.0.1:9000")
    return endpoint.rstrip("/")


def connection(endpoint: str, ca_bundle: str = "") -> Mapping[str, Any]:
    """How to talk to a service: patiently enough for a large part, and never for minutes.

    Raises:
        ConfigError: The certificates that are to be trusted cannot be read.
    """
    trusted = certificates_of(ca_bundle)
    return {
        "client_options": {
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "timeout": PATIENCE,
            **({"root_certificate": trusted} if trusted else {}),
        },
        "retry_config": {
            "max_retries": 3,
            "retry_timeout": timedelta(seconds=20),
            "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
        },
    }
