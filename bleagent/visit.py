"""What happens by the way on every connection: time questions answered, records kept.

Nothing here delays an opening, and nothing waits for it (reference: safety E1, D1).
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import anyio

from protocol import CommandCode, Datapoint, DpMap, DpName, LocalProtocolError, Report
from protocol import events as ev
from protocol.times import ClockAnswer, DateAnswer, SavingAnswer, TimeAnswer, zone_field

from .errors import AgentError, LinkError
from .lock_client import LockClient
from .ports import Clock, LockMemory


def time_answer(code: int, clock: Clock) -> TimeAnswer:
    """The answer to a time question; *unknown* while the clock is not trusted."""
    unix = clock.unix()
    moment = datetime.fromtimestamp(unix, UTC).astimezone()
    offset = moment.utcoffset()
    zone = zone_field(int(offset.total_seconds())) if offset else 0
    match code:
        case CommandCode.TIME_CLOCK:
            return ClockAnswer(int(unix * 1000), zone) if clock.trusted else ClockAnswer.unknown()
        case CommandCode.TIME_SAVING:
            return SavingAnswer(int(unix), zone) if clock.trusted else SavingAnswer.unknown()
        case _:
            return DateAnswer.at(moment) if clock.trusted else DateAnswer.unknown()


def without_codes(report: Report, dps: DpMap) -> Report:
    """The report with the check code in an opening's record zeroed (safety G1)."""

    def cleaned(datapoint: Datapoint) -> Datapoint:
        if dps.name(datapoint.id) is not DpName.OPEN_RECORD or len(datapoint.data) < 12:
            return datapoint
        return replace(datapoint, data=datapoint.data[:4] + bytes(8) + datapoint.data[12:])

    return replace(report, datapoints=tuple(cleaned(one) for one in report.datapoints))


class Visit:
    """The by-the-way duties of one connection."""

    def __init__(
        self, client: LockClient, *, lock: str, memory: LockMemory, clock: Clock, dps: DpMap
    ) -> None:
        self._client = client
        self._lock = lock
        self._memory = memory
        self._clock = clock
        self._dps = dps
        self.failed: AgentError | None = None
        """Why reports are no longer kept, if it was not the end of the link."""
        self._kept_one = anyio.Event()

    async def answer_times(self) -> None:
        """Answer every time question as soon as a number is free; ends with the link."""
        client = self._client
        try:
            while True:
                asked = await client.wait(ev.TimeAsked, math.inf)
                await client.send(
                    lambda asked=asked: client.central.answer_time(  # type: ignore[misc]
                        asked, time_answer(asked.code, self._clock), self._clock.now()
                    )
                )
        except (LinkError, LocalProtocolError):
            return  # the link is gone, or every number below the reservation is used

    async def keep_reports(self) -> None:
        """Store every timed report raw, at once; ends with the link or when the store fails.

        None is acknowledged here: an acknowledgement of status 0 makes the lock forget
        whatever it sent last from its backlog (safety D1).
        """
        client = self._client
        try:
            while True:
                seen = await client.wait(
                    ev.Reported, math.inf, lambda event: event.report.time is not None
                )
                report = without_codes(seen.report, self._dps)
                raw = report.code.to_bytes(2, "big") + report.to_bytes()
                await self._memory.keep_report(self._lock, raw, unix=self._clock.unix())
                client.central.record_stored(seen)
                self._kept_one.set()
        except AgentError as error:
            self.failed = None if isinstance(error, LinkError) else error

    async def one_kept(self, within: float) -> None:
        """Stay until a timed report is on disk, at most ``within`` seconds (safety A6)."""
        with anyio.move_on_after(within):
            await self._kept_one.wait()

    def forget_kept(self) -> None:
        """From here ``one_kept`` waits for a new one."""
        self._kept_one = anyio.Event()
