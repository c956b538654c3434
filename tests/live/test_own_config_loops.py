"""A whole loop around a label config that people brought, on a real Label Studio, by the commands that people type."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.desk import Desk
from support.live_world import STACK

pytestmark = [pytest.mark.live, pytest.mark.slow]

CONFIG = """<View>
  <!-- two answers side by side; a grade, a preference and a reason -->
  <Header value="What do you think of $model?"/>
  <Text name="asked" value="$question"/>
  <View style="display: flex"><Text name="one" value="$first"/><Text name="two" value="$second"/></View>
  <Rating name="grade" toName="one" maxRating="5" required="true"/>
  <Pairwise name="better" toName="one,two"/>
  <TextArea name="why" toName="one" rows="2"/>
  <Unheard name="of" toName="one"/>
</View>"""
GOOD = ("A clear and complete answer", "Very helpful, with an example", "Correct, and easy to follow")
BAD = ("I do not know", "Wrong, and rude", "No answer at all")


def begin(desk: Desk, config: str = CONFIG, *arguments: str) -> None:
    """A workspace at the server of the session whose config is brought by `init`."""
    desk.root.mkdir(exist_ok=True)
    (desk.root / "mine.xml").write_text(config)
    url = desk.annotator.client().url
    toml = f"[loop]\nbatch = 20\n[holdout]\nper_round = 10\n{STACK.format(url=url)}"
    (desk.root / "labelloop.toml").write_text(toml)
    desk.says("init", "--name", desk.name, "--config", str(desk.root / "mine.xml"), *arguments)


def pool(desk: Desk, count: int) -> None:
    rows = [
        {
            "question": f"How does it work, number {number}?",
            "first": f"{(GOOD + BAD)[number % 6]}, says reply {number} {'abcdefgh'[number % 8] * 3}.",
            "second": f"Another reply, number {number}.",
            "model": "m1",
        }
        for number in range(count)
    ]
    (desk.root / "pool.jsonl").write_text("\n".join(map(json.dumps, rows)))
    desk.says("add", str(desk.root / "pool.jsonl"))


def is_good(task: Mapping[str, Any]) -> bool:
    return any(task["data"]["first"].startswith(one) for one in GOOD)


def said_of(task: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """What somebody says who answers two of three controls."""
    place = {"to_name": "one"}
    return [
        {"from_name": "grade", **place, "type": "rating", "value": {"rating": 5 if is_good(task) else 1}},
        {
            "from_name": "better",
            **place,
            "type": "pairwise",
            "value": {"selected": "left" if is_good(task) else "right"},
        },
    ]


def answer(desk: Desk) -> int:
    waiting = [task for task in desk.tasks() if not task["total_annotations"]]
    for task in waiting:
        body = {"lead_time": 1.0, "result": said_of(task)}
        desk.annotator.client().call("POST", f"/api/tasks/{task['id']}/annotations/", body=body)
    return len(waiting)


def test_three_rounds_of_a_config_with_three_controls(desk: Desk) -> None:
    begin(desk)
    pool(desk, 90)

    for _ in range(3):
        desk.says("tick")
        assert answer(desk)
    desk.says("tick")

    project = desk.annotator.client().call("GET", f"/api/projects/{desk.project}")
    assert project["label_config"] == CONFIG, "people see something else than they wrote"
    score = json.loads(desk.says("--json", "score"))
    assert score["metrics"]["score"] > 0.8
    status = json.loads(desk.says("--json", "status"))
    assert status["controls"]["better"]["answered"] >= 60
    assert status["controls"]["why"]["answered"] == 0
    shown = [task for task in desk.tasks() if task["predictions"] and not task["total_annotations"]]
    guessed = {is_good(task): one["result"][0] for task in shown for one in task["predictions"] if one["result"]}
    assert guessed[True]["value"]["rating"] > guessed[False]["value"]["rating"]
    assert guessed[True]["to_name"] == "one"


def test_what_is_exported_is_taken_in_again(desk: Desk) -> None:
    begin(desk)
    pool(desk, 30)
    desk.says("tick")
    answer(desk)
    desk.says("tick")
    desk.says("export", "-o", str(desk.root / "out.json"))
    desk.says("export", "-o", str(desk.root / "out.csv"))
    desk.says("report", "-o", str(desk.root / "out.html"))

    tasks = json.loads((desk.root / "out.json").read_text())
    assert all({"question", "first", "second", "model"} <= task["data"].keys() for task in tasks)
    assert tasks[0]["annotations"][0]["result"] == list(said_of(tasks[0]))
    assert "answers.better" in (desk.root / "out.csv").read_text().partition("\n")[0]
    again = desk.says("add", str(desk.root / "out.json"), "--dry-run")
    assert f"0 new item(s) would be added, {len(tasks)} known already" in again


def test_a_changed_config_is_said_and_brought_to_the_project(desk: Desk) -> None:
    begin(desk)
    pool(desk, 20)
    desk.says("tick")
    (desk.root / "mine.xml").write_text(CONFIG.replace('maxRating="5"', 'maxRating="7"'))

    refused = desk.says("tick", code=2)
    desk.says("doctor", "--repair", "--yes")
    desk.says("tick")

    assert "Rating 'grade' is otherwise than in the label config" in refused
    project = desk.annotator.client().call("GET", f"/api/projects/{desk.project}")
    assert 'maxRating="7"' in project["label_config"]
    assert "asks for a Rating, which has no labels" in desk.says("labels", "add", "new", code=2)


def test_labels_of_a_config_are_changed_in_it_alone(desk: Desk) -> None:
    begin(
        desk,
        '<View><Choices name="tone" toName="t"><Choice value="a"/><Choice value="b"/></Choices>'
        '<Text name="t" value="$text"/></View>',
    )

    assert "the labels come from mine.xml" in desk.says("labels", "rename", "a", "c", "--yes", code=2)


SOUND = '<View><Audio name="sound" value="$audio"/><TextArea name="words" toName="sound"/></View>'


def test_what_nobody_can_learn_from_is_asked_heard_and_exported(desk: Desk) -> None:
    begin(desk, SOUND)
    rows = [{"audio": f"https://example.com/{number}.wav"} for number in range(12)]
    (desk.root / "sounds.jsonl").write_text("\n".join(map(json.dumps, rows)))
    desk.says("add", str(desk.root / "sounds.jsonl"))

    desk.says("tick")
    value = {"from_name": "words", "to_name": "sound", "type": "textarea", "value": {"text": ["hello"]}}
    for task in desk.tasks():
        desk.annotator.client().call("POST", f"/api/tasks/{task['id']}/annotations/", body={"result": [value]})
    said = desk.says("tick")
    desk.says("export", "-o", str(desk.root / "out.json"))

    assert (
        "nothing is learned: there is no learner" in json.loads(desk.says("--json", "status"))["round"]["gate"] + said
    )
    (one, *_) = json.loads((desk.root / "out.json").read_text())
    assert one["annotations"][0]["result"] == [value]
    assert one["data"]["audio"].startswith("https://example.com/")


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (
            {"question": "q", "first": "a", "second": "b"},
            "has no column 'model', which the label config shows as $model",
        ),
        ({"question": "q", "first": "", "second": "b", "model": "m"}, "the text is empty"),
        ({"question": None, "first": "a", "second": "b", "model": "m"}, "has no 'question', which people are shown"),
    ],
)
def test_a_table_without_what_is_shown_is_refused_by_name(desk: Desk, table: Mapping[str, Any], why: str) -> None:
    begin(desk)
    (desk.root / "pool.jsonl").write_text(json.dumps(table))

    assert why in desk.says("add", str(desk.root / "pool.jsonl"), code=2)


def test_a_folder_of_files_is_too_little_for_a_config_that_shows_more(desk: Desk, tmp_path: Path) -> None:
    begin(desk)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one.txt").write_text("one")

    assert "shows $model, $question, $first, $second" in desk.says("add", str(tmp_path / "texts"), code=2)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--main", "best"), "has no control 'best'"),
        (("--template", "response-grading"), "give one of them"),
        (("--labels", "a,b"), "leave out --modality, --task and --labels"),
    ],
)
def test_what_cannot_be_brought_is_said(desk: Desk, arguments: Sequence[str], why: str) -> None:
    desk.root.mkdir()
    (desk.root / "mine.xml").write_text(CONFIG)

    assert why in desk.says("init", "--config", str(desk.root / "mine.xml"), *arguments, code=2)


def test_settings_that_say_what_is_asked_cannot_stand_beside_a_config(desk: Desk) -> None:
    begin(desk)
    toml = desk.root / "labelloop.toml"
    toml.write_text(toml.read_text().replace("[dataset]\n", '[dataset]\nmodality = "text"\n'))

    assert "dataset.modality is set, and dataset.config = 'mine.xml' says what is asked" in desk.says("check", code=2)
    toml.write_text(toml.read_text().replace('modality = "text"\n', "").replace("mine.xml", "gone.xml"))
    assert "no label config in" in desk.says("check", code=2)


def test_a_template_is_brought_by_its_name(desk: Desk) -> None:
    desk.root.mkdir()

    brought = json.loads(desk.says("--json", "init", "--template", "response-grading"))
    listed = json.loads(desk.says("--json", "template", "list"))
    written = (desk.root / "label_config.xml").read_text()

    assert [one["becomes"] for one in brought["controls"]] == ["learned from by 'rating'"]
    assert brought["columns"] == ["document", "summary"]
    assert len(listed) == 69
    assert "not_on_the_page" in brought
    assert desk.says("template", "show", "response-grading").strip() == written.strip()
    assert "unknown template: 'response-gradin'" in desk.says("template", "show", "response-gradin", code=2)
    assert "another label config" in desk.says("init", "--template", "llm-ranker", code=2)


def test_what_the_page_does_not_know_is_said(desk: Desk) -> None:
    desk.root.mkdir()

    said = desk.says("init", "--template", "chat_rlhf")

    assert "the page of Label Studio's open edition does not know Chat: people see an error there" in said


def test_a_config_outside_of_the_workspace_is_never_sent_anywhere(desk: Desk, tmp_path: Path) -> None:
    begin(desk)
    (tmp_path / "secret.xml").write_text(CONFIG)
    (desk.root / "link.xml").symlink_to(tmp_path / "secret.xml")
    toml = desk.root / "labelloop.toml"
    written = toml.read_text()

    for name in (str(tmp_path / "secret.xml"), "../secret.xml", "link.xml"):
        toml.write_text(written.replace('"mine.xml"', json.dumps(name)))
        assert "leads out of the workspace" in desk.says("check", code=2)
    (desk.root / "large.xml").write_text("<View>" + " " * 5_000_000 + "</View>")
    toml.write_text(written.replace('"mine.xml"', '"large.xml"'))
    assert "large.xml has 5,000,013 bytes" in desk.says("check", code=2)


def test_what_a_workspace_asks_already_is_not_thrown_away(desk: Desk) -> None:
    desk.root.mkdir()
    (desk.root / "mine.xml").write_text(CONFIG)
    desk.says("init", "--labels", "cat,dog", "--modality", "text")
    before = (desk.root / "labelloop.toml").read_text()

    said = desk.says("init", "--config", str(desk.root / "mine.xml"), code=2)

    assert "has dataset.labels already, and a label config says what is asked" in said
    assert (desk.root / "labelloop.toml").read_text() == before


def test_a_config_that_was_brought_may_be_brought_again(desk: Desk) -> None:
    begin(desk)

    desk.says("init", "--config", str(desk.root / "mine.xml"), "--main", "better")

    assert json.loads(desk.says("--json", "config"))["dataset.main"]["value"] == "better"
