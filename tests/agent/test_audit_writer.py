"""Who writes the audit: no door waits for it, and what is lost is counted (safety H2, H3)."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from bleagent.adapters.sqlite_store import SqliteStore, StateDirectory
from bleagent.audit.audited import AuditedBook, AuditedDoors, key_hash
from bleagent.audit.chain import AuditRow, Head
from bleagent.audit.writer import HEAD_EVERY, LONGEST_RETRY, AuditWriter
from bleagent.doors import Doors
from bleagent.errors import AgentError, StoreError, StoreFull
from bleagent.model import Outcome
from bleagent.simulator import virtual_time
from bleagent.simulator.fakes import LoopClock
from bleagent.vault import NamedKey, VaultKeys
from protocol import Secret
from tests.agent.audit_site import NOON, VAULT_KEY, AuditSite, a_vault, some_rows
from tests.agent.world import DOOR, World, rehearse


class Book:
    """Keeps rows in memory; stalls or fails as it is told."""

    def __init__(self) -> None:
        self.rows: list[AuditRow] = []
        self.error: Exception | None = None
        self.open = anyio.Event()
        self.open.set()
        self.tries = 0

    async def append(self, rows: Sequence[AuditRow]) -> Head:
        self.tries += 1
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.rows += rows
        return Head(chain="00", number=len(self.rows), digest=bytes(32), mac=bytes(32))

    @property
    def events(self) -> list[str]:
        return [row.event for row in self.rows]


Story = Callable[[AuditWriter, Book], Awaitable[None]]


def written(story: Story, *, most: int = 10) -> None:
    async def main() -> None:
        book = Book()
        writer = AuditWriter(book, LoopClock(), most=most)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(writer.run)
            await story(writer, book)
            tasks.cancel_scope.cancel()

    virtual_time.run(main)


def anchors(logged: Sequence[Any]) -> list[int]:
    return [line["number"] for line in logged if line["event"] == "audit.head"]


# -- the writer


def test_what_finds_no_room_is_counted_where_it_is_missing() -> None:
    async def story(writer: AuditWriter, book: Book) -> None:
        book.open = anyio.Event()
        for number in range(25):
            writer.tell(f"row-{number}")
        book.open.set()
        await anyio.sleep(1)
        writer.tell("after")
        await writer.settled()
        assert book.events == [*[f"row-{number}" for number in range(10)], "audit.lost", "after"]
        assert book.rows[10].detail == {"rows": 15}

    written(story)


def test_a_disk_that_fails_is_tried_again_ever_less_often_and_told_once() -> None:
    async def story(writer: AuditWriter, book: Book) -> None:
        book.error = StoreFull("audit.db: full")
        with capture_logs() as logged:
            writer.tell("one")
            await writer.settled()
            assert str(writer.wrong) == "store-full"
            await anyio.sleep(300)
            assert book.tries < 12
            book.error = None
            await anyio.sleep(LONGEST_RETRY)
        assert (writer.wrong, book.events) == (None, ["one"])
        told = [line["event"] for line in logged if line["event"] != "audit.head"]
        assert told == ["audit.not_kept", "audit.kept_again"]

    written(story)


def test_a_row_that_nobody_can_write_is_dropped_and_counted_and_no_message_is_logged() -> None:
    async def story(writer: AuditWriter, book: Book) -> None:
        book.error = ValueError("CANARY-secret")
        with capture_logs() as logged:
            writer.tell("poison")
            await writer.settled()
        assert "CANARY" not in str(logged)
        book.error = None
        writer.tell("after")
        await anyio.sleep(2)
        assert book.events == ["audit.lost", "after"]

    written(story)


def test_the_end_of_the_chain_is_told_after_an_operation_and_each_five_minutes_of_change() -> None:
    async def story(writer: AuditWriter, book: Book) -> None:
        with capture_logs() as logged:
            writer.tell("operation.finished")
            await anyio.sleep(1)
            assert anchors(logged) == [1]
            writer.tell("token.created")
            await anyio.sleep(HEAD_EVERY - 2)
            assert anchors(logged) == [1]
            await anyio.sleep(2)
            assert anchors(logged) == [1, 2]
            await anyio.sleep(3 * HEAD_EVERY)
            assert anchors(logged) == [1, 2], "nothing has changed"
            await writer.stop()
            assert anchors(logged) == [1, 2, 3]
        assert book.events[-1] == "agent.stopped"

    written(story)


def test_a_stalled_disk_does_not_hold_up_the_end() -> None:
    async def story(writer: AuditWriter, book: Book) -> None:
        book.open = anyio.Event()
        began = anyio.current_time()
        await writer.stop()
        assert anyio.current_time() - began < 3
        book.open.set()

    written(story)


# -- before the doors


def audited(world: World, writer: AuditWriter) -> None:
    doors = world.doors
    world.doors = Doors(
        doors._doors, doors._ports, doors._supervisor, world.tasks, AuditedDoors(writer)
    )  # fmt: skip
    world.build(book=AuditedBook(writer, world.book))


async def stalled(book: Book) -> None:
    book.open = anyio.Event()


async def failing(book: Book) -> None:
    book.error = StoreError("audit.db: disk I/O error")


async def at_fault(book: Book) -> None:
    book.error = RuntimeError("ours")


async def sound(book: Book) -> None:
    pass


@pytest.mark.parametrize("spoil", [sound, stalled, failing, at_fault])
def test_no_unlock_waits_for_the_audits_disk(spoil: Callable[[Book], Awaitable[None]]) -> None:
    took = dict[bool, list[float]]()

    def opened(*, with_audit: bool) -> None:
        async def story(world: World) -> None:
            book = Book()
            writer = AuditWriter(book, world.clock, most=3)
            async with anyio.create_task_group() as tasks:
                if with_audit:
                    audited(world, writer)
                    tasks.start_soon(writer.run)
                    await spoil(book)
                times = []
                for number in range(6):
                    began = anyio.current_time()
                    record = await world.operate(f"key-{number}")
                    times.append(round(anyio.current_time() - began, 6))
                    assert record.ending is not None
                    assert record.ending.outcome is Outcome.CONFIRMED
                    await anyio.sleep(20)
                took[with_audit] = times
                book.open.set()
                tasks.cancel_scope.cancel()

        rehearse(story)

    opened(with_audit=False)
    opened(with_audit=True)
    assert took[True] == took[False]


def test_an_operation_its_evidence_and_its_record_are_rows() -> None:
    async def story(world: World) -> None:
        book = Book()
        writer = AuditWriter(book, world.clock, most=50)
        audited(world, writer)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(writer.run)
            await world.operate("the-callers-key")
            await anyio.sleep(30)
            tasks.cancel_scope.cancel()
        first = book.rows[0]
        assert (first.event, first.principal, first.lock) == ("operation.finished", "tester", DOOR)
        assert first.operation == "op-1"
        wanted = {"action": "unlock", "outcome": "confirmed", "offline": False, "late": False}
        assert wanted.items() <= first.detail.items()
        assert first.detail["key_hash"] == key_hash("the-callers-key")
        assert "the-callers-key" not in str(book.rows)
        about = {row.event for row in book.rows if row.operation == "op-1"}
        assert {"operation.evidence", "operation.record"} <= about
        (record,) = [row.detail["record"] for row in book.rows if row.event == "operation.record"]
        assert len(str(record)) == 32

    rehearse(story)


def test_a_gap_is_a_row_also_where_it_cannot_be_stored() -> None:
    class Full:
        async def note_gap(self, lock: str, *, unix: float, reason: str) -> None:
            raise StoreFull(f"{lock} {unix} {reason}")

    async def story(writer: AuditWriter, book: Book) -> None:
        with pytest.raises(StoreFull):
            await AuditedBook(writer, Full()).note_gap("front", unix=1.0, reason="cut")  # type: ignore[arg-type]
        await writer.settled()
        assert book.events == ["records.gap"]

    written(story)


# -- a file that cannot be written


def taken_away(path: Path) -> None:
    path.unlink()


def another_one(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").rename(path)


def of_another_key(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        place = {"table": "audit_head", "row": "another", "column": "sealed"}
        sealed = a_vault().seal(Secret(bytes(32)), **place)
        connection.execute("UPDATE audit_head SET sealed = ?", (sealed,))
        connection.commit()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (taken_away, "audit-gone"),
        (another_one, "audit-gone"),
        (of_another_key, "audit-unusable"),
    ],
)
def test_a_file_that_was_touched_while_it_was_in_use_is_told(
    tmp_path: Path, spoil: Callable[[Path], None], code: str
) -> None:
    site = AuditSite(tmp_path / "state")

    async def main() -> None:
        with site.store() as store:
            await store.audit.append(some_rows(1))
            spoil(site.path)
            with pytest.raises(AgentError) as caught:
                await store.audit.append(some_rows(1))
            assert caught.value.code == code
            await store.memory.raise_sealed_mark("front", 7)

    anyio.run(main)


def test_a_full_audit_keeps_what_it_has_and_nothing_else_stops(tmp_path: Path) -> None:
    async def main(store: SqliteStore) -> None:
        fits = 0
        with pytest.raises(StoreFull):  # noqa: PT012 - until it does not
            while fits := fits + 1:
                await store.audit.append(some_rows(50))
        assert fits > 1
        await store.memory.raise_sealed_mark("front", 7)

    site = AuditSite(tmp_path / "state")
    with (
        StateDirectory(site.folder) as directory,
        SqliteStore(directory, a_vault(), boot_id="boot-1", audit_pages=40) as store,
    ):
        anyio.run(main, store)
    assert site.verdict().whole


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id=7")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").touch()


@pytest.mark.parametrize("spoil", [newer, foreign, a_folder])
def test_an_audit_that_cannot_be_used_leaves_everything_else_in_use(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    site = AuditSite(tmp_path / "state")
    site.append(some_rows(1))
    spoil(site.path)

    async def main() -> None:
        with site.store() as store:
            why = store.without_audit
            assert why is not None
            with pytest.raises(type(why)):
                await store.audit.append(some_rows(1))
            await store.memory.raise_sealed_mark("front", 7)

    anyio.run(main)


def test_a_damaged_one_is_moved_aside_and_a_new_chain_begins_which_an_anchor_shows(
    tmp_path: Path,
) -> None:
    site = AuditSite(tmp_path / "state")
    heads = site.append(some_rows(3))
    with site.path.open("r+b") as file:
        file.write(b"not a database!!" * 7)
    later = site.append([AuditRow(at=NOON, event="agent.started")])
    assert list(site.folder.glob("audit.db.damaged-*"))
    assert later[0].number == 1
    (told,) = site.verdict(anchors=[*heads, *later]).broken
    assert "was replaced or begun anew" in told


def test_a_read_only_disk_is_told_and_tried_again(tmp_path: Path) -> None:
    site = AuditSite(tmp_path / "state")

    async def main() -> None:
        with site.store() as store:
            store._audit._connection.execute("PRAGMA query_only=ON")
            with pytest.raises(StoreError):
                await store.audit.append(some_rows(1))
            store._audit._connection.execute("PRAGMA query_only=OFF")
            await store.audit.append(some_rows(1))
        assert site.verdict().whole

    anyio.run(main)


def test_the_chain_goes_on_under_a_new_vault_key(tmp_path: Path) -> None:
    site = AuditSite(tmp_path / "state")
    root = site.root()
    site.append(some_rows(2))
    new = NamedKey("new", Secret(b"n" * 32))

    async def main(keys: VaultKeys) -> None:
        with StateDirectory(site.folder) as directory, SqliteStore(directory, keys) as store:
            await store.audit.append(some_rows(2))

    def nonce() -> bytes:
        return os.urandom(12)

    old = NamedKey("old", VAULT_KEY)
    anyio.run(main, VaultKeys(current=new, previous=(old,), new_nonce=nonce))
    anyio.run(main, VaultKeys(current=new, new_nonce=nonce))
    verdict = site.verdict(root)
    assert (verdict.whole, verdict.last) == (True, 6)
