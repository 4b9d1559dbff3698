"""The lock's own timers on a radio, in virtual time: nobody waits thirty seconds for real."""

from __future__ import annotations

import asyncio

import pytest
from bleak import BleakClient

from bleagent.simulator import virtual_time
from bleagent.simulator.fakes import LoopClock
from protocol.firmware import UNPAIRED_TIMEOUT

from . import bleak_bumble
from .air import Air
from .bleak_bumble import Adapter
from .conversation import find
from .radio_door import ADDRESS, Door


def test_who_does_not_pair_is_hung_up_on_after_thirty_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story() -> float:
        air = Air()
        bleak_bumble.install(monkeypatch, Adapter(air))
        served = Door(air, clock=LoopClock())
        async with served.serve():
            lost = asyncio.Event()
            client = BleakClient(await find(ADDRESS), lambda _: lost.set())
            await client.connect()
            begun = asyncio.get_running_loop().time()
            await lost.wait()
            return asyncio.get_running_loop().time() - begun

    assert virtual_time.run(story) == pytest.approx(UNPAIRED_TIMEOUT, abs=0.5)
