"""What every book of subscriptions promises: the place that was kept last, for each of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bleagent.adapters.sqlite_store import SqliteStore, StateDirectory
from bleagent.errors import StoreFull, StoreTooNew
from bleagent.events import Mark
from bleagent.simulator.event_fakes import MemoryWebhooks
from bleagent.vault import Vault
from bleagent.webhooks import Lost, Progress, WebhookBook
from protocol import Secret

from .test_event_source import finish
from .test_ledger import UNREACHED

pytestmark = pytest.mark.anyio
FIRST = Progress(mark=Mark("0000000a", 7))
LATER = Progress(
    mark=Mark("0000000b", 9), delivered=3, given_up=1,
    lost=Lost(id="lost-0000000a-7", count=None, at=1_700_000_000.5),
)  # fmt: skip
Open = Callable[[], WebhookBook]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class BookContract:
    """Subclass it and give a fixture ``open_book``: it closes what was open, opens it anew."""

    @pytest.fixture
    def open_book(self, tmp_path: Path) -> Iterator[Open]:
        raise NotImplementedError

    async def test_before_the_first_word_there_is_none(self, open_book: Open) -> None:
        book = open_book()
        assert await book.progress("home") is None
        assert not book.damaged

    async def test_the_last_word_holds_also_after_a_restart(self, open_book: Open) -> None:
        book = open_book()
        await book.keep("home", FIRST)
        await book.keep("shop", FIRST)
        await book.keep("home", LATER)
        assert await book.progress("home") == LATER
        book = open_book()
        assert await book.progress("home") == LATER
        assert await book.progress("shop") == FIRST


class TestMemoryBook(BookContract):
    @pytest.fixture
    def open_book(self) -> Open:
        book = MemoryWebhooks()
        return lambda: book


class TestSqliteBook(BookContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[Callable[..., SqliteStore]]:
        vault = Vault({1: Secret(bytes(32))}, new_nonce=lambda: bytes(12))
        with ExitStack() as last:

            def open_one(*names: str) -> SqliteStore:
                last.close()
                directory = last.enter_context(StateDirectory(tmp_path / "state"))
                return last.enter_context(SqliteStore(directory, vault, subscriptions=names))

            yield open_one

    @pytest.fixture
    def open_book(self, open_store: Callable[..., SqliteStore]) -> Open:
        return lambda: open_store("home", "shop").webhooks

    async def test_one_that_is_taken_away_is_forgotten(
        self, open_store: Callable[..., SqliteStore]
    ) -> None:
        await open_store("home", "shop").webhooks.keep("home", FIRST)
        open_store()  # the last one of them, too
        assert await open_store("home").webhooks.progress("home") is None

    async def test_nobody_who_subscribes_to_nothing_has_a_file_for_it(
        self, open_store: Callable[..., SqliteStore], tmp_path: Path
    ) -> None:
        store = open_store()
        assert not (tmp_path / "state" / "webhooks.db").exists()
        assert store.damage == ()

    async def test_a_damaged_file_is_moved_aside_and_said(
        self, open_store: Callable[..., SqliteStore], tmp_path: Path
    ) -> None:
        open_store("home").close()
        (tmp_path / "state" / "webhooks.db").write_bytes(b"no database" * 1000)
        store = open_store("home")
        assert store.webhooks.damaged
        assert await store.webhooks.progress("home") is None
        assert "webhooks.db was damaged" in str(store.damage[0])
        assert store.damaged is None

    async def test_one_that_cannot_be_used_keeps_no_door_shut(
        self, open_store: Callable[..., SqliteStore]
    ) -> None:
        store = open_store("home")
        store._webhooks.at_start(lambda found: found.execute("PRAGMA user_version=99").close())
        store = open_store("home")
        with pytest.raises(StoreTooNew):
            await store.webhooks.keep("home", FIRST)
        await finish(store.ledger, "op-1", UNREACHED)

    async def test_a_full_disk_is_said_and_the_place_stays(
        self, open_store: Callable[..., SqliteStore]
    ) -> None:
        store = open_store("home")
        await store.webhooks.keep("home", FIRST)
        pages = "PRAGMA max_page_count=1"
        store._webhooks.at_start(lambda found: found.execute(pages).fetchone())
        with pytest.raises(StoreFull):
            await store.webhooks.keep("x" * 100_000, FIRST)
        assert await store.webhooks.progress("home") == FIRST
