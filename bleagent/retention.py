"""What operations need of the disk: old ones are forgotten, and room is kept (safety F1, H2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
import structlog

from . import logs
from .errors import StoreError, StoreFull
from .ports import Clock

log = structlog.get_logger()

EACH = 3600.0
"""Seconds between two times."""
PAUSE = 1.0
"""Seconds between two commits of one time."""


LOOK = 60.0
"""Seconds between two looks at the room that is kept."""


class Room(Protocol):
    """Room on the disk that is kept for operations."""

    @property
    def held(self) -> bool:
        """Whether it is; not where they needed it."""
        ...

    async def fill(self) -> None:
        """Take it, where it is not held and there is plenty."""
        ...


class OperationBook(Protocol):
    """Where operations are kept."""

    async def prune(self, *, trusted_unix: float) -> int:
        """Forget a few that are old enough; how many. Raises StoreError."""
        ...


async def forget_operations(
    book: OperationBook, clock: Clock, settled: Callable[[], Awaitable[None]]
) -> None:
    """Now and then, while the date is certain, until cancelled.

    ``settled`` waits until no operation runs: one that begins meanwhile waits for one small commit.
    """
    while True:
        try:
            while clock.trusted:
                await settled()
                if not await book.prune(trusted_unix=clock.unix()):
                    break
                await anyio.sleep(PAUSE)
        except StoreError as error:
            log.warning("operations.not_forgotten", code=error.code, detail=str(error))
        except Exception as error:  # noqa: BLE001 - a fault of ours; doors open all the same
            log.error("operations.fault", **logs.fault(error))  # noqa: TRY400 - without its message
        await anyio.sleep(EACH if clock.trusted else PAUSE)


async def keep_room(room: Room) -> None:
    """Take it again where it was needed and there is plenty, until cancelled; the log says so."""
    held = True
    while True:
        await room.fill()
        if room.held != held:
            held = room.held
            if held:
                log.info("reserve.held")
            else:
                log.warning("reserve.not_held", advice=StoreFull.advice)
        await anyio.sleep(LOOK)
