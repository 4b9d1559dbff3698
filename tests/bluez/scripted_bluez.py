"""org.bluez as a script: BlueZ's interface on a bus of our own, and any misbehaviour on demand.

The whole path of bleak's BlueZ backend is real, D-Bus included; bluetoothd is only what is
written here. What it adds to a real one: any error on any call, calls that never return, and any
order of events, in milliseconds.

    async with scripted_bluez(folder) as bluez:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bluez.address)
        bluez.add_adapter("hci0")
        door = bluez.add_lock(ScriptedLock(lock=VirtualLock(...), address="DC:23:51:00:00:01"))
        bluez.script("Connect", Fail("org.bluez.Error.InProgress", "In Progress"), HANG)
        ...
        door.hang_up()
        await bluez.die(); await bluez.revive()
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbus_fast import Message, MessageFlag, MessageType, Variant
from dbus_fast.aio import MessageBus

from . import bluez_calls
from .bluez_discovery import device_properties
from .bluez_errors import BluezError, failed, no_such_object
from .bluez_names import ADAPTER, BOOKWORM, DEVICE, OBJECT_MANAGER, PROPERTIES, ROOT
from .private_bus import private_bus
from .scripted_lock import ScriptedLock

CONNECT_TIMEOUT = 20.0
"""Seconds after which BlueZ gives up on a lock that does not answer."""


KERNEL_TIME = 0.05
"""Seconds for which the kernel holds a connection whose bluetoothd died; really about two."""


@dataclass(frozen=True, slots=True)
class Call:
    """One method call as it came in. ``sender`` is the connection's unique name."""

    path: str
    interface: str
    member: str
    body: tuple[Any, ...]
    sender: str


@dataclass(frozen=True, slots=True)
class Fail:
    """Answer with this error; with ``effect`` only after having done what was asked."""

    name: str
    text: str = ""
    effect: bool = False


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer; with ``effect`` after having done what was asked."""

    effect: bool = False


@dataclass(frozen=True, slots=True)
class Slow:
    """Do it so many seconds late."""

    seconds: float


Step = Fail | Hang | Slow | None
"""``None``: this one as usual."""
HANG = Hang()


class ScriptedBluez:
    """One bluetoothd. ``calls`` is everything it was ever asked."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.calls: list[Call] = []
        self.objects: dict[str, dict[str, dict[str, Variant]]] = {}
        self.locks: list[ScriptedLock] = []
        self.discovering: dict[str, set[str]] = defaultdict(set)
        """Per adapter path: the clients that scan."""
        self.filters: dict[tuple[str, str], Mapping[str, Variant]] = {}
        """Per adapter path and client: its discovery filter."""
        self.notifying: dict[str, set[str]] = defaultdict(set)
        """Per characteristic path: the clients that are subscribed."""
        self.connecting: dict[str, asyncio.Future[None]] = {}
        """Per device path: resolved when there is a connection, or failed."""
        self.faults: list[BaseException] = []
        """Mistakes of this script itself; a test must end without any."""
        self.resolved: set[str] = set()
        """Device paths whose services are known, and with them other UUIDs than advertised."""
        self.version = BOOKWORM
        """Whose habits it has: ``BOOKWORM`` or ``TRIXIE``."""
        self.connect_timeout = CONNECT_TIMEOUT
        self.resolve_delay = 0.0
        """Seconds from Connected to ServicesResolved."""
        self.objects_late = False
        """Announce ServicesResolved before the characteristics, as BlueZ 5.66 may."""
        self._plugged: dict[str, tuple[str, bool]] = {}
        self._scripts: dict[str, deque[tuple[str | None, Step]]] = defaultdict(deque)
        self._orphans: list[str] = []
        self._bus: MessageBus | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def environment(self) -> dict[str, str]:
        """For a process that is to see this bluetoothd."""
        return {"DBUS_SYSTEM_BUS_ADDRESS": self.address}

    # -- the story of a test

    def add_adapter(
        self, name: str = "hci0", address: str = "B8:27:EB:00:00:01", *, powered: bool = True
    ) -> str:
        """Plug one in; its path."""
        self._plugged[name] = (address, powered)
        path = f"{ROOT}/{name}"
        if self.is_up:
            self.add(path, ADAPTER, _adapter_properties(address, powered=powered))
        return path

    def remove_adapter(self, name: str = "hci0") -> None:
        """Pull it out: its connections end, its objects vanish."""
        self._plugged.pop(name, None)
        path = f"{ROOT}/{name}"
        bluez_calls.end_everything(self, path, "the adapter was pulled out")
        self.discovering.pop(path, None)
        self.remove(path)

    def set_powered(self, name: str, *, powered: bool) -> None:
        """As somebody else would do it."""
        bluez_calls.set_powered(self, f"{ROOT}/{name}", powered=powered)

    def add_lock(self, lock: ScriptedLock) -> ScriptedLock:
        """Put a lock in range."""
        self.locks.append(lock)
        return lock

    def script(self, member: str, *steps: Step, path: str | None = None) -> None:
        """What becomes of the next calls of ``member``, in order; then all is as usual again.

        ``path``: only of calls that begin with this path.
        """
        self._scripts[member] += [(path, step) for step in steps]

    def asked(self, member: str) -> list[Call]:
        """Calls of one method."""
        return [call for call in self.calls if call.member == member]

    def path_of(self, lock: ScriptedLock, adapter: str = "hci0") -> str:
        """The path of its device object, whether there is one or not."""
        return f"{ROOT}/{adapter}/dev_{lock.address.replace(':', '_')}"

    async def connect_by_another(self, lock: ScriptedLock, adapter: str = "hci0") -> str:
        """A connection that exists already, made by somebody else; its device path."""
        path = self.path_of(lock, adapter)
        if path not in self.objects:
            self.add(path, DEVICE, device_properties(lock, path))
        await bluez_calls.establish(self, path, lock)
        return path

    def forget_device(self, lock: ScriptedLock, adapter: str = "hci0") -> None:
        """BlueZ forgets it by itself, as 30 s after a scan has stopped."""
        path = self.path_of(lock, adapter)
        bluez_calls.end_connection(self, path, "BlueZ forgot the device")
        self.remove(path)

    async def die(self) -> None:
        """Killed: the name loses its owner, no goodbyes; the kernel ends the connections."""
        self._orphans = [path for path in self.objects if bluez_calls.is_connected(self, path)]
        for path in self._orphans:
            bluez_calls.end_connection(self, path, "bluetoothd died", tell=False)
        for future in self.connecting.values():
            future.cancel()
        for mine in (self.objects, self.discovering, self.notifying, self.filters, self.connecting):
            mine.clear()
        self.resolved.clear()
        await self._cancel_tasks()
        # Gone at once for whoever would still answer: its socket is closed.
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.disconnect()
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def revive(self) -> None:
        """A new bluetoothd: the same adapters, powered, and no memory of any device.

        Only those that were connected does it hear of from the kernel, and a moment later that
        they are not connected any more.
        """
        self._bus = await MessageBus(bus_address=self.address).connect()
        self._bus.add_message_handler(self._on_message)
        await self._bus.call(_WATCH_CLIENTS)
        await self._bus.request_name("org.bluez")
        for name, (address, powered) in self._plugged.items():
            self.add(f"{ROOT}/{name}", ADAPTER, _adapter_properties(address, powered=powered))
        for path in self._orphans:
            self._adopt(path)
        self._orphans = []

    def _adopt(self, path: str) -> None:
        if path.rpartition("/")[0] in self.objects:
            properties = device_properties(self.lock_at(path), path)
            self.add(path, DEVICE, {**properties, "Connected": Variant("b", True)})
            self.later(lambda: self._let_go(path), KERNEL_TIME)

    def _let_go(self, path: str) -> None:
        if path in self.objects and not self.lock_at(path).is_connected:
            self.set(path, DEVICE, Connected=Variant("b", False))

    @property
    def is_up(self) -> bool:
        """Whether there is a bluetoothd."""
        return self._bus is not None

    async def stop(self) -> None:
        """End of the test."""
        await self.die()
        for lock in self.locks:
            lock.stop()

    # -- objects and signals

    def signal(self, path: str, interface: str, member: str, signature: str, *body: Any) -> None:
        """Send a signal."""
        if self._bus is not None:
            self._bus.send(
                Message(
                    message_type=MessageType.SIGNAL,
                    path=path,
                    interface=interface,
                    member=member,
                    signature=signature,
                    body=list(body),
                )
            )

    def get(self, path: str, interface: str, name: str, default: Any = None) -> Any:
        """The plain value of a property."""
        found = self.objects.get(path, {}).get(interface, {}).get(name)
        return default if found is None else found.value

    def set(self, path: str, interface: str, **changes: Variant) -> None:
        """Change properties and tell everybody."""
        self.objects[path][interface].update(changes)
        self.signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", interface, changes, [])

    def unset(self, path: str, interface: str, *names: str) -> None:
        """Take properties away and tell everybody."""
        for name in names:
            self.objects[path][interface].pop(name, None)
        self.signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", interface, {}, list(names))

    def add(self, path: str, interface: str, properties: dict[str, Variant]) -> None:
        """A new object."""
        self.objects[path] = {interface: properties}
        body = (path, {interface: properties})
        self.signal("/", OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", *body)

    def remove(self, path: str) -> None:
        """An object and all below it vanish."""
        for one in sorted(self.objects, reverse=True):
            if one == path or one.startswith(f"{path}/"):
                interfaces = list(self.objects.pop(one))
                self.notifying.pop(one, None)
                self.resolved.discard(one)
                self.signal("/", OBJECT_MANAGER, "InterfacesRemoved", "oas", one, interfaces)

    def later(self, work: Callable[[], Any], seconds: float = 0.0) -> None:
        """Do something soon, unless bluetoothd dies before."""

        async def do() -> None:
            await asyncio.sleep(seconds)
            work()

        self._start(do())

    # -- calls

    def _on_message(self, message: Message) -> bool:
        if message.message_type is MessageType.SIGNAL:
            if message.member == "NameOwnerChanged" and message.body[2] == "":
                bluez_calls.client_left(self, message.body[0])
            return False
        mine = message.path == "/" or (message.path or "").startswith(ROOT)
        if message.message_type is not MessageType.METHOD_CALL or not mine:
            return False
        call = Call(
            message.path or "", message.interface or "", message.member or "",
            tuple(message.body), message.sender or "",
        )  # fmt: skip
        self.calls.append(call)
        self._start(self._answer(message, call))
        return True

    async def _answer(self, message: Message, call: Call) -> None:
        step = self._next_step(call)
        try:
            if isinstance(step, Slow):
                await asyncio.sleep(step.seconds)
            if isinstance(step, Fail | Hang) and not step.effect:
                reply = None
            else:
                signature, body = await bluez_calls.do(self, call)
                reply = Message.new_method_return(message, signature, body)
        except BluezError as error:
            reply = Message.new_error(message, error.name, error.text)
        if isinstance(step, Hang):
            reply = None
        elif isinstance(step, Fail):
            reply = Message.new_error(message, step.name, step.text)
        wanted = not message.flags & MessageFlag.NO_REPLY_EXPECTED
        if reply is not None and wanted and self._bus is not None:
            self._bus.send(reply)

    def _next_step(self, call: Call) -> Step:
        waiting = self._scripts[call.member]
        for index, (path, step) in enumerate(waiting):
            if path is None or call.path.startswith(path):
                del waiting[index]
                return step
        return None

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.faults.append(error)

    async def _cancel_tasks(self) -> None:
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def lock_at(self, path: str) -> ScriptedLock:
        """The lock that a device's path, or a path below it, is about."""
        part = path.removeprefix(ROOT).split("/")
        address = part[2].removeprefix("dev_").replace("_", ":") if len(part) > 2 else ""
        for lock in self.locks:
            if lock.address == address:
                return lock
        raise no_such_object(path) if path not in self.objects else failed("no such lock")


_WATCH_CLIENTS = Message(
    destination="org.freedesktop.DBus",
    path="/org/freedesktop/DBus",
    interface="org.freedesktop.DBus",
    member="AddMatch",
    signature="s",
    body=["type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'"],
)


def _adapter_properties(address: str, *, powered: bool) -> dict[str, Variant]:
    return {
        "Address": Variant("s", address),
        "AddressType": Variant("s", "public"),
        "Name": Variant("s", "gateway"),
        "Alias": Variant("s", "gateway"),
        "Powered": Variant("b", powered),
        "Discovering": Variant("b", False),
        "Roles": Variant("as", ["central", "peripheral"]),
        "UUIDs": Variant("as", []),
    }


@asynccontextmanager
async def scripted_bluez(folder: Path) -> AsyncIterator[ScriptedBluez]:
    """A bus and a bluetoothd on it, with no adapter and no lock yet."""
    with private_bus(folder) as address:
        bluez = ScriptedBluez(address)
        await bluez.revive()
        try:
            yield bluez
        finally:
            await bluez.stop()
        assert not bluez.faults, bluez.faults
