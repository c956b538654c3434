"""Few local folders are served, and only what is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelloop.backends.label_studio.media import roots_of

ROOT = Path("/")


@pytest.mark.parametrize(
    ("folders", "served"),
    [
        ({"/data/cats"}, {"/data/cats"}),
        ({"/data/cats", "/data/dogs"}, {"/data/cats", "/data/dogs"}),
        ({"/data", "/data/cats/small"}, {"/data"}),
        ({f"/data/class{n}" for n in range(40)}, {"/data"}),
        ({f"/disk{n}/images/x" for n in range(20)}, {f"/disk{n}" for n in range(20)}),
    ],
)
def test_the_outermost_folders_are_served_or_what_many_have_in_common(folders: set[str], served: set[str]) -> None:
    assert roots_of({Path(folder) for folder in folders}, ROOT) == {Path(folder) for folder in served}
