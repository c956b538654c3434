"""No call that nobody asked for: the labelling page in a real browser asks its Label Studio alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.kinds import LabelSchema
from labelloop.types import Item, Question

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.browser]

NAME = "asks nobody"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync", "--disable-quic", "--net-log-capture-mode=IncludeSensitive"),
    "--virtual-time-budget=30000",
)


@pytest.fixture(autouse=True)
def _fresh(annotator: LabelStudioAnnotator) -> Iterator[None]:
    yield
    annotator.delete(NAME)


def asked_for(netlog: Path) -> set[str]:
    """The addresses that pages, and not the browser itself, have asked for."""
    said = netlog.read_text("utf-8").rstrip().rstrip(",")
    log = json.loads(said if said.endswith("}") else said + "]}")
    begun = (event.get("params", {}) for event in log["events"])
    return {one["url"] for one in begun if one.get("initiator", "not an origin") != "not an origin" and "url" in one}


def test_the_labelling_page_asks_nobody_but_its_server(annotator: LabelStudioAnnotator, tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    assert browser, "this test needs chromium: apt-get install chromium, or leave it out with -m 'not browser'"
    dataset = annotator.open(NAME, LabelSchema("text", ("cat", "dog")))
    dataset.ask([Question(Item("a", "text", text="a cat"))])
    log = tmp_path / "net.json"

    with annotator.signed_in(dataset.url()) as (link, used):
        subprocess.run(
            [browser, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}", "--dump-dom", link],
            check=True,
            capture_output=True,
            timeout=120,
        )
        assert used.is_set()

    server = urlsplit(annotator.client().url).netloc
    hosts = {urlsplit(address).netloc for address in asked_for(log) if not address.startswith(("data:", "blob:"))}
    assert server in hosts
    assert hosts <= {server, urlsplit(link).netloc}
