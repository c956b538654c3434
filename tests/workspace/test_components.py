"""Components and stacks are edited by verbs: what each does to the file, and what it refuses."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labelloop.errors import ConfigError, NotFoundError
from labelloop.machine.registry import Option
from labelloop.workspace import components, stacks
from labelloop.workspace.config import Workspace, load
from labelloop.workspace.stack import Stack

TEXT = """\
# ours
version = 1
active_stack = "team"   # everybody's

[stacks.team]
artifact_store = "shelf"
annotator = "people"

# bytes
[artifact_stores.shelf]
flavor = "local"
path = "there"          # the big disk

# people
[annotators.people]
flavor = "label_studio"
port = 8500
"""


class Strict:
    """A store that refuses what its path does not fit, and may ask for its secret only when it is used.

    Args:
        path: Where.
        secrets: From the stack.
        sizes: How large.
        fast: Whether it hurries.
        eager: Whether it asks too early.
    """

    def __init__(
        self, *, path: str, secrets: Any, sizes: tuple[int, ...] = (1,), fast: bool = False, eager: bool = False
    ) -> None:
        if not path.startswith("strict://"):
            raise ConfigError(f"path {path!r} does not begin with strict://", "--path=strict://PLACE")
        if eager:
            secrets.get("mine")


STRICT = f"{__name__}:Strict"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "labelloop.toml").write_text(TEXT)
    return tmp_path


def read(root: Path) -> str:
    return (root / "labelloop.toml").read_text()


def opened(root: Path) -> Workspace:
    return load(root, environ={})


def test_a_component_is_added_below_everything_with_values_of_the_right_type(root: Path) -> None:
    components.register(
        root, "artifact-store", "odd", STRICT, {"path": "strict://here", "sizes": "1, 2", "fast": "yes"}
    )

    added = f'\n[artifact_stores.odd]\nflavor = "{STRICT}"\npath = "strict://here"\nsizes = [1, 2]\nfast = true\n'
    assert read(root) == TEXT + added


@pytest.mark.parametrize(
    ("name", "flavor", "options", "says", "hints"),
    [
        ("shelf", "local", {}, "the artifact-store 'shelf' exists already", "update shelf"),
        ("default", "local", {}, "is there from the beginning", "update default"),
        ("my store", "local", {}, "'my store' is not a name", "letters"),
        ("", "local", {}, "'' is not a name", "letters"),
        ("-a", "local", {}, "'-a' is not a name", "letters"),
        ("x" * 64, "local", {}, "is not a name", "at most 63"),
        ("a", "locl", {}, "unknown artifact-store flavor: 'locl'", "did you mean 'local'?"),
        ("a", "local", {"pth": "x"}, "unknown option of artifact-store flavor 'local': 'pth'", "did you mean 'path'?"),
        ("a", STRICT, {}, "needs the option 'path'", "set path"),
        ("a", STRICT, {"path": "s3://x"}, "path 's3://x' does not begin with strict://", "--path=strict://"),
        ("a", STRICT, {"path": "strict://x", "sizes": "1,two"}, "option 'sizes'", "correct sizes"),
        ("a", STRICT, {"path": "strict://x", "secrets": "y"}, "unknown option", "known: path, sizes, fast, eager"),
        ("a", STRICT, {"path": "strict://x", "eager": "1"}, "asks for 'get' of another component", "when it is used"),
        ("a", "local", {"path": "http://ann:canary@x"}, "carries a password", "labelloop secret register"),
    ],
)
def test_a_component_that_cannot_be_is_refused_and_the_file_untouched(
    root: Path, name: str, flavor: str, options: dict[str, str], says: str, hints: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        components.register(root, "artifact-store", name, flavor, options)

    assert says in refused.value.message
    assert hints in refused.value.hint
    assert "canary" not in refused.value.message + refused.value.hint
    assert read(root) == TEXT


def test_options_are_set_in_place_and_unset(root: Path) -> None:
    components.update(root, "artifact-store", "shelf", {"path": "elsewhere"}, [])
    components.update(root, "annotator", "people", {"media_root": "/pictures"}, ["port"])

    assert read(root) == TEXT.replace('"there" ', '"elsewhere" ').replace("port = 8500", 'media_root = "/pictures"')


@pytest.mark.parametrize(
    ("name", "chosen", "unset", "says"),
    [
        ("shelff", {"path": "x"}, [], "unknown artifact-store: 'shelff'"),
        ("shelf", {"pth": "x"}, [], "unknown option"),
        ("shelf", {}, ["pth"], "unknown option"),
    ],
)
def test_an_update_that_cannot_be_is_refused(
    root: Path, name: str, chosen: dict[str, str], unset: list[str], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        components.update(root, "artifact-store", name, chosen, unset)

    assert read(root) == TEXT


def test_the_built_in_component_can_be_given_options_and_lose_them(root: Path) -> None:
    components.update(root, "orchestrator", "default", {"workers": "4"}, [])
    assert opened(root).config.component("orchestrator", "default").options == {"workers": 4}

    components.update(root, "orchestrator", "default", {}, ["workers"])
    assert opened(root).config.component("orchestrator", "default").options == {}


def test_renaming_a_component_renames_it_in_the_stacks(root: Path) -> None:
    changed = components.rename(root, "artifact-store", "shelf", "rack")

    assert changed == ["team"]
    assert read(root) == TEXT.replace("stores.shelf", "stores.rack").replace('"shelf"', '"rack"')


def test_what_a_stack_uses_is_not_deleted(root: Path) -> None:
    with pytest.raises(ConfigError, match="'shelf' is used by: team") as refused:
        components.delete(root, "artifact-store", "shelf")

    assert "labelloop stack update team -a ANOTHER" in refused.value.hint
    assert read(root) == TEXT


def test_deleting_keeps_the_comments_of_others(root: Path) -> None:
    stacks.update(root, "team", {"artifact-store": "default"})
    components.delete(root, "artifact-store", "shelf")

    assert read(root) == TEXT.replace('"shelf"', '"default"').replace(
        '[artifact_stores.shelf]\nflavor = "local"\npath = "there"          # the big disk\n', ""
    )


@pytest.mark.parametrize(
    "verb",
    [
        lambda root: components.delete(root, "annotator", "default"),
        lambda root: components.rename(root, "annotator", "default", "x"),
        lambda root: stacks.delete(root, "default"),
        lambda root: stacks.rename(root, "default", "x"),
    ],
)
def test_what_is_built_in_stays_and_the_error_says_why(root: Path, verb: Callable[[Path], None]) -> None:
    with pytest.raises(ConfigError, match=r"'default' (is built in|cannot be)") as refused:
        verb(root)

    assert "labelloop" in refused.value.hint
    assert read(root) == TEXT


@pytest.mark.parametrize(
    ("verb", "says"),
    [
        (
            lambda root: components.rename(root, "artifact-store", "shelf", "default"),
            "the artifact-store 'default' exists",
        ),
        (lambda root: components.rename(root, "artifact-store", "none", "x"), "unknown artifact-store: 'none'"),
        (lambda root: components.delete(root, "artifact-store", "none"), "unknown artifact-store: 'none'"),
        (lambda root: stacks.activate(root, "tem"), "unknown stack: 'tem'"),
        (lambda root: stacks.copy(root, "tem", "x"), "unknown stack: 'tem'"),
        (lambda root: stacks.copy(root, "team", "default"), "the stack 'default' exists already"),
        (lambda root: stacks.register(root, "team", {}), "the stack 'team' exists already"),
        (lambda root: stacks.register(root, "a b", {}), "'a b' is not a name"),
        (lambda root: stacks.register(root, "x", {"annotator": "peeple"}), "unknown annotator: 'peeple'"),
        (lambda root: stacks.update(root, "", {"orchestrator": "ray"}), "unknown orchestrator: 'ray'"),
        (lambda root: stacks.update(root, "", {}), "no component to replace was given"),
        (lambda root: stacks.rename(root, "team", "default"), "the stack 'default' exists already"),
        (lambda root: stacks.delete(root, "team"), "'team' is the active one"),
    ],
)
def test_a_verb_that_cannot_be_is_refused(root: Path, verb: Callable[[Path], object], says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        verb(root)

    assert says in refused.value.message
    assert refused.value.hint
    assert read(root) == TEXT


def test_the_life_of_a_stack(root: Path) -> None:
    stacks.copy(root, "team", "mine")
    stacks.activate(root, "mine")
    stacks.update(root, "", {"artifact-store": "default", "orchestrator": "default"})
    stacks.rename(root, "mine", "yours")
    stacks.activate(root, "team")
    stacks.delete(root, "yours")

    assert read(root) == TEXT


def test_what_a_component_is_can_be_read(root: Path) -> None:
    one = components.describe(opened(root).config, "artifact-store", "shelf")

    assert one.stacks == ["team"]
    assert one.flavor == "local"
    ((option, value, is_set),) = one.options
    assert (option.name, value, is_set) == ("path", "there", True)
    assert isinstance(option, Option)
    assert option.meaning.startswith("The folder;")


def test_an_exported_stack_comes_back_in_another_workspace(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "labelloop.toml").write_text("version = 1\n")
    (other / "team.toml").write_text(stacks.exported(opened(root).config, "team"))

    brought = stacks.import_file(other, other / "team.toml", "staging")
    again = stacks.import_file(other, other / "team.toml", "staging")

    assert brought.components == {"artifact-store shelf": "shelf", "annotator people": "people"}
    assert again.components == {}
    there = opened(other).config
    assert there.stack("staging") == opened(root).config.stack("team")
    assert there.component("annotator", "people") == opened(root).config.component("annotator", "people")


def test_an_import_that_clashes_asks_which_way(root: Path) -> None:
    file = root / "team.toml"
    file.write_text(stacks.exported(opened(root).config, "team").replace('"there"', '"another"'))

    with pytest.raises(ConfigError, match="the artifact-store 'shelf' here is not the one in") as refused:
        stacks.import_file(root, file)
    assert "--rename" in refused.value.hint
    assert read(root) == TEXT

    stacks.import_file(root, file, "copy", beside=True)
    assert opened(root).config.component("artifact-store", "copy-shelf").options == {"path": "another"}
    assert opened(root).config.component("artifact-store", "shelf").options == {"path": "there"}

    stacks.import_file(root, file, force=True)
    assert opened(root).config.component("artifact-store", "shelf").options == {"path": "another"}


def test_another_stack_of_the_same_name_is_not_replaced_unasked(root: Path) -> None:
    file = root / "team.toml"
    file.write_text(stacks.exported(opened(root).config, "team"))
    stacks.update(root, "team", {"annotator": "default"})

    with pytest.raises(ConfigError, match="the stack 'team' here is not the one") as refused:
        stacks.import_file(root, file)

    assert "--name OTHER" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("version = 99\nnew = 3\n", "is of version 99"),
        ("", "holds 0 stacks"),
        ('[stacks.a]\nannotator = "who"\n', "line 2, column 1: unknown annotator: 'who'"),
        (
            '[stacks.a]\nartifact_store = "s"\n[artifact_stores.s]\nflavor = "tape"\n',
            "unknown artifact-store flavor: 'tape'",
        ),
        ("[stacks", "is not valid TOML"),
    ],
)
def test_a_file_that_is_no_stack_is_refused(root: Path, text: str, says: str) -> None:
    (root / "given.toml").write_text(text)

    with pytest.raises(ConfigError) as refused:
        stacks.import_file(root, root / "given.toml")

    assert says in refused.value.message
    assert read(root) == TEXT


def test_a_file_that_is_not_there_is_told(root: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        stacks.import_file(root, root / "nothing.toml")


def test_an_export_does_not_overwrite_a_workspace(root: Path) -> None:
    with pytest.raises(ConfigError, match="a workspace's own file"):
        stacks.write_file("", root / "labelloop.toml")


def test_an_exported_stack_is_a_configuration_by_itself(root: Path) -> None:
    assert set(tomllib.loads(stacks.exported(opened(root).config))) == {
        "version",
        "stacks",
        "artifact_stores",
        "secrets_managers",
        "annotators",
        "orchestrators",
    }


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ('port = "many"', "line 17, column 1: option 'port' of annotator flavor 'label_studio' is 'many'"),
        ("prot = 1", "line 17, column 1: unknown option of annotator flavor 'label_studio': 'prot'"),
        ("port = 0", "line 15, column 1: port is 0"),
    ],
)
def test_a_typo_in_an_option_names_its_place_when_the_component_is_built(root: Path, written: str, says: str) -> None:
    (root / "labelloop.toml").write_text(TEXT.replace("port = 8500", written))

    with pytest.raises(ConfigError) as refused:
        _ = Stack(opened(root)).annotator

    assert says in refused.value.message


def test_a_stack_can_be_repaired_by_the_verbs(root: Path) -> None:
    (root / "labelloop.toml").write_text(TEXT.replace('"team"   #', '"gone"   #'))
    with pytest.raises(ConfigError, match="line 3, column 1: unknown stack: 'gone'"):
        opened(root)

    stacks.activate(root, "team")

    assert read(root) == TEXT
