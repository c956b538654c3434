"""What an answer of Label Studio says: its JSON, or an error in words, whoever answered, that shows no secret."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from labelloop.backends.label_studio import bounds, refusals
from labelloop.backends.label_studio.refusals import ForeignError, OversizeError, clean
from labelloop.backends.label_studio.repeats import CutError, FailedError, SpoiledError
from labelloop.errors import BackendError, ConfigError, LabelLoopError, NotFoundError

LATER = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY, httpx.codes.TOO_MANY_REQUESTS)
"""Who answers so wants to be asked again later."""

_INSIDE = "reserved network address"
_SECRET_LOOK = re.compile(r"[0-9a-fA-F]{40}")
_GATEWAY = (httpx.codes.BAD_GATEWAY, httpx.codes.GATEWAY_TIMEOUT)


class AnswerReader:
    """Reads the answers to one user.

    Args:
        url: The server.
        token: As whom we are there.
        remedy: Page with tokens -> what to do when this one is refused.
        headers: Values of the headers on the way, which nobody is to see.

    Attributes:
        access: The access token of now; it shows nowhere, either.
    """

    def __init__(self, url: str, token: str, remedy: Callable[[str], str], headers: Sequence[str]) -> None:
        self.url = url
        self.access = ""
        self._token = token
        self._remedy = remedy
        self._headers = headers

    def parsed(self, answer: httpx.Response, method: str, path: str) -> Any:
        """The JSON of the answer to this request; None where it is empty.

        Raises:
            ConfigError: We are refused, or somebody else answered.
            NotFoundError: There is no such thing.
            BackendError: Everything else that is no success.
        """
        where = f"Label Studio at {self.url} answered {answer.status_code} to {method} {path}"
        said = _json_of(answer)
        if answer.is_success and said is not None:
            return said
        if answer.is_success and not answer.content:
            return None
        if not refusals.is_own(answer, said):
            raise self._foreign(answer, method, path)
        detail = self._detail(said)
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            if _INSIDE in detail:
                raise ConfigError(where + detail, "that server calls no address of its own network: allow it there")
            raise self._refused(detail, where)
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NotFoundError(where + detail, "it may have been deleted in Label Studio")
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            hint = "read the server's log, then try again"
            kind = FailedError if answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR else SpoiledError
            raise kind(where + detail, hint, after=wanted_pause(answer))
        if answer.status_code in LATER:
            raise SpoiledError(where + detail, "try again later", after=wanted_pause(answer))
        if answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            raise OversizeError(where + detail, refusals.advice(answer), status=answer.status_code)
        raise BackendError(where + detail, "the request was refused as it is; nothing was stored")

    def masked(self, text: str) -> str:
        """The text without our token, or anything that looks like one, or the value of a header of ours."""
        for secret in (self._token, self.access, *self._headers):
            if len(secret) > 3:
                text = text.replace(secret, "...")
        return _SECRET_LOOK.sub("...", text)

    def _foreign(self, answer: httpx.Response, method: str, path: str) -> LabelLoopError:
        """What stands between us and Label Studio has answered in its place."""
        status, who = answer.status_code, self.masked(refusals.described(answer))
        advised = refusals.advice(answer)
        if answer.is_redirect:
            to = self.masked(clean(answer.headers.get("Location", "nowhere"), 200))
            return ConfigError(f"{self.url} answered {status} to {method} {path}: it sends us on to {to}{who}", advised)
        if answer.is_success:
            kind = "a login page" if refusals.is_login(answer) else "something else"
            return ForeignError(
                f"{self.url} does not speak Label Studio's API: no JSON from {method} {path}, but {kind}{who}",
                advised,
                status=status,
            )
        said = f"{self.url} answered {status} to {method} {path}, and not in Label Studio's words: a proxy, firewall"
        said += f" or login page before it{who}"
        if status in _GATEWAY:
            return CutError(said, advised, after=wanted_pause(answer))
        if status == httpx.codes.INTERNAL_SERVER_ERROR:  # maybe Label Studio's own, which has no words for some
            return FailedError(said, advised, after=wanted_pause(answer))
        if status >= httpx.codes.INTERNAL_SERVER_ERROR or status in LATER:
            return SpoiledError(said, advised, after=wanted_pause(answer))
        if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            return OversizeError(said, advised, status=status)
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return ConfigError(said, advised)  # whoever it is, it does not know us
        return ForeignError(said, advised, status=status)

    def _detail(self, said: Any) -> str:
        """What the server said, short, and on one line."""
        if isinstance(said, Mapping):
            said = said.get("validation_errors") or said.get("detail") or said
        text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
        return ": " + clean(self.masked(text), 500)

    def _refused(self, said: str, where: str) -> ConfigError:
        personal, legacy = (f"{self.url}/user/account/{page}" for page in ("personal-access-token", "legacy-token"))
        if is_personal(self._token):
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


def is_personal(token: str) -> bool:
    """Whether a token is a personal access token, a JWT, and not a legacy one."""
    return token.count(".") == 2


def wanted_pause(answer: httpx.Response) -> float:
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


def _json_of(answer: httpx.Response) -> Any:
    """The JSON of an answer; None for anything else."""
    try:
        return bounds.parsed(answer.content)
    except ValueError:
        return None
