"""How often the client asks, with which token and time, and when it stops asking."""

from __future__ import annotations

import json
import traceback
from typing import Any

import anyio
import pytest

from bleagent.cloud.calls import Moment, build_request, token_call
from bleagent.cloud.client import CloudClient, CloudEvent
from bleagent.cloud.codec import Credentials, sign_action, sign_v2
from bleagent.cloud.errors import (
    BadAnswer,
    ClockSkew,
    CloudDown,
    CloudError,
    CloudFault,
    CloudTimeout,
    CloudUnreachable,
    InvalidArgument,
    NotSupported,
    QuotaExhausted,
    RateLimited,
    TokenRejected,
)
from bleagent.cloud.pace import RetryPolicy
from bleagent.cloud.settings import InstructionCall, Signer, Transport
from bleagent.cloud.transport import HttpAnswer
from bleagent.ports import Cloud
from bleagent.simulator.virtual_cloud import CLIENT_ID, CLIENT_SECRET
from protocol import Secret
from tests.agent.cloud_world import (
    CODE,
    DEVICE,
    OPENAPI_SIGNED,
    T_MS,
    UNIX,
    Asked,
    FakeTransport,
    StillClock,
    client_over,
    in_turn,
    no,
    ok,
    request,
    said,
)

WHO = Credentials(CLIENT_ID, CLIENT_SECRET)
SEALED: dict[str, Any] = {"instruction": "04" + "11" * 64, "next_sn": 34}
LOST = CloudUnreachable("Cut off", ambiguous=True)
NOT_CONNECTED = CloudUnreachable("Not connected")
LATE = CloudTimeout("No answer", ambiguous=True)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


def a_token(name: str, life: int = 7200) -> HttpAnswer:
    return ok({"access_token": name, "refresh_token": f"{name}refresh", "expire_time": life})


class TokenCloud:
    """Hands out tokens t1, t2 ... and takes the last one only."""

    def __init__(self, life: int = 7200) -> None:
        self.life = life
        self.issued = 0
        self.transport = FakeTransport(self.answer)

    async def answer(self, asked: Asked) -> HttpAnswer:
        await anyio.lowlevel.checkpoint()
        if asked.is_token:
            self.issued += 1
            return a_token(f"t{self.issued}", self.life)
        if asked.headers["access_token"] != f"t{self.issued}":
            return no(1010, "token invalid")
        return ok({})

    def die(self) -> None:
        self.issued += 1


def the_port_is_kept(client: CloudClient) -> Cloud:
    return client


# -- what is sent


@pytest.mark.anyio
async def test_an_action_is_signed_over_the_parameters_that_are_sent(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(ok(SEALED)))
    await client_over(transport, clock).open_instruction(request(7, opens=False, major=4))
    (asked,) = transport.asked
    assert (asked.method, asked.url) == ("POST", "https://cloud.test/faas")
    assert json.loads(asked.content) == {
        "action": "doorLock.bleOpenInstruction",
        "params": {
            "device_id": DEVICE,
            "bluetooth_sn": 7,
            "device_random": "52777950",
            "open": False,
            "bluetooth_major_version": 4,
        },
    }
    assert b" " not in asked.content
    params = json.loads(asked.content)["params"]
    assert asked.headers["sign"] == sign_action(WHO, params=params, t=str(T_MS))
    assert asked.headers["t"] == str(T_MS)
    assert "access_token" not in asked.headers


@pytest.mark.anyio
async def test_a_gateway_that_signs_for_us_gets_no_signature(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(ok({})))
    client = client_over(
        transport, clock, signer=Signer.NONE, action_url="https://gateway.test/ble", uid="u1"
    )
    await client.issued_config(DEVICE)
    (asked,) = transport.asked
    assert asked.url == "https://gateway.test/ble"
    assert dict(asked.headers) == {"Content-Type": "application/json"}
    assert json.loads(asked.content)["params"] == {"device_id": DEVICE, "uid": "u1"}


@pytest.mark.anyio
async def test_an_action_with_version_two_carries_token_and_nonce(clock: StillClock) -> None:
    cloud = TokenCloud()
    await client_over(cloud.transport, clock, **OPENAPI_SIGNED).issued_config(DEVICE)
    token, action = cloud.transport.asked
    assert token.url == "https://cloud.test/v1.0/token?grant_type=1"
    assert "access_token" not in token.headers
    assert action.headers["access_token"] == "t1"
    assert action.headers["sign"] == sign_v2(
        WHO,
        method="POST",
        url="/faas",
        t=action.headers["t"],
        nonce=action.headers["nonce"],
        body=action.content,
        access_token=Secret("t1"),
    )


@pytest.mark.anyio
async def test_over_openapi_a_list_of_devices_is_a_path_signed_decoded(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(a_token("t1"), ok({"devices": [{"id": "a"}]})))
    client = client_over(transport, clock, transport=Transport.OPENAPI)
    (device,) = await client.lock_facts(["a", "b"])
    assert device.device_id == "a"
    asked = transport.asked[1]
    assert asked.url == "https://cloud.test/v1.0/devices?device_ids=a%2Cb"
    assert asked.headers["sign"] == sign_v2(
        WHO,
        method="GET",
        url="/v1.0/devices?device_ids=a,b",
        t=asked.headers["t"],
        nonce=asked.headers["nonce"],
        access_token=Secret("t1"),
    )


@pytest.mark.anyio
async def test_over_openapi_there_is_no_call_that_opens_a_lock(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(a_token("t1")))
    client = client_over(transport, clock, transport=Transport.OPENAPI)
    with pytest.raises(NotSupported, match="bleOpenInstruction has no public OpenAPI path"):
        await client.open_instruction(request())
    with pytest.raises(NotSupported, match="getIssuedConfig has no public OpenAPI path"):
        await client.issued_config(DEVICE)
    assert [one.is_token for one in transport.asked] == [True]


@pytest.mark.parametrize("url", ["cloud.test", "ftp://cloud.test", "https://", "https://a?b=c"])
def test_a_base_url_that_is_none_is_refused(url: str, clock: StillClock) -> None:
    with pytest.raises(ValueError, match="is not an http"):
        client_over(FakeTransport(in_turn()), clock, base_url=url)


# -- the token


@pytest.mark.anyio
async def test_twenty_calls_at_once_fetch_one_token(clock: StillClock) -> None:
    cloud = TokenCloud()
    client = client_over(cloud.transport, clock, **OPENAPI_SIGNED)
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(client.issued_config, DEVICE)
    assert cloud.issued == 1
    assert len(cloud.transport.asked) == 21


@pytest.mark.anyio
async def test_twenty_calls_that_find_the_token_dead_replace_it_once(clock: StillClock) -> None:
    cloud = TokenCloud()
    client = client_over(cloud.transport, clock, **OPENAPI_SIGNED)
    await client.issued_config(DEVICE)
    cloud.die()
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(client.issued_config, DEVICE)
    tokens = [one for one in cloud.transport.asked if one.is_token]
    assert len(tokens) == 2
    assert clock.slept == []


@pytest.mark.anyio
async def test_twenty_calls_share_the_failure_of_one_token_request(clock: StillClock) -> None:
    async def refuse(_asked: Asked) -> HttpAnswer:
        await anyio.lowlevel.checkpoint()
        return no(1001, "secret invalid")

    transport = FakeTransport(refuse)
    client = client_over(transport, clock, **OPENAPI_SIGNED)
    failed: list[CloudError] = []

    async def ask() -> None:
        try:
            await client.issued_config(DEVICE)
        except CloudError as error:
            failed.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
    assert len(failed) == 20
    assert len(transport.asked) == 1
    with pytest.raises(CloudError):
        await client.issued_config(DEVICE)
    assert len(transport.asked) == 2  # and the next one asks anew


@pytest.mark.anyio
@pytest.mark.parametrize("code", [1010, 1011, 1012, 1400])
async def test_a_rejected_token_is_replaced_once(code: int, clock: StillClock) -> None:
    transport = FakeTransport(in_turn(a_token("t1"), no(code), a_token("t2"), no(code)))
    with pytest.raises(TokenRejected) as caught:
        await client_over(transport, clock, **OPENAPI_SIGNED).issued_config(DEVICE)
    assert caught.value.cloud_code == code
    assert [one.is_token for one in transport.asked] == [True, False, True, False]
    assert transport.asked[3].headers["access_token"] == "t2"


@pytest.mark.anyio
async def test_an_instruction_is_asked_again_after_a_rejected_token(clock: StillClock) -> None:
    # The cloud looked at the token and no further: nothing was sealed.
    transport = FakeTransport(in_turn(a_token("t1"), no(1010), a_token("t2"), ok(SEALED)))
    sealed = await client_over(transport, clock, **OPENAPI_SIGNED).open_instruction(request())
    assert sealed.next_sn == 34


@pytest.mark.anyio
async def test_a_token_is_renewed_a_minute_early(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(a_token("t1"), ok({}), ok({}), a_token("t2"), ok({})))
    client = client_over(transport, clock, **OPENAPI_SIGNED)
    await client.issued_config(DEVICE)
    clock.pass_time(7200 - 61)
    await client.issued_config(DEVICE)
    assert transport.asked[-1].headers["access_token"] == "t1"
    clock.pass_time(2)
    await client.issued_config(DEVICE)
    assert transport.asked[-2].url == "https://cloud.test/v1.0/token/t1refresh"
    assert "access_token" not in transport.asked[-2].headers
    assert transport.asked[-1].headers["access_token"] == "t2"


@pytest.mark.anyio
async def test_a_refresh_that_is_refused_falls_back_to_a_new_token(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(a_token("t1"), ok({}), no(1011), a_token("t2"), ok({})))
    client = client_over(transport, clock, **OPENAPI_SIGNED)
    await client.issued_config(DEVICE)
    clock.pass_time(7150)
    await client.issued_config(DEVICE)
    assert transport.asked[3].url.endswith("/v1.0/token?grant_type=1")
    assert transport.asked[4].headers["access_token"] == "t2"


@pytest.mark.anyio
async def test_a_token_in_its_last_minute_is_used_while_the_cloud_cannot_renew_it(
    clock: StillClock,
) -> None:
    transport = FakeTransport(in_turn(a_token("t1"), ok({}), LOST, ok({}), ok({})))
    client = client_over(transport, clock, **OPENAPI_SIGNED)
    await client.issued_config(DEVICE)
    clock.pass_time(7150)
    await client.issued_config(DEVICE)
    await client.issued_config(DEVICE)  # and does not try to renew at every call
    assert [one.is_token for one in transport.asked] == [True, False, True, False, False]


@pytest.mark.anyio
async def test_a_token_handed_out_at_its_end_is_not_fetched_at_every_call(
    clock: StillClock,
) -> None:
    cloud = TokenCloud(life=40)
    client = client_over(cloud.transport, clock, **OPENAPI_SIGNED)
    await client.issued_config(DEVICE)
    await client.issued_config(DEVICE)
    assert cloud.issued == 1


@pytest.mark.anyio
async def test_a_token_that_cannot_be_had_is_never_ambiguous(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(LOST, LOST, LOST))
    with pytest.raises(CloudUnreachable) as caught:
        await client_over(transport, clock, **OPENAPI_SIGNED).open_instruction(request())
    assert not caught.value.ambiguous
    assert all(one.is_token for one in transport.asked)


@pytest.mark.anyio
async def test_a_caller_who_gives_up_does_not_take_the_token_away_from_the_next(
    clock: StillClock,
) -> None:
    scope, served = anyio.CancelScope(), list[str]()
    stuck = anyio.Event()

    async def answer(asked: Asked) -> HttpAnswer:
        if asked.is_token and not stuck.is_set():
            stuck.set()
            await anyio.sleep_forever()
        return a_token("t1") if asked.is_token else ok({})

    client = client_over(FakeTransport(answer), clock, **OPENAPI_SIGNED)

    async def impatient() -> None:
        with scope:
            await client.issued_config(DEVICE)

    async def patient() -> None:
        await client.issued_config(DEVICE)
        served.append("patient")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(impatient)
        await stuck.wait()
        tasks.start_soon(patient)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
    assert served == ["patient"]


# -- the clock


@pytest.mark.anyio
async def test_a_request_with_a_wrong_time_is_signed_again_once(clock: StillClock) -> None:
    clock.date = UNIX - 86400  # as after a boot without a battery
    transport = FakeTransport(in_turn(no(1013), ok(SEALED)))
    await client_over(transport, clock).open_instruction(request())
    first, second = (int(one.headers["t"]) for one in transport.asked)
    assert first == T_MS - 86_400_000
    assert second == T_MS
    assert transport.asked[0].headers["sign"] != transport.asked[1].headers["sign"]


@pytest.mark.anyio
async def test_and_no_more_than_once(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(no(1013), no(1013)))
    with pytest.raises(ClockSkew):
        await client_over(transport, clock).issued_config(DEVICE)


@pytest.mark.anyio
async def test_and_not_without_a_time_to_correct_it_by(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(said({"success": False, "code": 1013})))
    with pytest.raises(ClockSkew):
        await client_over(transport, clock).issued_config(DEVICE)


@pytest.mark.anyio
async def test_a_jump_of_our_date_does_not_move_the_clouds_time(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(ok({}), ok({})))
    client = client_over(transport, clock)
    await client.issued_config(DEVICE)
    clock.date += 10**8
    clock.seconds += 5
    await client.issued_config(DEVICE)
    assert transport.asked[1].headers["t"] == str(T_MS + 5000)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (ok(1607087405739), 1607087405.739),
        (said({"result": True, "success": 1607087405739, "t": T_MS}), 1607087405.739),
        (ok("1607087405"), 1607087405.0),
        (ok(result=True), UNIX),
    ],
)
async def test_the_clouds_time_is_read_in_every_form(
    answer: HttpAnswer, seconds: float, clock: StillClock
) -> None:
    client = client_over(FakeTransport(in_turn(answer)), clock)
    assert await the_port_is_kept(client).unix_time() == seconds


@pytest.mark.anyio
async def test_over_openapi_the_time_is_the_one_that_came_with_the_token(
    clock: StillClock,
) -> None:
    transport = FakeTransport(in_turn(a_token("t1")))
    client = client_over(transport, clock, transport=Transport.OPENAPI)
    clock.date = 0.0
    assert await client.unix_time() == UNIX
    clock.pass_time(10)
    assert await client.unix_time() == UNIX + 10


# -- asking again


@pytest.mark.anyio
@pytest.mark.parametrize(
    "failure", [LOST, LATE, NOT_CONNECTED, no(500), no(1111), no(1199), said("x", 503)], ids=str
)
async def test_a_read_is_repeated_with_back_off(
    failure: HttpAnswer | Exception, clock: StillClock
) -> None:
    transport = FakeTransport(in_turn(failure, failure, ok({})))
    await client_over(transport, clock).issued_config(DEVICE)
    assert clock.slept == [0.2, 0.4]


@pytest.mark.anyio
async def test_but_not_for_ever(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(LOST, LOST, LOST))
    with pytest.raises(CloudUnreachable):
        await client_over(transport, clock).issued_config(DEVICE)


@pytest.mark.anyio
async def test_and_never_beyond_the_callers_deadline(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(LOST, LOST))
    with pytest.raises(CloudUnreachable):
        await client_over(transport, clock).issued_config(DEVICE, deadline=clock.now() + 0.5)
    assert clock.slept == [0.2]
    assert [one.time_limit for one in transport.asked] == pytest.approx([0.5, 0.3])


@pytest.mark.anyio
async def test_nothing_is_asked_after_the_deadline(clock: StillClock) -> None:
    transport = FakeTransport(in_turn())
    with pytest.raises(CloudTimeout) as caught:
        await client_over(transport, clock).open_instruction(request(), deadline=clock.now())
    assert not caught.value.ambiguous
    assert transport.asked == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    "failure",
    [
        LOST,
        LATE,
        no(500),
        no(1111),
        said("x", 503),
        said("x", 502),
        HttpAnswer(200, {}, b"<html>"),
        ok({"instruction": "9wxxoLM", "next_sn": 1}),
    ],
    ids=str,
)
@pytest.mark.parametrize("call", list(InstructionCall))
async def test_an_instruction_is_never_asked_again_after_an_ambiguous_failure(
    failure: HttpAnswer | Exception, call: InstructionCall, clock: StillClock
) -> None:
    transport = FakeTransport(in_turn(failure))
    with pytest.raises(CloudError) as caught:
        await client_over(transport, clock, instruction_call=call).open_instruction(request())
    assert caught.value.ambiguous
    assert len(transport.asked) == 1
    assert clock.slept == []


@pytest.mark.anyio
@pytest.mark.parametrize("failure", [NOT_CONNECTED, no(1199), HttpAnswer(429, {}, b"")], ids=str)
async def test_it_is_after_one_that_proves_that_nothing_was_sealed(
    failure: HttpAnswer | Exception, clock: StillClock
) -> None:
    transport = FakeTransport(in_turn(failure, ok(SEALED)))
    await client_over(transport, clock).open_instruction(request())
    assert clock.slept == [0.2]


@pytest.mark.anyio
@pytest.mark.parametrize("code", [1106, 1109, 2009, 2001, 1113, 424242])
async def test_a_no_is_not_asked_again(code: int, clock: StillClock) -> None:
    transport = FakeTransport(in_turn(no(code)))
    with pytest.raises(CloudError) as caught:
        await client_over(transport, clock).issued_config(DEVICE)
    assert (caught.value.cloud_code, caught.value.msg, caught.value.tid) == (code, "no", "tid1")
    assert not caught.value.ambiguous
    assert not caught.value.allows_offline


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (said({"success": False, "code": 1106}, 500), "cloud-permission"),
        (said({"success": False, "code": 500}, 500), "cloud-down"),
        (said({"success": False}, 502), "cloud-down"),
        (said({}, 503), "cloud-down"),
        (said({"success": True, "result": {}}, 302), "cloud-bad-answer"),
        (said("x", 429), "cloud-rate-limited"),
        (HttpAnswer(200, {}, b"<html>captive portal"), "cloud-bad-answer"),
        (HttpAnswer(403, {}, b"<html>"), "cloud-bad-answer"),
    ],
)
async def test_the_answer_decides_before_the_status_does(
    answer: HttpAnswer, kind: str, clock: StillClock
) -> None:
    client = client_over(FakeTransport(in_turn(answer)), clock, retry=RetryPolicy(attempts=1))
    with pytest.raises(CloudError) as caught:
        await client.issued_config(DEVICE)
    assert caught.value.code == kind
    assert caught.value.allows_offline == isinstance(caught.value, CloudDown)


@pytest.mark.anyio
async def test_a_system_error_inside_an_answer_does_not_let_us_go_on_offline(
    clock: StillClock,
) -> None:
    # The document gives it as the sample of *every* failure: it may well be a no.
    client = client_over(FakeTransport(in_turn(no(500))), clock)
    with pytest.raises(CloudFault) as caught:
        await client.open_instruction(request())
    assert not caught.value.allows_offline


def test_jitter_shortens_a_delay_and_never_lengthens_it() -> None:
    policy = RetryPolicy(first_delay=1.0, longest_delay=3.0, jitter=0.5)
    assert [policy.delay(attempt, 0.0) for attempt in (1, 2, 3, 9)] == [1.0, 2.0, 3.0, 3.0]
    assert policy.delay(1, 1.0) == 0.5


# -- the older instruction call


@pytest.mark.anyio
async def test_the_older_call_is_asked_where_the_cloud_lacks_the_newer(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(no(1108), ok(SEALED)))
    which = InstructionCall.BLE_OPEN_THEN_UNLOCK
    await client_over(transport, clock, instruction_call=which).open_instruction(request(7))
    older = json.loads(transport.asked[1].content)
    assert older["action"] == "doorLock.unlockInstruction"
    assert older["params"] == {
        "device_id": DEVICE,
        "bluetooth_sn": 7,
        "device_random": "52777950",
    }


@pytest.mark.anyio
async def test_it_is_not_by_default(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(no(1108)))
    with pytest.raises(NotSupported):
        await client_over(transport, clock).open_instruction(request())


@pytest.mark.anyio
@pytest.mark.parametrize(("opens", "major"), [(False, 3), (True, 4)])
async def test_the_older_call_neither_closes_nor_knows_protocol_4(
    opens: bool, major: int, clock: StillClock
) -> None:
    transport = FakeTransport(in_turn())
    client = client_over(transport, clock, instruction_call=InstructionCall.UNLOCK)
    with pytest.raises(NotSupported):
        await client.open_instruction(request(opens=opens, major=major))
    assert transport.asked == []


# -- the quota


@pytest.mark.anyio
@pytest.mark.parametrize("code", [28841004, 28841104])
async def test_after_the_quota_nothing_is_asked_for_hours(code: int, clock: StillClock) -> None:
    transport = FakeTransport(in_turn(no(code, tid="q1"), ok({})))
    client = client_over(transport, clock)
    with pytest.raises(QuotaExhausted):
        await client.issued_config(DEVICE)
    clock.pass_time(2 * 3600 - 1)
    with pytest.raises(QuotaExhausted) as caught:
        await client.open_instruction(request())
    assert (caught.value.cloud_code, caught.value.tid) == (code, "q1")
    assert caught.value.allows_offline
    assert len(transport.asked) == 1
    clock.pass_time(1)
    await client.issued_config(DEVICE)
    assert len(transport.asked) == 2


@pytest.mark.anyio
async def test_a_quota_for_what_can_wait_shuts_no_door(clock: StillClock) -> None:
    """The facts of locks are asked for every hour, by upkeep: no opening needs them."""
    transport = FakeTransport(in_turn(no(28841004), ok({})))
    client = client_over(transport, clock)
    with pytest.raises(QuotaExhausted):
        await client.lock_facts([DEVICE])
    await client.issued_config(DEVICE)
    assert len(transport.asked) == 2


@pytest.mark.anyio
async def test_a_rate_limit_does_not_stop_the_next_call(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(no(1113), ok({})))
    client = client_over(transport, clock)
    with pytest.raises(RateLimited):
        await client.issued_config(DEVICE)
    await client.issued_config(DEVICE)


# -- what is told, and what is not


@pytest.mark.anyio
async def test_every_request_is_told_without_what_is_in_it(clock: StillClock) -> None:
    events: list[CloudEvent] = []
    transport = FakeTransport(in_turn(a_token("t1canary"), no(500), ok({}, tid="tid2")))
    client = client_over(transport, clock, events=events, **OPENAPI_SIGNED)
    await client.issued_config(DEVICE)
    told = [(one.call, one.attempt, one.outcome, one.cloud_code, one.tid) for one in events]
    assert told == [
        ("token", 1, "ok", None, None),
        ("doorLock.getIssuedConfig", 1, "cloud-fault", 500, "tid1"),
        ("doorLock.getIssuedConfig", 2, "ok", None, "tid2"),
    ]
    assert "canary" not in repr(events)


@pytest.mark.anyio
async def test_a_cancelled_call_is_told_too(clock: StillClock) -> None:
    events: list[CloudEvent] = []

    async def never(_asked: Asked) -> HttpAnswer:
        await anyio.sleep_forever()
        raise AssertionError

    client = client_over(FakeTransport(never), clock, events=events)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.issued_config, DEVICE)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert [one.outcome for one in events] == ["cancelled"]


TOKEN_CANARY = "tokencanary0123456789"
SENT = {
    "client secret": CLIENT_SECRET.reveal().decode(),
    "token": TOKEN_CANARY,
    "device random": CODE.reveal().decode(),
    "device random in hexadecimal": CODE.reveal().hex(),
}
RECEIVED = {"instruction": "0472616e646f6d", "local key": "LOCALKEYcanary00"}
SECRETS = SENT | RECEIVED


def shown(error: BaseException) -> str:
    return "\n".join([repr(error), str(error), *traceback.format_exception(error)])


async def error_of_an_instruction(answer: HttpAnswer, clock: StillClock) -> CloudError:
    transport = FakeTransport(in_turn(a_token(TOKEN_CANARY), answer))
    client = client_over(transport, clock, retry=RetryPolicy(attempts=1), **OPENAPI_SIGNED)
    with pytest.raises((BadAnswer, InvalidArgument)) as caught:
        await client.open_instruction(request())
    return caught.value


@pytest.mark.anyio
@pytest.mark.parametrize("secret", SENT.values(), ids=SENT)
async def test_a_secret_that_the_cloud_echoes_is_masked(secret: str, clock: StillClock) -> None:
    error = await error_of_an_instruction(no(1109, f"illegal: {secret}!"), clock)
    assert error.msg == "illegal: ***!"
    assert secret not in shown(error)


@pytest.mark.anyio
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
async def test_an_answer_that_cannot_be_read_is_not_shown(secret: str, clock: StillClock) -> None:
    for answer in (
        HttpAnswer(200, {}, f"<html>{secret}".encode()),
        ok(secret),
        ok({"instruction": secret, "next_sn": secret}),
        said({"success": secret}),
    ):
        assert secret not in shown(await error_of_an_instruction(answer, clock))


@pytest.mark.anyio
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
async def test_nor_is_a_field_that_cannot_be_read(secret: str, clock: StillClock) -> None:
    strange = [{"dp_id": secret}, {"dp_id": 70, "ins": f"{secret}!"}, secret]
    for row in strange:
        transport = FakeTransport(in_turn(ok({"lock_random": row}), ok([{"id": [secret]}])))
        client = client_over(transport, clock)
        with pytest.raises(BadAnswer) as caught:
            await client.issued_config(DEVICE)
        assert secret not in shown(caught.value)
        with pytest.raises(BadAnswer) as caught:
            await client.lock_facts([DEVICE])
        assert secret not in shown(caught.value)


@pytest.mark.anyio
async def test_nothing_that_the_client_holds_shows_a_secret(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(a_token(TOKEN_CANARY), ok(SEALED)))
    client = client_over(transport, clock, **OPENAPI_SIGNED)
    sealed = await client.open_instruction(request())
    moment = Moment(t=str(T_MS), nonce="n")
    call = token_call(Secret(TOKEN_CANARY))
    signed = build_request(call, client._settings, moment, Secret(TOKEN_CANARY))
    answer = await FakeTransport(in_turn(ok(TOKEN_CANARY))).answer(transport.asked[0])
    held = [sealed, client._settings, client._tokens._token, call, signed, answer]
    for value in SECRETS.values():
        assert value not in repr(held)
    assert SEALED["instruction"] not in repr(held)
