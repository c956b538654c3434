"""A matplotlibrc in the folder has no say in our figures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import matplotlib
from labelloop.report.figures import own_settings
with own_settings():
    print(matplotlib.rcParams["text.usetex"], matplotlib.rcParams["savefig.directory"])
print(matplotlib.rcParams["text.usetex"])
"""


def test_settings_of_the_folder_do_not_have_latex_run(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nsavefig.directory: /elsewhere\n")

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["False", "~", "True"]
