"""For whoever brings or needs an annotator: the contract, a fake with a memory, and simulated people."""

from labelloop.testing.annotator_contract import AnnotatorContract
from labelloop.testing.fake_annotator import FakeAnnotator
from labelloop.testing.fake_dataset import FakeDataset
from labelloop.testing.people import LabelStudioPerson, Person, SimulatedAnnotator

__all__ = ["AnnotatorContract", "FakeAnnotator", "FakeDataset", "LabelStudioPerson", "Person", "SimulatedAnnotator"]
