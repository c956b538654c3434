"""A transformer in an ONNX file: token ids in, a vector for each token or for each text out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from labelloop.errors import ConfigError
from labelloop.learners.network import Network
from labelloop.learners.options import normalised

FED = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class Transformer:
    """A network that is fed with tokens.

    Args:
        pooling: How it makes one vector of a text's tokens where the network gives one for each.
    """

    network: Network
    pooling: Literal["mean", "cls"] = "mean"

    @cached_property
    def fed(self) -> tuple[str, ...]:
        """The inputs of the network: see `fed`."""
        return fed(self.network)

    def outputs(self, batch: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """What the network makes of n texts, and where they have tokens: see `outputs`."""
        return outputs(self.network, self.fed, batch)

    def embed(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """(n, d) float32, L2-normalised, of n texts, each (tokens,) int64."""
        out, mask = self.outputs(batch)
        return normalised(self._pooled(out, mask))

    def _pooled(self, out: np.ndarray, mask: np.ndarray) -> np.ndarray:
        if out.ndim == 2:
            return out
        if self.pooling == "cls":
            return np.ascontiguousarray(out[:, 0])
        weight = mask[..., None].astype(np.float32)
        mean: np.ndarray = (out * weight).sum(axis=1) / weight.sum(axis=1)
        return mean


def outputs(network: Network, names: tuple[str, ...], batch: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What a transformer makes of n texts, each (tokens,) int64.

    Args:
        names: What it is fed, as `fed` says.

    Returns:
        (n, tokens, d) float32, or (n, d) of one that pools itself; (n, tokens) int64, 1 where there is a token.
    """
    tokens = np.zeros((len(batch), max(map(len, batch))), np.int64)
    mask = np.zeros_like(tokens)
    for row, ids in enumerate(batch):
        tokens[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
    everything = dict(zip(FED, (tokens, mask, np.zeros_like(tokens)), strict=True))
    return network.run({name: everything[name] for name in names}), mask


def fed(network: Network) -> tuple[str, ...]:
    """The inputs of a transformer, in its order.

    Raises:
        ConfigError: It takes no tokens, or more than they.
    """
    names = tuple(port.name for port in network.inputs)
    if "input_ids" not in names or not set(names) <= set(FED):
        raise ConfigError(f"{network.path} takes {', '.join(names)}", f"export a network that takes {', '.join(FED)}")
    return names
