"""A look at the file of a ledger takes no lock away from whoever has it open in the same process."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labelloop.ledger import descriptors, open_ledger
from labelloop.ledger.rescue import damage

NAME = "reviews"
WRITE = """
import sys
from labelloop.ledger import open_ledger
from labelloop.types import Item, NewItem
ledger = open_ledger(sys.argv[1], sys.argv[2])
ledger.items.add([NewItem(Item(sys.argv[3], "text", text=sys.argv[3]), b"")])
ledger.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def write_elsewhere(path: Path, item: str) -> None:
    """Another process opens the ledger, adds an item and closes it."""
    subprocess.run([sys.executable, "-c", WRITE, f"sqlite:///{path}", NAME, item], check=True, timeout=60)


def test_another_process_leaves_the_log_that_is_in_use_here(path: Path) -> None:
    url = f"sqlite:///{path}"
    here = open_ledger(url, NAME)
    assert here.items.count() == 0
    open_ledger(url, NAME).close()
    assert damage(url) == ""

    write_elsewhere(path, "one")
    assert path.with_name("ledger.db-wal").exists()
    write_elsewhere(path, "two")
    open_ledger(url, NAME).close()

    assert here.items.count() == 2
    again = open_ledger(url, NAME)
    assert again.items.count() == 2
    again.close()
    here.close()
    assert damage(url) == ""


def test_the_last_one_who_closes_leaves_no_log(path: Path) -> None:
    here = open_ledger(f"sqlite:///{path}", NAME)
    here.close()

    write_elsewhere(path, "one")

    assert not path.with_name("ledger.db-wal").exists()


def test_descriptors_are_given_back_with_their_ledgers(tmp_path: Path) -> None:
    before = descriptors.files_held()

    closed = open_ledger(f"sqlite:///{tmp_path / 'closed.db'}", NAME)
    forgotten = open_ledger(f"sqlite:///{tmp_path / 'forgotten.db'}", NAME)
    during = len(descriptors.files_held() - before)
    closed.close()
    del forgotten
    gc.collect()

    assert during == 2
    assert descriptors.files_held() <= before


def test_a_file_that_takes_the_place_of_another_is_looked_at_itself(path: Path) -> None:
    here = open_ledger(f"sqlite:///{path}", NAME)
    path.rename(path.with_name("before.db"))
    path.write_bytes(b"no ledger")

    with descriptors.looking(path) as descriptor:
        assert os.pread(descriptor, 100, 0) == b"no ledger"
    here.close()
