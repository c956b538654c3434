"""A step of this project's own: it takes the place of the built-in `train`."""

from __future__ import annotations

from pathlib import Path

from labelloop.steps import step
from labelloop.types import Examples

from learner import FineTunedHead


@step
def continue_training(learner: FineTunedHead, base: Path | None, examples: Examples, out: Path) -> Path:
    """A model folder: the head of `base` trained on, or a new one; `out` is an empty folder that labelloop gives."""
    learner.continue_from(base, examples, out)
    return out
