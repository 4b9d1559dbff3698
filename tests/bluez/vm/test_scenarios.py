"""The scenarios on a real kernel and a real BlueZ."""

from __future__ import annotations

import pytest

from tests.bluez.appliance.machine_layer import MachineLayer
from tests.bluez.scenarios import Scenario, playable


@pytest.mark.anyio
@pytest.mark.parametrize("scenario", playable(MachineLayer.abilities), ids=lambda one: one.name)
async def test_scenario(layer: MachineLayer, scenario: Scenario) -> None:
    await scenario.story(layer)
