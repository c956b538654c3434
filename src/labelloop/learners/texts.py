"""The backbone of texts: any ONNX transformer with its tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from labelloop.errors import BadItemError, ConfigError
from labelloop.learners.network import Network, digest_of
from labelloop.learners.options import fingerprint_of, normalised, read_json
from labelloop.types import Modality

BATCH = 32
VERSION = 1
"""Raise it when another embedding comes out for the same text."""

LONGEST_WORD = 64
"""Characters of text kept per token: what is beyond cannot reach the network, and would only be slow to split."""

FED = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class TextOptions:
    """How a transformer wants its texts.

    Attributes:
        max_tokens: Longer texts are cut.
        pooling: `mean` over the tokens, or `cls`: the first token; for networks that give a vector per token.
        output: The tensor that is the embedding; empty for the network's first output.
    """

    max_tokens: int = 128
    pooling: Literal["mean", "cls"] = "mean"
    output: str = ""


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
        return int(self.embed([self.prepare("word")]).shape[1])

    @property
    def batch_size(self) -> int:
        """32."""
        return BATCH

    def prepare(self, content: bytes | str) -> np.ndarray:
        """Split one text into tokens: (tokens,) int64. Thread-safe.

        Raises:
            BadItemError: The content is not UTF-8, or blank.
        """
        text = _text(content)
        if not text.strip():
            raise BadItemError("the text is blank", "remove the item, or give it a text")
        kept = text[: self.options.max_tokens * LONGEST_WORD]
        return np.asarray(self._splitter.encode(kept).ids, dtype=np.int64)

    def embed(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """(n, dimension) float32, L2-normalised, of n prepared texts; fastest when they are equally long."""
        if not batch:
            return np.empty((0, self.dimension), np.float32)
        tokens = np.zeros((len(batch), max(map(len, batch))), np.int64)
        mask = np.zeros_like(tokens)
        for row, ids in enumerate(batch):
            tokens[row, : len(ids)] = ids
            mask[row, : len(ids)] = 1
        everything = dict(zip(FED, (tokens, mask, np.zeros_like(tokens)), strict=True))
        out = self._network.run({name: everything[name] for name in self._fed})
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
        names = tuple(port.name for port in self._network.inputs)
        if "input_ids" not in names or not set(names) <= set(FED):
            raise ConfigError(f"{self.path} takes {', '.join(names)}", f"export a network that takes {', '.join(FED)}")
        return names

    @cached_property
    def _splitter(self) -> Any:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ConfigError("texts need the package tokenizers", "pip install 'labelloop[text]'") from error
        if "model" not in read_json(self.tokenizer):
            raise ConfigError(f"{self.tokenizer} is no tokenizer", "take the tokenizer.json of the same model")
        splitter = Tokenizer.from_file(str(self.tokenizer))
        splitter.no_padding()
        splitter.enable_truncation(self.options.max_tokens)
        return splitter


def _text(content: bytes | str) -> str:
    if isinstance(content, str):
        return content
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadItemError(f"the text is not UTF-8: {error}", "save it as UTF-8") from error
