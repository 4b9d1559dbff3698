"""Connecting again and again: each packet arrives once, and nothing grows.

Other bleak programs kept a notification watcher of each connection that was lost: after n of
them every packet arrived n times. 20 rounds normally; BLEAGENT_LONG=1 makes it 1,000 and looks
at the memory:

    BLEAGENT_LONG=1 pytest -s tests/bluez/test_adapter_reconnect.py
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from bleak_retry_connector.bleak_manager import get_global_bluez_manager_sync

from bleagent.adapters.bluez import BluezBluetooth
from bleagent.clock import SystemClock
from bleagent.errors import LinkLost
from bleagent.ports import LockLink
from bleagent.simulator.actions import Notification

from .air import Air
from .bleak_bumble import Adapter
from .bumble_stack import BumbleStack
from .doors import ADDRESS, door, hear, scanning
from .memory import MAX_GROWTH, Growth
from .radio_door import Door
from .scripted_bluez import ScriptedBluez

pytestmark = pytest.mark.anyio

LONG = bool(os.environ.get("BLEAGENT_LONG"))
ROUNDS = 1000 if LONG else 20
BURST = 8


async def go_round(
    link: LockLink,
    number: int,
    notify: Callable[[bytes], Awaitable[None]],
    hang_up: Callable[[], Awaitable[None]],
) -> None:
    """One connection: a burst, each of it once; every other one is lost, not left."""
    sent = [number.to_bytes(2, "big") + bytes((index,)) for index in range(BURST)]
    for value in sent:
        await notify(value)
    arrived = link.notifications()
    async with asyncio.timeout(10):
        assert [await anext(arrived) for _ in sent] == sent
        if number % 2:
            await hang_up()
            with pytest.raises(LinkLost):
                await anext(arrived)


async def measured(rounds: Callable[[int], Awaitable[None]], what: str) -> None:
    growth = Growth(what, ROUNDS)
    for number in range(ROUNDS):
        await rounds(number)
        growth.round_ends(number)
    if LONG:
        assert growth.grown < MAX_GROWTH, growth


async def test_over_bluez(bluez: ScriptedBluez, bluetooth: BluezBluetooth) -> None:
    scripted = door(bluez)

    async def notify(value: bytes) -> None:
        scripted.notify(value)

    async def hang_up() -> None:
        scripted.hang_up()

    async def once(number: int) -> None:
        async with bluetooth.connect("hci0", ADDRESS, within=10) as link:
            await go_round(link, number, notify, hang_up)
        bluez.calls.clear()
        bluez.notifying.clear()

    async with scanning(bluetooth, ADDRESS) as heard:
        await measured(once, "over BlueZ")
        heard.clear()
    manager = get_global_bluez_manager_sync()
    assert manager is not None
    assert manager._device_watchers == {}
    assert scripted.connections == ROUNDS


@asynccontextmanager
async def on_bumble(adapter: Adapter) -> AsyncIterator[BluezBluetooth]:
    async with BluezBluetooth(SystemClock(), BumbleStack(adapter)) as found:
        yield found


async def test_over_the_air(air: Air, adapter: Adapter) -> None:
    served = Door(air)

    async def notify(value: bytes) -> None:
        connection = served.lock.connection
        await served._send(
            Notification(value=value, connection=connection, sn=1, code=0, last=False)
        )

    async with served.serve(), on_bumble(adapter) as bluetooth:

        async def once(number: int) -> None:
            await hear(bluetooth, ADDRESS)
            async with bluetooth.connect("hci0", ADDRESS, within=10) as link:
                await go_round(link, number, notify, served.hang_up)
            served.tapped.clear()

        await measured(once, "over the air")
