"""``GET /metrics``: a copy of all that is counted, for the Prometheus text format.

The copy is made here, in the event loop, of what is in memory; no scrape reads a store. It is
written out by ``exposition`` in a thread, and only who asks first has that and its library loaded.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bleagent.cloud.client import CloudState
from bleagent.doors import Doors
from bleagent.health.metrics import Distribution, Labels, Tally
from bleagent.health.readiness import Part, Readiness, Shelf
from bleagent.ports import Clock
from bleagent.radio.airtime import DAY, RadioAir
from bleagent.webhooks import WebhookState

from .requests import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricParts:
    """What there is to count, and to look at."""

    tally: Tally
    readiness: Readiness
    doors: Doors
    clock: Clock
    air: Callable[[], RadioAir | None]
    cloud: Callable[[], CloudState]
    version: str
    webhooks: Callable[[], Sequence[WebhookState]] = tuple
    in_thread: Callable[
        [Callable[[Snapshot], tuple[bytes, str]], Snapshot], Awaitable[tuple[bytes, str]]
    ] = anyio.to_thread.run_sync
    """Writes it out where the event loop does not wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything at one moment. Nothing of it changes any more."""

    version: str
    operations: Mapping[Labels, int]
    durations: Mapping[Labels, Distribution]
    steps: Mapping[Labels, Distribution]
    calls: Mapping[Labels, int]
    answers: Mapping[Labels, int]
    problems: Mapping[Labels, int]
    connected: Mapping[str, bool]
    """By lock."""
    air: RadioAir | None
    shelf: Shelf | None
    """``None``: it was not looked at yet, or no records are kept."""
    cloud: CloudState
    parts: Mapping[str, Part]
    webhooks: Sequence[WebhookState]
    unix: float
    """Seconds."""

    @property
    def today(self) -> int:
        """The UTC day, days since 1970."""
        return int(self.unix // DAY)


def add_metrics(app: FastAPI, parts: MetricParts) -> None:
    """Add the route."""

    @app.get("/metrics")
    async def metrics(_caller: Reader) -> Response:
        text, media_type = await parts.in_thread(_written, snapshot(parts))
        return Response(text, media_type=media_type)


def snapshot(parts: MetricParts) -> Snapshot:
    """As it is now."""
    tally = parts.tally
    return Snapshot(
        version=parts.version,
        operations=tally.operations.copy(),
        durations=tally.durations.copy(),
        steps=tally.steps.copy(),
        calls=tally.calls.copy(),
        answers=tally.answers.copy(),
        problems=tally.problems.copy(),
        connected={name: parts.doors.connected(name) for name in parts.doors.names},
        air=parts.air(),
        shelf=parts.readiness.shelf.found,
        cloud=parts.cloud(),
        parts=parts.readiness.parts(),
        webhooks=parts.webhooks(),
        unix=parts.clock.unix(),
    )


def _written(found: Snapshot) -> tuple[bytes, str]:
    # Only here: a daemon that nobody scrapes does not load the library, nor does any start.
    from .exposition import MEDIA_TYPE, exposed  # noqa: PLC0415

    return exposed(found), MEDIA_TYPE


@dataclass(slots=True)
class Counted:
    """The ASGI application around another one whose answers are counted."""

    app: ASGIApp
    tally: Tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        await self.app(scope, receive, _counting(send, self.tally))


def _counting(send: Send, tally: Tally) -> Send:
    problem = 0
    """The status of a problem whose body is still to come."""

    async def counted(message: Message) -> None:
        nonlocal problem
        if message["type"] == "http.response.start":
            if _is_problem(message):
                problem = message["status"]
            else:
                tally.answered(message["status"], None)
        elif problem:
            tally.answered(problem, _code_of(message))
            problem = 0
        await send(message)

    return counted


def _is_problem(start: MutableMapping[str, Any]) -> bool:
    return start["status"] >= 400 and any(
        name.lower() == b"content-type" and value.startswith(b"application/problem+json")
        for name, value in start.get("headers", ())
    )


def _code_of(message: MutableMapping[str, Any]) -> str | None:
    """Ours are small, and come in one piece."""
    try:
        return str(json.loads(message.get("body", b""))["code"])
    except (ValueError, KeyError, TypeError):
        return None
