"""`watch` with everything around it: the annotator it heals, the hints that wake it, the metrics it shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labelloop.cli.app import App
from labelloop.errors import ConfigError, OtherLabelsError

if TYPE_CHECKING:
    from labelloop.cli.render import LiveRounds
    from labelloop.commands.watch import Bell, Vitals


def keep_watching(app: App, view: LiveRounds, *, every: float, until_done: bool) -> None:
    """Watch the loop of a workspace, until it is done or the process is told to end.

    Where the labels are changed meanwhile, it begins again with the new ones.
    """
    while True:
        try:
            return _watch(app, view, every=every, until_done=until_done)
        except OtherLabelsError as error:
            if not error.begin_again:
                raise
            view.say(f"{error.message}; beginning again with the new ones")
            app = app.again()


def _watch(app: App, view: LiveRounds, *, every: float, until_done: bool) -> None:
    from labelloop.cli.signals import end_if_told
    from labelloop.commands import hints
    from labelloop.commands.check import start
    from labelloop.commands.watch import Bell, Care, Vitals, watch

    bell, vitals = Bell(), Vitals()

    def sleep(seconds: float) -> bool:
        end_if_told()
        rang = bell.wait(seconds)
        end_if_told()
        return rang

    def heal() -> None:
        start(app.stack.annotator, view.progress)

    def greet() -> None:
        if app.workspace.config.watch.port:
            view.say(f"hints: {hints.register(app.workspace, app.stack.annotator, app.stack.secrets_manager)}")

    loop = app.loop(view.progress)
    loop.preconditions.refuse_no_items()
    with _served(app, view, bell, vitals):
        heal()
        watch(
            loop,
            view,
            Care(heal=heal, greet=greet, vitals=vitals, sleep=sleep),
            every=every,
            until_done=until_done,
        )


@contextmanager
def _served(app: App, view: LiveRounds, bell: Bell, vitals: Vitals) -> Iterator[None]:
    """Answer Label Studio and Prometheus inside the block, if there is a port for it."""
    from labelloop.commands import hints

    watch = app.workspace.config.watch
    if not watch.port:
        yield
        return
    try:
        from labelloop.cli.ml_backend import known_by
        from labelloop.web.server import in_the_clear, serving
        from labelloop.web.service import service

        try:
            credential = hints.credential(app.stack.secrets_manager)
        except ConfigError as error:
            view.say(f"hints: none: {error.message} ({error.hint})")
            credential = ""
        made = service(vitals, bell, hints.path_of(app.workspace), credential)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"watch.port is {watch.port}, and serving it needs {error.name}", "pip install 'labelloop[serve]'"
        ) from None
    shown = known_by(app, watch)
    if words := in_the_clear(watch.host, shown, "hints, and metrics that anybody may read,"):
        view.say(words)
    with serving(made, watch.host, watch.port, shown) as address:
        view.say(f"metrics: {address}/metrics")
        yield
