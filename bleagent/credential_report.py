"""A lock's list of credentials as a report of it, for the way that records go. Pure.

The lock told it without a time, in several reports; here they are one, with the date at which it
came in. It can be asked for again, so it takes no room that is kept for what exists once.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol import CommandCode, Datapoint, DpMap, Report, Secret
from protocol.reports import ReportTime

from .dating import happenings_of
from .model import LockFacts
from .record import TakenReport


def list_taken(
    datapoints: Sequence[Datapoint], facts: LockFacts, dps: DpMap, *, now: float, release: bool
) -> TakenReport:
    """The pages and the end of a list; ``now``: Unix seconds, ``release`` as of any report."""
    report = Report(
        code=CommandCode.REPORT_TIMED_V4, datapoints=tuple(datapoints),
        time=ReportTime.unix(int(now)),
    )  # fmt: skip
    return TakenReport(
        lock=facts.name,
        device_id=facts.device_id,
        raw=Secret(report.code.to_bytes(2, "big") + report.to_bytes()),
        happenings=happenings_of(report, dps, now=now, trusted=True, live=True),
        taken_at=now,
        live=True,
        only_copy=False,
        may_match=False,
        may_return=False,
        release=release,
    )
