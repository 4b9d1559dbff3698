"""``GET /v1/events``: what happens, as it happens, and what happened since one was here last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request

from bleagent.authority.tokens import READ, allows
from bleagent.authority.tokens import RECORDS as SEE_RECORDS
from bleagent.events import (
    OPERATIONS,
    RECORDS,
    Bell,
    EventSource,
    Mark,
    OperationEvent,
    Position,
    parse_position,
)
from bleagent.model import Principal
from bleagent.ports import Clock
from bleagent.records.record import StoredRecord

from .auth import Unauthorized
from .callers import Callers
from .event_stream import EventStream, Followed, Following, Places, Told
from .peer import peer_of
from .record_views import iso
from .records import RecordParts, view_of
from .requests import Caller
from .views import operation_view

MOST = 24
"""Streams at one time: some of the connections over TCP are always left for other requests."""
OF_CALLER = 8
"""Those of one caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventParts:
    """What the route of events needs. ``records`` is None where none are kept."""

    operations: EventSource[OperationEvent]
    records: EventSource[StoredRecord] | None
    bell: Bell
    clock: Clock
    most: int = MOST
    of_caller: int = OF_CALLER


def add_events(app: FastAPI, parts: EventParts, records: RecordParts | None) -> None:
    """Add the route."""
    places = Places(most=parts.most, of_caller=parts.of_caller)

    @app.get("/v1/events")
    async def events(
        request: Request, caller: Caller, last_event_id: Annotated[str | None, Header()] = None
    ) -> EventStream:
        sources = _seen_by(caller, parts, records)
        position, lost = await _begin(sources, last_event_id, parts.clock)
        following = Following(
            caller=caller.id, sources=sources, position=position, lost=lost,
            good=_still_good(request, caller),
        )  # fmt: skip
        return EventStream(following, parts.bell, parts.clock, places)


def _seen_by(caller: Principal, parts: EventParts, records: RecordParts | None) -> list[Followed]:
    """What one has asked for oneself takes no scope; the operations of others and records do."""
    everything = allows(caller.scopes, READ)

    def operation(event: OperationEvent) -> Told | None:
        if not everything and event.record.principal != caller.id:
            return None
        return told_of(event)

    found = [Followed(name=OPERATIONS, source=parts.operations, told=operation)]
    if parts.records is not None and records is not None and allows(caller.scopes, SEE_RECORDS):
        told = lambda record: ("record", view_of(records, record))  # noqa: E731
        found.append(Followed(name=RECORDS, source=parts.records, told=told))
    return found


def told_of(event: OperationEvent) -> Told:
    """What is said of an operation, to whoever may be told."""
    if event.evidence is None:
        return "operation", operation_view(event.record)
    record = event.record
    return "evidence", {
        "operation": record.id,
        "lock": record.lock,
        "action": record.action,
        "evidence": dict(event.evidence),
    }


async def _begin(
    sources: list[Followed], last_id: str | None, clock: Clock
) -> tuple[Position, list[dict[str, Any]]]:
    """Where to go on from, and what there was since then that cannot be told any more.

    Raises StoreError.
    """
    # The place in a source that is not seen is carried along: it may be seen another time.
    position, lost = parse_position(last_id or ""), []
    for one in sources:
        newest, known = await one.source.newest(), position.get(one.name)
        if known is not None and known.source == newest.source and known.seq <= newest.seq:
            if gone := await one.source.gone(known.seq):
                lost.append(await _gone(one, known, gone, clock))
            continue
        position[one.name] = newest
        if last_id:
            lost.append(lost_view(one.name, None, clock.unix()))
    return position, lost


async def _gone(one: Followed, known: Mark, count: int, clock: Clock) -> dict[str, Any]:
    """Some are not stored any more; those that are left follow."""
    left = await one.source.after(known.seq, limit=1)
    return lost_view(one.name, count, _at(left[0]) if left else clock.unix())


def lost_view(of: str, count: int | None, unix: float) -> dict[str, Any]:
    """Some cannot be told any more (None: nobody knows how many); those since then can."""
    return {"of": of, "count": count, "from": iso(unix)}


def _at(event: OperationEvent | StoredRecord) -> float:
    if isinstance(event, StoredRecord):
        return event.taken_at
    return event.record.finished_at or event.record.requested_at


def _still_good(request: Request, caller: Principal) -> Callable[[], bool]:
    """Whether whoever asked would be let in now, as the same one with the same scopes."""
    callers: Callers = request.app.state.callers
    shown, peer = request.headers.get("authorization"), peer_of(request.scope)

    def good() -> bool:
        try:
            now = callers.principal(shown, peer)
        except Unauthorized:
            return False
        return (now.id, now.grant, now.scopes) == (caller.id, caller.grant, caller.scopes)

    return good
