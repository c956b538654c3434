"""Eight processes tick one loop at once, on SQLite and on PostgreSQL: one acts at a time, the others say who does."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.errors import BackendError
from labelloop.ledger.rounds import Round

from support.chaos_form import FULL
from support.live_world import LiveWorld

pytestmark = [pytest.mark.chaos, pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(1200 if FULL else 300)]

NAME = "eight at once"
SECONDS = 180 if FULL else 8
ROUNDS = 3
"""However slow the machine is, so many are waited for."""
PROCESSES = 8
ITEMS = 80
BUSY = 75

_TICKERS = """
import contextlib, importlib, io, json, os, random, sys, time
from labelloop.cli import run
from support.mother import LOADED
for module in LOADED:
    importlib.import_module(module)
root, count, end = sys.argv[1], int(sys.argv[2]), sys.argv[3]

def tick():
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(["-C", root, "tick"])
    os.write(1, (json.dumps({"code": code, "said": err.getvalue()}) + "\\n").encode())

children = []
for number in range(count):
    pid = os.fork()
    if pid == 0:
        chance = random.Random(number)
        while not os.path.exists(end):
            once = os.fork()  # a command is a process of its own, as it is from cron: its connections end with it
            if once == 0:
                tick()
                os._exit(0)
            os.waitpid(once, 0)
            time.sleep(chance.uniform(0, 0.5))
        os._exit(0)
    children.append(pid)
sys.exit(sum(os.waitpid(child, 0)[1] for child in children))
"""
"""A process that forks eight, each of which forks command after command until there is a file; they tell the codes."""


def test_eight_processes_ticking_at_once_ask_nothing_twice_and_fail_in_nothing(
    annotator: LabelStudioAnnotator, tmp_path: Path, ledger_url: str
) -> None:
    world = LiveWorld(tmp_path / "world", annotator, NAME, ledger_url=ledger_url)
    world.draw(ITEMS)
    done, end, told = threading.Event(), tmp_path / "end", tmp_path / "told"
    people = threading.Thread(target=_answer, args=(world, done))
    people.start()
    with told.open("w") as out:
        arguments = [sys.executable, "-c", _TICKERS, str(world.root), str(PROCESSES), str(end)]
        tickers = subprocess.Popen(arguments, env=world.environment(), stdout=out)
        began = time.monotonic()
        while time.monotonic() - began < SECONDS or len(rounds_of(world)) < ROUNDS:
            assert tickers.poll() is None
            time.sleep(0.5)
        end.touch()
        assert tickers.wait() == 0
    said = [json.loads(line) for line in told.read_text().splitlines()]
    done.set()
    people.join()

    try:
        codes = Counter(one["code"] for one in said)
        rounds, questions = rounds_of(world), world.questions()
        print(f"ticks by exit code: {dict(codes)}; rounds: {len(rounds)}")
        assert set(codes) <= {0, BUSY}, [one for one in said if one["code"] not in (0, BUSY)][:3]
        assert codes[0] > 1
        assert codes[BUSY], "they never met"
        assert all("is held by process" in one["said"] for one in said if one["code"] == BUSY)
        assert [one.number for one in rounds] == list(range(1, len(rounds) + 1))
        tasks = [task["data"]["labelloop_id"] for task in world.tasks()]
        assert len(tasks) == len(set(tasks)), "an item is a task twice"
        assert {one.item_id for one in questions if one.state != "planned"} == set(tasks)
    finally:
        annotator.delete(NAME)


def rounds_of(world: LiveWorld) -> list[Round]:
    """The rounds there are."""
    with closing(world.ledger()) as ledger:
        return ledger.rounds.all()


def _answer(world: LiveWorld, done: threading.Event) -> None:
    """People answer, a little while there is something to ask."""
    while not done.wait(0.3):
        try:
            if any(one.name == NAME for one in world.annotator.datasets()):
                world.answer_all()
        except BackendError:
            continue
