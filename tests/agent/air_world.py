"""A radio over a fake Bluetooth stack, in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup

from bleagent.errors import AgentError, RadioStuck
from bleagent.model import LockFacts, Sighting
from bleagent.radio.airtime import AdapterAir, LockAir
from bleagent.radio.bluetooth_radio import BluetoothRadio
from bleagent.radio.recovery import Remedy, Rung
from bleagent.radio.settings import Listeners, RadioSettings
from bleagent.simulator import virtual_time
from bleagent.simulator.air import AirLock, FakeAdapter
from bleagent.simulator.fake_bluetooth import FakeBluetooth
from bleagent.simulator.fakes import LoopClock
from bleagent.simulator.profiles import profile
from bleagent.simulator.virtual_lock import VirtualLock
from protocol import LockKeys, Secret

T = TypeVar("T")
KEYS = LockKeys(
    uuid="tuya0123456789ab",
    virtual_id="bf0123456789abcdefghij",
    local_key=Secret("abcdef0123456789"),
    sec_key=Secret("secsecsecsecsec1"),
    auth_key=Secret("authauthauthauthauthauthauthauth"),
)
FRONT = "DC:23:4D:00:00:01"
ROGUE = "66:66:66:00:00:01"


def facts(number: int = 1, **more: Any) -> LockFacts:
    """One configured lock; the first is called lock-1 and is at FRONT."""
    return LockFacts(name=f"lock-{number}", device_id=f"d{number}", keys=keys(number), **more)


def keys(number: int = 1) -> LockKeys:
    return replace(KEYS, uuid=f"tuya012345678{number:03}")


def address(number: int = 1) -> str:
    return f"DC:23:4D:00:00:{number:02X}"


def virtual(number: int, clock: LoopClock, name: str = "v4-20") -> VirtualLock:
    draws = count(1)
    return VirtualLock(
        keys(number), profile(name), now=clock.now(), clock=int(clock.unix()),
        new_iv=lambda: next(draws).to_bytes(16, "big"),
        new_srand=lambda: next(draws).to_bytes(6, "big"),
    )  # fmt: skip


class ToldManager:
    """Implements ``ports.ServiceManager`` in memory."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def notify(self, state: str) -> None:
        self.told.append(state)


@dataclass
class Air:
    """One rehearsal; made inside the loop."""

    tasks: TaskGroup
    clock: LoopClock
    bluetooth: FakeBluetooth
    radio: BluetoothRadio
    locks: list[AirLock]
    manager: ToldManager
    rungs: list[tuple[float, str, Remedy, str]] = field(default_factory=list)
    wanted: list[tuple[float, str, Sighting]] = field(default_factory=list)
    proved: list[tuple[str, str]] = field(default_factory=list)
    full: list[tuple[str, list[str]]] = field(default_factory=list)
    stuck: RadioStuck | None = None
    ended_at: float | None = None

    async def run(self) -> None:
        try:
            await self.radio.run()
        except RadioStuck as error:
            self.stuck = error
            self.ended_at = self.clock.now()

    def crowded(self, adapter: str, holding: list[str]) -> bool:
        """Nobody here makes room."""
        self.full.append((adapter, holding))
        return False

    @property
    def hci0(self) -> FakeAdapter:
        return self.bluetooth.adapter["hci0"]

    def taken(self) -> list[Rung]:
        return [remedy.rung for _, _, remedy, _ in self.rungs]

    def of_lock(self, number: int = 1) -> LockAir:
        return self.radio.snapshot().locks[f"lock-{number}"]

    def of_adapter(self, name: str = "hci0") -> AdapterAir:
        return self.radio.snapshot().adapters[name]

    def calls(self, what: str) -> list[float]:
        return [at for at, call, _, _ in self.bluetooth.calls if call == what]

    async def use(self, number: int = 1, *, stay: float = 0.0, **more: Any) -> str:
        """Connect and leave; what adapter it was."""
        async with self.radio.connect(facts(number), **more):
            await anyio.sleep(stay)
            return self.of_lock(number).adapter or ""

    async def attempt(self, number: int = 1, within: float = 10.0) -> Exception | None:
        """Connect and leave within a deadline; what was raised."""
        with anyio.move_on_after(within):
            try:
                await self.use(number)
            except AgentError as error:
                return error
            return None
        return TimeoutError()

    async def until_connected(self, number: int = 1, pause: float = 0.1) -> float:
        """As a job does: again and again, with a pause; returns when it worked."""
        while await self.attempt(number) is not None:
            await anyio.sleep(pause)
        return self.clock.now()


def make(
    tasks: TaskGroup,
    *,
    locks: int = 1,
    adapters: tuple[str, ...] = ("hci0",),
    settings: RadioSettings | None = None,
    known_addresses: bool = False,
    profile_name: str = "v4-20",
) -> Air:
    clock = LoopClock()
    around = [
        AirLock(
            address=address(number), keys=keys(number),
            lock=virtual(number, clock, profile_name),
            rssi=dict.fromkeys(adapters, -60),
        )
        for number in range(1, locks + 1)
    ]  # fmt: skip
    bluetooth = FakeBluetooth(tasks, clock, around, adapters)
    manager = ToldManager()
    configured = [
        facts(number, address=address(number) if known_addresses else None)
        for number in range(1, locks + 1)
    ]
    listeners = Listeners(
        wants_connection=lambda lock, seen: air.wanted.append((clock.now(), lock, seen)),
        proved=lambda lock, where: air.proved.append((lock, where)),
        treated=lambda name, remedy, what: air.rungs.append((clock.now(), name, remedy, what)),
        full=lambda name, holding: air.crowded(name, holding),  # noqa: PLW0108 - it is made below
    )
    radio = BluetoothRadio(
        bluetooth, clock, configured, settings, manager=manager, listeners=listeners
    )
    air = Air(tasks, clock, bluetooth, radio, around, manager)
    return air


def rehearse(story: Callable[[Air], Awaitable[T]], *, start: bool = True, **options: Any) -> T:
    """Run a story beside a running radio, then cancel everything. Nothing wrong may be done."""

    async def main() -> T:
        told: list[T] = []
        async with anyio.create_task_group() as tasks:
            air = make(tasks, **options)
            if start:
                tasks.start_soon(air.run)
            told.append(await story(air))
            tasks.cancel_scope.cancel()
        assert air.bluetooth.violations == []
        return told[0]

    return virtual_time.run(main)
