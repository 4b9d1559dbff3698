"""What scanning does where nothing is scripted, and how locks are heard meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbus_fast import Variant

from . import bluez_names as names
from .bluez_errors import failed, in_progress, not_ready
from .bluez_names import NOTHING, Answer
from .scripted_lock import ScriptedLock

if TYPE_CHECKING:
    from .scripted_bluez import Call, ScriptedBluez


def is_powered(bluez: ScriptedBluez, path: str) -> bool:
    return bool(bluez.get(path, names.ADAPTER, "Powered"))


REPEATED = {"RSSI", "ManufacturerData", "ServiceData"}
"""Properties that are told again although they have not changed, where duplicates are wanted."""
RESOLVED = {"UUIDs", "Name", "Alias"}
"""Properties that what was read over a connection has replaced for good."""


async def set_filter(bluez: ScriptedBluez, call: Call) -> Answer:
    bluez.filters[call.path, call.sender] = call.body[0]
    return NOTHING


async def start(bluez: ScriptedBluez, call: Call) -> Answer:
    clients = bluez.discovering[call.path]
    if not is_powered(bluez, call.path):
        raise not_ready()
    if call.sender in clients:
        raise in_progress()
    clients.add(call.sender)
    if len(clients) == 1:
        bluez.set(call.path, names.ADAPTER, Discovering=Variant("b", True))
        # Not at once: no radio hears anything before the answer to this call is out.
        bluez.later(lambda: _advertise(bluez, call.path), names.ADVERTISING_INTERVAL)
    return NOTHING


async def stop(bluez: ScriptedBluez, call: Call) -> Answer:
    if call.sender not in bluez.discovering[call.path]:
        raise failed("No discovery started")
    leave(bluez, call.path, call.sender)
    return NOTHING


def leave(bluez: ScriptedBluez, path: str, client: str) -> None:
    clients = bluez.discovering[path]
    clients.discard(client)
    if clients or path not in bluez.objects:
        return
    bluez.set(path, names.ADAPTER, Discovering=Variant("b", False))
    for device in bluez.objects:
        if device.startswith(f"{path}/dev_") and bluez.get(device, names.DEVICE, "RSSI"):
            bluez.unset(device, names.DEVICE, "RSSI")


def _advertise(bluez: ScriptedBluez, path: str) -> None:
    """Every lock in range is heard once, and again as long as anybody scans."""
    if not bluez.discovering[path] or path not in bluez.objects:
        return
    adapter = path.rpartition("/")[2]
    for lock in bluez.locks:
        if lock.is_heard_by(adapter) and not lock.is_connected:
            _hear(bluez, lock, bluez.path_of(lock, adapter), path)
    bluez.later(lambda: _advertise(bluez, path), names.ADVERTISING_INTERVAL)


def _hear(bluez: ScriptedBluez, lock: ScriptedLock, device: str, adapter: str) -> None:
    advertised = lock.advertised()
    filters = [bluez.filters.get((adapter, one), {}) for one in bluez.discovering[adapter]]
    wanted = [set(one["UUIDs"].value) if "UUIDs" in one else None for one in filters]
    known = device in bluez.objects
    if not known and not any(
        uuids is None or uuids & set(advertised["UUIDs"].value) for uuids in wanted
    ):
        return
    if not known:
        bluez.add(device, names.DEVICE, device_properties(lock, device))
        return
    duplicates = any("DuplicateData" in one and one["DuplicateData"].value for one in filters)
    # 5.66 tells the signal strength each time, whether it has changed or not.
    changes = {} if bluez.version >= names.TRIXIE else {"RSSI": advertised["RSSI"]}
    for name, value in advertised.items():
        if device in bluez.resolved and name in RESOLVED:
            continue
        again = duplicates and name in REPEATED
        if again or value != _held(bluez, device, name):
            changes[name] = value
    if changes:
        bluez.set(device, names.DEVICE, **changes)


def _held(bluez: ScriptedBluez, device: str, name: str) -> Variant | None:
    return bluez.objects[device][names.DEVICE].get(name)


def device_properties(lock: ScriptedLock, path: str) -> dict[str, Variant]:
    """A device that was just heard."""
    return {
        "Address": Variant("s", lock.address),
        "AddressType": Variant("s", "public"),
        "Adapter": Variant("o", path.rpartition("/")[0]),
        "Paired": Variant("b", False),
        "Trusted": Variant("b", False),
        "Blocked": Variant("b", False),
        "Connected": Variant("b", False),
        "ServicesResolved": Variant("b", False),
        **lock.advertised(),
    }
