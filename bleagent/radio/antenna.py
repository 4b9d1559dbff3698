"""One Bluetooth adapter: one long scan, one connect at a time, and the ladder when it sticks.

The scan runs for as long as the adapter is there, pauses while a connection is made (onboard
chips cannot do both) and goes on afterwards. Every call to the stack has a second bound here,
for the day on which its own does not hold. What goes wrong is told to the recovery ladder;
the rungs are carried out in turns like connections, so that nobody connects to an adapter that
is being repaired (reference: BLE testing §6, safety A5).
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from bleagent.errors import IncompleteTable, LinkError, RadioBusy, RadioUnavailable
from bleagent.model import Priority, Sighting
from bleagent.ports import Bluetooth, Clock, LockLink

from .airtime import AdapterAir
from .bounds import CALL_BOUND, bounded
from .gate import Gate, Turn
from .leftovers import Leftovers
from .recovery import Ladder, Remedy, Rung, Situation, Symptom
from .sightings import Heard

SCAN_BOUND = 15.0
"""Seconds for a scan to start, and to stop."""
POWER_BOUND = 30.0
"""Seconds for a power-cycle."""
CONNECT_GRACE = 12.0
"""Seconds that an attempt may take beyond its own bound, to leave nothing behind."""
SILENCE = 80.0
"""Seconds of scanning without any advertisement of a lock that are a symptom."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 2.0
"""Seconds before the adapter is tried again, doubled with each failure in a row."""
SOON = 0.01
"""Seconds below which nothing is waited for: clocks are not finer."""
MOST_FORGOTTEN = 64


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an antenna needs of the radio that it belongs to.

    ``hear`` takes sightings; ``ours`` says which addresses are locks of ours; ``alone`` whether
    no other adapter is usable; ``treated`` is told of every rung and what came of it;
    ``crowded`` that somebody waits for a slot, and says whether one is given up for it;
    ``give_up`` ends the radio.
    """

    hear: Callable[[Sighting], None]
    ours: Callable[[], Collection[str]]
    alone: Callable[[], bool]
    treated: Callable[[str, Remedy, str], None]
    crowded: Callable[[str], bool]
    give_up: Callable[[str], None]


class Antenna:
    """One adapter, by the kernel's name."""

    def __init__(
        self, name: str, bluetooth: Bluetooth, clock: Clock, slots: int, around: Surroundings
    ) -> None:
        self.name = name
        self.gate = Gate(slots, lambda: around.crowded(name))
        self.ladder = Ladder()
        self.scanning = False
        self.ready = False
        """Whether it can be connected with: there, and free of connections that are not ours."""
        self.fault: LinkError | None = None
        """Why it is not ready, or did not scan the last time it should have."""
        self._bluetooth = bluetooth
        self._clock = clock
        self._around = around
        self._pauses = 0
        self._in_scan = False
        """Scanning, or about to start or stop."""
        self._stop = anyio.Event()
        self._stopped = anyio.Event()
        self._resumed = anyio.Event()
        self._symptom = anyio.Event()
        self._silent = 0.0
        self._silent_since = math.inf
        self._heard_at: float | None = None
        self._fresh: set[str] = set()
        self._leftovers = Leftovers(name, bluetooth, clock)
        self._known_since = -math.inf
        self._forgotten: dict[str, float] = {}

    # -- what can be seen

    def snapshot(self) -> AdapterAir:
        """In numbers."""
        age = None if self._heard_at is None else self._clock.now() - self._heard_at
        return AdapterAir(
            usable=self.ready,
            scanning=self.scanning,
            links=self.gate.links,
            waiting=self.gate.waiting,
            last_advertisement_age=age,
            symptoms=self.ladder.active(),
            rungs=dict(self.ladder.taken),
        )

    def knows(self, heard: Heard) -> bool:
        """Whether the stack still knows a device that was heard then."""
        since = max(self._known_since, self._forgotten.get(heard.last.address, -math.inf))
        return heard.last.at > since

    # -- its life

    async def run(self) -> None:
        """Listen, and repair what is broken; never returns."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen)
            tasks.start_soon(self._repair)

    async def _listen(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                if not self.ready and not await self._end_stale():
                    await anyio.sleep(LONGEST_PAUSE)
                    continue
                while self._pauses:
                    self._resumed = anyio.Event()
                    await self._resumed.wait()
                await self._scan()
                pause = FIRST_PAUSE
            except LinkError as error:
                await self._trouble(error)
                await anyio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _end_stale(self) -> bool:
        """See that no connection to a lock of ours is left from before (safety A5).

        Its lock would go on with its numbers, and does not advertise.

        Raises:
            RadioUnavailable: the adapter or bluetoothd is gone.
        """
        with bounded(f"{self.name}: telling its connections", CALL_BOUND):
            connected = await self._bluetooth.connected(self.name)
        for address in sorted(set(connected) & set(self._around.ours())):
            try:
                with bounded(f"{self.name}: disconnecting {address}", CALL_BOUND):
                    await self._bluetooth.disconnect(self.name, address)
            except RadioUnavailable:
                raise
            except LinkError as error:
                self.fault = error
                self._notice(Symptom.STALE_CONNECTION, address, str(error))
                return False
            self.ladder.healed(Symptom.STALE_CONNECTION, address=address)
        return True

    async def _scan(self) -> None:
        """Listen until somebody wants it stopped. Raises LinkError."""
        self._stop, self._stopped = anyio.Event(), anyio.Event()
        self._in_scan = True
        with anyio.CancelScope(deadline=anyio.current_time() + SCAN_BOUND) as scope:
            try:
                async with self._bluetooth.scan(self.name, self._hear):
                    scope.deadline = math.inf
                    self._works()
                    self._silent_since = self._clock.now()
                    await self._until_stopped()
                    scope.deadline = anyio.current_time() + SCAN_BOUND
            finally:
                self._silent += max(0.0, self._clock.now() - self._silent_since)
                self._silent_since = math.inf
                self.scanning = self._in_scan = False
                self._stopped.set()
        if scope.cancelled_caught:
            raise RadioBusy(f"{self.name}: a scan did not start or stop in {SCAN_BOUND:.0f} s")

    def _works(self) -> None:
        self.scanning = self.ready = True
        self.fault = None
        self.ladder.healed(
            Symptom.BUSY, Symptom.STACK_GONE, Symptom.ADAPTER_GONE, Symptom.ADAPTER_OFF
        )

    async def _until_stopped(self) -> None:
        while not self._stop.is_set():
            silent = self._silent + self._clock.now() - self._silent_since
            if silent >= SILENCE:
                self._silent, self._silent_since = 0.0, self._clock.now()
                self._notice(Symptom.SILENT, None, f"no lock was heard in {silent:.0f} s")
                continue
            with anyio.move_on_after(max(SILENCE - silent, SOON)):
                await self._stop.wait()

    def _hear(self, sighting: Sighting) -> None:
        self._heard_at = now = self._clock.now()
        self._silent, self._silent_since = 0.0, now
        self.ladder.healed(Symptom.SILENT)
        self._around.hear(sighting)

    # -- connecting

    @asynccontextmanager
    async def connect(
        self, address: str, turn: Turn, *, within: float, linked: Callable[[], None] = lambda: None
    ) -> AsyncIterator[LockLink]:
        """One attempt, in one's turn. Raises LinkError.

        The scan pauses meanwhile. A failure is a symptom; a cancellation is not, and whatever it
        may have left in the stack is ended before the next one connects.
        """
        made, failure = False, None
        await self._pause()
        began = anyio.current_time()
        try:
            with anyio.CancelScope(deadline=began + within + CONNECT_GRACE) as scope:
                fresh = address in self._fresh
                async with self._bluetooth.connect(
                    self.name, address, within=within, fresh=fresh, linked=linked
                ) as link:
                    scope.deadline = math.inf
                    made = True
                    self._made(address)
                    turn.made()
                    try:
                        yield link
                    except BaseException as error:
                        failure = error
                        raise
                    finally:
                        scope.deadline = anyio.current_time() + CONNECT_GRACE
            if failure is not None:  # leaving was cut short in its place
                raise failure
            if scope.cancelled_caught:
                self._leftovers.look_after(address)
                if not made:
                    raise RadioBusy(f"{self.name}: connecting to {address} never came back")
        except LinkError as error:
            if not made:
                await self._trouble(error, address)
            raise
        except anyio.get_cancelled_exc_class():
            if not made and anyio.current_time() - began >= within:
                # It had its time, and would have failed.
                self._notice(Symptom.CONNECT_FAILED, address, "no answer in time")
            raise
        finally:
            if not made:
                # The stack may know it no more: it must be heard again before the next attempt.
                self._forget(address)
                self._leftovers.look_after(address)
                self._resume()
            self._symptom.set()

    def _made(self, address: str) -> None:
        self._resume()
        self._fresh.discard(address)
        self._leftovers.forget(address)
        self.ladder.connected(address)

    async def _pause(self) -> None:
        """Stop scanning; returns when nothing scans. Raises RadioBusy."""
        self._pauses += 1
        self._stop.set()
        try:
            with bounded(f"{self.name}: stopping the scan", SCAN_BOUND):
                while self._in_scan:
                    await self._stopped.wait()
        except BaseException:
            self._resume()
            raise

    def _resume(self) -> None:
        self._pauses -= 1
        self._resumed.set()

    # -- what goes wrong

    def _notice(self, symptom: Symptom, address: str | None, detail: str) -> None:
        self.ladder.notice(symptom, self._clock.now(), address=address, detail=detail)
        self._symptom.set()

    async def _trouble(self, error: LinkError, address: str | None = None) -> None:
        """Name the symptom; an adapter that is gone is looked for."""
        if not isinstance(error, RadioUnavailable):
            if address is None:
                symptom = Symptom.BUSY
            elif isinstance(error, IncompleteTable):
                symptom = Symptom.INCOMPLETE_TABLE
                self._fresh.add(address)
            else:
                busy = isinstance(error, RadioBusy)
                symptom = Symptom.BUSY if busy else Symptom.CONNECT_FAILED
            if address is None:
                self.fault = error
            self._notice(symptom, address, str(error))
            return
        self.fault = error
        symptom = await self._missing()
        if symptom is not Symptom.BUSY:
            self.ready = False
            self._known_since = self._clock.now()
        self._notice(symptom, None, str(error))

    async def _missing(self) -> Symptom:
        """What of the adapter is missing; BUSY if it is there and just does not answer."""
        try:
            with bounded("telling the adapters", CALL_BOUND):
                found = {one.name: one for one in await self._bluetooth.adapters()}
        except RadioUnavailable:
            return Symptom.STACK_GONE
        except LinkError:
            return Symptom.BUSY
        if self.name not in found:
            return Symptom.ADAPTER_GONE
        return Symptom.BUSY if found[self.name].powered else Symptom.ADAPTER_OFF

    # -- repairing

    async def _repair(self) -> None:
        """Carry out what the ladder says, in one's turn."""
        while True:
            due = min(self.ladder.next_due(), self._leftovers.next_look())
            left = due - self._clock.now()
            if left > 0:
                with anyio.move_on_after(max(left, SOON)):
                    await self._symptom.wait()
            self._symptom = anyio.Event()
            async with self.gate.turn(lambda: Priority.REPAIR, slot=False):
                await self._leftovers.end()
                while (remedy := self.ladder.due(self._clock.now(), self._situation())) is not None:
                    await self._treat(remedy)

    def _situation(self) -> Situation:
        return Situation(idle=self.gate.links == 0, alone=self._around.alone())

    async def _treat(self, remedy: Remedy) -> None:
        outcome = "done"
        try:
            await self._carry_out(remedy)
        except LinkError as error:
            outcome = f"failed: {error}"
        self._around.treated(self.name, remedy, outcome)
        if remedy.rung is Rung.GIVE_UP:
            self._around.give_up(f"{self.name}: {remedy.why}")

    async def _carry_out(self, remedy: Remedy) -> None:
        address = remedy.address or ""
        match remedy.rung:
            case Rung.CANCEL_CONNECT:
                with bounded(f"{self.name}: disconnecting {address}", CALL_BOUND):
                    await self._bluetooth.disconnect(self.name, address)
            case Rung.REMOVE_DEVICE:
                self._forget(address)
                with bounded(f"{self.name}: removing {address}", CALL_BOUND):
                    await self._bluetooth.forget(self.name, address)
            case Rung.RESTART_SCAN:
                self._stop.set()
            case Rung.CLEAR_CACHE:
                self._fresh.add(address)
            case Rung.POWER_CYCLE:
                await self._power_cycle()
            case Rung.WAIT_FOR_STACK | Rung.GIVE_UP:
                pass  # the listening goes on trying; giving up is the radio's

    async def _power_cycle(self) -> None:
        try:
            await self._pause()
        except RadioBusy:
            self._pauses += 1  # whatever the scan does: it ends with the power
        try:
            with bounded(f"{self.name}: power-cycling", POWER_BOUND):
                await self._bluetooth.power_cycle(self.name)
        finally:
            self._known_since = self._clock.now()
            self._forgotten.clear()
            self._resume()

    def _forget(self, address: str) -> None:
        self._forgotten[address] = self._clock.now()
        while len(self._forgotten) > MOST_FORGOTTEN:
            del self._forgotten[next(iter(self._forgotten))]
