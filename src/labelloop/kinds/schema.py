"""What people are asked about each item: the controls they see, of which one is the main one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache

from labelloop.errors import ConfigError
from labelloop.kinds.choices import Choices
from labelloop.kinds.kind import Between, Kind, Labelling
from labelloop.kinds.values import checked_labels
from labelloop.types import Modality, Task
from labelloop.types.names import LATER, named

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

_TAKEN = ("text", "image", "labelloop_id")
"""Names of objects, and of what a task's data holds, that are no column's."""


def object_of(column: str) -> str:
    """The name of the object that shows a column: a name that a label config can say."""
    name = re.sub(r"\W", "_", column)
    return f"column_{name}" if name in _TAKEN or not name[:1].isalpha() else name


@dataclass(frozen=True, slots=True)
class Control:
    """One thing that is asked about what people see.

    Attributes:
        name: Unique in the schema; a region's `from_name`.
        kind: What an answer is.
        shown: Name of the object that people see and answer about; of two with a comma where they are compared. A
            region's `to_name` is the first.
        instruction: The line above it; empty is none.
        silence: Whether an annotation without a region of this control is an answer, as its kind reads nothing: "no
            span". It is for the main control only where the annotation says nothing elsewhere either.

    Raises:
        ConfigError: The name is none that a label config can hold.
    """

    name: str
    kind: Kind
    shown: str
    instruction: str = ""
    silence: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"{self.name!r} cannot be the name of a control",
                "use letters, digits, _ and -, as in [controls.tone]",
            )

    @property
    def objects(self) -> tuple[str, ...]:
        """Names of what is answered about."""
        return tuple(self.shown.split(","))


IN_PARTS = ("Paragraphs", "Chat", "List", "Table")
"""Objects that show more than a text, and no picture or sound."""


@dataclass(frozen=True, slots=True)
class ObjectTag:
    """Something that people see in a label config of their own.

    Attributes:
        name: Its name, which controls point at.
        tag: What it is, such as `Text` or `Audio`; `Images` where it is a list of them.
        column: The column of a table that it shows; empty where it shows several, or none.
        is_read: Whether that is text that learners can read.
    """

    name: str
    tag: str
    column: str
    is_read: bool


@dataclass(frozen=True, slots=True)
class OwnConfig:
    """The label config that people brought, which they see as they wrote it.

    Attributes:
        xml: The config.
        shown: What is seen that has a name.
        columns: Columns of a table that it shows.
        about: Names of what the main control asks about, with commas.
    """

    xml: str
    shown: tuple[ObjectTag, ...]
    columns: tuple[str, ...]
    about: str

    @property
    def item(self) -> tuple[str, ...]:
        """The columns that the main control asks about: what is learned from; the first where that is unclear."""
        about = self.about.split(",")
        found = tuple(dict.fromkeys(one.column for one in self.shown if one.name in about and one.column))
        return found or self.columns[:1]

    @property
    def parts(self) -> tuple[str, ...]:
        """The columns that hold more than a text: turns of a dialogue, entries of a list."""
        return tuple(one.column for one in self.shown if one.tag in IN_PARTS and one.column)


@named("labelloop.LabelSchema")
@dataclass(frozen=True, slots=True)
class LabelSchema:
    """What people are asked about each item: the main control, which is learned from, and others beside it.

    Attributes:
        labels: Of the main control; none where its kind has no labels.
        task: One label per item or several, where the main control asks for choices.
        show: Columns of the item's `meta` that people see beside it, each an object that controls may point at; what is
            learned is the same without them.
        beside: What else is asked, and kept, compared and exported; what is learned is the same without it.
        asked: What the main control asks for where that are no choices; None for choices.
        own: The label config that people brought; None where it is made from all this.

    Raises:
        ConfigError: Fewer than two labels to choose from, a label twice, an empty label, or two controls of one name.
    """

    modality: Modality
    labels: tuple[str, ...]
    task: Task = "single-choice"
    control: str = "label"
    instruction: str = ""
    show: tuple[str, ...] = field(default=(), repr=False, compare=False)
    beside: tuple[Control, ...] = field(default=(), repr=False, compare=False)
    asked: Kind | None = field(default=None, metadata=LATER)
    own: OwnConfig | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.asked is None:
            checked_labels(self.labels, 2, "a choice", "[dataset]")
        if self.own is None:  # else whoever read it has looked
            self._refuse_what_cannot_be_asked()

    def _refuse_what_cannot_be_asked(self) -> None:
        asked_about = dict.fromkeys([self.modality, *(name for one in self.beside for name in one.objects)])
        names = [self.control, *asked_about, *(one.name for one in self.beside)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(
                f"the name {twice[0]!r} is taken: {self.control!r} is the main control, people are asked about "
                f"{', '.join(map(repr, asked_about))}, and each other control is named once",
                "choose another name: [controls.NAME] in labelloop.toml",
            )
        for one in self.beside:
            if unseen := [name for name in one.objects if name not in self.objects]:
                raise ConfigError(
                    f"the control {one.name!r} points at {unseen[0]!r}, which people do not see",
                    f"they see: {', '.join(self.objects)}; more columns of the table by [dataset] show",
                )
            wanted = one.kind.between if isinstance(one.kind, Between) else 1
            if len(set(one.objects)) != wanted:
                raise ConfigError(
                    f"the control {one.name!r} asks about {' and '.join(one.objects)}, and its kind about {wanted}",
                    'shown = "title", or shown = ["answer_a", "answer_b"] for a kind that compares two',
                )

    @property
    def multiple(self) -> bool:
        """Whether one item may carry several labels."""
        return self.asked is not None or self.task == "multiple-choice"

    @property
    def about(self) -> str:
        """Names of the objects that the main control asks about, with commas: what is learned from."""
        return self.modality if self.own is None else self.own.about

    @property
    def objects(self) -> tuple[str, ...]:
        """Names of what people see: the item itself, which is learned from, then the columns beside it."""
        if self.own is not None:
            return tuple(one.name for one in self.own.shown)
        return (self.modality, *map(object_of, self.show))

    @property
    def main(self) -> Control:
        """The control that is learned from, and whose score is the score."""
        if self.asked is not None:
            return _asked(self.control, self.asked, self.about)
        return _main(self.control, tuple(self.labels), self.multiple, self.about)

    @property
    def controls(self) -> tuple[Control, ...]:
        """Everything that is asked, the main control first."""
        return (self.main, *self.beside)

    def with_labels(self, labels: tuple[str, ...]) -> LabelSchema:
        """The same question with other labels.

        Raises:
            ConfigError: They cannot be asked, or the main control asks for something else.
        """
        if self.asked is not None and not isinstance(self.asked, Labelling):
            raise ConfigError(
                f"the main control {self.control!r} asks for a {type(self.asked).__name__}, which has no labels",
                "its options are under [controls], or in the label config that dataset.config names",
            )
        if self.asked is None:
            return replace(self, labels=labels)
        return replace(self, labels=labels, asked=replace(self.asked, labels=labels))  # type: ignore[type-var]


@lru_cache(maxsize=64)
def _main(name: str, labels: tuple[str, ...], multiple: bool, shown: str) -> Control:  # asked for with every prediction
    return Control(name, Choices(labels, multiple), shown)


@lru_cache(maxsize=64)
def _asked(name: str, kind: Kind, shown: str) -> Control:
    return Control(name, kind, shown, silence=True)


def schema_around(
    main: Control,
    modality: Modality,
    *,
    instruction: str = "",
    show: tuple[str, ...] = (),
    beside: tuple[Control, ...] = (),
    own: OwnConfig | None = None,
) -> LabelSchema:
    """The schema whose main control this is."""
    kind, line = main.kind, instruction or main.instruction
    if isinstance(kind, Choices):
        task: Task = "multiple-choice" if kind.multiple else "single-choice"
        return LabelSchema(modality, kind.labels, task, main.name, line, show, beside, own=own)
    labels = kind.labels if isinstance(kind, Labelling) else ()
    return LabelSchema(modality, labels, "single-choice", main.name, line, show, beside, kind, own)
