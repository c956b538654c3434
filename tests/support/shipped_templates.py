"""For every template that Label Studio ships: a row of fitting data, and what somebody says who answers everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree

TEXT = "Ann met Bob in Oslo on Monday."
HTML = "<p>Ann met <b>Bob</b> in Oslo.</p>"
PICTURE = "/static/samples/sample.jpg"
DIALOGUE = [{"author": "Ann", "text": "Where is my parcel?"}, {"author": "Bob", "text": "It is in Oslo."}]
CHAT = [{"role": "user", "content": "Where is my parcel?"}, {"role": "assistant", "content": "It is in Oslo."}]
LIST = [{"id": "one", "title": "One", "body": "It is in Oslo."}, {"id": "two", "title": "Two", "body": "No idea."}]
OFFERED = [{"value": "first", "html": "<b>first</b>"}, {"value": "second", "html": "<i>second</i>"}]

_DATA: Mapping[str, Any] = {
    "Text": TEXT,
    "HyperText": HTML,
    "Header": TEXT,
    "Image": PICTURE,
    "Audio": "/static/samples/game.wav",
    "Video": "/static/samples/opossum_snow.mp4",
    "Pdf": "/static/samples/opossum-cuteness.pdf",
    "TimeSeries": "/samples/time-series.csv",
    "Paragraphs": DIALOGUE,
    "Chat": CHAT,
    "List": LIST,
    "Table": {"price": "12", "place": "Oslo"},
}

BOX = {"x": 10.0, "y": 10.0, "width": 20.0, "height": 20.0, "rotation": 0}
SIZE = {"original_width": 640, "original_height": 480, "image_rotation": 0}
CORNERS = [[10.0, 10.0], [30.0, 10.0], [20.0, 30.0]]

_VALUES: Mapping[str, Mapping[str, Any]] = {
    "Rating": {"rating": 4},
    "Number": {"number": 4},
    "DateTime": {"datetime": "2026-12-01"},
    "TextArea": {"text": ["as it says"]},
    "Pairwise": {"selected": "left"},
    "Labels": {"start": 0, "end": 3, "text": "Ann", "labels": ["$label"]},
    "HyperTextLabels": {
        "start": "/p[1]/text()[1]",
        "end": "/p[1]/text()[1]",
        "startOffset": 0,
        "endOffset": 3,
        "globalOffsets": {"start": 0, "end": 3},
        "text": "Ann",
        "hypertextlabels": ["$label"],
    },
    "ParagraphLabels": {
        "start": "0",
        "end": "0",
        "startOffset": 0,
        "endOffset": 5,
        "text": "Where",
        "paragraphlabels": ["$label"],
    },
    "RectangleLabels": {**BOX, "rectanglelabels": ["$label"]},
    "Rectangle": BOX,
    "PolygonLabels": {"points": CORNERS, "closed": True, "polygonlabels": ["$label"]},
    "Polygon": {"points": CORNERS, "closed": True},
    "KeyPointLabels": {"x": 10.0, "y": 10.0, "width": 1.0, "keypointlabels": ["$label"]},
    "BrushLabels": {"format": "rle", "rle": [0, 0, 0, 1], "brushlabels": ["$label"]},
    "OcrLabels": {**BOX, "ocrtext": "Ann", "pageIndex": 0, "ocrlabels": ["$label"]},
    "TimeSeriesLabels": {"start": 1.0, "end": 2.0, "instant": False, "timeserieslabels": ["$label"]},
    "TimelineLabels": {"ranges": [{"start": 1, "end": 5}], "timelinelabels": ["$label"]},
    "VideoRectangle": {
        "framesCount": 100,
        "duration": 4.0,
        "sequence": [{"frame": 1, "time": 0.04, "enabled": True, **BOX}],
    },
    "Chat": {"chatmessage": {"role": "user", "content": "Thanks.", "createdAt": 1}},
}
_TYPES = {"Chat": "chatmessage"}
_OVER_TIME = {"start": 0.5, "end": 1.5, "channel": 0, "labels": ["$label"]}
_NOT_ASKED = ("Filter", "Chat")


def row_of(xml: str, columns: tuple[str, ...]) -> dict[str, Any]:
    """A row of a table with all that a label config shows."""
    found: dict[str, Any] = {}
    for node in ElementTree.fromstring(xml).iter():
        for key in ("value", "valueList"):
            said = node.get(key) or ""
            for column in columns:
                if said in (f"${column}", f"${column}.text"):
                    found[column] = _fitting(node, key)
    return {column: found.get(column, TEXT) for column in columns}


def _fitting(node: ElementTree.Element, key: str) -> Any:
    if node.get("toName") is not None and node.tag != "Chat":
        return OFFERED
    if key == "valueList":
        return [PICTURE, PICTURE]
    return _DATA.get(node.tag, TEXT)


def everything(xml: str) -> list[dict[str, Any]]:
    """What somebody says who answers each control once, as Label Studio keeps it."""
    nodes = list(ElementTree.fromstring(xml).iter())
    objects = {str(node.get("name")): node for node in nodes if node.get("name")}
    asked = [node for node in nodes if node.get("name") and node.get("toName") and node.tag not in _NOT_ASKED]
    regions: list[dict[str, Any]] = []
    for node in sorted(asked, key=lambda one: one.get("perRegion") == "true"):
        about = objects[str(node.get("toName")).split(",")[0]]
        regions += _said(node, about, regions)
    if not asked:
        chat = next(node for node in nodes if node.tag == "Chat")
        regions += [_region(chat, chat, dict(_VALUES["Chat"]), "chat-0")]
    return regions


def _said(
    node: ElementTree.Element, about: ElementTree.Element, before: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    value, id_ = dict(_value(node, about)), f"{node.get('name')}-0"
    if node.get("perRegion") == "true":
        over = next((one for one in before if one["to_name"] == about.get("name")), None)
        if over is None:
            return
        id_ = over["id"]
        value |= {key: over["value"][key] for key in (*BOX, "start", "end", "points") if key in over["value"]}
    elif node.tag == "VideoRectangle" or (node.tag in ("Rectangle", "Polygon") and before):
        id_ = before[0]["id"]
    yield _region(node, about, value, id_)


def _region(node: ElementTree.Element, about: ElementTree.Element, value: Any, id_: str) -> dict[str, Any]:
    type_ = _TYPES.get(node.tag, node.tag.lower())
    size = SIZE if (about.tag in ("Image", "Pdf") and "x" in value) or "points" in value or "rle" in value else {}
    place = {"from_name": node.get("name"), "to_name": about.get("name"), "type": type_}
    return {"id": id_, **place, "value": value, **size}


def _value(node: ElementTree.Element, about: ElementTree.Element) -> Mapping[str, Any]:
    if node.tag == "Choices":
        names = [one.get("alias") or one.get("value") for one in node.iter("Choice")]
        return {"choices": names[:1] if names else [OFFERED[0]["value"]]}
    if node.tag == "Taxonomy":
        return {"taxonomy": [_first_path(node)]}
    if node.tag == "Ranker":
        buckets = [str(one.get("name")) for one in node.iter("Bucket")]
        return {"ranker": {buckets[0]: ["one"], buckets[1]: ["two"]} if buckets else {"rank": ["two", "one"]}}
    value = _OVER_TIME if node.tag == "Labels" and about.tag in ("Audio", "Video") else _VALUES[node.tag]
    if node.tag == "Labels" and about.tag == "Image":
        value = {**BOX, "labels": ["$label"]}
    labels = [one.get("alias") or one.get("value") for one in node.iter("Label")] or ["panda"]
    return {key: labels[:1] if one == ["$label"] else one for key, one in value.items()}


def _first_path(node: ElementTree.Element) -> list[str]:
    child = node.find("Choice")
    return [] if child is None else [str(child.get("alias") or child.get("value")), *_first_path(child)]
