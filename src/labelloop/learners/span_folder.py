"""A model of spans in a folder: `model.json`, plain `.npy` and `.crfsuite` files, the same bytes for the same model."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.learners.model_folder import DESCRIPTION, damage_named, described, digest
from labelloop.learners.span_model import Calibration, Layer, Projection, SpanModel

FLAVOR, FORMAT, VERSION = "spans", "labelloop.spans", 1
ARRAYS = ("mean", "directions")


def write(model: SpanModel, folder: Path) -> None:
    """Write a model into an existing empty folder."""
    files = {f"tagger-{number}.crfsuite": layer.tagger for number, layer in enumerate(model.layers) if layer.tagger}
    for name, body in files.items():
        (folder / name).write_bytes(body)
    if model.projection is not None:
        for name in ARRAYS:
            array = np.ascontiguousarray(getattr(model.projection, name), "<f4")
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
    description = {
        "format": FORMAT,
        "version": VERSION,
        "labels": model.labels,
        "layers": [layer.labels for layer in model.layers],
        "tokens": "characters" if model.by_characters else "words",
        "network": model.network,
        "examples": model.examples,
        "calibration": asdict(model.calibration),
        "digests": {file.name: digest(file) for file in sorted(folder.iterdir())},
    }
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8", newline="\n")


def read(folder: Path) -> SpanModel:
    """Read a model.

    Raises:
        ConfigError: The folder holds no model of the learner of spans, one of a newer labelloop, or a damaged one.
    """
    said = described(folder, FLAVOR, FORMAT, VERSION)
    with damage_named(folder):
        for name, wanted in said["digests"].items():
            if digest(folder / Path(name).name) != wanted:
                raise ValueError(f"{name} is not what model.json describes")
        return SpanModel(
            tuple(said["labels"]),
            tuple(_layer(folder, number, labels, said["digests"]) for number, labels in enumerate(said["layers"])),
            {"characters": True, "words": False}[said["tokens"]],
            _projection(folder, said["digests"]),
            str(said["network"]),
            int(said["examples"]),
            Calibration(float(said["calibration"]["slope"]), float(said["calibration"]["offset"])),
        )


def _layer(folder: Path, number: int, labels: list[str], there: dict[str, Any]) -> Layer:
    name = f"tagger-{number}.crfsuite"
    return Layer(tuple(labels), (folder / name).read_bytes() if name in there else b"")


def _projection(folder: Path, there: dict[str, Any]) -> Projection | None:
    if not {f"{name}.npy" for name in ARRAYS} & set(there):
        return None
    mean, directions = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ARRAYS)
    if mean.ndim != 1 or directions.ndim != 2 or len(mean) != len(directions):
        raise ValueError(f"mean {mean.shape}, directions {directions.shape}")
    return Projection(mean, directions)
