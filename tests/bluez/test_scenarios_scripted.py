"""The scenarios on a scripted bluetoothd, through bleak's own D-Bus backend."""

from __future__ import annotations

import pytest

from bleagent.adapters.bluez import BluezBluetooth

from .scenarios import Scenario, playable
from .scripted_bluez import ScriptedBluez
from .scripted_layer import ScriptedLayer


@pytest.mark.anyio
@pytest.mark.usefixtures("records_come_at_once")
@pytest.mark.parametrize("scenario", playable(ScriptedLayer.abilities), ids=lambda one: one.name)
async def test_scenario(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, scenario: Scenario
) -> None:
    await scenario.story(ScriptedLayer(bluez, bluetooth))
