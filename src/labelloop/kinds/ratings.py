"""A rating: so many stars of so many, scored by how far off it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from xml.sax.saxutils import quoteattr

from labelloop.errors import ConfigError
from labelloop.kinds.kind import Statistic, median, share
from labelloop.kinds.values import number, numeral, only_one, value_of
from labelloop.types import Region
from labelloop.types.names import named

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import numpy as np
    import pyarrow as pa


@named("labelloop.Rating")
@dataclass(frozen=True, slots=True)
class Rating:
    """From one star to `stars`; an answer is how many.

    Args:
        stars: The most there are, 2 to 50.

    Raises:
        ConfigError: There are too few or too many stars.
    """

    stars: int = 5
    region_type: ClassVar[str] = "rating"

    def __post_init__(self) -> None:
        if not 2 <= self.stars <= 50:
            raise ConfigError(f"stars = {self.stars} is no scale", "stars = 2 to 50")

    @classmethod
    def of_tag(cls, node: Element, shown: Sequence[str]) -> Rating | None:
        """`Rating`.

        Raises:
            ConfigError: It has too few or too many stars.
        """
        return cls(int(numeral(node, "maxRating", 5))) if node.tag == "Rating" else None

    @property
    def arrow(self) -> pa.DataType:
        """A whole number."""
        import pyarrow as pa

        return pa.int64()

    def tag(self, name: str, shown: str) -> str:
        """`Rating`."""
        return f'<Rating name={quoteattr(name)} toName={quoteattr(shown)} maxRating="{self.stars}"/>'

    def read(self, regions: Sequence[Region]) -> int | None:
        """The stars; None where there are none.

        Raises:
            ConfigError: It is no whole number from 1 to `stars`, or there are several.
        """
        region = only_one(regions)
        return None if region is None else self._sound(number(value_of(region, 0, "rating"), "rating", 0))

    def write(self, answer: Any) -> tuple[Region, ...]:
        """One region.

        Raises:
            ConfigError: As for `read`.
        """
        return ({"type": "rating", "value": {"rating": self._sound(answer)}},)

    def plain(self, answer: Any) -> int:
        """The number."""
        return int(answer)

    def in_words(self, answer: Any) -> str:
        """So many of so many."""
        return f"{answer} of {self.stars}"

    def similarity(self, one: Any, other: Any) -> float:
        """How near they are, as a share of the scale."""
        return 1.0 - float(abs(one - other)) / (self.stars - 1)

    def consensus(self, answers: Sequence[Any]) -> int:
        """The median; of two in the middle the one that is nearer to the newest."""
        return int(median(answers, self.number))

    def counts(self, given: Any, wanted: Any) -> tuple[float, ...]:
        """(nearness in [0, 1], right, 1; squared difference, given, wanted, the squares of both)."""
        squares = float((given - wanted) ** 2), float(given), float(wanted), float(given**2 + wanted**2)
        return self.similarity(given, wanted), float(given == wanted), 1.0, *squares

    @property
    def level(self) -> Literal["ordinal", "interval"]:
        """Only the order counts: from four stars to five may be farther than from one to two."""
        return "ordinal"

    def number(self, answer: Any) -> float:
        """The number it stands for."""
        return float(answer)

    @property
    def scores(self) -> Mapping[str, Statistic]:
        """1 - mean absolute error as a share of the scale; how many are exactly right; quadratic kappa (Cohen 1968)."""
        return {
            "nearness": lambda sums: share(sums[:, [0, 2]]),
            "exact": lambda sums: share(sums[:, 1:]),
            "quadratic-kappa": _quadratic_kappa,
        }

    def _sound(self, value: float) -> int:
        if value != int(value) or not 1 <= value <= self.stars:
            raise ConfigError(f"the rating {value} is not from 1 to {self.stars}", f"1 to {self.stars}")
        return int(value)


def _quadratic_kappa(sums: np.ndarray) -> np.ndarray:
    """(b,) 1 - the squared differences over those that chance would have; 1 where there are none at all."""
    import numpy as np

    n, apart, given, wanted, squares = sums[:, 2:7].T
    chance = squares - 2.0 * given * wanted / n
    lost: np.ndarray = np.divide(apart, chance, out=np.zeros_like(apart), where=chance > 1e-9 * n)
    return 1.0 - lost
