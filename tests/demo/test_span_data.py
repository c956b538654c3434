"""The demo of spans has real names in texts that are the same every time, and knows where each of them stands."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest

from labelloop.data.sources import read_items
from labelloop.demo import span_data
from labelloop.errors import BackendError, ConfigError
from labelloop.kinds.spans import TextSpans
from labelloop.types import NewItem

HEADER = "icao,iata,name,city,subd,country"


@pytest.fixture(autouse=True)
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small wheel that has the shape of the real one, published as it is."""
    monkeypatch.setenv("LABELLOOP_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "wheels"
    folder.mkdir(parents=True)
    airports = [f"X{number},A{number},Ōta {number} Airport,Ōta {number},Land {number},JP" for number in range(100)]
    left_out = ["X,,No Code,City,Land,JP", "X,NOC,No City,,Land,JP", "X,SAM,One Name,Same,Same,JP"]
    return pack(folder / "airportsdata-20260905-py3-none-any.whl", [HEADER, *left_out, *airports], monkeypatch)


def pack(path: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    with ZipFile(path, "w") as parcel:
        parcel.writestr("airportsdata/airports.csv", "\n".join(lines))
    monkeypatch.setattr(span_data, "PUBLISHED", sha256(path.read_bytes()).hexdigest())
    return path


def test_every_item_is_known_with_spans_that_are_its_names(tmp_path: Path) -> None:
    truth = span_data.marked_texts(tmp_path / "there" / "notices.jsonl", 40, seed=0)

    items = [one.item for one in read_items(str(truth.place), "text") if isinstance(one, NewItem)]
    assert {item.id for item in items} == set(truth.answers)
    assert len(items) == 40
    shape = {"airport": r"Ōta \d+ Airport", "city": r"Ōta \d+", "region": r"Land \d+", "code": r"A\d+"}
    for item in items:
        for start, end, label in truth.answers[item.id]:
            assert re.fullmatch(shape[label], item.text[start:end])
        assert len(re.findall(r"Ōta|Land|\bA\d", item.text)) == len(truth.answers[item.id])


def test_the_answers_are_answers_of_the_kind(tmp_path: Path) -> None:
    truth = span_data.marked_texts(tmp_path / "notices.jsonl", 40, seed=0)
    kind = TextSpans(truth.labels)

    assert all(kind.read(kind.write(spans)) == spans for spans in truth.answers.values())
    assert {label for spans in truth.answers.values() for *_, label in spans} == set(truth.labels)


def test_names_of_one_sort_in_a_text_differ(tmp_path: Path) -> None:
    truth = span_data.marked_texts(tmp_path / "notices.jsonl", 40, seed=1)
    texts = [json.loads(line)["text"] for line in truth.place.read_text("utf-8").splitlines()]

    landed = [re.findall(r"Ōta \d+", text) for text in texts if text.startswith("We landed")]

    assert landed
    assert all(len(set(names)) == 2 for names in landed)


def test_the_same_seed_gives_the_same_texts(tmp_path: Path) -> None:
    first, again, other = (
        span_data.marked_texts(tmp_path / f"{run}.jsonl", 10, seed) for run, seed in enumerate([7, 7, 8])
    )

    assert first.answers == again.answers != other.answers
    assert first.place.read_bytes() == again.place.read_bytes()


@pytest.mark.parametrize("count", [0, -1, 51])
def test_more_than_there_is_cannot_be_asked_for(count: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"there are no {count} items for the demo"):
        span_data.marked_texts(tmp_path / "notices.jsonl", count, seed=0)


@pytest.mark.parametrize("lines", [["icao,name", "X,Y"], [HEADER, "X,A1"]])
def test_a_wheel_without_its_table_is_named(
    lines: list[str], tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(wheel, lines, monkeypatch)

    with pytest.raises(BackendError, match="is not the wheel it should be") as failed:
        span_data.marked_texts(tmp_path / "notices.jsonl", 9, seed=0)

    assert str(wheel) in failed.value.hint


def test_another_wheel_than_the_published_one_is_refused(tmp_path: Path, wheel: Path) -> None:
    wheel.write_bytes(wheel.read_bytes() + b"\0")

    with pytest.raises(BackendError, match="not the wheel that was published"):
        span_data.marked_texts(tmp_path / "notices.jsonl", 9, seed=0)
