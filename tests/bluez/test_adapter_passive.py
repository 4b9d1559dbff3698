"""Listening passively where bluetoothd can, and only as long as that is enough."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bleagent.adapters.bluez import BluezBluetooth
from bleagent.adapters.bluez import scan as scan_module
from bleagent.adapters.bluez.faults import NoAdapter
from bleagent.adapters.bluez.scan import Mode
from bleagent.clock import SystemClock
from bleagent.errors import RadioBusy

from .bluez_monitors import Monitors
from .conversation import KEYS
from .doors import ADDRESS, door, hear, scanning, until
from .scripted_bluez import Fail, ScriptedBluez

pytestmark = pytest.mark.anyio


@pytest.fixture
async def monitors(bluez: ScriptedBluez) -> Monitors:
    return Monitors(bluez)


@pytest.fixture
async def bluetooth(bluez: ScriptedBluez) -> AsyncIterator[BluezBluetooth]:
    del bluez  # must be there first
    async with BluezBluetooth(SystemClock(), mode=Mode.PASSIVE_FIRST) as found:
        yield found


async def test_a_lock_that_can_be_told_by_its_first_half_is_not_asked_for_the_second(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, monitors: Monitors
) -> None:
    door(bluez, "v4-244")
    async with scanning(bluetooth, ADDRESS) as heard:
        assert monitors.registered
        await until(lambda: len(heard) > 5)
        assert all(one.advertisement.identity is None for one in heard)
        assert heard[-1].advertisement.verify(KEYS)
    assert not monitors.registered
    assert not bluez.asked("StartDiscovery")


async def test_a_lock_that_cannot_is_asked(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, monitors: Monitors
) -> None:
    door(bluez, "v3.0")
    async with scanning(bluetooth, ADDRESS) as heard:
        assert not heard[0].advertisement.verify(KEYS)
        await until(lambda: heard[-1].advertisement.verify(KEYS))
    assert len(bluez.asked("RegisterMonitor")) == len(bluez.asked("StartDiscovery")) == 1
    assert not monitors.registered
    assert len(bluez.asked("StopDiscovery")) == 1


async def test_asking_that_is_refused_ends_the_scan(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, monitors: Monitors
) -> None:
    async def listen() -> None:
        async with scanning(bluetooth, ADDRESS):
            await asyncio.sleep(5)

    door(bluez, "v3.0")
    bluez.script("StartDiscovery", Fail("org.bluez.Error.InProgress", "busy"))
    with pytest.raises(RadioBusy):
        await listen()
    assert not monitors.registered


async def test_a_scan_may_end_in_the_middle_of_changing(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, monitors: Monitors
) -> None:
    door(bluez, "v3.0")
    await hear(bluetooth, ADDRESS)
    await until(lambda: not monitors.registered)
    await until(lambda: not any(bluez.discovering.values()))
    await hear(bluetooth, ADDRESS)


async def test_a_monitor_that_is_refused_is_no_reason_not_to_listen(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, monitors: Monitors
) -> None:
    door(bluez)
    bluez.script("RegisterMonitor", Fail("org.bluez.Error.Failed", "no such thing"))
    await hear(bluetooth, ADDRESS)
    assert bluez.asked("StartDiscovery")
    assert not monitors.registered


def test_a_monitor_has_no_more_patterns_than_bluetoothd_survives() -> None:
    assert len(scan_module._OR_PATTERNS) == 4


async def test_unless_told_it_asks_always(bluez: ScriptedBluez, monitors: Monitors) -> None:
    door(bluez)
    async with BluezBluetooth(SystemClock()) as bluetooth:
        await hear(bluetooth, ADDRESS)
    assert not bluez.asked("RegisterMonitor")
    assert not monitors.registered


async def test_no_adapter(bluetooth: BluezBluetooth, monitors: Monitors) -> None:
    with pytest.raises(NoAdapter):
        await hear(bluetooth, ADDRESS, adapter="hci7")
    assert not monitors.registered
