"""The owners of all locks, and which of them makes way for another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from anyio.abc import TaskGroup

from .model import LockFacts, Step
from .owner import Fault, LockOwner
from .policy import Policy
from .session import LinkPorts


class Supervisor:
    """The owners of all locks of this gateway."""

    def __init__(
        self,
        locks: Mapping[str, tuple[LockFacts, Policy]],
        ports: LinkPorts,
        tasks: TaskGroup,
        fault: Fault = lambda *_: None,
    ) -> None:
        self._owners = {
            name: LockOwner(facts, policy, ports, tasks, fault)
            for name, (facts, policy) in locks.items()
        }

    def owner(self, lock: str) -> LockOwner:
        """The owner of a configured lock."""
        return self._owners[lock]

    def follow(self, lock: str, policy: Policy) -> None:
        """From now on a lock is connected to by another policy."""
        self._owners[lock].follow(policy)

    def start(self) -> None:
        """Connect to the locks whose connection is to be held."""
        for owner in self._owners.values():
            owner.wake()

    def called(self, lock: str) -> None:
        """A lock says by its advertisement that it has something to tell."""
        self._owners[lock].called()

    def reached(self, lock: str, step: Step) -> None:
        """How far the connection has come that is being made."""
        self._owners[lock].reached(step)

    def time_known(self) -> None:
        """We know the time, and did not before."""
        for owner in self._owners.values():
            owner.time_known()

    def make_room(self, locks: Iterable[str]) -> bool:
        """One of these locks' connections must go, if nobody uses it; whether one does."""
        owners = (self._owners[lock] for lock in locks)
        claims = [(claim, owner) for owner in owners if (claim := owner.claim) is not None]
        return bool(claims) and min(claims, key=lambda one: one[0])[1].make_room()

    async def left(self) -> None:
        """Wait until every lock that was being left has been."""
        for owner in self._owners.values():
            await owner.left()

    def stop(self) -> None:
        """Leave every lock that nobody uses; those in use when they are released."""
        for owner in self._owners.values():
            owner.stop()
