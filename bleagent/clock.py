"""The system's clocks, and when the date may be believed (reference: safety A2, E1, E2)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

AGREEMENT = 60.0  # s; how far NTP and another source may lie apart, and how far back is no fault
_SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")


def boot_seconds() -> float:
    """Seconds since boot, time asleep included; never set by anyone."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def ntp_synchronized() -> bool:
    """Whether systemd-timesyncd has set the clock since boot."""
    return _SYNCHRONIZED.exists()


class SystemClock:
    """Implements ``ports.Clock``.

    ``highest_trusted`` is the stored maximum of trusted time; the owner stores it again from
    ``highest_trusted`` now and then. Until ``trust`` agrees, ``unix()`` is the machine's own
    date and must not decide anything.
    """

    def __init__(
        self,
        *,
        highest_trusted: float = 0.0,
        boottime: Callable[[], float] = boot_seconds,
        wall: Callable[[], float] = time.time,
        synchronized: Callable[[], bool] = ntp_synchronized,
    ) -> None:
        self._highest = highest_trusted
        self._boottime = boottime
        self._wall = wall
        self._synchronized = synchronized
        self._offset: float | None = None  # from the time since boot to the trusted date

    def now(self) -> float:
        """Seconds that never jump and count while suspended."""
        return self._boottime()

    def unix(self) -> float:
        """Unix seconds.

        Trusted, they come from the time since boot: setting the date, by hand or by anything
        else, moves nothing; and they never go back.
        """
        if self._offset is None:
            return self._wall()
        self._highest = max(self._highest, self._boottime() + self._offset)
        return self._highest

    @property
    def trusted(self) -> bool:
        """Whether ``trust`` has agreed since this process began."""
        return self._offset is not None

    @property
    def highest_trusted(self) -> float:
        """The latest trusted date there has ever been; 0 if there was none."""
        return self.unix() if self.trusted else self._highest

    def trust(self, unix: float, *, verified: bool = True) -> bool:
        """Hear a date from the cloud; says whether the clock is set by it.

        ``verified``: it came over a verified TLS connection. Otherwise it counts only where the
        machine's own date, synchronized by NTP, agrees within 60 s. Where they agree, the
        machine's date is used, which is finer than an answer over HTTP.

        A date more than 60 s before the stored maximum is not believed: either it is wrong, or
        the maximum is, and what depends on it stays closed.
        """
        by_ntp = self._synchronized() and abs(self._wall() - unix) <= AGREEMENT
        if not (verified or by_ntp) or unix < self.highest_trusted - AGREEMENT:
            return False
        self._offset = (self._wall() if by_ntp else unix) - self._boottime()
        self.unix()
        return True
