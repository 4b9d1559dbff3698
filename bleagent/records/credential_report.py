"""A lock's word about its credentials as a report of it, for the way that records go. Pure.

Its list, or what came of a temporary password. The lock told it without a time, a list in several
reports; here they are one, with the date at which it came in. The lock can be asked for its list
again, so none takes room that is kept for what exists once.
"""

from __future__ import annotations

from collections.abc import Sequence

from bleagent.model import LockFacts
from protocol import CommandCode, Datapoint, DpMap, Report, Secret
from protocol.reports import ReportTime

from .dating import happenings_of
from .record import TakenReport


def word_taken(
    datapoints: Sequence[Datapoint], facts: LockFacts, dps: DpMap, *, now: float, release: bool
) -> TakenReport:
    """What it said, in order; ``now``: Unix seconds, ``release`` as of any report."""
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
