"""Label Studio calls us: when people have answered, and for predictions; what it shows us then is read as items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.backends.label_studio import calls, hooks, ml
from labelloop.backends.label_studio.bounds import guarded
from labelloop.backends.label_studio.config import misfits
from labelloop.backends.label_studio.server_part import ServerPart
from labelloop.backends.label_studio.tasks import UID
from labelloop.kinds import LabelSchema
from labelloop.kinds.label_config import text_in
from labelloop.kinds.task_data import object_name
from labelloop.types import Item


@guarded
class Callbacks(ServerPart):
    """The addresses that Label Studio calls."""

    def subscribe(self, name: str, url: str, headers: Mapping[str, str]) -> None:
        """Have Label Studio call `url` when people answer in the project of exactly this title.

        Raises:
            NotFoundError: There is none.
            ConfigError: The server refuses to call this address.
        """
        if not self.url:
            calls.allow(self.connection.home, [url])
        with self.connection.writing():
            hooks.subscribe(self.client(), self._projects.existing(name), url, headers)

    def unsubscribe(self, name: str, path: str) -> int:
        """Have Label Studio call no more addresses of this path; how many it had called.

        Raises:
            NotFoundError: There is no project of this title.
        """
        with self.connection.writing():
            removed = hooks.unsubscribe(self.client(), self._projects.existing(name), path)
        if not self.url:
            calls.forbid_path(self.connection.home, path)
        return removed

    def connect(self, name: str, url: str, user: tuple[str, str], version: str) -> None:
        """Have Label Studio ask the ML backend at `url` about tasks without a prediction; repeating changes nothing.

        Args:
            name: The project's exact title.
            user: Name and password for the backend.
            version: The model version whose predictions annotators should go on seeing.

        Raises:
            NotFoundError: There is no project of this title.
            ConfigError: The server refuses to call this address.
            BackendError: The backend does not answer Label Studio.
        """
        if not self.url:
            calls.allow(self.connection.home, calls.backend(url))
        with self.connection.writing():
            ml.connect(self.client(), self._projects.existing(name), url, user, version)

    def disconnect(self, name: str, url: str) -> int:
        """Have Label Studio ask that ML backend no more; how many connections that removed.

        Raises:
            NotFoundError: There is no project of this title.
        """
        with self.connection.writing():
            removed = ml.disconnect(self.client(), self._projects.existing(name), url)
        if not self.url:
            calls.forbid(self.connection.home, calls.backend(url))
        return removed

    def item_of(self, task: Mapping[str, Any], schema: LabelSchema) -> Item:
        """The item that a task of ours, or of anybody, shows; its id is empty where it is not one of ours."""
        value = str(task.get(object_name(schema), ""))
        text = value if schema.modality == "text" else ""
        if schema.own is not None and text:
            text = "\n\n".join(text_in(task.get(column)) for column in schema.own.item)
        return Item(str(task.get(UID, "")), schema.modality, uri="" if text else value, text=text)

    def misfits(self, config: str, schema: LabelSchema) -> Sequence[str]:
        """Why predictions cannot be shown with a label config that the server sent along; empty when they can."""
        return misfits(schema, config)

    def fetch(self, item: Item) -> bytes:
        """The picture of a task that somebody else made, from Label Studio itself; no other address is asked.

        Raises:
            BadItemError: It lies elsewhere, or is too large.
            NotFoundError: Label Studio does not have it.
        """
        return self.client().download(item.uri)
