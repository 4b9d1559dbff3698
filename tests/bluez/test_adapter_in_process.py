"""The adapter over bumble's real HCI, L2CAP and ATT: no D-Bus, no kernel, real air packets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest

from bleagent.adapters.bluez import BluezBluetooth
from bleagent.adapters.bluez.faults import AdapterOff
from bleagent.clock import SystemClock
from bleagent.errors import LinkLost, LockNotFound
from bleagent.simulator.profiles import PROFILE_NAMES

from .air import Air
from .bleak_bumble import Adapter
from .bumble_stack import BumbleStack
from .conversation import KEYS, open_door
from .doors import ADDRESS, conversation, hear, scanning, until
from .radio_door import Door

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stack(adapter: Adapter) -> BumbleStack:
    return BumbleStack(adapter)


@pytest.fixture
async def on_bumble(stack: BumbleStack) -> AsyncIterator[BluezBluetooth]:
    async with BluezBluetooth(SystemClock(), stack) as found:
        yield found


@pytest.mark.parametrize("name", PROFILE_NAMES)
async def test_a_door_is_opened(air: Air, on_bumble: BluezBluetooth, name: str) -> None:
    served = Door(air, name)
    async with served.serve():
        async with scanning(on_bumble, ADDRESS) as heard:
            await until(lambda: heard[-1].advertisement.verify(KEYS))
        async with on_bumble.connect("hci0", ADDRESS, within=5) as link:
            assert link.att_payload == served.lock.att_payload
            async with conversation(link, served.lock) as client:
                await open_door(client)
        await until(lambda: not served.is_connected)
    assert served.lock.dump()["opened"] == 1


async def test_a_lock_that_hangs_up(air: Air, on_bumble: BluezBluetooth) -> None:
    served = Door(air)
    async with served.serve():
        await hear(on_bumble, ADDRESS)
        async with on_bumble.connect("hci0", ADDRESS, within=5) as link:
            await served.hang_up()
            with pytest.raises(LinkLost, match="lost"):
                await anext(link.notifications())
            with pytest.raises(LinkLost):
                await link.write(b"\0")
        async with on_bumble.connect("hci0", ADDRESS, within=5):
            pass


async def test_a_lock_that_does_not_answer(
    air: Air, adapter: Adapter, on_bumble: BluezBluetooth
) -> None:
    async with Door(air).serve():
        await hear(on_bumble, ADDRESS)
    with pytest.raises(LockNotFound):
        async with on_bumble.connect("hci0", ADDRESS, within=0.2):
            pass
    async with Door(air).serve():  # the controller has no attempt pending
        await hear(on_bumble, ADDRESS)
        async with on_bumble.connect("hci0", ADDRESS, within=5):
            assert adapter.clients
    assert not adapter.clients


async def test_cancelled_while_connecting(
    air: Air, adapter: Adapter, on_bumble: BluezBluetooth
) -> None:
    async with Door(air).serve():
        await hear(on_bumble, ADDRESS)
    with anyio.move_on_after(0.1):
        async with on_bumble.connect("hci0", ADDRESS, within=5):
            pass
    assert not adapter.connecting.locked()
    async with Door(air).serve():
        await hear(on_bumble, ADDRESS)
        async with on_bumble.connect("hci0", ADDRESS, within=5):
            pass


async def test_a_scan_ends_with_its_adapter(
    air: Air, adapter: Adapter, stack: BumbleStack, on_bumble: BluezBluetooth
) -> None:
    async def listen() -> None:
        async with scanning(on_bumble, ADDRESS):
            stack.fail(AdapterOff("hci0 was switched off"))
            await asyncio.sleep(5)

    async with Door(air).serve():
        with pytest.raises(AdapterOff):
            await listen()
    assert not adapter.device.is_scanning
