"""One connection: how slow, how large and how many a peer may be, and who it is (safety F7).

uvicorn ends idle connections only after their first request and reads bodies for ever; this
subclass of its protocol puts a bound on both, and knows a Unix socket's other end by its uid.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from http import HTTPStatus
from socket import AF_UNIX
from typing import Any

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from .peer import STATE, UNKNOWN, Peer, peer_of_unix
from .problems import problem_body

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """Bounds of one connection, and how many of them there may be."""

    head_within: float = 5.0
    """Seconds for the head, from the connection or from the first byte of the next request."""
    body_within: float = 5.0
    """Seconds for the body, from the end of the head."""
    idle: int = 5
    """Whole seconds between two requests on one connection."""
    read_within: float = 10.0
    """Seconds in which an answer is taken off our hands."""
    stop_within: float = 0.5
    """The same for what is left of it when the agent stops."""
    head_bytes: int = 16 * 1024
    """Bytes of an unfinished head."""
    tcp: int = 64
    """Connections over TCP; those of Unix sockets are counted apart (safety F4)."""
    of_uid: int = 16
    """Connections of one uid."""
    unix: int = 64
    """Connections over the Unix socket."""


class GuardedProtocol(H11Protocol):
    """uvicorn's, with ``limits``; ``limited`` makes a class of other ones."""

    limits = WireLimits()

    @classmethod
    def limited(cls, limits: WireLimits) -> type[GuardedProtocol]:
        """The same with other limits."""
        return type("LimitedProtocol", (cls,), {"limits": limits})

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.peer = UNKNOWN
        self.idle_since = self.loop.time()
        self._hasty = False
        self._waits_for: str | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        return self._cycle is None or self._cycle.response_complete

    @property
    def _cycle(self) -> RequestResponseCycle | None:
        """As uvicorn has it, which does not say that there is none at first."""
        return self.cycle

    # -- what asyncio and uvicorn call

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Find out who it is; find a place or go; the time for the first head begins."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # every byte that is not taken counts
        try:
            self.peer = _peer(transport)
        except OSError:  # it is gone already
            transport.abort()
            return
        self.app_state = {**self.app_state, STATE: self.peer}
        if self._finds_a_place():
            self._expect("head")
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._expect(None)
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; the time for a later head begins with its first byte.

        What comes before the answer is not read, nor another protocol spoken: uvicorn would stop
        listening until it has answered, and not notice that the caller hangs up (safety A3).
        """
        if self.transport.is_closing() or self._hasty:
            return
        super().data_received(data)
        read = self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)
        if read and not self.idle and self.conn.trailing_data[0]:
            self._hasty = True
            self.cycle.keep_alive = False
            self.flow.resume_reading()
        self._follow()

    def on_response_complete(self) -> None:
        """The next request may come, or be here already."""
        self.idle_since = self.loop.time()
        super().on_response_complete()
        self._follow()

    def pause_writing(self) -> None:
        """Who does not read the answer has no more time than who does not ask."""
        super().pause_writing()
        if self._unread is None:
            within = self.limits.read_within
            self._unread = self.loop.call_later(within, self.transport.abort)

    def shutdown(self) -> None:
        """The agent stops; who does not read does not keep it from that."""
        super().shutdown()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = self.loop.call_later(self.limits.stop_within, self.transport.abort)

    def resume_writing(self) -> None:
        """It is read."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - ours is a problem
        """What is not HTTP, or too much of it."""
        self._answer(400, "not-http", "this is not a request that can be read")

    # -- bounds

    def _follow(self) -> None:
        """What is waited for now, by what has been read."""
        part: str | None = None
        if not self.transport.is_closing():
            if self.conn.their_state is h11.SEND_BODY:
                part = "body"
            elif self.conn.their_state is h11.IDLE and (
                self._cycle is None or self.conn.trailing_data[0]
            ):
                part = "head"
        if part != self._waits_for:
            self._expect(part)

    def _expect(self, part: str | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._waits_for = part
        if part is not None:
            within = self.limits.head_within if part == "head" else self.limits.body_within
            self._deadline = self.loop.call_later(within, self._too_slow)

    def _too_slow(self) -> None:
        if self._waits_for == "body" or self.conn.trailing_data[0]:
            self._answer(408, "too-slow", f"the {self._waits_for} did not come in time")
        else:
            self.transport.abort()

    def _answer(self, status: int, code: str, detail: str) -> None:
        """Answer without the application, and hang up."""
        log.debug("http.refused", code=code, status=status, client=self.peer.name)
        advice = "Send one whole HTTP/1.1 request."
        body = json.dumps(problem_body(status, code, detail, advice)).encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            "content-type: application/problem+json\r\n"
            "cache-control: no-store\r\nx-content-type-options: nosniff\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        if self.conn.their_state is h11.SEND_BODY and self.cycle.response_started:
            self.transport.abort()  # it has its answer
            return
        if not self.idle:
            self.cycle.disconnected = True  # the application learns that nobody waits any more
            self.cycle.message_event.set()
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _finds_a_place(self) -> bool:
        """Whether there is one; whoever has been idle for longest makes room."""
        others = [
            one
            for one in self.connections
            if isinstance(one, GuardedProtocol)
            and one is not self
            and not one.transport.is_closing()
            and one.peer.local == self.peer.local
        ]
        if not self.peer.local:
            return _room(others, self.limits.tcp)
        same = [one for one in others if one.peer.uid == self.peer.uid]
        return _room(same, self.limits.of_uid) and _room(others, self.limits.unix)


def _room(others: list[GuardedProtocol], most: int) -> bool:
    others = [one for one in others if not one.transport.is_closing()]
    if len(others) < most:
        return True
    idle = [one for one in others if one.idle]
    if idle:
        min(idle, key=lambda one: one.idle_since).transport.abort()
    return bool(idle)


def _peer(transport: asyncio.Transport) -> Peer:
    """Raises OSError."""
    connected = transport.get_extra_info("socket")
    if connected.family == AF_UNIX:
        return peer_of_unix(connected)
    return Peer(address=transport.get_extra_info("peername")[0])
