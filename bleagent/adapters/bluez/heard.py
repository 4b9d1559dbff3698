"""What one adapter has heard: who is a lock, and how to reach it. Bounded, and cheap to repeat."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from bleagent.model import Sighting
from protocol.advertisement import Advertisement
from protocol.errors import AdvertisementError

MAX_LOCKS = 256
"""Locks remembered; one that stays silent longest makes room."""
MAX_STRANGERS = 1024
"""Devices remembered not to be locks."""

Parts = tuple[dict[str, bytes], dict[int, bytes], str | None, list[str]]


@dataclass(slots=True)
class _Lock:
    parts: Parts
    advertisement: Advertisement
    device: BLEDevice
    marks: tuple[Any, ...]


class Heard:
    """The advertisers that one adapter hears.

    A lock says the same thing several times a second: what it said is compared with the last
    time, and read only when it differs.
    """

    def __init__(self, adapter: str, now: Callable[[], float]) -> None:
        self._adapter = adapter
        self._now = now
        self._locks: dict[str, _Lock] = {}
        self._strangers: dict[str, Parts] = {}
        self._awaited: dict[str, anyio.Event] = {}

    def take(self, device: BLEDevice, data: AdvertisementData) -> Sighting | None:
        """One report of the stack; ``None`` if it is no advertisement, or none of a lock."""
        address = device.address.upper()
        parts = (
            data.service_data,
            data.manufacturer_data,
            data.local_name,
            data.service_uuids,
        )
        marks = _marks(data)
        if not marks:
            return None
        lock = self._locks.pop(address, None)
        if lock is not None and all(map(operator.is_, lock.marks, marks)):
            self._locks[address] = lock
            return None
        if lock is None or lock.parts != parts:
            if self._strangers.get(address) == parts:
                return None
            try:
                advertisement = Advertisement.from_parts(*parts)
            except AdvertisementError:
                _put(self._strangers, address, parts, MAX_STRANGERS)
                return None
            self._strangers.pop(address, None)
            lock = _Lock(parts, advertisement, device, marks)
        lock.device, lock.marks = device, marks
        _put(self._locks, address, lock, MAX_LOCKS)
        if self._awaited and (awaited := self._awaited.pop(address, None)) is not None:
            awaited.set()
        return Sighting(
            adapter=self._adapter,
            address=address,
            rssi=data.rssi,
            advertisement=lock.advertisement,
            at=self._now(),
        )

    def device(self, address: str) -> BLEDevice | None:
        """The lock as it was heard last, for connecting."""
        lock = self._locks.get(address.upper())
        return None if lock is None else lock.device

    def drop(self, address: str) -> None:
        """The stack does not know it any more: it must be heard again."""
        self._locks.pop(address.upper(), None)
        self._strangers.pop(address.upper(), None)

    async def again(self, address: str) -> None:
        """Wait until it is heard; bound this."""
        await self._awaited.setdefault(address.upper(), anyio.Event()).wait()


def _marks(data: AdvertisementData) -> tuple[Any, ...]:
    """What a report was made of, by identity; empty if it cannot be an advertisement.

    BlueZ signals every change of a device, bleak reports each of them, and always with all that
    is known of the device: the end of a connection looks like one more advertisement. What an
    advertisement brought is a new object in there; nothing else is.
    """
    properties = data.platform_data[-1] if data.platform_data else None
    if not isinstance(properties, dict):
        return (data,)  # not BlueZ's: each is one
    strength = properties.get("RSSI")
    if strength is None:
        return ()  # BlueZ takes it away when it stops listening
    return properties.get("ManufacturerData"), properties.get("ServiceData"), strength


def _put(table: dict[str, Any], key: str, value: Any, limit: int) -> None:
    """Newest last; the oldest makes room."""
    table.pop(key, None)
    if len(table) >= limit:
        del table[next(iter(table))]
    table[key] = value
