"""What an annotator has lost, written back from the ledger: questions, and answers in the names of who gave them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from labelloop.errors import ConfigError
from labelloop.ledger.questions import Asking
from labelloop.loop.loop import Loop
from labelloop.protocols import Restoring
from labelloop.types import Annotation


@dataclass(frozen=True, slots=True)
class Lost:
    """What the ledger has and the annotator has not.

    Attributes:
        questions: Those that are not there any more.
        answers: Of these, and of questions that are there without their answers.
    """

    questions: tuple[Asking, ...]
    answers: tuple[Annotation, ...]


def lost(loop: Loop, present: Collection[str], answered: Collection[str]) -> Lost:
    """What is missing.

    Args:
        present: The questions that the annotator has.
        answered: Of these, the ones with an answer.
    """
    there, said = loop.ledger.answers.there(), loop.ledger.answers.current()
    asked = loop.ledger.answers.questions(["asked", "answered", "skipped"])
    missing = tuple(one for one in asked if one.item_id not in present)
    silent = there - set(answered)
    return Lost(missing, tuple(one for item_id in sorted(silent & said.keys()) for one in said[item_id]))


def write_back(loop: Loop) -> Lost:
    """Ask again what is missing, put the answers back, and hear everything; killed and repeated, it goes on.

    Label Studio gives the answers new ids: the ledger's history has them as removed and made anew.
    """
    with loop.ledger.lease.held():
        dataset = loop.dataset
        if not isinstance(dataset, Restoring):
            raise ConfigError(f"{loop.stack.annotator!r} takes no annotations back", "ask people again: labelloop tick")
        heard = [one for page in dataset.answers(None) for one in page.heard]
        found = lost(loop, dataset.present(), {one.item_id for one in heard if one.annotations})
        loop.ownership.take_over(dataset)
        loop.ownership.claim(dataset)
        blind = [replace(one, prediction=None, turn=None) for one in found.questions]
        dataset.ask(loop.asker.questions_of(blind))
        dataset.restore(found.answers)
        loop.ledger.answers.rewind()
        if loop.ledger.overlap.keeps():
            loop.ledger.overlap.tell_again()  # what was asked again is shown to as many people as now close a question
        loop.hear(believe_losses=True)
    return found
