"""What the answers may cost, in hours or money: what is spent, and how many more questions it pays for. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from labelloop.errors import ConfigError

LONGEST = 600.0
"""Seconds that one answer counts at most: a question that was left open overnight was not worked on all night."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What people have done so far.

    Attributes:
        answers: Annotations, skipped and removed ones included.
        timed: Of these, those whose time is known.
        seconds: People took for these.
    """

    answers: int = 0
    timed: int = 0
    seconds: float = 0.0

    @property
    def each(self) -> float | None:
        """Seconds per answer; None while no time is known."""
        return self.seconds / self.timed if self.timed else None

    @property
    def hours(self) -> float:
        """Hours in all; an answer whose time is not known counts as much as the others."""
        return (self.each or 0.0) * self.answers / 3600


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent beside a number of questions.

    Attributes:
        hours: Of people's time; 0 is no limit.
        money: In any currency; 0 is no limit.
        per_hour: What an hour costs.
        per_label: What an answer costs.

    Raises:
        ConfigError: There is a limit on money, and nothing has a price.
    """

    hours: float = 0.0
    money: float = 0.0
    per_hour: float = 0.0
    per_label: float = 0.0

    def __post_init__(self) -> None:
        if self.money and not (self.per_hour or self.per_label):
            raise ConfigError(
                f"budget.money is {self.money:g}, but nothing has a price",
                "set per_hour or per_label under [budget]",
            )

    def __bool__(self) -> bool:
        return bool(self.hours or self.money)

    def cost(self, spent: Spent) -> float:
        """Money that was spent."""
        return spent.hours * self.per_hour + spent.answers * self.per_label

    def left(self, spent: Spent, open_ones: int) -> int | None:
        """Questions that are still paid for, beside those that are open; None is no limit, or none known yet."""
        hours = (spent.each or 0.0) / 3600
        limits = []
        if self.hours and hours:
            limits.append((self.hours - spent.hours) / hours)
        each = hours * self.per_hour + self.per_label
        if self.money and each:
            limits.append((self.money - self.cost(spent)) / each)
        return max(0, math.floor(min(limits) + 1e-9) - open_ones) if limits else None

    def in_words(self, spent: Spent) -> str:
        """What is spent, of what."""
        parts = [f"{spent.hours:.1f} of {self.hours:g} hours"] if self.hours else []
        parts += [f"{self.cost(spent):.2f} of {self.money:g} in money"] if self.money else []
        return ", ".join(parts)

    def of_labels(self, labels: float, spent: Spent) -> str:
        """What so many answers take, as far as that is known; empty if nothing is."""
        if not math.isfinite(labels):
            return ""
        hours = labels * (spent.each or 0.0) / 3600
        money = hours * self.per_hour + labels * self.per_label
        parts = [f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"] if hours else []
        parts += [f"{money:.0f} in money"] if money else []
        return ", ".join(parts)
