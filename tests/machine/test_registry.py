"""Components are found by name, and their constructors are the schema of their options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from labelloop.errors import ConfigError, NotFoundError
from labelloop.machine.registry import build, flavors, options_of, resolve, unknown


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """A component with every kind of option."""

    height: int
    name: str = "shelf"
    sizes: tuple[float, ...] = ()
    home: Path | None = None


HERE = f"{__name__}:Shelf"


def test_our_own_flavors_are_entry_points_like_anybody_elses() -> None:
    assert flavors("artifact-store")["local"] == "labelloop.backends.local_store:LocalArtifactStore"
    assert set(flavors("annotator")) >= {"label_studio"}


def test_a_component_is_built_from_checked_options_and_what_its_constructor_asks_for(tmp_path: Path) -> None:
    made = build("artifact-store", HERE, {"height": "3", "sizes": [1, 2.5]}, {"home": tmp_path, "secrets": object()})

    assert made == Shelf(height=3, sizes=(1.0, 2.5), home=tmp_path)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"heigth": 3}, "unknown option of artifact-store flavor", "did you mean 'height'?"),
        ({"height": 3, "home": "/tmp"}, "unknown option of artifact-store flavor", "known: height, name, sizes"),
        ({}, "needs the option 'height'", "set height = ..."),
        ({"height": "tall"}, "option 'height' of artifact-store flavor .* is 'tall'", "correct height"),
    ],
)
def test_an_option_that_cannot_be_is_named(options: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        build("artifact-store", HERE, options, {"home": Path("/")})

    assert hint in refused.value.hint


def test_an_unknown_flavor_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(NotFoundError, match="unknown annotator flavor: 'label-studio'") as refused:
        resolve("annotator", "label-studio")

    assert refused.value.hint.startswith("did you mean 'label_studio'?")


@pytest.mark.parametrize("name", ["no_such_module:Thing", f"{__name__}:Nothing"])
def test_a_module_that_cannot_be_loaded_is_the_users_move(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be loaded") as refused:
        resolve("learner", name)

    assert "module:attribute" in refused.value.hint


def test_the_options_are_the_parameters_of_the_constructor() -> None:
    assert list(options_of(Shelf)) == ["height", "name", "sizes", "home"]


def test_nothing_near_suggests_nothing() -> None:
    assert unknown("stack", "zebra", []).hint == "known: none"
    assert unknown("stack", "zebra", ["default"]).hint == "known: default"
