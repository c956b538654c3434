"""A real Label Studio keeps the annotator contract, and those of its capabilities."""

from __future__ import annotations

import pytest

from labelloop.testing.annotator import AnnotatorContract

from support.every_capability import EveryCapabilityContract

pytestmark = pytest.mark.live


class TestLabelStudio(AnnotatorContract):
    """Against the server of the session."""


class TestWhatLabelStudioCan(EveryCapabilityContract):
    """Against the server of the session."""
