"""What every book of the ledger is: one dataset's part of some tables."""

from __future__ import annotations

from sqlalchemy import Engine


class Book:
    """One dataset's rows.

    Args:
        engine: Of the database.
        dataset: Whose rows they are.
    """

    def __init__(self, engine: Engine, dataset: str) -> None:
        self._engine = engine
        self._dataset = dataset
