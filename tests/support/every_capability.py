"""What Label Studio can beyond the contract of an annotator, as one contract."""

from __future__ import annotations

from labelloop.testing import capabilities


class EveryCapabilityContract(
    capabilities.OverlappingContract,
    capabilities.PruningContract,
    capabilities.SurveyedContract,
    capabilities.RetractingContract,
    capabilities.RevealingContract,
    capabilities.OwnedContract,
    capabilities.RecognisingContract,
    capabilities.ManagedContract,
    capabilities.SigningInContract,
    capabilities.ChangingLabelsContract,
    capabilities.AskingBesideContract,
    capabilities.NotifyingContract,
    capabilities.ModelAskingContract,
    capabilities.TaskReadingContract,
    capabilities.PictureCheckingContract,
    capabilities.HidingContract,
    capabilities.TemplatingContract,
    capabilities.PeopledContract,
    capabilities.ReachedContract,
):
    """Each capability that is declared for annotators and datasets."""
