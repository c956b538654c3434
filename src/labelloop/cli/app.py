"""What every command starts from: the workspace, its stack and its loop, each built when first needed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from labelloop.loop.loop import Loop
    from labelloop.protocols import Progress
    from labelloop.workspace.config import Config, Workspace
    from labelloop.workspace.stack import Stack


@dataclass(frozen=True)
class App:
    """The options that stand before the command."""

    folder: Path | None
    settings: tuple[str, ...]
    as_json: bool

    @property
    def root(self) -> Path:
        """The workspace's folder."""
        from labelloop.workspace.root import find_root, root_at

        return root_at(self.folder.resolve()) if self.folder else find_root(Path.cwd())

    @cached_property
    def workspace(self) -> Workspace:
        """The workspace with every setting. Modules beside its labelloop.toml can be named there."""
        from labelloop.workspace.init import enter

        return enter(self.root, self._flags())

    @cached_property
    def stack(self) -> Stack:
        """The active stack."""
        from labelloop.workspace.stack import Stack

        return Stack(self.workspace)

    def with_setting(self, setting: str) -> App:
        """The same, with one more `NAME=VALUE` that counts more than the others."""
        return App(self.folder, (*self.settings, setting), self.as_json)

    def again(self) -> App:
        """The same, read anew: the labelloop.toml may have changed."""
        return App(self.folder, self.settings, self.as_json)

    def config(self) -> Config:
        """The settings of the workspace, or the defaults where there is none."""
        from labelloop.errors import NotFoundError
        from labelloop.workspace.config import Config

        try:
            return self.workspace.config
        except NotFoundError:
            return Config()

    def loop(self, progress: Progress | None = None) -> Loop:
        """The loop of the workspace; its connections are given back when the command ends."""
        from labelloop.loop.loop import Loop
        from labelloop.protocols import silent

        made = Loop(self.workspace, self.stack, progress or silent)
        context = click.get_current_context(silent=True)  # a thread has none
        return context.with_resource(made) if context else made

    def _flags(self) -> Mapping[str, Any]:
        from labelloop.errors import ConfigError

        flags: dict[str, Any] = {}
        for setting in self.settings:
            name, equals, value = setting.partition("=")
            if not equals or not name:
                raise ConfigError(f"--set {setting!r} is not NAME=VALUE", "for example --set loop.batch=20")
            flags[name.strip()] = [part.strip() for part in value.split(",")] if name == "dataset.labels" else value
        return flags


def spoken(words: str | None) -> str | None:
    """What a person typed; where Python takes her terminal for one of ASCII, it comes as bytes that stand for it."""
    return os.fsencode(words).decode("utf-8", "replace") if words and not words.isascii() else words


pass_app = click.make_pass_decorator(App)
