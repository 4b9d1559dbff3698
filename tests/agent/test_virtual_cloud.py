"""The virtual cloud over real sockets, and the client against it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import anyio
import httpx
import pytest

from bleagent.adapters.httpx_transport import HttpxTransport
from bleagent.cloud.client import CloudClient
from bleagent.cloud.errors import (
    BadAnswer,
    CloudDown,
    CloudError,
    CloudTimeout,
    CloudUnreachable,
    InvalidArgument,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    SignatureRejected,
    TokenRejected,
    UnknownCloudError,
)
from bleagent.cloud.settings import InstructionCall, Signer, Transport
from bleagent.model import InstructionRequest
from bleagent.simulator.cloud_actions import CloudLock, RandomCheck
from bleagent.simulator.cloud_faults import (
    QUOTA,
    RATE_LIMIT,
    SYSTEM_ERROR,
    Fault,
    FaultKind,
    FaultPlan,
)
from bleagent.simulator.virtual_cloud import ActionAuth, Envelope, VirtualCloud
from protocol import (
    Central,
    Dialect,
    Expected,
    InstructionError,
    Peripheral,
    Secret,
    firmware,
)
from protocol.events import Notify
from protocol.lock import APP_CENTRAL, OpenOperation
from tests.agent.cloud_world import (
    CODE,
    DEVICE,
    OPENAPI_SIGNED,
    SRAND,
    UNIX,
    StillClock,
    keys,
    lock,
    request,
    settings_for,
)

BLE_OPEN = "doorLock.bleOpenInstruction"
ISSUED = "doorLock.getIssuedConfig"
CURRENT_TIME = "timer.currentTime"
SIGNED_V2: dict[str, Any] = {"action_auth": ActionAuth.OPENAPI, "settings": OPENAPI_SIGNED}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(slots=True)
class Pair:
    """A running virtual cloud with one lock, and a client of it."""

    cloud: VirtualCloud
    client: CloudClient
    clock: StillClock
    lock: CloudLock


@asynccontextmanager
async def running(
    the_lock: CloudLock | None = None,
    *,
    settings: dict[str, Any] | None = None,
    **cloud_options: Any,
) -> AsyncIterator[Pair]:
    clock = StillClock()
    cloud = VirtualCloud(unix=clock.unix, **cloud_options)
    registered = cloud.register(the_lock or lock())
    async with cloud.serve() as base_url, HttpxTransport() as transport:
        client = CloudClient(
            settings_for(base_url, **(settings or {})), transport, clock, sleep=clock.sleep
        )
        yield Pair(cloud, client, clock, registered)


# -- instructions that a lock opens on


def ivs() -> Iterator[bytes]:
    for number in count():
        yield hashlib.md5(number.to_bytes(4, "big")).digest()


def connected(the_lock: CloudLock, profile: str) -> Central:
    """A central that has paired with a lock of this profile."""
    fresh = ivs()
    habits = firmware(profile)
    peripheral = Peripheral(
        the_lock.keys, habits, bound=True, new_iv=lambda: next(fresh), new_srand=lambda: SRAND
    )
    central = Central(
        the_lock.keys,
        new_iv=lambda: next(fresh),
        dialect=Dialect(the_lock.major, the_lock.security_v2),
    )
    peripheral.connected(0.0)
    central.connected()
    for ask in (central.ask_device_info, central.pair):
        for fragment in ask(0.0).fragments:
            for event in peripheral.receive_write(fragment, 0.0):
                if isinstance(event, Notify):
                    for packet in event.fragments:
                        central.receive(packet, 0.0)
    return central


PROFILES = [
    pytest.param("3.3", 3, False, 4, id="3.x"),
    pytest.param("4.4", 4, False, 4, id="4.x"),
    pytest.param("secv2", 4, True, 14, id="security-v2"),
]


def expected(central: Central, the_lock: CloudLock, *, opens: bool = True) -> Expected:
    return Expected(
        reservation=central.reserve(),
        dp_id=the_lock.open_dp,
        central=APP_CENTRAL,
        peripheral=the_lock.peripheral,
        code=the_lock.code,
        operation=OpenOperation.OPEN if opens else OpenOperation.CLOSE,
        after_timestamp=int(UNIX) - 1,
    )


@pytest.mark.anyio
@pytest.mark.parametrize(("profile", "major", "security_v2", "flag"), PROFILES)
@pytest.mark.parametrize("opens", [True, False])
async def test_a_sealed_instruction_is_the_one_that_was_asked_for(
    profile: str, major: int, security_v2: bool, flag: int, opens: bool
) -> None:
    the_lock = lock(major=major, security_v2=security_v2)
    central = connected(the_lock, profile)
    wanted = expected(central, the_lock, opens=opens)
    async with running(the_lock) as pair:
        sealed = await pair.client.open_instruction(
            request(wanted.reservation.sn, opens=opens, major=major)
        )
    checked = central.check_instruction(sealed.message.reveal(), wanted)
    assert checked.flag == flag
    assert checked.request.timestamp == int(UNIX)
    assert (checked.request.method, checked.request.info) == (0, b"\x01")
    assert sealed.next_sn == wanted.reservation.sn + 1
    _, believed = central.send_instruction(checked, next_sn=sealed.next_sn)
    assert believed


@pytest.mark.anyio
async def test_the_older_call_seals_an_opening_of_protocol_3() -> None:
    the_lock = lock()
    central = connected(the_lock, "3.3")
    wanted = expected(central, the_lock)
    settings = {"instruction_call": InstructionCall.UNLOCK}
    async with running(the_lock, settings=settings) as pair:
        sealed = await pair.client.open_instruction(request(wanted.reservation.sn))
        assert pair.cloud.calls == {"doorLock.unlockInstruction": 1}
    assert central.check_instruction(sealed.message.reveal(), wanted).request.operation == 1


@pytest.mark.anyio
async def test_timestamps_grow_although_the_clock_stands_still() -> None:
    the_lock = lock()
    async with running(the_lock) as pair:
        stamps = []
        for _ in range(3):
            central = connected(the_lock, "3.3")
            wanted = expected(central, the_lock)
            sealed = await pair.client.open_instruction(request(wanted.reservation.sn))
            checked = central.check_instruction(sealed.message.reveal(), wanted)
            stamps.append(checked.request.timestamp)
    assert stamps == [int(UNIX), int(UNIX) + 1, int(UNIX) + 2]


@pytest.mark.anyio
async def test_the_number_to_go_on_with_is_what_the_story_wants() -> None:
    async with running() as pair:
        pair.cloud.actions.next_sn = lambda sn: sn - 5
        assert (await pair.client.open_instruction(request(33))).next_sn == 28


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (FaultKind.WRONG_RANDOM, "check code"),
        (FaultKind.STALE_LOCAL_KEY, "seal"),
        (FaultKind.WRONG_SN, "sn"),
        (FaultKind.WRONG_OPERATION, "operation"),
        (FaultKind.WRONG_FRAMING, "command"),
        (FaultKind.OTHER_LOCK, "seal"),
    ],
)
@pytest.mark.parametrize(("profile", "major", "security_v2", "flag"), PROFILES)
async def test_a_wrong_instruction_is_wrong_in_the_field_that_was_planned(
    profile: str, major: int, security_v2: bool, flag: int, kind: FaultKind, field: str
) -> None:
    the_lock = lock(major=major, security_v2=security_v2)
    central = connected(the_lock, profile)
    wanted = expected(central, the_lock)
    async with running(the_lock) as pair:
        pair.cloud.faults.next_calls(BLE_OPEN, Fault(kind))
        asked = request(wanted.reservation.sn, major=major)
        wrong = await pair.client.open_instruction(asked)
        right = await pair.client.open_instruction(asked)
    assert wrong.message.reveal()[0] == flag
    with pytest.raises(InstructionError) as caught:
        central.check_instruction(wrong.message.reveal(), wanted)
    assert caught.value.field == field
    central.check_instruction(right.message.reveal(), wanted)


# -- the random of the lock


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("check", "device_random", "accepted"),
    [
        (RandomCheck.ISSUED_CODE, "52777950", True),
        (RandomCheck.ISSUED_CODE, "3532373737393530", True),
        (RandomCheck.ISSUED_CODE, SRAND.hex(), False),
        (RandomCheck.SRAND, SRAND.hex(), True),
        (RandomCheck.SRAND, SRAND.hex().upper(), True),
        (RandomCheck.SRAND, "52777950", False),
        (RandomCheck.ANYTHING, "123", True),
    ],
)
async def test_device_random_is_what_the_strategy_says(
    check: RandomCheck, device_random: str, accepted: bool
) -> None:
    the_lock = lock()
    the_lock.srand = Secret(SRAND)
    asked = InstructionRequest(
        device_id=DEVICE, bluetooth_sn=7, device_random=Secret(device_random), open=True, major=3
    )
    async with running(the_lock, random_check=check) as pair:
        if accepted:
            await pair.client.open_instruction(asked)
        else:
            with pytest.raises(InvalidArgument):
                await pair.client.open_instruction(asked)


@pytest.mark.anyio
async def test_a_srand_that_nobody_told_the_cloud_is_refused() -> None:
    async with running(random_check=RandomCheck.SRAND) as pair:
        with pytest.raises(InvalidArgument):
            await pair.client.open_instruction(request())


# -- the other calls


@pytest.mark.anyio
async def test_the_issued_config_holds_code_and_datapoint() -> None:
    async with running() as pair:
        config = await pair.client.issued_config(DEVICE)
        random, record = config.lock_random, config.lock_record
        assert random is not None
        assert record is not None
        assert (random.dp_id, random.peripheral, random.distribute) == (70, 5, False)
        assert random.ins == CODE
        # The sample of the vendor's document, byte for byte.
        assert random.wake_up_ins == Secret(
            bytes.fromhex("ffff0005000000000000000000ffff3532373737393530")
        )
        assert record.ins == random.wake_up_ins
        assert config.fetched_at == UNIX
        pair.lock.reissue(Secret("11112222"))
        again = (await pair.client.issued_config(DEVICE)).lock_random
        assert again is not None
        assert again.distribute
        assert again.wake_up_ins == Secret(
            bytes.fromhex("ffff0005") + b"52777950" + b"\0\xff\xff" + b"11112222"
        )


@pytest.mark.anyio
async def test_the_time_is_the_clouds() -> None:
    async with running() as pair:
        assert await pair.client.unix_time() == UNIX


@pytest.mark.anyio
@pytest.mark.parametrize("transport", list(Transport))
async def test_devices_come_with_the_keys_the_codec_needs(transport: Transport) -> None:
    async with running(lock(security_v2=True), settings={"transport": transport}) as pair:
        (device,) = await pair.client.lock_facts([DEVICE, "unknown"])
        assert device.keys == replace(keys(security_v2=True), auth_key=None)


@pytest.mark.anyio
@pytest.mark.parametrize("envelope", list(Envelope))
async def test_every_call_works_in_every_envelope(envelope: Envelope) -> None:
    async with running(envelope=envelope) as pair:
        assert (await pair.client.issued_config(DEVICE)).lock_random is not None
        assert (await pair.client.open_instruction(request(7))).next_sn == 8
        assert [one.device_id for one in await pair.client.lock_facts([DEVICE])] == [DEVICE]
        assert await pair.client.unix_time() == UNIX


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("envelope", "kind"),
    [
        (Envelope.OPENAPI, PermissionDenied),
        (Envelope.CLOUD_FUNCTION, PermissionDenied),
        (Envelope.APP, PermissionDenied),
        (Envelope.BARE, UnknownCloudError),  # this layer throws the reason away
    ],
)
async def test_a_no_is_one_in_every_envelope(envelope: Envelope, kind: type[CloudError]) -> None:
    async with running(envelope=envelope) as pair:
        with pytest.raises(kind) as caught:
            await pair.client.issued_config("somebody elses")
        assert not caught.value.allows_offline


# -- who may ask


@pytest.mark.anyio
@pytest.mark.parametrize("auth", list(ActionAuth))
async def test_signatures_are_checked(auth: ActionAuth) -> None:
    signer = Signer(auth.value)
    async with running(action_auth=auth, settings={"signer": signer}) as pair:
        await pair.client.issued_config(DEVICE)
    async with running(action_auth=auth) as pair, HttpxTransport() as transport:
        settings = replace(
            settings_for(pair.cloud.base_url, signer=signer), secret=Secret("another secret")
        )
        client = CloudClient(settings, transport, pair.clock, sleep=pair.clock.sleep)
        if auth is ActionAuth.NONE:
            await client.issued_config(DEVICE)
        else:
            with pytest.raises(SignatureRejected) as caught:
                await client.issued_config(DEVICE)
            assert caught.value.cloud_code == 1004
            assert pair.cloud.done[ISSUED] == 0


@pytest.mark.anyio
async def test_an_unsigned_request_is_sent_away() -> None:
    async with running() as pair, httpx.AsyncClient(trust_env=False) as anyone:
        url = f"{pair.cloud.base_url}/faas"
        answer = await anyone.post(url, json={"action": CURRENT_TIME, "params": {}})
        assert answer.json()["code"] == 1005
        for body in (b"", b"[]", b"{}", b"\xff", b'{"action":1}'):
            assert not (await anyone.post(url, content=body)).json()["success"]
        assert (await anyone.get(f"{pair.cloud.base_url}/nowhere")).json()["code"] == 1108
        assert pair.cloud.done == {}


@pytest.mark.anyio
async def test_a_token_dies_after_two_hours_and_is_renewed_before() -> None:
    async with running(**SIGNED_V2) as pair:
        for _ in range(4):
            await pair.client.issued_config(DEVICE)
            pair.clock.pass_time(3600)
        assert pair.cloud.calls == {"token": 2, ISSUED: 4}


@pytest.mark.anyio
async def test_a_token_that_somebody_else_refreshed_is_replaced_once() -> None:
    async with running(**SIGNED_V2) as pair:
        await pair.client.issued_config(DEVICE)
        pair.cloud.tokens.kill()
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(pair.client.issued_config, DEVICE)
        assert pair.cloud.calls["token"] == 2
        assert pair.cloud.done[ISSUED] == 21


@pytest.mark.anyio
async def test_a_refresh_token_works_once() -> None:
    async with running() as pair:
        tokens = pair.cloud.tokens
        refresh = str(tokens.issue()["refresh_token"])
        assert tokens.renew(refresh)["refresh_token"] != refresh
        with pytest.raises(Exception, match="1011"):
            tokens.renew(refresh)


@pytest.mark.anyio
async def test_a_gateway_with_a_wrong_date_finds_its_way() -> None:
    clock = StillClock(date=UNIX - 86400)
    cloud = VirtualCloud(unix=lambda: UNIX)
    cloud.register(lock())
    async with cloud.serve() as base_url, HttpxTransport() as transport:
        client = CloudClient(settings_for(base_url), transport, clock, sleep=clock.sleep)
        await client.open_instruction(request())
        await client.issued_config(DEVICE)
    assert [one.ending for one in cloud.log] == ["1013", "ok", "ok"]


# -- faults


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fault", "kind", "sealed"),
    [
        (Fault(FaultKind.CUT_BODY), CloudUnreachable, 1),
        (Fault(FaultKind.CUT_AFTER), CloudUnreachable, 1),
        (Fault(FaultKind.CUT_BEFORE), CloudUnreachable, 0),
        (Fault(FaultKind.NOT_JSON), BadAnswer, 1),
        (Fault(FaultKind.HTTP_ERROR, status=502), CloudDown, 0),
        (SYSTEM_ERROR, CloudError, 0),
    ],
    ids=str,
)
async def test_an_instruction_without_a_clear_end_was_asked_for_exactly_once(
    fault: Fault, kind: type[CloudError], sealed: int
) -> None:
    async with running() as pair:
        await pair.client.unix_time()  # a connection that is open already tempts to try again
        pair.cloud.faults.always(BLE_OPEN, fault)
        with pytest.raises(kind) as caught:
            await pair.client.open_instruction(request())
        assert caught.value.ambiguous
        assert pair.cloud.calls[BLE_OPEN] == 1
        assert pair.cloud.done[BLE_OPEN] == sealed


async def for_ever(_seconds: float) -> None:
    await anyio.sleep_forever()


@pytest.mark.anyio
async def test_an_instruction_that_takes_too_long_was_asked_for_exactly_once() -> None:
    async with running(settings={"call_timeout": 0.05}, sleep=for_ever) as pair:
        pair.cloud.faults.always(BLE_OPEN, Fault(FaultKind.SLOW))
        with pytest.raises(CloudTimeout) as caught:
            await pair.client.open_instruction(request())
        assert caught.value.ambiguous
        assert caught.value.allows_offline
        assert pair.cloud.calls[BLE_OPEN] == 1


@pytest.mark.anyio
async def test_a_read_survives_what_an_instruction_does_not() -> None:
    async with running() as pair:
        pair.cloud.faults.next_calls(ISSUED, Fault(FaultKind.CUT_BODY), Fault(FaultKind.NOT_JSON))
        await pair.client.issued_config(DEVICE)
        assert pair.cloud.calls[ISSUED] == 3


@pytest.mark.anyio
async def test_faults_on_demand_have_the_clouds_own_codes() -> None:
    async with running(**SIGNED_V2) as pair:
        faults, ask = pair.cloud.faults, pair.client.issued_config
        faults.next_calls(ISSUED, Fault(FaultKind.TOKEN_DEAD), None)
        await ask(DEVICE)
        assert pair.cloud.calls["token"] == 2
        faults.next_calls(ISSUED, Fault(FaultKind.CLOCK_SKEW), None)
        await ask(DEVICE)
        faults.next_calls(ISSUED, Fault(FaultKind.TOKEN_DEAD), Fault(FaultKind.TOKEN_DEAD))
        with pytest.raises(TokenRejected):
            await ask(DEVICE)
        faults.always(ISSUED, RATE_LIMIT)
        with pytest.raises(RateLimited):
            await ask(DEVICE)
        faults.always(ISSUED, QUOTA)
        with pytest.raises(QuotaExhausted):
            await ask(DEVICE)
        faults.clear()
        calls = pair.cloud.calls[ISSUED]
        with pytest.raises(QuotaExhausted):
            await ask(DEVICE)
        assert pair.cloud.calls[ISSUED] == calls


def test_faults_by_chance_are_the_same_every_time() -> None:
    def drawn(seed: int) -> list[Fault | None]:
        plan = FaultPlan()
        plan.by_chance(seed, 0.3, [QUOTA, RATE_LIMIT])
        return [plan.meet("x") for _ in range(200)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 30 < sum(one is not None for one in drawn(1)) < 90


@pytest.mark.anyio
async def test_a_cloud_that_is_not_there_is_not_ambiguous() -> None:
    async with running() as pair:
        cloud = pair.cloud
    clock = StillClock()
    async with HttpxTransport() as transport:
        client = CloudClient(settings_for(cloud.base_url), transport, clock, sleep=clock.sleep)
        with pytest.raises(CloudUnreachable) as caught:
            await client.open_instruction(request())
        assert not caught.value.ambiguous
        assert caught.value.allows_offline


@pytest.mark.anyio
async def test_the_environment_has_no_say_in_where_requests_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with running() as pair:
        await pair.client.issued_config(DEVICE)


# -- the log


@pytest.mark.anyio
async def test_the_log_of_requests_holds_no_secret() -> None:
    async with running(**SIGNED_V2) as pair:
        await pair.client.open_instruction(request(7))
        pair.clock.pass_time(7199)
        await pair.client.issued_config(DEVICE)
        log = pair.cloud.log
        asked = [(one.action, one.ending) for one in log]
        assert asked == [("token", "ok"), (BLE_OPEN, "ok"), ("token", "ok"), (ISSUED, "ok")]
        assert log[1].params == {
            "device_id": DEVICE,
            "bluetooth_sn": 7,
            "device_random": "***",
            "open": True,
            "bluetooth_major_version": 3,
        }
        assert log[2].params == {"refresh_token": "***"}
        held = repr([log, pair.cloud.tokens, pair.lock, pair.cloud.actions.locks])
        for secret in (CODE, pair.lock.keys.local_key, pair.cloud.tokens.access):
            assert secret is not None
            assert secret.reveal().decode() not in held


@pytest.mark.anyio
async def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    cloud = VirtualCloud()
    with pytest.raises(ZeroDivisionError):
        async with cloud.serve():
            _ = 1 / 0
