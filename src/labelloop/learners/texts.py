"""The backbone of texts: any ONNX transformer with its tokenizer.

A text that is longer than the network reads at once is read in windows. One whose words the tokenizer does not know, as
of another script than the network learned, is read by its letters: fewer things can be told apart so, but some can. Not
known is a word, too, of which the vocabulary has nothing but the letters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from labelloop.errors import BadItemError
from labelloop.learners.letters import MOST_LETTERS, by_letters
from labelloop.learners.network import Network, digest_of
from labelloop.learners.options import fingerprint_of
from labelloop.learners.tokenizer_file import TokenizerFile
from labelloop.learners.transformer import Transformer
from labelloop.learners.windows import MOST_WINDOWS, Windows
from labelloop.types import Modality
from labelloop.types.names import named

BATCH = 32
VERSION = 1
"""Raise it when another embedding comes out for the same text."""

UNKNOWN = 0.5
"""Share of unknown tokens above which a text is read by its letters."""

WINDOWS = "windows 2"
"""How long texts are read; another number where their embeddings change: these are computed again."""


@dataclass(frozen=True)
class TextOptions:
    """How a transformer wants its texts.

    Attributes:
        max_tokens: Tokens that the network reads at once; longer texts are read in windows of so many, whose
            embeddings are averaged.
        pooling: `mean` over the tokens, or `cls`: the first token; for networks that give a vector per token.
        output: The tensor that is the embedding; empty for the network's first output.
    """

    max_tokens: int = 128
    pooling: Literal["mean", "cls"] = "mean"
    output: str = ""


@named("labelloop.TextBackbone")
@dataclass(frozen=True)
class TextBackbone:
    """A transformer that turns texts into embeddings.

    Args:
        path: The ONNX file; its inputs are among `input_ids`, `attention_mask` and `token_type_ids`, (n, tokens) int64.
        tokenizer: The `tokenizer.json` of the `tokenizers` library.
        options: How it wants its texts.

    Raises:
        ConfigError: A file is missing; or, at the first use, the network takes no tokens.
    """

    path: Path
    tokenizer: Path
    options: TextOptions = TextOptions()

    def __post_init__(self) -> None:
        _ = self.words, self.transformer

    def __getstate__(self) -> Mapping[str, Any]:
        return {"path": self.path, "tokenizer": self.tokenizer, "options": self.options}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)

    @cached_property
    def words(self) -> TokenizerFile:
        """What splits texts into tokens."""
        return TokenizerFile(self.tokenizer)

    @cached_property
    def windows(self) -> Windows:
        """How texts are cut that are longer than the network reads at once."""
        return Windows(self.options.max_tokens, *map(len, self.words.around))

    @cached_property
    def transformer(self) -> Transformer:
        """What embeds tokens."""
        return Transformer(Network(self.path, self.options.output), self.options.pooling)

    @property
    def modality(self) -> Modality:
        """Texts."""
        return "text"

    @property
    def fingerprint(self) -> str:
        """Digest of the network, the tokenizer, the options, and the version of the preparation."""
        words = digest_of(self.tokenizer)
        return fingerprint_of("text", VERSION, self.transformer.network.digest, words, asdict(self.options))

    @cached_property
    def dimension(self) -> int:
        """Length of an embedding; found by reading one word."""
        return int(self.transformer.embed([self._tokens("word")]).shape[1])

    @property
    def batch_size(self) -> int:
        """32."""
        return BATCH

    def prepare(self, content: bytes | str) -> np.ndarray:
        """Split one text into tokens: (tokens,) int64; or (dimension,) float32 of its letters. Thread-safe.

        Raises:
            BadItemError: The content is not UTF-8, or blank.
        """
        text = _text(content)
        if not text.strip():
            raise BadItemError("the text is blank", "remove the item, or give it a text")
        ids = self._tokens(text)
        return ids if self.words.unknown_share(ids) <= UNKNOWN else by_letters(text, self.dimension)

    def sight(self, content: bytes | str) -> TextCoverage:
        """How much of one text is seen."""
        text = _text(content)
        ids = self._tokens(text)
        unknown = self.words.unknown_share(ids)
        if unknown > UNKNOWN:
            return TextCoverage(unknown, 1, by_letters=True, cut=len(text) > MOST_LETTERS)
        windows = self.windows.count(ids)
        cut = len(text) > self.windows.most_characters or windows > MOST_WINDOWS
        return TextCoverage(unknown, windows, by_letters=False, cut=cut)

    def way_of_reading(self, content: bytes | str) -> str:
        """How a text is read where it is not read as a whole and by its words; else empty."""
        if len(content) <= self.options.max_tokens - 2 and content.isascii():
            return ""
        seen = self.sight(content)
        return "letters" if seen.by_letters else WINDOWS if seen.windows > 1 else ""

    def embed(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """(n, dimension) float32, L2-normalised, of n prepared texts; fastest when they are equally long."""
        if not batch:
            return np.empty((0, self.dimension), np.float32)
        spelled = [row for row, one in enumerate(batch) if one.dtype != np.int64]
        if spelled:
            whole = np.empty((len(batch), self.dimension), np.float32)
            others = [row for row in range(len(batch)) if row not in set(spelled)]
            whole[spelled] = np.stack([batch[row] for row in spelled])
            whole[others] = self.embed([batch[row] for row in others])
            return whole
        if max(map(len, batch)) <= self.options.max_tokens:
            return self.transformer.embed(batch)
        return self.windows.averaged(batch, self.transformer.embed, BATCH)

    def _tokens(self, text: str) -> np.ndarray:
        return self.words.tokens(text[: self.windows.most_characters])


@dataclass(frozen=True, slots=True)
class TextCoverage:
    """How much of a text a backbone sees.

    Attributes:
        unknown: Share of its tokens that say nothing: not known, or lone letters of scripts whose words are not known.
        windows: Parts that it needs to be read in.
        by_letters: Whether it is read by its letters, as too much is unknown.
        cut: Whether some of it is not read.
    """

    unknown: float
    windows: int
    by_letters: bool
    cut: bool


def _text(content: bytes | str) -> str:
    if isinstance(content, str):
        return content
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadItemError(f"the text is not UTF-8: {error}", "save it as UTF-8") from error
