"""What the stories of an operation need besides the world: taps on the link, odd clocks, stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from bleagent.doors import Door
from bleagent.model import (
    Ending,
    InstructionRequest,
    IssuedConfig,
    LockFacts,
    OperationRecord,
    SealedInstruction,
)
from bleagent.ports import LockRadio
from bleagent.simulator.fakes import DirectCloud, LoopClock, MemoryLedger
from bleagent.simulator.log import LinkChanged, Received
from bleagent.simulator.radio import VirtualLink
from bleagent.unlock import UnlockJob
from bleagent.visit import Evidence
from protocol.fragment import Joiner
from tests.agent.matrix import Calm
from tests.agent.world import DOOR, World

CALM = Calm("v3.0")
FIRST = CALM.instruction
"""The write with the first fragment of the instruction, counted from 0."""
LAST = CALM.writes - 1
"""The write with its last fragment: the commit point. What follows is asserted by Calm."""


def ending(record: OperationRecord) -> Ending:
    """How it ended; it must have."""
    assert record.ending is not None
    return record.ending


def told(record: OperationRecord) -> tuple[str, str]:
    """Outcome and code."""
    return ending(record).outcome.value, ending(record).code


class JumpingClock(LoopClock):
    """``now`` jumps without a timer of the loop noticing: the machine was suspended."""

    jumped = 0.0

    def now(self) -> float:
        """The loop's seconds, and those that it slept through."""
        return super().now() + self.jumped


class DurableLedger(MemoryLedger):
    """``sending`` takes as long as the disk takes: no cancellation shortens an fsync."""

    async def sending(self, operation_id: str, *, sn: int, sealed: bool = False) -> None:
        """``intent -> sending``, late."""
        with anyio.CancelScope(shield=True):
            await super().sending(operation_id, sn=sn, sealed=sealed)


class TappedLink:
    """A link with somebody listening: ``before`` is called with the number of each write."""

    def __init__(self, link: VirtualLink, before: Callable[[int], Awaitable[None]]) -> None:
        self.att_payload = link.att_payload
        self._link = link
        self._before = before

    async def write(self, value: bytes) -> None:
        """One write."""
        await self._before(len(self._link.written))
        await self._link.write(value)

    def notifications(self) -> AsyncIterator[bytes]:
        """As they come."""
        return self._link.notifications()


@dataclass
class TappedRadio:
    """The world's radio with a tap on every link."""

    world: World
    before: Callable[[int], Awaitable[None]]

    @asynccontextmanager
    async def connect(self, lock: LockFacts) -> AsyncIterator[TappedLink]:
        """Connect."""
        async with self.world.radio.connect(lock) as link:
            yield TappedLink(link, self.before)


def rewire(world: World, **ports: Any) -> None:
    """The same doors with other ports."""
    world.build(**ports)


def at_write(world: World, position: int, act: Callable[[], None]) -> None:
    """Let something happen right before one write, in the same step of the loop."""

    async def before(index: int) -> None:
        if index == position:
            act()

    radio: LockRadio = TappedRadio(world, before)
    rewire(world, radio=radio)


@dataclass
class Job:
    """One job without doors, with a say at its commit point."""

    world: World
    still_allowed: Callable[[], None] = lambda: None
    endings: list[Ending] = field(default_factory=list)
    heard: list[Evidence] = field(default_factory=list)

    async def run(self, **options: Any) -> Ending:
        """Run it to its end."""
        world = self.world
        door: Door = world.doors.door(DOOR)
        request = world.request(**options)
        await world.ledger.begin(request, unix=world.clock.unix())

        job = UnlockJob(
            request, door.facts, door.policy, world.doors._ports,
            world.doors._supervisor.owner(DOOR), self, self.still_allowed,
        )  # fmt: skip
        await job.run()
        assert len(self.endings) == 1
        return self.endings[0]

    async def finish(self, ending: Ending) -> None:
        """Implements ``unlock.Told``."""
        self.endings.append(ending)

    async def learn(self, evidence: Evidence) -> None:
        """What was heard after it."""
        self.heard.append(evidence)


async def happens(world: World, event: Mapping[str, Any]) -> None:
    """Something happens at the lock, while we are connected."""
    link = world.radio.links[-1]
    await link._pass_on(world.lock.local({"local": dict(event)}, world.clock.now()))


async def until(condition: Callable[[], Any], *, within: float = 30.0) -> None:
    """Let virtual time pass until something is so."""
    with anyio.fail_after(within):
        while not condition():
            await anyio.sleep(0.01)


def messages(link: VirtualLink) -> list[bytes]:
    """The whole messages that were written: the first byte is the security flag."""
    joiner = Joiner()
    return [whole for value in link.written if (whole := joiner.feed(value)) is not None]


def numbers(world: World, connection: int) -> list[int]:
    """The numbers of the frames that the lock took on one connection."""
    return [
        one.sn
        for one in world.lock.log
        if isinstance(one, Received) and one.connection == connection and one.sn is not None
    ]


def partings(world: World) -> list[tuple[int, str]]:
    """Which connection ended and why."""
    return [
        (one.connection, one.reason)
        for one in world.lock.log
        if isinstance(one, LinkChanged) and not one.up
    ]


@dataclass
class IssuingCloud:
    """The world's cloud, with another configuration."""

    real: DirectCloud
    config: IssuedConfig

    async def issued_config(self, device_id: str) -> IssuedConfig:
        """What it was told to issue."""
        del device_id
        return self.config

    async def open_instruction(self, request: InstructionRequest) -> SealedInstruction:
        """The real one."""
        return await self.real.open_instruction(request)

    async def unix_time(self) -> float:
        """The real one."""
        return await self.real.unix_time()
