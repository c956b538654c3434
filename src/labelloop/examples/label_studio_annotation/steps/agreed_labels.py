"""A step of this project's own: which annotations to believe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import names_of
from labelloop.steps import step
from labelloop.types import Annotation


@step
def agreed_labels(schema: LabelSchema, answers: Mapping[str, Sequence[Annotation]]) -> dict[str, list[str]]:
    """Item id -> its labels, where everybody who answered says the same; other items are left out."""
    agreed = {}
    for item, everybody in answers.items():
        said = {names_of(schema, one.regions) for one in everybody if not one.skipped}
        if len(said) == 1 and (names := said.pop()):
            agreed[item] = list(names)
    return agreed
