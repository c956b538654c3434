"""A ledger that is damaged is said by every command, with the repair; the repair loses nothing that can be read."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from labelloop.cli import run
from labelloop.errors import ConfigError, DamagedLedgerError, OtherOwnerError
from labelloop.ledger import open_ledger
from labelloop.ledger.health import flaw
from labelloop.ledger.rescue import damage, rescue

from support.small_world import NAME, World

COMMANDS = [["tick"], ["status"], ["doctor"], ["--json", "doctor"], ["export"], ["score"], ["add", "texts.csv"]]


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def cut_by_a_page(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4096)


def cut_within_a_page(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def overwrite_the_head(path: Path) -> None:
    path.write_bytes(b"\x00" * 4096 + path.read_bytes()[4096:])


def encrypt(path: Path) -> None:
    path.write_bytes(bytes(byte ^ 0x5A for byte in path.read_bytes()))


def overwrite_the_middle(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[4096 * 2 : -4096] = b"\xff" * (len(body) - 3 * 4096)
    path.write_bytes(bytes(body))


def become_a_text(path: Path) -> None:
    path.write_text("no database at all")


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def lose_its_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if name not in ("labelloop_version", "sqlite_sequence"):
                connection.execute(f'DROP TABLE "{name}"')
        connection.commit()


DAMAGES = [
    cut,
    cut_by_a_page,
    cut_within_a_page,
    empty,
    overwrite_the_head,
    encrypt,
    overwrite_the_middle,
    become_a_text,
    become_a_folder,
    lose_its_tables,
]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two rounds, answered."""
    made = World(tmp_path)
    made.add(60)
    made.play(2)
    (tmp_path / ".labelloop" / "artifacts" / "json").mkdir(parents=True, exist_ok=True)
    (tmp_path / "texts.csv").write_text("text\ncat 1000\n")
    with closing(sqlite3.connect(tmp_path / ".labelloop" / "ledger.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return made


def ledger_of(world: World) -> Path:
    return world.root / ".labelloop" / "ledger.db"


@pytest.mark.parametrize("harm", DAMAGES)
def test_every_command_says_that_the_ledger_is_damaged_and_what_to_do(
    world: World, harm: Callable[[Path], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.root)
    harm(ledger_of(world))

    for words in COMMANDS:
        code = run(words)
        said = capsys.readouterr()
        assert code in (3, 2 if harm is become_a_folder else 3), (words, said)
        assert "is damaged" in said.out + said.err, (words, said)
        assert "Traceback" not in said.err
    assert not (world.root / ".labelloop" / "crashes").exists()


@pytest.mark.parametrize("harm", DAMAGES)
def test_the_repair_sets_it_aside_and_saves_what_can_be_read(world: World, harm: Callable[[Path], None]) -> None:
    url = f"sqlite:///{ledger_of(world)}"
    whole = {"items": 60}
    harm(ledger_of(world))
    if harm is not lose_its_tables:
        assert damage(url)

    done = rescue(url, NAME)

    assert done.aside.exists()
    assert damage(url) == ""
    ledger = open_ledger(url, NAME)
    assert ledger.items.count() == done.rows.get("items", 0) <= whole["items"]
    ledger.close()


def test_a_hole_in_the_middle_costs_the_rows_in_it_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.add_texts([f"cat number {n} " + "x" * 300 for n in range(400)])
    path = ledger_of(world)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    body = bytearray(path.read_bytes())
    pages = [at for at in range(4096, len(body), 4096) if body[at] == 13 and b"cat number 200 " in body[at : at + 4096]]
    body[pages[0] : pages[0] + 4096] = b"\xff" * 4096
    path.write_bytes(bytes(body))

    done = rescue(f"sqlite:///{path}", NAME)

    assert 360 < done.rows["items"] < 400
    assert flaw(path) == ""


def test_what_people_said_is_saved_too(world: World) -> None:
    with closing(world.ledger()) as ledger:
        said = sum(map(len, ledger.answers.current().values()))
    assert said

    assert rescue(world.workspace().ledger_url, NAME).rows["annotations"] == said


def test_after_the_repair_the_loop_hears_everything_again_and_goes_on(world: World) -> None:
    answered = len(world.ledger().answers.current())
    lose_its_tables(ledger_of(world))
    with closing(sqlite3.connect(ledger_of(world))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    overwrite_the_middle(ledger_of(world))
    with pytest.raises((DamagedLedgerError, OtherOwnerError)):
        world.tick()

    rescue(f"sqlite:///{ledger_of(world)}", NAME)
    world.add(60)
    world.tick_knowing(take_over=True)

    assert len(world.ledger().answers.current()) <= answered
    assert world.ledger().items.count() == 60


def test_a_ledger_that_lost_its_last_page_goes_on_without_asking_anything_twice(world: World) -> None:
    answered = world.ledger().answers.current()
    cut_by_a_page(ledger_of(world))
    with pytest.raises(DamagedLedgerError, match="is damaged"):
        world.tick()

    done = rescue(f"sqlite:///{ledger_of(world)}", NAME)
    world.add(60)
    world.tick_knowing(take_over=True)

    assert done.rows["items"] > 0
    assert set(world.ledger().answers.current()) >= set(answered) & {one.item_id for one in world.questions()}
    asked = [one.item_id for one in world.questions()]
    assert len(asked) == len(set(asked))


def test_an_empty_file_of_a_new_workspace_is_a_new_ledger(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()

    open_ledger(f"sqlite:///{tmp_path}/ledger.db", NAME).close()


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "places.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()

    with pytest.raises(ConfigError, match="no ledger of labelloop"):
        open_ledger(f"sqlite:///{path}", NAME)

    assert path.read_bytes() == before


def test_a_ledger_whose_log_is_not_merged_yet_is_whole(world: World) -> None:
    ledger = world.ledger()
    world.add(300, start=100)

    again = world.ledger()

    assert again.items.count() == 360
    again.close()
    ledger.close()


def test_a_new_ledger_is_its_owners_alone(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", NAME)
    ledger.items.count()

    assert {one.stat().st_mode & 0o777 for one in tmp_path.iterdir()} == {0o600}
    ledger.close()
