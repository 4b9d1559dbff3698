"""One owner per lock: nobody else connects to it, and one job at a time uses the connection.

An owner's task lives only while there is something to do. It connects when somebody wants the
lock, lends the connection to one user after the other (an opening before everything else), stays
for as long as the lock's policy says, and leaves. A gateway with two hundred idle locks has two
hundred idle objects and no task.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from protocol import LocalProtocolError

from .errors import AgentError, LinkLost
from .model import LockFacts, Priority, Step
from .policy import Connection, Policy
from .records.beside import Beside
from .room import Claim, Keeping
from .session import LinkPorts, LockSession, Mark, open_session
from .waiting import Use, Waiting

LONGEST_SILENCE = 110.0
"""Seconds without a datapoint written after which we leave and come back, if we want to stay:
the lock itself hangs up after 120, and nothing may be written just to be heard."""
FIRST_PAUSE = 1.0
"""Seconds before a connection that nobody waits for is tried again, doubled each time."""
LONGEST_PAUSE = 60.0
FIRST_BREATH, LONGEST_BREATH = 0.2, 3.0
"""Seconds before a lock that dropped its link when it had just been paired is tried again though
somebody waits, doubled each time; a new call ends it."""
CALL_STAY = 15.0
"""Seconds for a visit to a lock that calls: to reach it, and to listen."""
CALL_AGAIN = 60.0
"""Seconds between two such visits; a lock goes on calling until it has told everything."""
STABLE = 10.0
"""Seconds after which a connection that ended had been a good one."""


Fault = Callable[[str, Exception], None]


class LockOwner:
    """The only one who connects to one lock.

    Args:
        tasks: where the owner's task lives while there is something to do.
        fault: is called with the lock's name and the exception that nobody expected.
    """

    def __init__(
        self,
        facts: LockFacts,
        policy: Policy,
        ports: LinkPorts,
        tasks: TaskGroup,
        fault: Fault = lambda *_: None,
    ) -> None:
        self._facts = facts
        self._policy = policy
        self._ports = ports
        self._tasks = tasks
        self._fault = fault
        self._beside = Beside(tasks, lambda error: fault(facts.name, error))
        self._waiting = Waiting()
        self._changed = anyio.Event()
        self._connecting: anyio.CancelScope | None = None
        self._runs = False
        self._ended = anyio.Event()
        self._stopped = False
        self._keep_until = math.inf if policy.connection is Connection.HELD else 0.0
        self._call_after = self._asked_until = -math.inf
        self._session: LockSession | None = None
        self._idle_since: float | None = None
        """Since when there has been a connection that nobody uses."""
        self._followed_until = -math.inf
        self._untimed = False
        """The last visit took no records, because we could not tell the lock the time."""
        self._room_wanted = False
        self._calls = 0  # of all who ever wanted the lock
        self._hurry = False
        """Somebody asked anew: a pause between two attempts is over."""
        self._dropped: LinkLost | None = None
        """The lock ended the last connection before anybody could use it."""
        self._trouble: AgentError | None = None
        self.paired = False
        """Whether there is a connection that a command could go out on at once."""

    # -- for those who want the lock

    @asynccontextmanager
    async def use(
        self, priority: Priority = Priority.OPERATION, mark: Mark = lambda _: None
    ) -> AsyncIterator[LockSession]:
        """The lock's connection, for one user alone; made if there is none.

        ``mark`` is told the steps of connecting as they end. A user who leaves with an exception
        may have left something half said: the connection ends with it. One who is cancelled
        before any command of his began has not, and the next one finds the connection.

        Raises:
            LinkError: no connection; the next call tries again.
            StoreError: what is remembered about the lock cannot be read.
        """
        if self._stopped:
            raise LinkLost("the agent is stopping")
        one, self._trouble = Use(priority, mark), None
        self._waiting.add(one)
        self._calls += 1
        self.wake()
        self._tell_priority()
        try:
            await one.granted.wait()
            if one.session is None:
                raise one.failure or LinkLost("the connection ended before it was used")
            commands = one.session.client.commands
            try:
                yield one.session
            except anyio.get_cancelled_exc_class():
                one.broken = one.session.client.commands != commands
                raise
            except BaseException:
                one.broken = True
                raise
        finally:
            one.released.set()
            if self._waiting.drop(one):
                self._trouble = self._ports.trouble(self._facts.name) or self._dropped
                self.wake()
            self._abandon_if_unwanted()
            self._tell_priority()

    def trouble(self) -> AgentError | None:
        """What was in the way of the connection that somebody last waited for in vain."""
        return self._trouble

    def keep_warm(self) -> None:
        """A hint that the lock will be wanted soon: connect now and stay for ``warm_for``."""
        self._ask_until(self._ports.clock.now() + self._policy.warm_for)

    def called(self) -> bool:
        """The lock says that it has something to tell: visit it, if nobody has of late.

        Returns whether a visit begins. Its battery is the user's: a lock that goes on calling,
        or somebody who calls in its name, is not visited more often than once a minute.
        """
        now = self._ports.clock.now()
        busy = self.paired or self._connecting is not None or bool(self._waiting)
        if self._stopped or busy or now < self._call_after:
            return False
        self._call_after = now + CALL_AGAIN
        self._ask_until(now + CALL_STAY)
        return True

    def reached(self, step: Step) -> None:
        """How far the connection has come that is being made: those who wait are told."""
        self._waiting.mark(step)

    def time_known(self) -> None:
        """We know the time by now: come back for records that were left for want of it."""
        self.wake()  # a connection on which the lock was not told is not kept any longer
        if self._untimed and not (self._stopped or self.paired):
            self._call_after = self._ports.clock.now() + CALL_AGAIN
            self._ask_until(self._ports.clock.now() + CALL_STAY)

    def _ask_until(self, until: float) -> None:
        self._asked_until = max(self._asked_until, until)
        self._hurry = True
        self._calls += 1
        self._keep_until = max(self._keep_until, until)
        self.wake()
        self._tell_priority()

    def follow(self, policy: Policy) -> None:
        """From now on another policy; what began by the old one goes on by it.

        ``policy`` says the same of what the lock is: its protocol, security and datapoints.
        """
        if policy.connection is Connection.HELD:
            self._keep_until = math.inf
        elif self._policy.connection is Connection.HELD:
            self._keep_until = self._asked_until
        self._policy = policy
        self.wake()

    def wake(self) -> None:
        """Look again at what is wanted."""
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
        if not self._runs and not self._stopped and self._is_wanted:
            self._runs, self._ended = True, anyio.Event()
            self._tasks.start_soon(self._run)

    @property
    def claim(self) -> Claim | None:
        """The reason to keep a connection that nobody uses; None: there is none to leave.

        Until an opening's record is stored (safety A6) its operation uses the connection.
        """
        if self._idle_since is None:
            return None
        now = self._ports.clock.now()
        keeping = Keeping.KEPT if now < self._keep_until else Keeping.LINGERING
        telling = self._session is not None and self._session.records.draining
        if telling or now < self._asked_until:
            keeping = Keeping.HINTED
        if now < self._followed_until:
            keeping = Keeping.FOLLOWED
        return Claim(keeping, self._idle_since)

    def make_room(self) -> bool:
        """Leave now, if nobody uses the connection: another lock's needs the slot; whether so."""
        if self._idle_since is None:
            return False
        self._idle_since = None
        self._room_wanted = True
        self.wake()
        return True

    async def left(self) -> None:
        """Wait until nothing of this lock goes on any more, and what came in is on disk."""
        while self._runs:
            await self._ended.wait()
        await self._beside.ended()

    def stop(self) -> None:
        """Leave as soon as nobody uses the connection, and do not come back."""
        self._stopped = True
        self._keep_until = 0.0
        self.wake()
        self._abandon_if_unwanted()

    # -- the task

    @property
    def _is_wanted(self) -> bool:
        kept = not self._stopped and self._ports.clock.now() < self._keep_until
        return bool(self._waiting) or kept

    @property
    def _priority(self) -> Priority:
        """Of the connection that is made now."""
        asked_for = self._ports.clock.now() < self._asked_until
        nobody = Priority.VISIT if asked_for else Priority.KEEPING
        return self._waiting.most_urgent(nobody)

    def _tell_priority(self) -> None:
        """Who waits for the turn to connect waits by what the connection is wanted for now."""
        if self._connecting is not None:
            self._ports.wanted(self._facts.name, self._priority)

    def _abandon_if_unwanted(self) -> None:
        """Nobody waits for the connection that is being made (any more)."""
        if self._connecting is not None and not self._is_wanted:
            self._connecting.cancel()

    async def _run(self) -> None:
        pause, breath = FIRST_PAUSE, FIRST_BREATH
        try:
            while self._is_wanted:
                lasted = await self._visit_or_tell()
                if lasted >= STABLE:
                    pause, breath = FIRST_PAUSE, FIRST_BREATH
                elif self._dropped is not None and self._waiting:
                    await self._breathe(breath)
                    breath = min(2 * breath, LONGEST_BREATH)
                elif not self._waiting and self._is_wanted:
                    await self._pause(pause)
                    pause = FIRST_PAUSE if self._hurry else min(2 * pause, LONGEST_PAUSE)
                    self._hurry = False
        finally:
            self._runs = False
            self._ended.set()
            self._waiting.refuse(LinkLost("the agent is stopping"))

    async def _visit_or_tell(self) -> float:
        """As ``_visit``; a fault of ours at one lock is told, and the others go on."""
        try:
            return await self._visit()
        except Exception as error:  # noqa: BLE001 - whatever it is
            self._fault(self._facts.name, error)
            self._waiting.refuse(AgentError("a fault of the agent while it was connected"))
            return 0.0

    async def _visit(self) -> float:
        """One connection, from connecting to leaving; for how many seconds it could be used."""
        now = self._ports.clock.now
        began: float | None = None
        told, self._dropped = False, None

        def give_up(failure: AgentError) -> None:
            nonlocal told
            told = True  # whoever asks from here on waits for the next connection
            self._connecting = None  # it is being left: nobody may cut that short
            self._waiting.refuse(failure)

        self._connecting = connecting = anyio.CancelScope()
        with connecting:
            try:
                async with open_session(
                    self._facts, self._policy, self._ports, self._priority, self._waiting.mark,
                    give_up, self._beside, self.wake,
                ) as session:  # fmt: skip
                    self._connecting, began = None, now()
                    await self._lend(session)
            except (AgentError, LocalProtocolError) as error:
                if began is None and not told:
                    give_up(_named(error))
        self._connecting = None
        return 0.0 if began is None else now() - began

    async def _lend(self, session: LockSession) -> None:
        """Lend the connection to one user after the other, until it is time to leave."""
        now = self._ports.clock.now
        stay_until = now() + self._policy.linger
        self.paired, self._room_wanted, self._followed_until = True, False, -math.inf
        lent, self._session = False, session
        try:
            async with anyio.create_task_group() as watch:
                watch.start_soon(self._wake_at_end, session)
                while session.client.is_up:
                    if self._waiting:
                        self._idle_since, lent = None, True
                        if not await self._lend_once(session):
                            break
                        stay_until = self._stay_after_use(now())
                        continue
                    if self._idle_since is None and not self._room_wanted:
                        self._idle_since = now()
                        self._ports.idle(self._facts.name)  # somebody may wait for the slot
                        session.resume()
                    until = 0.0 if self._stopped else max(stay_until, self._keep_until)
                    if session.working and not self._stopped:
                        until = math.inf  # it has an end of its own
                    elif session.records.lacked_time and self._ports.clock.trusted:
                        until = self._followed_until  # a connection that is kept is made anew
                    left = min(until, session.client.alive_at + LONGEST_SILENCE) - now()
                    if left <= 0 or self._room_wanted:
                        break
                    with anyio.move_on_after(left):
                        await self._changed.wait()
                watch.cancel_scope.cancel()
        finally:
            self.paired, self._idle_since, self._session = False, None, None
            self._untimed = session.records.lacked_time
            if self._ports.clock.trusted:
                self.time_known()
            if self._waiting and not lent:
                self._dropped = LinkLost("the lock ended the connection as soon as it was paired")

    def _stay_after_use(self, now: float) -> float:
        """Until when to stay; a warm lock is also connected to again until then."""
        policy = self._policy
        if policy.connection is not Connection.WARM:
            return now + policy.linger
        self._keep_until = max(self._keep_until, now + policy.warm_for)
        return self._keep_until

    async def _lend_once(self, session: LockSession) -> bool:
        """To the most urgent one; whether the connection can still be used."""
        session.pause()
        one = self._waiting.grant(session)
        await one.released.wait()
        session.records.resume()  # the rest waits until nobody does
        self._followed_until = session.visit.followed_until
        return not (one.broken or session.spent)

    async def _wake_at_end(self, session: LockSession) -> None:
        await session.client.gone()
        self.wake()

    async def _pause(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            while not (self._waiting or self._stopped or self._hurry):
                await self._changed.wait()

    async def _breathe(self, seconds: float) -> None:
        calls = self._calls
        with anyio.move_on_after(seconds):
            while self._waiting and calls == self._calls and not self._stopped:
                await self._changed.wait()


def _named(error: AgentError | LocalProtocolError) -> AgentError:
    return error if isinstance(error, AgentError) else LinkLost(f"misuse of the link: {error}")
