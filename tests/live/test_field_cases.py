"""What stands before Label Studio in the field, case by case: what people reported, played on a real one."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labelloop.backends.label_studio import tasks
from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.errors import BackendError, LabelLoopError
from labelloop.kinds import LabelSchema
from labelloop.machine.road import CA_VARIABLES
from labelloop.testing.secrets import MemorySecrets
from labelloop.types import Item, Question

from support.company import Gate, authority, outward, reverse

pytestmark = [pytest.mark.live, pytest.mark.slow]

TEXTS, IMAGES = LabelSchema("text", ("a", "b")), LabelSchema("image", ("red", "blue"))
HOST = "label.example.test"


@contextmanager
def behind(annotator: LabelStudioAnnotator, home: Path, gate: Gate, **options: Any) -> Iterator[LabelStudioAnnotator]:
    """The server of the session as someone else's, behind a gate."""
    secrets = MemorySecrets({"team": {"token": annotator.client().token}})
    with reverse(annotator.client().url, gate) as port:
        url = f"http://127.0.0.1:{port}{gate.prefix}"
        yield LabelStudioAnnotator(home=home, secrets=secrets, url=url, authentication_secret="team", **options)


def photos(folder: Path, count: int) -> list[Question]:
    """Pictures of noise, 226 kB each."""
    found = []
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 255, (250, 300, 3)).astype("uint8")
        Image.fromarray(noise).save(folder / f"{number}.png")
        found.append(Question(Item(f"photo-{number}", "image", uri=str(folder / f"{number}.png"))))
    return found


def texts(count: int) -> list[Question]:
    return [Question(Item(f"t{number}", "text", text="word " * 5000)) for number in range(count)]


def test_case_10_a_body_limit_of_1_mb(annotator: LabelStudioAnnotator, tmp_path: Path) -> None:
    gate = Gate(limit=1_000_000)
    with behind(annotator, tmp_path, gate) as away:
        assert away.comes_through() == (f"requests of {loads_of(away):,} bytes come through", "")
        assert away.open("case 10 photos", IMAGES).ask(photos(tmp_path, 8)).created == 8
        assert away.open("case 10 texts", TEXTS).ask(texts(58)).created == 58

    assert 413 not in {status for *_, status in gate.seen}


def test_case_10_a_smaller_limit_is_told_by_check_with_what_to_set(
    annotator: LabelStudioAnnotator, tmp_path: Path
) -> None:
    before = len(list(projects(annotator)))
    with behind(annotator, tmp_path, Gate(limit=300_000)) as away:
        words, hint = away.comes_through()
        assert "larger ones do not" in words
        size = int(hint.partition(" = ")[2].split()[0])
        assert 100_000 < size <= 300_000
    with behind(annotator, tmp_path / "again", Gate(limit=300_000), max_request_bytes=size) as away:
        assert away.comes_through() == (f"requests of {size:,} bytes come through", "")

    assert len(list(projects(annotator))) == before


@pytest.mark.parametrize("refused", ["PATCH", "DELETE", "GET"])
def test_case_11_a_firewall_that_refuses_a_kind_of_request_is_told_by_check(
    annotator: LabelStudioAnnotator, tmp_path: Path, refused: str
) -> None:
    gate = Gate(refuses=lambda method, path: method == refused and path.startswith("/api/projects/0"))
    with behind(annotator, tmp_path, gate) as away, pytest.raises(LabelLoopError, match="not in Label Studio's words"):
        away.comes_through()


def test_case_11_no_get_of_a_whole_round_has_a_body(annotator: LabelStudioAnnotator, tmp_path: Path) -> None:
    gate = Gate()  # which refuses those that have one
    with behind(annotator, tmp_path, gate) as away:
        away.comes_through()
        dataset = away.open("case 11", TEXTS)
        assert dataset.ask(texts(8)).created == 8
        list(dataset.answers(None))

    gets = [one for one in gate.seen if one[0] == "GET"]
    assert len(gets) > 3
    assert {size for _, _, size, _ in gets} == {0}


def test_case_15_pictures_below_a_sub_path(annotator: LabelStudioAnnotator, tmp_path: Path) -> None:
    with behind(annotator, tmp_path, Gate("/ls")) as away:
        dataset = away.open("case 15", IMAGES)
        dataset.ask(photos(tmp_path, 2))
        rows = [row for rows in tasks.scan(away.client(), dataset.project, [], "id,data") for row in rows]
        shown = [str(row["data"]["image"]) for row in rows]
        assert all(one.startswith("/ls/data/upload/") for one in shown)
        for one in shown:
            body = away.fetch(Item("a", "image", uri=one))
            assert isinstance(body, bytes)
            assert Image.open(io.BytesIO(body)).size == (300, 250)


def test_case_16_a_private_authority(
    annotator: LabelStudioAnnotator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    trusted, certificate = authority(tmp_path / "tls", "127.0.0.1")
    secrets = MemorySecrets({"team": {"token": annotator.client().token}})
    with reverse(annotator.client().url, Gate(), certificate) as port:

        def away(**options: Any) -> LabelStudioAnnotator:
            url = f"https://127.0.0.1:{port}"
            return LabelStudioAnnotator(
                home=tmp_path, secrets=secrets, url=url, authentication_secret="team", **options
            )

        with pytest.raises(BackendError, match="CERTIFICATE_VERIFY_FAILED") as refused:
            away().client().version()
        assert "ca_bundle" in refused.value.hint
        assert away(ca_bundle=str(trusted)).comes_through()[1] == ""
        for name in CA_VARIABLES:
            with monkeypatch.context() as here:
                here.setenv(name, str(trusted))
                assert away().client().version()


def test_case_21_a_proxy_in_the_environment(
    annotator: LabelStudioAnnotator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, seen = annotator.client().token, list[str]()
    secrets = MemorySecrets({"team": {"token": token}})
    inside = f"http://{HOST}:{annotator.client().url.rpartition(':')[2]}"

    def away() -> LabelStudioAnnotator:
        return LabelStudioAnnotator(home=tmp_path, secrets=secrets, url=inside, authentication_secret="team")

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.raises(BackendError, match=r"through the proxy http://127\.0\.0\.1:9") as refused:
        away().client().version()
    assert f"add {HOST} to NO_PROXY" in refused.value.hint
    assert annotator.client().version()  # our own is on this machine

    monkeypatch.setenv("NO_PROXY", HOST)
    with pytest.raises(BackendError) as unknown:
        away().client().version()
    assert "proxy" not in unknown.value.message
    monkeypatch.delenv("NO_PROXY")

    trusted, certificate = authority(tmp_path / "tls", HOST)
    with reverse(annotator.client().url, Gate(), certificate) as port, outward(seen) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        tunnelled = LabelStudioAnnotator(
            home=tmp_path,
            secrets=secrets,
            url=f"https://{HOST}:{port}",
            authentication_secret="team",
            ca_bundle=str(trusted),
        )
        assert tunnelled.comes_through()[1] == ""
    assert set(seen) == {f"CONNECT {HOST}:{port}"}


def loads_of(annotator: LabelStudioAnnotator) -> int:
    return annotator.client().most_bytes


def projects(annotator: LabelStudioAnnotator) -> Iterator[Any]:
    yield from annotator.client().call("GET", "/api/projects", query={"page_size": 1000})["results"]
