"""The scenarios on a scripted bluetoothd, through bleak's own D-Bus backend."""

from __future__ import annotations

import pytest

from bleagent.adapters.bluez import BluezBluetooth

from .air_layer import AirLayer
from .bluez_names import TRIXIE
from .scenarios import LONG, Scenario, playable
from .scripted_bluez import ScriptedBluez
from .scripted_layer import ScriptedLayer

ON_AIR = {one.name for one in playable(AirLayer.abilities)[::2]}
"""Those that are played on the air in each run; on the real BlueZ it is all of them."""


@pytest.mark.anyio
@pytest.mark.usefixtures("records_come_at_once")
@pytest.mark.parametrize(
    "scenario",
    [one for one in playable(ScriptedLayer.abilities) if LONG or one.name not in ON_AIR],
    ids=lambda one: one.name,
)
async def test_scenario(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, scenario: Scenario
) -> None:
    await scenario.story(ScriptedLayer(bluez, bluetooth))


@pytest.mark.anyio
@pytest.mark.usefixtures("records_come_at_once")
@pytest.mark.parametrize(
    "scenario",
    [one for one in playable(ScriptedLayer.abilities) if "[v3.0]" in one.name],
    ids=lambda one: one.name,
)
async def test_scenario_with_the_habits_of_a_newer_bluez(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, scenario: Scenario
) -> None:
    bluez.version = TRIXIE
    await scenario.story(ScriptedLayer(bluez, bluetooth))
