"""Every kind of link there is, each with the lock's side of it in the hands of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from dbus_fast import Message

from bleagent.adapters import socket_radio
from bleagent.adapters.bluez import BluezBluetooth
from bleagent.adapters.bluez import link as bluez_link
from bleagent.adapters.socket_radio import SocketRadio
from bleagent.clock import SystemClock
from bleagent.model import LockFacts
from bleagent.ports import LockLink
from bleagent.simulator import radio as virtual_radio
from bleagent.simulator.actions import Notification
from bleagent.simulator.radio import VirtualLink, VirtualRadio
from tests.bluez import bleak_bumble
from tests.bluez.air import Air
from tests.bluez.bleak_bumble import Adapter
from tests.bluez.bumble_stack import BumbleStack
from tests.bluez.conversation import KEYS
from tests.bluez.doors import ADDRESS, door, hear, virtual_lock
from tests.bluez.private_bus import dbus_daemon
from tests.bluez.radio_door import Door
from tests.bluez.scripted_bluez import ScriptedBluez, scripted_bluez
from tests.bluez.scripted_lock import ScriptedLock

FACTS = LockFacts(name="front", device_id="device", keys=KEYS, address=ADDRESS)
NAME = "v4-244"
PAYLOAD = 244


class LockSide(Protocol):
    """What a test can do as the lock, and see of what reached it."""

    async def notify(self, value: bytes) -> None: ...

    async def hang_up(self) -> None: ...

    def written(self) -> list[bytes]: ...

    def is_connected(self) -> bool: ...


@dataclass
class World:
    """One kind of link. ``queue``: notifications that it keeps for a busy reader."""

    link: AbstractAsyncContextManager[LockLink]
    lock: LockSide
    queue: int


# -- BlueZ

_PING = Message(
    destination="org.freedesktop.DBus",
    path="/org/freedesktop/DBus",
    interface="org.freedesktop.DBus",
    member="GetId",
)


@dataclass
class _Scripted:
    bluez: ScriptedBluez
    lock: ScriptedLock

    async def notify(self, value: bytes) -> None:
        self.lock.notify(value)
        assert self.bluez._bus is not None
        await self.bluez._bus.call(_PING)  # the bus takes only so much at once

    async def hang_up(self) -> None:
        self.lock.hang_up()

    def written(self) -> list[bytes]:
        return self.lock.writes

    def is_connected(self) -> bool:
        return self.lock.is_connected


@asynccontextmanager
async def bluez(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """bleak's own backend, over D-Bus."""
    if dbus_daemon() is None:
        pytest.skip("dbus-daemon is not installed (Debian: dbus-daemon)")
    async with scripted_bluez(folder) as scripted:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", scripted.address)
        lock = _door(scripted)
        async with BluezBluetooth(SystemClock()) as bluetooth:
            await hear(bluetooth, ADDRESS)
            link = bluetooth.connect("hci0", ADDRESS, within=5)
            yield World(link, _Scripted(scripted, lock), bluez_link.QUEUE)


def _door(bluez: ScriptedBluez) -> ScriptedLock:
    bluez.add_adapter("hci0")
    return door(bluez, NAME)


# -- bumble


@dataclass
class _OnAir:
    door: Door

    async def notify(self, value: bytes) -> None:
        connection = self.door.lock.connection
        await self.door._send(
            Notification(value=value, connection=connection, sn=1, code=0, last=False)
        )

    async def hang_up(self) -> None:
        await self.door.hang_up()

    def written(self) -> list[bytes]:
        return [value for mark, value in self.door.tapped if mark == ">"]

    def is_connected(self) -> bool:
        return self.door.is_connected


@asynccontextmanager
async def in_process(_: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """bleak on bumble: real ATT, no D-Bus."""
    air = Air()
    adapter = Adapter(air)
    bleak_bumble.install(monkeypatch, adapter)
    served = Door(air, NAME)
    async with (
        served.serve(),
        BluezBluetooth(SystemClock(), BumbleStack(adapter)) as bluetooth,
    ):
        await hear(bluetooth, ADDRESS)
        link = bluetooth.connect("hci0", ADDRESS, within=5)
        yield World(link, _OnAir(served), bluez_link.QUEUE)


# -- the simulator's


@dataclass
class _Virtual:
    radio: VirtualRadio

    @property
    def _link(self) -> VirtualLink:
        return self.radio.links[-1]

    async def notify(self, value: bytes) -> None:
        connection = self.radio.lock.connection
        await self._link._pass_on(
            [Notification(value=value, connection=connection, sn=1, code=0, last=False)]
        )

    async def hang_up(self) -> None:
        self._link.down("the lock hung up")

    def written(self) -> list[bytes]:
        return self._link.written

    def is_connected(self) -> bool:
        return self._link._is_up


@asynccontextmanager
async def virtual(_: Path, __: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """The radio of the fault matrix."""
    radio = VirtualRadio(virtual_lock(NAME), SystemClock(), att_payload=PAYLOAD)
    yield World(radio.connect(FACTS), _Virtual(radio), virtual_radio.QUEUE)


# -- over a socket


@dataclass
class _Spoken:
    """The lock's side of ``SocketRadio``'s lines."""

    stream: SocketStream | None = None
    writes: list[bytes] = field(default_factory=list)
    up: bool = False

    async def serve(self, stream: SocketStream) -> None:
        lines = BufferedByteReceiveStream(stream)
        self.stream = stream
        async with stream:
            while True:
                try:
                    line = (await lines.receive_until(b"\n", 4096)).decode()
                except (anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
                    break
                word, _, rest = line.partition(" ")
                match word:
                    case "connect":
                        self.up = True
                        await self._say(f"up {PAYLOAD}")
                    case "w":
                        self.writes.append(bytes.fromhex(rest))
                    case _:
                        break
        self.up = False

    async def _say(self, line: str) -> None:
        assert self.stream is not None
        await self.stream.send(f"{line}\n".encode())

    async def notify(self, value: bytes) -> None:
        await self._say(f"n {value.hex()}")

    async def hang_up(self) -> None:
        self.up = False
        await self._say("disconnect")

    def written(self) -> list[bytes]:
        return self.writes

    def is_connected(self) -> bool:
        return self.up


@asynccontextmanager
async def by_socket(_: Path, __: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A lock in another process."""
    spoken = _Spoken()
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, spoken.serve)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's, not Django's
        link = SocketRadio("127.0.0.1", port).connect(FACTS)
        yield World(link, spoken, socket_radio.QUEUE)
        tasks.cancel_scope.cancel()


async def let_it_arrive() -> None:
    """Everything that is on its way within this machine has arrived."""
    for _ in range(20):
        await asyncio.sleep(0.001)
