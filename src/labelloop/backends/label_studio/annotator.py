"""Label Studio as the place where people annotate: a server labelloop manages, or someone else's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from labelloop.backends.label_studio import schema_changes
from labelloop.backends.label_studio.bounds import guarded
from labelloop.backends.label_studio.buckets import surroundings
from labelloop.backends.label_studio.callbacks import Callbacks
from labelloop.backends.label_studio.client import MOST_BYTES, checked_url
from labelloop.backends.label_studio.connection import ServerConnection
from labelloop.backends.label_studio.counts import counted
from labelloop.backends.label_studio.dataset import LabelStudioDataset
from labelloop.backends.label_studio.inspection import Inspection
from labelloop.backends.label_studio.project import Project, Visible
from labelloop.backends.label_studio.projects import check_title
from labelloop.backends.label_studio.running import Running
from labelloop.backends.label_studio.served import Root
from labelloop.backends.label_studio.server import DEFAULT_PORT, Server
from labelloop.backends.label_studio.stored_media import StoredMedia
from labelloop.backends.label_studio.templates import shipped
from labelloop.backends.label_studio.unconfirmed import UnconfirmedImports
from labelloop.backends.label_studio.way import pairs
from labelloop.data.locations import access_of
from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.protocols import ArtifactStore, Progress, SecretsManager, silent
from labelloop.types import DatasetStats, DatasetSummary, Template

_LEAST_BYTES = 10_000
_EVERYTHING = Root(Path("/"))
"""What a server serves from that an older labelloop started."""


@guarded
class LabelStudioAnnotator(Running, Inspection, Callbacks):
    """Label Studio. Without a url it is our own server, kept in the workspace and started by `up`.

    What it does is in its parts: `Running`, `Inspection`, `Callbacks`; here are its datasets.

    Args:
        home: The workspace's folder; our own server lives in `label-studio` below it.
        secrets: Holds the token of someone else's server, or keeps the credentials of ours.
        url: Someone else's server; empty for our own.
        authentication_secret: The secret with the `token` for someone else's server (a personal access token or a
            legacy one).
        port: The port of our own server, or the first free one after it.
        media_root: Our own server may show local files below it to everybody who signs in; empty, and best, for those
            that people are asked about and no others.
        hosts: More names, with commas, under which our own server may be asked for: behind a proxy.
        store: The stack's artifact store. Where it is in a bucket, objects of the bucket are shown from there.
        media_secret: The secret with which Label Studio reads the bucket; empty for the one of the store.
        ca_bundle: A file or folder of certificates (PEM) that someone else's server is trusted by; empty is the
            system's own, or what SSL_CERT_FILE, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names.
        client_certificate: The file (PEM) of a certificate that we show to it; a password of its key is the value
            `client_key_password` of the authentication secret.
        client_key: The file of its key, where that is another one.
        headers: Headers for whatever stands before it, as `Name: value; Name: {key}`, where `{key}` is a value of the
            authentication secret.
        proxy: A proxy on the way to it, as `http://HOST:PORT`; empty is the environment's.
        max_request_bytes: How large a request with many tasks or files should be at most.
    """

    def __init__(
        self,
        *,
        home: Path,
        secrets: SecretsManager,
        url: str = "",
        authentication_secret: str = "",
        port: int = DEFAULT_PORT,
        media_root: str = "",
        hosts: str = "",
        store: ArtifactStore | None = None,
        media_secret: str = "",
        ca_bundle: str = "",
        client_certificate: str = "",
        client_key: str = "",
        headers: str = "",
        proxy: str = "",
        max_request_bytes: int = MOST_BYTES,
    ) -> None:
        if max_request_bytes < _LEAST_BYTES:
            raise ConfigError(
                f"max_request_bytes is {max_request_bytes}, less than {_LEAST_BYTES}", "one task needs as much"
            )
        if not 0 < port < 65536:
            raise ConfigError(f"port is {port}, not between 1 and 65535", "choose another port")
        if url and not authentication_secret:
            raise ConfigError(
                f"the annotator at {url} has no authentication_secret",
                "labelloop secret register NAME --api_key=... and set authentication_secret = NAME",
            )
        there = checked_url(url) if url else ""
        pairs(headers)
        way = {
            "ca_bundle": ca_bundle,
            "client_certificate": client_certificate,
            "client_key": client_key,
            "headers": headers,
            "proxy": proxy,
        }
        place = (home / "label-studio").absolute()
        chosen = Path(media_root).absolute() if media_root else None
        root = Root(chosen or place / "served", linked=chosen is None)
        server = Server(place, secrets, port=port, root=root, hosts=hosts, surroundings=self._surroundings)
        connection = ServerConnection(
            there, server, secrets, authentication_secret, way=way, most_bytes=max_request_bytes
        )
        super().__init__(connection, StoredMedia(store, secrets, media_secret))
        self._titles: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"LabelStudioAnnotator({self.url or 'managed'!r})"

    @staticmethod
    def templates(progress: Progress = silent) -> Sequence[Template]:
        """The label configs that Label Studio ships; it is installed for them where it is not yet.

        Raises:
            BackendError: They cannot be read.
        """
        return shipped(progress)

    def datasets(self) -> Sequence[DatasetSummary]:
        """Every project of the server, with its counters."""
        url = self.client().url
        return [
            DatasetSummary(
                str(project["title"]),
                f"{url}/projects/{project['id']}/data",
                int(project["task_number"]),
                int(project["num_tasks_with_annotations"]),
            )
            for project in self._projects.listed("id,title,task_number,num_tasks_with_annotations")
        ]

    def open(self, name: str, schema: LabelSchema, *, create: bool = True) -> LabelStudioDataset:
        """Get the project of exactly this title; create it if it is missing and `create` allows.

        Raises:
            ConfigError: The title is too short or long, two projects bear it, its label config was changed by hand;
                or Label Studio is too old.
            NotFoundError: It is missing and `create` is False.
        """
        check_title(name)
        self.connection.check_version()
        with self.connection.writing():
            project = self._projects.opened(name, schema, create=create)
        self._projects.agree(name, schema, project)
        number = int(project["id"])
        self._projects.known.remember(name, number)
        self._titles[name] = str(project["title"])
        visible = Visible(
            str(project["model_version"] or ""), str(project["sampling"]), int(project["maximum_annotations"])
        )
        return LabelStudioDataset(self._place(name, number, schema), visible)

    def key_of(self, name: str) -> str:
        """The server, ours or the one at its address, and the project's number."""
        number = self._projects.known.of(name)
        return "" if number is None else f"{self.connection.key}:{number}"

    def title_of(self, name: str) -> str:
        """The project's title when it was opened."""
        return self._titles.get(name, name)

    def recognise(self, name: str, key: str) -> None:
        """Take the project of this key for the dataset of this name, as another machine has known it."""
        server, _, number = key.rpartition(":")
        if server == self.connection.key and self._projects.known.of(name) is None:
            self._projects.known.remember(name, int(number))

    def stats(self, name: str) -> DatasetStats:
        """Counts of the project of exactly this title, without downloading its tasks.

        Raises:
            NotFoundError: There is none.
        """
        return counted(self.client(), self._projects.existing(name))

    def page(self, name: str) -> str:
        """Where a person annotates the project of exactly this title.

        Raises:
            NotFoundError: There is none.
        """
        return f"{self.client().url}/projects/{self._projects.existing(name)}/data?labeling=1"

    def relabel(self, name: str, schema: LabelSchema, *, dry_run: bool = False) -> None:
        """Have people choose from the labels of `schema` from now on, with no guess shown; repeating changes nothing.

        What people have said stays as it is. Everything else in the label config stays, too.

        Args:
            name: The project's exact title.
            dry_run: Only ask the server whether it would take it.

        Raises:
            NotFoundError: There is no project of this title.
            ConfigError: The control is not there, or the server refuses the label config.
        """
        project = self._projects.look(self._projects.existing(name))
        if dry_run:
            schema_changes.check(self.client(), project, schema)
            return
        with self.connection.writing():
            schema_changes.change(self.client(), project, schema)

    def ask_beside(self, name: str, schema: LabelSchema) -> Sequence[str]:
        """Ask the controls beside the main one that are not asked yet; which these were. Repeating changes nothing.

        Raises:
            NotFoundError: There is no project of this title.
            ConfigError: The server refuses one.
        """
        with self.connection.writing():
            project = self._projects.look(self._projects.existing(name))
            return schema_changes.ask_beside(self.client(), project, schema)

    def delete(self, name: str) -> None:
        """Delete a project with all its annotations.

        Raises:
            NotFoundError: There is none of this title.
        """
        with self.connection.writing():
            # what people see under this title, before another that was renamed
            number = self._projects.titled(name) or self._projects.existing(name)
            self.client().call("DELETE", f"/api/projects/{number}", timeout=600.0)

    def _place(self, name: str, number: int, schema: LabelSchema) -> Project:
        connection = self.connection
        return Project(
            connection.client(),
            number,
            name,
            schema,
            UnconfirmedImports(connection.home / f"doubts-{connection.key}-{number}.json"),
            served=None if self.url else connection.server.serves() or _EVERYTHING,
            writing=connection.writing,
            bucket=self.bucket,
            access=access_of(self.media.store),
        )

    def _surroundings(self) -> Mapping[str, str]:
        bucket = self.bucket()
        return surroundings(bucket) if bucket else {}
