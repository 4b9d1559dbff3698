"""Whoever reaches the port: sends bytes as they are, and reads answers strictly."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx
from anyio.abc import SocketStream

from tests.system.daemon import TOKEN, Site

AUTH = f"Authorization: Bearer {TOKEN}"
JSON = "Content-Type: application/json"
UNLOCK = "POST /v1/locks/front/unlock HTTP/1.1"


@dataclass(frozen=True)
class Answer:
    """What came back, until the other side hung up or had answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        assert self.headers["content-type"] == "application/problem+json"
        return str(json.loads(self.body)["code"])


def parse(raw: bytes) -> Answer:
    """One answer; ``status`` 0 where there is none."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    if not first:
        return Answer(0, {}, b"")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    assert len(headers) == len(lines)  # none of them twice
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert not [name for name in headers if name.startswith("access-control")]
    assert "set-cookie" not in headers
    return Answer(int(first.split()[1]), headers, body)


class Attacker:
    """Whoever reaches the port."""

    def __init__(self, client: httpx.AsyncClient, site: Site) -> None:
        self.client = client
        self.site = site
        self.port = client.base_url.port or 0
        self._keys = 0

    async def connect(self) -> SocketStream:
        return await anyio.connect_tcp("127.0.0.1", self.port)

    async def raw(self, sent: bytes) -> Answer:
        """These bytes, and all that comes back."""
        with anyio.fail_after(20):
            async with await self.connect() as stream:
                await stream.send(sent)
                return parse(await rest(stream))

    async def ask(
        self, first: str, *lines: str, body: bytes = b"", host: str | None = None,
        key: str | None = None, auth: str | None = AUTH,
    ) -> Answer:  # fmt: skip
        """A request with a good token and a new key unless said otherwise."""
        self._keys += 1
        head = [first, f"Host: {host or f'127.0.0.1:{self.port}'}", "Connection: close", *lines]
        head += [auth] if auth else []
        head += [f"Idempotency-Key: {key or f'attack-{self._keys}'}"]
        if not any(line.lower().startswith("transfer-encoding") for line in lines):
            head += [f"Content-Length: {len(body)}"]
        return await self.raw("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)


async def rest(stream: SocketStream) -> bytes:
    """All that comes until the other side hangs up."""
    raw = b""
    try:
        async for chunk in stream:
            raw += chunk
    except anyio.BrokenResourceError:
        pass
    return raw


@asynccontextmanager
async def attacked(folder: Path, *by: str, opened: int = 0) -> AsyncIterator[Attacker]:
    """A daemon to be attacked, whose door is open so often in the end, and which is well."""
    site = Site(folder)
    async with site.up(), site.daemon(by=by) as (client, _):
        yield Attacker(client, site)
        assert site.opened == opened
        assert (await client.get("/readyz")).json()["ready"] is True
    told = site.log.read_text()
    assert "Traceback" not in told
    assert "Exception in ASGI" not in told
    assert TOKEN not in told
