"""Carrying records: until the sink's own word, ascending, and nothing in the way of the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

import anyio
import pytest

from bleagent.errors import StoreError
from bleagent.records.outbox import (
    HELD_FOR,
    LONGEST_REST,
    ROUTE_AGAIN,
    CarriageListener,
    Carrier,
    release_overdue,
)
from bleagent.records.record import (
    DONE,
    Carriage,
    Happening,
    Receipt,
    ReceiptKind,
    RecordQuery,
    StoredRecord,
    TakenReport,
    TimeQuality,
)
from bleagent.simulator import virtual_time
from bleagent.simulator.fakes import LoopClock
from bleagent.simulator.record_fakes import MemoryRecords
from protocol import Datapoint, DpType, Report, ReportTime, Secret
from protocol.records import RecordKind

NOON = 1_700_000_000
LATER = Receipt(kind=ReceiptKind.LATER, code="http-503")
POISON = Receipt(kind=ReceiptKind.POISON, code="1109", detail="param is illegal")
NO_ROUTE = Receipt(kind=ReceiptKind.NO_ROUTE, code="1106")

Rule = Callable[[StoredRecord], Receipt]


@dataclass
class Sink:
    """Implements ``ports.RecordSink``: what it says is decided by ``rule``."""

    name: str = "cloud"
    batch: int = 10
    rule: Rule = lambda _: DONE
    calls: list[tuple[float, list[int]]] = field(default_factory=list)
    taken: list[StoredRecord] = field(default_factory=list)
    fault: Exception | None = None

    async def deliver(self, records: Sequence[StoredRecord]) -> list[Receipt]:
        """Say what the rule says."""
        await anyio.sleep(0.01)
        self.calls.append((anyio.current_time(), [one.seq for one in records]))
        if self.fault is not None:
            raise self.fault
        receipts = [self.rule(one) for one in records]
        self.taken += [
            one
            for one, word in zip(records, receipts, strict=True)
            if word.kind is ReceiptKind.DONE
        ]
        return receipts


class Ears(CarriageListener):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []
        self.rests: list[float] = []

    def parked(self, sink: str, record: StoredRecord, receipt: Receipt) -> None:
        """A record was parked."""
        self.told.append(("parked", sink, str(record.seq), receipt.code))

    def postponed(self, sink: str, lock: str, receipt: Receipt, seconds: float) -> None:
        """Not now."""
        del sink, lock, receipt
        self.rests.append(seconds)

    def route_closed(self, sink: str, lock: str, receipt: Receipt) -> None:
        """A lock is refused."""
        self.told.append(("closed", sink, lock, receipt.code))

    def route_opened(self, sink: str, lock: str) -> None:
        """It is taken again."""
        self.told.append(("opened", sink, lock))

    def released_late(self, count: int) -> None:
        """Released."""
        self.told.append(("late", str(count)))

    def store_failed(self, error: StoreError) -> None:
        """The store failed."""
        self.told.append(("store", error.code))

    def sink_failed(self, sink: str, error: Exception) -> None:
        """A fault of ours."""
        self.told.append(("fault", sink, type(error).__name__))


@dataclass
class Post:
    """A book, a sink and who carries between them."""

    book: MemoryRecords
    sink: Sink
    ears: Ears
    clock: LoopClock
    carrier: Carrier

    async def take(self, *seconds: float, lock: str = "front", release: bool = True) -> None:
        """Records of these times, released or not."""
        for second in seconds:
            taken = report(second, lock=lock, release=False, taken=self.clock.unix())
            await self.book.take(taken)
        if release:
            await self.release(lock)

    async def release(self, lock: str = "front") -> None:
        """A drain of the lock reached its end."""
        await self.book.drained(lock, up_to=0, keep=(), unix=self.clock.unix())
        self.carrier.wake()

    async def state(self, seq: int) -> Carriage:
        """How far a record is."""
        (found,) = [one for one in await self.book.records(RecordQuery()) if one.seq == seq]
        return found.deliveries[0].state


def report(
    second: float, *, lock: str = "front", release: bool = True, taken: float = 0.0
) -> TakenReport:
    """A finger at a time."""
    datapoint = Datapoint.number(12, 3)
    raw = Report(code=0x8003, datapoints=(datapoint,), time=ReportTime.unix(int(NOON + second)))
    happening = Happening(
        dp=12, type=DpType.VALUE, kind=RecordKind.FINGERPRINT, value=3, data=Secret(b"\0\0\0\3"),
        wire_time=str(int(NOON + second)), lock_seconds=NOON + second, at=NOON + second,
        quality=TimeQuality.LOCK,
    )  # fmt: skip
    return TakenReport(
        lock=lock, device_id=f"device-{lock}", raw=Secret(b"\x80\x03" + raw.to_bytes()),
        happenings=(happening,), taken_at=taken, live=True, only_copy=True, may_match=False,
        may_return=False, release=release,
    )  # fmt: skip


def rehearse(story: Callable[[Post], Awaitable[None]], **options: object) -> None:
    """Run a story with the carrier at work."""

    async def main() -> None:
        sink, ears, clock = Sink(), Ears(), LoopClock()
        for name, value in options.items():
            setattr(sink, name, value)
        book = MemoryRecords(names=("cloud",))
        post = Post(book, sink, ears, clock, Carrier(sink, book, clock, lambda: 1.0, ears))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(post.carrier.run)
            await story(post)
            tasks.cancel_scope.cancel()

    virtual_time.run(main)


def test_what_is_released_is_carried_ascending_and_once() -> None:
    async def story(post: Post) -> None:
        await post.take(30, 10, 20)
        await anyio.sleep(1)
        assert [one.at - NOON for one in post.sink.taken] == [10, 20, 30]
        await anyio.sleep(1000)
        assert len(post.sink.calls) == 1
        assert await post.state(1) is Carriage.DONE

    rehearse(story)


def test_what_is_not_released_is_not_carried() -> None:
    async def story(post: Post) -> None:
        await post.take(10, release=False)
        await anyio.sleep(100)
        assert post.sink.calls == []
        await post.release()
        await anyio.sleep(1)
        assert len(post.sink.taken) == 1

    rehearse(story)


def test_what_waits_too_long_for_its_drain_is_released_late() -> None:
    async def story(post: Post) -> None:
        await post.take(10, release=False)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(release_overdue, post.book, post.clock, post.carrier.wake, post.ears)
            await anyio.sleep(HELD_FOR - 1)
            assert post.sink.taken == []
            await anyio.sleep(60)
            tasks.cancel_scope.cancel()
        assert [one.late for one in post.sink.taken] == [True]
        assert post.ears.told == [("late", "1")]

    rehearse(story)


def test_a_sink_that_is_away_is_tried_less_and_less_often() -> None:
    async def story(post: Post) -> None:
        await post.take(10, 20)
        await anyio.sleep(23 * 3600)
        assert post.sink.taken == []
        assert post.ears.rests[:5] == [1.0, 2.0, 4.0, 8.0, 16.0]
        assert max(post.ears.rests) == LONGEST_REST
        assert len(post.sink.calls) < 200
        post.sink.rule = lambda _: DONE
        await anyio.sleep(LONGEST_REST + 1)
        assert [one.at - NOON for one in post.sink.taken] == [10, 20]

    rehearse(story, rule=lambda _: LATER)


def test_it_waits_as_long_as_the_sink_says() -> None:
    async def story(post: Post) -> None:
        await post.take(10)
        await anyio.sleep(1000)
        assert [at for at, _ in post.sink.calls] == pytest.approx([0.01, 900.02], abs=0.05)

    said = Receipt(kind=ReceiptKind.LATER, code="28841004", after=900.0)
    rehearse(story, rule=lambda _: said)


def test_poison_is_parked_and_what_is_behind_it_goes_on() -> None:
    async def story(post: Post) -> None:
        await post.take(10, 20, 30)
        await anyio.sleep(1)
        assert [one.at - NOON for one in post.sink.taken] == [10, 30]
        assert await post.state(2) is Carriage.PARKED
        assert post.ears.told == [("parked", "cloud", "2", "1109")]
        await anyio.sleep(50_000)
        assert len(post.sink.calls) == 1
        post.sink.rule = lambda _: DONE
        (parked,) = await post.book.records(RecordQuery(state=Carriage.PARKED))
        assert await post.book.retry(parked.id) == 1
        post.carrier.try_now()
        await anyio.sleep(1)
        assert await post.state(2) is Carriage.DONE

    rehearse(story, rule=lambda one: POISON if one.seq == 2 else DONE)


def test_a_lock_that_a_sink_refuses_keeps_its_records_and_is_in_nobodys_way() -> None:
    async def story(post: Post) -> None:
        await post.take(10, lock="front")
        await post.take(20, lock="back")
        await anyio.sleep(10)
        assert [one.lock for one in post.sink.taken] == ["back"]
        assert await post.state(1) is Carriage.WAITING
        assert await post.book.routes_closed("cloud") == {"front": "1106"}
        assert post.ears.told == [("closed", "cloud", "front", "1106")]
        await anyio.sleep(ROUTE_AGAIN - 20)
        assert len(post.sink.calls) == 2
        post.sink.rule = lambda _: DONE
        await anyio.sleep(60)
        assert [one.lock for one in post.sink.taken] == ["back", "front"]
        assert await post.book.routes_closed("cloud") == {}
        assert post.ears.told[-1] == ("opened", "cloud", "front")

    rehearse(story, rule=lambda one: NO_ROUTE if one.lock == "front" else DONE)


def test_what_is_refused_of_an_earlier_pairing_is_parked_and_the_lock_goes_on() -> None:
    async def main() -> None:
        sink, clock, book = Sink(batch=1), LoopClock(), MemoryRecords(names=("cloud",))
        sink.rule = lambda one: NO_ROUTE if one.device_id == "device-front" else DONE
        await book.take(replace(report(10), release=True))
        await book.take(replace(report(20), release=True, device_id="paired-anew"))
        carrier = Carrier(sink, book, clock, lambda: 1.0, devices={"front": "paired-anew"})
        while await carrier.carry_once():
            pass
        states = [one.deliveries[0].state for one in await book.records(RecordQuery(after_seq=0))]
        assert states == [Carriage.PARKED, Carriage.DONE]
        assert await book.routes_closed("cloud") == {}

    virtual_time.run(main)


def test_one_lock_that_fails_does_not_hold_the_others_up() -> None:
    async def story(post: Post) -> None:
        await post.take(*range(5), lock="front")
        await post.take(*range(5), lock="back")
        await anyio.sleep(30)
        assert {one.lock for one in post.sink.taken} == {"back"}
        assert len(post.sink.taken) == 5

    rehearse(story, batch=1, rule=lambda one: LATER if one.lock == "front" else DONE)


def test_a_fault_in_a_sink_is_told_and_tried_again() -> None:
    async def story(post: Post) -> None:
        await post.take(10)
        await anyio.sleep(0.5)
        assert post.ears.told == [("fault", "cloud", "ZeroDivisionError")]
        post.sink.fault = None
        await anyio.sleep(2)
        assert len(post.sink.taken) == 1

    rehearse(story, fault=ZeroDivisionError())


def test_a_sink_that_says_too_little_is_asked_again() -> None:
    class Terse(Sink):
        """Forgets the last receipt."""

        async def deliver(self, records: Sequence[StoredRecord]) -> list[Receipt]:
            """All but one."""
            return (await super().deliver(records))[:-1] if len(records) > 1 else [DONE]

    async def main() -> None:
        sink, clock, book = Terse(), LoopClock(), MemoryRecords(names=("cloud",))
        carrier = Carrier(sink, book, clock, lambda: 1.0)
        for second in (10, 20):
            await book.take(report(second))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(carrier.run)
            await anyio.sleep(10)
            tasks.cancel_scope.cancel()
        assert [seqs for _, seqs in sink.calls] == [[1, 2]]
        states = {one.seq: one.deliveries[0].state for one in await book.records(RecordQuery())}
        assert states == {1: Carriage.DONE, 2: Carriage.DONE}

    virtual_time.run(main)


def test_a_store_that_fails_is_told_and_asked_again() -> None:
    class Moody(MemoryRecords):
        """Cannot note anything at first."""

        sick = True

        async def settle(self, sink: str, receipts: Sequence[tuple[int, Receipt]]) -> None:
            """Not yet."""
            if self.sick:
                raise StoreError("no space left")
            await super().settle(sink, receipts)

    async def main() -> None:
        sink, ears, clock, book = Sink(), Ears(), LoopClock(), Moody(names=("cloud",))
        await book.take(report(10))
        carrier = Carrier(sink, book, clock, lambda: 1.0, ears)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(carrier.run)
            await anyio.sleep(1)
            assert ears.told == [("store", "store-failed")]
            await anyio.sleep(3600)
            book.sick = False
            await anyio.sleep(10)
            tasks.cancel_scope.cancel()
        # What the sink said is kept meanwhile: nothing is sent (and paid for) twice.
        assert len(sink.calls) == 1
        assert book.rows[0].deliveries["cloud"].state is Carriage.DONE

    virtual_time.run(main)


def test_a_fault_of_ours_in_the_store_ends_nobody_else() -> None:
    class Odd(MemoryRecords):
        """Has a record that a newer agent wrote."""

        odd = True

        async def waiting(
            self, sink: str, *, limit: int, skip: Collection[str]
        ) -> list[StoredRecord]:
            """What waits, if it can be read."""
            if self.odd:
                raise ValueError("'hologram' is not a valid RecordKind")
            return await super().waiting(sink, limit=limit, skip=skip)

    async def main() -> None:
        sink, ears, clock, book = Sink(), Ears(), LoopClock(), Odd(names=("cloud",))
        await book.take(report(10))
        carrier = Carrier(sink, book, clock, lambda: 1.0, ears)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(carrier.run)
            await anyio.sleep(600)
            assert 1 <= len(ears.told) <= 10
            assert set(ears.told) == {("fault", "cloud", "ValueError")}
            book.odd = False
            await anyio.sleep(61)
            tasks.cancel_scope.cancel()
        assert len(sink.taken) == 1

    virtual_time.run(main)
