"""What is installed is known: locks with digests, within our bounds; a current bill of materials; free licences."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distributions, metadata, version
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from labelloop.backends.label_studio.environment import DEFAULT_VERSION, LOCK

ROOT = Path(__file__).parents[2]
OURS = ROOT / "labelloop.lock"
LOCKS = [OURS, LOCK]
PYTHONS = ["3.11", "3.12", "3.13"]

FREE = re.compile(
    r"\b(MIT|MIT-0|MIT-CMU|BSD|0BSD|ISC|Apache|PSF|Python Software Foundation|CNRI-Python|Zlib|Unlicense|CC0-1\.0)\b"
)
STRONG = re.compile(r"GPL|Affero|SSPL|BUSL|Commons Clause|NonCommercial|CC-BY-NC|Proprietary", re.IGNORECASE)
ALLOWED = {
    "certifi": "MPL-2.0: a list of certificates, used unchanged",
    "hypothesis": "MPL-2.0: tests only",
    "pi-heif": "BSD, with libheif and libde265 (LGPL) linked dynamically: only where the extra `heif` was asked for",
    "pillow-heif": "BSD, with an encoder under the GPL: tests only, which write HEIC pictures with it",
    "pathspec": "MPL-2.0: tests only, used unchanged",
    "psycopg": "LGPL-3.0: imported as it is, only where the extra `postgres` was asked for",
    "psycopg-binary": "LGPL-3.0: as psycopg",
    "tqdm": "MPL-2.0 and MIT: used unchanged, by huggingface_hub and cleanlab",
}
"""Distributions whose licence asks for something back, and why they may be there all the same."""

ALLOWED_THERE = {
    "label-studio-sdk": "says nothing in its metadata; Apache-2.0 in its repository, as Label Studio itself",
}
"""The same, in Label Studio's own environment only."""


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    pytest.importorskip("cyclonedx")
    spec = importlib.util.spec_from_file_location("write_sbom", ROOT / "scripts" / "write_sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(lock: Path) -> Iterator[tuple[Requirement, int]]:
    """Each pinned requirement of a lock, and how many digests it has."""
    for block in re.split(r"\n(?=[a-z0-9])", lock.read_text("utf-8").strip()):
        wanted, *digests = block.replace("\\", "").split("--hash=sha256:")
        assert all(re.fullmatch(r"[0-9a-f]{64}", one.strip()) for one in digests), block
        yield Requirement(wanted.strip()), len(digests)


def wanted() -> list[Requirement]:
    """What pyproject.toml asks for, all that the lock is made of."""
    written = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    project = written["project"]
    extras = [
        one
        for name, many in project["optional-dependencies"].items()
        if name not in ("demo", "pytorch")
        for one in many
    ]
    return [Requirement(one) for one in [*project["dependencies"], *extras, *written["dependency-groups"]["dev"]]]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_line_of_a_lock_is_pinned_by_version_and_digest(lock: Path) -> None:
    for requirement, digests in blocks(lock):
        (bound,) = requirement.specifier
        assert bound.operator == "=="
        assert digests, requirement


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
@pytest.mark.parametrize(
    "sign", ["://", "--index-url", "--extra-index-url", "--find-links", "--trusted-host", "@ ", "-e "]
)
def test_a_lock_names_no_index_and_no_place(lock: Path, sign: str) -> None:
    assert sign not in lock.read_text("utf-8")


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_satisfies_the_bounds_of_pyproject(python: str) -> None:
    here: dict[str, str] = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": sys.platform,
    }
    locked = {
        canonicalize_name(one.name): next(iter(one.specifier)).version
        for one, _ in blocks(OURS)
        if one.marker is None or one.marker.evaluate(here)
    }
    for requirement in wanted():
        version = locked.get(canonicalize_name(requirement.name), "")
        assert version, f"{requirement} is not locked: ./scripts/lock"
        assert requirement.specifier.contains(version, prereleases=True), (
            f"{requirement} is locked at {version}: ./scripts/lock"
        )


def test_the_lock_of_label_studio_is_that_of_the_version_we_install() -> None:
    assert f"label-studio=={DEFAULT_VERSION}" in [str(one) for one, _ in blocks(LOCK)]


@pytest.mark.skipif(not os.environ.get("CI"), reason="everybody else may have other versions within the bounds")
def test_what_ci_installed_is_what_is_locked() -> None:
    locked = {one.name: one for one, _ in blocks(OURS) if one.marker is None or one.marker.evaluate()}
    installed = {name: version(name) for name in locked}

    assert {name: there for name, there in installed.items() if not locked[name].specifier.contains(there)} == {}


def test_the_bill_of_materials_is_current(sbom: ModuleType) -> None:
    written = json.loads((ROOT / "sbom.json").read_text("utf-8"))
    told = {one["name"]: one["value"] for one in written["properties"]}
    listed = {(one["bom-ref"].partition(":")[0], one["name"], one["version"]) for one in written["components"]}

    for name, lock in sbom.LOCKS.items():
        assert told[f"labelloop:{lock.name}:sha256"] == sha256(lock.read_bytes()).hexdigest(), "./scripts/lock"
        assert {one for one in listed if one[0] == name} == {(name, a, b) for a, b, _ in sbom.pinned(lock)}


def test_the_bill_of_materials_is_valid_cyclonedx(sbom: ModuleType) -> None:
    written = json.loads((ROOT / "sbom.json").read_text("utf-8"))

    assert written["bomFormat"] == "CycloneDX"
    assert written["metadata"]["component"]["name"] == "labelloop"
    assert all(one["purl"].startswith("pkg:pypi/") for one in written["components"])
    assert "://" not in re.sub(r'"\$schema": "[^"]*"', "", (ROOT / "sbom.json").read_text("utf-8"))


@pytest.mark.parametrize("name", sorted({one.name for one, _ in blocks(OURS)}))
def test_each_distribution_has_a_licence_that_asks_nothing_back_or_a_reason(name: str, sbom: ModuleType) -> None:
    try:
        said = sbom.licence_of(metadata(name))
    except PackageNotFoundError:
        pytest.skip(f"{name} is for another system or another Python than {sys.version_info[:2]}")
    if name not in ALLOWED:
        assert FREE.search(said), f"{name} says {said!r}: read its licence, and give the reason in ALLOWED"
        assert not STRONG.search(said), f"{name} is under {said}"


@pytest.mark.live  # it installs Label Studio
def test_label_studios_own_distributions_are_held_to_the_same(sbom: ModuleType) -> None:
    found = list(distributions(path=[str(sbom.label_studios_packages())]))
    names = {canonicalize_name(one.metadata["Name"]) for one in found}
    said = {one.metadata["Name"]: sbom.licence_of(one.metadata) for one in found}

    assert len(names & {canonicalize_name(one.name) for one, _ in blocks(LOCK)}) > 100
    odd = {name: licence for name, licence in said.items() if not FREE.search(licence) or STRONG.search(licence)}
    assert set(odd) <= {*ALLOWED, *ALLOWED_THERE}, "read their licences, and give the reason in ALLOWED_THERE"


def test_the_bill_of_materials_says_the_licences_of_both() -> None:
    written = json.loads((ROOT / "sbom.json").read_text("utf-8"))["components"]

    for lock in ("labelloop", "label-studio"):
        listed = [one for one in written if one["bom-ref"].startswith(f"{lock}:")]
        silent = [one["name"] for one in listed if not one.get("licenses")]
        assert len(silent) < len(listed) / 10, f"{silent} have no licence: ./scripts/lock"


@pytest.mark.parametrize(
    "said",
    [
        "GPL-3.0-only",
        "GNU Affero General Public License v3",
        "AGPL-3.0",
        "LGPL-2.1",
        "UNKNOWN",
        "",
        "Proprietary",
        "SSPL-1.0",
    ],
)
def test_what_is_not_free_or_not_known_would_be_found(said: str) -> None:
    assert STRONG.search(said) or not FREE.search(said)


def test_no_reason_is_left_over() -> None:
    assert set(ALLOWED) <= {one.name for one, _ in blocks(OURS)}


def test_nothing_that_the_product_downloads_is_copyleft() -> None:
    named = [
        path
        for path in (ROOT / "src").rglob("*.py")
        if re.search(r"orange3|agpl", path.read_text("utf-8"), re.IGNORECASE)
    ]

    assert named == []
