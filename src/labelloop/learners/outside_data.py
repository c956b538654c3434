"""Which files an ONNX file reads beside itself, found in its bytes without building anything."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labelloop.errors import ConfigError

_FIELDS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
"""Message -> number of a field -> message in it; from onnx.proto, as far as a tensor can be reached."""

_DEEPEST = 64


def refuse_files_outside(path: Path) -> None:
    """Go on if every file that an ONNX file reads lies in its folder.

    Raises:
        ConfigError: One is named by an absolute path, with `..`, or through a link that leads out; or the file is no
            ONNX model.
    """
    # a model in the cache of Hugging Face is a link, and its data lie beside what the link leads to
    inside = (path.parent.resolve(), path.resolve().parent)
    for name in sorted(set(_locations(path))):
        leads_to = (path.parent / name).resolve()
        is_plain = not Path(name).is_absolute() and ".." not in Path(name).parts
        if not is_plain or not any(leads_to.is_relative_to(one) for one in inside):
            raise ConfigError(
                f"{path} wants to read {name!r}, which is not in its folder", "use a model of somebody you know"
            )


def _locations(path: Path) -> Iterator[str]:
    if not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
        try:
            yield from _in_message(body, 0, len(body), "model", 0)
        except (IndexError, ValueError) as error:
            raise ConfigError(
                f"onnxruntime cannot open {path}: {error}", "check that the file is a complete ONNX model"
            ) from error


def _in_message(body: Any, start: int, end: int, kind: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise ValueError("its graphs are nested too deeply")
    if kind == "entry":
        words = {number: bytes(body[begin:stop]) for number, begin, stop in _fields(body, start, end)}
        if words.get(1) == b"location":
            yield words.get(2, b"").decode("utf-8", "surrogateescape")
        return
    for number, begin, stop in _fields(body, start, end):
        if inner := _FIELDS[kind].get(number):
            yield from _in_message(body, begin, stop, inner, depth + 1)


def _fields(body: Any, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, begin and end of each field that has a length; numbers are skipped (Protocol Buffers encoding guide)."""
    at = start
    while at < end:
        tag, at = _varint(body, at, end)
        wire = tag & 7
        if wire == 2:
            length, at = _varint(body, at, end)
            if at + length > end:
                raise ValueError("it ends too early")
            yield tag >> 3, at, at + length
            at += length
        elif wire == 0:
            _, at = _varint(body, at, end)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise ValueError("it is not written as protocol buffers are")


def _varint(body: Any, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
    raise ValueError("it ends too early")
