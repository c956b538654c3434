"""How the workspaces in this folder were made: `python make.py NUMBER` of an old commit, with its PYTHONPATH=src:tests.

Four rounds of 48 texts, played by the last commit before the ledger's next version; version 7 by `b4b43ee`.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from support import small_world

HERE = Path(__file__).parent


def main(number: str) -> None:
    """Play four rounds in a folder, and pack it."""
    os.environ["LABELLOOP_TRUST"] = "/"
    text = small_world.TOML.replace("support.quick_learner:QuickLearner", "old_learner:OldLearner")
    with TemporaryDirectory() as folder:
        small_world.TOML = text
        world = small_world.World(Path(folder))
        world.add(48)
        world.play(4)
        loop = world.loop()
        loop.study()
        for name in ("out_of_sample", "doubt"):
            if hasattr(loop.learning, name):
                getattr(loop.learning, name)()
        loop.ledger.close()
        shutil.make_archive(str(HERE / f"version-{number}"), "zip", folder)


if __name__ == "__main__":
    main(sys.argv[1])
