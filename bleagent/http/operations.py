"""Operating a door over HTTP: a token, an Idempotency-Key, and the truth about the door.

A caller that hangs up before the commit point stops the operation, unless somebody was told that
it goes on (``Prefer: respond-async``; safety A3, F1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Annotated, TypeVar

import anyio
from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from bleagent.audit.chain import Audit
from bleagent.authority.issued_tokens import DateUnknown
from bleagent.authority.tokens import READ, operate
from bleagent.doors import Doors
from bleagent.errors import AgentError, UsesSpent
from bleagent.model import Action, OperationRecord, OperationRequest, Principal
from bleagent.ports import Clock, Ledger

from .auth import deadline_of, require_scope
from .fields import Moment, whole
from .guard import answer_of, too_many
from .limits import Buckets, Rate
from .problems import RequestUnusable, UnknownOperation, problem
from .record_query import parse_time
from .requests import Caller, Opener, Operator, read_body
from .rules import MAX_BODY, Refusal
from .sharing import SharingBody, TicketGate
from .views import operation_view, rehearsal_view, status_of

DEFAULT_DEADLINE = 15.0
"""Seconds for an operation whose caller names no deadline."""
MAX_DEADLINE_MS = 30_000
MAX_KEY = 255
"""Characters of an Idempotency-Key."""
ASYNC = "respond-async"
"""The preference (RFC 7240) of a caller who does not want to wait for the outcome."""

Result = TypeVar("Result")
_NO_STORE = {"Cache-Control": "no-store"}
KEY = r"^[!-~]([ -~]*[!-~])?$"
"""An Idempotency-Key: plain characters, no space at either end, where HTTP would drop it."""


class OperateBody(BaseModel):
    """What a caller may say about an operation."""

    # Built at the start: the first caller is not the one to wait for it.
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=False)

    deadline_ms: Annotated[int, Field(ge=1, le=MAX_DEADLINE_MS), whole] = Field(
        default=int(DEFAULT_DEADLINE * 1000), description="Until the command is written."
    )
    after: str | None = Field(
        default=None, max_length=64,
        description="The id of an unconfirmed operation, to go on knowingly.",
    )  # fmt: skip
    expires_at: Moment | None = Field(
        default=None, description="When the deadline ends at the latest."
    )


class UnlockBody(OperateBody):
    """What a caller may say about an opening."""

    sharing: SharingBody | None = Field(default=None, description="On whose authority, if given.")


_BODIES: dict[Action, type[OperateBody]] = {Action.UNLOCK: UnlockBody, Action.LOCK: OperateBody}


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationParts:
    """What the routes of operations need."""

    doors: Doors
    ledger: Ledger
    clock: Clock
    new_id: Callable[[], str]
    stalled: Callable[[], bool]
    """Whether this process stood still a moment ago."""
    rate: Rate
    """How often one caller may operate doors."""
    tickets: TicketGate
    """Who takes sharing tickets."""
    audit: Audit = field(default_factory=Audit)


def add_operations(app: FastAPI, parts: OperationParts) -> None:
    """Add the routes."""
    _add_reads(app, parts)
    buckets = Buckets(parts.rate)

    @app.post("/v1/locks/{lock}/hint")
    async def hint(lock: str, _caller: Operator) -> Response:
        return JSONResponse({"lock": lock, "seconds": parts.doors.keep_warm(lock)}, 202)

    @app.post("/v1/locks/{lock}/rehearse")
    async def rehearse(lock: str, request: Request, caller: Operator) -> Response:
        if wait := buckets.take(caller.id, parts.clock.now()):
            return answer_of(too_many("operations", wait))
        found = await _unless_gone(request, partial(parts.doors.rehearse, lock))
        return JSONResponse(rehearsal_view(lock, found), headers=_NO_STORE)

    for action in Action:
        _add_action(app, parts, buckets, action)


def _add_action(app: FastAPI, parts: OperationParts, buckets: Buckets, action: Action) -> None:
    @app.post(f"/v1/locks/{{lock}}/{action}")
    async def act(
        lock: str,
        request: Request,
        caller: Opener,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        received_at, stale = parts.clock.now(), parts.stalled()
        if idempotency_key is None or not 1 <= len(idempotency_key) <= MAX_KEY:
            return problem(
                400, "idempotency-key-missing", f"no Idempotency-Key of 1 to {MAX_KEY} characters",
                "Send a new random Idempotency-Key with each new request.",
            )  # fmt: skip
        raw = await read_body(request)
        if raw is None:
            return problem(413, "body-too-large", f"more than {MAX_BODY} bytes", "Send less.")
        body = _BODIES[action].model_validate_json(raw or b"{}")
        sharing = body.sharing if isinstance(body, UnlockBody) else None
        if sharing is None:
            require_scope(caller, operate(lock))
        asked = OperationRequest(
            operation_id=parts.new_id(),
            lock=lock,
            action=action,
            principal=caller,
            key=idempotency_key,
            fingerprint=_fingerprint(lock, action, body),
            received_at=received_at,
            deadline=await _deadline(parts, caller, idempotency_key, received_at, body),
            after=body.after,
            stale=stale,
        )
        if wait := await _to_wait(buckets, parts, asked):
            return answer_of(too_many("operations", wait))
        if sharing is not None:
            passed = await _unless_gone(request, partial(parts.tickets.passed, asked, sharing))
            if isinstance(passed, Refusal):
                return answer_of(passed)
            asked = passed
        prefers_async = _prefers_async(request)
        try:
            if prefers_async:
                record, new = await parts.doors.begin(asked)
            else:
                record, new = await _unless_gone(request, lambda: parts.doors.operate(asked))
        except UsesSpent:
            via = asked.principal.via
            parts.audit.tell("token.used_up", principal=caller.id, lock=lock, via=via)
            raise
        headers = {"Location": f"/v1/operations/{record.id}", **_NO_STORE}
        if prefers_async:
            headers["Preference-Applied"] = ASYNC
        if not new:
            buckets.give_back(caller.id)
            headers["Idempotency-Replayed"] = "true"
        return JSONResponse(_view(parts, record), status_of(record), headers)


def _add_reads(app: FastAPI, parts: OperationParts) -> None:
    @app.get("/v1/operations")
    async def operation_of_key(request: Request, caller: Caller) -> Response:
        record = await parts.ledger.known(caller.id, _key(request.query_params.multi_items()))
        if record is None:
            raise UnknownOperation("this caller has used no such key")
        headers = {"Location": f"/v1/operations/{record.id}", **_NO_STORE}
        return JSONResponse(_view(parts, record), headers=headers)

    @app.get("/v1/operations/{operation_id}")
    async def operation(operation_id: str, caller: Caller) -> Response:
        record = await parts.ledger.operation(operation_id)
        if record is None or record.principal != caller.id:
            require_scope(caller, READ)  # what one has asked for oneself needs none
        if record is None:
            raise UnknownOperation("no such operation")
        return JSONResponse(_view(parts, record), headers=_NO_STORE)


def _view(parts: OperationParts, record: OperationRecord) -> dict[str, object]:
    return operation_view(record, steps=parts.doors.steps(record.id))


def _key(given: list[tuple[str, str]]) -> str:
    """The one parameter there is. Raises RequestUnusable."""
    text = given[0][1] if given else ""
    if [name for name, _ in given] != ["key"] or len(text) > MAX_KEY or not re.fullmatch(KEY, text):
        raise RequestUnusable(
            f"expected one key, of 1 to {MAX_KEY} plain characters, and nothing else"
        )
    return text


async def _deadline(
    parts: OperationParts, caller: Principal, key: str, received_at: float, body: OperateBody
) -> float:
    """Seconds of ``Clock.now``: what ends first (safety A2, F2).

    Raises:
        RequestUnusable: ``expires_at`` is no time.
        DateUnknown: it is one, the date is not trusted, and the key is not known either.
    """
    deadline = deadline_of(caller, received_at + body.deadline_ms / 1000, parts.clock)
    if body.expires_at is None:
        return deadline
    expires = parse_time("expires_at", body.expires_at)
    if parts.clock.trusted:
        return min(deadline, parts.clock.now() + expires - parts.clock.unix())
    if await parts.ledger.known(caller.id, key) is None:
        raise DateUnknown("expires_at was given, and the date is not certain")
    return received_at  # what is known is answered, and nothing can begin


def _prefers_async(request: Request) -> bool:
    """Whether ``Prefer`` has it, among other things that are not ours to heed."""
    wishes = ",".join(request.headers.getlist("prefer")).split(",")
    return any(wish.partition(";")[0].strip().lower() == ASYNC for wish in wishes)


async def _to_wait(buckets: Buckets, parts: OperationParts, asked: OperationRequest) -> float:
    """Seconds until this caller may operate a door again; a known key operates none."""
    who = asked.principal.id
    wait = buckets.take(who, parts.clock.now())
    # Looked up only here, for this costs an opening time.
    if wait and await parts.ledger.known(who, asked.key) is not None:
        return 0.0
    return wait


def _fingerprint(lock: str, action: Action, body: OperateBody) -> str:
    said = body.model_dump()
    if body.expires_at is None:  # as before there was one: keys of then are good for a day
        del said["expires_at"]
    if (sharing := said.pop("sharing", None)) is not None:
        said["sharing"] = SharingBody(**sharing).fingerprint()
    return sha256(json.dumps([lock, action, said], sort_keys=True).encode()).hexdigest()


async def _unless_gone(request: Request, work: Callable[[], Awaitable[Result]]) -> Result:
    """Do the work, cancelled if the caller hangs up (safety A3).

    Failures are kept and raised outside the task group, which would wrap them.
    """
    result: Result | None = None
    failure: AgentError | None = None

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass  # the body was read before; nothing else but the end can come
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        try:
            result = await work()
        except AgentError as error:
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if result is None:
        raise HangUp("the caller hung up")
    return result


class HangUp(AgentError):
    """The caller went away; nobody reads the answer."""

    code = "caller-gone"
    advice = "Ask for the operation with the same Idempotency-Key."
