"""What the store protocol costs over bare calls of the cloud's own client: many small objects, from many threads."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from labelloop.backends.s3_store import S3ArtifactStore
from labelloop.storage.artifacts import Artifacts
from labelloop.testing.secrets import MemorySecrets

from figure import Figure, ratio, seconds

sys.path.append(str(Path(__file__).parent.parent / "tests"))

OBJECTS = 1000
SIZE = 20_000
THREADS = 16
FILES = 2000
BUCKET = "bench"


def figures(quick: bool) -> Iterator[Figure]:
    """Throughput against boto3 with as many threads, writing and reading; and a folder of many small files."""
    from support import emulators

    with tempfile.TemporaryDirectory() as folder, emulators.seaweed(Path(folder, "s3")) as server:
        keys = {"aws_access_key_id": emulators.ACCESS_KEY, "aws_secret_access_key": emulators.SECRET_KEY}
        client = _client(server.url, keys)
        client.create_bucket(Bucket=BUCKET)
        store = S3ArtifactStore(
            path=f"s3://{BUCKET}/ours",
            endpoint=server.url,
            authentication_secret="aws",
            secrets=MemorySecrets({"aws": keys}),
        )
        yield from _objects(client, store, repeats=3 if quick else 7)
        yield from _folder(store, Path(folder))


def _objects(client: Any, store: S3ArtifactStore, repeats: int) -> Iterator[Figure]:
    body = os.urandom(SIZE)
    ways: dict[str, tuple[Callable[[int], object], Callable[[int], object]]] = {
        "written": (
            lambda number: store.write(f"{number}", io.BytesIO(body)),
            lambda number: client.put_object(Bucket=BUCKET, Key=f"theirs/{number}", Body=body),
        ),
        "read": (
            lambda number: _length(store.read(f"{number}")),
            lambda number: _length(client.get_object(Bucket=BUCKET, Key=f"theirs/{number}")["Body"]),
        ),
    }
    for what, (ours, theirs) in ways.items():
        _all_of(ours), _all_of(theirs)
        taken = [(_all_of(theirs), _all_of(ours)) for _ in range(repeats)]  # upside down: throughput, not time
        yield ratio(f"{OBJECTS} objects of 20 kB {what} / bare boto3, objects per second", taken, at_least=0.5)


def _folder(store: S3ArtifactStore, scratch: Path) -> Iterator[Figure]:
    folder = scratch / "files"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number}.bin").write_bytes(os.urandom(2000))
    artifacts = Artifacts(store, scratch / "cache")
    refs: list[Any] = []
    put = seconds(lambda: refs.append(artifacts.put(folder)))
    got = seconds(lambda: artifacts.get(refs[0]))
    yield Figure(
        f"a folder of {FILES} files stored", [put], unit="s", detail="one request to look, one to write, a file"
    )
    yield Figure(f"a folder of {FILES} files fetched", [got], unit="s")
    yield Figure(f"a folder of {FILES} files found complete", [seconds(lambda: artifacts.has(refs[0]))], unit="s")


def _client(url: str, keys: dict[str, str]) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", config=Config(max_pool_connections=THREADS), **keys
    )


def _all_of(work: Callable[[int], object]) -> float:
    with ThreadPoolExecutor(THREADS) as pool:
        return seconds(lambda: list(pool.map(work, range(OBJECTS))))


def _length(body: Any) -> int:
    with body:
        return len(body.read())
