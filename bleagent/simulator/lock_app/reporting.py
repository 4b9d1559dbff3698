"""How the lock application's words become reports, in the generation that it runs on.

Protocol 3.x is recorded. The 4.x and security V2 forms are inferred: no lock application of
those generations is public. They are the same words as 0x8006 and 0x8007, active, for cloud
and panel, numbered from 1 at every power-up. That an unacknowledged record is sent again and
holds the next one back is a quirk (reference: locks in the field §3, K3).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from bleagent.simulator.log import RecordSent
from bleagent.simulator.machine import Machine
from protocol import CommandCode, Datapoint, Report, ReportTime
from protocol.reports import ReportAck

RESEND = "resend"
_RESEND_AFTER = 6.0
_MOST_SENDINGS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedRecord:
    """A record on its way: ``slot`` where it came from the ring, ``stored`` if it is there."""

    datapoint: Datapoint
    time: int
    slot: int | None
    stored: bool


class Reporter:
    """Sends replies, states and records."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._v4 = machine.radio.firmware.protocol[0] >= 4
        self._report_sn = 0
        self._unacked: TimedRecord | None = None
        self._sendings = 0
        self._held: deque[TimedRecord] = deque()
        self._backlog_sns: set[int] = set()
        """Under which numbers the record of the ring went out that is not acknowledged yet."""

    def state(self, datapoint: Datapoint) -> Report | None:
        """A report without a time; None where the SDK refuses to send one without data."""
        if not datapoint.data and not self._machine.radio.firmware.takes_empty_datapoints:
            return None
        code = self._machine.radio.firmware.dialect.untimed_report
        return self._numbered(Report(code=code, datapoints=(datapoint,)))

    def _numbered(self, report: Report) -> Report:
        if not self._v4:
            return report
        self._report_sn += 1
        return replace(report, sn=self._report_sn)

    def record(self, record: TimedRecord, now: float) -> None:
        """Send a record, or hold it back behind one that was not acknowledged (a quirk)."""
        if not self._machine.paired:
            return
        if self._machine.quirks.resends_unacked_records:
            if self._unacked is not None:
                self._held.append(record)
                return
            self._unacked, self._sendings = record, 0
        self._send(record, now)

    def _send(self, record: TimedRecord, now: float) -> None:
        code = CommandCode.REPORT_TIMED_V4 if self._v4 else CommandCode.REPORT_TIMED
        report = Report(
            code=code, datapoints=(record.datapoint,), time=ReportTime.unix(record.time)
        )
        report = self._numbered(report)
        sn = self._machine.report(report)
        if not sn:
            return
        if record.slot is not None:
            self._backlog_sns.add(report.sn)
        self._machine.log.add(
            RecordSent(
                at=now, connection=self._machine.connection, sn=sn, dp=record.datapoint.id,
                time=record.time, slot=record.slot, stored=record.stored,
            )
        )  # fmt: skip
        if self._unacked is not None:
            self._sendings += 1
            self._machine.timers.restart(RESEND, now + _RESEND_AFTER)

    def is_for_backlog(self, ack: ReportAck) -> bool:
        """Whether an acknowledgement counts for the ring.

        Those of 3.x have no number, and count whatever they were meant for. In 4.x they name the
        report (inferred: no lock application of that generation is public).
        """
        if not self._v4:
            return True
        meant = ack.sn in self._backlog_sns
        if meant:
            self._backlog_sns.clear()
        return meant

    def acked(self, now: float) -> None:
        """A timed report was acknowledged: the next one may go."""
        if self._unacked is None:
            return
        self._unacked = None
        self._machine.timers.stop(RESEND)
        if self._held:
            self.record(self._held.popleft(), now)

    def resend(self, now: float) -> None:
        """Nobody acknowledged: once more, or give up."""
        if self._unacked is None or self._sendings >= _MOST_SENDINGS:
            self.acked(now)
        else:
            self._send(self._unacked, now)

    def link_lost(self) -> list[TimedRecord]:
        """What was held back and is lost with the link, unless it is stored."""
        self._machine.timers.stop(RESEND)
        held = [one for one in self._held if not one.stored]
        self._held.clear()
        self._unacked = None
        self._backlog_sns.clear()
        return held
