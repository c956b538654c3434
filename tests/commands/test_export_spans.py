"""Spans that people marked are taken out as CoNLL; where there are none, it is said what can be taken out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from labelloop.cli import main
from labelloop.commands.add import add_items
from labelloop.commands.export import Exported, write, write_spans
from labelloop.data.conll import read
from labelloop.data.sources import Columns
from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import regions_of
from labelloop.kinds.spans import TextSpans
from labelloop.report.rows import Format
from labelloop.types import Region

from support.small_world import NAME, SCHEMA, World

EARLY = datetime(2025, 12, 1, tzinfo=UTC)
PARTS = """
[controls.tone]
kind = "rating"
stars = 4

[controls.parts]
kind = "spans"
labels = ["HEAD", "TAIL"]
"""
MORE = """
[controls.names]
kind = "spans"
labels = ["PER"]
overlapping = true
"""
CORPUS = "U.N. B-HEAD\ncat O\n. O\n\ndog B-TAIL\n's I-TAIL\n🚀 O\n猫 B-TAIL\n"


def asking(root: Path, more: str = PARTS) -> World:
    world = World(root, clock=lambda: EARLY)
    path = root / "labelloop.toml"
    path.write_text(path.read_text() + more)
    return world


def part(start: int, end: int, label: str, control: str = "parts") -> Region:
    value = {"start": start, "end": end, "labels": [label]}
    return {"from_name": control, "to_name": "text", "type": "labels", "value": value}


def answered(world: World, *marks: Region) -> str:
    """Something is asked; the first item is marked, and another one has no mark. The item's id."""
    world.tick()
    one, two = world.dataset.open_items()[:2]
    for item, regions in ((one, marks), (two, ())):
        world.people.answer(NAME, item, [*regions_of(SCHEMA, ["cat"]), *regions], "ann@example.com")
    world.tick()
    return one


def test_the_spans_of_a_control_are_written_with_what_is_not_marked(tmp_path: Path) -> None:
    world = asking(tmp_path)
    world.add(40)
    answered(world, part(0, 3, "HEAD"), part(4, 6, "TAIL"))

    with world.loop() as loop:
        words = write(loop, str(tmp_path / "parts.conll"), Exported())

    first, second = read(tmp_path / "parts.conll")
    assert [(start, end, label) for start, end, label in first.spans] == [(0, 3, "HEAD"), (4, 6, "TAIL")]
    assert second.spans == ()
    assert words == f"2 text(s) with 2 span(s) written to {tmp_path / 'parts.conll'}"


def test_spans_that_are_the_main_question_are_written(tmp_path: Path) -> None:
    kind = TextSpans(("HEAD", "TAIL"))
    world = World(tmp_path, schema=LabelSchema("text", kind.labels, control="parts", asked=kind), clock=lambda: EARLY)
    (tmp_path / "labelloop.toml").write_text(
        '[dataset]\nname = "animals"\nmodality = "text"\n'
        '[controls.parts]\nkind = "spans"\nlabels = ["HEAD", "TAIL"]\n'
        '[learner]\nflavor = "support.quick_tagger:QuickTagger"\n'
    )
    world.add(40)
    world.tick()
    one, two = world.dataset.open_items()[:2]
    world.people.answer(NAME, one, [part(0, 3, "HEAD"), part(4, 6, "TAIL")], "ann@example.com")
    world.people.answer(NAME, two, [], "ann@example.com")
    world.tick()

    with world.loop() as loop:
        tally = write_spans(loop, str(tmp_path / "parts.conll"))

    assert (tally.texts, tally.spans, tally.left_out) == (2, 2, 0)
    assert sorted(found.spans for found in read(tmp_path / "parts.conll")) == [(), ((0, 3, "HEAD"), (4, 6, "TAIL"))]


def test_each_text_says_its_item_and_whether_it_is_held_out_where_one_asks(tmp_path: Path) -> None:
    world = asking(tmp_path)
    world.add(40)
    one = answered(world, part(0, 3, "HEAD"))
    with world.loop() as loop:
        write(loop, str(tmp_path / "parts.bio"), Exported(comments=True))
        write(loop, str(tmp_path / "all.jsonl"), Exported())

    rows = {row["id"]: row for row in map(json.loads, (tmp_path / "all.jsonl").read_text().splitlines())}
    body = (tmp_path / "parts.bio").read_text()

    assert {sentence.id for sentence in read(tmp_path / "parts.bio")} == set(rows)
    assert f"# id = {one}\n# held_out = {str(rows[one]['held_out']).lower()}\n" in body


def test_a_corpus_that_was_added_has_the_tokens_it_had(tmp_path: Path) -> None:
    world = asking(tmp_path)
    (tmp_path / "corpus.conll").write_text(CORPUS)
    with world.loop() as loop:
        add_items(loop.ledger, [str(tmp_path / "corpus.conll")], "text", Columns())
    truth = {one.text: one for one in read(tmp_path / "corpus.conll")}
    world.tick()
    with world.loop() as loop:
        items = loop.ledger.items.get(world.dataset.open_items())
    for item in items.values():
        marks = [part(*span) for span in truth[item.text].spans]
        world.people.answer(NAME, item.id, [*regions_of(SCHEMA, ["cat"]), *marks], "ann@example.com")
    world.tick()

    with world.loop() as loop:
        write(loop, str(tmp_path / "out.conll"), Exported(control="parts"))

    assert {one.text: one for one in read(tmp_path / "out.conll")} == truth


def test_of_several_controls_one_is_named_and_overlaps_are_counted(tmp_path: Path) -> None:
    world = asking(tmp_path, PARTS + MORE)
    world.add(40)
    answered(world, part(0, 3, "PER", "names"), part(0, 6, "PER", "names"))

    with world.loop() as loop:
        with pytest.raises(ConfigError, match="several controls ask for spans: parts, names"):
            write_spans(loop, str(tmp_path / "names.conll"))
        tally = write_spans(loop, str(tmp_path / "names.conll"), "names")

    assert (tally.texts, tally.spans, tally.left_out) == (2, 1, 1)


@pytest.mark.parametrize(
    ("control", "words"),
    [
        ("", r"no control asks for them: label \(Choices\), tone \(Rating\)"),
        ("tone", r"'tone' does not ask for them: label \(Choices\), tone \(Rating\)"),
        ("label", r"'label' does not ask for them"),
        ("none", r"no control is called 'none'"),
    ],
)
def test_without_a_control_of_spans_it_is_said_what_there_is(control: str, words: str, tmp_path: Path) -> None:
    world = asking(tmp_path, PARTS.partition("[controls.parts]")[0])
    world.add(40)

    with world.loop() as loop, pytest.raises(ConfigError, match=words):
        write_spans(loop, str(tmp_path / "parts.conll"), control)

    assert not (tmp_path / "parts.conll").exists()


@pytest.mark.parametrize("wanted", [Exported(control="parts"), Exported(comments=True), Exported("csv", comments=True)])
def test_what_is_for_conll_is_refused_for_others(wanted: Exported, tmp_path: Path) -> None:
    world = asking(tmp_path)
    world.add(40)

    with world.loop() as loop, pytest.raises(ConfigError, match="are for CoNLL"):
        write(loop, str(tmp_path / "parts.jsonl"), wanted)


@pytest.mark.parametrize("format", ["conll", "csv", "jsonl"])
def test_the_format_may_be_said_for_the_standard_output(
    format: Format, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    world = asking(tmp_path)
    world.add(40)
    answered(world, part(0, 3, "HEAD"))
    capfdbinary.readouterr()

    with world.loop() as loop:
        write(loop, "-", Exported(format))

    first = capfdbinary.readouterr().out.decode().splitlines()[0]
    assert {"conll": first.endswith("\tB-HEAD"), "csv": first.startswith("id,"), "jsonl": first[0] == "{"}[format]


def test_predictions_are_not_written_as_conll(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labelloop.toml").write_text('[dataset]\nname = "n"\nmodality = "text"\nlabels = ["a", "b"]\n')

    with pytest.raises(SystemExit):
        main(["-C", str(tmp_path), "export", "--format", "conll"])

    assert "CoNLL holds spans of texts, and no control asks for them: label (Choices)" in capsys.readouterr().err
