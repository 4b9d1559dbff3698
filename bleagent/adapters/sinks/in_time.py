"""A sink of the vendor's cloud, which is told of an added password in time or not at all.

The lock's word about one has a number, and not which password it is. A cloud that learns it late
may take it for one that was made meanwhile, and leave a deleted one in the lock for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from bleagent.ports import Clock
from bleagent.records.ports import RecordSink
from bleagent.records.record import Receipt, ReceiptKind, StoredRecord
from protocol.records import RecordKind

IN_TIME = 600.0
"""Seconds: the cloud is asked that often what it holds."""
TOO_LATE = Receipt(
    kind=ReceiptKind.POISON,
    code="too-late",
    detail="the cloud could take it for another password by now",
    advice="It can be dropped: GET /v1/locks tells what is at the lock.",
)


class InTime:
    """Implements ``ports.RecordSink``, over the one that carries."""

    def __init__(self, sink: RecordSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock

    @property
    def name(self) -> str:
        """The operator's name for it."""
        return self._sink.name

    @property
    def batch(self) -> int:
        """How many records one call may carry."""
        return self._sink.batch

    async def deliver(self, records: Sequence[StoredRecord]) -> list[Receipt]:
        """Those that come in time, in their order; a word for each."""
        late = [self._is_late(one) for one in records]
        going = [one for one, is_late in zip(records, late, strict=True) if not is_late]
        words = iter(await self._sink.deliver(going) if going else ())
        return [TOO_LATE if is_late else next(words) for is_late in late]

    def _is_late(self, record: StoredRecord) -> bool:
        added = record.kind is RecordKind.ADD_TEMPORARY_PASSWORD
        return added and self._clock.unix() - record.at > IN_TIME
