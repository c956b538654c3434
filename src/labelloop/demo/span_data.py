"""Texts with true spans for the demo: airports, cities and regions that there are, in notices to travellers.

The names are those of 6,700 airports that have a code of IATA: `airportsdata/airports.csv` in the wheel of airportsdata
(MIT, as mwgg/Airports, whose data it includes). The notices around them are ours, so that every span is exact. Nothing
of the wheel is imported or shipped.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelloop.data.sources import content_id
from labelloop.data.wheels import fetch
from labelloop.demo.data import member
from labelloop.errors import BackendError, ConfigError
from labelloop.kinds.spans import Span, Spans
from labelloop.protocols import Progress, silent

AIRPORTS = "airportsdata==20260905"
PUBLISHED = "d7eaa9a57d373b0adaaae0d52da2af0bb0edf73f7baa170f7c415d3342bf4868"
"""The sha256 of the wheel."""

LABELS = ("airport", "city", "region", "code")

NOTICES = (
    "{airport} ({code}), {city}, {region}.",
    "{city} – {airport}",
    "Flights from {city} to {city} resume on Monday, the airline says.",
    "Fog closes {airport} in {region} until noon.",
    "Storms over {region}: {city} and {city} report delays of two hours.",
    "Your connection at {code} is 45 minutes; gate changes are announced in the terminal.",
    "The night train from {city} ends this winter.",
    "{code}-{code} is sold out for the holidays.",
    "New this summer: {airport}, a short drive from {city}.",
    "Passengers for {city} ({code}) please go to gate 14.",
    "A second runway for {airport}? {region} votes in May.",
    "Lost luggage from {city}, {region}, waits at the desk of {airport}.",
    "{region} reopens its roads after the flood; {airport} stays closed.",
    "The bus leaves {airport} every 20 minutes and takes an hour to the centre of {city}.",
    "We landed in {city} instead of {city}, and nobody at {code} could say why.",
    "Fire drill today. No flights are affected.",
    "Parking at the terminal is free for the first half hour.",
    "Snow: all flights to {region} are cancelled.",
    "Heading for {city}? Check in online, and bring your passport to the counter at {airport}.",
    "Crew change at {code} before the plane goes on to {city}, {region}.",
)
"""What is said, with a place for each name; of two names of one sort each is of another airport."""

_FILE = "airportsdata/airports.csv"
_PLACE = re.compile(r"\{(\w+)\}")
_COLUMNS = {"airport": "name", "city": "city", "region": "subd", "code": "iata"}


@dataclass(frozen=True)
class MarkedTruth:
    """Texts on the disk, and what is to be marked in them.

    Attributes:
        place: The file to add items from.
        labels: The labels there are.
        answers: Item id -> its spans.
    """

    place: Path
    labels: tuple[str, ...]
    answers: Mapping[str, Spans]


def marked_texts(path: Path, count: int, seed: int, progress: Progress = silent) -> MarkedTruth:
    """Write `count` notices about airports as JSONL, no two alike. Same seed, same file.

    Raises:
        ConfigError: There are fewer than `count`.
        BackendError: The data could not be downloaded.
    """
    airports = _airports(fetch(AIRPORTS, progress, PUBLISHED))
    generator = np.random.default_rng(seed)
    order = [int(row) for row in generator.permutation(len(airports))]
    found: dict[str, Spans] = {}
    for number in range(len(airports) // 2):
        if len(found) >= count:
            break
        notice = NOTICES[int(generator.integers(len(NOTICES)))]
        text, spans = _filled(notice, [airports[row] for row in order[2 * number : 2 * number + 2]])
        found.setdefault(text, spans)
    if not 0 < count <= len(found):
        raise ConfigError(f"there are no {count} items for the demo", "choose 900, or at least 1")
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in found]
    path.write_text("".join(lines), encoding="utf-8")
    return MarkedTruth(path, LABELS, {content_id(text): spans for text, spans in found.items()})


def _filled(notice: str, airports: Sequence[Mapping[str, str]]) -> tuple[str, Spans]:
    """A notice about airports, and where their names stand in it; the second is for a second name of one sort."""
    text, at, said = "", 0, dict.fromkeys(LABELS, 0)
    spans: list[Span] = []
    for place in _PLACE.finditer(notice):
        label = place[1]
        text += notice[at : place.start()]
        name = airports[said[label]][_COLUMNS[label]]
        spans.append((len(text), len(text) + len(name), label))
        text, at = text + name, place.end()
        said[label] += 1
    return text + notice[at:], tuple(spans)


def _airports(wheel: Path) -> list[Mapping[str, str]]:
    """The airports of which every name is known, in the order of the file."""
    try:
        rows = list(csv.DictReader(io.StringIO(member(wheel, _FILE).decode())))
        found = [{name: row[name].strip() for name in _COLUMNS.values()} for row in rows]
    except (UnicodeDecodeError, KeyError, AttributeError, csv.Error) as error:
        raise BackendError(f"{wheel} is not the wheel it should be: {error}", f"rm {wheel}, then try again") from error
    return [row for row in found if all(row.values()) and row["subd"] != row["city"]]
