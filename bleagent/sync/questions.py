"""Questions to a lock beside its doors: one at a time, and none while somebody uses it.

The duties of a visit share one connection, and a lock's answers do not say whose question they are
for. So a duty takes its turn, and asks only while the connection is free: an opening waits for one
message on its way at most.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio

from bleagent.errors import AgentError, LinkTimeout, StoreError
from bleagent.lock_client import LockClient
from bleagent.ports import Clock
from bleagent.visit import Visit
from protocol import Datapoint, LocalProtocolError, Outgoing, RemoteProtocolError
from protocol import events as ev

REPLY = 5.0
"""Seconds for the lock's word; recorded locks answer at once."""
MOST_REPLIES = 64
"""Replies that may wait for whoever asked; a list of which one is dropped lacks a page."""
STORING = 5.0
"""Seconds for the disk to take it; nobody stays at a lock for longer because of it."""

Report = Callable[[Sequence[Datapoint]], Awaitable[None]]
"""Hands what a lock said to the sinks, by way of the disk. Raises StoreError."""


async def hand_over(report: Report, datapoints: Sequence[Datapoint]) -> None:
    """It is on disk, on its way to the sinks. Raises StoreError."""
    with anyio.move_on_after(STORING):
        await report(datapoints)
        return
    raise StoreError("the records' disk does not answer")


class GivesWay(Exception):
    """Somebody else uses the connection; nothing of the message was written."""


class QuestionRefused(AgentError):
    """The lock took the question and will not carry it out."""

    code = "lock-refused"


def code_of(error: Exception) -> str:
    """What a duty ended by, as a code for people: whatever it was, the door opens."""
    match error:
        case AgentError():
            return error.code
        case LocalProtocolError():
            return "protocol-misuse"
        case RemoteProtocolError():
            return "lock-answer-unusable"
        case _:
            return AgentError.code


@dataclass(frozen=True, slots=True)
class Reply:
    """What the lock reported of the datapoint that was asked about."""

    seen: ev.Reported
    data: bytes


class Questions:
    """Asks over one connection. Whoever asks holds ``turn`` from the question to its last reply.

    ``drained`` says whether the lock has handed out its records.
    """

    def __init__(
        self, client: LockClient, clock: Clock, visit: Visit, drained: Callable[[], bool]
    ) -> None:
        self.turn = anyio.Lock()
        self._client = client
        self._clock = clock
        self._visit = visit
        self._drained = drained
        self._in_use = True  # until the connection is said to be free
        self._asked: tuple[int, int] | None = None
        """The datapoint whose replies are waited for, and the question's number."""
        self._given_up: set[int] = set()
        """Datapoints of which an answer may still come: nobody could tell whose it is."""
        self._replies: list[Reply] = []
        self._refused: int | None = None
        self._heard = anyio.Event()

    @property
    def timed(self) -> bool:
        """Whether what depends on a date may be told: not if the lock heard that we have none."""
        return self._clock.trusted and self._visit.time_told is not False

    @property
    def free(self) -> bool:
        """Whether something may be asked now: nobody uses the connection (safety E1)."""
        return not self._in_use and self.timed and self._drained()

    def pause(self) -> None:
        """Somebody uses the connection: ask nothing from here."""
        self._in_use = True

    def resume(self) -> None:
        """It is free, or free again."""
        self._in_use = False

    def listen(self, event: ev.CentralEvent) -> None:
        """Called with every event as it comes in."""
        if self._asked is None:
            return
        number, sn = self._asked
        match event:
            case ev.Reported(report=report) if report.time is None:
                said = [one.data for one in report.datapoints if one.id == number]
                room = MOST_REPLIES - len(self._replies)
                self._replies += [Reply(event, data) for data in said[:room]]
            case ev.Answered(sn=answered, status=status) if answered == sn and status:
                self._refused = status
            case _:
                return
        self._heard.set()

    async def write(self, datapoint: Datapoint) -> None:
        """Ask; replies to an older question are forgotten.

        Raises:
            GivesWay: somebody uses the connection.
            LinkTimeout: it was asked about before, and given up.
            LinkError: the link ended.
        """
        central = self._client.central
        if datapoint.id in self._given_up:
            raise LinkTimeout("the lock has not answered an older question about this")

        def make() -> Outgoing:
            outgoing = central.write_datapoint(datapoint, self._clock.now())
            self._asked = datapoint.id, outgoing.sn
            return outgoing

        self._asked, self._replies, self._refused = None, [], None
        await self._send(make)

    def give_up(self) -> None:
        """The answer to the last question is not waited for any more, and may come all the same.

        On this connection its datapoint is not asked about again.
        """
        if self._asked is not None:
            self._given_up.add(self._asked[0])

    async def acknowledge(self, reply: Reply) -> None:
        """Let the next page come; nothing where the lock wants no word. Raises GivesWay."""
        central, seen = self._client.central, reply.seen
        if seen.report.ack() is not None:
            await self._send(lambda: central.acknowledge(seen, self._clock.now()))

    async def next_reply(self, until: float) -> Reply:
        """What the lock says next about it.

        Raises:
            QuestionRefused: it did not take the question.
            LinkTimeout: nothing before ``until`` (the clock's seconds).
            LinkError: the link ended.
        """
        while not self._replies:
            self._client.check_up()
            if self._refused is not None:
                raise QuestionRefused(f"the lock answered {self._refused}")
            left = until - self._clock.now()
            if left <= 0:
                raise LinkTimeout("the lock does not answer the question")
            self._heard = anyio.Event()
            with anyio.move_on_after(min(left, 1.0)):
                await self._heard.wait()
        return self._replies.pop(0)

    async def _send(self, make: Callable[[], Outgoing]) -> None:
        central = self._client.central

        def make_if_free() -> Outgoing:
            if not self.free or central.own_numbers_left < 1:
                raise GivesWay
            return make()

        await self._client.send(make_if_free)
