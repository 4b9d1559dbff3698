"""The agent above a world's Bluetooth: our radio and the unlock job, with a cloud in memory."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import anyio
from anyio.abc import TaskGroup

from bleagent.doors import Door, Doors, Listener
from bleagent.model import Action, LockFacts, OperationRecord, OperationRequest, Principal
from bleagent.policy import Policy
from bleagent.radio.bluetooth_radio import BluetoothRadio
from bleagent.radio.settings import RadioSettings
from bleagent.session import LinkPorts
from bleagent.simulator.fakes import (
    DirectCloud,
    LoopClock,
    MemoryLedger,
    MemoryLocks,
    record_ports,
)
from bleagent.simulator.record_fakes import MemoryRecords
from bleagent.supervisor import Supervisor
from bleagent.unlock import Ports

from .layers import Layer, LockHere

DEADLINE = 20.0
"""Seconds for an operation; machines may be slow."""


class Faults(Listener):
    """What nobody expected: none of it may happen in any story."""

    def __init__(self) -> None:
        self.seen: list[Exception] = []

    def failed(self, operation_id: str, error: Exception) -> None:
        del operation_id
        self.seen.append(error)


class Gateway:
    """One agent with one door for each lock."""

    def __init__(self, layer: Layer, locks: list[LockHere], tasks: TaskGroup) -> None:
        self.layer = layer
        self.faults = Faults()
        self._tasks = tasks
        self._clock = LoopClock()
        self._ids = count(1)
        self._doors = {lock.address: _door(lock) for lock in locks}
        facts = [door.facts for door in self._doors.values()]
        settings = RadioSettings(adapters=(layer.adapter,))
        self.radio = BluetoothRadio(layer.bluetooth, self._clock, facts, settings)
        self._memory = MemoryLocks()
        self.book = MemoryRecords()
        links = LinkPorts(
            radio=self.radio, memory=self._memory, clock=self._clock,
            new_iv=lambda: secrets.token_bytes(16), judge=self.radio, trouble=self.radio.trouble,
            records=record_ports(self.book),
        )  # fmt: skip
        self._supervisor = Supervisor(
            {name: (door.facts, door.policy) for name, door in self._doors.items()},
            links,
            tasks,
            lambda _, error: self.faults.seen.append(error),
        )

    def _new_doors(self, lock: LockHere) -> Doors:
        """With no memory of an operation before: each story asks as if for the first time."""
        cloud = DirectCloud(lock.lock.keys, lock.lock.firmware.dialect, self._clock, takes=0.0)
        ledger = MemoryLedger(marks=self._memory.marks)
        ports = Ports(cloud=cloud, ledger=ledger, memory=self._memory, clock=self._clock)
        door = {lock.address: self._doors[lock.address]}
        return Doors(door, ports, self._supervisor, self._tasks, self.faults)

    async def operate(
        self,
        lock: LockHere,
        action: Action = Action.UNLOCK,
        *,
        deadline: float = DEADLINE,
    ) -> OperationRecord:
        """One operation, by a caller who has never asked before; returns when the lock was left."""
        doors = self._new_doors(lock)
        now, number = self._clock.now(), next(self._ids)
        record, _ = await doors.operate(
            OperationRequest(
                operation_id=f"op-{number}", lock=lock.address, action=action,
                principal=Principal(id="tester"), key=f"key-{number}", fingerprint="same",
                received_at=now, deadline=now + deadline,
            )
        )  # fmt: skip
        await doors.settled()
        owner = self._supervisor.owner(lock.address)
        while owner._runs:
            await anyio.sleep(0.01)
        return record


def _door(lock: LockHere) -> Door:
    firmware = lock.lock.firmware
    facts = LockFacts(
        name=lock.address, device_id=f"device {lock.address}", keys=lock.lock.keys,
        address=lock.address,
    )  # fmt: skip
    policy = Policy(major=firmware.protocol[0], security_v2=firmware.security_v2, linger=0.0)
    return Door(facts, policy)


@asynccontextmanager
async def gateway(layer: Layer, *locks: LockHere) -> AsyncIterator[Gateway]:
    """An agent that listens."""
    async with anyio.create_task_group() as tasks:
        found = Gateway(layer, list(locks), tasks)
        tasks.start_soon(found.radio.run)
        yield found
        tasks.cancel_scope.cancel()
    assert not found.faults.seen, found.faults.seen
