"""Labels taken from the model: certified, marked, audited, revoked; killed anywhere and repeated, nothing doubles."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from click.testing import CliRunner, Result

from labelloop.backends.local_store import LocalArtifactStore
from labelloop.cli import cli
from labelloop.cli.app import App
from labelloop.commands import auto_label
from labelloop.commands.export import write_labels
from labelloop.commands.labels import relabel
from labelloop.commands.ml_backend import PredictionService
from labelloop.commands.report import report_view
from labelloop.commands.status import status_as_dict, status_in_words
from labelloop.errors import ConfigError, NotFoundError
from labelloop.kinds import LabelSchema, label_changes
from labelloop.kinds.predicted import by_probabilities
from labelloop.ledger.rounds import RoundBook
from labelloop.loop.decide import Start, Stop
from labelloop.loop.loop import Loop
from labelloop.protocols import Progress, silent
from labelloop.workspace.stack import Stack

from support.small_world import LABELS, NAME, Parts, World, held_by

SETTINGS: dict[str, Any] = {
    "auto_label__error": 0.2,
    "auto_label__audit": 0.2,
    "auto_label__audit_per_round": 5,
    "holdout__size": 60,
    "holdout__per_round": 20,
    "loop__batch": 6,
    "loop__rounds": 3,
    "loop__gate": "always",
}
"""With an error of 20 %, 14 calibration answers are enough. No model scores higher than one that is always right."""


@pytest.fixture
def taught(world: World) -> World:
    """Two hundred texts, three rounds of true answers, and a model that is always right."""
    world.add(200)
    world.play(4, **SETTINGS)
    return world


def with_labels(world: World, **more: Any) -> Loop:
    loop = world.loop(**{**SETTINGS, **more})
    auto_label.apply(loop)
    return loop


def exported(loop: Loop, folder: Path, **how: Any) -> list[dict[str, str]]:
    path = folder / "labels.csv"
    write_labels(loop, str(path), **how)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def audits_of(world: World) -> list[str]:
    return [one.item_id for one in world.questions() if one.purpose == "audit"]


def answer_audits(world: World, *, wrongly: bool = False) -> int:
    truth = world.truth()
    waiting = [item_id for item_id in audits_of(world) if item_id in world.dataset.open_items()]
    for item_id in waiting:
        label = truth[item_id]
        world.answer(item_id, LABELS[(LABELS.index(label) + 1) % 3] if wrongly else label)
    return len(waiting)


def test_the_plan_changes_nothing_and_says_what_it_would_take(taught: World) -> None:
    before = taught.dump()
    found = auto_label.plan(taught.loop(**SETTINGS))
    shown = found.as_dict()
    assert len(found.rows) > 50
    assert shown["needed"] == 14
    assert shown["most_errors"] == int(0.2 * len(found.rows))
    assert shown["audit"] == round(0.2 * len(found.rows))
    assert taught.dump() == before


def test_without_a_model_there_is_nothing_to_take(world: World) -> None:
    world.add(20)
    world.tick()
    with pytest.raises(ConfigError, match="no model yet"):
        auto_label.plan(world.loop())


def test_a_multiple_choice_is_refused(taught: World) -> None:
    loop = taught.loop(**SETTINGS)
    loop.schema = LabelSchema("text", LABELS, "multiple-choice")
    with pytest.raises(ConfigError, match="this is a multiple choice"):
        auto_label.plan(loop)


@pytest.mark.parametrize("per_label", [False, True])
def test_where_everything_was_asked_that_is_the_reason(taught: World, per_label: bool) -> None:
    loop = taught.loop(**SETTINGS, auto_label__per_label=per_label)
    known = loop.learning.snapshots.know(loop.ledger.items.columns())
    asked = replace(known, asked=~known.held_out)
    likely = by_probabilities(loop.schema, np.full((len(known.asked), 3), 1 / 3, np.float32))

    found = loop.taken.offer(asked, likely, auto_label.terms_of(loop))

    assert found.why == "every item was asked already, or is held out"


def test_several_labels_that_cannot_be_taken_are_not_all_told(taught: World) -> None:
    found = auto_label.plan(taught.loop(**{**SETTINGS, "auto_label__error": 0.01}, auto_label__per_label=True))

    assert found.why.endswith("are needed, confident and right; and 2 more label(s) like it")


def test_too_few_answers_take_no_label_and_say_how_many_are_needed(taught: World) -> None:
    with pytest.raises(ConfigError, match="at least 299 are needed") as refused:
        auto_label.apply(taught.loop(**{**SETTINGS, "auto_label__error": 0.01}))
    assert "auto-label plan" in refused.value.hint
    assert taught.ledger().auto.all() == []


def test_taken_labels_are_marked_and_are_no_answers(taught: World, tmp_path: Path) -> None:
    before = taught.loop(**SETTINGS).look()
    loop = with_labels(taught)
    rows = exported(loop, tmp_path)
    mine = {row["id"]: row for row in rows if row["source"] == "model"}
    people = {row["id"]: row for row in rows if row["source"] == "human"}
    truth = taught.truth()
    assert len(mine) > 50
    assert not mine.keys() & people.keys()
    assert all(row["labels"] == truth[item_id] for item_id, row in mine.items())
    assert {row["held_out"] for row in mine.values()} == {"false"}
    held_out = loop.learning.snapshots.know(loop.ledger.items.columns()).held_out
    assert not mine.keys() & {str(one) for one in loop.ledger.items.columns().ids[held_out]}
    assert loop.look().changes == before.changes, "nobody has said anything"
    assert {row["source"] for row in exported(loop, tmp_path, only_human=True)} == {"human"}


def test_the_status_of_the_loop_counts_the_labels_and_says_when_they_ended(taught: World) -> None:
    assert status_as_dict(taught.loop(**SETTINGS))["auto_label"] == {}
    assert report_view(taught.loop(**SETTINGS)).taken == []
    loop = with_labels(taught)
    active = loop.ledger.auto.active()
    assert active is not None
    count = f"taken     {active.taken} labels of model {active.version}, "
    assert f"{count}at most 20 % of them wrong; labelloop auto-label status" in status_in_words(loop)
    reported = dict(report_view(loop).taken)
    assert reported["labels"] == f"{active.taken} count, of {active.taken} taken from model {active.version}"
    assert reported["audit"].startswith("0 of 0 wrong, 5 open")

    auto_label.revoke(loop, "the guide has changed")

    assert f"{count}revoked, none counts: the guide has changed" in status_in_words(loop)
    told = status_as_dict(loop)["auto_label"]
    assert (told["taken"], told["state"]) == (active.taken, "revoked")


def test_taken_labels_are_not_learned_from(taught: World) -> None:
    before = taught.loop(**SETTINGS).study()
    with_labels(taught)
    after = taught.loop(**SETTINGS).study()
    assert after.learned_from == before.learned_from
    assert after.judged.model == before.judged.model


def test_applying_asks_the_first_audits_blind_and_again_changes_nothing(taught: World) -> None:
    with_labels(taught)
    assert len(audits_of(taught)) == 5
    for item_id in audits_of(taught):
        assert taught.dataset.prediction(item_id) is None
    before = taught.dump()
    with_labels(taught)
    after = taught.dump()
    assert {name: after[name] for name in after if name != "facts"} == {
        name: before[name] for name in before if name != "facts"
    }


@pytest.mark.parametrize("error", [0.2, 0.3])
def test_asking_many_audits_is_no_reason_to_certify_anew(taught: World, error: float) -> None:
    terms = {"auto_label__error": error, "auto_label__audit": 0.5, "auto_label__audit_per_round": 60}
    with_labels(taught, **terms)
    before = taught.dump()

    with_labels(taught, **terms)

    after = taught.dump()
    assert (after["certificates"], after["auto_labels"]) == (before["certificates"], before["auto_labels"])
    assert len(audits_of(taught)) > 30


def test_the_model_does_not_tell_about_what_is_audited(taught: World) -> None:
    loop = with_labels(taught)
    asked = set(audits_of(taught))
    items = list(loop.ledger.items.get(sorted(asked)).values())
    assert PredictionService(lambda: loop, lambda item: b"").answer(items) == [None] * len(items)


def test_a_loop_that_has_nothing_more_to_ask_goes_on_with_the_audit(taught: World) -> None:
    with_labels(taught)
    seen = set()
    for _ in range(40):
        answer_audits(taught)
        outcome = taught.tick(**SETTINGS)
        seen.add(type(outcome.action))
        if isinstance(outcome.action, Stop):
            break
    assert isinstance(outcome.action, Stop)
    ledger = taught.ledger()
    active = ledger.auto.active()
    assert active is not None
    assert ledger.auto.due(active, 5) == []
    drawn = [one for one in ledger.auto.taken().values() if one.draw < 0.2]
    assert {one.item_id for one in drawn} <= set(audits_of(taught))


def test_answers_of_an_audit_are_learned_from(taught: World) -> None:
    with_labels(taught)
    before = taught.last().learned_from
    audited = answer_audits(taught)
    taught.tick(**SETTINGS)
    assert taught.last().learned_from == before + audited


def test_labels_that_people_disagree_with_are_revoked_with_a_message(taught: World, tmp_path: Path) -> None:
    with_labels(taught)
    notes: list[str] = []
    for _ in range(6):
        answer_audits(taught, wrongly=True)
        notes += taught.tick(**SETTINGS).notes
        if any(one.startswith("revoked") for one in notes):
            break
    assert "are not what people say" in notes[-1]
    loop = taught.loop(**SETTINGS)
    assert loop.ledger.auto.active() is None
    assert auto_label.standing(loop).certificate.state == "revoked"  # type: ignore[union-attr]
    assert {row["source"] for row in exported(loop, tmp_path)} == {"human"}
    asked = len(audits_of(taught))
    taught.tick(**SETTINGS)
    assert len(audits_of(taught)) == asked, "nothing more is audited"


def test_a_skipped_audit_counts_as_wrong(taught: World) -> None:
    loop = with_labels(taught)
    for item_id in audits_of(taught):
        taught.people.skip(NAME, item_id)
    loop.hear()
    found = auto_label.standing(loop).audit
    assert found is not None
    assert (found.checked, found.wrong) == (5, 5)


def test_an_item_that_is_asked_after_all_has_the_label_of_people(taught: World, tmp_path: Path) -> None:
    loop = with_labels(taught)
    audited = audits_of(taught)[0]
    taught.answer(audited, "owl")
    loop.hear()
    row = next(row for row in exported(loop, tmp_path) if row["id"] == audited)
    assert (row["source"], row["labels"]) == ("human", "owl")


def test_a_newly_promoted_model_is_certified_anew(taught: World) -> None:
    with_labels(taught)
    answer_audits(taught)
    outcome = taught.tick(**SETTINGS)
    assert any("have the label of model" in note for note in outcome.notes)
    history = taught.ledger().auto.all()
    assert [one.state for one in history] == ["replaced", "active"]
    assert history[1].order == 1
    assert history[1].version == taught.last().version != history[0].version


def test_a_new_model_that_cannot_be_certified_leaves_the_labels_of_the_one_before(
    taught: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_labels(taught)
    taken = len(taught.ledger().auto.taken())
    answer_audits(taught)
    monkeypatch.setattr("labelloop.evaluation.certify.needed", lambda error, delta: 10_000)
    notes = taught.tick(**SETTINGS).notes
    assert any("were not taken, those before it stay" in note for note in notes)
    ledger = taught.ledger()
    assert [one.state for one in ledger.auto.all()] == ["active", "refused"]
    assert len(ledger.auto.taken()) == taken
    assert "a newer model were not taken" in auto_label.standing(taught.loop(**SETTINGS)).in_words()


def test_each_label_can_have_a_promise_of_its_own(taught: World) -> None:
    found = auto_label.plan(taught.loop(**SETTINGS, auto_label__per_label=True))
    assert set(found.bounds) == set(LABELS)
    assert sum(found.take(label) for label in LABELS) == len(found.rows)
    assert found.as_dict()["needed"] == 19, "a third of delta for each of three labels"


def test_after_a_change_of_the_labels_none_counts_until_a_model_has_learned_the_new_ones(
    taught: World, tmp_path: Path
) -> None:
    with_labels(taught)
    answer_audits(taught)
    relabel(taught.loop(**SETTINGS), lambda schema, history: label_changes.add(schema, history, ["newt"]))
    loop = taught.loop(**SETTINGS)
    assert {row["source"] for row in exported(loop, tmp_path)} == {"human"}
    assert loop.taken.judge() == []
    assert "state     suspended: the labels have changed" in auto_label.standing(loop).in_words()

    notes = taught.tick(**SETTINGS).notes

    assert any("have the label of model" in note for note in notes)
    newest = taught.ledger().auto.all()[-1]
    assert (newest.order, newest.number, newest.labels) == (2, 2, (*LABELS, "newt"))
    assert "model" in {row["source"] for row in exported(taught.loop(**SETTINGS), tmp_path)}


def test_revoking_by_hand_is_for_good_and_said(taught: World, tmp_path: Path) -> None:
    loop = with_labels(taught)
    auto_label.revoke(loop, "the guide has changed")
    assert {row["source"] for row in exported(loop, tmp_path)} == {"human"}
    assert "the guide has changed" in auto_label.standing(loop).in_words()
    with pytest.raises(NotFoundError, match=r"now; those of model \w+ were revoked: the guide has changed"):
        auto_label.revoke(loop)
    again = auto_label.apply(loop)
    assert (again.number, again.order, again.state) == (2, 2, "active")


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("where", ["plan", "confirm"])
def test_killed_in_the_middle_and_repeated_nothing_is_lost_or_doubled(
    taught: World, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Between the certificate and the round of its audits, and between the round and its confirmation."""

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RoundBook, where, killed)
        with pytest.raises(Killed):
            with_labels(taught)
    with_labels(taught)
    ledger = taught.ledger()
    assert [one.state for one in ledger.auto.all()] == ["active"]
    asked = audits_of(taught)
    assert len(asked) == len(set(asked)) == 5
    assert set(asked) <= taught.dataset.present()
    assert len(held_by(ledger)["audits"]) == len(asked)


def test_items_that_were_asked_leave_room_for_the_errors_that_may_be_left(taught: World) -> None:
    """The bound counts the items that the selector took out of the pool."""
    loop = taught.loop(**SETTINGS)
    found = auto_label.plan(loop)
    known = loop.learning.snapshots.know(loop.ledger.items.columns())
    assert found.open == int((~known.held_out & ~known.asked).sum())
    assert np.isin(found.rows, np.flatnonzero(~known.held_out & ~known.asked)).all()


@pytest.fixture
def command(taught: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command line, over the people and the store of this world."""
    parts = Parts(taught.people, LocalArtifactStore(path=str(taught.root / "artifacts")))

    def loop(app: App, progress: Progress = silent) -> Loop:
        return Loop(app.workspace, cast(Stack, parts), progress)

    monkeypatch.setattr(App, "loop", loop)
    return lambda *words: run(taught, *words)


def run(world: World, *words: str) -> Result:
    settings = [f"--set={name.replace('__', '.')}={value}" for name, value in SETTINGS.items()]
    return CliRunner().invoke(cli, ["-C", str(world.root), *settings, *words], catch_exceptions=False)


def test_the_command_plans_applies_audits_and_revokes(taught: World, command: Callable[..., Result]) -> None:
    status = command("auto-label", "status")
    assert "off: no label was ever taken" in status.output
    planned = command("auto-label", "plan", "--error", "0.2")
    assert "open items would get the model's label" in planned.output
    none = command("auto-label", "plan", "--error", "0.01")
    assert "at least 299 are needed" in none.output
    shown = json.loads(command("--json", "auto-label", "plan").output)
    assert shown["labels"]["all labels"]["wrong"] == 0
    assert "take these labels?" not in command("auto-label", "apply", "--yes", "--error", "0.2").output
    assert "audit     0 of 0 wrong, 5 open" in command("auto-label", "status").output
    answer_audits(taught)
    assert "audit     0 of 5 wrong, 5 open" in command("auto-label", "audit").output
    assert "revoked: " in command("auto-label", "revoke", "--yes", "--why", "enough").output
    assert "state     revoked: enough" in command("auto-label", "status").output


def test_nobody_who_agrees_is_no_consent(taught: World, command: Callable[..., Result]) -> None:
    with pytest.raises(ConfigError, match="nobody agreed"):
        command("auto-label", "apply")
    assert taught.ledger().auto.all() == []


def test_new_items_are_taken_with_the_next_model(taught: World) -> None:
    with_labels(taught)
    new = taught.add(30, 1000)
    assert not set(new) & taught.ledger().auto.taken().keys()
    answer_audits(taught)
    outcome = taught.tick(**SETTINGS)
    assert isinstance(outcome.action, Start)
    assert set(new) & taught.ledger().auto.taken().keys()
