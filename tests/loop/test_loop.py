"""One tick hears, decides and acts once; whatever interrupts it, the next one continues."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from labelloop.backends.local_store import LocalArtifactStore
from labelloop.errors import BackendError, BusyError, ConfigError, NotFoundError, OtherOwnerError
from labelloop.kinds.labels import names_of
from labelloop.ledger.answers import AnswerBook
from labelloop.ledger.aside import AsideBook
from labelloop.ledger.items import ItemBook
from labelloop.ledger.rounds import RoundBook
from labelloop.ledger.steps import StepBook
from labelloop.loop.decide import Finish, Start, Stop, Wait
from labelloop.testing.annotator import FakeDataset
from labelloop.types import AnnotatorState

from support import quick_learner
from support.small_world import LABELS, NAME, NOW, World


def test_without_items_the_first_tick_says_how_to_add_some(world: World) -> None:
    with pytest.raises(ConfigError, match="no items") as refused:
        world.tick()

    assert refused.value.hint.startswith("labelloop add")


def test_the_first_round_asks_a_batch_and_the_holdout_blind(animals: World) -> None:
    outcome = animals.tick()

    assert outcome.action == Start(1, None, "nothing has been asked yet")
    asked = animals.questions()
    assert [one.purpose for one in asked].count("train") == 6
    assert [one.purpose for one in asked].count("holdout") == 4
    assert {one.item_id for one in asked} == animals.dataset.present()
    assert all(one.prediction is None and one.state == "asked" for one in asked)


def test_a_second_tick_with_nothing_answered_waits_and_changes_nothing(animals: World) -> None:
    animals.tick()
    before = animals.dump()

    outcome = animals.tick()

    assert outcome.action == Wait("0 of 10 answers to round 1")
    assert animals.dump() == before


def test_answers_are_learned_from_and_the_next_batch_carries_predictions(animals: World) -> None:
    animals.play(1)

    outcome = animals.tick()

    assert outcome.changes.created == 10
    assert outcome.round is not None
    assert (outcome.round.number, outcome.round.learned_from, outcome.round.metrics["n"]) == (2, 6, 4)
    new = [one for one in animals.questions() if one.round == 2 and one.purpose == "train"]
    assert len(new) == 6
    for one in new:
        assert one.prediction is not None
        assert one.prediction.model_version == outcome.round.version != ""
        assert animals.dataset.prediction(one.item_id) == one.prediction
    assert animals.dataset.stats().model_version == outcome.round.version


def test_no_item_is_asked_twice_until_all_are_asked(animals: World) -> None:
    for _ in range(12):
        outcome = animals.tick()
        animals.answer_all()
        if isinstance(outcome.action, Stop):
            break

    assert outcome.action == Stop("every item has been asked")
    rounds_of = [one.item_id for one in animals.questions()]
    assert len(rounds_of) == len(set(rounds_of)) == len(animals.dataset.present())
    held_out = sum(one.purpose == "holdout" for one in animals.questions())
    assert held_out <= 12
    assert animals.tick().action == outcome.action


def test_a_stopped_loop_learns_once_more_when_an_answer_changes(animals: World) -> None:
    animals.play(3, loop__budget=8)
    assert isinstance(animals.tick(loop__budget=8).action, Stop)
    stopped = animals.last()
    first = next(one.item_id for one in animals.questions() if one.purpose == "train")
    animals.answer(first, "owl" if animals.truth()[first] != "owl" else "cat")

    outcome = animals.tick(loop__budget=8)

    assert outcome.action == Start(stopped.number + 1, 0, "answers or items have changed")
    assert isinstance(animals.tick(loop__budget=8).action, Stop)


def test_an_edited_answer_changes_the_next_model(animals: World) -> None:
    animals.tick()
    ids = {item_id: animals.answer(item_id, animals.truth()[item_id]) for item_id in animals.dataset.open_items()}
    animals.tick()
    before = animals.last()
    learned = next(one.item_id for one in animals.questions() if one.purpose == "train" and one.round == 1)
    wrong = next(label for label in LABELS if label != animals.truth()[learned])
    animals.people.edit(NAME, ids[learned], _says(wrong))
    animals.answer_all()

    outcome = animals.tick()

    assert (outcome.changes.created, outcome.changes.edited) == (before.asked, 1)
    ledger = animals.ledger()
    (kept,) = ledger.answers.current()[learned]
    assert names_of(animals.schema, kept.regions) == (wrong,)
    assert outcome.round is not None
    assert outcome.round.learned_from == 12


def test_a_removed_answer_reopens_the_question_and_is_unlearned(animals: World) -> None:
    animals.tick()
    ids = {item_id: animals.answer(item_id, animals.truth()[item_id]) for item_id in animals.dataset.open_items()}
    animals.tick()
    learned = next(one.item_id for one in animals.questions() if one.purpose == "train" and one.round == 1)
    animals.people.retract(NAME, ids[learned])

    outcome = animals.tick()

    assert (outcome.changes.removed, outcome.action) == (1, Wait("0 of 10 answers to round 2"))
    assert next(one.state for one in animals.questions() if one.item_id == learned) == "asked"
    assert learned not in animals.ledger().answers.current()


def test_skipped_questions_count_as_closed(animals: World) -> None:
    animals.tick()
    for item_id in animals.dataset.open_items():
        animals.people.skip(NAME, item_id)

    outcome = animals.tick()

    assert outcome.action == Start(2, None, "round 1 is answered")
    assert {one.state for one in animals.questions() if one.round == 1} == {"skipped"}
    assert outcome.round is not None
    assert (outcome.round.learned_from, outcome.round.model, outcome.round.asked) == (0, "", 10)


def test_deleted_questions_are_noticed_and_their_answers_kept_in_the_history(animals: World) -> None:
    animals.play(1)
    animals.tick()
    answered = next(one.item_id for one in animals.questions() if one.round == 1 and one.purpose == "train")
    waiting = next(one.item_id for one in animals.questions() if one.round == 2)
    for item_id in (answered, waiting):
        animals.people.remove(NAME, item_id)

    outcome = animals.tick()

    assert outcome.lost == 2
    assert outcome.action == Wait("0 of 9 answers to round 2")
    assert {one.item_id for one in animals.questions() if one.state == "gone"} == {answered, waiting}
    assert answered not in animals.ledger().answers.current()
    assert {"created", "removed"} <= _history(animals, answered)
    animals.answer_all()
    animals.tick()
    assert not {answered, waiting} & animals.dataset.present()


def test_a_deleted_question_is_noticed_though_people_added_tasks_by_hand(animals: World) -> None:
    animals.tick()
    stranger = replace(animals.loop().ledger.items.between(0, 1)[0], id="by-hand")
    animals.dataset.ask([_question(stranger)])
    animals.dataset.ask([_question(replace(stranger, id="by-hand-too"))])
    gone = next(one.item_id for one in animals.questions() if one.round == 1)
    animals.people.remove(NAME, gone)

    outcome = animals.tick()

    assert outcome.lost == 1


def test_when_every_question_of_a_round_is_deleted_the_loop_goes_on(animals: World) -> None:
    animals.tick()
    for item_id in animals.dataset.present():
        animals.people.remove(NAME, item_id)

    outcome = animals.tick_knowing(believe_losses=True)

    assert outcome.action == Start(2, None, "the questions of round 1 were deleted")
    assert not {one.item_id for one in animals.questions() if one.state == "gone"} & animals.dataset.present()


def test_when_every_answer_is_gone_the_model_in_use_stays_and_the_loop_goes_on(animals: World) -> None:
    animals.play(2)
    model = animals.last().version
    for item_id in animals.dataset.present():
        animals.people.remove(NAME, item_id)

    outcome = animals.tick_knowing(believe_losses=True)

    assert isinstance(outcome.action, Start)
    assert outcome.round is not None
    assert (outcome.round.learned_from, outcome.round.version, outcome.round.promoted) == (0, model, False)
    new = [one for one in animals.questions() if one.state == "asked"]
    assert {one.item_id for one in new} == animals.dataset.present()
    assert {one.prediction.model_version for one in new if one.prediction} == {model}


def test_the_budget_stops_the_loop_and_raising_it_continues(animals: World) -> None:
    for _ in range(4):
        outcome = animals.tick(loop__budget=13)
        animals.answer_all()

    assert outcome.action == Stop("the budget of 13 questions is spent")
    assert len(animals.questions()) == 13
    again = animals.tick(loop__budget=20)
    assert again.action == Start(animals.last().number, 7, "there is room for more questions")
    assert len(animals.questions()) == 20


def test_the_last_round_stops_the_loop(animals: World) -> None:
    for _ in range(4):
        outcome = animals.tick(loop__rounds=2)
        animals.answer_all()

    assert outcome.action == Stop("all 2 rounds have been asked")
    assert animals.last().learned_from == 12


def test_new_items_are_embedded_once_and_may_be_asked(animals: World) -> None:
    quick_learner.embedded.clear()
    animals.play(2)
    assert len(quick_learner.embedded) == 40
    new = animals.add(30, start=100)

    animals.play(2, loop__batch=20)

    assert len(quick_learner.embedded) == len(set(quick_learner.embedded)) == 70
    assert set(new) & animals.dataset.present()


def test_new_items_wake_a_loop_that_had_asked_everything(animals: World) -> None:
    animals.play(4, loop__batch=40)
    assert isinstance(animals.tick(loop__batch=40).action, Stop)
    animals.add(3, start=100)

    assert isinstance(animals.tick(loop__batch=40).action, Start)


def test_fewer_items_than_a_batch_are_all_asked(world: World) -> None:
    world.add(4)

    outcome = world.tick(loop__batch=50, holdout__share=0)

    assert outcome.round is not None
    assert outcome.round.asked == 4
    world.answer_all()
    assert isinstance(world.tick(loop__batch=50, holdout__share=0).action, Start)
    assert world.tick(loop__batch=50, holdout__share=0).action == Stop("every item has been asked")


def test_open_questions_get_the_guesses_of_a_new_model_and_blind_ones_never_do(animals: World) -> None:
    animals.tick()
    truth, waiting = animals.truth(), animals.dataset.open_items()
    for item_id in waiting[:8]:
        animals.answer(item_id, truth[item_id])

    outcome = animals.tick(loop__enough=0.8)

    assert outcome.round is not None
    held_out = {one.item_id for one in animals.questions() if one.purpose == "holdout"}
    for item_id in waiting[8:]:
        guess = animals.dataset.prediction(item_id)
        assert (guess is None) if item_id in held_out else (guess and guess.model_version == outcome.round.version)
    assert all(animals.dataset.prediction(item_id) is None for item_id in held_out)


def test_an_unknown_label_is_set_aside_and_the_loop_goes_on(animals: World) -> None:
    animals.tick()
    odd = next(one.item_id for one in animals.questions() if one.purpose == "train")
    animals.people.answer(NAME, odd, _says("fish"))
    animals.answer_all()

    outcome = animals.tick()

    assert outcome.round is not None
    assert outcome.round.learned_from == 5
    assert "fish" in outcome.set_aside[odd]


def test_an_unreadable_item_is_reported_and_left_out(animals: World) -> None:
    (broken,) = animals.add_texts(["broken picture"])

    for _ in range(8):
        animals.tick(loop__batch=20)
        animals.answer_all()

    words = "every item that can be read has been asked, and 1 cannot: labelloop doctor names them"
    assert animals.tick(loop__batch=20).action == Stop(words)
    assert broken not in animals.dataset.present()
    assert animals.ledger().items.problems() == {broken: "'broken picture' cannot be decoded"}


def test_an_open_question_that_became_unreadable_does_not_stop_the_loop(
    animals: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    animals.tick()
    truth, waiting = animals.truth(), animals.dataset.open_items()
    lost = next(one.item_id for one in animals.questions() if one.purpose == "train")
    for item_id in waiting:
        if item_id != lost:
            animals.answer(item_id, truth[item_id])
    text = animals.ledger().items.get([lost])[lost].text
    monkeypatch.setattr(quick_learner.WordBackbone, "prepare", _refusing(text))

    outcome = animals.tick(loop__enough=0.9, learner__words="words-2")

    assert isinstance(outcome.action, Start)
    assert animals.dataset.prediction(lost) is None


def test_the_same_project_found_again_without_a_ledger_loses_no_answer(animals: World) -> None:
    animals.play(3)
    people = animals.people
    (animals.root / ".labelloop" / "ledger.db").unlink()
    again = World(animals.root, people)
    again.add()

    with pytest.raises(OtherOwnerError):
        again.tick()
    for number in range(4):
        again.tick_knowing(take_over=number == 0)
        again.answer_all()

    said = {item for item, regions in again.ledger().answers.current().items() if regions}
    asked = {one.item_id for one in again.questions() if one.round < again.last().number}
    assert said >= asked
    assert again.last().number == 4
    assert len(again.dataset.present()) == len({one.item_id for one in again.questions()})


def test_a_lost_connection_after_the_import_leaves_no_duplicate(animals: World) -> None:
    animals.people.open(NAME, animals.schema).fail_next_ask(BackendError("connection lost", retryable=True), after=7)

    with pytest.raises(BackendError):
        animals.tick()
    assert animals.last().state == "planned"
    outcome = animals.tick()

    assert outcome.action == Finish(1, "round 1 was interrupted before its questions were confirmed")
    assert animals.dataset.stats().total == len(animals.questions()) == 10
    assert {one.state for one in animals.questions()} == {"asked"}
    assert animals.tick().action == Wait("0 of 10 answers to round 1")


def test_an_answer_given_before_the_round_was_confirmed_is_heard(animals: World) -> None:
    animals.people.open(NAME, animals.schema).fail_next_ask(BackendError("connection lost", retryable=True), after=10)
    with pytest.raises(BackendError):
        animals.tick()
    animals.answer_all()

    outcome = animals.tick()

    assert isinstance(outcome.action, Finish)
    assert outcome.changes.created == 10
    assert isinstance(animals.tick().action, Start)


def test_two_ticks_at_once_the_second_is_told_who_holds_the_round(animals: World) -> None:
    first, second = animals.loop(), animals.loop()

    with first.ledger.lease.held(), pytest.raises(BusyError, match=r"is held by process \d+ on .* since 20"):
        second.tick()

    assert second.tick().round is not None


def test_a_deleted_dataset_is_not_silently_made_anew(animals: World) -> None:
    animals.play(1)
    animals.people.delete(NAME)

    with pytest.raises(NotFoundError, match="'animals' is gone from the annotator"):
        animals.tick()

    assert animals.people.datasets() == []


def test_the_annotator_may_be_down_and_the_round_is_finished_later(animals: World) -> None:
    loop = animals.loop()
    animals.people.become(AnnotatorState("fake", "", "down"))
    broken = animals.people.open(NAME, loop.schema)
    broken.fail_next_ask(BackendError("down", retryable=True))
    with pytest.raises(BackendError):
        loop.tick()

    assert isinstance(loop.tick().action, Finish)


def test_an_annotator_that_is_away_is_noticed_before_anything_is_embedded(
    animals: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise BackendError("it is not running", "labelloop stack up", retryable=True)

    monkeypatch.setattr(animals.people, "open", away)
    quick_learner.embedded.clear()

    with pytest.raises(BackendError, match="it is not running"):
        animals.tick()

    assert quick_learner.embedded == []
    assert animals.ledger().rounds.last() is None


@pytest.mark.parametrize(
    ("setting", "name", "message"),
    [
        ("loop__selector", "uherdin", "unknown selector: 'uherdin'"),
        ("loop__cold_start", "centroid", "unknown selector: 'centroid'"),
        ("loop__selector", "relabel(auto, 0.2)", "does not weigh answers against each other"),
    ],
)
def test_a_selector_that_cannot_choose_is_refused_before_anything_is_computed(
    animals: World, setting: str, name: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        animals.loop(**{setting: name})


def test_a_dataset_needs_a_name(animals: World) -> None:
    with pytest.raises(ConfigError, match="no name"):
        animals.loop(dataset__name="")


def test_a_round_that_another_process_planned_meanwhile_is_not_planned_again(
    animals: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    animals.play(1)
    slow = animals.loop()
    propose = slow.choosing.propose

    def while_the_lease_expires(*args: Any) -> Any:
        proposal = propose(*args)
        with slow.ledger.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE leases SET expires = 0")
        animals.tick(loop__seed=7)
        return proposal

    monkeypatch.setattr(slow.choosing, "propose", while_the_lease_expires)

    with pytest.raises(BusyError, match="round 2"):
        slow.tick()

    assert len([one for one in animals.questions() if one.round == 2]) == 10
    assert animals.tick().action == Wait("0 of 10 answers to round 2")


EFFECTS: Mapping[type, tuple[str, ...]] = {
    LocalArtifactStore: ("write",),
    StepBook: ("remember",),
    ItemBook: ("add_chunk",),
    AsideBook: ("put", "release"),
    RoundBook: ("fix", "plan", "confirm"),
    AnswerBook: ("hear", "lose"),
    FakeDataset: ("ask",),
}


class Killed(BaseException):
    """The process ends here."""


class Assassin:
    """Ends the process before or after the nth effect.

    Attributes:
        seen: Effects so far.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen = 0
        self._target: tuple[int, str] | None = None
        for owner, methods in EFFECTS.items():
            for method in methods:
                monkeypatch.setattr(owner, method, self._watched(getattr(owner, method)))

    def aim(self, nth: int, when: str) -> None:
        """Kill at this effect, counted from now."""
        self.seen = 0
        self._target = (nth, when)

    def _watched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            nth, self.seen = self.seen, self.seen + 1
            if self._target == (nth, "before"):
                raise Killed
            result = method(*args, **kwargs)
            if self._target == (nth, "after"):
                raise Killed
            return result

        return watched


def _lived_through(root: Path) -> tuple[World, int]:
    """Three rounds, with whatever kills the process on the way; and how often that happened."""
    world = World(root)
    world.add(16)
    world.add_texts(["broken one"])
    killed = 0
    for number in range(3):
        while True:
            try:
                world.tick(loop__batch=3, holdout__per_round=2)
            except Killed:
                killed += 1
                continue
            break
        world.answer_all()
        if number == 1:
            world.people.remove(NAME, min(world.dataset.present()))
    return world, killed


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_effect_and_run_again_the_state_is_that_of_an_undisturbed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    assassin = Assassin(monkeypatch)
    undisturbed, _ = _lived_through(tmp_path / "undisturbed")
    effects, wanted = assassin.seen, undisturbed.dump()

    for nth in range(effects):
        assassin.aim(nth, when)
        disturbed, killed = _lived_through(tmp_path / f"{when}-{nth}")
        assert killed == 1
        assert disturbed.dump() == wanted, f"killed {when} effect {nth}"


def _says(label: str) -> list[dict[str, Any]]:
    return [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]


def _question(item: Any) -> Any:
    from labelloop.types import Question

    return Question(item)


def _history(world: World, item_id: str) -> set[str]:
    from sqlalchemy import select

    from labelloop.ledger.tables import history

    with world.ledger().engine.connect() as connection:
        return set(connection.scalars(select(history.c.change).where(history.c.item_id == item_id)))


def _refusing(text: str) -> Callable[..., Any]:
    from labelloop.errors import BadItemError

    def prepare(self: object, content: bytes | str) -> Any:
        if content == text:
            raise BadItemError(f"{text!r} has gone")
        return content

    return prepare


def test_artifacts_that_were_deleted_are_made_again(animals: World) -> None:
    animals.play(3)
    model = animals.last().version
    animals.add(5, start=100)
    animals.tick()
    shutil.rmtree(animals.root / "artifacts")
    animals.answer_all()

    outcome = animals.tick()

    assert isinstance(outcome.action, Start)
    assert outcome.round is not None
    assert outcome.round.version not in ("", model)


def test_a_champion_of_other_labels_gives_way_when_the_labels_change(animals: World) -> None:
    animals.play(2)
    labels = (*LABELS, "fox")
    dataset, animals.schema = animals.dataset, replace(animals.schema, labels=labels)
    dataset.schema = animals.schema
    animals.tick(dataset__labels=labels)
    animals.answer_all()

    outcome = animals.tick(dataset__labels=labels)

    assert isinstance(outcome.action, Start)
    assert outcome.round is not None
    assert set(outcome.round.metrics["per_label"]) == set(labels)


def test_a_full_disk_under_the_ledger_is_told_and_forgiven(animals: World) -> None:
    animals.add(400, start=100)
    loop = animals.loop(loop__batch=300)

    @event.listens_for(loop.ledger.engine, "begin")
    def no_page_more(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")

    with pytest.raises(BackendError, match="the ledger failed: database or disk is full"):
        loop.tick()

    assert isinstance(animals.tick().action, Start | Finish)


def test_it_learns_while_questions_are_open_and_fills_up_to_a_batch(animals: World) -> None:
    eager = {"loop__retrain_after": 4}
    animals.tick(**eager)
    for item_id in animals.dataset.open_items()[:4]:
        animals.answer(item_id, animals.truth()[item_id])

    outcome = animals.tick(**eager)

    assert outcome.action == Start(2, 0, "4 new answers since round 1", crowded=True)
    assert outcome.round is not None
    assert (outcome.round.asked, outcome.round.stopped, outcome.round.learned_from > 0) == (0, "", True)
    waiting = animals.tick(**eager)
    assert waiting.action.reason == "4 of 10 answers to round 1; 0 of 4 new answers to learn from"


def test_new_guesses_reach_questions_that_stay_open(animals: World) -> None:
    eager = {"loop__retrain_after": 4}
    animals.play(1, **eager)
    animals.tick(**eager)
    before = {one: animals.dataset.prediction(one) for one in animals.dataset.open_items()}
    for item_id in animals.dataset.open_items()[:4]:
        animals.answer(item_id, animals.truth()[item_id])

    outcome = animals.tick(**eager)

    assert outcome.round is not None
    assert outcome.round.promoted
    still_open = [one for one in animals.dataset.open_items() if before.get(one)]
    shown = {guess.model_version for one in still_open if (guess := animals.dataset.prediction(one))}
    assert shown == {outcome.round.version}


def test_an_eager_loop_comes_to_an_end(animals: World) -> None:
    eager = {"loop__retrain_after": 3}
    outcome = animals.tick(**eager)
    for _ in range(40):
        if isinstance(outcome.action, Stop):
            break
        for item_id in animals.dataset.open_items()[:3]:
            animals.answer(item_id, animals.truth()[item_id])
        outcome = animals.tick(**eager)

    assert isinstance(outcome.action, Stop)
    assert animals.dataset.open_items() == []


def test_answers_that_keep_coming_hold_a_round_back_for_a_while_only(animals: World) -> None:
    now = [NOW]
    animals.clock = lambda: now[0]
    loop = animals.loop(loop__debounce=5.0)
    loop.tick()
    animals.answer_all()

    reasons = []
    for seconds in (0, 3, 60):
        now[0] = NOW + timedelta(seconds=seconds)
        reasons.append(loop.tick().action.reason)

    assert reasons == [
        "round 1 is answered; waiting for 5 s without another answer",
        "round 1 is answered; waiting for 2 s without another answer",
        "round 1 is answered",
    ]


def test_a_round_whose_answer_was_lost_and_that_people_answered_meanwhile_ends_with_its_model_shown(
    animals: World,
) -> None:
    animals.play(2)
    animals.dataset.fail_next_ask(BackendError("connection lost", retryable=True), after=1000)
    with pytest.raises(BackendError):
        animals.tick()
    assert animals.dataset.survey().shown != animals.last().version
    animals.answer_all()

    animals.tick()

    assert animals.dataset.survey().shown == animals.last().version


def test_a_workspace_that_is_moved_goes_on(animals: World, tmp_path: Path) -> None:
    animals.play(2)
    asked = {one.item_id for one in animals.questions()}
    animals.root.rename(tmp_path / "elsewhere")
    moved = World(tmp_path / "elsewhere", animals.people)

    outcome = moved.tick()

    assert isinstance(outcome.action, Start)
    assert {one.item_id for one in moved.questions()} > asked
    assert not animals.root.exists()
