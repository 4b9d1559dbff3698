"""What the methods of org.bluez do when nothing is scripted. State is in ``ScriptedBluez``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from dbus_fast import Variant

from protocol.gatt import expand_uuid

from . import bluez_discovery as discovery
from . import bluez_names as names
from .bluez_errors import (
    BluezError,
    does_not_exist,
    failed,
    in_progress,
    no_such_method,
    no_such_object,
    not_ready,
    not_supported,
)
from .bluez_names import NOTHING, Answer
from .scripted_lock import HEADER, ScriptedLock

if TYPE_CHECKING:
    from .scripted_bluez import Call, ScriptedBluez

BASIC_SERVICES = (expand_uuid(0x1800), expand_uuid(0x1801))
"""Generic access and attributes: every device has them."""


async def do(bluez: ScriptedBluez, call: Call) -> Answer:
    """Carry out one call.

    Raises:
        BluezError: the error reply.
    """
    if call.member == "GetManagedObjects":
        return "a{oa{sa{sv}}}", [bluez.objects]
    if call.member == "Introspect":
        return "s", ["<node/>"]
    if call.path not in bluez.objects:
        raise no_such_object(call.path)
    method = _METHODS.get((call.interface, call.member))
    if method is None:
        raise no_such_method(call.member)
    if call.interface not in bluez.objects[call.path] and call.interface != names.PROPERTIES:
        raise no_such_method(call.member)
    return await method(bluez, call)


# -- properties


async def _get(bluez: ScriptedBluez, call: Call) -> Answer:
    interface, name = call.body
    found = bluez.objects[call.path].get(interface, {}).get(name)
    if found is None:
        raise BluezError("org.freedesktop.DBus.Error.InvalidArgs", f"no property {name}")
    return "v", [found]


async def _get_all(bluez: ScriptedBluez, call: Call) -> Answer:
    return "a{sv}", [bluez.objects[call.path].get(call.body[0], {})]


async def _set(bluez: ScriptedBluez, call: Call) -> Answer:
    interface, name, value = call.body
    if (interface, name) == (names.ADAPTER, "Powered"):
        set_powered(bluez, call.path, powered=bool(value.value))
    else:
        bluez.set(call.path, interface, **{name: value})
    return NOTHING


def set_powered(bluez: ScriptedBluez, path: str, *, powered: bool) -> None:
    """On, or off with everything that ends by it."""
    if bluez.get(path, names.ADAPTER, "Powered") == powered:
        return
    if not powered:
        end_everything(bluez, path, "the adapter was powered off")
        bluez.discovering[path].clear()
        bluez.set(path, names.ADAPTER, Discovering=Variant("b", False))
    bluez.set(path, names.ADAPTER, Powered=Variant("b", powered))


# -- connections


async def _connect(bluez: ScriptedBluez, call: Call) -> Answer:
    path = call.path
    lock = bluez.lock_at(path)
    adapter = path.rpartition("/")[0]
    if not discovery.is_powered(bluez, adapter):
        raise not_ready()
    if is_connected(bluez, path):
        return NOTHING
    if path in bluez.connecting:
        if bluez.version >= names.TRIXIE:
            raise in_progress("In Progress")
        raise failed("Operation already in progress")
    canceled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    bluez.connecting[path] = canceled
    try:
        async with asyncio.timeout(bluez.connect_timeout):
            while lock.is_connected or not lock.is_heard_by(adapter.rpartition("/")[2]):
                await asyncio.wait([canceled], timeout=names.ADVERTISING_INTERVAL)
                if canceled.done():
                    raise failed("br-connection-canceled")
    except TimeoutError:
        raise failed("le-connection-abort-by-local") from None
    finally:
        bluez.connecting.pop(path, None)
    await establish(bluez, path, lock)
    return NOTHING


async def establish(bluez: ScriptedBluez, path: str, lock: ScriptedLock) -> None:
    """A connection, and soon after the services."""
    characteristic = _characteristic_path(path, lock.profile.notify, lock)

    def notify(value: bytes) -> bool:
        heard = bool(bluez.notifying.get(characteristic))
        if heard:
            bluez.set(characteristic, names.CHARACTERISTIC, Value=Variant("ay", value))
        return heard

    lock.connect(notify, lambda: end_connection(bluez, path, "the lock hung up"))
    bluez.set(path, names.DEVICE, Connected=Variant("b", True))
    bluez.later(lambda: _resolve(bluez, path, lock), bluez.resolve_delay)


def _resolve(bluez: ScriptedBluez, path: str, lock: ScriptedLock) -> None:
    if not is_connected(bluez, path):
        return
    if bluez.objects_late:
        _announce(bluez, path, lock)
        bluez.later(lambda: _add_table(bluez, path, lock), names.ADVERTISING_INTERVAL)
        return
    _add_table(bluez, path, lock)
    _announce(bluez, path, lock)


def _announce(bluez: ScriptedBluez, path: str, lock: ScriptedLock) -> None:
    """From now on its UUIDs are those of its services; 5.66 forgets those that it advertises."""
    bluez.resolved.add(path)
    uuids = [*BASIC_SERVICES, lock.profile.service]
    if bluez.version >= names.TRIXIE:
        uuids += lock.advertised()["UUIDs"].value
    changes = {"UUIDs": Variant("as", uuids), "ServicesResolved": Variant("b", True)}
    bluez.set(path, names.DEVICE, **changes)


def _table(lock: ScriptedLock) -> list[tuple[str, list[str]]]:
    """Characteristics and their flags, in the order of their handles."""
    profile = lock.profile
    table = [
        (profile.write, ["write-without-response", "write"]),
        (profile.notify, ["notify"]),
    ]
    return table if profile.read is None else [*table, (profile.read, ["read"])]


def _characteristic_path(device: str, uuid: str, lock: ScriptedLock) -> str:
    index = [one for one, _ in _table(lock)].index(uuid)
    return f"{device}/service0001/char{2 + 2 * index:04x}"


def _add_table(bluez: ScriptedBluez, device: str, lock: ScriptedLock) -> None:
    if not is_connected(bluez, device):
        return
    service = f"{device}/service0001"
    if service not in bluez.objects:
        properties = {
            "UUID": Variant("s", lock.profile.service),
            "Device": Variant("o", device),
            "Primary": Variant("b", True),
        }
        bluez.add(service, names.SERVICE, properties)
    for uuid, flags in _table(lock):
        path = _characteristic_path(device, uuid, lock)
        if uuid in lock.missing or path in bluez.objects:
            continue
        properties = {
            "UUID": Variant("s", uuid),
            "Service": Variant("o", service),
            "Flags": Variant("as", flags),
            "MTU": Variant("q", lock.mtu),
            "Value": Variant("ay", b""),
            "Notifying": Variant("b", False),
        }
        bluez.add(path, names.CHARACTERISTIC, properties)


def is_connected(bluez: ScriptedBluez, path: str) -> bool:
    """Whether it is a device that is."""
    return bool(bluez.get(path, names.DEVICE, "Connected"))


def end_connection(bluez: ScriptedBluez, path: str, reason: str, *, tell: bool = True) -> None:
    """The connection of a device ends, if it has one."""
    if not is_connected(bluez, path):
        return
    for one in [one for one in bluez.notifying if one.startswith(f"{path}/")]:
        del bluez.notifying[one]
        bluez.objects[one][names.CHARACTERISTIC]["Notifying"] = Variant("b", False)
    if tell:
        bluez.set(path, names.DEVICE, ServicesResolved=Variant("b", False))
        bluez.set(path, names.DEVICE, Connected=Variant("b", False))
    bluez.lock_at(path).disconnect(reason)


def end_everything(bluez: ScriptedBluez, adapter: str, reason: str) -> None:
    """Every connection of an adapter, and every attempt at one."""
    for path in list(bluez.objects):
        if path.startswith(f"{adapter}/"):
            end_connection(bluez, path, reason)
    for path, canceled in list(bluez.connecting.items()):
        if path.startswith(f"{adapter}/") and not canceled.done():
            canceled.set_result(None)


async def _disconnect(bluez: ScriptedBluez, call: Call) -> Answer:
    pending = bluez.connecting.get(call.path)
    if pending is not None:
        if not pending.done():
            pending.set_result(None)
        return NOTHING
    if not is_connected(bluez, call.path):
        return NOTHING
    end_connection(bluez, call.path, "the central left")
    return NOTHING


async def _remove_device(bluez: ScriptedBluez, call: Call) -> Answer:
    (path,) = call.body
    if path not in bluez.objects or not path.startswith(f"{call.path}/"):
        raise does_not_exist()
    end_connection(bluez, path, "the device was removed")
    bluez.lock_at(path).missing.clear()
    bluez.remove(path)
    return NOTHING


# -- values


def _with_lock(bluez: ScriptedBluez, call: Call) -> ScriptedLock:
    device = call.path.rpartition("/service")[0]
    if not is_connected(bluez, device):
        raise failed("Not connected")
    return bluez.lock_at(call.path)


async def _write_value(bluez: ScriptedBluez, call: Call) -> Answer:
    lock = _with_lock(bluez, call)
    value = bytes(call.body[0])
    if bluez.get(call.path, names.CHARACTERISTIC, "UUID") != lock.profile.write:
        raise BluezError("org.bluez.Error.NotPermitted", "Write not permitted")
    if len(value) > lock.mtu - HEADER:
        raise failed("Failed to initiate write")
    lock.write(value)
    return NOTHING


async def _read_value(bluez: ScriptedBluez, call: Call) -> Answer:
    lock = _with_lock(bluez, call)
    if bluez.get(call.path, names.CHARACTERISTIC, "UUID") != lock.profile.read:
        raise BluezError("org.bluez.Error.NotPermitted", "Read not permitted")
    return "ay", [lock.read_value()]


async def _start_notify(bluez: ScriptedBluez, call: Call) -> Answer:
    lock = _with_lock(bluez, call)
    if bluez.get(call.path, names.CHARACTERISTIC, "UUID") != lock.profile.notify:
        raise not_supported()
    bluez.notifying[call.path].add(call.sender)
    bluez.set(call.path, names.CHARACTERISTIC, Notifying=Variant("b", True))
    return NOTHING


async def _stop_notify(bluez: ScriptedBluez, call: Call) -> Answer:
    clients = bluez.notifying[call.path]
    if call.sender not in clients:
        raise failed("No notify session started")
    clients.discard(call.sender)
    if not clients:
        bluez.set(call.path, names.CHARACTERISTIC, Notifying=Variant("b", False))
    return NOTHING


def client_left(bluez: ScriptedBluez, client: str) -> None:
    """A client's connection to the bus has ended: its scans and subscriptions end with it.

    Connections of devices stay: that is what BlueZ does when a program crashes.
    """
    for path, clients in list(bluez.discovering.items()):
        if client in clients:
            discovery.leave(bluez, path, client)
    for path, clients in bluez.notifying.items():
        clients.discard(client)
        if not clients and bluez.get(path, names.CHARACTERISTIC, "Notifying"):
            bluez.set(path, names.CHARACTERISTIC, Notifying=Variant("b", False))


_METHODS: dict[tuple[str, str], Callable[[ScriptedBluez, Call], Awaitable[Answer]]] = {
    ("org.freedesktop.DBus.Properties", "Get"): _get,
    ("org.freedesktop.DBus.Properties", "GetAll"): _get_all,
    ("org.freedesktop.DBus.Properties", "Set"): _set,
    ("org.bluez.Adapter1", "SetDiscoveryFilter"): discovery.set_filter,
    ("org.bluez.Adapter1", "StartDiscovery"): discovery.start,
    ("org.bluez.Adapter1", "StopDiscovery"): discovery.stop,
    ("org.bluez.Adapter1", "RemoveDevice"): _remove_device,
    ("org.bluez.Device1", "Connect"): _connect,
    ("org.bluez.Device1", "Disconnect"): _disconnect,
    ("org.bluez.GattCharacteristic1", "WriteValue"): _write_value,
    ("org.bluez.GattCharacteristic1", "ReadValue"): _read_value,
    ("org.bluez.GattCharacteristic1", "StartNotify"): _start_notify,
    ("org.bluez.GattCharacteristic1", "StopNotify"): _stop_notify,
}
