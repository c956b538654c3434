"""A dataset whose real Label Studio asks a backend of ours, which runs in a process of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from labelloop.backends.label_studio import calls
from labelloop.backends.label_studio.server import free_port

from support.live_world import LiveWorld

USER, PASSWORD = "labelloop", "a password of ours"


@dataclass
class Connected:
    """A dataset whose Label Studio asks a running backend."""

    world: LiveWorld
    port: int
    serving: subprocess.Popen[str]

    def call(self, method: str, path: str, **more: Any) -> Any:
        """One request as the owner."""
        return self.world.annotator.client().call(method, path, **more)

    def do(self, *arguments: str) -> None:
        """A command that must succeed."""
        self.world.do("--set", f"ml_backend.port={self.port}", *arguments)

    def project(self) -> Mapping[str, Any]:
        """The project's settings."""
        found: Mapping[str, Any] = self.call("GET", f"/api/projects/{self.world.project}")
        return found

    def backends(self) -> list[Mapping[str, Any]]:
        """The connections of the project."""
        found: list[Mapping[str, Any]] = self.call("GET", "/api/ml/", query={"project": self.world.project})
        return found

    def hooks(self) -> list[Mapping[str, Any]]:
        """The webhooks of the project."""
        found: list[Mapping[str, Any]] = self.call("GET", "/api/webhooks/", query={"project": self.world.project})
        return found

    def opened(self, task: int) -> list[Mapping[str, Any]]:
        """The predictions that a person who opens a task sees."""
        found: list[Mapping[str, Any]] = self.call("GET", f"/api/tasks/{task}")["predictions"]
        return found

    def dropped(self, picture: bytes) -> int:
        """A person drops a picture into the project in the browser; the task it becomes."""
        return self._imported(files={"a": ("a.png", picture)})

    def pasted(self, text: str) -> int:
        """A person pastes a text into the project; the task it becomes."""
        return self._imported(body=[{"data": {"text": text}}])

    def _imported(self, **what: Any) -> int:
        before = {int(task["id"]) for task in self.world.tasks()}
        self.call("POST", f"/api/projects/{self.world.project}/import", **what)
        (made,) = {int(task["id"]) for task in self.world.tasks()} - before
        return made


@contextmanager
def connection(world: LiveWorld) -> Iterator[Connected]:
    """The backend of a world runs, and is connected, as long as the block lasts; then the dataset is removed."""
    annotator = world.annotator
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABELLOOP_SECRET_LABELLOOP_ML_BACKEND__USER", USER)
        patch.setenv("LABELLOOP_SECRET_LABELLOOP_ML_BACKEND__PASSWORD", PASSWORD)
        port = free_port(8930)
        serving = world.start("ml-backend", "serve", "--port", str(port))
        assert serving.stdout
        assert "answering Label Studio at" in serving.stdout.readline()
        made = Connected(world, port, serving)
        # the world takes the server for another's
        calls.allow(annotator.connection.home, calls.backend(f"http://127.0.0.1:{port}"))
        made.do("ml-backend", "connect")
        yield made
        serving.terminate()
        serving.communicate(timeout=30)
        annotator.delete(world.name)
