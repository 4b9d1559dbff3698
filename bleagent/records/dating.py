"""When something happened that a lock tells of (reference: safety E1, protocol §6.7). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from protocol import Datapoint, DpMap, DpName, Report, Secret
from protocol.records import RecordEvent
from protocol.reports import ReportTime, TimeKind

from .record import RELATIVE_BELOW, Happening, TimeQuality

_WITH_CODE = frozenset(
    {
        DpName.GET_RECORDS,
        DpName.CHECK_CODE,
        DpName.OPEN_CHECKED,
        DpName.OPEN_RECORD,
        DpName.SET_REMOTE_KEY_CHECKED,
    }
)
"""They begin with two ids of two bytes and the check code's eight."""

AHEAD = 24 * 3600.0
"""Seconds that a lock's date may be ahead of ours before it is taken for nonsense."""


def without_codes(report: Report, dps: DpMap) -> Report:
    """The report with the check code zeroed wherever a datapoint has one (safety G1).

    Only an opening's record is one; but what else a lock sends with a time is stored, too, and
    a piece of a code is one.
    """

    def cleaned(datapoint: Datapoint) -> Datapoint:
        if dps.name(datapoint.id) not in _WITH_CODE:
            return datapoint
        data = datapoint.data
        return replace(datapoint, data=data[:4] + bytes(len(data[4:12])) + data[12:])

    return replace(report, datapoints=tuple(cleaned(one) for one in report.datapoints))


def happenings_of(
    report: Report, dps: DpMap, *, now: float, trusted: bool, live: bool
) -> tuple[Happening, ...]:
    """What a timed report tells, dated; ``now`` is our date in Unix seconds.

    A lock without a date counts seconds since power-up: what it tells live happened now, if our
    date is trusted; what it had stored has no date that anybody knows.
    """
    if report.time is None:
        return ()
    at, quality = _dated(report.time, now=now, trusted=trusted, live=live)
    return tuple(_happening(one, report.time, dps, at, quality) for one in report.datapoints)


def _dated(time: ReportTime, *, now: float, trusted: bool, live: bool) -> tuple[float, TimeQuality]:
    seconds = time.seconds
    if seconds >= RELATIVE_BELOW and (not trusted or seconds <= now + AHEAD):
        return seconds, TimeQuality.LOCK
    if live and trusted:
        return now, TimeQuality.RECEIVED
    return now, TimeQuality.UNKNOWN


def _happening(
    datapoint: Datapoint, time: ReportTime, dps: DpMap, at: float, quality: TimeQuality
) -> Happening:
    event = RecordEvent.read(datapoint, dps)
    return Happening(
        dp=datapoint.id,
        type=datapoint.type,
        kind=event.kind,
        value=event.value,
        data=Secret(datapoint.data),
        wire_time=wire_time(time),
        lock_seconds=time.seconds,
        at=at,
        quality=quality,
    )


def wire_time(time: ReportTime) -> str:
    """The time as the lock wrote it, in decimal digits: seconds, or 13 digits of milliseconds."""
    if time.kind is TimeKind.UNIX:
        return str(int.from_bytes(time.raw, "big"))
    return time.raw.decode("ascii")


def belonging_to(
    operation: str, happenings: Sequence[Happening], dps: DpMap
) -> tuple[Happening, ...]:
    """The same, the first opening by Bluetooth among them marked as this operation's."""
    told = list(happenings)
    for index, one in enumerate(told):
        if dps.name(one.dp) in (DpName.RECORD_BLUETOOTH, DpName.OPEN_RECORD):
            told[index] = replace(one, operation=operation)
            break
    return tuple(told)
