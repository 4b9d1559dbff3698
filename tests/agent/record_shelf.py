"""A small shelf of records, for whoever looks at them over HTTP."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from bleagent.records.record import (
    Carriage,
    Delivery,
    RecordQuery,
    SinkState,
    StoredRecord,
    TakenCounts,
    TimeQuality,
)
from protocol import DpType, Secret
from protocol.records import RecordKind

AT = 1_717_364_263.0  # 2024-06-02 21:37:43 UTC


def stored(
    seq: int, *, at: float = AT, lock: str = "front", kind: RecordKind = RecordKind.FINGERPRINT,
    value: int | None = 3, data: bytes = b"", quality: TimeQuality = TimeQuality.LOCK,
    operation: str | None = None, released: bool = True, **deliveries: tuple[Carriage, str],
) -> StoredRecord:  # fmt: skip
    """A record; ``deliveries`` are state and code by sink."""
    return StoredRecord(
        seq=seq, id=f"{seq:032x}", lock=lock, device_id="device", dp=12, type=DpType.VALUE,
        kind=kind, value=value, data=Secret(data), wire_time=str(int(at * 1000)), at=at,
        quality=quality, taken_at=at + 60, live=False, operation=operation,
        released_at=at + 70 if released else None, late=False,
        deliveries=tuple(
            Delivery(sink=sink, state=state, attempts=1, code=code)
            for sink, (state, code) in deliveries.items()
        ),
    )  # fmt: skip


class TinyShelf:
    """Implements ``ports.RecordShelf`` over a list."""

    def __init__(self, *records: StoredRecord) -> None:
        self.kept = list(records)
        self._seq = count(max((one.seq for one in records), default=0) + 1)
        self.asked: list[RecordQuery] = []
        self.gone: set[str] = set()
        """Sinks that are not configured any more."""

    def add(self, *, at: float = AT, kind: RecordKind = RecordKind.FINGERPRINT) -> StoredRecord:
        """One more."""
        self.kept.append(stored(next(self._seq), at=at, kind=kind))
        return self.kept[-1]

    async def last_seq(self) -> int:
        """As ``RecordBook.last_seq``."""
        return max((one.seq for one in self.kept), default=0)

    async def records(self, query: RecordQuery) -> list[StoredRecord]:
        """By the words of ``RecordQuery``."""
        self.asked.append(query)
        found = [one for one in self.kept if _fits(one, query)]
        if query.after_seq is not None:
            found.sort(key=lambda one: one.seq)
        else:
            found.sort(key=lambda one: (one.at, one.seq), reverse=True)
        return found[: query.limit]

    async def record(self, record_id: str) -> StoredRecord | None:
        """By id."""
        return next((one for one in self.kept if one.id == record_id), None)

    async def retry(self, record_id: str, *, sink: str | None = None) -> int:
        """Parked ones wait."""
        return self._change(record_id, sink, Carriage.WAITING)

    async def drop(self, record_id: str, *, sink: str | None = None) -> int:
        """Parked ones are given up."""
        return self._change(record_id, sink, Carriage.DROPPED)

    async def forget(self, sink: str) -> int:
        """All that is left for one that is gone is given up."""
        changed = 0
        for number, record in enumerate(self.kept if sink in self.gone else ()):
            left = [
                one.sink == sink and one.state in (Carriage.WAITING, Carriage.PARKED)
                for one in record.deliveries
            ]
            changed += sum(left)
            self.kept[number] = replace(
                record,
                deliveries=tuple(
                    replace(one, state=Carriage.DROPPED) if gone else one
                    for one, gone in zip(record.deliveries, left, strict=True)
                ),
            )
        return changed

    def _change(self, record_id: str, sink: str | None, state: Carriage) -> int:
        changed = 0
        for number, record in enumerate(self.kept):
            if record.id != record_id:
                continue
            deliveries = []
            for one in record.deliveries:
                chosen = one.state is Carriage.PARKED and sink in (None, one.sink)
                changed += chosen
                deliveries.append(replace(one, state=state) if chosen else one)
            self.kept[number] = replace(record, deliveries=tuple(deliveries))
        return changed

    async def sinks(self) -> list[SinkState]:
        """Counted."""
        every = [(one, record) for record in self.kept for one in record.deliveries]

        def state(sink: str) -> SinkState:
            mine = [(one.state, record) for one, record in every if one.sink == sink]
            states = [state for state, _ in mine]
            waiting = [record for state, record in mine if state is Carriage.WAITING]
            return SinkState(
                sink=sink, waiting=len(waiting),
                held=sum(one.released_at is None for one in waiting),
                done=states.count(Carriage.DONE),
                parked=states.count(Carriage.PARKED), dropped=states.count(Carriage.DROPPED),
                oldest_waiting=min((one.taken_at for one in waiting), default=None),
                routes_closed={"back": "1106"} if sink == "cloud" else {},
                configured=sink not in self.gone,
            )  # fmt: skip

        return [state(sink) for sink in sorted({one.sink for one, _ in every})]

    async def counts(self) -> dict[str, TakenCounts]:
        """By lock."""
        locks = [one.lock for one in self.kept]
        return {
            lock: TakenCounts(taken=locks.count(lock), duplicate=2, gaps=1) for lock in set(locks)
        }


def _fits(one: StoredRecord, query: RecordQuery) -> bool:
    return (
        (query.lock is None or one.lock == query.lock)
        and (query.since is None or one.at >= query.since)
        and (query.until is None or one.at <= query.until)
        and (not query.kinds or one.kind in query.kinds)
        and (query.state is None or any(d.state is query.state for d in one.deliveries))
        and (query.before is None or (one.at, one.seq) < query.before)
        and (query.after_seq is None or one.seq > query.after_seq)
    )
