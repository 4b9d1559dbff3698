"""Records at the virtual cloud, over real sockets: taken, remembered, told again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
    NotSupported,
    PermissionDenied,
    QuotaExhausted,
    SignatureRejected,
    UnknownCloudError,
)
from bleagent.cloud.settings import CloudSettings, Signer, Transport
from bleagent.records.readback import MEMBER, CloudRecord, CredentialName
from bleagent.simulator.cloud_faults import QUOTA, Fault, FaultKind
from bleagent.simulator.cloud_records import (
    REPORT_PROPERTY,
    CloudCredential,
    CloudUser,
    ReportedRecord,
)
from bleagent.simulator.virtual_cloud import ActionAuth, Envelope
from protocol import Secret
from tests.agent.cloud_records_world import Pair, running
from tests.agent.cloud_world import DEVICE, T_MS, UNIX

pytestmark = pytest.mark.anyio

JAMES = CloudUser(
    user_id="2887",
    nick_name="James",
    lock_user_id=2,
    credentials=(
        CloudCredential(dp_code="unlock_fingerprint", unlock_sn=3, unlock_name="thumb", dp_id=12),
        CloudCredential(dp_code="unlock_password", unlock_sn=1, unlock_name="pin", attr=1),
    ),
)
WAYS: list[dict[str, Any]] = [
    {},
    {"action_auth": ActionAuth.OPENAPI, "settings": {"signer": Signer.OPENAPI}},
    {"action_auth": ActionAuth.NONE, "settings": {"signer": Signer.NONE}},
    {"settings": {"transport": Transport.OPENAPI}},
    {"envelope": Envelope.CLOUD_FUNCTION},
    {"envelope": Envelope.BARE},
    {"envelope": Envelope.APP},
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def say(
    pair: Pair,
    number: int = 1,
    *,
    code: str = "unlock_fingerprint",
    value: int | bool | str = 3,
    message_id: str | None = None,
) -> None:
    await pair.client.report_property(
        DEVICE,
        message_id=f"{number:032x}" if message_id is None else message_id,
        code=code,
        value=value,
        time_ms=T_MS + number,
    )


def kept(number: int, value: int | bool | str = 3) -> ReportedRecord:
    return ReportedRecord(
        device_id=DEVICE,
        code="unlock_fingerprint",
        value=value,
        time_ms=T_MS + number,
        message_id=f"{number:032x}",
    )


# -- taken


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_reports_are_kept_in_the_order_of_their_arrival(way: dict[str, Any]) -> None:
    async with running(**way) as pair:
        for number in (2, 1, 3):
            await say(pair, number)
        assert pair.cloud.records.stored == [kept(2), kept(1), kept(3)]


@pytest.mark.parametrize("value", [0, 7, True, False, "pry", "Zürich", "AAEC/w=="], ids=repr)
async def test_a_value_arrives_as_it_was_reported(value: int | bool | str) -> None:
    async with running() as pair:
        await say(pair, 1, value=value)
        (found,) = pair.cloud.records.stored
        assert (found.value, type(found.value)) == (value, type(value))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(FaultKind.CUT_AFTER), CloudUnreachable),
        (Fault(FaultKind.CUT_BODY), CloudUnreachable),
        (Fault(FaultKind.NOT_JSON), BadAnswer),
    ],
    ids=str,
)
async def test_an_answer_lost_after_storing_is_stored_once_when_it_is_said_again(
    fault: Fault, kind: type[CloudError]
) -> None:
    async with running() as pair:
        await say(pair, 1)
        pair.cloud.faults.next_calls(REPORT_PROPERTY, fault, fault)
        for _ in range(2):
            with pytest.raises(kind) as caught:
                await say(pair, 2)
            assert caught.value.ambiguous
        await say(pair, 2)
        await say(pair, 3)
        assert pair.cloud.records.stored == [kept(1), kept(2), kept(3)]
        assert pair.cloud.records.repeated == {f"{2:032x}": 2}
        assert pair.cloud.calls[REPORT_PROPERTY] == 5


async def test_a_cloud_that_does_not_dedupe_stores_it_again() -> None:
    async with running() as pair:
        pair.cloud.records.dedupes = False
        pair.cloud.faults.next_calls(REPORT_PROPERTY, Fault(FaultKind.CUT_AFTER))
        with pytest.raises(CloudUnreachable):
            await say(pair)
        await say(pair)
        assert pair.cloud.records.stored == [kept(1), kept(1)]
        assert pair.cloud.records.repeated == {f"{1:032x}": 1}


async def for_ever(_seconds: float) -> None:
    await anyio.sleep_forever()


@pytest.mark.parametrize(
    ("fault", "kind", "ambiguous"),
    [
        (Fault(FaultKind.CUT_BEFORE), CloudUnreachable, True),
        (Fault(FaultKind.HTTP_ERROR, status=502), CloudDown, True),
        (Fault(FaultKind.SLOW), CloudTimeout, True),
        (Fault(FaultKind.CODE, code=1109), InvalidArgument, False),
        (QUOTA, QuotaExhausted, False),
    ],
    ids=str,
)
async def test_what_went_wrong_before_storing_stored_nothing(
    fault: Fault, kind: type[CloudError], ambiguous: bool
) -> None:
    async with running(settings={"call_timeout": 0.2}, sleep=for_ever) as pair:
        pair.cloud.faults.always(REPORT_PROPERTY, fault)
        with pytest.raises(kind) as caught:
            await say(pair)
        assert caught.value.ambiguous is ambiguous
        assert pair.cloud.records.stored == []
        assert pair.cloud.calls[REPORT_PROPERTY] == 1


async def test_a_token_that_died_is_replaced_within_the_same_report() -> None:
    async with running() as pair:
        await say(pair, 1)
        pair.cloud.tokens.kill()
        await say(pair, 2)
        pair.cloud.faults.next_calls(REPORT_PROPERTY, Fault(FaultKind.CLOCK_SKEW))
        await say(pair, 3)
        assert pair.cloud.records.stored == [kept(1), kept(2), kept(3)]
        assert pair.cloud.calls["token"] == 2


@pytest.mark.parametrize(
    ("code", "kind"), [(1106, PermissionDenied), (2009, NotSupported), (2010, NotSupported)]
)
async def test_a_device_can_be_refused(code: int, kind: type[CloudError]) -> None:
    async with running() as pair:
        pair.cloud.records.refused_devices[DEVICE] = code
        with pytest.raises(kind) as caught:
            await say(pair)
        assert caught.value.cloud_code == code
        with pytest.raises(PermissionDenied):
            await pair.client.report_property(
                "somebody elses", message_id="1", code="x", value=1, time_ms=T_MS
            )
        del pair.cloud.records.refused_devices[DEVICE]
        await say(pair)
        assert pair.cloud.records.stored == [kept(1)]


async def test_a_value_can_be_refused() -> None:
    async with running() as pair:
        pair.cloud.records.refuses = lambda record: record.value == 4
        with pytest.raises(InvalidArgument) as caught:
            await say(pair, 1, value=4)
        assert caught.value.cloud_code == 1109
        await say(pair, 2)
        assert pair.cloud.records.stored == [kept(2)]


async def test_a_report_of_somebody_else_is_sent_away() -> None:
    async with running() as pair, HttpxTransport() as http:
        settings = CloudSettings(
            base_url=pair.cloud.base_url,
            client_id=pair.cloud.client_id,
            secret=Secret("another secret"),
        )
        client = CloudClient(settings, http, pair.clock, sleep=pair.clock.sleep)
        with pytest.raises(SignatureRejected):
            await say(Pair(pair.cloud, client, pair.clock))
        path = f"{pair.cloud.base_url}/v1.0/iot-03/3rdcloud/devices/{DEVICE}/property/report"
        body = {"msg_id": "1", "data": {"x": {"value": 1, "time": T_MS}}}
        async with httpx.AsyncClient(trust_env=False) as anyone:
            assert (await anyone.post(path, json=body)).json()["code"] == 1005
            text = await anyone.post(path, content=b"{}", headers={"content-type": "text/plain"})
            assert text.json()["code"] == 1006
            assert (await anyone.get(path)).json()["code"] == 1108
            action = {"action": REPORT_PROPERTY, "params": {"device_id": DEVICE, **body}}
            answer = await anyone.post(f"{pair.cloud.base_url}/faas", json=action)
            assert answer.json()["code"] == 1108
        assert pair.cloud.records.stored == []


async def test_a_report_without_a_token_is_sent_away() -> None:
    """Signed with the right secret, but over no token at all."""
    async with running() as pair, HttpxTransport() as http:
        seen: list[dict[str, str]] = []

        class Forgetful:
            async def send(self, method: str, url: str, **more: Any) -> Any:
                seen.append(dict(more["headers"]))
                headers = {n: v for n, v in more["headers"].items() if n != "access_token"}
                return await http.send(method, url, **{**more, "headers": headers})

        client = CloudClient(pair.client._settings, Forgetful(), pair.clock, sleep=pair.clock.sleep)
        with pytest.raises(SignatureRejected):
            await say(Pair(pair.cloud, client, pair.clock))
        assert "access_token" in seen[-1]
        assert pair.cloud.records.stored == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"data": {"x": {"value": 1, "time": T_MS}}}, 1100),
        ({"msg_id": "1" * 33, "data": {"x": {"value": 1, "time": T_MS}}}, 1101),
        ({"msg_id": "1"}, 1100),
        ({"msg_id": "1", "data": {}}, 1100),
        ({"msg_id": "1", "data": {"x": 1}}, 1104),
        ({"msg_id": "1", "data": {"x": {"value": None, "time": T_MS}}}, 1104),
        ({"msg_id": "1", "data": {"x": {"value": 1}}}, 1109),
        ({"msg_id": "1", "data": {"x": {"value": 1, "time": T_MS // 1000}}}, 1109),
        ({"msg_id": "1", "data": {"x": {"value": 1, "time": float(T_MS)}}}, 1109),
    ],
    ids=str,
)
async def test_a_report_of_another_form_is_refused(body: dict[str, Any], code: int) -> None:
    async with running() as pair:
        with pytest.raises(Exception, match=str(code)):
            pair.cloud.actions.run(REPORT_PROPERTY, {"device_id": DEVICE, **body})
        assert pair.cloud.records.stored == []


async def test_the_log_shows_message_ids_and_no_values() -> None:
    async with running() as pair:
        await say(pair)
        last = pair.cloud.log[-1]
        assert last.action == REPORT_PROPERTY
        assert last.params == {"device_id": DEVICE, "msg_id": f"{1:032x}", "data": "***"}


# -- told again


Read = Callable[[Pair], Awaitable[Any]]


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_what_was_reported_and_planted_is_told_again(way: dict[str, Any]) -> None:
    async with running(**way) as pair:
        pair.cloud.records.users[DEVICE] = [JAMES]
        await say(pair, 1)
        await say(pair, 2000, code="alarm_lock", value="pry")
        await say(pair, 3000, code="open_inside", value=True)
        pair.cloud.records.planted.append(kept(4000, value=9))
        codes = ["unlock_fingerprint", "alarm_lock", "open_inside"]
        told = await pair.client.list_records(DEVICE, since=UNIX - 10, until=UNIX + 10, codes=codes)
        assert [(one.code, one.value, one.time) for one in told.records] == [
            ("unlock_fingerprint", "9", UNIX + 4.0),
            ("open_inside", "true", UNIX + 3.0),
            ("alarm_lock", "pry", UNIX + 2.0),
            ("unlock_fingerprint", "3", UNIX + 0.001),
        ]
        assert (told.records[-1].user_name, told.records[-1].unlock_name) == ("James", "thumb")
        assert (told.cut, told.unread) == (False, 0)
        assert len({one.record_id for one in told.records}) == 4
        # The opening logs tell openings alone, and whole seconds.
        logs = await pair.client.opening_logs(DEVICE, since=UNIX - 10, until=UNIX + 10)
        assert logs.records == (
            CloudRecord(code="unlock_fingerprint", value="9", time=UNIX + 4.0),
            CloudRecord(
                code="unlock_fingerprint",
                value="3",
                time=UNIX,
                user_name="James",
                unlock_name="thumb",
            ),
        )


@pytest.mark.parametrize("way", [WAYS[0], WAYS[3]], ids=["action", "openapi"])
async def test_only_the_span_and_the_codes_that_were_asked_for_are_told(
    way: dict[str, Any],
) -> None:
    async with running(**way) as pair:
        for number in (0, 1000, 2000, 3000):
            await say(pair, number)
        await say(pair, 1500, code="unlock_card")
        told = await pair.client.list_records(
            DEVICE, since=UNIX + 1, until=UNIX + 2, codes=["unlock_fingerprint"]
        )
        assert [one.time - UNIX for one in told.records] == [2, 1]
        logs = await pair.client.opening_logs(DEVICE, since=UNIX + 1, until=UNIX + 2)
        assert [one.time - UNIX for one in logs.records] == [2, 1, 1]


@pytest.mark.parametrize("way", [WAYS[0], WAYS[3]], ids=["action", "openapi"])
async def test_more_than_a_page_is_told_whole(way: dict[str, Any]) -> None:
    async with running(**way) as pair:
        pair.cloud.records.planted += [kept(number, value=number) for number in range(120)]
        told = await pair.client.list_records(
            DEVICE, since=UNIX, until=UNIX + 1, codes=["unlock_fingerprint"]
        )
        assert [one.value for one in told.records] == [str(n) for n in reversed(range(120))]
        logs = await pair.client.opening_logs(DEVICE, since=UNIX, until=UNIX + 1)
        assert len(logs.records) == 120
        assert pair.cloud.done["doorLock.listRecords"] == 3


async def test_alarms_are_told_by_their_own_call() -> None:
    async with running() as pair:
        await say(pair, 1)
        await say(pair, 2000, code="alarm_lock", value="pry")
        page = {"device_id": DEVICE, "page_no": "1", "page_size": "20"}
        assert pair.cloud.actions.run("doorLock.alarmLogs", page) == {
            "total": 1,
            "records": [
                {"status": {"code": "alarm_lock", "value": "pry"}, "update_time": int(UNIX) + 2}
            ],
        }


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("detail", [True, False])
async def test_members_are_told_with_what_they_open_with(way: dict[str, Any], detail: bool) -> None:
    async with running(**way) as pair:
        pair.cloud.records.users[DEVICE] = [JAMES]
        pair.cloud.records.tells_unlock_detail = detail
        told = await pair.client.credential_names(DEVICE)
        member, thumb, pin = sorted(told, key=lambda one: one.code)
        assert member == CredentialName(code=MEMBER, sn=2, user_id="2887", user_name="James")
        assert (thumb.code, thumb.sn, thumb.user_name, thumb.unlock_name, thumb.duress) == (
            "unlock_fingerprint",
            3,
            "James",
            "thumb",
            False,
        )
        assert (pin.code, pin.duress) == ("unlock_password", True)
        assert thumb.dp == (None if detail else 12)


@pytest.mark.parametrize(
    "ask",
    [
        lambda pair: pair.client.list_users("somebody elses"),
        lambda pair: pair.client.list_user_opmodes("somebody elses", "1"),
        lambda pair: pair.client.opening_logs("somebody elses", since=0, until=1),
        lambda pair: pair.client.list_records("somebody elses", since=0, until=1, codes=["x"]),
    ],
)
@pytest.mark.parametrize(
    ("envelope", "kind"),
    [
        (Envelope.OPENAPI, PermissionDenied),
        (Envelope.CLOUD_FUNCTION, PermissionDenied),
        (Envelope.APP, PermissionDenied),
        (Envelope.BARE, UnknownCloudError),
    ],
)
async def test_a_no_is_one_in_every_envelope(
    ask: Read, envelope: Envelope, kind: type[CloudError]
) -> None:
    async with running(envelope=envelope) as pair:
        with pytest.raises(kind):
            await ask(pair)
