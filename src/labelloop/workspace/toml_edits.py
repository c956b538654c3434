"""Edits of a TOML text that leave every other byte alone, comments included, and the place of a key in it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

Path = Sequence[str]
"""The keys that lead to a table or a value: `("stacks", "team", "annotator")`."""


def place(text: str, path: Path) -> tuple[int, int] | None:
    """Line and column, from 1, where a key or the header of a table stands; None where it is not written.

    Whatever form it has (header, dotted, inline, quoted): the text without it is the same up to there.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        parent = _walk(document, path[:-1])
        del parent[path[-1]]
        without = tomlkit.dumps(document)
    except (KeyError, TypeError, IndexError, TOMLKitError):
        return None
    offset = _same_up_to(text, without)
    start = text.rfind("\n", 0, offset) + 1
    line = text[start : text.find("\n", start) % (len(text) + 1)]
    if "{" in text[start:offset]:
        offset += len(text[offset:]) - len(text[offset:].lstrip(", "))
        return text.count("\n", 0, offset) + 1, offset - start + 1
    return text.count("\n", 0, offset) + 1, len(line) - len(line.lstrip()) + 1


def put(text: str, path: Path, value: Any) -> str:
    """The text with one value set, in the line it had, else below the last key of its table."""
    import tomlkit

    table, key = path[:-1], path[-1]
    document = tomlkit.parse(text)
    if not _has(document, table):
        return add_table(text, table, {key: value})
    parent = _walk(document, table)
    if key in parent:
        parent[key] = value
        return tomlkit.dumps(document)
    wanted = _changed(text, lambda tree: _walk(tree, table).__setitem__(key, value))
    line = _line_below(text, table, parent)
    if line is not None:
        lines = text.splitlines(keepends=True)
        written = "".join([*_ended(lines[:line]), _entry(key, value), *lines[line:]])
        if _means(written, wanted):
            return written
    parent[key] = value
    return tomlkit.dumps(document)


def drop(text: str, path: Path) -> str:
    """The text without one value."""
    import tomlkit

    document = tomlkit.parse(text)
    del _walk(document, path[:-1])[path[-1]]
    return tomlkit.dumps(document)


def add_table(text: str, path: Path, values: Mapping[str, Any]) -> str:
    """The text with one more table, at its end: no comment loses the line it stands above."""
    import tomlkit

    wanted = _changed(text, lambda tree: _make(tree, path[:-1]).__setitem__(path[-1], dict(values)))
    header = ".".join(_key(part) for part in path)
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    written = f"{text}{gap}[{header}]\n{''.join(_entry(key, value) for key, value in values.items())}"
    if _means(written, wanted):
        return written
    document = tomlkit.parse(text)
    _make(document, path[:-1])[path[-1]] = dict(values)
    return tomlkit.dumps(document)


def drop_table(text: str, path: Path) -> str:
    """The text without one table; comments below its last key stay, they belong to what follows."""
    import tomlkit

    document = tomlkit.parse(text)
    parent = _walk(document, path[:-1])
    below = _comments_below(parent[path[-1]])
    del parent[path[-1]]
    without = tomlkit.dumps(document)
    offset = _same_up_to(text, without)
    start = text.rfind("\n", 0, offset) + 1
    before, after = text[:start], text[start + len(text) - len(without) :]
    if before + after != without:
        return without
    if before.endswith("\n\n") or not before:
        below = below.lstrip("\n")
    kept = before + below + after
    return kept.rstrip("\n") + "\n" if not (below + after).strip() and kept.strip() else kept


def rename_table(text: str, path: Path, new: str) -> str:
    """The text with the last key of a table's path renamed, at its place."""
    import tomlkit

    def renamed(tree: Any) -> None:
        parent = _walk(tree, path[:-1])
        parent[new] = parent.pop(path[-1])

    wanted = _changed(text, renamed)
    parts = [rf"(?:{re.escape(part)}|\"{re.escape(part)}\"|'{re.escape(part)}')" for part in path]
    above = "".join(rf"{part}\s*\.\s*" for part in parts[:-1])
    header = re.compile(rf"^(\s*\[\s*{above}){parts[-1]}(?=\s*[.\]])", re.MULTILINE)
    written = header.sub(lambda found: found[1] + _key(new), text)
    if _means(written, wanted):
        return written
    document = tomlkit.parse(text)
    renamed(document)
    return tomlkit.dumps(document)


def _same_up_to(one: str, other: str) -> int:
    length = min(len(one), len(other))
    return next((place for place in range(length) if one[place] != other[place]), length)


def _entry(key: str, value: Any) -> str:
    import tomlkit

    return f"{_key(key)} = {tomlkit.item(value, _parent=None).as_string()}\n"


def _key(part: str) -> str:
    import tomlkit

    return tomlkit.key(part).as_string()


def _ended(lines: Sequence[str]) -> list[str]:
    """The lines, the last of them ended."""
    return [*lines[:-1], lines[-1] if lines[-1].endswith("\n") else lines[-1] + "\n"] if lines else []


def _line_below(text: str, table: Path, parent: Any) -> int | None:
    """How many lines there are up to the last plain key of a table, or its header."""
    plain = [key for key, value in parent.items() if not isinstance(value, Mapping)]
    if plain:
        found = place(text, [*table, plain[-1]])
        height = parent[plain[-1]].as_string().count("\n")
    else:
        found, height = (place(text, table), 0) if table else (None, 0)
    return found[0] + height if found else None


def _comments_below(table: Any) -> str:
    """What is written below the last key of a table."""
    below: list[str] = []
    for key, item in reversed(getattr(getattr(table, "value", None), "body", [])):
        if key is not None:
            break
        below.insert(0, item.as_string())
    return "".join(below) if "".join(below).strip() else ""


def _has(tree: Any, path: Path) -> bool:
    try:
        return isinstance(_walk(tree, path), Mapping)
    except (KeyError, TypeError):
        return False


def _walk(tree: Any, path: Path) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def _make(tree: Any, path: Path) -> Any:
    for part in path:
        tree = tree.setdefault(part, {})
    return tree


def _changed(text: str, change: Any) -> Any:
    tree = tomllib.loads(text)
    change(tree)
    return tree


def _means(text: str, wanted: Any) -> bool:
    try:
        return bool(tomllib.loads(text) == wanted)
    except tomllib.TOMLDecodeError:
        return False
