"""How often to ask again, and when not to ask at all. Pure: the clock is passed in."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import QuotaExhausted


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential back-off. Times in seconds; ``jitter`` is the part of a delay left to chance."""

    attempts: int = 3
    first_delay: float = 0.2
    factor: float = 2.0
    longest_delay: float = 5.0
    jitter: float = 0.5

    def delay(self, attempt: int, chance: float) -> float:
        """How long to wait after the ``attempt``-th try (from 1); ``chance`` in 0 .. 1."""
        whole = min(self.first_delay * self.factor ** (attempt - 1), self.longest_delay)
        return whole * (1 - self.jitter * chance)


class Breaker:
    """Stops calls for a while after the quota was exhausted: each one more may cost money."""

    __slots__ = ("_open_until", "_pause", "_why")

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._open_until: float | None = None
        self._why: QuotaExhausted | None = None

    def open(self, why: QuotaExhausted, now: float) -> None:
        """Stop."""
        self._why, self._open_until = why, now + self._pause

    def left(self, now: float) -> float:
        """Seconds of the pause that are left; 0 where there is none."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - now)

    def check(self, now: float) -> None:
        """Let a call through, or not.

        Raises:
            QuotaExhausted: the pause is not over; nothing was asked.
        """
        if self._why is None or not self.left(now):
            return
        why, left = self._why, self.left(now)
        raise QuotaExhausted(
            f"The quota was exhausted; not asking for another {left:.0f} s",
            cloud_code=why.cloud_code,
            msg=why.msg,
            tid=why.tid,
        )
