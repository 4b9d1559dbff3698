"""Somebody who follows what happens at a daemon."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx

SOON = 20.0


@dataclass
class Followed:
    """A stream, as far as it came; kept beyond it."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    last_id: str = ""
    text: str = ""
    status: int = 0
    ended: anyio.Event = field(default_factory=anyio.Event)

    async def read(self, answer: httpx.Response) -> None:
        name = ""
        self.status = answer.status_code
        try:
            async for line in answer.aiter_lines():
                self.text += line + "\n"
                what, _, value = line.partition(": ")
                if what == "id":
                    self.last_id = value
                elif what == "event":
                    name = value
                elif what == "data":
                    self.events.append((name, json.loads(value)))
        except httpx.RemoteProtocolError:
            pass  # it was killed in the middle of the answer
        finally:
            self.ended.set()

    def of(self, name: str) -> list[dict[str, Any]]:
        return [data for event, data in self.events if event == name]

    async def until(self, name: str, number: int) -> None:
        """So many of a kind have come."""
        with anyio.fail_after(SOON):
            while len(self.of(name)) < number:
                await anyio.sleep(0.02)


@asynccontextmanager
async def follow(
    client: httpx.AsyncClient, last_id: str = "", **headers: str
) -> AsyncIterator[Followed]:
    """Follow in the background until the context ends; what came last is in what it gives."""
    found = Followed()

    async def run() -> None:
        back = {"Last-Event-ID": last_id} if last_id else {}
        async with client.stream("GET", "/v1/events", headers={**headers, **back}) as answer:
            await found.read(answer)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        with anyio.fail_after(SOON):
            while not found.last_id and not found.ended.is_set():
                await anyio.sleep(0.02)
        yield found
        tasks.cancel_scope.cancel()
