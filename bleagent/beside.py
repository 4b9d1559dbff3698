"""A record book that no connection has to wait for (reference: safety H2).

What was begun on the records' disk ends in its own time. A connection that is left while the disk
stalls goes without it, and whoever wants the lock next is not kept waiting.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from .errors import StoreError
from .ports import RecordBook
from .record import Kept, TakenReport

T = TypeVar("T")

MOST = 256
"""Calls that may be under way; beyond them the disk is taken for lost."""


class BookBeside:
    """Implements ``ports.RecordBook`` over another: a call may be cancelled, its commit may not.

    The calls reach the book in the order in which they were made.
    """

    def __init__(self, book: RecordBook, tasks: TaskGroup) -> None:
        self._book = book
        self._tasks = tasks
        self._under_way = 0

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

    async def _beside(self, call: Callable[[], Awaitable[T]]) -> T:
        if self._under_way >= MOST:
            raise StoreError("the records' disk does not answer")
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
