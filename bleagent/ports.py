"""The few doors to the outside. Jobs know these; adapters and the simulator implement them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

from .authority.tokens import StoredToken
from .model import (
    AdapterInfo,
    CodeAttempt,
    Ending,
    InstructionRequest,
    IssuedConfig,
    LockFacts,
    OperationRecord,
    OperationRequest,
    Priority,
    Proven,
    SealedInstruction,
    Sighting,
)


class Clock(Protocol):
    """Two clocks: one that only runs forward, and the date."""

    def now(self) -> float:
        """Seconds that never jump and count while suspended (CLOCK_BOOTTIME)."""
        ...

    def unix(self) -> float:
        """Unix seconds; believe them only while ``trusted``."""
        ...

    @property
    def trusted(self) -> bool:
        """Whether the date was confirmed since boot, by the cloud or NTP."""
        ...


class LockLink(Protocol):
    """One connection to one lock, notifications on."""

    @property
    def att_payload(self) -> int:
        """Bytes in one write."""
        ...

    async def write(self, value: bytes) -> None:
        """One GATT write without response. Raises LinkError; it may have left all the same."""
        ...

    def notifications(self) -> AsyncIterator[bytes]:
        """Every notification once, in order. Raises LinkLost when the connection ends."""
        ...


class LockRadio(Protocol):
    """Finds locks and connects to them."""

    def connect(
        self, lock: LockFacts, *, priority: Priority = Priority.OPERATION
    ) -> AbstractAsyncContextManager[LockLink]:
        """Connect; leaving the context disconnects. Raises LinkError."""
        ...


@runtime_checkable
class HandshakeJudge(Protocol):
    """A radio that chooses among devices that claim to be one lock, and wants to know (H1)."""

    def proved(self, lock: str) -> None:
        """The device that is connected as this lock stood the handshake."""
        ...

    def disproved(self, lock: str) -> None:
        """It did not; the next connection tries another one, if there is another one."""
        ...


class ServiceManager(Protocol):
    """Whoever started the daemon, and starts it again."""

    def notify(self, state: str) -> None:
        """Tell it ``NAME=value`` lines, such as ``READY=1`` or ``STATUS=...``; never raises."""
        ...


class Bluetooth(Protocol):
    """This machine's Bluetooth stack: adapters, scanning, connections. No policy of ours.

    Every call has a bound of its own and raises LinkError: RadioUnavailable where the stack or
    the adapter is gone, RadioBusy where it says that something is in progress already.
    """

    async def adapters(self) -> list[AdapterInfo]:
        """Those that are there now."""
        ...

    def scan(
        self, adapter: str, heard: Callable[[Sighting], None]
    ) -> AbstractAsyncContextManager[None]:
        """Listen as long as the context lasts; ``heard`` is told of locks only, known or not.

        Where adapter or stack goes away meanwhile, the body is cancelled and RadioUnavailable
        comes out of the context.
        """
        ...

    def connect(
        self, adapter: str, address: str, *, within: float, fresh: bool = False,
        linked: Callable[[], None] = ...,
    ) -> AbstractAsyncContextManager[LockLink]:  # fmt: skip
        """One attempt, notifications on and characteristics verified when it is entered.

        ``fresh``: believe no remembered GATT table. ``linked`` is called before services are
        discovered, by a stack that tells it. Leaving the context disconnects. Raises
        LockNotFound where the device is not known or does not answer within ``within`` seconds,
        IncompleteTable where a characteristic is missing.
        """
        ...

    async def forget(self, adapter: str, address: str) -> None:
        """Remove the stack's own memory of a device, its GATT table included."""
        ...

    async def connected(self, adapter: str) -> list[str]:
        """Addresses that the stack holds connections to, whoever made them."""
        ...

    async def disconnect(self, adapter: str, address: str) -> None:
        """End somebody's connection; returns when it is seen to have ended (safety A5)."""
        ...

    async def power_cycle(self, adapter: str) -> None:
        """Off and on again; returns when it is on."""
        ...


class Cloud(Protocol):
    """The vendor's cloud, as far as an unlock needs it. All raise CloudError."""

    async def issued_config(self, device_id: str) -> IssuedConfig:
        """``doorLock.getIssuedConfig``."""
        ...

    async def open_instruction(self, request: InstructionRequest) -> SealedInstruction:
        """``doorLock.bleOpenInstruction``; never retried after an ambiguous failure."""
        ...

    async def unix_time(self) -> float:
        """The cloud's time."""
        ...


class Ledger(Protocol):
    """Operations on disk: what makes "at most once" true. All raise StoreError.

    Each method returns only when its change is on disk.
    """

    async def begin(self, request: OperationRequest, *, unix: float) -> OperationRecord | None:
        """Store the intent; or return the record of a key that is known already.

        Raises KeyReused for a known key with another fingerprint, UsesSpent where a guest has no
        opening left: one is reserved with the intent.
        """
        ...

    async def sending(self, operation_id: str, *, sn: int, sealed: bool = False) -> None:
        """``intent -> sending``; raises StoreError if it was anything else.

        ``sealed``: the frame was sealed by somebody else, so its number raises the lock's mark
        (safety B3) in the same commit.
        """
        ...

    async def finish(self, operation_id: str, ending: Ending, *, unix: float) -> OperationRecord:
        """Store the ending, once; a guest's use comes back if nothing was sent (safety F2)."""
        ...

    async def add_evidence(
        self, operation_id: str, evidence: Mapping[str, Any]
    ) -> OperationRecord | None:
        """Add to a finished one's evidence, not its outcome (safety C2); ``None``: not known."""
        ...

    async def known(self, principal: str, key: str) -> OperationRecord | None:
        """The operation of an idempotency key, if the key was used."""
        ...

    async def operation(self, operation_id: str) -> OperationRecord | None:
        """Look one up."""
        ...

    async def last_of(self, lock: str) -> OperationRecord | None:
        """The newest operation of a lock, and when it ended by the clock that never jumps.

        0 for one that ended before this boot; where nobody noted it, when the ledger was opened.
        """
        ...

    async def recover(self, *, unix: float) -> list[OperationRecord]:
        """Close what a crash left open (safety A7); returns what was closed."""
        ...


class LockMemory(Protocol):
    """What is remembered about a lock between visits. All raise StoreError."""

    async def sealed_mark(self, lock: str) -> int:
        """The highest number ever used in a sealed frame (safety B3); 0 before the first."""
        ...

    async def proven(self, lock: str) -> Proven | None:
        """What the lock was when it first took our key (safety H1)."""
        ...

    async def keep_proven(self, lock: str, proven: Proven) -> None:
        """Pin it."""
        ...

    async def begin_code(self, lock: str, attempt: CodeAttempt) -> None:
        """A check code is about to be written; until ``settle_code`` nobody knows which holds."""
        ...

    async def code_attempt(self, lock: str) -> CodeAttempt | None:
        """The attempt that the lock has not answered yet (safety C6)."""
        ...

    async def settle_code(self, lock: str) -> None:
        """The lock's own matched reply came."""
        ...

    async def next_timestamp(self, lock: str, unix: int) -> int:
        """``max(unix, last used + 1)``, stored (safety C5)."""
        ...

    async def issued_config(self, lock: str) -> IssuedConfig | None:
        """The last one, secrets sealed at rest."""
        ...

    async def keep_issued_config(self, lock: str, config: IssuedConfig) -> None:
        """Replace the last one."""
        ...


class TokenBook(Protocol):
    """Tokens on disk, without their secrets. All raise StoreError."""

    async def tokens(self) -> list[StoredToken]:
        """All of them, oldest first, those that are good for nothing included."""
        ...

    async def add(self, token: StoredToken) -> None:
        """Store a new one; raises StoreError also where its id is taken."""
        ...

    async def revoke(self, token_id: str, *, unix: float) -> StoredToken | None:
        """It is good for nothing since then, or since before; ``None`` where there is none."""
        ...

    async def remove(self, token_id: str) -> None:
        """Forget one that is good for nothing any more, and its uses."""
        ...

    async def used(self) -> dict[str, int]:
        """How many openings of guests the ledger has counted or reserved, by the token's id."""
        ...
