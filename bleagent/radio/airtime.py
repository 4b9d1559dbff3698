"""What the radio has done and used, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .recovery import Rung, Symptom

DAY = 86_400.0
DAYS_KEPT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LockAir:
    """One lock. Times in seconds."""

    attempts: int
    connections: int
    failures: Mapping[str, int]
    """By the error's code."""
    connected_s: Mapping[int, float]
    """Seconds connected by UTC day (days since 1970), today and yesterday."""
    connected: bool
    adapter: str | None
    """That it is, or was last, connected by."""
    last_heard_age: float | None
    rssi: float | None
    """Smoothed, dBm, of the adapter that heard it best lately."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterAir:
    """One adapter. Times in seconds."""

    usable: bool
    scanning: bool
    links: int
    waiting: int
    """Connections that wait for their turn or a slot."""
    last_advertisement_age: float | None
    """Since a lock, ours or not, was heard."""
    symptoms: tuple[Symptom, ...]
    rungs: Mapping[Rung, int]
    """Rungs taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioAir:
    """A snapshot; both by name."""

    adapters: Mapping[str, AdapterAir]
    locks: Mapping[str, LockAir]


@dataclass(slots=True)
class Usage:
    """Counts for one lock.

    ``now`` are the clock's monotonic seconds, which say how long, ``unix`` those of its date,
    believed or not, which say on which day.
    """

    attempts: int = 0
    connections: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    adapter: str | None = None
    _since: float | None = None
    _by_day: dict[int, float] = field(default_factory=dict)

    def failed(self, code: str) -> None:
        """An attempt ended without a connection."""
        self.failures[code] = self.failures.get(code, 0) + 1

    def began(self, adapter: str, now: float) -> None:
        """A connection stands."""
        self.connections += 1
        self.adapter = adapter
        self._since = now

    def ended(self, now: float, unix: float) -> None:
        """It has ended."""
        self._by_day = self.by_day(now, unix)
        self._since = None

    @property
    def connected(self) -> bool:
        """Whether a connection stands."""
        return self._since is not None

    def by_day(self, now: float, unix: float) -> dict[int, float]:
        """Seconds connected by day, the running connection included."""
        days = dict(self._by_day)
        at = unix if self._since is None else unix - (now - self._since)
        while at < unix:
            day = int(at // DAY)
            end = min(unix, (day + 1) * DAY)
            days[day] = days.get(day, 0.0) + end - at
            at = end
        return {day: days[day] for day in sorted(days)[-DAYS_KEPT:]}
