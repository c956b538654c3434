"""Near duplicates: short codes of images and texts under Hamming distance, and groups around the first item seen.

A fingerprint is 32 bytes of code, compared bit by bit, and for an image a thumbnail of 76 bytes more, compared level by
level: the code finds candidates, the thumbnail tells two drawings of one shape apart. An item joins the group of the
nearest leader close enough to it and leads its own group otherwise. Items are compared with leaders, so that no chain
of small steps ties two different items together; what differs from another picture by no more than copying changes
joins its group, whoever leads that.

A group that grows beyond `largest_group` is no group of near duplicates but a collection: letters on one template, the
pictures of one fixed camera. Its members are compared anew by what they do not all share, and what is still too large
then is cut: no group exceeds its bound.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

CODE = 32
THUMBNAIL = 76
IMAGE_BITS = 12
IMAGE_LEVELS = 24
TEXT_BITS = 28
MOST_COMPARED = 1024

LARGEST = 8
"""Members that a group may always have."""

LARGEST_SHARE = 0.02
"""Share of all items that a group may have."""

COMMON = 0.05
"""Share of all texts from which on a word tells none of them apart; more than `LARGEST` texts in any case."""

ALIKE = 0.8
"""Share of the words that two texts must have in common, of those that tell texts apart."""

COPIED = 4
"""Levels that copying, saving again and the noise of a camera change of a thumbnail, at most."""

FEW = 20
"""Items below which nothing is known of what all of them share."""

Rule = Literal["near", "exact"]
"""Whether near duplicates share a group, or only items of the same words or the same picture."""

Texts = Callable[[Sequence[str]], Mapping[str, str]]
"""Item ids -> their texts; those that are not known are left out."""

Nearest = Callable[[str, bytes, Sequence[int]], int | None]
"""An item, its fingerprint and the leaders that are close, the nearest first -> the one whose group it joins."""

T = TypeVar("T")

_SAMPLE = 64
_READ = 500
_LEVELS = 3
_KEPT = 5_000

LONGEST = 20_000
"""Characters of a text whose words are compared; its hash is of all of it."""
_BANDS = 16
_NOBODY = -1
_KEYS = 1 << 16
RECENT = 1 << 16
_GRID = 16
_CONTRAST = 2
_ENOUGH = 512
_WORD = re.compile(r"\w+")
_POPCOUNT = np.array([byte.bit_count() for byte in range(256)], np.uint8)
# neighbouring bits of an image say the same thing: scattering them gives every band its share of the picture
_SCATTER = np.random.default_rng(0).permutation(8 * CODE)
_SEEDS = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93], np.uint64)


def image_fingerprint(image: Image) -> bytes:
    """108 bytes: a 256-bit difference hash, 8 x 8 mean grey levels, and the mean colours of the four quadrants.

    The picture is averaged to 16 x 17 grey levels; a bit says whether a cell is brighter than its right neighbour
    (Krawetz, "Kind of Like That", 2013), by more than the noise that JPEG leaves on a flat background.
    """
    from PIL.Image import Resampling

    colour = _plain(image)
    grey = colour.convert("L")
    levels = np.asarray(grey.resize((_GRID + 1, _GRID), Resampling.BOX), np.int16)
    bits = levels[:, :-1] - levels[:, 1:] > _CONTRAST
    code = np.packbits(bits.reshape(-1)[_SCATTER]).tobytes()
    cells, quadrants = grey.resize((8, 8), Resampling.BOX), colour.resize((2, 2), Resampling.BOX)
    return code + cells.tobytes() + quadrants.tobytes()


def _plain(image: Image) -> Image:
    """The picture as RGB on white, no larger than it takes, whatever it is stored as."""
    import PIL.Image

    if max(image.size) > _ENOUGH:
        image = image.reduce(max(1, min(image.size) // 128))
    if image.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(image, np.float32))
        span = float(np.ptp(values)) or 1.0
        return PIL.Image.fromarray(((values - values.min()) / span * 255).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    seen = image.convert("RGBA")
    return PIL.Image.alpha_composite(PIL.Image.new("RGBA", seen.size, "white"), seen).convert("RGB")


def text_fingerprint(text: str) -> bytes:
    """32 bytes: a 256-bit simhash of the words and word pairs (Charikar, STOC 2002); empty for a text without words.

    Case, punctuation, spacing and the Unicode form of a character make no difference. Signs are not lost silently: a
    text of symbols only has no fingerprint and is nobody's duplicate.
    """
    words = words_of(text)
    if not words:
        return b""
    hashes = np.fromiter(
        (zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words), np.uint64, count=len(words)
    )
    pairs = hashes[:-1] * np.uint64(0x100000001B3) + hashes[1:] + np.uint64(1 << 40)
    mixed = _mix(np.concatenate([hashes, pairs])[:, None] * _SEEDS + _SEEDS[::-1])
    votes = np.unpackbits(mixed.view(np.uint8), axis=1).sum(axis=0, dtype=np.int64)
    return np.packbits(2 * votes > len(mixed)).tobytes()


def words_of(text: str) -> list[str]:
    """The words of a text, as they are compared."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def largest_group(items: int) -> int:
    """The most members that a group may have among so many items."""
    return max(LARGEST, int(LARGEST_SHARE * items))


class Banded:
    """Fingerprints found by banding: 16 bands of 16 bits, equal in one band is worth a comparison.

    Two codes d bits apart share a band for certain up to d = 15, and almost always at the distances that count here.
    Costs about 320 bytes a fingerprint. At most `MOST_COMPARED` of them a band are compared, so that a crowd of
    look-alikes costs recall, never time.

    Attributes:
        ids: The item at each position, in the order they came.
        leaders: The position of the leader of its group, its own for a leader; -1 for what is not to be found any more.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.leaders: list[int] = []
        self._codes = np.zeros((0, CODE), np.uint8)
        self._thumbnails = np.zeros((0, THUMBNAIL), np.uint8)
        self._pictures: list[bool] = []
        self._sorted = 0
        self._order = np.zeros((_BANDS, 0), np.uint32)
        self._starts = np.zeros((_BANDS, _KEYS + 1), np.uint32)
        self._recent: defaultdict[tuple[int, int], list[int]] = defaultdict(list)

    def fingerprint(self, position: int) -> bytes:
        """As it was given; a text's is its code alone."""
        thumbnail = self._thumbnails[position].tobytes() if self._pictures[position] else b""
        return bytes(self._codes[position]) + thumbnail

    def load(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """Take in leaders known from earlier, all at once."""
        self._reserve(len(rows))
        for item_id, fingerprint in rows:
            self._append(item_id, fingerprint)
        self._index()

    def enter(self, item_id: str, fingerprint: bytes) -> int:
        """A place among those that are found; a leader's, unless it is given another."""
        position = self._append(item_id, fingerprint)
        for band, key in enumerate(_keys(fingerprint)):
            self._recent[band, key].append(position)
        if len(self.ids) - self._sorted >= RECENT:
            self._index()
        return position

    def close(self, fingerprint: bytes) -> list[int]:
        """Leaders close enough to share a group, and pictures of groups that it is a copy of, the nearest first."""
        candidates = self.candidates(_keys(fingerprint))
        if not len(candidates):
            return []
        bits = self.bits_apart(fingerprint, candidates)
        close = bits <= (IMAGE_BITS if len(fingerprint) > CODE else TEXT_BITS)
        candidates, bits = candidates[close], bits[close]
        levels = self.levels_apart(fingerprint, candidates)
        owners = np.array([self.leaders[one] for one in candidates], np.int64)
        alike = levels <= np.where(owners == candidates, IMAGE_LEVELS, COPIED)
        alike &= owners != _NOBODY
        order = np.argsort(bits[alike], kind="stable")
        return [int(one) for one in candidates[alike][order]]

    def bits_apart(self, fingerprint: bytes, positions: np.ndarray) -> np.ndarray:
        """(n,) in how many bits the codes at these positions differ from its."""
        code = np.frombuffer(fingerprint, np.uint8, count=CODE)
        bits: np.ndarray = _POPCOUNT[self._codes[positions] ^ code].sum(axis=1, dtype=np.int64)
        return bits

    def levels_apart(self, fingerprint: bytes, positions: np.ndarray) -> np.ndarray:
        """(n,) by how many levels, at most, the thumbnails at these positions differ from its."""
        thumbnails = self._thumbnails[positions].astype(np.int16)
        levels: np.ndarray = np.abs(thumbnails - _thumbnail(fingerprint)).max(axis=1)
        return levels

    def candidates(self, keys: Sequence[int]) -> np.ndarray:
        """(n,) positions of what has one of these keys, the key of each band in turn."""
        found: list[np.ndarray] = []
        for band, key in enumerate(keys):
            start, stop = int(self._starts[band, key]), int(self._starts[band, key + 1])
            if start < stop:
                found.append(self._order[band, start : min(stop, start + MOST_COMPARED)])
            if recent := self._recent.get((band, key)):
                found.append(np.array(recent[:MOST_COMPARED], np.uint32))
        return np.unique(np.concatenate(found)) if found else np.zeros(0, np.uint32)

    def _append(self, item_id: str, fingerprint: bytes) -> int:
        position = len(self.ids)
        if position == len(self._codes):
            self._reserve(max(1024, 2 * position))
        self.ids.append(item_id)
        self.leaders.append(position)
        self._pictures.append(len(fingerprint) > CODE)
        self._codes[position] = np.frombuffer(fingerprint, np.uint8, count=CODE)
        self._thumbnails[position] = _thumbnail(fingerprint)
        return position

    def _reserve(self, size: int) -> None:
        grown = size - len(self._codes)
        self._codes = np.concatenate([self._codes, np.zeros((grown, CODE), np.uint8)])
        self._thumbnails = np.concatenate([self._thumbnails, np.zeros((grown, THUMBNAIL), np.uint8)])

    def _index(self) -> None:
        """Sort every leader into its bands, so that the members of a key are one slice."""
        keys = self._codes[: len(self.ids)].view("<u2")
        self._order = np.stack([np.argsort(column, kind="stable") for column in keys.T]).astype(np.uint32)
        counts = np.stack([np.bincount(column, minlength=_KEYS) for column in keys.T])
        self._starts[:, 1:] = counts.cumsum(axis=1)
        self._sorted = len(self.ids)
        self._recent.clear()


class Leaders:
    """The first item of every group, and who joins it."""

    def __init__(self, texts: Texts | None = None, rule: Rule = "near") -> None:
        self._banded = Banded()
        self._sizes: list[int] = []
        self._members: dict[str, int] = {}
        self._words = _Words(texts)
        self._rule = rule

    @classmethod
    def from_rows(
        cls,
        ids: Sequence[str],
        fingerprints: Sequence[bytes],
        sizes: Sequence[int] = (),
        texts: Texts | None = None,
        rule: Rule = "near",
    ) -> Leaders:
        """Leaders known from earlier, in the order they were first seen.

        Args:
            sizes: Members of each one's group, itself among them; one each where they are not given.
            texts: Reads the texts of items, for telling letters on one template apart.
        """
        leaders = cls(texts, rule)
        known = [one for one in zip(ids, fingerprints, sizes or [1] * len(ids), strict=True) if one[1]]
        leaders._banded.load([(item_id, fingerprint) for item_id, fingerprint, _ in known])
        leaders._sizes = [size for _, _, size in known]
        return leaders

    def know(self, members: Iterable[tuple[str, bytes, str]]) -> None:
        """Take in members of these leaders' groups: (id, fingerprint, id of the leader). Only pictures are kept."""
        positions = {item_id: position for position, item_id in enumerate(self._banded.ids)}
        for item_id, fingerprint, leader in members:
            if leader in positions:
                self._remember(item_id, fingerprint, positions[leader])

    def __len__(self) -> int:
        return sum(leader == position for position, leader in enumerate(self._banded.leaders))

    def group(self, new: Iterable[tuple[str, bytes]]) -> dict[str, str]:
        """Item id -> id of the leader of its group, for items with their fingerprints, in the order they came.

        Items that find no leader become leaders, of items later in `new` and of later calls too. An item without a
        fingerprint is alone in its group. No group becomes larger than `largest_group` of all items.
        """
        found: dict[str, bytes] = {}
        for item_id, fingerprint in new:
            found.setdefault(item_id, fingerprint)
        groups = {item_id: item_id for item_id in found}
        coming = [(item_id, fingerprint) for item_id, fingerprint in found.items() if fingerprint]
        most = largest_group(sum(self._sizes) + len(coming))
        joined = self._join_all(coming)
        for _ in range(_LEVELS if self._rule == "near" else 0):
            crowded = {position for position in joined if self._sizes[position] > most}
            if not crowded:
                break
            joined = self._part_all(joined, crowded)
        self._cut(joined, most)
        groups |= {item_id: self._banded.ids[position] for position, some in joined.items() for item_id, _ in some}
        return groups

    def _join_all(self, coming: Sequence[tuple[str, bytes]]) -> dict[int, list[tuple[str, bytes]]]:
        """Leader -> what joins it."""
        joined: dict[int, list[tuple[str, bytes]]] = defaultdict(list)
        nearest = self._same if self._rule == "exact" else self._all_of(coming).nearest
        for item_id, fingerprint in coming:
            self._join(item_id, fingerprint, nearest, joined)
        return joined

    def _join(
        self, item_id: str, fingerprint: bytes, nearest: Nearest, joined: dict[int, list[tuple[str, bytes]]]
    ) -> None:
        """Have an item join the group of what `nearest` chooses of those that are close, or lead."""
        found = nearest(item_id, fingerprint, self._banded.close(fingerprint)[:_SAMPLE])
        if found is None:
            self._lead(item_id, fingerprint)
            return
        leader = self._banded.leaders[found]
        joined[leader].append((item_id, fingerprint))
        self._sizes[leader] += 1
        self._remember(item_id, fingerprint, leader)

    def _lead(self, item_id: str, fingerprint: bytes) -> int:
        self._sizes.append(1)
        return self._banded.enter(item_id, fingerprint)

    def _remember(self, item_id: str, fingerprint: bytes, leader: int) -> None:
        """A picture that follows, to be found by its copies."""
        if len(fingerprint) > CODE:
            position = self._banded.enter(item_id, fingerprint)
            self._banded.leaders[position] = leader
            self._sizes.append(0)
            self._members[item_id] = position

    def _forget(self, item_id: str) -> None:
        """Find nobody by this item any more, until it has a group again."""
        position = self._members.pop(item_id, None)
        if position is not None:
            self._banded.leaders[position] = _NOBODY

    def _part_all(
        self, joined: Mapping[int, list[tuple[str, bytes]]], crowded: set[int]
    ) -> dict[int, list[tuple[str, bytes]]]:
        """The same with the members of each collection compared by what they do not all share."""
        parted: dict[int, list[tuple[str, bytes]]] = defaultdict(list)
        parted.update({position: some for position, some in joined.items() if position not in crowded})
        for position in sorted(crowded):
            members = joined[position]
            self._sizes[position] -= len(members)
            nearest = self._group_of(position, members).nearest
            for item_id, _ in members:
                self._forget(item_id)
            for item_id, fingerprint in members:
                self._join(item_id, fingerprint, nearest, parted)
        return parted

    def _cut(self, joined: dict[int, list[tuple[str, bytes]]], most: int) -> None:
        """Parts of at most this size of what is larger still, each with a leader of its own."""
        for position in [one for one in joined if self._sizes[one] > most]:
            members = joined[position]
            room = max(0, most - (self._sizes[position] - len(members)))
            joined[position], over = members[:room], members[room:]
            self._sizes[position] -= len(over)
            for start in range(0, len(over), most):
                part = over[start : start + most]
                for item_id, _ in part:
                    self._forget(item_id)
                leader = self._lead(*part[0])
                joined[leader] = part[1:]
                self._sizes[leader] += len(joined[leader])
                for item_id, fingerprint in joined[leader]:
                    self._remember(item_id, fingerprint, leader)

    def _all_of(self, coming: Sequence[tuple[str, bytes]]) -> _Collection:
        """What all items share, as far as those that come, and some leaders, show it."""
        known = _spread(range(len(self._banded.ids)), _READ)
        sample = {self._banded.ids[one]: self._banded.fingerprint(one) for one in known} | dict(coming)
        if len(sample) < FEW:
            return _Collection(self._banded, {}, self._words, 0)
        return _Collection(self._banded, sample, self._words, max(LARGEST, int(COMMON * len(sample))))

    def _group_of(self, position: int, members: Sequence[tuple[str, bytes]]) -> _Collection:
        """What a leader, those close to it and the members of its group share."""
        close = self._banded.close(self._banded.fingerprint(position))[: _SAMPLE // 2]
        leaders = {self._banded.ids[one]: self._banded.fingerprint(one) for one in (position, *close)}
        sample = leaders | dict(_spread(members, _SAMPLE // 2))
        return _Collection(self._banded, sample, self._words, len(sample) // 2)

    def _same(self, item_id: str, fingerprint: bytes, close: Sequence[int]) -> int | None:
        """The leader with the very words, or the very picture as far as its fingerprint shows it."""
        for one in close:
            ours, theirs = self._words.of([item_id, self._banded.ids[one]])
            if fingerprint == self._banded.fingerprint(one) and ours == theirs:
                return one
        return None


class _Words:
    """The words of items, kept while they are compared."""

    def __init__(self, texts: Texts | None) -> None:
        self._texts = texts
        self._kept: dict[str, frozenset[str]] = {}

    def of(self, ids: Sequence[str]) -> list[frozenset[str] | None]:
        """The words of each item; None where its text is not known."""
        missing = [one for one in ids if one not in self._kept]
        if missing and self._texts is not None:
            if len(self._kept) > _KEPT:
                self._kept.clear()
                missing = list(ids)
            self._kept |= {
                item_id: frozenset(words_of(text[:LONGEST])) for item_id, text in self._texts(missing).items() if text
            }
        return [self._kept.get(one) for one in ids]


class _Collection:
    """Items that are close to each other by what all of them share, and how two of them are told apart.

    Texts: by the words that few of them have. Pictures: by being far closer than two of them are as a rule, so that a
    background they share, which is the same in both, does not count.

    Args:
        sample: Some of the items with their fingerprints; where there are none, the nearest of all that are close is.
        most: Texts of the sample that may have a word which tells texts apart.
    """

    def __init__(self, banded: Banded, sample: Mapping[str, bytes], words: _Words, most: int) -> None:
        self._banded = banded
        self._words = words
        self._left: dict[str, frozenset[str] | None] = {}
        texts = [one for one in words.of(list(sample)) if one is not None]
        counts = Counter(chain.from_iterable(texts))
        self._shared = frozenset(word for word, count in counts.items() if count > most)
        self._is_known = bool(sample)
        is_pictures = sample and not texts
        found = _closer(_spread(list(sample.values()), _SAMPLE)) if is_pictures else (0.0, 0.0, 0.0)
        self._bits, self._levels, self._copied = found

    def nearest(self, item_id: str, fingerprint: bytes, close: Sequence[int]) -> int | None:
        """The leader, of those that are close, whose near duplicate an item is; None where it is nobody's."""
        if not close or not self._is_known:
            return close[0] if close else None
        (own,) = self._own([item_id])
        if own is None:
            return self._nearest_picture(fingerprint, close)
        theirs = self._own([self._banded.ids[one] for one in close])
        shares = [-1.0 if one is None else len(own & one) / len(own | one) if own or one else 1.0 for one in theirs]
        best = int(np.argmax(shares))
        return close[best] if shares[best] >= ALIKE else None

    def _nearest_picture(self, fingerprint: bytes, close: Sequence[int]) -> int | None:
        rows = np.asarray(close)
        bits, levels = self._banded.bits_apart(fingerprint, rows), self._banded.levels_apart(fingerprint, rows)
        alike = (bits <= self._bits) & (levels <= self._levels) | (levels <= self._copied)
        return int(rows[alike][levels[alike].argmin()]) if alike.any() else None

    def _own(self, ids: Sequence[str]) -> list[frozenset[str] | None]:
        """The words of each item that the collection does not share; None where its text is not known."""
        missing = [one for one in ids if one not in self._left]
        for one, words in zip(missing, self._words.of(missing), strict=True):
            self._left[one] = None if words is None else words - self._shared
        return [self._left[one] for one in ids]


def _spread(some: Sequence[T], n: int) -> list[T]:
    """At most n of them, from the first to the last."""
    return [some[row] for row in np.linspace(0, len(some) - 1, min(len(some), n), dtype=int)]


def _closer(sample: Sequence[bytes]) -> tuple[float, float, float]:
    """How far near duplicates may be apart: (bits, levels), a third and a sixth of what two items of a sample are.

    At least what copying changes; a burst of a fixed camera's is 2 bits and 4 levels apart at most. Then the levels
    below which bits do not count: before a plain wall the noise of a camera turns many, as its neighbours are equal.
    """
    bits, levels = _apart(sample)
    sixth = float(np.median(levels)) / 6
    return max(2.0, float(np.median(bits)) / 3), max(float(COPIED), sixth), min(float(COPIED), sixth)


def _apart(fingerprints: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """(pairs,) how many bits, and at most how many levels, each two of them are apart."""
    codes = np.stack([np.frombuffer(one, np.uint8, count=CODE) for one in fingerprints])
    thumbnails = np.stack([_thumbnail(one) for one in fingerprints]).astype(np.int16)
    first, second = np.triu_indices(len(fingerprints), 1)
    bits = _POPCOUNT[codes[first] ^ codes[second]].sum(axis=1, dtype=np.int64)
    return bits, np.abs(thumbnails[first] - thumbnails[second]).max(axis=1)


def _keys(fingerprint: bytes) -> list[int]:
    return [int(key) for key in np.frombuffer(fingerprint, "<u2", count=_BANDS)]


def _thumbnail(fingerprint: bytes) -> np.ndarray:
    if len(fingerprint) == CODE:
        return np.zeros(THUMBNAIL, np.uint8)
    return np.frombuffer(fingerprint, np.uint8, count=THUMBNAIL, offset=CODE)


def _mix(values: np.ndarray) -> np.ndarray:
    """Splitmix64's finaliser (Steele, Lea, Flood, OOPSLA 2014): each input bit moves all output bits."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
