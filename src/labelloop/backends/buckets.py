"""What artifact stores in a bucket have in common: bodies as objects, errors in words, credentials resolved at use."""

from __future__ import annotations

import io
import mimetypes
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

from labelloop.errors import ConfigError, LabelLoopError, NotFoundError
from labelloop.machine.road import certificates_of
from labelloop.protocols import SecretsManager, check_key
from labelloop.types import Bucket

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from labelloop.backends.bucket_files import BucketFiles

Cloud = Literal["s3", "gcp", "azure"]

PART = 8 << 20
"""Bytes that are sent or fetched by one request; a larger body goes in such parts, a few of them at a time."""

PARTS_UNDER_WAY = 3
"""Parts of one body on their way at the same time: what writing a body of any size takes of memory."""

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


class BucketArtifacts:
    """Bodies as objects `path/key`, written by single requests that either take place or do not.

    A flavor is a frozen dataclass of this class: its fields are its options, `cloud` says whose protocol it speaks, and
    `_connect` makes the client of its bucket from the values of the secret.
    """

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

    def read(self, key: str) -> BinaryIO:
        """Open a body for reading; the caller closes it.

        Raises:
            NotFoundError: There is none.
            ConfigError: The bucket refuses us.
            BackendError: The service failed, or the body was replaced while it was read.
        """
        name = self.object_name(key)
        try:
            return self.open(name)
        except FileNotFoundError:
            raise NotFoundError(f"no artifact {key!r} in {self.path}", "run again; it is made anew") from None
        except PermissionError as error:
            raise self._refused(error) from None

    def write(self, key: str, body: BinaryIO) -> None:
        """Store everything left in `body` under `key`, replacing what was there.

        Raises:
            ConfigError: The bucket refuses us, or is not there.
            BackendError: The service failed; nothing of the body is left.
        """
        name = self.object_name(key)
        kind = mimetypes.guess_type(name)[0]
        attributes = {"Content-Type": kind} if kind else None
        first = filled(body)
        with self.explaining("write", name):
            if len(first) < PART:
                self.client().put(name, first, use_multipart=False, attributes=attributes)
                return
            rest = iter(partial(filled, body), b"")
            self.client().put(
                name,
                chain([first], rest),
                attributes=attributes,
                chunk_size=PART,
                max_concurrency=PARTS_UNDER_WAY,
            )

    def exists(self, key: str) -> bool:
        """Whether `key` has a body.

        Raises:
            ConfigError, BackendError: As `read`.
        """
        name = self.object_name(key)
        try:
            with self.explaining("read", name):
                self.client().head(name)
        except FileNotFoundError:
            return False
        except PermissionError as error:
            raise self._refused(error) from None
        return True

    def bucket(self) -> Bucket:
        """The bucket, with the credentials resolved now.

        Raises:
            NotFoundError: There is no such secret.
            ConfigError: The secret misses a key.
        """
        raise NotImplementedError

    def filesystem(self) -> BucketFiles:
        """The whole bucket as fsspec sees filesystems, with the store's own credentials."""
        from labelloop.backends.bucket_files import BucketFiles

        return BucketFiles(self)

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

    def open(self, name: str) -> BinaryIO:
        """Any object of the bucket, for reading, in bounded memory.

        Raises:
            FileNotFoundError: There is none.
            ConfigError, BackendError: As `read`.
        """
        with self.explaining("read", name):
            result = self.client().get(name)
            size = int(result.meta["size"])
            if size <= PART:
                return io.BytesIO(result.bytes())
            first = next(iter(result.stream(min_chunk_size=PART)))
        return io.BufferedReader(_Ranges(self, name, size, result.meta["e_tag"], bytes(first)), PART)

    def signed(self, key: str, minutes: int) -> str:
        """A link by which anybody may read a body for so long, whether or not it is there.

        Raises:
            ConfigError: The credentials cannot sign; or as `client`.
        """
        import obstore

        name = self.object_name(key)
        with self.explaining("sign", name):
            return str(obstore.sign(self.client(), "GET", name, timedelta(minutes=minutes)))

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

    def _refused(self, error: PermissionError) -> ConfigError:
        from labelloop.backends.bucket_errors import allowing

        return ConfigError(str(error), allowing(self, "read"))

    def _explained(self, error: Exception, doing: str, name: str) -> Exception:
        from labelloop.backends.bucket_errors import explained

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


def filled(body: BinaryIO, size: int = PART) -> bytes:
    """The next `size` bytes; fewer only at the end of the body."""
    pieces: list[bytes] = []
    left = size
    while left and (piece := body.read(left)):
        pieces.append(piece)
        left -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _Ranges(io.RawIOBase):
    """A large object, fetched part by part, as long as it stays the same object."""

    def __init__(self, store: BucketArtifacts, name: str, size: int, etag: str | None, first: bytes) -> None:
        self._store = store
        self._name = name
        self._size = size
        self._etag = etag
        self._first = first
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Buffer, /) -> int:
        target = memoryview(buffer).cast("B")
        chunk = self._chunk(min(len(target), PART))
        target[: len(chunk)] = chunk
        self._at += len(chunk)
        return len(chunk)

    def _chunk(self, wanted: int) -> Any:
        stop = min(self._at + wanted, self._size)
        if stop <= self._at:
            return b""
        if stop <= len(self._first):
            return self._first[self._at : stop]
        self._first = b""
        options: dict[str, Any] = {"range": (self._at, stop)}
        if self._etag:
            options["if_match"] = self._etag
        fetch: Callable[[], Any] = lambda: self._store.client().get(self._name, options=options).bytes()  # noqa: E731
        with self._store.explaining("read", self._name):
            return memoryview(fetch())
