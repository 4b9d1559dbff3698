"""Records on SQLite: killed at any line, a full disk, old files, other keys, nothing in clear."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bleagent.adapters.sqlite_store import (
    Adopted,
    SqliteStore,
    StateDirectory,
    database,
    record_book,
    record_keeping,
    record_rows,
    shelf,
)
from bleagent.errors import OutboxFull, StoreError, StoreFull, StoreTooNew
from bleagent.records.ports import Outbox, RecordBook, RecordShelf
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
    message_id,
)
from bleagent.records.report_parts import happenings_in, part_of, read_report
from bleagent.simulator.record_fakes import MemoryRecords
from bleagent.vault import Vault
from protocol import Datapoint, DpMap, DpType, Report, ReportTime, Secret
from protocol.dpmap import LockGeneration
from protocol.records import RecordKind
from tests.agent.old_reports import keep_report, old_reports
from tests.agent.records_child import FRONT, NOON, STEPS, do, open_records, report_of

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]
DPS = DpMap.default(LockGeneration.V3_3)
POISON = Receipt(kind=ReceiptKind.POISON, code="2008")
DAY = 86_400.0
ALL = RecordQuery(after_seq=0, limit=10_000)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextmanager
def opened(
    folder: Path,
    *sinks: str,
    key: bytes = bytes(32),
    records_pages: int | None = None,
    capacity: int = 100_000,
) -> Iterator[SqliteStore]:
    vault = Vault({1: Secret(key)}, new_nonce=lambda: os.urandom(12))
    with (
        StateDirectory(folder) as directory,
        SqliteStore(
            directory,
            vault,
            boot_id="boot-1",
            sinks=sinks,
            capacity=capacity,
            records_pages=records_pages,
        ) as store,
    ):
        yield store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(folder: Path) -> Iterator[SqliteStore]:
    with opened(folder, "cloud") as one:
        yield one


def changed(report: TakenReport, **changes: Any) -> TakenReport:
    return replace(report, **changes)


def dated(report: TakenReport, seconds: float, at: float) -> TakenReport:
    """As if the lock had written another time."""
    times = {"wire_time": str(int(seconds)), "lock_seconds": seconds, "at": at}
    return replace(report, happenings=tuple(replace(h, **times) for h in report.happenings))  # type: ignore[arg-type]


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


async def values(store: SqliteStore) -> list[int | None]:
    return [one.value for one in await store.records.records(ALL)]


async def test_what_was_lost_is_counted_in_so_many_rows_and_no_more(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_book, "MOST_GAPS", 3)
    await store.records.note_gap("back", unix=NOON, reason="cut")
    for _ in range(5):
        await store.records.note_gap(FRONT, unix=NOON, reason="cut")
    counts = await store.records.counts()
    assert (counts[FRONT].gaps, counts["back"].gaps) == (3, 1)


def test_it_gives_what_the_ports_ask_for(store: SqliteStore) -> None:
    def takes(_book: RecordBook, _outbox: Outbox, _shelf: RecordShelf) -> None:
        """Mypy checks this call."""

    takes(store.records, store.records, store.records)
    memory = MemoryRecords()
    takes(memory, memory, memory)


async def test_where_the_file_cannot_be_used_everything_says_so(folder: Path) -> None:
    with opened(folder):
        pass
    with closing(sqlite3.connect(folder / "records.db")) as connection:
        connection.execute("PRAGMA user_version=99")
    with opened(folder, "cloud") as store:
        records = store.records
        for attempt in (
            records.take(report_of(1)),
            records.last_seq(),
            records.drained(FRONT, up_to=1, keep=(), unix=NOON),
            records.waiting("cloud", limit=1, skip=()),
            records.settle("cloud", [(1, DONE)]),
            records.records(ALL),
            records.sinks(),
            records.adopt({}, {}),
            records.prune(NOON, DAY),
        ):
            with pytest.raises(StoreTooNew, match="found schema 99"):
                await attempt


# -- kill -9


def killed_at(folder: Path, point: str) -> None:
    with subprocess.Popen(  # noqa: S603 -- ourselves
        [sys.executable, "-m", "tests.agent.records_child", str(folder), point],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().decode().strip() == point
        process.kill()


async def seen(store: SqliteStore) -> list[object]:
    """Everything that is to be seen of the records."""
    return [
        await store.records.records(ALL),
        await store.records.sinks(),
        await store.records.counts(),
        await store.records.last_seq(),
        [one.seq for one in await store.records.waiting("cloud", limit=9, skip=())],
        await store.records._database.read(
            lambda connection: connection.execute(
                "SELECT count(*), (SELECT sum(may_return) FROM records) FROM reports"
            ).fetchall()
        ),
    ]


POINTS = [
    *(("after", name) for name in STEPS),
    *(("commit", name) for name in STEPS[:-1]),  # behind the last one nothing commits
]


@pytest.mark.parametrize(("kind", "name"), POINTS)
async def test_killed_at_any_point_a_step_is_done_whole_or_not_at_all(
    tmp_path: Path, kind: str, name: str
) -> None:
    number = STEPS.index(name) + 1
    with StateDirectory(tmp_path / "whole") as directory, open_records(directory) as store:
        for step in STEPS[:number]:
            await do(store, step)
        expected = await seen(store)
        for step in STEPS[number:]:
            await do(store, step)
        in_the_end = await seen(store)

    killed_at(tmp_path / "killed", f"{kind} {name}")
    with StateDirectory(tmp_path / "killed") as directory, open_records(directory) as store:
        assert store.damage == ()
        assert await seen(store) == expected
        for step in STEPS[number:]:
            await do(store, step)
        assert await seen(store) == in_the_end


async def test_a_report_that_is_taken_again_after_a_crash_makes_no_second_record(
    tmp_path: Path,
) -> None:
    """The commit was done, but nobody heard of it: the lock was never told to forget it."""
    killed_at(tmp_path / "killed", "after take")
    with StateDirectory(tmp_path / "killed") as directory, open_records(directory) as store:
        kept = await store.records.take(report_of(1, 2))
        assert (kept.records, kept.new) == ((1, 2), ())


# -- a full disk


async def test_on_a_full_disk_nothing_is_taken_by_halves_and_later_it_goes_on(
    folder: Path,
) -> None:
    with opened(folder):
        pass
    ((pages,),) = rows(folder / "records.db", "PRAGMA page_count")
    with opened(folder, "cloud", records_pages=int(pages) + 4) as store:
        taken, full = 0, False
        while not full and taken < 1000:
            try:
                await store.records.take(report_of(taken))
                taken += 1
            except StoreFull:
                full = True
        assert 5 < taken < 1000
        before = await seen(store)
        with pytest.raises(StoreFull):
            await store.records.take(report_of(*range(taken, taken + 60), proves=(1,)))
        assert await seen(store) == before
        assert (await store.records.take(report_of(0))).records == (1,)  # known: needs no room
        assert (await store.records.sinks())[0].waiting == taken
        await store.ledger.recover(unix=NOON)  # an unlock does not notice (H2)
    with opened(folder, "cloud") as store:
        assert (await store.records.take(report_of(taken))).new == (taken + 1,)
        assert await values(store) == list(range(taken + 1))


# -- quota


async def test_too_many_parked_ones_take_the_room_of_what_waits(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert record_rows.PARKED_QUOTA == 10_000
    monkeypatch.setattr(record_rows, "PARKED_QUOTA", 3)
    with opened(folder, "cloud", capacity=2) as store:
        for value in range(5):
            await store.records.take(changed(report_of(value), live=True, only_copy=True))
            await store.records.settle("cloud", [(value + 1, POISON)])
        with pytest.raises(OutboxFull, match="2 records wait for cloud"):
            await store.records.take(changed(report_of(5), live=True, only_copy=True))
        name = (await store.records.records(ALL))[0].id
        await store.records.drop(name)
        assert (await store.records.take(changed(report_of(5), live=True, only_copy=True))).new == (
            6,
        )


async def test_the_counts_are_what_the_rows_say(store: SqliteStore) -> None:
    for value in range(40):
        await store.records.take(changed(report_of(value), release=True))
    words = (DONE, POISON, Receipt(kind=ReceiptKind.LATER, code="x"))
    await store.records.settle("cloud", [(seq, words[seq % 3]) for seq in range(1, 30)])
    for one in (await store.records.records(ALL))[:10]:
        await (store.records.drop if one.seq % 2 else store.records.retry)(one.id)
    counted = await store.records._database.read(
        lambda connection: dict(
            connection.execute("SELECT state, count(*) FROM deliveries GROUP BY state").fetchall()
        )
    )
    (state,) = await store.records.sinks()
    told = {name: getattr(state, name) for name in ("waiting", "done", "parked", "dropped")}
    assert told == counted
    assert min(counted.values()) > 0


@pytest.mark.parametrize("few", [-1, 1000])
async def test_few_and_many_in_a_state_are_found_alike(
    folder: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(shelf, "FEW", few)
    with opened(folder, "cloud", "file") as store:
        for value in range(6):
            await store.records.take(changed(report_of(value), release=True))
        await store.records.settle("cloud", [(1, DONE), (2, DONE), (3, POISON)])
        await store.records.settle("file", [(2, DONE), (4, POISON)])
        found = {
            state: [one.seq for one in await store.records.records(replace(ALL, state=state))]
            for state in Carriage
        }
    assert found == {
        Carriage.WAITING: [1, 3, 4, 5, 6],
        Carriage.DONE: [1, 2],
        Carriage.PARKED: [3, 4],
        Carriage.DROPPED: [],
    }


# -- what an older agent left


@contextmanager
def older_schema(folder: Path) -> Iterator[None]:
    """The agent that stored reports, and did not read them."""
    scripts = folder / "schema"
    scripts.mkdir(parents=True)
    for path in database.SCHEMA.glob("*.sql"):
        if path.name == "records_0001.sql" or not path.name.startswith("records_"):
            shutil.copy(path, scripts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "SCHEMA", scripts)
        yield


def raw_report(*datapoints: Datapoint, time: ReportTime) -> bytes:
    report = Report(code=0x8003, datapoints=datapoints, time=time)
    return b"\x80\x03" + report.to_bytes()


async def old_file(folder: Path, reports: list[tuple[str, bytes]]) -> None:
    with older_schema(folder.parent / "older"), opened(folder) as store:
        for number, (lock, raw) in enumerate(reports):
            await keep_report(store, lock, raw, unix=NOON + number)
    assert rows(folder / "records.db", "PRAGMA user_version") == [(1,)]


async def test_what_an_older_agent_took_is_not_lost(folder: Path) -> None:
    noon = ReportTime.unix(int(NOON))
    opening, alarm = Datapoint.number(12, 7), Datapoint.enum(21, 10)
    first = raw_report(opening, alarm, time=noon)
    await old_file(
        folder,
        [
            (FRONT, first),
            (FRONT, raw_report(Datapoint(200, 77, b"new"), time=ReportTime.unix(40))),
            (FRONT, b"\x80\x03garbage"),
            ("sold-door", first),
            (FRONT, raw_report(time=noon)),
            (FRONT, raw_report(opening, time=ReportTime.text(int(NOON * 1000) + 5))),
        ],
    )
    with opened(folder, "cloud") as store:
        assert await store.records.records(ALL) == []
        adopted = await store.records.adopt({FRONT: "device"}, {FRONT: DPS})
        assert adopted == Adopted(records=4, left=3)
        found = await store.records.records(ALL)
        assert [
            (one.kind, one.value, one.at, one.quality, one.wire_time, one.type) for one in found
        ] == [
            (RecordKind.FINGERPRINT, 7, NOON, TimeQuality.LOCK, "1795348800", DpType.VALUE),
            (RecordKind.ALARM, 10, NOON, TimeQuality.LOCK, "1795348800", DpType.ENUM),
            (RecordKind.UNKNOWN, None, NOON + 1, TimeQuality.UNKNOWN, "40", DpType.RAW),
            (RecordKind.FINGERPRINT, 7, NOON + 0.005, TimeQuality.LOCK, "1795348800005",
             DpType.VALUE),
        ]  # fmt: skip
        assert found[2].data == Secret(b"new")
        assert {(one.live, one.late, one.released_at is None) for one in found} == {
            (True, True, False)
        }
        assert [one.seq for one in await store.records.waiting("cloud", limit=9, skip=())] == [
            1, 2, 4, 3,
        ]  # fmt: skip
        assert (await store.records.counts())[FRONT].taken == 4
        # Once; and a lock that is configured again gets its own.
        again = await store.records.adopt({FRONT: "device"}, {FRONT: DPS})
        assert again == Adopted(records=0, left=3)
        sold = await store.records.adopt({"sold-door": "d"}, {"sold-door": DPS})
        assert sold == Adopted(records=2, left=2)
        # The lock may bring it once more: it is the same then.
        kept = await store.records.take(
            changed(report_of(7), happenings=(replace(report_of(7).happenings[0]),))
        )
        assert (kept.records, kept.new) == ((1,), ())
        assert len(await old_reports(store, FRONT)) == 5, "nothing was thrown away"


async def test_many_old_reports_are_taken_over_batch_by_batch(folder: Path) -> None:
    time = ReportTime.unix(int(NOON))
    number = record_keeping.ADOPTED_AT_ONCE * 2 + 1
    raws = [raw_report(Datapoint.number(12, value), time=time) for value in range(number)]
    await old_file(folder, [(FRONT, raw) for raw in raws])
    with opened(folder, "cloud", capacity=5) as store:
        adopted = await store.records.adopt({FRONT: "device"}, {FRONT: DPS})
        assert adopted == Adopted(records=number, left=0)
        assert await values(store) == list(range(number))


def test_old_reports_are_read_as_those_that_are_taken_now() -> None:
    ours = report_of(7)
    assert happenings_in(ours.raw, DPS, taken_at=NOON + 10) == ours.happenings


@pytest.mark.parametrize(
    "raw", [b"", b"\x80", b"\x80\x01\x0c\x02\x00", b"\x80\x03", b"\x80\x03\x07"]
)
def test_what_is_no_timed_report_is_refused_without_its_bytes(raw: bytes) -> None:
    with pytest.raises(StoreError) as caught:
        read_report(Secret(raw))
    assert "0c" not in str(caught.value)


@pytest.mark.parametrize("part", [-1, 2])
def test_a_datapoint_that_is_not_there_is_refused(part: int) -> None:
    with pytest.raises(StoreError, match="2 datapoints"):
        part_of(report_of(1, 2).raw, part)


# -- secrets at rest

CANARY = b"CANARY-PIN-1234567"


def secret_report() -> TakenReport:
    happening = Happening(
        dp=67,
        type=DpType.RAW,
        kind=RecordKind.OFFLINE_PASSWORD,
        value=None,
        data=Secret(CANARY),
        wire_time=str(int(NOON)),
        lock_seconds=NOON,
        at=NOON,
        quality=TimeQuality.LOCK,
    )
    raw = raw_report(Datapoint.raw(67, CANARY), time=ReportTime.unix(int(NOON)))
    return changed(report_of(), happenings=(happening,), raw=Secret(raw), release=True)


async def test_no_value_of_a_raw_datapoint_is_in_any_file_in_clear(folder: Path) -> None:
    def contents() -> bytes:
        return b"".join(path.read_bytes() for path in folder.iterdir())

    with opened(folder, "cloud") as store:
        await store.records.take(secret_report())
        (stored,) = await store.records.waiting("cloud", limit=1, skip=())
        assert stored.data == Secret(CANARY)
        assert "CANARY" not in repr(stored)
        found = contents()
    found += contents()
    assert stored.id.encode() in found  # the search would find something
    for form in (CANARY, CANARY.hex().encode(), CANARY.hex().upper().encode()):
        assert form not in found


async def test_records_are_read_under_a_new_key(folder: Path) -> None:
    from tests.agent.test_vault_rotation import opened as under  # noqa: PLC0415

    with under(folder, "a") as store:
        for report in (secret_report(), report_of(3)):
            await store.records.take(report)
        before = await store.records.records(ALL)
    with under(folder, "b", "a") as store:
        assert await store.records.records(ALL) == before
        assert await store.seal_reports_anew() == 2
        assert await store.records.records(ALL) == before
    with under(folder, "b") as store:
        assert await store.records.records(ALL) == before
        assert store.records.unopened == 0


async def test_a_report_that_does_not_open_hides_and_stops_nothing_else(folder: Path) -> None:
    with opened(folder, "cloud", key=b"a" * 32) as store:
        for value in (1, 2, 3):
            await store.records.take(changed(report_of(value), release=True))
    with opened(folder, "cloud", key=b"b" * 32) as store:
        assert await store.records.waiting("cloud", limit=1, skip=()) == []
        assert store.records.unopened == 3
        report = changed(report_of(4), release=True, taken_at=NOON + 50)
        await store.records.take(report)
        await store.records.take(changed(report, lock="back-door", taken_at=NOON + 60))
        # As many in front of it as a page has, and a lock of which nothing opens.
        for limit in (1, 2, 3):
            found = await store.records.waiting("cloud", limit=limit, skip=())
            assert [one.value for one in found] == [4]
        found = await store.records.waiting("cloud", limit=9, skip=())
        assert [(one.lock, one.value) for one in found] == [(FRONT, 4)]
        await store.records.settle("cloud", [(4, DONE)])
        found = await store.records.waiting("cloud", limit=9, skip=())
        assert [one.lock for one in found] == ["back-door"]
        shown = await store.records.records(ALL)
        assert [(one.value, len(one.data)) for one in shown] == [
            (1, 0), (2, 0), (3, 0), (4, 4), (4, 4),
        ]  # fmt: skip
        one = await store.records.record(shown[0].id)
        assert one == shown[0]
        assert (await store.records.sinks())[0].waiting == 4, "it still waits"
        assert store.records.unopened == 3
        # The same again is still known, though it cannot be read.
        assert (await store.records.take(report_of(1))).records == (1,)


# -- retention


async def test_what_was_carried_is_deleted_when_its_time_has_come(
    store: SqliteStore, folder: Path
) -> None:
    async def take(report: TakenReport) -> int:
        kept = await store.records.take(changed(report, release=True, may_match=False))
        return kept.new[0]

    gone = changed(report_of(1), may_return=False)
    done, dropped, waits, parked, returns, relative, young = [
        await take(report)
        for report in (
            gone,
            changed(report_of(2), may_return=False),
            changed(report_of(3), may_return=False),
            changed(report_of(4), may_return=False),
            report_of(5),
            changed(dated(report_of(6), 40.0, NOON), may_return=False),
            changed(report_of(7), may_return=False, taken_at=NOON + 2 * DAY),
        )
    ]
    words = [(seq, DONE) for seq in (done, returns, relative, young)]
    await store.records.settle("cloud", [*words, (dropped, POISON), (parked, POISON)])
    await store.records.drop((await store.records.records(ALL))[dropped - 1].id)
    assert await store.records.prune(NOON + 10 + DAY, DAY) == 0, "not yet"
    assert await store.records.prune(NOON + 11 + DAY, DAY) == 2
    left = [one.seq for one in await store.records.records(ALL)]
    assert left == [waits, parked, returns, relative, young]
    assert len(await old_reports(store, FRONT)) == 5
    assert rows(folder / "records.db", "SELECT count(*) FROM deliveries") == [(5,)]
    assert await store.records.last_seq() == 7, "no number is given twice"
    (state,) = await store.records.sinks()
    assert (state.waiting, state.done, state.parked, state.dropped) == (1, 4, 1, 1)
    assert await store.records.prune(NOON + 365 * DAY, DAY) == 1  # the young one


async def test_a_report_goes_with_its_last_record(store: SqliteStore) -> None:
    await store.records.take(changed(report_of(1, 2), release=True, may_return=False))
    await store.records.settle("cloud", [(1, DONE)])
    assert await store.records.prune(NOON + 9 * DAY, DAY) == 1
    (left,) = await store.records.records(ALL)
    assert (left.value, left.data) == (2, Secret(bytes((0, 0, 0, 2))))
    await store.records.settle("cloud", [(2, DONE)])
    assert await store.records.prune(NOON + 9 * DAY, DAY) == 1
    assert await old_reports(store, FRONT) == []


async def test_without_a_sink_records_are_kept_for_their_time(folder: Path) -> None:
    with opened(folder) as store:
        await store.records.take(changed(report_of(1), release=True, may_return=False))
        assert await store.records.prune(NOON + DAY, DAY) == 0
        assert await store.records.prune(NOON + 2 * DAY, DAY) == 1


async def test_no_identity_is_given_twice_when_an_equal_one_was_deleted(
    store: SqliteStore,
) -> None:
    for _ in range(2):
        await store.records.take(
            changed(report_of(1), release=True, may_return=False, may_match=False)
        )
    await store.records.settle("cloud", [(1, DONE)])
    assert await store.records.prune(NOON + 9 * DAY, DAY) == 1
    await store.records.take(changed(report_of(1), may_match=False))
    (happening,) = report_of(1).happenings
    ids = [one.id for one in await store.records.records(ALL)]
    assert ids == [message_id("device", happening, ordinal) for ordinal in (1, 2)]


async def test_records_are_looked_at_batch_by_batch(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_keeping, "LOOKED_AT_ONCE", 4)
    for value in range(11):
        await store.records.take(changed(report_of(value), release=True, may_return=False))
    await store.records.settle("cloud", [(seq, DONE) for seq in range(1, 12) if seq != 6])
    assert await store.records.prune(NOON + 9 * DAY, DAY) == 10
    assert await values(store) == [5]


# -- speed, in steps of SQLite's machine rather than in seconds


async def steps_of(store: SqliteStore, call: Callable[[], Any]) -> int:
    """How many hundreds of instructions a call costs."""
    counted = 0

    def tick() -> int:
        nonlocal counted
        counted += 1
        return 0

    connection = store._records._connection
    connection.set_progress_handler(tick, 100)
    try:
        await call()
    finally:
        connection.set_progress_handler(None, 0)
    return counted


async def test_however_many_wait_the_next_ones_are_found_at_once(
    store: SqliteStore,
) -> None:
    records = store.records
    store._records._connection.execute("PRAGMA synchronous=OFF")  # a test of the search only

    async def fill(first: int, last: int) -> None:
        for value in range(first, last):
            await records.take(
                changed(report_of(value), lock=f"door-{value % 10}", release=True, may_match=True)
            )

    async def cost(value: int) -> dict[str, int]:
        taken = changed(report_of(value), lock="door-1")
        return {
            "waiting": await steps_of(store, lambda: records.waiting("cloud", limit=5, skip=())),
            "skip": await steps_of(
                store,
                lambda: records.waiting("cloud", limit=5, skip=[f"door-{n}" for n in range(9)]),
            ),
            "take": await steps_of(store, lambda: records.take(taken)),
            "sinks": await steps_of(store, records.sinks),
            "page": await steps_of(store, lambda: records.records(RecordQuery(limit=5))),
            "parked": await steps_of(
                store, lambda: records.records(RecordQuery(state=Carriage.PARKED))
            ),
            "settle": await steps_of(store, lambda: records.settle("cloud", [(1, POISON)])),
        }

    await fill(0, 100)
    few = await cost(10_001)
    await fill(100, 1600)
    many = await cost(10_002)
    assert {name: steps for name, steps in many.items() if steps > 2 * few[name] + 2} == {}


# -- against the one in memory


class SameAsInMemory(RuleBasedStateMachine):
    """Any order of calls, restarts among them: both keepers tell the same all the time."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(TemporaryDirectory()))
        self._directory = self._stack.enter_context(StateDirectory(folder))
        self._memory = MemoryRecords(names=("cloud", "file"), capacity=20)
        self._now = NOON
        self._store = self._open()

    def _open(self) -> SqliteStore:
        vault = Vault({1: Secret(bytes(32))}, new_nonce=lambda: os.urandom(12))
        return SqliteStore(
            self._directory, vault, boot_id="b", sinks=self._memory.names, capacity=20
        )

    def _both(self, name: str, *args: object, **named: object) -> object:
        self._now += 1

        async def call(records: object) -> object:
            try:
                return await getattr(records, name)(*args, **named)
            except OutboxFull:
                return "full"

        on_disk, in_memory = anyio.run(call, self._store.records), anyio.run(call, self._memory)
        assert on_disk == in_memory
        return on_disk

    locks = st.sampled_from(["front-door", "back-door"])
    sinks = st.sampled_from(["cloud", "file"])
    numbers = st.integers(1, 30)
    words = st.sampled_from(
        [DONE, POISON, *(Receipt(kind=kind, code="x") for kind in ReceiptKind if kind != "done")]
    )

    @rule(
        lock=locks,
        values=st.lists(st.integers(1, 2), max_size=3),
        second=st.sampled_from([0, 1, 2, 3, 40]),
        flags=st.tuples(*[st.booleans()] * 4),
        proves=st.lists(numbers, max_size=2),
    )
    def take(
        self,
        lock: str,
        values: list[int],
        second: int,
        flags: tuple[bool, bool, bool, bool],
        proves: list[int],
    ) -> None:
        live, may_match, may_return, release = flags
        report = changed(
            report_of(*values), lock=lock, device_id=lock, taken_at=self._now, live=live,
            may_match=may_match, may_return=may_return, release=release, proves=tuple(proves),
        )  # fmt: skip
        seconds = 40.0 if second == 40 else NOON + second
        self._both("take", dated(report, seconds, NOON + second % 40))

    @rule(lock=locks, up_to=numbers, keep=st.sets(numbers, max_size=3))
    def drained(self, lock: str, up_to: int, keep: set[int]) -> None:
        self._both("drained", lock, up_to=up_to, keep=keep, unix=self._now)

    @rule(held_for=st.sampled_from([1.0, 5.0, 20.0]))
    def release_overdue(self, held_for: float) -> None:
        self._both("release_overdue", unix=self._now, held_for=held_for)

    @rule(sink=sinks, words=st.lists(st.tuples(numbers, words), max_size=4))
    def settle(self, sink: str, words: list[tuple[int, Receipt]]) -> None:
        self._both("settle", sink, words)

    @rule(sink=sinks, words=words, limit=st.integers(1, 3))
    def carry(self, sink: str, words: Receipt, limit: int) -> None:
        found = self._both("waiting", sink, limit=limit, skip=())
        assert isinstance(found, list)
        self._both("settle", sink, [(one.seq, words) for one in found])

    @rule(name=st.sampled_from(["retry", "drop"]), number=numbers, sink=st.none() | sinks)
    def decide(self, name: str, number: int, sink: str | None) -> None:
        found = self._both("records", RecordQuery(after_seq=number - 1, limit=1))
        assert isinstance(found, list)
        for one in found:
            self._both(name, one.id, sink=sink)

    @rule(sink=sinks, lock=locks, close=st.booleans())
    def route(self, sink: str, lock: str, close: bool) -> None:
        if close:
            self._both("close_route", sink, lock, "1106", unix=self._now)
        else:
            self._both("open_route", sink, lock)

    @rule(names=st.sampled_from([("cloud", "file"), ("file",), ("cloud",)]))
    def restart(self, names: tuple[str, ...]) -> None:
        self._store.close()
        self._memory.names = names
        self._store = self._open()

    @invariant()
    def both_tell_the_same(self) -> None:
        for name in ("sinks", "counts", "last_seq"):
            self._both(name)
        found = self._both("records", ALL)
        assert isinstance(found, list)
        assert len({one.id for one in found}) == len(found)
        for sink in ("cloud", "file"):
            waiting = self._both("waiting", sink, limit=3, skip=())
            assert isinstance(waiting, list)
            assert ascending(waiting)

    def teardown(self) -> None:
        self._store.close()
        self._stack.close()


def ascending(records: list[StoredRecord]) -> bool:
    return [one.at for one in records] == sorted(one.at for one in records)


TestSameAsInMemory = SameAsInMemory.TestCase
TestSameAsInMemory.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
