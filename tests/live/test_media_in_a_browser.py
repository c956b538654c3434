"""What a person sees in a real browser of a picture: of one in a bucket, and of scans and a phone's pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.data import decoding
from labelloop.data.sources import read_items
from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.testing.secrets import MemorySecrets
from labelloop.types import NewItem, Question

from support.browser import browsing
from support.buckets import S3, elsewhere
from support.emulators import Emulator

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.browser]

NAME = "in a browser"
MAGENTA = (255, 0, 200)
PAINTED = 50_000
"""Pixels that a picture of these sizes has on the page at least."""


@pytest.fixture(autouse=True)
def _fresh(annotator: LabelStudioAnnotator) -> Iterator[None]:
    yield
    annotator.delete(NAME)


def pixels(annotator: LabelStudioAnnotator, page: str, folder: Path) -> int:
    """How many pixels of the picture's colour a browser paints on the page: all that a picture has, or none."""
    with browsing(annotator, page, folder) as shown:
        return shown.await_painted(MAGENTA, PAINTED)


def png() -> bytes:
    return written("PNG")


def written(form: str, width: int = 300, **options: Any) -> bytes:
    body = io.BytesIO()
    Image.new("RGB", (width, 200), MAGENTA).save(body, form, **options)
    return body.getvalue()


def scans() -> Mapping[str, bytes]:
    """Pictures of all sorts, each of another width."""
    assert ".heic" in decoding.endings(), "install what the development dependencies name"
    return {
        "a.tif": written("TIFF", 301),
        "b.tiff": written("TIFF", 302, compression="tiff_lzw"),
        "c.png": written("PNG", 303),
        "pages.tif": written("TIFF", 304, save_all=True, append_images=[Image.new("RGB", (304, 200), "green")] * 2),
        "really a tiff.png": written("TIFF", 305),
        "IMG_0009": written("PNG", 306),
        "IMG_0001.HEIC": written("HEIF", 307, quality=100),
        "map.jp2": written("JPEG2000", 308),
    }


def test_the_labelling_page_shows_the_picture_unless_the_bucket_forbids_it(
    annotator: LabelStudioAnnotator, s3_server: Emulator, tmp_path: Path
) -> None:
    bucket = S3(s3_server, "browser-pets")
    team = MemorySecrets({"team": {"token": annotator.client().token}})
    stack = elsewhere(annotator, tmp_path, bucket.where, team)
    dataset = stack.open(NAME, LabelSchema("image", ("cat", "dog")))
    dataset.ask([bucket.put("pets/magenta.png", png())])

    (tmp_path / "allowed").mkdir()
    allowed = pixels(annotator, dataset.url(), tmp_path / "allowed")
    bucket.client.put_bucket_cors(
        Bucket=bucket.name,
        CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://other.example"]}]},
    )
    (tmp_path / "forbidden").mkdir()
    forbidden = pixels(annotator, dataset.url(), tmp_path / "forbidden")

    assert allowed >= PAINTED
    assert forbidden == 0
    with pytest.raises(ConfigError, match="does not let pages of"):
        stack.look(NAME)


def test_a_browser_shows_every_picture_of_a_folder_of_scans_and_of_a_phone(
    annotator: LabelStudioAnnotator, tmp_path: Path
) -> None:
    folder, bodies = tmp_path / "scans", scans()
    folder.mkdir()
    for name, body in bodies.items():
        (folder / name).write_bytes(body)
    found = list(read_items(str(folder), "image"))
    items = {str(one.item.meta["file"]): one.item for one in found if isinstance(one, NewItem)}
    dataset = annotator.open(NAME, LabelSchema("image", ("cat", "dog")))
    dataset.ask([Question(item) for item in items.values()])

    painted = {}
    for number, (name, item) in enumerate(items.items()):
        (tmp_path / str(number)).mkdir()
        painted[name] = pixels(annotator, dataset.url(item.id), tmp_path / str(number))

    assert {name for name, count in painted.items() if count >= PAINTED} == set(bodies), painted
