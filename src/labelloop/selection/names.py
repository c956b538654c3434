"""What users write -> selector: a name, `module:attribute`, or a form such as `mix(uherding, typiclust, 0.5)`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labelloop.errors import ConfigError
from labelloop.machine.registry import flavors, resolve, unknown
from labelloop.protocols import Selector
from labelloop.selection.auto import auto
from labelloop.selection.chance import random
from labelloop.selection.clusters import centroids, typiclust
from labelloop.selection.compose import balanced, diverse, mix, subsample
from labelloop.selection.coverage import coreset, probcover, uherding
from labelloop.selection.gradients import badge
from labelloop.selection.relabel import relabel
from labelloop.selection.uncertainty import entropy, least_confident, margin
from labelloop.selection.votes import dropquery

AUTO = "auto"

SELECTORS: Mapping[str, Selector] = {
    AUTO: auto,
    "uherding": uherding,
    "margin": margin,
    "least-confident": least_confident,
    "entropy": entropy,
    "badge": badge,
    "dropquery": dropquery,
    "centroids": centroids,
    "typiclust": typiclust,
    "probcover": probcover,
    "coreset": coreset,
    "random": random,
}
"""The selectors that come with labelloop, by the name users write; the default first."""


@dataclass(frozen=True)
class Form:
    """How one way to put selectors together is written.

    Attributes:
        make: Builds the selector.
        selectors: How many selectors come first.
        number: Whether a number may follow.
        example: What to write.
    """

    make: Callable[..., Selector]
    selectors: int
    number: bool
    example: str


FORMS: Mapping[str, Form] = {
    "mix": Form(mix, 2, True, "mix(uherding, typiclust, 0.5)"),
    "subsample": Form(subsample, 1, True, "subsample(badge, 50000)"),
    "balanced": Form(balanced, 1, False, "balanced(uherding)"),
    "diverse": Form(diverse, 1, True, "diverse(margin, 10)"),
    "relabel": Form(relabel, 1, True, "relabel(auto, 0.2)"),
}
"""The ways to put selectors together."""

EMBEDDING = frozenset(
    {AUTO, "uherding", "badge", "dropquery", "centroids", "typiclust", "probcover", "coreset", "diverse"}
)
"""The selectors, and ways to put some together, that look at embeddings."""

PROBABILITIES = frozenset({"badge", "dropquery", "balanced", "relabel"})
"""The selectors, and ways to put some together, that need a probability for each label of an item."""

_TOKEN = re.compile(r"\s*(?:(?P<mark>[(),])|(?P<word>[^\s(),]+))")

_Tree = str | tuple[str, Sequence[Any]]
"""A word, or a name with what stands in its parentheses."""


def selector_of(name: str) -> Selector:
    """The selector that is written so: a name of `SELECTORS`, an installed flavor, `module:attribute`, or a form.

    Raises:
        NotFoundError: A name in it is unknown.
        ConfigError: It is not written as a selector is, takes the wrong arguments, cannot be imported, or cannot be
            called.
    """
    if not re.search(r"[(),]", name):
        return _named(name)
    words = [(one["mark"] or one["word"]) for one in _TOKEN.finditer(name.strip())]
    tree, rest = _parsed(name, words)
    if rest:
        raise _malformed(name, f"{' '.join(rest)!r} follows where it should end")
    return _built(name, tree)


def needs_embeddings(name: str) -> bool:
    """Whether what is written so looks at embeddings; of code of the workspace nobody knows, and it may."""
    return not EMBEDDING.isdisjoint(re.findall(r"[^\s(),]+", name))


def needs_probabilities(name: str) -> str:
    """What of that which is written so needs probabilities of labels; empty where nothing does."""
    return next((word for word in re.findall(r"[^\s(),]+", name) if word in PROBABILITIES), "")


def _parsed(name: str, words: Sequence[str]) -> tuple[_Tree, Sequence[str]]:
    """The first expression, and the words after it."""
    if not words or words[0] in "(),":
        raise _malformed(name, f"a selector is missing before {words[0]!r}" if words else "it ends too early")
    head, rest = words[0], words[1:]
    if not rest or rest[0] != "(":
        return head, rest
    arguments: list[_Tree] = []
    while rest and rest[0] in ("(", ","):
        argument, rest = _parsed(name, rest[1:])
        arguments.append(argument)
    if not rest or rest[0] != ")":
        raise _malformed(name, f"{head}( is not closed" if not rest else f"{rest[0]!r} stands where ',' or ')' should")
    return (head, arguments), rest[1:]


def _built(name: str, tree: _Tree) -> Selector:
    if isinstance(tree, str):
        return _named(tree)
    head, arguments = tree
    form = FORMS.get(head)
    if form is None:
        raise unknown("way to put selectors together", head, dict(FORMS))
    if not form.selectors <= len(arguments) <= form.selectors + form.number:
        raise ConfigError(f"{head} has {len(arguments)} argument(s) in {name!r}", f"write it as {form.example}")
    parts = [_built(name, one) for one in arguments[: form.selectors]]
    return form.make(*parts, *(_number(name, one, form) for one in arguments[form.selectors :]))


def _number(name: str, tree: _Tree, form: Form) -> float:
    written = tree if isinstance(tree, str) else f"{tree[0]}(...)"
    try:
        return float(written)
    except ValueError:
        raise ConfigError(f"{written!r} in {name!r} is not a number", f"write it as {form.example}") from None


def _named(name: str) -> Selector:
    if name in SELECTORS:
        return SELECTORS[name]
    if ":" not in name and name not in flavors("selector"):
        raise unknown("selector", name, {**SELECTORS, **flavors("selector"), **{f.example: f for f in FORMS.values()}})
    found = resolve("selector", name)
    if not callable(found):
        raise ConfigError(f"selector {name!r} is {found!r}, which cannot be called", "name a function (pool, n, rng)")
    chosen: Selector = found
    return chosen


def _malformed(name: str, what: str) -> ConfigError:
    return ConfigError(
        f"selector {name!r} cannot be read: {what}", "write a name, or for example " + FORMS["mix"].example
    )
