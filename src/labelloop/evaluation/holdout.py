"""Which items are protected for the honest score: decided by a hash of their group, once and for ever."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from labelloop.errors import ConfigError

MOST = 0.9
"""The largest share of items that can be held out."""

DEFAULT = 0.1
"""The share where nobody says another."""

EARLY = 60
"""The first items of a pool, of which more are held out by default: a tenth of a few is nothing to score by."""

EARLY_SHARE = 1 / 3

_BITS = 53


@dataclass(frozen=True, slots=True)
class Draw:
    """How the holdout of one dataset is drawn; fixed before the first round.

    Attributes:
        share: Expected share of groups, in [0, 0.9].
        salt: Makes the draw of one dataset independent of another's.
        early: Of the groups that begin among so many first items, a third is held out instead.
    """

    share: float
    salt: str
    early: int = 0

    def of(self, groups: Sequence[str] | np.ndarray, first: Sequence[str] | np.ndarray) -> np.ndarray:
        """(n,) bool, whether the items of each group are held out.

        Args:
            first: The ids of the first `early` items of the dataset, or more.

        Raises:
            ConfigError: The share is outside [0, 0.9].
        """
        held = held_out(groups, self.share, self.salt)
        if self.early:
            began = np.isin(np.asarray(groups, np.str_), np.asarray(first[: self.early], np.str_))
            held |= began & held_out(groups, max(self.share, EARLY_SHARE), self.salt)
        return held


def early_of(share: float) -> int:
    """`Draw.early` of a dataset that begins with this share; a share that somebody chose is taken as it is."""
    return EARLY if share == DEFAULT else 0


def is_held_out(group: str, share: float, salt: str) -> bool:
    """Whether the items of a group are held out.

    Depends on nothing but the arguments: not on the other items, nor on their order. A larger share holds out the
    same groups, and more. Members of one group (exact and near duplicates) stay together.

    Args:
        group: The group's id.
        share: Expected share of groups, in [0, 0.9].
        salt: Makes the draw of one dataset independent of another's.

    Raises:
        ConfigError: The share is outside [0, 0.9].
    """
    _check(share)
    return bool(draw_order([group], salt)[0] < share)


def held_out(groups: Sequence[str] | np.ndarray, share: float, salt: str) -> np.ndarray:
    """(n,) bool: `is_held_out`, for the groups of n items.

    Raises:
        ConfigError: The share is outside [0, 0.9].
    """
    _check(share)
    return draw_order(groups, salt) < share


def draw_order(groups: Sequence[str] | np.ndarray, salt: str) -> np.ndarray:
    """(n,) float64 in [0, 1): the lowest are asked first, so that any first part of the holdout is a random sample."""
    return np.fromiter(_uniform(map(str, groups), salt), np.float64, len(groups))


def _check(share: float) -> None:
    if not 0.0 <= share <= MOST:
        raise ConfigError(f"holdout share is {share!r}, not between 0 and {MOST}", "set share = 0.1 under [holdout]")


def _uniform(groups: Iterable[str], salt: str) -> Iterator[float]:
    """A number in [0, 1) for each group, that every machine draws alike."""
    salted = blake2b(digest_size=8, key=blake2b(salt.encode(), digest_size=32).digest())
    for group in groups:
        drawn = salted.copy()
        drawn.update(group.encode())
        yield (int.from_bytes(drawn.digest(), "big") >> (64 - _BITS)) / (1 << _BITS)
