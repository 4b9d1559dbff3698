"""The radio over the real adapter: bleak, D-Bus and a scripted bluetoothd, in real time."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from bleagent.adapters.bluez import BluezBluetooth
from bleagent.clock import SystemClock
from bleagent.errors import LinkError, LinkLost, RadioUnavailable
from bleagent.model import LockFacts
from bleagent.radio.bluetooth_radio import BluetoothRadio
from bleagent.radio.recovery import Remedy, Rung
from bleagent.radio.settings import Listeners

from .conversation import KEYS, open_door
from .doors import ADDRESS, conversation, door, until
from .scripted_bluez import Fail, ScriptedBluez

pytestmark = pytest.mark.anyio

FRONT = LockFacts(name="front", device_id="d", keys=KEYS)
DEVICE = "org.bluez.Device1"


@asynccontextmanager
async def running(
    bluetooth: BluezBluetooth, facts: LockFacts = FRONT
) -> AsyncIterator[tuple[BluetoothRadio, list[Rung]]]:
    """A radio that runs, and the rungs that it took."""
    rungs: list[Rung] = []

    def treated(_: str, remedy: Remedy, __: str) -> None:
        rungs.append(remedy.rung)

    listeners = Listeners(treated=treated)
    radio = BluetoothRadio(bluetooth, SystemClock(), [facts], listeners=listeners)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(radio.run)
        yield radio, rungs
        tasks.cancel_scope.cancel()


async def again(attempt: Callable[[], object], seconds: float = 20.0) -> float:
    """As a job does: again and again; returns how long it took."""
    began = time.monotonic()
    with anyio.fail_after(seconds):
        while True:
            try:
                with anyio.fail_after(8):
                    await attempt()  # type: ignore[misc]
            except LinkError:
                await anyio.sleep(0.1)
            else:
                return time.monotonic() - began


@pytest.mark.parametrize("name", ["v3.0", "v4-244", "secv2-244"])
async def test_a_door_is_found_by_its_uuid_and_opened(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, name: str
) -> None:
    scripted = door(bluez, name)
    async with running(bluetooth) as (radio, rungs):
        for _ in range(2):
            with anyio.fail_after(10):
                async with (
                    radio.connect(FRONT) as link,
                    conversation(link, scripted.lock) as client,
                ):
                    await open_door(client)
        assert radio.sightings.proved_address("front") == ADDRESS
        assert radio.snapshot().locks["front"].connections == 2
        assert rungs == []
    assert scripted.lock.dump()["opened"] == 2


async def test_a_connection_left_from_before_is_ended_first(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    path = await bluez.connect_by_another(scripted)
    assert bluez.get(path, DEVICE, "Connected") is True
    configured = LockFacts(name="front", device_id="d", keys=KEYS, address=ADDRESS)
    async with running(bluetooth, configured) as (radio, _):
        with anyio.fail_after(15):
            async with radio.connect(configured) as link, conversation(link, scripted.lock):
                pass
    assert len(bluez.asked("Disconnect")) >= 1


async def test_a_stack_that_is_busy_is_helped(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    bluez.script("Connect", *[Fail("org.bluez.Error.InProgress", "In Progress")] * 2)
    async with running(bluetooth) as (radio, rungs):

        async def attempt() -> None:
            async with radio.connect(FRONT) as link, conversation(link, scripted.lock):
                pass

        assert await again(attempt) < 15
        assert rungs[0] is Rung.CANCEL_CONNECT
        assert radio.snapshot().locks["front"].failures == {"radio-busy": 2}


async def test_a_bluetoothd_that_dies_is_waited_for(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    async with running(bluetooth) as (radio, rungs):
        with anyio.fail_after(10):
            async with radio.connect(FRONT) as link:
                await bluez.die()
                with pytest.raises(LinkLost):
                    await anext(link.notifications())
        with pytest.raises(RadioUnavailable), anyio.fail_after(2):
            async with radio.connect(FRONT):
                pass
        await bluez.revive()

        async def attempt() -> None:
            async with radio.connect(FRONT) as link, conversation(link, scripted.lock):
                pass

        assert await again(attempt) < 15
        assert rungs[0] is Rung.WAIT_FOR_STACK
        await until(lambda: radio.snapshot().adapters["hci0"].scanning)


async def test_an_adapter_that_is_switched_off_is_switched_on_again(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    door(bluez)
    async with running(bluetooth) as (radio, rungs):
        await until(lambda: radio.sightings.best("front", 0.0) is not None)
        bluez.set_powered("hci0", powered=False)
        await until(lambda: Rung.POWER_CYCLE in rungs)
        await until(lambda: radio.snapshot().adapters["hci0"].scanning)
        assert bluez.get("/org/bluez/hci0", "org.bluez.Adapter1", "Powered") is True
