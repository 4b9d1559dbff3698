"""The daemon that answers everybody as often as they ask: ``patient_daemon.py run ...``.

For who asks thousands of things in a minute to see whether each answer is a documented one. A
stream of events says its beginning and ends, as it does when the agent stops.
"""

from __future__ import annotations

import sys
from typing import Any

from bleagent import start
from bleagent.http.limits import Limits, Rate

OFTEN = Rate(burst=1_000_000, per_minute=1_000_000)

if __name__ == "__main__":
    from bleagent import app
    from bleagent.events import Bell
    from bleagent.wiring import watching

    patient: Any = app
    parts = patient.HttpParts
    limits = Limits(
        anonymous=OFTEN, anonymous_all=OFTEN, failures=OFTEN, failures_all=OFTEN, operations=OFTEN,
        wrong_tickets=OFTEN,
    )  # fmt: skip
    patient.HttpParts = lambda **named: parts(**named, limits=limits)
    root: Any = watching
    ended, events = Bell(), root.EventParts
    ended.close()
    root.EventParts = lambda **named: events(**named | {"bell": ended})
    raise SystemExit(start.main(sys.argv[2:]))
