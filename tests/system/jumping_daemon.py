"""The daemon on clocks that can be made to jump: ``jumping_daemon.py FILE run ...``.

``FILE`` is JSON, looked at whenever a clock is: ``wall`` and ``boot`` are seconds added to the date
and to the time since boot; ``at_sending`` are more of both from the moment at which ``sending`` is
on disk. A suspended machine is ``boot`` and ``wall`` forward; somebody who sets the date, ``wall``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


class Jumps:
    """The clocks of the kernel, shifted."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._time, self._gettime = time.time, time.clock_gettime
        self._sent = False

    def _shift(self, which: str) -> float:
        told = json.loads(self._file.read_text())
        more = told.get("at_sending", {}) if self._sent else {}
        return float(told.get(which, 0.0) + more.get(which, 0.0))

    def wall(self) -> float:
        """``time.time``."""
        return self._time() + self._shift("wall")

    def gettime(self, clock: int) -> float:
        """``time.clock_gettime``."""
        which = "boot" if clock == time.CLOCK_BOOTTIME else "wall"
        return self._gettime(clock) + self._shift(which)

    def around(self, sending: Any) -> Any:
        """``SqliteLedger.sending``, and a jump behind it."""

        async def wrapped(*given: Any, **named: Any) -> None:
            await sending(*given, **named)
            self._sent = True

        return wrapped


if __name__ == "__main__":
    jumps = Jumps(Path(sys.argv.pop(1)))
    time.time, time.clock_gettime = jumps.wall, jumps.gettime
    from bleagent import start
    from bleagent.adapters.sqlite_store.ledger import SqliteLedger

    ledger: Any = SqliteLedger
    ledger.sending = jumps.around(SqliteLedger.sending)
    raise SystemExit(start.main(sys.argv[2:]))
