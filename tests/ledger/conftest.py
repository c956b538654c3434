"""A ledger on SQLite, and on PostgreSQL where one is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labelloop.ledger import Ledger, open_ledger


@pytest.fixture
def url(ledger_url: str) -> str:
    return ledger_url


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    opened = open_ledger(url, "pets")
    yield opened
    opened.close()
