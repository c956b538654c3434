"""A real Label Studio keeps the annotator contract."""

from __future__ import annotations

import pytest

from labelloop.testing.annotator import AnnotatorContract

pytestmark = pytest.mark.live


class TestLabelStudio(AnnotatorContract):
    """Against the server of the session."""
