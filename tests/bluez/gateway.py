"""The agent above a world's Bluetooth: our radio and the unlock job, with a cloud in memory."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import anyio
from anyio.abc import TaskGroup

from bleagent.doors import Door, Doors
from bleagent.model import Action, LockFacts, OperationRecord, OperationRequest, Principal
from bleagent.policy import Policy
from bleagent.radio import BluetoothRadio
from bleagent.radio_settings import RadioSettings
from bleagent.session import LinkPorts
from bleagent.simulator.fakes import DirectCloud, LoopClock, MemoryLedger, MemoryLocks
from bleagent.supervisor import Supervisor
from bleagent.unlock import Ports

from .layers import Layer, LockHere

DEADLINE = 20.0
"""Seconds for an operation; machines may be slow."""


class Gateway:
    """One agent with one door for each lock."""

    def __init__(self, layer: Layer, locks: list[LockHere], tasks: TaskGroup) -> None:
        self.layer = layer
        self._locks = locks
        self._tasks = tasks
        self._clock = LoopClock()
        self._ids = count(1)
        facts = [self._facts(lock) for lock in locks]
        settings = RadioSettings(adapters=(layer.adapter,))
        self.radio = BluetoothRadio(layer.bluetooth, self._clock, facts, settings)
        self._facts_of = {one.name: one for one in facts}
        self._doors = {lock.address: self._new_doors(lock) for lock in locks}

    @staticmethod
    def _facts(lock: LockHere) -> LockFacts:
        return LockFacts(
            name=lock.address,
            device_id=f"device {lock.address}",
            keys=lock.lock.keys,
            address=lock.address,
        )

    def _new_doors(self, lock: LockHere) -> Doors:
        firmware = lock.lock.firmware
        memory, clock = MemoryLocks(), self._clock
        ports = Ports(
            cloud=DirectCloud(lock.lock.keys, firmware.dialect, clock, takes=0.0),
            ledger=MemoryLedger(marks=memory.marks),
            memory=memory,
            clock=clock,
        )
        links = LinkPorts(
            radio=self.radio, memory=memory, clock=clock, new_iv=lambda: secrets.token_bytes(16),
            judge=self.radio, trouble=self.radio.trouble,
        )  # fmt: skip
        policy = Policy(major=firmware.protocol[0], security_v2=firmware.security_v2, linger=0.0)
        door = Door(self._facts_of[lock.address], policy)
        supervisor = Supervisor({lock.address: (door.facts, policy)}, links, self._tasks)
        return Doors({lock.address: door}, ports, supervisor, self._tasks)

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
        return record


@asynccontextmanager
async def gateway(layer: Layer, *locks: LockHere) -> AsyncIterator[Gateway]:
    """An agent that listens."""
    async with anyio.create_task_group() as tasks:
        found = Gateway(layer, list(locks), tasks)
        tasks.start_soon(found.radio.run)
        yield found
        tasks.cancel_scope.cancel()
