"""Proofs that every component answers, each with what to do when it does not."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from typing import Any

from labelloop.commands.hints import register, withdraw
from labelloop.data.decoding import need_pillow
from labelloop.errors import BackendError, ConfigError, LabelLoopError, NotFoundError
from labelloop.machine.registry import build
from labelloop.protocols import (
    PROBE,
    Annotator,
    ArtifactStore,
    Backbone,
    Hiding,
    Learner,
    Managed,
    Orchestrator,
    Peopled,
    PictureChecking,
    Progress,
    Reached,
    SecretsManager,
)
from labelloop.types import AnnotatorState
from labelloop.workspace.config import Config, Workspace
from labelloop.workspace.stack import Stack


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; something that works, and has a hint, is a warning."""

    what: str
    ok: bool
    detail: str
    hint: str = ""
    exit_code: int = 0

    @property
    def verdict(self) -> str:
        """In a word."""
        return "FAILED" if not self.ok else "warning" if self.hint else "ok"

    def as_dict(self) -> Mapping[str, Any]:
        """The finding for scripts."""
        return {"what": self.what, "ok": self.ok, "detail": self.detail, "hint": self.hint}


def checks(workspace: Workspace, stack: Stack) -> Iterator[Finding]:
    """Check the configuration, the ledger, every component of the stack, and the learner's backbone."""
    dataset = workspace.config.dataset
    yield found("labels", lambda: ", ".join(workspace.config.schema_of().labels))
    if workspace.config.kinds_asked():
        yield found("controls", lambda: _asked_beside(workspace.config))
    yield found("selector", lambda: _prove_selectors(workspace.config))
    yield found("ledger", lambda: _prove_ledger(workspace))
    yield found("artifact store", lambda: _prove_store(stack.artifact_store))
    yield found("secrets manager", lambda: _prove_secrets(stack.secrets_manager))
    yield found("orchestrator", lambda: _prove_orchestrator(stack.orchestrator))
    annotator = found("annotator", lambda: _prove_annotator(stack.annotator))
    yield annotator
    if annotator.ok and dataset.modality == "image":
        yield from _pictures(stack.annotator, dataset.name)
        yield from _sorts(stack.annotator, dataset.name)
    if annotator.ok:
        yield from _guesses(stack.annotator, dataset.name)
    if annotator.ok and isinstance(stack.annotator, Reached):
        yield from _requests(stack.annotator)
    if annotator.ok and isinstance(stack.annotator, Peopled):
        yield from _exposed(stack.annotator)
        if dataset.people_per_item > 1:
            yield _people(stack.annotator, dataset.people_per_item)
    yield found("learner", lambda: prove_learner(workspace))
    yield from _items(workspace)


def bring_up(stack: Stack, progress: Progress, dataset: str = "") -> Iterator[Finding]:
    """Start what labelloop manages, and check the rest of the stack, and how the pictures of the dataset are shown."""
    yield found("artifact store", lambda: _prove_store(stack.artifact_store))
    yield found("secrets manager", lambda: _prove_secrets(stack.secrets_manager))
    yield found("orchestrator", lambda: _prove_orchestrator(stack.orchestrator))
    annotator = found("annotator", lambda: _start(stack.annotator, progress))
    yield annotator
    if annotator.ok and dataset and stack.workspace.config.dataset.modality == "image":
        yield from _pictures(stack.annotator, dataset)
    if annotator.ok and stack.workspace.config.watch.port:
        yield Finding("hints", ok=True, detail=register(stack.workspace, stack.annotator, stack.secrets_manager))


def start(component: object, progress: Progress) -> None:
    """Start a component that labelloop manages; others have nothing to start."""
    if isinstance(component, Managed):
        component.up(progress)


def bring_down(stack: Stack) -> list[str]:
    """Stop what labelloop started; returns the components that were running."""
    annotator = stack.annotator
    withdraw(stack.workspace, annotator)
    return ["annotator"] if isinstance(annotator, Managed) and annotator.down() else []


def found(what: str, prove: Callable[[], str]) -> Finding:
    """Run one proof and turn its error, if any, into a finding."""
    try:
        return Finding(what, ok=True, detail=prove())
    except LabelLoopError as error:
        return _failed(what, error)


def _failed(what: str, error: LabelLoopError) -> Finding:
    return Finding(what, ok=False, detail=error.message, hint=error.hint, exit_code=error.exit_code)


def _asked_beside(config: Config) -> str:
    """What is asked beside the labels."""
    asked = config.kinds_asked()
    return ", ".join(f"{one.name}: {asked[one.name]}" for one in config.schema_of().beside)


def _prove_selectors(config: Config) -> str:
    from labelloop.loop.round_steps import selector_for  # numpy, which bringing a stack up does not need

    loop, schema = config.loop, config.schema_of()
    for name in (loop.cold_start, loop.selector):
        selector_for(schema, name, loop.belief)
    return f"{loop.selector}, and {loop.cold_start} before there is a model"


def _prove_ledger(workspace: Workspace) -> str:
    from labelloop.ledger import open_ledger  # SQLAlchemy, which bringing a stack up does not need

    ledger = open_ledger(workspace.ledger_url, workspace.config.dataset.name)
    try:
        return f"{ledger.items.count()} items"
    finally:
        ledger.close()


def _prove_store(store: ArtifactStore) -> str:
    """Write one small body and read it back, always under the same key: nothing grows, nothing is deleted."""
    try:
        store.write(PROBE, io.BytesIO(b"labelloop"))
    except (ConfigError, BackendError) as error:
        if _can_be_read(store):
            error.message += "; it can be read"
        raise
    with store.read(PROBE) as body:
        if body.read() != b"labelloop":
            raise BackendError("the artifact store gave back other bytes than were written", "check its disk or bucket")
    return f"{_brief(store)}: written and read back"


def _can_be_read(store: ArtifactStore) -> bool:
    """Whether a body could be read, were it there; reading, unlike `exists`, tells a bucket that is not there apart."""
    try:
        store.read(PROBE).close()
    except NotFoundError:
        return True
    except LabelLoopError:
        return False
    return True


def _brief(component: Any) -> str:
    """A component in few words: its class, and what was chosen; never a secret, as its repr has none either."""
    if not is_dataclass(component):
        return type(component).__name__
    chosen = [f for f in fields(component) if f.repr and getattr(component, f.name) not in ("", f.default)]
    return " ".join([type(component).__name__, *(f"{f.name}={getattr(component, f.name)}" for f in chosen)])


def _prove_secrets(secrets: SecretsManager) -> str:
    return f"{_brief(secrets)}: {len(secrets.names())} secret(s)"


def _prove_orchestrator(orchestrator: Orchestrator) -> str:
    if orchestrator.submit(sum, [1, 2]).result(timeout=60) != 3:
        raise BackendError("the orchestrator computed 1 + 2 wrongly", "check the machine it runs on")
    return f"{_brief(orchestrator)}: a step ran"


def _prove_annotator(annotator: Annotator) -> str:
    state = annotator.describe()
    if state.state == "down":
        raise BackendError(
            f"{state.flavor} at {state.url or 'no address yet'} is down{_because(state)}",
            state.hint or "labelloop stack up",
            retryable=True,
        )
    if state.state != "up":
        raise ConfigError(
            f"{state.flavor} at {state.url} is {state.state}{_because(state)}",
            state.hint or "check the annotator's url and secret",
        )
    return f"{state.flavor} {state.version} at {state.url}, {state.datasets} dataset(s)"


def _because(state: AnnotatorState) -> str:
    return f": {state.detail}" if state.detail else ""


def _start(annotator: Annotator, progress: Progress) -> str:
    start(annotator, progress)
    return _prove_annotator(annotator)


def _pictures(annotator: Annotator, dataset: str) -> Iterator[Finding]:
    """What a browser gets of the pictures in the bucket, for an annotator that shows them from there."""
    if isinstance(annotator, PictureChecking):
        seen = found("pictures", partial(annotator.look, dataset))
        if seen.detail:
            yield seen


def _requests(annotator: Reached) -> Iterator[Finding]:
    """Whether what a tick sends comes through, for an annotator that others may stand before; nothing changes there."""
    try:
        words, hint = annotator.comes_through()
    except LabelLoopError as error:
        yield _failed("requests", error)
        return
    if words:
        yield Finding("requests", ok=True, detail=words, hint=hint)


def _sorts(annotator: Annotator, dataset: str) -> Iterator[Finding]:
    """What a browser gets of one picture of each sort, for an annotator that can tell."""
    try:
        for ok, words, hint in annotator.looked_at(dataset) if isinstance(annotator, PictureChecking) else ():
            yield Finding("pictures", ok, words, hint, 0 if ok else ConfigError.exit_code)
    except LabelLoopError as error:
        yield _failed("pictures", error)


def _guesses(annotator: Annotator, dataset: str) -> Iterator[Finding]:
    """Whether somebody switched the guesses off; nothing where people see them."""
    try:
        hidden = isinstance(annotator, Hiding) and annotator.hides_predictions(dataset)
    except LabelLoopError as error:
        yield _failed("guesses", error)
        return
    if hidden:
        words = "the project hides the model's guesses from people, who answer without"
        hint = "labelloop doctor --repair shows them again; to leave them off, set blind_share = 1.0 under [loop]"
        yield Finding("guesses", ok=True, detail=words, hint=hint)


def _exposed(annotator: Peopled) -> Iterator[Finding]:
    """Whether people who were invited get more than the pictures they are asked about; nothing where they do not."""
    try:
        words, hint = annotator.exposed()
    except LabelLoopError as error:
        yield _failed("guests", error)
        return
    if words:
        yield Finding("guests", ok=True, detail=f"others have an account: {words}", hint=hint)


def _people(annotator: Annotator, wanted: int) -> Finding:
    """Whether as many people can sign in as each item needs, for an annotator that knows."""
    assert isinstance(annotator, Peopled)
    try:
        count = annotator.people()
    except LabelLoopError as error:
        return _failed("people", error)
    words = f"{count} can sign in, and each item needs {wanted}"
    if count >= wanted:
        return Finding("people", ok=True, detail=words)
    return Finding(
        "people",
        ok=True,
        detail=f"{words}: no question would ever be closed",
        hint=f"invite people at {annotator.describe().url}, or set people_per_item = {count} under [dataset]",
    )


def prove_learner(workspace: Workspace) -> str:
    """Embed one item with the learner; in words what came out."""
    config = workspace.config.learner_of()
    schema = workspace.config.schema_of()
    learner: Learner = build("learner", config.flavor, config.options, {"schema": schema})
    chosen = " ".join([config.flavor, *(f"{name}={value}" for name, value in config.options.items())])
    reads = "it reads the items themselves" if learner.backbone is None else _prove_backbone(learner.backbone)
    if learner.backbone is not None and not workspace.config.selection.backbone:
        return f"{chosen}: {reads}"
    return f"{chosen}: {reads}; {_prove_choosing(workspace.config, learner)}"


def _prove_choosing(config: Config, learner: Learner) -> str:
    """What items are chosen by, where it is not what the learner reads."""
    from labelloop.loop.pool import chooser, refuse_blind  # numpy, which bringing a stack up does not need

    wanted = config.selection.backbone
    backbone = chooser(learner, config.schema_of(), wanted)
    for name in (config.loop.cold_start, config.loop.selector):
        refuse_blind(backbone, name)
    return f"to choose by{wanted and f' {wanted}'}, {_prove_backbone(backbone)}"


def _items(workspace: Workspace) -> Iterator[Finding]:
    """What is wrong with the items as a whole, as far as it was noticed."""
    from labelloop.ledger import open_ledger
    from labelloop.loop.notices import warnings_of  # numpy, which bringing a stack up does not need

    try:
        with closing(open_ledger(workspace.ledger_url, workspace.config.dataset.name)) as ledger:
            for words, way in warnings_of(ledger, workspace.config):
                yield Finding("items", ok=True, detail=words, hint=way)
    except LabelLoopError:  # the check of the ledger says why
        return


def _prove_backbone(backbone: Backbone) -> str:
    content: str | bytes = "a probe" if backbone.modality == "text" else _gray_png()
    embedding = backbone.embed([backbone.prepare(content)])
    if embedding.shape != (1, backbone.dimension):
        raise BackendError(
            f"the backbone says {backbone.dimension} dimensions, and one {backbone.modality} became {embedding.shape}",
            "its `embed` must give (n, dimension)",
        )
    return f"one {backbone.modality} became {backbone.dimension} numbers"


def _gray_png() -> bytes:
    need_pillow()
    from PIL import Image

    body = io.BytesIO()
    Image.new("RGB", (64, 64), "gray").save(body, "PNG")
    return body.getvalue()
