"""A real browser whose page is asked and whose mouse is moved, through the pipes of Chromium's own protocol."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync", "--window-size=1400,1000", "--remote-debugging-pipe"),
)
PATIENCE = 25.0
"""Seconds that something on a page may take."""

CALM = 3.0
"""Seconds after which a click that has done nothing is lost."""

LOSS = 12
"""How far a colour that is painted may be from the picture's, as pictures are compressed."""

PICTURE = """
[...document.images].some(one => one.complete && one.naturalWidth > 100)
  || document.body?.innerText.includes('issue loading')"""
"""Whether a picture is there, or Label Studio says that it cannot be loaded."""

Colour = tuple[int, int, int]
"""Red, green and blue."""

Point = tuple[float, float]
"""From the left and from the top, in pixels of the window."""


@dataclass
class Page:
    """A page of a browser, which people look at and click.

    Args:
        ask: Sends one command of the protocol, and gives back its result.
    """

    ask: Callable[[str, dict[str, Any]], Any]

    def go(self, address: str) -> None:
        """Load a page."""
        self.ask("Page.navigate", {"url": address})

    def says(self, script: str) -> Any:
        """What an expression of JavaScript is."""
        asked = {"expression": script, "returnByValue": True, "awaitPromise": True}
        answer = self.ask("Runtime.evaluate", asked)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def await_(self, script: str, what: str) -> Any:
        """What an expression is as soon as it is something."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if found := self.says(script):
                return found
            time.sleep(0.2)
        raise AssertionError(f"{what} did not come within {PATIENCE} s: {self.says('document.body.innerText')}")

    def painted(self, colour: Colour) -> int:
        """How many pixels of a colour are seen now."""
        shot = base64.b64decode(self.ask("Page.captureScreenshot", {"format": "png"})["data"])
        with Image.open(io.BytesIO(shot)) as image:
            found = image.convert("RGB").getcolors(2**24) or ()
        return sum(count for count, seen in found if _is_near(seen, colour))

    def await_painted(self, colour: Colour, pixels: int) -> int:
        """How many pixels of a colour are seen, as soon as they are that many, or when patience ends.

        A page on its way has no photograph, and some wait for ever for one: first, what it says is awaited.
        """
        self.await_(PICTURE, "a picture, or a word about one")
        deadline = time.monotonic() + PATIENCE
        while (seen := self.painted(colour)) < pixels and time.monotonic() < deadline:
            time.sleep(0.3)
        return seen

    def click(self, at: Point) -> None:
        """Click somewhere."""
        self.drag(at, at)

    def click_until(self, done: str, place: str, what: str) -> None:
        """Click where an expression says, again after a while, until another one is so: a page loses early clicks."""
        for _ in range(8):
            self.click(self.await_(place, what))
            deadline = time.monotonic() + CALM
            while time.monotonic() < deadline:
                if self.says(done):
                    return
                time.sleep(0.2)
        raise AssertionError(f"clicking {what} does nothing")

    def drag(self, begin: Point, end: Point) -> None:
        """Press the mouse at one point, move it, and release it at another."""
        self._mouse("mouseMoved", begin)
        self._mouse("mousePressed", begin, held=True)
        for share in (0.25, 0.5, 0.75, 1.0) if begin != end else ():
            at = (begin[0] + share * (end[0] - begin[0]), begin[1] + share * (end[1] - begin[1]))
            self._mouse("mouseMoved", at, held=True)
        self._mouse("mouseReleased", end, held=True)

    def _mouse(self, what: str, at: Point, *, held: bool = False) -> None:
        button = {"button": "left", "buttons": 1, "clickCount": 1} if held else {"button": "none", "buttons": 0}
        self.ask("Input.dispatchMouseEvent", {"type": what, "x": at[0], "y": at[1], **button})


def _is_near(seen: Any, colour: Colour) -> bool:
    return all(abs(one - other) <= LOSS for one, other in zip(seen, colour, strict=True))


class _Pipes:
    """Messages to and from a browser, each of which ends with a NUL."""

    def __init__(self, to: int, from_: int) -> None:
        self._to, self._from = to, from_
        self._number, self._read = 0, b""

    def __call__(self, method: str, params: dict[str, Any], session: str = "") -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        os.write(self._to, json.dumps({**message, **({"sessionId": session} if session else {})}).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _next(self) -> Any:
        while b"\0" not in self._read:
            some = os.read(self._from, 1 << 16)
            assert some, "the browser has ended"
            self._read += some
        message, _, self._read = self._read.partition(b"\0")
        return json.loads(message)


@contextmanager
def browser(folder: Path, *flags: str) -> Iterator[Page]:
    """An empty page of a browser.

    Args:
        folder: Where the browser keeps what it keeps.
        flags: More of Chromium's.
    """
    chromium = shutil.which("chromium")
    assert chromium, "this test needs chromium: apt-get install chromium, or leave it out with -m 'not browser'"
    (theirs, to), (from_, back) = os.pipe(), os.pipe()
    command = f'exec "$@" 3<&{theirs} 4>&{back}'
    running = subprocess.Popen(
        ["bash", "-c", command, "-", chromium, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}"],
        pass_fds=(theirs, back),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    os.close(back)
    pipes = _Pipes(to, from_)
    try:
        target = pipes("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = pipes("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        yield Page(lambda method, params: pipes(method, params, session))
    finally:
        running.kill()
        running.wait()
        os.close(to)
        os.close(from_)


@contextmanager
def browsing(annotator: LabelStudioAnnotator, page: str, folder: Path) -> Iterator[Page]:
    """A page of Label Studio in a browser, signed in by the one-time link."""
    with browser(folder) as shown, annotator.signed_in(page) as (link, used):
        shown.go(link)
        assert used.wait(PATIENCE)
        yield shown
