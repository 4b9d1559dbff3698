"""HTTP by httpx: the bytes as given, no proxy from the environment, no redirects."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread
import httpx

from bleagent.cloud.codec import MAX_BODY
from bleagent.cloud.errors import BadAnswer, CloudTimeout, CloudUnreachable
from bleagent.cloud.transport import HttpAnswer

CONNECT_TIMEOUT = 5.0
"""Seconds at most for a connection, TLS included; the rest of a call's time is for its answer."""
_LIMITS = httpx.Limits(max_connections=10, max_keepalive_connections=5, keepalive_expiry=30.0)

# Nothing of the request has left: these come before its first byte.
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.ProxyError,
    httpx.LocalProtocolError,
)


class HttpxTransport:
    """Implements ``cloud.transport.HttpTransport``; an async context manager.

    The client is made by whoever sends first, in a thread: reading the trusted certificates
    takes tens of milliseconds in which a daemon that starts can do something else.

    Args:
        verify: trusted certificates; those that come with httpx by default.
    """

    def __init__(self, *, verify: ssl.SSLContext | bool = True) -> None:
        self._verify = verify
        self._making = anyio.Lock()
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes,
        time_limit: float,
    ) -> HttpAnswer:
        """One request; see ``HttpTransport``. httpx's own messages may hold the URL: not kept."""
        timeout = httpx.Timeout(time_limit, connect=min(CONNECT_TIMEOUT, time_limit))
        client = await self._ready()
        try:
            # httpx limits each read; a peer that drips single bytes is limited here.
            with anyio.fail_after(time_limit):
                request = client.build_request(
                    method, url, headers=dict(headers), content=content, timeout=timeout
                )
                return await _exchange(client, request)
        except _NOT_SENT as error:
            kind = CloudTimeout if isinstance(error, httpx.TimeoutException) else CloudUnreachable
            raise kind(f"Not connected: {_reason(error)}") from None
        except (httpx.TimeoutException, TimeoutError):
            raise CloudTimeout(f"No answer within {time_limit:.1f} s", ambiguous=True) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise CloudUnreachable(f"Cut off: {_reason(error)}", ambiguous=True) from None

    async def _ready(self) -> httpx.AsyncClient:
        async with self._making:
            if self._client is None:
                self._client = await anyio.to_thread.run_sync(self._make)
        return self._client

    def _make(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            http1=True,
            http2=False,
            trust_env=False,
            follow_redirects=False,
            verify=self._verify,
            limits=_LIMITS,
            # Nothing to unpack: what is read is what is limited.
            headers={"Accept-Encoding": "identity"},
        )


def _reason(error: BaseException) -> str:
    """In the system's words where it has any (they name no URL), else the kind of the error."""
    inner: BaseException | None = error
    while inner is not None:
        match inner:
            case ssl.SSLCertVerificationError():
                return f"the certificate does not hold: {inner.verify_message}"
            case ssl.SSLError():
                return f"TLS: {inner.reason}"
            case socket.gaierror():
                return str(inner.strerror)
            case OSError() if inner.errno:
                return os.strerror(inner.errno)
        inner = inner.__cause__ or inner.__context__
    return type(error).__name__


async def _exchange(client: httpx.AsyncClient, request: httpx.Request) -> HttpAnswer:
    response = await client.send(request, stream=True)
    try:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_BODY:
                raise BadAnswer(f"An answer of more than {MAX_BODY} bytes", ambiguous=True)
    finally:
        await response.aclose()
    names = {name.lower(): value for name, value in response.headers.items()}
    return HttpAnswer(response.status_code, names, bytes(body))
