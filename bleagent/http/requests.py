"""What the routes read of a request: who calls, and a body of bounded size."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Request

from bleagent.model import Principal

from .callers import Callers
from .peer import peer_of
from .rules import MAX_BODY


def principal(request: Request, authorization: Annotated[str | None, Header()] = None) -> Principal:
    """Who calls. Raises Unauthorized."""
    callers: Callers = request.app.state.callers
    return callers.principal(authorization, peer_of(request.scope))


Caller = Annotated[Principal, Depends(principal)]


async def read_body(request: Request) -> bytes | None:
    """The body, ``None`` if it is too large."""
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY:
            return None
    return raw
