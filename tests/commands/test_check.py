"""Every component proves that it answers, and says what to do when it does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from labelloop.backends.local_store import LocalArtifactStore
from labelloop.commands.check import Finding, bring_down, bring_up, checks, found
from labelloop.errors import BackendError, NotFoundError
from labelloop.protocols import silent
from labelloop.testing.annotator import FakeAnnotator
from labelloop.types import AnnotatorState
from labelloop.workspace.stack import Stack

from support import clouds
from support.emulators import Emulator
from support.small_world import Parts, World


class Forgetful(LocalArtifactStore):
    """Gives back other bytes than it was given."""

    def read(self, key: str) -> BinaryIO:
        return BytesIO(b"something else")


class Managed(FakeAnnotator):
    """An annotator that can be started and stopped."""

    running = False

    def up(self, progress: Any = silent) -> None:
        self.running = True

    def down(self) -> bool:
        was, self.running = self.running, False
        return was


@dataclass
class Nothing:
    """A secrets manager without secrets."""

    kept: dict[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        return []


@dataclass
class Everything(Parts):
    """A whole stack of given parts."""

    secrets_manager: Nothing = field(default_factory=Nothing)
    workspace: Any = None


def stack(world: World, annotator: FakeAnnotator | None = None, store: Any = None) -> Stack:
    kept = store or LocalArtifactStore(path=str(world.root / "artifacts"))
    return cast(Stack, Everything(annotator or world.people, kept, workspace=world.workspace()))


def test_everything_that_works_says_so(animals: World) -> None:
    results = {one.what: one for one in checks(animals.workspace(), stack(animals))}

    assert [one.what for one in results.values() if not one.ok] == []
    assert results["labels"].detail == "cat, dog, owl"
    assert results["ledger"].detail == "40 items"
    assert results["annotator"].detail == "fake 1 at fake://annotator, 0 dataset(s)"


@pytest.mark.parametrize(("state", "code"), [("down", 3), ("unauthorised", 2)])
def test_an_annotator_that_does_not_let_us_in_fails(animals: World, state: Any, code: int) -> None:
    animals.people.become(AnnotatorState("fake", "fake://annotator", state, detail="token refused"))

    failed = {one.what: one for one in checks(animals.workspace(), stack(animals)) if not one.ok}

    assert failed["annotator"].exit_code == code
    assert failed["annotator"].hint


def test_a_store_that_gives_back_other_bytes_fails(animals: World) -> None:
    store = Forgetful(path=str(animals.root / "artifacts"))

    failed = {one.what: one for one in checks(animals.workspace(), stack(animals, store=store)) if not one.ok}

    assert "gave back other bytes" in failed["artifact store"].detail


def test_a_bucket_that_may_only_be_read_says_so_and_what_to_allow(animals: World, s3_server: Emulator) -> None:
    store = clouds.s3_store(s3_server, authentication_secret="reader")

    failed = {one.what: one for one in checks(animals.workspace(), stack(animals, store=store)) if not one.ok}

    assert failed["artifact store"].detail.endswith("(403 AccessDenied); it can be read")
    assert "allow s3:PutObject" in failed["artifact store"].hint


def test_a_bucket_that_is_not_there_is_not_said_to_be_readable(animals: World, azure_server: Emulator) -> None:
    store = clouds.azure_store(azure_server, path="az://nowhere")

    failed = {one.what: one for one in checks(animals.workspace(), stack(animals, store=store)) if not one.ok}

    assert failed["artifact store"].detail.endswith("does not exist (404 ContainerNotFound)")


def test_wrong_keys_are_not_said_to_read(animals: World, s3_server: Emulator) -> None:
    wrong = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}
    store = clouds.s3_store(s3_server, authentication_secret="w", secrets=clouds.secrets_of("w", wrong))

    failed = {one.what: one for one in checks(animals.workspace(), stack(animals, store=store)) if not one.ok}

    assert failed["artifact store"].detail.endswith("(403 InvalidAccessKeyId)")


def test_checking_a_bucket_twice_leaves_one_object(animals: World, s3_server: Emulator) -> None:
    store = clouds.s3_store(s3_server)

    for _ in range(2):
        assert all(one.ok for one in checks(animals.workspace(), stack(animals, store=store)))

    assert [one.rpartition("/")[2] for one in store.filesystem().files_below(store.path)] == ["probe"]


def test_an_unknown_selector_fails_with_the_nearest_one(animals: World) -> None:
    results = checks(animals.workspace(loop__selector="uherdin"), stack(animals))

    failed = {one.what: one for one in results if not one.ok}

    assert "did you mean 'uherding'" in failed["selector"].hint


def test_a_second_opinion_that_would_not_help_fails_before_anything_is_asked(animals: World) -> None:
    results = checks(animals.workspace(loop__selector="relabel(auto, 0.2)"), stack(animals))

    failed = {one.what: one for one in results if not one.ok}

    assert "loop.belief = 'newest' does not weigh answers" in failed["selector"].detail


class Counted(FakeAnnotator):
    """An annotator that knows how many people there are."""

    def exposed(self) -> tuple[str, str]:
        return "", ""

    def people(self) -> int:
        return 2


class Secretive(FakeAnnotator):
    """An annotator that tells nobody who is a member."""

    def exposed(self) -> tuple[str, str]:
        return "", ""

    def people(self) -> int:
        raise BackendError("the members are secret", "ask its administrator")


@pytest.mark.parametrize(
    ("people", "verdict", "detail", "hint"),
    [
        (2, "ok", "2 can sign in, and each item needs 2", ""),
        (
            3,
            "warning",
            "2 can sign in, and each item needs 3: no question would ever be closed",
            "invite people at fake://annotator, or set people_per_item = 2 under [dataset]",
        ),
    ],
)
def test_fewer_people_than_an_item_needs_are_a_warning(
    animals: World, people: int, verdict: str, detail: str, hint: str
) -> None:
    results = checks(animals.workspace(dataset__people_per_item=people), stack(animals, Counted()))

    found = next(one for one in results if one.what == "people")

    assert (found.verdict, found.detail, found.hint, found.exit_code) == (verdict, detail, hint, 0)


def test_people_are_counted_only_where_several_are_needed_and_the_annotator_knows(animals: World) -> None:
    one = checks(animals.workspace(), stack(animals, Secretive()))
    unknown = checks(animals.workspace(dataset__people_per_item=2), stack(animals))
    refused = checks(animals.workspace(dataset__people_per_item=2), stack(animals, Secretive()))

    assert "people" not in {found.what for found in [*one, *unknown]}
    assert [found.verdict for found in refused if found.what == "people"] == ["FAILED"]


class Behind(FakeAnnotator):
    """An annotator with something before it."""

    told: Any = ("requests of 900,000 bytes come through", "")

    def comes_through(self) -> Any:
        if isinstance(self.told, Exception):
            raise self.told
        return self.told


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        (("requests of 900,000 bytes come through", ""), ["ok"]),
        (("requests of 450,000 bytes come through, larger ones do not", "set max_request_bytes"), ["warning"]),
        (("", ""), []),
        (BackendError("answered 403 to PATCH", "ask whoever runs the firewall"), ["FAILED"]),
    ],
)
def test_what_does_not_come_through_to_the_annotator_is_said(animals: World, told: Any, verdict: list[str]) -> None:
    annotator = Behind()
    annotator.told = told

    found = [one.verdict for one in checks(animals.workspace(), stack(animals, annotator)) if one.what == "requests"]

    assert found == verdict


def test_what_was_found_is_said_in_words(animals: World) -> None:
    results = {one.what: one.detail for one in checks(animals.workspace(), stack(animals))}

    assert results["orchestrator"] == "LocalOrchestrator: a step ran"
    assert results["learner"] == "support.quick_learner:QuickLearner: one text became 16 numbers"


def test_a_finding_keeps_message_hint_and_code_of_an_error() -> None:
    def prove() -> str:
        raise NotFoundError("no such thing", "make one")

    assert found("thing", prove) == Finding("thing", ok=False, detail="no such thing", hint="make one", exit_code=2)


def test_errors_that_are_none_of_ours_are_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        found("thing", lambda: str(1 // 0))


def test_bringing_up_starts_what_can_be_started_and_down_stops_it(animals: World) -> None:
    annotator = Managed()
    parts = stack(animals, annotator)

    up = list(bring_up(parts, silent))
    was_running = annotator.running

    assert all(one.ok for one in up)
    assert was_running
    assert (bring_down(parts), bring_down(parts)) == (["annotator"], [])
    assert bring_down(stack(animals)) == []


def test_a_component_that_cannot_be_started_is_a_finding(animals: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise BackendError("port 8093 is taken", "stop what listens there")

    monkeypatch.setattr(Managed, "up", refuse)

    (failed,) = [one for one in bring_up(stack(animals, Managed()), silent) if not one.ok]

    assert failed.as_dict() == {
        "what": "annotator",
        "ok": False,
        "detail": "port 8093 is taken",
        "hint": "stop what listens there",
    }


class Looking(FakeAnnotator):
    """An annotator that knows what browsers get, and that somebody hid the guesses."""

    def look(self, name: str) -> str:
        return ""

    def looked_at(self, name: str) -> list[tuple[bool, str, str]]:
        return [(True, "uploaded .png: a browser gets it", ""), (False, "uploaded .tif: broken", "add it again")]

    def hides_predictions(self, name: str) -> bool:
        return True


def test_a_picture_of_each_sort_is_looked_at_and_hidden_guesses_are_a_warning(world: World, tmp_path: Path) -> None:
    (world.root / "labelloop.toml").write_text('[dataset]\nname = "pets"\nlabels = ["a", "b"]\n')
    stack = Everything(Looking(), LocalArtifactStore(path=str(tmp_path)), workspace=world.workspace())

    said = [one for one in checks(world.workspace(), cast(Stack, stack)) if one.what in ("pictures", "guesses")]

    assert [(one.verdict, one.exit_code) for one in said] == [("ok", 0), ("FAILED", 2), ("warning", 0)]
    assert "hides the model's guesses" in said[2].detail
