"""GET /readyz: what is wrong with each part, since when, what keeps doors shut, who is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from bleagent.adapters.sqlite_store import SqliteStore, StateDirectory
from bleagent.adapters.sqlite_store.ledger import RESERVE
from bleagent.cloud.client import CloudEvent
from bleagent.errors import OutboxFull, StoreError, StoreFull, StoreTooNew
from bleagent.health.readiness import (
    LATELY,
    LOOK,
    PATIENCE,
    Part,
    Readiness,
    VirtualLockAway,
    shut_by,
)
from bleagent.health.watches import MENDED_AFTER, CloudWatch, RecordWatch
from bleagent.radio.airtime import AdapterAir, RadioAir
from bleagent.records.outbox import Carrier
from bleagent.records.record import Carriage, Kept, Receipt, ReceiptKind, SinkState, StoredRecord
from bleagent.simulator import virtual_time
from bleagent.simulator.fakes import LoopClock
from bleagent.vault import Vault
from protocol import Secret
from tests.agent.record_shelf import TinyShelf, stored
from tests.agent.watched import Gateway, at_the_gateway, watched
from tests.agent.world import DOOR

GOOD = AdapterAir(
    usable=True, scanning=True, links=0, waiting=0, last_advertisement_age=1.0, symptoms=(),
    rungs={},
)  # fmt: skip


class Clock:
    """Moved by tests."""

    def __init__(self, seconds: float = 1000.0, *, trusted: bool = True) -> None:
        self.seconds = seconds
        self.trusted = trusted

    def now(self) -> float:
        return self.seconds

    def unix(self) -> float:
        return 1_700_000_000.0 + self.seconds


def event(outcome: str) -> CloudEvent:
    return CloudEvent(call="timer.currentTime", attempt=1, seconds=0.1, outcome=outcome)


def codes(part: Part) -> list[str]:
    return [one.code for one in part.wrong]


def part(name: str, clock: Clock | None = None, **given: Any) -> Part:
    clock = clock or Clock()
    return Readiness(watched(clock, TinyShelf(), **given)).parts()[name]


# -- what keeps doors shut


def test_nothing_is_wrong_where_nothing_is() -> None:
    parts = Readiness(watched(Clock(), TinyShelf())).parts()
    assert list(parts) == [
        "radio",
        "store",
        "cloud",
        "records",
        "outbox",
        "webhooks",
        "audit",
        "clock",
        "config",
    ]
    assert all(one.ok for one in parts.values())
    assert shut_by(parts) == []


@pytest.mark.parametrize(
    ("adapters", "code"),
    [
        ({}, "radio-unavailable"),
        ({"hci0": replace(GOOD, usable=False)}, "radio-unavailable"),
        ({"hci0": replace(GOOD, usable=False), "hci1": GOOD}, None),
        # Nobody advertises here: that is no fault.
        ({"hci0": replace(GOOD, last_advertisement_age=None)}, None),
        # The scan is paused for a connection.
        ({"hci0": replace(GOOD, scanning=False)}, None),
        ({"hci0": replace(GOOD, scanning=False, last_advertisement_age=None, links=1)}, None),
        ({"hci0": replace(GOOD, scanning=False, last_advertisement_age=LATELY)}, "radio-busy"),
        ({"hci0": replace(GOOD, scanning=False, last_advertisement_age=None)}, "radio-busy"),
    ],
)
def test_the_radio_is_well_if_an_adapter_listens_or_has_heard_somebody(
    adapters: dict[str, AdapterAir], code: str | None
) -> None:
    parts = Readiness(
        watched(Clock(), TinyShelf(), air=lambda: RadioAir(adapters=adapters, locks={}))
    ).parts()
    assert codes(parts["radio"]) == ([] if code is None else [code])
    assert shut_by(parts) == ([] if code is None else ["radio"])
    assert parts["radio"].facts["adapters"].keys() == adapters.keys()


def test_a_virtual_lock_that_was_not_there_is_said() -> None:
    found = part("radio", nobody=lambda: "no lock answers")
    assert (codes(found), found.wrong[0].detail) == (["radio-unavailable"], "no lock answers")
    assert "bleagent simulate lock" in found.wrong[0].advice


def test_a_store_that_was_damaged_is_said_until_somebody_has_looked() -> None:
    found = part("store", damaged=True)
    assert (codes(found), found.shuts) == (["store-damaged"], True)


def test_a_store_in_which_no_operation_could_begin_keeps_doors_shut_until_it_can() -> None:
    full = [True]

    async def ask() -> None:
        if full[0]:
            raise StoreFull("no space")

    async def main() -> None:
        readiness = Readiness(watched(LoopClock(), TinyShelf(), store=ask))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(readiness.run)
            await anyio.sleep(LOOK / 2)
            assert shut_by(readiness.parts()) == ["store"]
            assert codes(readiness.parts()["store"]) == ["store-full"]
            full[0] = False
            await anyio.sleep(LOOK)
            assert shut_by(readiness.parts()) == []
            tasks.cancel_scope.cancel()

    virtual_time.run(main)


def test_a_store_that_does_not_answer_is_said_and_nobody_waits_for_it() -> None:
    async def main() -> None:
        readiness = Readiness(watched(LoopClock(), TinyShelf(), store=anyio.sleep_forever))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(readiness.run)
            await anyio.sleep(PATIENCE)
            assert readiness.parts()["store"].ok
            assert readiness.parts()["outbox"].facts["sinks"] == {}
            await anyio.sleep(0.1)
            assert codes(readiness.parts()["store"]) == ["store-failed"]
            assert readiness.shelf.found is not None  # the other store is looked at all the same
            tasks.cancel_scope.cancel()

    virtual_time.run(main)


def test_a_fault_in_a_look_is_not_the_last_look() -> None:
    asked: list[float] = []

    async def ask() -> None:
        asked.append(anyio.current_time())
        if len(asked) == 1:
            raise ValueError("a secret")

    async def main() -> None:
        readiness = Readiness(watched(LoopClock(), TinyShelf(), store=ask))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(readiness.run)
            await anyio.sleep(2.5 * LOOK)
            tasks.cancel_scope.cancel()
        assert asked == [0, LOOK, 2 * LOOK]

    virtual_time.run(main)


def test_the_real_store_says_whether_an_operation_could_begin(tmp_path: Path) -> None:
    free = [RESERVE]
    vault = Vault({1: Secret(bytes(32))}, new_nonce=lambda: bytes(12))

    async def main() -> None:
        with (
            StateDirectory(tmp_path / "state") as directory,
            SqliteStore(directory, vault, free=lambda _: free[0]) as store,
        ):
            await store.ledger.require_usable()
            free[0] -= 1
            with pytest.raises(StoreFull, match="an operation begins with"):
                await store.ledger.require_usable()

    anyio.run(main)


# -- what only delays something


def test_the_cloud_is_what_its_last_word_was() -> None:
    clock = Clock()
    watch = CloudWatch(clock.now)

    def cloud() -> Part:
        return part("cloud", clock, cloud=watch)

    assert cloud().facts == {"asked": False, "answered_s_ago": None, "failed_s_ago": None}
    watch.heard(event("cancelled"))  # the caller's own doing
    assert (cloud().ok, cloud().facts["asked"]) == (True, False)
    watch.heard(event("cloud-timeout"))
    clock.seconds += 10
    watch.heard(event("cloud-unreachable"))
    clock.seconds += 10
    found = cloud()
    assert (codes(found), found.shuts) == (["cloud-unreachable"], False)
    assert found.wrong[0].since == 1000.0  # since the first of them
    assert found.wrong[0].advice == "Check the gateway's network and the configured base URL."
    assert found.facts == {"asked": True, "answered_s_ago": None, "failed_s_ago": 10.0}
    watch.heard(event("cloud-permission"))  # its no: it was there to say it
    clock.seconds += 5
    assert cloud().ok
    assert cloud().facts == {"asked": True, "answered_s_ago": 5.0, "failed_s_ago": 15.0}
    watch.heard(event("ok"))
    assert cloud().ok


def test_a_date_that_nobody_has_confirmed_is_said() -> None:
    found = part("clock", Clock(trusted=False))
    assert (codes(found), found.shuts) == (["clock-not-trusted"], False)


def test_an_audit_that_is_not_written_is_said_and_keeps_no_door_shut() -> None:
    found = part("audit", audit=lambda: "store-full")
    assert (codes(found), found.shuts) == (["store-full"], False)


def test_records_that_are_not_kept_at_all_are_said() -> None:
    found = part("records", without_records=StoreTooNew("written by a newer agent"))
    assert (codes(found), found.shuts) == (["store-too-new"], False)


def test_a_lock_whose_records_cannot_be_stored_is_said_until_one_is() -> None:
    clock = Clock()
    watch = RecordWatch(clock.now)
    watch.not_kept(DOOR, OutboxFull("full"))
    clock.seconds += 5
    watch.not_kept(DOOR, OutboxFull("full"))
    found = part("records", clock, records=watch)
    assert [(one.code, one.of, one.since) for one in found.wrong] == [("outbox-full", DOOR, 1000)]
    watch.kept(DOOR, Kept(records=(1,), ids=("a",), new=(1,)), live=True)
    assert part("records", clock, records=watch).ok


@dataclass
class Sink:
    """Implements ``ports.RecordSink``: says the same of every record, or fails."""

    word: Receipt | Exception
    name: str = "cloud"
    batch: int = 10

    async def deliver(self, records: Sequence[StoredRecord]) -> list[Receipt]:
        if isinstance(self.word, Exception):
            raise self.word
        return [self.word] * len(records)


@dataclass
class Queue:
    """As much of ``ports.Outbox`` as a carrier needs; one record waits until it is taken."""

    fails: bool = False
    taken: bool = False

    async def waiting(self, *_: Any, **__: Any) -> list[StoredRecord]:
        if self.fails:
            raise StoreError("the disk is gone")
        return [] if self.taken else [stored(1)]

    async def settle(self, _sink: str, receipts: Sequence[tuple[int, Receipt]]) -> None:
        self.taken = receipts[0][1].kind is ReceiptKind.DONE

    async def routes_closed(self, _sink: str) -> dict[str, str]:
        return {}


DOWN = Receipt(kind=ReceiptKind.LATER, code="http-503", detail="answered 503", advice="Wait.")
TAKEN = Receipt(kind=ReceiptKind.DONE)


@pytest.mark.parametrize(
    ("word", "code"), [(DOWN, "http-503"), (ValueError("CANARY"), "fault")], ids=["down", "fault"]
)
def test_a_sink_that_takes_nothing_is_said_until_it_does(
    word: Receipt | Exception, code: str
) -> None:
    async def main() -> None:
        clock, queue, sink = LoopClock(), Queue(), Sink(word)
        watch = RecordWatch(clock.now)
        readiness = Readiness(watched(clock, TinyShelf(), records=watch))
        carrier = Carrier(sink, queue, clock, lambda: 0.0, watch)  # type: ignore[arg-type]
        async with anyio.create_task_group() as tasks:
            await anyio.sleep(7)
            tasks.start_soon(carrier.run)
            await anyio.sleep(100)
            found = readiness.parts()
            told = [(one.code, one.of, one.since) for one in found["outbox"].wrong]
            assert told == [(code, "cloud", 7.0)]
            assert found["outbox"].wrong[0].advice
            assert "CANARY" not in str(found)
            assert shut_by(found) == []
            sink.word = TAKEN
            carrier.try_now()
            await anyio.sleep(1)
            assert readiness.parts()["outbox"].ok
            tasks.cancel_scope.cancel()

    virtual_time.run(main)


def test_a_failure_that_nobody_has_any_more_is_forgotten() -> None:
    async def main() -> None:
        clock = LoopClock()
        watch = RecordWatch(clock.now)
        shelf = TinyShelf(stored(1, file=(Carriage.DONE, "")))
        readiness = Readiness(watched(clock, shelf, records=watch))
        watch.postponed("file", DOOR, DOWN, 1.0)
        await readiness.shelf.once()  # asked in the same moment: it may have been before
        assert codes(readiness.parts()["outbox"]) == ["http-503"]
        await anyio.sleep(1)
        await readiness.shelf.once()
        assert readiness.parts()["outbox"].ok

    virtual_time.run(main)


def test_an_outbox_that_cannot_be_read_is_said_until_it_has_not_failed_for_a_while() -> None:
    async def main() -> None:
        clock, queue = LoopClock(), Queue(fails=True)
        watch = RecordWatch(clock.now)
        readiness = Readiness(watched(clock, TinyShelf(), records=watch))
        carrier = Carrier(Sink(TAKEN), queue, clock, lambda: 0.0, watch)  # type: ignore[arg-type]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(carrier.run)
            await anyio.sleep(100)
            (wrong,) = readiness.parts()["outbox"].wrong
            assert (wrong.code, wrong.since) == ("store-failed", 0.0)
            tasks.cancel_scope.cancel()
        await anyio.sleep(MENDED_AFTER + 1)
        assert readiness.parts()["outbox"].ok

    virtual_time.run(main)


def test_what_the_numbers_of_a_sink_say() -> None:
    def state(name: str, waiting: int = 5, **more: Any) -> SinkState:
        return SinkState(
            sink=name, waiting=waiting, held=1, done=0, parked=2, dropped=0,
            oldest_waiting=1_700_000_000.0 + 940, **{"routes_closed": {}, **more},
        )  # fmt: skip

    class Shelf(TinyShelf):
        async def sinks(self) -> list[SinkState]:
            return [
                state("cloud", routes_closed={DOOR: "1106"}), state("file", 90),
                state("gone", configured=False), state("hook"),
            ]  # fmt: skip

    async def main() -> None:
        clock = Clock()
        readiness = Readiness(watched(clock, Shelf(), most_waiting=90))
        await readiness.shelf.once()
        found = readiness.parts()["outbox"]
        assert [(one.of, one.code) for one in found.wrong] == [
            ("cloud", "route-closed-1106"), ("file", "outbox-full"),
            ("gone", "sink-not-configured"),
        ]  # fmt: skip
        assert found.facts["sinks"]["hook"] == {
            "waiting": 5, "held": 1, "parked": 2, "oldest_waiting_s": 60.0,
        }  # fmt: skip
        assert not found.shuts

    anyio.run(main)


# -- since when, and who is told


def test_since_when_is_noted_though_nobody_asks() -> None:
    fault: list[str | None] = [None]

    async def main() -> None:
        readiness = Readiness(watched(LoopClock(), TinyShelf(), nobody=lambda: fault[0]))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(readiness.run)
            await anyio.sleep(2.5 * LOOK)
            fault[0] = "no lock answers"
            await anyio.sleep(10 * LOOK)
            assert readiness.parts()["radio"].wrong[0].since == 3 * LOOK
            fault[0] = None
            await anyio.sleep(LOOK)
            fault[0] = "again"
            assert readiness.parts()["radio"].wrong[0].since == anyio.current_time()
            tasks.cancel_scope.cancel()

    virtual_time.run(main)


def test_anybody_is_told_whether_and_who_may_read_is_told_what() -> None:
    fault: list[str | None] = [None]

    async def story(gateway: Gateway) -> None:
        gateway.told.cloud.heard(event("cloud-timeout"))
        other = await gateway.token("records", "admin", "operate:*")
        for status, ready in ((200, True), (503, False)):
            for token in (None, "wrong", other):
                answer = await gateway.ask("/readyz", token)
                assert (answer.status_code, answer.json()) == (status, {"ready": ready})
            fault[0] = "no lock answers"
        answer = await gateway.ask("/readyz", await gateway.token("read"))
        told = answer.json()
        assert (answer.status_code, told["ready"], told["wrong"]) == (
            503,
            False,
            ["radio", "cloud"],
        )
        assert told["parts"]["radio"] == {
            "ok": False, "keeps_doors_shut": True,
            "wrong": [
                {
                    "code": "radio-unavailable", "detail": "no lock answers",
                    "since": "2023-11-14T22:13:20.000+00:00",
                    "advice": VirtualLockAway.advice,
                }
            ],
        }  # fmt: skip
        assert (told["parts"]["cloud"]["ok"], told["parts"]["cloud"]["keeps_doors_shut"]) == (
            False, False,
        )  # fmt: skip

    at_the_gateway(story, nobody=lambda: fault[0])


def test_alive_is_said_to_anybody_and_says_nothing_else() -> None:
    async def story(gateway: Gateway) -> None:
        answer = await gateway.ask("/livez", None)
        assert (answer.status_code, answer.content) == (200, b"")

    at_the_gateway(story)
