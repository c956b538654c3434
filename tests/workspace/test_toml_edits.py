"""Edits of a TOML text change what they must and nothing else, whatever form the file has."""

from __future__ import annotations

import tomllib
from collections.abc import Callable

import pytest

from labelloop.workspace.toml_edits import add_table, drop, drop_table, place, put, rename_table

TEXT = """\
# our loop, do not touch   (Ann)
version = 1 # of the format

# --- stores ---
[artifact_stores.a]
  flavor = "local" # here
sizes = [ # three
  1,
  2,
]   # well, two

# what people see
[annotators."the team"]
flavor = 'label_studio'
inner = {a = 1, b = "x"}
more.port = 3


# the end
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (("version",), (2, 1)),
        (("artifact_stores", "a"), (5, 1)),
        (("artifact_stores", "a", "flavor"), (6, 3)),
        (("artifact_stores", "a", "sizes"), (7, 1)),
        (("annotators", "the team"), (13, 1)),
        (("annotators", "the team", "inner", "b"), (15, 17)),
        (("annotators", "the team", "more", "port"), (16, 1)),
        (("annotators", "nobody"), None),
    ],
)
def test_the_place_of_a_key_is_found_in_every_form(path: tuple[str, ...], found: tuple[int, int] | None) -> None:
    assert place(TEXT, path) == found


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        (lambda text: put(text, ("version",), 2), "version = 1 #", "version = 2 #"),
        (lambda text: put(text, ("artifact_stores", "a", "flavor"), "s3"), '"local" # here', '"s3" # here'),
        (lambda text: put(text, ("artifact_stores", "a", "path"), "x"), "two\n", 'two\npath = "x"\n'),
        (lambda text: put(text, ("active_stack",), "t"), "format\n", 'format\nactive_stack = "t"\n'),
        (lambda text: drop(text, ("artifact_stores", "a", "flavor")), '  flavor = "local" # here\n', ""),
        (lambda text: rename_table(text, ("artifact_stores", "a"), "b"), "stores.a]", "stores.b]"),
        (lambda text: rename_table(text, ("annotators", "the team"), "us"), '."the team"]', ".us]"),
        (
            lambda text: add_table(text, ("stacks", "s"), {"annotator": "x", "n": [1]}),
            "# the end\n",
            '# the end\n\n[stacks.s]\nannotator = "x"\nn = [1]\n',
        ),
        (
            lambda text: drop_table(text, ("annotators", "the team")),
            TEXT[TEXT.index("[ann") : TEXT.index("\n\n\n# the end") + 1],
            "",
        ),
    ],
)
def test_an_edit_leaves_every_other_byte_alone(edit: Callable[[str], str], before: str, after: str) -> None:
    assert TEXT.count(before) == 1

    assert edit(TEXT) == TEXT.replace(before, after)


def test_a_comment_above_the_next_table_survives_the_table_before_it() -> None:
    left = drop_table(TEXT, ("artifact_stores", "a"))

    assert "# what people see\n[annotators" in left
    assert "artifact_stores" not in left


INLINE = 'stacks = {a = {annotator = "x"}, c = {}}\n'
DOTTED = 'stacks.a.annotator = "x"\nstacks.c = {}\n'
OUT_OF_ORDER = '[stacks.a]\nannotator = "x"\n[loop]\nbatch = 3\n[stacks.c]\n'
IN_A_STRING = '[stacks.a]\nannotator = "x"\n[stacks.c]\n[dataset]\ninstruction = """\n[stacks.a]\n"""\n'


@pytest.mark.parametrize("text", [INLINE, DOTTED, OUT_OF_ORDER, IN_A_STRING])
@pytest.mark.parametrize(
    ("edit", "stacks"),
    [
        (
            lambda text: add_table(text, ("stacks", "b"), {"annotator": "y"}),
            {"a": {"annotator": "x"}, "b": {"annotator": "y"}, "c": {}},
        ),
        (
            lambda text: put(text, ("stacks", "a", "orchestrator"), "o"),
            {"a": {"annotator": "x", "orchestrator": "o"}, "c": {}},
        ),
        (lambda text: put(text, ("stacks", "c", "annotator"), "o"), {"a": {"annotator": "x"}, "c": {"annotator": "o"}}),
        (lambda text: rename_table(text, ("stacks", "a"), "z"), {"z": {"annotator": "x"}, "c": {}}),
        (lambda text: drop_table(text, ("stacks", "a")), {"c": {}}),
        (lambda text: drop_table(text, ("stacks", "c")), {"a": {"annotator": "x"}}),
    ],
)
def test_an_edit_means_the_same_in_every_form(text: str, edit: Callable[[str], str], stacks: object) -> None:
    before = tomllib.loads(text)

    after = tomllib.loads(edit(text))

    assert after["stacks"] == stacks
    assert {**after, "stacks": 0} == {**before, "stacks": 0}


def test_line_ends_of_another_system_stay() -> None:
    text = TEXT.replace("\n", "\r\n")

    edited = put(text, ("version",), 7)

    assert edited == text.replace("version = 1", "version = 7")


@pytest.mark.parametrize("text", ["", "# only a comment", "version = 1"])
def test_a_file_without_a_last_line_end_can_be_added_to(text: str) -> None:
    added = add_table(put(text, ("active_stack",), "b"), ("stacks", "b"), {"annotator": "y"})

    assert tomllib.loads(added)["stacks"] == {"b": {"annotator": "y"}}
    assert text.strip() in added
