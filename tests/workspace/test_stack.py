"""A stack builds its components from the workspace, each when it is first needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelloop.backends.local_store import LocalArtifactStore
from labelloop.errors import ConfigError, NotFoundError
from labelloop.workspace.config import load
from labelloop.workspace.stack import Stack

TOML = """
active_stack = "office"
[stacks.office]
artifact_store = "shelf"
annotator = "broken"
[artifact_stores.shelf]
flavor = "local"
path = "shelf"
[annotators.broken]
flavor = "label_studio"
prot = 80
[secrets_managers.environment]
flavor = "env"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "labelloop.toml").write_text(TOML)
    return tmp_path


def test_components_are_built_once_from_their_options_and_the_workspace(root: Path) -> None:
    stack = Stack(load(root, {}))

    assert stack.name == "office"
    assert isinstance(stack.artifact_store, LocalArtifactStore)
    assert stack.artifact_store.root == root / "shelf"
    assert stack.artifact_store is stack.artifact_store


def test_a_component_that_is_not_needed_may_be_broken(root: Path) -> None:
    stack = Stack(load(root, {}))

    assert stack.orchestrator.submit(sum, [1, 2]).result() == 3
    with pytest.raises(ConfigError, match="unknown option of annotator flavor 'label_studio': 'prot'"):
        _ = stack.annotator


def test_the_default_stack_needs_no_configuration(tmp_path: Path) -> None:
    stack = Stack(load(tmp_path, {}))

    assert {kind: name for kind, (name, _) in stack.parts().items()} == {
        "artifact-store": "default",
        "secrets-manager": "default",
        "annotator": "default",
        "orchestrator": "default",
    }


def test_another_stack_can_be_chosen(root: Path) -> None:
    stack = Stack(load(root, {}), "default")

    assert stack.parts()["artifact-store"][1]().root == root / ".labelloop" / "artifacts"


@pytest.mark.parametrize(
    ("settings", "name"), [({"active_stack": "offise"}, "offise"), ({"stacks.office.orchestrator": "ray"}, "ray")]
)
def test_a_name_that_does_not_exist_is_refused(root: Path, settings: dict[str, str], name: str) -> None:
    with pytest.raises(NotFoundError, match=f"'{name}'"):
        _ = Stack(load(root, {}, settings)).orchestrator
