"""What the routes read of a request: who calls, and a body of bounded size."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Header, Request

from bleagent.authority.tokens import ADMIN, READ, RECORDS, allows, operate, share
from bleagent.model import Principal

from .auth import require_scope
from .callers import Callers
from .peer import peer_of
from .rules import MAX_BODY

# These are coroutines although they wait for nothing: FastAPI would call a plain function in a
# thread, which costs time, and tokens are the event loop's.


async def principal(
    request: Request, authorization: Annotated[str | None, Header()] = None
) -> Principal:
    """Who calls. Raises Unauthorized."""
    callers: Callers = request.app.state.callers
    peer = peer_of(request.scope)
    return replace(callers.principal(authorization, peer), via=peer.via)


Caller = Annotated[Principal, Depends(principal)]


def _having(scope: str) -> Callable[[Principal], Awaitable[Principal]]:
    async def check(caller: Caller) -> Principal:
        require_scope(caller, scope)
        return caller

    return check


async def _operator(lock: str, caller: Caller) -> Principal:
    # Before it is looked whether there is such a lock: who may not operate it is not told.
    require_scope(caller, operate(lock))
    return caller


async def _opener(lock: str, caller: Caller) -> Principal:
    # Whether it may without a ticket, the route decides when it has read the body.
    if not allows(caller.scopes, share(lock)):
        require_scope(caller, operate(lock))
    return caller


# Who calls, and may do this. Each raises Unauthorized or ScopeMissing.
Reader = Annotated[Principal, Depends(_having(READ))]
RecordReader = Annotated[Principal, Depends(_having(RECORDS))]
Administrator = Annotated[Principal, Depends(_having(ADMIN))]
Operator = Annotated[Principal, Depends(_operator)]
Opener = Annotated[Principal, Depends(_opener)]
"""As an operator, or for others, with a sharing ticket."""


async def read_body(request: Request) -> bytes | None:
    """The body, ``None`` if it is too large."""
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY:
            return None
    return raw
