"""Texts that are longer than a network reads at once: cut into windows, whose embeddings are averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from labelloop.learners.options import normalised

LONGEST_WORD = 64
"""Characters of text kept per token: what is beyond cannot reach the network, and would only be slow to split."""

MOST_WINDOWS = 16
"""Windows that a long text is read in; of a text with more of them, so many are read, from its first to its last."""


@dataclass(frozen=True)
class Windows:
    """How long texts are cut.

    Attributes:
        tokens: What a network reads at once, with what stands around a text.
        before: Tokens that stand before a text.
        after: Tokens that stand behind it.
    """

    tokens: int
    before: int
    after: int

    @property
    def most_characters(self) -> int:
        """What is beyond is not read."""
        return MOST_WINDOWS * self.tokens * LONGEST_WORD

    @property
    def _size(self) -> int:
        """Tokens of the text itself in a window."""
        return self.tokens - self.before - self.after

    def count(self, ids: np.ndarray) -> int:
        """Windows that a text would need."""
        if self._is_whole(ids):
            return 1
        return -(-(len(ids) - self.before - self.after) // self._size)

    def cut(self, ids: np.ndarray) -> list[np.ndarray]:
        """A text's tokens in parts that the network reads, each with the tokens that stand around a text.

        Each is as long as can be: the last one reaches back to what was read already. A few words alone would count
        as much as all that stands before them.
        """
        if self._is_whole(ids):
            return [ids[: self.tokens]]
        size, body = self._size, ids[self.before : len(ids) - self.after]
        starts = np.minimum(np.arange(0, len(body), size), len(body) - size)
        if len(starts) > MOST_WINDOWS:
            starts = starts[np.linspace(0, len(starts) - 1, MOST_WINDOWS).astype(int)]
        ends = ids[: self.before], ids[len(ids) - self.after :]
        return [np.concatenate([ends[0], body[start : start + size], ends[1]]) for start in starts]

    def averaged(
        self, batch: Sequence[np.ndarray], embed: Callable[[Sequence[np.ndarray]], np.ndarray], rows: int
    ) -> np.ndarray:
        """(n, d) float32, L2-normalised: the mean of each text's windows.

        Args:
            batch: n texts, each (tokens,) int64.
            embed: Embeds windows, at most so many `rows` at once.
        """
        parts = [self.cut(ids) for ids in batch]
        owner = np.repeat(np.arange(len(batch)), [len(some) for some in parts])
        cut = [one for some in parts for one in some]
        made = np.concatenate([embed(cut[start : start + rows]) for start in range(0, len(cut), rows)])
        sums = np.zeros((len(batch), made.shape[1]), np.float32)
        np.add.at(sums, owner, made)
        alone = np.array([len(some) == 1 for some in parts])
        whole = normalised(sums)
        whole[alone] = sums[alone]
        return whole

    def _is_whole(self, ids: np.ndarray) -> bool:
        """Whether a text is read at once: it fits, or no window has room for any of it."""
        return len(ids) <= self.tokens or self._size < 1
