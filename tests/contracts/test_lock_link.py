"""What ``ports.LockLink`` promises, on every link there is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from bleagent.errors import LinkLost
from bleagent.ports import LockLink
from protocol.gatt import MAX_ATT_PAYLOAD, MIN_ATT_PAYLOAD

from . import link_worlds as worlds
from .link_worlds import World

pytestmark = pytest.mark.anyio

PATIENCE = 10.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=[worlds.bluez, worlds.in_process, worlds.virtual, worlds.by_socket])
async def world(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[World]:
    # Not pytest's own: this one must outlive the steps of an async fixture.
    with pytest.MonkeyPatch.context() as monkeypatch:
        async with request.param(tmp_path_factory.mktemp("world"), monkeypatch) as found:
            yield found


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.002)


async def everything(link: LockLink) -> list[bytes]:
    """All notifications until the link ends."""
    found: list[bytes] = []

    async def read() -> None:
        async with asyncio.timeout(PATIENCE):
            async for value in link.notifications():
                found.append(value)  # noqa: PERF401 - kept although it ends by raising

    with pytest.raises(LinkLost):
        await read()
    return found


class TestLockLink:
    async def test_a_write_has_a_size(self, world: World) -> None:
        async with world.link as link:
            assert MIN_ATT_PAYLOAD <= link.att_payload <= MAX_ATT_PAYLOAD
            assert link.att_payload == worlds.PAYLOAD

    async def test_each_notification_arrives_once_and_in_order(self, world: World) -> None:
        sent = [number.to_bytes(2, "big") * 10 for number in range(100)]
        async with world.link as link:
            arriving = link.notifications()
            found = []
            for first in range(0, len(sent), 10):
                for value in sent[first : first + 10]:
                    await world.lock.notify(value)
                async with asyncio.timeout(PATIENCE):
                    found += [await anext(arriving) for _ in range(10)]
            assert found == sent

    async def test_equal_notifications_are_as_many_as_were_sent(self, world: World) -> None:
        async with world.link as link:
            for _ in range(5):
                await world.lock.notify(b"same")
            await world.lock.notify(b"last")
            arriving = link.notifications()
            async with asyncio.timeout(PATIENCE):
                found = [await anext(arriving) for _ in range(6)]
            assert found == [b"same"] * 5 + [b"last"]

    async def test_each_write_arrives_once_and_in_order(self, world: World) -> None:
        # A first fragment each: to a lock these are beginnings of messages that never go on.
        sent = [b"\0\x20\x40" + bytes((number,)) * 10 for number in range(20)]
        async with world.link as link:
            for value in sent:
                await link.write(value)
            await until(lambda: len(world.lock.written()) >= len(sent))
            assert world.lock.written() == sent

    async def test_what_arrived_before_the_end_is_handed_out_and_then_the_end_told(
        self, world: World
    ) -> None:
        async with world.link as link:
            for value in (b"one", b"two"):
                await world.lock.notify(value)
            await worlds.let_it_arrive()
            await world.lock.hang_up()
            assert await everything(link) == [b"one", b"two"]

    async def test_a_reader_that_waits_is_told_of_the_end(self, world: World) -> None:
        async with world.link as link:
            reading = asyncio.create_task(everything(link))
            await asyncio.sleep(0)
            await world.lock.hang_up()
            assert await reading == []

    async def test_after_the_end_a_write_raises_and_goes_nowhere(self, world: World) -> None:
        async with world.link as link:
            await world.lock.hang_up()
            assert await everything(link) == []
            with pytest.raises(LinkLost):
                await link.write(b"\0")
        assert world.lock.written() == []

    async def test_more_than_it_keeps_ends_the_link_and_nothing_is_skipped_before(
        self, world: World
    ) -> None:
        sent = [number.to_bytes(2, "big") for number in range(world.queue + 1)]
        async with world.link as link:
            for value in sent:
                await world.lock.notify(value)
            await worlds.let_it_arrive()
            assert await everything(link) == sent[: world.queue]

    async def test_leaving_disconnects(self, world: World) -> None:
        async with world.link:
            assert world.lock.is_connected()
        await until(lambda: not world.lock.is_connected())

    async def test_after_leaving_everything_says_so(self, world: World) -> None:
        async with world.link as link:
            pass
        assert await everything(link) == []
        with pytest.raises(LinkLost):
            await link.write(b"\0")
