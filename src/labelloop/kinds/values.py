"""What all kinds ask of a region's value, with refusals that name its field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from labelloop.errors import ConfigError
from labelloop.types import Region

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

N = TypeVar("N", float, None)


def brief(value: Any, most: int = 80) -> str:
    """Something that people wrote, short enough for a line."""
    text = value if isinstance(value, str) else repr(value)
    shown = text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
    return shown.encode("utf-8", "backslashreplace").decode()


def value_of(region: Region, place: int, type_: str) -> Mapping[str, Any]:
    """The value of a region of this type.

    Raises:
        ConfigError: It is of another type, or has no value.
    """
    if region.get("type") != type_:
        raise ConfigError(
            f"result[{place}].type is {brief(repr(region.get('type')))}, not {type_!r}", f"type = {type_!r}"
        )
    value = region.get("value")
    if not isinstance(value, Mapping):
        raise ConfigError(f"result[{place}].value is {brief(value)}, not an object", 'write it as {"...": ...}')
    return value


def texts(value: Mapping[str, Any], field: str, place: int) -> list[str]:
    """A field that is a list of texts.

    Raises:
        ConfigError: It is not.
    """
    found = value.get(field)
    if not isinstance(found, list | tuple) or not all(isinstance(one, str) for one in found):
        raise ConfigError(f"result[{place}].value.{field} is {brief(found)}, not a list of texts", f'{field} = ["..."]')
    return list(found)


def number(value: Mapping[str, Any], field: str, place: int) -> float:
    """A field that is a finite number.

    Raises:
        ConfigError: It is not.
    """
    found = value.get(field)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise ConfigError(f"result[{place}].value.{field} is {brief(found)}, not a number", f"{field} = 1")
    return float(found)


def listed(node: Element, tag: str) -> tuple[str, ...] | None:
    """What a control of a label config offers, by the names that answers have for it, each once.

    Args:
        tag: Of each thing that is offered.

    Returns:
        None where some of it comes from the task, or in levels.
    """
    offered = list(node.iter(tag))
    names = [one.get("alias") or one.get("value") or "" for one in offered]
    nested = any(one.find(tag) is not None for one in offered)
    dynamic = node.get("value", "").startswith("$") or any(name.startswith("$") for name in names)
    return None if nested or dynamic else tuple(dict.fromkeys(names))


def numeral(node: Element, name: str, default: N) -> float | N:
    """A number that a tag has as an attribute.

    Raises:
        ConfigError: It is none.
    """
    text = node.get(name)
    if not text:
        return default
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ConfigError(f"{node.tag} {node.get('name')!r} has {name} = {brief(text)}, no number", f'{name}="5"')
    return found


def only_one(regions: Sequence[Region]) -> Region | None:
    """The one region of a control in which one thing is said; None where there is none.

    Raises:
        ConfigError: There are several.
    """
    if len(regions) > 1:
        raise ConfigError(f"result has {len(regions)} answers in a control that takes one", "keep one of them")
    return regions[0] if regions else None


def checked_labels(labels: Sequence[str], fewest: int, what: str, where: str) -> tuple[str, ...]:
    """The labels of a control.

    Args:
        fewest: How many there have to be.
        what: The kind of control, for people.
        where: The section of labelloop.toml that has them.

    Raises:
        ConfigError: One is empty or listed twice, or there are too few.
    """
    blank = [label for label in labels if not label.strip() or label != label.strip()]
    twice = sorted({label for label in labels if list(labels).count(label) > 1})
    if blank:
        raise ConfigError(
            f"label {blank[0]!r} is empty or has spaces around it", "write each label as people should see it"
        )
    if twice:
        raise ConfigError(f"label {twice[0]!r} is listed twice", "list each label once")
    if len(labels) < fewest:
        raise ConfigError(
            f"the label schema has {len(labels)} label(s), {what} needs at least {fewest}",
            f'set labels = ["...", "..."] under {where} in labelloop.toml',
        )
    return tuple(labels)


def known_label(labels: Sequence[str], name: Any) -> None:
    """Refuse what is none of the labels.

    Raises:
        ConfigError: It is not.
    """
    if name not in labels:
        raise ConfigError(
            f"label {brief(repr(name))} is not in the label schema", f"the labels are: {', '.join(labels)}"
        )
