"""What a browser gets when somebody looks at a picture in the bucket, and what to do when that is nothing."""

from __future__ import annotations

import posixpath
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from labelloop.backends.label_studio import tasks
from labelloop.backends.label_studio.buckets import LIFETIME_MINUTES, is_signed, name_of, root, storages
from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.refusals import clean
from labelloop.data.decoding import HEAD, is_shown
from labelloop.errors import BackendError, ConfigError, LabelLoopError
from labelloop.kinds.values import brief
from labelloop.machine.road import LOOPBACK, Road
from labelloop.protocols import PROBE
from labelloop.types import Bucket

SHORTEST_MINUTES = 5
"""A signed link that ends sooner is gone before a slow page has loaded."""

_PICTURE = "image"
_LOOKED_THROUGH, _MOST_SORTS = 200, 8
_SETUP = {"s3": "aws", "gcp": "gcp", "azure": "azure"}
_PATIENCE = 20.0


def look(client: Client, project: int, bucket: Bucket) -> str:
    """Follow the link of one picture as a browser would; in words, what was found, and nothing where none was asked.

    Raises:
        BackendError: The picture cannot be reached, or the bucket refuses it.
        ConfigError: Browsers would not show it: the bucket names no allowed origin, or the link ends too soon.
    """
    shown_from = tasks.where(f"data.{_PICTURE}", "contains", root(bucket), "String")
    rows, total = tasks.page(client, project, [shown_from], "id,data", 1)
    if not rows:
        return ""
    uri = str(rows[0]["data"][_PICTURE])
    number = int(rows[0]["id"])
    query = {"fileuri": urlsafe_b64encode(uri.encode()).decode()}
    answer = client.fetch(f"/tasks/{number}/resolve/", query)
    if answer.status_code == httpx.codes.SEE_OTHER:
        return f"{total} from {name_of(bucket)}: {_follow(client, bucket, uri, answer.headers.get('location', ''))}"
    if answer.is_success:
        return f"{total} from {name_of(bucket)}: passed on by Label Studio"
    raise BackendError(
        f"Label Studio at {client.url} cannot show {uri}: it answered {answer.status_code}",
        _mend_storage(client, project, bucket),
    )


def rehearse(client: Client, bucket: Bucket, store: Any) -> str:
    """Follow a link to what `check` writes, as a browser will follow those of pictures; in words, what was found.

    It is signed with the store's own credentials, before Label Studio has a storage to sign it.

    Raises:
        BackendError, ConfigError: As `look`.
    """
    nothing_yet = f"no picture of {name_of(bucket)} has been asked about yet"
    if not is_signed(bucket):
        return f"{nothing_yet}; Label Studio will pass them on"
    if not hasattr(store, "signed") or not store.exists(PROBE):
        return nothing_yet
    uri, link = f"{store.path}/{PROBE}", store.signed(PROBE, LIFETIME_MINUTES)
    return f"{nothing_yet}, so {uri} was tried: {_follow(client, bucket, uri, link)}"


def looked_at(client: Client, project: int) -> list[tuple[bool, str, str]]:
    """Follow the address of one picture of each sort as a browser would: (whether it is shown, words, hint).

    Only addresses of Label Studio itself: whoever is a member can make tasks that name any other.
    """
    rows, _ = tasks.page(client, project, [], "id,data", _LOOKED_THROUGH, order="-id")
    ours = (row["data"] for row in rows if tasks.UID in row["data"])
    addresses = [str(data[_PICTURE]) for data in ours if isinstance(data.get(_PICTURE), str)]
    sorts: dict[str, str] = {}
    for one in addresses:
        if sort := _sort_of(client, one):
            sorts.setdefault(sort, one)
    return [_looked_at(client, sort, one) for sort, one in list(sorts.items())[:_MOST_SORTS]]


def _sort_of(client: Client, address: str) -> str:
    """How a picture is shown, and its ending; empty for one elsewhere: `look` follows those of a bucket."""
    path = urlsplit(address).path
    name = urlsplit(address).query if path.endswith("/local-files/") else path
    ending = posixpath.splitext(name)[1].lower() or "without an ending"
    if not address.startswith("/"):
        return ""
    away = "" if path.startswith(f"{urlsplit(client.url).path}/data/") else f" at {path.partition('/data/')[0] or '/'}"
    return f"{'served' if path.endswith('/local-files/') else 'uploaded'}{away} {ending}"


def _looked_at(client: Client, sort: str, address: str) -> tuple[bool, str, str]:
    shown, prefix = brief(address), urlsplit(client.url).path
    if not address.startswith(f"{prefix}/"):
        words = f"{sort}: browsers look for {shown} at {_origin(client.url)}, and Label Studio is at {client.url}"
        return (
            False,
            words,
            "delete those questions in Label Studio: the next tick asks them again at the right address",
        )
    try:
        raw = client.download(address)
    except LabelLoopError as error:
        return False, f"{sort}: {error.message}", error.hint or "check the address in a browser"
    if not is_shown(raw[:HEAD]):
        words = f"{sort}: {shown} is no picture that browsers show: it begins with {raw[:4]!r}"
        return False, words, "delete that question in Label Studio, and add the picture again"
    return True, f"{sort}: a browser gets it ({len(raw):,} bytes)", ""


def _mend_storage(client: Client, project: int, bucket: Bucket) -> str:
    page = f"{client.url}/projects/{project}/settings/storage"
    if not storages(client, project, bucket):
        return f"its storage of {name_of(bucket)} was deleted at {page}; the next round that asks makes it again"
    return f"check that the object exists, and the storages of {name_of(bucket)} at {page}"


def _follow(client: Client, bucket: Bucket, uri: str, link: str) -> str:
    server, origin = urlsplit(link), _origin(client.url)
    if origin.startswith("https://") and server.scheme == "http":
        raise ConfigError(
            f"{uri} is shown from {server.scheme}://{server.netloc}, which browsers refuse on a page of {origin}",
            "give the artifact store an endpoint with https",
        )
    _refuse_inside(client, uri, link)
    road = Road(ca_bundle=client.road.ca_bundle, proxy=client.road.proxy)  # never a header or certificate of ours
    try:
        with (
            httpx.Client(
                trust_env=False,
                proxy=road.proxy_to(link) or None,
                verify=road.context() if server.scheme == "https" else False,
                timeout=_PATIENCE,
            ) as browser,
            browser.stream("GET", link, headers={"Origin": origin}) as answer,
        ):
            status, allowed = answer.status_code, clean(answer.headers.get("Access-Control-Allow-Origin", ""))
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise BackendError(
            f"{uri} cannot be reached at {server.scheme}://{server.netloc}: {type(error).__name__}",
            "the browsers of annotators must reach the bucket's address: check the artifact store's endpoint and the"
            " network",
            retryable=True,
        ) from None
    if status != httpx.codes.OK:
        raise BackendError(
            f"{uri}: the signed link was answered with {status}",
            "check that the object exists and that the secret may read it (s3:GetObject), also that its session has"
            " not ended",
        )
    if allowed not in ("*", origin):
        raise ConfigError(
            f"{uri} can be read, but {name_of(bucket)} does not let pages of {origin} show it"
            f" (Access-Control-Allow-Origin: {allowed or 'none'})",
            f"labelloop cloud setup {_SETUP[bucket.cloud]} --bucket {bucket.name}, or allow GET from {origin} in the"
            " bucket's CORS rules",
        )
    return f"a browser gets it, from {origin}, {_lifetime(bucket, link)}"


def _refuse_inside(client: Client, uri: str, link: str) -> None:
    """Follow no link into this machine, or to where only machines talk, because a server elsewhere says so."""
    host, scheme = urlsplit(link).hostname or "", urlsplit(link).scheme
    here = (urlsplit(client.url).hostname or "") in LOOPBACK
    try:
        address = ip_address(host)
        inside = address.is_link_local or address.is_unspecified or (address.is_loopback and not here)
    except ValueError:
        inside = host == "localhost" and not here
    if inside or scheme not in ("http", "https") or not host:
        raise BackendError(
            f"Label Studio at {client.url} shows {uri} from {clean(f'{scheme}://{host}')}, which is not followed",
            "check its storage of the bucket, and whether that is the server it should be",
        )


def _lifetime(bucket: Bucket, link: str) -> str:
    minutes = minutes_of(link)
    if minutes is None:
        return "by a link without an end"
    if minutes < SHORTEST_MINUTES:
        raise ConfigError(
            f"signed links of {name_of(bucket)} end after {minutes:.0f} minute(s)",
            f"set their lifetime to {LIFETIME_MINUTES} minutes in the storage's settings in Label Studio",
        )
    return f"by a link that works for {minutes:.0f} minutes"


def minutes_of(link: str) -> float | None:
    """How long a signed link of any of the clouds works; None for one that does not say."""
    said = {name.lower(): values[0] for name, values in parse_qs(urlsplit(link).query).items()}
    for name in ("x-amz-expires", "x-goog-expires"):
        if name in said:
            return float(said[name]) / 60
    if "se" in said:
        return (datetime.fromisoformat(said["se"]) - datetime.now(UTC)).total_seconds() / 60
    return None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
