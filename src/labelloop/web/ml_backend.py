"""Label Studio's protocol for ML backends, spoken by the model in use. Nothing is ever trained in a request."""

from __future__ import annotations

import asyncio
import binascii
import json
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from labelloop.errors import BusyError, LabelLoopError
from labelloop.kinds.labels import prediction_of
from labelloop.types import Item, Question
from labelloop.web.batching import Batcher

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

LARGEST_BODY = 64 * 2**20
MOST_TASKS = 10_000
"""Of one request: more keep the model busy for longer than anybody waits."""

Handler = Callable[["Request"], Awaitable["Response"]]


@dataclass(frozen=True)
class ServedModel:
    """What the protocol needs to know.

    Attributes:
        version: The version in use now.
        versions: Every version there was.
        item_of: The item that a task's data shows.
        misfits: Why what is answered cannot be shown with a label config; empty when it can.
        batcher: Answers items, each with its prediction, or None.
    """

    version: Callable[[], str]
    versions: Callable[[], Sequence[str]]
    item_of: Callable[[Mapping[str, Any]], Item]
    misfits: Callable[[str], Sequence[str]]
    batcher: Batcher[Item, Question | None]


def ml_backend(model: ServedModel, user: tuple[str, str], patience: float) -> Starlette:
    """The app: `/health` for anybody; `/setup`, `/predict`, `/webhook` and `/versions` for whoever has the password.

    Args:
        model: Who answers.
        user: Name and password.
        patience: Seconds after which a prediction is given up with 503: Label Studio then shows none.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "UP", "model_class": "labelloop"})

    async def setup(request: Request) -> Response:
        await run_in_threadpool(_check_config, model, (await _body(request)).get("schema"))
        return JSONResponse({"model_version": await run_in_threadpool(model.version)})

    async def versions(_: Request) -> Response:
        return JSONResponse({"versions": list(await run_in_threadpool(model.versions))})

    async def webhook(_: Request) -> Response:
        return JSONResponse({"status": "the loop decides when to learn: labelloop watch"})

    async def predict(request: Request) -> Response:
        body = await _body(request)
        items = [model.item_of(task) for task in _tasks(body)]
        fit = [item for item in items if _is_usable(item)]
        try:
            config = body.get("label_config")
            await asyncio.wait_for(run_in_threadpool(_check_config, model, config), patience)
            waiting = asyncio.wrap_future(model.batcher.submit(fit))
            answers = await asyncio.wait_for(waiting, patience)
        except TimeoutError:
            raise HTTPException(503, f"no answer within {patience:g} s", {"Retry-After": "5"}) from None
        except BusyError as error:
            raise HTTPException(503, error.message, {"Retry-After": "1"}) from None
        found = iter(answers)
        return JSONResponse({"results": [_result(next(found) if _is_usable(item) else None) for item in items]})

    def protected(handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            if not _is_allowed(request.headers.get("Authorization", ""), user):
                return JSONResponse({"detail": "wrong password"}, 401, {"WWW-Authenticate": 'Basic realm="labelloop"'})
            return await handler(request)

        return guarded

    async def failed(_: Request, error: Exception) -> Response:
        words = error.message if isinstance(error, LabelLoopError) else type(error).__name__
        return JSONResponse({"detail": words}, 503)

    return Starlette(
        routes=[
            Route("/", health, methods=["GET"]),
            Route("/health", health, methods=["GET"]),
            Route("/setup", protected(setup), methods=["POST"]),
            Route("/predict", protected(predict), methods=["POST"]),
            Route("/webhook", protected(webhook), methods=["POST"]),
            Route("/versions", protected(versions), methods=["GET"]),
        ],
        exception_handlers={LabelLoopError: failed},
    )


async def _body(request: Request) -> Mapping[str, Any]:
    """What a request says."""
    from starlette.exceptions import HTTPException

    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BODY:
            raise HTTPException(413, f"more than {LARGEST_BODY:,} bytes")
    try:
        said = json.loads(body, parse_constant=_refuse)
    except RecursionError:
        raise HTTPException(400, "nested too deeply") from None
    except ValueError:
        raise HTTPException(400, "expected an object of JSON") from None
    if not isinstance(said, Mapping):
        raise HTTPException(400, "expected an object of JSON")
    return said


def _tasks(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The data of the tasks to be predicted."""
    from starlette.exceptions import HTTPException

    try:
        tasks = body["tasks"]
        if len(tasks) > MOST_TASKS:
            raise HTTPException(413, f"more than {MOST_TASKS:,} tasks in one request: ask in several")
        return [{str(key): value for key, value in task["data"].items()} for task in tasks]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HTTPException(400, "expected {'tasks': [{'data': {...}}, ...]}") from None


def _check_config(model: ServedModel, config: Any) -> None:
    """Refuse to answer a project that asks otherwise: nobody could see what is said."""
    from starlette.exceptions import HTTPException

    if isinstance(config, str) and config.strip() and (found := model.misfits(config)):
        raise HTTPException(409, f"the label config does not fit the model in use: {'; '.join(found)}")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _is_usable(item: Item) -> bool:
    """Whether a model can be asked about it: text that is text, an address that is one line."""
    try:
        (item.id + item.text + item.uri).encode()
    except UnicodeEncodeError:
        return False
    return all(character.isprintable() for character in item.uri)


def _result(answer: Question | None) -> Mapping[str, Any] | list[Any]:
    """A prediction as Label Studio takes it; an empty list, of which it stores nothing, where there is none."""
    return prediction_of(answer.prediction, answer.turn) if answer else []


def _is_allowed(authorization: str, user: tuple[str, str]) -> bool:
    scheme, _, encoded = authorization.partition(" ")
    try:
        said = b64decode(encoded.encode(), validate=True)
    except (binascii.Error, ValueError):
        said = b""
    return compare_digest(said, ":".join(user).encode()) and scheme.lower() == "basic"
