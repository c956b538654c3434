"""Templates of label configs for people: what each asks, and what of that can be learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labelloop.errors import ConfigError
from labelloop.kinds.label_config import LabelConfig, read_label_config
from labelloop.machine.registry import classes, flavors
from labelloop.types import Template


@dataclass(frozen=True, slots=True)
class DescribedTemplate:
    """A template as `template list` tells it.

    Attributes:
        name: Of the template.
        title: What it is for.
        group: What it belongs to.
        controls: Name, tag, and whether it can be learned from, of each control.
        columns: Columns of a table that it shows.
    """

    name: str
    title: str
    group: str
    controls: Sequence[tuple[str, str, bool]]
    columns: Sequence[str]

    def as_dict(self) -> Mapping[str, Any]:
        """The template for scripts."""
        controls = [{"name": name, "tag": tag, "learned": learned} for name, tag, learned in self.controls]
        told = {"name": self.name, "title": self.title, "group": self.group}
        return {**told, "controls": controls, "columns": list(self.columns)}

    def in_words(self) -> str:
        """The controls for people."""
        return ", ".join(f"{tag}{'*' if learned else ''}" for _, tag, learned in self.controls)


def described(template: Template) -> DescribedTemplate:
    """A template with its controls; without any where it cannot be read."""
    try:
        read = read_label_config(template.config, classes("kind"))
    except ConfigError:
        read = LabelConfig(template.config, (), (), ())
    learned = ("choices", *flavors("learner"))
    controls = [(one.name, one.tag, one.sees and one.flavor in learned) for one in read.asked]
    return DescribedTemplate(template.name, template.title, template.group, controls, read.columns)
