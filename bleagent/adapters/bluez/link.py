"""One connection to a lock, as jobs see it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator

import anyio
from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic

from bleagent.errors import IncompleteTable, LinkError, LinkLost
from protocol.gatt import MAX_ATT_PAYLOAD, MIN_ATT_PAYLOAD, find_profile

from .faults import RAISED, About, translate, translated

WRITE_TIMEOUT = 3.0
"""Seconds for one write; bleak repeats it for ever while BlueZ says that one is in progress."""
QUEUE = 256
"""Notifications kept for a reader that is busy; one more and the link is given up."""


class BluezLink:
    """Implements ``ports.LockLink``."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._client: BleakClient | None = None
        self._write: BleakGATTCharacteristic | None = None
        self._queue: deque[bytes] = deque()
        self._arrived = anyio.Event()
        self._ended: str | None = None
        self._over = False
        self.drops = 0
        """How often the stack reported the end of a connection that had begun."""

    # -- its life

    async def begin(self, client: BleakClient) -> None:
        """The connection stands: check what it offers and switch notifications on.

        Raises:
            IncompleteTable: a characteristic is missing.
            LinkError: it did not work.
        """
        with translated(f"the table of {self._address}", About.LINK):
            found = list(client.services.characteristics.values())
        profile = find_profile(one.uuid for one in found)
        if profile is None:
            raise IncompleteTable(
                f"{self._address} shows {len(found)} characteristics, none of a lock's pairs"
            )
        self._client = client
        self._write = _choose(found, profile.service, profile.write)
        if self._over:
            raise LinkLost(self._ended)
        self._ended = None  # what ended before was an attempt of the stack's own
        with translated(f"notifications of {self._address}", About.LINK):
            await client.start_notify(
                _choose(found, profile.service, profile.notify), self._on_notification
            )
        if self._ended is not None:
            raise LinkLost(self._ended)

    def end(self, why: str) -> None:
        """The connection is over; the first reason is kept."""
        if self._ended is None:
            self._ended = why
            self._arrived.set()

    def cut(self, why: str) -> None:
        """What it goes through is gone, and no attempt can change that."""
        self._over = True
        self.end(why)

    def on_disconnected(self) -> None:
        """The stack says so; after an ``end`` of ours that is no news."""
        self.drops += 1
        self.end(f"the connection to {self._address} was lost")

    # -- LockLink

    @property
    def att_payload(self) -> int:
        """Bytes in one write."""
        if self._write is None:
            return MIN_ATT_PAYLOAD
        size = self._write.max_write_without_response_size
        return min(max(size, MIN_ATT_PAYLOAD), MAX_ATT_PAYLOAD)

    async def write(self, value: bytes) -> None:
        """One GATT write without response.

        Raises:
            LinkLost: the link is gone, or took nothing for ``WRITE_TIMEOUT``.
            LinkError: the stack refused; in either case it may have left all the same.
        """
        if self._ended is not None or self._client is None or self._write is None:
            raise LinkLost(self._ended or "not connected")
        try:
            with anyio.fail_after(WRITE_TIMEOUT):
                await self._client.write_gatt_char(self._write, value, response=False)
        except TimeoutError:
            # Whether it left nobody knows, so nothing may follow it on this connection.
            self.end(f"a write to {self._address} was not taken within {WRITE_TIMEOUT:.0f} s")
            raise LinkLost(self._ended) from None
        except RAISED as error:
            fault: LinkError = translate(error, f"a write to {self._address}", About.LINK)
            self.end(str(fault))
            raise fault from error

    async def notifications(self) -> AsyncIterator[bytes]:
        """Every notification once, in order.

        Raises:
            LinkLost: the link ended; what had arrived before was handed out first.
        """
        while True:
            while self._queue:
                yield self._queue.popleft()
            if self._ended is not None:
                raise LinkLost(self._ended)
            self._arrived = anyio.Event()
            await self._arrived.wait()

    def _on_notification(self, _: BleakGATTCharacteristic, value: bytearray) -> None:
        if self._ended is not None:
            return
        if len(self._queue) >= QUEUE:
            self.end(f"{self._address} sends faster than anything reads")
            return
        self._queue.append(bytes(value))
        self._arrived.set()


def _choose(
    found: list[BleakGATTCharacteristic], service: str, uuid: str
) -> BleakGATTCharacteristic:
    """Of several with one UUID the one in the lock's own service."""
    same = [one for one in found if one.uuid.lower() == uuid]
    own = [one for one in same if one.service_uuid.lower() == service]
    return (own or same)[0]
