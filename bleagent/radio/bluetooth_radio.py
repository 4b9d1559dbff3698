"""The radio: which adapter connects to which device, and when.

Implements ``ports.LockRadio`` over ``ports.Bluetooth``. ``run`` listens on every adapter;
``connect`` waits until the lock is heard, chooses the device (``sightings``: several may claim
to be the lock) and the adapter that hears it best, waits for the turn there (``gate``) and makes
one attempt (``antenna``). Trying again is the caller's affair; what failed is remembered here, so
that the next attempt is another one.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial

import anyio
import structlog
from anyio.abc import TaskGroup

from bleagent.errors import LinkError, RadioBusy, RadioStuck, RadioUnavailable
from bleagent.model import AdapterInfo, LockFacts, Priority, Sighting, Step
from bleagent.ports import Bluetooth, Clock, LockLink, ServiceManager

from .airtime import LockAir, RadioAir, Usage
from .antenna import Antenna, Surroundings
from .bounds import CALL_BOUND, bounded
from .choice import RECENT, Choice, Chooser
from .gate import Turn
from .recovery import Ladder, Remedy, Rung, Situation, Symptom
from .settings import Listeners, RadioSettings
from .sightings import Sightings

log = structlog.get_logger()

ATTEMPT = 6.0
"""Seconds for one attempt, if the caller has as many left; a lock advertises each second or more
often, and connecting takes two advertisements."""
LEAST = 0.3
"""Seconds below which an attempt is not begun."""
EARLY = 0.02
"""Seconds before the caller's deadline at which it is told what was being waited for."""
LONGEST_WAIT = 60.0
"""Seconds to wait for a lock, a turn and a slot, where the caller has no deadline."""
LOOK_AGAIN = 1.0
"""Seconds between two looks at what is heard, if nothing new is."""
SURVEY, SURVEY_IF_NONE = 30.0, 2.0
"""Seconds between two looks for new adapters."""
WANTS_AGAIN = 5.0
"""Seconds between two words about a lock that wants to be connected to."""


@dataclass(slots=True)
class _Attempt:
    """One call of ``connect``."""

    lock: LockFacts
    usage: Usage
    priority: Priority
    choice: Choice | None = None
    connected: bool = False


class BluetoothRadio:
    """Implements ``ports.LockRadio`` and ``ports.HandshakeJudge``.

    Args:
        bluetooth: the stack.
        clock: monotonic time, and the date for counting by day.
        locks: those that are configured.
        settings: adapters, slots and pins.
        manager: is told why, when the radio gives up.
        listeners: who is told of what.
    """

    def __init__(
        self,
        bluetooth: Bluetooth,
        clock: Clock,
        locks: Iterable[LockFacts],
        settings: RadioSettings | None = None,
        *,
        manager: ServiceManager | None = None,
        listeners: Listeners | None = None,
    ) -> None:
        locks = list(locks)
        self._bluetooth = bluetooth
        self._clock = clock
        self._settings = RadioSettings() if settings is None else settings
        self._manager = manager
        self._listeners = Listeners() if listeners is None else listeners
        self._addresses = {one.name: one.address for one in locks if one.address is not None}
        self._addresses = {**self._settings.addresses, **self._addresses}
        self.sightings = Sightings(locks)
        self._usage = {one.name: Usage() for one in locks}
        self._antennas: dict[str, Antenna] = {}
        self._chooser = Chooser(self.sightings, clock, self._antennas, self._settings.pins)
        self._ladder = Ladder()  # for the time without any adapter
        self._fault: LinkError = RadioUnavailable("the radio has not been started")
        self._connected: dict[str, Choice] = {}
        self._told_at: dict[str, float] = {}
        self._attempts: dict[str, _Attempt] = {}
        """By lock: from asking for a connection until it has been left."""
        self._news = anyio.Event()
        self._tasks: TaskGroup | None = None
        self._stuck: str | None = None

    # -- its life

    async def run(self) -> None:
        """Listen on every adapter until cancelled.

        Raises:
            RadioStuck: nothing helped; the service manager knows why.
        """
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            for name in self._settings.adapters or ():
                self._add(name)
            await self._survey()
        self._tasks = None
        self._antennas.clear()
        if self._stuck is not None:
            if self._manager is not None:
                self._manager.notify(f"STATUS=Bluetooth is stuck: {self._stuck}\nSTOPPING=1")
            raise RadioStuck(self._stuck)

    async def _survey(self) -> None:
        """Look for adapters that come, where none are named."""
        while True:
            if self._settings.adapters is None:
                try:
                    with bounded("telling the adapters", CALL_BOUND):
                        found = await self._bluetooth.adapters()
                    self._use(found)
                except LinkError as error:
                    self._fault = error
                    if not self._antennas:
                        self._without_any(str(error))
            await anyio.sleep(SURVEY if self._antennas else SURVEY_IF_NONE)

    def _use(self, found: list[AdapterInfo]) -> None:
        powered = [one.name for one in found if one.powered]
        if powered:
            self._ladder.healed(Symptom.STACK_GONE)
        for name in powered:
            if name not in self._antennas:
                self._add(name)
        if not self._antennas:
            self._fault = RadioUnavailable("no Bluetooth adapter is powered")
            self._without_any(str(self._fault))

    def _add(self, name: str) -> None:
        if self._tasks is not None:
            around = Surroundings(
                hear=self._hear,
                ours=self._our_addresses,
                alone=lambda: (
                    not any(one.ready for one in self._antennas.values() if one.name != name)
                ),
                treated=self._treated,
                crowded=self._crowded,
                give_up=self._give_up,
            )
            antenna = Antenna(name, self._bluetooth, self._clock, self._settings.slots, around)
            self._antennas[name] = antenna
            self._tasks.start_soon(antenna.run)

    def _without_any(self, detail: str) -> None:
        now = self._clock.now()
        self._ladder.notice(Symptom.STACK_GONE, now, detail=detail)
        remedy = self._ladder.due(now, Situation(idle=True, alone=True))
        if remedy is not None:
            self._treated("", remedy, "done")
            if remedy.rung is Rung.GIVE_UP:
                self._give_up(remedy.why)

    def _treated(self, adapter: str, remedy: Remedy, outcome: str) -> None:
        log.warning(
            "radio.recovery", adapter=adapter, rung=remedy.rung, symptom=remedy.symptom,
            why=remedy.why, outcome=outcome,
        )  # fmt: skip
        self._listeners.treated(adapter, remedy, outcome)

    def _crowded(self, adapter: str) -> bool:
        holding = [name for name, one in self._connected.items() if one.antenna.name == adapter]
        return self._listeners.full(adapter, holding)

    def _give_up(self, why: str) -> None:
        self._stuck = why
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()

    def _our_addresses(self) -> set[str]:
        proved = (self.sightings.proved_address(name) for name in self._usage)
        ours = {one for one in (*self._addresses.values(), *proved) if one is not None}
        return ours - {choice.candidate.address for choice in self._connected.values()}

    # -- hearing

    def _hear(self, sighting: Sighting) -> None:
        recognised = self.sightings.hear(sighting)
        if not recognised:
            return
        self._news.set()
        if not sighting.advertisement.connect_request:
            return
        for one in recognised:
            told = sighting.at - self._told_at.get(one.lock, -math.inf)
            # What a second choice says it wants may be an impostor's wish.
            if one.first_choice and told >= WANTS_AGAIN:
                self._told_at[one.lock] = sighting.at
                self._listeners.wants_connection(one.lock, sighting)

    # -- connecting

    @asynccontextmanager
    async def connect(
        self, lock: LockFacts, *, priority: Priority = Priority.OPERATION
    ) -> AsyncIterator[LockLink]:
        """Connect as soon as the lock is heard; leaving the context disconnects.

        Waits as long as the caller's own deadline allows, at most ``LONGEST_WAIT`` seconds, and
        makes one attempt.

        Raises:
            LockNotFound: not heard in time, or it did not answer.
            RadioUnavailable: no adapter was usable in time.
            RadioBusy: no slot was free in time, or the stack was busy.
            LinkError: the attempt failed.
        """
        if lock.name in self._attempts:
            raise RadioBusy(f"{lock.name} is being connected to already")
        left = anyio.current_effective_deadline() - anyio.current_time() - EARLY
        until = self._clock.now() + min(left, LONGEST_WAIT)
        attempt = _Attempt(lock, self._usage.setdefault(lock.name, Usage()), priority)
        self._attempts[lock.name] = attempt
        try:
            while not attempt.connected:
                choice = await self._heard(lock, until)
                self._listeners.reached(lock.name, Step.HEARD)
                async with self._turn(choice.antenna, attempt, until) as turn:
                    self._listeners.reached(lock.name, Step.TURN)
                    # Much can happen while one waits for one's turn.
                    current = self._chooser.choose(lock.name, only=choice.antenna)
                    if current is None:
                        continue
                    attempt.choice = current
                    attempt.usage.attempts += 1
                    within = max(min(ATTEMPT, until - self._clock.now()), LEAST)
                    address = current.candidate.address
                    linked = partial(self._listeners.reached, lock.name, Step.LINK)
                    async with current.antenna.connect(
                        address, turn, within=within, linked=linked
                    ) as link:
                        with self._while_connected(attempt, current):
                            yield link
        except LinkError as error:
            if not attempt.connected:
                self._failed(attempt, error)
            raise
        finally:
            del self._attempts[lock.name]

    @asynccontextmanager
    async def _turn(self, antenna: Antenna, attempt: _Attempt, until: float) -> AsyncIterator[Turn]:
        gate, left = antenna.gate, until - self._clock.now()
        with anyio.CancelScope(deadline=anyio.current_time() + left) as scope:
            async with gate.turn(lambda: attempt.priority) as turn:
                scope.deadline = math.inf
                yield turn
        if scope.cancelled_caught:
            raise RadioBusy(
                f"{antenna.name}: no turn in time, {gate.links} of {gate.slots} connections in use"
            )

    async def _heard(self, lock: LockFacts, until: float) -> Choice:
        """Wait until there is somebody to connect to. Raises LockNotFound, RadioUnavailable."""
        while True:
            choice = self._chooser.choose(lock.name)
            if choice is not None:
                return choice
            left = until - self._clock.now()
            if left <= 0:
                raise self._chooser.nobody(lock.name, self._fault)
            self._news = anyio.Event()
            with anyio.move_on_after(min(left, LOOK_AGAIN)):
                await self._news.wait()

    @contextmanager
    def _while_connected(self, attempt: _Attempt, choice: Choice) -> Iterator[None]:
        lock = attempt.lock.name
        attempt.connected = True
        self._connected[lock] = choice
        self._chooser.succeeded(choice)
        attempt.usage.began(choice.antenna.name, self._clock.now())
        choice.antenna.gate.admit()  # who waits may now ask for this one's slot
        try:
            yield
        except LinkError:  # a store that fails says nothing about the lock
            self.disproved(lock)
            raise
        else:
            if choice.proved is None:
                self.proved(lock)
        finally:
            attempt.usage.ended(self._clock.now(), self._clock.unix())
            self._connected.pop(lock, None)

    def _failed(self, attempt: _Attempt, error: LinkError) -> None:
        attempt.usage.failed(error.code)
        if attempt.choice is None:
            return
        self._chooser.failed(attempt.choice)
        if not isinstance(error, RadioUnavailable | RadioBusy):
            address = attempt.choice.candidate.address
            self.sightings.failed(attempt.lock.name, address, self._clock.now())

    # -- being told

    def wanted(self, lock: str, priority: Priority) -> None:
        """What the connection that is waited for is wanted for now: its turn comes by that."""
        attempt = self._attempts.get(lock)
        if attempt is not None and attempt.priority is not priority:
            attempt.priority = priority
            for antenna in self._antennas.values():
                antenna.gate.admit()

    def idle(self, lock: str) -> None:
        """Nobody uses this lock's connection: whoever waits for its slot may ask for it again."""
        choice = self._connected.get(lock)
        if choice is not None:
            choice.antenna.gate.admit()

    def proved(self, lock: str) -> None:
        """The device that is connected as this lock stood the handshake.

        Whoever leaves a connection without an error has said the same.
        """
        choice = self._connected.get(lock)
        if choice is None:
            return
        choice.proved = True
        address = choice.candidate.address
        self.sightings.proved(lock, address)
        if self._addresses.get(lock) != address:
            self._addresses[lock] = address
            self._listeners.proved(lock, address)

    def disproved(self, lock: str) -> None:
        """It did not stand it: the next connection tries the next candidate.

        Whoever leaves a connection with an AgentError that was not proved has said the same.
        """
        choice = self._connected.get(lock)
        if choice is not None and not choice.proved:
            choice.proved = False
            self.sightings.failed(lock, choice.candidate.address, self._clock.now())

    # -- what can be seen

    def trouble(self, lock: str) -> LinkError | None:
        """Why this lock cannot be connected to at the moment; None if it can.

        For whoever gives up waiting before ``connect`` does.
        """
        if self._chooser.choose(lock) is not None:
            return None
        return self._chooser.nobody(lock, self._fault)

    def snapshot(self) -> RadioAir:
        """In numbers."""
        return RadioAir(
            adapters={name: one.snapshot() for name, one in self._antennas.items()},
            locks={name: self._lock_air(name) for name in self._usage},
        )

    def _lock_air(self, name: str) -> LockAir:
        now, usage = self._clock.now(), self._usage[name]
        best = self.sightings.best(name, now)
        recent = self.sightings.candidates(name, now, within=RECENT)
        return LockAir(
            attempts=usage.attempts,
            connections=usage.connections,
            failures=dict(usage.failures),
            connected_s=usage.by_day(now, self._clock.unix()),
            connected=usage.connected,
            adapter=usage.adapter,
            last_heard_age=None if best is None else now - best.last.at,
            rssi=recent[0].heard[0].rssi if recent else None,
        )
