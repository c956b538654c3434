"""What people said: questions with their state, annotations as they are now, and all they were before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, case, func, or_, select, update

from labelloop.evaluation.budget import LONGEST, Spent
from labelloop.ledger import _sql
from labelloop.ledger.tables import annotated, facts, guesses, history, opinions, questions
from labelloop.types import Annotation, Answers, Heard, Prediction, Region, Turn, Unheard, version_behind

Purpose = Literal["train", "blind", "holdout", "opinion", "audit"]
State = Literal["planned", "asked", "answered", "skipped", "gone"]
CURSOR = "answers_cursor"
SEEN = "predictions_seen"
_STRETCHES = 1000
PEOPLE = "answers_people"
UNHEARD = "answers_unheard"
STRANGERS_SEEN = "answers_strangers"
AUTHORS = "answers_authors"
LEFT = "answers_left"
CLAIMS = "answers_claims"
GROUND_TRUTH_BY = "answers_ground_truth_by"


@dataclass(frozen=True, slots=True)
class Asking:
    """One question of a round.

    Attributes:
        item_id: The item; of a second opinion, a name of its own, and `about` is the item.
        purpose: Whether its answer is learned from (`blind`: with the model's guess kept from people), kept for the
            honest score, a second opinion about an item that has an answer, or (and then learned from) a check of a
            label that was taken from the model.
        why: Why this item was chosen, in words.
        prediction: The model's guess that is filled in; None asks blind.
        hidden: The guess that is kept from people.
        turn: When people get it; None before there is a model, and where people get questions as they are asked.
    """

    item_id: str
    purpose: Purpose
    why: str
    state: State = "planned"
    task_id: str = ""
    prediction: Prediction | None = None
    round: int = 0
    about: str = ""
    hidden: Prediction | None = None
    turn: Turn | None = None

    @property
    def item(self) -> str:
        """The id of the item that people see."""
        return self.about or self.item_id

    @property
    def version(self) -> str:
        """The model version behind the guess or the turn; empty where there is neither."""
        return version_behind(self.prediction, self.turn)


@dataclass(frozen=True, slots=True)
class Changes:
    """What one hearing changed.

    Attributes:
        strangers: Questions of our kind that this loop never asked, each said once.
        left: Who has no account in the annotator any more, each said once.
    """

    created: int = 0
    edited: int = 0
    removed: int = 0
    strangers: int = 0
    left: tuple[str, ...] = ()

    def __add__(self, other: Changes) -> Changes:
        return Changes(
            self.created + other.created,
            self.edited + other.edited,
            self.removed + other.removed,
            self.strangers + other.strangers,
            tuple(dict.fromkeys((*self.left, *other.left))),
        )

    @property
    def total(self) -> int:
        """How many annotations are not as they were."""
        return self.created + self.edited + self.removed


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of an item's history.

    Attributes:
        annotation_id: Whose history it is part of.
        change: What happened to it.
        annotator: Who had said it; empty in lines that an older labelloop wrote about a removal.
        regions: What the annotation says from then on; what it said last, where it was removed.
    """

    annotation_id: str
    change: Literal["created", "edited", "removed", "restored"]
    heard_at: datetime
    annotator: str
    regions: tuple[Region, ...]
    skipped: bool = False
    ground_truth: bool = False


class _Authors:
    """Who said what, as it was first heard: nothing that becomes of an account changes it.

    Args:
        names: Account -> the name under which its first answer was heard.
        left: Who has left already.
    """

    def __init__(self, names: Mapping[str, str], left: Collection[str]) -> None:
        self.names = dict(names)
        self.left = list(left)
        self.leaving: list[str] = []

    def of(self, said: Annotation, old: Annotation | None) -> Annotation:
        """The annotation in the name of its author.

        Args:
            said: As the annotator shows it now.
            old: The same annotation as it was heard before.
        """
        if old is None:
            name = self.names.setdefault(said.account, said.annotator) if said.account else said.annotator
        else:
            name = old.annotator
            if said.account and name == said.annotator:
                self.names.setdefault(said.account, name)
            if said.account == "" and name != said.annotator and name not in self.left:
                self.left.append(name)
                self.leaving.append(name)
        return replace(said, annotator=name)


class AnswerBook:
    """Questions and annotations of one dataset."""

    def __init__(self, engine: Engine, dataset: str) -> None:
        self._engine = engine
        self._dataset = dataset
        self._trusted: Callable[[], Collection[str] | None] = lambda: None

    def cursor(self) -> str | None:
        """Where the next hearing starts; None hears everything."""
        kept: str | None = self.recall(CURSOR)
        return kept

    def rewind(self) -> None:
        """Have the next hearing start from the beginning."""
        with self._engine.begin() as connection:
            connection.execute(facts.delete().where(facts.c.dataset == self._dataset, facts.c.name == CURSOR))

    def trust(self, setting: Sequence[str] | None, trusted: Callable[[], Collection[str] | None]) -> None:
        """Have ground truth count only where one of these people declared it.

        Where the setting is not the one of before, everything is heard again.

        Args:
            setting: What is written down, to notice a change of it.
            trusted: Who they are; None for everybody. Called when somebody has declared some.
        """
        self._trusted = trusted
        wanted = {"by": list(setting) if setting is not None else None}
        before = self.recall(GROUND_TRUTH_BY)
        if before == wanted or (before is None and setting is None and not self._has_ground_truth()):
            return
        self.rewind()
        self.remember(GROUND_TRUTH_BY, wanted)

    def claims(self) -> Mapping[str, str]:
        """Annotation id -> who declared it to be ground truth, without a say in that."""
        return dict(self.recall(CLAIMS) or {})

    def unheard(self) -> tuple[Unheard, ...]:
        """Questions whose answers the annotator could not show at the last hearing."""
        return tuple(Unheard(**one) for one in self.recall(UNHEARD) or ())

    def as_kept(self, annotations: Sequence[Annotation], said: Sequence[Annotation]) -> list[Annotation]:
        """What the annotator shows about an item, in the words of the ledger.

        Args:
            annotations: As the annotator shows them.
            said: What the ledger has about the item.
        """
        authors, old = _Authors(self.recall(AUTHORS) or {}, ()), {one.id: one for one in said}
        return [self._weighed(authors.of(one, old.get(one.id)), {}) for one in annotations]

    def recall(self, name: str) -> Any:
        """What was remembered under this name, or None."""
        query = select(facts.c.value).where(facts.c.dataset == self._dataset, facts.c.name == name)
        with _sql.reading(self._engine) as connection:
            return connection.scalar(query)

    def remember(self, name: str, value: Any) -> None:
        """Keep plain data under a name, in place of what was there."""
        row = {"dataset": self._dataset, "name": name, "value": value}
        with self._engine.begin() as connection:
            _sql.upsert(connection, facts, [row], update=["value"])

    def note_seen(self, seen: bool, now: datetime) -> None:
        """Write down whether people see predictions now; looks in a row that say the same become one stretch."""
        stretches = [list(one) for one in self.recall(SEEN) or ()]
        if stretches and stretches[-1][2] == seen:
            stretches[-1][1] = now.isoformat()
        else:
            stretches.append([now.isoformat(), now.isoformat(), seen])
        self.remember(SEEN, stretches[-_STRETCHES:])

    def seen_at(self) -> Callable[[datetime], bool]:
        """Whether people certainly saw predictions at a time; before anybody looked, they are taken to have."""
        stretches = [
            (datetime.fromisoformat(start), datetime.fromisoformat(end), bool(seen))
            for start, end, seen in self.recall(SEEN) or ()
        ]

        def at(time: datetime) -> bool:
            if not stretches or time < stretches[0][0]:
                return True
            return any(start <= time <= end and seen for start, end, seen in stretches)

        return at

    def people(self) -> int:
        """How many people must answer or skip a question to close it, unless it was closed before that was raised."""
        return int(self.recall(PEOPLE) or 1)

    def past(self, item_id: str) -> list[HistoryEntry]:
        """Everything people ever said about an item, second opinions included, as it was heard, oldest first."""
        again = select(opinions.c.question).where(opinions.c.dataset == self._dataset, opinions.c.item_id == item_id)
        about = or_(history.c.item_id == item_id, history.c.item_id.in_(again))
        query = select(history).where(history.c.dataset == self._dataset, about).order_by(history.c.number)
        with _sql.reading(self._engine) as connection:
            return [_past(row) for row in connection.execute(query)]

    def hear(self, page: Answers, now: datetime) -> Changes:
        """Take in one page and move the cursor, in one transaction. Hearing a page again changes nothing."""
        changes = Changes()
        people = self.people()
        authors = _Authors(self.recall(AUTHORS) or {}, self.recall(LEFT) or ())
        claims, strangers = dict(self.recall(CLAIMS) or {}), list(self.recall(STRANGERS_SEEN) or ())
        known = {AUTHORS: dict(authors.names), LEFT: list(authors.left), CLAIMS: dict(claims)}
        with self._engine.begin() as connection:
            ours = self._ours(connection, [heard.item_id for heard in page.heard])
            before = self._rows(connection, list(ours))
            foreign = [heard.item_id for heard in page.heard if heard.item_id not in ours]
            new = [one for one in dict.fromkeys(foreign) if one not in set(strangers)]
            changes += Changes(strangers=len(new))
            for heard in page.heard:
                if heard.item_id not in ours:
                    continue
                there = before.get(heard.item_id, {})
                said = self._resolved(heard, there, authors, claims)
                changes += self._take(connection, said, there, now)
                state = state_of(said.annotations, needed(ours[said.item_id], people))
                self._set_state(connection, said.item_id, state, said.task_id)
            noted: dict[str, Any] = {AUTHORS: authors.names, LEFT: authors.left, CLAIMS: claims}
            noted = {name: value for name, value in noted.items() if value != known[name]}
            if new:
                noted[STRANGERS_SEEN] = [*strangers, *new]
            unheard = [asdict(one) for one in page.unheard or ()]
            if page.unheard is not None and unheard != (self.recall(UNHEARD) or []):
                noted[UNHEARD] = unheard
            rows = [
                {"dataset": self._dataset, "name": n, "value": v} for n, v in {**noted, CURSOR: page.cursor}.items()
            ]
            _sql.upsert(connection, facts, rows, update=["value"])
        return changes + Changes(left=tuple(authors.leaving))

    def _resolved(
        self, heard: Heard, before: Mapping[str, Row[Any]], authors: _Authors, claims: dict[str, str]
    ) -> Heard:
        """What was heard in the names of those who said it first, and with the ground truth that counts."""
        made = []
        for one in heard.annotations:
            old = before.get(one.id)
            again = old is not None and (old.removed_at is None or not one.account)
            made.append(self._weighed(authors.of(one, _annotation(old) if old is not None and again else None), claims))
        return replace(heard, annotations=tuple(made))

    def _weighed(self, one: Annotation, claims: dict[str, str]) -> Annotation:
        """The annotation, without ground truth that somebody declared who has no say in it."""
        claims.pop(one.id, None)
        if not one.ground_truth:
            return one
        trusted = self._trusted()
        declared = one.annotator if one.declared_by is None else one.declared_by
        if trusted is None or declared in trusted:
            return one
        claims[one.id] = declared
        return replace(one, ground_truth=False)

    def _has_ground_truth(self) -> bool:
        mine = (annotated.c.dataset == self._dataset, annotated.c.ground_truth.is_(True))
        with _sql.reading(self._engine) as connection:
            return connection.scalar(select(annotated.c.id).where(*mine).limit(1)) is not None

    def lose(self, present: Iterable[str], now: datetime) -> list[str]:
        """Mark the questions that are not among `present` item ids as gone, their annotations as removed."""
        there = set(present)
        with self._engine.begin() as connection:
            query = select(questions.c.item_id).where(
                questions.c.dataset == self._dataset, questions.c.state.in_(["asked", "answered", "skipped"])
            )
            lost = sorted(set(connection.scalars(query)) - there)
            before = self._rows(connection, lost)
            for item_id in lost:
                self._take(connection, Heard(item_id, "", ()), before.get(item_id, {}), now)
                self._set_state(connection, item_id, "gone", None)
        return lost

    def reopen(self, ids: Sequence[str], now: datetime) -> int:
        """Have these questions be open as if nobody had answered or guessed; how many annotations that sets aside."""
        return self._without(ids, now, {"state": "asked", "prediction": None})

    def unguess(self, ids: Sequence[str]) -> None:
        """Have these questions be asked without the guess that was to be filled in."""
        with self._engine.begin() as connection:
            for some in _sql.chunks(ids):
                mine = (questions.c.dataset == self._dataset, questions.c.item_id.in_(some))
                connection.execute(update(questions).where(*mine).values(prediction=None))
                mine = (guesses.c.dataset == self._dataset, guesses.c.item_id.in_(some))
                connection.execute(guesses.delete().where(*mine))

    def close(self, ids: Sequence[str], now: datetime) -> int:
        """Forget these questions, as if they had not been chosen; how many annotations that sets aside."""
        found = self._without(ids, now, {})
        with self._engine.begin() as connection:
            for some in _sql.chunks(ids):
                for table, name in ((questions, questions.c.item_id), (opinions, opinions.c.question)):
                    connection.execute(table.delete().where(table.c.dataset == self._dataset, name.in_(some)))
        return found

    def _without(self, ids: Sequence[str], now: datetime, values: Mapping[str, Any]) -> int:
        """Note what was said about these questions as removed, and forget what was guessed."""
        removed = 0
        with self._engine.begin() as connection:
            before = self._rows(connection, ids)
            for item_id in ids:
                removed += self._take(connection, Heard(item_id, "", ()), before.get(item_id, {}), now).removed
            for some in _sql.chunks(ids):
                mine = (guesses.c.dataset == self._dataset, guesses.c.item_id.in_(some))
                connection.execute(guesses.delete().where(*mine))
                if values:
                    mine = (questions.c.dataset == self._dataset, questions.c.item_id.in_(some))
                    connection.execute(update(questions).where(*mine).values(**values))
        return removed

    def there(self) -> set[str]:
        """The questions that the annotator should have."""
        query = select(questions.c.item_id).where(
            questions.c.dataset == self._dataset, questions.c.state.in_(["asked", "answered", "skipped"])
        )
        with _sql.reading(self._engine) as connection:
            return set(connection.scalars(query))

    def withdrawn(self, page: Answers) -> list[str]:
        """The ids of annotations there are now that hearing this page would remove."""
        said = {heard.item_id: {one.id for one in heard.annotations} for heard in page.heard}
        with _sql.reading(self._engine) as connection:
            before = self._rows(connection, list(said))
        rows = ((row, said[item_id]) for item_id, rows in before.items() for row in rows.values())
        return [str(row.id) for row, kept in rows if row.removed_at is None and row.id not in kept]

    def current(self) -> dict[str, list[Annotation]]:
        """Every annotation there is now, by question, oldest first; a second opinion is a question of its own."""
        with _sql.reading(self._engine) as connection:
            return self._current(connection)

    def taken_back(self, ids: Sequence[str]) -> list[Annotation]:
        """What annotations of these ids said before they were removed."""
        found = []
        with _sql.reading(self._engine) as connection:
            for some in _sql.chunks(ids):
                mine = (annotated.c.dataset == self._dataset, annotated.c.id.in_(some))
                query = select(annotated).where(*mine, annotated.c.removed_at.is_not(None))
                found += [_annotation(row) for row in connection.execute(query)]
        return found

    def questions(self, state: Sequence[State] = (), round: int | None = None) -> list[Asking]:
        """The questions, in the order they were asked; of some states, of one round (0: of none)."""
        same = (opinions.c.dataset == questions.c.dataset) & (opinions.c.question == questions.c.item_id)
        query = (
            select(questions, opinions.c.item_id.label("about"))
            .select_from(questions.outerjoin(opinions, same))
            .where(questions.c.dataset == self._dataset)
        )
        if state:
            query = query.where(questions.c.state.in_(state))
        if round is not None:
            query = query.where(questions.c.round == round)
        with _sql.reading(self._engine) as connection:
            rows = connection.execute(query.order_by(questions.c.round, questions.c.rank)).all()
        return [_asking(row) for row in rows]

    def blind(self, ids: Sequence[str]) -> set[str]:
        """Those of these questions on which nobody may see a guess, whatever model there is."""
        found: set[str] = set()
        with _sql.reading(self._engine) as connection:
            for some in _sql.chunks(ids):
                mine = (questions.c.dataset == self._dataset, questions.c.item_id.in_(some))
                query = select(questions.c.item_id).where(*mine, questions.c.purpose != "train")
                found.update(connection.scalars(query))
        return found

    def turns(self, ids: Sequence[str]) -> dict[str, Turn]:
        """The turns of those of the items that have one."""
        found: dict[str, Turn | None] = {}
        with _sql.reading(self._engine) as connection:
            for some in _sql.chunks(ids):
                mine = (questions.c.dataset == self._dataset, questions.c.item_id.in_(some))
                query = select(questions.c.item_id, questions.c.prediction).where(*mine)
                found.update((row.item_id, turn_in(row.prediction or {})) for row in connection.execute(query))
        return {item: turn for item, turn in found.items() if turn}

    def counts(self) -> Mapping[tuple[int, Purpose, State], int]:
        """How many questions there are by (round, purpose, state)."""
        query = (
            select(questions.c.round, questions.c.purpose, questions.c.state, func.count())
            .where(questions.c.dataset == self._dataset)
            .group_by(questions.c.round, questions.c.purpose, questions.c.state)
        )
        with _sql.reading(self._engine) as connection:
            return {(row[0], row[1], row[2]): row[3] for row in connection.execute(query)}

    def changes(self) -> int:
        """A number that grows with every change of any annotation."""
        query = select(func.count()).select_from(history).where(history.c.dataset == self._dataset)
        with _sql.reading(self._engine) as connection:
            return connection.scalar(query) or 0

    def order(self) -> list[str]:
        """The question of every change of any annotation, as they were heard; as many as `changes()`."""
        query = select(history.c.item_id).where(history.c.dataset == self._dataset).order_by(history.c.number)
        with _sql.reading(self._engine) as connection:
            return list(connection.scalars(query))

    def spent(self) -> Spent:
        """What people have done so far, what was removed included."""
        capped = case((annotated.c.lead_time > LONGEST, LONGEST), else_=annotated.c.lead_time)
        query = select(func.count(), func.count(annotated.c.lead_time), func.sum(capped))
        with _sql.reading(self._engine) as connection:
            row = connection.execute(query.where(annotated.c.dataset == self._dataset)).one()
        return Spent(row[0], row[1], float(row[2] or 0.0))

    def times(self, learned: int) -> tuple[datetime, datetime] | None:
        """When the first change after the `learned` first ones was heard, and the newest; None if there is none.

        Args:
            learned: An earlier value of `changes()`.
        """
        query = select(history.c.heard_at).where(history.c.dataset == self._dataset)
        with _sql.reading(self._engine) as connection:
            first = connection.scalar(query.order_by(history.c.number).offset(learned).limit(1))
            newest = connection.scalar(query.order_by(history.c.number.desc()).limit(1))
        return (_sql.moment(first), _sql.moment(newest)) if first and newest else None

    def _current(self, connection: Connection) -> dict[str, list[Annotation]]:
        query = (
            select(annotated)
            .where(annotated.c.dataset == self._dataset, annotated.c.removed_at.is_(None))
            .order_by(annotated.c.updated_at, annotated.c.id)
        )
        found: dict[str, list[Annotation]] = defaultdict(list)
        for row in connection.execute(query):
            found[row.item_id].append(_annotation(row))
        return dict(found)

    def _take(self, connection: Connection, heard: Heard, before: Mapping[str, Row[Any]], now: datetime) -> Changes:
        created = edited = 0
        for annotation in heard.annotations:
            old = before.get(annotation.id)
            if old is not None and old.removed_at is None and _annotation(old) == annotation:
                continue
            change = "created" if old is None else "restored" if old.removed_at else "edited"
            row = self._row(annotation)
            _sql.upsert(connection, annotated, [row], update=[n for n in row if n not in ("dataset", "id")])
            self._note(connection, (annotation.id, heard.item_id), change, row, now)
            created, edited = created + (change != "edited"), edited + (change == "edited")
        still = {annotation.id for annotation in heard.annotations}
        gone = [old for old in before.values() if old.removed_at is None and old.id not in still]
        for old in gone:
            mine = annotated.c.item_id == heard.item_id  # Label Studio on SQLite may give an id again, to another item
            where = (annotated.c.dataset == self._dataset, annotated.c.id == old.id, mine)
            connection.execute(update(annotated).where(*where).values(removed_at=_sql.stamp(now)))
            last = {name: old._mapping[name] for name in ("annotator", "regions", "skipped", "ground_truth")}
            self._note(connection, (old.id, heard.item_id), "removed", last, now)
        return Changes(created, edited, len(gone))

    def _note(
        self, connection: Connection, whose: tuple[str, str], change: str, said: Mapping[str, Any], now: datetime
    ) -> None:
        annotation_id, item_id = whose
        connection.execute(
            history.insert().values(
                dataset=self._dataset,
                annotation_id=annotation_id,
                item_id=item_id,
                change=change,
                said=dict(said),
                heard_at=_sql.stamp(now),
            )
        )

    def _set_state(self, connection: Connection, item_id: str, state: State, task_id: str | None) -> None:
        values = {"state": state} if task_id is None else {"state": state, "task_id": task_id}
        where = (questions.c.dataset == self._dataset, questions.c.item_id == item_id)
        connection.execute(update(questions).where(*where).values(**values))

    def _ours(self, connection: Connection, ids: Sequence[str]) -> dict[str, int | None]:
        """Those that are questions of ours -> how many people closed it, where that is fewer than now."""
        found: dict[str, int | None] = {}
        for some in _sql.chunks(ids):
            mine = (questions.c.dataset == self._dataset, questions.c.item_id.in_(some))
            rows = connection.execute(select(questions.c.item_id, questions.c.people).where(*mine))
            found.update((row.item_id, row.people) for row in rows)
        return found

    def _rows(self, connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, Row[Any]]]:
        found: dict[str, dict[str, Row[Any]]] = defaultdict(dict)
        for some in _sql.chunks(ids):
            query = select(annotated).where(annotated.c.dataset == self._dataset, annotated.c.item_id.in_(some))
            for row in connection.execute(query):
                found[row.item_id][row.id] = row
        return found

    def _row(self, annotation: Annotation) -> dict[str, Any]:
        return {
            "dataset": self._dataset,
            "id": annotation.id,
            "item_id": annotation.item_id,
            "annotator": annotation.annotator,
            "regions": [dict(region) for region in annotation.regions],
            "skipped": annotation.skipped,
            "ground_truth": annotation.ground_truth,
            "lead_time": annotation.lead_time,
            "created_at": _sql.stamp(annotation.created_at),
            "updated_at": _sql.stamp(annotation.updated_at),
            "removed_at": None,
        }


def needed(own: int | None, people: int) -> int:
    """How many people close a question: as many as now, or fewer where it was closed with fewer."""
    return people if own is None else min(own, people)


def state_of(said: Sequence[Annotation], people: int) -> State:
    """Open until so many people have answered or skipped, or one answer is ground truth; skipped where all did."""
    answers = [one for one in said if not one.skipped]
    settled = any(one.ground_truth for one in answers)
    if not settled and len({one.annotator for one in said}) < people:
        return "asked"
    return "answered" if answers else "skipped"


def _annotation(row: Row[Any]) -> Annotation:
    return Annotation(
        id=row.id,
        item_id=row.item_id,
        regions=tuple(row.regions),
        annotator=row.annotator,
        created_at=_sql.moment(row.created_at),
        updated_at=_sql.moment(row.updated_at),
        skipped=row.skipped,
        ground_truth=row.ground_truth,
        lead_time=row.lead_time,
    )


def _past(row: Row[Any]) -> HistoryEntry:
    said = row.said
    return HistoryEntry(
        row.annotation_id,
        row.change,
        _sql.moment(row.heard_at),
        said.get("annotator", ""),
        tuple(said["regions"]),
        said.get("skipped", False),
        said.get("ground_truth", False),
    )


def _asking(row: Row[Any]) -> Asking:
    shown, task_id, about = row.prediction or {}, row.task_id or "", row.about or ""
    guess = None
    if "regions" in shown:
        guess = Prediction(row.item_id, tuple(shown["regions"]), shown["score"], shown["model"])
    return Asking(row.item_id, row.purpose, row.why, row.state, task_id, guess, row.round, about, turn=turn_in(shown))


def turn_in(shown: Mapping[str, Any]) -> Turn | None:
    """The turn that is written down with a question."""
    return Turn(shown["turn"], shown["model"]) if "turn" in shown else None
