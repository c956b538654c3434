"""A hostile folder and a hostile configuration, fifty attempts each: nothing runs, shows or leaves.

The short form puts many attempts into one folder; `LABELLOOP_CHAOS=full pytest tests/hostile` gives each its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.chaos_form import FULL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600 if FULL else 300)]

SECRET = "CANARY-that-lies-outside"
TOML = """version = 1
[dataset]
name = "given"
modality = "text"
labels = ["cat", "dog"]
"""
RUNS = "import pathlib, os\npathlib.Path(os.environ['CANARIES'], {name!r}).touch()\n"
MODULES = [
    "brotli",
    "brotlicffi",
    "zstandard",
    "h2",
    "socks",
    "socksio",
    "IPython",
    "numexpr",
    "bottleneck",
    "pandas",
    "cupy",
    "dask",
    "ujson",
    "orjson",
    "simplejson",
    "lz4",
    "snappy",
    "isal",
    "fastparquet",
    "cloudpickle",
    "sitecustomize",
    "usercustomize",
    "conftest",
    "numpy",
    "click",
    "json",
    "sqlite3",
    "typing",
    "secrets",
    "matplotlib",
    "PIL",
    "setup",
    "__init__",
    "__main__",
    "httpx",
    "email_validator",
    "psycopg2",
    "greenlet",
    "tornado",
    "trio",
    "curio",
    "dotenv",
    "cffi",
    "pkg_resources",
    "_sqlite3",
    "mpl_toolkits",
    "backports",
]


@dataclass(frozen=True)
class Visited:
    """What a visit left."""

    ran: Sequence[str]
    output: str
    calls: Sequence[str]
    missing: Sequence[str]
    codes: Mapping[str, int]


def _plain(folder: Path) -> None:
    folder.mkdir()
    (folder / "labelloop.toml").write_text(TOML)
    (folder / "data.csv").write_text("text\nhello cat\ngood dog\n")


def _visit(folder: Path) -> Visited:
    around = folder.parent
    canaries, home, into = around / "canaries", around / "home", around / "said.json"
    for one in (canaries, home):
        one.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LABELLOOP", "XDG", "PYTHON"))}
    cache = {"XDG_CACHE_HOME": str(around / "cache")}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("visitor.py")), str(folder), str(into), str(around / "outside")],
        cwd=folder,
        env={**kept, **cache, "HOME": str(home), "CANARIES": str(canaries), "LOOK_HERE": SECRET},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=280,
        check=False,
    )
    assert into.is_file(), done.stderr[-3000:]
    said = json.loads(into.read_text())
    written = [
        path.read_text("utf-8", "replace")
        for path in (folder / "out.jsonl", folder / "guesses.jsonl", folder / "out.html")
        if path.is_file() and not path.is_symlink()
    ]
    output = done.stdout + done.stderr + "".join(written)
    return Visited(
        sorted(path.name for path in canaries.iterdir()), output, said["calls"], said["missing"], said["codes"]
    )


def _nothing_happened(visited: Visited) -> None:
    assert visited.ran == []
    assert visited.calls == []
    assert SECRET not in visited.output
    assert "Traceback" not in visited.output


def _file(name: str, body: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)

    return write


def _module(name: str) -> Callable[[Path], None]:
    return _file(f"{name}.py", RUNS.format(name=name))


def _package(name: str) -> Callable[[Path], None]:
    return _file(f"{name}/__init__.py", RUNS.format(name=name))


def _shell(name: str) -> str:
    return f'#!/bin/sh\ntouch "$CANARIES/{name}"\n'


OTHERS: Mapping[str, Callable[[Path], None]] = {
    "pth": _file("evil.pth", "import os, pathlib; pathlib.Path(os.environ['CANARIES'], 'pth').touch()\n"),
    "entry points": _file("evil-1.dist-info/entry_points.txt", "[labelloop.learner]\nfrozen = evil:Thing\n"),
    "egg": _file("evil.egg-info/entry_points.txt", "[labelloop.selector]\nauto = evil:Thing\n"),
    "pyproject": _file("pyproject.toml", "[project.entry-points.'labelloop.selector']\nauto = 'evil:Thing'\n"),
    "labelloop package": _package("labelloop"),
    "onnxruntime package": _package("onnxruntime"),
    "dotenv": _file(".env", "LABELLOOP_TRUST=/\nLABELLOOP_LOOP_SELECTOR=evil:choose\n"),
    "git config": _file(
        ".git/config", '[core]\nfsmonitor = "touch $CANARIES/git"\nsshCommand = "touch $CANARIES/git"\n'
    ),
    "git hook": _file(".git/hooks/post-checkout", _shell("hook")),
    "netrc": _file(".netrc", f"default login a password {SECRET}\n"),
    "aws": _file(".aws/config", "[default]\ncredential_process = touch canaries/aws\n"),
    "matplotlibrc": _file("matplotlibrc", "backend: module://evil\ntext.usetex: True\nfont.family: Nothing\n"),
    "latex": _file("latex", _shell("latex")),
    "pip": _file("pip.conf", "[global]\nindex-url = http://attacker.invalid/\n"),
    "uv": _file("uv.toml", "index-url = 'http://attacker.invalid/'\n"),
    "sqlite": _file(".sqliterc", ".shell touch $CANARIES/sqlite\n"),
    "mark": _file(".labelloop/trusted", "0" * 32),
    "server": _file(
        ".labelloop/label-studio/server.json",
        '{"url": "http://attacker.invalid:1/", "pid": 1, "port": 1, "token": "x"}',
    ),
    "pickle": _file(".labelloop/artifacts/json/00/00", "cos\nsystem\n(S'touch $CANARIES/pickle'\ntR."),
    "namespace": _file("brotli/thing.py", RUNS.format(name="namespace")),
    "jinja": _file("data.json", '{"version": 1, "templates": {"u": "{{ cycler.__init__ }}"}, "refs": {}}'),
    "cert": _file("cacert.pem", "not a certificate"),
    "env folder": _file("env/bin/python", _shell("python")),
    "label-studio": _file("label-studio-data/mydata/x", "x"),
}


def test_the_optional_imports_of_our_libraries_find_nothing_among_the_data(tmp_path: Path) -> None:
    _plain(tmp_path / "first")
    first = _visit(tmp_path / "first")
    asked = [name for name in first.missing if name.isidentifier()]
    assert {"brotli", "brotlicffi"} & set(asked), "the trace found none of those that are known"
    folder = tmp_path / "second"
    _plain(folder)
    for name in asked:
        _module(name)(folder)

    visited = _visit(folder)

    _nothing_happened(visited)
    assert visited.codes == first.codes


def _attempts() -> Sequence[tuple[str, Sequence[Callable[[Path], None]]]]:
    each = [(name, [_module(name)]) for name in MODULES] + [(name, [write]) for name, write in OTHERS.items()]
    assert len(each) >= 50
    together: list[Callable[[Path], None]] = [write for _, writes in each for write in writes]
    return each if FULL else [("all in one folder", together)]


@pytest.mark.parametrize(("name", "writes"), _attempts(), ids=[name for name, _ in _attempts()])
def test_a_hostile_folder_runs_nothing(tmp_path: Path, name: str, writes: Sequence[Callable[[Path], None]]) -> None:
    folder = tmp_path / "folder"
    _plain(folder)
    for write in writes:
        try:
            write(folder)
        except (FileExistsError, NotADirectoryError):
            continue  # a file and a folder of one name: each has its turn in the whole form

    _nothing_happened(_visit(folder))


CODE = ("evil:Thing", "evil.inner:Thing", "os:system", "builtins:exec", "subprocess:run")
TARGETS: Sequence[tuple[str, str]] = [
    *((f"selector {code}", f'[loop]\nselector = "{code}"') for code in CODE),
    *((f"cold start {code}", f'[loop]\ncold_start = "{code}"') for code in CODE),
    *((f"mixed {code}", f'[loop]\nselector = "mix({code}, random, 0.5)"') for code in CODE),
    *((f"learner {code}", f'[learner]\nflavor = "{code}"') for code in CODE),
    *((f"backbone {code}", f'[learner]\nbackbone = "{code}"') for code in CODE),
    *(
        (f"{kind} {code}", f'[stacks.default]\n{kind} = "x"\n[{kind}s.x]\nflavor = "{code}"')
        for kind in ("artifact_store", "secrets_manager", "annotator", "orchestrator")
        for code in CODE[:4]
    ),
    ("onnx outside", '[learner]\nbackbone = "OUTSIDE/model.onnx"'),
    (
        "store outside",
        '[stacks.default]\nartifact_store = "x"\n[artifact_stores.x]\nflavor = "local"\npath = "$LOOK_HERE"',
    ),
    ("key outside", '[secrets_managers.default]\nflavor = "local"\nkey_file = "OUTSIDE/secret.txt"'),
    ("template in a name", '[loop]\nselector = "{LOOK_HERE}"'),
    ("environment in a name", '[loop]\nselector = "${LOOK_HERE}"'),
    ("no TOML", "[[["),
    ("nested", "x = " + "[" * 3000),
    ("a table for a text", "[loop.selector]\na = 1"),
    ("control characters", '[loop]\nselector = "\\u001b]0;evil\\u0007"'),
    ("a newline", '[loop]\nselector = "auto\\n$(touch x)"'),
    ("shell", '[loop]\nselector = "$(touch x)"'),
    ("a surrogate", '[loop]\nselector = "\\ud800"'),
    ("number for text", "[loop]\nselector = 3"),
    ("version", "[dataset.labels]\nx = 1"),
]


def _hostile_toml(folder: Path, body: str) -> None:
    _plain(folder)
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text(SECRET)
    (outside / "model.onnx").write_text(SECRET)
    (folder / "labelloop.toml").write_text(TOML + body.replace("OUTSIDE", str(outside)))
    (folder / "team.toml").write_text(
        'version = 1\n[stacks.t]\nartifact_store = "e"\nsecrets_manager = "default"\nannotator = "default"\n'
        'orchestrator = "default"\n[artifact_stores.e]\nflavor = "evil:Thing"\n'
    )
    (folder / "evil").mkdir()
    (folder / "evil" / "__init__.py").write_text(RUNS.format(name="evil") + "class Thing: pass\n")
    (folder / "evil" / "inner.py").write_text(RUNS.format(name="inner") + "class Thing: pass\n")


SHORT = ("mixed evil:Thing", "learner evil:Thing", "annotator os:system", "nested", "key outside")


def _tomls() -> Sequence[tuple[str, str]]:
    assert len(TARGETS) >= 50
    return TARGETS if FULL else [one for one in TARGETS if one[0] in SHORT]


@pytest.mark.parametrize(("name", "body"), _tomls(), ids=[name for name, _ in _tomls()])
def test_a_hostile_configuration_runs_nothing(tmp_path: Path, name: str, body: str) -> None:
    folder = tmp_path / "folder"
    _hostile_toml(folder, body)

    visited = _visit(folder)

    assert visited.ran == []
    assert SECRET not in visited.output
    assert "Traceback" not in visited.output
    assert not [one for one in visited.calls if not one.startswith("open")]
