"""What people answer in the controls beside the main one: how many, how much alike, what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from labelloop.errors import ConfigError
from labelloop.kinds.consensus import ConsensusMethod, agreement, consensus_of_all
from labelloop.kinds.schema import Control, LabelSchema
from labelloop.ledger import Ledger
from labelloop.loop.unusable import some_of
from labelloop.protocols import AskingBeside
from labelloop.types import Annotation
from labelloop.workspace.stack import Stack

SINCE = "controls_since"


@dataclass(frozen=True)
class Beside:
    """What is said in one control.

    Attributes:
        control: The control.
        answers: Item id -> what is believed there.
        set_aside: Item id -> why an answer to it cannot be read.
        agreement: Mean similarity in [0, 1] of two people about one item; 1 where nobody answered twice.
        several: Items that two people or more answered.
    """

    control: Control
    answers: Mapping[str, Any]
    set_aside: Mapping[str, str]
    agreement: float
    several: int

    def as_dict(self) -> Mapping[str, Any]:
        """For scripts."""
        return {
            "answered": len(self.answers),
            "set_aside": dict(self.set_aside),
            "agreement": self.agreement if self.several else None,
            "answered_by_several": self.several,
        }

    def in_words(self) -> str:
        """For people."""
        parts = [f"{self.control.name}: {len(self.answers)} items answered"]
        if self.several:
            parts.append(f"people agree by {self.agreement:.0%} on {self.several} that several answered")
        if self.set_aside:
            parts.append(f"answers to {len(self.set_aside)} set aside: {some_of(self.set_aside)}")
        return ", ".join(parts)


@dataclass(frozen=True)
class Controls:
    """Everything that one dataset asks beside the labels.

    Attributes:
        dataset: Its name in the annotator.
        schema: What is asked.
        policy: Which answer counts where an item has several.
        clock: The time of now.
    """

    stack: Stack
    ledger: Ledger
    dataset: str
    schema: LabelSchema
    policy: ConsensusMethod
    clock: Callable[[], datetime]

    def ask(self) -> list[str]:
        """Have people asked each control, and keep since when they are; what is new, in words.

        Raises:
            ConfigError: The annotator cannot ask it.
        """
        if not self.schema.beside:
            return []
        annotator = self.stack.annotator
        if not isinstance(annotator, AskingBeside):
            raise ConfigError(
                f"[controls.{self.schema.beside[0].name}] cannot be asked: this annotator asks for labels alone",
                "take [controls] out of labelloop.toml, or choose another annotator",
            )
        added, known = annotator.ask_beside(self.dataset, self.schema), self._since()
        new = [one.name for one in self.schema.beside if one.name in added or one.name not in known]
        if new:
            self._show_columns(new)
            now = {**known, **dict.fromkeys(new, self.clock())}
            self.ledger.answers.remember(SINCE, {name: moment.isoformat() for name, moment in now.items()})
        return [f"people are asked {name!r}, too, from now on" for name in added]

    def beside(self, said: Mapping[str, Sequence[Annotation]] | None = None) -> Mapping[str, Beside]:
        """Control -> what is said in it; from the ledger alone.

        Args:
            said: Item id -> everything people say about it now; read where it is not at hand.
        """
        if not self.schema.beside:
            return {}
        now, since = self.ledger.said(self.schema) if said is None else said, self._since()
        return {
            one.name: _in(replace(one, silence=True), now, self.policy, since.get(one.name))
            for one in self.schema.beside
        }

    def _show_columns(self, names: Sequence[str]) -> None:
        """Have open questions show the columns that these controls ask about: they may be older than `show`."""
        if any(one.name in names and one.shown != self.schema.modality for one in self.schema.beside):
            asked = {one.item for one in self.ledger.answers.questions(["asked"])}
            self.ledger.changed.show_again(sorted(asked), self.clock())

    def _since(self) -> dict[str, datetime]:
        """Control -> when it was asked first. An annotation of before that has nothing in it does not say so."""
        known = self.ledger.answers.recall(SINCE) or {}
        return {name: datetime.fromisoformat(moment) for name, moment in known.items()}


def _in(
    control: Control, said: Mapping[str, Sequence[Annotation]], policy: ConsensusMethod, since: datetime | None
) -> Beside:
    silent = since if control.kind.read(()) is not None else None
    ours: dict[str, list[Annotation]] = {}
    for item_id, all_of_it in said.items():
        if some := [one for one in all_of_it if _answers(control, one, silent)]:
            ours[item_id] = some
    believed = consensus_of_all(control, ours, policy)
    alike, several = agreement(control, ours)
    return Beside(control, believed.answers, believed.set_aside, alike, several)


def _answers(control: Control, one: Annotation, silent: datetime | None) -> bool:
    """Whether an annotation is an answer in a control: by a region, or by none since it was asked."""
    if any(region.get("from_name") == control.name for region in one.regions):
        return True
    return silent is not None and not one.skipped and one.updated_at >= silent
