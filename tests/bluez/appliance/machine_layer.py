"""The world of a real kernel and a real BlueZ."""

from __future__ import annotations

from bleagent.adapters.bluez import BluezBluetooth
from tests.bluez.air import Air
from tests.bluez.air_layer import AirLayer
from tests.bluez.appliance.machine import PluggedAdapter
from tests.bluez.layers import Ability


class MachineLayer(AirLayer):
    """Real air packets, and a real bluetoothd between them and us."""

    abilities = frozenset(Ability)
    slow = True

    def __init__(self, air: Air, bluetooth: BluezBluetooth, plugged: PluggedAdapter) -> None:
        super().__init__(air, bluetooth, plugged.name)
        self._plugged = plugged

    @property
    def environment(self) -> dict[str, str]:
        return self._plugged.machine.environment

    async def kill_bluetoothd(self) -> None:
        await self._plugged.machine.kill_bluetoothd()

    async def plug_out(self) -> None:
        await self._plugged.plug_out()

    async def plug_in(self) -> None:
        await self._plugged.plug_in()
        assert self._plugged.name == self.adapter
