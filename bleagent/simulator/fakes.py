"""Store, cloud and clock in memory, for rehearsals in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import anyio

from bleagent.errors import CloudError, KeyReused, StoreError, UsesSpent
from bleagent.events import OperationEvent
from bleagent.model import (
    Action,
    CodeAttempt,
    Ending,
    InstructionRequest,
    IssuedConfig,
    IssuedInstruction,
    LockFacts,
    OperationRecord,
    OperationRequest,
    Outcome,
    Phase,
    Proven,
    SealedInstruction,
)
from bleagent.records.ports import RecordBook
from bleagent.records.taking import RecordPorts
from protocol import CommandCode, Datapoint, Dialect, Frame, LockKeys, Secret
from protocol.commands import DpWrite, DpWriteV4
from protocol.keys import KeyRing
from protocol.lock import CheckCodeOperation, CheckCodeSet, OpenOperation, OpenRequest
from protocol.message import close_frame

US = 0xFFFF
OPEN_DP, CHECK_DP = 71, 70


class LoopClock:
    """Implements ``ports.Clock`` by the event loop's time."""

    def __init__(self, unix: float = 1_700_000_000.0, *, trusted: bool = True) -> None:
        self._unix = unix
        self.trusted = trusted

    def now(self) -> float:
        """The loop's seconds."""
        return anyio.current_time()

    def unix(self) -> float:
        """Unix seconds."""
        return self._unix + anyio.current_time()


@dataclass(slots=True)
class MemoryLedger:
    """Implements ``ports.Ledger``. Commits can stall or fail on demand."""

    records: dict[str, OperationRecord] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)
    """Shared with ``MemoryLocks``: one commit raises them."""
    uses: dict[str, str] = field(default_factory=dict)
    """Operation and principal of guests' openings; shared with ``MemoryTokens``."""
    events: list[OperationEvent] = field(default_factory=list)
    """Every ending and every evidence, in the order of the commits."""
    sending_takes: float = 0.0
    sending_fails: bool = False
    finish_fails: bool = False

    async def begin(self, request: OperationRequest, *, unix: float) -> OperationRecord | None:
        """Store the intent, or return the record of a known key."""
        known = await self.known(request.principal.id, request.key)
        if known is not None and known.fingerprint != request.fingerprint:
            raise KeyReused("another request")
        if known is None:
            self._reserve(request)
            self.records[request.operation_id] = OperationRecord(
                id=request.operation_id, lock=request.lock, action=request.action,
                principal=request.principal.id, key=request.key, fingerprint=request.fingerprint,
                phase=Phase.INTENT, requested_at=unix,
            )  # fmt: skip
        return known

    def _reserve(self, request: OperationRequest) -> None:
        caller = request.principal
        if caller.times is None or request.action is not Action.UNLOCK:
            return
        if list(self.uses.values()).count(caller.counted_as) >= caller.times:
            raise UsesSpent("no opening is left")
        self.uses[request.operation_id] = caller.counted_as

    async def known(self, principal: str, key: str) -> OperationRecord | None:
        """The operation of a key."""
        await anyio.lowlevel.checkpoint()
        found = (
            one for one in self.records.values() if (one.principal, one.key) == (principal, key)
        )
        return next(found, None)

    async def sending(self, operation_id: str, *, sn: int, sealed: bool = False) -> None:
        """``intent -> sending``, and the mark with it."""
        await anyio.sleep(self.sending_takes)
        record = self.records[operation_id]
        if self.sending_fails or record.phase is not Phase.INTENT or sn < 1:
            raise StoreError("the commit failed")
        self.records[operation_id] = replace(record, phase=Phase.SENDING)
        if sealed:
            self.marks[record.lock] = max(sn, self.marks.get(record.lock, 0))

    async def finish(self, operation_id: str, ending: Ending, *, unix: float) -> OperationRecord:
        """Store the ending, once."""
        await anyio.lowlevel.checkpoint()
        record = self.records[operation_id]
        if self.finish_fails or record.phase is Phase.FINISHED:
            raise StoreError("the commit failed")
        unsent = ending.outcome is Outcome.REFUSED and record.phase is Phase.INTENT
        if ending.outcome is Outcome.UNREACHED or unsent:
            self.uses.pop(operation_id, None)
        record = replace(
            record, phase=Phase.FINISHED, ending=ending, finished_at=unix,
            ended_at=anyio.current_time(),
        )  # fmt: skip
        self.records[operation_id] = record
        self.events.append(OperationEvent(seq=len(self.events) + 1, record=record))
        return record

    async def add_evidence(
        self, operation_id: str, evidence: Mapping[str, Any]
    ) -> OperationRecord | None:
        """Add to what is finished."""
        await anyio.lowlevel.checkpoint()
        record = self.records.get(operation_id)
        if record is None or record.ending is None:
            return None
        ending = replace(record.ending, evidence=(*record.ending.evidence, dict(evidence)))
        self.records[operation_id] = record = replace(record, ending=ending)
        self.events.append(
            OperationEvent(seq=len(self.events) + 1, record=record, evidence=dict(evidence))
        )
        return record

    async def operation(self, operation_id: str) -> OperationRecord | None:
        """Look one up."""
        return self.records.get(operation_id)

    async def last_of(self, lock: str) -> OperationRecord | None:
        """The newest of a lock."""
        of = [one for one in self.records.values() if one.lock == lock]
        return of[-1] if of else None

    async def recover(self, *, unix: float) -> list[OperationRecord]:
        """Close what is open, as after a crash in the same boot."""
        closed = []
        for record in [one for one in self.records.values() if one.phase is not Phase.FINISHED]:
            unsent = record.phase is Phase.INTENT
            outcome = Outcome.UNREACHED if unsent else Outcome.UNCONFIRMED
            ending = Ending(outcome=outcome, code="interrupted")
            closed.append(await self.finish(record.id, ending, unix=unix))
        return closed


@dataclass(slots=True)
class MemoryLocks:
    """Implements ``ports.LockMemory``."""

    marks: dict[str, int] = field(default_factory=dict)
    timestamps: dict[str, int] = field(default_factory=dict)
    configs: dict[str, IssuedConfig] = field(default_factory=dict)
    pins: dict[str, Proven] = field(default_factory=dict)
    attempts: dict[str, CodeAttempt] = field(default_factory=dict)

    async def sealed_mark(self, lock: str) -> int:
        """The highest number used in a sealed frame."""
        return self.marks.get(lock, 0)

    async def proven(self, lock: str) -> Proven | None:
        """What the lock was at first."""
        return self.pins.get(lock)

    async def keep_proven(self, lock: str, proven: Proven) -> None:
        """Pin it."""
        self.pins[lock] = proven

    async def begin_code(self, lock: str, attempt: CodeAttempt) -> None:
        """A check code is on its way."""
        await anyio.lowlevel.checkpoint()
        self.attempts[lock] = attempt

    async def code_attempt(self, lock: str) -> CodeAttempt | None:
        """The one that was not answered yet."""
        return self.attempts.get(lock)

    async def settle_code(self, lock: str) -> None:
        """It was answered."""
        self.attempts.pop(lock, None)

    async def next_timestamp(self, lock: str, unix: int) -> int:
        """Later than every one before."""
        self.timestamps[lock] = max(unix, self.timestamps.get(lock, 0) + 1)
        return self.timestamps[lock]

    async def issued_config(self, lock: str) -> IssuedConfig | None:
        """The last one."""
        return self.configs.get(lock)

    async def keep_issued_config(self, lock: str, config: IssuedConfig) -> None:
        """Replace it."""
        self.configs[lock] = config


def record_ports(book: RecordBook) -> RecordPorts:
    """What taking records needs, of a cloud that issues nothing for it."""

    async def issued(_facts: LockFacts) -> IssuedConfig:
        await anyio.lowlevel.checkpoint()
        return IssuedConfig(lock_random=None, lock_record=None, fetched_at=0.0)

    return RecordPorts(book=book, config=issued)


class NoAnswer(CloudError):
    """The cloud could not be asked."""

    code = "cloud-unreachable"
    allows_offline = True


@dataclass(slots=True)
class DirectCloud:
    """Implements ``ports.Cloud`` without a network: issues a code and seals real instructions.

    ``change`` may spoil an instruction's plaintext before it is sealed; ``down`` lets every
    call fail; ``takes`` is what a call lasts.
    """

    keys: LockKeys
    dialect: Dialect
    clock: LoopClock
    code: Secret = field(default_factory=lambda: Secret("52777950"))
    peripheral: int = 5
    distribute: bool = False
    takes: float = 0.05
    down: bool = False
    refuse: CloudError | None = None
    next_sn: Callable[[int], int] = lambda sn: sn + 1
    change: Callable[[OpenRequest], OpenRequest] = lambda request: request
    change_frame: Callable[[Frame], Frame] = lambda frame: frame
    asked: list[InstructionRequest] = field(default_factory=list)
    config_calls: int = 0
    timestamp: int = 0

    async def issued_config(self, device_id: str) -> IssuedConfig:
        """The check code."""
        del device_id
        self.config_calls += 1
        await self._answer()
        code = CheckCodeSet(
            central=US, peripheral=self.peripheral, code=Secret(bytes(8)),
            operation=CheckCodeOperation.ADD, new_central=US, new_code=self.code,
        )  # fmt: skip
        part = IssuedInstruction(
            dp_id=CHECK_DP, distribute=self.distribute, ins=self.code,
            wake_up_ins=Secret(code.to_bytes()), peripheral=self.peripheral,
        )  # fmt: skip
        return IssuedConfig(lock_random=part, lock_record=None, fetched_at=self.clock.unix())

    async def open_instruction(self, request: InstructionRequest) -> SealedInstruction:
        """A frame sealed with the login key."""
        self.asked.append(request)
        await self._answer()
        self.timestamp = max(int(self.clock.unix()), self.timestamp + 1)
        operation = OpenOperation.OPEN if request.open else OpenOperation.CLOSE
        opening = self.change(
            OpenRequest(US, self.peripheral, self.code, operation, self.timestamp, 0, b"\1")
        )
        datapoint = Datapoint.raw(OPEN_DP, opening.to_bytes())
        if self.dialect.write_code is CommandCode.DP_WRITE_V4:
            data = DpWriteV4((datapoint,), 1).to_bytes()
        else:
            data = DpWrite((datapoint,)).to_bytes()
        frame = self.change_frame(Frame(request.bluetooth_sn, 0, self.dialect.write_code, data))
        ring = KeyRing(self.keys)
        iv = self.timestamp.to_bytes(16, "big")
        message = close_frame(frame, flag=self.dialect.login_flag, ring=ring, iv=iv)
        return SealedInstruction(Secret(message), self.next_sn(frame.sn))

    async def unix_time(self) -> float:
        """The time."""
        await self._answer()
        return self.clock.unix()

    async def _answer(self) -> None:
        await anyio.sleep(self.takes)
        if self.down:
            raise NoAnswer("no route to the cloud")
        if self.refuse is not None:
            raise self.refuse
