"""Where it is kept what need not be done again: the store, and the one of the rehearsals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bleagent.adapters.sqlite_store import SqliteStore, StateDirectory
from bleagent.errors import StoreError
from bleagent.sync.upkeep import Note, Progress, Subject
from bleagent.sync.upkeep_desk import UpkeepBook
from bleagent.vault import Vault
from protocol import Secret
from tests.agent.upkeep_world import MemoryUpkeep

pytestmark = pytest.mark.anyio

TOLD = Note(subject=Subject.T0, progress=Progress.DONE, at=1.5e9, digest="0" * 32)
SILENT = Note(subject=Subject.T0, progress=Progress.WAITING, at=1.6e9, silent=2)
LIST = Note(subject=Subject.CREDENTIALS, progress=Progress.EMPTY, at=1.7e9)
Opening = Callable[[], UpkeepBook]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[..., SqliteStore]]:
    """The same files, opened anew."""
    vault = Vault({1: Secret(bytes(32))}, new_nonce=lambda: bytes(12))
    with ExitStack() as last:

        def open_one(*, passwords: bool = True) -> SqliteStore:
            last.close()
            directory = last.enter_context(StateDirectory(tmp_path / "state"))
            return last.enter_context(SqliteStore(directory, vault, passwords=passwords))

        yield open_one


@pytest.fixture(params=["sqlite", "memory"])
def book(request: pytest.FixtureRequest, open_store: Callable[..., SqliteStore]) -> Opening:
    """Gives it, opened anew."""
    if request.param == "sqlite":
        return lambda: open_store().upkeep
    memory = MemoryUpkeep()
    return lambda: memory


async def test_what_is_kept_is_there_again(book: Opening) -> None:
    kept = book()
    for note in (TOLD, SILENT, LIST):
        await kept.note("front", note)
    await kept.note("back", TOLD)
    again = book()
    assert set(await again.notes("front")) == {SILENT, LIST}
    assert list(await again.notes("back")) == [TOLD]
    assert list(await again.notes("side")) == []


async def test_without_locks_that_want_it_there_is_no_file(
    open_store: Callable[..., SqliteStore], tmp_path: Path
) -> None:
    store = open_store(passwords=False)
    assert not (tmp_path / "state" / "passwords.db").exists()
    with pytest.raises(StoreError):
        await store.upkeep.notes("front")


async def test_after_a_damage_everything_is_told_once_more(
    open_store: Callable[..., SqliteStore], tmp_path: Path
) -> None:
    await open_store().upkeep.note("front", TOLD)
    open_store(passwords=False)
    (tmp_path / "state" / "passwords.db").write_bytes(b"no database" * 1000)
    store = open_store()
    assert list(await store.upkeep.notes("front")) == []
    await store.upkeep.note("front", TOLD)
    assert list(await store.upkeep.notes("front")) == [TOLD]


async def test_what_nobody_wrote_is_a_fault_of_the_store(
    open_store: Callable[..., SqliteStore],
) -> None:
    store = open_store()
    await store.upkeep.note("front", TOLD)
    await store._passwords.execute("UPDATE upkeep SET progress = 'x'")
    with pytest.raises(StoreError):
        await store.upkeep.notes("front")
