"""Carrying out a change of the labels: planned in the ledger, then in the annotator, in labelloop.toml, confirmed."""

from __future__ import annotations

import getpass
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.kinds.label_changes import LabelChange, active, meaning, said_names
from labelloop.loop.loop import Loop
from labelloop.protocols import ChangingLabels, Dataset, Restoring, Retracting
from labelloop.types import Annotation
from labelloop.workspace.config import Workspace, rewrite
from labelloop.workspace.root import FILE
from labelloop.workspace.toml_edits import put

Making = Callable[[LabelSchema, Sequence[LabelChange]], LabelChange]
"""Makes the change from the labels of now and the changes so far."""


@dataclass(frozen=True, slots=True)
class LabelChangePlan:
    """What a change would touch.

    Attributes:
        change: The change.
        translated: Items with an answer that says the same under another name.
        set_aside: Items with an answer that does not count any more, though it is kept.
        counted_again: Items with an answer that does not count now, and would.
        held_out: Of all these, items of the holdout.
        again: Items that are asked again.
        open: Questions that are open: they show the new labels.
        guesses: Of these, questions that show a model's guess until a model has learned the new labels.
        model: The version of the model in use, which learns the new labels in the next round; empty without one.
    """

    change: LabelChange
    translated: int
    set_aside: int
    counted_again: int
    held_out: int
    again: int
    open: int
    guesses: int
    model: str

    def as_dict(self) -> Mapping[str, Any]:
        """The plan for scripts."""
        counts = {name: getattr(self, name) for name in self.__slots__ if name != "change"}
        return {"change": self.change.in_words(), "before": self.change.before, "after": self.change.after, **counts}

    def in_words(self) -> str:
        """The plan for people."""
        lines = [
            f"plan      {self.change.in_words()}",
            f"labels    {', '.join(self.change.before)}  ->  {', '.join(self.change.after)}",
            f"answers   {self.translated} item(s) translated, {self.set_aside} set aside, "
            f"{self.counted_again} counted again; {self.held_out} of them held out; nothing is deleted from the ledger",
            f"again     {self.again} item(s) asked again: their answers leave the annotator, and stay in the ledger",
            f"open      {self.open} question(s) get the new labels, {self.guesses} show no guess until the next round",
            f"model     {self.model or 'none yet'}" + (": the next round learns the new labels" if self.model else ""),
        ]
        return "\n".join(lines if self.again else [*lines[:3], *lines[4:]])


@dataclass(frozen=True, slots=True)
class LabelCount:
    """One label that is asked for, or that somebody said.

    Attributes:
        answers: Answers that say it, in the annotator's words.
        meaning: What it means now.
    """

    label: str
    answers: int
    meaning: str

    def as_dict(self) -> Mapping[str, Any]:
        """The label for scripts."""
        return {"label": self.label, "answers": self.answers, "means": self.meaning}


def inventory(loop: Loop) -> list[LabelCount]:
    """The labels that are asked for, then those that only earlier answers say."""
    counts: Counter[str] = Counter()
    for said in loop.ledger.answers.current().values():
        counts.update(name for one in said for name in said_names(loop.schema, one.regions))
    counting = active(loop.ledger.labels.changes())
    earlier = sorted(counts.keys() - set(loop.schema.labels))
    return [
        LabelCount(name, counts[name], _means(loop.schema, name, counting)) for name in (*loop.schema.labels, *earlier)
    ]


def _means(schema: LabelSchema, name: str, counting: Sequence[LabelChange]) -> str:
    if name in schema.labels:
        return "itself"
    meant = meaning(name, counting)
    if len(meant) == 1:
        return meant[0] if meant[0] in schema.labels else "nothing: it was never a label here"
    return f"one of {', '.join(meant)}: set aside" if meant else "removed: set aside"


def plan(loop: Loop, make: Making, *, again: bool | None = None) -> LabelChangePlan:
    """What a change would touch, from the ledger alone; changes nothing.

    Args:
        again: Whether items whose answers do not count any more are asked again; only after a split unless said.

    Raises:
        ConfigError: The change is not possible.
    """
    loop.preconditions.refuse_other_labels()
    history = loop.ledger.labels.changes()
    change = make(loop.schema, history)
    now = active(history)
    then = active([*history, replace(change, number=len(history) + 1)])
    before = _counting(loop, now, change.before)
    after = _counting(loop, then, change.after)
    lost = {item_id for item_id, said in before.items() if said and not after[item_id]}
    found = {item_id for item_id, said in after.items() if said and not before[item_id]}
    moved = {item_id for item_id, said in before.items() if said and after[item_id] and after[item_id] != said}
    wanted = change.verb == "split" if again is None else again
    taken = _of(loop, lost) if wanted else {}
    questions = loop.ledger.answers.questions()
    held_out = {one.item_id for one in questions if one.purpose == "holdout"}
    waiting = [one for one in questions if one.state in ("planned", "asked")]
    last = loop.ledger.rounds.last()
    return LabelChangePlan(
        replace(change, again=taken),
        translated=len(moved),
        set_aside=len(lost),
        counted_again=len(found),
        held_out=len(held_out & (lost | found | moved)),
        again=len(set(taken.values())),
        open=len(waiting),
        guesses=sum(one.prediction is not None for one in waiting),
        model=last.version if last and last.model else "",
    )


def relabel(loop: Loop, make: Making, *, again: bool | None = None) -> LabelChangePlan:
    """Change the labels everywhere. Killed anywhere, `resume` completes it.

    Raises:
        ConfigError: The change is not possible, or refused by the annotator; nothing was changed.
        BusyError: Another process is at work on the dataset.
    """
    _from_the_file(loop.workspace)
    with loop.ledger.lease.held():
        loop.preconditions.refuse_other_labels()
        asked = loop.ledger.rounds.last() is not None
        if asked:
            loop.planner.settle()
            loop.hear()
            loop.ledger.rounds.note_labels(loop.schema.labels)
        planned = plan(loop, make, again=again)
        after = loop.schema.with_labels(planned.change.after)
        if asked:
            _able(loop).relabel(loop.ledger.dataset, after, dry_run=True)
        stamped = replace(planned.change, at=datetime.now(UTC).isoformat(timespec="seconds"), by=_user())
        written = loop.ledger.labels.plan(stamped)
        carry_out(loop, written)
        return replace(planned, change=written)


def resume(loop: Loop) -> LabelChange | None:
    """Complete a change that was interrupted; None if there is none.

    Raises:
        BusyError: Another process is at work on the dataset.
    """
    with loop.ledger.lease.held():
        interrupted = loop.ledger.labels.interrupted()
        if interrupted:
            _from_the_file(loop.workspace)
            carry_out(loop, interrupted)
        return interrupted


def carry_out(loop: Loop, change: LabelChange) -> None:
    """Bring a planned change to every place; each step is harmless when repeated. Under the lease."""
    after = loop.schema.with_labels(change.after)
    if loop.ledger.rounds.last() is not None:
        name = loop.ledger.dataset
        _able(loop).relabel(name, after)
        dataset = loop.stack.annotator.open(name, after, create=False)
        if change.again:
            if not isinstance(dataset, Retracting):
                raise _incapable(dataset, "take back")
            dataset.retract(change.again, _unsure(loop, change))
        if change.undoes:
            if not isinstance(dataset, Restoring):
                raise _incapable(dataset, "restore")
            dataset.restore(_taken_by(loop, change.undoes))
    place = ("dataset", "labels") if loop.workspace.config.dataset.labels else ("controls", after.control, "labels")
    rewrite(loop.workspace.root, lambda text, _: put(text, place, list(change.after)))
    loop.ledger.labels.confirm(change)


def _counting(loop: Loop, counting: Sequence[LabelChange], labels: Sequence[str]) -> dict[str, list[list[str]]]:
    """Item id -> what each of its answers says in these labels; one that does not count is left out."""
    found: dict[str, list[list[str]]] = {}
    for item_id, said in loop.ledger.answers.current().items():
        answers = [_says(loop.schema, counting, labels, one) for one in said if not one.skipped]
        found[item_id] = [names for names in answers if names is not None]
    return found


def _says(
    schema: LabelSchema, counting: Sequence[LabelChange], labels: Sequence[str], said: Annotation
) -> list[str] | None:
    """The labels an answer says; None if it does not count."""
    names: list[str] = []
    for name in said_names(schema, said.regions):
        meant = meaning(name, counting)
        if not meant and schema.multiple:
            continue
        if len(meant) != 1 or meant[0] not in labels:
            return None
        names += meant
    return names if names or schema.multiple else None


def _of(loop: Loop, items: set[str]) -> dict[str, str]:
    """Annotation id -> item id of every answer to these items."""
    said = loop.ledger.answers.current()
    return {one.id: item_id for item_id in sorted(items) for one in said[item_id] if not one.skipped}


def _unsure(loop: Loop, change: LabelChange) -> set[str]:
    """Every label that does not mean exactly one label after the change, whatever it is called by now."""
    counting = active(loop.ledger.labels.changes())
    earlier = {name for one in counting for name in (*one.before, *one.mapping)}
    return {name for name in earlier | set(change.before) if len(meaning(name, counting)) != 1}


def _taken_by(loop: Loop, number: int) -> list[Annotation]:
    """The answers that a change took back, which count again once it is undone."""
    undone = next(one for one in loop.ledger.labels.changes() if one.number == number)
    return loop.ledger.answers.taken_back(sorted(undone.again))


def _able(loop: Loop) -> ChangingLabels:
    """The annotator, if it can ask for other labels."""
    annotator = loop.stack.annotator
    if not isinstance(annotator, ChangingLabels):
        raise ConfigError(
            f"the annotator {annotator!r} cannot change the labels of a dataset", "change them there, and in the file"
        )
    return annotator


def _incapable(dataset: Dataset, what: str) -> ConfigError:
    return ConfigError(
        f"the dataset {dataset!r} cannot {what} annotations",
        "an annotator of your own needs what labelloop.protocols declares for it; then run it again",
    )


def _from_the_file(workspace: Workspace) -> None:
    """The labels come from labelloop.toml, which is where they are changed."""
    if config := workspace.config.dataset.config:
        raise ConfigError(
            f"the labels come from {config}, which is changed by hand", "edit it, then labelloop doctor --repair"
        )
    origin = workspace.origins.get("dataset.labels", "default")
    if origin in ("environment", "flag"):
        raise ConfigError(
            f"dataset.labels comes from the {origin}, not from {FILE}: the change would not hold",
            f"set labels under [dataset] in {FILE} instead",
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"
