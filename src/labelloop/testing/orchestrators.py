"""What every orchestrator must do, and the memory that runs remember by in tests."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from labelloop.errors import ConfigError
from labelloop.protocols import Orchestrator

PATIENCE = 60


@dataclass
class DictMemory:
    """What was executed before, in a dict.

    Attributes:
        refs: Key -> reference.
        steps: The names of what was remembered, in order.
    """

    refs: dict[str, str] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)

    def recall(self, key: str) -> str | None:
        """The reference of an earlier result."""
        return self.refs.get(key)

    def remember(self, key: str, *, step: str, ref: str, seconds: float) -> None:
        """Keep the reference of a result."""
        self.refs[key] = ref
        self.steps.append(step)


def repeat(word: str, times: int = 2) -> str:
    """Work to submit."""
    return word * times


def refuse(value: str) -> None:
    """Work that fails on purpose."""
    raise ConfigError(f"{value!r} is refused", "try another")


class OrchestratorContract:
    """Subclass it, with a fixture `orchestrator`. What is submitted is picklable."""

    def test_a_result_arrives(self, orchestrator: Orchestrator) -> None:
        assert orchestrator.submit(repeat, "ab").result(PATIENCE) == "abab"

    def test_keywords_arrive(self, orchestrator: Orchestrator) -> None:
        assert orchestrator.submit(repeat, "ab", times=3).result(PATIENCE) == "ababab"

    def test_an_error_arrives_as_it_was_raised(self, orchestrator: Orchestrator) -> None:
        future = orchestrator.submit(refuse, "this")

        with pytest.raises(ConfigError, match="'this' is refused") as caught:
            future.result(PATIENCE)

        assert caught.value.hint == "try another"

    def test_an_error_does_not_stop_what_follows(self, orchestrator: Orchestrator) -> None:
        failed = orchestrator.submit(refuse, "this")
        followed = orchestrator.submit(repeat, "ab")

        assert failed.exception(PATIENCE) is not None
        assert followed.result(PATIENCE) == "abab"

    def test_many_results_arrive_each_at_its_future(self, orchestrator: Orchestrator) -> None:
        futures = [orchestrator.submit(repeat, "a", n) for n in range(50)]

        assert [future.result(PATIENCE) for future in futures] == ["a" * n for n in range(50)]
