"""An order of things in a list, or which of them belong into which bucket: what people rank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar
from xml.sax.saxutils import quoteattr

from labelloop.errors import ConfigError
from labelloop.kinds.kind import Statistic, share
from labelloop.kinds.values import brief, checked_labels, only_one, value_of
from labelloop.types import Region
from labelloop.types.names import named

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import pyarrow as pa

Ranked = tuple[tuple[str, tuple[str, ...]], ...]
"""Buckets by name, each with the ids in it, the best first."""

REST = "_"
"""Label Studio's name of the bucket in which lies what nobody has put anywhere yet."""

_MOST = 1000


@named("labelloop.Ranking")
@dataclass(frozen=True, slots=True)
class Ranking:
    """The entries of a list in an order, or put into buckets; an answer is each bucket with its ids in their order.

    Args:
        buckets: Their names; none for one list that is put in order.
        key: What Label Studio calls that one list in its answers: the name of the control.

    Raises:
        ConfigError: A bucket is there twice, or has no name.
    """

    buckets: tuple[str, ...] = ()
    key: str = "rank"
    region_type: ClassVar[str] = "ranker"
    scores: ClassVar[Mapping[str, Statistic]] = {
        "pairs": lambda sums: share(sums[:, :2]),
        "exact": lambda sums: share(sums[:, 2:]),
    }
    """The share of pairs that stand as people put them, which is (Kendall's tau + 1) / 2 of one list without ties; and
    how many are exactly right."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "buckets", checked_labels(self.buckets, 0, "a ranking", "[controls.NAME]"))

    @classmethod
    def of_tag(cls, node: Element, shown: Sequence[str]) -> Ranking | None:
        """`Ranker` over a `List`.

        Raises:
            ConfigError: A bucket has no name, or is there twice.
        """
        if node.tag != "Ranker" or list(shown) != ["List"]:
            return None
        return cls(tuple(bucket.get("name") or "" for bucket in node.iter("Bucket")), node.get("name") or "rank")

    @property
    def arrow(self) -> pa.DataType:
        """A list of buckets with their ids."""
        import pyarrow as pa

        return pa.list_(pa.struct([("bucket", pa.string()), ("ids", pa.list_(pa.string()))]))

    def tag(self, name: str, shown: str) -> str:
        """`Ranker` with its buckets."""
        buckets = "".join(f"\n  <Bucket name={quoteattr(one)} title={quoteattr(one)}/>" for one in self.buckets)
        return f"<Ranker name={quoteattr(name)} toName={quoteattr(shown)}>{buckets}\n</Ranker>"

    def read(self, regions: Sequence[Region]) -> Ranked | None:
        """The order; None where nothing was ranked.

        Raises:
            ConfigError: It is no object of lists of ids, an id stands twice, or a bucket is unknown.
        """
        region = only_one(regions)
        if region is None:
            return None
        found = value_of(region, 0, "ranker").get("ranker")
        if not isinstance(found, Mapping) or not all(map(_is_ids, found.values())):
            raise ConfigError(
                f"result[0].value.ranker is {brief(found)}, not lists of ids", 'ranker = {"rank": ["b", "a"]}'
            )
        said = {str(bucket): tuple(map(str, ids)) for bucket, ids in found.items() if bucket != REST}
        if not self.buckets and len(said) == 1:
            said = {self.key: next(iter(said.values()))}
        return self._sound(said) if any(said.values()) else None

    def write(self, answer: Any) -> tuple[Region, ...]:
        """One region.

        Raises:
            ConfigError: As for `read`.
        """
        said = self._sound({bucket: tuple(ids) for bucket, ids in answer})
        return ({"type": "ranker", "value": {"ranker": {bucket: list(ids) for bucket, ids in said}}},)

    def plain(self, answer: Any) -> list[dict[str, Any]]:
        """A list of buckets with their ids."""
        return [{"bucket": bucket, "ids": list(ids)} for bucket, ids in answer]

    def in_words(self, answer: Any) -> str:
        """Each bucket with its ids in order."""
        orders = [(bucket, " > ".join(ids) or "nothing") for bucket, ids in answer]
        return brief("; ".join(f"{bucket}: {order}" if self.buckets else order for bucket, order in orders))

    def similarity(self, one: Any, other: Any) -> float:
        """The share of pairs that stand the same way in both; below 1 unless both say the same."""
        if one == other:
            return 1.0
        same, pairs = _same_pairs(one, other)
        return min(same / pairs if pairs else 0.0, 0.999)

    def consensus(self, answers: Sequence[Any]) -> Ranked:
        """What more than half say; else each id in the bucket that most give it, by its mean place (Borda).

        A tie is as the newest has it.
        """
        said, times = Counter(answers).most_common(1)[0]
        if times > len(answers) / 2:
            return said  # type: ignore[no-any-return]
        newest = _places(answers[-1])
        seen: dict[str, list[tuple[str, float]]] = {}
        for answer in answers:
            for one, place in _places(answer).items():
                seen.setdefault(one, []).append(place)
        chosen: dict[str, list[tuple[float, float, str]]] = {bucket: [] for bucket in self.buckets or (self.key,)}
        for one, places in seen.items():
            votes = Counter(bucket for bucket, _ in places)
            most = [bucket for bucket, given in votes.items() if given == max(votes.values())]
            mine, own = newest.get(one, ("", 1.0))
            mean = sum(place for _, place in places) / len(places)
            chosen[mine if mine in most else most[-1]].append((round(mean, 9), own, one))
        return tuple((bucket, tuple(one for *_, one in sorted(ids))) for bucket, ids in chosen.items())

    def parts_in(self, answer: Any) -> Sequence[str]:
        """The ids."""
        return [one for _, ids in answer for one in ids]

    def counts(self, given: Any, wanted: Any) -> tuple[float, ...]:
        """(pairs as people put them, pairs, exactly right, 1)."""
        same, pairs = _same_pairs(given, wanted)
        exact = float(given == wanted)
        return (same, pairs, exact, 1.0) if pairs else (exact, 1.0, exact, 1.0)

    def _sound(self, said: Mapping[str, tuple[str, ...]]) -> Ranked:
        known = self.buckets or (self.key,)
        if unknown := sorted(said.keys() - set(known)):
            raise ConfigError(
                f"the bucket {brief(repr(unknown[0]))} is not in the ranking", f"there are: {', '.join(known)}"
            )
        ids = [one for bucket in said.values() for one in bucket]
        if twice := [one for one, times in Counter(ids).items() if times > 1]:
            raise ConfigError(f"the id {brief(repr(twice[0]))} is ranked twice", "rank each once")
        if len(ids) > _MOST:
            raise ConfigError(f"{len(ids):,} ids are ranked", f"at most {_MOST:,}")
        return tuple((bucket, said.get(bucket, ())) for bucket in known)


def _is_ids(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(one, str | int) and not isinstance(one, bool) for one in value
    )


def _same_pairs(one: Ranked, other: Ranked) -> tuple[float, float]:
    """Pairs of ids that both rank and put the same way round or in the same buckets, and all pairs of either."""
    ours, theirs = _ways(one), _ways(other)
    return float(sum(ours[pair] == way for pair, way in theirs.items() if pair in ours)), float(len(ours | theirs))


def _places(answer: Ranked) -> dict[str, tuple[str, float]]:
    """Id -> its bucket, and its place in it from 0 for the best to 1."""
    return {one: (bucket, place / max(len(ids) - 1, 1)) for bucket, ids in answer for place, one in enumerate(ids)}


def _ways(answer: Ranked) -> dict[tuple[str, str], Any]:
    """How each two ids stand to one another: which is first, or which bucket each is in."""
    at = {one: (bucket, place) for bucket, ids in answer for place, one in enumerate(ids)}
    found: dict[tuple[str, str], Any] = {}
    for one, other in combinations(sorted(at), 2):
        (bucket, place), (theirs, after) = at[one], at[other]
        found[one, other] = place < after if bucket == theirs else (bucket, theirs)
    return found
