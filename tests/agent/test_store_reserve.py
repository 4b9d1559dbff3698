"""Room that is kept for openings: what something else fills the disk with shuts no door (H2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bleagent.adapters.sqlite_store import SqliteStore, StateDirectory
from bleagent.adapters.sqlite_store.ledger import RESERVE
from bleagent.adapters.sqlite_store.reserve import PLENTY, SIZE
from bleagent.errors import StoreFull
from bleagent.vault import Vault
from protocol import Secret
from tests.contracts.test_ledger import asked

pytestmark = pytest.mark.anyio
NOON = 1_700_000_000.0


class Disk:
    """``left`` is what is free with the reserve on it or not."""

    def __init__(self, folder: Path, left: int = SIZE + PLENTY) -> None:
        self.folder = folder
        self.file = folder / "reserve"
        self.left = left

    def free(self, folder: Path) -> int:
        assert folder == self.folder
        return self.left - (SIZE if self.file.exists() else 0)

    def fill(self) -> None:
        """Something else takes all that it can have."""
        self.left -= self.free(self.folder)


@contextmanager
def opened(disk: Disk) -> Iterator[SqliteStore]:
    vault = Vault({1: Secret(bytes(32))}, new_nonce=lambda: bytes(12))
    with (
        StateDirectory(disk.folder) as directory,
        SqliteStore(directory, vault, boot_id="boot", free=disk.free) as store,
    ):
        yield store


async def grow(store: SqliteStore) -> None:
    """A write that can wait."""
    await store._records.write(lambda _: None)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "state")


async def test_a_disk_that_was_filled_has_room_for_openings_and_for_nothing_else(
    disk: Disk,
) -> None:
    with opened(disk) as store:
        await store.reserve.fill()
        assert store.reserve.held
        assert (disk.file.stat().st_mode & 0o777, disk.file.stat().st_size) == (0o600, SIZE)
        disk.fill()
        await store.ledger.require_usable()
        assert store.reserve.held  # a look costs nothing
        await store.ledger.begin(asked("op-1", key="key-1"), unix=NOON)
        assert (store.reserve.held, disk.file.exists()) == (False, False)
        disk.left = SIZE + RESERVE - 1
        with pytest.raises(StoreFull, match="left for openings"):
            await grow(store)
        disk.left += 1
        await grow(store)
        await store.ledger.begin(asked("op-2", key="key-2"), unix=NOON)
        disk.left = RESERVE - 1
        with pytest.raises(StoreFull, match="an operation begins with"):
            await store.ledger.begin(asked("op-3", key="key-3"), unix=NOON)


async def test_it_is_made_where_there_is_plenty_and_again_when_there_is(disk: Disk) -> None:
    disk.left -= 1
    with opened(disk) as store:
        await store.reserve.fill()
        assert not disk.file.exists()
        disk.left += 1
        await store.reserve.fill()
        disk.fill()
        await store.ledger.begin(asked("op-1", key="key-1"), unix=NOON)
        disk.left = SIZE + PLENTY
        await store.reserve.fill()
        assert store.reserve.held
        await grow(store)
    disk.fill()
    with opened(disk) as store:  # a start needs room, too
        assert not store.reserve.held
        await store.ledger.begin(asked("op-2", key="key-2"), unix=NOON)


async def test_a_copy_that_takes_no_room_is_none(disk: Disk) -> None:
    with opened(disk):
        pass
    disk.file.touch()
    with disk.file.open("r+b") as file:
        file.truncate(SIZE)
    with opened(disk) as store:
        assert not store.reserve.held
        await store.reserve.fill()
        assert not store.reserve.held  # the disk of this test counts it by its name
        disk.left += SIZE
        await store.reserve.fill()
        assert store.reserve.held


async def test_where_no_room_can_be_taken_everything_goes_on(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr("os.posix_fallocate", fails)
    with opened(disk) as store:
        await store.reserve.fill()
        assert not store.reserve.held
        await store.ledger.begin(asked("op-1", key="key-1"), unix=NOON)
        await grow(store)
