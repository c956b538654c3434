"""What each job of an annotator in Label Studio knows: the connection, the projects, and the bucket with pictures."""

from __future__ import annotations

from labelloop.backends.label_studio import calls
from labelloop.backends.label_studio.bounds import guarded
from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.connection import ServerConnection
from labelloop.backends.label_studio.projects import Projects
from labelloop.backends.label_studio.stored_media import StoredMedia
from labelloop.types import Bucket


@guarded
class ServerPart:
    """One job of an annotator.

    Attributes:
        connection: The way to the server, ours or somebody else's.
        url: Of someone else's server; empty for our own.
        media: The bucket that people are shown pictures from.
    """

    def __init__(self, connection: ServerConnection, media: StoredMedia) -> None:
        self.connection = connection
        self.url = connection.url
        self.media = media
        self._projects = Projects(connection)

    def client(self) -> Client:
        """An authenticated client of the server.

        Raises:
            BackendError: Our own server is down.
            ConfigError: The secret has no token.
            NotFoundError: There is no such secret.
        """
        return self.connection.client()

    def bucket(self) -> Bucket | None:
        """Where Label Studio may show pictures from, with the credentials of now; None without a store in a bucket.

        Raises:
            ConfigError: The secret is missing, or misses a value.
        """
        found = self.media.bucket()
        if found and not self.url:
            calls.allow_bucket(self.connection.home, found)
        return found
