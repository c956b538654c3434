"""What steps returned, by the key of their code, inputs and options."""

from __future__ import annotations

from sqlalchemy import Engine, select

from labelloop.ledger import _sql
from labelloop.ledger.tables import steps


class StepBook:
    """The memory of `labelloop.storage.runs.Run`, shared by every dataset of the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._recall = select(steps.c.ref)

    def recall(self, key: str) -> str | None:
        """The reference of an earlier result, if there is one."""
        with _sql.reading(self._engine) as connection:
            return connection.scalar(self._recall.where(steps.c.key == key))

    def refs(self) -> list[str]:
        """The references of all results."""
        with _sql.reading(self._engine) as connection:
            return list(connection.scalars(select(steps.c.ref).distinct()))

    def remember(self, key: str, *, step: str, ref: str, seconds: float) -> None:
        """Keep the reference of a result."""
        row = {"key": key, "step": step, "ref": ref, "seconds": seconds}
        with self._engine.begin() as connection:
            _sql.upsert(connection, steps, [row], update=["ref", "seconds"])
