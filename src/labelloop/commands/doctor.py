"""What is wrong between ledger, artifact store and annotator, each fault with its repair. Looking changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from labelloop.commands.labels import resume
from labelloop.commands.recovery import write_back
from labelloop.data.sources import problem
from labelloop.errors import (
    BackendError,
    ConfigError,
    LabelLoopError,
    NotFoundError,
    OtherOwnerError,
    UnreadableError,
    VanishedError,
)
from labelloop.kinds.values import brief
from labelloop.ledger import aside
from labelloop.ledger.questions import Asking, Purpose
from labelloop.loop.loop import Loop
from labelloop.loop.notices import held_out
from labelloop.loop.ownership import TAKE_OVER
from labelloop.loop.planner import judgement
from labelloop.loop.unusable import unheard_in_words
from labelloop.loop.vanished import Losses
from labelloop.machine.clocks import elapsed_seconds
from labelloop.protocols import ChangingLabels, Pruning, Restoring, Revealing, Surveyed
from labelloop.storage.artifacts import Ref
from labelloop.types import Annotation, Answers, Item, Missing, Survey
from labelloop.workspace.root import FILE

LEFT_AFTER = 600.0
"""Seconds after which a temporary file of a process that is gone is a leftover: it may be of another machine."""

STORE, ANNOTATOR = "artifact store", "annotator"
"""What may be away while the rest is looked at, by the names that `check` gives them."""

ORDERS = {"turns": "their turns", "asked": "the order of asking"}

WRITE_BACK = "write questions and answers back from the ledger"

SHOWN = 3
_TEMPORARY = re.compile(r"(?:^|~|\.)(\d+)(?:-[0-9a-f]{8,16}|\.tmp|\.part)$")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it should be.

    Attributes:
        what: What kind of thing it is about.
        detail: What is wrong, with examples.
        repair: What the repair does, in words; what a person can do, where there is none.
        mend: Does it; None where only a person can.
    """

    what: str
    detail: str
    repair: str
    mend: Callable[[], object] | None = None

    def as_dict(self) -> Mapping[str, Any]:
        """The fault for scripts."""
        return {"what": self.what, "detail": self.detail, "repair": self.repair, "repairable": self.mend is not None}


def examine(loop: Loop, away: Collection[str] = ()) -> Iterator[Fault]:
    """Every fault there is; reads every artifact and every task once, and changes nothing.

    Args:
        away: What cannot be reached now, and is left out: the `artifact store`, the `annotator`.
    """
    yield from _processes(loop)
    if STORE not in away:
        yield from _artifacts(loop)
        yield from _items(loop)
    yield from _leftovers(loop)
    if ANNOTATOR not in away:
        yield from _before_the_first_round(loop) if loop.ledger.rounds.last() is None else _annotator(loop)


def _processes(loop: Loop) -> Iterator[Fault]:
    """What a process that was killed has left in the ledger."""
    ledger = loop.ledger
    if holder := ledger.lease.abandoned():
        yield Fault("lease", f"held by {holder}, which is gone", "give it back", lambda: _take_over(loop))
    if interrupted := ledger.labels.interrupted():
        yield Fault("labels", f"interrupted: {interrupted.in_words()}", "complete the change", lambda: resume(loop))
    last = ledger.rounds.last()
    if last is not None and last.state == "planned":
        words = f"round {last.number} was planned, and not confirmed"
        yield Fault("round", words, "ask its questions and confirm it", lambda: _settle(loop))
    if left := ledger.answers.questions(["planned"], round=0):
        words = f"{len(left)} second opinion(s) were planned, and not asked for"
        yield Fault("questions", words, "ask for them", lambda: _settle(loop))
    if ledger.overlap.is_untold():
        words = "the annotator was not told how many people each question is for"
        yield Fault("questions", words, "tell it", lambda: _under_lease(loop, loop.hear))


def _artifacts(loop: Loop) -> Iterator[Fault]:
    """Results that are damaged, and embeddings and the model in use where they are missing."""
    artifacts, last = loop.artifacts, loop.ledger.rounds.last()
    own, *apart = (loop.ledger.items.chunks(one.fingerprint) for one in loop.learning.embeddings.backbones)
    needed = {chunk.ref: "embeddings" for chunk in own}
    needed |= {chunk.ref: "embeddings to choose by" for chunks in apart for chunk in chunks}
    if last is not None and last.model:
        needed[last.model] = f"the model in use, {last.version},"
    lost = False
    for ref in sorted({*loop.ledger.steps.refs(), *needed}):
        bad = artifacts.faults(Ref.parse(ref))
        if bad:
            words = f"{ref} is damaged: {', '.join(bad[:SHOWN])}"
            yield Fault("artifact", words, "delete it; what needs it is made anew", partial(artifacts.discard, bad))
        if ref in needed and (bad or not artifacts.has(Ref.parse(ref))):
            lost = True
            yield Fault(
                "artifact", f"{needed[ref]} {ref} is missing", "make it anew from the answers", lambda: _remake(loop)
            )
    if last is not None and last.model and not lost and not last.matches(loop.schema.labels):
        yield Fault(
            "model",
            f"the model in use speaks other labels: {', '.join(last.labels)}",
            "learn the new labels",
            lambda: _remake(loop),
        )


def _items(loop: Loop) -> Iterator[Fault]:
    """Items that are set aside, items whose file is gone, and open questions that cannot be read."""
    known, replaced = {one.item_id for one in loop.ledger.aside.all()}, loop.ledger.changed.replaced()
    waiting = {one.item_id for one in loop.ledger.answers.questions(["planned", "asked"])}
    gone: dict[str, Missing] = {}
    for start in range(0, loop.ledger.items.count(), 1000):
        for item in loop.ledger.items.between(start, start + 1000):
            if item.id not in known | replaced and (why := _problem(loop, item, whole=item.id in waiting)):
                gone[item.id] = why
    if gone:
        reasons = [one.reason for one in gone.values()]
        yield Fault(
            "items",
            f"{len(gone)} item(s) cannot be read any more, such as {_some(reasons)}",
            "note it: they are not asked, and not learned from, until they can be read again",
            lambda: loop.ledger.aside.put(gone, loop.now()),
        )
    if known:
        words = aside.in_words(loop.ledger.aside.all(), loop.now())
        yield Fault("items", words, "try them again now", lambda: _try_again(loop))


def _try_again(loop: Loop) -> None:
    def retry() -> None:
        loop.ledger.aside.hurry()
        loop.learning.embeddings.retry()

    _under_lease(loop, retry)
    if left := loop.ledger.aside.all():
        raise UnreadableError(aside.in_words(left, loop.now()), retryable=True)


def _problem(loop: Loop, item: Item, *, whole: bool) -> Missing | None:
    """Why an item cannot be read; None if it can. Of local files that are not open, only whether they are there."""
    if not whole:
        path = Path(unquote(urlsplit(item.uri).path)) if item.uri.startswith("file://") else None
        return Missing(f"{path} is gone") if path and not path.exists() else None
    try:
        return problem(loop.address(item), loop.access)
    except LabelLoopError as error:
        return Missing(error.message)


def _leftovers(loop: Loop) -> Iterator[Fault]:
    """Temporary files of processes that are gone."""
    places = {loop.workspace.home, Path(getattr(loop.stack.artifact_store, "root", loop.workspace.home))}
    files = [path for place in sorted(places) for path in place.rglob("*") if is_left_over(path)]
    files += [path for path in loop.workspace.root.glob(f".{FILE}.*.tmp") if is_left_over(path)]
    if files:
        yield Fault(
            "leftovers", f"{len(files)} temporary file(s), such as {files[0]}", "delete them", lambda: _clear(files)
        )


def _before_the_first_round(loop: Loop) -> Iterator[Fault]:
    """What a first tick would refuse: a dataset of this name that has our items, is another's, or has other labels."""
    try:
        dataset = loop.stack.annotator.open(loop.ledger.dataset, loop.schema, create=False)
        ours = loop.ledger.items.get(sorted(dataset.present() if dataset.size() else ()))
        if not ours:
            loop.ownership.refuse_others(dataset)
            loop.ownership.refuse_unmarked(dataset)
    except (NotFoundError, BackendError):
        return  # there is none yet, or `check` says why it cannot be looked at
    except ConfigError as error:
        yield Fault("dataset", error.message, error.hint)
        return
    if ours:
        yield Fault(
            "dataset",
            f"{len(ours)} item(s) are asked already, and this ledger does not know it, such as {_some(sorted(ours))}",
            f"go on where the ledger is that asked them; if it is lost: {TAKE_OVER}, then labelloop doctor --repair",
        )


def _annotator(loop: Loop) -> Iterator[Fault]:
    """What the annotator has, beside what the ledger says; not while a change of the labels is half-way."""
    name, annotator = loop.ledger.dataset, loop.stack.annotator
    if loop.ledger.labels.interrupted():
        return
    try:
        dataset = loop.dataset
    except NotFoundError as error:
        yield Fault("dataset", error.message, error.hint)
        return
    except ConfigError as error:
        mend = annotator.relabel if isinstance(annotator, ChangingLabels) else None
        yield Fault(
            "labels",
            error.message,
            f"give it the labels of {FILE}" if mend else error.hint,
            (lambda: mend(name, loop.schema)) if mend else None,
        )
        return
    try:
        loop.ownership.refuse_others(dataset)
    except OtherOwnerError as error:
        # what another ledger has asked and guessed is not ours to judge
        yield _lost("dataset", error, loop, dataset if error.is_behind else None)
        return
    if not isinstance(dataset, Surveyed):
        return
    loop.listener.trust()
    survey = dataset.survey(loop.ledger.answers.cursor())
    yield from _questions(loop, dataset, survey)
    yield from _answers(loop, dataset, survey)
    yield from _not_learned_from(loop, survey)
    yield from _predictions(loop, dataset, survey)
    if survey.stale:
        yield Fault("pictures", survey.stale, "give it the credentials of now", lambda: list(dataset.answers(None)))
    if survey.unconfirmed:
        words = f"{survey.unconfirmed} question(s) were sent, and nobody knows whether they arrived"
        yield Fault("questions", words, "look them up", lambda: list(dataset.answers(None)))


def _lost(what: str, error: LabelLoopError, loop: Loop, dataset: object) -> Fault:
    """What the annotator has lost, written back where it can be: into this dataset, if it takes answers."""
    back = partial(write_back, loop) if isinstance(dataset, Restoring) else None
    return Fault(what, error.message, WRITE_BACK if back else error.hint, back)


def _questions(loop: Loop, dataset: Surveyed, survey: Survey) -> Iterator[Fault]:
    questions = loop.ledger.answers.questions()
    there = {one.item_id for one in questions if one.state not in ("planned", "gone")}
    gone = sorted(there - survey.present)
    try:
        Losses().refuse_questions(loop.ledger.answers, survey.present)
    except VanishedError as error:
        yield _lost("questions", error, loop, dataset)
        gone = []
    if gone:
        yield Fault(
            "questions",
            f"{len(gone)} question(s) are gone from the annotator, such as {_some(gone)}",
            "note it; their answers stay in the history",
            lambda: _under_lease(loop, lambda: loop.ledger.answers.lose(survey.present, loop.now())),
        )
    if survey.twins:
        yield Fault(
            "questions",
            f"{len(survey.twins)} item(s) are asked more than once, such as {_some(sorted(survey.twins))}",
            "delete those that nobody has answered",
            lambda: dataset.tidy(list(survey.twins)),
        )
    if swapped := sorted(survey.swapped & there):
        words = f"{len(swapped)} question(s) show another thing than was asked, such as {_some(swapped)}"
        yield Fault(
            "questions", words, "change the task's data back in Label Studio; what was said about it may be wrong"
        )
    foreign = sorted(survey.heard.keys() - {one.item_id for one in questions})
    ours = loop.ledger.items.get(foreign)
    if ours:
        yield Fault(
            "questions",
            f"{len(ours)} item(s) are asked, and the ledger does not know it, such as {_some(sorted(ours))}",
            "take them over, with their answers",
            lambda: _adopt(loop, sorted(ours)),
        )


def _answers(loop: Loop, dataset: Surveyed, survey: Survey) -> Iterator[Fault]:
    """Answers that differ, and that no hearing from the cursor on would bring; or losses that it would refuse."""
    try:
        Losses().refuse_answers(loop.ledger.answers, Answers(tuple(survey.heard.values()), ""))
    except VanishedError as error:
        yield _lost("answers", error, loop, dataset)
        return
    said = loop.ledger.answers.current()
    asked = {one.item_id for one in loop.ledger.answers.questions() if one.state not in ("planned", "gone")}
    asked -= survey.fresh
    differing = [
        item_id
        for item_id, heard in survey.heard.items()
        if item_id in asked and item_id not in survey.twins and _differs(loop, heard.annotations, said.get(item_id, ()))
    ]
    if differing:
        yield Fault(
            "answers",
            f"{len(differing)} item(s) have other answers in the annotator than in the ledger, such as"
            f" {_some(sorted(differing))}",
            "hear everything again",
            lambda: _hear_everything(loop),
        )


def _differs(loop: Loop, shown: Sequence[Annotation], said: Sequence[Annotation]) -> bool:
    """Whether the annotator shows other answers to an item than the ledger has, apart from whose account is left."""
    kept = loop.ledger.answers.as_kept(shown, said)
    return {one.id: one for one in kept} != {one.id: one for one in said}


def _not_learned_from(loop: Loop, survey: Survey) -> Iterator[Fault]:
    """What people said, and cannot be read, or does not count."""
    if survey.unheard:
        hint = "delete or correct what was said there; it is tried again by itself, and heard when it can be shown"
        yield Fault("answers", unheard_in_words(survey.unheard), hint)
    claims = loop.unusable().claims
    if claims:
        who = ", ".join(f"{brief(name) or 'nobody knows who'} ({n})" for name, n in claims.items())
        words = f"ground truth of people who are not in loop.ground_truth_by counts like other answers: {who}"
        yield Fault(
            "ground truth", words, "add who may decide to ground_truth_by under [loop]; remove it from the others"
        )


def _predictions(loop: Loop, dataset: Surveyed, survey: Survey) -> Iterator[Fault]:
    known = {one.version for one in loop.ledger.rounds.all()}
    if loop.ledger.answers.questions(["asked"]):  # else nobody sees any
        yield from _shown(loop, dataset, survey, known)
    unknown = {version: count for version, count in survey.versions.items() if version not in known}
    if unknown:  # after the repair above, as those that people see are left alone
        words = ", ".join(f"{count} of {version or 'no version'}" for version, count in unknown.items())
        yield Fault(
            "predictions",
            f"predictions of models that this loop never had: {words}",
            "delete them, some 150 a second",
            partial(dataset.prune, list(unknown)) if isinstance(dataset, Pruning) else None,
        )


def _shown(loop: Loop, dataset: Surveyed, survey: Survey, known: Collection[str]) -> Iterator[Fault]:
    """Another model's guesses than those of the model in use, or another order; it may have made none yet."""
    usable, there = loop.version, survey.versions
    if survey.hidden and usable:
        yield Fault(
            "predictions",
            "the project hides the model's guesses from people, who answer without: somebody switched them off",
            "show them again; or leave them off, and set blind_share = 1.0 under [loop]",
            partial(dataset.reveal, usable if usable in there else "") if isinstance(dataset, Revealing) else None,
        )
        return
    wanted = usable if usable in there else survey.shown if usable and survey.shown in known else ""
    turns = {one.turn.version for one in loop.ledger.answers.questions() if one.turn}
    queue = "turns" if wanted and wanted in turns else "asked"
    if survey.shown != wanted:
        yield Fault(
            "predictions",
            f"people see the guesses of {survey.shown or 'no model'}, and not those of {wanted or 'no model'}",
            "show those",
            lambda: dataset.show(wanted, by_turns=queue == "turns"),
        )
    if survey.queue and survey.queue != queue:
        yield Fault(
            "queue",
            f"people get the questions by {ORDERS.get(survey.queue, repr(survey.queue))}, and not by {ORDERS[queue]}",
            "have them get them so",
            lambda: dataset.show(wanted, by_turns=queue == "turns"),
        )


def _adopt(loop: Loop, items: Sequence[str]) -> None:
    """Make questions of the loop of what is asked already."""
    known = loop.ledger.items.get(items)
    protected = held_out(loop.ledger, [known[one].group or one for one in items])
    purposes: list[Purpose] = ["holdout" if one else "train" for one in protected]
    batch = [Asking(one, purpose, "was asked already") for one, purpose in zip(items, purposes, strict=True)]

    def record() -> None:
        loop.planner.settle()
        loop.planner.record(f"{len(batch)} questions were taken over", batch)
        loop.hear()

    _under_lease(loop, record)


def _remake(loop: Loop) -> None:
    """Make embeddings and the model anew; a model that comes out as another one is put to use."""

    def make() -> None:
        loop.planner.settle()
        learned = loop.learning.learn()
        last = loop.ledger.rounds.last()
        if last is None or (learned.judged.model == last.model and last.matches(loop.schema.labels)):
            return
        proposal = loop.choosing.propose(learned, last.number + 1, 0)
        made: dict[str, Any] = {"learned_from": learned.learned_from, "changes": loop.ledger.answers.changes()}
        reason = "the model in use was lost" if learned.judged.model else "the model in use was lost, with its answers"
        loop.planner.record(reason, [], proposal.refreshed, **made, **judgement(learned.judged))

    _under_lease(loop, make)


def _hear_everything(loop: Loop) -> None:
    def hear() -> None:
        loop.ledger.answers.rewind()
        loop.hear()

    _under_lease(loop, hear)


def _settle(loop: Loop) -> None:
    _under_lease(loop, loop.planner.settle)


def _take_over(loop: Loop) -> None:
    _under_lease(loop, lambda: None)


def _under_lease(loop: Loop, act: Callable[[], object]) -> None:
    with loop.ledger.lease.held():
        act()


def is_left_over(path: Path) -> bool:
    """Whether a process that is gone has left this file half-written, for long enough."""
    found = _TEMPORARY.search(path.name)
    if not found or Path(f"/proc/{found[1]}").exists():
        return False
    try:
        os.kill(int(found[1]), 0)
    except (ProcessLookupError, OverflowError):
        return elapsed_seconds(time.time() - path.lstat().st_mtime) > LEFT_AFTER
    except PermissionError:
        pass
    return False


def _clear(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _some(things: Sequence[str]) -> str:
    return ", ".join(things[:SHOWN])


def mended(fault: Fault) -> str:
    """Do the repair of a fault: what came of it, in words."""
    if fault.mend is None:
        return f"not repaired: {fault.repair}"
    try:
        fault.mend()
    except LabelLoopError as error:
        return f"not repaired: {error.message}"
    return "repaired"
