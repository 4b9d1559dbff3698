"""The scripted bluetoothd answers as a real one does (``vm/test_claims.py``)."""

from __future__ import annotations

import pytest

from bleagent.adapters.bluez import BluezBluetooth

from .bluez_names import BOOKWORM, TRIXIE
from .claims import CLAIMS, Claim, asking
from .scripted_bluez import ScriptedBluez
from .scripted_layer import ScriptedLayer


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("question", "answer"), [one[1:] for one in CLAIMS], ids=[one[0] for one in CLAIMS]
)
@pytest.mark.parametrize("version", [BOOKWORM, TRIXIE])
async def test_answer(
    bluez: ScriptedBluez,
    bluetooth: BluezBluetooth,
    question: Claim,
    answer: object,
    version: tuple[int, int],
) -> None:
    bluez.version = version
    async with asking(ScriptedLayer(bluez, bluetooth)) as asked:
        assert await question(asked) == answer
