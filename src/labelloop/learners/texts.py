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

from labelloop.errors import BadItemError, ConfigError
from labelloop.learners.letters import MOST_LETTERS, by_letters
from labelloop.learners.network import Network, digest_of
from labelloop.learners.options import fingerprint_of, normalised, read_json
from labelloop.learners.tokenizer_file import opened_tokenizer
from labelloop.learners.transformer import fed, outputs
from labelloop.types import Modality
from labelloop.types.names import named

BATCH = 32
VERSION = 1
"""Raise it when another embedding comes out for the same text."""

LONGEST_WORD = 64
"""Characters of text kept per token: what is beyond cannot reach the network, and would only be slow to split."""

MOST_WINDOWS = 16
"""Windows that a long text is read in; of a text with more of them, so many are read, from its first to its last."""

UNKNOWN = 0.5
"""Share of unknown tokens above which a text is read by its letters."""

FOREIGN = 0.2
"""Share of a vocabulary that is not ASCII below which such letters, standing alone, are of scripts without words."""

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
        if not self.tokenizer.is_file():
            raise ConfigError(f"there is no tokenizer at {self.tokenizer}", "put tokenizer.json beside the ONNX file")
        _ = self._network

    def __getstate__(self) -> Mapping[str, Any]:
        return {"path": self.path, "tokenizer": self.tokenizer, "options": self.options}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def modality(self) -> Modality:
        """Texts."""
        return "text"

    @property
    def fingerprint(self) -> str:
        """Digest of the network, the tokenizer, the options, and the version of the preparation."""
        words = digest_of(self.tokenizer)
        return fingerprint_of("text", VERSION, self._network.digest, words, asdict(self.options))

    @cached_property
    def dimension(self) -> int:
        """Length of an embedding; found by reading one word."""
        return int(self._embed([self._tokens("word")]).shape[1])

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
        return ids if self._unknown_share(ids) <= UNKNOWN else by_letters(text, self.dimension)

    def sight(self, content: bytes | str) -> TextCoverage:
        """How much of one text is seen."""
        text = _text(content)
        ids = self._tokens(text)
        unknown = self._unknown_share(ids)
        windows = 1 if unknown > UNKNOWN else self._count(ids)
        cut = len(text) > (MOST_LETTERS if unknown > UNKNOWN else self.most_characters) or windows > MOST_WINDOWS
        return TextCoverage(unknown, windows, by_letters=unknown > UNKNOWN, cut=cut)

    def way_of_reading(self, content: bytes | str) -> str:
        """How a text is read where it is not read as a whole and by its words; else empty."""
        if len(content) <= self.options.max_tokens - 2 and content.isascii():
            return ""
        seen = self.sight(content)
        return "letters" if seen.by_letters else WINDOWS if seen.windows > 1 else ""

    def _tokens(self, text: str) -> np.ndarray:
        return np.asarray(self._splitter.encode(text[: self.most_characters]).ids, dtype=np.int64)

    def _unknown_share(self, ids: np.ndarray) -> float:
        before, after = self._around
        body = ids[before : len(ids) - after]
        return float(self._says_nothing[body].mean()) if len(body) else 0.0

    def _count(self, ids: np.ndarray) -> int:
        """Windows that a text would need."""
        size = self.options.max_tokens - sum(self._around)
        return 1 if len(ids) <= self.options.max_tokens or size < 1 else -(-(len(ids) - sum(self._around)) // size)

    @cached_property
    def _says_nothing(self) -> np.ndarray:
        """(tokens,) bool: the token of what the tokenizer does not know, and lone letters of scripts without words."""
        pieces = {number: _plain(piece) for piece, number in self._splitter.get_vocab().items()}
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
        model = read_json(self.tokenizer)["model"]
        named = model.get("unk_token")
        found = self._splitter.token_to_id(named) if named else model.get("unk_id")
        return None if found is None else int(found)

    @property
    def most_characters(self) -> int:
        """What is beyond is not read."""
        return MOST_WINDOWS * self.options.max_tokens * LONGEST_WORD

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
            return self._embed(batch)
        return self._averaged(batch)

    def _averaged(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """The mean of each text's windows."""
        windows = [self._windows(ids) for ids in batch]
        owner = np.repeat(np.arange(len(batch)), [len(some) for some in windows])
        rows = [row for some in windows for row in some]
        made = np.concatenate([self._embed(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)])
        sums = np.zeros((len(batch), made.shape[1]), np.float32)
        np.add.at(sums, owner, made)
        alone = np.array([len(some) == 1 for some in windows])
        whole = normalised(sums)
        whole[alone] = sums[alone]
        return whole

    def _windows(self, ids: np.ndarray) -> list[np.ndarray]:
        """A text's tokens in parts that the network reads, each with the tokens that stand around a text.

        Each is as long as can be: the last one reaches back to what was read already. A few words alone would count
        as much as all that stands before them.
        """
        before, after = self._around
        body = ids[before : len(ids) - after]
        size = self.options.max_tokens - before - after
        if len(ids) <= self.options.max_tokens or size < 1:
            return [ids[: self.options.max_tokens]]
        starts = np.minimum(np.arange(0, len(body), size), len(body) - size)
        if len(starts) > MOST_WINDOWS:
            starts = starts[np.linspace(0, len(starts) - 1, MOST_WINDOWS).astype(int)]
        ends = ids[:before], ids[len(ids) - after :]
        return [np.concatenate([ends[0], body[start : start + size], ends[1]]) for start in starts]

    @cached_property
    def _around(self) -> tuple[int, int]:
        """How many tokens the tokenizer puts before a text, and behind it."""
        special = self._splitter.encode("word").special_tokens_mask
        inside = [place for place, one in enumerate(special) if not one] or [0]
        return inside[0], len(special) - 1 - inside[-1]

    def _embed(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        out, mask = outputs(self._network, self._fed, batch)
        return normalised(self._pooled(out, mask))

    def _pooled(self, out: np.ndarray, mask: np.ndarray) -> np.ndarray:
        if out.ndim == 2:
            return out
        if self.options.pooling == "cls":
            return np.ascontiguousarray(out[:, 0])
        weight = mask[..., None].astype(np.float32)
        mean: np.ndarray = (out * weight).sum(axis=1) / weight.sum(axis=1)
        return mean

    @cached_property
    def _network(self) -> Network:
        return Network(self.path, self.options.output)

    @cached_property
    def _fed(self) -> tuple[str, ...]:
        return fed(self._network)

    @cached_property
    def _splitter(self) -> Any:
        return opened_tokenizer(self.tokenizer)


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


def _plain(piece: str) -> str:
    """A piece of a vocabulary without the marks of where in a word it stands."""
    return piece.removeprefix("##").lstrip("\u2581\u0120")


def _text(content: bytes | str) -> str:
    if isinstance(content, str):
        return content
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadItemError(f"the text is not UTF-8: {error}", "save it as UTF-8") from error
