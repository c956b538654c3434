"""No learner: people are asked, heard and exported, and nothing is learned from what they say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.protocols import Backbone, KindPredictor
from labelloop.types import Examples
from labelloop.types.names import named


@named("labelloop.Idle")
@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is learned: for what no learner can read or say, such as outlines in pictures, or sounds.

    Args:
        schema: What people are asked.
    """

    schema: LabelSchema

    @property
    def backbone(self) -> Backbone | None:
        """None: items are compared by the default learner's, where they can be."""
        return None

    def train(self, examples: Examples, out: Path) -> None:
        """Refused.

        Raises:
            ConfigError: Always.
        """
        raise self._nothing()

    def load(self, model: Path) -> KindPredictor:
        """Refused.

        Raises:
            ConfigError: Always.
        """
        raise self._nothing()

    def _nothing(self) -> ConfigError:
        return ConfigError(
            f"nothing is learned of {self.schema.control!r}: [learner] flavor is none",
            "name a learner under [learner], or another control with dataset.main",
        )
