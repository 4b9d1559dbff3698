"""``CloudClient.call``: what it sends by which transport, and when it sends nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bleagent.cloud.catalogue import CATALOGUE, Api, Family, LockKind, find
from bleagent.cloud.client import CloudClient
from bleagent.cloud.errors import (
    BadAnswer,
    CloudError,
    CloudUnreachable,
    InvalidArgument,
    NotSupported,
    PermissionDenied,
    UnknownCloudError,
)
from bleagent.cloud.settings import Signer, Transport
from bleagent.cloud.transport import HttpAnswer
from tests.agent.cloud_world import (
    DEVICE,
    Asked,
    FakeTransport,
    StillClock,
    client_over,
    in_turn,
    no,
    ok,
    said,
    settings_for,
)

pytestmark = pytest.mark.anyio

TOKEN = ok({"access_token": "t1", "refresh_token": "r1", "expire_time": 7200})
LOST = CloudUnreachable("Cut off", ambiguous=True)
RELAY = "https://relay.test/panel"
TICKET = "doorLock.passwordTicket"
NO_PATH = 1108


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


def over(clock: StillClock, *answers: HttpAnswer | Exception, **settings: Any) -> Any:
    http = FakeTransport(in_turn(*answers))
    return client_over(http, clock, **settings), http


def openapi(clock: StillClock, *answers: HttpAnswer | Exception) -> tuple[CloudClient, Any]:
    client, http = over(clock, TOKEN, *answers, transport=Transport.OPENAPI)
    return client, http


def sent(asked: Asked) -> tuple[str, str, Any]:
    body = json.loads(asked.content) if asked.content else None
    return asked.method, asked.url.removeprefix("https://cloud.test"), body


# -- by which way


async def test_an_action_goes_to_the_action_endpoint(clock: StillClock) -> None:
    client, http = over(clock, ok([{"dpId": "12", "dpCode": "unlock_password"}]))
    found = await client.call("doorLock.getAvailableInstructions", deviceId=DEVICE)
    assert found == [{"dp_id": 12, "dp_code": "unlock_password"}]
    asked = {"action": "doorLock.getAvailableInstructions", "params": {"device_id": DEVICE}}
    assert sent(http.asked[0]) == ("POST", "/faas", asked)


D, S = f"/v1.0/devices/{DEVICE}", f"/v1.0/smart-lock/devices/{DEVICE}"
BY_PATH: list[tuple[str, dict[str, Any], str, str, Any]] = [
    (TICKET, {}, "POST", f"{D}/door-lock/password-ticket", None),
    (
        "doorLock.getTemporaryPasswordList",
        {"valid": "true"},
        "GET",
        f"{D}/door-lock/temp-passwords?valid=true",
        None,
    ),
    (
        "doorLock.modifyTemporaryPassword",
        {"password_id": 7, "name": "Jane"},
        "PUT",
        f"{D}/door-lock/temp-passwords/7/modify-password",
        {"name": "Jane", "bluetooth_symbolic": True},
    ),
    (
        "doorLock.deleteTemporaryPassword",
        {"password_id": 7},
        "DELETE",
        f"{D}/door-lock/temp-passwords/7?bluetooth_symbolic=true",
        None,
    ),
    (
        "doorLock.deallocateOpmode",
        {"user_id": 9, "dp_code": "unlock_card", "unlock_sn": 2},
        "POST",
        f"{S}/opmodes/actions/cancel-allocate",
        {"user_id": "9", "unlock_list": [{"code": "unlock_card", "unlock_sn": 2}]},
    ),
    (
        "doorLock.setHijack",
        {"unlock_sn": 2, "unlock_type": "unlock_card"},
        "PUT",
        f"{D}/door-lock/unlock-types/card/keys/2/hijack",
        None,
    ),
    (
        "doorLock.removeHijack",
        {"unlock_no": 2, "unlock_type": "card"},
        "DELETE",
        f"{S}/unlock-types/card/keys/2/hijack",
        None,
    ),
    (
        "doorLock.listUserOpmodes",
        {"user_id": "28 87", "target_unlock_standard_dp_codes": ["a", "b"]},
        "GET",
        f"{S}/opmodes/28%2087?codes=a%2Cb&page_no=1&page_size=50",
        None,
    ),
    (
        "doorLock.openingLogs",
        {"start_time": 1_780_000_000_500, "end_time": 1_780_000_000_500},
        "GET",
        f"{D}/door-lock/open-logs?end_time=1780000001&page_no=1&page_size=50&start_time=1780000000",
        None,
    ),
    (
        "doorLock.deleteOfflinePassword",
        {"password_id": 7},
        "POST",
        f"/v1.1/devices/{DEVICE}/door-lock/offline-temp-password",
        {"type": "clear_one", "password_id": "7"},
    ),
    (
        "device.control",
        {"commands": [{"code": "x", "value": True}]},
        "POST",
        f"{D}/commands",
        {"commands": [{"code": "x", "value": True}]},
    ),
]


@pytest.mark.parametrize(("name", "given", "method", "url", "body"), BY_PATH)
async def test_over_openapi_it_goes_to_its_path(
    clock: StillClock, name: str, given: dict[str, Any], method: str, url: str, body: Any
) -> None:
    client, http = openapi(clock, ok(None))
    assert await client.call(name, device_id=DEVICE, **given) is None
    assert sent(http.asked[1]) == (method, url, body)
    assert http.asked[1].headers["access_token"] == "t1"
    assert ("Content-Type" in http.asked[1].headers) == (body is not None)


async def test_a_parameter_of_two_names_is_sent_under_both(clock: StillClock) -> None:
    client, http = over(clock, ok(True))
    await client.call("doorLock.removeHijack", device_id=DEVICE, unlock_no=2, unlock_type="card")
    params = json.loads(http.asked[0].content)["params"]
    assert (params["unlock_no"], params["unlock_sn"], params["unlock_type"]) == (2, 2, "card")


async def test_a_panel_api_goes_to_the_relay_unsigned(clock: StillClock) -> None:
    answer = said({"resultDO": {"datas": [], "hasNext": "false"}, "success": True})
    client, http = over(clock, answer, panel_url=RELAY)
    found = await client.call("tuya.m.device.lock.temppwd.pagelist", devId="d", limit=10)
    assert found == {"datas": [], "has_more": False}
    params = {"devId": "d", "useful": True, "offset": 0, "limit": 10}
    asked = {
        "action": "tuya.m.device.lock.temppwd.pagelist",
        "version": "1.0",
        "params": params,
    }
    assert sent(http.asked[0]) == ("POST", RELAY, asked)
    assert set(http.asked[0].headers) == {"Content-Type"}


@pytest.mark.parametrize("settings", [{"transport": Transport.OPENAPI}, {"signer": Signer.OPENAPI}])
async def test_no_token_is_fetched_for_a_relay(clock: StillClock, settings: dict[str, Any]) -> None:
    client, http = over(clock, ok([]), panel_url=RELAY, **settings)
    assert await client.call("tuya.m.zigbee.member.list") == []
    assert [one.url for one in http.asked] == [RELAY]


@pytest.mark.parametrize(("said_version", "sent_version"), [(None, "2.0"), ("1.0", "1.0")])
async def test_the_newest_version_is_asked_where_none_is_said(
    clock: StillClock, said_version: str | None, sent_version: str
) -> None:
    client, http = over(clock, ok(True), panel_url=RELAY)
    name = "tuya.m.device.lock.temppwd.name.update"
    await client.call(name, version=said_version, devId="d", pwdId=1, name="n")
    assert json.loads(http.asked[0].content)["version"] == sent_version


@pytest.mark.parametrize("transport", Transport)
async def test_a_video_door_has_its_path_over_any_transport(
    clock: StillClock, transport: Transport
) -> None:
    client, http = over(clock, TOKEN, ok({"sn": 1212581947449081856}), transport=transport)
    found = await client.call("videoDoor.open", device_id=DEVICE, person_id="p")
    assert found == {"sn": "1212581947449081856"}
    path = f"/v1.0/iot-02/third/doors/{DEVICE}/persons/p/actions/open"
    assert sent(http.asked[1]) == ("POST", path, None)


# -- from one family of paths to the other


@pytest.mark.parametrize("code", [NO_PATH, 28841101, 28841106])
async def test_the_other_path_is_asked_where_one_is_not_there(clock: StillClock, code: int) -> None:
    ticket = ok({"ticket_id": "x"})
    client, http = openapi(clock, no(code), ticket, ticket)
    for _ in range(2):
        assert await client.call(TICKET, device_id=DEVICE) == {"ticket_id": "x"}
    d, s = f"{D}/door-lock/password-ticket", f"{S}/password-ticket"
    # The one that worked is asked at once from then on.
    assert [sent(one)[1] for one in http.asked[1:]] == [d, s, s]


async def test_where_no_path_is_there_the_first_refusal_counts(clock: StillClock) -> None:
    client, http = openapi(clock, no(28841106), no(NO_PATH))
    with pytest.raises(PermissionDenied) as told:
        await client.call(TICKET, device_id=DEVICE)
    assert told.value.cloud_code == 28841106
    assert len(http.asked) == 3


@pytest.mark.parametrize("answer", [no(1106), no(2001), LOST])
async def test_another_refusal_is_no_reason_to_ask_elsewhere(
    clock: StillClock, answer: HttpAnswer | Exception
) -> None:
    client, http = openapi(clock, answer)
    with pytest.raises(CloudError):
        await client.call("doorLock.passwordFreeOpen", device_id=DEVICE, ticket_id="x")
    assert len(http.asked) == 2


async def test_over_actions_there_is_no_other_path(clock: StillClock) -> None:
    client, http = over(clock, no(NO_PATH))
    with pytest.raises(NotSupported):
        await client.call(TICKET, device_id=DEVICE)
    assert len(http.asked) == 1


# -- when nothing is sent


async def test_what_has_no_way_says_why(clock: StillClock) -> None:
    client, http = openapi(clock)
    with pytest.raises(NotSupported, match="no public path to open a Bluetooth lock"):
        await client.call("doorLock.getIssuedConfig", device_id=DEVICE)
    with pytest.raises(NotSupported, match="panel_url under"):
        await client.call("tuya.m.zigbee.member.list")
    with pytest.raises(NotSupported, match="is for locks of the kinds wifi only"):
        await client.call("doorLock.getMediaUrl", device_id=DEVICE, file_type=1)
    assert http.asked == []


async def test_a_project_without_a_secret_has_no_way_to_a_video_door(clock: StillClock) -> None:
    http = FakeTransport(in_turn())
    settings = settings_for(signer=Signer.NONE)
    object.__setattr__(settings, "client_id", "")
    client = CloudClient(settings, http, clock)
    with pytest.raises(NotSupported, match="client_id"):
        await client.call("videoDoor.open", device_id=DEVICE, person_id="p")


@pytest.mark.parametrize(
    ("name", "version", "why"),
    [
        ("doorLock.listRecord", None, "did you mean doorLock.listRecords"),
        ("listusers", None, "did you mean doorLock.listUsers"),
        ("xxxxxxxx", None, "there is no API 'xxxxxxxx'$"),
        (TICKET, "9.9", f"{TICKET} has no version 9.9"),
    ],
)
async def test_an_unknown_name_is_told(
    clock: StillClock, name: str, version: str | None, why: str
) -> None:
    client, http = over(clock)
    with pytest.raises(InvalidArgument, match=why):
        await client.call(name, version=version)
    assert http.asked == []


async def test_wrong_arguments_are_not_sent(clock: StillClock) -> None:
    client, http = over(clock)
    with pytest.raises(InvalidArgument, match="page_no: found 0, expected a page number"):
        await client.call("doorLock.alarmLogs", device_id=DEVICE, page_no=0)
    assert http.asked == []


async def test_another_kind_of_lock_is_said_by_the_caller(clock: StillClock) -> None:
    client, http = over(clock, ok({"file_path": "/x"}))
    found = await client.call(
        "doorLock.getMediaUrl", for_lock=LockKind.WIFI, device_id=DEVICE, file_type="1"
    )
    assert found == {"file_path": "/x"}
    assert json.loads(http.asked[0].content)["params"]["file_type"] == 1


# -- how often, and what comes back


async def test_what_changes_nothing_twice_is_asked_again(clock: StillClock) -> None:
    client, http = over(clock, LOST, ok(True))
    await client.call("doorLock.deleteTemporaryPassword", device_id=DEVICE, password_id=1)
    assert len(http.asked) == 2


@pytest.mark.parametrize("api", [api for api in CATALOGUE if api.moves], ids=lambda api: api.name)
async def test_what_may_move_a_bolt_is_asked_once(clock: StillClock, api: Api) -> None:
    arguments: dict[str, Any] = {
        "ticket_id": "t",
        "password": "8F8AD3F0CFD6ECA192126E4AD28A73F2",
        "person_id": "p",
        "commands": [{"code": "x", "value": 1}],
    }
    given = {one.name: arguments[one.name] for one in api.takes if one.name in arguments}
    answers = [TOKEN, LOST] if api.family is Family.VIDEO_DOOR else [LOST]
    client, http = over(clock, *answers)
    with pytest.raises(CloudUnreachable) as told:
        await client.call(api.name, for_lock=None, device_id=DEVICE, **given)
    assert told.value.ambiguous
    assert len(http.asked) == len(answers)


async def test_an_answer_that_cannot_be_read_leaves_it_open_what_was_done(
    clock: StillClock,
) -> None:
    client, _ = over(clock, ok(["x", "y"], tid="tid7"), ok("x"))
    password = {
        "device_id": DEVICE,
        "name": "n",
        "password": "8F8AD3F0CFD6ECA192126E4AD28A73F2",
        "ticket_id": "t",
        "effective_time": 1_780_000_000,
        "invalid_time": 1_780_000_001,
    }
    with pytest.raises(BadAnswer) as told:
        await client.call("doorLock.createTemporaryPassword", **password)
    assert (told.value.ambiguous, told.value.tid) == (True, "tid7")
    with pytest.raises(BadAnswer) as told:
        await client.call("doorLock.listUsers", device_id=DEVICE)
    assert not told.value.ambiguous


async def test_a_failure_whose_reason_was_dropped_is_no_result(clock: StillClock) -> None:
    client, _ = over(clock, said([]), said([]), ok([]), ok([]))
    for name in ("doorLock.getUser", "doorLock.remoteUnlocks"):
        more = {"user_id": 0} if name == "doorLock.getUser" else {}
        with pytest.raises(UnknownCloudError):
            await client.call(name, device_id=DEVICE, **more)
    assert await client.call("doorLock.remoteUnlocks", device_id=DEVICE) == []
    with pytest.raises(UnknownCloudError):
        await client.call("doorLock.getUser", device_id=DEVICE, user_id=0)


async def test_what_the_cloud_echoes_of_a_secret_is_masked(clock: StillClock) -> None:
    client, _ = over(clock, no(1109, "wrong ticket KEEPOUT"))
    with pytest.raises(InvalidArgument) as told:
        await client.call("doorLock.passwordFreeOpen", device_id=DEVICE, ticket_id="KEEPOUT")
    assert "***" in str(told.value)
    assert "KEEPOUT" not in str(told.value)


def test_no_parameter_has_a_name_that_call_itself_has() -> None:
    taken = {"version", "for_lock", "deadline", "self"}
    names = {name for api in CATALOGUE for one in api.takes for name in (one.name, *one.also)}
    assert not taken & names
    assert find("doorLock.createTemporaryPassword")  # has one called name, which is allowed
