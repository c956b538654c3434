"""Credentials of every form of address are masked; what is none stays."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest

from labelloop.backends.label_studio.client import checked_url
from labelloop.cli.logs import LoggedRounds
from labelloop.errors import BackendError, ConfigError
from labelloop.errors.masking import MASK, has_credentials, masked, masked_tree, setting
from labelloop.workspace.components import checked

FORMS = [
    "https://user:CANARY@host/x.csv",
    "https://user:CANARY@@host/x.csv",
    "https://CANARY@host/x.csv",
    "s3://KEY:CANARY@bucket/x",
    "s3://KEY:CANARY/more@bucket/x",
    "postgresql+psycopg://user:CANARY@host:5432/db",
    "postgresql+psycopg://user:p@CANARY@host:5432/db",
    "postgresql://host/db?user=u&password=CANARY",
    "postgresql://host/db?sslpassword=CANARY&sslmode=require",
    "postgresql://host/db?passwor%64=CANARY",
    "host=h password=CANARY dbname=d",
    "host=h password = 'CANARY' dbname=d",
    "https://host/?token=CANARY",
    "https://host/?access_token=CANARY&page=2",
    "https://host/a.png?api_key=CANARY",
    "https://host/#access_token=CANARY",
    "https://host/a.png?X-Amz-Credential=a%2Fb&X-Amz-Signature=CANARY",
    "https://host/a.png?X-Amz-Security-Token=CANARY",
    "https://host/a.png?X-Goog-Signature=CANARY",
    "https://host/a.png?AWSAccessKeyId=A&Signature=CANARY&Expires=1",
    "https://acc.blob.core.windows.net/c/a.png?sv=2023&se=2026&sig=CANARY",
    "https://host/a.png?a=1&amp;sig=CANARY",
    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=CANARY;EndpointSuffix=b",
    "Authorization: Bearer CANARY0123456789",
    "ftp://user:CANARY@host/x",
    "redis://:CANARY@host/0",
    "/home/me/https:/user:CANARY@host/x.csv",
]


@pytest.mark.parametrize("text", FORMS)
def test_a_credential_is_masked_in_every_form(text: str) -> None:
    assert "CANARY" not in masked(text)
    assert MASK in masked(text)
    assert "CANARY" not in masked(f"cannot read '{text}': timed out (see {text})")


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8080/a@b.png answered 500",
        "https://host/a.png?X-Amz-Expires=900&page=3",
        "postgresql+psycopg://user@host/name",
        "s3://bucket/folder/a.png",
        "labelloop secret update ls --api_key=...",
        "labelloop secret register ls --password=VALUE",
        "ann@example.com said a=b",
        "the token of 12 characters is neither a personal access token nor a legacy one",
        "round 3 is answered",
    ],
)
def test_what_is_no_credential_stays(text: str) -> None:
    assert masked(text) == text


def test_masking_twice_is_masking_once() -> None:
    for text in FORMS:
        assert masked(masked(text)) == masked(text)


def test_an_error_masks_what_it_says_whoever_put_it_there() -> None:
    error = BackendError("https://u:CANARY@host/a answered 500", "try https://host/?token=CANARY", retryable=True)

    for said in (str(error), repr(error), error.message, error.hint, str(pickle.loads(pickle.dumps(error)))):
        assert "CANARY" not in said
    assert "https://u:***@host/a answered 500" in error.message


def test_a_setting_that_is_a_credential_by_its_name_is_masked() -> None:
    assert setting("artifact_stores.s.secret_key", "CANARY") == MASK
    assert setting("annotators.ls.authentication_secret", "ls") == "ls"
    assert setting("loop.batch", 20) == 20
    assert setting("ledger.url", "postgresql://u:CANARY@h/d") == "postgresql://u:***@h/d"
    assert masked_tree({"a": [{"uri": "https://h/?sig=CANARY"}]}) == {"a": [{"uri": "https://h/?sig=***"}]}


@pytest.mark.parametrize("url", ["https://h/?token=CANARY", "https://u:CANARY@h", "https://CANARY@h/"])
def test_an_annotators_address_with_a_credential_is_refused_without_its_echo(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="carries a password or a token") as refused:
        checked_url(url)
    with pytest.raises(ConfigError, match="carries a password or a token") as also:
        checked(tmp_path, "annotator", "label_studio", {"url": url})

    assert "CANARY" not in str(refused.value) + refused.value.hint + str(also.value)


def test_a_signed_link_is_no_credential_of_a_row_but_a_password_is() -> None:
    assert not has_credentials("https://h/a.png?X-Amz-Signature=abc&X-Amz-Expires=60")
    assert not has_credentials("https://h:80/a@b.png")
    assert has_credentials("https://u:p@h/a.png")
    assert has_credentials("https://token@h/a.png")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_masks_what_it_is_given(form: str) -> None:
    out = io.StringIO()
    LoggedRounds(out, form).say("looking at https://u:CANARY@h/a?sig=CANARY")  # type: ignore[arg-type]

    assert "CANARY" not in out.getvalue()
