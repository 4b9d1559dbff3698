"""What of a call may be shown to people: requests and results with their secrets masked. Pure.

A secret is what the catalogue says is one, and whatever else has a name like one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from . import fields
from .calls import Moment, build_request, check_possible
from .catalogue import Api, Field, Kind
from .catalogued import call_of
from .settings import CloudSettings, Signer, Transport

MASK = "***"
_LIKE_A_SECRET = ("key", "password", "pwd", "random", "secret", "ticket", "token", "instruction")
_LIKE_A_SECRET_CODE = (*_LIKE_A_SECRET, "check")
"""Of a datapoint: the check code of a lock opens it."""


def plain(value: Any) -> Any:
    """A result as JSON has it: times as text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def masked(field: Field, value: Any) -> Any:
    """A value without its secrets; what is empty is shown as it is."""
    if field.secret and value not in (None, ""):
        return MASK
    if isinstance(value, list | tuple):
        return [masked(field, one) for one in value]
    if not isinstance(value, Mapping):
        return value
    if field.kind is Kind.PAGED and field.name in value:
        rows = Field(field.name, Kind.LIST, fields=field.fields)
        return _masked_object([rows], value)
    return _masked_object(field.fields, value)


def _masked_object(known: Sequence[Field], value: Mapping[str, Any]) -> dict[str, Any]:
    named = {one.name: one for one in known}
    code = value.get("code")
    hides = isinstance(code, str) and _like(code, _LIKE_A_SECRET_CODE)
    return {
        name: MASK if hides and name == "value" else masked(_field(named, name), inner)
        for name, inner in value.items()
    }


def _field(named: Mapping[str, Field], name: str) -> Field:
    return named.get(name) or Field(name, Kind.ANY, secret=_like(name, _LIKE_A_SECRET))


def _like(name: str, secrets: Sequence[str]) -> bool:
    return any(part in fields.plain(name) for part in secrets)


def result(api: Api, value: Any) -> Any:
    """A result of ``call``, masked, as JSON has it."""
    return plain(value if api.gives is None else masked(api.gives, value))


def request(api: Api, params: Mapping[str, Any], settings: CloudSettings) -> dict[str, Any]:
    """The request that a call would begin with, its secrets masked.

    Args:
        api: the entry of the catalogue.
        params: as ``arguments.write`` makes them.
        settings: where it would go.

    Raises:
        NotSupported: it has no way to go.
    """
    hidden = _masked_object(api.takes, params)
    call = call_of(api, hidden)
    check_possible(call, settings)
    sent = build_request(call, settings, Moment(t="", nonce=""), None)
    body = json.loads(sent.content) if sent.content else None
    return {"method": sent.method, "url": sent.url, "body": body, "signed": _signed(api, settings)}


def _signed(api: Api, settings: CloudSettings) -> str:
    by_path = settings.transport is Transport.OPENAPI or settings.signer is Signer.OPENAPI
    match api.ways:
        case ("panel",):
            return "not; the relay is signed in"
        case ("openapi",):
            return "openapi, with an access token"
        case _ if by_path:
            return "openapi, with an access token"
        case _:
            return "not" if settings.signer is Signer.NONE else str(settings.signer)
