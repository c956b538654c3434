"""The cursor of a hearing: up to when answers were heard, and which tasks could not be and are tried again later."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

from labelloop.backends.label_studio.tasks import PARTLY, UID, UNREAD, Row, moment, stamp_of
from labelloop.errors import ConfigError
from labelloop.types import Unheard

FIRST, LONGEST = timedelta(minutes=1), timedelta(hours=1)
"""How long a task that could not be read is left alone: each time twice as long."""

LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A task that a hearing passes over until it changes.

    Attributes:
        changed: When it was changed last, as the server writes it.
        item: The item, where it could be read.
        why: Why it cannot be read; empty for one that was read, and is too large to be read again for nothing.
        tries: How often it was tried.
        tried: When it was tried last.
    """

    changed: str
    item: str = ""
    why: str = ""
    tries: int = 1
    tried: str = ""

    def is_due(self, now: datetime) -> bool:
        """Whether it is tried again; a clock that was set back or forward makes it due."""
        if not self.why:
            return False
        waited = now - moment(self.tried)
        return not timedelta(0) <= waited < min(LONGEST, FIRST * 2 ** min(self.tries - 1, 10))


@dataclass(frozen=True)
class Cursor:
    """Where the next hearing starts. Written as a time stamp, and what is set aside as JSON behind it.

    Attributes:
        at: Every change up to then was heard; None before the first hearing.
        aside: Number of a task -> why it is passed over.
    """

    at: datetime | None = None
    aside: Mapping[int, PassedOver] = field(default_factory=dict)

    @classmethod
    def of(cls, written: str | None) -> Cursor:
        """The cursor that is written so.

        Raises:
            ConfigError: It is not one of ours.
        """
        if written is None:
            return cls()
        stamp, _, rest = written.partition(" ")
        try:
            kept = {int(number): PassedOver(**one) for number, one in json.loads(rest or "{}").items()}
            return cls(moment(stamp), kept)
        except (ValueError, TypeError, AttributeError):
            raise ConfigError(
                f"the cursor {written[:80]!r} is not one of Label Studio's answers", "hear from the start"
            ) from None

    def __str__(self) -> str:
        stamp = stamp_of(self.at or LONG_AGO)
        kept = {str(number): asdict(one) for number, one in sorted(self.aside.items())}
        return f"{stamp} {json.dumps(kept)}" if kept else stamp

    def recent(self, overlap: timedelta) -> list[int]:
        """The tasks that a hearing would meet again, which starts so long before the cursor."""
        oldest = self.at - overlap if self.at and self.at - LONG_AGO > overlap else LONG_AGO
        return sorted(number for number, one in self.aside.items() if moment(one.changed) >= oldest)

    def unheard(self) -> tuple[Unheard, ...]:
        """What could not be read, by its number."""
        bad = sorted((number, one) for number, one in self.aside.items() if one.why)
        return tuple(Unheard(str(number), one.item, one.why, one.tries) for number, one in bad)


def without(
    aside: Mapping[int, PassedOver], heard: Sequence[Row], large: Mapping[int, str], now: datetime
) -> dict[int, PassedOver]:
    """What is set aside after these rows were read.

    Args:
        aside: What was before.
        heard: The rows, with those that could not be read.
        large: Number of a task that is too large to be read for nothing -> when it was changed.
        now: The time.
    """
    kept = {number: one for number, one in aside.items() if number not in {int(row["id"]) for row in heard}}
    for row in heard:
        number = int(row["id"])
        if why := row.get(UNREAD) or row.get(PARTLY):
            tries = aside[number].tries + 1 if number in aside and aside[number].why else 1
            item = str(row["data"].get(UID, ""))
            kept[number] = PassedOver(str(row["updated_at"]), item, str(why)[:300], tries, stamp_of(now))
        elif number in large:
            kept[number] = PassedOver(large[number])
    return kept
