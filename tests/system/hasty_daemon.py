"""The daemon with little patience: ``hasty_daemon.py SECONDS run ...``.

Heads, bodies, readers and handshakes have so many seconds, four may connect at once, and three
openings go before a caller has to wait.
"""

from __future__ import annotations

import sys
from typing import Any

from bleagent import start
from bleagent.http.limits import HandshakeLimits, Limits, Rate
from bleagent.http.wire import WireLimits

CONNECTIONS = 4
OPERATIONS = 3

if __name__ == "__main__":
    from bleagent import app

    within = float(sys.argv.pop(1))
    hurried: Any = app
    make_server, parts = hurried.make_server, hurried.HttpParts
    wire = WireLimits(
        head_within=within, body_within=within, read_within=within, tcp=CONNECTIONS,
        of_uid=CONNECTIONS, unix=CONNECTIONS,
    )  # fmt: skip
    limits = Limits(operations=Rate(burst=OPERATIONS, per_minute=1))
    handshakes = HandshakeLimits(within=within)
    hurried.make_server = lambda *given, **named: make_server(
        *given, **named, limits=wire, handshakes=handshakes
    )
    hurried.HttpParts = lambda **named: parts(**named, limits=limits)
    raise SystemExit(start.main(sys.argv[2:]))
