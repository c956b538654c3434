"""A Label Studio that runs: our own is installed, started, stopped and signed in to; someone else's is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from labelloop.backends.label_studio.bounds import guarded
from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.connection import is_older, outdated
from labelloop.backends.label_studio.environment import ensure_environment, ensure_template, is_there
from labelloop.backends.label_studio.server_part import ServerPart
from labelloop.backends.label_studio.signin import signed_in_link
from labelloop.errors import BackendError, ConfigError, LabelLoopError
from labelloop.protocols import Progress, silent
from labelloop.types import AnnotatorState

_FLAVOR = "label_studio"


@guarded
class Running(ServerPart):
    """The server, up or down."""

    @staticmethod
    def is_installed() -> bool:
        """Whether there is a Label Studio for a server of our own."""
        return is_there()

    @staticmethod
    def install(progress: Progress = silent) -> None:
        """Install Label Studio for servers of our own, once per user. Safe to repeat.

        Raises:
            ConfigError: LABELLOOP_LABEL_STUDIO_ENV names no environment with Label Studio.
            BackendError: The installation failed.
        """
        ensure_template(ensure_environment(progress=progress), progress=progress)

    def up(self, progress: Progress = silent) -> AnnotatorState:
        """Start our own server if it is down; nothing to do for someone else's."""
        if not self.url:
            self.connection.server.up(progress)
        return self.describe()

    def down(self, progress: Progress = silent) -> bool:
        """Stop our own server; whether it was running. Someone else's is left alone."""
        if self.url or self.connection.server.state() is None:
            return False
        self.connection.server.down(progress)
        return True

    def login(self) -> tuple[str, str]:
        """Email and password for the browser on our own server; empty for someone else's."""
        if self.url:
            return "", ""
        kept = self.connection.server.credentials()
        return kept["email"], kept["password"]

    def describe(self) -> AnnotatorState:
        """Whether Label Studio is up and lets us in."""
        running = None if self.url else self.connection.server.state()
        url = self.url or (running.url if running else "")
        if not url:
            return AnnotatorState(_FLAVOR, "", "down", detail="it is not running")
        try:
            version = Client(url, "", road=self.connection.road()).version()
            if is_older(version):
                error = outdated(url, version)
                return AnnotatorState(_FLAVOR, url, "outdated", version, detail=error.message, hint=error.hint)
        except LabelLoopError as error:
            return AnnotatorState(_FLAVOR, url, "down", detail=error.message, hint=error.hint)
        try:
            self.client().whoami()
            return AnnotatorState(_FLAVOR, url, "up", version, len(self._projects.listed("id")))
        except ConfigError as error:
            return AnnotatorState(_FLAVOR, url, "unauthorised", version, detail=error.message, hint=error.hint)
        except BackendError as error:
            return AnnotatorState(_FLAVOR, url, "down", version, detail=error.message, hint=error.hint)

    @contextmanager
    def signed_in(self, page: str) -> Iterator[tuple[str, Event]]:
        """A one-time address of `page` that signs the browser in on our own server, and the event of its use.

        On someone else's server it is the page itself: people sign in there as they are used to.
        """
        if self.url:
            yield page, Event()
            return
        with signed_in_link(page, *self.login()) as link:
            yield link
