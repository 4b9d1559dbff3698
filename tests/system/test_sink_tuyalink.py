"""Records over a real MQTT broker: acknowledged by the cloud, once, and in order."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from bleagent.adapters.sinks import tuyalink
from bleagent.adapters.sinks.tuyalink import TuyaLinkSettings, TuyaLinkSink, login, message_id_of
from bleagent.records.outbox import Carrier
from bleagent.records.record import DONE, ReceiptKind, RecordQuery
from bleagent.simulator.record_fakes import MemoryRecords
from protocol import Secret
from protocol.records import RecordKind
from tests.agent.record_samples import sample
from tests.agent.test_outbox import report
from tests.system.broker import Broker, Judge, MqttCloud, has_mosquitto

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not has_mosquitto(), reason="needs a mosquitto (Debian: mosquitto)"),
]
NOW = 1_700_000_500
SECRET = Secret("TuyaLinkSecret01")
EXPECTED_PASSWORD = "189d18cab89c4281d9c5c658ad0ebb129a2a092ced201e497c73d44af432e04c"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class FixedClock:
    """It is always the same time, so that the login is always the same one."""

    trusted = True

    def now(self) -> float:
        """The loop's seconds."""
        return anyio.current_time()

    def unix(self) -> float:
        """The date."""
        return float(NOW)


def settings(port: int) -> TuyaLinkSettings:
    return TuyaLinkSettings(
        host="localhost", port=port, gateway_id="gateway01", secret=SECRET, tls=False
    )


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    who = login(settings(0), NOW)
    one = Broker(tmp_path, {who.username: who.password.reveal().decode()})
    with one.up():
        yield one


def sink(broker: Broker, **changes: Any) -> TuyaLinkSink:
    known = replace(settings(broker.port), **changes)
    return TuyaLinkSink("tuyalink", known, {"front": {19: "unlock_app"}}, FixedClock())


def refuse(*values: object, code: int) -> Judge:
    """Refuses messages that hold one of these values; the others are taken."""

    def judge(report: dict[str, Any]) -> int:
        (device,) = report["data"]["subDevices"]
        held = [next(iter(one.values()))["value"] for one in device["properties"]]
        refused = [one for one in held if one in values]
        if refused and len(held) > 1:
            return 2121
        return code if refused else 0

    return judge


def test_the_login_is_signed_over_gateway_and_time() -> None:
    who = login(settings(0), NOW)
    assert who.client_id == "tuyalink_gateway01"
    assert who.username == (
        "gateway01|signMethod=hmacSha256,timestamp=1700000500,secureMode=1,accessType=1"
    )
    # Computed with openssl dgst -sha256 -hmac over the documented text.
    assert who.password.reveal().decode() == EXPECTED_PASSWORD
    assert EXPECTED_PASSWORD not in repr(who)


async def test_a_batch_is_one_message_ascending_under_an_id_of_its_own(broker: Broker) -> None:
    cloud = MqttCloud(broker)
    async with cloud.up():
        records = [sample(1, at=1.7e9), sample(2, at=1.7e9 + 1, value=4)]
        assert await sink(broker).deliver(records) == [DONE, DONE]
    (message,) = cloud.seen
    assert message["msgId"] == message_id_of(records)
    assert len(message["msgId"]) == 32
    assert message["data"] == {
        "subDevices": [
            {
                "deviceId": "device-front",
                "properties": [
                    {"unlock_fingerprint": {"value": 3, "time": 1_700_000_000_000}},
                    {"unlock_fingerprint": {"value": 4, "time": 1_700_000_001_000}},
                ],
            }
        ]
    }


async def test_a_single_record_has_its_own_id_and_the_products_code(broker: Broker) -> None:
    cloud = MqttCloud(broker)
    async with cloud.up():
        await sink(broker).deliver([sample(7, kind=RecordKind.BLUETOOTH, dp=19)])
    assert cloud.seen[0]["msgId"] == sample(7).id
    (device,) = cloud.seen[0]["data"]["subDevices"]
    assert list(device["properties"][0]) == ["unlock_app"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1003, ReceiptKind.POISON), (1004, ReceiptKind.NO_ROUTE), (2002, ReceiptKind.POISON),
        (2006, ReceiptKind.POISON), (2122, ReceiptKind.POISON), (9999, ReceiptKind.LATER),
    ],
)  # fmt: skip
async def test_what_a_code_means_for_one_record(
    broker: Broker, code: int, kind: ReceiptKind
) -> None:
    async with MqttCloud(broker, lambda _: code).up():
        (receipt,) = await sink(broker).deliver([sample()])
    assert (receipt.kind, receipt.code) == (kind, str(code))


async def test_what_failed_in_part_is_sent_one_by_one(broker: Broker) -> None:
    cloud = MqttCloud(broker, refuse(4, code=2006))
    async with cloud.up():
        records = [sample(1), sample(2, value=4), sample(3, value=5)]
        receipts = await sink(broker).deliver(records)
    assert [one.kind for one in receipts] == [
        ReceiptKind.DONE, ReceiptKind.POISON, ReceiptKind.DONE,
    ]  # fmt: skip
    assert cloud.values == [3, 5]
    assert len(cloud.seen) == 4


async def test_a_lock_that_is_no_sub_device_is_not_asked_for_one_by_one(broker: Broker) -> None:
    cloud = MqttCloud(broker, lambda _: 1004)
    async with cloud.up():
        receipts = await sink(broker).deliver([sample(1), sample(2)])
    assert {one.kind for one in receipts} == {ReceiptKind.NO_ROUTE}
    assert len(cloud.seen) == 1


async def test_an_answer_that_does_not_come_is_tried_again_under_the_same_id(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuyalink, "ANSWER_LIMIT", 0.3)
    answers: list[int | None] = [None, 0]
    cloud = MqttCloud(broker, lambda _: answers.pop(0))
    async with cloud.up():
        to = sink(broker)
        (first,) = await to.deliver([sample()])
        assert (first.kind, first.code) == (ReceiptKind.LATER, "timeout")
        assert await to.deliver([sample()]) == [DONE]
    assert cloud.seen[0]["msgId"] == cloud.seen[1]["msgId"]
    assert cloud.values == [3]


async def test_an_answer_to_something_else_is_passed_over(broker: Broker) -> None:
    cloud = MqttCloud(broker)

    async def chatter() -> None:
        import aiomqtt  # noqa: PLC0415

        async with aiomqtt.Client(
            "127.0.0.1", broker.port, username="cloud", password="cloud-password"
        ) as client:
            for payload in ("", "[]", "no json", '{"msgId": "other", "code": 2006}'):
                topic = "tylink/gateway01/thing/data/history_report_response"
                await client.publish(topic, payload, retain=payload.startswith("{"))

    await chatter()  # the last one is retained: it comes as soon as we subscribe
    async with cloud.up():
        assert await sink(broker).deliver([sample()]) == [DONE]


async def test_a_wrong_secret_is_told_and_not_tried_at_once_again(broker: Broker) -> None:
    (receipt,) = await sink(broker, secret=Secret("another one 0001")).deliver([sample()])
    assert (receipt.kind, receipt.code) == (ReceiptKind.LATER, "login-refused")
    assert receipt.after >= 60
    assert "gateway01" not in receipt.detail


async def test_a_broker_that_is_not_there_is_tried_later(broker: Broker) -> None:
    (receipt,) = await sink(broker, port=1).deliver([sample()])
    assert receipt.kind is ReceiptKind.LATER


@pytest.fixture
def tls_broker(tmp_path: Path) -> Iterator[Broker]:
    who = login(settings(0), NOW)
    one = Broker(tmp_path, {who.username: who.password.reveal().decode()}, tls=True)
    with one.up():
        yield one


async def test_over_tls_the_certificate_has_to_hold(tls_broker: Broker) -> None:
    async with MqttCloud(tls_broker).up():
        known = sink(tls_broker, tls=True, ca_file=tls_broker.ca_file)
        assert await known.deliver([sample()]) == [DONE]


# paho leaves a socket whose handshake failed to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_certificate_of_nobody_we_know_is_refused(tls_broker: Broker) -> None:
    cloud = MqttCloud(tls_broker)
    async with cloud.up():
        (refused,) = await sink(tls_broker, tls=True).deliver([sample()])
        gc.collect()
    assert refused.kind is ReceiptKind.LATER
    assert cloud.seen == []


async def test_a_broker_that_restarts_gets_everything_once(tmp_path: Path) -> None:
    who = login(settings(0), NOW)
    broker = Broker(tmp_path, {who.username: who.password.reveal().decode()})
    book = MemoryRecords(names=("tuyalink",))
    for second in range(6):
        await book.take(replace(report(float(second)), release=True))
    to, stored = sink(broker), dict[str, Any]()
    to.batch = 2
    carrier = Carrier(to, book, FixedClock(), lambda: 0.0)
    with broker.up():
        cloud = MqttCloud(broker)
        async with cloud.up():
            assert await carrier.carry_once()
            stored |= cloud.stored
    assert await carrier.carry_once()  # nobody there
    with broker.up():
        cloud = MqttCloud(broker)
        async with cloud.up():
            carrier.try_now()
            while await carrier.carry_once():
                pass
            stored |= cloud.stored
    times = [next(iter(one.values()))["time"] for many in stored.values() for one in many]
    assert times == sorted(times)
    assert len(times) == 6
    assert all(one.deliveries[0].state == "done" for one in await book.records(RecordQuery()))
