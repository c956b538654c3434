"""What goes wrong at a real Label Studio, or on the machine: a clear message, the right exit code, nothing lost."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.client import Client

from support.live_world import MAIN, LiveWorld

pytestmark = [pytest.mark.live, pytest.mark.slow]

NAME = "bad input"


@pytest.fixture
def world(annotator: LabelStudioAnnotator, tmp_path: Path) -> Iterator[LiveWorld]:
    """A workspace whose first round has been asked."""
    made = LiveWorld(tmp_path / "world", annotator, NAME)
    made.draw(20)
    made.do("tick")
    yield made
    if any(summary.name == NAME for summary in annotator.datasets()):
        annotator.delete(NAME)


def refused(world: LiveWorld, code: int, *words: str) -> None:
    """A tick that ends with this code, says these words, and leaves the ledger as it was."""
    before = world.questions()
    done = world.run("tick")
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert world.questions() == before


def test_a_label_removed_by_hand_is_named_and_nothing_is_asked(world: LiveWorld) -> None:
    client = world.annotator.client()
    path = f"/api/projects/{world.project}"
    config = str(client.call("GET", path)["label_config"])
    one = next(line for line in config.split(">") if 'value="7"' in line) + ">"
    client.call("PATCH", path, body={"label_config": config.replace(one, "")})

    refused(
        world,
        2,
        f"the label config of '{NAME}' in Label Studio is not what labelloop.toml says",
        "7",
        "settings/labeling",
    )

    client.call("PATCH", path, body={"label_config": config})
    world.answer_all()
    world.do("tick")
    assert {one.round for one in world.questions()} == {1, 2}


def test_a_deleted_task_is_noticed_and_not_waited_for(world: LiveWorld) -> None:
    first = world.tasks()[0]
    world.annotator.client().call("DELETE", f"/api/tasks/{first['id']}/")

    done = world.run("tick")

    assert done.returncode == 0, done.stderr
    assert "1 question(s) were deleted in the annotator" in done.stdout
    assert "0 of 5 answers to round 1" in done.stdout
    assert [one.item_id for one in world.questions() if one.state == "gone"] == [first["data"]["labelloop_id"]]


def test_a_deleted_project_is_not_silently_made_anew(world: LiveWorld) -> None:
    world.answer_all()
    assert world.run("train").returncode == 0
    world.annotator.delete(NAME)

    refused(world, 2, f"dataset '{NAME}' is gone from the annotator", "6 changes")

    assert all(summary.name != NAME for summary in world.annotator.datasets())
    done = world.run("export")
    assert len(done.stdout.splitlines()) == 6


EXPIRED = "e30.eyJleHAiOjF9.c2ln"  # {"exp": 1}


@pytest.mark.parametrize("token", ["f" * 40, EXPIRED], ids=["wrong", "expired"])
def test_a_token_that_is_wrong_or_has_expired_is_refused_and_never_shown(world: LiveWorld, token: str) -> None:
    world.token = token

    refused(world, 2, "answered 401", "user/account/personal-access-token", "labelloop secret update team --token=...")

    done = world.run("check")
    assert done.returncode == 2
    assert token not in done.stdout + done.stderr


def test_an_unknown_label_in_an_answer_is_set_aside_and_reported(world: LiveWorld) -> None:
    odd = world.questions()[0].item_id
    fish = {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["fish"]}}
    world.person.answer(NAME, odd, [fish])
    world.answer_all()

    done = world.run("tick")

    assert done.returncode == 0, done.stderr
    assert f"set aside: {odd}: label 'fish' is not in the label schema" in done.stdout
    assert max(one.round for one in world.questions()) == 2


def test_a_full_disk_is_told_and_the_tick_completes_once_there_is_space(
    annotator: LabelStudioAnnotator, world: LiveWorld, tmp_path: Path
) -> None:
    with full_disk(tmp_path / "small") as disk:
        config = world.config.read_text().replace("[stacks.default]", '[stacks.default]\nartifact_store = "small"')
        world.config.write_text(f'{config}\n[artifact_stores.small]\nflavor = "local"\npath = "{disk}"\n')
        world.answer_all()

        refused_now = world.run("tick")
        (disk / "ballast").unlink()
        world.do("tick")

    assert refused_now.returncode == 3, refused_now.stderr
    assert "cannot write artifact" in refused_now.stderr
    assert "No space left on device" in refused_now.stderr
    assert "free space on that disk" in refused_now.stderr
    assert max(one.round for one in world.questions()) == 2


def test_a_full_disk_under_the_workspace_is_told_too(annotator: LabelStudioAnnotator, tmp_path: Path) -> None:
    name = f"{NAME} all"
    with full_disk(tmp_path / "small", ballast=False) as disk:
        world = LiveWorld(disk / "world", annotator, name)
        world.draw(12)
        _fill(disk)
        done = world.run("tick")
        (disk / "ballast").unlink()
        world.do("tick")

        assert done.returncode == 3, done.stderr
        assert "Traceback" not in done.stderr
        assert len(world.tasks()) == len(world.questions()) > 0
    annotator.delete(name)


@pytest.mark.parametrize(
    "moment",
    [
        "labelloop.backends.label_studio.delivery:Delivery._send",
        "labelloop.ledger.rounds:RoundBook.plan",
        "labelloop.ledger.rounds:RoundBook.confirm",
    ],
)
def test_ctrl_c_in_the_middle_of_a_tick_loses_nothing(world: LiveWorld, moment: str) -> None:
    world.answer_all()

    interrupted = world.run("tick", code=(_pressing(moment),))
    world.do("tick")

    assert interrupted.returncode == 130, interrupted.stderr
    assert "interrupted; nothing is lost" in interrupted.stderr
    asked = [task["data"]["labelloop_id"] for task in world.tasks()]
    assert sorted(asked) == sorted(one.item_id for one in world.questions())
    assert {one.state for one in world.questions() if one.round == 2} == {"asked"}


def _pressing(moment: str) -> str:
    module, _, method = moment.partition(":")
    owner, _, name = method.partition(".")
    return (
        f"import os, signal\nfrom {module} import {owner}\nkept = {owner}.{name}\n"
        "def pressed(*given, **named):\n"
        "    result = kept(*given, **named)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return result\n"
        f"{owner}.{name} = pressed\n{MAIN}"
    )


@contextmanager
def full_disk(place: Path, *, ballast: bool = True) -> Iterator[Path]:
    """A small disk of its own, filled to the brim by a file `ballast`."""
    place.mkdir()
    if subprocess.run(_mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)), check=False).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        if ballast:
            _fill(place)
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _mount(*arguments: str) -> Sequence[str]:
    return ["mount", *arguments]


def _fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def test_legacy_tokens_that_the_organization_does_not_take_are_told_apart(
    annotator: LabelStudioAnnotator, world: LiveWorld, personal_token: str
) -> None:
    client = annotator.client()
    settings = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": False}
    try:
        client.call("POST", "/api/jwt/settings", body=settings)
        refused_legacy = world.run("annotator", "describe")
        world.token = personal_token
        described = world.run("--json", "annotator", "describe")
    finally:
        Client(client.url, personal_token).call(
            "POST", "/api/jwt/settings", body={**settings, "legacy_api_tokens_enabled": True}
        )

    assert refused_legacy.returncode == 2
    assert "does not take legacy tokens any more" in refused_legacy.stdout
    assert f"{client.url}/user/account/personal-access-token" in refused_legacy.stdout
    assert "labelloop secret update team --token=..." in refused_legacy.stdout
    assert described.returncode == 0, described.stdout
