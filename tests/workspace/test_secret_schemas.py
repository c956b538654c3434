"""What a secret of each kind must hold, and what is said when it does not; never what it holds."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from labelloop.errors import ConfigError, NotFoundError
from labelloop.workspace.secret_schemas import SCHEMAS, checked, schema_named, schema_of

from support import emulators

CANARY = "cAnArY-0451"


@pytest.fixture(scope="module")
def key_file() -> Mapping[str, object]:
    """The key of a service account."""
    found: Mapping[str, object] = json.loads(emulators.fake_gcp_key("http://127.0.0.1:1"))
    return found


AWS = {"aws_access_key_id": "AKIA1", "aws_secret_access_key": "abc"}


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        ("aws", AWS),
        ("aws", {**AWS, "aws_session_token": "t"}),
        ("aws_label_studio", AWS),
        ("azure", {"account_name": "a", "account_key": emulators.AZURE_KEY}),
        ("label_studio", {"api_key": "k"}),
    ],
)
def test_values_that_fit_are_taken(schema: str, values: Mapping[str, str]) -> None:
    assert checked(schema_named(schema), values) == values


def test_white_space_around_a_value_is_left_out() -> None:
    assert checked(SCHEMAS["label_studio"], {"api_key": " k \r\n"}) == {"api_key": "k"}


@pytest.mark.parametrize(
    ("values", "says", "hint"),
    [
        ({**AWS, "aws_acess_key_id": "x"}, "'aws_acess_key_id'", "did you mean 'aws_access_key_id'"),
        ({**AWS, "region": "x"}, "'region'", "known: aws_access_key_id"),
        ({"aws_access_key_id": "x"}, "needs aws_secret_access_key", "--aws_secret_access_key=..."),
        ({}, "needs aws_access_key_id, aws_secret_access_key", "--aws_access_key_id=..."),
        ({**AWS, "aws_session_token": f"{CANARY} {CANARY}"}, "white space", "copy it again"),
    ],
)
def test_values_that_do_not_fit_are_refused_by_key(values: Mapping[str, str], says: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        checked(SCHEMAS["aws"], values)

    assert hint in caught.value.hint
    assert CANARY not in caught.value.message + caught.value.hint


def test_a_connection_string_is_no_account_key() -> None:
    whole = f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={CANARY}"

    with pytest.raises(ConfigError, match="connection string") as caught:
        checked(SCHEMAS["azure"], {"account_name": "a", "account_key": whole})

    assert CANARY not in caught.value.message + caught.value.hint


def test_the_key_of_a_service_account_is_taken(key_file: Mapping[str, object]) -> None:
    text = json.dumps(key_file)

    assert checked(SCHEMAS["gcp"], {"token": f"{text}\n"}) == {"token": text}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"type": "authorized_user"}, "its type is authorized_user"),
        ({"type": CANARY}, "its type is something else"),
        ({"type": None}, "its type is something else"),
        ({"private_key": ""}, "misses private_key"),
        ({"client_email": None, "token_uri": 1}, "misses client_email, token_uri"),
        ({"private_key": CANARY}, "private_key of the key file in 'token' is not in PEM"),
    ],
)
def test_a_key_file_with_something_wrong_is_refused_by_what_it_is(
    key_file: Mapping[str, object], change: Mapping[str, object], says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        checked(SCHEMAS["gcp"], {"token": json.dumps({**key_file, "client_id": CANARY, **change})})

    assert "--token=@PATH" in caught.value.hint
    assert CANARY not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"key/{CANARY}.json", "not JSON: line 1, column 1"),
        (f'{{"private_key": "{CANARY}"', "not JSON: line 1"),
        (f'["{CANARY}"]', "no object"),
        (f'"{CANARY}"', "no object"),
    ],
)
def test_what_is_no_key_file_is_refused_unshown(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        checked(SCHEMAS["gcp"], {"token": text})

    assert CANARY not in caught.value.message + caught.value.hint


def test_an_unknown_schema_is_refused_with_the_nearest() -> None:
    with pytest.raises(NotFoundError) as caught:
        schema_named("asw")

    assert "did you mean 'aws'" in caught.value.hint


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (AWS, "aws"),
        ({"api_key": "k"}, "label_studio"),
        ({"api_key": "two words"}, ""),
        ({"token": "of-label-studio"}, ""),
        ({"account_key": "k", "account_name": "n"}, "azure"),
        ({"api_key": "k", "url": "u"}, ""),
        ({}, ""),
    ],
)
def test_the_schema_of_a_secret_is_known_by_its_values(values: Mapping[str, str], name: str) -> None:
    found = schema_of(values)

    assert (found.name if found else "") == name


def test_a_token_is_of_google_when_it_is_a_key_file(key_file: Mapping[str, object]) -> None:
    found = schema_of({"token": json.dumps(key_file)})

    assert found is SCHEMAS["gcp"]
