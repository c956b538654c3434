"""What other tools save that is neither table nor text: folders of Hugging Face's `save_to_disk`, and mails."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from email import message_from_bytes
from email.policy import default
from functools import partial
from typing import Any

from labelloop.data.locations import held, opened_file
from labelloop.data.text_files import Table

_STATE, _SPLITS, _FEATURES = "state.json", "dataset_dict.json", "dataset_info.json"


def saved_tables(fs: Any, folder: str, relative: Callable[[str], str]) -> list[tuple[str, Table]]:
    """The files of rows in a folder that `save_to_disk` wrote, split by split; none for another folder.

    Args:
        relative: The name of a file as people are told it.
    """
    splits = _read(fs, posixpath.join(folder, _SPLITS)).get("splits")
    folders = [posixpath.join(folder, str(one)) for one in splits] if isinstance(splits, list) else [folder]
    return [found for one in folders for found in _shards(fs, one, relative)]


def _shards(fs: Any, folder: str, relative: Callable[[str], str]) -> Iterator[tuple[str, Table]]:
    files = _read(fs, posixpath.join(folder, _STATE)).get("_data_files")
    names = _class_names(_read(fs, posixpath.join(folder, _FEATURES)).get("features"))
    for one in files if isinstance(files, list) else []:
        path = posixpath.join(folder, posixpath.basename(str(one["filename"])))
        yield path, Table(relative(path), partial(opened_file, fs, path), names=names)


def _class_names(features: Any) -> Mapping[str, Sequence[str]]:
    """Column -> the names that its numbers stand for."""
    if not isinstance(features, dict):
        return {}
    return {
        column: [str(one) for one in kind["names"]]
        for column, kind in features.items()
        if isinstance(kind, dict) and kind.get("_type") == "ClassLabel" and isinstance(kind.get("names"), list)
    }


def _read(fs: Any, path: str) -> Mapping[str, Any]:
    try:
        with held(fs, path) as raw:
            read = json.loads(raw) if isinstance(raw, bytes) else {}
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def mail_in(raw: bytes) -> str:
    """Subject and plain text of a mail (RFC 5322), whatever its encoding; empty where it has no plain text."""
    message = message_from_bytes(raw, policy=default)
    body = message.get_body(preferencelist=("plain",))
    if body is None:
        return ""
    return f"{message.get('Subject', '')}\n\n{body.get_content()}".strip()
