"""Taking records off a lock, so that none is lost and none counts twice (reference: safety D, E).

Two duties of one connection. ``keep`` stores every timed report as it comes; a live one exists
nowhere else. ``drain`` has the lock hand out what it remembers, once (``drain.Drain``). 4.x locks
re-send and hold back, so there each report is acknowledged at once, by ``keep``.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio

from bleagent.errors import AgentError, LinkError, OutboxFull, StoreError
from bleagent.lock_client import LockClient
from bleagent.model import IssuedConfig, LockFacts
from bleagent.policy import Backlog, Policy
from bleagent.ports import Clock
from bleagent.visit import Visit
from protocol import Datapoint, LocalProtocolError, Secret
from protocol import events as ev
from protocol.credits import CLOCK_SLACK, Origin
from protocol.records import RecordKind

from .beside import Beside
from .credential_report import word_taken
from .dating import belonging_to, happenings_of, without_codes
from .deletions import Deletions
from .drain import Drain
from .ports import RecordBook
from .record import RELATIVE_BELOW, Happening, Kept, TakenReport

STORE_WAIT = 1.0
"""Seconds before a report is stored again that could not be."""
PATIENCE = 10.0
"""Seconds after which a record that the lock still has is left to it."""
REMEMBERED = 256
"""Reports of one connection whose arrival is remembered."""
CLOCK_NOT_TRUSTED = "clock-not-trusted"
"""Why nothing was drained: the lock asked for the time, and we did not know it."""
AFTER_LINK = 10.0
"""Seconds after its link ended for which a report is stored again that could not be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What a drain came to. ``why`` it was not finished, or empty."""

    lock: str
    seconds: float
    acknowledged: int
    why: str = ""


class RecordListener:
    """Is told what becomes of records; does nothing by itself."""

    def kept(self, lock: str, kept: Kept, *, live: bool) -> None:
        """A report is on disk."""

    def not_kept(self, lock: str, error: AgentError) -> None:
        """A report cannot be stored at the moment."""

    def lost(self, lock: str, error: AgentError) -> None:
        """A report that exists nowhere else could not be stored, and is given up."""

    def drained(self, drained: Drained) -> None:
        """A drain ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPorts:
    """What taking records needs of the outside; ``config`` is what the cloud issued for a lock.

    ``told_since`` is when each lock was told the time first by this process, Unix seconds.
    """

    book: RecordBook
    config: Callable[[LockFacts], Awaitable[IssuedConfig]]
    listener: RecordListener = field(default_factory=RecordListener)
    told_since: dict[str, float] = field(default_factory=dict)


class RecordTaker:
    """The records of one connection.

    ``visit`` knows whether the lock was told the time, and tells an operation what its record says.
    ``wake`` is called when the connection is not needed for records any more. What it has to write
    is written ``beside``, where leaving does not wait for it.
    """

    def __init__(
        self,
        client: LockClient,
        facts: LockFacts,
        policy: Policy,
        ports: RecordPorts,
        clock: Clock,
        beside: Beside,
        visit: Visit,
        wake: Callable[[], None],
    ) -> None:
        self._client = client
        self._facts = facts
        self._policy = policy
        self._ports = ports
        self._clock = clock
        self._beside = beside
        self._visit = visit
        self._wake = wake
        self._came_at: dict[int, float] = {}
        """Unix seconds at which a report came in, by its number."""
        self._first_came: dict[Any, float] = {}
        """When what a report says came in first on this connection, Unix seconds."""
        self._kept_one = anyio.Event()
        self._operation: tuple[str, float] | None = None
        self.draining = policy.backlog is Backlog.TAKE
        """Whether the connection is still needed to take records."""
        self.lacked_time = False
        """What the lock remembers was not asked for, because we could not tell it the time. On a
        connection that is made when we know it, it is told."""
        self._complete = not self.draining
        """Whether nothing older than what is here will come on this connection."""
        self._first: int | None = None
        """The first record that was new on this connection."""
        self._deletions = Deletions()
        self._drain = Drain(client, policy, clock, self._deletions, self._time_told)

    def _time_told(self) -> bool | None:
        return self._visit.time_told

    # -- for whoever uses the connection

    def pause(self) -> None:
        """Somebody uses the connection: ask nothing, acknowledge nothing."""
        self._drain.pause()

    def resume(self) -> None:
        """It is free again."""
        self._drain.resume()

    def expect(self, operation: str, until: float) -> None:
        """From here the first opening that is recorded live is this operation's."""
        self._kept_one = anyio.Event()
        self._operation = (operation, until)

    async def one_kept(self, within: float, *, owed_by: str | None = None) -> bool:
        """Stay until something live but an alarm is on disk, at most ``within`` s (safety A6).

        ``owed_by`` is the operation whose opening has a record that may exist on the air only: if
        none came, that is noted (D2).
        """
        with anyio.move_on_after(within):
            await self._kept_one.wait()
        if owed_by is not None and not self._kept_one.is_set():
            unix, reason = self._clock.unix(), f"no record of operation {owed_by}"
            self._beside.start(lambda: self._note_gap(unix, reason))
        return self._kept_one.is_set()

    async def _note_gap(self, unix: float, reason: str) -> None:
        """No operation waits for that disk (H2)."""
        with suppress(StoreError):  # not knowing so on disk changes nothing else
            await self._ports.book.note_gap(self._facts.name, unix=unix, reason=reason)

    def listen(self, event: ev.CentralEvent) -> None:
        """Called with every event as it comes in."""
        if isinstance(event, ev.Reported) and _is_timed(event):
            self._deletions.came_in(event.sn)
            self._came_at[event.sn] = self._clock.unix()

    # -- keeping

    async def keep(self) -> None:
        """Store every timed report, as long as it takes; ends behind the link.

        A live one exists nowhere else (safety D2): what had come in when the link ended is stored
        all the same, and this is to be run where it may outlive the connection. While the store
        fails nothing is lost that the link can hold: the report is tried again, what comes behind
        it waits, and a lock that sends too many of them loses its link.
        """
        try:
            while True:
                self._drain.keeping(on=False)
                seen = await self._client.wait(ev.Reported, math.inf, _is_timed)
                self._drain.keeping(on=True)
                await self._keep_one(seen)
        except LinkError:
            return
        except Exception:
            self._client.close()  # nobody stores what comes in on it
            raise

    def cannot_keep(self) -> None:
        """Instead of ``keep``: nothing that comes in can be stored, so nothing is asked for."""
        self.draining = False
        error = StoreError("the records' disk does not answer")
        self._ports.listener.not_kept(self._facts.name, error)

    async def _keep_one(self, seen: ev.Reported) -> None:
        self._remember_told()
        came_at = self._came_at.pop(seen.sn, self._clock.unix())
        taken, stored = self._as_taken(seen, came_at), self._drain.was_stored(seen, came_at)
        self._deletions.dealt_with(seen.sn)
        try:
            kept = await self._kept(taken)
        except StoreError as error:
            self._drain.refuse(error.code)
            if taken.only_copy:
                self._ports.listener.lost(self._facts.name, error)
                await self._note_gap(came_at, f"a record that could not be stored: {error.code}")
            return
        if kept.new and self._first is None:
            self._first = kept.new[0]
        self._client.central.record_stored(seen)
        if self.draining and not (taken.live and self._drain.counts_credits):
            self._drain.came(seen, kept.records, stored=stored)
        self._ports.listener.kept(self._facts.name, kept, live=taken.live)
        for happening, name in zip(taken.happenings, kept.ids, strict=True):
            if happening.operation is not None:
                self._visit.tell({"dp": happening.dp, "value": happening.value, "record": name})
        if seen.origin is not Origin.BACKLOG and not _is_alarm(taken):
            self._kept_one.set()
        if not self._drain.counts_credits and not self._has_copy_of(seen):
            with suppress(LinkError):  # what came in behind it has to be kept all the same
                await self._drain.acknowledge(seen, kept.records, deletes=stored)

    def _as_taken(self, seen: ev.Reported, came_at: float) -> TakenReport:
        now, trusted = self._clock.unix(), self._clock.trusted
        dps, old = self._policy.dps, self._is_old(seen, came_at)
        live = seen.origin is Origin.LIVE and not old
        if seen.origin is Origin.LIVE and old:
            self._drain.came_out_of_order()
        proves: tuple[int, ...] = ()
        is_not: tuple[int, ...] = ()
        if seen.origin is Origin.BACKLOG:
            proves = self._deletions.proven_by(seen.sn)
        else:
            is_not = self._deletions.acknowledged_before(seen.sn, deletes=not live)
        report = without_codes(seen.report, dps)
        happenings = happenings_of(report, dps, now=now, trusted=trusted, live=live)
        expected, self._operation = self._operation, None
        if expected is not None and self._clock.now() <= expected[1]:
            marked = happenings
            if seen.origin is not Origin.BACKLOG:
                marked = belonging_to(expected[0], happenings, dps)
            if marked == happenings:
                self._operation = expected  # it was another one's
            happenings = marked
        return TakenReport(
            lock=self._facts.name,
            device_id=self._facts.device_id,
            raw=Secret(report.code.to_bytes(2, "big") + report.to_bytes()),
            happenings=happenings,
            taken_at=now,
            live=live,
            only_copy=seen.origin is not Origin.BACKLOG,
            # What happens now can only be a repetition of what was just sent, on 4.x.
            may_match=not live or (not self._drain.counts_credits and self._first is not None),
            behind=(self._first or 1) - 1 if live else 0,
            may_return=True,
            converted=not live and self._may_be_converted(seen, happenings),
            proves=proves,
            is_not=is_not,
            release=live and self._complete,
        )

    async def keep_credentials(self, datapoints: Sequence[Datapoint]) -> None:
        """What the lock says of its credentials goes the way of its records. Raises StoreError."""
        taken = word_taken(
            datapoints, self._facts, self._policy.dps, now=self._clock.unix(),
            release=self._complete,
        )  # fmt: skip
        kept = await self._ports.book.take(taken)
        self._ports.listener.kept(self._facts.name, kept, live=True)

    def _is_old(self, seen: ev.Reported, came_at: float) -> bool:
        """Whether it did not happen when it came in: then the lock had it stored, after all."""
        seconds = 0.0 if seen.report.time is None else seen.report.time.seconds
        told = self._clock.trusted and self._time_told() is True
        if told and RELATIVE_BELOW < seconds < came_at - 2 * CLOCK_SLACK:
            return True
        what, first = (seen.report.datapoints, seen.report.time), self._first_came
        if what not in first and len(first) >= REMEMBERED:
            del first[next(iter(first))]
        # Two events of one second come within that second: what comes later is a copy.
        return came_at - first.setdefault(what, came_at) > CLOCK_SLACK

    def _may_be_converted(self, seen: ev.Reported, happenings: Sequence[Happening]) -> bool:
        """Whether it happened before this lock was certainly told the time.

        What an operation of this connection has made did not: we know when that was. The next
        opening of the same member, two seconds later, is another one.
        """
        if any(one.operation is not None for one in happenings):
            return False
        seconds = 0.0 if seen.report.time is None else seen.report.time.seconds
        return seconds < self._ports.told_since.get(self._facts.name, math.inf) + CLOCK_SLACK

    def _remember_told(self) -> None:
        if self._clock.trusted and self._time_told() is True:
            self._ports.told_since.setdefault(self._facts.name, self._clock.unix())

    async def _kept(self, taken: TakenReport) -> Kept:
        """Put it on disk, as long as that takes.

        Raises StoreError: the lock is to keep it, or its link ended and the store still fails.
        """
        left_to_lock = self._clock.now() + PATIENCE
        gone_at: float | None = None
        while True:
            try:
                return await self._ports.book.take(taken)
            except StoreError as error:
                self._ports.listener.not_kept(self._facts.name, error)
                full, now = isinstance(error, OutboxFull), self._clock.now()
                if not taken.only_copy and (full or now >= left_to_lock):
                    raise
                if gone_at is None and not self._client.is_up:
                    gone_at = now
                if gone_at is not None and now >= gone_at + AFTER_LINK:
                    raise
            await anyio.sleep(STORE_WAIT)

    def _has_copy_of(self, seen: ev.Reported) -> bool:
        """Whether the lock has sent it once more meanwhile: that one is acknowledged instead."""
        report = seen.report

        def is_copy(other: ev.Reported) -> bool:
            return (other.report.datapoints, other.report.time) == (report.datapoints, report.time)

        return self._client.holds(ev.Reported, is_copy)

    # -- draining

    async def drain(self) -> None:
        """Ask for what the lock remembers and take it to its end, once; ends with the link.

        Where the time is not known yet nothing is asked: ``lacked_time``.
        """
        if not self.draining:
            return
        began, why = self._clock.now(), "left"
        try:
            why = await self._drained()
        except (AgentError, LocalProtocolError) as error:
            why = error.code if isinstance(error, AgentError) else "protocol-misuse"
        finally:
            self.draining, self.lacked_time = False, why == CLOCK_NOT_TRUSTED
            self._wake()
            seconds, acknowledged = self._clock.now() - began, self._deletions.acknowledged
            self._ports.listener.drained(
                Drained(lock=self._facts.name, seconds=seconds, acknowledged=acknowledged, why=why)
            )

    async def _drained(self) -> str:
        """Why it was not finished, or nothing."""
        drain, book, lock = self._drain, self._ports.book, self._facts.name
        if not await drain.may_depend_on_times():
            return CLOCK_NOT_TRUSTED
        config, up_to = await self._ports.config(self._facts), await book.last_seq()
        if why := await drain.run(config):
            return why
        keep, unix = tuple(self._deletions.unproven), self._clock.unix()
        await book.drained(lock, up_to=up_to, keep=keep, unix=unix)
        self._complete = True
        return ""


def _is_alarm(taken: TakenReport) -> bool:
    return all(one.kind is RecordKind.ALARM for one in taken.happenings)


def _is_timed(event: ev.Reported) -> bool:
    return event.report.time is not None
