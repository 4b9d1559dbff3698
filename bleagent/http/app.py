"""The HTTP trigger, first form: a token, an Idempotency-Key, and the truth about the door.

No GET acts. A caller that hangs up before the commit point stops the operation.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated, Any

import anyio
from fastapi import FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from bleagent.doors import Doors
from bleagent.errors import AgentError
from bleagent.model import Action, OperationRecord, OperationRequest
from bleagent.ports import Clock, Ledger
from bleagent.radio.airtime import DAY, RadioAir
from bleagent.tokens import READ

from .auth import Tokens, Unauthorized, deadline_of, require_scope
from .callers import Callers, Users
from .guard import Guard, answer_of, too_many
from .limits import Buckets, Limits
from .page_files import add_page
from .problems import problem, problem_of
from .records import RecordParts, add_records
from .requests import Caller, Operator, Reader, read_body
from .rules import MAX_BODY, Rules
from .tokens import TokenParts, add_tokens
from .views import locks_view, operation_view, status_of

DEFAULT_DEADLINE = 15.0
"""Seconds for an operation whose caller names no deadline."""
MAX_DEADLINE_MS = 30_000
API = (
    "POST /v1/locks/NAME/unlock, lock or hint with a JSON object of at most deadline_ms "
    f"(1 to {MAX_DEADLINE_MS}) and after (an operation's id); GET /v1/locks, /v1/operations/ID, "
    "/v1/records, /v1/records/ID, /v1/outbox; POST /v1/records/ID/retry or drop, "
    "/v1/outbox/SINK/forget, /v1/locks/NAME/records/verify; "
    "GET or POST /v1/tokens, POST /v1/tokens/ID/revoke."
)


NO_TELEMETRY: TelemetryConfig = {
    "tracing": False, "metrics": False, "logs": False, "operation_spans": False,
    "auto_configure": False,
}  # fmt: skip
"""FastAPI would export validation failures and exceptions, their values with them, wherever the
environment names a collector (safety G1)."""


class OperateBody(BaseModel):
    """What a caller may say about an operation."""

    # Built at the start: the first caller is not the one to wait for it.
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=False)

    deadline_ms: int = Field(default=int(DEFAULT_DEADLINE * 1000), ge=1, le=MAX_DEADLINE_MS)
    after: str | None = Field(default=None, max_length=64)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpParts:
    """What the trigger needs."""

    doors: Doors
    ledger: Ledger
    clock: Clock
    tokens: Tokens
    new_id: Callable[[], str]
    stalled: Callable[[], bool]
    """Whether this process stood still a moment ago."""
    air: Callable[[], RadioAir | None]
    """What the radio has heard and done; ``None`` for a virtual lock."""
    readiness: Callable[[], dict[str, str]]
    """Part and what is wrong with it; empty when ready."""
    records: RecordParts | None = None
    """``None``: no records are kept, and who asks for them is told so."""
    users: Users = field(default_factory=Users)
    """Who needs no token at the Unix socket."""
    issued: TokenParts | None = None
    """``None``: there is the configuration's token only."""
    limits: Limits = field(default_factory=Limits)

    def callers(self) -> Callers:
        """All who may call."""
        return Callers(self.tokens, self.users)


def guarded(
    parts: HttpParts, names: Iterable[str] = (), allowed_hosts: Iterable[str] = ()
) -> Guard:
    """The application behind its guard; ``names`` and addresses are those it is asked for by."""
    callers = parts.callers()
    rules = Rules(hosts=names, allowed_hosts=allowed_hosts, is_token=callers.is_token)
    return Guard(create_app(parts), rules, callers, parts.clock, parts.limits)


def create_app(parts: HttpParts) -> FastAPI:
    """The application; documentation pages come with a later form of it."""
    app = FastAPI(
        title="bleagent", docs_url=None, redoc_url=None, openapi_url=None, telemetry=NO_TELEMETRY,
        redirect_slashes=False,  # a path is what it is
    )  # fmt: skip
    app.state.callers = parts.callers()
    _add_errors(app)
    _add_reads(app, parts)
    add_records(app, parts.records)
    operations = Buckets(parts.limits.operations)
    if parts.issued is not None:
        add_tokens(app, parts.issued)
    add_page(app)

    @app.post("/v1/locks/{lock}/hint")
    async def hint(lock: str, _caller: Operator) -> Response:
        return JSONResponse({"lock": lock, "seconds": parts.doors.keep_warm(lock)}, 202)

    @app.post("/v1/locks/{lock}/{action}")
    async def operate(
        lock: str,
        action: Action,
        request: Request,
        caller: Operator,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        received_at, stale = parts.clock.now(), parts.stalled()
        if idempotency_key is None or not 1 <= len(idempotency_key) <= 255:
            return problem(
                400, "idempotency-key-missing", "no Idempotency-Key of 1 to 255 characters",
                "Send a new random Idempotency-Key with each new request.",
            )  # fmt: skip
        raw = await read_body(request)
        if raw is None:
            return problem(413, "body-too-large", f"more than {MAX_BODY} bytes", "Send less.")
        body = OperateBody.model_validate_json(raw or b"{}")
        asked = OperationRequest(
            operation_id=parts.new_id(),
            lock=lock,
            action=action,
            principal=caller,
            key=idempotency_key,
            fingerprint=_fingerprint(lock, action, body),
            received_at=received_at,
            deadline=deadline_of(caller, received_at + body.deadline_ms / 1000, parts.clock),
            after=body.after,
            stale=stale,
        )
        if wait := await _to_wait(operations, parts, asked):
            return answer_of(too_many("operations", wait))
        record, new = await _unless_gone(request, lambda: parts.doors.operate(asked))
        headers = {"Location": f"/v1/operations/{record.id}", "Cache-Control": "no-store"}
        if not new:
            operations.give_back(caller.id)
            headers["Idempotency-Replayed"] = "true"
        return JSONResponse(operation_view(record), status_of(record), headers)

    return app


def _add_reads(app: FastAPI, parts: HttpParts) -> None:
    @app.get("/v1/operations/{operation_id}")
    async def operation(operation_id: str, caller: Caller) -> Response:
        record = await parts.ledger.operation(operation_id)
        if record is None or record.principal != caller.id:
            require_scope(caller, READ)  # what one has asked for oneself needs none
        if record is None:
            return problem(
                404, "unknown-operation", "no such operation", "The POST answered its id."
            )
        return JSONResponse(operation_view(record), headers={"Cache-Control": "no-store"})

    @app.get("/v1/locks")
    async def locks(_caller: Reader) -> dict[str, Any]:
        return locks_view(parts.doors, parts.air(), today=int(parts.clock.unix() // DAY))

    @app.get("/livez")
    async def livez() -> Response:
        return Response(status_code=200)

    @app.get("/readyz")
    async def readyz() -> Response:
        wrong = parts.readiness()
        return JSONResponse({"ready": not wrong, "wrong": sorted(wrong)}, 503 if wrong else 200)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(AgentError)
    async def agent_error(_request: Request, error: AgentError) -> Response:
        if isinstance(error, Unauthorized):
            return problem(error.status, error.code, str(error), error.advice)
        return problem_of(error)

    @app.exception_handler(StarletteHTTPException)
    async def elsewhere(_request: Request, error: StarletteHTTPException) -> Response:
        known = {404: "not-found", 405: "method-not-allowed"}
        code = known.get(error.status_code, "request-invalid")
        return problem(error.status_code, code, str(error.detail), API)

    @app.exception_handler(Exception)
    async def fault(_request: Request, _error: Exception) -> Response:
        # It is raised again and logged (type and places); the caller learns nothing of it.
        return problem(500, AgentError.code, "the agent failed", AgentError.advice)

    @app.exception_handler(ValidationError)
    async def unusable(_request: Request, error: ValidationError) -> Response:
        return _invalid(
            [str(part["loc"][-1]) if part["loc"] else "body" for part in error.errors()]
        )

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        return _invalid([str(part["loc"][-1]) for part in error.errors()])


def _invalid(fields: list[str]) -> Response:
    named = ", ".join(sorted(set(fields)))
    return problem(422, "request-invalid", f"cannot be used: {named}", API)


async def _to_wait(operations: Buckets, parts: HttpParts, asked: OperationRequest) -> float:
    """Seconds until this caller may operate a door again; a known key operates none."""
    who = asked.principal.id
    wait = operations.take(who, parts.clock.now())
    # Looked up only here, for this costs an opening time.
    if wait and await parts.ledger.known(who, asked.key) is not None:
        return 0.0
    return wait


def _fingerprint(lock: str, action: Action, body: OperateBody) -> str:
    canonical = json.dumps([lock, action, body.model_dump()], sort_keys=True)
    return sha256(canonical.encode()).hexdigest()


async def _unless_gone(
    request: Request, work: Callable[[], Awaitable[tuple[OperationRecord, bool]]]
) -> tuple[OperationRecord, bool]:
    """Do the work, cancelled if the caller hangs up (safety A3).

    Failures are kept and raised outside the task group, which would wrap them.
    """
    result: tuple[OperationRecord, bool] | None = None
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
