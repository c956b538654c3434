"""The environment for Label Studio is made once, made whole, and says why it could not be made."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest

from labelloop.backends.label_studio import environment
from labelloop.backends.label_studio.environment import (
    CACHE_VARIABLE,
    DEFAULT_VERSION,
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
        environment, "installation", lambda home, version: [[sys.executable, "-c", code, str(home), version]]
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
        ("Hash mismatch for `attr`", "package index"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "package index"),
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


@pytest.fixture(params=["uv", "pip"])
def own_index(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel called label-studio in the only place where the user's own installer looks."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel = folder / f"label_studio-{DEFAULT_VERSION}-py3-none-any.whl"
    about = f"label_studio-{DEFAULT_VERSION}.dist-info"
    with ZipFile(wheel, "w") as parcel:
        parcel.writestr("label_studio/__init__.py", "")
        parcel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: label-studio\nVersion: {DEFAULT_VERSION}\n")
        parcel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        parcel.writestr(f"{about}/RECORD", "")
    for tool in ("UV", "PIP"):
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(folder))
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
    if request.param == "pip":
        monkeypatch.setattr(environment, "uv_command", list)
    elif not environment.uv_command():
        pytest.skip("uv is not installed")
    return wheel


def locked_at(digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "label-studio.lock"
    lock.write_text(f"label-studio=={DEFAULT_VERSION} \\\n    --hash=sha256:{digest}\n")
    monkeypatch.setattr(environment, "LOCK", lock)


def test_the_tested_version_is_installed_by_its_lock_from_the_users_own_index(
    own_index: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked_at(sha256(own_index.read_bytes()).hexdigest(), tmp_path, monkeypatch)

    python = ensure_environment()

    assert any((python.parents[1] / "lib").glob("python*/site-packages/label_studio"))


def test_a_file_with_another_digest_than_the_locks_is_not_installed(
    own_index: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked_at("0" * 64, tmp_path, monkeypatch)

    with pytest.raises(BackendError, match=r"(?i)hash") as refused:
        ensure_environment()

    assert ENV_VARIABLE in refused.value.hint
    assert not list(cache.glob("label-studio-*/lib/python*/site-packages/label_studio"))
    assert not list(cache.glob("label-studio-*/complete"))


def test_another_version_than_the_tested_one_has_no_lock(tmp_path: Path) -> None:
    assert environment.installation(tmp_path, "9.9")[-1][-1] == "label-studio==9.9"
