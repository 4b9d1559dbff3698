"""Notices that this process stood still: what it reads then may have waited for minutes.

A gateway that wakes up, or a daemon that was wedged, must not open an empty house to somebody
who has long gone (reference: safety A3).
"""

from __future__ import annotations

import math

import anyio

from bleagent.ports import Clock

BEAT = 0.25
"""Seconds between two looks."""
TOLERATED = 0.25
"""Seconds that a look may come late."""
DISTRUSTED = 1.0
"""Seconds after a stall for which what is read may have come before it."""


class StallWatch:
    """Compares when it wanted to look with when it could."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stalled_at = -math.inf
        self._next = math.inf

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            self._next = self._clock.now() + BEAT
            await anyio.sleep(BEAT)
            self._look()

    def _look(self) -> None:
        now = self._clock.now()
        if now > self._next + TOLERATED:
            self._stalled_at = now

    def stalled(self) -> bool:
        """Whether it stood still a moment ago, for more than a quarter of a second."""
        self._look()
        return self._clock.now() < self._stalled_at + DISTRUSTED
