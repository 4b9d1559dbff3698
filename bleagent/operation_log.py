"""What the log says of operations: one line when one ends, one for what is heard after it."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from . import logs
from .doors import Listener
from .model import OperationRecord
from .visit import Evidence

log = structlog.get_logger()


class OperationLog(Listener):
    """Implements ``doors.Listener``. ``changed`` is called when one ended or more is known."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._changed = changed

    def finished(self, record: OperationRecord) -> None:
        """An operation ended."""
        self._tell("operation.finished", record)
        self._changed()

    def recovered(self, record: OperationRecord) -> None:
        """An operation that a crash left open was closed."""
        self._tell("operation.recovered", record)

    def _tell(self, event: str, record: OperationRecord) -> None:
        ending = record.ending
        if ending is None:
            return
        log.info(
            event, operation=record.id, lock=record.lock, action=record.action,
            principal=record.principal, outcome=ending.outcome, code=ending.code, by=ending.by,
            result=ending.result, offline=ending.offline, late=ending.late,
            steps={step: round(seconds, 4) for step, seconds in ending.steps.items()},
        )  # fmt: skip

    def learned(self, record: OperationRecord, evidence: Evidence, *, contradiction: bool) -> None:
        """The lock said something more; where it does not fit the outcome, somebody should look."""
        if contradiction:
            log.warning(
                "operation.contradicted", operation=record.id, lock=record.lock, evidence=evidence,
                outcome=None if record.ending is None else record.ending.outcome,
                advice="Look at the door.",
            )  # fmt: skip
        else:
            log.info("operation.evidence", operation=record.id, lock=record.lock, evidence=evidence)
        self._changed()

    def failed(self, operation_id: str, error: Exception) -> None:
        """Something went wrong in an operation that nobody expected."""
        _tell_fault("operation.fault", error, operation=operation_id)

    def lock_failed(self, lock: str, error: Exception) -> None:
        """Something went wrong with the connection to a lock that nobody expected."""
        _tell_fault("lock.fault", error, lock=lock)


def _tell_fault(event: str, error: Exception, **about: str) -> None:
    """What and where, never the message or a value: they could hold a secret (safety G1)."""
    log.error(
        event, **about, **logs.fault(error),
        advice="This is a fault of bleagent; report it with this line.",
    )  # fmt: skip
