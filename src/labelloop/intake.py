"""Taking items in: from places to the ledger, near duplicates grouped, unreadable ones counted and skipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain
from typing import Any

from labelloop.duplicates import Leaders
from labelloop.errors import ConfigError
from labelloop.ledger import Ledger
from labelloop.media import copy_into_bucket
from labelloop.noticed import Noticed
from labelloop.places import access_of
from labelloop.protocols import ArtifactStore, Progress, silent
from labelloop.sources import Columns, Found, Known, Unreadable, read_changed
from labelloop.types import Modality, NewItem

BATCH = 2000
BATCH_CHARACTERS = 32 << 20
SHOWN = 5


@dataclass(frozen=True)
class Taken:
    """What one `add` did."""

    new: int
    known: int
    near_duplicates: int
    total: int
    unreadable: tuple[Unreadable, ...]
    copied: int = 0
    noticed: Noticed = field(default_factory=Noticed)

    def as_dict(self) -> Mapping[str, Any]:
        """The counts for scripts."""
        problems = [{"where": one.where, "reason": one.reason} for one in self.unreadable]
        return {
            "new": self.new,
            "known": self.known,
            "near_duplicates": self.near_duplicates,
            "total": self.total,
            "copied": self.copied,
            "unreadable": problems,
            **self.noticed.as_dict(),
        }

    def in_words(self, dry_run: bool) -> str:
        """The counts for people."""
        lines = [
            f"{self.new} new item(s){' would be added' if dry_run else ''}, {self.known} known already, "
            f"{self.near_duplicates} near duplicate(s) kept together, {self.total} in all"
        ]
        lines += [f"{self.copied} picture(s) copied into the bucket"] if self.copied else []
        lines += self.noticed.in_words()
        lines += [f"unreadable: {one.where}: {one.reason}" for one in self.unreadable[:SHOWN]]
        if len(self.unreadable) > SHOWN:
            lines.append(f"... and {len(self.unreadable) - SHOWN} more unreadable; all of them with --json")
        return "\n".join(lines)


def take_in(
    ledger: Ledger,
    places: Sequence[str],
    modality: Modality,
    columns: Columns,
    *,
    store: ArtifactStore | None = None,
    hosts: Sequence[str] = (),
    ca_bundle: str = "",
    labels: Sequence[str] = (),
    dry_run: bool = False,
    progress: Progress = silent,
) -> Taken:
    """Read places and add what is new. Adding twice changes nothing; a killed add is completed by the next.

    A file that became an item before is not opened again while listing says that it is the same.

    Args:
        store: The stack's artifact store. One in a bucket opens URLs in that bucket, and new pictures from elsewhere
            are copied into it, so that they can be shown to anybody.
        hosts: Hosts of the web that may be this machine.
        ca_bundle: A file of certificates that are trusted on the web.
        labels: A column of a table that holds some of these is noticed.

    Raises:
        ConfigError: Nothing readable was found.
        BusyError: Another process is at work on this dataset.
        BackendError: A filesystem or the bucket failed; what was added before is kept.
    """
    access = access_of(store, hosts, ca_bundle)
    with ledger.lease.held():
        leaders = cache(lambda: Leaders.from_rows(*ledger.items.fingerprints()))  # only if anything is new
        before = ledger.items.count()
        new = seen = near = copied = 0
        unreadable: list[Unreadable] = []
        noticed = Noticed(labels=frozenset(labels))
        how: Mapping[str, Any] = {"access": access, "progress": progress, "noticed": noticed}
        found = chain.from_iterable(
            read_changed(place, modality, ledger.items.unchanged, columns, **how) for place in places
        )
        for batch in _batches(found):
            items = [one for one in batch if isinstance(one, NewItem)]
            unreadable += [one for one in batch if isinstance(one, Unreadable)]
            seen += sum(isinstance(one, Known) for one in batch)
            fresh = ledger.items.unknown([one.item.id for one in items])
            if modality == "image" and not dry_run:
                copies = copy_into_bucket([one for one in items if one.item.id in fresh], access, progress)
                copied += len(copies.uris)
                unreadable += copies.unreadable
                items = copies.applied(items)
                fresh &= {one.item.id for one in items}
            strange = [(one.item.id, one.fingerprint) for one in items if one.item.id in fresh]
            groups = leaders().group(strange) if strange else {}
            near += sum(groups[item_id] != item_id for item_id, _ in strange)
            new += len(fresh)
            seen += len(items)
            if not dry_run:
                ledger.items.add([_grouped(one, groups) for one in items])
        if not seen:
            raise ConfigError(*_nothing(places, unreadable, noticed))
        return Taken(new, seen - new, near, before + new, tuple(unreadable), copied, noticed)


def _batches(found: Iterator[Found | Known]) -> Iterator[list[Found | Known]]:
    """Some at a time: at most `BATCH`, and fewer where they are large."""
    batch, size = [], 0
    for one in found:
        batch.append(one)
        size += len(one.item.text) + len(str(one.item.meta)) if isinstance(one, NewItem) else 0
        if len(batch) >= BATCH or size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _grouped(one: NewItem, groups: Mapping[str, str]) -> NewItem:
    return replace(one, item=replace(one.item, group=groups.get(one.item.id, one.item.group)))


def _nothing(places: Sequence[str], unreadable: Sequence[Unreadable], noticed: Noticed) -> tuple[str, str]:
    where = ", ".join(places)
    if unreadable:
        first = unreadable[0]
        words = f"none of the {len(unreadable)} item(s) in {where} can be read; {first.where}: {first.reason}"
        return "; ".join([words, *noticed.in_words()]), "check the files; nothing was added"
    return f"there is nothing to label in {where}", "labelloop add --help"
