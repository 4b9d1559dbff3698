"""A lock memory that holds on to what could not be written.

The cloud's *no* takes back the *yes* of before. If the store fails just then, the old *yes* is
still on disk, and would open a door as soon as the cloud cannot be asked. So for as long as this
process lives, what could not be written stands in for what is on disk, as something that the cloud
never said yes to: no door is opened by it without asking (safety F3).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from .errors import StoreError
from .model import CodeAttempt, IssuedConfig, Proven
from .ports import LockMemory


class HeldMemory:
    """Implements ``ports.LockMemory`` over another one."""

    def __init__(self, memory: LockMemory) -> None:
        self._memory = memory
        self._held: dict[str, IssuedConfig] = {}

    async def issued_config(self, lock: str) -> IssuedConfig | None:
        """The last one; one that could not be written is written now, if that goes."""
        held = self._held.get(lock)
        if held is None:
            return await self._memory.issued_config(lock)
        with suppress(StoreError):  # then it is still held
            await self.keep_issued_config(lock, held)
        return held

    async def keep_issued_config(self, lock: str, config: IssuedConfig) -> None:
        """Replace the last one, here at least. Raises StoreError: only here."""
        try:
            await self._memory.keep_issued_config(lock, config)
        except StoreError:
            self._held[lock] = replace(config, fetched_at=0.0)
            raise
        self._held.pop(lock, None)

    # -- the rest, as it is stored

    async def sealed_mark(self, lock: str) -> int:
        """As it is stored."""
        return await self._memory.sealed_mark(lock)

    async def proven(self, lock: str) -> Proven | None:
        """As it is stored."""
        return await self._memory.proven(lock)

    async def keep_proven(self, lock: str, proven: Proven) -> None:
        """As it is stored."""
        await self._memory.keep_proven(lock, proven)

    async def begin_code(self, lock: str, attempt: CodeAttempt) -> None:
        """As it is stored."""
        await self._memory.begin_code(lock, attempt)

    async def code_attempt(self, lock: str) -> CodeAttempt | None:
        """As it is stored."""
        return await self._memory.code_attempt(lock)

    async def settle_code(self, lock: str) -> None:
        """As it is stored."""
        await self._memory.settle_code(lock)

    async def next_timestamp(self, lock: str, unix: int) -> int:
        """As it is stored."""
        return await self._memory.next_timestamp(lock, unix)
