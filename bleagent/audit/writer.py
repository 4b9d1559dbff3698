"""Who writes the audit: beside everything else, and nobody waits for it (reference: safety H2, H3).

What is told goes into a queue of bounded length. A disk that stalls or fails holds up the queue
and nothing else; what finds no room is counted, and the count is written where it is missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

import anyio
import structlog

from bleagent import logs
from bleagent.errors import AgentError
from bleagent.ports import Clock

from .chain import HEAD, Audit, AuditRow, Head

log = structlog.get_logger()

MOST = 1000
"""Rows that wait for the disk."""
BATCH = 64
"""Rows in one commit."""
HEAD_EVERY = 300.0
"""Seconds between two anchors in the log, where rows have come that are no operations."""
RETRY = 1.0
LONGEST_RETRY = 60.0
"""Seconds before a disk that failed is tried again: the first time, and at most."""
STOP_WITHIN = 2.0
"""Seconds for the last row."""
LOST = "audit.lost"
"""The event of a row that says how many found no room."""
FINISHED = "operation.finished"
"""After it the chain is anchored at once."""


class AuditBook(Protocol):
    """Where rows are kept."""

    async def append(self, rows: Sequence[AuditRow]) -> Head:
        """On disk when this returns, all or none; the end of the chain. Raises AgentError."""
        ...


class AuditWriter(Audit):
    """Takes rows at once and writes them when it can; ``run`` it in a task of its own.

    ``wrong`` is the code of what is in the way; ``None`` while rows reach the disk.
    """

    def __init__(self, book: AuditBook, clock: Clock, *, most: int = MOST) -> None:
        self._book = book
        self._clock = clock
        self._most = most
        self._queue: deque[AuditRow] = deque()
        self._lost = 0
        self._come = anyio.Event()
        self._tried = anyio.Event()
        self._head: Head | None = None
        self._anchored = 0
        self._anchor_at = clock.now() + HEAD_EVERY
        self._retry = RETRY
        self.wrong: str | None = None

    def tell(
        self,
        event: str,
        *,
        principal: str | None = None,
        lock: str | None = None,
        operation: str | None = None,
        **detail: Any,
    ) -> None:
        """Something happened now: see ``Audit``."""
        self._add_lost()
        if len(self._queue) >= self._most:
            self._lost += 1
            return
        self._queue.append(
            AuditRow(
                at=self._clock.unix(), event=event, principal=principal, lock=lock,
                operation=operation, detail=detail,
            )
        )  # fmt: skip
        self._come.set()

    async def run(self) -> None:
        """Write what comes, and anchor it in the log, until cancelled."""
        while True:
            with anyio.move_on_after(max(0.0, self._anchor_at - self._clock.now())):
                await self._come.wait()
            self._come = anyio.Event()
            while self._queue:
                if not await self._write():
                    await anyio.sleep(self._retry)
                    self._retry = min(2 * self._retry, LONGEST_RETRY)
            if self._clock.now() >= self._anchor_at:
                self.anchor()

    async def settled(self) -> None:
        """Wait until everything is written, or cannot be."""
        while self._queue and self.wrong is None:
            await self._tried.wait()

    async def stop(self) -> None:
        """The last row; ``run`` has to go on meanwhile."""
        self.tell("agent.stopped")
        with anyio.move_on_after(STOP_WITHIN):
            await self.settled()
        self.anchor()

    def anchor(self) -> None:
        """Say in the log where the chain ends, unless it was said."""
        self._anchor_at = self._clock.now() + HEAD_EVERY
        if self._head is not None and self._head.number != self._anchored:
            self._anchored = self._head.number
            log.info(HEAD, **self._head.to_fields())

    async def _write(self) -> bool:
        """Write the next rows; whether to go on at once."""
        batch = list(islice(self._queue, BATCH))
        try:
            self._head = await self._book.append(batch)
        except AgentError as error:
            self._failed(error.code, detail=str(error), advice=error.advice)
            return False
        except Exception as error:  # noqa: BLE001 - a fault of ours; doors open all the same
            self._failed(AgentError.code, **logs.fault(error), advice=AgentError.advice)
            self._lost += len(batch)  # it would fail again
            self._drop(len(batch))
            return False
        else:
            self._drop(len(batch))
            self._wrote()
        finally:
            self._tried.set()
            self._tried = anyio.Event()
        if any(row.event == FINISHED for row in batch):
            self.anchor()
        return True

    def _wrote(self) -> None:
        self._retry = RETRY
        if self.wrong is not None:
            self.wrong = None
            log.info("audit.kept_again")

    def _failed(self, code: str, **why: Any) -> None:
        if self.wrong != code:
            self.wrong = code
            log.error("audit.not_kept", code=code, **why)

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._queue.popleft()
        self._add_lost()

    def _add_lost(self) -> None:
        if self._lost and len(self._queue) < self._most:
            self._queue.append(
                AuditRow(at=self._clock.unix(), event=LOST, detail={"rows": self._lost})
            )
            self._lost = 0
            self._come.set()
