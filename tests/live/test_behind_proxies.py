"""A real Label Studio behind everything that companies put before it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelloop.backends.label_studio import tasks
from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.server import Server, free_port
from labelloop.backends.label_studio.signin import sign_in
from labelloop.kinds import LabelSchema
from labelloop.testing.secrets import MemorySecrets
from labelloop.types import Item, Question

from support.browser import browser
from support.company import LIMIT, Gate, authority, known_key, outward, reverse

pytestmark = [pytest.mark.live, pytest.mark.slow]

TEXTS = LabelSchema("text", ("a", "b"))
MAGENTA = (255, 0, 200)
PAINTED = 50_000
"""Pixels that the picture has on the page at least."""


def photo(folder: Path, number: int) -> Item:
    """A picture of noise, 226 kB."""
    noise = np.random.default_rng(number).integers(0, 255, (250, 300, 3)).astype("uint8")
    path = folder / f"{number}.png"
    Image.fromarray(noise).save(path)
    return Item(f"photo-{number}", "image", uri=str(path))


def test_ten_rounds_behind_everything_at_once(annotator: LabelStudioAnnotator, tmp_path: Path) -> None:
    host, gate, tunnelled = "label.example.test", Gate("/ls", ("X-Gate", "open sesame")), list[str]()
    trusted, certificate = authority(tmp_path / "tls", host)
    token = annotator.client().token
    secrets = MemorySecrets({"team": {"token": token, "gate": "open sesame"}})
    with reverse(annotator.client().url, gate, certificate) as port, outward(tunnelled) as proxy:
        away = LabelStudioAnnotator(
            home=tmp_path / "home",
            secrets=secrets,
            url=f"https://{host}:{port}/ls",
            authentication_secret="team",
            ca_bundle=str(trusted),
            headers="X-Gate: {gate}",
            proxy=proxy,
        )
        dataset = away.open("everything at once", LabelSchema("image", ("red", "blue")))
        cursor: str | None = None
        for turn in range(10):
            questions = [Question(photo(tmp_path, 8 * turn + n)) for n in range(8)]
            asked = dataset.ask(questions)
            assert (asked.created, asked.missing) == (8, {})
            for page in dataset.answers(cursor):
                cursor = page.cursor
        rows = [row for rows in tasks.scan(away.client(), dataset.project, [], "id,data") for row in rows]
        sizes = [len(away.fetch(Item("a", "image", uri=row["data"]["image"]))) for row in rows]

    assert len(rows) == len(sizes) == 80
    assert all(str(row["data"]["image"]).startswith("/ls/data/upload/") for row in rows)
    assert min(sizes) > 200_000
    assert {status for *_, status in gate.seen} <= {200, 201}
    assert max(size for _, _, size, _ in gate.seen) < LIMIT
    assert not [one for one in gate.seen if one[0] == "GET" and one[2]]
    assert set(tunnelled) == {f"CONNECT {host}:{port}"}


@pytest.mark.parametrize("cuts", [False, True], ids=["413", "cut off"])
def test_what_is_still_too_large_goes_in_halves_and_one_alone_is_set_aside(
    annotator: LabelStudioAnnotator, tmp_path: Path, cuts: bool
) -> None:
    gate = Gate(limit=100_000, cuts=cuts)
    secrets = MemorySecrets({"team": {"token": annotator.client().token}})
    with reverse(annotator.client().url, gate) as port:
        away = LabelStudioAnnotator(
            home=tmp_path, secrets=secrets, url=f"http://127.0.0.1:{port}", authentication_secret="team"
        )
        dataset = away.open(f"halves {cuts}", TEXTS)
        texts = {f"text-{n}": "word " * 6000 for n in range(20)} | ({} if cuts else {"huge": "word " * 60_000})
        asked = dataset.ask([Question(Item(one, "text", text=text)) for one, text in texts.items()])
        again = dataset.ask([Question(Item(one, "text", text=text)) for one, text in texts.items()])

    assert asked.created == 20
    assert list(asked.missing) == ([] if cuts else ["huge"])
    assert (again.created, again.existing) == (0, 20)


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not on this machine")
@pytest.mark.timeout(600)
def test_a_labelling_page_shows_its_picture_behind_everything_at_once(tmp_path: Path) -> None:
    host, own, tunnelled = "label.example.test", free_port(8691), list[str]()
    trusted, certificate = authority(tmp_path / "tls", host)
    programs, people = Gate("/ls", ("X-Gate", "open sesame")), Gate("/ls")
    target = f"http://127.0.0.1:{own}"
    with (
        reverse(target, programs, certificate) as port,
        reverse(target, people, certificate) as for_people,
        outward(tunnelled) as proxy,
        outward([], {port: for_people}) as proxy_of_people,
    ):
        url = f"https://{host}:{port}/ls"
        server = Server(
            tmp_path / "server", MemorySecrets(), port=own, hosts=host, surroundings=lambda: {"LABEL_STUDIO_HOST": url}
        )
        try:
            assert server.up().port == own
            given = server.credentials()
            people.cookie = f"sessionid={sign_in(target, given['email'], given['password'])}"
            away = LabelStudioAnnotator(
                home=tmp_path / "home",
                secrets=MemorySecrets({"team": {"token": given["token"], "gate": "open sesame"}}),
                url=url,
                authentication_secret="team",
                ca_bundle=str(trusted),
                headers="X-Gate: {gate}",
                proxy=proxy,
            )
            assert away.comes_through()[1] == ""
            dataset = away.open("in a browser", LabelSchema("image", ("red", "blue")))
            Image.new("RGB", (300, 200), MAGENTA).save(tmp_path / "magenta.png")
            assert dataset.ask([Question(Item("m", "image", uri=str(tmp_path / "magenta.png")))]).created == 1
            key = known_key(certificate[0])
            flags = f"--proxy-server={proxy_of_people}", f"--ignore-certificate-errors-spki-list={key}"
            with browser(tmp_path, *flags) as page:
                page.go(dataset.url())
                painted = page.await_painted(MAGENTA, PAINTED)
        finally:
            server.down()

    assert painted >= PAINTED
    assert any(path.startswith("/ls/data/upload/") and status == 200 for _, path, _, status in people.seen)
    assert set(tunnelled) == {f"CONNECT {host}:{port}"}
