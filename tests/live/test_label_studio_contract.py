"""A real Label Studio keeps the annotator contract, and those of its capabilities."""

from __future__ import annotations

import pytest

from labelloop.testing import capabilities
from labelloop.testing.annotator import AnnotatorContract

pytestmark = pytest.mark.live


class TestLabelStudio(AnnotatorContract):
    """Against the server of the session."""


class TestWhatLabelStudioCan(
    capabilities.OverlappingContract,
    capabilities.PruningContract,
    capabilities.SurveyedContract,
    capabilities.RetractingContract,
    capabilities.RevealingContract,
    capabilities.OwnedContract,
    capabilities.ManagedContract,
    capabilities.SigningInContract,
    capabilities.ChangingLabelsContract,
    capabilities.NotifyingContract,
    capabilities.ModelAskingContract,
    capabilities.TaskReadingContract,
    capabilities.PictureCheckingContract,
    capabilities.HidingContract,
    capabilities.PeopledContract,
    capabilities.ReachedContract,
):
    """Against the server of the session."""
