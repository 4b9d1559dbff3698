"""A process that connects to a lock and holds on until it is killed.

python -m tests.bluez.holding_on ADAPTER ADDRESS
"""

from __future__ import annotations

import asyncio
import sys

from bleagent.adapters.bluez import BluezBluetooth
from bleagent.clock import SystemClock
from bleagent.model import Sighting


async def hold(adapter: str, address: str) -> None:
    """Scan, connect, say so, stay."""
    heard = asyncio.Event()

    def hear(sighting: Sighting) -> None:
        if sighting.address == address:
            heard.set()

    async with BluezBluetooth(SystemClock()) as bluetooth:
        async with bluetooth.scan(adapter, hear):
            await heard.wait()
        async with bluetooth.connect(adapter, address, within=10):
            sys.stdout.write("connected\n")
            sys.stdout.flush()
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(hold(*sys.argv[1:]))
