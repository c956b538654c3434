"""Label Studio's REST API: one authenticated call, and its failures as our errors."""

from __future__ import annotations

import json
import re
import threading
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import httpx

from labelloop.backends.label_studio import bounds, refusals
from labelloop.backends.label_studio.answers import LATER, AnswerReader, is_personal
from labelloop.backends.label_studio.bounds import Deadline, EndlessError, understood
from labelloop.backends.label_studio.refusals import clean
from labelloop.backends.label_studio.repeats import AwayError, CutError, Repeats, SpoiledError
from labelloop.errors import BackendError, BadItemError, ConfigError, NotFoundError
from labelloop.errors.masking import has_any_credentials
from labelloop.machine.road import LOOPBACK, Road, advice, bare

READ_TIMEOUT = 60.0
WRITE_TIMEOUT = 600.0
_RENEW_BEFORE = 60.0
MOST_BYTES = 900_000
"""Bytes of one request, unless an option says otherwise: many proxies take no more than a million."""

_SLOWEST = 50_000.0  # bytes a second of a request that is sent
_USUAL_LIFETIME = 300.0
LARGEST_FILE = 64 * 2**20
_FILES = "/data/"
_REPEATABLE = ("GET", "PUT", "PATCH", "DELETE")
_OF_THE_WIRE = ("content-encoding", "content-length", "transfer-encoding")
_TOKEN_LETTERS = re.compile(r"[\x21-\x7e]+")
REPEATS = Repeats()


def _copied(page: str) -> str:
    return f"copy a token from {page} into the annotator's authentication secret"


class Client:
    """One Label Studio, as one user.

    Args:
        url: Its address, with a path if it lives under one.
        token: A legacy token (40 hexadecimal digits) or a personal access token (a JWT), told apart by their look.
        clock: Seconds from anywhere; decides when an access token is renewed.
        remedy: Page with tokens -> what to do when this one is refused.
        repeats: How often a request is repeated that may be; never a POST, which could do its work twice.
        road: Certificates, headers and proxy on the way.
        most_bytes: How large a request with many things in it should be at most.

    Attributes:
        token: What it signs in with, as it was given.
        told_time: What the server's clock said with its last answer; None where it does not say.

    Every call may raise ConfigError (the token is refused), NotFoundError (404) or BackendError (everything that is
    the service's fault). Threads may share a client. The token shows nowhere.
    """

    def __init__(
        self,
        url: str,
        token: str,
        clock: Callable[[], float] = monotonic,
        *,
        remedy: Callable[[str], str] = _copied,
        repeats: Repeats = REPEATS,
        road: Road | None = None,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.url = checked_url(url)
        self.road = road or Road()
        self.most_bytes = most_bytes
        self.token = token.strip()
        self._clock = clock
        self._repeats = repeats
        self._reader = AnswerReader(self.url, self.token, remedy, tuple(self.road.headers.values()))
        self._renew_at = 0.0
        self.told_time: datetime | None = None
        self._renewing = threading.Lock()
        self._proxy = self.road.proxy_to(self.url)
        self._http = httpx.Client(
            timeout=httpx.Timeout(READ_TIMEOUT, connect=10.0),
            trust_env=False,  # what counts of the environment is the road's
            proxy=_proxy_with(self._proxy, self.road),
            headers={"Accept-Encoding": "gzip", **self.road.headers},
            # certificates take a while to load, and http has none
            verify=self.road.context() if self.url.startswith("https://") else False,
            limits=httpx.Limits(
                max_connections=32, max_keepalive_connections=0
            ),  # kept alive, each answer takes 40 ms more
        )

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        files: Any = None,
        timeout: float = READ_TIMEOUT,
        most: int = 0,
        attempts: int = 0,
        harmless: bool = False,
    ) -> Any:
        """The parsed answer of one request; None when the answer is empty. All but a POST are repeated if spoiled.

        Args:
            harmless: Whether a POST is repeated, too, as a second one changes nothing.
            most: Bytes of the answer above which it is given up with a `TooLargeError`; 0 for any.
            attempts: Requests at most, in place of the usual number.
        """
        request: dict[str, Any] = {"query": query, "body": body, "files": files, "timeout": timeout, "most": most}
        repeats = replace(self._repeats, attempts=attempts) if attempts else self._repeats
        authorization = self.authorization()

        def attempt(number: int) -> Any:
            try:
                return self._attempt(method, path, authorization, request)
            except NotFoundError:
                if method == "DELETE" and number:
                    return None  # an attempt whose answer was lost has deleted it
                raise

        return repeats(attempt) if harmless or method in _REPEATABLE else attempt(0)

    def _attempt(self, method: str, path: str, authorization: str, request: Mapping[str, Any]) -> Any:
        answer = self._send(method, path, authorization, **request)
        if answer.status_code == httpx.codes.UNAUTHORIZED and is_personal(self.token):
            answer = self._send(method, path, self.authorization(renew=True), **request)
        return self._reader.parsed(answer, method, path)

    def version(self) -> str:
        """The release the server says it is, whoever asks.

        Raises:
            ConfigError: It answers as something else than Label Studio.
            BackendError: It does not answer, or is out of order.
        """
        path = "/api/version"

        def attempt(_: int) -> httpx.Response:
            got = self._send("GET", path, "")
            if got.status_code >= httpx.codes.INTERNAL_SERVER_ERROR or got.status_code in LATER or got.is_redirect:
                self._reader.parsed(got, "GET", path)
            return got

        answer = self._repeats(attempt)
        try:
            return clean(self._reader.masked(str(bounds.parsed(answer.content)["release"])), 40)
        except (ValueError, TypeError, KeyError):
            who = self._reader.masked(refusals.described(answer))
            raise ConfigError(
                f"{self.url} answers ({answer.status_code}), but not as Label Studio does{who}",
                refusals.advice(answer),
            ) from None

    def fetch(self, path: str, query: Mapping[str, Any]) -> httpx.Response:
        """The answer to a signed-in browser, as it is: redirects are not followed."""
        return self._send("GET", path, self.authorization(), query=query)

    def download(self, path: str) -> bytes:
        """A file that the server keeps, such as `/data/upload/1/a.png`; never anything from elsewhere.

        Raises:
            BadItemError: It lies elsewhere, or is larger than an image may be.
        """
        path = path.removeprefix(urlsplit(self.url).path)  # as a browser asks for it
        if not path.startswith(_FILES) or ".." in path:
            raise BadItemError(f"{path!r} does not lie in Label Studio", "add it with labelloop add")
        headers = {"Authorization": self.authorization()}
        try:
            answer = self._received("GET", path, headers=headers, largest=LARGEST_FILE)
        except EndlessError:
            raise BadItemError(f"{path} is larger than {LARGEST_FILE:,} bytes", "show a smaller one") from None
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NotFoundError(f"Label Studio at {self.url} has no {path}", "it may have been deleted there")
        if answer.status_code != httpx.codes.OK:
            self._reader.parsed(answer, "GET", path)
            raise BadItemError(f"Label Studio answered {answer.status_code} for {path}", "is it shown there?")
        return answer.content

    def whoami(self) -> Mapping[str, Any]:
        """The user the token belongs to."""
        user = self.call("GET", "/api/current-user/whoami")
        with understood(self.url):
            return dict(user)

    def authorization(self, renew: bool = False) -> str:
        """What a request says of who asks; a personal token is exchanged for one that ends soon."""
        if not is_personal(self.token):
            return f"Token {self.token}"
        with self._renewing:
            if renew or self._clock() >= self._renew_at:
                self._renew()
            return f"Bearer {self._reader.access}"

    def _renew(self) -> None:
        path, body = "/api/token/refresh/", {"refresh": self.token}
        answer = self._repeats(lambda _: self._reader.parsed(self._send("POST", path, "", body=body), "POST", path))
        with understood(self.url):
            access = answer["access"]
            if not isinstance(access, str) or not _TOKEN_LETTERS.fullmatch(access):
                raise TypeError("the access token is no token")
            self._reader.access = access
        self._renew_at = self._clock() + max(0.0, _lifetime(self._reader.access) - _RENEW_BEFORE)

    def _send(
        self,
        method: str,
        path: str,
        authorization: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        files: Any = None,
        timeout: float = READ_TIMEOUT,
        most: int = 0,
    ) -> httpx.Response:
        headers = {"Authorization": authorization} if authorization else {}
        content = None if body is None else _written(body)
        if content is not None:
            headers["Content-Type"] = "application/json"
        size = len(content or b"") + sum(len(file) for _, file in (files or {}).values())
        sent = {"params": query, "files": files, "content": content, "headers": headers}
        return self._received(method, path, largest=most, timeout=timeout + size / _SLOWEST, **sent)

    def _received(
        self, method: str, path: str, *, largest: int = 0, timeout: float = READ_TIMEOUT, **sent: Any
    ) -> httpx.Response:
        """One request and its whole answer, within bounds of size and time."""
        where = f"Label Studio at {self.url}"
        deadline = Deadline(2 * timeout + bounds.PATIENCE)
        patience = httpx.Timeout(timeout, connect=10.0)
        extensions = {"trace": deadline.trace}
        try:
            with deadline:
                request = self._http.build_request(
                    method, self.url + path, timeout=patience, extensions=extensions, **sent
                )
                answer = self._http.send(request, stream=True)
                try:
                    content = bounds.read(answer, largest)
                finally:
                    answer.close()
                    self._http.cookies.clear()  # we are known by our token and nothing else
        except httpx.TimeoutException:
            raise SpoiledError(
                f"{where} did not answer {method} {path} in time",
                "try again; a server that imports or exports much data is slow",
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as error:
            if deadline.is_over:
                raise SpoiledError(f"{where} did not end its answer to {method} {path}", "try again later") from None
            raise self._unreached(error) from None
        if deadline.is_over:
            raise SpoiledError(f"{where} did not end its answer to {method} {path}", "try again later")
        self.told_time = _time_of(answer) or self.told_time
        headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in _OF_THE_WIRE]
        return httpx.Response(answer.status_code, headers=headers, content=content, request=request)

    def _unreached(self, error: Exception) -> BackendError:
        kind: type[AwayError] | type[SpoiledError] = SpoiledError
        if isinstance(error, httpx.ConnectError | httpx.ProxyError):
            kind = AwayError
        elif isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
            kind = CutError
        via = f" through the proxy {bare(self._proxy)}" if self._proxy else ""
        return kind(
            f"Label Studio at {self.url} cannot be reached{via}: {self._reader.masked(clean(str(error), 200))}",
            advice(self.url, self._proxy, error) or "check the address, and that the server is up (labelloop stack up)",
        )


def _written(body: Any) -> bytes:
    """The body as JSON; escaped where it holds half an emoji that somebody answered with, which UTF-8 cannot say."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def checked_url(url: str) -> str:
    """The address without a trailing slash.

    Raises:
        ConfigError: It is not an http(s) address, or has a credential in it.
    """
    parts = urlsplit(url)
    if has_any_credentials(url):
        raise ConfigError(
            f"Label Studio's url carries a password or a token: {url}",
            "write it without, and put the token into a secret: labelloop secret register --help",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"Label Studio's url is {url!r}, which is no address", f"write it like {_suggested(url)}")
    return url.rstrip("/")


def _suggested(url: str) -> str:
    host = url.rpartition("://")[2].strip("/")
    if not host or " " in host:
        return "https://label.example.com"
    return f"http://{host}" if host.startswith(LOOPBACK) else f"https://{host}"


def _time_of(answer: httpx.Response) -> datetime | None:
    """What the clock of whoever answered said; None where it does not."""
    try:
        return parsedate_to_datetime(answer.headers.get("Date", "")).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def _lifetime(access: str) -> float:
    """Seconds between a JWT's issue and its end."""
    try:
        payload = access.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"]) - float(claims["iat"])
    except (IndexError, KeyError, ValueError, TypeError, OverflowError, RecursionError):
        return _USUAL_LIFETIME


def _proxy_with(proxy: str, road: Road) -> httpx.Proxy | None:
    if not proxy:
        return None
    try:
        context = road.context() if proxy.startswith("https://") else None
        return httpx.Proxy(proxy, ssl_context=context)
    except (ValueError, httpx.InvalidURL):
        raise ConfigError(
            f"the proxy {bare(proxy)} is no address of one", "write it like http://proxy.example.com:3128"
        ) from None
