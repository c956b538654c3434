"""Where items live: a folder, glob or file on any filesystem that fsspec speaks to, and the bytes there."""

from __future__ import annotations

import errno
import io
import os
import posixpath
import stat
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit
from zipfile import BadZipFile

from labelloop.data.decoding import Allowance
from labelloop.data.stamps import stamp_of, stamp_of_file
from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.machine.downloads import Silence, download

T = TypeVar("T")

LARGEST_FILE = 256 << 20
HELD = Allowance(LARGEST_FILE)
"""What every thread of the process holds whole files within."""

Take = Callable[[int], object]
"""Told how many bytes will be read, before they are."""

REFUSALS = (OSError, KeyError, EOFError, zlib.error, BadZipFile)
"""What filesystems raise for a file that is gone, closed to us or broken; a zip has its own words."""

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
_GLOB = "*?["
_LINKS = ("zip", "tar", "libarchive")
_ALIASES = {"s3a": "s3", "gcs": "gs", "abfs": "az", "azure": "az"}


@dataclass(frozen=True, slots=True)
class Access:
    """How URLs are opened: those in the bucket of a store with its credentials, all others as fsspec does by itself.

    Attributes:
        store: The stack's artifact store where it is in a bucket (`protocols.BucketStore`); otherwise None.
        hosts: Hosts of the web that pictures may be read from although they are this machine, or on its own link.
        ca_bundle: A file of certificates that are trusted where pictures are read from the web; empty is the usual.
        silence: Hosts of the web that did not answer a moment ago.
    """

    store: Any = None
    hosts: frozenset[str] = frozenset()
    ca_bundle: str = ""
    silence: Silence = field(default_factory=Silence, compare=False, repr=False)

    def holds(self, url: str) -> bool:
        """Whether a URL leads into the store's bucket."""
        return self.store is not None and "::" not in url and _bucket_of(url) == _bucket_of(self.store.path)

    def opened(self, url: str) -> tuple[Any, str]:
        """The filesystem of a URL, and the path in it; errors as in `open_place`."""
        if self.holds(url):
            return self.store.filesystem(), url.partition("://")[2]
        return opened(url)


ALONE = Access()
"""Without anybody's credentials."""


def access_of(store: Any, hosts: Iterable[str] = (), ca_bundle: str = "") -> Access:
    """How URLs are opened by who has this artifact store, allows these hosts, and trusts these certificates."""
    in_bucket = hasattr(store, "bucket") and hasattr(store, "filesystem")
    return Access(store if in_bucket else None, frozenset(one.lower() for one in hosts), ca_bundle)


def _bucket_of(url: str) -> tuple[str, str]:
    scheme, separator, rest = url.partition("://")
    return (_ALIASES.get(scheme, scheme), rest.partition("/")[0]) if separator else ("", "")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of a filesystem, with its stamp; empty where listing gives none."""

    path: str
    stamp: str


@dataclass(frozen=True, slots=True)
class Place:
    """A folder, glob or file as a person named it.

    Attributes:
        where: The place in her words.
        fs: The filesystem it is on.
        path: The place within that filesystem.
        outer: What the filesystem itself lies in, for a chained URL (`file.zip` of `zip://*.png::file.zip`).
        is_glob: Whether `path` is a pattern.
        access: How further URLs are opened, such as those in a table.
    """

    where: str
    fs: Any
    path: str
    outer: str
    is_glob: bool
    access: Access = ALONE

    @property
    def root(self) -> str:
        """The folder that names of files are relative to, without a slash at its end."""
        if not self.is_glob:
            return self.path.rstrip("/")
        plain = self.path[: min(self.path.index(mark) for mark in _GLOB if mark in self.path)]
        return posixpath.dirname(plain)

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine, where looking at one more file costs nothing."""
        return protocol_of(self.fs) in ("file", "local")

    def relative(self, path: str) -> str:
        """The name of a file as seen from the place; its last part for the place itself."""
        name = path.removeprefix(self.root).lstrip("/")
        return name or posixpath.basename(path)

    def uri(self, path: str) -> str:
        """The address of a file of this filesystem, which `read_bytes` takes."""
        protocol = protocol_of(self.fs)
        if protocol in ("file", "local"):
            return Path(path).as_uri()
        return f"{protocol}://{path}::{self.outer}" if self.outer else str(self.fs.unstrip_protocol(path))

    def walk(self, refused: list[tuple[str, str]]) -> Iterator[Listed]:
        """Every file below, folder by folder, in the order of names.

        Hidden files and folders are left out, and links to folders, which may lead in circles. A folder that cannot
        be listed is added to `refused`, with the reason.
        """
        if hasattr(self.fs, "entries_below"):
            # the store's own bucket: pages of names in order, however many lie in one folder
            now = time.time()
            below = (self._listed(one, now) for one in self.fs.entries_below(self.path))
            yield from (one for one in below if "/." not in f"/{one.path.removeprefix(self.root).lstrip('/')}")
            return
        waiting = [self.path]
        while waiting:
            folder, now = waiting.pop(), time.time()
            try:
                entries = sorted(self.fs.ls(folder, detail=True), key=_name)
            except OSError as error:
                refused.append((self.relative(folder), f"cannot be listed: {error.strerror or error}"))
                continue
            # an object store may list the folder itself as an empty object
            visible = [one for one in entries if not _is_hidden(one) and _name(one) != folder.rstrip("/")]
            yield from (self._listed(one, now) for one in visible if one["type"] != "directory")
            waiting += [_name(one) for one in reversed(visible) if one["type"] == "directory" and not one.get("islink")]

    def matches(self) -> Sequence[Listed]:
        """What fits the pattern, by the order of its names.

        Raises:
            BackendError: The filesystem does not answer.
        """
        now = time.time()
        found = self.ask(lambda pattern: self.fs.glob(pattern, detail=True))
        return [self._listed({**found[path], "name": path}, now) for path in sorted(found)]

    def itself(self) -> Listed:
        """The place as the one file that it is."""
        now = time.time()
        try:
            entry = self.fs.info(self.path)
        except REFUSALS:
            return Listed(self.path, "")  # whoever reads it says what is wrong
        return self._listed({**entry, "name": self.path}, now)

    def _listed(self, entry: Mapping[str, Any], now: float) -> Listed:
        path = _name(entry)
        if self.outer:
            return Listed(path, "")  # an archive may be another with the same times in it
        return Listed(path, stamp_of_file(path, now) if self.is_here else stamp_of(entry, now))

    def ask(self, question: Callable[[str], T]) -> T:
        """Ask the filesystem something about `path`.

        Raises:
            BackendError: It does not answer.
        """
        try:
            return question(self.path)
        except OSError as error:
            raise BackendError(
                f"{self.where} cannot be listed: {error}", "check the URL and its credentials", retryable=True
            ) from error


def open_place(where: str, access: Access = ALONE) -> Place:
    """The place somebody means.

    Raises:
        ConfigError: The kind of URL is unknown, or needs a package that is not installed.
        NotFoundError: There is nothing there.
        BackendError: The filesystem failed.
    """
    there = place_of(where, access)
    there.fs.invalidate_cache()  # some filesystems remember what they listed before, for as long as the process lives
    if there.ask(there.fs.exists):
        return there
    if any(mark in there.path for mark in _GLOB):
        return replace(there, is_glob=True)
    raise NotFoundError(f"there is nothing at {where}", "check the path")


def source_of(where: str) -> str:
    """What a place is remembered by, however it was written, and whatever Python takes the names of files for."""
    if "://" in where or _is_chain(where):
        place = where.rstrip("/")
    else:
        place = os.path.normpath(Path(where).expanduser().absolute())
    return _bytes_of(place).decode("utf-8", "backslashreplace")


def _bytes_of(name: str) -> bytes:
    """A name as the disk has it: where Python knows ASCII only, its other bytes come as lone surrogates."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return name.encode("utf-8", "backslashreplace")


def place_of(where: str, access: Access = ALONE) -> Place:
    """The place of one file or folder, without asking whether it is there; errors as in `open_place`."""
    url, outer = where, ""
    if _is_chain(where):
        inner, _, outer = where.partition("::")
        outer = outer if "://" in outer else _absolute(outer)
        url = f"{inner}::{outer}"
    elif where.startswith("file://"):
        url = unquote(urlsplit(where).path)
    fs, path = access.opened(url)
    return Place(where, fs, path, outer, is_glob=False, access=access)


def _is_chain(where: str) -> bool:
    """Whether it leads through one filesystem into another: `zip://in::out.zip`."""
    first, mark, _ = where.partition("::")
    return bool(mark) and ("://" in first or first in _LINKS)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def opened(url: str) -> tuple[Any, str]:
    """The filesystem of a URL, and the path in it; errors as in `open_place`."""
    import fsspec

    try:
        is_local = "://" not in url and not _is_chain(url)
        # a name of this machine may have the marks of a chain, at which fsspec would cut it
        fs, path = (fsspec.filesystem("file"), _absolute(url)) if is_local else fsspec.core.url_to_fs(url)
    except ImportError as error:
        protocol = url.split("://", maxsplit=1)[0]
        package = _PACKAGES.get(protocol, f"'fsspec[{protocol}]'")
        raise ConfigError(f"{url} needs a package that is not installed: {error}", _reach(protocol, package)) from error
    except FileNotFoundError as error:
        raise NotFoundError(f"there is nothing at {url}: {error}", "check the path") from error
    except (ValueError, BadZipFile) as error:
        raise ConfigError(f"{url} cannot be opened: {error}", "check the URL") from error
    except OSError as error:
        raise BackendError(f"{url} cannot be opened: {error}", "check the URL and its credentials") from error
    return fs, str(path)


def _reach(protocol: str, package: str) -> str:
    """How to come to URLs that need a package: its installation, or, of a cloud, the stack's own store."""
    ours = ", or make it the bucket of the active stack's artifact store" if protocol in _PACKAGES else ""
    return f"pip install {package}{ours}"


def read_bytes(uri: str, access: Access = ALONE, take: Take = bool) -> bytes:
    """The bytes at an address that `Place.uri` gave.

    Raises:
        REFUSALS: As the filesystem puts it.
        ConfigError, BackendError: As `open_place`.
    """
    if uri.startswith("file://"):
        with _regular(unquote(urlsplit(uri).path)) as file:
            take(os.fstat(file.fileno()).st_size)
            return _limited(file)
    fs, path = _in_archive(uri) if "::" in uri else access.opened(uri)
    with fs.open(path, "rb") as file:
        take(_size(fs, path, file, LARGEST_FILE))
        return _limited(file)


def from_web(url: str, access: Access = ALONE) -> bytes:
    """The bytes at an address of the web; errors as in `download`. A host that is silent is asked once a while."""
    host = urlsplit(url).netloc.lower()
    return access.silence.ask(host, url, lambda: download(url, access.hosts, access.ca_bundle))


def _limited(file: BinaryIO) -> bytes:
    raw = file.read(LARGEST_FILE + 1)
    if len(raw) > LARGEST_FILE:
        raise OSError(errno.EFBIG, f"is larger than {LARGEST_FILE >> 20} MiB")
    return raw


@contextmanager
def _regular(path: str) -> Iterator[BinaryIO]:
    """A file that is one: a pipe, socket or device, which may never end or never begin, is not waited for."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "is no file but a pipe, a device or a folder")
        yield file


@contextmanager
def opened_file(fs: Any, path: str) -> Iterator[BinaryIO]:
    """A file of a filesystem, to be read; a pipe, socket or device of this machine is refused, and never waited for.

    Raises:
        REFUSALS: As the filesystem puts it.
    """
    if protocol_of(fs) in ("file", "local"):
        with _regular(path) as file:
            yield file
        return
    with fs.open(path, "rb") as file:
        yield file


@contextmanager
def held(fs: Any, path: str, largest: int = LARGEST_FILE, times: int = 1) -> Iterator[bytes | str]:
    """The bytes of a file, or why they cannot be had. Files that many threads hold are `LARGEST_FILE` bytes together.

    Args:
        largest: The most bytes; a larger file is not read.
        times: How many times its size the file fills while it is held.
    """
    with ExitStack() as until:
        yield _bytes_or_reason(fs, path, largest, lambda size: until.enter_context(HELD.taken(times * size)))


def _bytes_or_reason(fs: Any, path: str, largest: int, take: Take) -> bytes | str:
    try:
        with opened_file(fs, path) as file:
            size = _size(fs, path, file, largest)
            if size <= largest:
                take(size)
                raw = _read(file, size, largest)
    except PermissionError:
        return "may not be read (permission denied)"
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except Exception as error:  # noqa: BLE001 - every filesystem of others has its own
        return f"cannot be read: {error}"
    return f"is larger than {largest >> 20} MiB" if size > largest or len(raw) > largest else raw


def _read(file: BinaryIO, size: int, largest: int) -> bytes:
    """All bytes of a file, however many it was said to have; one more than the most, where there are more."""
    raw = file.read(size + 1)
    return raw if len(raw) <= size else raw + file.read(largest + 1 - len(raw))


def _size(fs: Any, path: str, file: BinaryIO, largest: int) -> int:
    """Bytes of an open file, without a request; the most that one may have where nobody tells."""
    if isinstance(file, io.BufferedReader | io.BytesIO):
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        return size
    with suppress(*REFUSALS, NotImplementedError, TypeError, ValueError):
        return int(file.size if hasattr(file, "size") else fs.info(path)["size"])
    return largest


def local() -> Any:
    """The filesystem of this machine."""
    return opened("/")[0]


def first_bytes(fs: Any, path: str, count: int) -> bytes:
    """The first bytes of a file; none of one that cannot be read."""
    try:
        with opened_file(fs, path) as file:
            return file.read(count)
    except Exception:  # noqa: BLE001 - every filesystem of others has its own
        return b""


def leads_out(place: Place, path: str) -> str:
    """Where a link of this machine leads, if that is outside of the place; who gave the folder may not choose that."""
    if protocol_of(place.fs) not in ("file", "local") or not Path(path).is_symlink():
        return ""
    there, root = Path(path).resolve(), Path(place.root).resolve()
    return "" if there.is_relative_to(root) else str(there)


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry["name"]).rstrip("/")


def _is_hidden(entry: Mapping[str, Any]) -> bool:
    return posixpath.basename(_name(entry)).startswith(".")


def ending(path: str) -> str:
    """The ending of a file's name in lower case, with its dot."""
    return posixpath.splitext(path)[1].lower()


def protocol_of(fs: Any) -> str:
    """The scheme of the URLs of a filesystem."""
    return fs.protocol if isinstance(fs.protocol, str) else str(fs.protocol[0])


def _in_archive(uri: str) -> tuple[Any, str]:
    head, _, outer = uri.partition("::")
    protocol, _, inner = head.partition("://")
    return _archive(f"{protocol}://::{outer}"), inner


@lru_cache(maxsize=8)
def _archive(url: str) -> Any:
    """An open archive: its directory is read once, not once an item."""
    return opened(url)[0]
