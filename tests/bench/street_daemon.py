"""The daemon before a street of virtual locks: ``street_daemon.py PORTS run ...``.

``PORTS`` is a JSON file with the port of each lock by name. Two limits are lifted, so that the
traffic of a day fits into a minute: how often one caller operates doors, and the two seconds for
which a door rests. Everything else is as it always is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bleagent import start
from bleagent.http.limits import Limits, Rate

OFTEN = Rate(burst=1_000_000, per_minute=1_000_000)


if __name__ == "__main__":
    from bleagent import app, doors
    from bleagent.adapters.socket_radio import SocketLink, SocketRadio
    from bleagent.model import LockFacts, Priority

    ports = json.loads(Path(sys.argv.pop(1)).read_text())

    class StreetRadio(SocketRadio):
        """Reaches each lock at a port of its own."""

        @asynccontextmanager
        async def connect(
            self, lock: LockFacts, *, priority: Priority = Priority.OPERATION
        ) -> AsyncIterator[SocketLink]:
            """As ``SocketRadio``."""
            radio = SocketRadio(self._host, ports[lock.name])
            async with radio.connect(lock, priority=priority) as link:
                yield link

    street: Any = app
    parts = street.HttpParts
    street.SocketRadio = StreetRadio
    street.HttpParts = lambda **named: parts(**named, limits=Limits(operations=OFTEN))
    rested: Any = doors
    rested.REST = 0.0
    raise SystemExit(start.main(sys.argv[2:]))
