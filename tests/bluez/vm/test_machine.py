"""Raw bleak against a real BlueZ: what proves that the lab's machine is one."""

from __future__ import annotations

import asyncio

import pytest
from bleak import BleakClient
from bleak.exc import BleakError

from bleagent.adapters.bluez import BluezBluetooth
from bleagent.clock import SystemClock
from bleagent.model import Sighting
from tests.bluez.air import Air
from tests.bluez.appliance.machine import Machine, PluggedAdapter
from tests.bluez.conversation import KEYS, find, hear, open_door, talk
from tests.bluez.radio_door import ADDRESS, Door

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("vm_adapter")]


@pytest.mark.parametrize("name", ["v3.0", "v4-244"])
async def test_a_lock_is_heard_and_opened(air: Air, name: str) -> None:
    served = Door(air, name)
    async with served.serve():
        assert (await hear(ADDRESS)).verify(KEYS)
        async with talk(await find(ADDRESS), served.lock) as conversation:
            await open_door(conversation)
    assert served.lock.dump()["opened"] == 1


async def test_bluetoothd_dies_while_connected(machine: Machine, air: Air) -> None:
    served = Door(air)
    async with served.serve():
        lost = asyncio.Event()
        async with BleakClient(await find(ADDRESS), lambda _: lost.set()) as client:
            await machine.kill_bluetoothd()
            async with asyncio.timeout(15):
                await lost.wait()
            assert not client.is_connected


async def test_the_adapter_is_pulled_out_and_put_back(vm_adapter: PluggedAdapter, air: Air) -> None:
    served = Door(air)
    async with served.serve():
        lost = asyncio.Event()
        async with BleakClient(await find(ADDRESS), lambda _: lost.set()):
            await vm_adapter.plug_out()
            async with asyncio.timeout(15):
                await lost.wait()
        await vm_adapter.plug_in()
        async with talk(await find(ADDRESS), served.lock) as conversation:
            await open_door(conversation)


async def test_the_lock_loses_power(air: Air) -> None:
    served = Door(air)
    async with served.serve():
        lost = asyncio.Event()
        async with BleakClient(await find(ADDRESS), lambda _: lost.set()) as client:
            await served.act({"power": "off"})
            async with asyncio.timeout(15):
                await lost.wait()
            with pytest.raises(BleakError):
                await client.write_gatt_char(served.profile.write, b"x", response=False)


async def test_the_adapter_in_range_is_the_one_that_hears(
    machine: Machine, vm_adapter: PluggedAdapter, air: Air
) -> None:
    far = Air()  # where there is no lock
    async with (
        Door(air).serve(),
        machine.adapter(far, 1, fresh=False) as other,
        BluezBluetooth(SystemClock()) as bluetooth,
    ):
        found = {one.name: one for one in await bluetooth.adapters()}
        assert {vm_adapter.name, other.name} <= set(found)
        assert found[other.name].powered
        assert found[other.name].address == other.address
        heard: list[Sighting] = []
        async with (
            bluetooth.scan(vm_adapter.name, heard.append),
            bluetooth.scan(other.name, heard.append),
            asyncio.timeout(15),
        ):
            while len(heard) < 5:
                await asyncio.sleep(0.01)
        assert {one.adapter for one in heard} == {vm_adapter.name}
