"""What people who do this job have reported of other tools, tried on a real Label Studio by the commands they type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelloop.data import decoding

from support.company import Gate, reverse
from support.desk import Desk

pytestmark = [pytest.mark.live, pytest.mark.slow]

TEXTS = ("the cat slept", "rent is due", "a dog barked", "the bank closed", "kittens play", "taxes rise")


CASES: Mapping[str, bytes] = {
    "cp1252.csv": "text,label\nthe cat slept,animals\nGeld für die Bank,money\nle chien à minuit,animals\n".encode(
        "cp1252"
    ),
    "sep.csv": b"sep=;\r\ntext;label\r\nthe cat, it slept;animals\r\nrent is due;money\r\n",
    "utf16.csv": "text\tlabel\nthe cat slept\tanimals\n".encode("utf-16"),
    "nested.jsonl": b'{"data": {"text": "the cat sat"}}\n{"data": {"text": "the bank failed"}}\n',
    "export.json": json.dumps([{"id": 1, "data": {"text": "kittens slept"}, "annotations": []}]).encode(),
}


def test_case_17_what_spreadsheets_and_tools_write_is_asked_about_with_every_row(desk: Desk, tmp_path: Path) -> None:
    desk.begin()
    desk.says("config")
    said = {}
    for name, body in CASES.items():
        (tmp_path / name).write_bytes(body)
        said[name] = desk.says("add", str(tmp_path / name))
    (tmp_path / "noheader.csv").write_text("the cat slept,animals\nrent is due,money\n")
    refused = desk.says("add", str(tmp_path / "noheader.csv"), code=2)
    desk.says("--set", "loop.batch=20", "tick")

    shown = {task["data"]["text"] for task in desk.tasks()}
    assert {
        "Geld für die Bank",
        "le chien à minuit",
        "the cat, it slept",
        "the bank failed",
        "kittens slept",
    } <= shown
    assert "is read as cp1252, which is a guess" in said["cp1252.csv"]
    assert "column `label` of cp1252.csv holds 2 of your labels" in said["cp1252.csv"]
    assert "has no header: its first line is 'the cat slept', 'animals'" in refused


def picture(path: Path, number: int, form: str) -> None:
    noise = np.random.default_rng(number).integers(0, 255, (40, 40, 3)).astype("uint8")
    Image.fromarray(noise).save(path, form)


def test_case_08_scans_are_uploaded_as_what_a_browser_shows_and_check_says_so(desk: Desk, tmp_path: Path) -> None:
    desk.begin("image")
    (tmp_path / "scans").mkdir()
    for number, (name, form) in enumerate(
        {"a.tif": "TIFF", "b.tiff": "TIFF", "c.png": "PNG", "d.jp2": "JPEG2000"}.items()
    ):
        picture(tmp_path / "scans" / name, number, form)
    said = desk.says("add", str(tmp_path / "scans"))
    desk.says("tick")

    client = desk.annotator.client()
    bodies = [client.download(str(task["data"]["image"])) for task in desk.tasks()]
    assert len(bodies) == 4
    assert all(body.startswith(b"\x89PNG") for body in bodies)
    assert "people see 1 .jp2, 1 .tif, 1 .tiff as PNG or JPEG" in said
    assert "uploaded .png: a browser gets it" in " ".join(desk.says("check").split())

    broken = desk.tasks()[-1]
    client.call(
        "PATCH", f"/api/tasks/{broken['id']}/", body={"data": {**broken["data"], "image": "/data/upload/gone.png"}}
    )
    assert "gone.png" in "".join(desk.says("--json", "check", code=2).split())


def test_case_19_a_phones_folder_says_what_it_passed_over_and_the_rest_is_seen(desk: Desk, tmp_path: Path) -> None:
    assert ".heic" in decoding.endings(), "install what the development dependencies name"
    desk.begin("image")
    (tmp_path / "phone").mkdir()
    for number, name in enumerate(("IMG_1.HEIC", "IMG_2.PNG", "IMG_9")):
        picture(tmp_path / "phone" / name, number, "HEIF" if name.endswith("HEIC") else "PNG")
    (tmp_path / "phone" / "x.svg").write_text("<svg/>")
    (tmp_path / "phone" / "note").write_text("no picture")
    said = desk.says("add", str(tmp_path / "phone"))
    desk.says("tick")

    assert "3 new item(s)" in said
    assert (
        "passed over 2 file(s) that are not in the counts: 1 .svg (a drawing: save it as PNG); 1 without an ending"
        in said
    )
    bodies = [desk.annotator.client().download(str(task["data"]["image"])) for task in desk.tasks()]
    assert [body[:4] for body in bodies] == [b"\x89PNG"] * 3


def test_case_15_check_follows_a_picture_below_a_sub_path_and_finds_one_that_is_not(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    for number in range(4):
        picture(tmp_path / "pics" / f"{number}.png", number, "PNG")
    with reverse(desk.annotator.client().url, Gate("/ls")) as port:
        desk.begin("image", url=f"http://127.0.0.1:{port}/ls")
        desk.says("add", str(tmp_path / "pics"))
        desk.says("tick")
        right = " ".join(desk.says("check").split())
        task = desk.tasks()[0]
        data = {**task["data"], "image": str(task["data"]["image"]).removeprefix("/ls")}
        desk.annotator.client().call("PATCH", f"/api/tasks/{task['id']}/", body={"data": data})
        wrong = desk.says("--json", "check", code=2)

    assert "uploaded .png: a browser gets it" in right
    found = [one["detail"] for one in json.loads(wrong) if one["what"] == "pictures" and not one["ok"]]
    assert [f"browsers look for {data['image']} at http://127.0.0.1:{port}" in one for one in found] == [True]


def test_case_14_guesses_that_somebody_hid_are_said_after_every_model_and_never_counted(
    desk: Desk, tmp_path: Path
) -> None:
    desk.begin()
    lines = [f"{('a cat' if n % 2 else 'the rent')} of number {n} is {n * 7}" for n in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["text", *lines]))
    desk.says("add", str(tmp_path / "t.csv"))
    for _ in range(2):
        desk.says("tick")
        desk.answer()
    desk.says("tick")
    assert desk.annotator.client().call("GET", f"/api/projects/{desk.project}")["model_version"]
    before = json.loads(desk.says("--json", "annotator", "bias"))
    desk.change(show_collab_predictions=False)

    said = []
    for _ in range(3):
        said += [desk.says("doctor", code=2), desk.says("check")]
        desk.says("tick")
        desk.answer()
        desk.says("tick")
    after = json.loads(desk.says("--json", "annotator", "bias"))
    desk.says("doctor", "--repair", "--yes")

    assert [("hides the model" in " ".join(one.split())) for one in said] == [True] * len(said)
    assert before["assisted"]["answers"] == after["assisted"]["answers"] == 6, (before, after)
    assert after["unknown"] >= before["unknown"] + 18
    assert desk.annotator.client().call("GET", f"/api/projects/{desk.project}")["show_collab_predictions"] is True
    assert "hides" not in desk.says("check")


NOTE = {"from_name": "note", "to_name": "text", "type": "textarea", "value": {"text": ["because it purrs"]}}
SURE = {"from_name": "sure", "to_name": "text", "type": "rating", "value": {"rating": 4}}


def test_case_18_columns_are_shown_and_what_people_write_beside_the_labels_is_exported(
    desk: Desk, tmp_path: Path
) -> None:
    desk.begin(dataset__show=["author", "date"])
    lines = ["text,author,date", *(f"{text},writer {n},2024-01-0{n + 1}" for n, text in enumerate(TEXTS))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    desk.says("add", str(tmp_path / "t.csv"))
    desk.says("tick")
    shown = {task["data"]["text"]: (task["data"]["author"], task["data"]["date"]) for task in desk.tasks()}
    config = desk.annotator.client().call("GET", f"/api/projects/{desk.project}")["label_config"]

    beside = '<TextArea name="note" toName="text"/><Rating name="sure" toName="text"/>'
    desk.change(label_config=config.replace("</View>", f"{beside}</View>"))
    assert desk.answer(NOTE, SURE) == len(TEXTS)
    desk.says("tick")
    for name in ("labels.jsonl", "labels.json"):
        desk.says("export", "-o", str(tmp_path / name))

    assert shown == {text: (f"writer {n}", f"2024-01-0{n + 1}") for n, text in enumerate(TEXTS)}
    assert 'value="author: $author"' in config
    rows = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert len(rows) == len(TEXTS)
    assert all([one["value"] for one in row["extra"]["note"]] == [NOTE["value"]] for row in rows)
    assert all(
        {region["from_name"] for region in row["annotations"][0]["result"]} == {"label", "note", "sure"} for row in rows
    )
    tasks = json.loads((tmp_path / "labels.json").read_text())
    assert all(len(task["annotations"][0]["result"]) == 3 for task in tasks)
    assert "people also answer in note (6), sure (6): kept and exported, not learned from" in desk.says("status")


def test_an_export_goes_into_another_project_as_it_is(desk: Desk, tmp_path: Path) -> None:
    desk.begin()
    (tmp_path / "t.csv").write_text("\n".join(["text", *TEXTS]))
    desk.says("add", str(tmp_path / "t.csv"))
    desk.says("tick")
    desk.answer()
    desk.says("tick")
    desk.says("export", "-o", str(tmp_path / "labels.json"))

    client = desk.annotator.client()
    before = client.call("GET", f"/api/projects/{desk.project}")["label_config"]
    other = client.call("POST", "/api/projects", body={"title": "case taken over", "label_config": before})["id"]
    tasks = json.loads((tmp_path / "labels.json").read_text())
    answer = client.call("POST", f"/api/projects/{other}/import", body=tasks)
    client.call("DELETE", f"/api/projects/{other}")

    assert (answer["task_count"], answer["annotation_count"]) == (len(TEXTS), len(TEXTS))
