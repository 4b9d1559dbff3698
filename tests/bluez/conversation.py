"""A whole conversation with a lock over raw bleak: what proves the lab, without our adapter."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from bleak import BleakClient, BleakScanner
from bleak.backends.bluezdbus import manager
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from bleagent.clock import SystemClock
from bleagent.errors import LinkError, LinkLost
from bleagent.lock_client import LockClient, open_client
from bleagent.simulator.virtual_lock import VirtualLock
from protocol import Central, Datapoint, LockKeys, Secret
from protocol import events as ev
from protocol.advertisement import Advertisement
from protocol.errors import AdvertisementError
from protocol.gatt import find_profile, usable_att_payload

KEYS = LockKeys(
    uuid="tuya0123456789ab",
    virtual_id="bf0123456789abcdefghij",
    local_key=Secret("abcdef0123456789"),
    sec_key=Secret("secsecsecsecsec1"),
    auth_key=Secret("authauthauthauthauthauthauthauth"),
)


def keys_of(address: str) -> LockKeys:
    """Keys of a lock that is one of several: no two have the same uuid."""
    return replace(KEYS, uuid="tuya" + address.replace(":", "").lower())


PERIPHERAL, CODE = 0x0005, b"52777950"
OPEN_DP = 71
UNIX = 1_735_516_530
PATIENCE = 10.0
"""Seconds for a step; machines may be slow."""


class BleakLink:
    """The least that ``ports.LockLink`` asks for, over a connected client."""

    def __init__(self, client: BleakClient, heard: asyncio.Queue[bytes | None]) -> None:
        found = {one.uuid: one for one in client.services.characteristics.values()}
        profile = find_profile(found)
        assert profile is not None, f"no lock's characteristics among {sorted(found)}"
        self.profile = profile
        self._client = client
        self._write = found[profile.write]
        self.att_payload = self._write.max_write_without_response_size
        self.heard = heard

    async def listen(self) -> None:
        """Notifications on."""
        await self._client.start_notify(
            self.profile.notify, lambda _, value: self.heard.put_nowait(bytes(value))
        )

    async def write(self, value: bytes) -> None:
        try:
            await self._client.write_gatt_char(self._write, value, response=False)
        except Exception as error:
            raise LinkError(str(error)) from error

    async def notifications(self) -> AsyncIterator[bytes]:
        while True:
            value = await self.heard.get()
            if value is None:
                raise LinkLost("the connection ended")
            yield value


async def find(address: str) -> BLEDevice:
    """Scan until this lock is seen."""
    async with asyncio.timeout(PATIENCE):
        device = await BleakScanner.find_device_by_address(address, timeout=PATIENCE)
    assert device is not None, f"{address} was not seen"
    return device


async def hear(address: str) -> Advertisement:
    """Scan until both halves of its advertisement have been heard."""

    def matches(device: BLEDevice, data: AdvertisementData) -> bool:
        if device.address != address:
            return False
        try:
            heard.append(_parse(data))
        except AdvertisementError:
            return False
        return heard[-1].uuid is not None

    heard: list[Advertisement] = []
    found = await BleakScanner.find_device_by_filter(matches, timeout=PATIENCE)
    assert found is not None, f"{address} was not heard whole: {heard}"
    return heard[-1]


def _parse(data: AdvertisementData) -> Advertisement:
    return Advertisement.from_parts(
        data.service_data, data.manufacturer_data, data.local_name, data.service_uuids
    )


@asynccontextmanager
async def talk(
    device: BLEDevice, lock: VirtualLock, keys: LockKeys = KEYS
) -> AsyncIterator[LockClient]:
    """Connect and go through the handshake."""
    heard: asyncio.Queue[bytes | None] = asyncio.Queue()
    client = BleakClient(device, lambda _: heard.put_nowait(None))
    await client.connect()
    try:
        link = BleakLink(client, heard)
        await link.listen()
        central = Central(
            keys,
            new_iv=lambda: secrets.token_bytes(16),
            dialect=lock.firmware.dialect,
            att_payload=usable_att_payload(link.att_payload, lock.firmware.protocol[0]),
        )
        async with open_client(central, link, SystemClock()) as conversation:
            await conversation.handshake()
            yield conversation
    finally:
        await client.disconnect()


async def forget_bleak() -> None:
    """End the bus connection that bleak keeps for this event loop."""
    instance = manager._global_instances.pop(asyncio.get_running_loop(), None)
    if instance is not None and instance._bus is not None:
        instance._bus.disconnect()
        await instance._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]


async def open_door(conversation: LockClient) -> ev.Reported:
    """Ask the lock application to open; the lock's own word."""
    opening = bytes.fromhex("ffff0005") + CODE + b"\1" + UNIX.to_bytes(4, "big") + b"\0\7"
    clock = SystemClock()
    await conversation.send(
        lambda: conversation.central.write_datapoint(Datapoint.raw(OPEN_DP, opening), clock.now())
    )
    return await conversation.wait(
        ev.Reported, clock.now() + PATIENCE, lambda one: one.report.datapoints[0].id == OPEN_DP
    )
