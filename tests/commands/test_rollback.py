"""An earlier model back in use: which, recorded how, and not undone by the next tick."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from sqlalchemy import update

from labelloop.commands.rollback import in_words, plan, roll_back
from labelloop.errors import ConfigError, NotFoundError
from labelloop.ledger import tables
from labelloop.ledger.rounds import Round
from labelloop.loop.asker import Asker
from labelloop.loop.decide import Finish, Wait
from labelloop.loop.loop import Loop
from labelloop.loop.withdrawn import blocked, is_rollback, noted

from support.small_world import World


def history(*models: str) -> list[Round]:
    """Rounds that end with these models."""
    return [
        Round(number, "", model=model, version=f"v{model}", learned_from=10 * number)
        for number, model in enumerate(models, start=1)
    ]


def test_the_model_before_comes_back_by_default() -> None:
    planned = plan(history("", "a", "b", "b", "c"))

    assert (planned.to.number, planned.to.model, planned.blocked) == (3, "b", ("c",))


def rolled_back() -> list[Round]:
    """Model b is in use again, in place of c."""
    rounds = history("a", "b", "c", "b")
    words = "rolled back from vc to vb of round 2"
    rounds[-1] = replace(rounds[-1], notes=noted(("c",), now=True), promoted=True, gate=words)
    return rounds


@pytest.mark.parametrize("later", [0, 1])
def test_a_rollback_that_is_repeated_goes_no_further_back(later: int) -> None:
    rounds = rolled_back()
    rounds += [replace(rounds[-1], number=5, notes=noted(("c",)), promoted=False, gate="")] * later

    planned = plan(rounds)

    assert not planned.changes
    assert in_words(rounds, planned).splitlines() == [
        "model vb is in use already: round 4 rolled back from vc to vb of round 2; "
        "labelloop rollback --to ROUND goes further",
        "  --to 1   model va, from 10 answers",
        "  --to 3   model vc, from 30 answers",
    ]


def test_a_rollback_by_name_goes_further_back() -> None:
    planned = plan(rolled_back(), "1")

    assert (planned.to.model, planned.blocked) == ("a", ("b", "c"))


def test_after_a_newer_model_a_rollback_is_a_new_one_and_skips_what_was_rolled_back() -> None:
    rounds = rolled_back()
    rounds.append(replace(rounds[-1], number=5, model="d", version="vd", notes=noted(blocked(rounds[-1]))))

    planned = plan(rounds)

    assert (planned.to.model, planned.blocked) == ("b", ("c", "d"))


@pytest.mark.parametrize(("to", "model"), [("1", "a"), ("2", "a"), ("4", "b"), ("va", "a"), ("vb", "b"), ("vc", "c")])
def test_a_model_is_named_by_its_round_or_its_version(to: str, model: str) -> None:
    assert plan(history("a", "a", "b", "b", "c"), to).to.model == model


def test_a_model_that_was_rolled_back_comes_back_by_name() -> None:
    rounds = history("a", "b", "a")
    rounds[-1] = replace(rounds[-1], notes=noted(("b",), now=True))

    planned = plan(rounds, "vb")

    assert (planned.to.model, planned.blocked) == ("b", ())


@pytest.mark.parametrize("to", ["9", "x", "0"])
def test_a_model_that_never_was_is_refused_with_those_there_are(to: str) -> None:
    with pytest.raises(NotFoundError, match=f"'{to}'") as refused:
        plan(history("a", "b"), to)

    assert refused.value.hint == "rounds that brought one: 1 (va), 2 (vb)"


def test_a_version_must_say_which_one() -> None:
    with pytest.raises(ConfigError, match="several models begin with 'v'"):
        plan(history("a", "b"), "v")


def test_before_the_first_model_there_is_nothing_to_go_back_to() -> None:
    with pytest.raises(NotFoundError, match="no model was ever in use"):
        plan(history(""))
    with pytest.raises(NotFoundError, match="no model was in use before va"):
        plan(history("", "a"))


def test_the_plan_says_what_else_could_come_back() -> None:
    rounds = history("a", "b", "c")

    assert in_words(rounds, plan(rounds)) == (
        "model vb of round 2 would take the place of vc\n"
        "  --to 1   model va, from 10 answers\n"
        "  --to 2   model vb, from 20 answers"
    )


def played(animals: World) -> Loop:
    """A loop with two models at least, and open questions that show the newest one's guesses."""
    animals.play(3, loop__gate="always")
    animals.tick(loop__gate="always")
    return animals.loop(loop__gate="always")


def test_the_open_questions_show_the_guesses_of_the_model_that_came_back(animals: World) -> None:
    loop = played(animals)
    before = animals.last()

    done = roll_back(loop)

    last = animals.last()
    assert (last.version, last.state, is_rollback(last)) == (done.version, "asked", True)
    assert last.version != before.version
    assert last.gate.startswith(f"rolled back from {before.version} to {last.version} of round ")
    assert last.learned_from == before.learned_from, "the answers are there, and were asked for"
    assert (last.asked, last.changes) == (0, before.changes)
    open_ones = [one for one in animals.questions() if one.state == "asked" and one.prediction]
    assert len(open_ones) == done.refreshed > 0
    assert {one.prediction.model_version for one in open_ones if one.prediction} == {last.version}
    shown = [animals.dataset.prediction(one.item_id) for one in open_ones]
    assert {guess.model_version for guess in shown if guess} == {last.version}


def test_the_loop_waits_for_its_answers_as_before(animals: World) -> None:
    loop = played(animals)

    roll_back(loop)

    assert isinstance(animals.tick(loop__gate="always").action, Wait)


def test_the_same_answers_do_not_bring_the_newer_model_back_and_others_do(animals: World) -> None:
    loop = played(animals)
    newest = animals.last()
    roll_back(loop)

    same = animals.loop(loop__gate="always").study().judged
    animals.answer_all()
    other = animals.tick(loop__gate="always").round

    assert (same.promoted, same.version) == (False, animals.ledger().rounds.all()[-2].version)
    assert f"{newest.version} was rolled back" in same.gate
    assert other is not None
    assert other.promoted
    assert other.version not in (newest.version, same.version)
    assert blocked(other) == (newest.model,)


def test_a_rollback_that_is_repeated_changes_nothing_and_says_so(animals: World) -> None:
    roll_back(played(animals))
    before = animals.dump()

    done = roll_back(animals.loop())

    assert "is in use already: round 5 rolled back from " in done.words
    assert (done.version, done.refreshed) == (animals.last().version, 0)
    assert animals.dump() == before


def test_what_was_rolled_back_can_come_back_by_name(animals: World) -> None:
    loop = played(animals)
    newest = animals.last()
    roll_back(loop)

    roll_back(animals.loop(), newest.version)

    last = animals.last()
    assert (last.model, blocked(last)) == (newest.model, ())


def test_the_model_in_use_again_is_no_new_round(animals: World) -> None:
    loop = played(animals)
    before = animals.last()

    done = roll_back(loop, before.version)

    assert done.words == f"model {before.version} is in use already"
    assert animals.last().number == before.number


def test_a_rollback_that_was_killed_is_completed_and_not_repeated(
    animals: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = played(animals)
    monkeypatch.setattr(Asker, "send", _killed)
    with pytest.raises(KeyboardInterrupt):
        roll_back(loop)
    monkeypatch.undo()
    planned = animals.last()

    done = roll_back(animals.loop())

    assert planned.state == "planned"
    assert (animals.last().number, animals.last().state) == (planned.number, "asked")
    assert done.words == f"completed: model {planned.version} is in use again"


def test_a_tick_completes_a_rollback_that_was_killed(animals: World, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = played(animals)
    monkeypatch.setattr(Asker, "send", _killed)
    with pytest.raises(KeyboardInterrupt):
        roll_back(loop)
    monkeypatch.undo()

    assert isinstance(animals.tick().action, Finish)
    assert animals.last().state == "asked"


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_model_that_is_gone_is_refused(animals: World, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = played(animals)
    monkeypatch.setattr(loop.learning.models, "is_stored", lambda ref: False)

    with pytest.raises(NotFoundError, match="is gone from the artifact store"):
        roll_back(loop)


def test_a_model_of_other_labels_is_refused(animals: World) -> None:
    loop = played(animals)
    ledger = animals.ledger()
    first = next(one for one in ledger.rounds.all() if one.model)
    with ledger.engine.begin() as connection:
        record = asdict(replace(first, labels=("cat", "cow")))
        mine = tables.rounds.c.number == first.number
        connection.execute(update(tables.rounds).where(mine).values(record=record))

    with pytest.raises(ConfigError, match="speaks other labels: cat, cow"):
        roll_back(loop, str(first.number))
