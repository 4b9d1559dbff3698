"""Listening without asking: advertisement monitors, which hear no scan responses."""

from __future__ import annotations

from dbus_fast import Variant

from . import bluez_calls
from . import bluez_names as names
from .bluez_discovery import device_properties
from .bluez_errors import does_not_exist
from .bluez_names import NOTHING, Answer
from .scripted_bluez import Call, ScriptedBluez

MANAGER = "org.bluez.AdvertisementMonitorManager1"
ONLY_IN_SCAN_RESPONSES = ("ManufacturerData", "Name")


class Monitors:
    """The clients' monitors of one adapter."""

    def __init__(self, bluez: ScriptedBluez, adapter: str = "hci0") -> None:
        self._bluez = bluez
        self._path = f"{names.ROOT}/{adapter}"
        self.registered: list[str] = []
        bluez.objects[self._path][MANAGER] = {
            "SupportedMonitorTypes": Variant("as", ["or_patterns"]),
        }
        bluez_calls._METHODS[MANAGER, "RegisterMonitor"] = self._register
        bluez_calls._METHODS[MANAGER, "UnregisterMonitor"] = self._unregister

    async def _register(self, bluez: ScriptedBluez, call: Call) -> Answer:
        self.registered.append(call.body[0])
        bluez.later(self._hear, names.ADVERTISING_INTERVAL)
        return NOTHING

    async def _unregister(self, _: ScriptedBluez, call: Call) -> Answer:
        if call.body[0] not in self.registered:
            raise does_not_exist()
        self.registered.remove(call.body[0])
        return NOTHING

    def _hear(self) -> None:
        bluez = self._bluez
        if not self.registered or self._path not in bluez.objects:
            return
        adapter = self._path.rpartition("/")[2]
        for lock in bluez.locks:
            if not lock.is_heard_by(adapter) or lock.is_connected:
                continue
            device = bluez.path_of(lock, adapter)
            if device in bluez.objects:
                heard = lock.advertised()
                bluez.set(
                    device, names.DEVICE, RSSI=heard["RSSI"], ServiceData=heard["ServiceData"]
                )
            else:
                properties = device_properties(lock, device)
                for name in ONLY_IN_SCAN_RESPONSES:
                    properties.pop(name, None)
                properties["Alias"] = Variant("s", lock.address.replace(":", "-"))
                bluez.add(device, names.DEVICE, properties)
        bluez.later(self._hear, names.ADVERTISING_INTERVAL)
