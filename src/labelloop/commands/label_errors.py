"""Second opinions on labels that are likely wrong: which these are, asking blind, and whether they were wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from labelloop.errors import ConfigError
from labelloop.evaluation.intervals import wilson
from labelloop.evaluation.label_errors import Suspects, suspects, unlike
from labelloop.kinds import labels
from labelloop.kinds.labels import words_in
from labelloop.ledger.opinions import Opinion, named
from labelloop.loop import round_steps
from labelloop.loop.loop import Loop
from labelloop.loop.round_steps import OutOfSample
from labelloop.types import Annotation, Region

OPEN = ("planned", "asked")


@dataclass(frozen=True, slots=True)
class Suspect:
    """A label that is likely wrong.

    Attributes:
        given: What is believed of what people said.
        suggested: What a model says that has not seen the item.
        probability: That model's, of what is believed.
        by: The people whose answers there are.
        why: In words.
        opinion: Where a second opinion on it stands: `planned`, `asked`, `answered`, `skipped`; empty without one.
    """

    item_id: str
    given: tuple[str, ...]
    suggested: tuple[str, ...]
    probability: float
    by: tuple[str, ...]
    why: str
    opinion: str = ""


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """What asking for second opinions did.

    Attributes:
        asked: Questions sent.
        open: Questions that are with people now.
        left: Suspects that nobody was asked about again.
        people: Everybody who has answered anything; with one alone, no opinion will be independent.
    """

    asked: int
    open: int
    left: int
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpinionOutcome:
    """What a second opinion said.

    Attributes:
        given: What had been believed.
        verdict: What the other answer says.
        by: Whose it is.
        independent: Whether she is none of those who had answered.
        overturned: Whether it differs from what had been believed.
        as_suggested: Whether it says what the model had said.
    """

    item_id: str
    given: tuple[str, ...]
    suggested: tuple[str, ...]
    verdict: tuple[str, ...]
    by: str
    independent: bool
    overturned: bool
    as_suggested: bool


@dataclass(frozen=True)
class Report:
    """How good the detector is, by the verdicts of others.

    Attributes:
        states: State -> second opinions on suspected errors.
        verdicts: The answers.
        unreadable: Answers in labels that do not exist any more.
    """

    states: Mapping[str, int]
    verdicts: Sequence[OpinionOutcome]
    unreadable: int = 0

    @property
    def independent(self) -> int:
        """Verdicts of people who had not answered before."""
        return sum(one.independent for one in self.verdicts)

    @property
    def overturned(self) -> int:
        """Of these, those that differ from what had been believed."""
        return sum(one.independent and one.overturned for one in self.verdicts)

    @property
    def precision(self) -> float | None:
        """The share of suspects that an independent person overturned; None without a verdict."""
        return self.overturned / self.independent if self.independent else None

    def as_dict(self) -> Mapping[str, Any]:
        """The report for scripts."""
        low, high = wilson(self.overturned, self.independent)
        return {
            "questions": dict(self.states),
            "answered": len(self.verdicts),
            "independent": self.independent,
            "same_person": len(self.verdicts) - self.independent,
            "overturned": self.overturned,
            "as_suggested": sum(one.independent and one.as_suggested for one in self.verdicts),
            "precision": self.precision,
            "low": low if self.independent else None,
            "high": high if self.independent else None,
            "unreadable": self.unreadable,
            "verdicts": [asdict(one) for one in self.verdicts],
        }

    def in_words(self) -> str:
        """The report for people."""
        told = self.as_dict()
        states = ", ".join(f"{count} {state}" for state, count in self.states.items()) or "none asked yet"
        lines = [f"second opinions   {states}"]
        if self.precision is None:
            lines.append("precision         unknown: no answer of another person yet")
        else:
            lines += [
                f"independent       {self.independent} verdict(s): {self.overturned} overturned the label,"
                f" {told['as_suggested']} of them to what the model had said",
                f"precision         {self.precision:.2f} ({told['low']:.2f} to {told['high']:.2f}) of the suspects"
                " were errors",
            ]
        if same := told["same_person"]:
            lines.append(f"not counted       {same} verdict(s) of people who judged their own answer")
        if self.unreadable:
            lines.append(f"set aside         {self.unreadable} verdict(s) in labels that are gone")
        return "\n".join(lines)


def find(loop: Loop) -> list[Suspect]:
    """The believed labels that are likely wrong, likeliest first, those of the holdout left out. Reads the ledger only.

    Raises:
        ConfigError: There are too few answers, or cleanlab is not installed.
    """
    return [one.suspect for one in _suspected(loop)]


@dataclass(frozen=True)
class _Suspected:
    """A suspect, with the regions that say what is believed, and what the model says."""

    suspect: Suspect
    given: tuple[Region, ...]
    suggested: tuple[Region, ...]


def _suspected(loop: Loop) -> list[_Suspected]:
    loop.preconditions.refuse_other_labels()
    unseen = loop.learning.out_of_sample()
    examples, schema = unseen.examples, loop.schema
    found = _found(loop, unseen)
    said = loop.ledger.said(schema)
    asked = [one for one in loop.ledger.opinions.all() if one.why == "label error" or one.state in OPEN]
    states = {one.item_id: one.state for one in asked}
    guesses = round_steps.guesses_of(schema, unseen.said.at(found.rows))
    made = []
    for row, score, (suggested, sure) in zip(found.rows, found.scores, guesses, strict=True):
        item_id = str(examples.inputs.ids[row])
        if schema.asked is None:
            given = tuple(name for name, there in zip(schema.labels, examples.targets[row], strict=True) if there)
            why = (
                f"{_told(given)} has the probability {score:.2f}, a model that has not seen it says {_told(suggested)}"
            )
        else:
            given, words = examples.answers[row], schema.asked.in_words
            why = f"a model that has not seen it says {words(suggested)}, sure by {sure:.2f}, and people {words(given)}"
        people = tuple(sorted({one.annotator for one in said[item_id] if not one.skipped}))
        said_so, told = words_in(schema, given), words_in(schema, suggested)
        one = Suspect(item_id, said_so, told, float(score), people, why, states.get(item_id, ""))
        regions = (labels.regions_saying(schema.main, answer) for answer in (given, suggested))
        made.append(_Suspected(one, *regions))
    return made


def _found(loop: Loop, unseen: OutOfSample) -> Suspects:
    if loop.schema.asked is not None:
        return unlike(unseen.said, unseen.examples)
    return suspects(unseen.examples.targets, unseen.probabilities, multiple=loop.schema.multiple)


def ask(loop: Loop, n: int) -> AskedAgain:
    """Ask blind about the likeliest suspects again, so that at most `n` such questions are open. Safe to repeat.

    Questions of an earlier call that was killed are sent first. Nobody is asked twice about one suspicion.

    Raises:
        ConfigError: Nothing has been asked yet, there are too few answers, or cleanlab is not installed.
        BusyError: Another process is at work on the dataset.
    """
    if n < 1:
        raise ConfigError(f"{n} second opinions cannot be asked for", "labelloop label-errors ask -n 20")
    with loop.ledger.lease.held():
        last = loop.ledger.rounds.last()
        if last is None:
            raise ConfigError("nothing has been asked yet", "labelloop watch")
        sent = loop.planner.settle()
        loop.hear()
        fresh = [one for one in _suspected(loop) if one.suspect.opinion in ("", "gone")]
        room = max(0, n - _open(loop))
        new = list(_questions(loop, fresh[:room]))
        turns = loop.choosing.order.turns_by_chance([one.question for one in new], loop.version, last.number)
        loop.ledger.opinions.plan([replace(one, turn=turns.get(one.question)) for one in new], loop.now())
        sent += loop.asker.ask_opinions()
        everybody = {one.annotator for said in loop.ledger.answers.current().values() for one in said}
        return AskedAgain(sent, _open(loop), max(0, len(fresh) - room), tuple(sorted(everybody)))


def report(loop: Loop) -> Report:
    """What the second opinions on suspected errors say. Reads the ledger only."""
    asked = [one for one in loop.ledger.opinions.all() if one.why == "label error"]
    states: dict[str, int] = {}
    for one in asked:
        states[one.state] = states.get(one.state, 0) + 1
    said = loop.ledger.answers.current()
    verdicts = [_verdict(loop, one, said.get(one.question, ())) for one in asked if one.state == "answered"]
    return Report(states, [one for one in verdicts if one is not None], sum(one is None for one in verdicts))


def _verdict(loop: Loop, asked: Opinion, said: Sequence[Annotation]) -> OpinionOutcome | None:
    """The first answer of somebody else, or the first answer."""
    answers = [one for one in said if not one.skipped]
    answer = next((one for one in answers if one.annotator not in asked.givers), answers[0])
    given, suggested, verdict = (loop.names_in(one) for one in (asked.given, asked.suggested, answer.regions))
    if given is None or verdict is None:
        return None
    return OpinionOutcome(
        asked.item_id,
        given,
        suggested or (),
        verdict,
        answer.annotator,
        independent=answer.annotator not in asked.givers,
        overturned=verdict != given,
        as_suggested=verdict == suggested,
    )


def _questions(loop: Loop, chosen: Sequence[_Suspected]) -> Iterator[Opinion]:
    about = loop.ledger.opinions.about()
    for one in chosen:
        suspect = one.suspect
        yield Opinion(
            named(suspect.item_id, about),
            suspect.item_id,
            "label error",
            f"second opinion: {suspect.why}",
            one.given,
            one.suggested,
            suspect.probability,
            suspect.by,
        )


def _open(loop: Loop) -> int:
    return sum(one.state in OPEN for one in loop.ledger.opinions.all() if one.why == "label error")


def _told(names: Sequence[str]) -> str:
    return ", ".join(names) or "none of them"
