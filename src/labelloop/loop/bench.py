"""What everything that thinks over one dataset works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from labelloop.kinds import LabelSchema
from labelloop.ledger import Ledger
from labelloop.protocols import Learner
from labelloop.storage.runs import Run
from labelloop.workspace.config import Config


@dataclass(frozen=True)
class Bench:
    """The settings of a loop, its ledger and its steps.

    Attributes:
        run: Carries out steps, and keeps what they made.
        learner: Made when it is first needed: it may be code of the workspace, which looking at a loop does not need.
        clock: The time of now.
    """

    config: Config
    ledger: Ledger
    run: Run
    schema: LabelSchema
    learner: Callable[[], Learner]
    clock: Callable[[], datetime]
