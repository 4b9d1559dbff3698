"""The lock's clock: it counts whole seconds from power-up, and is told the time."""

from __future__ import annotations

from math import floor

from bleagent.simulator.timers import SLACK

_WRAP = 2**32
_NEVER_TOLD = 30 * 365 * 24 * 3600
"""Times below this many seconds were taken before the clock was ever told."""


class LockClock:
    """Unix seconds once told, seconds since power-up before that (reference: protocol §6.7)."""

    def __init__(self, power_up: float, *, unix: int = 0) -> None:
        self._power_up = power_up
        self._told = unix
        self._told_at = 0

    def _counted(self, now: float) -> int:
        return floor(now - self._power_up + SLACK)

    def tell(self, unix: int, now: float) -> None:
        """The time is ``unix`` now."""
        self._told, self._told_at = unix, self._counted(now)

    def read(self, now: float) -> int:
        """The time of something that happens now."""
        return (self._told + self._counted(now) - self._told_at) % _WRAP

    def settled(self, taken: int, now: float) -> int:
        """A stored time as it is handed out now: one from before the clock was told is moved.

        That the clock was told since the last power cut is not checked, as in the firmware.
        """
        if taken >= _NEVER_TOLD:
            return taken
        return (self.read(now) - (self._counted(now) - taken)) % _WRAP


def told_seconds(unix_ms: int) -> int:
    """Whole seconds of a time answer, rounded as the firmware does: 500 ms and more go up."""
    return (unix_ms // 1000 + (unix_ms % 1000 >= 500)) % _WRAP
