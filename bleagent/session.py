"""One paired connection to a lock, shared by everything that is done on it.

It is opened by the lock's one owner (``supervisor``) and used by one job at a time; the duties of
a visit go on in the background as long as it lasts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import anyio
from anyio.abc import TaskGroup

from protocol import Central, Dialect, DpMap, LocalProtocolError
from protocol import events as ev
from protocol.gatt import usable_att_payload

from .errors import AgentError, LockChanged
from .lock_client import LockClient, open_client
from .model import LockFacts, Priority, Proven, Step
from .policy import Policy, SnStart
from .ports import Clock, HandshakeJudge, LockMemory, LockRadio
from .records.beside import Beside
from .records.taking import RecordPorts, RecordTaker
from .sync.password_desk import PasswordDesk
from .sync.password_duty import PasswordDuty
from .sync.questions import Questions
from .sync.upkeep_desk import UpkeepDesk
from .sync.upkeep_duty import UpkeepDuty
from .visit import Visit

MAX_SN_MARK = 2**31
"""A mark above this starts over at 1; reached after two thousand million sealed frames."""

Mark = Callable[[Step], None]
GiveUp = Callable[[AgentError], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPorts:
    """What a connection needs of the outside. ``new_iv`` gives 16 fresh random bytes a call.

    ``judge`` is told who stood the handshake, where the radio has to choose (safety H1);
    ``trouble`` says why a lock cannot be connected to at the moment; ``idle`` is told of a lock
    whose connection nobody uses any more, for those who wait for its slot; ``wanted`` what the
    connection that is being made is wanted for, whenever that changes. ``records`` take what the
    lock remembers; ``passwords`` gives a lock's desk, where its passwords are brought, and
    ``upkeep`` likewise; ``heard`` is called with all that a lock says.
    """

    radio: LockRadio
    memory: LockMemory
    clock: Clock
    new_iv: Callable[[], bytes]
    records: RecordPorts
    passwords: Callable[[str], PasswordDesk | None] = lambda _: None
    upkeep: Callable[[str], UpkeepDesk | None] = lambda _: None
    heard: Callable[[str, DpMap, ev.CentralEvent], None] = lambda *_: None
    judge: HandshakeJudge | None = None
    trouble: Callable[[str], AgentError | None] = lambda _: None
    idle: Callable[[str], None] = lambda _: None
    wanted: Callable[[str, Priority], None] = lambda *_: None


@dataclass(slots=True)
class LockSession:
    """Connected, paired, and proven to be the lock that it was before."""

    client: LockClient
    visit: Visit
    records: RecordTaker
    questions: Questions
    passwords: PasswordDuty
    upkeep: UpkeepDuty
    spent: bool = False
    """Its user found it silent: nobody else is to rely on it."""

    @property
    def working(self) -> bool:
        """Whether a duty still needs the connection; each has an end of its own."""
        return self.records.draining or self.passwords.working or self.upkeep.working

    def pause(self) -> None:
        """Somebody uses the connection: the duties ask nothing."""
        self.records.pause()
        self.questions.pause()

    def resume(self) -> None:
        """Nobody does any more: what waited for that goes on, records apart."""
        self.questions.resume()
        self.look_again()

    def look_again(self) -> None:
        """What the duties wait for may have come."""
        self.passwords.look_again()
        self.upkeep.look_again()


@asynccontextmanager
async def open_session(
    facts: LockFacts,
    policy: Policy,
    ports: LinkPorts,
    priority: Priority,
    mark: Mark,
    give_up: GiveUp,
    beside: Beside,
    wake: Callable[[], None] = lambda: None,
) -> AsyncIterator[LockSession]:
    """Connect and pair; leaving the context disconnects.

    ``mark`` is told each step as it ends, ``give_up`` why a connection is of no use before it is
    ended: a stack may take seconds for that, and nobody's answer should wait for it. What came in
    is stored ``beside``, and leaving does not wait for it. ``wake`` is called when the connection
    is not needed for records any more.

    Raises:
        LinkError: not connected, no answer in its bound, or not taken for the lock's owner.
        LockChanged: another protocol, security or identity than this lock was proven to have.
        StoreError: what is remembered about the lock cannot be read.
    """
    sn_start = await _sn_start(facts, policy, ports.memory)
    failure: AgentError | None = None
    async with ports.radio.connect(facts, priority=priority) as link:
        mark(Step.CONNECT)
        central = Central(
            facts.keys,
            new_iv=ports.new_iv,
            dialect=Dialect(policy.major, policy.security_v2),
            att_payload=usable_att_payload(link.att_payload, policy.major),
            sn_start=sn_start,
        )
        async with open_client(central, link, ports.clock) as client:
            session = _session(client, facts, policy, ports, beside, wake)
            async with anyio.create_task_group() as duties:
                try:
                    await client.handshake(lambda: mark(Step.DEVICE_INFO))
                    await _require_same_lock(facts, client, ports.memory)
                except AgentError as error:
                    failure = error  # raised below: a task group would wrap it
                    give_up(error)
                else:
                    mark(Step.PAIR)
                    if ports.judge is not None:
                        ports.judge.proved(facts.name)
                    _begin_keeping(session.records, session.visit, beside, duties)
                    for duty in (
                        session.visit.answer_times, session.records.drain, session.passwords.run,
                        session.upkeep.run,
                    ):  # fmt: skip
                        duties.start_soon(duty)
                    yield session
                duties.cancel_scope.cancel()
        if failure is not None:
            raise failure  # seen by the radio, too: the next candidate's turn


def _session(
    client: LockClient,
    facts: LockFacts,
    policy: Policy,
    ports: LinkPorts,
    beside: Beside,
    wake: Callable[[], None],
) -> LockSession:
    """The duties of a connection, and who hears what comes in on it."""
    visit = Visit(client, ports.clock, policy.dps)

    def drained() -> None:
        wake()
        session.look_again()

    records = RecordTaker(client, facts, policy, ports.records, ports.clock, beside, visit, drained)
    questions = Questions(client, ports.clock, visit, lambda: not records.draining)
    passwords = PasswordDuty(
        questions, policy.dps, ports.clock, ports.passwords(facts.name),
        records.keep_credentials, wake,
    )  # fmt: skip
    upkeep = UpkeepDuty(
        questions, policy.dps, ports.clock, ports.upkeep(facts.name),
        records.keep_credentials, wake,
    )  # fmt: skip
    visit.told_time = upkeep.clock_told
    client.heard = _each(
        records.listen, visit.listen, questions.listen,
        partial(ports.heard, facts.name, policy.dps),
    )  # fmt: skip
    session = LockSession(client, visit, records, questions, passwords, upkeep)
    return session


def _begin_keeping(records: RecordTaker, visit: Visit, beside: Beside, duties: TaskGroup) -> None:
    """What is stored behind the link may say more about an operation, too."""

    async def keep() -> None:
        try:
            await records.keep()
        finally:
            visit.end()

    if beside.start_in_turn(keep):
        beside.start(visit.tell_followers)
    else:
        records.cannot_keep()
        duties.start_soon(visit.tell_followers)


def _each(*listeners: Callable[[ev.CentralEvent], None]) -> Callable[[ev.CentralEvent], None]:
    def heard(event: ev.CentralEvent) -> None:
        for one in listeners:
            one(event)

    return heard


async def _sn_start(facts: LockFacts, policy: Policy, memory: LockMemory) -> int:
    if policy.sn_start is SnStart.ONE:
        return 1
    mark = await memory.sealed_mark(facts.name)
    return 1 if mark >= MAX_SN_MARK else mark + 1


async def _require_same_lock(facts: LockFacts, client: LockClient, memory: LockMemory) -> None:
    """The first proven generation, security and identity are pinned (safety H1)."""
    info = client.central.info
    if info is None:
        raise LocalProtocolError("a paired lock has told its device information")
    now = Proven(
        major=info.protocol[0],
        security_v2=client.central.dialect.security_v2,
        virtual_id=info.virtual_id,
    )
    before = await memory.proven(facts.name)
    if before is None:
        await memory.keep_proven(facts.name, now)
    elif before != now:
        raise LockChanged(f"{facts.name} was {before.words} and is {now.words} now")
