"""Having a lock hand out what it remembers: asked once, one acknowledgement after the other.

On 3.x an acknowledgement is a credit for the backlog, earned by a backlog record on disk, and no
answer to a report (``protocol.credits``; reference: safety D1). While somebody uses the connection
nothing is asked or acknowledged: what the lock sent last waits there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

import anyio

from bleagent.lock_client import LockClient
from bleagent.model import IssuedConfig
from bleagent.policy import Policy
from bleagent.ports import Clock
from protocol import LocalProtocolError
from protocol import events as ev
from protocol.credits import QUIET, Origin

from .backlog import BacklogQuestion, how_to_ask
from .deletions import Deletions

NUMBER_WAIT = 0.05
"""Seconds before it is looked again whether a number is free."""
QUESTION_WAIT = 2.0
"""Seconds after pairing in which a lock asks for the time, if it asks at all."""
LONGEST_DRAIN = 300.0
"""Seconds for one drain; a lock that never comes to an end is left, and drained on."""
SOONEST = 0.9
"""Seconds after the question before which nothing comes from the backlog; recorded: 1.0."""
MOST_RECORDS = 1024
"""Acknowledgements in one drain; the largest known backlog has 64 records."""


class Drain:
    """The one drain of a connection.

    ``time_told`` says whether the lock was told a time on it; None: it never asked.
    """

    def __init__(
        self,
        client: LockClient,
        policy: Policy,
        clock: Clock,
        deletions: Deletions,
        time_told: Callable[[], bool | None],
    ) -> None:
        self._client = client
        self._policy = policy
        self._clock = clock
        self._deletions = deletions
        self._time_told = time_told
        self._in_use = False
        self._keeping = False
        self._resumed_at = self._began = clock.now()
        self._asked_unix = math.inf
        self._changed = anyio.Event()
        self._newest: tuple[ev.Reported, tuple[int, ...], bool] | None = None
        """The backlog's record that came last, its numbers in the book, ``was_stored``."""
        self._unsure: list[int] = []
        """Records that came since the last acknowledgement and may be live or not."""
        self._refused = ""
        """Why one from the backlog was not stored, so that it must not be acknowledged."""
        self._out_of_order = False
        """Something stored came in where only what happens now was expected: there is more."""

    @property
    def counts_credits(self) -> bool:
        """Whether acknowledgements are credits (3.x); else each report has its own."""
        return self._client.central.dialect.major < 4

    # -- what is told

    def pause(self) -> None:
        """Somebody uses the connection: ask nothing, acknowledge nothing."""
        self._in_use = True

    def resume(self) -> None:
        """It is free again; time during which somebody else talked is no quiet."""
        self._in_use = False
        self._resumed_at = self._clock.now()
        self._tell_change()

    def keeping(self, *, on: bool) -> None:
        """A report is on its way to the disk, or none is."""
        self._keeping = on
        self._tell_change()

    def came(self, seen: ev.Reported, records: tuple[int, ...], *, stored: bool) -> None:
        """A report that may be from the backlog is on disk; ``stored`` as ``was_stored``."""
        self._deletions.taken(records)
        self._newest = (seen, records, stored)
        if seen.origin is Origin.UNSURE:
            self._unsure += records

    def was_stored(self, seen: ev.Reported, came_at: float) -> bool:
        """Whether an acknowledgement of this report has the lock delete it from its backlog.

        One of the seconds around the question may be happening now: then a copy of it may be in
        the backlog, which comes later. ``came_at`` is our date then, Unix seconds.
        """
        if seen.origin is not Origin.UNSURE:
            return seen.origin is Origin.BACKLOG
        seconds = 0.0 if seen.report.time is None else seen.report.time.seconds
        return came_at >= self._asked_unix + SOONEST and seconds <= self._asked_unix

    def refuse(self, why: str) -> None:
        """One from the backlog is not taken: the lock keeps it."""
        self._refused = why
        self._tell_change()

    def came_out_of_order(self) -> None:
        """The lock had more stored than it handed out in order."""
        self._out_of_order = True

    # -- what is done

    async def run(self, config: IssuedConfig) -> str:
        """To its end; why it was not finished, or nothing. Raises AgentError."""
        await self._ask(how_to_ask(config, self._policy))
        until = self._clock.now() + LONGEST_DRAIN
        while not self._is_over():
            if self._refused:
                return self._refused
            if self._clock.now() > until or self._deletions.acknowledged >= MOST_RECORDS:
                return "no-end"
            await self._next_step()
        return "out-of-order" if self._out_of_order else ""  # the next connection goes on

    async def may_depend_on_times(self) -> bool:
        """Whether records get a time that is worth something (safety E1).

        A lock that asks is told the time before its backlog is asked for: one that heard from us
        that we do not know it hands out the seconds since its power-up, whatever we know by now.
        One that never asks (security V2) has a clock of its own.
        """
        until = self._began + QUESTION_WAIT
        while self._in_use or (not self._time_told() and self._clock.now() < until):
            await self._wait(math.inf if self._in_use else NUMBER_WAIT)
        return self._time_told() is not False

    async def _ask(self, question: BacklogQuestion) -> None:
        client, clock = self._client, self._clock

        def asked() -> None:
            self._asked_unix = clock.unix()
            client.central.backlog_asked(clock.now())

        if question.is_automatic:
            asked()
            return
        while self._in_use or client.central.own_numbers_left < 1:
            await self._wait(math.inf if self._in_use else NUMBER_WAIT)
        await client.send(lambda: question.put(client.central, clock.now()), asked)

    def _is_over(self) -> bool:
        """Quiet, and nothing left; time during which somebody else talked does not count."""
        now = self._clock.now()
        quiet = now - self._resumed_at >= QUIET and not self._in_use and not self._keeping
        return quiet and self._client.central.backlog_is_over(now)

    async def _next_step(self) -> None:
        """Acknowledge what may be, or wait for what comes."""
        newest = self._newest
        if (
            self.counts_credits
            and newest is not None
            and not self._in_use
            and self._client.central.may_acknowledge(newest[0], self._clock.now())
        ):
            seen, records, stored = newest
            # Of several that may be live, nobody knows which the lock will forget.
            known = seen.origin is Origin.BACKLOG or self._unsure == list(records)
            self._unsure = []
            before = self._deletions.acknowledged
            await self.acknowledge(seen, records if known else (), deletes=stored)
            if self._deletions.acknowledged > before and self._newest is newest:
                self._newest = None  # never twice: that of 0x8005 costs no credit
            return
        await self._wait(QUIET / 5)

    async def acknowledge(
        self, seen: ev.Reported, records: tuple[int, ...], *, deletes: bool
    ) -> None:
        """Status 0, as soon as a number is free; nothing where the report wants none."""
        client = self._client
        while client.central.own_numbers_left < 1:
            await self._wait(NUMBER_WAIT)
        with suppress(LocalProtocolError):  # it wants none, or its credit is gone
            await client.send(
                lambda: client.central.acknowledge(seen, self._clock.now()),
                lambda: self._deletions.handed_over(records, deletes=deletes),
            )

    # -- plumbing

    def _tell_change(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def _wait(self, seconds: float) -> None:
        self._client.check_up()
        with anyio.move_on_after(seconds):
            await self._changed.wait()
