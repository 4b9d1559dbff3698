"""Records to the cloud and back: what the client sends, how often, and what it reads."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleagent.cloud import pages
from bleagent.cloud.client import CloudClient
from bleagent.cloud.codec import Credentials, sign_v2
from bleagent.cloud.errors import (
    BadAnswer,
    CloudError,
    CloudFault,
    CloudUnreachable,
    InvalidArgument,
    NotSupported,
    QuotaExhausted,
    UnknownCloudError,
)
from bleagent.cloud.settings import CloudSettings, Signer, Transport
from bleagent.records.readback import MEMBER, CloudRecord, CredentialName, ReadBack
from bleagent.simulator.virtual_cloud import CLIENT_ID, CLIENT_SECRET
from protocol import Secret
from tests.agent.cloud_world import (
    DEVICE,
    T_MS,
    UNIX,
    FakeTransport,
    StillClock,
    client_over,
    in_turn,
    no,
    ok,
    said,
)

pytestmark = pytest.mark.anyio

WHO = Credentials(CLIENT_ID, CLIENT_SECRET)
ID = "0123456789abcdef0123456789abcdef"
TOKEN = ok({"access_token": "t1", "refresh_token": "r1", "expire_time": 7200})
ANOTHER = ok({"access_token": "t2", "refresh_token": "r2", "expire_time": 7200})
LOST = CloudUnreachable("Cut off", ambiguous=True)
NOT_CONNECTED = CloudUnreachable("Not connected")
WAYS: list[dict[str, Any]] = [
    {"signer": Signer.FAAS},
    {"signer": Signer.OPENAPI},
    {"transport": Transport.OPENAPI},
    {"signer": Signer.NONE, "action_url": "https://gateway.test/ble"},
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


async def report(http: FakeTransport, clock: StillClock, /, **settings: Any) -> None:
    await client_over(http, clock, **settings).report_property(
        DEVICE, message_id=ID, code="unlock_fingerprint", value=3, time_ms=T_MS - 1
    )


# -- reported


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_report_is_signed_over_its_bytes_however_actions_travel(
    way: dict[str, Any], clock: StillClock
) -> None:
    transport = FakeTransport(in_turn(TOKEN, ok(True)))
    await report(transport, clock, **way)
    token, asked = transport.asked
    path = f"/v1.0/iot-03/3rdcloud/devices/{DEVICE}/property/report"
    assert token.is_token
    assert (asked.method, asked.url) == ("POST", f"https://cloud.test{path}")
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.content == (
        b'{"msg_id":"0123456789abcdef0123456789abcdef","data":{"unlock_fingerprint":'
        b'{"value":3,"time":1779999999999}}}'
    )
    assert asked.headers["access_token"] == "t1"
    assert asked.headers["sign"] == sign_v2(
        WHO,
        method="POST",
        url=path,
        t=asked.headers["t"],
        nonce=asked.headers["nonce"],
        body=asked.content,
        access_token=Secret("t1"),
    )


async def test_a_private_clouds_own_path_is_signed_too(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(TOKEN, ok(True)))
    await report(transport, clock, base_url="https://cloud.test/tuya/")
    asked = transport.asked[1]
    path = f"/tuya/v1.0/iot-03/3rdcloud/devices/{DEVICE}/property/report"
    assert asked.url == f"https://cloud.test{path}"
    assert asked.headers["sign"] == sign_v2(
        WHO,
        method="POST",
        url=path,
        t=asked.headers["t"],
        nonce=asked.headers["nonce"],
        body=asked.content,
        access_token=Secret("t1"),
    )


async def test_a_project_without_id_or_secret_is_told_what_is_missing(clock: StillClock) -> None:
    for incomplete in ({"client_id": "x"}, {"secret": Secret("x")}):
        transport = FakeTransport(in_turn())
        client = client_over(transport, clock)
        client._settings = CloudSettings(
            base_url="https://cloud.test", signer=Signer.NONE, **incomplete
        )
        with pytest.raises(NotSupported, match="client_id or secret is not configured") as caught:
            await client.report_property(
                DEVICE, message_id=ID, code="unlock_card", value=1, time_ms=T_MS
            )
        assert not caught.value.ambiguous
        assert transport.asked == []


@pytest.mark.parametrize("failure", [LOST, NOT_CONNECTED, no(500), no(1199), said({}, 503)])
async def test_a_report_is_sent_once_whatever_becomes_of_it(
    failure: Any, clock: StillClock
) -> None:
    transport = FakeTransport(in_turn(TOKEN, failure))
    with pytest.raises(CloudError):
        await report(transport, clock)
    assert len(transport.asked) == 2
    assert clock.slept == []


async def test_a_report_is_signed_again_with_a_new_token_and_a_corrected_time(
    clock: StillClock,
) -> None:
    ahead = no(1013, t=T_MS + 600_000)
    transport = FakeTransport(in_turn(TOKEN, no(1010), ANOTHER, ahead, ok(True)))
    await report(transport, clock)
    bodies = {one.content for one in transport.asked if not one.is_token}
    assert len(bodies) == 1
    last = transport.asked[-1]
    assert (last.headers["access_token"], last.headers["t"]) == ("t2", str(T_MS + 600_000))
    transport = FakeTransport(in_turn(TOKEN, no(1010), ANOTHER, no(1010)))
    with pytest.raises(CloudError):
        await report(transport, clock)
    assert len(transport.asked) == 4


@pytest.mark.parametrize("answer", [ok(True), ok(None), ok("true"), ok(1)], ids=repr)
async def test_the_clouds_yes_is_one_in_each_of_its_forms(answer: Any, clock: StillClock) -> None:
    await report(FakeTransport(in_turn(TOKEN, answer)), clock)


@pytest.mark.parametrize(
    "body", [{"success": True, "t": T_MS, "result": False}, {}, [], None, {"hello": 1}, "true?"]
)
async def test_what_is_no_word_of_the_cloud_is_not_taken_for_its_yes(
    body: object, clock: StillClock
) -> None:
    with pytest.raises(BadAnswer) as caught:
        await report(FakeTransport(in_turn(TOKEN, said(body))), clock)
    assert caught.value.ambiguous


@pytest.mark.parametrize("message_id", ["", "x" * 33])
async def test_a_message_id_that_the_cloud_would_not_take_is_not_sent(
    message_id: str, clock: StillClock
) -> None:
    transport = FakeTransport(in_turn())
    with pytest.raises(InvalidArgument, match=f"{len(message_id)} signs, expected 1 to 32"):
        await client_over(transport, clock).report_property(
            DEVICE, message_id=message_id, code="x", value=1, time_ms=T_MS
        )
    assert transport.asked == []


@pytest.mark.parametrize("device_id", ["", "..", "a/../../v1.0/token"])
async def test_a_device_id_cannot_lead_to_another_path(device_id: str, clock: StillClock) -> None:
    transport = FakeTransport(in_turn())
    with pytest.raises(InvalidArgument):
        await client_over(transport, clock).report_property(
            device_id, message_id=ID, code="x", value=1, time_ms=T_MS
        )
    assert transport.asked == []


async def test_a_quota_that_reports_exhaust_keeps_no_door_shut(clock: StillClock) -> None:
    transport = FakeTransport(in_turn(TOKEN, no(28841104), ok({}), no(28841004)))
    client = client_over(transport, clock)

    async def say() -> None:
        await client.report_property(DEVICE, message_id=ID, code="x", value=1, time_ms=T_MS)

    for _ in range(2):
        with pytest.raises(QuotaExhausted):
            await say()
    assert len(transport.asked) == 2  # the second was not sent
    with pytest.raises(QuotaExhausted):
        await client.list_users(DEVICE)
    await client.issued_config(DEVICE)
    # But what doors exhaust stops everything.
    with pytest.raises(QuotaExhausted):
        await client.issued_config(DEVICE)
    clock.pass_time(7199)
    with pytest.raises(QuotaExhausted):
        await say()
    assert len(transport.asked) == 4


# -- read back: the samples of the vendor's document


LIST_RECORDS: dict[str, Any] = {
    "unreadCount": 10,
    "total": 1,
    "records": [
        {
            "dps": [{"unlock_password": "97"}],
            "avatar": "https://example.test/user_icon_default.png",
            "user_name": "",
            "unlock_name": "",
            "gmt_create": 1579339465000,
            "record_id": "15793300059C669FD0B31E173A6D1E2F550010946",
            "user_id": "0",
            "status": 1,
            "record_type": "normal",
            "member_bindable_flag": 0,
            "channel_id": "12",
        }
    ],
}
OPENING_LOGS: dict[str, Any] = {
    "total": 1,
    "logs": [{"status": {"code": "unlock_finger", "value": "123456"}, "update_time": 1543297979}],
}
PASSWORD_97 = CloudRecord(
    code="unlock_password",
    value="97",
    time=1579339465.0,
    record_id="15793300059C669FD0B31E173A6D1E2F550010946",
)


async def read(clock: StillClock, *answers: Any, **settings: Any) -> ReadBack:
    client = client_over(FakeTransport(in_turn(*answers)), clock, **settings)
    return await client.list_records(DEVICE, since=1.0, until=2.0, codes=["unlock_password"])


async def test_the_documents_sample_of_the_records_is_read(clock: StillClock) -> None:
    assert await read(clock, ok(LIST_RECORDS)) == ReadBack(records=(PASSWORD_97,))


async def test_the_documents_sample_of_the_opening_logs_is_read(clock: StillClock) -> None:
    client = client_over(FakeTransport(in_turn(ok(OPENING_LOGS))), clock)
    assert await client.opening_logs(DEVICE, since=1.0, until=2.0) == ReadBack(
        records=(CloudRecord(code="unlock_fingerprint", value="123456", time=1543297979.0),)
    )


@pytest.mark.parametrize(
    "change",
    [
        {"dps": {"unlock_password": "97"}},
        {"dps": [{"code": "unlock_password", "value": "97"}]},
        {"dps": {"dpCode": "unlock_password", "value": "97"}},
        {"dps": None, "status": [{"code": "unlock_password", "value": "97"}]},
        {"gmt_create": "1579339465"},
        {"gmt_create": None, "update_time": 1579339465},
        {"surprise": [1, 2]},
    ],
    ids=str,
)
async def test_the_traps_of_the_document_change_no_record(
    change: dict[str, object], clock: StillClock
) -> None:
    (row,) = LIST_RECORDS["records"]
    for result in (
        LIST_RECORDS | {"records": [row | change]},
        LIST_RECORDS | {"records": row | change},
        [row | change],
    ):
        assert await read(clock, ok(result)) == ReadBack(records=(PASSWORD_97,))


async def test_who_it_was_is_told_where_the_cloud_knows(clock: StillClock) -> None:
    (row,) = LIST_RECORDS["records"]
    named = row | {"user_name": " Ja\x07mes", "unlock_name": "x" * 100}
    (record,) = (await read(clock, ok({"records": [named]}))).records
    assert (record.user_name, record.unlock_name) == ("Ja mes", "x" * 64)


@pytest.mark.parametrize(
    "change",
    [
        {"gmt_create": None},
        {"gmt_create": "yesterday"},
        {"dps": ["x"]},
        {"dps": [{"unlock_password": {"no": "value"}}]},
        {"dps": [{"unlock_password": None}]},
        {"record_id": {}},
    ],
    ids=str,
)
async def test_an_entry_that_nobody_understands_is_counted(
    change: dict[str, object], clock: StillClock
) -> None:
    (row,) = LIST_RECORDS["records"]
    other = row | {"record_id": "another"} | change
    assert await read(clock, ok({"records": [other, row]})) == ReadBack(
        records=(PASSWORD_97,), unread=1
    )


async def test_a_record_that_two_pages_have_is_one(clock: StillClock) -> None:
    (row,) = LIST_RECORDS["records"]
    first = {"records": [row], "has_more": True}
    second = {"records": [row | {"unlock_name": "moved"}], "has_more": False}
    assert len((await read(clock, ok(first), ok(second))).records) == 1


@pytest.mark.parametrize(
    ("envelope", "message"),
    [
        (said([]), "the reason was dropped"),
        (no(1106), "may not do this"),
    ],
)
async def test_a_failure_is_never_an_empty_list(
    envelope: Any, message: str, clock: StillClock
) -> None:
    with pytest.raises(CloudError, match=message):
        await read(clock, envelope)


async def test_an_empty_list_in_an_envelope_is_empty(clock: StillClock) -> None:
    empty: list[object] = [[], None, {"records": []}, {"total": 0}, {"has_more": False}]
    for result in empty:
        assert await read(clock, ok(result)) == ReadBack(records=())


@pytest.mark.parametrize("result", ["x", 7, {"surprise": 1}, {"records": ["x"]}])
async def test_what_is_no_page_is_a_bad_answer(result: object, clock: StillClock) -> None:
    with pytest.raises(BadAnswer):
        await read(clock, ok(result))


# -- page by page


def rows(start: int, number: int) -> list[dict[str, Any]]:
    return [
        {"dps": [{"unlock_card": n}], "gmt_create": T_MS + n, "record_id": str(n)}
        for n in range(start, start + number)
    ]


FULL = pages.PAGE_SIZE
PAGES_OF_120 = [(1, FULL), (FULL + 1, FULL), (2 * FULL + 1, 20)]


@pytest.mark.parametrize(
    "more",
    [
        lambda last: {"has_more": not last},
        lambda last: {"hasmore": "false" if last else "true", "total": 0, "total_pages": 0},
        lambda _last: {"total": 2 * FULL + 20},
        lambda _last: {},
    ],
    ids=["has_more", "hasmore", "total", "nothing"],
)
async def test_all_pages_are_read_however_their_end_is_told(more: Any, clock: StillClock) -> None:
    answers = [
        ok({"records": rows(*page), **more(page is PAGES_OF_120[-1])}) for page in PAGES_OF_120
    ]
    transport = FakeTransport(in_turn(*answers))
    found = await client_over(transport, clock).list_records(
        DEVICE, since=UNIX, until=UNIX + 0.5, codes=["unlock_card", "hijack"]
    )
    assert [one.value for one in found.records] == list(range(1, 2 * FULL + 21))
    assert not found.cut
    params = [json.loads(one.content)["params"] for one in transport.asked]
    assert [one.pop("page_no") for one in params] == [1, 2, 3]
    assert params[0] == {
        "device_id": DEVICE,
        "target_standard_dp_codes": "unlock_card,hijack",
        "start_time": T_MS,
        "end_time": T_MS + 500,
        "page_size": FULL,
    }


async def test_a_list_without_end_is_cut_and_says_so(clock: StillClock) -> None:
    answers = [ok({"records": rows(n, 1), "has_more": True}) for n in range(pages.MAX_PAGES)]
    found = await read(clock, *answers)
    assert found.cut
    assert len(found.records) == pages.MAX_PAGES


async def test_a_cloud_that_knows_no_pages_is_not_asked_for_ever(clock: StillClock) -> None:
    whole = ok({"records": rows(0, FULL)})
    found = await read(clock, whole, whole)
    assert (len(found.records), found.cut) == (FULL, False)


async def test_every_page_is_asked_for_the_same_codes(clock: StillClock) -> None:
    pages_of_two = [ok({"records": rows(n, 1), "has_more": n == 0}) for n in range(2)]
    transport = FakeTransport(in_turn(*pages_of_two))
    codes = (one for one in ["a", "b"])
    client = client_over(transport, clock)
    await client.list_records(DEVICE, since=UNIX, until=UNIX + 1, codes=codes)
    asked = [json.loads(one.content)["params"] for one in transport.asked]
    assert [one["target_standard_dp_codes"] for one in asked] == ["a,b", "a,b"]


async def test_reading_is_repeated_and_reporting_is_not(clock: StillClock) -> None:
    assert await read(clock, LOST, no(500), ok(LIST_RECORDS)) == ReadBack(records=(PASSWORD_97,))
    with pytest.raises(CloudFault):
        await report(FakeTransport(in_turn(TOKEN, no(500))), clock)


async def test_over_openapi_each_list_has_its_path(clock: StillClock) -> None:
    empty = ok({"records": []})
    transport = FakeTransport(in_turn(TOKEN, *[empty] * 4))
    client = client_over(transport, clock, transport=Transport.OPENAPI)
    await client.list_records(DEVICE, since=UNIX, until=UNIX + 0.5, codes=["a", "b"])
    await client.opening_logs(DEVICE, since=UNIX, until=UNIX + 0.5)
    await client.list_users(DEVICE, codes=["a"])
    await client.list_user_opmodes(DEVICE, "28 87", codes=["a", "b"])
    page = "page_no=1&page_size=50"
    assert [one.url.removeprefix("https://cloud.test") for one in transport.asked[1:]] == [
        (
            f"/v1.0/devices/{DEVICE}/door-lock/records?end_time=1780000000500&{page}"
            "&start_time=1780000000000&target_standard_dp_codes=a%2Cb"
        ),
        # The document of this path has seconds.
        (
            f"/v1.0/devices/{DEVICE}/door-lock/open-logs?end_time=1780000001&{page}"
            "&start_time=1780000000"
        ),
        f"/v1.0/smart-lock/devices/{DEVICE}/users?codes=a&{page}",
        f"/v1.0/smart-lock/devices/{DEVICE}/opmodes/28%2087?codes=a%2Cb&{page}",
    ]


# -- names: the samples of the vendor's document


LIST_USERS: list[dict[str, Any]] = [
    {
        "user_id": "125674",
        "uid": "ay15355889716302",
        "lock_user_id": 2,
        "user_contact": "",
        "nick_name": "test",
        "avatar_url": "",
        "user_type": 20,
        "back_home_notify_attr": 1,
        "unlock_detail": [
            {
                "dp_code": "unlock_password",
                "open": True,
                "count": 1,
                "unlock_list": [
                    {
                        "dp_code": "unlock_password",
                        "unlock_sn": 3,
                        "unlock_name": "Fingerprint 3",
                        "unlock_attr": 1,
                        "allocate_flag": 1,
                    }
                ],
            }
        ],
        "effective_flag": 1,
        "time_schedule_info": {"permanent": True},
    }
]
LIST_USER_OPMODES: dict[str, Any] = {
    "total": 1,
    "records": [
        {
            "dp_code": "unlock_password",
            "unlock_attr": 0,
            "unlock_name": "lin",
            "user_name": "James",
            "user_id": "2887",
            "unlock_sn": 3,
            "uid": "ay1562298621752U",
            "unlock_id": "12-3",
            "lock_user_id": 2,
            "user_type": 20,
            "photo_unlock": False,
        }
    ],
    "has_more": False,
    "total_pages": 0,
}
TEST = CredentialName(code=MEMBER, sn=2, user_id="125674", user_name="test")
FINGER = CredentialName(
    code="unlock_password",
    sn=3,
    user_id="125674",
    user_name="test",
    unlock_name="Fingerprint 3",
    duress=True,
)
JAMES = CredentialName(
    code="unlock_password", sn=3, user_id="2887", user_name="James", unlock_name="lin", dp=12
)


async def users(clock: StillClock, *answers: Any) -> tuple[CredentialName, ...]:
    return await client_over(FakeTransport(in_turn(*answers)), clock).list_users(DEVICE)


async def opmodes(clock: StillClock, *answers: Any) -> tuple[CredentialName, ...]:
    client = client_over(FakeTransport(in_turn(*answers)), clock)
    return await client.list_user_opmodes(DEVICE, "2887")


async def test_the_documents_sample_of_the_users_is_read(clock: StillClock) -> None:
    assert await users(clock, ok(LIST_USERS)) == (TEST, FINGER)
    paged = {"has_more": False, "total": 1, "total_pages": 1, "records": LIST_USERS}
    assert await users(clock, ok(paged)) == (TEST, FINGER)


async def test_the_documents_sample_of_a_users_credentials_is_read(clock: StillClock) -> None:
    assert await opmodes(clock, ok(LIST_USER_OPMODES)) == (JAMES,)


@pytest.mark.parametrize(
    "change",
    [
        {"unlock_sn": "3"},
        {"unlock_sn": None},  # then the id has it
        {"unlock_attr": "0"},
        {"unlock_attr": None},
        {"user_id": 2887},
        {"user_type": "20", "photo_unlock": 0},
    ],
    ids=str,
)
async def test_the_traps_of_the_document_change_no_name(
    change: dict[str, object], clock: StillClock
) -> None:
    (row,) = LIST_USER_OPMODES["records"]
    assert await opmodes(clock, ok({"records": [row | change]})) == (JAMES,)


@pytest.mark.parametrize(
    "change",
    [
        {"unlock_detail": LIST_USERS[0]["unlock_detail"][0]},
        {"lock_user_id": "2"},
        {"user_id": 125674},
        {
            "unlock_detail": [
                {
                    "dpCode": "unlock_password",
                    "unlockList": {"unlock_sn": 3, "unlock_name": "Fingerprint 3", "unlockAttr": 1},
                }
            ]
        },
    ],
    ids=["object", "text", "number", "camels and an object"],
)
async def test_the_traps_of_the_document_change_no_user(
    change: dict[str, object], clock: StillClock
) -> None:
    assert await users(clock, ok([LIST_USERS[0] | change])) == (TEST, FINGER)


async def test_a_credential_that_is_not_told_which_is_left_out(clock: StillClock) -> None:
    (row,) = LIST_USER_OPMODES["records"]
    odd = [row | {"unlock_sn": None, "unlock_id": "x"}, row | {"dp_code": ""}, {}]
    assert await opmodes(clock, ok({"records": [*odd, row]})) == (JAMES,)
    odd_users = [{"nick_name": "nobody"}, {"user_id": "1", "unlock_detail": [1, {"x": [1]}]}]
    assert await users(clock, ok([*odd_users, *LIST_USERS])) == (
        CredentialName(code=MEMBER, sn=0, user_id="1"),
        TEST,
        FINGER,
    )


async def test_where_users_come_without_credentials_each_is_asked_about(
    clock: StillClock,
) -> None:
    bare = [LIST_USERS[0] | {"unlock_detail": None}]
    transport = FakeTransport(in_turn(ok(bare), ok(LIST_USER_OPMODES)))
    assert await client_over(transport, clock).credential_names(DEVICE) == (TEST, JAMES)
    asked = json.loads(transport.asked[1].content)["params"]
    assert asked == {
        "device_id": DEVICE,
        "user_id": "125674",
        "target_unlock_standard_dp_codes": "unlock_fingerprint,unlock_password,unlock_card,"
        "unlock_finger_vein,unlock_face,unlock_hand,unlock_eye",
        "target_unlock_name": "",
        "page_no": 1,
        "page_size": FULL,
    }
    transport = FakeTransport(in_turn(ok(LIST_USERS)))
    assert await client_over(transport, clock).credential_names(DEVICE) == (TEST, FINGER)


async def test_a_user_list_that_failed_somewhere_in_between_is_no_empty_one(
    clock: StillClock,
) -> None:
    with pytest.raises(UnknownCloudError):
        await users(clock, said([]))


# -- anything at all


PAGE_KEYS = ["records", "logs", "has_more", "total"]
RECORD_KEYS = ["dps", "status", "code", "value", "gmt_create", "record_id"]
USER_KEYS = ["user_id", "nick_name", "lock_user_id", "unlock_detail", "unlock_list"]
CREDENTIAL_KEYS = ["dp_code", "dpCode", "unlock_sn", "unlock_id", "unlock_attr"]
KEYS = st.sampled_from([*PAGE_KEYS, *RECORD_KEYS, *USER_KEYS, *CREDENTIAL_KEYS])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


Ask = Callable[[CloudClient], Awaitable[object]]
READS: list[Ask] = [
    lambda client: client.list_records(DEVICE, since=1, until=2, codes=["x"]),
    lambda client: client.opening_logs(DEVICE, since=1, until=2),
    lambda client: client.list_users(DEVICE),
    lambda client: client.list_user_opmodes(DEVICE, "1"),
]


@given(result=ANYTHING)
def test_whatever_the_cloud_says_is_read_or_is_a_cloud_error(result: object) -> None:
    async def read_all() -> None:
        for ask in READS:
            # Whatever it says of another page: there is an end.
            transport = FakeTransport(in_turn(ok(result), ok([])))
            try:
                found = await ask(client_over(transport, StillClock()))
            except CloudError:
                continue
            assert isinstance(found, ReadBack | tuple)

    anyio.run(read_all)
