"""Drives ``protocol.Central`` over a ``LockLink``: the one place where sans-IO meets await.

One task reads notifications and turns them into events; whoever drives the connection writes
and waits for the events it needs. A message gets its number and goes out under one lock, so
that numbers reach the door in order and nothing comes between the fragments of one message.

A connection may be used for several operations, so nothing may pile up on it: what nobody ever
waits for is not kept, the newest states are, and timed reports are never dropped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TypeVar

import anyio

from protocol import (
    Central,
    CommandCode,
    LocalProtocolError,
    Outgoing,
    RemoteProtocolError,
)
from protocol import events as ev
from protocol.numbers import Reservation

from .errors import LinkError, LinkLost, LinkTimeout, PairingRefused
from .ports import Clock, LockLink

E = TypeVar("E", bound=ev.CentralEvent)

MAX_EVENTS = 256
"""Events kept for a driver that is busy; a lock that floods beyond them loses its link."""
MAX_STATES = 64
"""Untimed reports kept for a driver that may want them; the oldest makes room for a new one."""
KEPT_ERRORS = 16
"""Unreadable messages remembered for whoever asks why."""


_UNWAITED = (ev.Answered, ev.NetworkState, ev.Unclaimed)
_COMMANDS = frozenset({CommandCode.DP_WRITE, CommandCode.DP_WRITE_V4})
_REARMING = _COMMANDS | frozenset(
    {
        CommandCode.REPORT,
        CommandCode.REPORT_V4,
        CommandCode.REPORT_TIMED,
        CommandCode.REPORT_TIMED_V4,
    }
)
"""Writes of datapoints and acknowledgements of reports: what a lock counts as a sign of life
(reference: protocol §3.5). Nothing else puts its hang-up off."""


def _is_state(event: ev.CentralEvent) -> bool:
    return isinstance(event, ev.Reported) and event.report.time is None


class LockClient:
    """One connection: a central, its link, and the events that came in.

    ``heard`` is called with every event as it comes in, whoever waits for it.
    """

    def __init__(self, central: Central, link: LockLink, clock: Clock) -> None:
        self.central = central
        self.unreadable: list[RemoteProtocolError] = []
        self.heard: Callable[[ev.CentralEvent], None] = lambda _: None
        self.alive_at = clock.now()
        """When the lock last had a reason to put its hang-up after 120 s off."""
        self.commands = 0
        """Datapoint writes that were begun."""
        self._link = link
        self._clock = clock
        self._events: list[ev.CentralEvent] = []
        self._arrived = anyio.Event()
        self._lost: LinkError | None = None
        self._writing = anyio.Lock()

    @property
    def is_up(self) -> bool:
        """Whether the link is not known to have ended."""
        return self._lost is None

    def check_up(self) -> None:
        """Insist on a link that is not known to have ended.

        Raises:
            LinkError: why it ended.
        """
        if self._lost is not None:
            raise self._lost

    def close(self) -> None:
        """It was left: whoever still uses it is told so."""
        self._lost = self._lost or LinkLost("the connection was left")
        self._wake()

    # -- in

    async def read(self) -> None:
        """Turn notifications into events until the link ends; run this as a task."""
        try:
            async for notification in self._link.notifications():
                self._take_in(notification)
        except LinkError as error:
            self._lost = error
        else:
            self._lost = LinkLost("the lock ended the connection")
        self._wake()

    def _take_in(self, notification: bytes) -> None:
        try:
            events = self.central.receive(notification, self._clock.now())
        except RemoteProtocolError as error:
            self.unreadable = [*self.unreadable[1 - KEPT_ERRORS :], error]
            return
        for event in events:
            self._keep(event)
        self._wake()

    def _keep(self, event: ev.CentralEvent) -> None:
        self.heard(event)
        if isinstance(event, _UNWAITED):
            return
        if _is_state(event):
            states = [one for one in self._events if _is_state(one)]
            if len(states) >= MAX_STATES:
                self._events.remove(states[0])
        elif len(self._events) >= MAX_EVENTS:
            raise LinkLost("the lock sends faster than anything reads")
        self._events.append(event)

    def forget_states(self) -> None:
        """What was reported until now without a time answers nothing that is asked from here."""
        self._events = [one for one in self._events if not _is_state(one)]

    async def gone(self) -> None:
        """Wait until the link has ended."""
        while self._lost is None:
            await self._arrived.wait()

    def _wake(self) -> None:
        arrived, self._arrived = self._arrived, anyio.Event()
        arrived.set()

    def take(self, kind: type[E], test: Callable[[E], bool] = lambda _: True) -> E | None:
        """The first event of a kind that came in and passes the test, taken off the list."""
        for index, event in enumerate(self._events):
            if isinstance(event, kind) and test(event):
                del self._events[index]
                return event
        return None

    def holds(self, kind: type[E], test: Callable[[E], bool] = lambda _: True) -> bool:
        """Whether an event of a kind that passes the test has come in and was not taken."""
        return any(isinstance(event, kind) and test(event) for event in self._events)

    async def wait(
        self, kind: type[E], until: float, test: Callable[[E], bool] = lambda _: True
    ) -> E:
        """Wait for an event.

        Raises:
            LinkTimeout: it did not come before ``until`` (the clock's seconds).
            LinkLost: the link ended first.
        """
        while True:
            if (found := self.take(kind, test)) is not None:
                return found
            self.check_up()
            left = until - self._clock.now()
            if left <= 0:
                raise LinkTimeout(f"no {kind.__name__} in time")
            with anyio.move_on_after(left):
                await self._arrived.wait()

    # -- out

    async def send(
        self, make: Callable[[], Outgoing], before_last: Callable[[], None] | None = None
    ) -> Outgoing:
        """Make a message and write its fragments; ``before_last`` may still stop it by raising.

        The last fragment is the commit point: an exception raised after ``before_last``
        returned leaves open whether the message was delivered (safety A1).

        Raises:
            LinkError: the link failed.
            LocalProtocolError: the message could not be made; nothing was written.
        """
        async with self._writing:
            outgoing = make()
            self.commands += outgoing.code in _COMMANDS
            *first, last = outgoing.fragments
            for fragment in first:
                await self._link.write(fragment)
            if before_last is not None:
                before_last()
            self.central.handed_over(outgoing)
            await self._link.write(last)
            if outgoing.code in _REARMING:
                self.alive_at = self._clock.now()
            return outgoing

    async def handshake(self, on_info: Callable[[], None] = lambda: None) -> None:
        """Device information and pairing, each in its bound (safety H1).

        ``on_info`` is called between the two.

        Raises:
            LinkTimeout: silence.
            PairingRefused: the lock does not take us, or a key is missing.
            LinkError: the link ended.
        """
        await self._step(self.central.ask_device_info)
        await self.wait(ev.DeviceInfoReceived, self._bound())
        on_info()
        await self._step(self.central.pair)
        until = self._bound()
        try:
            await self.wait(ev.Paired, until, lambda _: True)
        except LinkError as error:
            refused = self.take(ev.PairRefused)
            if refused is None:
                raise
            raise PairingRefused(f"the lock answered {refused.status}") from error
        self.alive_at = self._clock.now()

    async def _step(self, ask: Callable[[float], Outgoing]) -> None:
        try:
            await self.send(lambda: ask(self._clock.now()))
        except LocalProtocolError as error:
            raise PairingRefused(str(error)) from error

    def _bound(self) -> float:
        deadline = self.central.deadline()
        return self._clock.now() if deadline is None else deadline


@contextmanager
def reserved(central: Central) -> Iterator[Reservation]:
    """A number for a frame that somebody else seals; free again, if it is not used by then."""
    reservation = central.reserve()
    try:
        yield reservation
    finally:
        with suppress(LocalProtocolError):  # it was used, or the link is gone
            central.cancel(reservation)


@asynccontextmanager
async def open_client(central: Central, link: LockLink, clock: Clock) -> AsyncIterator[LockClient]:
    """A client that reads in the background as long as the context lasts."""
    client = LockClient(central, link, clock)
    central.connected()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.read)
            yield client
            tasks.cancel_scope.cancel()
    finally:
        client.close()
        central.disconnected()
