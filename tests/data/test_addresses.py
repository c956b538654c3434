"""Where links hold for a day, a template or a function gives today's: for what is read, and for what people see."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labelloop.data.addresses import Addressing
from labelloop.errors import BadItemError, ConfigError
from labelloop.kinds import LabelSchema
from labelloop.types import Item
from labelloop.workspace.config import load
from labelloop.workspace.init import code_named

from support.small_world import LABELS, World

PIXELS = {"dataset__modality": "image", "learner__pixels": True, "holdout__share": 0.0}
CAM = Item("cam 1/2", "image", uri="https://old.example/1.png")


def test_a_template_is_given_the_id_as_an_address_can_hold_it() -> None:
    assert Addressing("https://h.example/{id}.png?k=1")(CAM).uri == "https://h.example/cam%201%2F2.png?k=1"
    assert Addressing("s3://bucket/{id}")(CAM).uri == "s3://bucket/cam%201%2F2"


def test_without_a_setting_and_for_texts_nothing_is_different() -> None:
    assert Addressing()(CAM) is CAM
    text = Item("1", "text", text="a cat")
    assert Addressing("https://h.example/{id}")(text) is text
    assert pickle.loads(pickle.dumps(Addressing("https://h.example/{id}")))(CAM).uri.endswith("cam%201%2F2")


@pytest.mark.parametrize("setting", ["cam", "https://h.example/1.png", "/srv/{id}.png"])
def test_what_is_no_address_and_no_function_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match=r"dataset.address is .* which is no address with \{id\} in it"):
        Addressing(setting)


def test_a_function_that_cannot_be_loaded_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"dataset.address 'no_such_module:link' cannot be loaded"):
        Addressing("no_such_module:link").prove()


def fails(item: Item) -> str:
    raise KeyError(item.id)


def says_none(item: Item) -> Any:
    return None


def tells_a_password(item: Item) -> str:
    return "https://me:word@h.example/1.png"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("fails", "gives no address for item 'cam 1/2': KeyError"),
        ("says_none", "gives no address for item 'cam 1/2', but None"),
        ("tells_a_password", "gives an address with a password"),
    ],
)
def test_a_function_that_gives_no_address_costs_that_item(function: str, words: str) -> None:
    with pytest.raises(BadItemError, match=words) as refused:
        Addressing(f"{__name__}:{function}")(CAM)
    assert "word@" not in refused.value.message


class Dated:
    """A world whose pictures lie where the clock says."""

    def __init__(self, root: Path) -> None:
        self.root, self.now = root, datetime(2026, 2, 3, tzinfo=UTC)
        self.world = World(root / "world", schema=LabelSchema("image", LABELS), clock=lambda: self.now)
        (self.world.root / "links.py").write_text(
            "from pathlib import Path\n"
            "def today(item):\n"
            "    day = (Path(__file__).parent / 'day').read_text()\n"
            "    return (Path(__file__).parent / day / f'{item.meta[\"name\"]}.png').as_uri()\n"
        )

    def day(self, day: str) -> None:
        (self.world.root / "day").write_text(day)
        for number in range(8):
            path = self.world.root / day / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            noise = np.random.default_rng(number).integers(0, 255, (24, 24, 3), np.uint8)
            Image.fromarray(noise).save(path)

    def add(self) -> None:
        from labelloop.types import NewItem

        ledger = self.world.ledger()
        links = [Item(f"cam-{n}", "image", uri=f"file:///no/such/{n}.png", meta={"name": str(n)}) for n in range(8)]
        ledger.items.add([NewItem(item, b"") for item in links])
        ledger.close()

    def tick(self) -> Any:
        return self.world.tick(**PIXELS, dataset__address="links:today", dataset__address_lasts=3600)


def test_the_link_of_now_is_read_and_shown_and_open_questions_get_the_next_one(tmp_path: Path) -> None:
    dated = Dated(tmp_path)
    dated.day("monday")
    dated.add()
    dated.tick()
    shown = {item: dated.world.dataset.shown(item).uri for item in dated.world.dataset.open_items()}
    assert len(shown) == 6
    assert all("/monday/" in uri for uri in shown.values())
    dated.tick()
    dated.day("tuesday")

    dated.tick()
    assert all("/monday/" in dated.world.dataset.shown(item).uri for item in shown)  # it holds still
    dated.now += timedelta(hours=1)
    dated.tick()
    assert all("/tuesday/" in dated.world.dataset.shown(item).uri for item in shown)


def test_a_function_of_a_workspace_that_nobody_trusts_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LABELLOOP_TRUST")
    dated = Dated(tmp_path)
    (dated.world.root / "links.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    dated.add()

    ours = {"dataset__modality": "image", "learner__flavor": "frozen"}
    with pytest.raises(ConfigError, match="names 'links:today', code that nobody has allowed to run"):
        dated.world.tick(**ours, dataset__address="links:today")
    assert not (tmp_path / "ran").exists()


def test_trust_names_the_function(tmp_path: Path) -> None:
    dated = Dated(tmp_path)
    config = load(dated.world.root, {}, {"dataset.address": "links:today"}).config

    assert "links:today" in [code.target for code in code_named(dated.world.root, config)]
    config = load(dated.world.root, {}, {"dataset.address": "https://host:x/{id}"}).config
    assert [code.target for code in code_named(dated.world.root, config)] == ["support.quick_learner:QuickLearner"]
