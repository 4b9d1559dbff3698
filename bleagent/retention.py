"""Forgetting operations that nobody needs any more, when no door waits (safety F1, H2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
import structlog

from . import logs
from .errors import StoreError
from .ports import Clock

log = structlog.get_logger()

EACH = 3600.0
"""Seconds between two times."""
PAUSE = 1.0
"""Seconds between two commits of one time."""


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
