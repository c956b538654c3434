"""What people are shown of an item: the data of its task, column by column."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from labelloop.kinds.schema import LabelSchema, object_of


def object_name(schema: LabelSchema) -> str:
    """The key of a task's data that holds the item, or the first part of it."""
    return schema.modality if schema.own is None else next(iter(schema.own.item), schema.modality)


def data_of(schema: LabelSchema, meta: Mapping[str, Any], value: str) -> dict[str, Any]:
    """What a task's data holds: the item, and the columns that people are shown with it.

    Args:
        meta: What came with the item, as JSON says it.
        value: What people are shown of the item.
    """
    if schema.own is None:
        return {**_columns_of(schema, meta), object_name(schema): value}
    item = object_name(schema)
    is_whole = schema.modality == "image" or item not in meta
    said = {column: "" if meta.get(column) is None else meta[column] for column in schema.own.columns}
    return {**said, item: value} if is_whole else said


def _columns_of(schema: LabelSchema, meta: Mapping[str, Any]) -> dict[str, str]:
    """The columns that people are shown beside the item; empty texts for those it has not."""
    return {object_of(column): _cell(meta, column) for column in schema.show}


def _cell(meta: Mapping[str, Any], column: str) -> str:
    found: Any = meta
    for part in [column] if column in meta else column.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if found is None:
        return ""
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, default=str)
