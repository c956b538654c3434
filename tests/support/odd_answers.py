"""Answers that no editor makes: what a script, an import or a clumsy client may post, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Result = list[Any]

CONTROL, OBJECT = "label", "text"


def choice(label: Any) -> dict[str, Any]:
    return {"from_name": CONTROL, "to_name": OBJECT, "type": "choices", "value": {"choices": label}}


def _deep(levels: int) -> Any:
    made: Any = "x"
    for _ in range(levels):
        made = [made]
    return made


def _words(draw: random.Random) -> str:
    alphabet = "aZ0 \t\n\r\x00\x1b[31m\u202e\u200b\ufeffßéжह🙂\U0001f469\u200d\U0001f467,;|'\"\\<&>{}%$=+-@"
    return "".join(draw.choice(alphabet) for _ in range(draw.randrange(1, 60)))


KINDS: dict[str, Callable[[random.Random], Any]] = {
    "a lone surrogate as a label": lambda draw: [choice([draw.choice(["\ud800", "cat\udfff", "\udc00\ud800"])])],
    "a lone surrogate in a comment": lambda draw: [
        {"from_name": "note", "to_name": OBJECT, "type": "textarea", "value": {"text": ["half an emoji \ud83d"]}}
    ],
    "nothing": lambda draw: [],
    "words for a label": lambda draw: [choice([_words(draw)])],
    "a string for the labels": lambda draw: [choice("cat")],
    "labels in a list in a list": lambda draw: [choice([["cat"], {"cat": 1}])],
    "a dict for the labels": lambda draw: [choice({"cat": True})],
    "a number for the labels": lambda draw: [choice(draw.choice([7, -1, 1e300, 2**70, True]))],
    "null for the labels": lambda draw: [choice(None)],
    "a value that is null": lambda draw: [{**choice(["x"]), "value": None}],
    "a value that is a word": lambda draw: [{**choice(["x"]), "value": "cat"}],
    "no control": lambda draw: [{"value": {"choices": ["cat"]}, "type": "choices"}],
    "a foreign control": lambda draw: [{**choice(["cat"]), "from_name": _words(draw)}],
    "a control that is a list": lambda draw: [{**choice(["cat"]), "from_name": ["label"]}],
    "a span": lambda draw: [
        {
            "id": "s1",
            "from_name": "span",
            "to_name": OBJECT,
            "type": "labels",
            "value": {"start": -5, "end": 10**12, "labels": ["PER"], "text": _words(draw)},
        }
    ],
    "a rating": lambda draw: [{"from_name": "sure", "to_name": OBJECT, "type": "rating", "value": {"rating": 10**30}}],
    "every label and one more": lambda draw: [choice(["cat", "dog", "owl", _words(draw)])],
    "many regions": lambda draw: [choice([f"label {n}"]) for n in range(draw.randrange(500, 3000))],
    "a label of 200 kB": lambda draw: [choice(["x" * 200_000])],
    "deep": lambda draw: [{**choice(["x"]), "meta": _deep(draw.choice([50, 200, 400]))}],
    "a date for a value": lambda draw: [{**choice(["x"]), "value": {"datetime": "9999-99-99T99:99:99Z"}}],
    "keys of all kinds": lambda draw: [{**choice(["x"]), _words(draw): _words(draw), "": None}],
}
"""Name of a kind -> makes the result of one annotation of it."""


def odd(draw: random.Random) -> tuple[str, dict[str, Any]]:
    """One annotation as a client posts it: (its kind, the body)."""
    kind = draw.choice(sorted(KINDS))
    body: dict[str, Any] = {"result": KINDS[kind](draw)}
    if draw.random() < 0.3:
        body["lead_time"] = draw.choice([0, -1e308, 1e308, 1e-9, 2**62])
    if draw.random() < 0.2:
        body["ground_truth"] = True
    if draw.random() < 0.1:
        body["was_cancelled"] = True
    return kind, body
