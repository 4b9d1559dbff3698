"""Steps that the tests of the adapter share."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bleagent.adapters.bluez import BluezBluetooth
from bleagent.clock import SystemClock
from bleagent.lock_client import LockClient, open_client
from bleagent.model import Sighting
from bleagent.ports import LockLink
from bleagent.simulator.profiles import profile
from bleagent.simulator.virtual_lock import VirtualLock
from protocol import Central
from protocol.gatt import usable_att_payload

from .conversation import CODE, KEYS, PERIPHERAL
from .scripted_bluez import ScriptedBluez
from .scripted_lock import ScriptedLock

ADDRESS = "DC:23:51:00:00:01"
OTHER = "DC:23:51:00:00:02"
PATIENCE = 10.0


def virtual_lock(name: str = "v4-244") -> VirtualLock:
    lock = VirtualLock(KEYS, profile(name))
    lock.preset_check_code(PERIPHERAL, CODE)
    return lock


def door(bluez: ScriptedBluez, name: str = "v4-244", address: str = ADDRESS) -> ScriptedLock:
    return bluez.add_lock(ScriptedLock(lock=virtual_lock(name), address=address))


@asynccontextmanager
async def scanning(
    bluetooth: BluezBluetooth, *addresses: str, adapter: str = "hci0"
) -> AsyncIterator[list[Sighting]]:
    """Scan, entered when these locks have been heard; everything heard is in the list."""
    heard: list[Sighting] = []
    missing = set(addresses)
    whole = asyncio.Event()

    def tell(sighting: Sighting) -> None:
        heard.append(sighting)
        missing.discard(sighting.address)
        if not missing:
            whole.set()

    async with bluetooth.scan(adapter, tell):
        async with asyncio.timeout(PATIENCE):
            if missing:
                await whole.wait()
        yield heard


async def hear(bluetooth: BluezBluetooth, *addresses: str, adapter: str = "hci0") -> None:
    async with scanning(bluetooth, *addresses, adapter=adapter):
        pass


@asynccontextmanager
async def conversation(link: LockLink, lock: VirtualLock) -> AsyncIterator[LockClient]:
    """The handshake over a link of ours."""
    central = Central(
        KEYS,
        new_iv=lambda: secrets.token_bytes(16),
        dialect=lock.firmware.dialect,
        att_payload=usable_att_payload(link.att_payload, lock.firmware.protocol[0]),
    )
    async with open_client(central, link, SystemClock()) as client:
        await client.handshake()
        yield client


async def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Look again and again at another process, or at a task that nobody awaits."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
