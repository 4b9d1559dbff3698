"""What every keeper of records promises, whatever it keeps them on. One class for each port.

Records are opened on something that outlives them; opening them again is what a restart does,
with other sinks perhaps.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import anyio
import pytest

from bleagent.adapters.sqlite_store import SqliteStore, StateDirectory
from bleagent.errors import OutboxFull, StoreError
from bleagent.records.ports import Outbox, RecordBook, RecordShelf
from bleagent.records.record import (
    DONE,
    Carriage,
    Delivery,
    Happening,
    Receipt,
    ReceiptKind,
    RecordQuery,
    SinkState,
    StoredRecord,
    TakenCounts,
    TakenReport,
    TimeQuality,
    message_id,
)
from bleagent.simulator.record_fakes import MemoryRecords
from bleagent.vault import Vault
from protocol import Datapoint, DpType, Report, ReportTime, Secret
from protocol.records import RecordKind

pytestmark = pytest.mark.anyio

NOON = 1_795_348_800.0  # 2026-11-22 12:00 UTC
FRONT, BACK = "front-door", "back-door"
LATER = Receipt(kind=ReceiptKind.LATER, code="offline")
POISON = Receipt(kind=ReceiptKind.POISON, code="2008")


class Records(RecordBook, Outbox, RecordShelf, Protocol):
    """The three ports in one."""


class Open(Protocol):
    """Closes what was open, and opens it anew."""

    def __call__(self, *sinks: str, capacity: int = 100_000) -> Records: ...


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def happened(
    seconds: float = NOON, value: int = 7, *, dp: int = 12, at: float | None = None
) -> Happening:
    """A fingerprint's opening; ``at`` is when, for a lock whose clock does not say it."""
    return Happening(
        dp=dp,
        type=DpType.VALUE,
        kind=RecordKind.FINGERPRINT,
        value=value,
        data=Secret(value.to_bytes(4, "big")),
        wire_time=str(int(seconds)),
        lock_seconds=seconds,
        at=seconds if at is None else at,
        quality=TimeQuality.LOCK if at is None else TimeQuality.RECEIVED,
    )


def told(
    *happenings: Happening,
    lock: str = FRONT,
    taken_at: float = NOON + 100,
    live: bool = False,
    may_match: bool = True,
    may_return: bool = True,
    proves: tuple[int, ...] = (),
    release: bool = False,
) -> TakenReport:
    """A report from the backlog that may be a redelivery and may come again."""
    datapoints = tuple(Datapoint(one.dp, one.type, one.data.reveal()) for one in happenings)
    time = ReportTime.unix(int(happenings[0].wire_time)) if happenings else ReportTime.unix(0)
    report = Report(code=0x8003, datapoints=datapoints, time=time)
    return TakenReport(
        lock=lock,
        device_id=f"device-of-{lock}",
        raw=Secret(report.code.to_bytes(2, "big") + report.to_bytes()),
        happenings=happenings,
        taken_at=taken_at,
        live=live,
        only_copy=live,
        may_match=may_match,
        may_return=may_return,
        proves=proves,
        release=release,
    )


def released(*happenings: Happening, lock: str = FRONT, **changes: float) -> TakenReport:
    """One that may be carried at once."""
    return replace(told(*happenings, lock=lock, release=True), **changes)  # type: ignore[arg-type]


async def seqs(records: Records, sink: str = "cloud", *, limit: int = 100) -> list[int]:
    return [one.seq for one in await records.waiting(sink, limit=limit, skip=())]


async def all_of(records: Records, query: RecordQuery | None = None) -> list[StoredRecord]:
    return await records.records(query or RecordQuery())


async def state_of(records: Records, sink: str = "cloud") -> SinkState:
    (found,) = [one for one in await records.sinks() if one.sink == sink]
    return found


class RecordsContract:
    """Subclasses give a fixture ``open_records``."""

    @pytest.fixture
    def open_records(self, tmp_path: Path) -> Iterator[Open]:
        raise NotImplementedError

    @pytest.fixture
    def records(self, open_records: Open) -> Records:
        return open_records("cloud")


class BookContract(RecordsContract):
    async def test_a_record_is_stored_as_it_was_told(self, records: Records) -> None:
        assert await records.last_seq() == 0
        happening = replace(happened(), operation="op-1")
        kept = await records.take(told(happening, live=True))
        assert (kept.records, kept.new) == ((1,), (1,))
        assert await records.last_seq() == 1
        assert await all_of(records) == [
            StoredRecord(
                seq=1,
                id=message_id("device-of-front-door", happening, 0),
                lock=FRONT,
                device_id="device-of-front-door",
                dp=12,
                type=DpType.VALUE,
                kind=RecordKind.FINGERPRINT,
                value=7,
                data=Secret(bytes((0, 0, 0, 7))),
                wire_time=str(int(NOON)),
                at=NOON,
                quality=TimeQuality.LOCK,
                taken_at=NOON + 100,
                live=True,
                operation="op-1",
                released_at=None,
                late=False,
                deliveries=(Delivery(sink="cloud", state=Carriage.WAITING),),
            )
        ]

    async def test_a_restart_finds_what_was_taken(self, open_records: Open) -> None:
        before = open_records("cloud")
        await before.take(told(happened()))
        stored = await all_of(before)
        after = open_records("cloud")
        assert await all_of(after) == stored
        assert await after.last_seq() == 1
        assert (await after.take(told(happened()))).new == ()

    async def test_every_datapoint_of_a_report_is_a_record_with_its_own_data(
        self, records: Records
    ) -> None:
        raw = replace(
            happened(dp=72), data=Secret(b"whole opening"), value=None, type=DpType.RAW,
            kind=RecordKind.OPENED,
        )  # fmt: skip
        twice = happened(value=3)
        kept = await records.take(told(twice, raw, twice))
        assert (kept.records, kept.new) == ((1, 2, 3), (1, 2, 3))
        first, second, third = await all_of(records, RecordQuery(after_seq=0))
        assert [one.data for one in (first, second, third)] == [twice.data, raw.data, twice.data]
        assert (second.kind, second.value, second.type) == (RecordKind.OPENED, None, DpType.RAW)
        assert len({first.id, second.id, third.id}) == 3

    async def test_what_its_report_does_not_tell_is_refused(self, records: Records) -> None:
        wrong = replace(told(happened()), happenings=(happened(value=8),))
        with pytest.raises(StoreError, match=r"datapoint 12 \(4 bytes\) is not in its report"):
            await records.take(wrong)
        assert await records.last_seq() == 0

    async def test_a_report_without_happenings_changes_only_what_it_proves(
        self, records: Records
    ) -> None:
        await records.take(told(happened()))
        kept = await records.take(told(proves=(1,)))
        assert (kept.records, kept.new) == ((), ())
        assert (await records.take(told(happened()))).new == (2,)

    # -- identity

    async def test_a_redelivery_is_the_record_it_was(self, records: Records) -> None:
        await records.take(told(happened()))
        before = await all_of(records)
        again = await records.take(told(happened(), taken_at=NOON + 500, live=True))
        assert (again.records, again.new) == ((1,), ())
        assert await all_of(records) == before
        assert await records.last_seq() == 1

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param(told(happened(value=8)), id="value"),
            pytest.param(told(happened(dp=13)), id="datapoint"),
            pytest.param(told(happened(NOON + 1)), id="a second later"),
            pytest.param(told(happened(), lock=BACK), id="lock"),
            pytest.param(told(happened(), may_match=False), id="may not match"),
        ],
    )
    async def test_another_one_is_another_record(
        self, records: Records, other: TakenReport
    ) -> None:
        await records.take(told(happened()))
        assert (await records.take(other)).new == (2,)

    async def test_an_equal_one_whose_deletion_is_proven_is_a_second_one(
        self, records: Records
    ) -> None:
        await records.take(told(happened()))
        kept = await records.take(told(happened(), proves=(1,)))
        assert kept.new == (2,)
        third = await records.take(told(happened(), proves=(2,)))
        assert third.new == (3,)
        ids = [one.id for one in await all_of(records, RecordQuery(after_seq=0))]
        device = "device-of-front-door"
        assert ids == [message_id(device, happened(), ordinal) for ordinal in range(3)]

    async def test_one_that_returns_no_more_is_not_matched_again(self, records: Records) -> None:
        await records.take(told(happened(), may_return=False))
        assert (await records.take(told(happened()))).new == (2,)
        assert (await records.take(told(happened(), may_return=False))).records == (2,)
        assert (await records.take(told(happened()))).new == (3,)

    async def test_another_lock_proves_nothing(self, records: Records) -> None:
        await records.take(told(happened()))
        await records.take(told(happened(), lock=BACK, proves=(1,)))
        assert (await records.take(told(happened()))).records == (1,)

    async def test_two_equal_ones_in_one_report_are_two_and_match_one_to_one(
        self, records: Records
    ) -> None:
        assert (await records.take(told(happened(), happened()))).new == (1, 2)
        assert (await records.take(told(happened(), happened()))).records == (1, 2)
        three = await records.take(told(happened(), happened(), happened()))
        assert (three.records, three.new) == ((1, 2, 3), (3,))

    async def test_a_report_known_in_part_keeps_its_order(self, records: Records) -> None:
        await records.take(told(happened(value=2)))
        kept = await records.take(told(happened(value=1), happened(value=2), happened(value=3)))
        assert (kept.records, kept.new) == ((2, 1, 3), (2, 3))
        values = {one.seq: one.data.reveal()[-1] for one in await all_of(records)}
        assert values == {1: 2, 2: 1, 3: 3}

    async def test_a_time_since_power_up_that_was_converted_is_the_same(
        self, records: Records
    ) -> None:
        await records.take(told(happened(40.0, at=NOON), live=True))
        (first,) = await all_of(records)
        assert (await records.take(told(happened(NOON + 2)))).records == (1,)
        assert await all_of(records) == [first]  # identity and date are frozen
        assert (await records.take(told(happened(NOON + 3)))).new == (2,)

    async def test_an_exact_time_is_matched_before_a_converted_one(self, records: Records) -> None:
        await records.take(told(happened(40.0, at=NOON), live=True))
        await records.take(told(happened(NOON), may_match=False))
        assert (await records.take(told(happened(NOON)))).records == (2,)

    async def test_what_was_taken_first_returns_first(self, records: Records) -> None:
        for _ in range(2):
            await records.take(told(happened(), may_match=False))
        assert (await records.take(told(happened(), may_return=False))).records == (1,)
        assert (await records.take(told(happened(), may_return=False))).records == (2,)

    async def test_a_renamed_lock_gives_no_identity_twice(self, records: Records) -> None:
        await records.take(told(happened()))
        renamed = replace(told(happened(), lock="main-door"), device_id="device-of-front-door")
        assert (await records.take(renamed)).new == (2,)
        assert len({one.id for one in await all_of(records)}) == 2

    # -- the end of a drain

    async def test_after_a_drain_nothing_returns_but_what_is_kept(self, records: Records) -> None:
        for value in (1, 2, 3, 4):
            await records.take(told(happened(value=value)))
        await records.take(told(happened(value=1), lock=BACK))
        await records.drained(FRONT, up_to=3, keep={2}, unix=NOON + 200)
        assert (await records.take(told(happened(value=1)))).new == (6,)
        assert (await records.take(told(happened(value=2)))).records == (2,)
        assert (await records.take(told(happened(value=3)))).new == (7,)
        assert (await records.take(told(happened(value=4)))).records == (4,)
        assert (await records.take(told(happened(value=1), lock=BACK))).records == (5,)

    async def test_after_a_drain_all_of_the_lock_is_released(self, records: Records) -> None:
        await records.take(told(happened(value=1)))
        await records.take(told(happened(value=2), taken_at=NOON + 101))
        await records.take(told(happened(value=3), lock=BACK))
        assert await seqs(records) == []
        await records.drained(FRONT, up_to=1, keep=(), unix=NOON + 200)
        stored = await all_of(records, RecordQuery(after_seq=0))
        times = [(one.released_at, one.late) for one in stored]
        assert times == [(NOON + 200, False), (NOON + 200, False), (None, False)]
        assert await seqs(records) == [2, 1]

    async def test_a_drain_does_not_change_what_was_released_before(self, records: Records) -> None:
        await records.take(released(happened()))
        await records.drained(FRONT, up_to=1, keep=(), unix=NOON + 200)
        (stored,) = await all_of(records)
        assert stored.released_at == NOON + 100

    # -- counts

    async def test_taken_duplicates_and_gaps_are_counted_by_lock(self, records: Records) -> None:
        assert await records.counts() == {}
        await records.take(told())
        assert await records.counts() == {}
        await records.take(told(happened(value=1), happened(value=2)))
        await records.take(told(happened(value=2), happened(value=3)))
        await records.take(told(happened(), lock=BACK))
        await records.note_gap(FRONT, unix=NOON, reason="link cut behind an opening")
        await records.note_gap("cellar", unix=NOON, reason="link cut behind an opening")
        assert await records.counts() == {
            FRONT: TakenCounts(taken=3, duplicate=1, gaps=1),
            BACK: TakenCounts(taken=1, duplicate=0, gaps=0),
            "cellar": TakenCounts(taken=0, duplicate=0, gaps=1),
        }

    # -- quota

    async def test_the_last_tenth_is_for_live_records(self, open_records: Open) -> None:
        records = open_records("cloud", capacity=10)
        for value in range(9):
            await records.take(told(happened(value=value)))
        with pytest.raises(OutboxFull, match="9 records wait for cloud"):
            await records.take(told(happened(value=9)))
        await records.take(told(happened(value=10), live=True))
        with pytest.raises(OutboxFull, match="10 records wait for cloud"):
            await records.take(told(happened(value=11), live=True))
        assert await records.last_seq() == 10
        assert (await records.counts())[FRONT].taken == 10
        # Room again as soon as the sink has taken some.
        await records.drained(FRONT, up_to=10, keep=(), unix=NOON)
        await records.settle("cloud", [(1, DONE), (2, DONE)])
        assert (await records.take(told(happened(value=9)))).new == (11,)

    async def test_a_full_outbox_knows_what_it_has(self, open_records: Open) -> None:
        records = open_records("cloud", capacity=1)
        await records.take(told(happened(), live=True))
        assert (await records.take(told(happened()))).records == (1,)

    async def test_a_refused_report_changes_nothing(self, open_records: Open) -> None:
        records = open_records("cloud", capacity=1)
        await records.take(told(happened(), live=True))
        with pytest.raises(OutboxFull):
            await records.take(told(happened(value=9), proves=(1,), may_return=False))
        with pytest.raises(OutboxFull):
            await records.take(told(happened(), happened(value=9), may_return=False))
        assert (await records.take(told(happened()))).records == (1,)

    async def test_any_full_sink_counts_but_only_a_configured_one(self, open_records: Open) -> None:
        records = open_records("cloud", "file", capacity=2)
        for value in (1, 2):
            await records.take(told(happened(value=value), live=True))
        await records.drained(FRONT, up_to=2, keep=(), unix=NOON)
        await records.settle("file", [(1, DONE), (2, DONE)])
        with pytest.raises(OutboxFull, match="for cloud"):
            await records.take(told(happened(value=3), live=True))
        records = open_records("file", capacity=2)
        assert (await records.take(told(happened(value=3), live=True))).new == (3,)

    async def test_parked_ones_take_no_room(self, open_records: Open) -> None:
        records = open_records("cloud", capacity=1)
        for value in range(3):
            await records.take(released(happened(value=value), live=True, only_copy=True))
            await records.settle("cloud", [(value + 1, POISON)])
        assert (await state_of(records)).parked == 3

    async def test_without_a_sink_there_is_always_room(self, open_records: Open) -> None:
        records = open_records(capacity=1)
        for value in range(3):
            await records.take(released(happened(value=value)))
        assert [one.deliveries for one in await all_of(records)] == [(), (), ()]


class OutboxContract(RecordsContract):
    async def test_nothing_waits_for_a_sink_before_it_is_released(self, records: Records) -> None:
        await records.take(told(happened()))
        assert await seqs(records) == []
        await records.take(released(happened(value=8)))
        assert await seqs(records) == [2]
        assert await seqs(records, "unheard-of") == []

    async def test_what_waits_is_given_as_it_is_kept(self, records: Records) -> None:
        await records.take(released(happened()))
        assert await records.waiting("cloud", limit=10, skip=()) == await all_of(records)

    async def test_what_waits_ascends_in_time_and_a_backlog_comes_newest_first(
        self, records: Records
    ) -> None:
        for number, seconds in enumerate((NOON + 9, NOON + 5, NOON + 5, NOON + 5, NOON + 1)):
            await records.take(told(happened(seconds, value=number)))
        for number in (5, 6):
            await records.take(told(happened(NOON + 5, value=number), live=True))
        await records.drained(FRONT, up_to=7, keep=(), unix=NOON + 10)
        assert await seqs(records) == [5, 4, 3, 2, 6, 7, 1]
        assert await seqs(records, limit=3) == [5, 4, 3]

    async def test_the_datapoints_of_one_report_stay_in_their_order(self, records: Records) -> None:
        for first in (1, 3):
            await records.take(told(happened(value=first), happened(value=first + 1)))
        await records.drained(FRONT, up_to=4, keep=(), unix=NOON)
        assert await seqs(records) == [3, 4, 1, 2]

    async def test_the_lock_that_waits_longest_goes_first_and_alone(self, records: Records) -> None:
        # By when it was taken, not by what the lock's clock says.
        await records.take(released(happened(NOON + 50), lock=BACK, taken_at=NOON + 100))
        await records.take(released(happened(NOON - 50), taken_at=NOON + 101))
        await records.take(released(happened(NOON + 51), lock=BACK, taken_at=NOON + 102))
        assert await seqs(records) == [1, 3]
        await records.settle("cloud", [(1, DONE)])
        assert await seqs(records) == [2]

    async def test_locks_can_be_left_out(self, records: Records) -> None:
        await records.take(released(happened(), lock=BACK))
        await records.take(released(happened(), taken_at=NOON + 101))
        front = await records.waiting("cloud", limit=9, skip={BACK})
        assert [one.seq for one in front] == [2]
        assert await records.waiting("cloud", limit=9, skip={BACK, FRONT}) == []

    # -- held too long

    async def test_what_was_held_too_long_is_released_late(self, records: Records) -> None:
        await records.take(told(happened(value=1), taken_at=NOON))
        await records.take(told(happened(value=2), taken_at=NOON + 10))
        assert await records.release_overdue(unix=NOON + 3600, held_for=3600) == 0
        assert await records.release_overdue(unix=NOON + 3605, held_for=3600) == 1
        assert await records.release_overdue(unix=NOON + 3605, held_for=3600) == 0
        first, second = await all_of(records, RecordQuery(after_seq=0))
        assert (first.released_at, first.late) == (NOON + 3605, True)
        assert (second.released_at, second.late) == (None, False)
        assert await seqs(records) == [1]
        await records.drained(FRONT, up_to=2, keep=(), unix=NOON + 3700)
        first, second = await all_of(records, RecordQuery(after_seq=0))
        assert (first.released_at, first.late) == (NOON + 3605, True)
        assert (second.released_at, second.late) == (NOON + 3700, False)

    async def test_what_was_taken_in_the_future_is_not_held_until_it_comes(
        self, records: Records
    ) -> None:
        await records.take(told(happened(value=1), taken_at=NOON + 60))
        await records.take(told(happened(value=2), taken_at=NOON + 61))
        assert await records.release_overdue(unix=NOON, held_for=3600) == 1
        assert await seqs(records) == [2]

    # -- the sink's word

    async def test_done_and_poison_end_the_waiting(self, records: Records) -> None:
        for value in range(4):
            await records.take(released(happened(NOON + value, value=value)))
        no_route = Receipt(kind=ReceiptKind.NO_ROUTE, code="1106")
        await records.settle("cloud", [(1, DONE), (2, POISON), (3, LATER), (4, no_route)])
        await records.settle("cloud", [(3, LATER)])
        assert await seqs(records) == [3, 4]
        stored = await all_of(records, RecordQuery(after_seq=0))
        assert [one.deliveries for one in stored] == [
            (Delivery(sink="cloud", state=Carriage.DONE),),
            (Delivery(sink="cloud", state=Carriage.PARKED, code="2008"),),
            (Delivery(sink="cloud", state=Carriage.WAITING, attempts=2, code="offline"),),
            (Delivery(sink="cloud", state=Carriage.WAITING, attempts=1, code="1106"),),
        ]

    async def test_what_does_not_wait_any_more_stays_as_it_is(self, records: Records) -> None:
        for value in (1, 2):
            await records.take(released(happened(value=value)))
        await records.settle("cloud", [(1, DONE), (2, POISON)])
        await records.settle("cloud", [(1, POISON), (2, DONE), (2, LATER), (77, DONE)])
        state = await state_of(records)
        assert (state.waiting, state.done, state.parked) == (0, 1, 1)

    async def test_sinks_do_not_wait_for_each_other(self, open_records: Open) -> None:
        records = open_records("cloud", "file")
        await records.take(released(happened()))
        await records.settle("file", [(1, DONE)])
        assert await seqs(records) == [1]
        assert await seqs(records, "file") == []

    async def test_a_new_sink_gets_what_is_taken_from_then_on(self, open_records: Open) -> None:
        await open_records("cloud").take(released(happened(value=1)))
        records = open_records("file")
        await records.take(released(happened(value=2)))
        assert await seqs(records, "file") == [2]
        assert await seqs(records) == [1]
        states = [(one.sink, one.waiting) for one in await records.sinks()]
        assert states == [("file", 1), ("cloud", 1)]

    # -- routes

    async def test_a_closed_route_is_known_and_its_records_wait(self, records: Records) -> None:
        await records.take(released(happened()))
        await records.close_route("cloud", FRONT, "1106", unix=NOON)
        await records.close_route("cloud", FRONT, "2009", unix=NOON + 1)
        await records.close_route("file", BACK, "gone", unix=NOON)
        assert await records.routes_closed("cloud") == {FRONT: "2009"}
        assert (await state_of(records)).routes_closed == {FRONT: "2009"}
        assert await seqs(records) == [1]
        await records.open_route("cloud", FRONT)
        await records.open_route("cloud", BACK)
        assert await records.routes_closed("cloud") == {}
        assert await records.routes_closed("file") == {BACK: "gone"}


class ShelfContract(RecordsContract):
    async def test_records_are_shown_newest_first_page_by_page(self, records: Records) -> None:
        # Two of one second, so that a page ends between them; ``seq`` breaks the tie.
        for number, seconds in enumerate((3, 1, 2, 2, 5)):
            await records.take(told(happened(NOON + seconds, value=number)))
        seen: list[int] = []
        before: tuple[float, int] | None = None
        while page := await all_of(records, RecordQuery(before=before, limit=2)):
            assert len(page) <= 2
            seen += [one.seq for one in page]
            before = (page[-1].at, page[-1].seq)
        assert seen == [5, 1, 4, 3, 2]

    async def test_what_comes_can_be_followed(self, records: Records) -> None:
        for value in range(4):
            await records.take(told(happened(NOON - value, value=value)))
        found = await all_of(records, RecordQuery(after_seq=1, limit=2))
        assert [one.seq for one in found] == [2, 3]
        assert await all_of(records, RecordQuery(after_seq=4)) == []

    async def test_records_are_found_by_lock_time_kind_and_state(self, records: Records) -> None:
        alarm = replace(happened(NOON + 2, value=9, dp=21), kind=RecordKind.ALARM)
        await records.take(released(happened(NOON + 1, value=1)))
        await records.take(released(alarm))
        await records.take(released(happened(NOON + 3, value=3), lock=BACK))
        await records.settle("cloud", [(1, DONE), (3, POISON)])
        for query, found in (
            (RecordQuery(lock=FRONT), [2, 1]),
            (RecordQuery(lock="cellar"), []),
            (RecordQuery(since=NOON + 2), [3, 2]),
            (RecordQuery(until=NOON + 2), [1]),
            (RecordQuery(since=NOON + 2, until=NOON + 3), [2]),
            (RecordQuery(kinds=(RecordKind.ALARM,)), [2]),
            (RecordQuery(kinds=(RecordKind.ALARM, RecordKind.FINGERPRINT)), [3, 2, 1]),
            (RecordQuery(state=Carriage.DONE), [1]),
            (RecordQuery(state=Carriage.WAITING), [2]),
            (RecordQuery(state=Carriage.PARKED), [3]),
            (RecordQuery(state=Carriage.DROPPED), []),
            (RecordQuery(lock=FRONT, kinds=(RecordKind.FINGERPRINT,), after_seq=0), [1]),
        ):
            assert [one.seq for one in await all_of(records, query)] == found, query

    async def test_one_record_is_found_by_its_name(self, records: Records) -> None:
        await records.take(told(happened()))
        (stored,) = await all_of(records)
        assert await records.record(stored.id) == stored
        assert await records.record("0" * 32) is None

    async def test_only_a_parked_one_waits_again_or_is_given_up(self, open_records: Open) -> None:
        records = open_records("cloud", "file", "hook")
        await records.take(released(happened()))
        name = (await all_of(records))[0].id
        assert await records.retry(name) == 0
        assert await records.drop(name) == 0
        await records.settle("hook", [(1, DONE)])
        for sink in ("cloud", "file"):
            await records.settle(sink, [(1, POISON)])
        assert await records.retry(name, sink="hook") == 0
        assert await records.retry(name, sink="cloud") == 1
        assert await seqs(records) == [1]
        assert await records.drop(name) == 1
        assert await records.retry(name) == 0
        assert await records.drop("0" * 32) == 0
        (stored,) = await all_of(records)
        assert {one.sink: (one.state, one.code) for one in stored.deliveries} == {
            "cloud": (Carriage.WAITING, "2008"),
            "file": (Carriage.DROPPED, "2008"),
            "hook": (Carriage.DONE, ""),
        }
        numbers = {
            one.sink: (one.waiting, one.done, one.parked, one.dropped)
            for one in await records.sinks()
        }
        assert numbers == {"cloud": (1, 0, 0, 0), "file": (0, 0, 0, 1), "hook": (0, 1, 0, 0)}

    async def test_a_sink_tells_how_much_waits_and_how_long(self, open_records: Open) -> None:
        records = open_records("cloud", "file")
        empty = SinkState(
            sink="cloud", waiting=0, held=0, done=0, parked=0, dropped=0, oldest_waiting=None,
            routes_closed={},
        )  # fmt: skip
        assert await records.sinks() == [empty, replace(empty, sink="file")]
        await records.take(released(happened(value=1), taken_at=NOON + 3))
        await records.take(told(happened(value=2), taken_at=NOON + 1))  # not released yet
        await records.take(released(happened(value=3), taken_at=NOON + 2))
        await records.settle("cloud", [(1, DONE)])
        assert await state_of(records) == replace(
            empty, waiting=2, held=1, done=1, oldest_waiting=NOON + 1
        )
        file = await state_of(records, "file")
        assert (file.waiting, file.held) == (3, 1)

    async def test_a_sink_that_was_taken_away_is_shown_while_something_is_left(
        self, open_records: Open
    ) -> None:
        records = open_records("cloud", "file")
        await records.take(released(happened(value=1)))
        await records.take(released(happened(value=2)))
        await records.settle("file", [(1, POISON), (2, POISON)])
        await records.settle("cloud", [(1, DONE), (2, DONE)])
        records = open_records()
        assert [(one.sink, one.configured) for one in await records.sinks()] == [("file", False)]
        for stored in await all_of(records):
            await records.drop(stored.id)
        assert await records.sinks() == []

    async def test_what_is_left_for_a_sink_that_is_gone_is_given_up(
        self, open_records: Open
    ) -> None:
        records = open_records("cloud", "file")
        for value in (1, 2, 3):
            await records.take(released(happened(value=value)))
        await records.take(told(happened(value=4)))  # held
        await records.settle("file", [(1, DONE), (2, POISON)])
        await records.settle("cloud", [(1, POISON)])
        for sink in ("cloud", "file"):
            await records.close_route(sink, FRONT, "1106", unix=NOON)
        assert await records.forget("file") == 0, "it is configured"
        assert await records.routes_closed("file") == {FRONT: "1106"}
        assert (await state_of(records, "file")).waiting == 2
        records = open_records("cloud")
        assert await records.forget("nobody") == 0
        assert await records.forget("file") == 3
        assert await records.forget("file") == 0
        assert [one.sink for one in await records.sinks()] == ["cloud"]
        cloud = await state_of(records)
        assert (cloud.waiting, cloud.parked, cloud.dropped) == (3, 1, 0)
        records = open_records("cloud", "file")  # and does not wait again
        file = await state_of(records, "file")
        assert (file.waiting, file.held, file.done, file.parked) == (0, 0, 1, 0)
        assert file.routes_closed == {}
        assert await records.routes_closed("cloud") == {FRONT: "1106"}
        assert file.dropped == 3


# -- on SQLite and in memory


class OnSqlite(RecordsContract):
    @pytest.fixture
    def open_records(self, tmp_path: Path) -> Iterator[Open]:
        vault = Vault({1: Secret(bytes(32))}, new_nonce=lambda: os.urandom(12))
        with ExitStack() as last:

            def open_one(*sinks: str, capacity: int = 100_000) -> Records:
                last.close()
                directory = last.enter_context(StateDirectory(tmp_path / "state"))
                store = SqliteStore(
                    directory, vault, boot_id="boot-1", sinks=sinks, capacity=capacity
                )
                return last.enter_context(store).records

            yield open_one


class InMemory(RecordsContract):
    @pytest.fixture
    def open_records(self, tmp_path: Path) -> Iterator[Open]:
        del tmp_path
        kept = MemoryRecords()

        def open_one(*sinks: str, capacity: int = 100_000) -> Records:
            kept.names, kept.capacity = sinks, capacity
            return kept

        yield open_one  # noqa: PT022 -- as the other one


class TestSqliteBook(OnSqlite, BookContract):
    pass


class TestMemoryBook(InMemory, BookContract):
    pass


class TestSqliteOutbox(OnSqlite, OutboxContract):
    pass


class TestMemoryOutbox(InMemory, OutboxContract):
    pass


class TestSqliteShelf(OnSqlite, ShelfContract):
    pass


class TestMemoryShelf(InMemory, ShelfContract):
    pass


# -- what only the one in memory can do


@pytest.mark.parametrize("name", ["take", "drained", "waiting", "settle"])
async def test_a_commit_can_fail_on_demand_and_changes_nothing(name: str) -> None:
    records = MemoryRecords(names=("cloud",))
    await records.take(released(happened(value=1)))
    before = await all_of(records)
    calls: dict[str, Callable[[], object]] = {
        "take": lambda: records.take(told(happened(value=2))),
        "drained": lambda: records.drained(FRONT, up_to=1, keep=(), unix=NOON),
        "waiting": lambda: records.waiting("cloud", limit=1, skip=()),
        "settle": lambda: records.settle("cloud", [(1, DONE)]),
    }
    setattr(records, f"{name}_fails", True)
    with pytest.raises(StoreError, match="the commit failed"):
        await calls[name]()  # type: ignore[misc]
    assert await all_of(records) == before


@pytest.mark.parametrize("name", ["take", "settle"])
async def test_a_commit_that_is_cancelled_while_it_stalls_has_not_happened(name: str) -> None:
    records = MemoryRecords(names=("cloud",))
    await records.take(released(happened(value=1)))
    setattr(records, f"{name}_takes", 3600.0)
    before = await all_of(records)
    with anyio.move_on_after(0):
        if name == "take":
            await records.take(told(happened(value=2)))
        else:
            await records.settle("cloud", [(1, DONE)])
    assert await all_of(records) == before
