"""Tokens over HTTP: issue one, look at them, revoke one. All of it takes the scope ``admin``."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Annotated, Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from bleagent.audit.chain import Audit
from bleagent.authority.guests import (
    MOST_TIMES,
    WEEKDAYS,
    GuestTerms,
    parse_between,
    parse_weekdays,
    words_of,
)
from bleagent.authority.issued_tokens import DateUnknown, IssuedTokens
from bleagent.authority.tokens import (
    MAX_LABEL,
    MAX_SCOPES,
    SCOPE,
    StoredToken,
    operate,
    parse_id,
    parse_label,
    parse_scopes,
)
from bleagent.errors import TokenUnusable
from bleagent.ports import Clock

from .fields import Moment, whole
from .problems import problem
from .record_query import parse_time
from .record_views import iso
from .requests import Administrator, read_body
from .rules import MAX_BODY

log = structlog.get_logger()

_NO_STORE = {"Cache-Control": "no-store"}
LONGEST = 100 * 366 * 86400.0
"""Seconds."""

Scopes = Annotated[
    list[str],
    WithJsonSchema(
        {
            "type": "array", "minItems": 1, "maxItems": MAX_SCOPES,
            "items": {"type": "string", "pattern": f"^({SCOPE.pattern})$"},
        }
    ),
]  # fmt: skip
"""``tokens.parse_scopes`` reads them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenParts:
    """What the routes of tokens need."""

    issued: IssuedTokens
    clock: Clock
    locks: Collection[str]
    """Those of the configuration."""
    audit: Audit = field(default_factory=Audit)


class GuestBody(BaseModel):
    """A guest opens and locks one lock."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=False)

    lock: str = Field(max_length=64)
    begins: Moment | None = Field(default=None, description="Not before.")
    weekdays: list[str] = Field(
        default_factory=list, max_length=7, description="All, if none is named.",
        json_schema_extra={"items": {"enum": list(WEEKDAYS)}},
    )  # fmt: skip
    between: str | None = Field(
        default=None, max_length=64, description="Hours of the gateway, such as 08:00-18:00."
    )
    times: Annotated[int, Field(ge=1, le=MOST_TIMES), whole] | None = Field(
        default=None, description="So many openings."
    )


class TokenBody(BaseModel):
    """What a new token is for."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=False)

    label: str = Field(
        default="", description="Whose it is, in printable characters.",
        json_schema_extra={"maxLength": MAX_LABEL},
    )  # fmt: skip
    scopes: Scopes | None = None
    guest: GuestBody | None = Field(default=None, description="Instead of scopes.")
    expires: Moment | None = None
    expires_in: float | None = Field(
        default=None, gt=0, le=LONGEST, description="Seconds from now, instead."
    )


def add_tokens(app: FastAPI, parts: TokenParts) -> None:
    """Add the routes."""

    @app.get("/v1/tokens")
    async def tokens(_caller: Administrator) -> Response:
        used = await parts.issued.used()
        found = [token_view(parts, one, used.get(one.id, 0)) for one in parts.issued.all()]
        return JSONResponse({"tokens": found}, headers=_NO_STORE)

    @app.post("/v1/tokens")
    async def create(request: Request, caller: Administrator) -> Response:
        raw = await read_body(request)
        if raw is None:
            return problem(413, "body-too-large", f"more than {MAX_BODY} bytes", "Send less.")
        body = TokenBody.model_validate_json(raw)
        kept, shown = await parts.issued.create(
            label=parse_label(body.label),
            scopes=parse_scopes(_scopes(body), parts.locks),
            expires=_end(parts.clock, body),
            guest=None if body.guest is None else _terms(body.guest),
        )
        log.info(
            "token.created", id=kept.principal, scopes=sorted(kept.scopes), expires=kept.expires,
            guest=kept.guest is not None, principal=caller.id,
        )  # fmt: skip
        parts.audit.tell(
            "token.created", principal=caller.id, via=caller.via, token=kept.principal,
            scopes=sorted(kept.scopes), expires=kept.expires, guest=kept.guest is not None,
        )  # fmt: skip
        # The one place where it is told.
        told = token_view(parts, kept) | {"token": shown.text.reveal().decode()}
        return JSONResponse(told, 201, _NO_STORE)

    @app.post("/v1/tokens/{token_id}/revoke")
    async def revoke(token_id: str, caller: Administrator) -> Response:
        revoked = await parts.issued.revoke(parse_id(token_id))
        log.info("token.revoked", id=revoked.principal, principal=caller.id)
        parts.audit.tell(
            "token.revoked", principal=caller.id, via=caller.via, token=revoked.principal
        )
        return JSONResponse(token_view(parts, revoked), headers=_NO_STORE)


def token_view(parts: TokenParts, token: StoredToken, used: int | None = None) -> dict[str, Any]:
    """A token for people; nothing of its secret. ``used``: a guest's openings so far."""
    guest = None
    if (terms := token.guest) is not None:
        begins = None if terms.begins is None else iso(terms.begins)
        guest = {"begins": begins, **words_of(terms)}
        if used is not None and terms.times is not None:
            guest["used"] = used
    return {
        "id": token.id,
        "label": token.label,
        "scopes": sorted(token.scopes),
        "state": _state(parts, token),
        "created": iso(token.created),
        "expires": None if token.expires is None else iso(token.expires),
        "revoked": None if token.revoked is None else iso(token.revoked),
        "guest": guest,
    }


def _scopes(body: TokenBody) -> list[str]:
    if body.guest is None:
        return body.scopes or []
    if body.scopes is not None:
        raise TokenUnusable("found scopes and guest, expected one of them")
    if body.guest.lock == "*":
        raise TokenUnusable("lock: found '*', expected one lock")
    return [operate(body.guest.lock)]


def _terms(body: GuestBody) -> GuestTerms:
    """Raises TokenUnusable, RequestUnusable."""
    return GuestTerms(
        begins=None if body.begins is None else parse_time("begins", body.begins),
        weekdays=parse_weekdays(body.weekdays),
        between=None if body.between is None else parse_between(body.between),
        times=body.times,
    )


def _state(parts: TokenParts, token: StoredToken) -> str:
    if parts.issued.good_for_nothing(token):
        return "expired" if token.revoked is None else "revoked"
    return "good" if token.expires is None or parts.clock.trusted else DateUnknown.code


def _end(clock: Clock, body: TokenBody) -> float | None:
    """Unix seconds. Raises TokenUnusable, RequestUnusable, DateUnknown."""
    if body.expires is not None and body.expires_in is not None:
        raise TokenUnusable("found expires and expires_in, expected one of them")
    if body.expires_in is None:
        return None if body.expires is None else parse_time("expires", body.expires)
    if not clock.trusted:
        raise DateUnknown("an end was given, and the date is not certain")
    return clock.unix() + body.expires_in
