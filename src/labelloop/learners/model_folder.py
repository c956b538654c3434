"""A head in a folder: `model.json` and plain `.npy` files, the same bytes for the same head, no pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.errors import ConfigError
from labelloop.learners.head import Head

FLAVOR, FORMAT, VERSION = "frozen", "labelloop.frozen", 1
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
        "digests": {name: digest(folder / f"{name}.npy") for name in ARRAYS},
    }
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8", newline="\n")


def read(folder: Path) -> StoredHead:
    """Read a model.

    Raises:
        ConfigError: The folder holds no model of the frozen learner, one of a newer labelloop, or a damaged one.
    """
    said = described(folder, FLAVOR, FORMAT, VERSION)
    with damage_named(folder):
        weights, bias = (_array(folder, name, said["digests"][name]) for name in ARRAYS)
        temperature = np.asarray(said["temperature"], np.float32)
        seen = np.asarray(said["seen"], np.bool_)
        head = Head(weights, bias, seen, said["floor"], said["multiple"], said["c"], temperature)
        model = StoredHead(head, tuple(said["labels"]), said["backbone"], said["examples"])
        if not len(model.labels) == len(seen) == len(bias) == weights.shape[1]:
            raise ValueError(f"{len(model.labels)} labels, weights {weights.shape}")
    return model


def described(folder: Path, flavor: str, form: str, version: int) -> Mapping[str, Any]:
    """What `model.json` says of a model that the learner `flavor` wrote, in this form and version of it.

    Raises:
        ConfigError: There is none, it is of another learner or version, or damaged.
    """
    try:
        said = json.loads((folder / DESCRIPTION).read_text("utf-8"))
    except OSError as error:
        raise _strange(folder, flavor, "it has no readable model.json") from error
    except ValueError as error:
        raise _damaged(folder, f"model.json is not JSON: {error}") from error
    if not isinstance(said, dict) or said.get("format") != form:
        raise _strange(folder, flavor, "its model.json is of another learner")
    if said.get("version") != version:
        raise ConfigError(
            f"the model at {folder} has format version {said.get('version')}, this labelloop reads {version}",
            "upgrade labelloop, or train the model again",
        )
    return said


@contextmanager
def damage_named(folder: Path) -> Iterator[None]:
    """What goes wrong inside says that the model in this folder is damaged.

    Raises:
        ConfigError: It does.
    """
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
        raise _damaged(folder, str(error)) from error


def _array(folder: Path, name: str, wanted: str) -> np.ndarray:
    path = folder / f"{name}.npy"
    if digest(path) != wanted:
        raise ValueError(f"{path.name} is not what model.json describes")
    array: np.ndarray = np.load(path, allow_pickle=False)
    return array


def digest(path: Path) -> str:
    """blake2b-128 of a file, in hex."""
    return blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _strange(folder: Path, flavor: str, why: str) -> ConfigError:
    return ConfigError(f"{folder} is no model of the learner {flavor}: {why}", "give the folder that train wrote")


def _damaged(folder: Path, why: str) -> ConfigError:
    return ConfigError(f"the model at {folder} is damaged: {why}", "train it again: labelloop train")
