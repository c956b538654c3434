"""SIGTERM and Ctrl-C end a command in order, at whatever moment they come."""

from __future__ import annotations

import subprocess
import sys

FINALISER = """
import os, signal, sys, time, weakref
from labelloop.cli.signals import terminable

class Thing: ...

def told(_):
    os.kill(os.getpid(), signal.{name})
    time.sleep(0.01)

with terminable():
    thing = Thing()
    watched = weakref.ref(thing, told)
    del thing
    time.sleep(30)
"""

OTHER = """
import sys
from labelloop.cli.signals import terminable

class Thing:
    def __del__(self):
        raise ValueError("of a finaliser")

with terminable():
    Thing()
"""


SWALLOWED = """
import os, signal, time
from contextlib import suppress
from labelloop.cli.signals import end_if_told, terminable

with terminable():
    with suppress(SystemExit):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    end_if_told()
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)


def test_sigterm_that_comes_while_a_finaliser_runs_is_not_lost() -> None:
    ended = python(FINALISER.format(name="SIGTERM"))

    assert (ended.returncode, ended.stderr) == (143, "")


def test_an_interrupt_that_comes_while_a_finaliser_runs_is_not_lost() -> None:
    ended = python(FINALISER.format(name="SIGINT"))

    assert "KeyboardInterrupt" in ended.stderr
    assert "Exception ignored" not in ended.stderr


def test_what_else_goes_wrong_in_a_finaliser_is_said_as_ever() -> None:
    ended = python(OTHER)

    assert ended.returncode == 0
    assert "of a finaliser" in ended.stderr


def test_sigterm_that_something_else_swallowed_ends_the_next_wait() -> None:
    assert python(SWALLOWED).returncode == 143
