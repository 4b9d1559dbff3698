"""One lock's temporary passwords: what the cloud said last, and how far each has come.

Shared by whoever asks the cloud and by the visits to the lock. What is known of each password is
on disk before the lock is asked anything about it; the digits never are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import anyio

from bleagent.ports import Clock
from bleagent.records.beside import CallsBeside

from .passwords import (
    Doing,
    Held,
    Item,
    State,
    gone,
    is_told,
    next_of,
    noted,
    numbers_of_others,
    settled,
)

T = TypeVar("T")

STALE = 900.0
"""Seconds for which the cloud's word holds; on an older one nothing is asked of a lock."""
PATIENCE = 5.0
"""Seconds for the disk; nobody stays at a lock for longer because of it."""
_ORDER = (Doing.REMOVE, Doing.CHANGE, Doing.ADD)


class PasswordBook(Protocol):
    """Where it is kept how far each password has come. Every method raises StoreError."""

    async def items(self, lock: str) -> Sequence[Item]:
        """All of a lock's."""
        ...

    async def keep(self, lock: str, item: Item) -> None:
        """On disk when this returns, in place of what was known of that password."""
        ...

    async def forget(self, lock: str, password_id: str) -> None:
        """Nothing is known of it any more."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """What to ask of the lock. ``item``: what was known; None, if nothing was."""

    doing: Doing
    item: Item | None
    held: Held | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncState:
    """How it stands, for people: passwords by state, and the last thing that went wrong."""

    passwords: dict[State, int]
    asked_at: float | None
    """Unix seconds of the cloud's last usable answer."""
    last_error: str | None
    """A code."""


class PasswordDesk:
    """The passwords of one lock.

    ``lock`` is what it is known by for good, in whatever way a person may call it. ``calls`` reach
    the disk without holding up whoever leaves; ``ended`` is told what came to an end, when that is
    on disk.
    """

    def __init__(
        self,
        lock: str,
        book: PasswordBook,
        calls: CallsBeside,
        clock: Clock,
        ended: Callable[[Item], None] = lambda _: None,
    ) -> None:
        self._lock = lock
        self._book = book
        self._calls = calls
        self._clock = clock
        self._ended = ended
        self._items: dict[str, Item] | None = None
        self._held: dict[str, Held] = {}
        self._told_at: float | None = None
        self._asked_at: float | None = None
        self._refused: set[str] = set()
        """To which the lock said no since the cloud's last word: not asked again until the next."""
        self.changed = anyio.Event()
        """Is set when there is something to look at again, and replaced."""
        self.cloud_error: str | None = None
        """The code of what was wrong with the last look."""
        self.lock_error: str | None = None
        """The code of what ended the last visit before its time."""

    # -- for people

    def state(self) -> SyncState:
        """How it stands."""
        found = Counter(one.state for one in self._known)
        return SyncState(
            passwords={state: found[state] for state in State},
            asked_at=self._asked_at,
            last_error=self.lock_error or self.cloud_error,
        )

    # -- the cloud's word

    async def told(self, held: Sequence[Held]) -> None:
        """This is what the cloud holds now. Raises StoreError: it cannot be acted upon."""
        if self._items is None:
            found = await self._stored(lambda: self._book.items(self._lock))
            self._items = {one.password_id: one for one in found}
        self._held = {one.password_id: one for one in held}
        self._told_at, self._asked_at = self._clock.now(), self._clock.unix()
        self._refused.clear()
        await self._tidy()
        self.cloud_error = None
        self.tell_change()

    async def _tidy(self) -> None:
        """Keep what waits and why; forget what neither the cloud nor the lock has."""
        for held in self._held.values():
            item = self._by_id(held.password_id)
            if (note := noted(item, held)) is not None:
                await self.keep(note)
        for item in self._known:
            if item.password_id not in self._held and _is_past(item):
                await self.forget(item.password_id)

    # -- what there is to do

    @property
    def has_work(self) -> bool:
        """Whether there is something to ask of the lock."""
        return bool(self.work())

    def work(self) -> frozenset[tuple[str, str]]:
        """What is to be asked of the lock, in a form that can be compared."""
        if self._told_at is None or self._clock.now() - self._told_at > STALE:
            return frozenset()
        unsettled = {
            (one.password_id, f"{one.doing}?") for one in self._known if one.state is State.WRITTEN
        }
        return frozenset(
            unsettled | {(_id_of(one), f"{one.doing} {_terms_of(one)}") for one in self._steps()}
        )

    def _steps(self) -> list[Step]:
        found = []
        for password_id in {**self._held, **(self._items or {})}:
            item, held = self._by_id(password_id), self._held.get(password_id)
            doing = next_of(item, held, self._clock.unix())
            unsettled = item is not None and item.state is State.WRITTEN
            if doing is not None and not unsettled and password_id not in self._refused:
                found.append(Step(doing, item, held))
        return sorted(found, key=lambda one: _ORDER.index(one.doing))

    async def settle(self, there: Collection[int]) -> None:
        """The lock told which temporary passwords it has. Raises StoreError."""
        for item in self._known:
            new = settled(item, there, self._others(item.password_id))
            if new != item:
                await self.keep(new)

    async def next(self, there: Collection[int]) -> Step | None:
        """The next thing to ask of the lock; None: nothing. Raises StoreError."""
        while steps := self._steps():
            step = steps[0]
            number = _number_of(step)
            free = number in there and number not in self._others(_id_of(step))
            if step.doing is Doing.ADD or free:
                return step
            # It is not there any more, or its number is another password's by now.
            await self.keep(gone(step.item or Item(password_id=_id_of(step))))
        return None

    # -- keeping

    async def keep(self, item: Item) -> None:
        """On disk when this returns. Raises StoreError."""

        async def keep() -> None:
            await self._book.keep(self._lock, item)
            before = self._by_id(item.password_id)
            if self._items is not None:
                self._items[item.password_id] = item
            ends = item.state not in (State.WAITING, State.WRITTEN)
            if ends and (before is None or before.state is not item.state):
                self._ended(item)

        await self._stored(keep)

    async def forget(self, password_id: str) -> None:
        """Nothing is known of it any more. Raises StoreError."""

        async def forget() -> None:
            await self._book.forget(self._lock, password_id)
            if self._items is not None:
                self._items.pop(password_id, None)

        await self._stored(forget)

    def tells(self, step: Step, said: Item) -> bool:
        """Whether the sinks are told what the lock said of a step."""
        return is_told(step.item, said, step.doing, self._held)

    def refused(self, password_id: str) -> None:
        """The lock said no to it."""
        self._refused.add(password_id)

    async def _stored(self, call: Callable[[], Awaitable[T]]) -> T:
        return await self._calls.within(PATIENCE, call)

    # -- waking

    def tell_change(self) -> None:
        """Whoever waits for a change looks again."""
        changed, self.changed = self.changed, anyio.Event()
        changed.set()

    # -- plumbing

    @property
    def _known(self) -> tuple[Item, ...]:
        return tuple((self._items or {}).values())

    def _by_id(self, password_id: str) -> Item | None:
        return (self._items or {}).get(password_id)

    def _others(self, password_id: str) -> frozenset[int]:
        return numbers_of_others(password_id, self._known, self._held)


def _is_past(item: Item) -> bool:
    return item.hardid is None and item.state is not State.WRITTEN


def _number_of(step: Step) -> int | None:
    if step.item is not None and step.item.hardid is not None:
        return step.item.hardid
    return None if step.held is None else step.held.sn


def _id_of(step: Step) -> str:
    known = step.item or step.held
    assert known is not None  # noqa: S101 -- a step is about something
    return known.password_id


def _terms_of(step: Step) -> str:
    return "" if step.held is None else step.held.terms
