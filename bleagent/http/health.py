"""Alive and ready: anybody is told whether, and who may read is told what is wrong (safety F6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse

from bleagent.authority.tokens import READ, allows
from bleagent.health.readiness import Part, shut_by
from bleagent.health.watches import Trouble
from bleagent.model import Principal
from bleagent.ports import Clock

from .auth import Unauthorized
from .record_views import iso
from .requests import principal


def add_health(app: FastAPI, parts: Callable[[], Mapping[str, Part]], clock: Clock) -> None:
    """Add the routes."""

    @app.get("/livez")
    async def livez() -> Response:
        return Response(status_code=200)

    @app.get("/readyz")
    async def readyz(
        request: Request, authorization: Annotated[str | None, Header()] = None
    ) -> Response:
        found = parts()
        ready = not shut_by(found)
        told: dict[str, Any] = {"ready": ready}
        caller = await _known(request, authorization)
        if caller is not None and allows(caller.scopes, READ):
            told |= readiness_view(found, clock)
        return JSONResponse(told, 200 if ready else 503)


def readiness_view(parts: Mapping[str, Part], clock: Clock) -> dict[str, Any]:
    """All parts, and the names of those with which something is wrong."""
    ahead = clock.unix() - clock.now()
    return {
        "wrong": [name for name, part in parts.items() if not part.ok],
        "parts": {
            name: {
                "ok": part.ok,
                "keeps_doors_shut": part.shuts and not part.ok,
                "wrong": [_trouble_view(one, ahead) for one in part.wrong],
                **part.facts,
            }
            for name, part in parts.items()
        },
    }


def _trouble_view(trouble: Trouble, ahead: float) -> dict[str, Any]:
    """``ahead``: seconds from the monotonic clock to the date."""
    view: dict[str, Any] = {
        "code": trouble.code,
        "detail": trouble.detail,
        "since": None if trouble.since is None else iso(trouble.since + ahead),
        "advice": trouble.advice,
    }
    return view | ({"of": trouble.of} if trouble.of else {})


async def _known(request: Request, authorization: str | None) -> Principal | None:
    """The caller, where there is one: a probe needs no token, and a wrong one is none."""
    try:
        return await principal(request, authorization)
    except Unauthorized:
        return None
