"""What `bleagent init` learns from a cloud, and the words for what keeps it from learning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from bleagent.adapters.httpx_transport import HttpxTransport
from bleagent.cloud.account import PAGE, AccountClient
from bleagent.cloud.errors import NotSupported
from bleagent.init.faults import CloudSaidNo, InitError
from bleagent.init.locks import candidates, named_ids, new_name, require_usable
from bleagent.init.look import Account, look
from bleagent.simulator.cloud_actions import LIST_DEVICES
from bleagent.simulator.cloud_faults import Fault, FaultKind
from bleagent.simulator.virtual_cloud import VirtualCloud
from protocol import Secret

from .cloud_world import DEVICE, StillClock, keys, lock, settings_for
from .init_site import BACK, FRONT

pytestmark = pytest.mark.anyio
WHERE = "https://cloud.example"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def asked(**settings: Any) -> AsyncIterator[tuple[VirtualCloud, AccountClient, StillClock]]:
    clock = StillClock()
    cloud = VirtualCloud(unix=clock.unix)
    cloud.register(lock())
    async with cloud.serve() as url, HttpxTransport() as http:
        chosen = replace(settings_for(url), **settings)
        yield cloud, AccountClient(chosen, http, clock, sleep=clock.sleep), clock


async def seen(client: AccountClient, clock: StillClock, *ids: str, ahead: float = 0.0) -> Account:
    deadline = clock.now() + 30
    return await look(
        client, ids, where=WHERE, deadline=deadline, unix=lambda: clock.unix() - ahead
    )


async def test_every_page_of_the_account_is_read() -> None:
    async with asked() as (cloud, client, clock), HttpxTransport() as http:
        nameless = AccountClient(replace(settings_for(cloud.base_url), client_id=""), http, clock)
        for number in range(2 * PAGE):
            cloud.register(replace(lock(), device_id=f"device-{number}"))
        found = await client.list_devices()
        assert len(found) == len({one.device_id for one in found}) == 2 * PAGE + 1
        assert cloud.done[LIST_DEVICES] == 3
        # There is no such action: whoever has no key of the project's cannot list.
        with pytest.raises(NotSupported):
            await nameless.list_devices()


async def test_locks_come_with_their_keys_and_nothing_else_comes() -> None:
    async with asked() as (cloud, client, clock):
        cloud.register(replace(lock(), device_id="lamp", category="dj"))
        cloud.register(replace(lock(), device_id="odd", category="other"))
        found = await seen(client, clock, "odd", "unknown", ahead=-90.0)
        assert set(found.devices) == {DEVICE, "odd"}
        assert found.devices[DEVICE].local_key == keys().local_key
        assert found.devices[DEVICE].name == "Front door"
        assert (found.skew, found.unlisted) == (-90.0, None)


async def test_wrong_keys_are_told_in_the_words_of_who_typed_them() -> None:
    for wrong in ({"secret": Secret("CANARYnotthesecret")}, {"client_id": "somebody"}):
        async with asked(**wrong) as (_, client, clock):
            with pytest.raises(CloudSaidNo, match="does not accept these keys") as raised:
                await seen(client, clock)
            assert "Access Secret" in str(raised.value)
            assert "Overview" in raised.value.mend
            assert "CANARY" not in str(raised.value)


async def test_no_network_is_told_as_such() -> None:
    clock = StillClock()
    async with HttpxTransport() as http:
        client = AccountClient(settings_for("http://127.0.0.1:1"), http, clock, sleep=clock.sleep)
        with pytest.raises(CloudSaidNo, match="Connection refused") as raised:
            await seen(client, clock)
    assert "curl -sSI https://cloud.example" in raised.value.mend


async def test_a_clock_that_the_cloud_does_not_believe_is_told() -> None:
    async with asked() as (cloud, client, clock):
        cloud.faults.always("timer.currentTime", Fault(FaultKind.CLOCK_SKEW))
        with pytest.raises(CloudSaidNo, match="does not believe the date") as raised:
            await seen(client, clock)
        assert "set-ntp" in raised.value.mend


async def test_a_project_that_may_not_list_is_asked_about_those_that_are_named() -> None:
    async with asked() as (cloud, client, clock):
        cloud.faults.always(LIST_DEVICES, Fault(FaultKind.CODE, code=28841101))
        found = await seen(client, clock, DEVICE)
        assert set(found.devices) == {DEVICE}
        assert found.unlisted is not None
        with pytest.raises(CloudSaidNo, match="does not let this project ask") as raised:
            await seen(client, clock)
        assert "--lock NAME=DEVICE-ID" in raised.value.mend


# -- which of them


def test_names_are_those_that_the_configuration_can_have() -> None:
    taken = {"back"}
    for name, wanted in (
        ("Front door", "front-door"),
        ("Back", "back-2"),
        ("  Büro / 2.OG ", "b-ro-2-og"),
        ("大门", "lock-ront"),
        ("x" * 40, "x" * 28),
    ):
        assert new_name(replace(FRONT, name=name), taken) == wanted


@pytest.mark.parametrize("given", ["front", "Front=id", "=id", "front=", "a=1 b=1", "a=1 a=2"])
def test_a_lock_is_named_as_it_should_be(given: str) -> None:
    assert named_ids(["a=1", "b=2"]) == {"1": "a", "2": "b"}
    with pytest.raises(InitError, match="--lock"):
        named_ids(given.split())


def test_what_somebody_named_has_to_be_there_and_of_use() -> None:
    devices = {one.device_id: one for one in (FRONT, replace(BACK, local_key=None))}
    found = candidates(devices, {}, None, {})
    assert [one.unusable is None for one in found] == [True, False]
    require_usable(found, {FRONT.device_id: "front"})
    for device_id, why in (("device-back", "local key of 16"), ("gone", "not known to the cloud")):
        with pytest.raises(InitError, match=f"--lock x: .*{why}"):
            require_usable(found, {device_id: "x"})
    for none in ([], found[1:]):
        with pytest.raises(InitError, match="no lock that can be used") as raised:
            require_usable(none, {})
        assert "data centre" in raised.value.mend


def test_what_a_lock_calls_itself_does_nothing_to_a_terminal() -> None:
    odd = replace(FRONT, name="\x1b[2Jx", device_id="a\x07b")
    (one,) = candidates({odd.device_id: odd}, {}, None, {})
    assert one.words(listened=True).isprintable()
