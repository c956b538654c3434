"""What adding a folder again costs, when nothing in it has changed: from here and from a bucket."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from labelloop.backends.s3_store import S3ArtifactStore
from labelloop.commands.add import add_items
from labelloop.data.sources import Columns
from labelloop.ledger import Ledger, open_ledger
from labelloop.ledger.tables import seen
from labelloop.protocols import ArtifactStore
from labelloop.testing.secrets import MemorySecrets

from figure import Figure, pairs, ratio, seconds

sys.path.append(str(Path(__file__).parent.parent / "tests"))

FILES = 2000
BUCKET = "bench"


def figures(quick: bool) -> Iterator[Figure]:
    """Known files, with their stamps remembered and with the stamps forgotten, which reads every one of them."""
    from support import emulators

    repeats = 2 if quick else 5
    with tempfile.TemporaryDirectory() as folder, emulators.seaweed(Path(folder, "s3")) as server:
        photos = _photos(Path(folder, "photos"))
        store = _store(server.url)
        for path in photos.iterdir():
            with path.open("rb") as body:
                store.write(f"photos/{path.name}", body)
        yield _again("a folder here", Path(folder), str(photos), None, repeats)
        yield _again("a folder of the S3 bucket", Path(folder), f"{store.path}/photos", store, repeats)


def _again(what: str, scratch: Path, place: str, store: ArtifactStore | None, repeats: int) -> Figure:
    ledger = open_ledger(f"sqlite:///{scratch / f'{what[-6:]}.db'}", "photos")
    _add(ledger, place, store)

    def remembered(_: int) -> float:
        _add(ledger, place, store)
        return seconds(lambda: _add(ledger, place, store))

    def forgotten(_: int) -> float:
        with ledger.engine.begin() as connection:
            connection.execute(seen.delete())
        return seconds(lambda: _add(ledger, place, store))

    taken = pairs(remembered, forgotten, repeats)
    ledger.close()
    return ratio(f"{FILES} known PNGs of {what} added again / each of them read", taken, at_most=0.1)


def _add(ledger: Ledger, place: str, store: ArtifactStore | None) -> None:
    taken = add_items(ledger, [place], "image", Columns(), store=store)
    if taken.total != FILES:
        raise RuntimeError(f"{taken.total} items instead of {FILES}")


def _photos(folder: Path) -> Path:
    folder.mkdir()
    for number in range(FILES):
        pixels = np.random.default_rng(number).integers(0, 255, (12, 16, 3), np.uint8)
        path = folder / f"{number:04}.png"
        Image.fromarray(pixels).resize((256, 192)).save(path)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return folder


def _store(url: str) -> S3ArtifactStore:
    import boto3

    from support import emulators

    keys: dict[str, Any] = {
        "aws_access_key_id": emulators.ACCESS_KEY,
        "aws_secret_access_key": emulators.SECRET_KEY,
    }
    boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys).create_bucket(Bucket=BUCKET)
    return S3ArtifactStore(
        path=f"s3://{BUCKET}/ours", endpoint=url, authentication_secret="aws", secrets=MemorySecrets({"aws": keys})
    )
