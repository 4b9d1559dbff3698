"""Records carried by the third-cloud report: order, receipts, and what each failure means."""

from __future__ import annotations

from typing import Any

import pytest

from bleagent.adapters.sinks.in_time import IN_TIME, TOO_LATE, InTime
from bleagent.adapters.sinks.openapi import BATCH, BY_CODE, OpenApiSink, receipt_of
from bleagent.cloud import errors
from bleagent.cloud.errors import CODES, CloudError, CloudTimeout, error_of
from bleagent.cloud.settings import Signer
from bleagent.records.ports import RecordSink
from bleagent.records.record import DONE, ReceiptKind
from bleagent.simulator.cloud_faults import QUOTA, RATE_LIMIT, SYSTEM_ERROR, Fault, FaultKind
from bleagent.simulator.cloud_records import REPORT_PROPERTY, ReportedRecord
from protocol import DpType, Secret
from protocol.records import Alarm, RecordKind
from tests.agent.cloud_records_world import LOCK, Pair, running, stored
from tests.agent.cloud_world import DEVICE, T_MS, UNIX, StillClock

pytestmark = pytest.mark.anyio

LATER, POISON, NO_ROUTE = ReceiptKind.LATER, ReceiptKind.POISON, ReceiptKind.NO_ROUTE


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def sink_of(pair: Pair, **more: Any) -> OpenApiSink:
    return OpenApiSink("tuya", pair.client, pair.clock, **more)


def the_port_is_kept(sink: OpenApiSink) -> RecordSink:
    return sink


# -- what is carried


async def test_records_arrive_one_message_each_and_in_their_order() -> None:
    records = [stored(number, at=UNIX + number / 8) for number in (1, 2, 3)]
    async with running() as pair:
        sink = sink_of(pair)
        assert (sink.name, sink.batch) == ("tuya", BATCH)
        assert await sink.deliver(records) == [DONE] * 3
        assert pair.cloud.records.stored == [
            ReportedRecord(
                device_id=DEVICE,
                code="unlock_fingerprint",
                value=3,
                time_ms=T_MS + 125 * one.seq,
                message_id=one.id,
            )
            for one in records
        ]
        assert await sink.deliver([]) == []


@pytest.mark.parametrize(
    ("record", "code", "value"),
    [
        (stored(1, RecordKind.ALARM, Alarm.PRIED, dp_type=DpType.ENUM), "alarm_lock", "pry"),
        (stored(1, RecordKind.ALARM, 99, dp_type=DpType.ENUM), "alarm_lock", "99"),
        (stored(1, RecordKind.FROM_INSIDE, 1, dp_type=DpType.BOOL), "open_inside", True),
        (stored(1, RecordKind.BLUETOOTH, 2), "unlock_ble", 2),
        (
            stored(1, RecordKind.OFFLINE_PASSWORD, None, data=b"\1\2", dp_type=DpType.RAW),
            "unlock_offline_pd",
            "AQI=",
        ),
        (stored(1, RecordKind.UNKNOWN, 7, dp=99), "dp_99", 7),
        (stored(1, RecordKind.CARD, 7, dp=15), "unlock_ic_card", 7),
    ],
)
async def test_a_record_has_the_clouds_code_and_value(
    record: Any, code: str, value: int | bool | str
) -> None:
    async with running() as pair:
        sink = sink_of(pair, codes={LOCK: {15: "unlock_ic_card"}, "another": {12: "wrong"}})
        assert await sink.deliver([record]) == [DONE]
        (found,) = pair.cloud.records.stored
        assert (found.code, found.value, type(found.value)) == (code, value, type(value))


# -- what fails


@pytest.mark.parametrize(
    "fault",
    [Fault(FaultKind.CUT_BEFORE), Fault(FaultKind.HTTP_ERROR), SYSTEM_ERROR, RATE_LIMIT, QUOTA],
    ids=str,
)
async def test_behind_one_that_has_to_wait_the_rest_waits(fault: Fault) -> None:
    records = [stored(number, at=UNIX + number) for number in (1, 2, 3, 4)]
    async with running() as pair:
        pair.cloud.faults.next_calls(REPORT_PROPERTY, None, fault)
        first, second, *rest = await sink_of(pair).deliver(records)
        assert first == DONE
        assert second.kind is LATER
        assert [(one.kind, one.code, one.after) for one in rest] == [(LATER, "behind", 0)] * 2
        assert [one.message_id for one in pair.cloud.records.stored] == [records[0].id]
        assert pair.cloud.calls[REPORT_PROPERTY] == 2


async def test_one_that_is_poison_is_in_nobodys_way() -> None:
    records = [stored(number, value=number, at=UNIX + number) for number in (1, 2, 3)]
    async with running() as pair:
        pair.cloud.records.refuses = lambda record: record.value == 2
        receipts = await sink_of(pair).deliver(records)
        assert [one.kind for one in receipts] == [ReceiptKind.DONE, POISON, ReceiptKind.DONE]
        assert receipts[1].code == "1109"
        assert "tid virtual" in receipts[1].detail
        assert [one.value for one in pair.cloud.records.stored] == [1, 3]


@pytest.mark.parametrize("code", [1106, 2009])
async def test_a_lock_that_is_refused_is_refused_for_all_and_asked_about_once(code: int) -> None:
    async with running() as pair:
        pair.cloud.records.refused_devices[DEVICE] = code
        receipts = await sink_of(pair).deliver([stored(1), stored(2), stored(3)])
        assert [(one.kind, one.code) for one in receipts] == [(NO_ROUTE, str(code))] * 3
        assert pair.cloud.calls[REPORT_PROPERTY] == 1


async def test_a_lock_that_was_paired_anew_is_not_held_up_by_what_it_was_before() -> None:
    async with running() as pair:
        before, after = stored(1, device_id="before"), stored(3)
        receipts = await sink_of(pair).deliver([before, stored(2, device_id="before"), after])
        assert [one.kind for one in receipts] == [NO_ROUTE, NO_ROUTE, ReceiptKind.DONE]
        assert [one.message_id for one in pair.cloud.records.stored] == [after.id]
        assert pair.cloud.calls[REPORT_PROPERTY] == 2


@pytest.mark.parametrize(
    "fault", [Fault(FaultKind.CUT_AFTER), Fault(FaultKind.CUT_BODY), Fault(FaultKind.NOT_JSON)]
)
async def test_an_answer_that_was_lost_is_later_and_then_there_once_and_in_order(
    fault: Fault,
) -> None:
    records = [stored(number, at=UNIX + number) for number in (1, 2, 3)]
    async with running() as pair:
        sink = sink_of(pair)
        pair.cloud.faults.next_calls(REPORT_PROPERTY, None, fault)
        receipts = await sink.deliver(records)
        assert [one.kind for one in receipts] == [ReceiptKind.DONE, LATER, LATER]
        assert await sink.deliver(records[1:]) == [DONE, DONE]
        arrived = [one.message_id for one in pair.cloud.records.stored]
        assert arrived == [one.id for one in records]
        assert pair.cloud.records.repeated == {records[1].id: 1}


async def test_a_project_that_cannot_sign_keeps_its_records() -> None:
    settings = {"signer": Signer.NONE}
    async with running(settings=settings) as pair:
        pair.client._settings = type(pair.client._settings)(
            base_url=pair.cloud.base_url, signer=Signer.NONE
        )
        first, second = await sink_of(pair).deliver([stored(1), stored(2)])
        assert (first.kind, first.code, first.after) == (LATER, "cloud-not-supported", 3600)
        assert "client_id" in first.detail
        assert second.code == "behind"
        assert pair.cloud.calls == {}


async def test_a_wrong_secret_is_no_fault_of_the_record() -> None:
    async with running() as pair:
        settings = pair.client._settings
        pair.client._settings = type(settings)(
            base_url=settings.base_url, client_id=settings.client_id, secret=Secret("canary99")
        )
        (receipt,) = await sink_of(pair).deliver([stored(1)])
        assert (receipt.kind, receipt.code, receipt.after) == (LATER, "1004", 3600)
        assert "canary99" not in repr(receipt)


# -- a bound


class Slow:
    """Each report takes its time; ``strict``: within the deadline, as the client does."""

    def __init__(self, clock: StillClock, *, strict: bool) -> None:
        self.clock = clock
        self.strict = strict
        self.said: list[str] = []

    async def report_property(
        self,
        device_id: str,
        *,
        message_id: str,
        code: str,
        value: int | bool | str,
        time_ms: int,
        deadline: float | None = None,
    ) -> None:
        assert (device_id, code, value, time_ms) == (DEVICE, "unlock_fingerprint", 3, T_MS)
        assert deadline is not None
        if self.strict and self.clock.now() + 4 > deadline:
            self.clock.pass_time(deadline - self.clock.now())
            raise CloudTimeout("No answer", ambiguous=True)
        self.clock.pass_time(4)
        self.said.append(message_id)


@pytest.mark.parametrize(
    ("strict", "codes", "seconds"),
    [
        (True, ["", "", "cloud-timeout", "behind"], 10),
        (False, ["", "", "", "out-of-time"], 12),
    ],
)
async def test_a_slow_cloud_takes_no_longer_than_a_batch_may(
    strict: bool, codes: list[str], seconds: float
) -> None:
    clock = StillClock()
    slow = Slow(clock, strict=strict)
    records = [stored(n) for n in (1, 2, 3, 4)]
    receipts = await OpenApiSink("tuya", slow, clock, within=10.0).deliver(records)
    assert [one.code for one in receipts] == codes
    assert {one.kind for one in receipts if one.code} == {LATER}
    assert clock.seconds == 1000 + seconds
    assert slow.said == [one.id for one in records[: codes.count("")]]


# -- the table


@pytest.mark.parametrize(
    ("code", "kind", "after"),
    [
        *((code, POISON, 0) for code in (1100, 1101, 1102, 1104, 1109, 2003, 2008)),
        *((code, NO_ROUTE, 0) for code in (1106, 2004, 2009, 2010, 2015)),
        *((code, LATER, 3600) for code in (1001, 1003, 1004, 1005, 1006, 1007, 1105, 1108)),
        *((code, LATER, 3600) for code in (1008, 28841001, 28841002, 28841101, 28841106)),
        *((code, LATER, 7200) for code in (28841004, 28841104)),
        *((code, LATER, 60) for code in (1110, 1199, 40000309, 1010, 1400, 1013)),
        (1113, LATER, 600),
        *((code, LATER, 0) for code in (500, 1000, 1103, 1111, 1112, 2001, 2328, 424242, None)),
        ("USER_SESSION", LATER, 0),
    ],
)
def test_each_code_has_its_receipt(code: int | str | None, kind: ReceiptKind, after: float) -> None:
    receipt = receipt_of(error_of(code, msg="words", tid="t1"))
    assert (receipt.kind, receipt.after) == (kind, after)
    assert receipt.code == (str(code) if code is not None else "cloud-unknown")
    assert "t1" in receipt.detail


@pytest.mark.parametrize(
    "error",
    [
        errors.CloudUnreachable("x", ambiguous=True),
        errors.CloudTimeout("x"),
        errors.CloudDown("x", cloud_code=503),
        errors.BadAnswer("x", ambiguous=True),
        errors.CloudFault("x"),
    ],
    ids=str,
)
def test_what_nobody_knows_the_end_of_is_later(error: CloudError) -> None:
    receipt = receipt_of(error)
    assert (receipt.kind, receipt.after) == (LATER, 0)
    assert receipt.code


def test_only_what_is_about_this_very_value_is_poison() -> None:
    poison = {code for code in CODES if receipt_of(error_of(code)).kind is POISON}
    assert poison == {1100, 1101, 1102, 1104, 1109, 2003, 2008}
    assert set(BY_CODE) <= set(CODES)


# -- what is told in time or not at all


async def test_an_added_password_is_told_in_time_or_not_at_all() -> None:
    added = RecordKind.ADD_TEMPORARY_PASSWORD
    late = stored(1, dp=51, kind=added, at=UNIX - IN_TIME - 1)
    others = [
        stored(2, dp=51, kind=added, at=UNIX - IN_TIME),
        stored(3, dp=52, kind=RecordKind.DELETE_TEMPORARY_PASSWORD, at=UNIX - IN_TIME - 1),
        stored(4, at=UNIX - IN_TIME - 1),
    ]
    async with running() as pair:
        sink: RecordSink = InTime(sink_of(pair), pair.clock)
        assert (sink.name, sink.batch) == ("tuya", BATCH)
        assert await sink.deliver([late]) == [TOO_LATE]
        assert pair.cloud.calls[REPORT_PROPERTY] == 0
        assert await sink.deliver([late, *others]) == [TOO_LATE, DONE, DONE, DONE]
        assert [one.code for one in pair.cloud.records.stored] == [
            "temporary_password_creat", "temporary_password_delete", "unlock_fingerprint"
        ]  # fmt: skip
