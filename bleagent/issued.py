"""The issued configuration of one lock: fetched while connecting, remembered between visits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import anyio

from protocol import Secret

from .clock import AGREEMENT
from .errors import AgentError, CloudError, StoreError
from .model import IssuedConfig, LockFacts
from .policy import Offline, Policy
from .ports import Clock, Cloud, LockMemory

FRESH = 3600.0
"""Seconds for which a remembered configuration is used without asking the cloud again."""


class IssuedConfigs:
    """What ``getIssuedConfig`` says about one lock, for one operation."""

    def __init__(
        self, facts: LockFacts, policy: Policy, cloud: Cloud, memory: LockMemory, clock: Clock
    ) -> None:
        self._facts = facts
        self._policy = policy
        self._cloud = cloud
        self._memory = memory
        self._clock = clock
        self._config: IssuedConfig | None = None
        self._error: AgentError | None = None
        self._done = anyio.Event()
        self.held_code: Secret | None = None
        """The code that the lock was last known to have, before anything new was issued."""

    async def fetch(self) -> None:
        """Get it from memory or the cloud; never raises, ``get`` does."""
        try:
            self._config = await self._memory.issued_config(self._facts.name)
            held = None if self._config is None else self._config.lock_random
            self.held_code = None if held is None or held.distribute else held.ins
            if self._config is None or self.age() > FRESH or self._undistributed:
                await self._from_cloud()
        except CloudError as error:
            # What was issued before may still open, if the policy says so.
            self._error = None if self._config is not None and error.allows_offline else error
            await self.heed(error)
        except AgentError as error:
            self._error = error
        self._done.set()

    async def get(self) -> IssuedConfig:
        """Wait for ``fetch``.

        Raises:
            AgentError: neither memory nor cloud has it.
        """
        await self._done.wait()
        if self._error is not None:
            raise self._error
        if self._config is None:
            raise CloudError("no configuration was issued")
        return self._config

    async def refresh(self) -> None:
        """Fetch it anew, for the next operation; the cloud's failure is left for then."""
        try:
            await self._from_cloud()
        except AgentError:
            return

    async def heed(self, error: CloudError) -> None:
        """After the cloud's *no* its *yes* of before counts no more, here or offline (F3)."""
        if error.refusal and self._config is not None:
            self._config = replace(self._config, fetched_at=0.0)
            try:
                await self._memory.keep_issued_config(self._facts.name, self._config)
            except StoreError as failure:
                self._error = failure

    async def proven(self) -> None:
        """The lock opened with the issued code, so it has it, whatever was left open (C6)."""
        try:
            if await self._memory.code_attempt(self._facts.name) is not None:
                await self._memory.settle_code(self._facts.name)
        except StoreError:
            return  # it stays open: the offline way stays shut

    async def distributed(self) -> None:
        """The lock has the check code now; do not give it again."""
        config = self._config
        if config is not None and config.lock_random is not None:
            known = replace(config.lock_random, distribute=False)
            self._config = replace(config, lock_random=known)
            await self._memory.keep_issued_config(self._facts.name, self._config)

    def age(self) -> float:
        """Seconds since the cloud last answered for this lock.

        Endless on a distrusted clock, and for an answer from the future: one of the two dates
        was wrong, and an old *yes* must not live on by it.
        """
        if self._config is None or not self._clock.trusted:
            return float("inf")
        age = self._clock.unix() - self._config.fetched_at
        return float("inf") if age < -AGREEMENT else max(0.0, age)

    @property
    def _undistributed(self) -> bool:
        part = self._config.lock_random if self._config else None
        return part is not None and part.distribute

    async def _from_cloud(self) -> None:
        self._config = await self._cloud.issued_config(self._facts.device_id)
        await self._memory.keep_issued_config(self._facts.name, self._config)


async def offline_until(
    facts: LockFacts, policy: Policy, memory: LockMemory, clock: Clock
) -> float | None:
    """Until when this door opens though the cloud cannot be asked, Unix seconds (safety F3).

    ``None``: it does not. Raises StoreError.
    """
    if policy.offline is not Offline.CACHED or not clock.trusted:
        return None
    config = await memory.issued_config(facts.name)
    if config is None or await memory.code_attempt(facts.name) is not None:
        return None
    until, now = config.fetched_at + policy.offline_max_age, clock.unix()
    return until if until >= now and config.fetched_at <= now + AGREEMENT else None


async def offline_times(
    doors: Iterable[tuple[LockFacts, Policy]], memory: LockMemory, clock: Clock
) -> dict[str, float]:
    """``offline_until`` of each lock that opens without the cloud, by name. Raises StoreError."""
    found = {}
    for facts, policy in doors:
        if (until := await offline_until(facts, policy, memory, clock)) is not None:
            found[facts.name] = until
    return found


async def known_or_asked(facts: LockFacts, cloud: Cloud, memory: LockMemory) -> IssuedConfig:
    """What was issued last, however old, and only without that the cloud's answer.

    For what needs no *yes* of the cloud, such as asking a lock for its records. Raises AgentError.
    """
    config = await memory.issued_config(facts.name)
    if config is None:
        config = await cloud.issued_config(facts.device_id)
        await memory.keep_issued_config(facts.name, config)
    return config
