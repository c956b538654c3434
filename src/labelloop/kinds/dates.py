"""A day that people give, such as when a contract begins: scored by the days it is off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from xml.sax.saxutils import quoteattr

from labelloop.errors import ConfigError
from labelloop.kinds.kind import Statistic, median, share
from labelloop.kinds.values import brief, only_one, value_of
from labelloop.types import Region
from labelloop.types.names import named

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import pyarrow as pa


@named("labelloop.Day")
@dataclass(frozen=True, slots=True)
class Day:
    """A day; an answer is its ISO 8601 text, such as 2026-11-30.

    Args:
        earliest: The first day there can be, as such a text; empty is any.
        latest: The last one.

    Raises:
        ConfigError: A bound is no day, or none lies between them.
    """

    earliest: str = ""
    latest: str = ""
    region_type: ClassVar[str] = "datetime"

    def __post_init__(self) -> None:
        for name in ("earliest", "latest"):
            value = getattr(self, name)
            text = value.isoformat() if isinstance(value, date) else value  # TOML has days of its own
            object.__setattr__(self, name, _day(text, name) if text else "")
        if self.earliest and self.latest and self.earliest > self.latest:
            raise ConfigError(f"no day is from {self.earliest} to {self.latest}", "set earliest before latest")

    @classmethod
    def of_tag(cls, node: Element, shown: Sequence[str]) -> Day | None:
        """`DateTime` that asks for a day alone, and writes it as ISO 8601 does."""
        is_day = node.get("only") == "date" and node.get("format", "%Y-%m-%d") == "%Y-%m-%d"
        return cls(node.get("min", ""), node.get("max", "")) if node.tag == "DateTime" and is_day else None

    @property
    def arrow(self) -> pa.DataType:
        """A text, as JSON has no days."""
        import pyarrow as pa

        return pa.string()

    def tag(self, name: str, shown: str) -> str:
        """`DateTime` that asks for the day alone."""
        bounds = {"min": self.earliest, "max": self.latest}
        options = "".join(f' {key}="{value}"' for key, value in bounds.items() if value)
        return f'<DateTime name={quoteattr(name)} toName={quoteattr(shown)} only="date" format="%Y-%m-%d"{options}/>'

    def read(self, regions: Sequence[Region]) -> str | None:
        """The day; None where there is none.

        Raises:
            ConfigError: It is no day, out of bounds, or there are several.
        """
        region = only_one(regions)
        return None if region is None else self._sound(value_of(region, 0, "datetime").get("datetime"))

    def write(self, answer: Any) -> tuple[Region, ...]:
        """One region.

        Raises:
            ConfigError: As for `read`.
        """
        return ({"type": "datetime", "value": {"datetime": self._sound(answer)}},)

    def plain(self, answer: Any) -> str:
        """The text."""
        return str(answer)

    def in_words(self, answer: Any) -> str:
        """The text."""
        return str(answer)

    def similarity(self, one: Any, other: Any) -> float:
        """1 / (1 + the days between them)."""
        return 1.0 / (1.0 + abs(self.number(one) - self.number(other)))

    def consensus(self, answers: Sequence[Any]) -> str:
        """The median; of two in the middle the one that is nearer to the newest."""
        return str(median(answers, self.number))

    def counts(self, given: Any, wanted: Any) -> tuple[float, ...]:
        """(right, within a week, 1)."""
        alike = self.similarity(given, wanted)
        return float(given == wanted), float(alike >= 1 / 8), 1.0

    @property
    def level(self) -> Literal["ordinal", "interval"]:
        """The days between count."""
        return "interval"

    def number(self, answer: Any) -> float:
        """The number it stands for."""
        return float(date.fromisoformat(answer).toordinal())

    @property
    def scores(self) -> Mapping[str, Statistic]:
        """How many are exactly right, and how many within a week."""
        return {"exact": lambda sums: share(sums[:, [0, 2]]), "within a week": lambda sums: share(sums[:, 1:])}

    def _sound(self, value: Any) -> str:
        day = _day(value, "result[0].value.datetime")
        if (self.earliest and day < self.earliest) or (self.latest and day > self.latest):
            raise ConfigError(
                f"the day {day} is not from {self.earliest or 'ever'} to {self.latest or 'ever'}", "give one of these"
            )
        return day


def _day(value: Any, what: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{what} is {brief(repr(value))}, not a day", "write it as 2026-11-30") from error
