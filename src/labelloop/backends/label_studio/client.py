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

from labelloop.backends.label_studio.repeats import AwayError, FailedError, Repeats, SpoiledError, TooLargeError
from labelloop.errors import BackendError, BadItemError, ConfigError, NotFoundError
from labelloop.masking import has_any_credentials

READ_TIMEOUT = 60.0
WRITE_TIMEOUT = 600.0
_RENEW_BEFORE = 60.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_USUAL_LIFETIME = 300.0
_LARGEST_FILE = 64 * 2**20
_FILES = "/data/"
_REPEATABLE = ("GET", "PUT", "PATCH", "DELETE")
_LATER = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY, httpx.codes.TOO_MANY_REQUESTS)
_SECRET_LOOK = re.compile(r"[0-9a-fA-F]{40}")
_REPEATS = Repeats()
_OF_THE_BODY = ("content-encoding", "content-length", "transfer-encoding")


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
        repeats: Repeats = _REPEATS,
    ) -> None:
        self.url = checked_url(url)
        self._token = token.strip()
        self._clock = clock
        self._remedy = remedy
        self._repeats = repeats
        self._access = ""
        self._renew_at = 0.0
        self._renewing = threading.Lock()
        self._http = httpx.Client(
            timeout=httpx.Timeout(READ_TIMEOUT, connect=10.0),
            trust_env=urlsplit(self.url).hostname not in _LOOPBACK,
            verify=self.url.startswith("https://"),  # certificates take a while to load, and http has none
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
    ) -> Any:
        """The parsed answer of one request; None when the answer is empty. All but a POST are repeated if spoiled.

        Args:
            most: Bytes of the answer above which it is given up with a `TooLargeError`; 0 for any.
            attempts: Requests at most, in place of the usual number.
        """
        request: dict[str, Any] = {"query": query, "body": body, "files": files, "timeout": timeout, "most": most}
        repeats = replace(self._repeats, attempts=attempts) if attempts else self._repeats
        authorization = self._authorization()

        def attempt(number: int) -> Any:
            try:
                return self._attempt(method, path, authorization, request)
            except NotFoundError:
                if method == "DELETE" and number:
                    return None  # an attempt whose answer was lost has deleted it
                raise

        return repeats(attempt) if method in _REPEATABLE else attempt(0)

    def _attempt(self, method: str, path: str, authorization: str, request: Mapping[str, Any]) -> Any:
        answer = self._send(method, path, authorization, **request)
        if answer.status_code == httpx.codes.UNAUTHORIZED and self._is_personal:
            answer = self._send(method, path, self._authorization(renew=True), **request)
        return self._parsed(answer, method, path)

    def version(self) -> str:
        """The release the server says it is, whoever asks.

        Raises:
            ConfigError: It answers as something else than Label Studio.
            BackendError: It does not answer, or is out of order.
        """
        path = "/api/version"

        def attempt(_: int) -> httpx.Response:
            got = self._send("GET", path, "")
            if got.status_code >= httpx.codes.INTERNAL_SERVER_ERROR or got.status_code in _LATER or got.is_redirect:
                self._parsed(got, "GET", path)
            return got

        answer = self._repeats(attempt)
        try:
            return str(answer.json()["release"])
        except (ValueError, TypeError, KeyError):
            raise ConfigError(
                f"{self.url} answers ({answer.status_code}), but not as Label Studio does",
                "check the annotator's url: Label Studio's own address, without /projects or another page",
            ) from None

    def fetch(self, path: str, query: Mapping[str, Any]) -> httpx.Response:
        """The answer to a signed-in browser, as it is: redirects are not followed."""
        return self._send("GET", path, self._authorization(), query=query)

    def download(self, path: str) -> bytes:
        """A file that the server keeps, such as `/data/upload/1/a.png`; never anything from elsewhere.

        Raises:
            BadItemError: It lies elsewhere, or is larger than an image may be.
        """
        if not path.startswith(_FILES) or ".." in path:
            raise BadItemError(f"{path!r} does not lie in Label Studio", "add it with labelloop add")
        headers = {"Authorization": self._authorization()}
        try:
            with self._http.stream("GET", self.url + path, headers=headers) as answer:
                return self._body(answer, path)
        except httpx.HTTPError as error:
            raise BackendError(f"Label Studio at {self.url} cannot be reached: {error}", retryable=True) from None

    def _body(self, answer: httpx.Response, path: str) -> bytes:
        if answer.status_code != httpx.codes.OK:
            answer.read()
            self._parsed(answer, "GET", path)
            raise BadItemError(f"Label Studio answered {answer.status_code} for {path}", "is it shown there?")
        body = bytearray()
        for part in answer.iter_bytes():
            body += part
            if len(body) > _LARGEST_FILE:
                raise BadItemError(f"{path} is larger than {_LARGEST_FILE:,} bytes", "show a smaller one")
        return bytes(body)

    def whoami(self) -> Mapping[str, Any]:
        """The user the token belongs to."""
        user: Mapping[str, Any] = self.call("GET", "/api/current-user/whoami")
        return user

    @property
    def _is_personal(self) -> bool:
        return self._token.count(".") == 2

    def _authorization(self, renew: bool = False) -> str:
        if not self._is_personal:
            return f"Token {self._token}"
        with self._renewing:
            if renew or self._clock() >= self._renew_at:
                self._renew()
            return f"Bearer {self._access}"

    def _renew(self) -> None:
        path, body = "/api/token/refresh/", {"refresh": self._token}
        answer = self._repeats(lambda _: self._parsed(self._send("POST", path, "", body=body), "POST", path))
        self._access = str(answer["access"])
        self._renew_at = self._clock() + max(0.0, _lifetime(self._access) - _RENEW_BEFORE)

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
        request = self._http.build_request(
            method,
            self.url + path,
            params=query,
            headers=headers if body is None else {**headers, "Content-Type": "application/json"},
            timeout=httpx.Timeout(timeout, connect=10.0),
            files=files,
            content=None if body is None else _written(body),
        )
        try:
            answer = self._http.send(request, stream=True)
            try:
                return _read(answer, most)
            finally:
                answer.close()
        except httpx.TimeoutException:
            raise SpoiledError(
                f"Label Studio at {self.url} did not answer {method} {path} in time",
                "try again; a server that imports or exports much data is slow",
            ) from None
        except httpx.HTTPError as error:
            kind = AwayError if isinstance(error, httpx.ConnectError) else SpoiledError
            raise kind(
                f"Label Studio at {self.url} cannot be reached: {error}",
                "check the address, and that the server is up (labelloop stack up)",
            ) from None

    def _parsed(self, answer: httpx.Response, method: str, path: str) -> Any:
        where = f"Label Studio at {self.url} answered {answer.status_code} to {method} {path}"
        if answer.is_redirect:
            raise ConfigError(
                f"{where}: it sends us on to {answer.headers.get('Location', 'nowhere')[:200]}",
                "set the annotator's url to the final address, without a login page before it",
            )
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise self._refused(answer, where)
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NotFoundError(where + _detail(answer), "it may have been deleted in Label Studio")
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            hint = "read the server's log, then try again"
            kind = FailedError if answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR else SpoiledError
            raise kind(where + _detail(answer), hint, after=_wanted_pause(answer))
        if answer.status_code in _LATER:
            raise SpoiledError(where + _detail(answer), "try again later", after=_wanted_pause(answer))
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            raise BackendError(where + _detail(answer), "the request was refused as it is; nothing was stored")
        if not answer.content:
            return None
        try:
            return answer.json()
        except RecursionError:
            raise TooLargeError(f"{where}, nested deeper than can be read") from None
        except ValueError:
            raise BackendError(
                f"{self.url} does not speak Label Studio's API: no JSON from {method} {path}",
                "check that the url is Label Studio's own, without /projects or another page",
            ) from None

    def _refused(self, answer: httpx.Response, where: str) -> ConfigError:
        said = _detail(answer)
        personal, legacy = (f"{self.url}/user/account/{page}" for page in ("personal-access-token", "legacy-token"))
        if self._is_personal:
            why, page = f"the personal access token is wrong, expired or switched off{said}", personal
        elif "legacy token authentication has been disabled" in said:
            why, page = "this organization does not take legacy tokens any more", personal
        elif _SECRET_LOOK.fullmatch(self._token):
            why = f"the legacy token is wrong, expired or switched off{said}"
            page = f"{personal} (or {legacy}, if the organization allows legacy tokens)"
        else:
            why = f"the token of {len(self._token)} characters is neither a personal access token nor a legacy one"
            page = personal
        return ConfigError(f"{where}: {why}", self._remedy(page))


def _written(body: Any) -> bytes:
    """The body as JSON; escaped where it holds half an emoji that somebody answered with, which UTF-8 cannot say."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def _read(answer: httpx.Response, most: int) -> httpx.Response:
    """The answer with its body, of which no more than `most` bytes are ever held; 0 for any number."""
    if not most:
        answer.read()
        return answer
    body = bytearray()
    for part in answer.iter_bytes():
        body += part
        if len(body) > most:
            raise TooLargeError(f"an answer to {answer.request.url.path} is longer than {most:,} bytes")
    headers = [(name, value) for name, value in answer.headers.multi_items() if name not in _OF_THE_BODY]
    return httpx.Response(answer.status_code, headers=headers, content=bytes(body), request=answer.request)


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
    return f"http://{host}" if host.startswith(_LOOPBACK) else f"https://{host}"


def _wanted_pause(answer: httpx.Response) -> float:
    """Seconds of a Retry-After header; 0 without one."""
    said = answer.headers.get("Retry-After", "")
    try:
        if said.strip().isdigit():
            return float(said)
        now = answer.headers.get("Date")  # of the clock that the pause is told by
        since = parsedate_to_datetime(now) if now else datetime.now(UTC)
        return max(0.0, (parsedate_to_datetime(said) - since).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _lifetime(access: str) -> float:
    """Seconds between a JWT's issue and its end."""
    try:
        payload = access.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"]) - float(claims["iat"])
    except (IndexError, KeyError, ValueError, TypeError):
        return _USUAL_LIFETIME


def _detail(answer: httpx.Response) -> str:
    """What the server said, short; never a page of HTML, never something that looks like a token."""
    try:
        said = answer.json()
    except ValueError:
        return ""
    if isinstance(said, Mapping):
        said = said.get("validation_errors") or said.get("detail") or said
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    return ": " + _SECRET_LOOK.sub("...", text)[:500]
