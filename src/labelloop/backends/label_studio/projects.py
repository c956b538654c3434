"""The projects of a Label Studio by their titles, and by what we remember of those that people have renamed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from labelloop.backends.label_studio import tasks
from labelloop.backends.label_studio.bounds import understood
from labelloop.backends.label_studio.config import config_of, differences
from labelloop.backends.label_studio.connection import ServerConnection
from labelloop.backends.label_studio.known_projects import KnownProjects
from labelloop.backends.label_studio.tasks import IN_ORDER, UID
from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.kinds import LabelSchema

_SHORTEST, _LONGEST = 3, 50
_MOST_PROJECTS = 100_000
_FIELDS = "id,title,label_config,parsed_label_config,model_version,maximum_annotations,sampling"


class Projects:
    """What is there under which title.

    Args:
        connection: The server.

    Attributes:
        known: Which project a dataset was when it was opened.
    """

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self.known = KnownProjects(connection.home / f"projects-{connection.key}.json")

    def listed(self, fields: str, title: str = "") -> list[Mapping[str, Any]]:
        """Every project, or those whose title contains `title`."""
        client = self._connection.client()
        found: list[Mapping[str, Any]] = []
        query: dict[str, Any] = {"include": fields, "page_size": 100, "page": 1}
        if title:
            query["title"] = title
        while True:
            answer = client.call("GET", "/api/projects", query=query)
            with understood(client.url):
                page = list(answer["results"])
                goes_on = bool(answer.get("next"))
            found += page
            if not goes_on or not page:
                return found
            if len(found) > _MOST_PROJECTS:
                raise BackendError(
                    f"Label Studio at {client.url} lists more than {_MOST_PROJECTS:,} projects, without an end",
                    "check the annotator's url",
                )
            query["page"] += 1

    def look(self, number: int) -> Mapping[str, Any]:
        """What is asked in a project; without its counters, which are slow in a large one."""
        found: Mapping[str, Any] = self._connection.client().call(
            "GET", f"/api/projects/{number}", query={"include": _FIELDS}
        )
        return found

    def find(self, name: str) -> int | None:
        """The project that was opened under this title, or else bears it."""
        return self._remembered(name) or self.titled(name)

    def existing(self, name: str) -> int:
        """The project that was opened under this title, or else bears it.

        Raises:
            NotFoundError: There is none.
        """
        number = self.find(name)
        if number is None:
            known = [str(one["title"]) for one in self.listed("title")]
            near = [repr(one) for one in difflib.get_close_matches(name, known, n=3)]
            meant = f"did you mean {' or '.join(near)}? " if near else ""
            raise NotFoundError(
                f"dataset {name!r} does not exist at {self._connection.client().url}",
                f"{meant}labelloop annotator dataset list",
            )
        return number

    def titled(self, name: str) -> int | None:
        """Label Studio's id of the project of exactly this title.

        Raises:
            ConfigError: Several bear it.
        """
        numbers = [int(project["id"]) for project in self.listed("id,title", name) if project["title"] == name]
        if len(numbers) > 1:
            raise ConfigError(
                f"{len(numbers)} projects at {self._connection.client().url} are called {name!r}: {numbers}",
                "rename all but one of them in Label Studio",
            )
        return numbers[0] if numbers else None

    def opened(self, name: str, schema: LabelSchema, *, create: bool) -> Mapping[str, Any]:
        """The project of this dataset, made if it is missing and `create` allows.

        Raises:
            NotFoundError: It is missing, or gone while another one was made under its title.
        """
        number = self.find(name)
        if number is not None and not create:
            self._refuse_another(name, number)
        if number is None and not create:
            raise NotFoundError(f"dataset {name!r} does not exist at {self._connection.client().url}", "check the name")
        return self._create(name, schema) if number is None else self.look(number)

    def agree(self, name: str, schema: LabelSchema, project: Mapping[str, Any]) -> None:
        """The project must ask what the schema says.

        Raises:
            ConfigError: Its label config was changed by hand.
        """
        differing = differences(schema, project)
        if differing:
            raise ConfigError(
                f"the label config of {name!r} in Label Studio is not what labelloop.toml says: {'; '.join(differing)}",
                "labelloop doctor --repair brings labelloop.toml's back; or undo it at"
                f" {self._connection.client().url}/projects/{project['id']}/settings/labeling; labelloop labels changes"
                " them in both places",
            )

    def _remembered(self, name: str) -> int | None:
        """The project that bore this title when it was opened, if it is there, whatever its title now."""
        number = self.known.of(name)
        if number is None:
            return None
        try:
            return int(self.look(number)["id"])
        except NotFoundError:
            return None

    def _refuse_another(self, name: str, number: int) -> None:
        """Go on only in the project that this dataset was, or in one with tasks of ours, as a restored one has.

        Raises:
            NotFoundError: It is another one, which was made under the same title.
        """
        known, client = self.known.of(name), self._connection.client()
        if known in (None, number):
            return
        first, _ = tasks.page(client, number, [], "id,data", 100)
        if any(UID in row["data"] for row in first):
            return
        raise NotFoundError(
            f"dataset {name!r} (project {known}) is gone from {client.url}; project {number} bears its title"
            " now, and is another one",
            "restore the project in Label Studio",
        )

    def _create(self, name: str, schema: LabelSchema) -> Mapping[str, Any]:
        created: Mapping[str, Any] = self._connection.client().call(
            "POST",
            "/api/projects",
            body={
                "title": name,
                "description": schema.instruction,
                "label_config": config_of(schema),
                "sampling": IN_ORDER,  # until there is a model, in the order asked, which mixes useful and blind ones
                "show_collab_predictions": True,
            },
        )
        return created


def check_title(name: str) -> None:
    """Refuse what Label Studio takes for no title.

    Raises:
        ConfigError: It is too short or long, or has spaces around.
    """
    if not _SHORTEST <= len(name) <= _LONGEST or name != name.strip():
        raise ConfigError(
            f"dataset name {name!r} has {len(name)} characters; Label Studio takes {_SHORTEST} to {_LONGEST},"
            " without spaces around",
            "choose another dataset name",
        )
