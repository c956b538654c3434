"""Near duplicates: short codes of images and texts under Hamming distance, and groups around the first item seen.

A fingerprint is 32 bytes of code, compared bit by bit, and for an image a thumbnail of 76 bytes more, compared level by
level: the code finds candidates, the thumbnail tells two drawings of one shape apart. An item joins the group of the
nearest leader close enough to it and leads its own group otherwise. Items are compared with leaders only, so that no
chain of small steps ties two different items together.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

CODE = 32
THUMBNAIL = 76
IMAGE_BITS = 12
IMAGE_LEVELS = 24
TEXT_BITS = 28
MOST_COMPARED = 1024

_BANDS = 16
_KEYS = 1 << 16
_RECENT = 1 << 16
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
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    if not words:
        return b""
    hashes = np.fromiter(
        (zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words), np.uint64, count=len(words)
    )
    pairs = hashes[:-1] * np.uint64(0x100000001B3) + hashes[1:] + np.uint64(1 << 40)
    mixed = _mix(np.concatenate([hashes, pairs])[:, None] * _SEEDS + _SEEDS[::-1])
    votes = np.unpackbits(mixed.view(np.uint8), axis=1).sum(axis=0, dtype=np.int64)
    return np.packbits(2 * votes > len(mixed)).tobytes()


class Leaders:
    """The first item of every group, found by banding: 16 bands of 16 bits, equal in one band is worth a comparison.

    Two codes d bits apart share a band for certain up to d = 15, and almost always at the distances that count here.
    Costs about 320 bytes a leader. At most `MOST_COMPARED` leaders a band are compared, so that a crowd of look-alikes
    costs recall, never time.
    """

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._codes = np.zeros((0, CODE), np.uint8)
        self._thumbnails = np.zeros((0, THUMBNAIL), np.uint8)
        self._sorted = 0
        self._order = np.zeros((_BANDS, 0), np.uint32)
        self._starts = np.zeros((_BANDS, _KEYS + 1), np.uint32)
        self._recent: defaultdict[tuple[int, int], list[int]] = defaultdict(list)

    @classmethod
    def from_rows(cls, ids: Sequence[str], fingerprints: Sequence[bytes]) -> Leaders:
        """Leaders known from earlier, in the order they were first seen."""
        leaders = cls()
        leaders._reserve(len(ids))
        for item_id, fingerprint in zip(ids, fingerprints, strict=True):
            if fingerprint:
                leaders._append(item_id, fingerprint)
        leaders._index()
        return leaders

    def __len__(self) -> int:
        return len(self._ids)

    def group(self, new: Iterable[tuple[str, bytes]]) -> dict[str, str]:
        """Item id -> id of the leader of its group, for items with their fingerprints, in the order they came.

        Items that find no leader become leaders, of items later in `new` and of later calls too. An item without a
        fingerprint is alone in its group.
        """
        groups: dict[str, str] = {}
        for item_id, fingerprint in new:
            if item_id not in groups:
                groups[item_id] = self._join(item_id, fingerprint) if fingerprint else item_id
        return groups

    def _join(self, item_id: str, fingerprint: bytes) -> str:
        keys = [int(key) for key in np.frombuffer(fingerprint, "<u2", count=_BANDS)]
        nearest = self._nearest(fingerprint, self._candidates(keys))
        if nearest is not None:
            return self._ids[nearest]
        position = self._append(item_id, fingerprint)
        for band, key in enumerate(keys):
            self._recent[band, key].append(position)
        if len(self._ids) - self._sorted >= _RECENT:
            self._index()
        return item_id

    def _candidates(self, keys: Sequence[int]) -> np.ndarray:
        found: list[np.ndarray] = []
        for band, key in enumerate(keys):
            start, stop = int(self._starts[band, key]), int(self._starts[band, key + 1])
            if start < stop:
                found.append(self._order[band, start : min(stop, start + MOST_COMPARED)])
            if recent := self._recent.get((band, key)):
                found.append(np.array(recent[:MOST_COMPARED], np.uint32))
        return np.unique(np.concatenate(found)) if found else np.zeros(0, np.uint32)

    def _nearest(self, fingerprint: bytes, candidates: np.ndarray) -> int | None:
        if not len(candidates):
            return None
        code = np.frombuffer(fingerprint, np.uint8, count=CODE)
        bits = _POPCOUNT[self._codes[candidates] ^ code].sum(axis=1, dtype=np.int64)
        close = bits <= (IMAGE_BITS if len(fingerprint) > CODE else TEXT_BITS)
        candidates, bits = candidates[close], bits[close]
        levels = np.abs(self._thumbnails[candidates].astype(np.int16) - _thumbnail(fingerprint)).max(axis=1)
        alike = levels <= IMAGE_LEVELS
        return int(candidates[alike][bits[alike].argmin()]) if alike.any() else None

    def _append(self, item_id: str, fingerprint: bytes) -> int:
        position = len(self._ids)
        if position == len(self._codes):
            self._reserve(max(1024, 2 * position))
        self._ids.append(item_id)
        self._codes[position] = np.frombuffer(fingerprint, np.uint8, count=CODE)
        self._thumbnails[position] = _thumbnail(fingerprint)
        return position

    def _reserve(self, size: int) -> None:
        grown = size - len(self._codes)
        self._codes = np.concatenate([self._codes, np.zeros((grown, CODE), np.uint8)])
        self._thumbnails = np.concatenate([self._thumbnails, np.zeros((grown, THUMBNAIL), np.uint8)])

    def _index(self) -> None:
        """Sort every leader into its bands, so that the members of a key are one slice."""
        keys = self._codes[: len(self._ids)].view("<u2")
        self._order = np.stack([np.argsort(column, kind="stable") for column in keys.T]).astype(np.uint32)
        counts = np.stack([np.bincount(column, minlength=_KEYS) for column in keys.T])
        self._starts[:, 1:] = counts.cumsum(axis=1)
        self._sorted = len(self._ids)
        self._recent.clear()


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
