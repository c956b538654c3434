"""The other end of `mother.py`: ticks as processes that cost no start-up and can be killed anywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from support.live_world import TESTS, LiveWorld


class Mother:
    """Forks a process for every command, and can kill it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.effects = 0
        self._log = folder / "mother.log"
        self._process = subprocess.Popen(
            [sys.executable, str(TESTS / "support" / "mother.py")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        world: LiveWorld,
        *arguments: str,
        point: str = "",
        effect: int = 0,
        delay: float = 0.0,
        victims: Sequence[int] = (),
        survives: bool = False,
    ) -> int:
        """A command, by default a tick; its exit code.

        Args:
            point: Where it is killed.
            effect: Otherwise the number of the effect after whose beginning it is killed.
            delay: So many seconds after that.
            victims: Processes that are killed at that effect too.
            survives: Only they are.
        """
        assert self._process.stdin
        assert self._process.stdout
        wanted = {
            "arguments": ["-C", str(world.root), *(arguments or ["tick"])],
            "point": point,
            "effect": effect,
            "delay": delay,
            "victims": list(victims),
            "survives": survives,
        }
        self._process.stdin.write(json.dumps({**wanted, "log": str(self._log)}) + "\n")
        self._process.stdin.flush()
        code, self.effects = map(int, self._process.stdout.readline().split())
        return code

    def tick(self, world: LiveWorld) -> int:
        """A tick that must succeed; the number of its effects."""
        return self.do(world)

    def do(self, world: LiveWorld, *arguments: str) -> int:
        """A command, or a tick, that must succeed; the number of its effects."""
        assert self.run(world, *arguments) == 0, self.said()
        return self.effects

    def said(self) -> str:
        """What the last command wrote."""
        return self._log.read_text()

    def close(self) -> None:
        """No more commands."""
        self._process.communicate()
