"""A whole bucket as fsspec sees filesystems: what is listed and read beside artifacts, with the store's credentials."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from fsspec import AbstractFileSystem
from fsspec.utils import glob_translate

from labelloop.backends.buckets import BucketArtifacts

_PAGE = 1000
_GLOB = re.compile(r"[*?\[]")


class BucketFiles(AbstractFileSystem):  # type: ignore[misc] # fsspec has no types
    """Paths are `bucket/name`; names between slashes are folders. Errors are labelloop's, or `FileNotFoundError`.

    Args:
        store: Whose bucket it is.
    """

    cachable = False

    def __init__(self, store: BucketArtifacts) -> None:
        super().__init__()
        self.store = store
        self._listing = _Listing(store)
        self.protocol = store.path.split("://", maxsplit=1)[0]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(path).rpartition("://")[2].rstrip("/")

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, size and type of a file or folder.

        Raises:
            FileNotFoundError: There is neither.
        """
        name = self._name(path)
        if name:
            try:
                with self.store.explaining("read", name):
                    return self._listing.entry(self.store.client().head(name))
            except (FileNotFoundError, PermissionError):
                pass  # a folder, perhaps; and what a service has against us it says only to who lists
        if next(self._listing.pages(name, 1), None) is None and name:
            raise FileNotFoundError(f"{self.unstrip_protocol(path)} does not exist")
        return self._listing.folder(name)

    def exists(self, path: str, **_: Any) -> bool:
        """Whether there is such a file or folder; a bucket that refuses us is an error, not an answer."""
        return _type(self, path) != ""

    def isdir(self, path: str) -> bool:
        """Whether it is a folder."""
        return _type(self, path) == "directory"

    def isfile(self, path: str) -> bool:
        """Whether it is a file."""
        return _type(self, path) == "file"

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """What is right in a folder; of a folder with very many files, `files_below` takes no memory."""
        name = self._name(path)
        with self.store.explaining("list", name):
            listed = self.store.client().list_with_delimiter(name or None)
        entries = [self._listing.entry(one) for one in listed["objects"]]
        entries += [self._listing.folder(one) for one in listed["common_prefixes"]]
        if not entries and name:
            entries = [self.info(path)]
        entries.sort(key=lambda entry: str(entry["name"]))
        return entries if detail else [entry["name"] for entry in entries]

    def files_below(self, path: str) -> Iterator[str]:
        """Every file below a folder, by the order of its name, a page at a time."""
        yield from (str(one["name"]) for one in self.entries_below(path))

    def entries_below(self, path: str) -> Iterator[dict[str, Any]]:
        """Every file below a folder as `info` gives it, by the order of its name, a page at a time."""
        for page in self._listing.pages(self._name(path), _PAGE):
            yield from (self._listing.entry(one) for one in page if not one["path"].endswith("/"))

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **_: Any
    ) -> Any:
        """Every file below a folder, all at once; folders and depths are left to fsspec's own, slower way."""
        if maxdepth is not None or withdirs:
            return super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail)
        found = [self._listing.entry(one) for page in self._listing.pages(self._name(path), _PAGE) for one in page]
        return {one["name"]: one for one in found} if detail else [one["name"] for one in found]

    def glob(self, path: str, maxdepth: int | None = None, detail: bool = False, **_: Any) -> Any:
        """The files that match a pattern, by the order of their names; with `detail`, name -> what `info` gives."""
        found = {str(one["name"]): one for one in _matching(self, self._strip_protocol(path))}
        return found if detail else list(found)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """The bytes of a file, or some of them."""
        if start is not None or end is not None:
            with self.open(path, "rb") as file:
                file.seek(start or 0, 2 if start is not None and start < 0 else 0)
                return bytes(file.read() if end is None else file.read(end - file.tell()))
        with self.store.open(self._name(path)) as body:
            return body.read()

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Write a file anywhere in the bucket."""
        name = self._name(path)
        with self.store.explaining("write", name):
            self.store.client().put(name, bytes(value), mode="create" if mode == "create" else "overwrite")

    def _open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        if mode != "rb":
            raise NotImplementedError("files of a bucket are opened for reading; write them with pipe_file")
        return self.store.open(self._name(path))

    def _name(self, path: str) -> str:
        """The name within the bucket.

        Raises:
            FileNotFoundError: The path is of another bucket.
        """
        bucket, _, name = self._strip_protocol(path).partition("/")
        if bucket != self.store.bucket_name:
            raise FileNotFoundError(f"{self.protocol}://{bucket} is another bucket than {self.store.path}")
        return name


class _Listing:
    """What the service lists of a bucket, page by page, as fsspec describes files."""

    def __init__(self, store: BucketArtifacts) -> None:
        self._store = store

    def pages(self, name: str, size: int) -> Iterator[Any]:
        with self._store.explaining("list", name):
            pages = iter(self._store.client().list(name or None, chunk_size=size))
        while True:
            with self._store.explaining("list", name):
                page = next(pages, None)
            if page is None:
                return
            yield page

    def entry(self, meta: Any) -> dict[str, Any]:
        return {
            "name": self.path(meta["path"]),
            "size": meta["size"],
            "type": "file",
            "etag": meta["e_tag"],
            "modified": meta["last_modified"],
        }

    def folder(self, name: str) -> dict[str, Any]:
        return {"name": self.path(name), "size": 0, "type": "directory"}

    def path(self, name: str) -> str:
        return f"{self._store.bucket_name}/{name}".rstrip("/")


def _type(files: BucketFiles, path: str) -> str:
    try:
        return str(files.info(path)["type"])
    except FileNotFoundError:
        return ""


def _matching(files: BucketFiles, pattern: str) -> Iterator[dict[str, Any]]:
    magic = _GLOB.search(pattern)
    if magic is None:
        return iter([files.info(pattern)] if files.exists(pattern) else [])
    matches = re.compile(glob_translate(pattern)).match
    below = files.entries_below(posixpath.dirname(pattern[: magic.start()]))
    return (one for one in below if matches(str(one["name"])))
