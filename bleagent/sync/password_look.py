"""What the cloud holds of temporary passwords, looked at now and then.

Beside everything else: a look is no part of a visit, and what it finds waits for the next one. A
lock is visited for it when something new waits, and seldom for the same (reference: cloud §6).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import anyio

from bleagent.errors import AgentError
from bleagent.ports import Clock

from .password_desk import PasswordDesk
from .passwords import Held

EVERY = 600.0
"""Seconds between two looks at one lock's passwords."""
APART = 5.0
"""Seconds between the looks at two locks."""
AGAIN = 3600.0
"""Seconds before a lock is visited again for what a visit did not bring."""
UNTIMED = 0.5
"""Seconds before it is looked again whether the time is known."""


class PasswordSource(Protocol):
    """The cloud's side of it."""

    async def held(self, lock: str) -> Sequence[Held]:
        """What the cloud holds for a lock. Raises CloudError."""
        ...


class PasswordLooks:
    """Looks for every lock that has a desk.

    ``visit`` asks for a visit to a lock, ``fault`` is told what nobody expected.
    """

    def __init__(
        self,
        desks: Mapping[str, PasswordDesk],
        source: PasswordSource,
        clock: Clock,
        visit: Callable[[str], object],
        fault: Callable[[str, Exception], None],
    ) -> None:
        self._desks = desks
        self._source = source
        self._clock = clock
        self._visit = visit
        self._fault = fault
        self._visited: dict[str, tuple[frozenset[tuple[str, str]], float]] = {}
        """What a lock was visited for last, and when."""

    async def run(self) -> None:
        """Look, until cancelled; nothing where no lock's passwords are to be brought."""
        while self._desks:
            if not self._clock.trusted:
                await anyio.sleep(UNTIMED)
                continue
            began = self._clock.now()
            for lock in self._desks:
                await self.look(lock)
                await anyio.sleep(APART)
            await anyio.sleep(max(0.0, began + EVERY - self._clock.now()))

    async def look(self, lock: str) -> None:
        """Look once, and ask for a visit if something new waits."""
        desk = self._desks[lock]
        try:
            await desk.told(await self._source.held(lock))
        except AgentError as error:
            desk.cloud_error = error.code
            return
        except Exception as error:  # noqa: BLE001 - a fault of ours; doors open all the same
            desk.cloud_error = AgentError.code
            self._fault(lock, error)
            return
        work, now = desk.work(), self._clock.now()
        known, at = self._visited.get(lock, (frozenset(), now))
        if work and (work != known or now - at >= AGAIN):
            self._visit(lock)
            self._visited[lock] = work, now
