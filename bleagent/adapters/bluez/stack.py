"""What is asked of bluetoothd directly: adapters, connections that exist, memory, power."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
from dbus_fast import Message, Variant

from bleagent.errors import LinkError, LinkLost, LockNotFound, RadioUnavailable
from bleagent.model import AdapterInfo

from . import manager
from .bus import BLUEZ, DAEMON, OBJECT_MANAGER, PROPERTIES, Bus
from .faults import (
    About,
    AdapterOff,
    BluetoothdMissing,
    BluetoothdSilent,
    BusUnreachable,
    NoAdapter,
)

ADAPTER = "org.bluez.Adapter1"
DEVICE = "org.bluez.Device1"
MONITORS = "org.bluez.AdvertisementMonitorManager1"

DISCONNECT_TIMEOUT = 8.0
"""Seconds until a connection must be seen to have ended; BlueZ takes 2 to 3."""
POWER_TIMEOUT = 10.0
"""Seconds for an adapter to go off, and again to come on."""
LOOK_AGAIN = 0.1
"""Seconds between two looks at a property that is about to change."""

# Only what concerns adapters and bluetoothd itself: device signals come with every advertisement
# and would all arrive a second time.
_SIGNAL = f"type='signal',sender='{BLUEZ}'"
_RULES = (
    f"type='signal',sender='{DAEMON}',member='NameOwnerChanged',arg0='{BLUEZ}'",
    f"{_SIGNAL},interface='{PROPERTIES}',member='PropertiesChanged',arg0='{ADAPTER}'",
    f"{_SIGNAL},interface='{OBJECT_MANAGER}',member='InterfacesRemoved',arg0path='/org/bluez/'",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterDetails:
    """An adapter as bluetoothd shows it. ``version`` is bluetoothd's, such as ``(5, 66)``."""

    info: AdapterInfo
    version: tuple[int, int] | None
    passive_scan: bool
    """Whether scanning without asking for scan responses is possible."""


class Stack(Protocol):
    """The part of bluetoothd that is not reached through bleak. All raise LinkError."""

    async def adapters(self) -> list[AdapterDetails]:
        """All of them; empty if there is none."""
        ...

    async def is_connected(self, adapter: str, address: str) -> bool:
        """Whether anybody holds a connection to the device. LockNotFound: it is not known."""
        ...

    async def connected(self, adapter: str) -> list[str]:
        """Addresses of devices with a connection."""
        ...

    async def end(self, adapter: str, address: str) -> None:
        """End a connection, or a pending attempt; returns when it is seen to have ended."""
        ...

    async def forget(self, adapter: str, address: str) -> None:
        """Remove the device."""
        ...

    async def set_power(self, adapter: str, *, on: bool) -> None:
        """Returns when it is seen to be so."""
        ...

    async def watch(
        self, adapter: str, gone: Callable[[LinkError], None], address: str | None = None
    ) -> Watch:
        """``gone`` is told once why adapter or device cannot be used any more."""
        ...

    async def aclose(self) -> None:
        """Leave nothing open behind."""
        ...


class Watch:
    """Who wants to know of an adapter's end, or a device's; ``remove`` ends it."""

    def __init__(
        self,
        adapter: str,
        gone: Callable[[LinkError], None],
        watches: set[Watch],
        address: str | None = None,
    ) -> None:
        self.adapter = adapter
        self.path = None if address is None else device_path(adapter, address)
        self._gone = gone
        self._watches = watches
        watches.add(self)

    def tell(self, fault: LinkError) -> None:
        """Once."""
        self.remove()
        self._gone(fault)

    def remove(self) -> None:
        """May be called again."""
        self._watches.discard(self)


class BluezStack:
    """Implements ``Stack`` over D-Bus."""

    def __init__(self) -> None:
        self._bus = Bus(_RULES, self._on_signal)
        self._watches: set[Watch] = set()

    async def adapters(self) -> list[AdapterDetails]:
        """All of them; empty if there is none. Raises RadioUnavailable."""
        found = []
        for path, interfaces in (await self._objects()).items():
            if ADAPTER in interfaces:
                found.append(_details(path, interfaces))
        return sorted(found, key=lambda one: one.info.name)

    async def is_connected(self, adapter: str, address: str) -> bool:
        """Whether anybody holds a connection to the device.

        Raises:
            LockNotFound: bluetoothd does not know it.
            LinkError: bluetoothd did not say.
        """
        path = device_path(adapter, address)
        return bool(await self._get(path, DEVICE, "Connected", About.DEVICE))

    async def connected(self, adapter: str) -> list[str]:
        """Addresses of devices with a connection. Raises LinkError."""
        start = f"{adapter_path(adapter)}/"
        found = []
        for path, interfaces in (await self._objects()).items():
            device = interfaces.get(DEVICE)
            if device is not None and path.startswith(start) and _value(device, "Connected"):
                found.append(str(_value(device, "Address")).upper())
        return sorted(found)

    async def end(self, adapter: str, address: str) -> None:
        """End a connection or a pending attempt.

        Raises:
            BluetoothdSilent: it still stands after ``DISCONNECT_TIMEOUT``.
            LinkError: bluetoothd could not be asked.
        """
        with anyio.move_on_after(DISCONNECT_TIMEOUT):
            try:
                await self._call_device(adapter, address, "Disconnect")
                while await self.is_connected(adapter, address):  # noqa: ASYNC110 - see _RULES
                    await anyio.sleep(LOOK_AGAIN)
            except (LockNotFound, LinkLost):
                pass  # not known, or not connected: that is what was wanted
            return
        raise BluetoothdSilent(f"{address} is still connected on {adapter}")

    async def forget(self, adapter: str, address: str) -> None:
        """Remove the device with all that is remembered of it. Raises LinkError."""
        try:
            await self._bus.call(
                adapter_path(adapter),
                ADAPTER,
                "RemoveDevice",
                "o",
                (device_path(adapter, address),),
                about=About.DEVICE,
                within=DISCONNECT_TIMEOUT,
            )
        except LockNotFound:
            return

    async def set_power(self, adapter: str, *, on: bool) -> None:
        """Switch the adapter; returns when it is seen to be so. Raises RadioUnavailable."""
        path = adapter_path(adapter)
        with anyio.move_on_after(POWER_TIMEOUT):
            await self._bus.call(
                path,
                PROPERTIES,
                "Set",
                "ssv",
                (ADAPTER, "Powered", Variant("b", on)),
                about=About.ADAPTER,
                within=POWER_TIMEOUT,
            )
            while await self._powered(adapter) is not on:  # noqa: ASYNC110 - seldom, and short
                await anyio.sleep(LOOK_AGAIN)
            return
        raise AdapterOff(f"{adapter} did not go {'on' if on else 'off'}")

    async def watch(
        self, adapter: str, gone: Callable[[LinkError], None], address: str | None = None
    ) -> Watch:
        """``gone`` is told once why adapter or device cannot be used any more.

        A device can vanish without a word about its connection (seen of adapters pulled out).

        Raises:
            RadioUnavailable: it cannot be used now: gone, or switched off.
        """
        watch = Watch(adapter, gone, self._watches, address)
        try:
            powered = await self._powered(adapter)
        except BaseException:
            watch.remove()
            raise
        if not powered:
            watch.remove()
            raise AdapterOff(f"{adapter} is switched off")
        return watch

    async def aclose(self) -> None:
        """Leave the bus, bleak's too."""
        await self._bus.aclose()
        await manager.close()

    # -- D-Bus

    async def _objects(self) -> dict[str, dict[str, dict[str, Variant]]]:
        (objects,) = await self._bus.call(
            "/", OBJECT_MANAGER, "GetManagedObjects", about=About.ADAPTER
        )
        return dict(objects)

    async def _get(self, path: str, interface: str, name: str, about: About) -> Any:
        (value,) = await self._bus.call(
            path, PROPERTIES, "Get", "ss", (interface, name), about=about
        )
        return value.value

    async def _powered(self, adapter: str) -> bool:
        return bool(await self._get(adapter_path(adapter), ADAPTER, "Powered", About.ADAPTER))

    async def _call_device(self, adapter: str, address: str, member: str) -> None:
        await self._bus.call(
            device_path(adapter, address),
            DEVICE,
            member,
            about=About.DEVICE,
            within=DISCONNECT_TIMEOUT,
        )

    def _on_signal(self, message: Message | None) -> None:
        if message is None:
            self._tell(None, BusUnreachable("the D-Bus system bus ended"))
            return
        match message.member, message.body:
            case "NameOwnerChanged", [str(name), _, str(owner)] if name == BLUEZ and not owner:
                manager.forget_everything()
                self._tell(None, BluetoothdMissing("bluetoothd ended"))
            case "InterfacesRemoved", [str(path), [*interfaces]] if ADAPTER in interfaces:
                self._tell(_name(path), NoAdapter(f"{_name(path)} was removed"))
            case "InterfacesRemoved", [str(path), [*interfaces]] if DEVICE in interfaces:
                for watch in [one for one in self._watches if one.path == path]:
                    watch.tell(LinkLost("bluetoothd has removed the device"))
            case "PropertiesChanged", [str(interface), changed, _] if interface == ADAPTER:
                powered = changed.get("Powered")
                if powered is not None and not powered.value:
                    name = _name(message.path or "")
                    self._tell(name, AdapterOff(f"{name} was switched off"))

    def _tell(self, adapter: str | None, fault: RadioUnavailable) -> None:
        for watch in [one for one in self._watches if adapter in (None, one.adapter)]:
            watch.tell(fault)


def adapter_path(adapter: str) -> str:
    """``hci0`` as D-Bus knows it."""
    return f"/org/bluez/{adapter}"


def device_path(adapter: str, address: str) -> str:
    """A device as D-Bus knows it; ``address`` with colons."""
    return f"{adapter_path(adapter)}/dev_{address.upper().replace(':', '_')}"


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _value(properties: dict[str, Variant], name: str) -> Any:
    variant = properties.get(name)
    return None if variant is None else variant.value


def _details(path: str, interfaces: dict[str, dict[str, Variant]]) -> AdapterDetails:
    adapter = interfaces[ADAPTER]
    types = _value(interfaces.get(MONITORS, {}), "SupportedMonitorTypes") or ()
    return AdapterDetails(
        info=AdapterInfo(
            name=_name(path),
            address=str(_value(adapter, "Address") or "").upper(),
            powered=bool(_value(adapter, "Powered")),
        ),
        version=version_of(str(_value(adapter, "Modalias") or "")),
        passive_scan="or_patterns" in types,
    )


def version_of(modalias: str) -> tuple[int, int] | None:
    """The version of bluetoothd from ``usb:v1D6Bp0246dMMmm``, unless main.conf gives another id.

    >>> version_of("usb:v1D6Bp0246d0542")
    (5, 66)
    """
    found = re.fullmatch(r"usb:v1D6Bp0246d([0-9A-F]{2})([0-9A-F]{2})", modalias)
    return None if found is None else (int(found[1], 16), int(found[2], 16))
