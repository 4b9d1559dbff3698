"""What the cloud knows of upkeep: T0, and whether it wants a lock's list."""

from __future__ import annotations

import pytest

from bleagent.cloud.errors import NotSupported
from bleagent.cloud.settings import Transport
from bleagent.cloud.upkeep import CloudUpkeep
from bleagent.sync.upkeep import Wanted
from tests.agent.api_world import World, world
from tests.agent.cloud_world import DEVICE

pytestmark = pytest.mark.anyio

PAIRED = 1_622_000_424


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def source(there: World, **more: str) -> CloudUpkeep:
    return CloudUpkeep(there.client, {"front": DEVICE, **more})


@pytest.mark.parametrize("transport", [Transport.ACTION, Transport.OPENAPI])
async def test_t0_is_when_it_was_paired_last(transport: Transport) -> None:
    async with world({"transport": transport}) as there:
        assert await source(there, gone="device-9").paired_at() == {"front": PAIRED, "gone": None}


async def test_many_locks_are_asked_about_twenty_at_a_time() -> None:
    async with world() as there:
        many = {f"door-{number}": f"device-{number}" for number in range(40)}
        assert len(await source(there, **many).paired_at()) == 41
        assert there.cloud.calls["device.getListByIds"] == 3


async def test_a_list_is_wanted_every_five_seconds_at_most() -> None:
    async with world() as there:
        wanted = []
        for wait in (0.0, 4.5, 0.5):
            there.clock.pass_time(wait)
            wanted.append(await source(there).wanted("front"))
        wish = Wanted(54, bytes.fromhex("04f0080506030102"))
        assert wanted == [wish, None, wish]


async def test_without_actions_nobody_says_whether_a_list_is_wanted() -> None:
    async with world({"transport": Transport.OPENAPI}) as there:
        with pytest.raises(NotSupported):
            await source(there).wanted("front")
