"""Making records: live, later, stored, and handed out again (reference: protocol §6.7)."""

from __future__ import annotations

from dataclasses import dataclass

from bleagent.simulator.log import RecordDeleted, RecordLost, RecordStored
from bleagent.simulator.machine import Machine
from protocol import DpMap, DpName, DpType
from protocol.lock import APP_CENTRAL
from protocol.reports import ReportAck

from .buffer import ReplyBuffer
from .clock import LockClock
from .flash import Flash, StoredRecord
from .record_ring import RecordRing
from .reporting import Reporter, TimedRecord

LATER, DRAIN = "later", "drain"
_LATER_AFTER = 0.2
_DRAIN_AFTER = 1.0


@dataclass(frozen=True, slots=True)
class LaterRecord:
    """An opening's record, 200 ms after it."""

    name: DpName
    value: int


@dataclass(frozen=True, slots=True)
class LaterProgress:
    """The end of an enrolment, 200 ms after its beginning."""

    stage: int
    hardid: int
    result: int


class RecordKeeper:
    """The records of one power-up.

    There is one thing to be said later, and one timer for it, which is not started anew: the
    newest takes the place of what was waiting, at the time of the first (capture
    ``lock-first-unlock-2``).
    """

    def __init__(self, machine: Machine, flash: Flash, clock: LockClock, dps: DpMap) -> None:
        self.reply = ReplyBuffer()
        self.reporter = Reporter(machine)
        self.current_central: int | None = None
        """Who opened last with a check code; stays until power-up, and decides what is stored."""
        self._machine = machine
        self._ring = RecordRing(flash)
        self._clock = clock
        self._dps = dps
        self._later: LaterRecord | LaterProgress | None = None

    # -- later

    def record_later(self, name: DpName, value: int, now: float) -> None:
        """An opening was carried out."""
        self.later(LaterRecord(name, value), now)

    def later(self, what: LaterRecord | LaterProgress, now: float) -> None:
        """Say this in 200 ms, instead of what was to be said."""
        if isinstance(self._later, LaterRecord):
            dp = self._dps.number(self._later.name)
            self._machine.log.add(RecordLost(at=now, dp=dp, reason="another took its place"))
        self._later = what
        self._machine.timers.start(LATER, now + _LATER_AFTER)

    def take_later(self) -> LaterRecord | LaterProgress | None:
        """What is to be said now."""
        what, self._later = self._later, None
        return what

    # -- as it happens

    def record_value(self, number: int, value: int, now: float) -> None:
        """A record with a number: one byte for "opened from inside", else four."""
        if self._dps.name(number) is DpName.RECORD_FROM_INSIDE:
            self._record(number, DpType.BOOL, bytes((value & 0xFF,)), now)
        else:
            self._record(number, DpType.VALUE, (value % 2**32).to_bytes(4, "big"), now)

    def record_enum(self, name: DpName, value: int, now: float) -> None:
        """An alarm, or a combined opening."""
        self._record(self._dps.number(name), DpType.ENUM, bytes((value,)), now)

    def record_bytes(self, name: DpName, data: bytes, now: float) -> None:
        """An offline password."""
        self._record(self._dps.number(name), DpType.RAW, data, now)

    def record_raw(self, name: DpName, data: bytes, now: float) -> None:
        """The general opening: never sent as it happens but for the app itself (§9.10)."""
        live = self.current_central == APP_CENTRAL
        self._record(self._dps.number(name), DpType.RAW, data, now, live=live)

    def _record(
        self, number: int, dp_type: DpType, data: bytes, now: float, *, live: bool = True
    ) -> None:
        self.reply.begin(number, dp_type, data)
        time = self._clock.read(now)
        stored = not self._machine.paired or self.current_central != APP_CENTRAL
        if stored:
            self._store(time, now)
        if live:
            datapoint = self.reply.datapoint()
            self.reporter.record(
                TimedRecord(datapoint=datapoint, time=time, slot=None, stored=stored), now
            )

    def _store(self, time: int, now: float) -> None:
        kept = self._ring.store(StoredRecord(time, self.reply.head()))
        log = self._machine.log
        if kept.overwritten is not None:
            dp = kept.overwritten.head[0]
            log.add(RecordLost(at=now, dp=dp, reason="the ring was full"))
        log.add(RecordStored(at=now, slot=kept.slot, dp=self.reply.id))

    # -- handing out

    def begin_upload(self, now: float) -> None:
        """The first record follows in a second."""
        self._machine.timers.start(DRAIN, now + _DRAIN_AFTER)

    def acked(self, ack: ReportAck, now: float) -> None:
        """A timed report was acknowledged: 0 counts, anything else ends the upload."""
        counts = self.reporter.is_for_backlog(ack)
        self.reporter.acked(now)
        if ack.status != 0 or not counts:
            return
        slot = self._ring.forget_sent()
        if slot is not None:
            self._machine.log.add(RecordDeleted(at=now, slot=slot))
        self.upload_one(now)

    def upload_one(self, now: float) -> None:
        """Hand out the newest record, or say nothing."""
        newest = self._ring.newest()
        if newest is None:
            return
        slot, record = newest
        self.reply.restore(record.head)
        self.reporter.record(
            TimedRecord(
                datapoint=self.reply.datapoint(), time=self._clock.settled(record.time, now),
                slot=slot, stored=True,
            ),
            now,
        )  # fmt: skip

    def link_lost(self, now: float) -> None:
        """What the link took with it."""
        for record in self.reporter.link_lost():
            lost = RecordLost(at=now, dp=record.datapoint.id, reason="held back too long")
            self._machine.log.add(lost)
