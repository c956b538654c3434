"""Whatever people say in a control that no kind reads: kept as it is, compared as a whole, never learned from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from labelloop.errors import ConfigError
from labelloop.kinds.kind import Statistic, plurality, share
from labelloop.kinds.values import brief
from labelloop.types import Region
from labelloop.types.names import named

if TYPE_CHECKING:
    import pyarrow as pa

_OURS = ("from_name", "to_name", "origin", "score")
"""Fields of a region that say where it stands, not what somebody said."""


@named("labelloop.Regions")
@dataclass(frozen=True, slots=True)
class Regions:
    """The regions of a control of somebody's own label config; an answer is their JSON.

    Args:
        control: The tag of the control, such as `BrushLabels`.
    """

    control: str

    @property
    def arrow(self) -> pa.DataType:
        """A text of JSON."""
        import pyarrow as pa

        return pa.string()

    @property
    def region_type(self) -> str:
        """Label Studio's word: the tag in small letters."""
        return self.control.lower()

    def tag(self, name: str, shown: str) -> str:
        """The control without its options, which only the config itself has."""
        return f"<{self.control} name={quoteattr(name)} toName={quoteattr(shown)}/>"

    def read(self, regions: Sequence[Region]) -> str | None:
        """The regions; None where there are none.

        Raises:
            ConfigError: One has no type or no value.
        """
        for place, region in enumerate(regions):
            if not isinstance(region.get("type"), str) or not region.get("value"):
                raise ConfigError(f"result[{place}] is {brief(dict(region))}, no region", "give it a type and a value")
        said = [{key: value for key, value in region.items() if key not in _OURS} for region in regions]
        return json.dumps(said, ensure_ascii=False, sort_keys=True) if said else None

    def write(self, answer: Any) -> tuple[Region, ...]:
        """The regions again.

        Raises:
            ConfigError: It is no answer.
        """
        try:
            return tuple(dict(region) for region in json.loads(answer))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{brief(repr(answer))} holds no regions", "give what `read` gave") from error

    def plain(self, answer: Any) -> str:
        """The JSON."""
        return str(answer)

    def in_words(self, answer: Any) -> str:
        """How many, and the first of them."""
        said = self.write(answer)
        return f"{len(said)} region(s): {brief(json.dumps(said[0]['value'], ensure_ascii=False))}"

    def similarity(self, one: Any, other: Any) -> float:
        """1 where both are the same."""
        return float(one == other)

    def consensus(self, answers: Sequence[Any]) -> str:
        """What most say; of as many the newest."""
        return str(plurality(answers))

    def counts(self, given: Any, wanted: Any) -> tuple[float, ...]:
        """(equal, 1)."""
        return float(given == wanted), 1.0

    @property
    def scores(self) -> Mapping[str, Statistic]:
        """How many are exactly right."""
        return {"exact": share}
