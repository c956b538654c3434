"""A transformer in an ONNX file: token ids in, a vector for each token or for each text out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labelloop.errors import ConfigError
from labelloop.learners.network import Network

FED = ("input_ids", "attention_mask", "token_type_ids")


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
