"""What ``bleagent init`` hears: the account's lock, and others."""

from __future__ import annotations

import pytest

from bleagent.cloud.models import DeviceFacts
from bleagent.errors import RadioUnavailable
from bleagent.init.air import hear
from bleagent.init.locks import candidates

from .conversation import KEYS
from .doors import ADDRESS, door
from .scripted_bluez import ScriptedBluez

pytestmark = pytest.mark.anyio


async def test_the_accounts_lock_is_heard_with_its_address(bluez: ScriptedBluez) -> None:
    door(bluez)
    ours = DeviceFacts(
        device_id=KEYS.virtual_id, uuid=KEYS.uuid, local_key=KEYS.local_key, name="Front"
    )
    air = await hear([ours], 1.0)
    assert air.unheard is None
    assert air.known[ours.device_id].address == ADDRESS
    (found,) = candidates({ours.device_id: ours}, air.known, None, {})
    assert found.fields(None)["address"] == air.known[ours.device_id].address
    assert "dBm" in found.words(listened=True)
    stranger = DeviceFacts(device_id="another", uuid="tuyaffffffffffff", local_key=KEYS.local_key)
    air = await hear([stranger], 1.0)
    assert air.known == {}
    assert {one.address for one in air.strangers} == {ADDRESS}


async def test_without_an_adapter_it_goes_on_and_says_why(bluez: ScriptedBluez) -> None:
    bluez.set_powered("hci0", powered=False)
    air = await hear([], 5.0)
    assert isinstance(air.unheard, RadioUnavailable)
    assert air.known == {}
