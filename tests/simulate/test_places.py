"""Labelled data from a folder, a table, an .npz and a workspace; embedded once; and what is wrong with the others."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labelloop.cli import run
from labelloop.data.sources import Columns
from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.simulate.labelled import from_npz
from labelloop.simulate.places import NamedPlaces, of_place, of_workspace
from labelloop.workspace.config import Config, LearnerConfig

from support import quick_learner
from support.small_world import World

WORDS = Config(learner=LearnerConfig.model_validate({"flavor": "support.quick_learner:QuickLearner"}))
PIXELS = Config(learner=LearnerConfig.model_validate({"flavor": "support.quick_learner:QuickLearner", "pixels": True}))


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELLOOP_CACHE_DIR", str(tmp_path / "cache"))


def pictures(root: Path, each: int = 6) -> Path:
    """Folders of dark and of bright pictures."""
    rng = np.random.default_rng(0)
    for name, grey in {"dark": 40, "bright": 210}.items():
        (root / name).mkdir(parents=True)
        for number in range(each):
            pixels = np.clip(rng.normal(grey, 30, (20, 20)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def sentences(path: Path, label: str = "label", each: int = 8) -> Path:
    """A table of texts whose first word is the label."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", label))
        writer.writerows((f"{animal} number {n} sits there", animal) for animal in ("cat", "dog") for n in range(each))
    return path


def test_the_folder_of_a_picture_is_its_label(tmp_path: Path) -> None:
    ready = of_place(NamedPlaces(str(pictures(tmp_path / "photos"))), PIXELS)

    assert ready.labelled.labels == ("bright", "dark")
    assert ready.labelled.targets.sum(axis=0).tolist() == [6, 6]
    assert ready.labelled.embeddings.shape == (12, 144)


def test_a_broken_picture_is_skipped_and_counted(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos")
    (folder / "dark" / "broken.png").write_bytes(b"no picture")

    ready = of_place(NamedPlaces(str(folder)), PIXELS)

    assert (len(ready.labelled), ready.unreadable) == (12, 1)


@pytest.mark.parametrize("column", ["label", "Category", "mood"])
def test_a_column_of_a_table_is_the_label(tmp_path: Path, column: str) -> None:
    wanted = NamedPlaces(str(sentences(tmp_path / "said.csv", column)), label_column="mood" if column == "mood" else "")

    ready = of_place(wanted, WORDS)

    assert ready.labelled.labels == ("cat", "dog")
    assert ready.labelled.targets.sum(axis=0).tolist() == [8, 8]


def test_a_row_without_a_label_is_one_that_people_skip(tmp_path: Path) -> None:
    path = sentences(tmp_path / "said.csv")
    with path.open("a") as file:
        file.write("owl number 1 sits there,\n")

    ready = of_place(NamedPlaces(str(path)), WORDS)

    assert ready.labelled.targets.any(axis=1).tolist() == [True] * 16 + [False]


def test_nothing_is_embedded_twice(tmp_path: Path) -> None:
    path = sentences(tmp_path / "said.csv")
    first = of_place(NamedPlaces(str(path)), WORDS)
    before = len(quick_learner.embedded)

    again = of_place(NamedPlaces(str(path)), WORDS)

    assert len(quick_learner.embedded) == before
    assert (again.labelled.embeddings == first.labelled.embeddings).all()


def test_embeddings_of_ones_own_are_taken_as_they_are(tmp_path: Path) -> None:
    embeddings = np.random.default_rng(0).normal(size=(6, 4))
    np.savez(tmp_path / "mine.npz", X=embeddings, y=["b", "a", "b", "a", "", "c"], groups=[0, 0, 1, 1, 2, 2])

    labelled = from_npz(tmp_path / "mine.npz", fewest=2)

    assert labelled.labels == ("a", "b")
    assert labelled.groups.tolist() == [0, 0, 1, 1, 2]
    assert np.linalg.norm(labelled.embeddings, axis=1) == pytest.approx(1)


def test_what_people_answered_in_a_workspace_is_replayed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.add()
    world.play(3)

    ready = of_workspace(world.loop())

    assert len(ready.labelled) == len(world.ledger().answers.current())
    assert set(ready.labelled.labels) == {"cat", "dog", "owl"}


def test_a_workspace_where_nobody_answered_has_nothing_to_replay(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.add()

    with pytest.raises(ConfigError, match="nothing is answered yet"):
        of_workspace(world.loop())


def one_class(tmp_path: Path) -> NamedPlaces:
    folder = pictures(tmp_path / "photos")
    for picture in (folder / "bright").iterdir():
        picture.unlink()
    return NamedPlaces(str(folder))


def lonely_class(tmp_path: Path) -> NamedPlaces:
    folder = pictures(tmp_path / "photos")
    (folder / "odd").mkdir()
    (folder / "dark" / "0.png").rename(folder / "odd" / "0.png")
    return NamedPlaces(str(folder))


def no_folders(tmp_path: Path) -> NamedPlaces:
    folder = pictures(tmp_path / "photos")
    return NamedPlaces(str(folder / "dark"))


def no_label_column(tmp_path: Path) -> NamedPlaces:
    return NamedPlaces(str(sentences(tmp_path / "said.csv", "mood")))


def wrong_column(tmp_path: Path) -> NamedPlaces:
    return NamedPlaces(str(sentences(tmp_path / "said.csv")), label_column="mood")


def two_label_columns(tmp_path: Path) -> NamedPlaces:
    path = tmp_path / "said.jsonl"
    path.write_text(json.dumps({"text": "cat here", "label": "cat", "class": "pet"}) + "\n")
    return NamedPlaces(str(path))


def nothing_labelled(tmp_path: Path) -> NamedPlaces:
    (tmp_path / "said.csv").write_text("text,label\nhello there,\nbye now,\n")
    return NamedPlaces(str(tmp_path / "said.csv"))


def nothing_there(tmp_path: Path) -> NamedPlaces:
    (tmp_path / "empty").mkdir()
    return NamedPlaces(str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        (one_class, "has the label 'dark'; a replay needs at least 2"),
        (lonely_class, "label 'odd' has 1 item"),
        (no_folders, "has a label"),
        (no_label_column, "none of its columns is known to be the label"),
        (wrong_column, "no column 'mood'"),
        (two_label_columns, "any of label, class may be the label"),
        (nothing_labelled, "no item of .* has a label"),
        (nothing_there, "there is no image"),
    ],
)
def test_a_place_that_cannot_be_replayed_is_refused(
    tmp_path: Path, made: Callable[[Path], NamedPlaces], fault: str
) -> None:
    wanted = made(tmp_path)

    with pytest.raises(ConfigError, match=fault) as refusal:
        of_place(wanted, WORDS if wanted.place.endswith(("csv", "jsonl")) else PIXELS)

    assert refusal.value.hint


def test_labels_with_few_items_can_be_left_out(tmp_path: Path) -> None:
    wanted = lonely_class(tmp_path)

    ready = of_place(NamedPlaces(wanted.place, fewest=2), PIXELS)

    assert ready.labelled.labels == ("bright", "dark")


@pytest.mark.parametrize("place", ["nowhere", "nowhere.npz", "nowhere.csv"])
def test_a_place_that_does_not_exist_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        of_place(NamedPlaces(str(tmp_path / place)), WORDS)


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"X": np.eye(3)}, "no array 'y'"),
        ({"X": np.eye(3), "y": np.arange(2)}, "do not fit"),
        ({"X": np.arange(3), "y": np.arange(3)}, "do not fit"),
        ({"X": np.full((4, 2), np.nan), "y": np.arange(4)}, "not numbers"),
        ({"X": np.full((4, 2), "x"), "y": np.arange(4)}, "not numbers"),
        ({"X": np.eye(3), "y": np.array([None, 1, 2], object)}, "is not an .npz of embeddings"),
    ],
)
def test_an_npz_that_holds_something_else_is_refused(tmp_path: Path, arrays: dict[str, Any], fault: str) -> None:
    np.savez(tmp_path / "mine.npz", **arrays)

    with pytest.raises(ConfigError, match=fault):
        from_npz(tmp_path / "mine.npz")


def test_a_file_that_is_no_npz_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.npz").write_text("hello")

    with pytest.raises(ConfigError, match=r"is not an \.npz"):
        from_npz(tmp_path / "mine.npz")


def workspace(tmp_path: Path) -> list[str]:
    (tmp_path / "labelloop.toml").write_text('[learner]\nflavor = "support.quick_learner:QuickLearner"\n')
    return ["-C", str(tmp_path)]


def test_the_command_prints_a_table_and_says_whether_it_would_pay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sentences(tmp_path / "said.csv", each=40)
    options = ["--batch", "5", "--budget", "20", "--seeds", "2", "--workers", "1", "-o", str(tmp_path / "out")]

    code = run([*workspace(tmp_path), "simulate", str(path), "--selector", "random", "--selector", "auto", *options])

    said = capsys.readouterr().out
    assert code == 0
    assert said.splitlines()[0].startswith("selector\tto 90 %")
    assert "auto" in said
    assert (tmp_path / "out" / "curves.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "out" / "curves.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2 * 2 * 4


def test_the_command_speaks_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sentences(tmp_path / "said.csv", each=40)
    options = ["--batch", "5", "--budget", "10", "--seeds", "1", "--workers", "1", "-o", str(tmp_path / "out")]

    code = run([*workspace(tmp_path), "--json", "simulate", str(path), *options])

    said = json.loads(capsys.readouterr().out)
    assert code == 0
    assert [one["selector"] for one in said["summaries"]] == ["random", "margin", "auto"]
    assert json.loads((tmp_path / "out" / "verdict.json").read_text())["budget"] == 10


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    from labelloop.report.files import replace_file

    (tmp_path / "out").write_text("a file")

    with pytest.raises(BackendError, match="cannot write"):
        replace_file(tmp_path / "out" / "curves.csv", b"")


def test_columns_of_a_table_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "said.csv").write_text("said,mood\ncat one,a\ncat two,a\ndog one,b\ndog two,b\n")

    ready = of_place(NamedPlaces(str(tmp_path / "said.csv"), "text", "mood", Columns("said")), WORDS)

    assert ready.labelled.labels == ("a", "b")
