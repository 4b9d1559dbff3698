"""A stored report and the happenings in it: which datapoint is which. Pure.

A raw report is two bytes of command and its data, codes zeroed (safety G1). What a raw datapoint
holds is read out of it again, so that it lies nowhere else.
"""

from __future__ import annotations

from bleagent.errors import StoreError
from protocol import DpMap, DpType, ProtocolError, Report, Secret
from protocol.records import RecordEvent
from protocol.reports import TIMED_CODES, TimeKind

from .record import RELATIVE_BELOW, Happening, TakenReport, TimeQuality

COMMAND_SIZE = 2


def read_report(raw: Secret) -> Report:
    """The timed report in ``raw``. Raises StoreError; the bytes are not shown."""
    value = raw.reveal()
    code = int.from_bytes(value[:COMMAND_SIZE], "big")
    if len(value) < COMMAND_SIZE or code not in TIMED_CODES:
        raise StoreError(f"{len(value)} bytes under command {code:#06x} are no timed report")
    try:
        return Report.from_bytes(code, value[COMMAND_SIZE:])
    except ProtocolError as error:
        raise StoreError(f"a report that cannot be read: {error}") from None


def parts_of(report: TakenReport) -> tuple[int, ...]:
    """Which datapoint of the raw report each happening is, by their data; each one once.

    Raises:
        StoreError: a happening that the report does not tell.
    """
    datapoints = read_report(report.raw).datapoints
    left = list(range(len(datapoints)))
    parts = []
    for happening in report.happenings:
        data = happening.data.reveal()
        fitting = (
            part
            for part in left
            if (datapoints[part].id, datapoints[part].data) == (happening.dp, data)
        )
        part = next(fitting, None)
        if part is None:
            raise StoreError(
                f"a happening of datapoint {happening.dp} ({len(data)} bytes) is not in its "
                "report; both must be made of one report, after its codes were zeroed"
            )
        left.remove(part)
        parts.append(part)
    return tuple(parts)


def part_of(raw: Secret, part: int) -> Secret:
    """The data of one datapoint. Raises StoreError."""
    datapoints = read_report(raw).datapoints
    if not 0 <= part < len(datapoints):
        raise StoreError(f"a report with {len(datapoints)} datapoints has no number {part}")
    return Secret(datapoints[part].data)


def happenings_in(raw: Secret, dps: DpMap, *, taken_at: float) -> tuple[Happening, ...]:
    """What a report tells that was stored without being read. Raises StoreError.

    How long the lock had been running when it came in is not known any more, so a time since
    power-up stays without a date.
    """
    report = read_report(raw)
    if report.time is None or not report.datapoints:
        raise StoreError("a report that tells nothing")
    seconds = report.time.seconds
    dated = seconds >= RELATIVE_BELOW
    unix = report.time.kind is TimeKind.UNIX
    happenings = []
    for datapoint in report.datapoints:
        event = RecordEvent.read(datapoint, dps)
        happenings.append(
            Happening(
                dp=datapoint.id,
                type=known_type(datapoint.type),
                kind=event.kind,
                value=event.value,
                data=Secret(datapoint.data),
                wire_time=str(int(seconds)) if unix else report.time.raw.decode("ascii"),
                lock_seconds=seconds,
                at=seconds if dated else taken_at,
                quality=TimeQuality.LOCK if dated else TimeQuality.UNKNOWN,
            )
        )
    return tuple(happenings)


def known_type(number: int) -> DpType:
    """The type; bytes where nobody knows it."""
    try:
        return DpType(number)
    except ValueError:
        return DpType.RAW
