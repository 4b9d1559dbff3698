"""Records in memory, for rehearsals in virtual time. As the store keeps them, without the disk."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

import anyio

from bleagent.errors import OutboxFull, StoreError
from bleagent.records.identity import Candidate, choose
from bleagent.records.record import (
    Carriage,
    Delivery,
    Happening,
    Kept,
    Receipt,
    ReceiptKind,
    RecordQuery,
    SinkState,
    StoredRecord,
    TakenCounts,
    TakenReport,
    message_id,
)
from bleagent.records.report_parts import parts_of

PARKED_QUOTA = 10_000
FUTURE_SLACK = 60.0


@dataclass(slots=True)
class _Row:
    """A record, and what only the book knows of it."""

    record: StoredRecord
    happening: Happening
    turn: int
    may_return: bool
    converted: bool
    deliveries: dict[str, Delivery]

    @property
    def candidate(self) -> Candidate:
        of, happening = self.record, self.happening
        return Candidate(of.seq, of.wire_time, happening.lock_seconds, of.at, self.converted)

    @property
    def place(self) -> tuple[float, int, int]:
        return self.record.at, self.turn, self.record.seq

    def shown(self) -> StoredRecord:
        by_name = sorted(self.deliveries.items())
        return replace(self.record, deliveries=tuple(delivery for _, delivery in by_name))


@dataclass(slots=True)
class MemoryRecords:
    """Implements ``ports.RecordBook``, ``ports.Outbox`` and ``ports.RecordShelf``.

    Commits can stall (``..._takes``, seconds) and fail (``..._fails``) on demand; one that fails
    changes nothing.
    """

    names: tuple[str, ...] = ()
    """The configured sinks."""
    capacity: int = 100_000
    take_takes: float = 0.0
    take_fails: bool = False
    gap_takes: float = 0.0
    drained_takes: float = 0.0
    drained_fails: bool = False
    waiting_fails: bool = False
    settle_takes: float = 0.0
    settle_fails: bool = False
    rows: list[_Row] = field(default_factory=list)
    """In the order of taking: that of ``seq`` is at ``seq - 1``."""
    reports: list[TakenReport] = field(default_factory=list)
    gaps: list[tuple[str, float, str]] = field(default_factory=list)
    duplicates: dict[str, int] = field(default_factory=dict)
    routes: dict[tuple[str, str], str] = field(default_factory=dict)

    # -- the book

    async def take(self, report: TakenReport) -> Kept:
        """Store what is new of a report."""
        await _commit(self.take_takes, fails=self.take_fails)
        parts_of(report)
        matched = self._matched(report)
        if None in matched:
            self._require_room(reserve=report.only_copy)
            self.reports.append(report)
        for proven in report.proves:
            self._of(report.lock, proven, may_return=False)
        first = len(self.rows) + 1
        numbers: list[int] = []
        for happening, seq in zip(report.happenings, matched, strict=True):
            if seq is not None:
                self._of(report.lock, seq, may_return=report.may_return)
                self.duplicates[report.lock] = self.duplicates.get(report.lock, 0) + 1
            numbers.append(self._add(report, happening, first) if seq is None else seq)
        ids = tuple(self.rows[number - 1].record.id for number in numbers)
        new = tuple(one for one in numbers if one >= first)
        return Kept(records=tuple(numbers), ids=ids, new=new)

    async def drained(self, lock: str, *, up_to: int, keep: Collection[int], unix: float) -> None:
        """A drain reached its end."""
        await _commit(self.drained_takes, fails=self.drained_fails)
        for row in self._rows(lambda one: one.record.lock == lock):
            if row.record.seq <= up_to and row.record.seq not in keep:
                row.may_return = False
            if row.record.released_at is None:
                row.record = replace(row.record, released_at=unix)

    async def last_seq(self) -> int:
        """The number of the record taken last."""
        await anyio.lowlevel.checkpoint()
        return len(self.rows)

    async def note_gap(self, lock: str, *, unix: float, reason: str) -> None:
        """Something may have been lost."""
        await _commit(self.gap_takes, fails=False)
        self.gaps.append((lock, unix, reason))

    def _matched(self, report: TakenReport) -> list[int | None]:
        """Of each happening, the record that it is once more."""
        found: list[int | None] = []
        for happening in report.happenings:
            candidates = [
                row.candidate
                for row in self._rows(lambda one: one.record.lock == report.lock and one.may_return)
                if row.record.seq not in (*report.proves, *report.is_not, *found)
                and row.record.seq > report.behind
                and (row.record.dp, row.record.data) == (happening.dp, happening.data)
            ]
            chosen = choose(candidates, happening) if report.may_match else None
            found.append(None if chosen is None else chosen.seq)
        return found

    def _add(self, report: TakenReport, happening: Happening, first: int) -> int:
        seq, known = len(self.rows) + 1, {row.record.id for row in self.rows}
        ordinal = 0
        while message_id(report.device_id, happening, ordinal) in known:
            ordinal += 1
        record = StoredRecord(
            seq=seq, id=message_id(report.device_id, happening, ordinal), lock=report.lock,
            device_id=report.device_id, dp=happening.dp, type=happening.type, kind=happening.kind,
            value=happening.value, data=happening.data, wire_time=happening.wire_time,
            at=happening.at, quality=happening.quality, taken_at=report.taken_at, live=report.live,
            operation=happening.operation, late=False,
            released_at=report.taken_at if report.release else None,
        )  # fmt: skip
        waiting = {name: Delivery(sink=name, state=Carriage.WAITING) for name in self.names}
        turn = seq if report.live else -first
        self.rows.append(
            _Row(record, happening, turn, report.may_return, report.converted, waiting)
        )
        return seq

    def _require_room(self, *, reserve: bool) -> None:
        most = self.capacity if reserve else int(self.capacity * 0.9)
        for name in self.names:
            parked = len(list(self._in_state(name, Carriage.PARKED)))
            load = len(list(self._in_state(name, Carriage.WAITING))) + max(0, parked - PARKED_QUOTA)
            if load >= most:
                raise OutboxFull(f"{load} records wait for {name}; {most} may")

    # -- the outbox

    async def release_overdue(self, *, unix: float, held_for: float) -> int:
        """Release what was held too long."""
        await anyio.lowlevel.checkpoint()
        overdue = [
            row
            for row in self._rows(lambda one: one.record.released_at is None)
            if not unix - held_for <= row.record.taken_at <= unix + FUTURE_SLACK
        ]
        for row in overdue:
            row.record = replace(row.record, released_at=unix, late=True)
        return len(overdue)

    async def waiting(self, sink: str, *, limit: int, skip: Collection[str]) -> list[StoredRecord]:
        """What to carry next, of one lock."""
        await _commit(0.0, fails=self.waiting_fails)
        of: dict[str, list[_Row]] = {}
        for row in self._in_state(sink, Carriage.WAITING):
            if row.record.released_at is not None and row.record.lock not in skip:
                of.setdefault(row.record.lock, []).append(row)
        queues = [sorted(rows, key=lambda row: row.place) for rows in of.values()]
        first = min(
            queues, key=lambda rows: (rows[0].record.taken_at, rows[0].record.lock), default=[]
        )
        return [row.shown() for row in first[:limit]]

    async def settle(self, sink: str, receipts: Sequence[tuple[int, Receipt]]) -> None:
        """Note the sink's word."""
        await _commit(self.settle_takes, fails=self.settle_fails)
        for seq, receipt in receipts:
            deliveries = self.rows[seq - 1].deliveries if 0 < seq <= len(self.rows) else {}
            delivery = deliveries.get(sink)
            if delivery is None or delivery.state is not Carriage.WAITING:
                continue
            match receipt.kind:
                case ReceiptKind.DONE:
                    delivery = replace(delivery, state=Carriage.DONE, code=receipt.code)
                case ReceiptKind.POISON:
                    delivery = replace(delivery, state=Carriage.PARKED, code=receipt.code)
                case ReceiptKind.LATER | ReceiptKind.NO_ROUTE:
                    attempts = delivery.attempts + 1
                    delivery = replace(delivery, attempts=attempts, code=receipt.code)
            deliveries[sink] = delivery

    async def close_route(self, sink: str, lock: str, code: str, *, unix: float) -> None:
        """The sink refuses this lock."""
        del unix
        await anyio.lowlevel.checkpoint()
        self.routes[sink, lock] = code

    async def open_route(self, sink: str, lock: str) -> None:
        """It takes it again."""
        await anyio.lowlevel.checkpoint()
        self.routes.pop((sink, lock), None)

    async def routes_closed(self, sink: str) -> dict[str, str]:
        """Lock and code."""
        await anyio.lowlevel.checkpoint()
        return {lock: code for (name, lock), code in sorted(self.routes.items()) if name == sink}

    # -- the shelf

    async def records(self, query: RecordQuery) -> list[StoredRecord]:
        """Those that a query asks for."""
        await anyio.lowlevel.checkpoint()
        found = [row.shown() for row in self.rows if _fits(row, query)]
        if query.after_seq is None:
            found.sort(key=lambda one: (one.at, one.seq), reverse=True)
        return found[: query.limit]

    async def record(self, record_id: str) -> StoredRecord | None:
        """One, by its name."""
        await anyio.lowlevel.checkpoint()
        return next((row.shown() for row in self.rows if row.record.id == record_id), None)

    async def retry(self, record_id: str, *, sink: str | None = None) -> int:
        """Let a parked one wait again."""
        return await self._decide(record_id, sink, Carriage.WAITING)

    async def drop(self, record_id: str, *, sink: str | None = None) -> int:
        """Give a parked one up."""
        return await self._decide(record_id, sink, Carriage.DROPPED)

    async def forget(self, sink: str) -> int:
        """Give up what is left for a sink that is gone."""
        await anyio.lowlevel.checkpoint()
        if sink in self.names:
            return 0
        self.routes = {key: code for key, code in self.routes.items() if key[0] != sink}
        left = [
            row
            for state in (Carriage.WAITING, Carriage.PARKED)
            for row in self._in_state(sink, state)
        ]
        for row in left:
            row.deliveries[sink] = replace(row.deliveries[sink], state=Carriage.DROPPED)
        return len(left)

    async def _decide(self, record_id: str, sink: str | None, state: Carriage) -> int:
        await anyio.lowlevel.checkpoint()
        changed = 0
        for row in self._rows(lambda one: one.record.id == record_id):
            for name, delivery in row.deliveries.items():
                if delivery.state is Carriage.PARKED and sink in (None, name):
                    row.deliveries[name] = replace(delivery, state=state)
                    changed += 1
        return changed

    async def sinks(self) -> list[SinkState]:
        """Every sink that is configured or has something left."""
        await anyio.lowlevel.checkpoint()
        known = sorted({name for row in self.rows for name in row.deliveries})
        states = []
        for name in dict.fromkeys((*self.names, *known)):
            number = {state: len(list(self._in_state(name, state))) for state in Carriage}
            if name not in self.names and not number[Carriage.WAITING] + number[Carriage.PARKED]:
                continue
            waiting = [row.record for row in self._in_state(name, Carriage.WAITING)]
            states.append(
                SinkState(
                    sink=name, waiting=number[Carriage.WAITING],
                    held=sum(one.released_at is None for one in waiting),
                    done=number[Carriage.DONE], parked=number[Carriage.PARKED],
                    dropped=number[Carriage.DROPPED],
                    oldest_waiting=min((one.taken_at for one in waiting), default=None),
                    routes_closed=await self.routes_closed(name), configured=name in self.names,
                )
            )  # fmt: skip
        return states

    async def counts(self) -> dict[str, TakenCounts]:
        """By lock."""
        await anyio.lowlevel.checkpoint()
        taken = [row.record.lock for row in self.rows]
        gaps = [lock for lock, _, _ in self.gaps]
        return {
            lock: TakenCounts(
                taken=taken.count(lock),
                duplicate=self.duplicates.get(lock, 0),
                gaps=gaps.count(lock),
            )
            for lock in sorted({*taken, *gaps, *self.duplicates})
        }

    def _rows(self, fits: Callable[[_Row], bool]) -> Iterator[_Row]:
        return (row for row in self.rows if fits(row))

    def _in_state(self, sink: str, state: Carriage) -> Iterator[_Row]:
        for row in self.rows:
            delivery = row.deliveries.get(sink)
            if delivery is not None and delivery.state is state:
                yield row

    def _of(self, lock: str, seq: int, *, may_return: bool) -> None:
        if 0 < seq <= len(self.rows) and self.rows[seq - 1].record.lock == lock:
            self.rows[seq - 1].may_return = may_return


async def _commit(takes: float, *, fails: bool) -> None:
    await anyio.sleep(takes)
    if fails:
        raise StoreError("the commit failed")


def _fits(row: _Row, query: RecordQuery) -> bool:
    record = row.record
    return (
        query.lock in (None, record.lock)
        and (query.since is None or record.at >= query.since)
        and (query.until is None or record.at < query.until)
        and (not query.kinds or record.kind in query.kinds)
        and (query.before is None or (record.at, record.seq) < query.before)
        and (query.after_seq is None or record.seq > query.after_seq)
        and (query.state is None or query.state in {one.state for one in row.deliveries.values()})
    )
