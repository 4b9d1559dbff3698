"""What happens at the doors and to records, as rows of the audit (reference: safety H3)."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256

from bleagent.doors import Listener
from bleagent.model import OperationRecord
from bleagent.records.ports import RecordBook
from bleagent.records.record import Kept, TakenReport
from bleagent.visit import Evidence

from .chain import Audit
from .writer import FINISHED


def key_hash(key: str) -> str:
    """An Idempotency-Key in the audit: callers choose them, and one may be a secret."""
    return sha256(key.encode()).hexdigest()[:32]


class AuditedDoors(Listener):
    """Implements ``doors.Listener``."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def finished(self, record: OperationRecord) -> None:
        """An operation ended."""
        self._tell(FINISHED, record)

    def recovered(self, record: OperationRecord) -> None:
        """An operation that a crash left open was closed."""
        self._tell("operation.recovered", record)

    def _tell(self, event: str, record: OperationRecord) -> None:
        ending = record.ending
        if ending is None:
            return
        self._audit.tell(
            event, principal=record.principal, lock=record.lock, operation=record.id,
            action=str(record.action), via=record.via, outcome=str(ending.outcome),
            code=ending.code, by=ending.by, result=ending.result, moved=ending.moved,
            offline=ending.offline, late=ending.late, evidence=list(ending.evidence),
            key_hash=key_hash(record.key),
        )  # fmt: skip

    def learned(self, record: OperationRecord, evidence: Evidence, *, contradiction: bool) -> None:
        """The lock said something more about an operation that ended."""
        self._audit.tell(
            "operation.contradicted" if contradiction else "operation.evidence",
            lock=record.lock, operation=record.id, evidence=evidence,
        )  # fmt: skip

    def failed(self, operation_id: str, error: Exception) -> None:
        """Something went wrong that nobody expected."""
        self._audit.tell("operation.fault", operation=operation_id, error=type(error).__name__)


class AuditedBook:
    """Implements ``ports.RecordBook`` over another: an opening's record, and a gap, are told."""

    def __init__(self, audit: Audit, book: RecordBook) -> None:
        self._audit = audit
        self._book = book

    async def take(self, report: TakenReport) -> Kept:
        """As the book's."""
        kept = await self._book.take(report)
        for happening, number, record in zip(
            report.happenings, kept.records, kept.ids, strict=True
        ):
            if happening.operation is not None and number in kept.new:
                self._audit.tell(
                    "operation.record", lock=report.lock, operation=happening.operation,
                    record=record,
                )  # fmt: skip
        return kept

    async def drained(self, lock: str, *, up_to: int, keep: Collection[int], unix: float) -> None:
        """As the book's."""
        await self._book.drained(lock, up_to=up_to, keep=keep, unix=unix)

    async def last_seq(self) -> int:
        """As the book's."""
        return await self._book.last_seq()

    async def note_gap(self, lock: str, *, unix: float, reason: str) -> None:
        """As the book's; told also where it cannot be stored."""
        self._audit.tell("records.gap", lock=lock, reason=reason)
        await self._book.note_gap(lock, unix=unix, reason=reason)
