"""Few local folders are served, and only what is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelloop.backends.label_studio.media import roots_of
from labelloop.backends.label_studio.served import in_served, link, top


@pytest.mark.parametrize(
    ("folders", "served"),
    [
        ({"/data/cats"}, {"/data/cats"}),
        ({"/data/cats", "/data/dogs"}, {"/data/cats", "/data/dogs"}),
        ({"/data", "/data/cats/small"}, {"/data"}),
        ({f"/home/user{n}/pictures" for n in range(17)}, {f"/home/user{n}/pictures" for n in range(17)}),
        ({f"/disk{n}/images/x" for n in range(20)}, {f"/disk{n}/images/x" for n in range(20)}),
    ],
)
def test_below_a_chosen_root_the_outermost_folders_are_served_and_nothing_above_them(
    folders: set[str], served: set[str]
) -> None:
    assert roots_of({Path(folder) for folder in folders}) == {Path(folder) for folder in served}


def test_a_link_keeps_the_address_of_its_file_and_opens_nothing_beside_it(tmp_path: Path) -> None:
    served, home = tmp_path / "served", tmp_path / "home"
    home.mkdir()
    for name in ("cat.png", "letter.txt"):
        (home / name).write_text(name)

    for _ in range(2):
        link(served, [home / "cat.png"])

    mirror = served / str(home)[1:]
    assert (mirror / "cat.png").read_text() == "cat.png"
    assert [path.name for path in mirror.iterdir()] == ["cat.png"]
    assert top(served, home / "cat.png") == served / home.parts[1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("/home/ann/photos", "home/ann/photos"),
        ("/old/W/.labelloop/label-studio/served/home", "home"),
        ("/W/.labelloop/label-studio/served/home", "home"),
    ],
)
def test_a_storage_of_another_root_moves_into_the_folder_of_links(before: str, after: str) -> None:
    served = Path("/W/.labelloop/label-studio/served")

    assert in_served(served, before) == served / after
