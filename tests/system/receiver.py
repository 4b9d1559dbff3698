"""Somebody who subscribed: an HTTP server of this machine that writes down what it is sent."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import h11
from anyio.abc import SocketStream

from tests.system.broker import free_port

SECRET = "CANARY-hook-secret-01234"


@dataclass(frozen=True)
class Request:
    """What was asked, and what it was answered."""

    target: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def name(self) -> str:
        return self.headers["webhook-id"]

    @property
    def told(self) -> Any:
        return json.loads(self.body)

    @property
    def signed(self) -> bool:
        """Whether it is by whom has the secret."""
        text = f"{self.name}.{self.headers['webhook-timestamp']}.".encode() + self.body
        found = b64encode(hmac.new(SECRET.encode(), text, hashlib.sha256).digest()).decode()
        return self.headers["webhook-signature"] == f"v1,{found}"


@dataclass
class Receiver:
    """``answer`` is its status, or None: it never answers. ``port`` stays the same."""

    answer: Callable[[], int | None] = lambda: 204
    port: int = field(default_factory=free_port)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def section(self, *more: str, scheme: str = "http", folder: Path) -> str:
        """For the configuration; its secret is written beside it."""
        path = folder / "hook"
        path.touch(0o600)
        path.write_text(SECRET)
        lines = (
            "[webhooks.home]", f'url = "{scheme}://127.0.0.1:{self.port}/doors"',
            f'secret = {{ file = "{path}" }}', *more,
        )  # fmt: skip
        return "\n".join(lines) + "\n"

    @property
    def took(self) -> list[Request]:
        """What was answered with success, each once: who receives drops the second."""
        good = [one for one in self.requests if 200 <= one.status < 300]
        return list({one.name: one for one in reversed(good)}.values())[::-1]

    def of(self, kind: str) -> list[Any]:
        return [one.told[kind] for one in self.took if one.told["type"] == kind]

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """There."""
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=self.port)
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._serve)
            yield
            tasks.cancel_scope.cancel()

    async def _serve(self, stream: SocketStream) -> None:
        self.connections += 1
        async with stream:
            try:
                while await self._one(stream):
                    pass
            except (anyio.BrokenResourceError, anyio.EndOfStream, h11.RemoteProtocolError):
                return  # it was killed

    async def _one(self, stream: SocketStream) -> bool:
        connection, body, asked = h11.Connection(h11.SERVER), b"", None
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive())
            elif isinstance(event, h11.Request):
                asked = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        assert asked is not None
        status = self.answer()
        headers = {name.decode().lower(): value.decode() for name, value in asked.headers}
        self.requests.append(Request(asked.target.decode(), headers, body, status or 0))
        if status is None:
            await anyio.sleep_forever()
        where = [("Location", f"http://127.0.0.1:{self.port}/elsewhere"), ("Content-Length", "0")]
        answer = connection.send(h11.Response(status_code=status or 0, headers=where))
        await stream.send((answer or b"") + (connection.send(h11.EndOfMessage()) or b""))
        return True
