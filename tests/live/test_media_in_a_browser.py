"""What a person sees in a real browser of a picture that lies in a bucket."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.errors import ConfigError
from labelloop.testing.secrets import MemorySecrets
from labelloop.types import LabelSchema

from buckets import S3, elsewhere
from emulators import Emulator

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.browser]

NAME = "in a browser"
MAGENTA = (255, 0, 200)
WINDOW = (1200, 900)


@pytest.fixture(autouse=True)
def _fresh(annotator: LabelStudioAnnotator) -> Iterator[None]:
    yield
    annotator.delete(NAME)


def pixels(annotator: LabelStudioAnnotator, page: str, folder: Path) -> int:
    """How many pixels of the picture's colour a browser paints on the page, signed in by the one-time link."""
    browser = shutil.which("chromium")
    assert browser, "these tests need chromium: apt-get install chromium, or leave them out with -m 'not browser'"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    shot = folder / "page.png"
    with annotator.signed_in(page) as (link, used):
        subprocess.run(
            [
                browser,
                *flags,
                f"--user-data-dir={folder / 'profile'}",
                f"--window-size={WINDOW[0]},{WINDOW[1]}",
                "--virtual-time-budget=30000",
                f"--screenshot={shot}",
                link,
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
        assert used.is_set()
    with Image.open(shot) as image:
        return sum(count for count, colour in image.convert("RGB").getcolors(2**24) or () if colour == MAGENTA)


def png() -> bytes:
    body = io.BytesIO()
    Image.new("RGB", (300, 200), MAGENTA).save(body, "PNG")
    return body.getvalue()


def test_the_labelling_page_shows_the_picture_unless_the_bucket_forbids_it(
    annotator: LabelStudioAnnotator, s3_server: Emulator, tmp_path: Path
) -> None:
    bucket = S3(s3_server, "browser-pets")
    team = MemorySecrets({"team": {"token": annotator.client()._token}})
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

    assert allowed > 50_000
    assert forbidden == 0
    with pytest.raises(ConfigError, match="does not let pages of"):
        stack.look(NAME)
