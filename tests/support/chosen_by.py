"""Backbones for tests of choosing by another one than is learned from: by the number in a text, by its length."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelloop.errors import BadItemError
from labelloop.protocols import Backbone
from labelloop.types import Modality

GROUPS = 6
"""Directions that a text may have."""

embedded: list[str] = []
"""Every text that was embedded to choose by, in order: a memory for tests to look at."""

unseen: set[str] = set()
"""Texts that these backbones cannot read, until they are taken out."""


@dataclass(frozen=True)
class Grouped:
    """One of six directions for each text."""

    fingerprint: str
    group: Callable[[str], int]
    modality: Modality = "text"
    dimension: int = GROUPS
    batch_size: int = 8

    def prepare(self, content: bytes | str) -> Any:
        """The text itself.

        Raises:
            BadItemError: It is among the unseen ones.
        """
        text = content.decode() if isinstance(content, bytes) else content
        if text in unseen:
            raise BadItemError(f"{text!r} is not seen")
        return text

    def embed(self, batch: Sequence[Any]) -> np.ndarray:
        """(n, 6) float32, L2-normalised."""
        embedded.extend(batch)
        return np.eye(GROUPS, dtype=np.float32)[[self.group(text) % GROUPS for text in batch]]


def numbers(modality: Modality) -> Backbone:
    """By the last number of a text."""
    return Grouped("numbers-1", number_of, modality)


def lengths(modality: Modality) -> Backbone:
    """By the letters of a text."""
    return Grouped("lengths-1", len, modality)


def number_of(text: str) -> int:
    """The last number of a text; 0 without one."""
    return int((re.findall(r"\d+", text) or ["0"])[-1])
