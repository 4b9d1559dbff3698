"""Errors as RFC 9457 problem+json: a stable code, and advice for whoever reads it."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse

from bleagent.errors import (
    AgentError,
    KeyReused,
    LockBusy,
    NotWarm,
    StoreError,
    TooLate,
    UnknownLock,
    UnresolvedOperation,
)

STATUS: dict[type[AgentError], int] = {
    UnknownLock: 404,
    KeyReused: 422,
    LockBusy: 409,
    UnresolvedOperation: 409,
    NotWarm: 409,
    TooLate: 503,
    StoreError: 503,
}


def problem(status: int, code: str, detail: str, advice: str, **more: Any) -> JSONResponse:
    """One problem; it never holds what a secret could be in."""
    body = {
        "type": f"/problems/{code}",
        "title": code.replace("-", " "),
        "status": status,
        "code": code,
        "detail": detail,
        "advice": advice,
    }
    return JSONResponse(body | more, status_code=status, media_type="application/problem+json")


def problem_of(error: AgentError) -> JSONResponse:
    """The problem of an error that kept a request from being accepted."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return problem(STATUS[kind], error.code, str(error), error.advice)
    return problem(500, error.code, "the agent failed", error.advice)
