"""What is remembered under a name: where hearing stands, who left, when people saw predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select

from labelloop.ledger import _sql
from labelloop.ledger.book import Book
from labelloop.ledger.tables import facts
from labelloop.types import Unheard

CURSOR = "answers_cursor"
SEEN = "predictions_seen"
_STRETCHES = 1000
PEOPLE = "answers_people"
UNHEARD = "answers_unheard"
FOREIGN_SEEN = "answers_strangers"
AUTHORS = "answers_authors"
LEFT = "answers_left"
CLAIMS = "answers_claims"
GROUND_TRUTH_BY = "answers_ground_truth_by"


class FactBook(Book):
    """Plain data by name."""

    def recall(self, name: str) -> Any:
        """What was remembered under this name, or None."""
        query = select(facts.c.value).where(facts.c.dataset == self._dataset, facts.c.name == name)
        with _sql.reading(self._engine) as connection:
            return connection.scalar(query)

    def remember(self, name: str, value: Any) -> None:
        """Keep plain data under a name, in place of what was there."""
        row = {"dataset": self._dataset, "name": name, "value": value}
        with self._engine.begin() as connection:
            _sql.upsert(connection, facts, [row], update=["value"])

    def cursor(self) -> str | None:
        """Where the next hearing starts; None hears everything."""
        kept: str | None = self.recall(CURSOR)
        return kept

    def rewind(self) -> None:
        """Have the next hearing start from the beginning."""
        with self._engine.begin() as connection:
            connection.execute(facts.delete().where(facts.c.dataset == self._dataset, facts.c.name == CURSOR))

    def claims(self) -> Mapping[str, str]:
        """Annotation id -> who declared it to be ground truth, without a say in that."""
        return dict(self.recall(CLAIMS) or {})

    def unheard(self) -> tuple[Unheard, ...]:
        """Questions whose answers the annotator could not show at the last hearing."""
        return tuple(Unheard(**one) for one in self.recall(UNHEARD) or ())

    def people(self) -> int:
        """How many people must answer or skip a question to close it, unless it was closed before that was raised."""
        return int(self.recall(PEOPLE) or 1)

    def note_seen(self, seen: bool, now: datetime) -> None:
        """Write down whether people see predictions now; looks in a row that say the same become one stretch."""
        stretches = [list(one) for one in self.recall(SEEN) or ()]
        if stretches and stretches[-1][2] == seen:
            stretches[-1][1] = now.isoformat()
        else:
            stretches.append([now.isoformat(), now.isoformat(), seen])
        self.remember(SEEN, stretches[-_STRETCHES:])

    def seen_at(self) -> Callable[[datetime], bool]:
        """Whether people certainly saw predictions at a time; before anybody looked, they are taken to have."""
        stretches = [
            (datetime.fromisoformat(start), datetime.fromisoformat(end), bool(seen))
            for start, end, seen in self.recall(SEEN) or ()
        ]

        def at(time: datetime) -> bool:
            if not stretches or time < stretches[0][0]:
                return True
            return any(start <= time <= end and seen for start, end, seen in stretches)

        return at
