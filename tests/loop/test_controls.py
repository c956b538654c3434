"""What is asked beside the labels: asked once, heard, compared, exported in its own column, and not learned from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from labelloop.commands.check import checks
from labelloop.commands.export import write_labels
from labelloop.commands.history import history_as_dict
from labelloop.commands.status import status_as_dict, status_in_words
from labelloop.errors import ConfigError, LabelLoopError, NotFoundError
from labelloop.kinds import Control, LabelSchema
from labelloop.kinds.labels import regions_of, regions_saying
from labelloop.kinds.ratings import Rating
from labelloop.testing.annotator import FakeAnnotator
from labelloop.types import Region
from labelloop.workspace.config import load

from support.small_world import NAME, SCHEMA, World

EARLY = datetime(2025, 12, 1, tzinfo=UTC)
"""Before anybody answers."""

CONTROLS = """
[controls.tone]
kind = "rating"
stars = 4
instruction = "How angry is it?"

[controls.parts]
kind = "spans"
labels = ["HEAD", "TAIL"]
"""


def told(world: World, **settings: Any) -> Mapping[str, Any]:
    with world.loop(**settings) as loop:
        return status_as_dict(loop)["controls"]  # type: ignore[no-any-return]


def asking(root: Path, more: str = CONTROLS) -> World:
    world = World(root, clock=lambda: EARLY)
    path = root / "labelloop.toml"
    path.write_text(path.read_text() + more)
    world.add(40)
    return world


def tone(stars: int) -> Region:
    return {"from_name": "tone", "to_name": "text", "type": "rating", "value": {"rating": stars}}


def part(start: int, end: int, label: str) -> Region:
    value = {"start": start, "end": end, "labels": [label]}
    return {"from_name": "parts", "to_name": "text", "type": "labels", "value": value}


def say(world: World, item: str, *more: Region, label: str = "cat", by: str = "ann@example.com") -> None:
    labels = regions_of(SCHEMA, [label]) if label else ()
    world.people.answer(NAME, item, [*labels, *more], by)


def rows_of(world: World, path: Path) -> list[dict[str, Any]]:
    with world.loop() as loop:
        write_labels(loop, str(path))
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_controls_of_the_configuration_are_asked_beside_the_labels(tmp_path: Path) -> None:
    world = asking(tmp_path)
    world.tick()

    schema = world.dataset.schema
    assert [one.name for one in schema.controls] == ["label", "tone", "parts"]
    assert [one.instruction for one in schema.beside] == ["How angry is it?", "parts"]


def test_what_people_answer_beside_the_labels_is_believed_told_and_exported(tmp_path: Path) -> None:
    world = asking(tmp_path)
    world.tick()
    one, two, three, four = world.dataset.open_items()[:4]
    say(world, one, tone(3), part(0, 3, "HEAD"))
    say(world, two)
    say(world, three, tone(9), part(0, 0, "HEAD"))
    say(world, four, tone(2), label="")
    world.tick()

    controls = told(world)
    assert {name: found["answered"] for name, found in controls.items()} == {"tone": 2, "parts": 3}
    assert controls["tone"]["set_aside"] == {three: "the rating 9.0 is not from 1 to 4"}
    assert "beside    tone: 2 items answered, answers to 1 set aside" in status_in_words(world.loop())

    rows = {row["id"]: row for row in rows_of(world, tmp_path / "all.jsonl")}
    assert rows[one]["answers"] == {"tone": 3, "parts": [{"start": 0, "end": 3, "label": "HEAD"}]}
    assert rows[two]["answers"] == {"tone": None, "parts": []}, "nothing is marked: there is no span"
    assert rows[three]["answers"] == {"tone": None, "parts": None}
    assert (rows[four]["labels"], rows[four]["answers"]["tone"]) == (None, 2), "answered in another control alone"


def test_each_control_is_a_column_of_csv_and_parquet_with_its_own_type(tmp_path: Path) -> None:
    world = asking(tmp_path)
    world.tick()
    one, two = world.dataset.open_items()[:2]
    say(world, one, tone(3), part(0, 3, "HEAD"))
    say(world, two)
    world.tick()

    with world.loop() as loop:
        write_labels(loop, str(tmp_path / "all.parquet"))
        write_labels(loop, str(tmp_path / "all.csv"))
        write_labels(loop, str(tmp_path / "all.json"))

    table = pq.read_table(tmp_path / "all.parquet")
    assert table.column("answers.tone").to_pylist() == [3, None]
    assert table.column("answers.parts").to_pylist() == [[{"start": 0, "end": 3, "label": "HEAD"}], []]
    lines = (tmp_path / "all.csv").read_text().splitlines()
    assert "answers.tone,answers.parts" in lines[0]
    assert '3,"[{""start"": 0, ""end"": 3, ""label"": ""HEAD""}]"' in lines[1]
    tasks = json.loads((tmp_path / "all.json").read_text())
    assert tasks[0]["meta"]["labelloop"]["answers"]["tone"] == 3


def test_the_history_says_spans_and_stars_in_words(tmp_path: Path) -> None:
    world = asking(tmp_path)
    world.tick()
    one = world.dataset.open_items()[0]
    say(world, one, tone(3), part(0, 3, "HEAD"), part(4, 6, "TAIL"))
    world.tick()

    with world.loop() as loop:
        assert history_as_dict(loop, one)[0]["says"] == "cat; tone: 3 of 4; parts: HEAD 0-3, TAIL 4-6"


def test_an_answer_in_a_control_whose_name_is_no_name_is_told_as_it_is(tmp_path: Path) -> None:
    world = asking(tmp_path)
    world.tick()
    one = world.dataset.open_items()[0]
    say(world, one, {"from_name": ["tone"], "type": "rating", "value": {"rating": 3}}, {"from_name": {}, "value": None})
    world.tick()

    assert told(world)["tone"]["answered"] == 0
    with world.loop() as loop:
        assert "rating 3" in history_as_dict(loop, one)[0]["says"]
    assert rows_of(world, tmp_path / "all.jsonl")[0]["answers"] == {"tone": None, "parts": []}


def test_how_much_people_agree_is_told_of_each_control(tmp_path: Path) -> None:
    world = asking(tmp_path)
    world.tick(dataset__people_per_item=2)
    one = world.dataset.open_items()[0]
    say(world, one, tone(1), part(0, 4, "HEAD"))
    say(world, one, tone(4), part(0, 2, "HEAD"), by="ben@example.com")
    world.tick(dataset__people_per_item=2)

    found = told(world, dataset__people_per_item=2)
    assert (found["tone"]["agreement"], found["parts"]["agreement"]) == (0.0, 0.5)
    assert found["tone"]["answered_by_several"] == 1


def test_an_answer_of_before_a_control_was_asked_does_not_say_that_there_is_nothing(tmp_path: Path) -> None:
    world = asking(tmp_path, "")
    world.tick()
    before, after = world.dataset.open_items()[:2]
    say(world, before)
    world.tick()
    path = tmp_path / "labelloop.toml"
    [answer] = world.ledger().said(SCHEMA)[before]
    later = replace(world, clock=lambda: answer.updated_at + timedelta(seconds=0.5))
    path.write_text(path.read_text() + CONTROLS)  # which making a world has written anew
    outcome = later.tick()
    say(later, after)
    later.tick()

    assert "people are asked 'parts', too, from now on" in outcome.notes
    assert told(later)["parts"]["answered"] == 1
    rows = {row["id"]: row["answers"]["parts"] for row in rows_of(later, tmp_path / "all.jsonl")}
    assert rows == {before: None, after: []}


def test_what_is_learned_is_the_same_whatever_is_asked_beside_it(tmp_path: Path) -> None:
    worlds = [asking(tmp_path / name, more) for name, more in (("with", CONTROLS), ("without", ""))]
    versions = []
    for world in worlds:
        world.play(2)
        versions.append(world.ledger().rounds.last())

    assert versions[0] is not None
    assert versions[1] is not None
    assert versions[0].version == versions[1].version != ""


@pytest.mark.parametrize(
    ("section", "refused", "words", "hint"),
    [
        (
            '[controls.parts]\nkind = "span"',
            NotFoundError,
            "unknown kind: 'span'",
            "did you mean 'spans'? known: choices",
        ),
        ('[controls.parts]\nkind = "spans"', ConfigError, "needs the option 'labels'", "labels"),
        ('[controls.parts]\nkind = "spans"\nlabels = []', ConfigError, "at least 1", "[controls.NAME]"),
        ('[controls.parts]\nkind = "rating"\nstars = 1', ConfigError, "no scale", "2 to 50"),
        ('[controls.parts]\nkind = "rating"\nstar = 1', ConfigError, "unknown option", "stars"),
        ('[controls.text]\nkind = "rating"', ConfigError, "the name 'text' is taken", "another name"),
        ('[controls.label]\nkind = "rating"', ConfigError, "the name 'label' is taken", "another name"),
        ('[controls."a b"]\nkind = "rating"', ConfigError, "'a b' cannot be the name", "letters"),
    ],
)
def test_a_control_that_cannot_be_asked_is_refused_in_words(
    tmp_path: Path, section: str, refused: type[LabelLoopError], words: str, hint: str
) -> None:
    world = World(tmp_path)
    path = tmp_path / "labelloop.toml"
    path.write_text(f"{path.read_text()}\n{section}\n")

    with pytest.raises(refused) as error:
        load(tmp_path, {}).config.schema_of()
    assert words in error.value.message
    assert hint in error.value.hint
    with pytest.raises(refused):
        world.loop()


def test_a_control_that_is_named_twice_is_no_toml_and_said_with_its_line(tmp_path: Path) -> None:
    World(tmp_path)
    path = tmp_path / "labelloop.toml"
    before = path.read_text()
    path.write_text(f'{before}[controls.tone]\nkind = "rating"\n[controls.tone]\nkind = "text"\n')

    with pytest.raises(ConfigError, match=rf"Cannot declare .*'tone'.* twice \(at line {before.count(chr(10)) + 3}"):
        load(tmp_path, {})


class OnlyLabels:
    """An annotator that asks for nothing but labels."""

    def __init__(self, people: FakeAnnotator) -> None:
        self._people = people

    def __getattr__(self, name: str) -> Any:
        if name == "ask_beside":
            raise AttributeError(name)
        return getattr(self._people, name)


def test_an_annotator_that_asks_for_labels_alone_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    world = asking(tmp_path)
    loop = world.loop()
    loop.stack.annotator = OnlyLabels(world.people)

    with pytest.raises(ConfigError, match=r"\[controls.tone\] cannot be asked"):
        loop.tick()
    assert world.dataset.open_items() == []


def test_a_control_points_at_what_people_see() -> None:
    beside = asking_schema("picture")
    with pytest.raises(ConfigError, match="'picture', which people do not see"):
        replace(SCHEMA, beside=beside)


def test_a_control_may_point_at_a_column_that_people_see(tmp_path: Path) -> None:
    path = World(tmp_path).root / "labelloop.toml"
    written = path.read_text().replace('name = "', 'show = ["post.title", "text"]\nname = "', 1)
    path.write_text(written + '[controls.tone]\nkind = "rating"\nshown = "post.title"\n')

    schema = load(path.parent).config.schema_of()

    assert schema.objects == ("text", "post_title", "column_text")
    assert [one.shown for one in schema.controls] == ["text", "post_title"]


def test_a_preference_is_between_two_columns(tmp_path: Path) -> None:
    path = World(tmp_path).root / "labelloop.toml"
    written = path.read_text().replace('name = "', 'show = ["one", "other"]\nname = "', 1)
    path.write_text(f'{written}[controls.better]\nkind = "preference"\nshown = ["one", "other"]\n')

    (_, better) = load(path.parent).config.schema_of().controls

    assert better.objects == ("one", "other")
    assert {one["to_name"] for one in regions_saying(better, "left")} == {"one"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('[controls.best]\nkind = "preference"\nshown = "author"\n', "asks about author, and its kind about 2"),
        ('[controls.best]\nkind = "preference"\nshown = ["author", "author"]\n', "its kind about 2"),
        ('[controls.tone]\nkind = "rating"\nshown = ["text", "author"]\n', "'column_text', which people do not see"),
        ('[controls.tone]\nkind = "rating"\nshown = ["", "author"]\n', "and its kind about 1"),
        ('[controls.tone]\nkind = "rating"\nshown = "title"\n', "'title', which people do not see"),
        ('[controls.author]\nkind = "rating"\nshown = "author"\n', "the name 'author' is taken"),
    ],
)
def test_a_control_that_points_nowhere_or_has_the_name_of_a_column_is_refused(
    more: str, said: str, tmp_path: Path
) -> None:
    path = World(tmp_path).root / "labelloop.toml"
    path.write_text(path.read_text().replace('name = "', 'show = ["author"]\nname = "', 1) + more)

    with pytest.raises(ConfigError, match=said):
        load(path.parent).config.schema_of()


def test_columns_that_nobody_is_asked_about_may_have_the_name_of_a_control() -> None:
    schema = replace(SCHEMA, show=("label", "tone"), beside=(Control("tone", Rating(), "text"),))

    assert [one.name for one in schema.controls] == ["label", "tone"]


def test_the_main_control_asks_about_the_item(tmp_path: Path) -> None:
    (tmp_path / "labelloop.toml").write_text(
        '[dataset]\nname = "a"\nmodality = "text"\nshow = ["title"]\n'
        '[controls.names]\nkind = "spans"\nlabels = ["PER"]\nshown = "title"\n'
    )

    with pytest.raises(ConfigError, match=r"\[controls.names\] is the main control, and asks about 'title'"):
        load(tmp_path).config.schema_of()


def asking_schema(shown: str) -> tuple[Control, ...]:
    return (Control("tone", Rating(), shown),)


def test_a_schema_with_more_controls_is_the_same_question_to_the_learner() -> None:
    more: LabelSchema = replace(SCHEMA, beside=asking_schema("text"))

    assert more == SCHEMA
    assert [one.name for one in more.controls] == ["label", "tone"]


def test_check_names_what_is_asked_beside_the_labels(tmp_path: Path) -> None:
    world = asking(tmp_path)
    found = next(one for one in checks(world.workspace(), world.loop().stack) if one.what == "controls")

    assert found.detail == "tone: rating, parts: spans"
