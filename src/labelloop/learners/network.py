"""One ONNX file: opened when first used, asked for any tensor of its graph, known by the digest of its bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b, file_digest
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from labelloop.errors import ConfigError
from labelloop.learners.outside_data import refuse_files_outside

PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""Where a network runs, best first; those that the installed onnxruntime has."""

FLOAT, UINT8 = "tensor(float)", "tensor(uint8)"


@dataclass(frozen=True, slots=True)
class Port:
    """One input of a network: its name, its shape (None where a dimension is free) and onnxruntime's element type."""

    name: str
    shape: tuple[int | None, ...]
    element: str


class Network:
    """A network in one ONNX file. Light and picklable: the session is built at the first use, once, by one thread.

    Args:
        path: The ONNX file; tensors in files beside it are found.
        output: The tensor to return, also one inside the graph; empty for the graph's first output.

    Raises:
        ConfigError: There is no such file.
    """

    def __init__(self, path: Path, output: str = "") -> None:
        if not path.is_file():
            raise ConfigError(f"there is no ONNX file at {path}", "check the path of the backbone")
        self.path = path.absolute()
        self.output = output
        self._session: Any = None
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"Network({str(self.path)!r}, {self.output!r})"

    def __getstate__(self) -> Mapping[str, Any]:
        return {"path": self.path, "output": self.output}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.path, self.output, self._session, self._lock = state["path"], state["output"], None, Lock()

    @property
    def digest(self) -> str:
        """blake2b-128 of the file in hex."""
        return digest_of(self.path)

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What the network takes."""
        ports = self._opened().get_inputs()
        return tuple(Port(p.name, tuple(d if isinstance(d, int) else None for d in p.shape), p.type) for p in ports)

    def run(self, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
        """The output tensor for these inputs. Thread-safe; releases the interpreter while it computes."""
        session = self._opened()
        name = self.output or session.get_outputs()[0].name
        result: np.ndarray = session.run([name], feeds)[0]
        return result

    def _opened(self) -> Any:
        with self._lock:
            if self._session is None:
                self._session = open_session(self.path, self.output)
        return self._session


def open_session(path: Path, output: str = "") -> Any:
    """An `onnxruntime.InferenceSession` that uses every core we may use and sleeps, not spins, while it waits.

    Args:
        path: The ONNX file.
        output: A tensor of the graph that the session shall also return.

    Raises:
        ConfigError: onnxruntime is not installed, cannot open the file, or knows no such tensor; or the file wants
            files outside its folder.
    """
    refuse_files_outside(path)
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"{path} needs the package onnxruntime, which is not installed",
            "labelloop integration install image (or text)",
        ) from error
    from onnxruntime.capi import onnxruntime_pybind11_state as refusals

    onnxruntime.disable_telemetry_events()  # for who had loaded it before labelloop set labelloop.SILENCED
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = _cores()
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    available = set(onnxruntime.get_available_providers())
    providers = [provider for provider in PROVIDERS if provider in available]
    try:
        plain = onnxruntime.InferenceSession(path, settings, providers=providers)
        if output in ("", *(one.name for one in plain.get_outputs())):
            return plain
        return onnxruntime.InferenceSession(with_output(path.read_bytes(), output), settings, providers=providers)
    except (refusals.Fail, refusals.InvalidProtobuf, refusals.InvalidGraph, refusals.InvalidArgument) as error:
        wanted = f" with the tensor {output!r} as an output" if output else ""
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"onnxruntime cannot open {path}{wanted}: {reason}",
            "check that the file is a complete ONNX model, and the name of the output in model.json beside it",
        ) from error


def with_output(model: bytes, tensor: str) -> bytes:
    """An ONNX model with one more output: a tensor inside its graph.

    Two serialised protocol buffer messages laid end to end are their merge (Protocol Buffers encoding guide, "Last One
    Wins"): so a model followed by a model that has only a graph that has only an output is what we want, and no file
    needs to be parsed. Field numbers from onnx.proto: ModelProto.graph 7, GraphProto.output 12, ValueInfoProto.name 1.
    """
    return model + _field(7, _field(12, _field(1, tensor.encode())))


def _field(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])


def digest_of(path: Path) -> str:
    """blake2b-128 of a file in hex; read once per path, size and time of change."""
    known = path.stat()
    return _digest(path, known.st_size, known.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as body:
        return file_digest(body, lambda: blake2b(digest_size=16)).hexdigest()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
