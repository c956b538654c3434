"""Each thing is broken on purpose: the doctor names it, its repair mends it, and then nothing is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from sqlalchemy import update

from labelloop.commands import labels as change_labels
from labelloop.commands.doctor import LEFT_AFTER, Fault, examine, mended
from labelloop.kinds import label_changes
from labelloop.kinds.labels import regions_of
from labelloop.ledger import tables
from labelloop.ledger.lease import Lease
from labelloop.ledger.opinions import Opinion
from labelloop.types import Item, NewItem, Prediction, Question, Survey

from support.small_world import NAME, NOW, World

BY_TURNS = "people get the questions by their turns, and not by the order of asking"


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.add(40)
    made.play(2)
    made.tick()
    return made


def faults(world: World) -> list[Fault]:
    loop = world.loop()
    try:
        return list(examine(loop))
    finally:
        loop.ledger.close()


def repair(world: World) -> None:
    """Up to three passes, as the command does."""
    for _ in range(3):
        for fault in faults(world):
            assert mended(fault) == "repaired", fault.detail


def lose_the_model(world: World) -> None:
    body(world, world.last().model).unlink()


def damage_the_model(world: World) -> None:
    body(world, world.last().model).write_bytes(b"{}")


def write_half_of_the_model(world: World) -> None:
    model = body(world, world.last().model)
    manifest = json.loads(model.read_bytes())
    half = body(world, f"file:{min(manifest.values())}")
    half.write_bytes(half.read_bytes()[:-10])


def damage_embeddings(world: World) -> None:
    damaged = embeddings(world)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")


def lose_embeddings(world: World) -> None:
    embeddings(world).unlink()


def embeddings(world: World) -> Path:
    ledger = world.ledger()
    (chunk, *_) = ledger.items.chunks("words-1")
    ledger.close()
    return body(world, chunk.ref)


def body(world: World, ref: str) -> Path:
    kind, _, digest = ref.partition(":")
    path = world.root / "artifacts" / kind / digest[:2] / digest
    path.chmod(0o600)
    return path


def leave_the_lease_to_a_dead_process(world: World) -> None:
    code = "from labelloop.ledger.lease import this_process; print(this_process())"
    holder = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    ledger = world.ledger()
    with ledger.engine.begin() as connection:
        connection.execute(update(tables.leases).values(holder=holder, expires=2e12))
    ledger.close()


def leave_the_lease_to_a_dead_process_and_a_planned_round(world: World) -> None:
    leave_the_lease_to_a_dead_process(world)
    interrupt_a_round(world)


def leave_temporary_files(world: World) -> None:
    code = "import os; print(os.getpid())"
    gone = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in (f"cafe~{gone.stdout.strip()}-0123abcd", f".labelloop.toml.{gone.stdout.strip()}.tmp"):
        path = world.root / (".labelloop" if "~" in name else ".") / name
        path.write_text("half")
        os.utime(path, (0, path.stat().st_mtime - 2 * LEFT_AFTER))


def interrupt_a_change_of_labels(world: World) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(change_labels, "carry_out", lambda *_: None)
        loop = world.loop()
        change_labels.relabel(loop, lambda schema, history: label_changes.rename(schema, history, "dog", "hound"))
        loop.ledger.close()
    world.schema = replace(world.schema, labels=("cat", "hound", "owl"))


def interrupt_a_change_of_labels_half_way(world: World) -> None:
    def die(*_: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(change_labels, "rewrite", die)
        loop = world.loop()
        change_labels.relabel(loop, lambda schema, history: label_changes.rename(schema, history, "dog", "hound"))
    loop.ledger.close()
    world.schema = replace(world.schema, labels=("cat", "hound", "owl"))


def change_the_labels_by_hand(world: World) -> None:
    config = world.root / "labelloop.toml"
    config.write_text(config.read_text().replace('"owl"]', '"owl", "elk"]'))
    schema = replace(world.schema, labels=(*world.schema.labels, "elk"))
    world.dataset.relabel(schema)
    world.schema = schema


def lose_a_file(world: World) -> None:
    gone = world.root / "gone.txt"
    ledger = world.ledger()
    ledger.items.add([NewItem(Item("gone", "text", text="broken", uri=gone.as_uri(), digest="gone"), b"")])
    ledger.close()


def ask_twice(world: World) -> None:
    world.dataset.go_wrong(Survey({}, twins={min(world.dataset.present()): ["1", "2"]}))


def send_without_an_answer(world: World) -> None:
    world.dataset.go_wrong(Survey({}, unconfirmed=3))


def rotate_the_credentials_of_the_bucket(world: World) -> None:
    world.dataset.go_wrong(Survey({}, stale="Label Studio has older credentials of the bucket"))


def interrupt_a_round(world: World) -> None:
    ledger, last = world.ledger(), world.last()
    with ledger.engine.begin() as connection:
        record = asdict(replace(last, state="planned"))
        mine = tables.rounds.c.number == last.number
        connection.execute(update(tables.rounds).where(mine).values(state="planned", record=record))
    ledger.close()


def interrupt_second_opinions(world: World) -> None:
    ledger = world.ledger()
    about = min(item for item, said in ledger.answers.current().items() if said)
    ledger.opinions.plan([Opinion(f"{about}~2", about, "label error", "why not", (), (), 0.1, ())], NOW)
    ledger.close()


def delete_a_question(world: World) -> None:
    world.people.remove(NAME, min(world.dataset.present()))


def forget_an_answer(world: World) -> None:
    ledger = world.ledger()
    with ledger.engine.begin() as connection:
        said = ledger.answers.current()
        first = said[min(said)][0]
        connection.execute(update(tables.annotated).where(tables.annotated.c.id == first.id).values(regions=[]))
    ledger.close()


def ask_behind_the_ledger(world: World) -> None:
    ledger = world.ledger()
    asked = {one.item_id for one in ledger.answers.questions()}
    item = next(one for one in ledger.items.between(0, 40) if one.id not in asked)
    ledger.close()
    world.dataset.ask([Question(item)])
    world.answer(item.id, item.text.split()[0])


def predict_with_a_strange_model(world: World) -> None:
    item = world.dataset.shown(world.dataset.open_items()[0])
    guess = Prediction(item.id, regions_of(world.schema, ["owl"]), 0.5, "stranger")
    world.dataset.ask([Question(item, guess)])


def show_no_guesses(world: World) -> None:
    world.dataset.show("", by_turns=True)


def choose_another_order(world: World) -> None:
    world.dataset.go_wrong(Survey({}, queue="Uniform sampling"))


def go_by_the_order_of_asking(world: World) -> None:
    world.dataset.show(world.last().version, by_turns=False)


def change_the_labels_in_the_annotator(world: World) -> None:
    world.dataset.relabel(replace(world.schema, labels=("cat", "dog", "elk")))


BROKEN: list[tuple[Callable[[World], None], str]] = [
    (lose_the_model, "the model in use"),
    (damage_the_model, "is damaged"),
    (write_half_of_the_model, "is damaged"),
    (damage_embeddings, "is damaged"),
    (lose_embeddings, "embeddings npy:"),
    (leave_the_lease_to_a_dead_process, "which is gone"),
    (leave_the_lease_to_a_dead_process_and_a_planned_round, "planned, and not confirmed"),
    (leave_temporary_files, "2 temporary file(s)"),
    (interrupt_a_change_of_labels, "interrupted: rename"),
    (interrupt_a_change_of_labels_half_way, "interrupted: rename"),
    (change_the_labels_by_hand, "the model in use speaks other labels"),
    (interrupt_a_round, "planned, and not confirmed"),
    (interrupt_second_opinions, "1 second opinion(s) were planned"),
    (ask_twice, "1 item(s) are asked more than once"),
    (send_without_an_answer, "3 question(s) were sent"),
    (rotate_the_credentials_of_the_bucket, "older credentials"),
    (delete_a_question, "gone from the annotator"),
    (forget_an_answer, "other answers in the annotator"),
    (ask_behind_the_ledger, "the ledger does not know it"),
    (predict_with_a_strange_model, "1 of stranger"),
    (show_no_guesses, "people see the guesses of no model"),
    (choose_another_order, "by 'Uniform sampling', and not by their turns"),
    (go_by_the_order_of_asking, "by the order of asking, and not by their turns"),
    (change_the_labels_in_the_annotator, "other labels"),
]


def test_nothing_is_wrong_with_a_loop_in_order(world: World) -> None:
    assert faults(world) == []


@pytest.mark.parametrize(("break_it", "said"), BROKEN, ids=[one[0].__name__ for one in BROKEN])
def test_what_is_broken_is_named_and_repaired(world: World, break_it: Callable[[World], None], said: str) -> None:
    break_it(world)
    found = faults(world)
    assert any(said in fault.detail for fault in found), found
    repair(world)
    assert faults(world) == []
    assert world.tick().round is not None


def test_an_item_that_cannot_be_read_is_named_until_it_can(world: World) -> None:
    lose_a_file(world)
    (fault,) = faults(world)
    assert "gone.txt is gone" in fault.detail
    assert mended(fault) == "repaired"

    (noted,) = faults(world)
    assert "1 item(s) left out: 1 cannot be read, such as" in noted.detail
    assert "gone.txt is gone" in mended(noted)

    ledger = world.ledger()
    ledger.aside.hurry(["gone"])
    assert ledger.aside.due(world.clock()) == ["gone"]
    ledger.close()


@pytest.mark.parametrize(("expires", "holder"), [(1.0, "elsewhere/7/8"), (2e12, "elsewhere/7/8")])
def test_a_lease_of_another_machine_is_no_fault_whether_it_is_expired_or_not(
    world: World, expires: float, holder: str
) -> None:
    ledger = world.ledger()
    with ledger.engine.begin() as connection:
        connection.execute(update(tables.leases).values(holder=holder, expires=expires))
    ledger.close()
    assert faults(world) == []


def test_before_there_is_a_model_people_get_questions_as_they_were_asked(tmp_path: Path) -> None:
    made = World(tmp_path)
    made.add(40)
    made.tick()
    assert faults(made) == []

    made.dataset.show("", by_turns=True)

    assert [one.detail for one in faults(made)] == [BY_TURNS]


def test_where_nobody_wants_turns_people_get_questions_as_they_were_asked(tmp_path: Path) -> None:
    made = World(tmp_path)
    made.add(40)
    made.play(1, loop__queue="asked")
    made.tick(loop__queue="asked")
    assert faults(made) == []

    made.dataset.show(made.last().version, by_turns=True)

    assert [one.detail for one in faults(made)] == [BY_TURNS]


def test_a_model_that_nobody_has_been_asked_with_is_no_fault(world: World) -> None:
    with world.loop() as loop:
        loop.planner.record("a pipeline has deployed it", [], model=world.last().model, version="another")
    assert faults(world) == []


def test_while_nothing_is_open_neither_guesses_nor_order_matter(world: World) -> None:
    world.answer_all()
    world.loop().hear()
    world.dataset.show("", by_turns=False)
    assert faults(world) == []


def test_an_answer_that_the_next_tick_will_hear_is_no_fault(world: World) -> None:
    world.answer_all()
    assert faults(world) == []


def test_tasks_that_people_added_by_hand_are_no_fault(world: World) -> None:
    world.dataset.go_wrong(Survey({}, foreign=2))
    assert faults(world) == []


def test_guesses_that_somebody_switched_off_are_one_fault_and_asked_about(world: World) -> None:
    world.dataset.go_wrong(Survey({}, hidden=True))
    world.dataset.show("", by_turns=False)

    (fault,) = faults(world)

    assert fault.what == "predictions"
    assert "the project hides the model's guesses from people" in fault.detail


def test_a_dataset_that_is_gone_is_for_a_person_to_restore(world: World) -> None:
    world.people.delete(NAME)
    (fault,) = faults(world)
    assert (fault.what, fault.mend) == ("dataset", None)
    assert "gone from the annotator" in fault.detail
    assert mended(fault) == f"not repaired: {fault.repair}"
    assert "restore the annotator's data" in fault.repair


@pytest.mark.parametrize(("away", "left"), [("annotator", "artifact"), ("artifact store", "questions")])
def test_what_is_away_is_left_out_and_the_rest_is_looked_at(world: World, away: str, left: str) -> None:
    damage_embeddings(world)
    delete_a_question(world)
    loop = world.loop()
    assert {fault.what for fault in examine(loop, [away])} == {left}
    loop.ledger.close()


def test_looking_changes_nothing(world: World) -> None:
    delete_a_question(world)
    lose_the_model(world)
    before = world.dump()
    assert faults(world)
    assert world.dump() == before


def test_questions_taken_over_bring_their_answers(world: World) -> None:
    ask_behind_the_ledger(world)
    repair(world)
    ledger = world.ledger()
    assert set(world.dataset.present()) == {one.item_id for one in ledger.answers.questions()}
    ledger.close()


def test_a_repair_that_another_process_prevents_says_so(world: World) -> None:
    show_no_guesses(world)
    delete_a_question(world)
    found = next(one for one in faults(world) if "gone from the annotator" in one.detail)
    ledger = world.ledger()
    with Lease(ledger.engine, NAME).held():
        assert mended(found).startswith("not repaired: round work")
    ledger.close()
