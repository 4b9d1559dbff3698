"""Bounds around other people's coroutines, with a cancellation that lets them tidy up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio

T = TypeVar("T")

LAST_WORD = 1.0
"""Seconds for a task that was cancelled a second time."""


async def in_bounds(work: Coroutine[Any, Any, T], seconds: float, *, grace: float) -> T:
    """Run ``work`` in a task of its own for at most ``seconds``.

    It is cancelled exactly once, when the time is up or when we are cancelled, and then has
    ``grace`` seconds: bleak awaits BlueZ's Disconnect while it unwinds, and a cancel scope, which
    cancels again at every await, would keep it from that. Either way it has ended when this
    returns (or has been cancelled twice and is left behind).

    Raises:
        TimeoutError: the time was up.
        Exception: whatever ``work`` raised.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=max(seconds, 0.0))
    except asyncio.CancelledError:
        await _wind_up(task, grace)
        raise
    if task.done():
        return task.result()
    await _wind_up(task, grace)
    raise TimeoutError(f"not done within {seconds:.1f} s")


async def _wind_up(task: asyncio.Task[Any], grace: float) -> None:
    with anyio.CancelScope(shield=True):
        for wait in (grace, LAST_WORD):
            task.cancel()
            await asyncio.wait({task}, timeout=wait)
            if task.done():
                break
        else:
            task.add_done_callback(_forget_result)
            return
    _forget_result(task)


def _forget_result(task: asyncio.Task[Any]) -> None:
    """Look at it, so that nobody complains that nobody did."""
    if not task.cancelled():
        task.exception()
