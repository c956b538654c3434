"""The bucket of the artifact store, from which Label Studio may show pictures, with the credentials that it gets."""

from __future__ import annotations

from typing import cast

from labelloop.backends.label_studio.buckets import with_secret
from labelloop.backends.label_studio.connection import values_of
from labelloop.protocols import ArtifactStore, BucketStore, SecretsManager
from labelloop.types import Bucket


class StoredMedia:
    """Where pictures lie that people are shown from the artifact store.

    Args:
        store: The stack's artifact store, if there is one.
        secrets: Holds the secret.
        secret: With it Label Studio reads the bucket; empty for the one of the store.
    """

    def __init__(self, store: ArtifactStore | None, secrets: SecretsManager, secret: str) -> None:
        self.store = store
        self._secrets = secrets
        self._secret = secret

    def bucket(self) -> Bucket | None:
        """The bucket, with the credentials of now; None without a store in a bucket.

        Raises:
            ConfigError: The secret is missing, or misses a value.
        """
        if not hasattr(self.store, "bucket"):
            return None
        found = cast(BucketStore, self.store).bucket()
        return with_secret(found, self._secret, values_of(self._secrets, self._secret)) if self._secret else found
