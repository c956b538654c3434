"""What the example says to do in a cloud by hand is what `labelloop cloud setup` would do."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

import pytest

from labelloop.cloud import aws, azure, gcp
from labelloop.examples import HERE

EXAMPLE = HERE / "label_studio_annotation"
ORIGINS = ("http://127.0.0.1:8093", "http://localhost:8093")
DOCUMENTS: Mapping[str, Any] = {
    "aws/cors.json": aws.cors(ORIGINS),
    "aws/policy.json": aws.policy("BUCKET"),
    "aws/label_studio_policy.json": aws.policy("BUCKET", write=False),
    "gcp/cors.json": gcp.cors(ORIGINS),
    "azure/cors.json": azure.cors(ORIGINS),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_the_one_that_setup_would_write(name: str) -> None:
    text = (EXAMPLE / "cloud_config" / name).read_text()

    assert text == json.dumps(DOCUMENTS[name], indent=2) + "\n"


def test_there_is_no_other_document() -> None:
    there = EXAMPLE / "cloud_config"

    assert {path.relative_to(there).as_posix() for path in there.rglob("*.json")} == set(DOCUMENTS)


def typed(beginning: str) -> list[str]:
    """The words of each command of the README that begins so, in one list."""
    text = (EXAMPLE / "README.md").read_text().replace("\\\n", " ")
    return [word for line in re.findall(rf"^{beginning}.*$", text, re.MULTILINE) for word in shlex.split(line)]


def after(words: list[str], flag: str) -> list[str]:
    """What follows a flag, up to the next."""
    rest = words[words.index(flag) + 1 :]
    return rest[: next((place for place, word in enumerate(rest) if word.startswith("--")), len(rest))]


def test_the_command_for_azure_adds_the_rule_that_setup_would_add() -> None:
    (rule,) = azure.cors(ORIGINS)["corsRules"]
    words = typed("az storage cors add")

    flags = ("--origins", "--methods", "--allowed-headers", "--exposed-headers", "--max-age")
    assert [after(words, flag) for flag in flags] == [
        rule["allowedOrigins"],
        rule["allowedMethods"],
        rule["allowedHeaders"],
        rule["exposedHeaders"],
        [str(rule["maxAgeInSeconds"])],
    ]


def test_the_commands_for_google_cloud_grant_the_roles_that_setup_would_grant() -> None:
    words = typed("gcloud storage buckets add-iam-policy-binding")

    assert {word.removeprefix("--role=") for word in words if word.startswith("--role=")} == set(gcp.ROLES)
