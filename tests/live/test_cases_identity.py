"""People moved, corrected or signed anew what they had added: on a real Label Studio, by the command line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import regions_of

from support.live_world import LiveWorld

pytestmark = pytest.mark.live


class Signed(BaseHTTPRequestHandler):
    """Pictures for links that were signed today; any other is refused as S3 does."""

    day: ClassVar[str] = "D1"
    folder: ClassVar[Path]

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        is_today = parse_qs(asked.query).get("X-Amz-Signature", [""])[0].startswith(self.day)
        self.send_response(200 if is_today else 403)
        self.end_headers()
        self.wfile.write((self.folder / asked.path.lstrip("/")).read_bytes() if is_today else b"Request has expired")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def signed(tmp_path: Path) -> Iterator[str]:
    draw(tmp_path / "pics", 8)
    Signed.day, Signed.folder = "D1", tmp_path / "pics"
    with ThreadingHTTPServer(("127.0.0.1", 0), Signed) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def draw(folder: Path, count: int) -> None:
    """Pictures that are red or blue."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(0)
    for number in range(count):
        pixels = chance.integers(0, 60, (64, 64, 3)).astype(np.uint8)
        pixels[..., 0 if number % 2 else 2] += 150
        Image.fromarray(pixels).save(folder / f"{number}.png")


def links(root: Path, web: str, day: str) -> str:
    path = root / f"{day}.csv"
    rows = [(f"cam-{n}", f"{web}/{n}.png?X-Amz-Signature={day}{n}") for n in range(8)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "image"), *rows])
    return str(path)


class Case(LiveWorld):
    """A workspace whose commands are told in words."""

    labels: tuple[str, ...] = ("red", "blue")
    modality = "image"

    def begin(self, modality: str, labels: tuple[str, ...]) -> None:
        self.labels, self.modality = labels, modality
        text = self.config.read_text()
        text = text.replace(text[text.index("labels =") : text.index("[loop]")], f"labels = {list(labels)}\n")
        text = text.replace("[dataset]\n", f'[dataset]\nmodality = "{modality}"\nhosts = ["127.0.0.1"]\n')
        self.config.write_text(text.replace("pixels = true", f"pixels = {str(modality == 'image').lower()}"))

    def say(self, *arguments: str, rc: int = 0) -> str:
        done = self.run(*arguments)
        assert done.returncode == rc, done.stdout + done.stderr
        return done.stdout + done.stderr

    def answer(self, label: Mapping[str, str]) -> int:
        """Every open question by item."""
        schema = LabelSchema("text", self.labels)
        waiting = [task for task in self.tasks() if not task["annotations"]]
        for task in waiting:
            item = str(task["data"]["labelloop_id"])
            regions = [{**one, "to_name": self.modality} for one in regions_of(schema, [label[item]])]
            self.person.answer(self.name, item, regions)
        return len(waiting)

    def shown(self) -> dict[str, Any]:
        """Item -> what its task shows."""
        return {task["data"]["labelloop_id"]: task["data"][self.modality] for task in self.tasks()}


def case(root: Path, annotator: LabelStudioAnnotator, name: str) -> Case:
    return Case(root, annotator, name)


def test_links_that_expire_after_they_were_asked_are_those_of_today_once_they_are_added(
    tmp_path: Path, annotator: LabelStudioAnnotator, signed: str
) -> None:
    world = case(tmp_path / "a", annotator, "case 01 a")
    world.begin("image", ("red", "blue"))
    world.say("add", "--id-column", "id", links(tmp_path, signed, "D1"))
    world.say("tick")
    Signed.day = "D2"

    said = world.say("add", "--id-column", "id", links(tmp_path, signed, "D2"))
    world.say("tick")

    assert "8 known already, 8 of them with a new address" in said
    shown = world.shown()
    assert shown
    assert all("X-Amz-Signature=D2" in link for link in shown.values())
    assert "nothing is wrong" in world.say("doctor")


def test_links_that_expire_before_they_were_asked_are_an_error_until_those_of_today_are_added(
    tmp_path: Path, annotator: LabelStudioAnnotator, signed: str
) -> None:
    world = case(tmp_path / "b", annotator, "case 01 b")
    world.begin("image", ("red", "blue"))
    world.say("add", "--id-column", "id", links(tmp_path, signed, "D1"))
    Signed.day = "D2"
    refused = world.say("tick", rc=3)
    assert "none of the 8 items can be read" in refused
    assert "every item has been asked" not in refused

    world.say("add", "--id-column", "id", links(tmp_path, signed, "D2"))
    world.say("tick")

    assert all("X-Amz-Signature=D2" in link for link in world.shown().values())
    assert len(world.shown()) >= 4
    assert "left out" not in world.say("status")
    assert "nothing is wrong" in world.say("doctor")


def test_a_moved_folder_takes_its_new_place_and_the_loop_goes_on_with_its_labels(
    tmp_path: Path, annotator: LabelStudioAnnotator
) -> None:
    world = case(tmp_path / "c", annotator, "case 02")
    world.begin("image", ("red", "blue"))
    draw(world.root / "photos", 12)
    world.say("add", str(world.root / "photos"))
    world.say("--set", "loop.batch=4", "tick")
    with closing(world.ledger()) as ledger:
        colours = {one.id: "red" if int(Path(one.uri).stem) % 2 else "blue" for one in ledger.items.between(0, 12)}
    asked = world.answer(colours)
    (world.root / "2026").mkdir()
    (world.root / "photos").rename(world.root / "2026" / "photos")

    said = world.say("add", str(world.root / "2026" / "photos"))
    told = world.say("--set", "loop.batch=4", "tick")
    world.say("doctor", "--repair", "--yes")
    again = world.say("add", str(world.root / "2026" / "photos"))
    world.say("--set", "loop.batch=4", "tick")

    assert "12 known already, 12 of them with a new address" in said
    assert f"heard {asked} new" in told
    assert "12 known already, 0 near" in again
    assert len(world.tasks()) > asked
    assert all("2026" in _address(link) or "/data/upload/" in link for link in world.shown().values())
    output = tmp_path / "labels.csv"
    world.say("export", "-o", str(output))
    rows = list(csv.DictReader(output.open()))
    assert len(rows) == asked
    assert all(row["labels"] == colours[row["id"]] and "2026/photos" in row["uri"] for row in rows)


def test_corrected_texts_are_said_and_asked_again_with_their_old_answers_set_aside(
    tmp_path: Path, annotator: LabelStudioAnnotator
) -> None:
    world = case(tmp_path / "d", annotator, "case 03")
    world.begin("text", ("animals", "money"))
    v1 = {
        1: "the bank raised its rates",
        2: "teh cat slept on teh sofa",
        3: "shares fell",
        4: "the dog barks",
        5: "horses ran fast",
        6: "money money money",
    }
    v2 = v1 | {2: "the cat slept on the sofa", 3: "shares rose sharply"}
    truth = {str(n): "money" if n in (1, 3, 6) else "animals" for n in v1}

    def table(name: str, rows: Mapping[int, str]) -> str:
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows([("id", "text"), *rows.items()])
        return str(tmp_path / name)

    world.say("add", "--id-column", "id", table("v1.csv", v1))
    world.say("--set", "loop.batch=6", "tick")
    assert world.answer(truth) == 6
    said = world.say("add", "--id-column", "id", table("v2.csv", v2))
    told = world.say("tick")

    assert "6 known already, 2 changed" in said
    assert "2 answer(s) set aside, 2 question(s) asked again" in told
    assert {int(item): text for item, text in world.shown().items()} == v2
    waiting = {task["data"]["labelloop_id"] for task in world.tasks() if not task["annotations"]}
    assert waiting == {"2", "3"}
    assert all(not task["predictions"] for task in world.tasks() if task["data"]["labelloop_id"] in waiting)
    output = tmp_path / "labels.csv"
    world.say("export", "-o", str(output))
    assert {row["id"]: row["text"] for row in csv.DictReader(output.open())} == {
        str(n): text for n, text in v2.items() if n not in (2, 3)
    }
    assert "removed" in world.say("annotator", "history", "3")
    assert "nothing is wrong" in world.say("doctor")
    assert world.answer(truth) == 2
    world.say("tick")
    world.say("export", "-o", str(output))
    assert {row["id"]: row["labels"] for row in csv.DictReader(output.open())} == truth


def test_a_photo_that_is_rotated_in_place_is_asked_once_about_the_bytes_of_now(
    tmp_path: Path, annotator: LabelStudioAnnotator
) -> None:
    world = case(tmp_path / "e", annotator, "case rotated")
    world.begin("image", ("red", "blue"))
    draw(world.root / "photos", 6)
    world.say("add", str(world.root / "photos"))
    world.say("--set", "loop.batch=6", "tick")
    before = world.shown()
    for number in range(2):
        path = world.root / "photos" / f"{number}.png"
        Image.open(path).rotate(90).save(path)

    said = world.say("add", str(world.root / "photos"))
    told = world.say("--set", "loop.batch=6", "tick")
    world.answer(dict.fromkeys(world.shown(), "red"))
    world.say("--set", "loop.batch=6", "tick")

    assert "0 new item(s), 6 known already, 2 changed" in said
    assert "2 question(s) closed" in told
    assert len(world.tasks()) == 6
    assert len(world.shown().keys() - before.keys()) == 2
    assert "nothing is wrong" in world.say("doctor")


def _address(link: str) -> str:
    return link.replace("%2F", "/")
