"""A process that stands among hostile data and starts what labelloop starts: workers of a simulation, installers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from labelloop.backends.label_studio import environment
from labelloop.data import wheels
from labelloop.protocols import silent
from labelloop.simulate.engine import simulate
from labelloop.simulate.replay import ReplayPlan
from labelloop.workspace import integrations

WHERE = "import os, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(os.getcwd())"


def main(into: Path) -> None:
    """Start each; write where it stood into a file of its own."""
    from simulate.test_replay import three_groups

    from support.quick_learner import QuickLearner

    assert simulate(
        three_groups(each=20), ReplayPlan(selectors=("random",), batch=5, budget=10), QuickLearner(), workers=2
    )
    wheels.run([*wheels.installer(os.environ), "--version"], "nothing")
    integrations.run([*list(integrations.installer())[:4], "--version"], "nothing", silent)
    for command in environment.installation(Path("nowhere"), "0.0.0"):
        if command[0] == sys.executable:
            environment.watch([*command[:4], "--help"], "nothing", silent)
    said = [sys.executable, "-P", "-c", WHERE]
    wheels.run([*said, str(into / "wheels")], "nothing")
    integrations.run([*said, str(into / "integrations")], "nothing", silent)
    environment.watch([*said, str(into / "environment")], "nothing", silent)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
