"""Each API of the catalogue is done once at the virtual cloud, by each way and in each envelope."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from bleagent.cloud.catalogue import CATALOGUE, Api
from bleagent.cloud.errors import CloudRefused
from bleagent.cloud.passwords import with_ticket
from bleagent.cloud.settings import Transport
from bleagent.simulator.virtual_cloud import CLIENT_SECRET, Envelope
from protocol import Secret
from tests.agent.api_world import MEMBER, World, arguments_for, world
from tests.agent.cloud_world import DEVICE, UNIX

pytestmark = pytest.mark.anyio

PIN = Secret("123456")
CARD: Mapping[str, Any] = {"dp_code": "unlock_card", "unlock_sn": 7}
THUMB: Mapping[str, Any] = {"device_id": DEVICE, "unlock_no": 2, "unlock_type": "fingerprint"}
OURS: Mapping[str, Any] = {"device_id": DEVICE, "user_id": MEMBER}
TIMES: Mapping[str, Any] = {"effective_time": int(UNIX), "invalid_time": int(UNIX) + 3600}
SHARED: Mapping[str, Any] = {"app_schema": "schema", "sharer": "uid"}
TAKEN: Mapping[str, Any] = {"app_schema": "schema", "receiver": "uid"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def story(there: World) -> None:
    """What needs something that came before, in an order in which the cloud says yes to each."""

    async def ask(api: str, /, **given: Any) -> Any:
        return await there.client.call(f"doorLock.{api}", for_lock=None, **given)

    async def sealed() -> dict[str, Any]:
        return await with_ticket(there.client, CLIENT_SECRET, device_id=DEVICE, pin=PIN)

    there.cloud.members.zigbee.add(DEVICE)
    ticket = await ask("passwordTicket", device_id=DEVICE)
    await ask("passwordFreeOpen", device_id=DEVICE, ticket_id=ticket["ticket_id"])
    for name, more in (
        ("createTemporaryPassword", {"name": "Jane"}), ("createTemporaryPasswordWithoutName", {}),
    ):  # fmt: skip
        made = await ask(name, device_id=DEVICE, **TIMES, **more, **await sealed())
        one = {"device_id": DEVICE, "password_id": made["id"]}
        assert await ask("getTemporaryPassword", **one)
        await ask("modifyTemporaryPassword", **one, name="Jack")
        await ask("openDoor", device_id=DEVICE, **await sealed())
    await ask("deleteTemporaryPassword", **one)  # the other one is listed
    assert there.cloud.members.opened == [DEVICE] * 3
    await ask("allocateOpmode", **OURS, unlock_list=[CARD])
    await ask("deallocateOpmode", **OURS, **CARD)
    await ask("setHijack", **THUMB)
    await ask("removeHijack", **THUMB)


async def sharing(there: World) -> None:
    """A ticket from its making to its end."""

    async def ask(api: str, /, **given: Any) -> Any:
        return await there.client.call(f"doorLock.{api}PermissionSharing", **given)

    detail = {"biz_type": "unlock_ble", "available_times": 1}
    made = await ask("create", device_id=DEVICE, **SHARED, permission_detail=detail)
    one = {"sharing_ticket": made["sharing_ticket"]}
    assert await ask("verify", **one)
    one["sharing_id"] = made["sharing_id"]
    await ask("confirm", **one, **TAKEN)
    await ask("cancel", **one)


async def do_the_rest(there: World, apis: Iterable[Api]) -> None:
    """Those that need nothing but themselves."""
    for api in apis:
        if not there.cloud.done[api.key]:
            version, given = api.version or None, arguments_for(api)
            await there.client.call(api.name, version=version, for_lock=None, **given)
        assert there.cloud.done[api.key], api.key


@pytest.mark.parametrize("envelope", Envelope)
async def test_each_is_done_as_an_action_or_by_the_relay_or_its_path(envelope: Envelope) -> None:
    async with world(envelope=envelope) as there:
        await story(there)
        await sharing(there)
        await do_the_rest(there, CATALOGUE)
    assert len(CATALOGUE) == 66


async def test_each_that_has_a_path_is_done_by_it() -> None:
    async with world({"transport": Transport.OPENAPI}) as there:
        await story(there)
        await do_the_rest(there, (api for api in CATALOGUE if api.paths))


async def test_a_wrong_password_opens_nothing_from_afar() -> None:
    async with world() as there:
        there.cloud.members.zigbee.add(DEVICE)
        sealed = await with_ticket(there.client, CLIENT_SECRET, device_id=DEVICE, pin=PIN)
        with pytest.raises(CloudRefused) as told:
            await there.client.call("doorLock.openDoor", for_lock=None, device_id=DEVICE, **sealed)
        assert told.value.cloud_code == 2310
        assert there.cloud.members.opened == []
