"""The calls about sharing: what is sent, how often, and a whole life of a ticket at the virtual
cloud over real sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bleagent.cloud.errors import (
    BadAnswer,
    CloudError,
    CloudRefused,
    CloudUnreachable,
    InvalidArgument,
    NotSupported,
    PermissionDenied,
)
from bleagent.cloud.settings import Signer, Transport
from bleagent.cloud.sharing import CANCEL, CONFIRM, CREATE, VERIFY
from bleagent.simulator.cloud_faults import Fault, FaultKind
from bleagent.simulator.virtual_cloud import ActionAuth, Envelope
from protocol import Secret
from tests.agent.cloud_records_world import running
from tests.agent.cloud_world import (
    DEVICE,
    UNIX,
    FakeTransport,
    StillClock,
    client_over,
    in_turn,
    no,
    ok,
)

pytestmark = pytest.mark.anyio

TICKET = Secret("3ea6e254e83750dc924dd78dd5a61460")
TEXT = TICKET.reveal().decode()
VERIFIED = {"expire_time": 100, "sharing_id": "10001", "sharing_ticket": TEXT}
CONFIRMED = {"biz_type": "unlock_ble", "available_times": 2}
LOST = CloudUnreachable("Cut off", ambiguous=True)
DETAIL: dict[str, str | int] = {"biz_type": "unlock_ble", "available_times": -1, "name": "Jane"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


def sent(transport: FakeTransport) -> Any:
    (asked,) = transport.asked
    return json.loads(asked.content)


# -- what is sent


async def test_the_calls_have_the_parameters_of_the_document(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(ok(VERIFIED)))
    await client_over(transport, clock).verify_sharing(TICKET)
    assert sent(transport) == {"action": VERIFY, "params": {"sharing_ticket": TEXT}}
    transport = FakeTransport(in_turn(ok(CONFIRMED)))
    found = await client_over(transport, clock).confirm_sharing("10001", TICKET, receiver="ay1")
    assert found.terms.times == 2
    assert sent(transport) == {
        "action": CONFIRM,
        "params": {
            "sharing_id": "10001", "sharing_ticket": TEXT, "app_schema": "cloud",
            "receiver": "ay1",
        },
    }  # fmt: skip
    transport = FakeTransport(in_turn(ok({**VERIFIED, "expire_time": 300})))
    client = client_over(transport, clock, app_schema="mine")
    made = await client.create_sharing(DEVICE, "ay0", DETAIL)
    assert (made.sharing_id, made.ticket, made.ends_in) == ("10001", TICKET, 300.0)
    assert sent(transport) == {
        "action": CREATE,
        "params": {
            "device_id": DEVICE, "sharer": "ay0", "app_schema": "mine",
            "permission_detail": DETAIL,
        },
    }  # fmt: skip
    transport = FakeTransport(in_turn(ok(True)))
    await client_over(transport, clock).cancel_sharing("10001", TICKET)
    assert sent(transport)["action"] == CANCEL


async def test_a_ticket_is_taken_for_the_configured_uid_or_for_nobody(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(ok(CONFIRMED)))
    await client_over(transport, clock, uid="ours").confirm_sharing("1", TICKET)
    assert sent(transport)["params"]["receiver"] == "ours"
    transport = FakeTransport(in_turn())
    with pytest.raises(InvalidArgument, match="UID of its receiver"):
        await client_over(transport, clock).confirm_sharing("1", TICKET)
    assert transport.asked == []


async def test_what_may_have_been_taken_is_not_taken_again(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(LOST, ok(VERIFIED)))
    assert (await client_over(transport, clock).verify_sharing(TICKET)).ends_in == 100
    transport = FakeTransport(in_turn(LOST, ok(CONFIRMED)))
    with pytest.raises(CloudUnreachable):
        await client_over(transport, clock).confirm_sharing("1", TICKET, receiver="ay1")
    assert len(transport.asked) == 1


async def test_a_ticket_that_the_cloud_echoes_is_masked(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(no(1109, f"illegal: {TEXT}"), no(1109, f"illegal {TEXT}")))
    client = client_over(transport, clock)
    with pytest.raises(InvalidArgument) as failed:
        await client.verify_sharing(TICKET)
    assert TEXT not in str(failed.value) + repr(failed.value)
    assert "***" in str(failed.value)
    with pytest.raises(InvalidArgument) as failed:
        await client.confirm_sharing("1", TICKET, receiver="ay1")
    assert TEXT not in str(failed.value)


@pytest.mark.parametrize("result", [False, None, "no", []])
async def test_a_sharing_is_cancelled_on_the_clouds_own_yes(
    result: object, clock: StillClock
) -> None:
    transport = FakeTransport(in_turn(ok(result)))
    with pytest.raises(BadAnswer):
        await client_over(transport, clock).cancel_sharing("1", TICKET)


async def test_there_is_no_public_path_for_it(clock: StillClock) -> None:
    token = ok({"access_token": "t1", "refresh_token": "r1", "expire_time": 7200})
    transport = FakeTransport(in_turn(token))
    client = client_over(transport, clock, transport=Transport.OPENAPI, signer=Signer.OPENAPI)
    with pytest.raises(NotSupported):
        await client.verify_sharing(TICKET)


# -- at the virtual cloud

WAYS: list[dict[str, Any]] = [
    {},
    {"action_auth": ActionAuth.OPENAPI, "settings": {"signer": Signer.OPENAPI}},
    {"envelope": Envelope.CLOUD_FUNCTION},
    {"envelope": Envelope.BARE},
    {"envelope": Envelope.APP},
]


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_sharing_is_made_verified_taken_and_cancelled(way: dict[str, Any]) -> None:
    async with running(**way) as pair:
        client = pair.client
        made = await client.create_sharing(
            DEVICE, "owner",
            {**DETAIL, "effective_time": round(UNIX * 1000) - 1, "working_day": 127,
             "schedule_start_time": 0, "schedule_end_time": 1440},
        )  # fmt: skip
        assert 0 < made.ends_in <= 300
        assert TEXT not in repr(made)
        for _ in range(2):
            found = await client.verify_sharing(made.ticket)
            assert found.sharing_id == made.sharing_id
            taken = await client.confirm_sharing(found.sharing_id, made.ticket, receiver="guest")
            assert (taken.valid, taken.now, taken.terms.times) == (True, True, None)
            assert taken.device_id is None
        pair.cloud.sharing.names_lock = True
        assert (await client.verify_sharing(made.ticket)).device_id == DEVICE
        await client.cancel_sharing(made.sharing_id, made.ticket)
        with pytest.raises(CloudError):
            await client.verify_sharing(made.ticket)
        assert made.ticket.reveal().decode() not in repr(pair.cloud.log)


async def test_what_becomes_of_a_ticket_is_said() -> None:
    async with running() as pair:
        client, desk = pair.client, pair.cloud.sharing
        with pytest.raises(InvalidArgument):
            await client.verify_sharing(TICKET)
        with pytest.raises(PermissionDenied):
            await client.create_sharing("another", "owner", DETAIL)
        kept = desk.share(DEVICE, receiver="guest")
        ticket = Secret(kept.ticket)
        with pytest.raises(CloudRefused):
            await client.confirm_sharing(kept.sharing_id, ticket, receiver="thief")
        with pytest.raises(CloudRefused):
            await client.confirm_sharing("another", ticket, receiver="guest")
        desk.once = True
        await client.confirm_sharing(kept.sharing_id, ticket, receiver="guest")
        with pytest.raises(CloudRefused):
            await client.verify_sharing(ticket)
        desk.once = False
        pair.clock.pass_time(301)
        assert (await client.verify_sharing(ticket)).ends_in == 0
        with pytest.raises(CloudRefused):
            await client.confirm_sharing(kept.sharing_id, ticket, receiver="guest")


async def test_the_cloud_tells_whether_a_sharing_is_good_now() -> None:
    async with running() as pair:
        ms = round(UNIX * 1000)

        async def flags(**detail: Any) -> tuple[bool, bool]:
            kept = pair.cloud.sharing.share(DEVICE, **detail)
            found = await pair.client.confirm_sharing(
                kept.sharing_id, Secret(kept.ticket), receiver="guest"
            )
            return found.valid, found.now

        assert await flags() == (True, True)
        assert await flags(invalid_time=ms - 1) == (False, False)
        assert await flags(effective_time=ms + 1) == (True, False)
        # It is 20:26 on a Thursday, which is bit 4.
        hours: dict[str, Any] = {"schedule_start_time": 1200, "schedule_end_time": 1260}
        assert await flags(working_day=16, **hours) == (True, True)
        assert await flags(working_day=8, **hours) == (True, False)
        assert await flags(working_day=16, schedule_start_time=1230, schedule_end_time=1260) == (
            True, False,
        )  # fmt: skip


async def test_a_cut_answer_to_a_confirmation_leaves_it_taken_and_asking_again_works() -> None:
    async with running() as pair:
        kept = pair.cloud.sharing.share(DEVICE)
        pair.cloud.faults.next_calls(CONFIRM, Fault(FaultKind.CUT_AFTER))
        with pytest.raises(CloudUnreachable):
            await pair.client.confirm_sharing(
                kept.sharing_id, Secret(kept.ticket), receiver="guest"
            )
        assert kept.confirmed
        assert pair.cloud.calls[CONFIRM] == 1
        await pair.client.confirm_sharing(kept.sharing_id, Secret(kept.ticket), receiver="guest")
