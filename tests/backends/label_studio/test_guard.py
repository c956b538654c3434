"""Which addresses are of the inside, and what is written down of those that may be called all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labelloop.backends.label_studio import calls
from labelloop.backends.label_studio.guard import Calls, fence, is_inside
from labelloop.types import Bucket

INSIDE = (
    "127.0.0.1 127.9.9.9 0.0.0.0 10.0.0.1 172.16.5.4 192.168.1.1 169.254.169.254 100.64.0.1 224.0.0.1 255.255.255.255"
    " ::1 :: fe80::1 fe80::1%eth0 fc00::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 2002:7f00:1:: 64:ff9b::7f00:1 ff02::1"
)


@pytest.mark.parametrize("address", INSIDE.split())
def test_addresses_of_the_machine_and_its_network_are_inside(address: str) -> None:
    assert is_inside(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8"])
def test_those_of_the_internet_are_not(address: str) -> None:
    assert not is_inside(address)


def connect(home: Path, *address: object) -> None:
    fence("socket.connect", (None, address), Calls(home / "calls.json"), 0)


def test_a_socket_is_refused_until_it_is_written_down_and_again_after(tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match=r"127.0.0.1:9010"):
        connect(tmp_path, "127.0.0.1", 9010)

    calls.allow(tmp_path, ["http://127.0.0.1:9010/hooks/a"])
    connect(tmp_path, "127.0.0.1", 9010)
    for other in (("127.0.0.1", 9011), ("127.0.0.2", 9010), ("::1", 9010), ("localhost", 9010), ("10.0.0.1", 80)):
        with pytest.raises(PermissionError):
            connect(tmp_path, *other)

    calls.forbid_path(tmp_path, "/hooks/a")
    with pytest.raises(PermissionError):
        connect(tmp_path, "127.0.0.1", 9010)


def test_the_store_of_pictures_may_be_reached_and_credentials_of_the_machine_only_where_it_needs_them(
    tmp_path: Path,
) -> None:
    calls.allow_bucket(tmp_path, Bucket("s3", "pets", endpoint="http://127.0.0.1:9000/", credentials={"a": "b"}))
    connect(tmp_path, "127.0.0.1", 9000)
    with pytest.raises(PermissionError):
        connect(tmp_path, "169.254.169.254", 80)

    calls.allow_bucket(tmp_path, Bucket("s3", "pets"))
    connect(tmp_path, "169.254.169.254", 80)
    with pytest.raises(PermissionError):
        connect(tmp_path, "127.0.0.1", 9000)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"hosts": 7}', "null"])
def test_a_damaged_list_allows_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "calls.json").write_text(content)

    with pytest.raises(PermissionError):
        connect(tmp_path, "127.0.0.1", 9010)


def test_only_exact_addresses_are_listed(tmp_path: Path) -> None:
    calls.allow(tmp_path, calls.backend("http://127.0.0.1:9090/"))

    urls = json.loads((tmp_path / "calls.json").read_text())["urls"]
    assert "http://127.0.0.1:9090/predict" in urls
    assert "http://127.0.0.1:9090/metrics" not in urls
