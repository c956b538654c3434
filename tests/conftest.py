"""What many tests share: the small world, empty and with forty texts, and the clouds' protocols on loopback."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pillow_heif import register_heif_opener

from labelloop.ledger import connect

from support import emulators
from support.emulators import Emulator
from support.small_world import World

register_heif_opener()  # has Pillow write HEIC, for tests; what reads it for users cannot

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
"""A shell that starts the tests in the background has them ignore Ctrl-C, and all that they start and interrupt."""

os.environ.setdefault("LABELLOOP_TRUST", "/")
"""What tests write is their own; those of trust take this away."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty workspace and its people."""
    return World(tmp_path / "world")


@pytest.fixture
def animals(world: World) -> World:
    """Forty texts to be labelled."""
    world.add()
    return world


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """S3, with keys enforced."""
    with emulators.seaweed(tmp_path_factory.mktemp("seaweed")) as running:
        yield running


@pytest.fixture(scope="session")
def aws_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """AWS's Secrets Manager, STS, IAM and S3."""
    with emulators.moto(tmp_path_factory.mktemp("moto")) as running:
        yield running


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Azure Blob Storage."""
    with emulators.azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Google Cloud Storage."""
    with emulators.gcs(tmp_path_factory.mktemp("gcs")) as running:
        yield running


@pytest.fixture(scope="session")
def bao_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """OpenBao."""
    with emulators.bao(tmp_path_factory.mktemp("bao")) as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A new database for a ledger: a file, and one of the PostgreSQL server that the tests are given."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    server = os.environ.get("LABELLOOP_TEST_POSTGRES", "")
    if not server:
        pytest.skip("LABELLOOP_TEST_POSTGRES is not set")
    name = f"t{uuid.uuid4().hex[:12]}"
    admin = connect(server)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield admin.url.set(database=name).render_as_string(hide_password=False)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()
