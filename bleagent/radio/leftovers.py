"""What attempts to connect may leave in the Bluetooth stack, and seeing that it goes."""

from __future__ import annotations

import math

from bleagent.errors import LinkError
from bleagent.ports import Bluetooth, Clock

from .bounds import CALL_BOUND, bounded

LOOKS = (0.0, 0.5, 1.5, 4.0, 10.0)
"""Seconds after an attempt that was not made at which it is seen that nothing of it is left."""


class Leftovers:
    """Of one adapter.

    A connection that nobody has keeps its lock silent until that hangs up by itself. One that
    was being made when it was cancelled may stand only a moment later, when the stack had nothing
    to cancel; so it is looked for more than once.
    """

    def __init__(self, adapter: str, bluetooth: Bluetooth, clock: Clock) -> None:
        self._adapter = adapter
        self._bluetooth = bluetooth
        self._clock = clock
        self._looks: dict[str, list[float]] = {}

    def look_after(self, address: str) -> None:
        """An attempt failed or was cut short."""
        now = self._clock.now()
        self._looks[address] = [now + later for later in LOOKS]

    def forget(self, address: str) -> None:
        """It is connected now, and by us."""
        self._looks.pop(address, None)

    def next_look(self) -> float:
        """When ``end`` has something to do; infinite if nothing is left."""
        return min((times[0] for times in self._looks.values()), default=math.inf)

    async def end(self) -> None:
        """Look where it is time to, and end what is there; nobody may be connecting meanwhile.

        A stack that does not answer is left alone: the next attempt finds out more.
        """
        now = self._clock.now()
        for address in [one for one, times in self._looks.items() if times[0] <= now]:
            first = len(self._looks[address]) == len(LOOKS)
            self._looks[address] = [at for at in self._looks[address] if at > now]
            if not self._looks[address]:
                del self._looks[address]
            try:
                with bounded(f"{self._adapter}: disconnecting {address}", CALL_BOUND):
                    if first or address in await self._bluetooth.connected(self._adapter):
                        await self._bluetooth.disconnect(self._adapter, address)
            except LinkError:
                continue
