"""A real bluetoothd answers as the scripted one is made to."""

from __future__ import annotations

import pytest

from tests.bluez.appliance.machine_layer import MachineLayer
from tests.bluez.claims import CLAIMS, Claim, asking


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("question", "answer"), [one[1:] for one in CLAIMS], ids=[one[0] for one in CLAIMS]
)
async def test_answer(layer: MachineLayer, question: Claim, answer: object) -> None:
    async with asking(layer) as asked:
        assert await question(asked) == answer
