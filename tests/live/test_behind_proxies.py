"""A real Label Studio behind everything that companies put before it."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.server import Server, free_port
from labelloop.backends.label_studio.signin import sign_in
from labelloop.data.sources import content_id
from labelloop.kinds import LabelSchema
from labelloop.testing.secrets import MemorySecrets
from labelloop.types import Item, Question

from support.browser import browser
from support.company import LIMIT, Gate, authority, known_key, outward, reverse
from support.live_world import LiveWorld

pytestmark = [pytest.mark.live, pytest.mark.slow]

TEXTS = LabelSchema("text", ("a", "b"))
MAGENTA = (255, 0, 200)
PAINTED = 50_000
"""Pixels that the picture has on the page at least."""


class WorldAway(LiveWorld):
    """Large pictures, and a Label Studio far away: what people draw weighs about 200 kB each."""

    def draw(self, count: int) -> None:
        digits, rng = load_digits(), np.random.default_rng(0)
        folder = self.root / "images"
        folder.mkdir()
        for i in range(count):
            ink = np.kron(digits.images[i] / 16.0, np.ones((32, 32)))[..., np.newaxis]
            noise = rng.integers(0, 90, (256, 256, 3))
            path = folder / f"{i:03}.png"
            Image.fromarray((255 - noise - 160 * ink).astype("uint8")).save(path)
            self.truth[content_id(path.read_bytes())] = (str(digits.target[i]),)
        self.do("add", str(folder))


@pytest.mark.timeout(900)
def test_ten_rounds_of_a_loop_behind_everything_at_once(
    annotator: LabelStudioAnnotator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, gate, tunnelled = "label.example.test", Gate("/ls", ("X-Gate", "open sesame")), list[str]()
    trusted, certificate = authority(tmp_path / "tls", host)
    monkeypatch.setenv("LABELLOOP_SECRET_TEAM__GATE", "open sesame")
    world = WorldAway(tmp_path / "world", annotator, "everything at once")
    with reverse(annotator.client().url, gate, certificate) as port, outward(tunnelled) as proxy:
        url = f"https://{host}:{port}/ls"
        more = f'ca_bundle = "{trusted}"\nheaders = "X-Gate: {{gate}}"\nproxy = "{proxy}"\n'
        world.config.write_text(
            world.config.read_text().replace(f'url = "{annotator.client().url}"\n', f'url = "{url}"\n{more}')
        )
        world.draw(80)
        for _ in range(10):
            world.do("tick")
            assert world.answer_all() == 6
        world.do("tick")
        world.do("doctor")
        shown = [str(task["data"]["image"]) for task in world.tasks()]
    with closing(world.ledger()) as ledger:
        rounds = ledger.rounds.all()
    annotator.delete(world.name)

    assert [one.asked for one in rounds] == [6] * 11
    assert rounds[-1].learned_from > 35
    assert rounds[-1].metrics["score"] > 0.3
    assert len(set(shown)) == len(shown) == 66
    assert all(one.startswith("/ls/data/upload/") for one in shown)
    refused = [(path, status) for _, path, _, status in gate.seen if status not in (200, 201, 204)]
    assert all(path.startswith("/ls/api/projects/0") and status == 404 for path, status in refused), "doctor's probes"
    assert 200_000 < max(size for _, _, size, _ in gate.seen) < LIMIT
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
