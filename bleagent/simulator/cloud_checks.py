"""How the virtual cloud checks who asks. Written apart from the client's signing on purpose.

Two readings of the vendor's text must meet here: this one starts from the bytes received.
Source: reference cloud §1 and §3.1.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

from protocol import Secret

CLOCK_TOLERANCE = 300.0
"""Seconds; peers report "a few minutes"."""


class Failure(Exception):
    """The cloud's no, as the vendor numbers it."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(f"{code} {msg}")
        self.code = code
        self.msg = msg


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came: raw target, lower-case header names, raw body."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> dict[str, str]:
        """The query, decoded."""
        pairs = self.target.partition("?")[2].split("&")
        return {
            unquote(name): unquote(value)
            for name, _, value in (pair.partition("=") for pair in pairs if pair)
        }


@dataclass(slots=True)
class TokenStore:
    """The project's one token. Refreshing kills the one before, and a refresh token works once.

    ``life`` in seconds; ``now`` gives the cloud's unix time.
    """

    now: Callable[[], float]
    life: int = 7200
    access: Secret | None = None
    refresh: Secret | None = None
    ends_at: float = 0.0

    def issue(self) -> dict[str, object]:
        """Result of a token request. One that is still good is handed out again."""
        if self.access is None or self.now() >= self.ends_at:
            self._make()
        return self._result()

    def renew(self, refresh: str) -> dict[str, object]:
        """Result of a refresh."""
        if self.refresh is None or Secret(refresh) != self.refresh:
            raise Failure(1011, "token invalid")
        self._make()
        return self._result()

    def kill(self) -> None:
        """It is dead before its time."""
        self.access = self.refresh = None

    def check(self, access: str | None) -> None:
        """Whether a request's token is good."""
        if not access:
            raise Failure(1002, "access_token is null")
        if self.access is None or Secret(access) != self.access or self.now() >= self.ends_at:
            raise Failure(1010, "token invalid")

    def _make(self) -> None:
        self.access, self.refresh = Secret(secrets.token_hex(16)), Secret(secrets.token_hex(16))
        self.ends_at = self.now() + self.life

    def _result(self) -> dict[str, object]:
        access, refresh = self.access or Secret(""), self.refresh or Secret("")
        return {
            "uid": "bay0000000000000000",
            "access_token": access.reveal().decode(),
            "refresh_token": refresh.reveal().decode(),
            "expire_time": int(self.ends_at - self.now()),
        }


@dataclass(frozen=True, slots=True)
class Gatekeeper:
    """Checks client id, time, signature and token."""

    client_id: str
    secret: Secret
    tokens: TokenStore
    now: Callable[[], float]

    def openapi(self, request: Received, *, token: bool = True) -> None:
        """Signature version 2; with the access token, except for token requests."""
        t = self._common(request)
        access = request.headers.get("access_token", "") if token else ""
        names = [name for name in request.headers.get("signature-headers", "").split(":") if name]
        signed = "".join(f"{name}:{request.headers.get(name.lower(), '')}\n" for name in names)
        query = "&".join(f"{name}={value}" for name, value in sorted(request.query.items()))
        url = request.path + (f"?{query}" if query else "")
        digest = sha256(request.body).hexdigest()
        nonce = request.headers.get("nonce", "")
        text = f"{self.client_id}{access}{t}{nonce}{request.method}\n{digest}\n{signed}\n{url}"
        self._signature(request, text)
        if token:
            self.tokens.check(access)

    def action(self, request: Received, params: Mapping[str, Any]) -> None:
        """The action endpoint's own signature."""
        t = self._common(request)
        ordered = {name: params[name] for name in sorted(params)}
        text = json.dumps(ordered, ensure_ascii=False, separators=(",", ":"))
        self._signature(request, f"{self.client_id}{text}{t}")

    def _common(self, request: Received) -> str:
        if request.headers.get("client_id") != self.client_id:
            raise Failure(1005, "clientId is invalid")
        t = request.headers.get("t", "")
        digits = len(t) == 13 and t.isascii() and t.isdigit()
        if not digits or abs(int(t) / 1000 - self.now()) > CLOCK_TOLERANCE:
            raise Failure(1013, "request time is invalid")
        if request.headers.get("sign_method") != "HMAC-SHA256":
            raise Failure(1004, "sign invalid")
        return t

    def _signature(self, request: Received, text: str) -> None:
        signed = text.encode("utf-8", "surrogatepass")
        expected = hmac.new(self.secret.reveal(), signed, sha256).hexdigest().upper()
        if Secret(request.headers.get("sign", "")) != Secret(expected):
            raise Failure(1004, "sign invalid")
