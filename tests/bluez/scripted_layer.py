"""The world of a scripted bluetoothd."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bleagent.ports import Bluetooth
from bleagent.simulator.profiles import profile as firmware
from bleagent.simulator.quirks import Quirks
from bleagent.simulator.virtual_lock import VirtualLock

from .conversation import CODE, PERIPHERAL, keys_of
from .layers import Ability, Hooks, LockHere
from .scripted_bluez import ScriptedBluez
from .scripted_lock import ScriptedLock


class LockOnPaper:
    """A scripted lock as the scenarios know one."""

    def __init__(self, scripted: ScriptedLock) -> None:
        self.scripted = scripted
        self.hooks = Hooks()
        self._opened = 0
        scripted.on_write = self._written

    def _written(self) -> None:
        self.hooks.written()
        opened = int(self.lock.dump()["opened"])
        if opened > self._opened:
            self._opened = opened
            self.hooks.opened()

    @property
    def lock(self) -> VirtualLock:
        return self.scripted.lock

    @property
    def address(self) -> str:
        return self.scripted.address

    @property
    def is_connected(self) -> bool:
        return self.scripted.is_connected

    async def hang_up(self) -> None:
        self.scripted.hang_up()

    async def power(self, *, on: bool) -> None:
        self.scripted.act({"power": "on" if on else "off"})

    async def leave_range(self) -> None:
        self.scripted.in_range = False
        self.scripted.hang_up()

    async def come_back(self) -> None:
        self.scripted.in_range = True

    async def say(self, value: bytes) -> None:
        self.scripted.notify(value)

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        self.scripted.connect(lambda _: False, lambda: None)
        yield
        self.scripted.disconnect()


class ScriptedLayer:
    """Everything but a kernel and a radio."""

    abilities = frozenset(Ability)
    slow = False

    def __init__(self, bluez: ScriptedBluez, bluetooth: Bluetooth) -> None:
        self._bluez = bluez
        self.bluetooth = bluetooth
        self.adapter = "hci0"

    @property
    def environment(self) -> dict[str, str]:
        return self._bluez.environment

    @asynccontextmanager
    async def place(
        self, profile: str, address: str, quirks: Quirks | None
    ) -> AsyncIterator[LockHere]:
        lock = VirtualLock(keys_of(address), firmware(profile), quirks=quirks)
        lock.preset_check_code(PERIPHERAL, CODE)
        scripted = self._bluez.add_lock(ScriptedLock(lock=lock, address=address))
        try:
            yield LockOnPaper(scripted)
        finally:
            scripted.hang_up()
            scripted.stop()
            self._bluez.locks.remove(scripted)

    async def kill_bluetoothd(self) -> None:
        await self._bluez.die()
        await self._bluez.revive()

    async def plug_out(self) -> None:
        self._bluez.remove_adapter("hci0")

    async def plug_in(self) -> None:
        self._bluez.add_adapter("hci0")
