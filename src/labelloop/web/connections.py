"""A connection of our servers: each phase of it has its time, and whoever only waits makes room for others."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 256
"""Connections held at the same time; on top of them, the one that has waited longest without a request is closed."""

HEADER_SECONDS = 10.0
BODY_SECONDS = 60.0
WRITE_SECONDS = 30.0


class Connection(H11Protocol):
    """uvicorn's, with a deadline for a whole header, a whole body, and for a client that does not read.

    Time counts from the first byte of a phase, not from the last one: dripping bytes wins nothing.
    """

    _deadline: asyncio.TimerHandle | None = None
    _phase = ""
    _slow: asyncio.TimerHandle | None = None
    since = 0.0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.since = self.loop.time()
        self._enter("header", HEADER_SECONDS)
        if len(self.connections) > MOST:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        if not self._is_answering():
            self._enter("header", HEADER_SECONDS)
        super().data_received(data)
        if self._is_answering():
            if self.conn.their_state is h11.SEND_BODY:
                self._enter("body", BODY_SECONDS)
            else:
                self._leave()

    def on_response_complete(self) -> None:
        self._leave()
        self.since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._slow = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        if self._slow is not None:
            self._slow.cancel()
        super().connection_lost(exc)

    def is_waiting(self) -> bool:
        """Whether nothing is computed or sent for it."""
        return not self._is_answering()

    def _is_answering(self) -> bool:
        cycle: Any = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _make_room(self) -> None:
        waiting = [one for one in self.connections if isinstance(one, Connection) and one.is_waiting()]
        min(waiting, key=lambda one: one.since, default=self).transport.abort()

    def _enter(self, phase: str, seconds: float) -> None:
        if self._phase != phase:
            self._leave()
            self._phase = phase
            self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _leave(self) -> None:
        self._phase = ""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
