"""Errors as RFC 9457 problem+json: a stable code, and advice for whoever reads it."""

from __future__ import annotations

import math
from typing import Any

from fastapi.responses import JSONResponse

from bleagent.authority.issued_tokens import DateUnknown, NotNow, TooManyTokens, UnknownToken
from bleagent.authority.sharing import SharingRefused, SharingUnverified
from bleagent.errors import (
    AgentError,
    CloudError,
    KeyReused,
    LockBusy,
    NotWarm,
    ScopeMissing,
    StoreError,
    TokenUnusable,
    TooLate,
    UnknownLock,
    UnresolvedOperation,
    UsesSpent,
)


class RequestUnusable(AgentError):
    """A parameter of a request cannot be used; says what was found and what was expected."""

    code = "request-invalid"
    advice = "Correct the named parameter and ask again."


class UnknownOperation(AgentError):
    """No operation of that id, or none of this caller's with that key."""

    code = "unknown-operation"
    advice = "The POST answered its id; GET /v1/operations?key=... finds one by its key."


class UnknownRecord(AgentError):
    """No record of that id."""

    code = "unknown-record"
    advice = "GET /v1/records has the ids."


class UnknownSink(AgentError):
    """No sink of that name is configured, and nothing is left for one."""

    code = "unknown-sink"
    advice = "GET /v1/outbox has the names."


class SinkConfigured(AgentError):
    """What waits for a sink that is there is carried, and not given up."""

    code = "sink-configured"
    advice = "Take it out of the configuration and restart first."


STATUS: dict[type[AgentError], int] = {
    UnknownLock: 404,
    ScopeMissing: 403,
    UsesSpent: 403,
    NotNow: 403,
    SharingRefused: 403,
    SharingUnverified: 503,
    TokenUnusable: 422,
    UnknownToken: 404,
    TooManyTokens: 409,
    DateUnknown: 503,
    KeyReused: 422,
    LockBusy: 409,
    UnresolvedOperation: 409,
    NotWarm: 409,
    TooLate: 503,
    StoreError: 503,
    CloudError: 502,
    RequestUnusable: 422,
    UnknownOperation: 404,
    UnknownRecord: 404,
    UnknownSink: 404,
    SinkConfigured: 409,
}


def type_of(code: str) -> str:
    """The problem's name as a URI reference: where this agent's own page tells of it."""
    return f"/docs#{code}"


def problem_body(status: int, code: str, detail: str, advice: str) -> dict[str, Any]:
    """What a problem says."""
    return {
        "type": type_of(code),
        "title": code.replace("-", " "),
        "status": status,
        "code": code,
        "detail": detail,
        "advice": advice,
    }


def problem(status: int, code: str, detail: str, advice: str, **more: Any) -> JSONResponse:
    """One problem; it never holds what a secret could be in."""
    body = problem_body(status, code, detail, advice)
    return JSONResponse(body | more, status_code=status, media_type="application/problem+json")


def problem_of(error: AgentError) -> JSONResponse:
    """The problem of an error that kept a request from being accepted."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return _dressed(
                problem(STATUS[kind], error.code, str(error), error.advice, **_more(error)), error
            )
    return problem(500, error.code, "the agent failed", error.advice)


def _more(error: AgentError) -> dict[str, Any]:
    """What a program needs of it, beside the words."""
    return {"operation": error.operation} if isinstance(error, UnresolvedOperation) else {}


def _dressed(answer: JSONResponse, error: AgentError) -> JSONResponse:
    if isinstance(error, LockBusy) and error.seconds is not None:
        answer.headers["Retry-After"] = str(max(1, math.ceil(error.seconds)))
    return answer
