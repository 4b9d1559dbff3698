"""Records over HTTP: look at them, decide about parked ones, compare them with the cloud's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

import anyio
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from bleagent.audit.chain import Audit
from bleagent.authority.tokens import ADMIN, RECORDS
from bleagent.errors import StoreError, UnknownLock
from bleagent.ports import Clock
from bleagent.records.ports import RecordShelf
from bleagent.records.record import Carriage, StoredRecord

from .auth import require_scope
from .fields import Moment
from .problems import SinkConfigured, UnknownRecord, UnknownSink, problem
from .record_query import parse_query, parse_time, to_cursor
from .record_views import Verified, outbox_view, record_view, verified_view
from .requests import Administrator, Caller, Reader, RecordReader, read_body
from .rules import MAX_BODY

log = structlog.get_logger()

Verify = Callable[[str, float | None, float | None, str | None], Awaitable[Verified]]
"""Lock, since, until (Unix seconds) and sink -> the comparison. Raises AgentError."""

_NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordParts:
    """What the routes of records need."""

    shelf: RecordShelf
    last_seq: Callable[[], Awaitable[int]]
    """The number of the record taken last (``RecordBook.last_seq``)."""
    locks: Collection[str]
    """Those of the configuration."""
    clock: Clock
    name_of: Callable[[str, StoredRecord], str | None] = lambda _lock, _record: None
    """Who is behind a record, where somebody knows."""
    is_duress: Callable[[str, StoredRecord], bool] = lambda _lock, _record: False
    """Whether its credential is there to call for help."""
    decided: Callable[[], None] = lambda: None
    """Somebody decided about a parked record: sinks are tried at once."""
    verify: Verify | None = None
    verify_within: float = 100.0
    """Seconds that a comparison may take, whatever the cloud does."""
    zone: tzinfo | None = None
    """Of local times; ``None``: this machine's."""
    audit: Audit = field(default_factory=Audit)


class RecordsNotKept(StoreError):
    """The daemon runs without its records."""

    code = "records-not-kept"
    advice = "The log and GET /readyz say why; doors open all the same."


class DecideBody(BaseModel):
    """For which sink somebody decided; for all by default."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=False)

    sink: str | None = Field(default=None, min_length=1, max_length=64)


class ForgetBody(BaseModel):
    """Nothing: the sink is in the address."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=False)


class VerifyBody(BaseModel):
    """Which records to compare, and of which sink."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=False)

    since: Moment | None = None
    until: Moment | None = None
    sink: str | None = Field(default=None, min_length=1, max_length=64)


def add_records(app: FastAPI, given: RecordParts | None) -> None:
    """Add the routes; without parts each answers 503 and says so."""

    def parts() -> RecordParts:
        if given is None:
            raise RecordsNotKept("no records are kept")
        return given

    _add_reads(app, parts)
    # To try again does no harm; to give up for good is a decision about what happened at a door.
    _add_decision(app, parts, "retry", RECORDS, lambda shelf: shelf.retry)
    _add_decision(app, parts, "drop", ADMIN, lambda shelf: shelf.drop)
    _add_forget(app, parts)
    _add_verify(app, parts)


def _add_reads(app: FastAPI, parts: Callable[[], RecordParts]) -> None:
    @app.get("/v1/records")
    async def records(request: Request, _caller: RecordReader) -> Response:
        query, have = parse_query(request.query_params.multi_items()), parts()
        if query.lock is not None:
            await _require_lock(have, query.lock)
        # Before the records: one that is taken in between is rather shown twice than not at all.
        last = await have.last_seq() if query.after_seq is None else query.after_seq
        found = await have.shelf.records(query)
        if query.after_seq is not None and found:
            last = found[-1].seq
        more = len(found) == query.limit and query.after_seq is None
        return JSONResponse(
            {
                "records": [view_of(have, one) for one in found],
                "next": to_cursor(found[-1].at, found[-1].seq) if more else None,
                "last": last,
            },
            headers=_NO_STORE,
        )

    @app.get("/v1/records/{record_id}")
    async def record(record_id: str, _caller: RecordReader) -> Response:
        have = parts()
        return JSONResponse(view_of(have, await _record(have, record_id)), headers=_NO_STORE)

    @app.get("/v1/outbox")
    async def outbox(_caller: Reader) -> Response:
        have = parts()
        sinks, counts = await have.shelf.sinks(), await have.shelf.counts()
        return JSONResponse(outbox_view(sinks, counts, unix=have.clock.unix()), headers=_NO_STORE)


def _add_decision(
    app: FastAPI,
    parts: Callable[[], RecordParts],
    word: str,
    scope: str,
    choose: Callable[[RecordShelf], Callable[..., Awaitable[int]]],
) -> None:
    @app.post(f"/v1/records/{{record_id}}/{word}")
    async def decide(record_id: str, request: Request, caller: Caller) -> Response:
        require_scope(caller, scope)
        have = parts()
        raw = await read_body(request)
        if raw is None:
            return _too_large()
        sink = DecideBody.model_validate_json(raw or b"{}").sink
        before = await _record(have, record_id)
        changed = await choose(have.shelf)(record_id, sink=sink)
        if not changed:
            return _not_parked(before, sink)
        log.info(
            "record.decided", record=record_id, decision=word, sink=sink, deliveries=changed,
            principal=caller.id,
        )  # fmt: skip
        have.audit.tell(
            "record.decided", principal=caller.id, lock=before.lock, via=caller.via,
            record=record_id, decision=word, sink=sink, deliveries=changed,
        )  # fmt: skip
        have.decided()
        after = await _record(have, record_id)
        return JSONResponse({"changed": changed, "record": view_of(have, after)}, headers=_NO_STORE)


def _add_forget(app: FastAPI, parts: Callable[[], RecordParts]) -> None:
    @app.post("/v1/outbox/{sink}/forget")
    async def forget(sink: str, request: Request, caller: Administrator) -> Response:
        have = parts()
        raw = await read_body(request)
        if raw is None:
            return _too_large()
        ForgetBody.model_validate_json(raw or b"{}")
        known = {one.sink: one.configured for one in await have.shelf.sinks()}
        if sink not in known:
            raise UnknownSink(f"nothing is left for a sink {sink[:32]!r}")
        if known[sink]:
            raise SinkConfigured(f"{sink} is configured")
        changed = await have.shelf.forget(sink)
        log.info("sink.forgotten", sink=sink, deliveries=changed, principal=caller.id)
        have.audit.tell(
            "sink.forgotten", principal=caller.id, via=caller.via, sink=sink, deliveries=changed
        )
        return JSONResponse({"sink": sink, "changed": changed}, headers=_NO_STORE)


def _add_verify(app: FastAPI, parts: Callable[[], RecordParts]) -> None:
    @app.post("/v1/locks/{lock}/records/verify")
    async def verify(lock: str, request: Request, _caller: RecordReader) -> Response:
        have = parts()
        raw = await read_body(request)
        if raw is None:
            return _too_large()
        body = VerifyBody.model_validate_json(raw or b"{}")
        since, until = (
            None if text is None else parse_time(name, text)
            for name, text in (("since", body.since), ("until", body.until))
        )
        if lock not in have.locks:
            raise _unknown_lock(have, lock)
        if have.verify is None:
            return problem(
                501, "cannot-verify", "nothing here can ask the cloud what it has",
                "Configure a sink that carries to the vendor's cloud.",
            )  # fmt: skip
        found = None
        with anyio.move_on_after(have.verify_within):
            found = await have.verify(lock, since, until, body.sink)
        if found is None:
            return problem(
                504, "verify-too-slow", f"not done within {have.verify_within:g} s",
                "Ask for less time, with since and until.",
            )  # fmt: skip
        return JSONResponse(verified_view(lock, found), headers=_NO_STORE)


def view_of(parts: RecordParts, record: StoredRecord) -> dict[str, Any]:
    """One record for people, with the name of who is behind it."""
    name = parts.name_of(record.lock, record)
    duress = parts.is_duress(record.lock, record)
    return record_view(record, name, parts.zone, duress=duress)


async def _record(parts: RecordParts, record_id: str) -> StoredRecord:
    """Raises UnknownRecord."""
    found = await parts.shelf.record(record_id) if _is_id(record_id) else None
    if found is None:
        raise UnknownRecord("no such record")
    return found


def _is_id(text: str) -> bool:
    return len(text) == 32 and all(sign in "0123456789abcdef" for sign in text)


async def _require_lock(parts: RecordParts, lock: str) -> None:
    """One of the configuration, or of old whose records are still here. Raises UnknownLock."""
    if lock not in parts.locks and lock not in await parts.shelf.counts():
        raise _unknown_lock(parts, lock)


def _unknown_lock(parts: RecordParts, lock: str) -> UnknownLock:
    return UnknownLock(f"no lock {lock[:32]!r}; there are: {', '.join(sorted(parts.locks))}")


def _not_parked(record: StoredRecord, sink: str | None) -> Response:
    states = ", ".join(f"{one.sink} {one.state}" for one in record.deliveries) or "no sink has it"
    parked = any(one.state is Carriage.PARKED for one in record.deliveries)
    what = f"nothing of it is parked for {sink!r}" if parked or sink else "nothing of it is parked"
    return problem(
        409, "not-parked", f"{what}: {states}", "Only what a sink will never take waits for you."
    )


def _too_large() -> Response:
    return problem(413, "body-too-large", f"more than {MAX_BODY} bytes", "Send less.")
