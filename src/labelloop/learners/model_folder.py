"""A head in a folder: `model.json` and plain `.npy` files, the same bytes for the same head, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.errors import ConfigError
from labelloop.learners.head import Head

FORMAT, VERSION = "labelloop.frozen", 1
DESCRIPTION, ARRAYS = "model.json", ("weights", "bias")


@dataclass(frozen=True)
class StoredHead:
    """A head, and what it belongs to.

    Attributes:
        backbone: Fingerprint of the backbone whose embeddings it reads.
        examples: How many it was trained on.
    """

    head: Head
    labels: tuple[str, ...]
    backbone: str
    examples: int


def write(model: StoredHead, folder: Path) -> None:
    """Write a model into an existing empty folder."""
    head = model.head
    for name, array in (("weights", head.weights), ("bias", head.bias)):
        np.save(folder / f"{name}.npy", np.ascontiguousarray(array, "<f4"), allow_pickle=False)
    description = {
        "format": FORMAT,
        "version": VERSION,
        "labels": model.labels,
        "multiple": head.multiple,
        "backbone": model.backbone,
        "examples": model.examples,
        "c": head.c,
        "temperature": [float(t) for t in head.temperature],
        "seen": [bool(one) for one in head.seen],
        "floor": head.floor,
        "digests": {name: _digest(folder / f"{name}.npy") for name in ARRAYS},
    }
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8", newline="\n")


def read(folder: Path) -> StoredHead:
    """Read a model.

    Raises:
        ConfigError: The folder holds no model of the frozen learner, one of a newer labelloop, or a damaged one.
    """
    said = _description(folder)
    try:
        weights, bias = (_array(folder, name, said["digests"][name]) for name in ARRAYS)
        temperature = np.asarray(said["temperature"], np.float32)
        seen = np.asarray(said["seen"], np.bool_)
        head = Head(weights, bias, seen, said["floor"], said["multiple"], said["c"], temperature)
        model = StoredHead(head, tuple(said["labels"]), said["backbone"], said["examples"])
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise _damaged(folder, str(error)) from error
    if not len(model.labels) == len(seen) == len(bias) == weights.shape[1]:
        raise _damaged(folder, f"{len(model.labels)} labels, weights {weights.shape}")
    return model


def _description(folder: Path) -> Mapping[str, Any]:
    try:
        said = json.loads((folder / DESCRIPTION).read_text("utf-8"))
    except OSError as error:
        raise _strange(folder, "it has no readable model.json") from error
    except ValueError as error:
        raise _damaged(folder, f"model.json is not JSON: {error}") from error
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise _strange(folder, "its model.json is of another learner")
    if said.get("version") != VERSION:
        raise ConfigError(
            f"the model at {folder} has format version {said.get('version')}, this labelloop reads {VERSION}",
            "upgrade labelloop, or train the model again",
        )
    return said


def _array(folder: Path, name: str, digest: str) -> np.ndarray:
    path = folder / f"{name}.npy"
    if _digest(path) != digest:
        raise ValueError(f"{path.name} is not what model.json describes")
    array: np.ndarray = np.load(path, allow_pickle=False)
    return array


def _digest(path: Path) -> str:
    return blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _strange(folder: Path, why: str) -> ConfigError:
    return ConfigError(f"{folder} is no model of the learner frozen: {why}", "give the folder that train wrote")


def _damaged(folder: Path, why: str) -> ConfigError:
    return ConfigError(f"the model at {folder} is damaged: {why}", "train it again: labelloop train")
