"""What happens by the way on every connection.

Time questions are answered, records kept, and what the lock says after an operation is told.
Nothing here delays an opening, and nothing waits for it (reference: safety C2, C4, E1, D1).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import anyio

from protocol import CommandCode, Datapoint, DpMap, DpName, LocalProtocolError, Report
from protocol import events as ev
from protocol.times import ClockAnswer, DateAnswer, SavingAnswer, TimeAnswer, zone_field

from .errors import AgentError, LinkError, StoreError
from .lock_client import LockClient
from .ports import Clock, LockMemory

FOLLOWED = 10.0
"""Seconds after an outcome for which bolt and alarms still belong to its evidence (safety C4)."""
NUMBER_WAIT = 0.05
"""Seconds before it is looked again whether a number is free."""
KEPT_LOOK = 0.02
"""Seconds between two looks at whether everything is on disk."""
STORE_WAIT = 1.0
"""Seconds before a report is stored again that could not be."""
MAX_HEARD = 64
"""Single values remembered per connection; the oldest makes room for a new one."""

Evidence = dict[str, Any]


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


def _is_timed(event: ev.Reported) -> bool:
    return event.report.time is not None


@dataclass(frozen=True, slots=True)
class _Heard:
    """One value that the lock reported: a state, or an alarm's record."""

    at: float
    evidence: Evidence


Follower = Callable[[Evidence], Awaitable[None]]


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
        """Why reports cannot be kept at the moment."""
        self._kept_one = anyio.Event()
        self._keeping = False
        """Whether a timed report is on its way to the disk."""
        self._heard: deque[_Heard] = deque(maxlen=MAX_HEARD)
        self._follower: tuple[float, Follower] | None = None
        self._news: deque[_Heard] = deque(maxlen=MAX_HEARD)
        self._has_news = anyio.Event()
        client.heard = self._listen

    # -- time questions and records

    async def answer_times(self) -> None:
        """Answer every time question as soon as a number is free; ends with the link."""
        try:
            while True:
                asked = await self._client.wait(ev.TimeAsked, math.inf)
                while not await self._answered(asked):
                    pass
        except LinkError:
            return

    async def _answered(self, asked: ev.TimeAsked) -> bool:
        """Answer; or wait a little, if every number below a reservation is used (safety B1)."""
        central, clock = self._client.central, self._clock
        if central.own_numbers_left < 1:
            await anyio.sleep(NUMBER_WAIT)
            return False
        with suppress(LocalProtocolError):  # then it cannot be answered at all
            await self._client.send(
                lambda: central.answer_time(asked, time_answer(asked.code, clock), clock.now())
            )
        return True

    async def keep_reports(self) -> None:
        """Store every timed report raw, at once, and as long as it takes; ends with the link.

        While the store fails nothing is lost that the link can hold: the report is tried again,
        what comes behind it waits, and a lock that sends too many of them loses its link.

        None is acknowledged here: an acknowledgement of status 0 makes the lock forget
        whatever it sent last from its backlog (safety D1).
        """
        client = self._client
        try:
            while True:
                self._keeping = False
                seen = await client.wait(ev.Reported, math.inf, _is_timed)
                self._keeping = True
                report = without_codes(seen.report, self._dps)
                raw = report.code.to_bytes(2, "big") + report.to_bytes()
                while not await self._kept(raw):
                    pass
                client.central.record_stored(seen)
                self._kept_one.set()
        except LinkError:
            return

    async def _kept(self, raw: bytes) -> bool:
        """Put it on disk; or wait a little, if that fails."""
        try:
            await self._memory.keep_report(self._lock, raw, unix=self._clock.unix())
        except StoreError as error:
            self.failed = error
            await anyio.sleep(STORE_WAIT)
            return False
        self.failed = None
        return True

    async def one_kept(self, within: float) -> None:
        """Stay until a timed report is on disk, at most ``within`` seconds (safety A6)."""
        with anyio.move_on_after(within):
            await self._kept_one.wait()

    async def all_kept(self, within: float) -> None:
        """Wait until every timed report that came in is on disk, at most ``within`` seconds.

        A live one exists nowhere else (safety D2), so not even a cancellation shortens it.
        """
        with anyio.move_on_after(within, shield=True):
            while not await self._all_kept():
                pass

    async def _all_kept(self) -> bool:
        if not self._keeping and not self._client.holds(ev.Reported, _is_timed):
            return True
        await anyio.sleep(KEPT_LOOK)
        return False

    def forget_kept(self) -> None:
        """From here ``one_kept`` waits for a new one."""
        self._kept_one = anyio.Event()

    # -- evidence

    def _listen(self, event: ev.CentralEvent) -> None:
        if not isinstance(event, ev.Reported):
            return
        timed = event.report.time is not None
        for datapoint in event.report.datapoints:
            alarm = self._dps.name(datapoint.id) is DpName.ALARM
            value = datapoint.value
            if not isinstance(value, bool | int) or (timed and not alarm):
                continue  # a record is a story of its own, and raw values can hold secrets
            evidence: Evidence = {"dp": datapoint.id, "value": value}
            heard = _Heard(self._clock.now(), evidence | ({"alarm": True} if alarm else {}))
            self._heard.append(heard)
            if self._follower is not None and heard.at <= self._follower[0]:
                self._news.append(heard)
                self._has_news.set()

    def evidence_since(self, moment: float) -> tuple[Evidence, ...]:
        """What else the lock said from a moment on: kept, never an upgrade of silence (C2)."""
        return tuple(one.evidence for one in self._heard if one.at >= moment)

    def follow(self, follower: Follower) -> None:
        """Tell somebody what the lock says in the seconds after an outcome (C4)."""
        self._follower = (self._clock.now() + FOLLOWED, follower)

    @property
    def followed_until(self) -> float:
        """Until when what the lock says still belongs to somebody's evidence."""
        return -math.inf if self._follower is None else self._follower[0]

    def follow_nobody(self) -> None:
        """What comes from here belongs to another operation."""
        self._follower = None
        self._news.clear()

    async def tell_followers(self) -> None:
        """Pass on what comes after an outcome, until cancelled."""
        while True:
            await self._has_news.wait()
            while self._news and self._follower is not None:
                await self._follower[1](self._news.popleft().evidence)
            self._has_news = anyio.Event()
