"""What is remembered of the last word of cloud, sinks and locks, for whoever asks how things are.

Each is told as things happen, keeps one fact for each of those that are configured, and forgets it
when it is not true any more. Times are the clock's monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bleagent.cloud.client import CloudEvent
from bleagent.cloud.errors import CloudError, kinds
from bleagent.errors import AgentError, ConfigError, StoreError
from bleagent.records.outbox import CarriageListener
from bleagent.records.record import Kept, Receipt, StoredRecord
from bleagent.records.taking import RecordListener

MENDED_AFTER = 30.0
"""Seconds without a failure after which the outbox works again: one that fails is asked each 5."""
_FAULT = "fault"
CANCELLED = "cancelled"
"""What a request to the cloud is called whose caller gave up: it says nothing of the cloud."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that is wrong. ``of`` names the lock, sink or adapter, where it is one's own."""

    code: str
    detail: str
    advice: str
    since: float | None = None
    """``None``: since it was seen first."""
    of: str = ""

    @classmethod
    def by(cls, error: AgentError, *, since: float | None = None, of: str = "") -> Trouble:
        """What an error says."""
        return cls(code=error.code, detail=str(error), advice=error.advice, since=since, of=of)


class CloudWatch:
    """The cloud's last word. Its *no* is one: it was there to say it."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._kinds = kinds()
        self.answered_at: float | None = None
        self.failed_at: float | None = None
        self.trouble: Trouble | None = None

    def heard(self, event: CloudEvent) -> None:
        """One request, and what became of it."""
        kind = self._kinds.get(event.outcome, CloudError)
        if event.outcome == CANCELLED:
            return
        if event.outcome == "ok" or kind.refusal:
            self.answered_at, self.trouble = self._now(), None
            return
        self.failed_at = self._now()
        since = self.failed_at if self.trouble is None else self.trouble.since
        self.trouble = Trouble(
            code=event.outcome, detail=f"{event.call} had no answer that can be used",
            advice=kind.advice, since=since,
        )  # fmt: skip


class ConfigWatch:
    """What the last word about the configuration was, since the start."""

    def __init__(self) -> None:
        self.trouble: Trouble | None = None

    def read(self) -> None:
        """It is that of the file."""
        self.trouble = None

    def refused(self, error: AgentError) -> None:
        """The file says something that is not in force."""
        detail = str(error)
        if type(error) is ConfigError:  # what was found there is for the log, not for every reader
            count = len(detail.splitlines())
            detail = f"the file has mistakes: the log names {count} of them (config.not_read)"
        self.trouble = Trouble(code=error.code, detail=detail, advice=error.advice)


class RecordWatch(RecordListener, CarriageListener):
    """What is in the way of taking records off the locks, and of carrying them."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._not_kept: dict[str, Trouble] = {}
        self._failing: dict[str, Trouble] = {}
        self._failed_at: dict[str, float] = {}
        self._outbox: Trouble | None = None
        self._outbox_failed_at = 0.0

    def of_locks(self) -> list[Trouble]:
        """Locks whose records cannot be stored."""
        return list(self._not_kept.values())

    def of_sinks(self) -> list[Trouble]:
        """Sinks that take nothing, and what keeps the outbox from being read."""
        if self._outbox is not None and self._now() - self._outbox_failed_at > MENDED_AFTER:
            self._outbox = None
        first = [] if self._outbox is None else [self._outbox]
        return [*first, *self._failing.values()]

    def nothing_waits(self, sink: str, at: float) -> None:
        """Nothing did at that time: a failure before it has nobody any more."""
        if self._failed_at.get(sink, at) < at:
            self._takes(sink)

    # -- as RecordListener

    def kept(self, lock: str, kept: Kept, *, live: bool) -> None:
        """A report is on disk."""
        del kept, live
        self._not_kept.pop(lock, None)

    def not_kept(self, lock: str, error: AgentError) -> None:
        """A report cannot be stored at the moment."""
        if lock not in self._not_kept or self._not_kept[lock].code != error.code:
            self._not_kept[lock] = Trouble.by(error, since=self._now(), of=lock)

    # -- as CarriageListener

    def delivered(self, sink: str, lock: str, count: int) -> None:
        """A sink has taken records."""
        del lock, count
        self._takes(sink)

    def parked(self, sink: str, record: StoredRecord, receipt: Receipt) -> None:
        """A sink will never take this one: it is there to say so."""
        del record, receipt
        self._takes(sink)

    def postponed(self, sink: str, lock: str, receipt: Receipt, seconds: float) -> None:
        """Not now."""
        del lock, seconds
        if receipt.code != _FAULT:
            self._fails(sink, receipt.code, receipt.detail, receipt.advice)

    def store_failed(self, error: StoreError) -> None:
        """The outbox cannot be read or written at the moment."""
        self._outbox_failed_at = self._now()
        if self._outbox is None:
            self._outbox = Trouble.by(error, since=self._outbox_failed_at)

    def sink_failed(self, sink: str, error: Exception) -> None:
        """A fault of ours in a sink; its words could hold anything."""
        detail = f"a fault of the agent ({type(error).__name__})"
        self._fails(sink, _FAULT, detail, AgentError.advice)

    def _takes(self, sink: str) -> None:
        self._failing.pop(sink, None)
        self._failed_at.pop(sink, None)

    def _fails(self, sink: str, code: str, detail: str, advice: str) -> None:
        self._failed_at[sink] = self._now()
        before = self._failing.get(sink)
        self._failing[sink] = Trouble(
            code=code, detail=detail, advice=advice or "It is tried again by itself.",
            since=self._failed_at[sink] if before is None else before.since, of=sink,
        )  # fmt: skip
