"""A Label Studio of our own that served everything goes on showing what its tasks show, and gives nobody more."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from labelloop.backends.label_studio.upgrade import upgrade
from labelloop.data.sources import content_id


def database(folder: Path, people: int) -> Path:
    """Tables of an older start: a storage over the pictures, one over a guest's wish, three tasks."""
    photos = folder / "photos"
    photos.mkdir()
    (photos / "ours.png").write_bytes(b"ours")
    (photos / "letter.txt").write_bytes(b"a letter")
    made = folder / "label_studio.sqlite3"
    with closing(sqlite3.connect(made)) as connection, connection:
        connection.execute("CREATE TABLE htx_user (id)")
        connection.executemany("INSERT INTO htx_user VALUES (?)", [(n,) for n in range(people)])
        connection.execute("CREATE TABLE io_storages_localfilesmixin (id, path)")
        connection.executemany("INSERT INTO io_storages_localfilesmixin VALUES (?, ?)", [(1, str(photos)), (2, "/etc")])
        connection.execute("CREATE TABLE task (id, data)")
        connection.execute("CREATE TABLE webhook (url, is_active)")
        connection.execute("INSERT INTO webhook VALUES ('http://127.0.0.1:9010/hooks/abc', 1)")
        connection.execute("CREATE TABLE ml_mlbackend (url, title)")
        connection.execute("INSERT INTO ml_mlbackend VALUES ('http://127.0.0.1:9090', 'labelloop')")
        address = f"/data/local-files/?d={str(photos)[1:]}"
        for number, (item, place) in enumerate(
            [
                (content_id(b"ours"), f"{address}/ours.png"),
                ("forged", f"{address}/letter.txt"),
                (content_id(b"ours"), f"{address}/../photos/letter.txt"),
                ("forged", 7),
            ]
        ):
            data = json.dumps({"labelloop_id": item, "image": place})
            connection.execute("INSERT INTO task VALUES (?, ?)", (number, data))
    return made


@pytest.mark.parametrize(("people", "linked"), [(1, ["letter.txt", "ours.png"]), (2, ["ours.png"])])
def test_pictures_of_old_tasks_are_linked_where_nobody_can_have_forged_them(
    tmp_path: Path, people: int, linked: list[str]
) -> None:
    served = tmp_path / "label-studio" / "served"

    for _ in range(2):
        upgrade(tmp_path / "label-studio", database_once(tmp_path, people), served)

    mirror = served / str(tmp_path / "photos")[1:]
    assert sorted(path.name for path in mirror.iterdir()) == linked
    with closing(sqlite3.connect(tmp_path / "label_studio.sqlite3")) as connection:
        paths = [path for (path,) in connection.execute("SELECT path FROM io_storages_localfilesmixin ORDER BY id")]
    assert paths == [str(mirror), str(served / "etc")]
    assert not (served / "etc").exists()


def database_once(folder: Path, people: int) -> Path:
    """The same tables again."""
    made = folder / "label_studio.sqlite3"
    return made if made.exists() else database(folder, people)


@pytest.mark.parametrize("people", [1, 2])
def test_what_was_connected_may_be_called_on_where_nobody_else_can_have_connected_it(
    tmp_path: Path, people: int
) -> None:
    home = tmp_path / "label-studio"
    home.mkdir()

    upgrade(home, database(tmp_path, people), home / "served")

    assert (home / "calls.json").exists() == (people == 1)
    if people == 1:
        said = json.loads((home / "calls.json").read_text())
        assert {"http://127.0.0.1:9010/hooks/abc", "http://127.0.0.1:9090/predict"} <= set(said["urls"])
        assert said["hosts"] == ["127.0.0.1:9010", "127.0.0.1:9090"]


def test_tables_of_another_release_are_left_alone(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "label_studio.sqlite3").close()

    upgrade(tmp_path, tmp_path / "label_studio.sqlite3", tmp_path / "served")
    upgrade(tmp_path, tmp_path / "none.sqlite3", tmp_path / "served")

    assert not (tmp_path / "served").exists()
