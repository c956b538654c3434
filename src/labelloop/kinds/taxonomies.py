"""A place in a tree of labels, such as animal / bird / owl: scored with the labels above it, as near is not wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from xml.sax.saxutils import quoteattr

from labelloop.errors import ConfigError
from labelloop.kinds.kind import Meaning, Statistic, by_half, f1, plurality, renamed, share, tallied
from labelloop.kinds.values import brief, checked_labels, known_label, value_of
from labelloop.types import Region
from labelloop.types.names import named

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import pyarrow as pa

Paths = tuple[str, ...]
SLASH = "/"
"""Between the parts of a path; Label Studio has a list of parts."""


@named("labelloop.Taxonomy")
@dataclass(frozen=True, slots=True)
class Taxonomy:
    """One place in a tree, or several; an answer is their paths in the order of the schema.

    Args:
        labels: The places people may choose, each with those above it: `animal/bird/owl`. What is above a place need
            not be listed; where it is, it can be chosen, too.
        multiple: Whether several may be given, or none of them.

    Raises:
        ConfigError: Fewer than two places, one twice, or one with an empty part.
    """

    labels: tuple[str, ...]
    multiple: bool = False
    region_type: ClassVar[str] = "taxonomy"

    def __post_init__(self) -> None:
        labels = checked_labels(self.labels, 2, "a taxonomy", "[controls.NAME]")
        for label in labels:
            if any(not part or part != part.strip() for part in label.split(SLASH)):
                raise ConfigError(
                    f"label {brief(repr(label))} has an empty part, or one with spaces around it",
                    'write it as "animal/bird/owl"',
                )
        object.__setattr__(self, "labels", labels)

    @classmethod
    def of_tag(cls, node: Element, shown: Sequence[str]) -> Taxonomy | None:
        """`Taxonomy` whose tree stands in it, without a slash in a name.

        Raises:
            ConfigError: A place is empty, or there twice.
        """
        paths = _paths_below(node, ())
        if node.tag != "Taxonomy" or node.get("apiUrl") or len(paths) < 2:
            return None
        if any(not part or SLASH in part or part.startswith("$") for path in paths for part in path):
            return None
        if node.get("leafsOnly") == "true":
            paths = [path for path in paths if not any(other[: len(path)] == path != other for other in paths)]
        return cls(tuple(map(SLASH.join, paths)), node.get("maxUsages") != "1")

    @property
    def arrow(self) -> pa.DataType:
        """A list of paths."""
        import pyarrow as pa

        return pa.list_(pa.string())

    def tag(self, name: str, shown: str) -> str:
        """`Taxonomy` with the tree."""
        tree: dict[str, Any] = {}
        for label in self.labels:
            node = tree
            for part in label.split(SLASH):
                node = node.setdefault(part, {})
        inner = {above for label in self.labels for above in _above(label) if above != label}
        leaves = "" if inner & set(self.labels) else ' leafsOnly="true"'
        one = "" if self.multiple else ' maxUsages="1"'
        lines = "\n".join(_choices(tree, "  "))
        return f"<Taxonomy name={quoteattr(name)} toName={quoteattr(shown)}{leaves}{one}>\n{lines}\n</Taxonomy>"

    def read(self, regions: Sequence[Region]) -> Paths | None:
        """The paths in the order of the schema; None where there are none, but for several without a region.

        Raises:
            ConfigError: A place is not in the tree, the value is no list of paths, or there are several for one.
        """
        return _chosen(
            self, [path for place, one in enumerate(regions) for path in _paths(one, place)], silent=not regions
        )

    def write(self, answer: Any) -> tuple[Region, ...]:
        """One region; none where there is no place.

        Raises:
            ConfigError: As for `read`.
        """
        chosen = _chosen(self, answer, silent=True) or ()
        return ({"type": "taxonomy", "value": {"taxonomy": [one.split(SLASH) for one in chosen]}},) if chosen else ()

    def plain(self, answer: Any) -> list[str]:
        """A list of paths."""
        return list(answer)

    def in_words(self, answer: Any) -> str:
        """The paths, with commas."""
        return ", ".join(brief(path) for path in answer) or "none of them"

    def similarity(self, one: Any, other: Any) -> float:
        """The share of the labels on both ways from the root, of those on either (Jaccard)."""
        ours, theirs = _with_above(one), _with_above(other)
        if one == other or not ours | theirs:
            return 1.0
        return min(len(ours & theirs) / len(ours | theirs), 0.999)

    def consensus(self, answers: Sequence[Any]) -> Paths:
        """The place that most give; of several each that at least half give, a tie by the newest."""
        return by_half(self.labels, answers) if self.multiple else plurality(answers)

    def counts(self, given: Any, wanted: Any) -> tuple[float, ...]:
        """(labels on the way rightly given, wrongly given, missed; right, 1)."""
        ours, theirs = _with_above(given), _with_above(wanted)
        hits = len(ours & theirs)
        return float(hits), len(ours) - hits, len(theirs) - hits, float(set(given) == set(wanted)), 1.0

    @property
    def scores(self) -> Mapping[str, Statistic]:
        """F1 over places with all above them (Kiritchenko et al. 2006), and how many are exactly right."""
        return {"hierarchical-F1": lambda sums: f1(sums[:, :3]), "exact": lambda sums: share(sums[:, 3:])}

    def labels_in(self, answer: Any) -> Sequence[str]:
        """The paths themselves."""
        return tuple(answer)

    def by_label(self, given: Any, wanted: Any) -> Mapping[str, tuple[int, int, int]]:
        """Of places, without those above them."""
        return tallied(*([((), path) for path in paths] for paths in (given, wanted)))

    def translate(self, answer: Any, meaning: Meaning) -> Paths | None:
        """Each path by what it means now; a removed one is left out where several may be given."""
        return renamed(answer, meaning, optional=self.multiple)


def _chosen(kind: Taxonomy, paths: Sequence[str], *, silent: bool) -> Paths | None:
    for path in paths:
        known_label(kind.labels, path)
    chosen = tuple(label for label in kind.labels if label in paths)
    if len(chosen) > 1 and not kind.multiple:
        raise ConfigError(
            f"{len(chosen)} places ({brief(', '.join(chosen))}) where one is asked for", "multiple = true"
        )
    return chosen if chosen or (kind.multiple and silent) else None


def _above(path: str) -> list[str]:
    """A path and those above it, from the root."""
    parts = path.split(SLASH)
    return [SLASH.join(parts[: length + 1]) for length in range(len(parts))]


def _with_above(paths: Iterable[str]) -> set[str]:
    return {above for path in paths for above in _above(path)}


def _paths_below(node: Element, above: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The paths of all choices below a tag, each with the parts above it."""
    found = []
    for child in node.iterfind("Choice"):
        path = (*above, child.get("alias") or child.get("value") or "")
        found += [path, *_paths_below(child, path)]
    return found


def _choices(tree: Mapping[str, Any], indent: str) -> list[str]:
    lines = []
    for name, below in tree.items():
        if below:
            lines += [
                f"{indent}<Choice value={quoteattr(name)}>",
                *_choices(below, f"{indent}  "),
                f"{indent}</Choice>",
            ]
        else:
            lines.append(f"{indent}<Choice value={quoteattr(name)}/>")
    return lines


def _paths(region: Region, place: int) -> list[str]:
    found = value_of(region, place, "taxonomy").get("taxonomy")
    if not isinstance(found, list | tuple) or not all(map(_is_path, found)):
        raise ConfigError(
            f"result[{place}].value.taxonomy is {brief(found)}, not a list of paths", 'taxonomy = [["animal", "bird"]]'
        )
    return [SLASH.join(path) for path in found]


def _is_path(path: Any) -> bool:
    return isinstance(path, list | tuple) and bool(path) and all(isinstance(part, str) for part in path)
