"""The doors: who may operate one now, one operation at a time, each key at most once.

A known key is answered with what is known, whatever else is going on; a new one is recorded
only if the door is free for it (reference: safety A3, A6, A8, F1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import anyio
from anyio.abc import TaskGroup

from .endings import contradicts
from .errors import (
    KeyReused,
    LockBusy,
    NotWarm,
    StoreError,
    TooLate,
    UnknownLock,
    UnresolvedOperation,
)
from .model import (
    Ending,
    LockFacts,
    OperationRecord,
    OperationRequest,
    Outcome,
    Phase,
    Principal,
)
from .policy import Connection, Policy
from .rehearsal import Rehearsed, rehearse
from .supervisor import Supervisor
from .unlock import Ports, UnlockJob
from .visit import Evidence

REST = 2.0
"""Seconds between two actuations of one lock: two within 200 ms lose the first one's record."""
UNRESOLVED = 60.0
"""Seconds for which an unconfirmed operation keeps a lock closed to those who do not name it."""


@dataclass(frozen=True, slots=True)
class Door:
    """One configured lock."""

    facts: LockFacts
    policy: Policy


@dataclass(slots=True)
class _Running:
    """An operation that is going on."""

    job: UnlockJob
    done: anyio.Event = field(default_factory=anyio.Event)
    left: anyio.Event = field(default_factory=anyio.Event)
    """The lock was left: nothing of it goes on any more."""
    record: OperationRecord | None = None
    goes_on: bool = False
    """Somebody was told that it goes on whoever hangs up."""


class Listener:
    """Is told what happens at the doors; does nothing by itself."""

    def finished(self, record: OperationRecord) -> None:
        """An operation ended."""

    def learned(self, record: OperationRecord, evidence: Evidence, *, contradiction: bool) -> None:
        """The lock said something more about an operation that ended (safety C4)."""

    def failed(self, operation_id: str, error: Exception) -> None:
        """Something went wrong that nobody expected."""


class Doors:
    """All doors of this gateway.

    Args:
        doors: by the operator's name; looked at anew for each operation.
        ports: what the jobs need.
        supervisor: who connects to the locks.
        tasks: where operations live; they outlast the requests that started them.
        listener: who is told.
        allowed: raises AgentError where this principal may no longer operate the named lock;
            asked again at the commit point (safety F2).
    """

    def __init__(
        self,
        doors: Mapping[str, Door],
        ports: Ports,
        supervisor: Supervisor,
        tasks: TaskGroup,
        listener: Listener | None = None,
        allowed: Callable[[Principal, str], None] = lambda _principal, _lock: None,
    ) -> None:
        self._doors = doors
        self._ports = ports
        self._supervisor = supervisor
        self._tasks = tasks
        self._listener = listener or Listener()
        self._allowed = allowed
        self._running: dict[str, _Running] = {}
        self._busy: set[str] = set()
        self._rehearsing: dict[str, anyio.CancelScope] = {}
        self._rest_until: dict[str, float] = {}
        self._last: dict[str, OperationRecord] = {}
        self._began = ports.clock.now()
        self._gates = {name: anyio.Lock() for name in doors}

    @property
    def names(self) -> list[str]:
        """The configured locks."""
        return list(self._doors)

    def door(self, name: str) -> Door:
        """One door.

        Raises:
            UnknownLock: no such lock.
        """
        try:
            return self._doors[name]
        except KeyError:
            raise UnknownLock(f"no lock {name!r}") from None

    def busy(self, name: str) -> bool:
        """Whether an operation of this lock is going on."""
        return name in self._busy

    def keep_warm(self, name: str) -> float:
        """A hint that somebody is coming: connect, and stay; for how many seconds.

        Raises:
            UnknownLock: no such lock.
            NotWarm: its connection is made on demand only.
        """
        policy = self.door(name).policy
        if policy.connection is Connection.ON_DEMAND:
            raise NotWarm(f"{name} is connected to on demand only")
        self._supervisor.owner(name).keep_warm()
        return policy.warm_for

    async def rehearse(self, name: str) -> Rehearsed:
        """All of an opening up to the write; whoever opens the door meanwhile goes first.

        Raises:
            UnknownLock: no such lock.
            LockBusy: it is operated or rehearsed already, or began to be operated.
        """
        door, ports = self.door(name), self._ports
        if name in self._busy or name in self._rehearsing:
            raise LockBusy(f"{name} is being operated or rehearsed")
        with anyio.CancelScope() as scope:
            self._rehearsing[name] = scope
            try:
                return await rehearse(
                    door.facts, door.policy, ports.cloud, ports.memory, ports.clock,
                    self._supervisor.owner(name),
                )  # fmt: skip
            finally:
                del self._rehearsing[name]
        raise LockBusy(f"{name} is being operated: the rehearsal made way")

    def connected(self, name: str) -> bool:
        """Whether a command to this lock could go out at once."""
        return self._supervisor.owner(name).paired

    async def settled(self) -> None:
        """Wait until every operation has left its lock: a record may still be on the air (A6)."""
        for running in list(self._running.values()):
            await running.left.wait()

    async def operate(self, request: OperationRequest) -> tuple[OperationRecord, bool]:
        """Operate a door, or answer a known key; returns the record and whether it is new.

        The operation goes on if the caller is cancelled after the commit point, and stops
        before it.

        Raises:
            UnknownLock, LockBusy, UnresolvedOperation, KeyReused, TooLate: not accepted.
            StoreError: nothing was recorded, so nothing happens.
        """
        record, running, new = await self._begun(request)
        if running is None or record.phase is Phase.FINISHED:
            return record, new
        try:
            await running.done.wait()
        except anyio.get_cancelled_exc_class():
            if new and not running.goes_on:
                running.job.cancel()
            raise
        return self._result(running), new

    async def begin(self, request: OperationRequest) -> tuple[OperationRecord, bool]:
        """As ``operate``, without waiting for the end: the operation goes on without a caller.

        Raises:
            UnknownLock, LockBusy, UnresolvedOperation, KeyReused, TooLate, StoreError: as there.
        """
        record, running, new = await self._begun(request)
        if running is not None:
            running.goes_on = True
        return record, new

    def steps(self, operation_id: str) -> dict[str, float]:
        """How far a running operation has come: seconds from the request to the end of a step."""
        running = self._running.get(operation_id)
        return {} if running is None else dict(running.job.steps)

    async def _begun(
        self, request: OperationRequest
    ) -> tuple[OperationRecord, _Running | None, bool]:
        """The operation of this key, what runs of it, and whether it is new."""
        door = self.door(request.lock)
        async with self._gates[request.lock]:
            known = await self._known(request)
            if known is None:
                await self._admit(request)
                clock = self._ports.clock
                unix = clock.unix() - (clock.now() - request.received_at)
                known = await self._ports.ledger.begin(request, unix=unix)
            if known is None:
                return _record(request, unix), self._start(request, door), True
        return known, self._running.get(known.id), False

    async def _known(self, request: OperationRequest) -> OperationRecord | None:
        known = await self._ports.ledger.known(request.principal.id, request.key)
        if known is not None and known.fingerprint != request.fingerprint:
            raise KeyReused("this Idempotency-Key belongs to another request")
        return known

    async def _admit(self, request: OperationRequest) -> None:
        now = self._ports.clock.now()
        if request.deadline <= now:
            raise TooLate("the deadline has passed")
        if request.stale:
            raise TooLate("the agent stood still when this request came: it may be old")
        if request.lock in self._busy:
            raise LockBusy(f"{request.lock} is being operated, or its record awaited")
        if (left := self._rest_until.get(request.lock, 0.0) - now) > 0:
            raise LockBusy(f"{request.lock} rests for {left:.1f} s", seconds=left)
        last = self._last.get(request.lock)
        if last is None:
            last = await self._ports.ledger.last_of(request.lock)
        if last is None or last.ending is None or last.ended_at is None:
            return
        age = now - last.ended_at  # by the clock that never jumps, whatever becomes of the date
        if last.ended_at <= self._began and _may_have_moved(last.ending) and age < REST:
            raise LockBusy(f"{request.lock} rests after operation {last.id}", seconds=REST - age)
        unresolved = last.ending.outcome is Outcome.UNCONFIRMED and age < UNRESOLVED
        if unresolved and request.after != last.id:
            named = "" if request.after is None else ", and `after` names another one"
            raise UnresolvedOperation(
                f"operation {last.id} ended unconfirmed {age:.0f} s ago{named}", last.id
            )

    def _start(self, request: OperationRequest, door: Door) -> _Running:
        told = _Told(self, request)
        owner = self._supervisor.owner(request.lock)
        job = UnlockJob(
            request, door.facts, door.policy, self._ports, owner, told,
            still_allowed=lambda: self._allowed(request.principal, request.lock),
        )  # fmt: skip
        running = told.running = self._running[request.operation_id] = _Running(job)
        self._busy.add(request.lock)
        if (rehearsing := self._rehearsing.get(request.lock)) is not None:
            rehearsing.cancel()
        self._tasks.start_soon(self._run, request, running)
        return running

    async def _run(self, request: OperationRequest, running: _Running) -> None:
        try:
            await running.job.run()
        except Exception as error:  # noqa: BLE001 - a fault of ours at one door; the others go on
            self._listener.failed(request.operation_id, error)
        finally:
            self._busy.discard(request.lock)
            self._running.pop(request.operation_id, None)
            if running.job.committed:
                self._rest_until[request.lock] = self._ports.clock.now() + REST
            running.done.set()
            running.left.set()

    async def finish(self, request: OperationRequest, running: _Running, ending: Ending) -> None:
        """Store how it ended, and tell; the door has moved or not, whatever the disk says."""
        unix = self._ports.clock.unix()
        try:
            running.record = await self._ports.ledger.finish(
                request.operation_id, ending, unix=unix
            )
        except StoreError:
            running.record = _ended(_record(request, unix), ending, unix)
        self._last[request.lock] = replace(running.record, ended_at=self._ports.clock.now())
        running.done.set()
        self._listener.finished(replace(running.record, via=request.principal.via))

    async def learn(self, running: _Running, evidence: Evidence) -> None:
        """Something more was heard about an operation: kept with it, and told."""
        await running.done.wait()
        record = running.record
        if record is None or record.ending is None:
            return
        dps = self._doors[record.lock].policy.dps
        contradiction = contradicts(record.action, record.ending, evidence, dps)
        try:
            stored = await self._ports.ledger.add_evidence(record.id, evidence)
        except StoreError:
            stored = None  # it is told all the same
        running.record = stored or record
        self._listener.learned(running.record, evidence, contradiction=contradiction)

    @staticmethod
    def _result(running: _Running) -> OperationRecord:
        if running.record is None:
            raise StoreError("the operation ended without a record")
        return running.record


class _Told:
    """What one operation's job tells, on its way to the doors. Implements ``unlock.Told``."""

    def __init__(self, doors: Doors, request: OperationRequest) -> None:
        self._doors = doors
        self._request = request
        self.running: _Running | None = None

    async def finish(self, ending: Ending) -> None:
        """How it ended."""
        if self.running is not None:
            await self._doors.finish(self._request, self.running, ending)

    async def learn(self, evidence: Evidence) -> None:
        """What was heard after it."""
        if self.running is not None:
            await self._doors.learn(self.running, evidence)


def _may_have_moved(ending: Ending) -> bool:
    """Whether a command to move reached the lock, or may have."""
    return ending.outcome in (Outcome.CONFIRMED, Outcome.UNCONFIRMED) or ending.by == "lock"


def _record(request: OperationRequest, unix: float) -> OperationRecord:
    """As it was stored when it began."""
    return OperationRecord(
        id=request.operation_id, lock=request.lock, action=request.action,
        principal=request.principal.id, key=request.key, fingerprint=request.fingerprint,
        phase=Phase.INTENT, requested_at=unix,
    )  # fmt: skip


def _ended(record: OperationRecord, ending: Ending, unix: float) -> OperationRecord:
    """As it would have been stored."""
    ending = replace(ending, evidence=(*ending.evidence, {"store": "failed"}))
    return replace(record, phase=Phase.FINISHED, finished_at=unix, ending=ending)
