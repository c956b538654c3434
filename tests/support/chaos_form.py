"""The short form of the suite runs with every check; `LABELLOOP_CHAOS=full` runs the whole one."""

from __future__ import annotations

import os

FULL = os.environ.get("LABELLOOP_CHAOS") == "full"
