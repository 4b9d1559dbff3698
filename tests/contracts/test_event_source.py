"""What every source of events promises: numbers that survive, each event once, in order.

Events are what a ledger and a book of records commit anyway; opening anew is what a restart does.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from bleagent.adapters.sqlite_store import SqliteStore, StateDirectory, database
from bleagent.errors import StoreError
from bleagent.events import EventSource, Mark, OperationEvent
from bleagent.model import Ending, Outcome
from bleagent.ports import Ledger
from bleagent.records.ports import RecordBook
from bleagent.records.record import StoredRecord
from bleagent.simulator.event_fakes import MemoryEvents, events_of_ledger, events_of_records
from bleagent.simulator.fakes import MemoryLedger
from bleagent.simulator.record_fakes import MemoryRecords
from bleagent.vault import Vault
from protocol import Secret

from .test_ledger import CONFIRMED, NOON, UNREACHED, asked
from .test_record_book import happened, told

pytestmark = pytest.mark.anyio
BOLT = {"dp": 47, "value": True}
DOOR = {"dp": 48, "value": False}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True)
class Kept:
    """What tells events, and the events that it tells."""

    ledger: Ledger
    book: RecordBook
    operations: EventSource[OperationEvent]
    records: EventSource[StoredRecord]


Open = Callable[[], Kept]


async def finish(ledger: Ledger, operation: str, ending: Ending = CONFIRMED) -> None:
    await ledger.begin(asked(operation, key=operation, lock=f"door-of-{operation}"), unix=NOON)
    if ending.outcome is Outcome.CONFIRMED:
        await ledger.sending(operation, sn=7)
    await ledger.finish(operation, ending, unix=NOON + 2)


def lines(events: list[OperationEvent]) -> list[tuple[str, object]]:
    return [(one.record.id, one.evidence) for one in events]


class SourceContract:
    """Subclass it and give a fixture ``open_kept``: it closes what was open, opens it anew."""

    @pytest.fixture
    def open_kept(self, tmp_path: Path) -> Iterator[Open]:
        raise NotImplementedError

    @pytest.fixture
    def kept(self, open_kept: Open) -> Kept:
        return open_kept()

    async def test_before_the_first_there_is_a_name_and_no_event(self, kept: Kept) -> None:
        for source in (kept.operations, kept.records):
            newest = await source.newest()
            assert (len(newest.source), newest.seq) == (8, 0)
            assert await source.after(0, limit=9) == []
            assert await source.gone(0) == 0

    async def test_operations_come_in_the_order_in_which_they_ended(self, kept: Kept) -> None:
        await kept.ledger.begin(asked("op-1", key="1", lock="slow"), unix=NOON)
        await finish(kept.ledger, "op-2", UNREACHED)
        await kept.ledger.finish("op-1", UNREACHED, unix=NOON - 3600)  # the date was set back
        events = await kept.operations.after(0, limit=9)
        assert [one.seq for one in events] == [1, 2]
        assert lines(list(events)) == [("op-2", None), ("op-1", None)]
        assert (await kept.operations.newest()).seq == 2

    async def test_one_that_has_not_ended_is_no_event(self, kept: Kept) -> None:
        await kept.ledger.begin(asked(), unix=NOON)
        await kept.ledger.sending("op-1", sn=5)
        assert await kept.operations.after(0, limit=9) == []

    async def test_each_event_is_told_as_it_was_then(self, kept: Kept) -> None:
        await finish(kept.ledger, "op-1")
        for evidence in (BOLT, DOOR):
            await kept.ledger.add_evidence("op-1", evidence)
        events = await kept.operations.after(0, limit=9)
        assert lines(list(events)) == [("op-1", None), ("op-1", BOLT), ("op-1", DOOR)]
        own = CONFIRMED.evidence
        endings = [one.record.ending for one in events]
        assert [one and one.evidence for one in endings] == [
            own, (*own, BOLT), (*own, BOLT, DOOR)
        ]  # fmt: skip
        assert endings[0] == CONFIRMED

    async def test_a_refused_commit_is_no_event(self, kept: Kept) -> None:
        await finish(kept.ledger, "op-1", UNREACHED)
        with pytest.raises(StoreError):
            await kept.ledger.finish("op-1", UNREACHED, unix=NOON)
        assert await kept.ledger.add_evidence("op-2", BOLT) is None
        assert (await kept.operations.newest()).seq == 1

    async def test_one_goes_on_from_a_number_as_far_as_one_likes(self, kept: Kept) -> None:
        for number in range(5):
            await finish(kept.ledger, f"op-{number}", UNREACHED)
        seen = await kept.operations.after(1, limit=2)
        assert [(one.seq, one.record.id) for one in seen] == [(2, "op-1"), (3, "op-2")]
        assert [one.seq for one in await kept.operations.after(3, limit=9)] == [4, 5]
        assert await kept.operations.after(5, limit=9) == []
        assert await kept.operations.gone(0) == 0

    async def test_a_restart_changes_neither_name_nor_numbers(self, open_kept: Open) -> None:
        before = open_kept()
        await finish(before.ledger, "op-1", UNREACHED)
        await before.book.take(told(happened()))
        marks = [await one.newest() for one in (before.operations, before.records)]
        seen = [list(await one.after(0, limit=9)) for one in (before.operations, before.records)]
        after = open_kept()
        assert [await one.newest() for one in (after.operations, after.records)] == marks
        again = [list(await one.after(0, limit=9)) for one in (after.operations, after.records)]
        assert again == seen
        await finish(after.ledger, "op-2", UNREACHED)
        assert [one.seq for one in await after.operations.after(1, limit=9)] == [2]

    async def test_what_a_crash_left_open_is_an_event_of_the_restart(self, open_kept: Open) -> None:
        await open_kept().ledger.begin(asked(), unix=NOON)
        after = open_kept()
        await after.ledger.recover(unix=NOON + 60)
        (event,) = await after.operations.after(0, limit=9)
        assert (event.record.id, event.evidence) == ("op-1", None)
        assert event.record.ending is not None

    async def test_records_come_as_they_were_taken_each_once(self, kept: Kept) -> None:
        await kept.book.take(told(happened(NOON + 9, 1)))
        await kept.book.take(told(happened(NOON, 2)))
        await kept.book.take(told(happened(NOON, 2)))  # once more: known
        events = await kept.records.after(0, limit=9)
        assert [(one.seq, one.value) for one in events] == [(1, 1), (2, 2)]
        assert [one.seq for one in await kept.records.after(1, limit=1)] == [2]
        assert await kept.records.newest() == Mark((await kept.records.newest()).source, 2)


class TestSqliteEvents(SourceContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[Callable[[], SqliteStore]]:
        vault = Vault({1: Secret(bytes(32))}, new_nonce=lambda: bytes(12))
        with ExitStack() as last:

            def open_one() -> SqliteStore:
                last.close()
                directory = last.enter_context(StateDirectory(tmp_path / "state"))
                return last.enter_context(SqliteStore(directory, vault, boot_id="boot"))

            yield open_one

    @pytest.fixture
    def open_kept(self, open_store: Callable[[], SqliteStore]) -> Open:
        def open_one() -> Kept:
            store = open_store()
            return Kept(store.ledger, store.records, store.operation_events, store.record_events)

        return open_one

    async def test_what_was_forgotten_is_counted(
        self, open_store: Callable[[], SqliteStore]
    ) -> None:
        store = open_store()
        for number in range(3):
            await finish(store.ledger, f"op-{number}", UNREACHED)
        store._operations.at_start(
            lambda connection: connection.executescript(
                "DELETE FROM idempotency WHERE operation < 3;"
                "UPDATE operations SET lock = 'one';"  # the newest of a lock stays
            ).close()
        )
        await store.ledger.prune(trusted_unix=NOON)
        events = store.operation_events
        assert [one.seq for one in await events.after(0, limit=9)] == [3]
        assert [await events.gone(seq) for seq in (0, 1, 2, 3)] == [2, 1, 0, 0]
        assert (await events.newest()).seq == 3

    async def test_records_that_were_deleted_are_counted(
        self, open_store: Callable[[], SqliteStore]
    ) -> None:
        store = open_store()
        await store.records.take(told(happened(NOON, 1), may_return=False, release=True))
        await store.records.take(told(happened(NOON, 2)))
        assert await store.records.prune(NOON + 1000, 10.0) == 1
        assert [await store.record_events.gone(seq) for seq in (0, 1, 2)] == [1, 0, 0]

    async def test_what_an_older_agent_left_open_is_the_first_event(
        self, open_store: Callable[[], SqliteStore], tmp_path: Path
    ) -> None:
        (scripts := tmp_path / "schema").mkdir()
        for path in database.SCHEMA.glob("*.sql"):
            if path.name not in ("operations_0005.sql", "records_0003.sql"):
                shutil.copy(path, scripts)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(database, "SCHEMA", scripts)
            await open_store().ledger.begin(asked(), unix=NOON)
        store = open_store()
        for source in (store.operation_events, store.record_events):
            assert (await source.newest()).seq == 0
        await store.ledger.recover(unix=NOON)
        (event,) = await store.operation_events.after(0, limit=9)
        assert event.record.id == "op-1"

    async def test_another_file_has_another_name(self, tmp_path: Path) -> None:
        names = set()
        vault = Vault({1: Secret(bytes(32))}, new_nonce=lambda: bytes(12))
        for number in range(2):
            with (
                StateDirectory(tmp_path / str(number)) as directory,
                SqliteStore(directory, vault) as store,
            ):
                for source in (store.operation_events, store.record_events):
                    names.add((await source.newest()).source)
        assert len(names) == 4

    async def test_who_looks_keeps_no_commit_waiting(
        self, open_store: Callable[[], SqliteStore]
    ) -> None:
        # The other way round, a commit that takes long keeps nobody from looking.
        store = open_store()
        await finish(store.ledger, "op-1", UNREACHED)
        await store.operation_events.newest()
        reader = store.operation_events._database
        async with reader._one_at_a_time:  # somebody reads, and does not come to an end
            with anyio.fail_after(5):
                await finish(store.ledger, "op-2", UNREACHED)
        async with store._operations._one_at_a_time:
            with anyio.fail_after(5):
                assert len(await store.operation_events.after(0, limit=9)) == 2

    async def test_a_reader_writes_nothing(self, open_store: Callable[[], SqliteStore]) -> None:
        store = open_store()
        with pytest.raises(StoreError, match="readonly"):
            await store.operation_events._database.execute("DELETE FROM operations")


class TestMemoryEvents(SourceContract):
    @pytest.fixture
    def open_kept(self) -> Open:
        ledger, book = MemoryLedger(), MemoryRecords()
        return lambda: Kept(ledger, book, events_of_ledger(ledger), events_of_records(book))

    async def test_what_was_forgotten_is_counted(self) -> None:
        ledger = MemoryLedger()
        events: MemoryEvents[OperationEvent] = events_of_ledger(ledger)
        for number in range(3):
            await finish(ledger, f"op-{number}", UNREACHED)
        events.forgotten |= {1, 2}
        assert [one.seq for one in await events.after(0, limit=9)] == [3]
        assert [await events.gone(seq) for seq in (0, 1, 2, 3)] == [2, 1, 0, 0]
