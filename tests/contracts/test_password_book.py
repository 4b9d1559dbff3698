"""Where it is kept how far passwords have come: the store, and the one of the rehearsals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bleagent.adapters.sqlite_store import SqliteStore, StateDirectory
from bleagent.errors import StoreDamaged, StoreError, StoreFull
from bleagent.sync.password_desk import PasswordBook
from bleagent.sync.passwords import Doing, Item, State, Why
from bleagent.vault import Vault
from protocol import Secret
from tests.agent.password_world import MemoryPasswords

pytestmark = pytest.mark.anyio

WAITING = Item(password_id="7", terms="1 2 00", why=Why.DIGITS_UNKNOWN, tries=2)
ASKED = Item(
    password_id="7", terms="1 2 00", state=State.WRITTEN, doing=Doing.ADD,
    before=frozenset({40, 42}),
)  # fmt: skip
REFUSED = Item(password_id="8", state=State.REFUSED, doing=Doing.CHANGE, hardid=41, result=1)
Opening = Callable[[], PasswordBook]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[..., SqliteStore]]:
    """The same files, opened anew."""
    vault = Vault({1: Secret(bytes(32))}, new_nonce=lambda: bytes(12))
    with ExitStack() as last:

        def open_one(*, passwords: bool = False) -> SqliteStore:
            last.close()
            directory = last.enter_context(StateDirectory(tmp_path / "state"))
            return last.enter_context(SqliteStore(directory, vault, passwords=passwords))

        yield open_one


@pytest.fixture(params=["sqlite", "memory"])
def book(request: pytest.FixtureRequest, open_store: Callable[..., SqliteStore]) -> Opening:
    """Gives it, opened anew."""
    if request.param == "sqlite":
        return lambda: open_store(passwords=True).passwords
    memory = MemoryPasswords()
    return lambda: memory


async def test_what_is_kept_is_there_again(book: Opening) -> None:
    kept = book()
    for item in (WAITING, ASKED, REFUSED):
        await kept.keep("front", item)
    await kept.keep("back", WAITING)
    again = book()
    assert set(await again.items("front")) == {ASKED, REFUSED}
    assert list(await again.items("back")) == [WAITING]
    await again.forget("front", "7")
    await again.forget("front", "nobody")
    assert list(await book().items("front")) == [REFUSED]
    assert list(await book().items("back")) == [WAITING]


async def test_without_locks_that_want_it_there_is_no_file(
    open_store: Callable[..., SqliteStore], tmp_path: Path
) -> None:
    store = open_store()
    assert not (tmp_path / "state" / "passwords.db").exists()
    with pytest.raises(StoreError):
        await store.passwords.items("front")


async def test_a_damaged_file_is_moved_aside_and_the_store_opens(
    open_store: Callable[..., SqliteStore], tmp_path: Path
) -> None:
    open_store(passwords=True)
    open_store()
    (tmp_path / "state" / "passwords.db").write_bytes(b"no database" * 1000)
    store = open_store(passwords=True)
    assert "passwords.db was damaged" in str(store.damage[0])
    with pytest.raises(StoreDamaged):  # nobody brings a second time what is at the lock
        await store.passwords.items("front")
    for moved in (tmp_path / "state").glob("passwords.db.damaged-*"):
        moved.unlink()
    assert list(await open_store(passwords=True).passwords.items("front")) == []


async def test_a_full_file_says_so(open_store: Callable[..., SqliteStore]) -> None:
    store = open_store(passwords=True)
    await store.passwords.keep("front", WAITING)
    store._passwords.at_start(
        lambda found: found.execute("PRAGMA max_page_count=1").fetchone()  # what it has already
    )
    with pytest.raises(StoreFull):
        await store.passwords.keep("x" * 100_000, WAITING)
    assert list(await store.passwords.items("front")) == [WAITING]


async def test_what_nobody_wrote_is_a_fault_of_the_store(
    open_store: Callable[..., SqliteStore],
) -> None:
    store = open_store(passwords=True)
    await store.passwords.keep("front", WAITING)
    await store._passwords.execute("UPDATE passwords SET before = 'x'")
    with pytest.raises(StoreError):
        await store.passwords.items("front")
