"""Taking results out: the labels that are believed, and spans as CoNLL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from labelloop.errors import ConfigError
from labelloop.kinds import Control, LabelSchema, consensus
from labelloop.kinds.labels import answer_of, labels_in
from labelloop.kinds.spans import Spans, TextSpans
from labelloop.kinds.task_data import data_of
from labelloop.loop.beside import Beside
from labelloop.loop.loop import Loop
from labelloop.loop.unusable import extra, other_controls
from labelloop.report import conll
from labelloop.report.conll import MarkedText, Tally
from labelloop.report.rows import ExportRow, Format, completed, export, format_of
from labelloop.types import Annotation, Item

BATCH = 2000


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export is to be.

    Attributes:
        format: Empty is what the ending of the output says.
        only_human: Leave labels out that were taken from a model.
        control: Whose spans CoNLL is to hold; empty is the only control of spans.
        comments: Whether CoNLL says above each text which item it is, and whether it is held out.
    """

    format: Format | None = None
    only_human: bool = False
    control: str = ""
    comments: bool = False


def write(loop: Loop, output: str, wanted: Exported) -> str:
    """Write what is believed in the format that is wanted; returns how much that is, in words.

    Raises:
        ConfigError: The ending of `output` names no format, an option is not for this one, or there are no spans.
        BackendError: It cannot be written.
    """
    format = wanted.format or format_of(output)
    if format == "conll":
        tally = write_spans(loop, output, wanted.control, comments=wanted.comments)
        return f"{tally.in_words()} written to {output}"
    if wanted.control or wanted.comments:
        raise ConfigError(
            f"--control and --comments are for CoNLL, and {output} is {format}", "add --format conll, or leave them out"
        )
    rows = _labelled(loop, wanted.only_human)
    return f"{export(rows, output, format, controls=_typed(loop.schema))} labelled item(s) written to {output}"


def write_spans(loop: Loop, output: str, control: str = "", *, comments: bool = False) -> Tally:
    """Write the spans that are believed of every item that people answered in one control, as CoNLL.

    Args:
        control: Its name; empty is the only one that asks for spans.
        comments: Say above each text which item it is, and whether it is held out.

    Raises:
        ConfigError: There is no such control, none asks for spans, or several do.
        BackendError: It cannot be written.
    """
    chosen = _of_spans(loop.schema, control)
    conll.checked_names(chosen.kind.labels if isinstance(chosen.kind, TextSpans) else ())
    with completed(output) as file:
        return conll.write(_marked(loop, chosen, comments=comments), file)


def _of_spans(schema: LabelSchema, wanted: str) -> Control:
    """The control of a name that asks for spans, or the only one.

    Raises:
        ConfigError: There is none, or there are several.
    """
    controls = {one.name: one for one in schema.controls}
    there = ", ".join(f"{one.name} ({type(one.kind).__name__})" for one in controls.values())
    if wanted and wanted not in controls:
        raise ConfigError(f"no control is called {wanted!r}", f"there are: {there}")
    spans = [one for one in controls.values() if isinstance(one.kind, TextSpans) and wanted in ("", one.name)]
    if len(spans) > 1:
        raise ConfigError(
            f"several controls ask for spans: {', '.join(one.name for one in spans)}", "say which with --control NAME"
        )
    if not spans:
        who = f"{wanted!r} does not ask" if wanted else "no control asks"
        raise ConfigError(
            f"CoNLL holds spans of texts, and {who} for them: {there}",
            '.jsonl, .json, .csv and .parquet hold every control; [controls.NAME] with kind = "spans" asks for spans',
        )
    return spans[0]


def _marked(loop: Loop, control: Control, *, comments: bool) -> Iterator[MarkedText]:
    answers = _spans(loop, control)
    purposes = {one.item_id: one.purpose for one in loop.ledger.answers.questions()}
    ids = list(answers)
    for start in range(0, len(ids), BATCH):
        items = loop.ledger.items.get(ids[start : start + BATCH])
        for item_id in ids[start : start + BATCH]:
            item = items[item_id]
            held_out = "true" if purposes[item_id] == "holdout" else "false"
            above = {"id": item_id, "held_out": held_out} if comments else {}
            yield MarkedText(item.text, answers[item_id], conll.known_tokens(item.text, item.meta), above)


def _spans(loop: Loop, control: Control) -> Mapping[str, Spans]:
    """Item id -> what is believed to be marked in it."""
    said = loop.ledger.said(loop.schema)
    if control.name != loop.schema.control:
        return loop.controls.beside(said)[control.name].answers
    return consensus.consensus_of_all(control, said, policy=loop.belief).answers


def write_labels(loop: Loop, output: str, *, only_human: bool = False) -> int:
    """Write what is believed of every answered item, then the labels that were taken from a model; returns how many.

    Args:
        only_human: Leave those of a model out.

    Raises:
        ConfigError: The ending of `output` names no format.
    """
    return export(_labelled(loop, only_human), output, controls=_typed(loop.schema))


def _typed(schema: LabelSchema) -> Sequence[Control]:
    """The controls with a column of their own: all but choices to learn, which are the labels."""
    return schema.beside if schema.asked is None else schema.controls


def _labelled(loop: Loop, only_human: bool) -> Iterator[ExportRow]:
    said = loop.ledger.said(loop.schema)
    believed = consensus.consensus_of_all(loop.schema, said, policy=loop.belief).answers
    others, labels_alone = loop.controls.beside(said), replace(loop.schema, beside=())
    purposes = {one.item_id: one.purpose for one in loop.ledger.answers.questions()}
    ids = [*believed, *(one for one in said if one not in believed and _says_more(labels_alone, said[one]))]
    for start in range(0, len(ids), BATCH):
        items = loop.ledger.items.get(ids[start : start + BATCH])
        for item_id in ids[start : start + BATCH]:
            newest = max((one for one in said[item_id] if not one.skipped), key=lambda one: one.updated_at)
            yield ExportRow(
                item=items[item_id],
                labels=_labels_believed(loop.schema, believed, item_id),
                annotator=newest.annotator,
                source="human",
                held_out=purposes[item_id] == "holdout",
                updated_at=newest.updated_at,
                answers={**_main(loop.schema, believed.get(item_id)), **_beside(others, item_id)},
                extra=extra(loop.schema, said[item_id]),
                annotations=said[item_id],
                data=_shown(loop.schema, items[item_id]),
            )

    if not only_human:
        yield from _taken(loop, set(ids))


def _shown(schema: LabelSchema, item: Item) -> Mapping[str, Any]:
    return data_of(schema, item.meta, item.text or item.uri) if schema.own is not None else {}


def _says_more(schema: LabelSchema, annotations: Sequence[Annotation]) -> bool:
    """Whether somebody says something in a control that the schema does not know."""
    return any(other_controls(schema, one.regions) for one in annotations if not one.skipped)


def _labels_believed(schema: LabelSchema, believed: Mapping[str, Any], item_id: str) -> Sequence[str] | None:
    """The labels that are believed of an item; None where nothing is."""
    return labels_in(schema, believed[item_id]) if item_id in believed else None


def _main(schema: LabelSchema, answer: Any) -> dict[str, Any]:
    """The main control's answer, where that are no choices."""
    if schema.asked is None:
        return {}
    return {schema.control: None if answer is None else schema.asked.plain(answer)}


def _beside(others: Mapping[str, Beside], item_id: str) -> dict[str, Any]:
    said = {name: (one.control.kind, one.answers.get(item_id)) for name, one in others.items()}
    return {name: None if answer is None else kind.plain(answer) for name, (kind, answer) in said.items()}


def _taken(loop: Loop, answered: set[str]) -> Iterator[ExportRow]:
    """The labels that were taken from a model and count, of items that nobody has answered."""
    certificate = loop.taken.counting()
    if certificate is None:
        return
    taken = loop.ledger.auto.taken()
    ids = [item_id for item_id in taken if item_id not in answered]
    for start in range(0, len(ids), BATCH):
        items = loop.ledger.items.get(ids[start : start + BATCH])
        for item_id in ids[start : start + BATCH]:
            answer = answer_of(loop.schema, taken[item_id].label)
            yield ExportRow(
                item=items[item_id],
                labels=labels_in(loop.schema, answer),
                annotator=certificate.version,
                source="model",
                held_out=False,
                updated_at=datetime.fromisoformat(certificate.at),
                answers={**_main(loop.schema, answer), **dict.fromkeys((one.name for one in loop.schema.beside), None)},
                data=_shown(loop.schema, items[item_id]),
            )
