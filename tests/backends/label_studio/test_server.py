"""The managed server survives taken ports, kills, stale files, lost secrets and impatient callers."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from labelloop.backends.label_studio import serve
from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.locks import is_held
from labelloop.backends.label_studio.server import MANAGED_SECRET, Server, free_port
from labelloop.errors import BackendError
from labelloop.protocols import SecretsManager


def knows_us(server: Server, url: str) -> bool:
    return Client(url, server.credentials()["token"]).whoami() == {}


def kill(server: Server) -> None:
    running = server.state()
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    while is_held(server.home / "server.lock"):
        pass


def test_a_server_comes_up_and_answers_our_token(server: Server) -> None:
    running = server.up()

    assert knows_us(server, running.url)
    assert server.state() == running


def test_up_on_a_running_server_changes_nothing(server: Server) -> None:
    first = server.up()

    assert server.up() == first


def test_two_ups_at_once_start_one_server(server: Server) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = [future.result() for future in [pool.submit(server.up), pool.submit(server.up)]]

    assert first == second


def test_a_taken_port_makes_it_take_the_next(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 8393)):
        running = server.up()

        assert running.port > 8393
        assert knows_us(server, running.url)


def test_a_port_taken_only_on_ipv6_is_taken_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        stranger = socket.create_server(("::1", 8493), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with stranger:
        assert free_port(8493) > 8493


def test_a_server_that_silently_moved_is_started_again_elsewhere(server: Server, stand_in: Path) -> None:
    (stand_in / "moves").touch()

    running = server.up()

    assert running.port > 8393
    assert knows_us(server, running.url)


def test_a_port_that_somebody_took_at_the_same_moment_is_left_to_him(server: Server, stand_in: Path) -> None:
    (stand_in / "taken").touch()

    running = server.up()

    assert running.port > 8393
    assert knows_us(server, running.url)


def test_no_free_port_is_said() -> None:
    with pytest.raises(BackendError, match="no free port from 65536"):
        free_port(65536)


def test_down_ends_it_cleanly_and_may_be_repeated(server: Server, stand_in: Path) -> None:
    server.up()

    server.down()
    server.down()

    assert server.state() is None
    assert (stand_in / "ended cleanly").exists()


def test_down_works_when_our_parent_ignored_the_interrupt(server: Server, stand_in: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        server.up()
    finally:
        signal.signal(signal.SIGINT, before)

    server.down()

    assert (stand_in / "ended cleanly").exists()


def test_a_killed_server_comes_up_again_with_its_data(server: Server) -> None:
    server.up()
    (server.home / "data" / "answers").write_text("precious")
    kill(server)

    assert server.state() is None
    running = server.up()

    assert knows_us(server, running.url)
    assert (server.home / "data" / "answers").read_text() == "precious"


def test_a_stale_pid_file_of_another_program_is_not_believed(server: Server) -> None:
    server.home.mkdir()
    (server.home / "server.lock").touch()
    (server.home / "server.json").write_text(json.dumps({"pid": os.getpid(), "port": 1}))

    assert server.state() is None
    server.down()  # would end this test run if it believed the file


def test_a_half_made_data_folder_is_thrown_away(server: Server) -> None:
    half_made = server.home / "making-abc"
    half_made.mkdir(parents=True)
    (half_made / "label_studio.sqlite3").write_text("half")

    server.up()

    assert not half_made.exists()


def test_a_lost_secret_is_made_anew_and_the_user_repaired(server: Server, secrets: SecretsManager) -> None:
    first = server.up()
    secrets.delete(MANAGED_SECRET)

    second = server.up()

    assert second == first
    assert knows_us(server, second.url)


def test_a_server_that_dies_while_starting_shows_its_last_lines(server: Server, stand_in: Path) -> None:
    (stand_in / "dies").touch()

    with pytest.raises(BackendError, match="the database is on fire") as caught:
        server.up()

    assert "exit code 1" in caught.value.message
    assert caught.value.retryable


def test_a_failed_bootstrap_shows_no_secret(server: Server, stand_in: Path, secrets: SecretsManager) -> None:
    (stand_in / "bootstrap-fails").touch()  # prints the user it was given

    with pytest.raises(BackendError, match="user could not be created") as caught:
        server.up()

    kept = secrets.get(MANAGED_SECRET)
    assert kept["token"] not in caught.value.message
    assert kept["password"] not in caught.value.message
    assert not (server.home / "data").exists()


def test_a_home_that_cannot_be_written_is_said(tmp_path: Path, stand_in: Path, secrets: SecretsManager) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(BackendError, match="cannot lock"):
        Server(tmp_path / "file" / "home", secrets).up()


def test_stray_variables_and_secrets_stay_out_of_the_server(
    server: Server, stand_in: Path, secrets: SecretsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stray in ("HOST", "PORT", "USERNAME", "PASSWORD", "DEBUG", "SECRET_KEY", "HTTP_PROXY", "LABEL_STUDIO_HOST"):
        monkeypatch.setenv(stray, "stray")

    server.up()

    seen = (stand_in / "environment").read_text()
    assert "=stray" not in seen
    assert secrets.get(MANAGED_SECRET)["token"] not in seen
    assert secrets.get(MANAGED_SECRET)["password"] not in seen


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The tables that a start looks at, with six tasks."""
    path = tmp_path / "label_studio.sqlite3"
    with closing(sqlite3.connect(path)) as connection, connection:
        counters = "total_annotations, cancelled_annotations, total_predictions, overlap, is_labeled"
        connection.execute(f"CREATE TABLE task (id INTEGER PRIMARY KEY, project_id, updated_at, {counters})")
        connection.execute("CREATE TABLE task_completion (task_id, was_cancelled, completed_by_id, result)")
        # counted; saved only; skipped, saved only; the second of two, saved only; open; saved only, and not enough
        rows = [(1, 1, 0, 1, 1), (2, 0, 0, 1, 0), (3, 0, 0, 1, 0), (4, 1, 0, 2, 0), (5, 0, 0, 1, 0), (6, 0, 0, 2, 0)]
        connection.executemany("INSERT INTO task VALUES (?, 1, 'then', ?, ?, 0, ?, ?)", rows)
        said = [(1, 0, 7), (2, 0, 7), (3, 1, 7), (4, 0, 7), (4, 0, 8), (6, 0, 7), (None, 0, 7)]
        connection.executemany("INSERT INTO task_completion VALUES (?, ?, ?, '[]')", said)
    return path


def test_a_start_counts_answers_that_a_killed_server_saved_and_did_not_count(database: Path) -> None:
    serve.prepare(database)

    with closing(sqlite3.connect(database)) as connection:
        columns = "id, total_annotations, cancelled_annotations, is_labeled, updated_at = 'then'"
        found = connection.execute(f"SELECT {columns} FROM task").fetchall()
    assert found == [
        (1, 1, 0, 1, 1),
        (2, 1, 0, 1, 0),
        (3, 0, 1, 0, 0),
        (4, 2, 0, 1, 0),
        (5, 0, 0, 0, 1),
        (6, 1, 0, 0, 0),
    ]


def test_a_start_adds_the_indexes_once(database: Path) -> None:
    serve.prepare(database)
    serve.prepare(database)

    changed = "SELECT COUNT(*) FROM task WHERE project_id = 1 AND updated_at >= '2026'"
    counted = "SELECT SUM(total_predictions) FROM task WHERE project_id = 1 AND total_annotations > 0"
    with closing(sqlite3.connect(database)) as connection:
        plans = [str(connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()) for query in (changed, counted)]
    assert "COVERING INDEX labelloop_task_changed" in plans[0]
    assert "COVERING INDEX labelloop_task_counted" in plans[1]


@pytest.mark.parametrize("content", [b"", b"no database at all, of some length", None])
def test_a_server_whose_tables_are_others_starts_as_it_is(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "label_studio.sqlite3"
    if content is not None:
        database.write_bytes(content)

    serve.prepare(database)

    assert ("no index" in capsys.readouterr().err) == (content is not None)
