"""ml-backend serve, connect, disconnect: the model in use answers Label Studio."""

from __future__ import annotations

import secrets as randomness
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labelloop.cli.app import App, pass_app
from labelloop.errors import ConfigError
from labelloop.protocols import Annotator, ModelAsking, TaskReading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.applications import Starlette

    from labelloop.web.batching import Batcher
    from labelloop.web.server import TlsCertificate
    from labelloop.workspace.config import MLBackendConfig, WatchConfig

SECRET = "labelloop-ml-backend"  # noqa: S105 - the name of a secret, not one


@click.group()
def ml_backend() -> None:
    """Let Label Studio ask the model in use about tasks that have no prediction yet."""


@ml_backend.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Listen here [ml_backend.port].")
@click.option("--certificate", default="", metavar="FILE", help="Speak TLS with it (PEM) [ml_backend.certificate].")
@click.option("--key", default="", metavar="FILE", help="Its key, where it is in another file [ml_backend.key].")
@pass_app
def serve(app: App, port: int | None, certificate: str, key: str) -> None:
    """Answer Label Studio until Ctrl-C or SIGTERM.

    Follows the loop to each new model; never trains, and never answers about the holdout, which is asked blind.
    """
    from labelloop.cli.signals import end_if_told
    from labelloop.web.server import in_the_clear, serving

    app = listening(app, "ml_backend", port, certificate, key)
    settings = app.workspace.config.ml_backend
    made, batcher = _app(app)
    shown = known_by(app, settings)
    if words := in_the_clear(settings.host, shown):
        click.echo(words, err=True)
    with serving(made, settings.host, settings.port, shown) as address:
        click.echo(f"answering Label Studio at {address}; connect it once: labelloop ml-backend connect")
        forever = threading.Event()
        while not forever.wait(1.0):
            end_if_told()
    batcher.close()


@ml_backend.command()
@pass_app
def connect(app: App) -> None:
    """Have Label Studio ask the running backend about tasks without a prediction. Safe to repeat."""
    from labelloop.cli.output import show

    url, name = _address(app), app.workspace.config.dataset.name
    loop = app.loop()
    last = loop.ledger.rounds.last()
    app.stack.annotator.open(name, loop.schema, create=False)  # refused where it asks otherwise: Label Studio hides why
    _asking(app).connect(name, url, _user(app), last.version if last else "")
    show({"dataset": name, "url": url}, f"Label Studio asks {url} about tasks of {name!r}", as_json=app.as_json)


@ml_backend.command()
@pass_app
def disconnect(app: App) -> None:
    """Have Label Studio ask the backend no more. Safe to repeat."""
    from labelloop.cli.output import show

    url, name = _address(app), app.workspace.config.dataset.name
    removed = _asking(app).disconnect(name, url)
    words = f"Label Studio asks {url} no more" if removed else f"Label Studio did not ask {url}"
    show({"dataset": name, "url": url, "removed": removed}, words, as_json=app.as_json)


def listening(app: App, section: str, port: int | None, certificate: str, key: str) -> App:
    """The app with what was typed about a server of ours; a path that was typed counts from where it was."""
    app = app if port is None else app.with_setting(f"{section}.port={port}")
    for name, typed in (("certificate", certificate), ("key", key)):
        app = app.with_setting(f"{section}.{name}={Path(typed).expanduser().absolute()}") if typed else app
    return app


def known_by(app: App, server: WatchConfig | MLBackendConfig) -> TlsCertificate | None:
    """What a server of ours is known by; a path of the settings counts from the workspace.

    Raises:
        ConfigError: There is a key and no certificate.
    """
    from labelloop.web.server import TlsCertificate

    if not server.certificate:
        if server.key:
            raise ConfigError(f"there is a key, {server.key}, and no certificate", "name the certificate as well")
        return None
    files = server.certificate, server.key or server.certificate
    return TlsCertificate(*(app.workspace.root / Path(one).expanduser() for one in files))


def _app(app: App) -> tuple[Starlette, Batcher[Any, Any]]:
    """What answers, with the model loaded."""
    from labelloop.commands.ml_backend import PredictionService
    from labelloop.web.batching import Batcher

    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401

        from labelloop.web.ml_backend import ServedModel
        from labelloop.web.ml_backend import ml_backend as make
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"serving the model needs {error.name}, which is not installed", "pip install 'labelloop[serve]'"
        ) from None
    tasks = _reading(app)
    service = PredictionService(lambda: app.again().loop(), tasks.fetch)
    service.warm()
    batcher = Batcher(service.answer)

    def misfits(config: str) -> Sequence[str]:
        if not tasks.misfits(config, service.schema) or not service.version():
            return ()
        return tasks.misfits(config, service.schema)  # in the labels of now: to tell the version looked for others

    model = ServedModel(
        service.version, service.versions, lambda task: tasks.item_of(task, service.schema), misfits, batcher
    )
    return make(model, _user(app), app.workspace.config.ml_backend.patience), batcher


def _address(app: App) -> str:
    from labelloop.commands.hints import reached

    return reached("ml_backend", app.workspace.config.ml_backend)


def _user(app: App) -> tuple[str, str]:
    from labelloop.commands.hints import kept

    made = {"user": "labelloop", "password": randomness.token_urlsafe(24)}
    found = kept(app.stack.secrets_manager, SECRET, made)
    return found["user"], found["password"]


def _asking(app: App) -> ModelAsking:
    annotator = app.stack.annotator
    if isinstance(annotator, ModelAsking):
        return annotator
    raise _asks_nobody(annotator)


def _reading(app: App) -> TaskReading:
    annotator = app.stack.annotator
    if isinstance(annotator, TaskReading):
        return annotator
    raise _asks_nobody(annotator)


def _asks_nobody(annotator: Annotator) -> ConfigError:
    return ConfigError(f"{annotator!r} asks no ML backend", "its predictions are sent along with each question")
