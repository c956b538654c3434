"""An ONNX file reads nothing outside its folder; the files are written by hand, field by field."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from labelloop.errors import ConfigError
from labelloop.learners.network import Network, open_session
from labelloop.learners.outside_data import refuse_files_outside

CANARY = np.arange(4, dtype=np.float32)


def _varint(value: int) -> bytes:
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])


def _of(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _tensor(location: str, name: str = "w") -> bytes:
    """Four floats in another file (TensorProto: dims 1, data_type 2, name 8, external_data 13, data_location 14)."""
    entries = {"location": location, "offset": "0", "length": "16"}
    outside = b"".join(_of(13, _of(1, key.encode()) + _of(2, value.encode())) for key, value in entries.items())
    return _number(1, 4) + _number(2, 1) + _of(8, name.encode()) + outside + _number(14, 1)


def _model(*graph: bytes) -> bytes:
    """y = Identity(w), with whatever else is in the graph."""
    node = _of(1, b"w") + _of(2, b"y") + _of(4, b"Identity")
    shape = _of(2, _of(1, _number(1, 4)))
    output = _of(1, b"y") + _of(2, _of(1, _number(1, 1) + shape))
    body = _of(1, node) + _of(2, b"g") + b"".join(graph) + _of(12, output)
    return _number(1, 8) + _of(8, _number(2, 17)) + _of(7, body)


def _written(folder: Path, *graph: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "model.onnx"
    path.write_bytes(_model(*graph))
    return path


def _in_attribute(tensor: bytes) -> bytes:
    """A node of the graph whose attribute `value` is the tensor."""
    return _of(1, _of(2, b"z") + _of(4, b"Constant") + _of(5, _of(1, b"value") + _of(5, tensor) + _number(20, 4)))


def _in_subgraph(tensor: bytes) -> bytes:
    return _of(1, _of(2, b"z") + _of(4, b"If") + _of(5, _of(1, b"then_branch") + _of(6, _of(5, tensor))))


def test_weights_in_a_file_beside_it_are_read(tmp_path: Path) -> None:
    path = _written(tmp_path / "model", _of(5, _tensor("weights.bin")))
    (path.parent / "weights.bin").write_bytes(CANARY.tobytes())

    assert Network(path).run({}).tolist() == CANARY.tolist()


@pytest.mark.parametrize(
    "location",
    ["../canary.bin", "{}/canary.bin", "sub/../../canary.bin", "./../canary.bin", "link.bin", "folder/canary.bin"],
)
def test_weights_outside_the_folder_are_refused_before_anything_is_built(tmp_path: Path, location: str) -> None:
    (tmp_path / "canary.bin").write_bytes(CANARY.tobytes())
    path = _written(tmp_path / "model", _of(5, _tensor(location.format(tmp_path))))
    (path.parent / "sub").mkdir()
    (path.parent / "link.bin").symlink_to(tmp_path / "canary.bin")
    (path.parent / "folder").symlink_to(tmp_path)

    with pytest.raises(ConfigError, match="not in its folder"):
        open_session(path)


@pytest.mark.parametrize(
    "hidden",
    [_in_attribute, _in_subgraph, lambda tensor: _of(15, _of(1, tensor)), lambda tensor: _of(15, _of(2, tensor))],
)
def test_a_tensor_is_found_wherever_a_graph_may_hide_it(tmp_path: Path, hidden: object) -> None:
    assert callable(hidden)
    path = _written(tmp_path / "model", hidden(_tensor("../canary.bin")))

    with pytest.raises(ConfigError, match=r"canary\.bin"):
        refuse_files_outside(path)


def test_a_tensor_of_a_second_graph_that_is_merged_with_the_first_is_found(tmp_path: Path) -> None:
    path = _written(tmp_path / "model", _of(5, _tensor("weights.bin")))
    path.write_bytes(path.read_bytes() + _of(7, _of(5, _tensor("../canary.bin", "v"))))

    with pytest.raises(ConfigError, match=r"canary\.bin"):
        refuse_files_outside(path)


@pytest.mark.parametrize("body", [b"\x0a\xff\xff\xff\xff\x0f", b"<html>", b"\x3b\x3c", b"\xff" * 40])
def test_a_file_that_cannot_be_walked_through_is_refused(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(body)

    with pytest.raises(ConfigError, match="onnxruntime cannot open"):
        refuse_files_outside(path)


def test_graphs_within_graphs_end_somewhere(tmp_path: Path) -> None:
    body = _of(5, _tensor("weights.bin"))
    for _ in range(200):
        body = _of(1, _of(5, _of(6, body)))
    path = _written(tmp_path / "model", body)

    with pytest.raises(ConfigError, match="nested too deeply"):
        refuse_files_outside(path)


def test_a_model_in_a_cache_of_links_may_read_what_lies_beside_the_real_file(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots"
    blobs.mkdir()
    snapshot.mkdir()
    (blobs / "1a").write_bytes(_model(_of(5, _tensor("weights.bin"))))
    (blobs / "2b").write_bytes(CANARY.tobytes())
    names: Sequence[tuple[str, str]] = [("model.onnx", "1a"), ("weights.bin", "2b")]
    for name, blob in names:
        (snapshot / name).symlink_to(blobs / blob)

    refuse_files_outside(snapshot / "model.onnx")
