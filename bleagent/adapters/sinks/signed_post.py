"""A signed request (Standard Webhooks) to an address of the operator's choice.

Where it goes is checked first (reference: safety H4): the name is resolved here, each address is
looked at, and the connection is made to that very address.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import httpx

from bleagent.ports import Clock
from bleagent.records.record import DONE, Receipt, ReceiptKind
from protocol import Secret

from .addresses import refusal

TIME_LIMIT = 10.0
"""Seconds for one request, name resolution included."""
MOST_ANSWER = 4096
"""Bytes of an answer that are read; the rest is none of our business."""
LONGEST_WAIT = 24 * 3600.0
"""Seconds, at most, that a receiver may have us wait."""
ALLOW = "If it is meant to go to the home network, set allow_private = true for it."
_PREFIX = "whsec_"
_WAIT = frozenset({408, 409, 425, 429})
"""Not now: the receiver is busy."""
_LOCKED_OUT = frozenset({401, 403, 404, 405, 407})
"""A mistake in the configuration, here or there: what is sent is not to blame."""

_RESOLVING = anyio.CapacityLimiter(4)

Resolve = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """Where to, under which secret. ``own`` are this machine's addresses."""

    url: str
    secret: Secret
    allow_private: bool = False
    own: frozenset[str] = frozenset()


def signing_key(secret: Secret) -> bytes:
    """The key in a secret: base64 behind ``whsec_``, or the bytes as they are."""
    raw = secret.reveal()
    if raw.startswith(_PREFIX.encode()):
        try:
            return b64decode(raw[len(_PREFIX) :], validate=True)
        except (Base64Error, ValueError):
            pass  # somebody's own secret that begins like that
    return raw


def signature(key: bytes, name: str, timestamp: int, body: bytes) -> str:
    """``v1,<base64 of HMAC-SHA256 over id.timestamp.body>``."""
    signed = b".".join((name.encode(), str(timestamp).encode(), body))
    return "v1," + b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, without repetitions. Raises OSError.

    On threads of our own, where a name that takes long keeps none of the cloud's waiting.
    """
    found = await anyio.to_thread.run_sync(
        lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
        abandon_on_cancel=True, limiter=_RESOLVING,
    )  # fmt: skip
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class SignedPost:
    """Sends to one address; ``aclose`` ends its connections."""

    def __init__(
        self,
        settings: WebhookSettings,
        clock: Clock,
        *,
        resolve: Resolve = resolve,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._key = signing_key(settings.secret)
        self._clock = clock
        self._resolve = resolve
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    async def aclose(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()

    async def __call__(self, name: str, view: Mapping[str, Any]) -> Receipt:
        """One request: ``view`` as JSON under ``name``, which is the same at every attempt."""
        try:
            with anyio.fail_after(TIME_LIMIT):
                return await self._post(name, view)
        except TimeoutError:
            return _later("timeout", f"no answer within {TIME_LIMIT:.0f} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            host = urlsplit(self._settings.url).hostname
            return _later("unreachable", f"{host}: {_reason(error)}")

    async def _post(self, name: str, view: Mapping[str, Any]) -> Receipt:
        parts = urlsplit(self._settings.url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        address = None
        why = f"{host} has no address"
        for found in await self._resolve(host, port):
            refused = refusal(
                found, own=self._settings.own, allow_private=self._settings.allow_private
            )
            if refused is None:
                address = found
                break
            why = refused
        if address is None:
            return _later("address-refused", why, advice=ALLOW)
        body = json.dumps(view, ensure_ascii=False, separators=(",", ":")).encode()
        stamp = int(self._clock.unix())
        literal = f"[{address}]" if ":" in address else address
        request = httpx.Request(
            "POST",
            parts._replace(netloc=f"{literal}:{port}").geturl(),
            headers={
                "Host": parts.netloc.rpartition("@")[2],
                "Content-Type": "application/json",
                "webhook-id": name,
                "webhook-timestamp": str(stamp),
                "webhook-signature": signature(self._key, name, stamp, body),
            },
            content=body,
            # The certificate is checked against the name, whatever address was connected to.
            extensions={"sni_hostname": host},
        )
        response = await self._ready().send(request, stream=True, follow_redirects=False)
        try:
            if "Content-Encoding" in response.headers:
                return _word(response)  # nobody asked for it: unpacked it may be endless
            read = 0
            async for chunk in response.aiter_bytes():
                read += len(chunk)
                if read > MOST_ANSWER:
                    break
            return _word(response)
        finally:
            await response.aclose()

    def _ready(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                trust_env=False, follow_redirects=False, timeout=TIME_LIMIT,
                transport=self._transport,
                headers={"User-Agent": "bleagent", "Accept-Encoding": "identity"},
            )  # fmt: skip
        return self._client


def _word(response: httpx.Response) -> Receipt:
    """What a status means for what was sent."""
    status = response.status_code
    code = f"http-{status}"
    if 200 <= status < 300:
        return DONE
    if status == 410:
        return Receipt(kind=ReceiptKind.NO_ROUTE, code=code, detail="the receiver is gone")
    if status in _WAIT or status in _LOCKED_OUT or not 400 <= status < 500:
        # Redirects too: nobody but the operator says where it goes.
        return _later(code, f"the receiver answered {status}", after=_retry_after(response))
    return Receipt(kind=ReceiptKind.POISON, code=code, detail=f"the receiver answered {status}")


def _retry_after(response: httpx.Response) -> float:
    value = response.headers.get("Retry-After", "")
    return min(float(value), LONGEST_WAIT) if value.isascii() and value.isdigit() else 0.0


def _later(code: str, detail: str, after: float = 0.0, advice: str = "") -> Receipt:
    return Receipt(kind=ReceiptKind.LATER, code=code, detail=detail, after=after, advice=advice)


def _reason(error: Exception) -> str:
    """In the system's words where it has any, else the kind of the error."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.errno:
            return os.strerror(inner.errno)
        inner = inner.__cause__ or inner.__context__
    return type(error).__name__
