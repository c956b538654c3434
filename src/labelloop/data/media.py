"""Pictures copied into the bucket of the stack's store, so that they can be shown to people anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from io import BytesIO
from urllib.parse import urlsplit

from labelloop.data import decoding
from labelloop.data.locations import Access, ending
from labelloop.data.sources import Unreadable, content_id, held_content
from labelloop.errors import LabelLoopError
from labelloop.protocols import Progress, silent, watched
from labelloop.types import Item, NewItem

AT_ONCE = 16
"""Pictures on their way at the same time."""


@dataclass(frozen=True)
class Copies:
    """What copying did.

    Attributes:
        uris: Item id -> (where the picture is now, digest of its content).
        unreadable: The pictures that could not be read, with the reason.
    """

    uris: Mapping[str, tuple[str, str]]
    unreadable: tuple[Unreadable, ...] = ()
    lost: frozenset[str] = frozenset()

    def applied(self, items: Iterable[NewItem]) -> list[NewItem]:
        """The items as they are now: where their pictures are, without those that are lost."""
        return [self._moved(one) for one in items if one.item.id not in self.lost]

    def _moved(self, one: NewItem) -> NewItem:
        if one.item.id not in self.uris:
            return one
        uri, digest = self.uris[one.item.id]
        return replace(one, item=replace(one.item, uri=uri, digest=digest))


def copy_into_bucket(items: Sequence[NewItem], access: Access, progress: Progress = silent) -> Copies:
    """Copy the pictures that are elsewhere to `media/aa/<digest of the content><ending>`.

    Killed and repeated, it writes the same names with the same content. Nothing happens without a bucket.

    Raises:
        ConfigError, BackendError: The bucket refuses us, or the service failed.
    """
    elsewhere = {one.item.id: one.item for one in items if access.store and not access.holds(one.item.uri)}
    if not elsewhere:
        return Copies({})
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="copy")
    try:
        under_way = {item.id: pool.submit(_copied, item, access) for item in elsewhere.values()}
        what = f"copying to {access.store.path}"
        done = {one: under_way[one].result() for one in watched(what, under_way, len(under_way), progress)}
    finally:
        pool.shutdown(cancel_futures=True)
    lost = {item_id: one for item_id, one in done.items() if isinstance(one, Unreadable)}
    uris = {item_id: one for item_id, one in done.items() if not isinstance(one, Unreadable)}
    return Copies(uris, tuple(lost.values()), frozenset(lost))


def _copied(item: Item, access: Access) -> tuple[str, str] | Unreadable:
    with ExitStack() as until:
        try:
            content = until.enter_context(held_content(item, access))
        except LabelLoopError as error:
            return Unreadable(str(item.meta.get("file") or item.uri), error.message)
        raw = content if isinstance(content, bytes) else content.encode()
        digest = content_id(raw)
        key = f"media/{digest[:2]}/{digest}{_ending(item.uri)}"
        access.store.write(key, BytesIO(raw))
        return f"{access.store.path}/{key}", digest


def _ending(uri: str) -> str:
    found = ending(urlsplit(uri.partition("::")[0]).path)
    return found if found in decoding.endings() else ""
