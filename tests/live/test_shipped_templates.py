"""Every template that Label Studio ships, on a real server: created unchanged, asked, answered, heard, exported."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.templates import shipped
from labelloop.data.sources import Columns, read_items
from labelloop.errors import NotFoundError
from labelloop.kinds import LabelSchema
from labelloop.kinds.kind import answer_in
from labelloop.kinds.label_config import ControlTag, LabelConfig, read_label_config
from labelloop.kinds.labels import regions_saying
from labelloop.kinds.regions import Regions
from labelloop.kinds.task_data import data_of
from labelloop.machine.registry import classes, flavors
from labelloop.report.rows import ExportRow
from labelloop.testing.annotator import LabelStudioPerson
from labelloop.types import Annotation, Item, NewItem, Prediction, Question
from labelloop.workspace.config import load
from labelloop.workspace.init import bring, create

from support.browser import browsing
from support.shipped_templates import everything, row_of

pytestmark = [pytest.mark.live, pytest.mark.slow]

TEMPLATES = {one.name: one for one in shipped()}
NAME = "of a template"


@pytest.fixture(autouse=True)
def _fresh(annotator: LabelStudioAnnotator) -> Iterator[None]:
    yield
    with suppress(NotFoundError):
        annotator.delete(NAME)


PAGE = Path(__file__).parents[2] / "docs" / "reference" / "templates.md"
HEAD = """# Templates

The label configs that Label Studio 1.23.2 ships, as `labelloop init --template NAME` begins with them. Each of them is
created unchanged, asked with fitting data, pre-annotated where something is learned, answered in every control, heard,
exported as Label Studio's JSON, and imported again equal: `tests/live/test_shipped_templates.py` does so on a real
server, and holds this table. Those with a `Chat`, and the one with `OcrLabels`, are taken by the server of the open
edition, whose page does not know them: people see an error there.

*Learned by* is the default learner of the main control; `none` asks, hears and exports. A control in *kept as it is* is
asked, heard and exported without being compared or scored.

| template | columns | main control | learned by | beside it | kept as it is |
|---|---|---|---|---|---|
"""


def line_of(name: str, folder: Path) -> str:
    """What `init --template` makes of a template."""
    (folder / name).mkdir()
    create(folder / name, {})
    own = bring(folder / name, TEMPLATES[name].config, None)
    config = load(folder / name).config
    asked = {one.name: f"{one.name} ({one.tag})" for one in own.asked}
    schema = config.schema_of()
    beside = [asked.pop(one.name) for one in schema.beside]
    main = asked.pop(schema.control)
    cells = [
        name,
        ", ".join(own.columns),
        main,
        config.learner_of().flavor,
        ", ".join(beside),
        ", ".join(asked.values()),
    ]
    return f"| {' | '.join(cells)} |\n"


def test_the_page_of_templates_says_what_becomes_of_each(tmp_path: Path) -> None:
    page = HEAD + "".join(line_of(name, tmp_path) for name in sorted(TEMPLATES))
    if os.environ.get("LABELLOOP_WRITE_PAGES"):
        PAGE.write_text(page, encoding="utf-8")

    assert len(TEMPLATES) == 69
    assert PAGE.read_text("utf-8") == page, "run this test with LABELLOOP_WRITE_PAGES=1"


def read(name: str) -> tuple[LabelConfig, ControlTag, LabelSchema]:
    """A template, its main control, and what it asks."""
    config = read_label_config(TEMPLATES[name].config, classes("kind"))
    main = config.main("", ("choices", *flavors("learner")))
    return config, main, config.schema(main)


def item_of(schema: LabelSchema, row: Mapping[str, Any], folder: Path) -> Item:
    """The item that a table with this row has."""
    assert schema.own is not None
    table = folder / "table.jsonl"
    table.write_text(json.dumps({**row, "key": "row-1"}) + "\n")
    columns = Columns(id="key", shown=schema.own.columns, item=schema.own.item, parts=schema.own.parts)
    if schema.modality == "image":
        return Item("row-1", "image", uri=f"https://example.com{row[schema.own.item[0]]}", meta=dict(row))
    (found,) = read_items(str(table), schema.modality, columns)
    assert isinstance(found, NewItem), found
    return found.item


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_a_template_goes_all_the_way(annotator: LabelStudioAnnotator, tmp_path: Path, name: str) -> None:
    config, _, schema = read(name)
    row = row_of(config.xml, config.columns)
    item = item_of(schema, row, tmp_path)
    said = everything(config.xml)
    dataset = annotator.open(NAME, schema)
    client = annotator.client()
    (project,) = client.call("GET", "/api/projects", query={"title": NAME})["results"]

    assert project["label_config"] == config.xml.strip(), "what people see is not what they brought"
    dataset.ask([Question(item, guess(schema, item, said))])
    task = client.call("GET", "/api/tasks", query={"project": project["id"], "fields": "all"})["tasks"][0]
    assert {column: task["data"][column] for column in row if schema.modality == "text"} == (
        row if schema.modality == "text" else {}
    )
    LabelStudioPerson(client).answer(NAME, item.id, said)
    (heard,) = (one for page in dataset.answers(None) for one in page.heard)
    (annotation,) = heard.annotations

    assert list(annotation.regions) == said, "what is heard is not what was said"
    for control in schema.controls:
        regions = [one for one in annotation.regions if one["from_name"] == control.name]
        answer = answer_in(control.kind, regions)
        if not isinstance(control.kind, Regions) and answer is not None:
            assert answer_in(control.kind, regions_saying(control, answer)) == answer, control.name
    assert brought_back(annotator, schema, item, annotation) == said


PAGE_SAYS = """
(() => {
  const store = window.Htx && window.Htx.annotationStore
  if (!store) return null
  const guess = store.predictions.find(one => one.serializeAnnotation().length)
  const shown = guess || store.annotations.find(one => one.serializeAnnotation().length)
  return shown ? shown.serializeAnnotation() : null
})()"""
IN_A_BROWSER = ("response-grading", "named-entity-recognition", "taxonomy", "chatbot-assessment")
"""Those that every run opens; LABELLOOP_TEMPLATES=all opens each from which something is learned."""


def opened() -> list[str]:
    """Templates that are opened in a browser."""
    if os.environ.get("LABELLOOP_TEMPLATES") != "all":
        return list(IN_A_BROWSER)
    return [name for name in sorted(TEMPLATES) if is_opened(name)]


def is_opened(name: str) -> bool:
    """Whether its main control is read, and the page knows all its tags."""
    config, _, schema = read(name)
    return not isinstance(schema.main.kind, Regions) and not config.unseen


@pytest.mark.browser
@pytest.mark.parametrize("name", opened())
def test_the_page_shows_the_guess_as_it_was_sent(annotator: LabelStudioAnnotator, tmp_path: Path, name: str) -> None:
    config, _, schema = read(name)
    item = item_of(schema, row_of(config.xml, config.columns), tmp_path)
    sent = guess(schema, item, everything(config.xml))
    assert sent is not None
    dataset = annotator.open(NAME, schema)
    dataset.ask([Question(item, sent)])

    with browsing(annotator, dataset.url(item.id), tmp_path) as page:
        shown = page.await_(PAGE_SAYS, "the guess on the page")

    ours = [one for one in shown if one["from_name"] == schema.control]
    assert answer_in(schema.main.kind, ours) == answer_in(schema.main.kind, sent.regions)


def guess(schema: LabelSchema, item: Item, said: Sequence[Mapping[str, Any]]) -> Prediction | None:
    """The prediction that says the same in the main control; None where no model says anything there."""
    main = schema.main
    ours = [one for one in said if one["from_name"] == main.name]
    answer = None if isinstance(main.kind, Regions) else answer_in(main.kind, ours)
    if answer is None:
        return None
    return Prediction(item.id, regions_saying(main, answer), 0.75, "model-1")


def brought_back(annotator: LabelStudioAnnotator, schema: LabelSchema, item: Item, said: Annotation) -> list[Any]:
    """What a fresh project of the same config says of a task that was exported."""
    shown = data_of(schema, item.meta, item.text or item.uri)
    row = ExportRow(item, None, said.annotator, "human", False, said.updated_at, annotations=(said,), data=shown)
    task = json.loads(json.dumps(row.task()))
    annotator.delete(NAME)
    dataset = annotator.open(NAME, schema)
    client = annotator.client()
    (project,) = client.call("GET", "/api/projects", query={"title": NAME})["results"]
    client.call("POST", f"/api/projects/{project['id']}/import", body=[task])
    (heard,) = (one for page in dataset.answers(None) for one in page.heard)
    return [region for one in heard.annotations for region in one.regions]
