"""What Label Studio shows for an item: text, an address, an object of the bucket, a served file, or an uploaded one."""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from labelloop.backends.label_studio import loads
from labelloop.backends.label_studio.buckets import address, have_storage
from labelloop.backends.label_studio.client import WRITE_TIMEOUT, Client
from labelloop.backends.label_studio.served import Root, link, top
from labelloop.data.decoding import HEAD, for_people, shown_as_it_is, shown_from
from labelloop.data.locations import ALONE, REFUSALS, Access, first_bytes, from_web, local, read_bytes
from labelloop.errors import BackendError, BadItemError, ConfigError
from labelloop.types import Bucket, Item, Missing

_UPLOADED_AT_ONCE = 50


def shown(
    client: Client,
    project: int,
    items: Sequence[Item],
    root: Root | None,
    bucket: Bucket | None = None,
    *,
    access: Access = ALONE,
    refused: dict[str, Missing] | None = None,
) -> dict[str, str]:
    """Item id -> the value of its task's data.

    Args:
        root: Below it the server may serve local files; None for a server that cannot see our files.
        bucket: Objects of it are shown from there, but for those that Label Studio cannot name.
        access: How files that are uploaded are read.
        refused: Where to write down what cannot be read, is too large to be uploaded, or cannot be made into what a
            browser shows: item id -> why. It gets no value.

    Raises:
        ConfigError: An item has nothing to show, or the bucket cannot be shown from.
        BackendError: Label Studio refused a file.
    """
    inline = {item.id: _clean(item.text) for item in items if item.modality == "text"}
    there = [item for item in items if item.modality == "image" and shown_from(urlsplit(item.uri).path)]
    linked = {item.id: item.uri for item in there if _is_web(item.uri)}
    stored = {item.id: place for item in there if bucket and (place := address(bucket, item.uri))}
    known = inline | linked | stored
    files = [item for item in items if item.id not in known]
    for item in items:
        if not (item.text if item.modality == "text" else item.uri):
            raise ConfigError(f"item {item.id!r} has no {item.modality} to show", "add it again from its source")
    if bucket and stored:
        have_storage(client, project, bucket)
    served = {item.id: path for item in files if (path := _served_path(item, root))}
    if root is not None and served:
        _serve(client, project, set(served.values()), root)
    addresses = {item: _address(path, root) for item, path in served.items() if root is not None}
    rest = [item for item in files if item.id not in served]
    return known | addresses | _uploaded(client, project, rest, access, {} if refused is None else refused)


def _is_web(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def _local_path(uri: str) -> Path | None:
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if "://" in uri else Path(uri).absolute()


def _served_path(item: Item, root: Root | None) -> Path | None:
    path = _local_path(item.uri)
    if path is None or root is None:
        return None
    path = Path(os.path.normpath(path))
    head = first_bytes(local(), str(path), HEAD)
    if head and not shown_as_it_is(path.name, head):
        return None
    # a file right in the root cannot be served: Label Studio wants a folder strictly below it
    return path if _base(path, root) in path.parent.parents else None


def _base(path: Path, root: Root) -> Path:
    """What the address of a file begins below."""
    return Path(path.anchor) if root.linked else root.path


def _address(path: Path, root: Root) -> str:
    return f"/data/local-files/?d={quote(str(path.relative_to(_base(path, root))))}"


def _serve(client: Client, project: int, files: set[Path], root: Root) -> None:
    """Have Label Studio serve these files: by links to them, or their folders below a root that somebody chose."""
    if root.linked:
        link(root.path, files)
        _cover(client, project, {top(root.path, file) for file in files})
    else:
        _cover(client, project, {file.parent for file in files})


def _cover(client: Client, project: int, folders: set[Path]) -> None:
    """Have a local-files storage over each folder: Label Studio serves only what one covers."""
    there = client.call("GET", "/api/storages/localfiles", query={"project": project})
    covered = [Path(storage["path"]) for storage in there]
    for folder in sorted(roots_of(_uncovered(folders, covered))):
        client.call(
            "POST",
            "/api/storages/localfiles/",
            body={
                "project": project,
                "path": str(folder),
                "title": f"labelloop: {folder.name}",
                "use_blob_urls": True,
                "regex_filter": "(?!)",  # matches nothing, so that its Sync button makes no tasks twice
            },
        )


def _uncovered(folders: Iterable[Path], covered: Sequence[Path]) -> set[Path]:
    return {f for f in folders if not any(root == f or root in f.parents for root in covered)}


def roots_of(folders: set[Path]) -> set[Path]:
    """The outermost of the folders, and nothing that only contains them: it would serve what nobody added."""
    return {folder for folder in folders if not any(parent in folders for parent in folder.parents)}


def _uploaded(
    client: Client, project: int, items: Sequence[Item], access: Access, refused: dict[str, Missing]
) -> dict[str, str]:
    """Upload files in requests that fit the road: item id -> the address a browser has it from."""
    addresses: dict[str, str] = {}
    made = (one for item in items if (one := _file_of(item, access, refused)))
    sized = ((one, len(one.content) + loads.AROUND) for one in made)
    for some in loads.by_size(sized, client.most_bytes, _UPLOADED_AT_ONCE):
        addresses |= _upload(client, project, some, refused)
    return addresses


@dataclass(frozen=True, slots=True)
class _File:
    """An item as it is uploaded."""

    item: Item
    name: str
    content: bytes


def _file_of(item: Item, access: Access, refused: dict[str, Missing]) -> _File | None:
    """The picture as a browser shows it; None, and refused, where it cannot be made into that."""
    try:
        found = _bytes_of(item, access)
        if isinstance(found, Missing):
            refused[item.id] = found
            return None
        content, ending = for_people(found)
    except BadItemError as error:
        refused[item.id] = Missing(f"item {item.id!r} at {item.uri}: {error.message}")
        return None
    return _File(item, f"{item.id[:40]}{ending}", content)


def _upload(client: Client, project: int, some: Sequence[_File], refused: dict[str, Missing]) -> dict[str, str]:
    """Upload these files at once, in halves where that is too large; repeating leaves a file that nobody sees."""
    files = {one.item.id: (one.name, one.content) for one in some}
    size = sum(len(one.content) for one in some)
    path, query = f"/api/projects/{project}/import", {"commit_to_project": "false"}
    try:
        answer = client.call("POST", path, query=query, files=files, timeout=WRITE_TIMEOUT)
    except BackendError as error:
        is_certain = loads.was_too_large(error, size)
        if len(some) > 1 and (is_certain or loads.may_be_too_large(error, size)):
            first, second = loads.halves(some)
            return _upload(client, project, first, refused) | _upload(client, project, second, refused)
        if not is_certain:
            raise
        item = some[0].item
        refused[item.id] = Missing(loads.words(f"item {item.id!r} at {item.uri}", size, error))
        return {}
    ids = answer["file_upload_ids"]
    listed = client.call("GET", f"/api/projects/{project}/file-uploads", query={"ids": str(ids)})
    paths = {entry["id"]: str(entry["file"]) for entry in _entries(listed)}
    if len(ids) != len(some) or not all(upload in paths for upload in ids):
        raise BackendError(f"Label Studio took {len(paths)} of {len(some)} uploaded files", "try again", retryable=True)
    return {one.item.id: _seen_at(client, paths[upload]) for one, upload in zip(some, ids, strict=True)}


def _seen_at(client: Client, file: str) -> str:
    """The address of an uploaded file as a browser asks for it: below the path that Label Studio lives under."""
    return f"{urlsplit(client.url).path}/data/{file}"


def _entries(listed: Any) -> Sequence[Mapping[str, Any]]:
    entries: Sequence[Mapping[str, Any]] = listed["results"] if isinstance(listed, Mapping) else listed
    return entries


def _bytes_of(item: Item, access: Access) -> bytes | Missing:
    where = f"item {item.id!r} cannot be read from {item.uri}"
    try:
        return from_web(item.uri, access) if _is_web(item.uri) else read_bytes(item.uri, access)
    except (TimeoutError, ConnectionError) as error:
        return Missing(f"{where}: {error}", away=True)
    except (*REFUSALS, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        return Missing(f"{where}: {reason}")
    except ConfigError:
        raise  # somebody must change something
    except BackendError as error:
        return Missing(error.message, away=True)
    except BadItemError as error:
        return Missing(error.message)
    except Exception as error:  # noqa: BLE001 - every filesystem of others has its own
        return Missing(f"{where}: {error}", away=True)


def _clean(text: str) -> str:
    """The text without what no database takes: NUL and lone surrogates."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
