"""A machine's Bluetooth stack with virtual locks around it, usable in virtual time.

As strict as BlueZ on an onboard chip (reference: BLE testing §6): it forgets a device 30 s after
the end of the scan that saw it, does not connect while it scans, mixes up two connects at once,
keeps the remains of a connect that was cut short, and takes its time to disconnect. What a
caller does wrong in that is written to ``violations``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from bleagent.errors import (
    IncompleteTable,
    LockNotFound,
    RadioBusy,
    RadioUnavailable,
)
from bleagent.model import AdapterInfo, Sighting
from bleagent.ports import Clock

from .air import AirLink, AirLock, FakeAdapter, SilentLink
from .faults import NO_FAULTS

FORGETS_AFTER = 30.0
"""Seconds for which a device is known after the end of the scan that saw it."""
CONNECT_TAKES = 0.25
DISCONNECT_TAKES = 2.4
POWER_TAKES = 1.0
EXTRA = 0.05
"""Seconds of every other call."""


class FakeBluetooth:
    """Implements ``ports.Bluetooth``.

    Args:
        tasks: where locks and links live.
        clock: monotonic time.
        locks: those in reach.
        adapters: names.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        clock: Clock,
        locks: list[AirLock],
        adapters: tuple[str, ...] = ("hci0",),
    ) -> None:
        self.adapter = {name: FakeAdapter(name) for name in adapters}
        self.locks = locks
        self.running = True
        """Whether bluetoothd is there."""
        self.untidy = False
        """Whether a connect that is cancelled leaves its remains."""
        self.calls: list[tuple[float, str, str, str]] = []
        """When, what, adapter, address."""
        self.fresh: list[bool] = []
        """Of each attempt, whether it believed no remembered table."""
        self.violations: list[str] = []
        self._tasks = tasks
        self._clock = clock

    # -- what happens to it

    def stop_daemon(self) -> None:
        """Bluetoothd is killed: every connection ends, everything is forgotten."""
        self.running = False
        for one in self.adapter.values():
            one.lose("bluetoothd is gone")
            one.held.clear()

    def start_daemon(self) -> None:
        """It is started again, with the adapters as they are."""
        self.running = True

    def unplug(self, name: str) -> None:
        """The adapter is taken away."""
        self.adapter[name].present = False
        self.adapter[name].lose(f"{name} is gone")

    # -- ports.Bluetooth

    async def adapters(self) -> list[AdapterInfo]:
        """Those that are there."""
        self._note("adapters")
        await anyio.sleep(EXTRA)
        self._check_running()
        return [
            AdapterInfo(name=one.name, address="00:1A:7D:DA:71:13", powered=one.powered)
            for one in self.adapter.values()
            if one.present
        ]

    @asynccontextmanager
    async def scan(self, adapter: str, heard: Callable[[Sighting], None]) -> AsyncIterator[None]:
        """Listen; everything in reach is heard."""
        one = await self._begin("scan", adapter)
        if one.busy or one.scanning:
            raise RadioBusy(f"{adapter}: a scan is in progress")
        if one.connecting:
            self.violations.append(f"{adapter} scans while it connects")
        with anyio.CancelScope() as scope:
            one.scan_scope, one.lost, one.scanning = scope, None, True
            done = anyio.Event()
            self._tasks.start_soon(self._advertise, one, heard, done)
            try:
                yield
            finally:
                done.set()
                one.scanning, one.scan_scope = False, None
                one.scan_ended = self._clock.now()
        if one.lost is not None:
            raise RadioUnavailable(one.lost)

    @asynccontextmanager
    async def connect(
        self, adapter: str, address: str, *, within: float, fresh: bool = False,
        linked: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[AirLink | SilentLink]:  # fmt: skip
        """One attempt."""
        self.fresh.append(fresh)
        one = await self._begin("connect", adapter, address)
        if one.scanning:
            self.violations.append(f"{adapter} connects while it scans")
        if one.busy or one.remains:
            raise RadioBusy(f"{adapter}: operation already in progress")
        one.connecting += 1
        if one.connecting > 1:
            self.violations.append(f"{adapter} connects twice at once")
        try:
            lock = await self._reach(one, address, within, fresh=fresh)
            linked()
        except anyio.get_cancelled_exc_class():
            if self.untidy:
                one.remains.add(address)
            raise
        finally:
            one.connecting -= 1
        link, up = self._new_link(one, lock), anyio.Event()
        self._tasks.start_soon(self._host, lock, link, up)
        try:
            await up.wait()
            yield link
        finally:
            with anyio.CancelScope(shield=True):
                link.down("the central left")
                link.close()
                await anyio.sleep(DISCONNECT_TAKES)
                one.links.pop(address, None)

    async def forget(self, adapter: str, address: str) -> None:
        """Remove a device."""
        one = await self._begin("forget", adapter, address)
        one.known.pop(address, None)
        one.stale_table.discard(address)

    async def connected(self, adapter: str) -> list[str]:
        """Connections, ours and left ones."""
        one = await self._begin("connected", adapter)
        return [*one.links, *one.held]

    async def disconnect(self, adapter: str, address: str) -> None:
        """End one; nothing happens if there is none."""
        one = await self._begin("disconnect", adapter, address)
        if address in one.held | one.remains | set(one.links):
            await anyio.sleep(DISCONNECT_TAKES)
        one.remains.discard(address)
        link = one.links.get(address)
        if link is not None:
            link.down("disconnected")
        if address in one.held:
            one.held.discard(address)
            for lock in self.locks:
                lock.connected = lock.connected and lock.address != address

    async def power_cycle(self, adapter: str) -> None:
        """Off and on."""
        one = await self._begin("power_cycle", adapter, power=False)
        one.lose(f"{adapter} was switched off")
        one.powered = False
        for address in one.held:
            for lock in self.locks:
                lock.connected = lock.connected and lock.address != address
        one.held.clear()
        await anyio.sleep(POWER_TAKES)
        one.powered = True

    # -- inside

    def _note(self, call: str, adapter: str = "", address: str = "") -> None:
        self.calls.append((self._clock.now(), call, adapter, address))

    def _check_running(self) -> None:
        if not self.running:
            raise RadioUnavailable("bluetoothd is not there")

    async def _begin(
        self, call: str, adapter: str, address: str = "", *, power: bool = True
    ) -> FakeAdapter:
        """What all calls have in common."""
        self._note(call, adapter, address)
        one = self.adapter.setdefault(adapter, FakeAdapter(adapter, present=False))
        self._check_running()
        one.heal(call)
        if call in one.hanging:
            await anyio.sleep_forever()
        await anyio.sleep(EXTRA)
        self._check_running()
        if not one.present:
            raise RadioUnavailable(f"there is no {adapter}")
        if power and not one.powered:
            raise RadioUnavailable(f"{adapter} is switched off")
        return one

    async def _advertise(
        self, one: FakeAdapter, heard: Callable[[Sighting], None], done: anyio.Event
    ) -> None:
        due = dict.fromkeys(self.locks, 0.0)
        while not done.is_set():
            now = self._clock.now()
            for lock in list(self.locks):
                if due.get(lock, 0.0) > now:
                    continue
                due[lock] = now + lock.interval
                rssi = lock.rssi.get(one.name)
                if rssi is None or one.deaf or not lock.powered or lock.connected:
                    continue
                one.known[lock.address] = now
                heard(
                    Sighting(
                        adapter=one.name, address=lock.address, rssi=rssi,
                        advertisement=lock.advertisement(), at=now,
                    )
                )  # fmt: skip
            with anyio.move_on_after(min(due.values(), default=now + 1.0) - now):
                await done.wait()

    async def _reach(
        self, one: FakeAdapter, address: str, within: float, *, fresh: bool
    ) -> AirLock:
        """Find the lock and wait for it to answer."""
        now = self._clock.now()
        seen = one.known.get(address)
        if seen is None or (not one.scanning and now - one.scan_ended > FORGETS_AFTER):
            raise LockNotFound(f"{address} is not known to {one.name}")
        lock = next((lock for lock in self.locks if lock.address == address), None)
        failing = one.failing.get(address, 0)
        there = (
            lock is not None
            and lock.powered
            and lock.connectable
            and not lock.connected
            and one.name in lock.rssi
        )
        if failing or not there or lock is None or lock.faults.connect_delay > within:
            one.failing[address] = max(0, failing - 1)
            await anyio.sleep(within)
            raise LockNotFound(f"{address} did not answer within {within:.1f} s")
        await anyio.sleep(CONNECT_TAKES + lock.faults.connect_delay)
        if fresh:
            one.stale_table.discard(address)
        if address in one.stale_table:
            await anyio.sleep(DISCONNECT_TAKES)
            raise IncompleteTable(f"{address}: no notify characteristic")
        if not self.running or not one.present or not one.powered:
            raise RadioUnavailable(one.lost or "gone")
        return lock

    def _new_link(self, one: FakeAdapter, lock: AirLock) -> AirLink | SilentLink:
        faults, lock.faults = lock.faults, NO_FAULTS
        lock.connected = True
        link = SilentLink() if lock.lock is None else AirLink(lock.lock, self._clock, faults)
        one.links[lock.address] = link
        lock.links.append(link)
        return link

    async def _host(self, lock: AirLock, link: AirLink | SilentLink, up: anyio.Event) -> None:
        """The link's own life, as long as it is up."""
        async with anyio.create_task_group() as tasks:
            await link.up(tasks)
            up.set()
            await link.ended.wait()
            tasks.cancel_scope.cancel()
        lock.connected = False
