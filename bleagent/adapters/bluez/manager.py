"""bleak's own view of bluetoothd: one object per event loop, shared by scanner and clients.

bleak does not watch for bluetoothd's end: its view would go on with the devices, connections and
characteristics of a bluetoothd that is no more, and would call a lock connected that is not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from bleak.backends.bluezdbus.version import BlueZFeatures
from bleak.backends.device import BLEDevice
from bleak.exc import BleakError
from bleak_retry_connector.bleak_manager import get_global_bluez_manager_sync
from dbus_fast import Message

# bleak asks `bluetoothctl --version` at the first connection, and if that first connection is
# cancelled meanwhile every later one waits for ever for the answer. `bleagent doctor` looks at
# the version; nothing is lost by taking it for new enough here.
BlueZFeatures.checked_bluez_version = True

# It warns about a lost bus, also when it was us who closed it; the radio tells that itself.
logging.getLogger("bleak.backends.bluezdbus.manager").setLevel(logging.ERROR)


def forget_everything() -> None:
    """Close bleak's bus: its clients hear that they are disconnected, its scanners forget.

    The next use of bleak makes a new one.
    """
    manager = get_global_bluez_manager_sync()
    bus = None if manager is None else manager._bus  # noqa: SLF001 - there is no public way
    if bus is not None:
        bus.disconnect()


@contextmanager
def told_connected(device: BLEDevice, told: Callable[[], None]) -> Iterator[None]:
    """``told`` is called when bluetoothd says that a device is connected.

    bleak's own ``connect`` returns later, when the services are discovered too.
    """
    manager = get_global_bluez_manager_sync()
    path = device.details.get("path") if isinstance(device.details, dict) else None
    watcher = None
    if manager is not None and path is not None:
        with suppress(BleakError):  # bluetoothd has just forgotten it: nobody is told
            watcher = manager.add_device_watcher(
                path, lambda connected: told() if connected else None, lambda *_: None
            )
    try:
        yield
    finally:
        if manager is not None and watcher is not None:
            manager.remove_device_watcher(watcher)


async def stop_discovery(adapter: str) -> None:
    """Tell bluetoothd that bleak does not scan any more; the answer does not matter.

    A start that was given up half way can leave a discovery on; it belongs to bleak's own bus
    connection, so that only this connection can stop it, and until then each start is answered
    with InProgress.
    """
    manager = get_global_bluez_manager_sync()
    bus = None if manager is None else manager._bus  # noqa: SLF001
    if bus is not None and bus.connected:
        bus.send(
            Message(
                destination="org.bluez",
                path=f"/org/bluez/{adapter}",
                interface="org.bluez.Adapter1",
                member="StopDiscovery",
            )
        )


async def close() -> None:
    """Leave nothing open behind."""
    manager = get_global_bluez_manager_sync()
    if manager is None:
        return
    forget_everything()
    watcher = manager._bus_watcher_task  # noqa: SLF001
    if watcher is not None:
        await asyncio.wait({watcher}, timeout=1.0)
