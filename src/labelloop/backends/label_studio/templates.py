"""The label configs that Label Studio ships for people to begin with, read from the one that labelloop installs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence

from labelloop.backends.label_studio.environment import child_environment, ensure_environment, tail
from labelloop.errors import BackendError
from labelloop.protocols import Progress, silent
from labelloop.types import Template

_LIST = """
import json, pathlib, importlib.util, yaml
root = pathlib.Path(importlib.util.find_spec("label_studio").origin).parent / "annotation_templates"
found = [(path.parent.name, yaml.safe_load(path.read_text("utf-8"))) for path in sorted(root.glob("*/*/config.yml"))]
print(json.dumps([[name, str(one["title"]), str(one["group"]), one["config"]] for name, one in found]))
"""
_PATIENCE = 120


def shipped(progress: Progress = silent) -> Sequence[Template]:
    """Every template, by group and name; Label Studio is installed for it where it is not yet.

    Raises:
        BackendError: It could not be installed, or its templates cannot be read.
    """
    python = ensure_environment(progress=progress)
    try:
        ran = subprocess.run(
            [str(python), "-I", "-c", _LIST],
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=child_environment({"PYTHONIOENCODING": "utf-8"}),
            timeout=_PATIENCE,
            check=True,
        )
        listed = json.loads(ran.stdout)
    except subprocess.CalledProcessError as error:
        raise BackendError(
            f"the templates of Label Studio cannot be read: {tail(error.stderr, 1)}", "labelloop check"
        ) from error
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise BackendError(f"the templates of Label Studio cannot be read: {error}", "try again") from error
    made = [Template(*map(str, one)) for one in listed]
    return sorted(made, key=lambda one: (one.group, one.name))
