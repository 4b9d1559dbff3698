"""The SQLite store: memory of locks, retention, secrets at rest, permissions, quotas."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from bleagent.adapters.sqlite_store import (
    SqliteLedger,
    SqliteStore,
    StateDirectory,
    kernel_boot_id,
)
from bleagent.adapters.sqlite_store.database import Database
from bleagent.adapters.sqlite_store.ledger import KEY_AGE, RESERVE
from bleagent.authority.guests import GuestTerms
from bleagent.authority.shared import Permission, Shared
from bleagent.errors import StoreDamaged, StoreError, StoreFull
from bleagent.model import (
    Action,
    CodeAttempt,
    Ending,
    IssuedConfig,
    IssuedInstruction,
    LockFacts,
    OperationRequest,
    Outcome,
    Phase,
    Principal,
    Proven,
)
from bleagent.ports import Ledger, LockMemory
from bleagent.vault import Vault
from protocol import LockKeys, Secret
from tests.agent.old_reports import keep_report, old_reports

pytestmark = pytest.mark.anyio

NOON = 1_795_348_800.0
UNREACHED = Ending(outcome=Outcome.UNREACHED, code="lock-not-found")
UNCONFIRMED = Ending(outcome=Outcome.UNCONFIRMED, code="lock-silent")

CONFIG = IssuedConfig(
    lock_random=IssuedInstruction(
        dp_id=70,
        distribute=True,
        ins=Secret("CANARY-1"),
        wake_up_ins=Secret(b"\xff\xff\x00\x05" + bytes(9) + b"CANARY-2"),
        peripheral=5,
    ),
    lock_record=None,
    fetched_at=NOON,
)
FACTS = LockFacts(
    name="front-door",
    device_id="vdevo16036791579",
    address="DC:23:4D:00:00:01",
    product_id="product",
    keys=LockKeys(
        uuid="0123456789abcdef",
        virtual_id="vdevo16036791579",
        local_key=Secret("CANARY-3........"),
        sec_key=Secret("CANARY-4........"),
        auth_key=Secret("CANARY-5........................"),
    ),
)
REPORT = b"\x80\x03CANARY-6"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def new_vault(key: bytes = bytes(32)) -> Vault:
    return Vault({1: Secret(key)}, new_nonce=lambda: os.urandom(12))


@contextmanager
def opened(
    folder: Path,
    *,
    vault: Vault | None = None,
    operations_pages: int | None = None,
    records_pages: int | None = None,
    free: Callable[[Path], int] = lambda _: 2**40,
) -> Iterator[SqliteStore]:
    with (
        StateDirectory(folder) as directory,
        SqliteStore(
            directory,
            vault or new_vault(),
            boot_id="boot-1",
            operations_pages=operations_pages,
            records_pages=records_pages,
            free=free,
        ) as store,
    ):
        yield store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(folder: Path) -> Iterator[SqliteStore]:
    with opened(folder) as one:
        yield one


def asked(number: int, *, principal: str = "alice", lock: str = "front-door") -> OperationRequest:
    return OperationRequest(
        operation_id=f"{principal}-{number}",
        lock=lock,
        action=Action.UNLOCK,
        principal=Principal(id=principal),
        key=f"key-{number}",
        fingerprint="fingerprint",
        received_at=1.0,
        deadline=2.0,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_the_store_gives_what_the_ports_ask_for(store: SqliteStore) -> None:
    def takes(_ledger: Ledger, _memory: LockMemory) -> None:
        """Mypy checks this call."""

    takes(store.ledger, store.memory)
    assert store.damaged is None
    assert store.damage == ()


def test_the_kernel_tells_its_boot() -> None:
    assert kernel_boot_id() == kernel_boot_id()
    assert len(kernel_boot_id()) == 36


def test_the_databases_are_as_safe_as_sqlite_can_make_them(store: SqliteStore) -> None:
    for database in (store._operations, store._records):
        settings = {
            name: database._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
        assert settings == {
            "journal_mode": "wal",
            "synchronous": 2,  # FULL
            "foreign_keys": 1,
            "secure_delete": 1,
        }
        tables = database._connection.execute(
            "SELECT name, strict FROM pragma_table_list WHERE type = 'table' "
            "AND schema = 'main' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        assert tables
        assert {strict for _, strict in tables} == {1}


# -- memory


async def test_a_mark_begins_at_zero_and_a_lower_number_does_not_move_it(
    store: SqliteStore,
) -> None:
    assert await store.memory.sealed_mark("front-door") == 0
    for sn, mark in ((40, 40), (39, 40), (2**31, 2**31), (0, 2**31)):
        await store.memory.raise_sealed_mark("front-door", sn)
        assert await store.memory.sealed_mark("front-door") == mark
    assert await store.memory.sealed_mark("back-door") == 0


@pytest.mark.parametrize("sn", [-1, 2**31 + 1, 2**63, 2**70])
async def test_a_mark_outside_its_bounds_is_refused(store: SqliteStore, sn: int) -> None:
    with pytest.raises(StoreError):
        await store.memory.raise_sealed_mark("front-door", sn)
    assert await store.memory.sealed_mark("front-door") == 0


async def test_a_mark_is_reset_only_when_that_is_asked_for(store: SqliteStore) -> None:
    await store.memory.raise_sealed_mark("front-door", 2**31)
    await store.memory.raise_sealed_mark("back-door", 7)
    await store.memory.reset_sealed_mark("front-door")
    assert await store.memory.sealed_mark("front-door") == 0
    assert await store.memory.sealed_mark("back-door") == 7


async def test_sending_a_sealed_frame_raises_the_mark_in_the_same_commit(
    store: SqliteStore,
) -> None:
    await store.ledger.begin(asked(1), unix=NOON)
    with pytest.raises(StoreError):
        await store.ledger.sending("alice-1", sn=2**31 + 1, sealed=True)
    unsent = await store.ledger.operation("alice-1")
    assert unsent is not None
    assert unsent.phase is Phase.INTENT  # both or neither
    await store.ledger.sending("alice-1", sn=41, sealed=True)
    assert await store.memory.sealed_mark("front-door") == 41


async def test_sending_a_frame_of_our_own_raises_no_mark(store: SqliteStore) -> None:
    await store.ledger.begin(asked(1), unix=NOON)
    await store.ledger.sending("alice-1", sn=41)
    assert await store.memory.sealed_mark("front-door") == 0


async def test_a_lock_stays_what_it_was_first_proven_to_be(store: SqliteStore) -> None:
    assert await store.memory.proven("front-door") is None
    first = Proven(major=3, security_v2=False, virtual_id="bf01")
    await store.memory.keep_proven("front-door", first)
    await store.memory.keep_proven("front-door", replace(first, major=4))
    assert await store.memory.proven("front-door") == first
    assert await store.memory.addresses() == {}
    for address in ("AA:BB:CC:DD:EE:01", "AA:BB:CC:DD:EE:02"):
        await store.memory.keep_address("front-door", address)
        await store.memory.keep_address("back-door", address)  # never proven: not kept
        assert await store.memory.addresses() == {"front-door": address}
    assert await store.memory.forget_proven("front-door")
    assert await store.memory.addresses() == {}
    assert not await store.memory.forget_proven("front-door")
    assert await store.memory.proven("front-door") is None


async def test_an_unanswered_check_code_is_kept_sealed_until_it_is_settled(
    store: SqliteStore, folder: Path
) -> None:
    attempt = CodeAttempt(old=Secret("11112222"), new=Secret("33334444"))
    await store.memory.begin_code("front-door", attempt)
    assert await store.memory.code_attempt("front-door") == attempt
    on_disk = b"".join(contents(folder).values())
    for code in (b"11112222", b"33334444"):
        assert code not in on_disk
        assert code.hex().encode() not in on_disk
    await store.memory.settle_code("front-door")
    assert await store.memory.code_attempt("front-door") is None


async def test_a_timestamp_is_now_or_one_above_the_last(store: SqliteStore) -> None:
    given = [await store.memory.next_timestamp("front-door", unix) for unix in (100, 100, 50, 200)]
    assert given == [100, 101, 102, 200]
    assert await store.memory.next_timestamp("back-door", 50) == 50


async def test_a_timestamp_that_does_not_fit_is_refused_and_not_stored(store: SqliteStore) -> None:
    assert await store.memory.next_timestamp("front-door", 2**32 - 1) == 2**32 - 1
    for unix in (100, 2**32):
        with pytest.raises(StoreError, match="no timestamp"):
            await store.memory.next_timestamp("front-door", unix)


async def test_what_is_remembered_survives_a_restart(folder: Path) -> None:
    with opened(folder) as store:
        assert await store.memory.issued_config("front-door") is None
        assert await store.memory.facts("front-door") is None
        await store.memory.keep_issued_config("front-door", CONFIG)
        await store.memory.keep_facts(FACTS)
        await keep_report(store, "front-door", REPORT, unix=NOON)
        await keep_report(store, "front-door", REPORT + b"2", unix=NOON + 1)
        await store.raise_highest_trusted(NOON)
        await store.raise_highest_trusted(NOON - 1)
    with opened(folder) as store:
        assert await store.memory.issued_config("front-door") == CONFIG
        assert await store.memory.facts("front-door") == FACTS
        first, second = await old_reports(store, "front-door")
        assert (first.report, first.taken_at) == (Secret(REPORT), NOON)
        assert [one.report for one in await old_reports(store, "front-door", after=first.seq)] == [
            second.report
        ]
        assert await old_reports(store, "back-door") == []
        assert await store.highest_trusted() == NOON


async def test_a_config_replaces_the_one_before(store: SqliteStore) -> None:
    await store.memory.keep_issued_config("front-door", CONFIG)
    later = IssuedConfig(lock_random=None, lock_record=CONFIG.lock_random, fetched_at=NOON + 1)
    await store.memory.keep_issued_config("front-door", later)
    assert await store.memory.issued_config("front-door") == later


# -- secrets at rest


async def test_no_secret_is_in_any_file_in_clear(folder: Path) -> None:
    with opened(folder) as store:
        await store.memory.keep_issued_config("front-door", CONFIG)
        await store.memory.keep_facts(FACTS)
        await keep_report(store, "front-door", REPORT, unix=NOON)
        found = contents(folder)
        assert {"operations.db-wal", "records.db-wal"} <= set(found)
    found |= {f"{name} (closed)": content for name, content in contents(folder).items()}
    assert b"front-door" in found["operations.db (closed)"]  # the search would find something
    for name, content in found.items():
        for form in (b"CANARY", b"CANARY".hex().encode(), b"CANARY".hex().upper().encode()):
            assert form not in content, name


async def test_another_vault_key_is_an_error_and_shows_nothing(folder: Path) -> None:
    with opened(folder) as store:
        await store.memory.keep_issued_config("front-door", CONFIG)
    with (
        opened(folder, vault=new_vault(b"k" * 32)) as store,
        pytest.raises(StoreError, match="another key"),
    ):
        await store.memory.issued_config("front-door")


async def test_a_sealed_value_put_at_another_lock_does_not_open(folder: Path) -> None:
    with opened(folder) as store:
        await store.memory.keep_issued_config("front-door", CONFIG)
        await store._operations.execute(
            "INSERT INTO issued_configs SELECT 'back-door', sealed FROM issued_configs"
        )
        with pytest.raises(StoreError, match="altered"):
            await store.memory.issued_config("back-door")


# -- two writers


async def test_of_two_connections_that_begin_at_once_with_one_key_one_wins(folder: Path) -> None:
    """The lock on the directory forbids it; the transaction would still hold."""
    with opened(folder) as store:
        second = Database.open(folder, "operations")
        other = SqliteLedger(
            second, boot_id="boot-1", free_bytes=lambda: 2**40, boottime=lambda: 0.0
        )
        answers: list[str | None] = []

        async def begin(ledger: Ledger, request: OperationRequest) -> None:
            known = await ledger.begin(request, unix=NOON)
            answers.append(None if known is None else known.id)

        for number in range(30):
            answers.clear()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(begin, store.ledger, asked(number))
                tasks.start_soon(begin, other, replace(asked(number), operation_id=f"x-{number}"))
            winner = await store.ledger.known("alice", f"key-{number}")
            assert winner is not None
            assert sorted(answers, key=str) == sorted([None, winner.id], key=str)
        second.close()


# -- retention


async def test_a_key_is_kept_a_day_and_then_beyond_the_newest_ten_thousand(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bleagent.adapters.sqlite_store.ledger.KEYS_KEPT", 3)
    for number in range(5):
        await store.ledger.begin(asked(number), unix=0.0)  # under a wrong date
        await store.ledger.finish(f"alice-{number}", UNREACHED, unix=0.0)
        await store.ledger.begin(asked(number, principal="bob"), unix=0.0)
    assert await store.ledger.prune(trusted_unix=NOON) == 0
    assert await store.ledger.prune(trusted_unix=NOON + KEY_AGE - 1) == 0
    assert await store.ledger.prune(trusted_unix=NOON + KEY_AGE) == 2
    assert await store.ledger.operation("alice-1") is None
    for number in (2, 3, 4):
        assert await store.ledger.begin(asked(number), unix=NOON) is not None
    assert await store.ledger.begin(asked(1), unix=NOON) is None
    # bob's never ended: a running operation is not forgotten.
    assert await store.ledger.operation("bob-0") is not None


async def test_the_newest_operation_of_a_lock_outlives_its_key(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bleagent.adapters.sqlite_store.ledger.KEYS_KEPT", 0)
    await store.ledger.begin(asked(1), unix=NOON)
    await store.ledger.finish("alice-1", UNREACHED, unix=NOON)
    await store.ledger.prune(trusted_unix=NOON)
    assert await store.ledger.prune(trusted_unix=NOON + KEY_AGE) == 1
    last = await store.ledger.last_of("front-door")
    assert last is not None
    assert last.id == "alice-1"


async def test_little_is_forgotten_in_one_commit(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bleagent.adapters.sqlite_store.ledger.KEYS_KEPT", 0)
    monkeypatch.setattr("bleagent.adapters.sqlite_store.ledger.AT_ONCE", 2)
    for number in range(5):
        await store.ledger.begin(asked(number), unix=NOON)
        await store.ledger.finish(f"alice-{number}", UNREACHED, unix=NOON)
    await store.ledger.prune(trusted_unix=NOON)
    later = NOON + KEY_AGE
    assert [await store.ledger.prune(trusted_unix=later) for _ in range(4)] == [2, 2, 1, 0]


async def test_openings_with_a_ticket_are_forgotten_with_their_operations_and_a_guests_are_not(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bleagent.adapters.sqlite_store.ledger.KEYS_KEPT", 0)
    shared = Shared(id="sharing:1", permission=Permission(terms=GuestTerms()), until=NOON)
    for number in range(3):
        request = asked(number)
        caller = replace(request.principal, times=9, shared=shared if number != 1 else None)
        await store.ledger.begin(replace(request, principal=caller), unix=NOON)
        await store.ledger.finish(f"alice-{number}", UNCONFIRMED, unix=NOON)
    await store.ledger.prune(trusted_unix=NOON)
    assert await store.tokens.used() == {"sharing:1": 2, "alice": 1}
    await store.ledger.prune(trusted_unix=NOON + KEY_AGE)
    # The newest operation of a lock stays, and so does its use.
    assert await store.tokens.used() == {"sharing:1": 1, "alice": 1}


def test_ten_thousand_keys_are_kept_of_each_principal() -> None:
    from bleagent.adapters.sqlite_store import ledger  # noqa: PLC0415

    assert (ledger.KEYS_KEPT, ledger.KEY_AGE) == (10_000, 86_400.0)


# -- a full disk


async def test_a_full_database_refuses_new_operations_and_keeps_the_old_ones(folder: Path) -> None:
    with opened(folder) as store:
        await store.ledger.begin(asked(0), unix=NOON)
    ((pages,),) = rows(folder / "operations.db", "PRAGMA page_count")
    with opened(folder, operations_pages=int(str(pages)) + 3) as store:
        refused: StoreFull | None = None
        for number in range(1, 2000):
            try:
                await store.ledger.begin(asked(number), unix=NOON)
            except StoreFull as error:
                refused = error
                break
        assert refused is not None
        assert number > 1
        assert await store.ledger.operation(f"alice-{number}") is None
        last = await store.ledger.last_of("front-door")
        assert last is not None
        assert (last.id, last.phase) == (f"alice-{number - 1}", Phase.INTENT)
    query = "SELECT (SELECT count(*) FROM operations), (SELECT count(*) FROM idempotency)"
    assert rows(folder / "operations.db", query) == [(number, number)]


async def test_with_little_space_left_nothing_begins_but_what_runs_can_end(folder: Path) -> None:
    space = RESERVE
    with opened(folder, free=lambda _: space) as store:
        await store.ledger.begin(asked(1), unix=NOON)
        space -= 1
        with pytest.raises(StoreFull, match="bytes are free"):
            await store.ledger.begin(asked(2), unix=NOON)
        known = await store.ledger.begin(asked(1), unix=NOON)
        assert known is not None
        await store.ledger.sending("alice-1", sn=5)
        await store.ledger.finish("alice-1", UNREACHED, unix=NOON)


async def test_a_full_records_file_does_not_stop_an_unlock(folder: Path) -> None:
    with opened(folder, records_pages=9) as store:
        full = 0
        for _ in range(30):
            try:
                await keep_report(store, "front-door", bytes(500), unix=NOON)
            except StoreFull:
                full += 1
        assert 0 < full < 30
        await store.ledger.begin(asked(1), unix=NOON)
        await store.ledger.sending("alice-1", sn=5)


async def test_a_failed_write_leaves_the_database_usable(store: SqliteStore) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO sealed_marks VALUES ('front-door', 5)")
        raise StoreError("planted")

    with pytest.raises(StoreError, match="planted"):
        await store._operations.write(half)
    assert await store.memory.sealed_mark("front-door") == 0
    await store.memory.raise_sealed_mark("front-door", 6)


async def test_damage_that_shows_while_running_has_its_own_error(folder: Path) -> None:
    with opened(folder) as store:
        await store.memory.raise_sealed_mark("front-door", 6)
    with opened(folder) as store:
        path = folder / "operations.db"
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (path.stat().st_size - 4096))
        with pytest.raises(StoreDamaged):
            await store.memory.sealed_mark("front-door")


async def test_a_closed_store_is_an_error_of_the_store(folder: Path) -> None:
    with opened(folder) as store:
        pass
    with pytest.raises(StoreError, match="closed database"):
        await store.memory.sealed_mark("front-door")


# -- when an operation ended, by the clock that never jumps


async def _ended_at(folder: Path, boot_id: str, boottime: float) -> float | None:
    with (
        StateDirectory(folder) as directory,
        SqliteStore(directory, new_vault(), boot_id=boot_id, boottime=lambda: boottime) as store,
    ):
        last = await store.ledger.last_of("front-door")
        assert last is not None
        return last.ended_at


async def test_the_end_of_an_operation_is_known_after_a_restart(folder: Path) -> None:
    ticks = iter((10.0, 1000.5))
    with (
        StateDirectory(folder) as directory,
        SqliteStore(directory, new_vault(), boot_id="a", boottime=lambda: next(ticks)) as store,
    ):
        await store.ledger.begin(asked(1), unix=NOON)
        await store.ledger.finish(asked(1).operation_id, UNREACHED, unix=NOON)
    assert await _ended_at(folder, "a", 1002.0) == 1000.5
    assert await _ended_at(folder, "b", 7.0) == 0.0, "before this boot, so no later than its start"


async def test_what_a_crash_left_open_ended_when_it_was_closed(folder: Path) -> None:
    with (
        StateDirectory(folder) as directory,
        SqliteStore(directory, new_vault(), boot_id="a", boottime=lambda: 1000.0) as store,
    ):
        await store.ledger.begin(asked(1), unix=NOON)
    with (
        StateDirectory(folder) as directory,
        SqliteStore(directory, new_vault(), boot_id="b", boottime=lambda: 20.0) as store,
    ):
        await store.ledger.recover(unix=NOON)
    assert await _ended_at(folder, "b", 30.0) == 20.0


async def test_an_end_that_nobody_noted_is_not_taken_for_an_old_one(folder: Path) -> None:
    with opened(folder) as store:
        await store.ledger.begin(asked(1), unix=NOON)
        await store.ledger.finish(asked(1).operation_id, UNREACHED, unix=NOON)
        await store._operations.execute("UPDATE operations SET ended = NULL, ended_boot = NULL")
    assert await _ended_at(folder, "boot-1", 5000.0) == 5000.0
