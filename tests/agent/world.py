"""One door in virtual time: a virtual lock, a radio with faults, a cloud, a store in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup

from bleagent.doors import Door, Doors
from bleagent.health.lock_states import LockStates
from bleagent.issued import known_or_asked
from bleagent.model import (
    Action,
    LockFacts,
    OperationRecord,
    OperationRequest,
    Principal,
)
from bleagent.policy import Backlog, Policy
from bleagent.records.taking import RecordPorts
from bleagent.session import LinkPorts
from bleagent.simulator import virtual_time
from bleagent.simulator.fakes import DirectCloud, LoopClock, MemoryLedger, MemoryLocks
from bleagent.simulator.faults import NO_FAULTS, Faults
from bleagent.simulator.log import Actuated, Move
from bleagent.simulator.profiles import profile
from bleagent.simulator.quirks import Quirks
from bleagent.simulator.radio import VirtualRadio
from bleagent.simulator.record_fakes import MemoryRecords
from bleagent.simulator.virtual_lock import VirtualLock
from bleagent.supervisor import Supervisor
from bleagent.unlock import Ports
from protocol import LockKeys, Secret

T = TypeVar("T")
KEYS = LockKeys(
    uuid="tuya0123456789ab",
    virtual_id="bf0123456789abcdefghij",
    local_key=Secret("abcdef0123456789"),
    sec_key=Secret("secsecsecsecsec1"),
    auth_key=Secret("authauthauthauthauthauthauthauth"),
)
CODE = b"52777950"
DOOR = "front"
CALM: dict[str, Any] = {"linger": 0.0, "backlog": Backlog.LEAVE}


@dataclass
class World:
    """Everything of one rehearsal; made inside the loop."""

    lock: VirtualLock
    radio: VirtualRadio
    cloud: DirectCloud
    ledger: MemoryLedger
    memory: MemoryLocks
    book: MemoryRecords
    clock: LoopClock
    tasks: TaskGroup
    doors: Doors
    ids: count[int]
    states: LockStates

    def build(self, doors: dict[str, Door] | None = None, **ports: Any) -> None:
        """The doors anew, the same ones by default, with other ports where they are given."""
        doors = dict(self.doors._doors) if doors is None else doors
        before = self.doors._ports
        links = self.doors._supervisor._owners[DOOR]._ports
        both = {name: ports[name] for name in ports if name in ("memory", "clock")}
        linked: dict[str, Any] = {
            name: ports.pop(name) for name in ("radio", "new_iv") if name in ports
        }
        if "book" in ports:
            self.book = ports.pop("book")
            linked["records"] = replace(links.records, book=self.book)
        links = replace(links, **linked, **both)
        supervisor = supervise(doors, links, self.tasks)
        listener = self.doors._listener
        self.doors = Doors(doors, replace(before, **ports), supervisor, self.tasks, listener)

    def request(
        self,
        key: str = "key-1",
        *,
        action: Action = Action.UNLOCK,
        deadline: float = 10.0,
        after: str | None = None,
        fingerprint: str = "same",
        guest: bool = False,
    ) -> OperationRequest:
        """A request that was received now."""
        now = self.clock.now()
        return OperationRequest(
            operation_id=f"op-{next(self.ids)}", lock=DOOR, action=action,
            principal=Principal(id="tester", guest=guest), key=key, fingerprint=fingerprint,
            received_at=now, deadline=now + deadline, after=after,
        )  # fmt: skip

    async def operate(self, key: str = "key-1", **options: Any) -> OperationRecord:
        """Ask, and wait for the outcome."""
        record, _ = await self.doors.operate(self.request(key, **options))
        return record

    def actuations(self, move: Move = Move.OPEN) -> list[Actuated]:
        """What the motor did, by the lock's own log."""
        return [
            one
            for one in self.lock.log
            if isinstance(one, Actuated) and one.move is move and one.moved
        ]


def supervise(doors: dict[str, Door], links: LinkPorts, tasks: TaskGroup) -> Supervisor:
    """Owners for these doors."""
    return Supervisor({name: (one.facts, one.policy) for name, one in doors.items()}, links, tasks)


def make(
    tasks: TaskGroup,
    name: str = "v3.0",
    *,
    faults: Faults = NO_FAULTS,
    quirks: Quirks | None = None,
    code_known: bool = True,
    **policy: Any,
) -> World:
    """A world with one door."""
    firmware = profile(name)
    clock = LoopClock()
    draws = count(1)
    lock = VirtualLock(
        KEYS, firmware, quirks=quirks, now=clock.now(), clock=int(clock.unix()),
        new_iv=lambda: next(draws).to_bytes(16, "big"),
        new_srand=lambda: next(draws).to_bytes(6, "big"),
    )  # fmt: skip
    if code_known:
        lock.preset_check_code(5, CODE)
    radio = VirtualRadio(lock, clock, att_payload=firmware.att_payload, faults=faults)
    cloud = DirectCloud(KEYS, firmware.dialect, clock, distribute=not code_known)
    memory = MemoryLocks()
    ledger = MemoryLedger(marks=memory.marks)
    facts = LockFacts(name=DOOR, device_id="virtual-door", keys=KEYS)
    # Each operation on a connection of its own, unless the story is about staying, and nothing
    # but the operation on it, unless it is about what the lock remembers.
    policy = {**CALM, **policy}
    rules = Policy(major=firmware.protocol[0], security_v2=firmware.security_v2, **policy)
    doors = {DOOR: Door(facts, rules)}
    book = MemoryRecords()
    records = RecordPorts(book=book, config=lambda facts: known_or_asked(facts, cloud, memory))
    states = LockStates()
    links = LinkPorts(
        radio=radio, memory=memory, clock=clock, new_iv=lambda: next(draws).to_bytes(16, "big"),
        records=records, heard=lambda lock, dps, event: states.heard(lock, dps, event, clock.now()),
    )  # fmt: skip
    ports = Ports(cloud=cloud, ledger=ledger, memory=memory, clock=clock)
    operated = Doors(doors, ports, supervise(doors, links, tasks), tasks)
    return World(lock, radio, cloud, ledger, memory, book, clock, tasks, operated, count(1), states)


def rehearse(story: Callable[[World], Awaitable[T]], name: str = "v3.0", **options: Any) -> T:
    """Run a story in virtual time and let everything it started come to its end."""

    async def main() -> T:
        told: list[T] = []
        async with anyio.create_task_group() as tasks:
            told.append(await story(make(tasks, name, **options)))
        return told[0]

    return virtual_time.run(main)
