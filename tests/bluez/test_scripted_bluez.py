"""The scripted bluetoothd carries whole conversations, and misbehaves when told to."""

from __future__ import annotations

import asyncio

import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import BleakDBusError, BleakDeviceNotFoundError, BleakError

from bleagent.simulator.profiles import PROFILE_NAMES, profile
from bleagent.simulator.virtual_lock import VirtualLock

from .bluez_names import DEVICE
from .conversation import CODE, KEYS, PERIPHERAL, find, hear, open_door, talk
from .scripted_bluez import HANG, Fail, ScriptedBluez
from .scripted_lock import ScriptedLock

pytestmark = pytest.mark.anyio
ADDRESS = "DC:23:51:00:00:01"


def door(bluez: ScriptedBluez, name: str = "v3.0", address: str = ADDRESS) -> ScriptedLock:
    lock = VirtualLock(KEYS, profile(name))
    lock.preset_check_code(PERIPHERAL, CODE)
    return bluez.add_lock(ScriptedLock(lock=lock, address=address))


@pytest.mark.parametrize("name", PROFILE_NAMES)
async def test_a_lock_is_heard_and_opened(bluez: ScriptedBluez, name: str) -> None:
    scripted = door(bluez, name)
    assert (await hear(ADDRESS)).verify(KEYS)
    async with talk(await find(ADDRESS), scripted.lock) as conversation:
        await open_door(conversation)
    assert scripted.lock.dump()["opened"] == 1
    assert not scripted.is_connected


async def test_a_call_fails_as_scripted_and_then_works(bluez: ScriptedBluez) -> None:
    door(bluez)
    device = await find(ADDRESS)
    bluez.script("Connect", Fail("org.bluez.Error.InProgress", "In Progress"))
    with pytest.raises(BleakDBusError, match="InProgress"):
        await BleakClient(device).connect()
    async with BleakClient(device) as client:
        assert client.is_connected


async def test_a_call_hangs_as_scripted(bluez: ScriptedBluez) -> None:
    door(bluez)
    device = await find(ADDRESS)
    bluez.script("Connect", HANG)
    with pytest.raises(TimeoutError):
        await BleakClient(device, timeout=0.2).connect()
    assert len(bluez.asked("Connect")) == 1


async def test_the_lock_hangs_up(bluez: ScriptedBluez) -> None:
    scripted = door(bluez)
    lost = asyncio.Event()
    async with BleakClient(await find(ADDRESS), lambda _: lost.set()) as client:
        scripted.hang_up()
        async with asyncio.timeout(5):
            await lost.wait()
        assert not client.is_connected


async def test_bluetoothd_dies_and_comes_back(bluez: ScriptedBluez) -> None:
    scripted = door(bluez)
    client = BleakClient(await find(ADDRESS))
    await client.connect()
    await bluez.die()
    assert not scripted.is_connected
    with pytest.raises(BleakError, match="ServiceUnknown"):
        await client.write_gatt_char(scripted.profile.write, b"x", response=False)
    with pytest.raises(BleakError):
        await client.disconnect()
    await bluez.revive()
    # It hears of the connection from the kernel, which holds it a moment longer.
    path = bluez.path_of(scripted)
    async with asyncio.timeout(5):
        while bluez.get(path, DEVICE, "Connected"):
            await asyncio.sleep(0.01)
    async with talk(await find(ADDRESS), scripted.lock) as conversation:
        await open_door(conversation)


async def test_what_is_missing_from_the_table_is_back_when_the_device_was_removed(
    bluez: ScriptedBluez,
) -> None:
    scripted = door(bluez)
    scripted.missing.add(scripted.profile.notify)
    async with BleakClient(await find(ADDRESS)) as client:
        assert client.services.get_characteristic(scripted.profile.notify) is None
    bluez.forget_device(scripted)
    scripted.missing.clear()
    async with BleakClient(await find(ADDRESS)) as client:
        assert client.services.get_characteristic(scripted.profile.notify) is not None


async def test_a_device_that_was_forgotten_is_not_found(bluez: ScriptedBluez) -> None:
    scripted = door(bluez)
    device = await find(ADDRESS)
    bluez.forget_device(scripted)
    with pytest.raises((BleakDeviceNotFoundError, BleakError), match="not found"):
        await BleakClient(device).connect()


async def test_a_connection_of_somebody_else_is_there_already(bluez: ScriptedBluez) -> None:
    scripted = door(bluez)
    path = await bluez.connect_by_another(scripted)
    assert scripted.is_connected
    assert bluez.get(path, "org.bluez.Device1", "Connected") is True


async def test_only_the_adapter_in_range_hears_it(bluez: ScriptedBluez) -> None:
    bluez.add_adapter("hci1", "B8:27:EB:00:00:02")
    scripted = door(bluez)
    scripted.heard_by = {"hci1"}
    assert (
        await BleakScanner.find_device_by_address(ADDRESS, 0.3, bluez={"adapter": "hci0"}) is None
    )
    found = await BleakScanner.find_device_by_address(ADDRESS, 5, bluez={"adapter": "hci1"})
    assert found is not None
