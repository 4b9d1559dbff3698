"""What happens, followed through the real daemon and the real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import SocketStream

from bleagent.events import Mark, OperationEvent
from bleagent.http.app import guarded
from bleagent.http.listeners import ListenSettings, listening
from bleagent.http.server import Server, make_server
from bleagent.http.wire import WireLimits
from tests.agent.test_http_events import MASTER, Gateway
from tests.system.daemon import AUTH_KEY, CODE, LOCAL_KEY, SEC_KEY, TOKEN, Site
from tests.system.following import SOON, Followed, follow
from tests.system.telling_door import finger, opened, records, site_with_records

pytestmark = pytest.mark.anyio
STOPS_WITHIN = 5.0
"""Seconds; what is running has thirty."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def told(streams: list[Followed]) -> dict[str, list[Any]]:
    """All that was told on these streams, in order; evidence with its operation."""
    ends = [{**one} for stream in streams for one in stream.of("operation")]
    for one in (one for stream in streams for one in stream.of("evidence")):
        (of,) = [end for end in ends if end["id"] == one["operation"]]
        of["evidence"] = [*of["evidence"], one["evidence"]]
    seen = [one["id"] for stream in streams for one in stream.of("record")]
    lost = [one for stream in streams for one in stream.of("lost")]
    return {"operations": ends, "records": seen, "lost": lost}


async def happened(client: httpx.AsyncClient, operations: list[str]) -> dict[str, list[Any]]:
    """The same, of these operations, as it is asked for one by one."""
    ends = [(await client.get(f"/v1/operations/{one}")).json() for one in operations]
    taken = [one["id"] for one in await records(client, after="0")]
    return {"operations": ends, "records": taken, "lost": []}


async def test_what_happened_is_told_once_also_when_the_daemon_was_killed_between(
    tmp_path: Path,
) -> None:
    site = site_with_records(tmp_path)
    streams = []
    async with site.up():
        async with site.daemon() as (client, process):
            async with follow(client) as stream:
                first = await opened(client, "one")
                await stream.until("operation", 1)
                await stream.until("record", 1)
            streams.append(stream)
            assert stream.of("record")[0]["operation"] == first
            second = await opened(client, "two")  # nobody follows
            await recorded(client, 2)
            process.kill()
            await process.wait()
        async with site.daemon() as (client, process):
            async with follow(client, streams[-1].last_id) as stream:
                await stream.until("operation", 1)
                third = await opened(client, "three")
                await stream.until("operation", 2)
                await stream.until("record", 2)
                await finger(site, 5)
                await stream.until("record", 3)
                process.kill()
                await process.wait()
                await stream.ended.wait()
            streams.append(stream)
        last_id = streams[-1].last_id
        async with site.daemon() as (client, _), follow(client, last_id) as stream:
            streams.append(stream)
            with anyio.fail_after(SOON):
                while told(streams) != await happened(client, [first, second, third]):
                    await anyio.sleep(0.05)
    assert site.opened == 3
    text = "".join(one.text for one in streams)
    for secret in (TOKEN, CODE, LOCAL_KEY, AUTH_KEY, SEC_KEY):
        assert secret not in text


async def recorded(client: httpx.AsyncClient, number: int) -> None:
    """So many records are on the disk."""
    with anyio.fail_after(SOON):
        while len(await records(client)) < number:
            await anyio.sleep(0.05)


async def test_a_stream_ends_with_its_token(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, _):
        made = (await client.post("/v1/tokens", json={"scopes": ["read"]})).json()
        shown = {"Authorization": f"Bearer {made['token']}"}
        async with follow(client, **shown) as stream, follow(client) as other:
            assert (await client.post(f"/v1/tokens/{made['id']}/revoke")).status_code == 200
            with anyio.fail_after(SOON):
                await stream.ended.wait()
            assert not other.ended.is_set()
        async with follow(client, stream.last_id, **shown) as again:
            assert again.status == 401


async def test_streams_do_not_keep_the_daemon_from_stopping(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with (
        site.up(), site.daemon() as (client, process),
        follow(client) as one, follow(client) as other,
    ):  # fmt: skip
        process.terminate()
        with anyio.fail_after(STOPS_WITHIN):
            await process.wait()
            await one.ended.wait()
            await other.ended.wait()
    assert process.returncode == 0


# -- who does not read


class Endless:
    """Implements ``events.EventSource``: operations without an end."""

    def __init__(self, like: OperationEvent) -> None:
        self._like = like
        self.furthest = 0

    async def newest(self) -> Mark:
        """The last one that the protocol can name."""
        return Mark("00000001", 10**17)

    async def after(self, seq: int, *, limit: int) -> list[OperationEvent]:
        """There are always more."""
        await anyio.lowlevel.checkpoint()
        self.furthest = seq + limit
        return [replace(self._like, seq=number) for number in range(seq + 1, self.furthest + 1)]

    async def gone(self, seq: int) -> int:
        """None."""
        del seq
        return 0


@asynccontextmanager
async def endless(limits: WireLimits) -> AsyncIterator[tuple[Server, Endless, SocketStream]]:
    """A server of endless events, and somebody who asked for them and does not read."""
    gateway = Gateway()
    await gateway.finished("op-1")
    (event,) = gateway.ledger.events
    source, events = Endless(event), gateway.parts.events
    assert events is not None
    parts = replace(gateway.parts, events=replace(events, operations=source))
    ready = anyio.Event()
    app = guarded(parts, ["localhost"])
    server = make_server(
        app, ready.set, stop_within=30, limits=limits, on_stop=gateway.bell.close
    )  # fmt: skip
    with listening(ListenSettings()) as listeners:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, listeners.sockets)
            await ready.wait()
            async with await anyio.connect_tcp("127.0.0.1", listeners.port) as stream:
                await stream.send(
                    b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n"
                    b"Last-Event-ID: 00000001:0/-\r\n"
                    b"Authorization: Bearer " + MASTER.encode() + b"\r\n\r\n"
                )
                yield server, source, stream
            server.should_exit = True


async def still(source: Endless) -> None:
    """Wait until nothing more is read for somebody."""
    for _ in count():
        before = source.furthest
        await anyio.sleep(0.1)
        if source.furthest == before > 0:
            return


async def test_who_does_not_read_is_cut_off_and_nothing_is_kept_for_him() -> None:
    async with endless(WireLimits(read_within=0.5)) as (server, source, _):
        with anyio.fail_after(SOON):
            await still(source)
            while server.server_state.connections:
                await anyio.sleep(0.02)
            while server.server_state.tasks:
                await anyio.sleep(0.02)


async def test_who_does_not_read_keeps_nobody_from_stopping() -> None:
    limits = WireLimits(read_within=60.0, stop_within=0.2)
    async with endless(limits) as (server, source, _):
        with anyio.fail_after(SOON):
            await still(source)
            assert server.server_state.connections
        server.should_exit = True
        with anyio.fail_after(STOPS_WITHIN):
            while server.server_state.connections:
                await anyio.sleep(0.02)
