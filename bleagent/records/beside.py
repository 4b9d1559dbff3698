"""Records that no connection has to wait for (reference: safety H2).

What was begun on the records' disk ends in its own time. A connection that is left while the disk
stalls or fails goes without it, and whoever wants the lock next is not kept waiting.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from bleagent.errors import StoreError

from .ports import RecordBook
from .record import Kept, TakenReport

T = TypeVar("T")
Duty = Callable[[], Awaitable[None]]

MOST = 256
"""Calls that may be under way; beyond them the disk is taken for lost."""
MOST_IN_TURN = 64
"""Connections of one lock of which something may be left to store; beyond them likewise."""


class Beside:
    """What is begun on the connections of one lock, and outlives them.

    ``fault`` is called with what nobody expected.
    """

    def __init__(self, tasks: TaskGroup, fault: Callable[[Exception], None]) -> None:
        self._tasks = tasks
        self._fault = fault
        self._turn = anyio.Lock()
        self._in_turn = self._under_way = 0
        self._ended = anyio.Event()

    def start(self, duty: Duty) -> None:
        """Begin it now."""
        self._under_way += 1
        self._tasks.start_soon(self._run, duty)

    def start_in_turn(self, duty: Duty) -> bool:
        """Begin it when the one before has ended: what an older connection brought goes first.

        Returns whether it will begin: not if too many wait, for the disk does not answer.
        """
        if self._in_turn >= MOST_IN_TURN:
            return False

        async def in_turn() -> None:
            try:
                async with self._turn:
                    await duty()
            finally:
                self._in_turn -= 1

        self._in_turn += 1
        self.start(in_turn)
        return True

    async def ended(self) -> None:
        """Wait until nothing of it is under way."""
        while self._under_way:
            await self._ended.wait()

    async def _run(self, duty: Duty) -> None:
        try:
            await duty()
        except Exception as error:  # noqa: BLE001 - whatever it is, the doors go on
            self._fault(error)
        finally:
            self._under_way -= 1
            self._ended.set()
            self._ended = anyio.Event()


class CallsBeside:
    """Calls to a disk, each of which goes on where whoever waits for it is cancelled.

    They are begun in the order in which they were made; ``what`` names the disk.
    """

    def __init__(self, tasks: TaskGroup, what: str) -> None:
        self._tasks = tasks
        self._what = what
        self._under_way = 0

    async def call(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make it, and wait for its end. Raises StoreError where too many are under way."""
        if self._under_way >= MOST:
            raise StoreError(f"the {self._what}' disk does not answer")
        ended = anyio.Event()
        results: list[T] = []
        failures: list[Exception] = []

        async def run() -> None:
            try:
                results.append(await call())
            except Exception as error:  # noqa: BLE001 - raised again where it is waited for
                failures.append(error)
            finally:
                self._under_way -= 1
                ended.set()

        self._under_way += 1
        self._tasks.start_soon(run)
        await ended.wait()
        if failures:
            raise failures[0]
        return results[0]

    async def within(self, seconds: float, call: Callable[[], Awaitable[T]]) -> T:
        """As ``call``, waiting so long at most. Raises StoreError where that is not enough."""
        with anyio.move_on_after(seconds):
            return await self.call(call)
        raise StoreError(f"the {self._what}' disk does not answer")


class BookBeside:
    """Implements ``ports.RecordBook`` over another: a call may be cancelled, its commit may not.

    The calls reach the book in the order in which they were made.
    """

    def __init__(self, book: RecordBook, tasks: TaskGroup) -> None:
        self._book = book
        self._beside = CallsBeside(tasks, "records").call

    async def take(self, report: TakenReport) -> Kept:
        """As the book's."""
        return await self._beside(lambda: self._book.take(report))

    async def drained(self, lock: str, *, up_to: int, keep: Collection[int], unix: float) -> None:
        """As the book's."""
        await self._beside(lambda: self._book.drained(lock, up_to=up_to, keep=keep, unix=unix))

    async def last_seq(self) -> int:
        """As the book's."""
        return await self._beside(self._book.last_seq)

    async def note_gap(self, lock: str, *, unix: float, reason: str) -> None:
        """As the book's."""
        await self._beside(lambda: self._book.note_gap(lock, unix=unix, reason=reason))
