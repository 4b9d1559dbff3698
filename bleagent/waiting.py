"""Those who want one lock's connection, the most urgent one first."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from .errors import AgentError
from .model import Priority, Step
from .session import LockSession, Mark


@dataclass(eq=False, slots=True)
class Use:
    """Somebody who wants the connection, has it, or had it."""

    priority: Priority
    mark: Mark
    session: LockSession | None = None
    failure: AgentError | None = None
    granted: anyio.Event = field(default_factory=anyio.Event)
    released: anyio.Event = field(default_factory=anyio.Event)
    broken: bool = False
    """It ended in the middle of something: the connection must not be used by anybody else."""


class Waiting:
    """Who has not got it yet."""

    def __init__(self) -> None:
        self._uses: list[Use] = []

    def __bool__(self) -> bool:
        return bool(self._uses)

    def add(self, use: Use) -> None:
        """One more."""
        self._uses.append(use)

    def drop(self, use: Use) -> bool:
        """One does not wait any more; returns whether it did."""
        waited = use in self._uses
        if waited:
            self._uses.remove(use)
        return waited

    def most_urgent(self, nobody: Priority) -> Priority:
        """What the connection is wanted for; ``nobody`` where nobody waits."""
        return min((one.priority for one in self._uses), default=nobody)

    def grant(self, session: LockSession) -> Use:
        """To the most urgent one."""
        one = min(self._uses, key=lambda use: use.priority)
        self._uses.remove(one)
        one.session = session
        one.granted.set()
        return one

    def mark(self, step: Step) -> None:
        """Everybody is told a step of connecting."""
        for one in self._uses:
            one.mark(step)

    def refuse(self, failure: AgentError) -> None:
        """Everybody waits in vain, and is told why."""
        refused, self._uses = self._uses, []
        for one in refused:
            one.failure = failure
            one.granted.set()
