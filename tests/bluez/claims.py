"""What bluetoothd answers, asked over D-Bus without any library of ours between.

The same questions go to the scripted bluetoothd and to a real one: where the answers differ, the
script is wrong.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.auth import AuthExternal

from protocol.gatt import PROFILES

from .bluez_names import ADAPTER, CHARACTERISTIC, DEVICE, OBJECT_MANAGER, PROPERTIES, ROOT
from .layers import Layer, LockHere

PATIENCE = 20.0
LOCK = "DC:23:51:00:00:01"
Objects = dict[str, dict[str, dict[str, Variant]]]


@dataclass
class Asking:
    """A connection to the bus, a lock in range, and the paths that are asked about."""

    bus: MessageBus
    layer: Layer
    lock: LockHere

    @property
    def adapter(self) -> str:
        return f"{ROOT}/{self.layer.adapter}"

    @property
    def device(self) -> str:
        return f"{self.adapter}/dev_{LOCK.replace(':', '_')}"

    async def ask(
        self, path: str, interface: str, member: str, signature: str = "", *body: Any
    ) -> str:
        """``ok``, or the name of the error and its text."""
        reply = await self._call(path, interface, member, signature, *body)
        if reply.message_type is MessageType.ERROR:
            return f"{reply.error_name}: {reply.body[0] if reply.body else ''}"
        return "ok"

    async def _call(
        self, path: str, interface: str, member: str, signature: str, *body: Any
    ) -> Message:
        async with asyncio.timeout(60):
            return await self.bus.call(
                Message(
                    destination="org.bluez", path=path, interface=interface, member=member,
                    signature=signature, body=list(body),
                )
            )  # fmt: skip

    async def objects(self) -> Objects:
        """Everything that there is."""
        reply = await self._call("/", OBJECT_MANAGER, "GetManagedObjects", "")
        found: Objects = reply.body[0]
        return found

    async def property(self, path: str, interface: str, name: str) -> Any:
        """The plain value, None where there is none."""
        found = (await self.objects()).get(path, {}).get(interface, {}).get(name)
        return None if found is None else found.value

    async def until(self, path: str, interface: str, name: str, value: Any) -> None:
        """Look again until a property has this value."""
        async with asyncio.timeout(PATIENCE):
            while await self.property(path, interface, name) != value:
                await asyncio.sleep(0.02)

    # -- steps

    async def start(self) -> str:
        return await self.ask(self.adapter, ADAPTER, "StartDiscovery")

    async def stop(self) -> str:
        return await self.ask(self.adapter, ADAPTER, "StopDiscovery")

    async def seen(self) -> None:
        """Scan until the lock is known, and stop."""
        assert await self.start() == "ok"
        await self.until(self.device, DEVICE, "Connected", value=False)
        assert await self.stop() == "ok"

    async def connect(self) -> str:
        return await self.ask(self.device, DEVICE, "Connect")

    async def disconnect(self) -> str:
        return await self.ask(self.device, DEVICE, "Disconnect")

    async def connected(self) -> None:
        """Seen, connected, and the services resolved."""
        await self.seen()
        assert await self.connect() == "ok"
        await self.until(self.device, DEVICE, "ServicesResolved", value=True)
        await asyncio.sleep(0.1)

    async def characteristic(self, uuid: str) -> str:
        """Its path."""
        for path, interfaces in (await self.objects()).items():
            found = interfaces.get(CHARACTERISTIC)
            if found is not None and found["UUID"].value == uuid:
                return path
        raise AssertionError(f"no characteristic {uuid}")

    async def write(self, value: bytes) -> str:
        path = await self.characteristic(PROFILES[self.lock.lock.firmware.gatt].write)
        options = {"type": Variant("s", "command")}
        return await self.ask(path, CHARACTERISTIC, "WriteValue", "aya{sv}", value, options)


class AnyOf:
    """Equal to each of these: BlueZ has changed its mind."""

    def __init__(self, *answers: object) -> None:
        self._answers = answers

    def __eq__(self, other: object) -> bool:
        return other in self._answers

    def __hash__(self) -> int:
        return hash(self._answers)

    def __repr__(self) -> str:
        return " or ".join(map(repr, self._answers))


Claim = Callable[[Asking], Awaitable[object]]
CLAIMS: list[tuple[str, Claim, object]] = []


def claim(answer: object) -> Callable[[Claim], Claim]:
    """Add a question and what it must be answered with."""

    def add(question: Claim) -> Claim:
        CLAIMS.append((question.__name__, question, answer))
        return question

    return add


@asynccontextmanager
async def asking(layer: Layer) -> AsyncIterator[Asking]:
    """With a lock of the old generation in range."""
    address = layer.environment["DBUS_SYSTEM_BUS_ADDRESS"]
    root = AuthExternal(uid=0) if "BLEAK_DBUS_AUTH_UID" in layer.environment else AuthExternal()
    async with layer.place("v3.0", LOCK, None) as lock:
        bus = await MessageBus(bus_address=address, auth=root).connect()
        try:
            yield Asking(bus, layer, lock)
        finally:
            bus.disconnect()
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]


# -- discovery


@claim("org.bluez.Error.InProgress: Operation already in progress")
async def a_second_discovery_of_the_same_client(asked: Asking) -> str:
    assert await asked.start() == "ok"
    return await asked.start()


@claim("org.bluez.Error.Failed: No discovery started")
async def stopping_what_was_not_started(asked: Asking) -> str:
    return await asked.stop()


@claim("org.bluez.Error.NotReady: Resource Not Ready")
async def discovery_on_an_adapter_that_is_off(asked: Asking) -> str:
    off = (ADAPTER, "Powered", Variant("b", False))
    assert await asked.ask(asked.adapter, PROPERTIES, "Set", "ssv", *off) == "ok"
    await asked.until(asked.adapter, ADAPTER, "Powered", value=False)
    return await asked.start()


@claim(None)
async def the_signal_strength_when_the_scan_has_stopped(asked: Asking) -> object:
    await asked.seen()
    await asked.until(asked.device, DEVICE, "RSSI", value=None)
    return await asked.property(asked.device, DEVICE, "RSSI")


async def _told_in_a_second(asked: Asking, *, duplicates: bool) -> set[str]:
    """Which properties of a lock are told again and again while it sends the same."""
    times: Counter[str] = Counter()

    def hear(message: Message) -> None:
        if message.member == "PropertiesChanged" and message.path == asked.device:
            times.update(list(message.body[1]))

    await asked.ask(
        asked.adapter, ADAPTER, "SetDiscoveryFilter", "a{sv}",
        {"Transport": Variant("s", "le"), "DuplicateData": Variant("b", duplicates)},
    )  # fmt: skip
    rule = f"type='signal',path='{asked.device}',member='PropertiesChanged'"
    daemon = "org.freedesktop.DBus"
    await asked.bus.call(
        Message(daemon, "/org/freedesktop/DBus", daemon, "AddMatch", signature="s", body=[rule])
    )
    await asked.start()
    await asked.until(asked.device, DEVICE, "Connected", value=False)
    await asyncio.sleep(0.3)
    asked.bus.add_message_handler(hear)
    await asyncio.sleep(1.0)
    return {name for name, count in times.items() if count > 3}


@claim({"RSSI", "ManufacturerData", "ServiceData"})
async def with_duplicates_each_advertisement_is_told_whole(asked: Asking) -> set[str]:
    return await _told_in_a_second(asked, duplicates=True)


@claim(AnyOf({"RSSI"}, set()))  # 5.66, 5.82
async def without_duplicates_only_the_signal_is_told_again(
    asked: Asking,
) -> set[str]:
    return await _told_in_a_second(asked, duplicates=False)


# -- connections


@claim("ok")
async def disconnecting_without_a_connection(asked: Asking) -> str:
    await asked.seen()
    return await asked.disconnect()


@claim("ok")
async def connecting_twice(asked: Asking) -> str:
    await asked.connected()
    return await asked.connect()


@claim(
    AnyOf(
        "org.bluez.Error.Failed: Operation already in progress",  # 5.66
        "org.bluez.Error.InProgress: In Progress",  # 5.82
    )
)
async def connecting_while_connecting(asked: Asking) -> str:
    await asked.seen()
    await asked.lock.leave_range()
    first = asyncio.ensure_future(asked.connect())
    await asyncio.sleep(0.3)
    answer = await asked.connect()
    await asked.disconnect()
    await first
    return answer


@claim("org.bluez.Error.Failed: br-connection-canceled")
async def a_pending_connect_that_is_disconnected(asked: Asking) -> str:
    await asked.seen()
    await asked.lock.leave_range()
    pending = asyncio.ensure_future(asked.connect())
    await asyncio.sleep(0.3)
    await asked.disconnect()
    return await pending


@claim("org.freedesktop.DBus.Error.UnknownObject")
async def connecting_to_what_was_never_heard(asked: Asking) -> str:
    return (await asked.connect()).partition(":")[0]


@claim(("ok", "org.bluez.Error.DoesNotExist: Does Not Exist"))
async def removing_a_device_once_and_again(asked: Asking) -> tuple[str, str]:
    await asked.seen()

    async def remove() -> str:
        return await asked.ask(asked.adapter, ADAPTER, "RemoveDevice", "o", asked.device)

    return await remove(), await remove()


@claim(answer=True)
async def a_removed_device_is_not_connected_any_more(asked: Asking) -> bool:
    await asked.connected()
    await asked.ask(asked.adapter, ADAPTER, "RemoveDevice", "o", asked.device)
    async with asyncio.timeout(PATIENCE):
        while asked.lock.is_connected:
            await asyncio.sleep(0.02)
    return asked.device not in await asked.objects()


# -- values


@claim("ok")
async def writing_twenty_bytes(asked: Asking) -> str:
    await asked.connected()
    return await asked.write(bytes(20))


@claim("org.bluez.Error.Failed: Failed to initiate write")
async def writing_more_than_fits(asked: Asking) -> str:
    await asked.connected()
    return await asked.write(bytes(21))


@claim("org.bluez.Error.Failed: Not connected")
async def writing_when_the_lock_has_hung_up(asked: Asking) -> str:
    await asked.connected()
    await asked.lock.hang_up()
    await asked.until(asked.device, DEVICE, "Connected", value=False)
    return await asked.write(bytes(20))


@claim(("ok", "ok"))
async def subscribing_twice(asked: Asking) -> tuple[str, str]:
    await asked.connected()
    path = await asked.characteristic(PROFILES[asked.lock.lock.firmware.gatt].notify)

    async def subscribe() -> str:
        return await asked.ask(path, CHARACTERISTIC, "StartNotify")

    return await subscribe(), await subscribe()


@claim("org.bluez.Error.Failed: No notify session started")
async def unsubscribing_without_a_subscription(asked: Asking) -> str:
    await asked.connected()
    path = await asked.characteristic(PROFILES[asked.lock.lock.firmware.gatt].notify)
    return await asked.ask(path, CHARACTERISTIC, "StopNotify")


@claim(("org.bluez.Error.NotPermitted", "org.bluez.Error.NotPermitted"))
async def reading_what_cannot_be_read(asked: Asking) -> tuple[str, str]:
    await asked.connected()
    profile = PROFILES[asked.lock.lock.firmware.gatt]
    answers = [
        await asked.ask(await asked.characteristic(uuid), CHARACTERISTIC, "ReadValue", "a{sv}", {})
        for uuid in (profile.write, profile.notify)
    ]
    return answers[0].partition(":")[0], answers[1].partition(":")[0]


@claim(AnyOf({"1910", "1801", "1800"}, {"1910", "1801", "1800", "a201"}))  # 5.66, 5.82
async def the_uuids_of_a_device_after_its_services_are_resolved(asked: Asking) -> set[str]:
    await asked.connected()
    found = await asked.property(asked.device, DEVICE, "UUIDs")
    return {uuid[4:8] for uuid in found}


@claim({"a201"})
async def the_uuids_of_a_device_before(asked: Asking) -> set[str]:
    await asked.seen()
    found = await asked.property(asked.device, DEVICE, "UUIDs")
    return {uuid[4:8] for uuid in found}
