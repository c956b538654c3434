"""labelloop.toml: where values come from, and what a typo says."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelloop.errors import ConfigError, NotFoundError
from labelloop.workspace.config import editing, load, rewrite, values
from labelloop.workspace.init import create
from labelloop.workspace.root import find_root

TOML = """\
# my loop
[dataset]
name = "pets"
labels = ["cat", "dog"]   # only two

[loop]
batch = 20
"""


def write(root: Path, text: str = TOML) -> Path:
    (root / "labelloop.toml").write_text(text)
    return root


def test_values_know_where_they_come_from(tmp_path: Path) -> None:
    workspace = load(write(tmp_path), environ={"LABELLOOP_LOOP_SEED": "7"}, flags={"holdout.size": "5"})

    found = {name: (value, origin) for name, value, origin in values(workspace)}

    assert found["loop.batch"] == (20, "file")
    assert found["loop.seed"] == (7, "environment")
    assert found["holdout.size"] == (5, "flag")
    assert found["loop.random_share"] == (0.1, "default")


def test_a_flag_beats_the_environment_and_the_environment_the_file(tmp_path: Path) -> None:
    root, environ = write(tmp_path), {"LABELLOOP_LOOP_BATCH": "30"}

    assert load(root, environ={}).config.loop.batch == 20
    assert load(root, environ=environ).config.loop.batch == 30
    assert load(root, environ=environ, flags={"loop.batch": "40"}).config.loop.batch == 40


def test_labels_from_the_environment_are_comma_separated(tmp_path: Path) -> None:
    workspace = load(write(tmp_path), environ={"LABELLOOP_DATASET_LABELS": "a, b,c"})

    assert workspace.config.dataset.labels == ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "says", "hints"),
    [
        ("[loop]\nbach = 3\n", "line 2, column 1: unknown option 'loop.bach'", "did you mean 'batch'?"),
        ("[loop]\nbatch = 0\n", "line 2, column 1: loop.batch = 0", "correct the value"),
        ('[loop]\n\n  batch = "many"\n', "line 3, column 3: loop.batch = 'many'", "correct the value"),
        ("[lop]\nbatch = 3\n", "unknown option 'lop'", "did you mean 'loop'?"),
        ('[dataset]\nlabels = "3, 5"\n', "line 2, column 1: dataset.labels = '3, 5' is not a list", '["3", "5"]'),
        ("[dataset]\nlabels = [3, 5]\n", "line 2, column 1: dataset.labels.0 = 3 is not a text", 'in quotes: "3"'),
        ("[dataset\n", "is not valid TOML", "correct the line"),
        ('[stacks.a]\nannotater = "x"\n', "unknown option 'stacks.a.annotater'", "did you mean 'annotator'?"),
        ('[dataset]\nmodality = "smell"\n', "dataset.modality = 'smell'", "correct the value"),
        ("[dataset\n", "at line 1, column 9", "correct the line"),
        ("[loop]\nseed = 1\nseed = 2\n", "at line 3, column 9", "correct the line"),
        ("[lop]\nbatch = 3\n", "line 1, column 1: unknown option 'lop'", "did you mean 'loop'?"),
        ("loop = {batch = 1, bach = 2}\n", "line 1, column 20: unknown option 'loop.bach'", "did you mean 'batch'?"),
        ('loop."bach" = 2\n', "line 1, column 1: unknown option 'loop.bach'", "did you mean 'batch'?"),
        ("# x\n[annotators.a]\nprot = 1\n", "line 2, column 1: annotators.a.flavor", "correct the value"),
        ("[annotators.a]\nflavor = 3\n", "line 2, column 1: annotators.a.flavor = 3 is not a text", "in quotes"),
        ('\n[stacks.a]\nannotator = "b"\n', "line 3, column 1: unknown annotator: 'b'", "known: default"),
        ('active_stack = "b"\n[stacks.a]\n', "line 1, column 1: unknown stack: 'b'", "known: a, default"),
        ("version = 2\nnew_thing = true\n", "is of version 2, this labelloop knows up to 1", "pip install --upgrade"),
    ],
)
def test_a_typo_names_its_place_and_the_known_options(tmp_path: Path, text: str, says: str, hints: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(write(tmp_path, text), environ={})

    assert says in refused.value.message
    assert hints in refused.value.hint


def test_a_typo_in_the_environment_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="LABELLOOP_LOOP_BACH") as refused:
        load(write(tmp_path), environ={"LABELLOOP_LOOP_BACH": "3"})

    assert "LABELLOOP_LOOP_BATCH" in refused.value.hint


def test_a_wrong_value_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="environment variable LABELLOOP_LOOP_BATCH"):
        load(write(tmp_path), environ={"LABELLOOP_LOOP_BATCH": "many"})


def test_editing_keeps_comments_and_order(tmp_path: Path) -> None:
    root = write(tmp_path)

    with editing(root) as document:
        document["loop"]["batch"] = 99

    assert (root / "labelloop.toml").read_text() == TOML.replace("20", "99")


def test_a_name_from_elsewhere_that_leads_nowhere_says_where_it_is_from(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="environment variable LABELLOOP_ACTIVE_STACK: unknown stack: 'x'"):
        load(write(tmp_path), environ={"LABELLOOP_ACTIVE_STACK": "x"})
    with pytest.raises(NotFoundError, match="flag --set active_stack: unknown stack: 'x'"):
        load(write(tmp_path), environ={}, flags={"active_stack": "x"})


@pytest.mark.parametrize("text", ["[loop\n", "[loop]\nbach = 1\n", "version = 9\n"])
def test_a_broken_file_is_not_edited(tmp_path: Path, text: str) -> None:
    root = write(tmp_path, text)

    with pytest.raises(ConfigError), editing(root) as document:
        document["active_stack"] = "default"
    with pytest.raises(ConfigError):
        rewrite(root, lambda old, _: old + "# more\n")

    assert (root / "labelloop.toml").read_text() == text


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "labelloop.toml").write_bytes(b"# \xff\n")

    with pytest.raises(ConfigError, match="is not UTF-8"):
        load(tmp_path, environ={})


def test_an_edit_keeps_a_link_and_the_permissions(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    real = write(tmp_path / "shared") / "labelloop.toml"
    real.chmod(0o640)
    (tmp_path / "labelloop.toml").symlink_to(real)

    rewrite(tmp_path, lambda old, _: old + "# more\n")

    assert (tmp_path / "labelloop.toml").is_symlink()
    assert real.read_text() == TOML + "# more\n"
    assert real.stat().st_mode & 0o777 == 0o640


def test_an_edit_that_would_break_the_file_is_refused_and_the_file_untouched(tmp_path: Path) -> None:
    root = write(tmp_path)

    with pytest.raises(ConfigError, match=r"unknown option 'loop\.bach'"), editing(root) as document:
        document["loop"]["bach"] = 1

    assert (root / "labelloop.toml").read_text() == TOML


def test_the_workspace_is_found_from_a_folder_below(tmp_path: Path) -> None:
    below = write(tmp_path) / "a" / "b"
    below.mkdir(parents=True)

    assert find_root(below) == tmp_path


def test_outside_a_workspace_the_hint_is_init(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no labelloop\.toml") as refused:
        find_root(tmp_path)

    assert refused.value.hint == "labelloop init"


def test_creating_a_workspace_twice_keeps_what_is_there(tmp_path: Path) -> None:
    first = create(tmp_path, {"labels": ["cat", "dog"], "name": "pets"})
    (tmp_path / "labelloop.toml").write_text((tmp_path / "labelloop.toml").read_text() + "# mine\n")
    again = create(tmp_path, {"name": "plants"})

    text = (tmp_path / "labelloop.toml").read_text()
    assert (first, again) == (True, False)
    assert 'name = "plants"' in text
    assert text.endswith("# mine\n")
    assert load(tmp_path, environ={}).config.dataset.labels == ("cat", "dog")
    assert (tmp_path / ".labelloop" / ".gitignore").read_text() == "*\n"


def test_the_default_stack_is_always_there(tmp_path: Path) -> None:
    config = load(write(tmp_path), environ={}).config

    assert config.stack_names() == ["default"]
    assert config.component("artifact-store", config.stack().artifact_store).flavor == "local"
    with pytest.raises(NotFoundError, match="unknown stack: 'staging'"):
        config.stack("staging")
    with pytest.raises(NotFoundError, match="unknown annotator: 'team'"):
        config.component("annotator", "team")
