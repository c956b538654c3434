"""The `tokenizer.json` of a model: texts to token ids, and which of these say nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.errors import ConfigError
from labelloop.learners.options import read_json

FOREIGN = 0.2
"""Share of a vocabulary that is not ASCII below which such letters, standing alone, are of scripts without words."""


@dataclass(frozen=True)
class TokenizerFile:
    """A tokenizer, opened when it is first used.

    Raises:
        ConfigError: There is no such file; or, at the first use, it is no tokenizer.
    """

    path: Path

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise ConfigError(f"there is no tokenizer at {self.path}", "put tokenizer.json beside the ONNX file")

    @cached_property
    def splitter(self) -> Any:
        """The `tokenizers.Tokenizer`."""
        return opened_tokenizer(self.path)

    @cached_property
    def around(self) -> tuple[np.ndarray, np.ndarray]:
        """(a,) and (b,) int64: the tokens that it puts before a text, and behind it."""
        said = self.splitter.encode("word")
        inside = [place for place, special in enumerate(said.special_tokens_mask) if not special] or [0]
        ids = np.array(said.ids, np.int64)
        return ids[: inside[0]], ids[inside[-1] + 1 :]

    def tokens(self, text: str) -> np.ndarray:
        """(tokens,) int64 of a text, with what stands around it."""
        return np.asarray(self.splitter.encode(text).ids, dtype=np.int64)

    def unknown_share(self, ids: np.ndarray) -> float:
        """Share of a text's tokens that say nothing."""
        before, after = map(len, self.around)
        body = ids[before : len(ids) - after]
        return float(self._says_nothing[body].mean()) if len(body) else 0.0

    @cached_property
    def _says_nothing(self) -> np.ndarray:
        """(tokens,) bool: the token of what the tokenizer does not know, and lone letters of scripts without words."""
        pieces = {number: _plain(piece) for piece, number in self.splitter.get_vocab().items()}
        foreign = {number for number, piece in pieces.items() if not piece.isascii()}
        mute = np.zeros(max(pieces) + 1, np.bool_)
        if len(foreign) < FOREIGN * len(pieces):
            mute[[number for number in foreign if len(pieces[number]) == 1]] = True
        if (unknown := self._unknown) is not None:
            mute[unknown] = True
        return mute

    @property
    def _unknown(self) -> int | None:
        """The token of what the tokenizer does not know; None where there is none."""
        model = read_json(self.path)["model"]
        named = model.get("unk_token")
        found = self.splitter.token_to_id(named) if named else model.get("unk_id")
        return None if found is None else int(found)


def opened_tokenizer(path: Path) -> Any:
    """A `tokenizers.Tokenizer` that neither pads nor cuts.

    Raises:
        ConfigError: The package is missing, or the file is no tokenizer.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ConfigError("texts need the package tokenizers", "pip install 'labelloop[text]'") from error
    if "model" not in read_json(path):
        raise ConfigError(f"{path} is no tokenizer", "take the tokenizer.json of the same model")
    splitter = Tokenizer.from_file(str(path))
    splitter.no_padding()
    splitter.no_truncation()
    return splitter


def _plain(piece: str) -> str:
    """A piece of a vocabulary without the marks of where in a word it stands."""
    return piece.removeprefix("##").lstrip("\u2581\u0120")
