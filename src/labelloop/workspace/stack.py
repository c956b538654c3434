"""The components of a stack, each built when it is first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from labelloop.errors import ConfigError, OptionError
from labelloop.machine.registry import ComponentKind, build
from labelloop.protocols import Annotator, ArtifactStore, Orchestrator, SecretsManager
from labelloop.workspace.config import Workspace, table_of


class Stack:
    """Where bytes, secrets, people and computation live, for one workspace.

    Args:
        workspace: The workspace.
        name: The stack; empty is the active one.
    """

    def __init__(self, workspace: Workspace, name: str = "") -> None:
        self.name = name or workspace.config.active_stack
        self.config = workspace.config.stack(self.name)
        self.workspace = workspace

    @cached_property
    def artifact_store(self) -> ArtifactStore:
        """Where artifacts live."""
        store: ArtifactStore = self._build(
            "artifact-store",
            self.config.artifact_store,
            {"secrets": self.secrets_manager, "component": self.config.artifact_store},
        )
        return store

    @cached_property
    def secrets_manager(self) -> SecretsManager:
        """Where secrets live."""
        manager: SecretsManager = self._build("secrets-manager", self.config.secrets_manager, {})
        return manager

    @cached_property
    def annotator(self) -> Annotator:
        """Where people annotate."""
        offered = {"secrets": self.secrets_manager, "store": self.artifact_store}
        annotator: Annotator = self._build("annotator", self.config.annotator, offered)
        return annotator

    @cached_property
    def orchestrator(self) -> Orchestrator:
        """Where steps execute."""
        orchestrator: Orchestrator = self._build("orchestrator", self.config.orchestrator, {})
        return orchestrator

    def parts(self) -> Mapping[ComponentKind, tuple[str, Callable[[], Any]]]:
        """ComponentKind -> (name of the component, a function that builds it)."""
        return {
            "artifact-store": (self.config.artifact_store, lambda: self.artifact_store),
            "secrets-manager": (self.config.secrets_manager, lambda: self.secrets_manager),
            "annotator": (self.config.annotator, lambda: self.annotator),
            "orchestrator": (self.config.orchestrator, lambda: self.orchestrator),
        }

    def _build(self, kind: ComponentKind, name: str, surroundings: Mapping[str, Any]) -> Any:
        component = self.workspace.config.component(kind, name)
        offered = {"home": self.workspace.home, **surroundings}
        try:
            return build(kind, component.flavor, component.options, offered)
        except ConfigError as error:
            where = self.workspace.where(table_of(kind), name, error.option if isinstance(error, OptionError) else "")
            raise ConfigError(f"{where}{error.message}", error.hint) from error
