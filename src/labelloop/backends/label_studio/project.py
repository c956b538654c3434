"""One project of Label Studio: which it is, what is asked, how its server is treated, what people see of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.members import Members
from labelloop.backends.label_studio.served import Root
from labelloop.backends.label_studio.tasks import IN_ORDER
from labelloop.backends.label_studio.unconfirmed import UnconfirmedImports
from labelloop.data.locations import ALONE, Access
from labelloop.errors import NotFoundError
from labelloop.kinds import LabelSchema
from labelloop.types import Bucket


@dataclass(frozen=True, slots=True)
class Project:
    """Which project this is, what is asked in it, and how we may treat its server.

    Attributes:
        number: Label Studio's id of the project.
        name: The dataset that it is.
        schema: What people are asked.
        unconfirmed: Remembers imports whose outcome is unknown.
        served: Below it the server may show our local files; None when it cannot see them.
        writing: Serialises writes of all processes; Label Studio on SQLite stalls on concurrent ones.
        bucket: Where pictures can be shown from, with the credentials of now.
        access: How pictures that are uploaded are read.
        page_size: The most tasks per page of answers.
        clock: The time, for tests.
    """

    client: Client
    number: int
    name: str
    schema: LabelSchema
    unconfirmed: UnconfirmedImports
    served: Root | None
    writing: Callable[[], AbstractContextManager[None]]
    bucket: Callable[[], Bucket | None] = lambda: None
    access: Access = ALONE
    page_size: int = 500
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def path(self) -> str:
        """Where the API has the project."""
        return f"/api/projects/{self.number}"

    def look(self, fields: str) -> Mapping[str, Any]:
        """These of its settings and counters."""
        found: Mapping[str, Any] = self.client.call("GET", self.path, query={"include": f"id,{fields}"})
        return found

    @contextmanager
    def there(self) -> Iterator[None]:
        """While something is done in it that fails where it is gone.

        Raises:
            NotFoundError: It was deleted.
        """
        try:
            yield
        except NotFoundError as error:
            raise NotFoundError(
                f"dataset {self.name!r} (project {self.number}) is gone from {self.client.url}",
                "restore the project in Label Studio, or choose another dataset name",
            ) from error


@dataclass(slots=True)
class Visible:
    """What people see of a project, as far as we know.

    Attributes:
        version: The model version whose predictions they see.
        sampling: What the label stream goes by.
        people: How many people each task is shown to.
        hides: Whether they see no predictions.
        size: How many tasks there are; None where nobody has looked.
    """

    version: str = ""
    sampling: str = IN_ORDER
    people: int = 1
    hides: bool = False
    size: int | None = None


class ProjectPart:
    """One job of a dataset in Label Studio: what each of them knows.

    Attributes:
        place: The project.
    """

    def __init__(self, place: Project, visible: Visible) -> None:
        self.place = place
        self._visible = visible
        self._members = Members(place.client)
