"""When the cloud says that a lock was paired last: T0, looked at now and then.

Beside everything else: a look is no part of a visit. A lock is visited for a T0 that it was not
told, which its offline passwords need, but not for its list, which is of use to nobody at the door.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Protocol

import anyio

from bleagent.errors import AgentError
from bleagent.ports import Clock

from .upkeep_desk import UpkeepDesk

EVERY = 3600.0
"""Seconds between two looks, and between two visits for the same."""
FAILED = 600.0
"""Seconds before a cloud is asked again that did not answer."""
UNTIMED = 0.5
"""Seconds before it is looked again whether the time is known."""


class T0Source(Protocol):
    """The cloud's side of it."""

    async def paired_at(self) -> Mapping[str, int | None]:
        """When each lock was paired last, Unix seconds. Raises CloudError."""
        ...


class UpkeepLooks:
    """Looks for every lock that has a desk.

    ``visit`` asks for a visit to a lock, ``fault`` is told what nobody expected.
    """

    def __init__(
        self,
        desks: Mapping[str, UpkeepDesk],
        source: T0Source,
        clock: Clock,
        visit: Callable[[str], object],
        fault: Callable[[str, Exception], None],
    ) -> None:
        self._desks = desks
        self._source = source
        self._clock = clock
        self._visit = visit
        self._fault = fault
        self._visited_at: dict[str, float] = {}

    async def run(self) -> None:
        """Look, until cancelled; nothing where no lock is kept up."""
        while self._desks:
            if not self._clock.trusted:
                await anyio.sleep(UNTIMED)
                continue
            await anyio.sleep(EVERY if await self.look() else FAILED)

    async def look(self) -> bool:
        """Look once, and ask for a visit where T0 waits; whether everything could be seen."""
        opened = [lock for lock, desk in self._desks.items() if await self._open(lock, desk)]
        try:
            told = await self._source.paired_at() if opened else {}
        except Exception as error:  # noqa: BLE001 - whatever it is; doors open all the same
            for lock in opened:
                self._failed(lock, error)
            return False
        for lock in opened:
            desk = self._desks[lock]
            desk.told_t0(told.get(lock))
            if desk.t0 is not None:
                self._ask_for_visit(lock)
        return len(opened) == len(self._desks)

    async def _open(self, lock: str, desk: UpkeepDesk) -> bool:
        """What is kept of one lock and cannot be read stops no other."""
        try:
            await desk.open()
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(lock, error)
            return False
        return True

    def _failed(self, lock: str, error: Exception) -> None:
        if isinstance(error, AgentError):
            self._desks[lock].cloud_error = error.code
            return
        self._desks[lock].cloud_error = AgentError.code
        self._fault(lock, error)

    def _ask_for_visit(self, lock: str) -> None:
        now = self._clock.now()
        if now - self._visited_at.get(lock, -inf) >= EVERY:
            self._visited_at[lock] = now
            self._visit(lock)
