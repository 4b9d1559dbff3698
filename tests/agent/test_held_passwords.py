"""What the cloud holds of a Bluetooth lock's passwords, in its own documents' forms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bleagent.cloud.groups import Apis
from bleagent.cloud.groups.passwords import Hours
from bleagent.cloud.held_passwords import PAGE_LIST, CloudPasswords
from bleagent.simulator.virtual_cloud import CLIENT_SECRET
from bleagent.sync.passwords import Held, Phase
from protocol import Secret
from tests.agent.api_world import World, world
from tests.agent.cloud_world import DEVICE, UNIX

pytestmark = pytest.mark.anyio

BEGINS = datetime.fromtimestamp(UNIX, UTC)
ENDS = BEGINS + timedelta(hours=1)
PIN = Secret("123456")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def source(there: World, *, relayed: bool = True) -> CloudPasswords:
    return CloudPasswords(there.client, {"front": DEVICE}, relayed=relayed)


async def create(there: World, pin: Secret = PIN, **more: object) -> str:
    passwords = Apis.of(there.client, CLIENT_SECRET).passwords
    return await passwords.create(DEVICE, pin=pin, begins=BEGINS, ends=ENDS, **more)  # type: ignore[arg-type]


async def test_digits_come_from_the_panels_list_and_all_else_from_the_locks() -> None:
    async with world() as there:
        made = await create(there, sn=4, once=True)
        assert await source(there).held("front") == (
            Held(
                password_id=made, phase=Phase.TO_BE_SENT, begins=int(UNIX), ends=int(UNIX) + 3600,
                once=True, sn=4, digits=PIN,
            ),
        )  # fmt: skip


async def test_without_a_relay_nobody_tells_the_digits() -> None:
    async with world() as there:
        await create(there)
        (held,) = await source(there, relayed=False).held("front")
        assert held.digits is None


async def test_the_panel_is_asked_only_where_something_is_to_be_sent() -> None:
    async with world() as there:
        made = await create(there)
        there.cloud.passwords.sent(int(made))
        (held,) = await source(there).held("front")
        assert (held.phase, held.digits) == (Phase.SENT, None)
        assert there.cloud.calls[f"{PAGE_LIST}@1.0"] == 0


async def test_deleted_ones_and_those_with_hours_are_told_as_such() -> None:
    async with world() as there:
        hours = Hours(begins=480, ends=1080, weekdays=frozenset({"mon"}))
        first, second = await create(there), await create(there, schedule=[hours])
        passwords = Apis.of(there.client, CLIENT_SECRET).passwords
        await passwords.delete(DEVICE, first)
        found = {one.password_id: one for one in await source(there).held("front")}
        assert found[first].phase == Phase.DELETED
        assert found[second].scheduled


@pytest.mark.parametrize(
    "told", ["8F8AD3F0CFD6ECA192126E4AD28A73F2", "12345", "12345x", chr(0xFF11) * 6]
)
async def test_what_is_no_pin_is_none(told: str) -> None:
    async with world() as there:
        made = await create(there)
        known = there.cloud.passwords.passwords[int(made)]
        object.__setattr__(known, "pin", Secret(told.encode()))
        (held,) = await source(there).held("front")
        assert held.digits is None
