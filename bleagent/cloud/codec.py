"""Signing what goes to the cloud, and unwrapping what comes back. Pure.

Signatures are made over exactly the bytes that are sent: a body is built once, as bytes; a
query is signed decoded and sorted, and sent percent-encoded (reference: cloud §1.1, §9).
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlsplit

from protocol import Secret

from . import fields
from .errors import BadAnswer, InvalidArgument

SIGN_METHOD = "HMAC-SHA256"
MAX_BODY = 1 << 20
"""Bytes of an answer that are read; more is refused."""
MAX_MSG = 200

Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who the project is."""

    client_id: str
    secret: Secret


# -- what is sent


def compact_json(value: object) -> bytes:
    """JSON as JavaScript writes it: no blanks, nothing escaped that need not be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def without_none(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without those that have no value."""
    return {name: value for name, value in params.items() if value is not None}


def action_body(action: str, params: Mapping[str, Any]) -> bytes:
    """Body of a request to the action endpoint."""
    return compact_json({"action": action, "params": without_none(params)})


def segment(text: str) -> str:
    """An id as a part of a path; one that would be more than a part leads elsewhere.

    Raises:
        InvalidArgument: it is none.
    """
    if not text or "/" in text or text in (".", ".."):
        raise InvalidArgument("an id that is empty, or has a slash, cannot be part of a path")
    return text


def target(path: str, query: Query) -> str:
    """Path and query as sent: percent-encoded, a blank as ``%20``."""
    pairs = [f"{quote(name, safe='')}={quote(query[name], safe='')}" for name in sorted(query)]
    return quote(path) + ("?" + "&".join(pairs) if pairs else "")


def signed_url(path: str, query: Query) -> str:
    """Path and query as signed: sorted by name, not encoded."""
    pairs = [f"{name}={query[name]}" for name in sorted(query)]
    return path + ("?" + "&".join(pairs) if pairs else "")


def path_of(url: str) -> str:
    """The path of a whole URL."""
    return urlsplit(url).path or "/"


# -- signatures


def string_to_sign(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> str:
    """What version 2 signs of a request; ``url`` from ``signed_url``, headers in their order."""
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    return "\n".join((method, sha256(body).hexdigest(), lines, url))


def sign_v2(
    credentials: Credentials,
    *,
    method: str,
    url: str,
    t: str,
    body: bytes = b"",
    nonce: str = "",
    access_token: Secret | None = None,
    headers: Mapping[str, str] | None = None,
) -> str:
    """The OpenAPI signature. Token requests are signed without ``access_token``.

    Source: reference cloud §1.1, with the vendor's own examples as tests.
    """
    token = access_token.reveal().decode() if access_token else ""
    request = string_to_sign(method, url, body, headers or {})
    return _sign(credentials, f"{credentials.client_id}{token}{t}{nonce}{request}")


def sign_v1(credentials: Credentials, *, t: str, access_token: Secret | None = None) -> str:
    """The signature of projects made before 2021-06-30; covers no request."""
    token = access_token.reveal().decode() if access_token else ""
    return _sign(credentials, f"{credentials.client_id}{token}{t}")


def sign_action(credentials: Credentials, *, params: Mapping[str, Any], t: str) -> str:
    """The action endpoint's own signature: over ``params`` with their top-level keys sorted.

    The action's name is not signed (reference: cloud §3.1).
    """
    ordered = compact_json(dict(sorted(without_none(params).items()))).decode()
    return _sign(credentials, f"{credentials.client_id}{ordered}{t}")


def _sign(credentials: Credentials, text: str) -> str:
    return hmac.new(credentials.secret.reveal(), text.encode(), sha256).hexdigest().upper()


# -- what comes back


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer out of its envelope. ``result`` may be secret and is kept out of the repr."""

    success: bool
    result: Any = None
    code: int | str | None = None
    msg: str = ""
    t: float | None = None
    """The cloud's time, unix seconds."""
    tid: str | None = None

    def __repr__(self) -> str:
        return f"Answer(success={self.success}, code={self.code}, tid={self.tid})"


def read_answer(body: bytes) -> Answer:
    """Take an answer out of whichever envelope it came in (reference: cloud §3.2).

    ======================  ==============================  ===================================
    layer                   success                         failure
    ======================  ==============================  ===================================
    OpenAPI, action         success, t, result              success, code, msg, t
    cloud function          success, t, data                success, errorCode, errorMsg
    helper of the programs  the bare result                 ``[]``: an empty list here
    app                     result, t, success, status      errorCode, errorMsg, status
    ======================  ==============================  ===================================

    Raises:
        BadAnswer: no JSON, or an envelope that contradicts itself.
    """
    found = _read_json(body)
    if not isinstance(found, dict):
        return Answer(success=True, result=found)
    if _is_envelope(found):
        return _open_envelope(found)
    return Answer(success=True, result=found)


def _read_json(body: bytes) -> Any:
    if len(body) > MAX_BODY:
        raise BadAnswer(f"an answer of more than {MAX_BODY} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadAnswer("the answer is not JSON") from None


def _is_envelope(found: Mapping[str, Any]) -> bool:
    if "success" in found or "errorCode" in found:
        return True
    # A failure that lost its ``success``, and no result that has such fields.
    return "code" in found and "msg" in found and "result" not in found


def _open_envelope(found: Mapping[str, Any]) -> Answer:
    success, result = found.get("success"), found.get("result")
    if _is_time(success):  # ``timer.currentTime``: the sample has the two exchanged
        success, result = result, success
    done = fields.boolean(success, "success")
    t = found.get("t")
    seconds = fields.seconds(t, "t") if _is_time(t) else None
    tid = found.get("tid")
    tid = fields.printable(tid, 64) if isinstance(tid, str) else None
    if done:
        if result is None:
            result = fields.find(found, "data", "resultDO")
        return Answer(success=True, result=result, t=seconds, tid=tid)
    code = _code(fields.find(found, "code", "errorCode"))
    msg = _message(fields.find(found, "msg", "errorMsg"))
    return Answer(success=False, code=code, msg=msg, t=seconds, tid=tid)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 10**9


def _code(value: object) -> int | str | None:
    try:
        return fields.number(value, "code")
    except BadAnswer:
        return fields.printable(value, 64) if isinstance(value, str) else None


def _message(value: object) -> str:
    if isinstance(value, dict):
        value = fields.find(value, "message", "msg", "errorMsg")
    return fields.printable(value, MAX_MSG) if isinstance(value, str) else ""
