"""A thousand odd files and rows through `add`: none is fatal, none makes it wait, none is lost without a word."""

from __future__ import annotations

import io
import json
import os
import random
import socket
import subprocess
import sys
import threading
import tracemalloc
import zlib
from pathlib import Path

import pytest
from PIL import Image

from labelloop.commands.add import add_items
from labelloop.data.decoding import Allowance
from labelloop.data.locations import held, place_of
from labelloop.data.sources import Columns, Unreadable, read_items
from labelloop.ledger import open_ledger
from labelloop.types import NewItem

COUNT = 500


def png(rng: random.Random, size: int = 12) -> bytes:
    body = io.BytesIO()
    Image.frombytes("RGB", (size, size), rng.randbytes(size * size * 3)).save(body, rng.choice(["PNG", "JPEG", "BMP"]))
    return body.getvalue()


def bomb() -> bytes:
    body = io.BytesIO()
    Image.new("RGB", (8, 8)).save(body, "PNG")
    raw = body.getvalue()
    head = b"IHDR" + (60000).to_bytes(4, "big") * 2 + raw[24:29]
    return raw[:12] + head + zlib.crc32(head).to_bytes(4, "big") + raw[33:]


def odd_folder(folder: Path, count: int, seed: int) -> int:
    """Write odd files, all with the name of a picture; how many there are."""
    rng, names = random.Random(seed), "aé漢\u202e'\"`$&;|<>%#?*[] \\\t\n\x01😀"
    for number in range(count):
        deep = folder.joinpath(*(["d"] * rng.choice([0, 0, 1, 9])))
        deep.mkdir(parents=True, exist_ok=True)
        name = f"{number}{''.join(rng.choices(names, k=rng.randrange(6)))}.png"
        path, kind = deep / name, number % 11
        if kind == 0:
            os.mkfifo(path)
        elif kind == 1:
            path.symlink_to(rng.choice(["/dev/zero", "/dev/random", "nowhere", name, "/proc/self/mem", "/etc"]))
        elif kind == 2:
            path.write_bytes(png(rng)[: rng.randrange(400)])
        elif kind == 3:
            path.write_bytes(rng.randbytes(rng.randrange(200)))
        elif kind == 4:
            path.write_bytes(bomb())
        elif kind == 5:
            path.write_bytes(rng.choice([b"", b"<html>", b"%PDF-1.4", b"PK\x03\x04", b"<svg/>", b"\x89PNG\r\n\x1a\n"]))
        elif kind == 6:
            spoilt = bytearray(png(rng))
            spoilt[rng.randrange(len(spoilt))] ^= 0xFF
            path.write_bytes(spoilt)
        elif kind == 7:
            (deep / os.fsdecode(b"%d\xff\xfe.png" % number)).write_bytes(png(rng))
        elif kind == 8:
            path.write_bytes(png(rng))
            path.chmod(0)
        else:
            path.write_bytes(png(rng))
    return count


def odd_rows(seed: int, count: int) -> list[bytes]:
    rng = random.Random(seed)
    texts = ["", " ", "\0", "\ud800", "x" * 2_000_000, "fine", "fine", None, 3, 1e308, True, [], {}, ["a"], {"a": 1}]
    lines = [json.dumps({"text": rng.choice(texts), "n": number}).encode() for number in range(count // 2)]
    broken = [
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"text": "caf\xe9"}',
        b'{"txt": 1}',
        b"[" * 5000,
        b"NaN",
        b'{"text": NaN}',
    ]
    lines += [rng.choice(broken) for _ in range(count - len(lines))]
    rng.shuffle(lines)
    return lines


@pytest.mark.timeout(120)
def test_odd_files_are_each_an_item_or_named_and_add_ends(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    count = odd_folder(folder, COUNT, 7)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(folder / "socket.png"))

    found = list(read_items(str(folder), "image"))

    assert len(found) == count + 1
    bad = [one for one in found if isinstance(one, Unreadable)]
    assert all(one.where and one.reason for one in bad)
    assert sum("a pipe, a device or a folder" in one.reason for one in bad) >= COUNT // 11
    assert len(found) - len(bad) >= 3 * (COUNT // 11)
    listening.close()


@pytest.mark.timeout(120)
def test_odd_files_and_rows_go_through_add_and_its_words_can_be_printed(tmp_path: Path) -> None:
    folder, ledger = tmp_path / "odd", open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "odd")
    folder.mkdir()
    count = odd_folder(folder, 200, 8)

    taken = add_items(ledger, [str(folder)], "image", Columns())

    assert taken.new + taken.known + len(taken.unreadable) == count
    taken.in_words(dry_run=False).encode("utf-8", "strict")
    json.dumps(taken.as_dict())


@pytest.mark.timeout(120)
def test_odd_rows_are_each_an_item_or_named(tmp_path: Path) -> None:
    rows = odd_rows(9, COUNT)
    (tmp_path / "odd.jsonl").write_bytes(b"\n".join([b'{"text": "first"}', *rows]))

    found = list(read_items(str(tmp_path / "odd.jsonl"), "text"))

    assert len(found) == COUNT + 1
    assert all(isinstance(one, NewItem) or (one.where and one.reason) for one in found)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ["pipe.csv", "pipe.jsonl", "pipe.parquet"])
def test_a_pipe_that_is_called_a_table_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)

    (only,) = read_items(str(tmp_path / name), "text")

    assert isinstance(only, Unreadable)
    assert "pipe" in only.reason


@pytest.mark.timeout(30)
def test_a_pipe_is_no_content(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.png")

    place = place_of(str(tmp_path / "p.png"))

    with held(place.fs, place.path) as found:
        assert "pipe" in str(found)


def test_whoever_wants_more_than_there_is_waits_and_then_has_it_alone() -> None:
    allowance, most, taken = Allowance(10), [0], [0]
    lock = threading.Lock()

    def work(wanted: int) -> None:
        with allowance.taken(wanted):
            with lock:
                taken[0] += min(wanted, 10)
                most[0] = max(most[0], taken[0])
            with lock:
                taken[0] -= min(wanted, 10)

    threads = [threading.Thread(target=work, args=(wanted,)) for wanted in [3, 4, 99, 7, 10, 0, 5] * 20]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert not any(thread.is_alive() for thread in threads)
    assert most[0] <= 10


_ADD = """
import re, sys
from pathlib import Path
from labelloop.data.sources import read_items
found = list(read_items(sys.argv[1], "image"))
print(len(found), re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.timeout(300)
def test_what_counts_for_memory_is_how_large_pictures_are_when_decoded(tmp_path: Path) -> None:
    folder, edge = tmp_path / "large", 6000
    folder.mkdir()
    for number in range(8):
        Image.new("RGB", (edge, edge), (number, 0, 0)).save(folder / f"{number}.png", compress_level=1)

    done = subprocess.run([sys.executable, "-c", _ADD, str(folder)], capture_output=True, text=True, check=True)

    count, peak = map(int, done.stdout.split())
    assert count == 8
    # KiB of its own (getrusage begins at the peak of whoever started it); each is 144 MB decoded, all at once 1.2 GB
    assert peak < 900 << 10


def large(folder: Path, name: str, head: bytes, size: int) -> None:
    """A file that takes no room on the disk."""
    with (folder / name).open("wb") as file:
        file.write(head)
        file.truncate(size)


def test_files_of_many_threads_fill_no_more_memory_than_the_largest_that_there_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 8 << 20
    monkeypatch.setattr("labelloop.data.locations.HELD", Allowance(2 * size))
    pixel = io.BytesIO()
    Image.new("RGB", (32, 32)).save(pixel, "BMP")
    for number in range(12):
        large(tmp_path, f"{number}.bmp", pixel.getvalue() + bytes([number]), size)

    tracemalloc.start()
    found = list(read_items(str(tmp_path), "image"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert sum(isinstance(one, NewItem) for one in found) == 12
    assert peak < 5 * size


@pytest.mark.parametrize(("ending", "most"), [("txt", 4), ("eml", 32)])
def test_a_text_file_that_no_text_fills_is_not_read(tmp_path: Path, ending: str, most: int) -> None:
    large(tmp_path, f"long.{ending}", b"Subject: hello\n\n", (most << 20) + 1)

    tracemalloc.start()
    (found,) = read_items(str(tmp_path), "text")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(found, Unreadable)
    assert found.reason == f"is larger than {most} MiB"
    assert peak < 2 << 20
