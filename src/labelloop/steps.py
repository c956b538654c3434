"""The built-in steps of pipelines of your own: each a function of the loop, to be mixed with functions of yours.

Training: `get_or_create_dataset`, `get_labeled_data`, `embed`, `convert_annotations`, `train`, `evaluate`, `judge`,
`deploy`. Inference: `upload`, `load_new_data`, `embed`, `deployed_model`, `predict`, `select`,
`sync_new_data_to_label_studio`.

    import labelloop
    from labelloop.steps import embed, get_labeled_data, step

    @step
    def my_step(embeddings: np.ndarray) -> float: ...

    with labelloop.open(tell=print) as loop:
        features = embed(loop)
        result = loop.run(my_step, features.matrix)

Steps that compute are cached: what is known is not computed again. Steps that act (hear, deploy, sync) look at what is
there first, so that doing them twice changes nothing, and a pipeline that was killed continues when it is run again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.commands.add import Added, add_items
from labelloop.commands.check import start
from labelloop.data.sources import Columns, endings
from labelloop.errors import BusyError, ConfigError, NotFoundError
from labelloop.evaluation.metrics import Metrics
from labelloop.kinds import labels
from labelloop.kinds.predicted import Predicted
from labelloop.ledger.answers import Changes
from labelloop.ledger.items import ItemColumns
from labelloop.loop import round_steps
from labelloop.loop.batch import Proposal
from labelloop.loop.features import Features
from labelloop.loop.gatekeeper import Judged
from labelloop.loop.loop import Loop
from labelloop.loop.models import version_of
from labelloop.loop.planner import judgement
from labelloop.loop.queue_order import Scored
from labelloop.loop.round_steps import ConsensusLabels
from labelloop.protocols import ArtifactStore, Dataset
from labelloop.storage.artifacts import Ref
from labelloop.storage.runs import Artifact, Line, step
from labelloop.types import Annotation, Examples
from labelloop.types.names import named

__all__ = [
    "Added",
    "Artifact",
    "Converted",
    "Features",
    "Judged",
    "Labeled",
    "Line",
    "Loop",
    "Metrics",
    "Proposal",
    "Scores",
    "convert_annotations",
    "deploy",
    "deployed_model",
    "embed",
    "evaluate",
    "get_labeled_data",
    "get_or_create_dataset",
    "in_words",
    "judge",
    "load_new_data",
    "older_model",
    "place_in_store",
    "predict",
    "select",
    "step",
    "sync_new_data_to_label_studio",
    "train",
    "upload",
]

_WRITERS = 8


@named("labelloop.Labeled")
@dataclass(frozen=True)
class Labeled:
    """What people have said so far.

    Attributes:
        answers: Item id -> every annotation there is now, oldest first.
        heard: What is new since the last time, edits and deletions included.
        changes: How many changes of annotations were ever heard: the same number means nothing new.
    """

    answers: Mapping[str, Sequence[Annotation]]
    heard: Changes
    changes: int

    def __bool__(self) -> bool:
        return any(not one.skipped for said in self.answers.values() for one in said)


@named("labelloop.Converted")
@dataclass(frozen=True)
class Converted:
    """Examples to learn from, and those that must only be judged by. The split is fixed for every item, for good.

    Attributes:
        set_aside: Item id -> why an answer to it was set aside.
        changes: As in the `Labeled` it was made from.
    """

    training: Examples
    held_out: Examples
    set_aside: Mapping[str, str]
    changes: int


@dataclass(frozen=True)
class Scores:
    """What a model says about every item.

    Attributes:
        said: In the order of the items; nothing about unreadable ones.
        version: Of the model.
    """

    said: Predicted
    version: str

    @property
    def probabilities(self) -> np.ndarray | None:
        """(n, k) float32, a column per label, where what is asked are choices; rows of NaN for unreadable items."""
        return self.said.probabilities


def get_or_create_dataset(loop: Loop) -> Dataset:
    """The dataset of exactly this name in the annotator, created with its labels if it is not there.

    An annotator that labelloop manages is started first.
    """
    with loop.run.telling("get_or_create_dataset") as line:
        if loop.stack.annotator.describe().state == "down":
            start(loop.stack.annotator, loop.progress)
        line.words = loop.dataset.url()
        return loop.dataset


def get_labeled_data(loop: Loop) -> Labeled:
    """Everything people have said, after hearing what is new since the last time."""
    with loop.run.telling("get_labeled_data") as line, loop.ledger.lease.held():
        heard, lost = loop.hear()
        answers = loop.ledger.said(loop.schema)
        line.words = (
            f"{sum(map(len, answers.values()))} annotations: {heard.created} new, {heard.edited} edited, "
            f"{heard.removed} removed" + (f", {lost} tasks deleted" if lost else "")
        )
        return Labeled(answers, heard, loop.ledger.answers.changes())


def embed(loop: Loop) -> Features:
    """Every item's embedding, by the learner's backbone and by that to choose by; only what is new is computed."""
    with loop.run.telling("embed") as line:
        _, features = loop.learning.embeddings.embedded()
        line.cached = line.cached or [True]
        lost = int(features.unreadable.sum())
        line.words = f"{len(features.matrix)} items" + (f", {lost} unreadable" if lost else "")
        return features


def convert_annotations(
    loop: Loop, labeled: Labeled, features: Features, names: Mapping[str, Sequence[str]] | None = None
) -> Converted:
    """Annotations as examples, split into what may be learned from and the protected holdout.

    Args:
        names: Item id -> labels, from a function of yours; by `loop.belief` in labelloop.toml if left out.
    """
    with loop.run.telling("convert_annotations") as line:
        known = loop.learning.snapshots.know(_columns(loop, features), _beliefs(loop, labeled, names))
        training, held_out = (
            loop.learning.snapshots.examples(known, features, held_out=side) for side in (False, True)
        )
        line.words = f"{len(training)} examples, {len(held_out)} held out for the score"
        line.words += f", {len(known.set_aside)} set aside" if known.set_aside else ""
        return Converted(training, held_out, known.set_aside, labeled.changes)


def train(loop: Loop, examples: Examples) -> Artifact[Path]:
    """A model, trained by the loop's learner; held-out examples are refused.

    Few examples that the learner cannot take are set aside by name, as `tick` does; it learns from the others.

    Raises:
        LabelLoopError: An example is held out, or there is none.
    """
    with loop.run.telling("train") as line:
        learned, model = loop.learning.sparing(examples, lambda some: loop.run(round_steps.train, loop.learner, some))
        line.words = f"{version_of(model.ref)} from {len(learned)} examples"
        line.words += f", {len(examples) - len(learned)} set aside" if len(learned) < len(examples) else ""
        return model


def evaluate(loop: Loop, model: Artifact[Path], held_out: Examples) -> Metrics:
    """The honest score of a model, on the protected holdout."""
    with loop.run.telling("evaluate") as line:
        score = loop.learning.gate.score(model, held_out)
        line.words = in_words(score)
        return score


def judge(loop: Loop, model: Artifact[Path], converted: Converted) -> Judged:
    """Decide whether to deploy: if it passes the gate against the model in use, on the same held-out items."""
    with loop.run.telling("judge") as line:
        judged = loop.learning.gate.judge(model, converted.held_out)
        line.words = f"{'deploy' if judged.promoted else 'keep'} {judged.version}: {judged.gate}"
        return judged


def deploy(loop: Loop, judged: Judged, converted: Converted) -> bool:
    """Put a model to use if it was judged to be, and remember the judgement with its evidence; whether it is new.

    Raises:
        BusyError: Another process has put another model to use meanwhile.
    """
    with loop.run.telling("deploy") as line, loop.ledger.lease.held():
        loop.planner.settle()
        if loop.learning.models.champion() not in (judged.champion, judged.model):
            raise BusyError("another model was put to use while this one was judged", "run it again")
        line.words = f"{judged.version} {'is now' if judged.promoted else 'stays'} in use"
        last = loop.ledger.rounds.last()
        if not judged.promoted and last is not None and last.learned_from and last.changes == converted.changes:
            return False
        reason = f"{len(converted.training)} examples were learned from"
        known = {"learned_from": len(converted.training), "changes": converted.changes, **judgement(judged)}
        loop.planner.record(reason, [], **known)
        return judged.promoted


def deployed_model(loop: Loop) -> Artifact[Path] | None:
    """The model in use; None while there is none."""
    with loop.run.telling("deployed_model") as line:
        ref = loop.learning.models.champion()
        line.words = version_of(Ref.parse(ref)) if ref else "none yet"
        return loop.run.artifact(Ref.parse(ref)) if ref else None


def older_model(loop: Loop, labeled: Labeled) -> Artifact[Path] | None:
    """The newest model that was put to use before people said what is in `labeled`: what a warm start begins with.

    The same answers give the same model, so that training twice trains once.
    """
    trained = [one for one in loop.ledger.rounds.all() if one.promoted and one.changes < labeled.changes]
    return loop.run.artifact(Ref.parse(trained[-1].model)) if trained else None


def upload(loop: Loop, folder: Path, under: str) -> str:
    """Copy the images or texts of a folder into the artifact store, below `under`; where they are now.

    Raises:
        NotFoundError: There is none in the folder.
    """
    with loop.run.telling("upload") as line, ThreadPoolExecutor(_WRITERS) as pool:
        files = [path for path in sorted(folder.glob("*")) if path.suffix.lower() in endings(loop.schema.modality)]
        if not files:
            raise NotFoundError(f"there is no {loop.schema.modality} in {folder}", "name another folder")
        there, place = loop.stack.artifact_store, place_in_store(loop, under)
        new = sum(pool.map(lambda path: _put(there, path, under), files))
        line.words = f"{new} of {len(files)} files were new to {place}"
        return place


def load_new_data(loop: Loop, place: str) -> Added:
    """Take in what is new in a place: a folder, a glob, a table, a URL, or what `upload` and `place_in_store` gave.

    What cannot be read is reported, and does not end the run.
    """
    with loop.run.telling("load_new_data") as line:
        store = loop.stack.artifact_store
        rule = loop.workspace.config.dataset.duplicates
        taken = add_items(
            loop.ledger, [place], loop.schema.modality, Columns(), store=store, rule=rule, progress=loop.progress
        )
        line.words = taken.in_words(dry_run=False).replace("\n", "; ")
        return taken


def place_in_store(loop: Loop, under: str) -> str:
    """The address of a folder of the artifact store.

    Raises:
        ConfigError: The store has no addresses that items can be read from.
    """
    store: Any = loop.stack.artifact_store
    if "://" in getattr(store, "path", ""):
        return f"{store.path.rstrip('/')}/{under}"
    if hasattr(store, "root"):
        return str(store.root / under)
    raise ConfigError(f"items cannot be read from {store!r}", "labelloop add FOLDER takes them from elsewhere")


def predict(loop: Loop, model: Artifact[Path], features: Features) -> Scores:
    """What a model says about every item, with its version."""
    with loop.run.telling("predict") as line:
        version = version_of(model.ref)
        scores = Scores(loop.learning.models.said(str(model.ref), features), version)
        line.words = f"{len(scores.said)} items by {version}"
        return scores


def select(
    loop: Loop, features: Features, scores: Scores | None = None, *, n: int | None = None, selector: str = ""
) -> Proposal:
    """Choose what to ask next, with the model's guesses filled in; the holdout's share is asked blind.

    Args:
        scores: What a model says; None before there is one.
        n: The most questions; as many as `loop.batch` and the holdout say if left out.
        selector: Instead of the configured one: a name, or `module:function`.
    """
    with loop.run.telling("select") as line:
        known = loop.learning.snapshots.know(_columns(loop, features))
        said, version = (scores.said, scores.version) if scores else (None, "")
        last = loop.ledger.rounds.last()
        number = last.number + 1 if last else 1
        proposal = loop.choosing.choose(Scored(known, features, said, version), number, n, selector)
        blind = sum(one.purpose == "holdout" for one in proposal.batch)
        line.words = f"{len(proposal.batch)} items, {blind} of them for the score"
        return proposal


def sync_new_data_to_label_studio(loop: Loop, proposal: Proposal) -> int:
    """Bring the chosen items to the annotators as pre-annotated tasks, and new guesses to open ones; how many are new.

    Nothing is brought twice; a sync that was killed is completed first.
    """
    with loop.run.telling("sync_new_data_to_label_studio") as line, loop.ledger.lease.held():
        loop.planner.settle()
        there = {one.item_id for one in loop.ledger.answers.questions()}
        batch = [one for one in proposal.batch if one.item_id not in there]
        opinions = [one for one in proposal.opinions if one.question not in there]
        guesses = sum(one.prediction is not None for one in [*batch, *proposal.refreshed])
        line.words = f"{len(batch) + len(opinions)} new tasks, {guesses} predictions"
        if batch or opinions or proposal.refreshed:
            known: dict[str, Any] = {"version": proposal.version} if proposal.version else {}
            reason = f"{len(batch)} items were chosen to be asked"
            loop.planner.record(reason, batch, proposal.refreshed, opinions, **known)
        return len(batch) + len(opinions)


def in_words(score: Metrics) -> str:
    """A score with its interval, for people."""
    if score.score is None:
        return "no held-out answers to judge by yet"
    return f"{score.score_name} {score.score:.3f} ({score.low:.3f} to {score.high:.3f}) on {score.n} held-out items"


def _beliefs(loop: Loop, labeled: Labeled, names: Mapping[str, Sequence[str]] | None) -> ConsensusLabels:
    if names is None:
        return round_steps.believed(loop.schema, labeled.answers, loop.belief)
    return ConsensusLabels(list(names), labels.targets(loop.schema, list(names.values())), {})


def _columns(loop: Loop, features: Features) -> ItemColumns:
    """The items that were embedded: others may have been added since."""
    n, columns = len(features.matrix), loop.ledger.items.columns()
    return ItemColumns(columns.ids[:n], columns.groups[:n], columns.readable[:n] & ~features.unreadable)


def _put(store: ArtifactStore, path: Path, under: str) -> bool:
    key = f"{under}/{_key_name(path.name)}"
    if store.exists(key):
        return False
    with path.open("rb") as body:
        store.write(key, body)
    return True


def _key_name(name: str) -> str:
    """A name that any store takes, different for different names."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "-", name)
    return safe if safe == name else f"{blake2b(name.encode(), digest_size=4).hexdigest()}-{safe}"
