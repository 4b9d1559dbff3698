"""Whose turn it is on one adapter: one connect at a time, and so many connections.

BlueZ mixes up what it learns of two devices that are connected to at once, and an adapter has
few connections; so whoever wants one waits for the turn and for a slot together, in order, and
an operation that somebody waits for at a door goes before everything else, also where the
connection was wanted for something less urgent when the waiting began.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import anyio

from bleagent.model import Priority


@dataclass(eq=False, slots=True)
class _Waiter:
    priority: Callable[[], Priority]
    number: int
    slot: bool
    admitted: anyio.Event = field(default_factory=anyio.Event)

    @property
    def rank(self) -> tuple[Priority, int]:
        return self.priority(), self.number


class Turn:
    """The right to connect; with a slot, also what comes after it."""

    def __init__(self, gate: Gate, *, slot: bool) -> None:
        self._gate = gate
        self._slot = slot
        self._connecting = True

    def made(self) -> None:
        """The connection stands: the next one may connect."""
        if self._connecting:
            self._connecting = False
            self._gate.connecting = False
            self._gate.admit()

    def end(self) -> None:
        """The connection has ended, or none was made."""
        self.made()
        if self._slot:
            self._slot = False
            self._gate.links -= 1
            self._gate.making_room = False
            self._gate.admit()


class Gate:
    """The turns of one adapter. ``links``: connections up or being made.

    ``crowded`` is told whenever somebody waits because every slot is taken, and says whether
    somebody makes room; it is not asked again before a connection has ended.
    """

    def __init__(self, slots: int, crowded: Callable[[], bool] = lambda: False) -> None:
        self.slots = slots
        self._crowded = crowded
        self.links = 0
        self.connecting = False
        """Whether somebody has the turn."""
        self.making_room = False
        """Whether a connection is being left for whoever waits: one is enough for one turn."""
        self._waiters: list[_Waiter] = []
        self._numbers = count()

    @property
    def full(self) -> bool:
        """Whether every slot is taken."""
        return self.links >= self.slots

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiters)

    @asynccontextmanager
    async def turn(
        self, priority: Callable[[], Priority], *, slot: bool = True
    ) -> AsyncIterator[Turn]:
        """Wait for the turn; leaving the context gives it back, and the slot.

        Args:
            priority: the lowest goes first, and in one priority whoever came first; asked each
                time a turn is given, since what a connection is wanted for can change.
            slot: whether a connection is to be made; a repair needs none.
        """
        waiter = _Waiter(priority, next(self._numbers), slot)
        self._waiters.append(waiter)
        self.admit()
        try:
            await waiter.admitted.wait()
        except BaseException:
            if waiter.admitted.is_set():
                Turn(self, slot=slot).end()
            else:
                self._waiters.remove(waiter)
                self.admit()
            raise
        turn = Turn(self, slot=slot)
        try:
            yield turn
        finally:
            turn.end()

    def admit(self) -> None:
        """Let the first one in, if it may. A full adapter keeps nobody from repairing it."""
        if self.connecting or not self._waiters:
            return
        first = min(self._waiters, key=lambda one: one.rank)
        if first.slot and self.full:
            # Two that are kept would displace each other.
            if first.priority() < Priority.KEEPING and not self.making_room:
                self.making_room = self._crowded()
            return
        self._waiters.remove(first)
        self.connecting = True
        self.links += first.slot
        first.admitted.set()
