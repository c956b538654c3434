"""An item's id, address and content are three facts: each may change, and `add` says so and puts it right."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labelloop.commands import add as intake
from labelloop.commands.add import Added, add_items
from labelloop.data.sources import Columns, content_id, unsigned
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import regions_of
from labelloop.ledger.changed import REPLACED
from labelloop.types import Item

from support.small_world import LABELS, NAME, World

PIXELS = {"dataset__modality": "image", "learner__pixels": True, "holdout__share": 0.0}
BY_ID = Columns(id="id")


def picture(path: Path, number: int) -> None:
    """A picture that nobody has touched for long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(number).integers(0, 255, (24, 24, 3), np.uint8)
    Image.fromarray(noise).save(path)
    os.utime(path, (1_700_000_000 + number, 1_700_000_000))


def table(path: Path, rows: Mapping[Any, str], column: str = "text") -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", column), *rows.items()])
    return path


class Texts:
    """A world of texts with ids of their own."""

    modality = "text"
    settings: Mapping[str, Any] = {"holdout__share": 0.0}

    def __init__(self, root: Path) -> None:
        self.root = root
        self.world = World(root / "world", schema=LabelSchema(self.modality, LABELS))  # type: ignore[arg-type]

    def add(self, *places: Path, columns: Columns = BY_ID, **options: Any) -> Added:
        ledger = self.world.ledger()
        try:
            return add_items(ledger, [str(one) for one in places], self.modality, columns, **options)  # type: ignore[arg-type]
        finally:
            ledger.close()

    def tick(self) -> Any:
        return self.world.tick(**self.settings)

    def say(self, item: str, label: str) -> None:
        self.world.people.answer(NAME, item, regions_of(self.world.schema, [label]))

    def said(self) -> Mapping[str, Any]:
        ledger = self.world.ledger()
        try:
            return ledger.said(self.world.schema)
        finally:
            ledger.close()

    def items(self) -> dict[str, Item]:
        ledger = self.world.ledger()
        try:
            return {one.id: one for one in ledger.items.between(0, 10_000)}
        finally:
            ledger.close()

    def states(self) -> dict[str, str]:
        return {one.item_id: one.state for one in self.world.questions()}

    @property
    def shown(self) -> Callable[[str], Item]:
        return self.world.dataset.shown


class Photos(Texts):
    """A world of pictures in a folder."""

    modality = "image"
    settings = PIXELS

    def draw(self, folder: str, count: int) -> Path:
        for number in range(count):
            picture(self.root / folder / f"{number}.png", number)
        return self.root / folder


@pytest.fixture
def texts(tmp_path: Path) -> Texts:
    return Texts(tmp_path)


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    return Photos(tmp_path)


def counts(taken: Added) -> tuple[int, int, int, int, int]:
    return taken.new, taken.known, taken.elsewhere, len(taken.changed), len(taken.vanished)


V1 = {n: f"{LABELS[n % 3]} number {n}" for n in range(6)}


def test_a_corrected_text_is_said_asked_again_and_its_old_answer_is_kept_in_the_history(texts: Texts) -> None:
    texts.add(table(texts.root / "v1.csv", V1))
    texts.tick()
    for n in range(6):
        texts.say(str(n), LABELS[n % 3])
    texts.tick()

    taken = texts.add(table(texts.root / "v1.csv", V1 | {2: "owl number two", 4: "cat number four"}))
    assert counts(taken) == (0, 6, 0, 2, 0)
    assert "0 new item(s), 6 known already, 2 changed, " in taken.in_words(dry_run=False)
    assert set(texts.said()) == {"0", "1", "3", "5"}  # at once, also before anybody is asked again
    outcome = texts.tick()

    assert any(one.startswith("2 answer(s) set aside, 2 question(s) asked again") for one in outcome.notes)
    assert texts.shown("4").text == "cat number four"
    assert set(texts.world.dataset.open_items()) == {"2", "4"}
    assert texts.states()["4"] == "asked"
    assert texts.items()["2"].digest == content_id("owl number two")
    past = texts.world.ledger().answers.past("2")
    assert [one.change for one in past] == ["created", "removed"]
    texts.say("2", "owl")
    texts.tick()
    assert set(texts.said()) == {"0", "1", "2", "3", "5"}


def test_what_was_answered_and_not_heard_before_a_correction_is_kept_in_the_history_too(texts: Texts) -> None:
    texts.add(table(texts.root / "v1.csv", V1))
    texts.tick()
    texts.say("3", "cat")
    texts.add(table(texts.root / "v1.csv", V1 | {3: "dog number three"}))

    texts.tick()

    assert "3" not in texts.said()
    assert [one.change for one in texts.world.ledger().answers.past("3")] == ["created", "removed"]
    assert "3" in texts.world.dataset.open_items()


def test_a_corrected_text_shows_no_guess_about_the_old_one_and_is_embedded_anew(texts: Texts) -> None:
    texts.add(table(texts.root / "v1.csv", {n: f"{LABELS[n % 3]} number {n}" for n in range(30)}))
    texts.tick()
    for item in texts.world.dataset.open_items():
        texts.say(item, LABELS[int(item) % 3])
    texts.tick()
    guessed = next(item for item in texts.world.dataset.open_items() if texts.world.dataset.prediction(item))
    embedded = texts.world.loop(**texts.settings).learning.embeddings.embedded()[1].matrix.copy()
    rows = {n: f"{LABELS[n % 3]} number {n}" for n in range(30)} | {int(guessed): "something else altogether"}

    texts.add(table(texts.root / "v1.csv", rows))
    texts.tick()

    assert texts.world.dataset.prediction(guessed) is None
    assert texts.shown(guessed).text == "something else altogether"
    columns, now = texts.world.loop(**texts.settings).learning.embeddings.embedded()
    different = np.flatnonzero((embedded != now.matrix).any(axis=1))
    assert [str(columns.ids[row]) for row in different] == [guessed]
    assert columns.readable.all()


def test_a_corrected_text_may_be_kept_as_it_was(texts: Texts) -> None:
    texts.add(table(texts.root / "v1.csv", V1))

    for _ in range(2):
        taken = texts.add(table(texts.root / "v1.csv", V1 | {2: "owl number two"}), changed="keep")

        assert (counts(taken), taken.kept) == ((0, 6, 0, 0, 0), ("2",))
        assert "1 changed and kept as they were" in taken.in_words(dry_run=False)
    assert texts.items()["2"].text == V1[2]


def test_adding_a_correction_twice_sets_nothing_aside_again(texts: Texts) -> None:
    texts.add(table(texts.root / "v1.csv", V1))
    texts.tick()
    for _ in range(2):
        texts.add(table(texts.root / "v1.csv", V1 | {2: "owl number two"}))
        texts.tick()
        if "2" in texts.world.dataset.open_items():
            texts.say("2", "owl")
            texts.tick()

    assert len(texts.said()["2"]) == 1


def test_a_dry_run_says_what_is_different_and_changes_nothing(texts: Texts) -> None:
    texts.add(table(texts.root / "v1.csv", V1))
    before = texts.items()

    taken = texts.add(table(texts.root / "v1.csv", {**V1, 2: "owl number two"}), dry_run=True)

    assert counts(taken) == (0, 6, 0, 1, 0)
    assert texts.items() == before


def test_rows_that_are_not_in_a_table_any_more_are_said_and_stay(texts: Texts) -> None:
    place = table(texts.root / "v1.csv", V1)
    texts.add(place)
    table(place, {n: text for n, text in V1.items() if n not in (1, 5)} | {9: "dog number nine"})

    for new in (1, 0):
        taken = texts.add(place)

        assert counts(taken) == (new, 5 - new, 0, 0, 2)
        assert set(taken.vanished) == {"1", "5"}
    assert len(texts.items()) == 7
    assert taken.as_dict()["vanished"] == list(taken.vanished)


def test_a_moved_folder_takes_its_new_place_with_its_answers_and_its_open_questions(photos: Photos) -> None:
    folder = photos.draw("photos", 12)
    photos.add(folder, columns=Columns())
    photos.tick()
    first = photos.world.dataset.open_items()[0]
    photos.say(first, "cat")
    (photos.root / "2026").mkdir()
    folder.rename(photos.root / "2026" / "photos")

    taken = photos.add(photos.root / "2026" / "photos", columns=Columns())
    outcome = photos.tick()

    assert counts(taken) == (0, 12, 12, 0, 0)
    assert "12 known already, 12 of them with a new address" in taken.in_words(dry_run=False)
    assert any("are shown from where they are now" in one for one in outcome.notes)
    assert set(photos.said()) == {first}
    for item in photos.states():
        assert photos.shown(item).uri.startswith((photos.root / "2026").as_uri())
    assert photos.add(photos.root / "2026" / "photos", columns=Columns()).elsewhere == 0


def test_files_that_are_renamed_in_their_folder_keep_their_answers(photos: Photos) -> None:
    folder = photos.draw("photos", 4)
    photos.add(folder, columns=Columns())
    ids = {Path(one.uri).name: one.id for one in photos.items().values()}
    (folder / "0.png").rename(folder / "9.png")

    taken = photos.add(folder, columns=Columns())

    assert counts(taken) == (0, 4, 1, 0, 0)
    assert Path(photos.items()[ids["0.png"]].uri).name == "9.png"


def test_numbers_that_move_up_by_one_are_no_changes_of_content(photos: Photos) -> None:
    folder = photos.draw("photos", 5)
    photos.add(folder, columns=Columns())
    photos.tick()
    ids = {Path(one.uri).name: one.id for one in photos.items().values()}
    for item in photos.world.dataset.open_items():
        photos.say(item, "cat")
    (folder / "0.png").unlink()
    for number in range(1, 5):
        (folder / f"{number}.png").rename(folder / f"{number - 1}.png")

    taken = photos.add(folder, columns=Columns())
    photos.tick()

    assert counts(taken) == (0, 4, 4, 0, 1)
    assert Path(photos.items()[ids["3.png"]].uri).name == "2.png"
    assert len(photos.said()) == 5


def test_a_copy_of_a_folder_that_stays_moves_nothing(photos: Photos) -> None:
    folder = photos.draw("photos", 3)
    photos.add(folder, columns=Columns())

    taken = photos.add(photos.draw("backup", 3), columns=Columns())

    assert counts(taken) == (0, 3, 0, 0, 0)
    assert all("/photos/" in one.uri for one in photos.items().values())


def test_a_photo_that_is_rotated_in_place_is_asked_once_and_without_the_guess_of_its_old_bytes(photos: Photos) -> None:
    folder = photos.draw("photos", 6)
    photos.add(folder, columns=Columns())
    photos.tick()
    ids = {Path(one.uri).name: one.id for one in photos.items().values()}
    photos.say(ids["1.png"], "cat")
    for name in ("0.png", "1.png"):
        Image.open(folder / name).rotate(90).save(folder / name)

    taken = photos.add(folder, columns=Columns())
    outcome = photos.tick()

    assert counts(taken) == (0, 6, 0, 2, 0)
    assert taken.total == 6
    assert {"1 question(s) closed: the files hold other content now"} <= set(outcome.notes)
    assert ids["0.png"] not in photos.world.dataset.present()
    assert photos.said() == {}
    for item in [one for one in photos.world.dataset.open_items() if one in ids.values()]:
        photos.say(item, "dog")
    photos.tick()
    places = [photos.shown(item).uri for item in photos.world.dataset.open_items()]
    assert sorted(Path(one).name for one in places) == ["0.png", "1.png"]


def test_content_that_comes_back_counts_again(photos: Photos) -> None:
    folder = photos.draw("photos", 6)
    photos.add(folder, columns=Columns())
    photos.tick()
    one = next(item for item in photos.items().values() if item.uri.endswith("/1.png"))
    photos.say(one.id, "cat")
    photos.tick()
    picture(folder / "1.png", 77)
    photos.add(folder, columns=Columns())
    photos.tick()
    assert photos.world.ledger().items.problems() == {one.id: REPLACED}
    other = (folder / "1.png").read_bytes()
    picture(folder / "1.png", 1)

    photos.add(folder, columns=Columns())

    assert one.id in photos.said()
    assert photos.world.ledger().items.problems() == {content_id(other): REPLACED}


def test_a_text_file_that_another_file_repeats_stays_an_item(tmp_path: Path) -> None:
    texts = Texts(tmp_path)
    for name in ("a.txt", "b.txt"):
        (tmp_path / "notes").mkdir(exist_ok=True)
        (tmp_path / "notes" / name).write_text("the very same words")
    texts.add(tmp_path / "notes", columns=Columns())
    (tmp_path / "notes" / "b.txt").write_text("other words")

    taken = texts.add(tmp_path / "notes", columns=Columns())

    assert texts.world.ledger().items.problems() == {}
    assert len(taken.changed) == 0


def test_an_add_that_is_killed_between_its_batches_is_completed_by_the_next(
    photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "BATCH", 2)
    folder = photos.draw("photos", 6)
    photos.add(folder, columns=Columns())
    for number in range(6):
        picture(folder / f"{number}.png", 100 + number)

    def end(what: str, done: int, total: int | None) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        photos.add(folder, columns=Columns(), progress=end)
    photos.add(folder, columns=Columns())

    assert len(photos.world.ledger().changed.replaced()) == 6
    assert len(photos.items()) == 12


LINK = "https://bucket.example/{n}.png?X-Amz-Date={day}&X-Amz-Expires=86400&X-Amz-Signature={day}{n}"


def links(root: Path, day: str, column: str = "image", count: int = 8) -> Path:
    return table(root / f"{day}.csv", {f"cam-{n}": LINK.format(n=n, day=day) for n in range(count)}, column)


def test_links_of_today_take_the_place_of_those_of_yesterday(photos: Photos) -> None:
    photos.add(links(photos.root, "day1"))

    taken = photos.add(links(photos.root, "day2"))

    assert counts(taken) == (0, 8, 8, 0, 0)
    assert all("day2" in one.uri for one in photos.items().values())


def test_links_of_today_are_known_without_ids_by_what_they_sign(photos: Photos) -> None:
    columns = Columns(uri="image")
    photos.add(links(photos.root, "day1"), columns=columns)

    taken = photos.add(links(photos.root, "day2"), columns=columns)

    assert counts(taken) == (0, 8, 8, 0, 0)
    assert all("day2" in one.uri for one in photos.items().values())


@pytest.mark.parametrize(
    "signature",
    [
        "X-Amz-Algorithm=A&X-Amz-Credential=b%2Fc&X-Amz-Signature={day}",
        "X-Goog-Algorithm=A&X-Goog-Expires=9&X-Goog-Signature={day}",
        "AWSAccessKeyId=A&Expires=1{day}&Signature={day}%3D",
        "GoogleAccessId=a%40b&Expires=1{day}&Signature={day}",
        "Policy={day}&Signature={day}&Key-Pair-Id=K",
        "sv=2024-11-04&se=2026-01-0{day}&sr=b&sp=r&sig={day}%3D",
        "q-sign-algorithm=sha1&q-ak=A&q-sign-time=1%3B{day}&q-signature={day}",
    ],
)
def test_every_clouds_signature_is_left_out_of_an_id(signature: str) -> None:
    plain = "https://h.example/a b/c.png"

    for day in "12":
        assert unsigned(f"{plain}?{signature.format(day=day)}") == plain
        assert unsigned(f"{plain}?versionId=7&{signature.format(day=day)}#x") == f"{plain}?versionId=7#x"


@pytest.mark.parametrize(
    "query", ["", "?", "?page=2", "?signature=x", "?expires=3", "?sig=1", "?sp=r&se=2", "?a=1&a=1"]
)
def test_an_address_that_nobody_signed_stays_as_it_is(query: str) -> None:
    assert unsigned(f"https://h.example/c.png{query}") == f"https://h.example/c.png{query}"


def test_what_was_set_aside_is_tried_again_as_soon_as_it_is_added_again(photos: Photos) -> None:
    from labelloop.types import Missing

    folder = photos.draw("photos", 3)
    photos.add(folder, columns=Columns())
    ledger, item = photos.world.ledger(), next(iter(photos.items()))
    ledger.aside.put({item: Missing("gone")}, photos.world.clock())
    assert ledger.aside.due(photos.world.clock()) == []

    photos.add(folder, columns=Columns())

    assert ledger.aside.due(photos.world.clock()) == [item]


def test_a_file_that_is_broken_for_now_is_unreadable_and_has_not_vanished(photos: Photos) -> None:
    folder = photos.draw("photos", 3)
    photos.add(folder, columns=Columns())
    (folder / "1.png").write_bytes(b"half a picture")
    (folder / "2.png").unlink()

    taken = photos.add(folder, columns=Columns())

    assert [one.where for one in taken.unreadable] == ["1.png"]
    assert taken.vanished == ("2.png",)


def test_the_counts_are_for_scripts_too(photos: Photos) -> None:
    photos.add(photos.draw("photos", 3), columns=Columns())
    (photos.root / "photos" / "2.png").unlink()

    told = json.loads(json.dumps(photos.add(photos.root / "photos", columns=Columns()).as_dict()))

    assert (told["new_address"], told["changed"], told["kept"], told["vanished"]) == (0, [], [], ["2.png"])
