"""Fifty hostile files and more for `stack import` and `add`: nothing runs, nothing of outside is read or asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from PIL import Image

from support.guest import Canary, canary

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SECRET = "CANARY-that-lies-outside"
TOML = """version = 1
[dataset]
name = "given"
modality = "{modality}"
labels = ["cat", "dog"]
"""
STACK = """version = 1
[stacks.team]
artifact_store = "{store}"
secrets_manager = "default"
annotator = "default"
orchestrator = "default"
"""
HONEST = STACK.format(store="default")


def _stack(flavor: str, options: str = "", kind: str = "artifact_store") -> str:
    named = HONEST.replace(f'{kind} = "default"', f'{kind} = "e"')
    return f'{named}[{kind}s.e]\nflavor = "{flavor}"\n{options}\n'


RUNS = "touch CANARIES/ran"
STACKS: Mapping[str, str] = {
    **{
        f"{flavor} as {kind}": _stack(flavor, f'command = "{RUNS}"', kind)
        for flavor in ("os:system", "evil:Thing", "builtins:exec")
        for kind in ("artifact_store", "secrets_manager", "annotator", "orchestrator")
    },
    "subprocess": _stack("subprocess:run", 'args = ["touch", "CANARIES/ran"]'),
    "a module of many dots": _stack("evil.inner:Thing.made"),
    "a flavor of spaces": _stack(" os:system", f'command = "{RUNS}"'),
    "a flavor in capitals": _stack("OS:SYSTEM", f'command = "{RUNS}"'),
    "a flavor with an escape": _stack("\\u006fs:system", f'command = "{RUNS}"'),
    "a flavor with a line break": _stack("local\\nos:system"),
    "a terminal": _stack("\\u001b]0;owned\\u0007local"),
    "a list for a flavor": HONEST + "[artifact_stores.e]\nflavor = ['os:system']\n",
    "a key file outside": _stack("local", 'key_file = "OUTSIDE/secret.txt"', "secrets_manager"),
    "a variable": _stack("local", 'path = "$LOOK_HERE/${LOOK_HERE}"'),
    "a template": _stack("local", 'path = "{{ LOOK_HERE }}{LOOK_HERE}%(LOOK_HERE)s"'),
    "a password in an address": _stack(
        "label_studio", 'url = "https://me:CANARY-of-mine@annotator.invalid"', "annotator"
    ),
    "a selector beside it": HONEST + '[loop]\nselector = "evil:choose"\n',
    "a learner beside it": HONEST + '[learner]\nflavor = "evil:Thing"\n',
    "a ledger beside it": HONEST + '[ledger]\nurl = "sqlite:////CANARIES/ran"\n',
    "a name that is a path": HONEST.replace("stacks.team", 'stacks."../../team"'),
    "a name that is an option": HONEST.replace("stacks.team", 'stacks."--trust"'),
    "a name of nothing": HONEST.replace("stacks.team", 'stacks.""'),
    "a table in a name": HONEST.replace("stacks.team", 'stacks."a]\\n[loop]\\nselector=\\"evil:choose\\"\\n[b"'),
    "no TOML": "[[[",
    "nested without end": "x = " + "[" * 5000,
    "an old version": HONEST.replace("version = 1", "version = -1"),
    "a version to come": HONEST.replace("version = 1", "version = 99999999999999999999"),
    "nothing": "",
    "a pickle": "cos\nsystem\n(S'touch CANARIES/ran'\ntR.",
    "YAML": "!!python/object/apply:os.system ['touch CANARIES/ran']",
}
ADDRESSES: Sequence[str] = (
    "file://OUTSIDE/secret.txt",
    "OUTSIDE/secret.txt",
    "../outside/secret.txt",
    "zip://secret.txt::OUTSIDE/secret.zip",
    "CALLED/a.png",
    "HTTP://127.0.0.1:PORT/a.png",
    "http://localhost:PORT/a.png",
    "http://169.254.169.254/latest/meta-data.png",
    "zip://a.png::CALLED/a.zip",
    "zip::CALLED/a.zip",
    "tar://a.png::CALLED/a.tar",
    "simplecache::CALLED/a.png",
    "filecache::CALLED/a.png",
    "blockcache::CALLED/a.png",
    "http::CALLED/a.png",
    "reference://a.png::CALLED/a.json",
    "reference://::file://OUTSIDE/secret.txt",
    "webhdfs://127.0.0.1:PORT/a.png",
    "ftp://127.0.0.1:PORT/a.png",
    "sftp://127.0.0.1:PORT/a.png",
    "smb://127.0.0.1:PORT/share/a.png",
    "jupyter://127.0.0.1:PORT/a.png",
    "github://org:repo@main/a.png",
    "git://OUTSIDE:a.png",
    "hf://datasets/attacker/data/a.png",
    "gdrive://a.png",
    "dbfs://attacker.invalid/a.png",
    "lakefs://attacker/main/a.png",
    "oci://attacker.invalid/a.png",
    "dask://127.0.0.1:PORT/a.png",
    "data:image/png;base64,AAAA",
    "memory://../a.png",
    "local://OUTSIDE/secret.txt",
    "dir://secret.txt::OUTSIDE",
    "libarchive://secret.txt::OUTSIDE/secret.zip",
    "generic://CALLED/a.png",
    "/proc/self/environ",
    "/dev/zero",
    "\x1b]0;owned\x07.png",
    "$(touch CANARIES/ran).png",
    "`touch CANARIES/ran`.png",
    "| touch CANARIES/ran",
)


def _texts(folder: Path, outside: Path) -> None:
    """Files of texts, one of each kind."""
    (folder / "linked").mkdir()
    (folder / "linked" / "a.txt").symlink_to(outside / "secret.txt")
    (folder / "linked" / "b.txt").symlink_to("/proc/self/environ")
    (folder / "formula.csv").write_text("text\n\"=cmd|' /C touch CANARIES/ran'!A0\"\n=1+1\n")
    (folder / "template.jsonl").write_text('{"text": "{{ cycler.__init__.__globals__ }}"}\n{"text": "${LOOK_HERE}"}\n')
    (folder / "nested.json").write_text('[{"text": ' + "[" * 50_000 + "]" * 50_000 + "}]")
    (folder / "pickled.jsonl").write_text('{"text": {"py/reduce": [{"py/type": "os.system"}, ["touch x"]]}}\n')
    (folder / "table.parquet").write_bytes(b"PAR1" + b"\xff" * 64 + b"PAR1")
    (folder / "many.csv").write_text("text" + ",x" * 100_000 + "\na\n")
    (folder / "entities.txt").write_text('<!DOCTYPE x [<!ENTITY e SYSTEM "file://OUTSIDE/secret.txt">]><x>&e;</x>')
    os.mkfifo(folder / "pipe.csv")


TEXTS = (
    "linked",
    "formula.csv",
    "template.jsonl",
    "nested.json",
    "pickled.jsonl",
    "table.parquet",
    "many.csv",
    "entities.txt",
    "pipe.csv",
)


@pytest.fixture
def inside() -> Iterator[Canary]:
    with canary() as one:
        yield one


@pytest.fixture
def place(tmp_path: Path, inside: Canary) -> Callable[[str], str]:
    """A folder, what lies outside of it, and the words of a file with their addresses filled in."""
    for name in ("folder", "outside", "canaries", "home"):
        (tmp_path / name).mkdir()
    outside = tmp_path / "outside"
    (outside / "secret.txt").write_text(SECRET)
    with zipfile.ZipFile(outside / "secret.zip", "w") as archive:
        archive.writestr("secret.txt", SECRET)
    (tmp_path / "folder" / "evil.py").write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'canaries' / 'ran')!r}).touch()\nclass Thing: pass\n"
    )

    def filled(words: str) -> str:
        words = words.replace("OUTSIDE", str(outside)).replace("CANARIES", str(tmp_path / "canaries"))
        return words.replace("CALLED", inside.url).replace("PORT", str(inside.port))

    return filled


def _visit(tmp_path: Path, modality: str, commands: Sequence[str]) -> str:
    """What the commands say, which must have run nothing, read nothing outside, and ended in words."""
    folder, into = tmp_path / "folder", tmp_path / "said.json"
    (folder / "labelloop.toml").write_text(TOML.format(modality=modality))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LABELLOOP", "XDG", "PYTHON"))}
    visitor = str(Path(__file__).with_name("visitor.py"))
    done = subprocess.run(
        [sys.executable, visitor, str(folder), str(into), str(tmp_path / "outside"), *commands],
        cwd=folder,
        env={**kept, "HOME": str(tmp_path / "home"), "LOOK_HERE": SECRET},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=250,
        check=False,
    )
    assert into.is_file(), done.stdout[-3000:] + done.stderr[-3000:]
    said = json.loads(into.read_text())
    output = done.stdout + done.stderr
    assert list((tmp_path / "canaries").iterdir()) == []
    assert [one for one in said["calls"] if not one.startswith("open")] == []
    assert SECRET not in output
    assert SECRET not in "".join(path.read_text("utf-8", "replace") for path in folder.glob("*.jsonl"))
    assert "Traceback" not in output
    assert set(said["codes"].values()) <= {0, 2, 3}, said["codes"]
    return output


def test_a_hostile_stack_runs_nothing_and_takes_nothing_with_it(
    tmp_path: Path, place: Callable[[str], str], inside: Canary
) -> None:
    assert len(STACKS) + len(ADDRESSES) + len(TEXTS) >= 50
    folder = tmp_path / "folder"
    for number, words in enumerate(STACKS.values()):
        (folder / f"{number}.team").write_text(place(words))
    (folder / "binary.team").write_bytes(b"\xff\xfe\x00")
    (folder / "secret.team").symlink_to(tmp_path / "outside" / "secret.txt")
    os.mkfifo(folder / "pipe.team")
    names = [*(f"{number}.team" for number in range(len(STACKS))), "binary.team", "secret.team", "pipe.team"]

    output = _visit(
        tmp_path, "text", [*(f"stack import {name}" for name in names), "config", "status", "stack list", "check"]
    )

    assert "CANARY-of-mine" not in output
    assert "\x1b]0;" not in output
    assert "evil" not in (folder / "labelloop.toml").read_text()
    assert inside.calls == []


def test_a_table_of_pictures_reads_and_asks_nothing_of_others(
    tmp_path: Path, place: Callable[[str], str], inside: Canary
) -> None:
    folder = tmp_path / "folder"
    Image.new("RGB", (8, 8), "red").save(folder / "own.png")
    rows = [{"image": place(one)} for one in ADDRESSES] + [{"image": "own.png"}]
    (folder / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    output = _visit(tmp_path, "image", ["add table.jsonl", "add table.jsonl", "status", "doctor"])

    assert "a table may not name" in output
    assert "\x1b]0;" not in output
    assert inside.calls == []


def test_texts_and_their_tables_read_nothing_of_outside(tmp_path: Path, place: Callable[[str], str]) -> None:
    folder = tmp_path / "folder"
    _texts(folder, tmp_path / "outside")

    output = _visit(
        tmp_path, "text", [*(f"add {name}" for name in TEXTS), "add .", "export -o out.jsonl", "status", "doctor"]
    )

    assert "outside of" in output
    assert "add that place itself" in output
