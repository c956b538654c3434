"""The environment for Label Studio is made once, made whole, and says why it could not be made."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from labelloop.backends.label_studio import environment
from labelloop.backends.label_studio.environment import (
    CACHE_VARIABLE,
    ENV_VARIABLE,
    ensure_environment,
    ensure_template,
    watch,
)
from labelloop.errors import BackendError, ConfigError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(ENV_VARIABLE, raising=False)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    return tmp_path


def installs_with(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have the installer be a python program that gets the environment's folder."""
    monkeypatch.setattr(
        environment, "_installation", lambda home, version: [[sys.executable, "-c", code, str(home), version]]
    )


def test_a_given_environment_is_used_as_it_is(stand_in: Path, tmp_path: Path) -> None:
    assert ensure_environment() == tmp_path / "env" / "bin" / "python"


def test_a_given_environment_without_label_studio_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_VARIABLE, str(tmp_path))

    with pytest.raises(ConfigError, match="no virtual environment with Label Studio"):
        ensure_environment()


def test_it_is_installed_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys, pathlib; p = pathlib.Path(sys.argv[1]); p.mkdir(); (p / sys.argv[2]).touch()"
    installs_with(monkeypatch, code)

    first = ensure_environment("9.9")
    installs_with(monkeypatch, "raise SystemExit('installed twice')")

    assert ensure_environment("9.9") == first == cache / "label-studio-9.9" / "bin" / "python"
    assert (cache / "label-studio-9.9" / "9.9").exists()


def test_an_interrupted_installation_is_thrown_away(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = cache / "label-studio-9.9" / "half"
    half.mkdir(parents=True)
    installs_with(monkeypatch, "import sys, pathlib; pathlib.Path(sys.argv[1]).mkdir()")

    ensure_environment("9.9")

    assert not half.exists()


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("error: No space left on device", "disk space"),
        ("ensurepip is not available", "python3-venv"),
        ("dns error: Temporary failure in name resolution", "network"),
        ("something else", "lines above"),
    ],
)
def test_a_failed_installation_shows_its_last_lines_and_a_hint(
    cache: Path, monkeypatch: pytest.MonkeyPatch, said: str, hint: str
) -> None:
    installs_with(monkeypatch, f"import sys; sys.exit({said!r})")

    with pytest.raises(BackendError, match=said) as caught:
        ensure_environment("9.9")

    assert hint in caught.value.hint
    assert not (cache / "label-studio-9.9" / "complete").exists()


def test_a_missing_installer_is_said() -> None:
    with pytest.raises(BackendError, match="no-such-program"):
        watch(["no-such-program"], "installing", lambda *_: None)


def test_a_template_that_is_there_is_not_made_again(stand_in: Path) -> None:
    template = ensure_template(Path("/no/python/needed"))

    assert template.read_bytes() == b"an empty database"
