"""A stamp is what listing says for free, and only where it would say otherwise once the file has changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from labelloop.data.stamps import SETTLED, stamp_of, stamp_of_file

NOW = 1_800_000_000.0
LONG_AGO = datetime.fromtimestamp(NOW - 1000, UTC)


@pytest.mark.parametrize(
    ("entry", "stamp"),
    [
        ({"size": 7, "etag": '"abc"', "modified": LONG_AGO}, '7 "abc"'),
        ({"size": 7, "ETag": '"abc"'}, '7 "abc"'),
        ({"size": 7, "etag": 'W/"abc"', "modified": LONG_AGO}, f"7 {NOW - 1000}"),
        ({"size": 7, "etag": None, "LastModified": LONG_AGO}, f"7 {NOW - 1000}"),
        ({"size": 7, "mtime": NOW - 1000}, f"7 {NOW - 1000}"),
        ({"size": 7, "mtime": NOW - SETTLED / 2}, ""),
        ({"size": 7, "mtime": NOW + 1000}, ""),
        ({"size": 7, "mtime": "yesterday"}, ""),
        ({"size": 7, "created": LONG_AGO}, ""),
        ({"size": 7}, ""),
    ],
)
def test_a_tag_counts_then_a_time_that_has_settled_then_nothing(entry: Mapping[str, Any], stamp: str) -> None:
    assert stamp_of(entry, NOW) == stamp


def settled(path: Path, body: bytes, seconds_ago: float = 1000) -> str:
    """A file last changed some time before now, and its stamp."""
    path.write_bytes(body)
    os.utime(path, (NOW - seconds_ago, NOW - seconds_ago))
    return stamp_of_file(str(path), NOW)


def test_a_file_that_was_written_again_has_another_stamp_even_with_the_size_and_time_of_before(tmp_path: Path) -> None:
    before = settled(tmp_path / "a", b"one")
    same = stamp_of_file(str(tmp_path / "a"), NOW)
    after = settled(tmp_path / "a", b"two")

    assert before
    assert before == same != after


def test_a_link_has_the_stamp_of_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    nothing = stamp_of_file(str(tmp_path / "link"), NOW)
    there = settled(tmp_path / "file", b"one")

    assert nothing == ""
    assert stamp_of_file(str(tmp_path / "link"), NOW) == there


def test_a_file_written_just_now_has_none(tmp_path: Path) -> None:
    assert settled(tmp_path / "a", b"one", seconds_ago=1) == ""
