"""The backbone of images: any ONNX network that looks at a square picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.errors import ConfigError
from labelloop.learners.network import UINT8, Network, Port
from labelloop.learners.options import fingerprint_of, normalised
from labelloop.learners.pixels import VERSION, Resize, square
from labelloop.types import Modality
from labelloop.types.names import named

BATCH = 16
SIZE = 224


@dataclass(frozen=True)
class ImageOptions:
    """How a network wants its pictures; the defaults are those of networks trained on ImageNet.

    A pixel of 0..255 becomes `(pixel * scale - mean) / std`, unless the network takes bytes (uint8).

    Attributes:
        mean: Of each channel, in the order of `channels`.
        std: Of each channel.
        scale: What a pixel is multiplied with first.
        channels: `RGB` or `BGR`.
        size: Edge of the square in pixels; 0 for what the network declares, else 224.
        resize: `squash` or `crop`.
        output: The tensor that is the embedding; empty for the network's first output. A (n, c, h, w) tensor is
            averaged over its picture, a (n, t, c) one over its patches.
    """

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    scale: float = 1 / 255
    channels: str = "RGB"
    size: int = 0
    resize: Resize = "squash"
    output: str = ""


@dataclass(frozen=True)
class PictureInput:
    """What a network takes of pictures.

    Args:
        network: Looked into at the first use.

    Raises:
        ConfigError: At the first use: it takes no pictures, or none of the size that the options want.
    """

    network: Network
    options: ImageOptions

    @cached_property
    def port(self) -> Port:
        """The one input of the network."""
        ports = self.network.inputs
        shape = ports[0].shape
        if len(ports) != 1 or len(shape) != 4 or 3 not in (shape[1], shape[3]):
            raise ConfigError(
                f"{self.network.path} takes {', '.join(f'{p.name}{list(p.shape)}' for p in ports)}, "
                "which is no picture",
                "export a network with one input of shape (n, 3, h, w) or (n, h, w, 3)",
            )
        return ports[0]

    @property
    def rows(self) -> int | None:
        """Pictures that the network takes at once, no more and no fewer; None where any number will do."""
        return self.port.shape[0]

    @cached_property
    def size(self) -> int:
        """Edge of the square that the network looks at, in pixels."""
        edge = self.port.shape[2]
        if self.options.size and edge and self.options.size != edge:
            raise ConfigError(
                f"{self.network.path} takes pictures of {edge} pixels, and size is {self.options.size}",
                f"set size to {edge} or leave it out",
            )
        return self.options.size or edge or SIZE

    def fed(self, pixels: np.ndarray) -> np.ndarray:
        """What the network is fed with for pictures (n, size, size, 3) uint8 RGB, in its own order and element."""
        if self.options.channels == "BGR":
            pixels = pixels[..., ::-1]
        fed = pixels if self.port.element == UINT8 else self._scaled(pixels)
        is_channels_first = self.port.shape[1] == 3
        return np.ascontiguousarray(fed.transpose(0, 3, 1, 2) if is_channels_first else fed)

    def _scaled(self, pixels: np.ndarray) -> np.ndarray:
        std = np.asarray(self.options.std, np.float32)
        factor = np.float32(self.options.scale) / std
        scaled: np.ndarray = pixels.astype(np.float32)
        if (factor != 1).any():
            scaled *= factor
        scaled -= np.asarray(self.options.mean, np.float32) / std
        return scaled


@named("labelloop.ImageBackbone")
@dataclass(frozen=True)
class ImageBackbone:
    """A network that turns pictures into embeddings.

    Args:
        path: The ONNX file; its one input is (n, 3, h, w) or (n, h, w, 3), float32 or uint8.
        options: How it wants its pictures.

    Raises:
        ConfigError: There is no such file; or, at the first use, the network takes no pictures.
    """

    path: Path
    options: ImageOptions = ImageOptions()

    def __post_init__(self) -> None:
        _ = self._network

    def __getstate__(self) -> Mapping[str, Any]:
        return {"path": self.path, "options": self.options}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def modality(self) -> Modality:
        """Images."""
        return "image"

    @property
    def fingerprint(self) -> str:
        """Digest of the network's file, the options, and the version of the decoding."""
        return fingerprint_of("image", VERSION, self._network.digest, asdict(self.options))

    @cached_property
    def dimension(self) -> int:
        """Length of an embedding; found by looking at a black picture."""
        black = np.zeros((self._input.size, self._input.size, 3), np.uint8)
        return int(self.embed([black]).shape[1])

    @property
    def batch_size(self) -> int:
        """What the network declares, else 16."""
        return self._input.rows or BATCH

    def prepare(self, content: bytes | str) -> np.ndarray:
        """Decode one picture: (size, size, 3) uint8 RGB. Thread-safe.

        Raises:
            BadItemError: The content is no readable picture.
        """
        return square(content.encode() if isinstance(content, str) else content, self._input.size, self.options.resize)

    def embed(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """(n, dimension) float32, L2-normalised, of n prepared pictures."""
        if not batch:
            return np.empty((0, self.dimension), np.float32)
        rows = self._input.rows or len(batch)
        parts = [self._embed(batch[start : start + rows], rows) for start in range(0, len(batch), rows)]
        return np.concatenate(parts)

    def _embed(self, batch: Sequence[np.ndarray], rows: int) -> np.ndarray:
        pixels = np.stack(batch)
        if len(pixels) < rows:
            pixels = np.concatenate([pixels, np.zeros((rows - len(pixels), *pixels.shape[1:]), np.uint8)])
        out = self._network.run({self._input.port.name: self._input.fed(pixels)})[: len(batch)]
        return normalised(_pooled(out))

    @cached_property
    def _network(self) -> Network:
        return Network(self.path, self.options.output)

    @cached_property
    def _input(self) -> PictureInput:
        return PictureInput(self._network, self.options)


def _pooled(out: np.ndarray) -> np.ndarray:
    pooled: np.ndarray = out
    if out.ndim == 4:
        pooled = out.mean(axis=(2, 3))
    if out.ndim == 3:
        pooled = out.mean(axis=1)
    return pooled.reshape(len(out), -1)
