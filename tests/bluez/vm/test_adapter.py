"""Our adapter against a real BlueZ and a real kernel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import anyio
import pytest

from bleagent.adapters.bluez import BluezBluetooth
from bleagent.clock import SystemClock
from bleagent.errors import LinkLost, LockNotFound, RadioBusy, RadioUnavailable
from bleagent.simulator.profiles import PROFILE_NAMES
from tests.bluez.air import Air
from tests.bluez.appliance.machine import Machine, PluggedAdapter
from tests.bluez.conversation import KEYS, open_door
from tests.bluez.doors import conversation, hear, scanning, until
from tests.bluez.radio_door import ADDRESS, Door

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("vm_adapter")]

WITHIN = 15.0


@pytest.fixture
async def bluetooth(vm_adapter: PluggedAdapter) -> AsyncIterator[BluezBluetooth]:
    del vm_adapter  # must be there first
    async with BluezBluetooth(SystemClock()) as found:
        yield found


async def open_once(bluetooth: BluezBluetooth, served: Door, *, fresh: bool = False) -> None:
    async with (
        bluetooth.connect("hci0", ADDRESS, within=WITHIN, fresh=fresh) as link,
        conversation(link, served.lock) as client,
    ):
        await open_door(client)


@pytest.mark.parametrize("name", PROFILE_NAMES)
async def test_a_door_is_opened(air: Air, bluetooth: BluezBluetooth, name: str) -> None:
    served = Door(air, name)
    async with served.serve():
        async with scanning(bluetooth, ADDRESS) as heard:
            await until(lambda: heard[-1].advertisement.verify(KEYS))
            seen = len(heard)
            await until(lambda: len(heard) >= seen + 5)  # it goes on being heard
        async with bluetooth.connect("hci0", ADDRESS, within=WITHIN) as link:
            assert link.att_payload == served.lock.att_payload
            async with conversation(link, served.lock) as client:
                await open_door(client)
        await until(lambda: not served.is_connected)
    assert served.lock.dump()["opened"] == 1


async def test_again_and_with_everything_forgotten(air: Air, bluetooth: BluezBluetooth) -> None:
    served = Door(air)
    async with served.serve():
        await hear(bluetooth, ADDRESS)
        await open_once(bluetooth, served)
        async with scanning(bluetooth, ADDRESS):
            await open_once(bluetooth, served)  # with the services that bleak remembers
            await open_once(bluetooth, served, fresh=True)
        await open_once(bluetooth, served, fresh=True)  # by a scan of its own
        await bluetooth.forget("hci0", ADDRESS)
        with pytest.raises(LockNotFound):
            await open_once(bluetooth, served)
    assert served.lock.dump()["opened"] == 4


async def test_an_absent_lock_and_a_cancelled_connect_leave_the_adapter_free(
    air: Air, bluetooth: BluezBluetooth
) -> None:
    async with Door(air).serve():
        await hear(bluetooth, ADDRESS)
    began = time.monotonic()
    with pytest.raises(LockNotFound):
        async with bluetooth.connect("hci0", ADDRESS, within=1):
            pass
    assert time.monotonic() - began < 8
    async with Door(air).serve():
        await hear(bluetooth, ADDRESS)  # BlueZ 5.82 forgets whom it could not connect to
    with anyio.move_on_after(1) as given_up:
        async with bluetooth.connect("hci0", ADDRESS, within=WITHIN):
            pass
    assert given_up.cancelled_caught
    served = Door(air)
    async with served.serve():
        await hear(bluetooth, ADDRESS)
        await open_once(bluetooth, served)


async def test_a_lock_that_hangs_up(air: Air, bluetooth: BluezBluetooth) -> None:
    served = Door(air)
    async with served.serve():
        await hear(bluetooth, ADDRESS)
        async with bluetooth.connect("hci0", ADDRESS, within=WITHIN) as link:
            await served.hang_up()
            with pytest.raises(LinkLost):
                async with asyncio.timeout(WITHIN):
                    await anext(link.notifications())
        await hear(bluetooth, ADDRESS)
        await open_once(bluetooth, served)


async def test_bluetoothd_dies(machine: Machine, air: Air, bluetooth: BluezBluetooth) -> None:
    served = Door(air)

    async def listen() -> None:
        async with scanning(bluetooth, ADDRESS):
            await machine.stop_bluetoothd()
            await asyncio.sleep(WITHIN)

    async with served.serve():
        with pytest.raises(RadioUnavailable):
            await listen()
        with pytest.raises(RadioUnavailable):
            await bluetooth.adapters()
        await machine.start_bluetoothd()
        async with asyncio.timeout(30):
            while not await powered(bluetooth):
                await asyncio.sleep(0.2)
        try:
            await hear(bluetooth, ADDRESS)
        except RadioBusy:
            # The kernel goes on with the dead one's discovery; the new one has none to stop.
            await bluetooth.power_cycle("hci0")
            await hear(bluetooth, ADDRESS)
        async with bluetooth.connect("hci0", ADDRESS, within=WITHIN) as link:
            await machine.kill_bluetoothd()
            with pytest.raises(LinkLost):
                async with asyncio.timeout(WITHIN):
                    await anext(link.notifications())


async def powered(bluetooth: BluezBluetooth) -> bool:
    try:
        return (await bluetooth.adapters())[0].powered
    except RadioUnavailable:
        return False


async def test_the_power_is_cycled_and_a_strangers_connection_ended(
    air: Air, bluetooth: BluezBluetooth
) -> None:
    served = Door(air)
    async with served.serve():
        await hear(bluetooth, ADDRESS)
        async with bluetooth.connect("hci0", ADDRESS, within=WITHIN) as link:
            assert await bluetooth.connected("hci0") == [ADDRESS]
            await bluetooth.disconnect("hci0", ADDRESS)
            assert await bluetooth.connected("hci0") == []
            with pytest.raises(LinkLost):
                await anext(link.notifications())
        await bluetooth.power_cycle("hci0")
        assert await powered(bluetooth)
        await hear(bluetooth, ADDRESS)
        await open_once(bluetooth, served)
