"""The stores in buckets keep the contract on each cloud's own protocol."""

from __future__ import annotations

import pytest

from labelloop.backends.azure_store import AzureArtifactStore
from labelloop.backends.gcp_store import GCPArtifactStore
from labelloop.backends.s3_store import S3ArtifactStore
from labelloop.testing.stores import BucketStoreContract

from support import clouds
from support.emulators import Emulator


class TestS3ArtifactStore(BucketStoreContract):
    @pytest.fixture
    def store(self, s3_server: Emulator) -> S3ArtifactStore:
        return clouds.s3_store(s3_server)


class TestGCPArtifactStore(BucketStoreContract):
    @pytest.fixture
    def store(self, gcs_server: Emulator) -> GCPArtifactStore:
        return clouds.gcp_store(gcs_server)


class TestAzureArtifactStore(BucketStoreContract):
    @pytest.fixture
    def store(self, azure_server: Emulator) -> AzureArtifactStore:
        return clouds.azure_store(azure_server)
