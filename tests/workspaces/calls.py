"""Every cached step of ours with fixed arguments, for its key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any

import numpy as np

from labelloop import rounds
from labelloop.learners.frozen import Frozen
from labelloop.types import Examples, Inputs, Item, LabelSchema


class Net:
    """A backbone or learner of a user."""

    fingerprint = "net-1"


Net.__module__ = "mine"


def calls() -> Iterator[tuple[str, Callable[..., Any], tuple[Any, ...]]]:
    """(name of the step, the step, its arguments); the fingerprint of `Frozen` is to be fixed meanwhile."""
    ids = np.array(["a", "b", "c"])
    features = np.eye(3, 4, dtype=np.float32)
    examples = Examples(
        Inputs(ids, features), np.eye(3, 2, dtype=np.bool_), ("cat", "dog"), False, np.zeros(3, np.bool_)
    )
    model = np.arange(4)  # stands for a folder: both count by their content
    ours = Frozen(schema=LabelSchema("text", ("cat", "dog")))
    item = Item("a", "text", text="a cat")
    yield "embed", rounds.embed, (Net(), ["d1"], [item], len)
    yield "train", rounds.train, (Net(), examples)
    yield "train_from", rounds.train_from, (Net(), examples, model)
    yield "random_curve", rounds.random_curve, (Net(), examples, np.array([True, False, True]))
    yield "out_of_sample", rounds.out_of_sample, (Net(), examples, np.arange(3))
    yield "predict", rounds.predict, (Net(), model, features, ids)[: len(signature(rounds.predict).parameters)]
    yield "evaluate", rounds.evaluate, (features, examples, ["a", "b", "c"], "auto")
    yield "train ours", rounds.train, (ours, examples)
    if hasattr(rounds, "patched"):
        yield "patched", rounds.patched, (features, [0], [[0.0, 1.0, 0.0, 0.0]])
