"""Taking items in: what is new, what is known by its id, its address or its content, and what of that is different."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import numpy as np

from labelloop.data.duplicates import LONGEST, Leaders, Rule
from labelloop.data.locations import Access, access_of, source_of
from labelloop.data.media import copy_into_bucket
from labelloop.data.noticed import Noticed
from labelloop.data.sources import Columns, Found, UnchangedFile, Unreadable, held_content, read_changed
from labelloop.errors import ConfigError, LabelLoopError
from labelloop.ledger import Ledger
from labelloop.ledger.changed import News
from labelloop.ledger.items import Facts
from labelloop.protocols import ArtifactStore, Progress, silent
from labelloop.types import Item, Modality, NewItem

BATCH = 2000
BATCH_CHARACTERS = 32 << 20
SHOWN = 5

Changed = Literal["replace", "keep"]
"""What becomes of an item whose source holds other content than it was added with."""

_READERS = 16


@dataclass(frozen=True)
class Added:
    """What one `add` did.

    Attributes:
        known: Of what was found, what is no new item.
        elsewhere: Known items that have another address.
        changed: Known items that hold other content now.
        kept: Known items that stay as they were, though their source holds other content.
        vanished: Known items that were found in a place before, and are not there any more.
    """

    new: int
    known: int
    near_duplicates: int
    total: int
    unreadable: tuple[Unreadable, ...]
    copied: int = 0
    noticed: Noticed = field(default_factory=Noticed)
    elsewhere: int = 0
    changed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> Mapping[str, Any]:
        """The counts for scripts."""
        problems = [{"where": one.where, "reason": one.reason} for one in self.unreadable]
        return {
            "new": self.new,
            "known": self.known,
            "new_address": self.elsewhere,
            "changed": list(self.changed),
            "kept": list(self.kept),
            "vanished": list(self.vanished),
            "near_duplicates": self.near_duplicates,
            "total": self.total,
            "copied": self.copied,
            "warnings": list(self.warnings),
            "unreadable": problems,
            **self.noticed.as_dict(),
        }

    def in_words(self, dry_run: bool) -> str:
        """The counts for people."""
        different = [f"{self.elsewhere} of them with a new address"] if self.elsewhere else []
        different += [f"{len(self.changed)} changed"] if self.changed else []
        different += [f"{len(self.kept)} changed and kept as they were"] if self.kept else []
        different += [f"{len(self.vanished)} vanished"] if self.vanished else []
        lines = [
            f"{self.new} new item(s){' would be added' if dry_run else ''}, {self.known} known already, "
            + "".join(f"{one}, " for one in different)
            + f"{self.near_duplicates} near duplicate(s) kept together, {self.total} in all"
        ]
        if self.changed:
            lines.append(f"changed: {_some(self.changed)}; what was said about the old content is set aside")
        if self.kept:
            lines.append(f"kept: {_some(self.kept)}; labelloop add --changed replace takes the new content")
        if self.vanished:
            lines.append(f"vanished: {_some(self.vanished)}; they stay items, as long as they can be read")
        lines += [f"{self.copied} picture(s) copied into the bucket"] if self.copied else []
        lines += self.noticed.in_words()
        lines += [f"warning: {one}" for one in self.warnings]
        lines += [f"unreadable: {one.where}: {one.reason}" for one in self.unreadable[:SHOWN]]
        if len(self.unreadable) > SHOWN:
            lines.append(f"... and {len(self.unreadable) - SHOWN} more unreadable; all of them with --json")
        return "\n".join(lines)


def add_items(
    ledger: Ledger,
    places: Sequence[str],
    modality: Modality,
    columns: Columns,
    *,
    store: ArtifactStore | None = None,
    hosts: Sequence[str] = (),
    ca_bundle: str = "",
    labels: Sequence[str] = (),
    changed: Changed = "replace",
    rule: Rule = "near",
    dry_run: bool = False,
    progress: Progress = silent,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Added:
    """Read places, add what is new, and note what is different about what is known.

    An item's id, address and content are three facts. What is known by its id, or by its content, takes the address
    where it is found now. Other content under a known id, or at a known address, takes the place of the old one: what
    was said about that is set aside. Adding twice changes nothing; a killed add is completed by the next. A file that
    became an item before is not opened again while listing says that it is the same. What was set aside as unreadable
    and is found is tried again at once.

    Args:
        store: The stack's artifact store. One in a bucket opens URLs in that bucket, and new pictures from elsewhere
            are copied into it, so that they can be shown to anybody.
        hosts: Hosts of the web that may be this machine.
        ca_bundle: A file of certificates that are trusted on the web.
        labels: A column of a table that holds some of these is noticed.
        changed: What becomes of known items whose source holds other content.
        rule: What shares a group: near duplicates, or only what says or shows the very same.

    Raises:
        ConfigError: Nothing readable was found.
        BusyError: Another process is at work on this dataset.
        BackendError: A filesystem or the bucket failed; what was added before is kept.
    """
    with ledger.lease.held():
        access, noticed = access_of(store, hosts, ca_bundle), Noticed(labels=frozenset(labels))
        taking = _Taking(ledger, modality, access, changed, rule, dry_run, progress, clock(), noticed)
        for place in places:
            taking.place(place, columns)
        if not taking.found:
            raise ConfigError(*_nothing(places, taking.unreadable, taking.noticed))
        return taking.taken()


@dataclass
class _Taking:
    """One `add` under way."""

    ledger: Ledger
    modality: Modality
    access: Access
    changed: Changed
    rule: Rule
    dry_run: bool
    progress: Progress
    now: datetime
    noticed: Noticed
    found: int = 0
    new: int = 0
    near: int = 0
    copied: int = 0
    elsewhere: int = 0
    other: dict[str, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    replaced: set[str] = field(default_factory=set)
    vanished: dict[str, str] = field(default_factory=dict)
    unreadable: list[Unreadable] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._gone = self.ledger.changed.replaced()
        self._aside = {one.item_id for one in self.ledger.aside.all()}
        self._leaders: Leaders | None = None
        self._fresh: Mapping[str, str] = {}
        self._instead: list[NewItem] = []
        self._met = array("q")

    def place(self, place: str, columns: Columns) -> None:
        """Everything in one place."""
        source, broken, began = "" if self.dry_run else source_of(place), len(self.unreadable), len(self._met)
        recall = partial(self.ledger.items.unchanged, source=source)
        how: Mapping[str, Any] = {"access": self.access, "progress": self.progress, "noticed": self.noticed}
        read = read_changed(place, self.modality, recall, columns, **how)
        for batch in _batches(read):
            self._take(batch, source)
        there = np.sort(np.frombuffer(self._met[began:], np.int64))
        self._come_back([one for one in self.replaced if _is_in(there, _hash(one))])
        lost = self.unreadable[broken:]
        if all(one.uri for one in lost):
            unread = [*map(_hash, self.ledger.items.at([one.uri for one in lost]).values())]
            self._miss(source_of(place), np.sort(np.concatenate([there, np.array(unread, np.int64)])))

    def taken(self) -> Added:
        """What was done."""
        total = self.ledger.items.count() - self.ledger.changed.count() + (self.new if self.dry_run else 0)
        met = np.sort(np.frombuffer(self._met, np.int64))
        vanished = [name for item_id, name in self.vanished.items() if not _is_in(met, _hash(item_id))]
        return Added(
            self.new,
            self.found - self.new,
            self.near,
            total,
            tuple(self.unreadable),
            self.copied,
            self.noticed,
            self.elsewhere,
            tuple(self.other.values()),
            tuple(self.kept),
            tuple(vanished),
        )

    def _take(self, batch: Sequence[Found | UnchangedFile], source: str) -> None:
        items = [one for one in batch if isinstance(one, NewItem)]
        self.unreadable += [one for one in batch if isinstance(one, Unreadable)]
        items, old, by_content = self._resolved(items)
        self.found += len(items) + sum(isinstance(one, UnchangedFile) for one in batch)
        items, news = self._news(items, old, by_content)
        items, news = self._in_bucket(items, news, old)
        ids = [one.item_id for one in batch if isinstance(one, UnchangedFile)] + [one.item.id for one in items]
        self._met.extend(map(_hash, ids))
        fresh = {one.item.id for one in items} - old.keys()
        groups = self._groups([one for one in items if one.item.id in fresh])
        self.near += sum(leader != item_id for item_id, leader in groups.items())
        self.new += len(fresh - {one.item.id for one in self._instead})
        self.elsewhere += len(news.addresses)
        self._come_back([one for one in ids if one in self._gone])
        if not self.dry_run:
            self.ledger.changed.note(news, self.now)
            self.ledger.items.add([_grouped(one, groups) for one in items], source)
            if again := [one for one in dict.fromkeys(ids) if one in self._aside]:
                self.ledger.aside.hurry(again)
        self._gone |= set(news.replaced)

    def _resolved(self, items: Sequence[NewItem]) -> tuple[list[NewItem], dict[str, Facts], set[str]]:
        """The items under the ids that they are known by, what is known of these, and which nobody gave an id."""
        old = self.ledger.items.facts([one.item.id for one in items])
        unknown = [one.item.digest for one in items if one.item.id not in old and _is_its_content(one.item)]
        held = self.ledger.items.holding(unknown)
        known, by_content = [], set()
        for one in items:
            if _is_its_content(one.item):
                there = None if one.item.id in old else held.get(one.item.digest)
                item = one.item if there is None else replace(one.item, id=there.id)
                by_content.add(item.id)
                known.append(replace(one, item=item))
            else:
                known.append(one)
        return known, old | {one.id: one for one in held.values()}, by_content

    def _news(
        self, items: Sequence[NewItem], old: Mapping[str, Facts], by_content: Collection[str]
    ) -> tuple[list[NewItem], News]:
        """What is taken of these items, and what is different about known ones."""
        first = {one.item.id: one for one in reversed(items)}
        other = [one for one in first.values() if _holds_other(one.item, old)]
        moved = [
            one for one in first.values() if self._may_be_elsewhere(one.item, old) and not _holds_other(one.item, old)
        ]
        moved = [one for one, left in zip(moved, self._have_left(moved, old, by_content), strict=True) if left]
        arrived = [one for one in first.values() if one.item.id not in old or one.item.id in self._gone]
        replaced = self._replaced(arrived, first)
        if self.changed == "keep":
            self.kept += [_name(one) for one in [*other, *replaced.values()]]
            left = {one.item.id for one in replaced.values()}
            return [one for one in items if one.item.id not in left], News(moved)
        self.other |= {one.item.id: _name(one) for one in other}
        self.other |= {before: _name(one) for before, one in replaced.items()}
        self.replaced |= replaced.keys()
        self._instead = list(replaced.values())
        return list(items), News(moved, other, list(replaced))

    def _may_be_elsewhere(self, item: Item, old: Mapping[str, Facts]) -> bool:
        known = old.get(item.id)
        if known is None or not item.uri or known.uri == item.uri:
            return False
        return not self.access.holds(known.uri) or self.access.holds(item.uri)

    def _have_left(self, moved: Sequence[NewItem], old: Mapping[str, Facts], by_content: Collection[str]) -> list[bool]:
        """Whether each is where it was no more: whoever gave an id says so, a file may be a copy of one that stays."""
        with ThreadPoolExecutor(_READERS, thread_name_prefix="look") as pool:
            return list(pool.map(lambda one: one.item.id not in by_content or self._has_left(one, old), moved))

    def _has_left(self, one: NewItem, old: Mapping[str, Facts]) -> bool:
        """Whether the content is not where it was any more."""
        try:
            with held_content(replace(one.item, uri=old[one.item.id].uri), self.access):
                return False
        except LabelLoopError:
            return True

    def _replaced(self, fresh: Sequence[NewItem], here: Mapping[str, NewItem]) -> dict[str, NewItem]:
        """Items whose place another content has taken -> the new item there."""
        places = {one.seen.uri: one for one in fresh if one.seen}
        at = {uri: item_id for uri, item_id in self.ledger.items.at(list(places)).items() if item_id not in here}
        old = self.ledger.items.facts(list(at.values()))
        return {
            item_id: places[uri]
            for uri, item_id in at.items()
            if item_id in old
            and item_id not in self._gone
            and (old[item_id].uri == places[uri].item.uri or self.access.holds(old[item_id].uri))
        }

    def _in_bucket(self, items: Sequence[NewItem], news: News, old: Mapping[str, Facts]) -> tuple[list[NewItem], News]:
        """The items as they are once what is new is in the bucket of the store, where there is one."""
        if self.modality != "image" or self.dry_run:
            return list(items), news
        other = {one.item.id for one in news.contents}
        wanted = [one for one in items if one.item.id not in old or one.item.id in other]
        copies = copy_into_bucket(wanted, self.access, self.progress)
        self.copied += len(copies.uris)
        self.unreadable += copies.unreadable
        return copies.applied(items), replace(news, contents=copies.applied(news.contents))

    def _groups(self, fresh: Sequence[NewItem]) -> dict[str, str]:
        if not fresh:
            return {}
        if self._leaders is None:
            texts = self._texts if self.modality == "text" else None
            self._leaders = Leaders.from_rows(*self.ledger.items.leaders(), texts, self.rule)
            self._leaders.know(self.ledger.items.members() if self.modality == "image" else [])
        self._fresh = {one.item.id: one.item.text for one in fresh}
        return self._leaders.group([(one.item.id, one.fingerprint) for one in fresh])

    def _texts(self, ids: Sequence[str]) -> Mapping[str, str]:
        """The texts of items: of those that are taken now, and of known ones."""
        ours = {one: self._fresh[one] for one in ids if one in self._fresh}
        others = [one for one in ids if one not in ours]
        return {**ours, **self.ledger.items.texts(others, LONGEST)} if others else ours

    def _come_back(self, ids: Sequence[str]) -> None:
        """Items whose place another content had taken, and which are found again."""
        if ids and not self.dry_run:
            self.ledger.changed.note(News(back=list(dict.fromkeys(ids))), self.now)
        self._gone -= set(ids)
        self.replaced -= set(ids)
        self.other = {one: name for one, name in self.other.items() if one not in ids}

    def _miss(self, source: str, there: np.ndarray) -> None:
        """Note which items of a place were not found there."""
        lost = [one for one in self.ledger.items.of_source(source) if not _is_in(there, _hash(one))]
        lost = [one for one in dict.fromkeys(lost) if one not in self._gone]
        for start in range(0, len(lost), BATCH):
            found = self.ledger.items.get(lost[start : start + BATCH])
            self.vanished |= {one.id: str(one.meta.get("file") or one.id) for one in found.values()}


def _is_its_content(item: Item) -> bool:
    """Whether the id is that of the content, and nobody's choice."""
    return bool(item.digest) and item.id == item.digest


def _holds_other(item: Item, old: Mapping[str, Facts]) -> bool:
    known = old.get(item.id)
    return known is not None and bool(item.digest and known.digest) and item.digest != known.digest


def _name(one: NewItem) -> str:
    return one.item.id if not _is_its_content(one.item) else str(one.item.meta.get("file") or one.item.id)


def _hash(item_id: str) -> int:
    return hash(item_id)


def _is_in(there: np.ndarray, number: int) -> bool:
    place = int(np.searchsorted(there, number))
    return place < len(there) and int(there[place]) == number


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _batches(found: Iterator[Found | UnchangedFile]) -> Iterator[list[Found | UnchangedFile]]:
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
