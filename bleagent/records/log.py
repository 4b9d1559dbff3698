"""What the log says of records: one line for a drain, a delivery, and whatever is in the way.

Never a value of a record: who came home is nobody's business who reads a log.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from bleagent import logs
from bleagent.errors import AgentError, StoreError

from .outbox import CarriageListener
from .record import Kept, Receipt, StoredRecord
from .taking import Drained, RecordListener

log = structlog.get_logger()


class RecordLog(RecordListener, CarriageListener):
    """Implements both listeners.

    ``released`` is called when sinks may have something new, ``taken`` when there is a record more.
    """

    def __init__(
        self,
        released: Callable[[], None] = lambda: None,
        taken: Callable[[], None] = lambda: None,
    ) -> None:
        self._released = released
        self._taken = taken
        self._failing: set[str] = set()
        """Locks whose reports cannot be stored at the moment: told once, not every second."""
        self._resting: dict[str, float] = {}
        self._new: dict[str, int] = {}
        self._again: dict[str, int] = {}

    # -- taken

    def kept(self, lock: str, kept: Kept, *, live: bool) -> None:
        """A report is on disk."""
        if lock in self._failing:
            self._failing.discard(lock)
            log.info("records.kept_again", lock=lock)
        self._new[lock] = self._new.get(lock, 0) + len(kept.new)
        self._again[lock] = self._again.get(lock, 0) + len(kept.records) - len(kept.new)
        if live:
            log.info("records.live", lock=lock, new=len(kept.new))
            self._released()
        if kept.new:
            self._taken()

    def not_kept(self, lock: str, error: AgentError) -> None:
        """A report cannot be stored at the moment."""
        if lock not in self._failing:
            self._failing.add(lock)
            log.error(
                "records.not_kept", lock=lock, code=error.code, detail=str(error),
                advice=error.advice,
            )  # fmt: skip

    def lost(self, lock: str, error: AgentError) -> None:
        """A report that exists nowhere else is given up."""
        log.error(
            "records.lost", lock=lock, code=error.code, detail=str(error), advice=error.advice
        )

    def drained(self, drained: Drained) -> None:
        """A drain ended: ``new`` and ``again`` count what came on this connection until then."""
        new, again = self._new.pop(drained.lock, 0), self._again.pop(drained.lock, 0)
        tell = log.info if drained.why in ("", "left") else log.warning
        tell(
            "records.drained" if not drained.why else "records.not_drained",
            lock=drained.lock, new=new, again=again, acknowledged=drained.acknowledged,
            seconds=round(drained.seconds, 2), **({"why": drained.why} if drained.why else {}),
        )  # fmt: skip
        if not drained.why:
            self._released()

    # -- carried

    def delivered(self, sink: str, lock: str, count: int) -> None:
        """A sink has taken records."""
        if self._resting.pop(sink, None) is not None:
            log.info("sink.takes_again", sink=sink)
        log.info("records.delivered", sink=sink, lock=lock, count=count)

    def parked(self, sink: str, record: StoredRecord, receipt: Receipt) -> None:
        """A sink will never take this one."""
        log.warning(
            "record.parked", sink=sink, lock=record.lock, record=record.id, code=receipt.code,
            detail=receipt.detail, advice="bleagent records retry or drop it.",
        )  # fmt: skip

    def postponed(self, sink: str, lock: str, receipt: Receipt, seconds: float) -> None:
        """Not now; told when it begins and whenever the wait has doubled."""
        if seconds >= 2 * self._resting.get(sink, 0.0):
            self._resting[sink] = seconds
            log.warning(
                "sink.postponed", sink=sink, lock=lock, code=receipt.code, detail=receipt.detail,
                again_in=round(seconds, 1),
                **({"advice": receipt.advice} if receipt.advice else {}),
            )  # fmt: skip

    def route_closed(self, sink: str, lock: str, receipt: Receipt) -> None:
        """A sink refuses a lock as such."""
        log.error(
            "sink.refuses_lock", sink=sink, lock=lock, code=receipt.code, detail=receipt.detail,
            advice="Link the lock to the sink's project; its records wait, and none is lost.",
        )  # fmt: skip

    def route_opened(self, sink: str, lock: str) -> None:
        """It takes it again."""
        log.info("sink.takes_lock", sink=sink, lock=lock)

    def released_late(self, count: int) -> None:
        """Records are carried although older ones may still come."""
        log.warning("records.released_late", count=count)

    def store_failed(self, error: StoreError) -> None:
        """The outbox cannot be read or written at the moment."""
        log.error("outbox.failed", code=error.code, detail=str(error), advice=error.advice)

    def sink_failed(self, sink: str, error: Exception) -> None:
        """A fault of ours in a sink."""
        log.error(
            "sink.fault", sink=sink, **logs.fault(error),
            advice="This is a fault of bleagent; report it with this line.",
        )  # fmt: skip

    def failed(self, error: Exception) -> None:
        """A fault of ours in what is done to the records by the way."""
        log.error(
            "records.fault", **logs.fault(error),
            advice="This is a fault of bleagent; report it with this line.",
        )  # fmt: skip
