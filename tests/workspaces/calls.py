"""Every cached step of ours with fixed arguments, for its key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any

import numpy as np

from labelloop.kinds import LabelSchema
from labelloop.learners.frozen import Frozen
from labelloop.loop import round_steps
from labelloop.types import Examples, Inputs, Item


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
    yield "embed", round_steps.embed, (Net(), ["d1"], [item], len)
    yield "train", round_steps.train, (Net(), examples)
    yield "train_from", round_steps.train_from, (Net(), examples, model)
    yield "random_curve", round_steps.random_curve, (Net(), examples, np.array([True, False, True]))
    yield "out_of_sample", round_steps.out_of_sample, (Net(), examples, np.arange(3))
    yield (
        "predict",
        round_steps.predict,
        (Net(), model, features, ids)[: len(signature(round_steps.predict).parameters)],
    )
    yield "evaluate", round_steps.evaluate, (features, examples, ["a", "b", "c"], "auto")
    yield "train ours", round_steps.train, (ours, examples)
    if hasattr(round_steps, "patched"):
        yield "patched", round_steps.patched, (features, [0], [[0.0, 1.0, 0.0, 0.0]])
