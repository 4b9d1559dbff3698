"""The state directory: one holder, modes, migrations, and files that are damaged."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bleagent.adapters.sqlite_store import SqliteStore, StateDirectory, database
from bleagent.adapters.sqlite_store.files import file_errors, make_file
from bleagent.errors import (
    AlreadyRunning,
    StoreDamaged,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreTooNew,
)
from bleagent.vault import Vault
from protocol import Secret
from tests.agent.old_reports import keep_report, old_reports

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def open_store(directory: StateDirectory) -> SqliteStore:
    vault = Vault({1: Secret(bytes(32))}, new_nonce=lambda: os.urandom(12))
    return SqliteStore(directory, vault, boot_id="boot-1", utcnow=lambda: NOW)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state"


def modes(folder: Path) -> dict[str, str]:
    return {path.name: f"{path.stat().st_mode & 0o777:o}" for path in folder.iterdir()}


def remove(path: Path) -> None:
    path.unlink()


def moved_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("operations.db.damaged-*"))


def insert_all(connection: sqlite3.Connection, rows: list[tuple[str, int]]) -> None:
    for row in rows:
        connection.execute("INSERT INTO sealed_marks VALUES (?, ?)", row)


async def fill(folder: Path, marks: int = 400) -> None:
    with StateDirectory(folder) as directory, open_store(directory) as store:
        rows = [(f"lock-{number}", number) for number in range(marks)]
        await store._operations.write(lambda connection: insert_all(connection, rows))


# -- one holder


def test_a_second_holder_is_refused_and_the_first_is_named(folder: Path) -> None:
    with StateDirectory(folder), pytest.raises(AlreadyRunning) as caught:
        StateDirectory(folder)
    assert str(caught.value) == f"process {os.getpid()} holds {folder / 'lock'}"
    StateDirectory(folder).close()


def test_a_directory_is_held_against_another_process_until_that_is_killed(folder: Path) -> None:
    hold = (
        "import sys, pathlib\n"
        "from bleagent.adapters.sqlite_store import StateDirectory\n"
        "directory = StateDirectory(pathlib.Path(sys.argv[1]))\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(  # noqa: S603 -- ourselves
        [sys.executable, "-c", hold, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(AlreadyRunning, match=f"^process {other.pid} holds "):
            StateDirectory(folder)
        other.kill()
    StateDirectory(folder).close()


# -- modes


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
async def test_only_the_owner_can_read_whatever_the_umask_says(tmp_path: Path, umask: int) -> None:
    folder = tmp_path / "state"
    before = os.umask(umask)
    try:
        with StateDirectory(folder) as directory, open_store(directory) as store:
            await store.memory.raise_sealed_mark("front-door", 1)
            await keep_report(store, "front-door", b"report", unix=1.0)
            found = modes(folder)
    finally:
        os.umask(before)
    databases = ("operations", "records", "audit")
    names = [f"{name}.db{end}" for name in databases for end in ("", "-shm", "-wal")]
    assert found == dict.fromkeys([*names, "lock"], "600")
    assert folder.stat().st_mode & 0o777 == 0o700


async def test_files_that_became_readable_are_closed_again(folder: Path) -> None:
    await fill(folder, marks=1)
    (folder / "operations.db").chmod(0o644)
    with StateDirectory(folder) as directory, open_store(directory):
        assert modes(folder)["operations.db"] == "600"


def test_a_directory_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    StateDirectory(tmp_path).close()
    assert tmp_path.stat().st_mode & 0o777 == 0o750


# -- errors of the operating system


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EROFS, StoreError)],
)
def test_no_space_is_told_from_other_trouble(number: int, kind: type[StoreError]) -> None:
    with pytest.raises(StoreError) as caught, file_errors():
        raise OSError(number, os.strerror(number), "operations.db")
    assert type(caught.value) is kind
    assert str(caught.value) == f"operations.db: {os.strerror(number)}"


def test_a_file_is_made_once(tmp_path: Path) -> None:
    make_file(tmp_path / "one")
    with pytest.raises(StoreError, match="File exists"):
        make_file(tmp_path / "one")


# -- migrations


def test_a_database_of_a_newer_agent_is_refused_and_left_alone(folder: Path) -> None:
    with StateDirectory(folder) as directory:
        open_store(directory).close()
        path = folder / "operations.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version=99")
        before, newest = path.read_bytes(), max(database.migrations_of("operations"))
        with pytest.raises(StoreTooNew) as caught:
            open_store(directory)
        assert str(caught.value) == (
            f"{path} was written by a newer agent: found schema 99, expected at most {newest}"
        )
        assert caught.value.code == "store-too-new"
        assert "Install the agent again that wrote it" in caught.value.advice
        assert path.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_alone(folder: Path) -> None:
    with StateDirectory(folder) as directory:
        with closing(sqlite3.connect(folder / "operations.db")) as connection:
            connection.execute("CREATE TABLE theirs (a)")
        with pytest.raises(StoreForeign, match=r"another program \(application id 0x0\)"):
            open_store(directory)
        with closing(sqlite3.connect(folder / "operations.db")) as connection:
            assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")


def _foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (a)")


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").touch()


@pytest.mark.parametrize(
    ("spoil", "kind"), [(_newer, StoreTooNew), (_foreign, StoreForeign), (_directory, StoreError)]
)
async def test_records_that_cannot_be_used_leave_everything_else_in_use(
    folder: Path, spoil: Callable[[Path], None], kind: type[StoreError]
) -> None:
    path = folder / "records.db"
    with StateDirectory(folder) as directory:
        open_store(directory).close()
        spoil(path)
        before = path.read_bytes() if path.is_file() else None
        store = open_store(directory)
        assert type(store.without_records) is kind
        for attempt in (
            keep_report(store, "front", b"\x80\x03", unix=1.0),
            old_reports(store, "front"),
        ):
            with pytest.raises(kind, match=str(store.without_records)[:40]):
                await attempt
        await store.memory.raise_sealed_mark("front", 7)
        assert await store.memory.sealed_mark("front") == 7
        assert await store.ledger.recover(unix=1.0) == []
        store.close()
        assert (path.read_bytes() if path.is_file() else None) == before
        assert sorted(name for name in modes(folder) if "records" in name) == ["records.db"]


async def test_migrations_are_applied_in_order_once_and_a_failed_one_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tmp_path / "schema"
    scripts.mkdir()
    monkeypatch.setattr(database, "SCHEMA", scripts)
    (scripts / "notes_0001.sql").write_text("CREATE TABLE notes (a INTEGER) STRICT;")
    (scripts / "other_0001.sql").write_text("CREATE TABLE other (a INTEGER) STRICT;")
    first = database.Database.open(tmp_path, "notes")
    await first.execute("INSERT INTO notes VALUES (1)")
    first.close()

    wrong = "ALTER TABLE notes ADD COLUMN b INTEGER; INSERT INTO nowhere VALUES (1);"
    (scripts / "notes_0002.sql").write_text(wrong)
    with pytest.raises(StoreError, match="nowhere"):
        database.Database.open(tmp_path, "notes")
    (scripts / "notes_0002.sql").write_text("ALTER TABLE notes ADD COLUMN c INTEGER;")
    second = database.Database.open(tmp_path, "notes")
    row = await second.read(lambda connection: connection.execute("SELECT * FROM notes").fetchone())
    second.close()
    assert row == (1, None)
    database.Database.open(tmp_path, "notes").close()

    (scripts / "notes_0002.sql").rename(scripts / "notes_0003.sql")
    with pytest.raises(StoreError, match=r"not numbered 1, 2, \.\.\.: \[1, 3\]"):
        database.Database.open(tmp_path, "notes")


def test_remains_of_a_start_that_was_cut_off_are_replaced(folder: Path) -> None:
    with StateDirectory(folder) as directory:
        (folder / "operations.db.new").write_bytes(b"half a database")
        (folder / "operations.db.new-journal").write_bytes(b"half a journal")
        with open_store(directory) as store:
            assert store.damaged is None
        assert not list(folder.glob("*.new*"))


# -- damage


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def with_garbage_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"not a database!!" * 7)


def with_a_bad_page(path: Path) -> None:
    """Every bit of a table's page is the other way round."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT rootpage FROM sqlite_schema WHERE name IN ('sealed_marks', 'records')"
        (page,) = connection.execute(query).fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        flipped = bytes(byte ^ 0xFF for byte in file.read(4096))
        file.seek((page - 1) * 4096)
        file.write(flipped)


DAMAGES = [truncated, emptied, with_garbage_header, with_a_bad_page]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
async def test_a_damaged_operations_database_is_moved_aside_loudly_and_untouched(
    folder: Path, damage: Callable[[Path], None]
) -> None:
    await fill(folder)
    damage(folder / "operations.db")
    (folder / "operations.db").chmod(0o644)
    before = (folder / "operations.db").read_bytes()
    moved = folder / "operations.db.damaged-20261122T120000Z"
    with StateDirectory(folder) as directory, open_store(directory) as store:
        assert store.damaged == moved
        (told,) = store.damage
        assert isinstance(told, StoreDamaged)
        assert str(told) == f"operations.db was damaged and is now {moved.name}"
        assert await store.memory.sealed_mark("lock-7") == 0
        await store.memory.raise_sealed_mark("lock-7", 8)
    assert moved.read_bytes() == before
    assert modes(folder)[moved.name] == "600"


async def test_damage_is_told_at_every_start_until_the_file_is_taken_away(folder: Path) -> None:
    await fill(folder, marks=1)
    truncated(folder / "operations.db")
    for _ in range(2):
        with StateDirectory(folder) as directory, open_store(directory) as store:
            assert store.damaged is not None
    remove(folder / "operations.db.damaged-20261122T120000Z")
    with StateDirectory(folder) as directory, open_store(directory) as store:
        assert store.damaged is None


async def test_a_second_damage_does_not_replace_the_first(folder: Path) -> None:
    contents = []
    for marks in (1, 300):
        await fill(folder, marks=marks)
        truncated(folder / "operations.db")
        contents.append((folder / "operations.db").read_bytes())
        with StateDirectory(folder) as directory, open_store(directory) as store:
            newest = store.damaged
    kept = moved_files(folder)
    assert [path.read_bytes() for path in kept] == contents
    assert newest == kept[-1]


async def test_a_damaged_records_file_costs_no_operations(folder: Path) -> None:
    await fill(folder, marks=1)
    with_garbage_header(folder / "records.db")
    with StateDirectory(folder) as directory, open_store(directory) as store:
        assert store.damaged is None
        assert [str(told).split()[0] for told in store.damage] == ["records.db"]
        await store.memory.raise_sealed_mark("lock-0", 9)


async def test_the_log_of_a_damaged_database_is_kept_beside_it(folder: Path) -> None:
    """As a power cut leaves them: a log that was never written into its database."""
    directory = StateDirectory(folder)
    store = open_store(directory)
    for number in range(100):
        await store.memory.raise_sealed_mark(f"lock-{number}", number)
    copies = {name: (folder / name).read_bytes() for name in ("operations.db", "operations.db-wal")}
    store.close()
    directory.close()
    copies["operations.db"] = b"not a database!!" + copies["operations.db"][16:]
    for name, content in copies.items():
        (folder / name).write_bytes(content)
    with StateDirectory(folder) as again, open_store(again) as store:
        moved = store.damaged
        assert await store.memory.sealed_mark("lock-99") == 0
    assert moved is not None
    assert moved.read_bytes() == copies["operations.db"]
    assert moved.with_name(moved.name + "-wal").read_bytes() == copies["operations.db-wal"]


async def test_a_log_without_its_database_is_kept_too(folder: Path) -> None:
    with StateDirectory(folder) as directory:
        (folder / "operations.db-wal").write_bytes(b"the only thing left")
        with open_store(directory) as store:
            assert store.damaged == folder / "operations.db.damaged-20261122T120000Z"
        kept = folder / "operations.db.damaged-20261122T120000Z-wal"
        assert kept.read_bytes() == b"the only thing left"


async def test_the_log_of_a_healthy_database_is_taken_over(folder: Path) -> None:
    """As kill -9 leaves them: the check must not cost what only the log holds."""
    directory = StateDirectory(folder)
    store = open_store(directory)
    await store.memory.raise_sealed_mark("front-door", 77)
    copies = {name: (folder / name).read_bytes() for name in ("operations.db", "operations.db-wal")}
    store.close()
    directory.close()
    for name, content in copies.items():
        (folder / name).write_bytes(content)
    with StateDirectory(folder) as again, open_store(again) as store:
        assert store.damaged is None
        assert await store.memory.sealed_mark("front-door") == 77
