"""Writes sbom.json, the CycloneDX bill of materials, from the two locks; licences as the installed distributions say.

Run: ./scripts/lock, which makes the locks first. The same locks in the same environment give the same file.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageMetadata, distributions
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = {
    "labelloop": ROOT / "labelloop.lock",
    "label-studio": ROOT / "src/labelloop/backends/label_studio/label-studio.lock",
}
_PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)(?:\s*;\s*([^\\]+))?", re.MULTILINE)


def main() -> None:
    """Write the file."""
    (ROOT / "sbom.json").write_text(bill(), "utf-8")


def bill() -> str:
    """The bill as JSON, without what differs from run to run (serial number, time)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    bom = Bom()
    subject = Component(
        name=project["name"], version=project["version"], type=ComponentType.APPLICATION, bom_ref="labelloop"
    )
    subject.licenses.add(LicenseFactory().make_from_string(project["license"]))
    bom.metadata.component = subject
    for lock, path in LOCKS.items():
        bom.properties.add(Property(name=f"labelloop:{path.name}:sha256", value=sha256(path.read_bytes()).hexdigest()))
        for name, version, marker in pinned(path):
            bom.components.add(_component(lock, name, version, marker))
    bom.register_dependency(subject, bom.components)
    written = json.loads(JsonV1Dot6(bom).output_as_string())
    del written["serialNumber"], written["metadata"]["timestamp"]
    return json.dumps(written, indent=1, sort_keys=True) + "\n"


def pinned(lock: Path) -> Iterator[tuple[str, str, str]]:
    """Name, version and marker of each distribution of a lock."""
    for name, version, marker in _PINNED.findall(lock.read_text("utf-8")):
        yield name, version, marker.strip()


def _component(lock: str, name: str, version: str, marker: str) -> Component:
    made = Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        purl=PackageURL("pypi", None, name, version),
        bom_ref=f"{lock}:{name}@{version}",
    )
    made.properties.add(Property(name="labelloop:lock", value=lock))
    if marker:
        made.properties.add(Property(name="labelloop:marker", value=marker))
    if said := _licence(lock, name):
        made.licenses.add(LicenseFactory().make_from_string(said))
    return made


def _licence(lock: str, name: str) -> str:
    """What is installed says; empty for what is of another system or another Python."""
    found = _installed(lock).get(canonicalize_name(name))
    return licence_of(found) if found else ""


@cache
def _installed(lock: str) -> Mapping[str, PackageMetadata]:
    """The distributions of an environment: this one, or Label Studio's own, which is installed for it."""
    found = distributions() if lock == "labelloop" else distributions(path=[str(label_studios_packages())])
    return {canonicalize_name(one.metadata["Name"]): one.metadata for one in found}


def label_studios_packages() -> Path:
    """The folder of the distributions of the Label Studio that labelloop installs."""
    from labelloop.backends.label_studio.environment import ensure_environment

    (folder,) = ensure_environment().parents[1].glob("lib/python*/site-packages")
    return folder


def licence_of(found: PackageMetadata) -> str:
    """What a distribution says of its licence: the expression, else the classifiers, else the first line."""
    if found.get("License-Expression"):
        return str(found["License-Expression"])
    prefix = "License :: "
    classified = [line.split(" :: ")[-1] for line in found.get_all("Classifier") or [] if line.startswith(prefix)]
    told = [one for one in classified if one not in ("OSI Approved", "DFSG approved")]
    return "; ".join(told) or str(found.get("License") or "").strip().partition("\n")[0]


if __name__ == "__main__":
    main()
