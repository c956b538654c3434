"""How much people agree: beyond chance in each control, on each label, and two by two. From the ledger alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from labelloop.evaluation.agreement import Alpha, alpha, nominal, of_numbers, unlike
from labelloop.kinds import Control, LabelSchema, consensus
from labelloop.kinds.kind import Kind, Labelling, Numeric
from labelloop.ledger import Ledger
from labelloop.types import Annotation

PAIRS = 50
"""Pairs of people that are told at most: those who share most items."""

ALIKE = 300
"""Different answers that are compared at most where each two of them are, as spans and texts are: some seconds."""

TOO_FEW = 20
"""Items below which an agreement says little."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two people.

    Attributes:
        similarity: How much alike they answer the items that both have answered, in [0, 1].
    """

    one: str
    other: str
    items: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """What people agree on in one control.

    Attributes:
        control: Its name.
        all: Of all that is said there.
        labels: Label -> whether an item bears it, of kinds with labels.
        pairs: Who share items, most shared first.
    """

    control: str
    all: Alpha
    labels: Mapping[str, Alpha]
    pairs: Sequence[Pair]

    def in_words(self) -> str:
        """One line for people."""
        if self.all.items == 0:
            return f"{self.control}: no item has answers of two people"
        shared = f"on {self.all.items} item(s) that several people answered"
        if self.all.value is None:
            return f"{self.control}: everybody says the same {shared}, and nobody says anything else: chance would, too"
        few = f"; fewer than {TOO_FEW} items say little" if self.all.items < TOO_FEW else ""
        return f"{self.control}: {alpha_in_words(self.all)} {shared}{few}"


def alpha_in_words(found: Alpha) -> str:
    """The number with its interval."""
    if found.value is None:
        return "nothing to agree on"
    return f"alpha {found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def agreements(ledger: Ledger, schema: LabelSchema) -> list[Agreement]:
    """The agreement in each control, the main one first."""
    said = ledger.said(schema)
    return [_of(control, said) for control in schema.controls]


def as_dict(found: Sequence[Agreement]) -> Mapping[str, Any]:
    """For scripts: control -> its agreement."""
    return {one.control: {name: value for name, value in asdict(one).items() if name != "control"} for one in found}


def _of(control: Control, said: Mapping[str, Sequence[Annotation]]) -> Agreement:
    votes = [given for all_of_it in said.values() if len(given := consensus.votes(control, all_of_it)) > 1]
    units = [list(given.values()) for given in votes]
    kind, labels = control.kind, {}
    if isinstance(kind, Labelling):
        for label in kind.labels:
            labels[label] = alpha([[label in kind.labels_in(answer) for answer in unit] for unit in units], nominal)
    return Agreement(control.name, _of_all(kind, units), labels, _pairs(kind, votes))


def _of_all(kind: Kind, units: Sequence[Sequence[Any]]) -> Alpha:
    if isinstance(kind, Numeric):
        return alpha(units, of_numbers(kind.level, kind.number))
    return alpha(units, unlike(kind.similarity), ALIKE)


def _pairs(kind: Kind, votes: Sequence[Mapping[str, Any]]) -> list[Pair]:
    found: dict[tuple[str, str], list[float]] = {}
    for given in votes:
        for one, other in combinations(sorted(given), 2):
            found.setdefault((one, other), []).append(kind.similarity(given[one], given[other]))
    most = sorted(found, key=lambda pair: (-len(found[pair]), pair))[:PAIRS]
    return [Pair(*pair, len(found[pair]), float(np.mean(found[pair]))) for pair in most]
