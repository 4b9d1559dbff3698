"""An event loop whose time is virtual: waiting costs nothing, so that no test sleeps.

When nothing is ready, the loop jumps to the next timer instead of waiting for it. Everything
that waits by the loop (anyio's timeouts and sleeps, too) follows; threads and real sockets do
not, so there must be none.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):
    """Never waits: it tells how long it would have."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everything waits for something that never comes")
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Starts at 0 seconds."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds."""
        return self._jumping.now


def run(function: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run an async function to its end in virtual time."""
    return anyio.run(
        function, *args, backend="asyncio", backend_options={"loop_factory": VirtualTimeLoop}
    )
