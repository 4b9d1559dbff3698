"""The scenarios over real HCI, L2CAP and ATT in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bleagent.adapters.bluez import BluezBluetooth
from bleagent.clock import SystemClock

from .air import Air
from .air_layer import AirLayer
from .bleak_bumble import Adapter
from .bumble_stack import BumbleStack
from .scenarios import LONG, Scenario, playable


@pytest.fixture
async def layer(air: Air, adapter: Adapter) -> AsyncIterator[AirLayer]:
    async with BluezBluetooth(SystemClock(), BumbleStack(adapter)) as bluetooth:
        yield AirLayer(air, bluetooth)


@pytest.mark.anyio
@pytest.mark.usefixtures("records_come_at_once")
@pytest.mark.parametrize(
    "scenario", playable(AirLayer.abilities)[:: 1 if LONG else 2], ids=lambda one: one.name
)
async def test_scenario(layer: AirLayer, scenario: Scenario) -> None:
    await scenario.story(layer)
