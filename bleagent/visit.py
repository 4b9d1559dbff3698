"""What happens by the way on every connection.

Time questions are answered, and what the lock says after an operation is told. Nothing here
delays an opening, and nothing waits for it (reference: safety C2, C4, E1).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import anyio

from protocol import CommandCode, DpMap, DpName, LocalProtocolError, Outgoing
from protocol import events as ev
from protocol.times import ClockAnswer, DateAnswer, SavingAnswer, TimeAnswer, zone_field

from .errors import LinkError
from .lock_client import LockClient
from .ports import Clock

FOLLOWED = 10.0
"""Seconds after an outcome for which bolt and alarms still belong to its evidence (safety C4)."""
NUMBER_WAIT = 0.05
"""Seconds before it is looked again whether a number is free."""
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


@dataclass(frozen=True, slots=True)
class _Heard:
    """One value that the lock reported: a state, or an alarm's record."""

    at: float
    evidence: Evidence


Follower = Callable[[Evidence], Awaitable[None]]


class Visit:
    """The by-the-way duties of one connection."""

    def __init__(self, client: LockClient, clock: Clock, dps: DpMap) -> None:
        self._client = client
        self._clock = clock
        self._dps = dps
        self.time_told: bool | None = None
        """Whether the lock was told a time on this connection; None: it never asked."""
        self.told_time: Callable[[float], None] = lambda _: None
        """Called with the Unix seconds at which it was."""
        self._heard: deque[_Heard] = deque(maxlen=MAX_HEARD)
        self._follower: tuple[float, Follower] | None = None
        self._news: deque[_Heard] = deque(maxlen=MAX_HEARD)
        self._has_news = anyio.Event()
        self._ended = False

    # -- time questions

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
        known = bool(self.time_told)

        def answer() -> Outgoing:
            nonlocal known
            known |= clock.trusted  # at the moment of the answer: later it may be
            return central.answer_time(asked, time_answer(asked.code, clock), clock.now())

        with suppress(LocalProtocolError):  # then it cannot be answered at all
            await self._client.send(answer)
            self.time_told = known
            if known:
                self.told_time(clock.unix())
        return True

    # -- evidence

    def listen(self, event: ev.CentralEvent) -> None:
        """Called with every event as it comes in."""
        if not isinstance(event, ev.Reported):
            return
        timed = event.report.time is not None
        for datapoint in event.report.datapoints:
            alarm = self._dps.name(datapoint.id) is DpName.ALARM
            value = datapoint.value
            if not isinstance(value, bool | int) or (timed and not alarm):
                continue  # a record is a story of its own, and raw values can hold secrets
            evidence: Evidence = {"dp": datapoint.id, "value": value}
            self.tell(evidence | ({"alarm": True} if alarm else {}))

    def tell(self, evidence: Evidence) -> None:
        """Something that says more about an operation: kept for its outcome, and passed on."""
        heard = _Heard(self._clock.now(), evidence)
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

    def end(self) -> None:
        """Nothing more comes of this connection."""
        self._ended = True
        self._has_news.set()

    async def tell_followers(self) -> None:
        """Pass on what comes after an outcome, until the ``end`` and all of it."""
        while self._news or not self._ended:
            await self._has_news.wait()
            while self._news and self._follower is not None:
                await self._follower[1](self._news.popleft().evidence)
            self._has_news = anyio.Event()
