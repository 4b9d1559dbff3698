"""The world of real air packets: bumble in this process, or before a machine's BlueZ."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count

from bumble import hci

from bleagent.ports import Bluetooth
from bleagent.simulator.actions import Notification
from bleagent.simulator.quirks import Quirks

from .air import Air
from .bleak_bumble import Adapter
from .conversation import keys_of
from .layers import Ability, Hooks, LockHere
from .radio_door import Door


class AirLock(Door):
    """A lock on the air."""

    def __init__(self, air: Air, profile: str, address: str, quirks: Quirks | None) -> None:
        super().__init__(air, profile, address=address, quirks=quirks, keys=keys_of(address))
        self.address = address
        self.hooks = Hooks()
        self._tap = self._tapped
        self._strangers: Iterator[int] = count(1)
        self._air = air

    def _tapped(self, mark: str, what: bytes) -> None:
        if mark == ">":
            self.hooks.written()
        elif (mark, what) == ("!", b"opened"):
            self.hooks.opened()

    async def power(self, *, on: bool) -> None:
        await self.act({"power": "on" if on else "off"})

    async def leave_range(self) -> None:
        self._air.silence(self.radio)

    async def come_back(self) -> None:
        self._air.restore(self.radio)

    async def say(self, value: bytes) -> None:
        connection = self.lock.connection
        said = Notification(value=value, connection=connection, sn=1, code=0, last=False)
        await self._send(said)

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        stranger = Adapter(self._air, f"00:A0:50:00:01:{next(self._strangers):02X}")
        device = await stranger.ready()
        connection = await device.connect(
            self.radio.public_address, own_address_type=hci.OwnAddressType.PUBLIC
        )
        try:
            yield
        finally:
            await connection.disconnect()


class AirLayer:
    """Bumble in this process: no bluetoothd, no other process."""

    abilities: frozenset[Ability] = frozenset()
    slow = False

    def __init__(self, air: Air, bluetooth: Bluetooth, adapter: str = "hci0") -> None:
        self.air = air
        self.bluetooth = bluetooth
        self.adapter = adapter

    @property
    def environment(self) -> dict[str, str]:
        raise NotImplementedError

    @asynccontextmanager
    async def place(
        self, profile: str, address: str, quirks: Quirks | None
    ) -> AsyncIterator[LockHere]:
        lock = AirLock(self.air, profile, address, quirks)
        async with lock.serve():
            yield lock
        self.air.plug_out(lock.radio)

    async def kill_bluetoothd(self) -> None:
        raise NotImplementedError

    async def plug_out(self) -> None:
        raise NotImplementedError

    async def plug_in(self) -> None:
        raise NotImplementedError
