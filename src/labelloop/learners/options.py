"""What every backbone on ONNX shares: options read from a file beside the network, fingerprints, unit vectors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from labelloop.errors import ConfigError

T = TypeVar("T")

SIDECAR = "model.json"
"""Name of the file of options beside an ONNX file."""


def read_options(kind: type[T], path: Path) -> T:
    """Options of a dataclass `kind` from a JSON object; its defaults where there is no file.

    Raises:
        ConfigError: The file is no JSON object, has an unknown key, or a value of another type.
    """
    written = read_json(path) if path.is_file() else {}
    return options_of(kind, written, path)


def read_json(path: Path) -> Mapping[str, Any]:
    """A JSON object from a file.

    Raises:
        ConfigError: The file is no JSON object.
    """
    try:
        written = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}", "correct it, or remove it") from error
    if not isinstance(written, dict):
        raise ConfigError(f"{path} holds a {type(written).__name__}, not an object", 'write {"option": value, ...}')
    return written


def options_of(kind: type[T], written: Mapping[str, Any], where: Path) -> T:
    """Options of a dataclass `kind` from plain data.

    Raises:
        ConfigError: A key is unknown, or a value is of another type.
    """
    from pydantic import TypeAdapter, ValidationError

    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    strange = sorted(set(written) - set(known))
    if strange:
        raise ConfigError(f"{where} has the unknown option {strange[0]!r}", f"known: {', '.join(known)}")
    try:
        return TypeAdapter(kind).validate_python(dict(written))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{where}: {first['loc'][0]}: {first['msg']}", "correct it, or remove it") from None


def fingerprint_of(*parts: Any) -> str:
    """Digest of plain data, in hex."""
    return blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def normalised(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32; a row of zeros stays."""
    rows = rows.astype(np.float32, copy=False)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: np.ndarray = rows / np.maximum(length, np.float32(1e-12))
    return unit
