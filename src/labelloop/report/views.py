"""What a report and the terminal show of a loop, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelloop.types import Modality, Task

STAGES = ("hear", "embed", "train", "evaluate", "score", "select", "ask")


@dataclass(frozen=True, slots=True)
class RoundView:
    """One round, as people read it. Scores and bounds are shares in [0, 1].

    Attributes:
        number: 1 for the first round.
        asked: Items asked in this round; `asked_holdout` of them for the holdout, `asked_random` at random.
        answered: Labels people have given so far, holdout included.
        trained_on: Labels the model of this round learned from, holdout excluded.
        score: On the holdout; None before there is a model or a labelled holdout. `low` and `high` bound it at 95 %.
        n_holdout: Labelled holdout items behind the score.
        naive_score: The same metric on the items the loop chose itself, which the choice biases.
        seconds: Stage (one of `STAGES`) -> seconds it took.
        reason: Why the round was started, in words.
        advice: Whether more labels would help, in words; empty before there is a model.
        promoted: Whether the model of this round came into use; `gate_reason` says why, or why not.
        model_version: Short digest of the model.
        started_at: ISO 8601.
    """

    number: int
    asked: int = 0
    asked_holdout: int = 0
    asked_random: int = 0
    answered: int = 0
    trained_on: int = 0
    score: float | None = None
    low: float | None = None
    high: float | None = None
    score_name: str = "accuracy"
    n_holdout: int = 0
    naive_score: float | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    advice: str = ""
    promoted: bool = False
    gate_reason: str = ""
    model_version: str = ""
    started_at: str = ""

    @property
    def total_seconds(self) -> float:
        """Seconds of all stages together."""
        return sum(self.seconds.values())

    @property
    def fate(self) -> str:
        """What became of the model in use: promoted by this round, kept against another one, or as before."""
        if self.promoted:
            return "promoted"
        return "kept" if self.gate_reason else "as before"

    def to_json(self) -> dict[str, Any]:
        """Every attribute, as values `json.dumps` takes."""
        return asdict(replace(self, seconds=dict(self.seconds)))


@dataclass(frozen=True, slots=True)
class Totals:
    """How much there is of everything.

    Attributes:
        tasks: Items that were asked.
        unreadable: Items whose bytes could not be decoded.
        holdout: Items set aside for the score.
        skipped: Questions people declined.
    """

    items: int = 0
    tasks: int = 0
    annotations: int = 0
    unreadable: int = 0
    holdout: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class LabelScore:
    """How well one label is recognised on the holdout; None where nothing can be divided."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    f1_low: float | None = None
    f1_high: float | None = None


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts on the holdout: row i is what people said, column j what the model says."""

    labels: Sequence[str]
    counts: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Holdout predictions of similar confidence: their mean confidence and the share that is right."""

    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One item to look at.

    Attributes:
        why: Why it is shown, in words.
        guess: What the model says, with `probability`.
        answer: What people said.
        thumbnail: A small PNG, JPEG, GIF or WebP; anything else is not shown.
        text: The beginning of a text item.
        url: Where the item is open in the annotator.
    """

    item_id: str
    why: str = ""
    guess: Sequence[str] = ()
    probability: float | None = None
    answer: Sequence[str] = ()
    thumbnail: bytes = b""
    text: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class ArmView:
    """Answers that saw the model's guess, or did not.

    Attributes:
        agreed, partly, differed: Those that say what the model says, share a label with it, share none.
        agreement: The share that agreed; None without an answer. `low` and `high` bound it at 95 %.
        seconds: In the median; None where no time is known.
    """

    name: str
    answers: int
    agreed: int
    partly: int
    differed: int
    agreement: float | None
    low: float
    high: float
    seconds: float | None


@dataclass(frozen=True, slots=True)
class ReportView:
    """Everything a report shows; empty parts are left out of the page.

    Attributes:
        asked: The kind of the main control where that are no choices; empty for choices.
        batch: Items of the last batch, most useful first.
        uncertain: Items of the pool the model is least sure of.
        suspects: Items whose labels are likely wrong.
        notes: What stands behind the score: what about, and what is known.
        taken: The same about labels that were taken from the model.
        arms: Answers with the guess and without it; `anchoring` says in words what the guess does.
        versions: Name of a component or package -> its version.
        generated_at: ISO 8601.
    """

    dataset: str
    modality: Modality
    labels: Sequence[str]
    task: Task = "single-choice"
    asked: str = ""
    totals: Totals = Totals()
    annotator_url: str = ""
    rounds: Sequence[RoundView] = ()
    per_label: Sequence[LabelScore] = ()
    confusion: Confusion | None = None
    reliability: Sequence[ReliabilityBin] = ()
    batch: Sequence[Sample] = ()
    uncertain: Sequence[Sample] = ()
    suspects: Sequence[Sample] = ()
    notes: Sequence[tuple[str, str]] = ()
    taken: Sequence[tuple[str, str]] = ()
    arms: Sequence[ArmView] = ()
    anchoring: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    generated_at: str = ""

    @property
    def scored(self) -> list[RoundView]:
        """The rounds that have a score, oldest first."""
        return [one for one in self.rounds if one.score is not None]

    @property
    def in_use(self) -> RoundView | None:
        """The round whose model is in use: the last one promoted, else the last one scored."""
        candidates = [one for one in self.scored if one.promoted] or self.scored
        return candidates[-1] if candidates else None
