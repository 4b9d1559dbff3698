"""When a record may be acknowledged to a 3.x lock: acks are credits, not answers.

Every status-0 acknowledgement of 0x8003 deletes the record that the lock sent last *from its
backlog*, whichever record was meant; before the first backlog record of a drain it deletes
whatever the lock's variable points at, and strands the rest (captures
``lock-records-stranded``, ``lock-records-during-drain``; reference: safety D1). So a credit is
earned by a backlog record that is on disk, and spent by one acknowledgement.

4.x locks re-send and hold back; their reports are acknowledged one by one, without credits, and
only the end of a drain is told from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from .errors import LocalProtocolError
from .reports import Report

QUIET = 2.5
"""Seconds without a timed report after which a drain is over; the lock says nothing at its
end and starts a drain about 1 s after it was asked."""
CLOCK_SLACK = 2.0
"""Seconds by which a live record may look older than the question for the backlog: the lock
counts whole seconds and rounds the time it is told."""


class RecordAcks(StrEnum):
    """Strategy for acknowledging 0x8003."""

    CREDITS = "credits"  # the default: never more acks than backlog records on disk
    FREE = "free"  # every report may be acknowledged: recordings, and SDKs without a backlog


class Origin(StrEnum):
    """Where a timed report came from, as far as can be told."""

    LIVE = "live"  # happening now; wants no acknowledgement
    BACKLOG = "backlog"  # handed out by the drain
    UNSURE = "unsure"  # could be either: acknowledged only after quiet


@dataclass(slots=True)
class RecordCredits:
    """The credits of one connection to a 3.x lock.

    Call ``asked`` when the question for the backlog was handed over, ``received`` for every
    timed report, ``stored`` when one of them is on disk, and ``spend`` for each
    acknowledgement of status 0.
    """

    _asked_at: float | None = None
    _lock_time_when_asked: float | None = None
    _last_backlog_time: float | None = None
    _last_is_unsure: bool = False
    _last_report_at: float = 0.0
    _waiting: list[Report] = field(default_factory=list)
    _unsure: list[Report] = field(default_factory=list)
    _open: int = 0
    _unsure_stored: int = 0
    _over: bool = False

    def asked(self, now: float, lock_time: float | None) -> None:
        """The drain was asked for; ``lock_time`` is the lock's clock then, if we set it."""
        self._asked_at = self._last_report_at = now
        self._lock_time_when_asked = lock_time
        self._last_backlog_time = None
        self._over = False

    def received(self, report: Report, now: float) -> Origin:
        """Tell where a timed report came from. The backlog comes newest first."""
        origin = self._origin(report, now)
        if self._asked_at is not None and not self._over:
            self._last_report_at = now
        if origin is not Origin.LIVE and report.time is not None:
            # Also of an unsure one: whichever it was, only a live record can be newer now.
            self._last_backlog_time = report.time.seconds
            self._last_is_unsure = origin is Origin.UNSURE
        if report.ack() is None:
            return origin  # nothing is owed for it
        if origin is Origin.BACKLOG:
            self._waiting.append(report)
        elif origin is Origin.UNSURE:
            self._unsure.append(report)
        return origin

    def stored(self, report: Report) -> None:
        """A received report is on disk: a backlog record earns its credit.

        Only the newest credit counts: the lock forgets the one record it sent last.
        """
        for index, waiting in enumerate(self._waiting):
            if waiting is report:
                del self._waiting[index]
                self._open += 1
                return
        for index, unsure in enumerate(self._unsure):
            if unsure is report:
                del self._unsure[index]
                self._unsure_stored += 1
                return

    def available(self, now: float) -> bool:
        """Whether one acknowledgement of status 0 may go out now."""
        if self._asked_at is None or self._over:
            return False
        if self._waiting or self._unsure:
            return False  # it could be the one that the lock forgets
        if self._open:
            return True
        return self._unsure_stored > 0 and now - self._last_report_at >= QUIET

    def check(self, now: float) -> None:
        """Insist on a credit.

        Raises:
            LocalProtocolError: there is none.
        """
        if not self.available(now):
            raise LocalProtocolError(
                "no credit for an acknowledgement: ask for the backlog, take a record of it "
                "and store it first"
            )

    def spend(self, now: float) -> None:
        """Use a credit. After it there is none until the next backlog record is on disk.

        Raises:
            LocalProtocolError: there is none.
        """
        self.check(now)
        self.settle(now)

    def settle(self, now: float) -> None:
        """A report was acknowledged: the next one of the backlog may come."""
        self._open = self._unsure_stored = 0
        self._last_report_at = now

    def is_over(self, now: float) -> bool:
        """Whether the drain has ended: quiet, and nothing left to acknowledge."""
        if self._asked_at is None or self._over:
            return True
        pending = self._waiting or self._unsure or self._open or self._unsure_stored
        if not pending and now - self._last_report_at >= QUIET:
            self._over = True
        return self._over

    def _origin(self, report: Report, now: float) -> Origin:
        if self._asked_at is None or self.is_over(now) or report.time is None:
            return Origin.LIVE
        at = report.time.seconds
        if self._last_backlog_time is not None:
            if at == self._last_backlog_time and self._last_is_unsure:
                return Origin.UNSURE  # the lock counts whole seconds: both may be live
            return Origin.LIVE if at > self._last_backlog_time else Origin.BACKLOG
        asked = self._lock_time_when_asked
        if asked is not None and at < asked - CLOCK_SLACK:
            return Origin.BACKLOG
        return Origin.UNSURE
