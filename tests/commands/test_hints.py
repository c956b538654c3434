"""Hints are registered where that is possible, once, with a secret of their own; where it is not, the loop goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from labelloop.backends.env_secrets import EnvSecretsManager
from labelloop.commands import hints
from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.testing.secrets import MemorySecrets

from support.small_world import NAME, World


@dataclass
class Subscribed:
    """An annotator that sends hints, or says why not."""

    refusal: Exception | None = None
    hooks: dict[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)

    def subscribe(self, name: str, url: str, headers: Mapping[str, str]) -> None:
        """Remember one hook by dataset."""
        if self.refusal:
            raise self.refusal
        self.hooks[name] = (url, headers)

    def unsubscribe(self, name: str, path: str) -> int:
        """Forget it."""
        if self.refusal:
            raise self.refusal
        return int(self.hooks.pop(name, None) is not None)


def test_a_hook_has_the_address_of_the_loop_and_a_secret_that_was_made_for_it(animals: World) -> None:
    annotator, secrets = Subscribed(), MemorySecrets()
    workspace = animals.workspace(watch__port=9100)

    said = hints.register(workspace, annotator, secrets)

    url, headers = annotator.hooks[NAME]
    assert said == f"sent to {url}"
    assert url == f"http://127.0.0.1:9100{hints.path_of(workspace)}"
    token = secrets.get("labelloop-webhook")["token"]
    assert headers == {"Authorization": f"Bearer {token}"}
    assert len(token) >= 40
    assert token not in said


def test_the_secret_is_made_once_and_the_path_stays(animals: World) -> None:
    annotator, secrets = Subscribed(), MemorySecrets()

    hints.register(animals.workspace(watch__port=9100), annotator, secrets)
    first = annotator.hooks[NAME]
    hints.register(animals.workspace(watch__port=9100), annotator, secrets)

    assert annotator.hooks[NAME] == first


def test_the_annotator_may_reach_the_loop_under_another_address(animals: World) -> None:
    annotator = Subscribed()
    workspace = animals.workspace(watch__port=9100, watch__host="0.0.0.0", watch__url="https://loop.example.com/x/")

    hints.register(workspace, annotator, MemorySecrets())

    assert annotator.hooks[NAME][0] == f"https://loop.example.com/x{hints.path_of(workspace)}"


def test_with_a_certificate_the_hook_is_reached_by_https(animals: World) -> None:
    annotator = Subscribed()

    hints.register(animals.workspace(watch__port=9100, watch__certificate="cert.pem"), annotator, MemorySecrets())

    assert annotator.hooks[NAME][0].startswith("https://127.0.0.1:9100/")


@pytest.mark.parametrize(
    ("annotator", "settings", "words"),
    [
        (Subscribed(), {}, "none: watch.port is not set"),
        (object(), {"watch__port": 9100}, "none: this annotator sends none"),
        (Subscribed(), {"watch__port": 9100, "watch__host": "0.0.0.0"}, "none: watch.host is '0.0.0.0'"),
        (Subscribed(NotFoundError("no such dataset")), {"watch__port": 9100}, "none: no such dataset"),
        (Subscribed(ConfigError("calls no private addresses", "set X")), {"watch__port": 9100}, "(set X)"),
        (Subscribed(BackendError("away", retryable=True)), {"watch__port": 9100}, "none: away"),
    ],
)
def test_where_there_can_be_no_hints_it_says_so_and_goes_on(
    animals: World, annotator: Any, settings: Mapping[str, Any], words: str
) -> None:
    said = hints.register(animals.workspace(**settings), annotator, MemorySecrets())

    assert words in said
    assert "looking regularly instead" in said


def test_secrets_that_cannot_be_kept_are_asked_for(animals: World, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, annotator = animals.workspace(watch__port=9100), Subscribed()

    refused = hints.register(workspace, annotator, EnvSecretsManager())
    monkeypatch.setenv("LABELLOOP_SECRET_LABELLOOP_WEBHOOK__TOKEN", "from outside")
    hints.register(workspace, annotator, EnvSecretsManager())

    assert "LABELLOOP_SECRET_LABELLOOP_WEBHOOK__TOKEN=" in refused
    assert annotator.hooks[NAME][1] == {"Authorization": "Bearer from outside"}


def test_they_are_withdrawn_and_an_annotator_that_is_away_is_no_obstacle(animals: World) -> None:
    annotator, workspace = Subscribed(), animals.workspace(watch__port=9100)
    hints.register(workspace, annotator, MemorySecrets())

    assert hints.withdraw(workspace, annotator) == 1
    assert hints.withdraw(workspace, annotator) == 0
    assert hints.withdraw(workspace, Subscribed(BackendError("away"))) == 0
    assert hints.withdraw(workspace, object()) == 0
