"""A number that people write, such as a count, an age or a price: scored by how far off it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from xml.sax.saxutils import quoteattr

from labelloop.errors import ConfigError
from labelloop.kinds.kind import Statistic, median, share
from labelloop.kinds.values import brief, number, numeral, only_one, value_of
from labelloop.types import Region
from labelloop.types.names import named

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import pyarrow as pa


@named("labelloop.Number")
@dataclass(frozen=True, slots=True)
class Number:
    """A number from `least` to `most`.

    Args:
        least: The lower bound, with `most`. Nearness is a share of the scale then, as 1 - MAE / (most - least); without
            bounds it is a share of the two numbers, as 1 - |a - b| / (|a| + |b|).
        most: The upper bound.
        step: What the number is a multiple of, counted from `least`; 0 is any.

    Raises:
        ConfigError: The bounds are no scale, there is only one, or the step is none.
    """

    least: float | None = None
    most: float | None = None
    step: float = 0.0
    region_type: ClassVar[str] = "number"

    def __post_init__(self) -> None:
        if (self.least is None) != (self.most is None):
            raise ConfigError(f"least = {self.least} and most = {self.most}: one is missing", "set both, or neither")
        if self.least is not None and self.most is not None:
            object.__setattr__(self, "least", _finite(self.least, "least"))
            object.__setattr__(self, "most", _finite(self.most, "most"))
            if self.least >= self.most:
                raise ConfigError(f"least = {self.least} and most = {self.most} are no scale", "least < most")
        object.__setattr__(self, "step", _finite(self.step, "step"))
        if self.step < 0:
            raise ConfigError(f"step = {self.step} is less than nothing", "step = 1, or leave it out")

    @classmethod
    def of_tag(cls, node: Element, shown: Sequence[str]) -> Number | None:
        """`Number`; with one bound alone it has none.

        Raises:
            ConfigError: Its bounds are no scale.
        """
        if node.tag != "Number":
            return None
        least, most = (numeral(node, name, None) for name in ("min", "max"))
        step = 0.0 if node.get("step", "any") == "any" else numeral(node, "step", 0.0)
        return cls(least, most, step) if least is not None and most is not None else cls(step=step)

    @property
    def arrow(self) -> pa.DataType:
        """A number."""
        import pyarrow as pa

        return pa.float64()

    def tag(self, name: str, shown: str) -> str:
        """`Number` with its bounds."""
        bounds = {"min": self.least, "max": self.most, "step": self.step or "any"}
        options = "".join(f' {key}="{_plain(value)}"' for key, value in bounds.items() if value is not None)
        return f"<Number name={quoteattr(name)} toName={quoteattr(shown)}{options}/>"

    def read(self, regions: Sequence[Region]) -> float | None:
        """The number; None where there is none.

        Raises:
            ConfigError: It is no number, out of bounds, no multiple of the step, or there are several.
        """
        region = only_one(regions)
        return None if region is None else self._sound(number(value_of(region, 0, "number"), "number", 0))

    def write(self, answer: Any) -> tuple[Region, ...]:
        """One region.

        Raises:
            ConfigError: As for `read`.
        """
        return ({"type": "number", "value": {"number": _plain(self._sound(number({"it": answer}, "it", 0)))}},)

    def plain(self, answer: Any) -> float:
        """The number."""
        return float(answer)

    def in_words(self, answer: Any) -> str:
        """The number."""
        return f"{answer:,.10g}"

    def similarity(self, one: Any, other: Any) -> float:
        """How near they are: as a share of the scale, or of the two numbers."""
        if one == other:
            return 1.0
        scale = abs(one) + abs(other) if self.least is None or self.most is None else self.most - self.least
        return float(min(max(0.0, 1.0 - abs(one - other) / scale), math.nextafter(1.0, 0.0)))

    def consensus(self, answers: Sequence[Any]) -> float:
        """The median; of two in the middle the one that is nearer to the newest."""
        return float(median(answers, self.number))

    def counts(self, given: Any, wanted: Any) -> tuple[float, ...]:
        """(nearness in [0, 1], right, 1)."""
        return self.similarity(given, wanted), float(given == wanted), 1.0

    @property
    def level(self) -> Literal["ordinal", "interval"]:
        """The difference counts."""
        return "interval"

    def number(self, answer: Any) -> float:
        """The number it stands for."""
        return float(answer)

    @property
    def scores(self) -> Mapping[str, Statistic]:
        """Mean nearness, and how many are exactly right."""
        return {"nearness": lambda sums: share(sums[:, [0, 2]]), "exact": lambda sums: share(sums[:, 1:])}

    def _sound(self, value: float) -> float:
        if self.least is not None and self.most is not None and not self.least <= value <= self.most:
            raise ConfigError(
                f"the number {_plain(value)} is not from {_plain(self.least)} to {_plain(self.most)}",
                "give one of these",
            )
        steps = (value - (self.least or 0.0)) / self.step if self.step else 0.0
        if abs(steps - round(steps)) > 1e-6:
            raise ConfigError(f"the number {_plain(value)} is no multiple of {_plain(self.step)}", "give one that is")
        return value + 0.0


def _finite(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{name} = {brief(repr(value))} is no number", f"{name} = 1")
    return float(value)


def _plain(value: Any) -> Any:
    """A whole number without its point."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value
