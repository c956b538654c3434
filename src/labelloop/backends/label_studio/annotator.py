"""Label Studio as the place where people annotate: a server labelloop manages, or someone else's."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any, cast

from labelloop.backends.label_studio import calls, hooks, ml, relabelling, tasks
from labelloop.backends.label_studio.bounds import guarded, understood
from labelloop.backends.label_studio.buckets import surroundings, with_secret
from labelloop.backends.label_studio.client import MOST_BYTES, Client, checked_url
from labelloop.backends.label_studio.config import config_of, differences, object_name
from labelloop.backends.label_studio.counts import counted
from labelloop.backends.label_studio.dataset import LabelStudioDataset
from labelloop.backends.label_studio.display import SHOWS
from labelloop.backends.label_studio.doubts import UnconfirmedImports
from labelloop.backends.label_studio.environment import (
    DEFAULT_VERSION,
    ensure_environment,
    ensure_template,
    is_there,
)
from labelloop.backends.label_studio.known_projects import KnownProjects
from labelloop.backends.label_studio.loads import come_through
from labelloop.backends.label_studio.locks import locked
from labelloop.backends.label_studio.members import everybody
from labelloop.backends.label_studio.probe import look, looked_at, rehearse
from labelloop.backends.label_studio.project import Project, Visible
from labelloop.backends.label_studio.served import Root
from labelloop.backends.label_studio.server import DEFAULT_PORT, Server
from labelloop.backends.label_studio.signin import signed_in_link
from labelloop.backends.label_studio.tasks import IN_ORDER, UID
from labelloop.backends.label_studio.way import pairs, road_of
from labelloop.data.locations import access_of
from labelloop.errors import BackendError, ConfigError, LabelLoopError, NoSecretError, NotFoundError
from labelloop.machine.road import Road
from labelloop.protocols import ArtifactStore, BucketStore, Progress, SecretsManager, silent
from labelloop.types import AnnotatorState, Bucket, DatasetStats, DatasetSummary, Item, LabelSchema

_FLAVOR = "label_studio"
_TOKEN_KEYS = ("token", "api_key")
_SHORTEST, _LONGEST = 3, 50
_LEAST_BYTES = 10_000
_MOST_PROJECTS = 100_000
_PROJECT_FIELDS = "id,title,label_config,parsed_label_config,model_version,maximum_annotations,sampling"
_EVERYTHING = Root(Path("/"))
"""What a server serves from that an older labelloop started."""
OLDEST = (1, 18)
"""The oldest release whose source has all that labelloop asks for: personal tokens, and the page that signs links."""


@guarded
class LabelStudioAnnotator:
    """Label Studio. Without a url it is our own server, kept in the workspace and started by `up`.

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
        self.url = checked_url(url) if url else ""
        self._home = (home / "label-studio").absolute()
        self._secrets = secrets
        self._secret = authentication_secret
        chosen = Path(media_root).absolute() if media_root else None
        root = Root(chosen or self._home / "served", linked=chosen is None)
        self._store = store
        self._media_secret = media_secret
        self._way = {
            "ca_bundle": ca_bundle,
            "client_certificate": client_certificate,
            "client_key": client_key,
            "headers": headers,
            "proxy": proxy,
        }
        pairs(headers)
        self._most_bytes = max_request_bytes
        self._server = Server(self._home, secrets, port=port, root=root, hosts=hosts, surroundings=self._surroundings)
        self._client: Client | None = None
        self._checked = False
        self._titles: dict[str, str] = {}
        self._known = KnownProjects(self._home / f"projects-{self._key()}.json")

    def __repr__(self) -> str:
        return f"LabelStudioAnnotator({self.url or 'managed'!r})"

    @staticmethod
    def is_installed() -> bool:
        """Whether there is a Label Studio for a server of our own."""
        return is_there()

    @staticmethod
    def install(progress: Progress = silent) -> None:
        """Install Label Studio for servers of our own, once per user. Safe to repeat.

        Raises:
            ConfigError: LABELLOOP_LABEL_STUDIO_ENV names no environment with Label Studio.
            BackendError: The installation failed.
        """
        ensure_template(ensure_environment(progress=progress), progress=progress)

    def up(self, progress: Progress = silent) -> AnnotatorState:
        """Start our own server if it is down; nothing to do for someone else's."""
        if not self.url:
            self._server.up(progress)
        return self.describe()

    def down(self, progress: Progress = silent) -> bool:
        """Stop our own server; whether it was running. Someone else's is left alone."""
        if self.url or self._server.state() is None:
            return False
        self._server.down(progress)
        return True

    def login(self) -> tuple[str, str]:
        """Email and password for the browser on our own server; empty for someone else's."""
        if self.url:
            return "", ""
        kept = self._server.credentials()
        return kept["email"], kept["password"]

    def client(self) -> Client:
        """An authenticated client of the server.

        Raises:
            BackendError: Our own server is down.
            ConfigError: The secret has no token.
            NotFoundError: There is no such secret.
        """
        url = self.url or self._managed_url()
        if self._client is None or self._client.url != url:
            token, replacing = self._credentials()
            self._client = Client(
                url,
                token,
                remedy=lambda page: f"copy a token from {page}, then {replacing}" if self.url else replacing,
                road=self._road(),
                most_bytes=self._most_bytes,
            )
        return self._client

    def _road(self) -> Road:
        return road_of(lambda: self._secrets.get(self._secret), **self._way) if self.url else Road()

    def describe(self) -> AnnotatorState:
        """Whether Label Studio is up and lets us in."""
        running = None if self.url else self._server.state()
        url = self.url or (running.url if running else "")
        if not url:
            return AnnotatorState(_FLAVOR, "", "down", detail="it is not running")
        try:
            version = Client(url, "", road=self._road()).version()
            if is_older(version):
                error = _outdated(url, version)
                return AnnotatorState(_FLAVOR, url, "outdated", version, detail=error.message, hint=error.hint)
        except LabelLoopError as error:
            return AnnotatorState(_FLAVOR, url, "down", detail=error.message, hint=error.hint)
        try:
            self.client().whoami()
            return AnnotatorState(_FLAVOR, url, "up", version, len(self._projects("id")))
        except ConfigError as error:
            return AnnotatorState(_FLAVOR, url, "unauthorised", version, detail=error.message, hint=error.hint)
        except BackendError as error:
            return AnnotatorState(_FLAVOR, url, "down", version, detail=error.message, hint=error.hint)

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
            for project in self._projects("id,title,task_number,num_tasks_with_annotations")
        ]

    def open(self, name: str, schema: LabelSchema, *, create: bool = True) -> LabelStudioDataset:
        """Get the project of exactly this title; create it if it is missing and `create` allows.

        Raises:
            ConfigError: The title is too short or long, two projects bear it, its label config was changed by hand;
                or Label Studio is too old.
            NotFoundError: It is missing and `create` is False.
        """
        if not _SHORTEST <= len(name) <= _LONGEST or name != name.strip():
            raise ConfigError(
                f"dataset name {name!r} has {len(name)} characters; Label Studio takes {_SHORTEST} to {_LONGEST},"
                " without spaces around",
                "choose another dataset name",
            )
        self._check_version()
        with self._writing():
            number = self._remembered(name) or self._number(name)
            if number is not None and not create:
                self._refuse_another(name, number)
            if number is None and not create:
                raise NotFoundError(f"dataset {name!r} does not exist at {self.client().url}", "check the name")
            project = self._create(name, schema) if number is None else self._project(number)
        self._agree(name, schema, project)
        number = int(project["id"])
        self._known.remember(name, number)
        self._titles[name] = str(project["title"])
        root, access = None if self.url else self._server.serves() or _EVERYTHING, access_of(self._store)
        doubts = UnconfirmedImports(self._home / f"doubts-{self._key()}-{number}.json")
        place = Project(self.client(), number, name, schema, doubts, root, self._writing, self.bucket, access)
        version, sampling = str(project["model_version"] or ""), str(project["sampling"])
        return LabelStudioDataset(place, Visible(version, sampling, int(project["maximum_annotations"])))

    def key_of(self, name: str) -> str:
        """The server, ours or the one at its address, and the project's number."""
        number = self._known.of(name)
        return "" if number is None else f"{self._key()}:{number}"

    def title_of(self, name: str) -> str:
        """The project's title when it was opened."""
        return self._titles.get(name, name)

    def recognise(self, name: str, key: str) -> None:
        """Take the project of this key for the dataset of this name, as another machine has known it."""
        server, _, number = key.rpartition(":")
        if server == self._key() and self._known.of(name) is None:
            self._known.remember(name, int(number))

    def exposed(self) -> tuple[str, str]:
        """What somebody else with an account gets that she should not, and the way out; or nothing.

        Raises:
            BackendError: Our own server does not answer.
        """
        if self.url:
            return self._exposed_elsewhere()
        root = self._server.serves()
        if (root is not None and root.linked) or self.people() <= 1:
            return "", ""
        if root is None:
            words = (
                "an older labelloop started this Label Studio: they can read every file of yours, and call the network"
            )
            return words, "labelloop stack down, then labelloop stack up"
        words = f"they can read every file below media_root = {str(root.path)!r}"
        return words, "take media_root out of labelloop.toml, then labelloop stack down and labelloop stack up"

    def comes_through(self) -> tuple[str, str]:
        """What comes through to someone else's server of what a tick sends, and what to set where not all does.

        Raises:
            ConfigError, BackendError: A shape of request is refused on the way.
        """
        return come_through(self.client()) if self.url else ("", "")

    def _exposed_elsewhere(self) -> tuple[str, str]:
        """What the open edition gives everybody; nothing where we may not count them: a server with roles."""
        try:
            others = self.people() - 1
        except LabelLoopError:
            return "", ""
        if others < 1:
            return "", ""
        words = f"each of the {others} can see and delete every project there, and answer in another's name"
        return words, "have it backed up, and set loop.ground_truth_by to whose word counts"

    def people(self) -> int:
        """How many people have an account, and are members."""
        return len(everybody(self.client()))

    def stats(self, name: str) -> DatasetStats:
        """Counts of the project of exactly this title, without downloading its tasks.

        Raises:
            NotFoundError: There is none.
        """
        return counted(self.client(), self._existing(name))

    def bucket(self) -> Bucket | None:
        """Where Label Studio may show pictures from, with the credentials of now; None without a store in a bucket.

        Raises:
            ConfigError: The secret is missing, or misses a value.
        """
        if not hasattr(self._store, "bucket"):
            return None
        found = cast(BucketStore, self._store).bucket()
        if self._media_secret:
            found = with_secret(found, self._media_secret, self._secret_values(self._media_secret))
        if not self.url:
            calls.allow_bucket(self._home, found)
        return found

    def page(self, name: str) -> str:
        """Where a person annotates the project of exactly this title.

        Raises:
            NotFoundError: There is none.
        """
        return f"{self.client().url}/projects/{self._existing(name)}/data?labeling=1"

    def look(self, name: str) -> str:
        """What a browser gets for a picture of this dataset that lies in the bucket, in words; empty without a bucket.

        Raises:
            BackendError: It gets nothing.
            ConfigError: It would not show it.
        """
        bucket = self.bucket()
        if bucket is None:
            return ""
        number = self._remembered(name) or self._number(name)
        seen = look(self.client(), number, bucket) if number else ""
        return seen or rehearse(self.client(), bucket, self._store)

    def looked_at(self, name: str) -> Sequence[tuple[bool, str, str]]:
        """What a browser gets of one picture of each sort that was asked about: (whether it is shown, words, hint).

        Raises:
            BackendError: The server does not answer.
        """
        number = self._remembered(name) or self._number(name)
        return looked_at(self.client(), number) if number else ()

    def hides_predictions(self, name: str) -> bool:
        """Whether the project of this title keeps people from seeing predictions; not where there is none.

        Raises:
            BackendError: The server does not answer.
        """
        number = self._remembered(name) or self._number(name)
        if number is None:
            return False
        return (
            not self.client().call("GET", f"/api/projects/{number}", query={"include": f"id,{SHOWS}"}).get(SHOWS, True)
        )

    def subscribe(self, name: str, url: str, headers: Mapping[str, str]) -> None:
        """Have Label Studio call `url` when people answer in the project of exactly this title.

        Raises:
            NotFoundError: There is none.
            ConfigError: The server refuses to call this address.
        """
        if not self.url:
            calls.allow(self._home, [url])
        with self._writing():
            hooks.subscribe(self.client(), self._existing(name), url, headers)

    def unsubscribe(self, name: str, path: str) -> int:
        """Have Label Studio call no more addresses of this path; how many it had called.

        Raises:
            NotFoundError: There is no project of this title.
        """
        with self._writing():
            removed = hooks.unsubscribe(self.client(), self._existing(name), path)
        if not self.url:
            calls.forbid_path(self._home, path)
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
            calls.allow(self._home, calls.backend(url))
        with self._writing():
            ml.connect(self.client(), self._existing(name), url, user, version)

    def disconnect(self, name: str, url: str) -> int:
        """Have Label Studio ask that ML backend no more; how many connections that removed.

        Raises:
            NotFoundError: There is no project of this title.
        """
        with self._writing():
            removed = ml.disconnect(self.client(), self._existing(name), url)
        if not self.url:
            calls.forbid(self._home, calls.backend(url))
        return removed

    def item_of(self, task: Mapping[str, Any], schema: LabelSchema) -> Item:
        """The item that a task of ours, or of anybody, shows; its id is empty where it is not one of ours."""
        value = str(task.get(object_name(schema), ""))
        text = value if schema.modality == "text" else ""
        return Item(str(task.get(UID, "")), schema.modality, uri="" if text else value, text=text)

    def fetch(self, item: Item) -> bytes:
        """The picture of a task that somebody else made, from Label Studio itself; no other address is asked.

        Raises:
            BadItemError: It lies elsewhere, or is too large.
            NotFoundError: Label Studio does not have it.
        """
        return self.client().download(item.uri)

    @contextmanager
    def signed_in(self, page: str) -> Iterator[tuple[str, Event]]:
        """A one-time address of `page` that signs the browser in on our own server, and the event of its use.

        On someone else's server it is the page itself: people sign in there as they are used to.
        """
        if self.url:
            yield page, Event()
            return
        with signed_in_link(page, *self.login()) as link:
            yield link

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
        project = self._project(self._existing(name))
        if dry_run:
            relabelling.check(self.client(), project, schema)
            return
        with self._writing():
            relabelling.relabel(self.client(), project, schema)

    def delete(self, name: str) -> None:
        """Delete a project with all its annotations.

        Raises:
            NotFoundError: There is none of this title.
        """
        with self._writing():
            number = self._number(name) or self._existing(name)  # what people see under this title, before another
            self.client().call("DELETE", f"/api/projects/{number}", timeout=600.0)

    def _surroundings(self) -> Mapping[str, str]:
        bucket = self.bucket()
        return surroundings(bucket) if bucket else {}

    def _managed_url(self) -> str:
        running = self._server.state()
        if running is None:
            raise BackendError("Label Studio is not running", "labelloop stack up", retryable=True)
        return running.url

    def _check_version(self) -> None:
        """Once per server, and not our own, whose version is ours to choose."""
        if self.url and not self._checked:
            version = self.client().version()
            if is_older(version):
                raise _outdated(self.url, version)
            self._checked = True

    def _credentials(self) -> tuple[str, str]:
        """The token, and the command that replaces it."""
        if not self.url:
            return self._server.credentials()["token"], "labelloop stack up"
        values = self._secret_values(self._secret)
        for key in _TOKEN_KEYS:
            if values.get(key):
                return values[key], f"labelloop secret update {self._secret} --{key}=..."
        raise ConfigError(
            f"secret {self._secret!r} has no token; it has {', '.join(sorted(values)) or 'nothing'}",
            f"labelloop secret update {self._secret} --api_key=...",
        )

    def _secret_values(self, name: str) -> Mapping[str, str]:
        try:
            return self._secrets.get(name)
        except NotFoundError as error:
            raise NoSecretError(error.message, error.hint) from error

    def _projects(self, fields: str, title: str = "") -> list[Mapping[str, Any]]:
        """Every project, or those whose title contains `title`."""
        found: list[Mapping[str, Any]] = []
        query: dict[str, Any] = {"include": fields, "page_size": 100, "page": 1}
        if title:
            query["title"] = title
        while True:
            answer = self.client().call("GET", "/api/projects", query=query)
            with understood(self.client().url):
                page = list(answer["results"])
                goes_on = bool(answer.get("next"))
            found += page
            if not goes_on or not page:
                return found
            if len(found) > _MOST_PROJECTS:
                raise BackendError(
                    f"Label Studio at {self.client().url} lists more than {_MOST_PROJECTS:,} projects, without an end",
                    "check the annotator's url",
                )
            query["page"] += 1

    def _remembered(self, name: str) -> int | None:
        """The project that bore this title when it was opened, if it is there, whatever its title now."""
        number = self._known.of(name)
        if number is None:
            return None
        try:
            return int(self._project(number)["id"])
        except NotFoundError:
            return None

    def _refuse_another(self, name: str, number: int) -> None:
        """Go on only in the project that this dataset was, or in one with tasks of ours, as a restored one has.

        Raises:
            NotFoundError: It is another one, which was made under the same title.
        """
        known = self._known.of(name)
        if known in (None, number):
            return
        first, _ = tasks.page(self.client(), number, [], "id,data", 100)
        if any(UID in row["data"] for row in first):
            return
        raise NotFoundError(
            f"dataset {name!r} (project {known}) is gone from {self.client().url}; project {number} bears its title"
            " now, and is another one",
            "restore the project in Label Studio",
        )

    def _existing(self, name: str) -> int:
        number = self._remembered(name) or self._number(name)
        if number is None:
            known = [str(one["title"]) for one in self._projects("title")]
            near = [repr(one) for one in difflib.get_close_matches(name, known, n=3)]
            meant = f"did you mean {' or '.join(near)}? " if near else ""
            raise NotFoundError(
                f"dataset {name!r} does not exist at {self.client().url}", f"{meant}labelloop annotator dataset list"
            )
        return number

    def _number(self, name: str) -> int | None:
        """Label Studio's id of the project of exactly this title."""
        numbers = [int(project["id"]) for project in self._projects("id,title", name) if project["title"] == name]
        if len(numbers) > 1:
            raise ConfigError(
                f"{len(numbers)} projects at {self.client().url} are called {name!r}: {numbers}",
                "rename all but one of them in Label Studio",
            )
        return numbers[0] if numbers else None

    def _project(self, number: int) -> Mapping[str, Any]:
        """What is asked in a project; without its counters, which are slow in a large one."""
        found: Mapping[str, Any] = self.client().call(
            "GET", f"/api/projects/{number}", query={"include": _PROJECT_FIELDS}
        )
        return found

    def _create(self, name: str, schema: LabelSchema) -> Mapping[str, Any]:
        created: Mapping[str, Any] = self.client().call(
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

    def _agree(self, name: str, schema: LabelSchema, project: Mapping[str, Any]) -> None:
        differing = differences(schema, project)
        if differing:
            raise ConfigError(
                f"the label config of {name!r} in Label Studio was changed: {'; '.join(differing)}",
                f"labelloop doctor --repair brings labelloop.toml's back; or undo it at {self.client().url}/projects/"
                f"{project['id']}/settings/labeling; labelloop labels changes them in both places",
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with locked(self._home / f"writing-{self._key()}.lock", "writes to Label Studio", silent):
            yield

    def _key(self) -> str:
        return sha256(self.url.encode()).hexdigest()[:8] if self.url else "own"


def is_older(version: str) -> bool:
    """Whether a release is older than the oldest that will do; one that cannot be read is not."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) < OLDEST


def _outdated(url: str, version: str) -> ConfigError:
    oldest = ".".join(map(str, OLDEST))
    return ConfigError(
        f"Label Studio at {url} is version {version}; labelloop needs {oldest} or newer",
        f"upgrade that server, best to {DEFAULT_VERSION}, which labelloop is tested with:"
        f" pip install label-studio=={DEFAULT_VERSION}",
    )
