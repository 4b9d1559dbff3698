"""What the service manager is told while the daemon runs: ready, how it is, and that it lives.

Ready is who listens and has a radio, beside the store that was opened before. It starts us again
where it is not told in time that we live. We say so as long as a restart would mend nothing: not
while the event loop is late, a store does not answer, or a radio that is there does not listen
although it was told to, again and again. Nothing here waits, writes or asks; what others have
found is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import anyio
import structlog

from bleagent import logs
from bleagent.errors import RadioBusy, StoreFull
from bleagent.ports import Clock, ServiceManager

from .readiness import Part, Readiness, shut_by

log = structlog.get_logger()

BEAT = 10.0
"""Seconds between two looks, where the service manager wants no word or waits long for it."""
SOON = 0.25
"""Seconds between two looks until it was told that we are ready."""
PATIENCE = 60.0
"""Seconds that it is asked to wait for the radio, again and again: who gives up is the radio."""
WORDS = 4
"""So often it is told in the time that it waits: one word may be late, or lost."""
LATE = 2.0
"""Seconds that a look may come late before the event loop is said to be."""
DEAF = 90.0
"""Seconds for the radio to mend itself: it scans anew, and switches the adapter off and on.

Silence is none of it. The radio begins a scan anew when it has heard nobody for long, and where
nobody is in the air a restart would find nobody either.
"""
_DEAF_CODE = RadioBusy.code


class Watchdog:
    """Looks now and then, and tells.

    Attributes:
        wrong: Why the service manager is not told that we live; ``None`` while it is.
    """

    def __init__(
        self,
        clock: Clock,
        manager: ServiceManager,
        readiness: Readiness,
        *,
        wanted: float | None = None,
    ) -> None:
        """A word is ``wanted`` within so many seconds; ``None``: none is."""
        self._clock = clock
        self._manager = manager
        self._readiness = readiness
        self._wanted = wanted
        self._beat = BEAT if wanted is None else min(BEAT, wanted / WORDS)
        self._deaf_since = math.inf
        self._status = ""
        self._listens = self._ready = False
        self.wrong: str | None = None

    @property
    def ready(self) -> bool:
        """Whether the service manager was told that we are."""
        return self._ready

    @property
    def status(self) -> str:
        """The line for people, as it is now."""
        return status_of(self._readiness.parts())

    def listens(self) -> None:
        """Requests are answered from now on."""
        self._listens = True

    async def run(self) -> None:
        """Look and tell, until cancelled."""
        late = 0.0
        while True:
            try:
                self._look(late)
            except Exception as error:  # noqa: BLE001 - a fault of ours; doors open all the same
                log.error("watchdog.fault", **logs.fault(error))  # noqa: TRY400 - no message
                self._live()
                self._begin(Part())
            beat = self._beat if self._ready else SOON
            wanted = self._clock.now() + beat
            await anyio.sleep(beat)
            late = self._clock.now() - wanted

    def _look(self, late: float) -> None:
        parts = self._readiness.parts()
        wrong = self._judge(parts, late)
        if (wrong is None) != (self.wrong is None) and self._wanted is not None:
            if wrong is None:
                log.info("watchdog.well")
            else:
                log.error("watchdog.silent", detail=wrong)
        self.wrong = wrong
        if wrong is None:
            self._live()
        self._begin(parts["radio"])
        status = status_of(parts)
        if status != self._status:
            self._status = status
            self._manager.notify(f"STATUS={status}")

    def _begin(self, radio: Part) -> None:
        if self._ready or not self._listens:
            return
        if radio.ok:
            self._ready = True
            self._manager.notify("READY=1")
        else:
            self._manager.notify(f"EXTEND_TIMEOUT_USEC={PATIENCE * 1e6:.0f}")

    def _live(self) -> None:
        if self._wanted is not None:
            self._manager.notify("WATCHDOG=1")

    def _judge(self, parts: Mapping[str, Part], late: float) -> str | None:
        if late > LATE:
            return f"the event loop was {late:.1f} s late"
        error = self._readiness.store_error
        # A restart makes no room on a disk.
        if error is not None and not isinstance(error, StoreFull):
            return f"the store: {error}"
        now = self._clock.now()
        if not any(one.code == _DEAF_CODE for one in parts["radio"].wrong):
            self._deaf_since = math.inf
            return None
        self._deaf_since = min(self._deaf_since, now)
        if now - self._deaf_since < DEAF:
            return None
        return f"no adapter has listened for {now - self._deaf_since:.0f} s"


def status_of(parts: Mapping[str, Part]) -> str:
    """One line for people: whether doors can be opened, and what else is to be looked at."""
    shut = shut_by(parts)
    others = [name for name, part in parts.items() if not part.ok and name not in shut]
    first = f"doors stay shut: {', '.join(shut)}" if shut else "ready"
    return f"{first}; to look at: {', '.join(others)}" if others else first
