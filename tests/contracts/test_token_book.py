"""What every book of tokens promises, whatever stores it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bleagent.adapters.sqlite_store import SqliteStore, StateDirectory
from bleagent.authority.guests import GuestTerms
from bleagent.authority.tokens import StoredToken
from bleagent.errors import StoreError
from bleagent.ports import TokenBook
from bleagent.simulator.memory_tokens import MemoryTokens
from bleagent.vault import Vault
from protocol import Secret

pytestmark = pytest.mark.anyio

NOON = 1_795_348_800.0  # 2026-11-22 12:00 UTC
Open = Callable[[], TokenBook]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


PLAIN = StoredToken(
    id="00ffee12", label="", digest=bytes(range(32)), scopes=frozenset({"read"}), created=NOON
)
WHOLE = StoredToken(
    id="00000001", label="Anna's phone, ü", digest=bytes(32),
    scopes=frozenset({"operate:*", "operate:front", "records"}), created=NOON - 0.25,
    expires=NOON + 30.5, revoked=NOON + 1,
    guest=GuestTerms(
        begins=NOON - 0.5, weekdays=frozenset({0, 6}), between=(22 * 60, 360), times=3
    ),
)  # fmt: skip


class TokenBookContract:
    """Subclass it and give a fixture ``open_book``: it closes the last one, opens anew."""

    @pytest.fixture
    def open_book(self) -> Open:
        raise NotImplementedError

    @pytest.fixture
    def book(self, open_book: Open) -> TokenBook:
        return open_book()

    async def test_a_new_one_is_empty(self, book: TokenBook) -> None:
        assert await book.tokens() == []

    async def test_every_field_is_kept_over_a_restart_oldest_first(self, open_book: Open) -> None:
        book = open_book()
        await book.add(PLAIN)
        await book.add(WHOLE)
        assert await book.tokens() == [WHOLE, PLAIN]
        assert await book.used() == {}
        assert await open_book().tokens() == [WHOLE, PLAIN]

    async def test_an_id_is_used_once(self, book: TokenBook) -> None:
        await book.add(PLAIN)
        with pytest.raises(StoreError):
            await book.add(replace(WHOLE, id=PLAIN.id))
        assert await book.tokens() == [PLAIN]

    async def test_the_first_revocation_stays(self, open_book: Open) -> None:
        book = open_book()
        await book.add(PLAIN)
        await book.add(replace(WHOLE, revoked=None))
        revoked = replace(PLAIN, revoked=NOON + 9)
        assert await book.revoke(PLAIN.id, unix=NOON + 9) == revoked
        assert await book.revoke(PLAIN.id, unix=NOON + 10) == revoked
        assert await open_book().tokens() == [replace(WHOLE, revoked=None), revoked]

    async def test_who_is_not_there_is_not_revoked(self, book: TokenBook) -> None:
        assert await book.revoke(PLAIN.id, unix=NOON) is None
        assert await book.tokens() == []

    async def test_what_is_removed_is_gone(self, open_book: Open) -> None:
        book = open_book()
        await book.add(PLAIN)
        await book.add(WHOLE)
        await book.remove(WHOLE.id)
        await book.remove(WHOLE.id)
        assert await open_book().tokens() == [PLAIN]


class TestMemoryTokens(TokenBookContract):
    @pytest.fixture
    def open_book(self) -> Open:
        book = MemoryTokens()
        return lambda: book


class TestSqliteTokens(TokenBookContract):
    @pytest.fixture
    def open_book(self, tmp_path: Path) -> Iterator[Open]:
        vault = Vault({1: Secret(bytes(32))}, new_nonce=lambda: bytes(12))
        with ExitStack() as last:

            def open_one() -> TokenBook:
                last.close()
                directory = last.enter_context(StateDirectory(tmp_path / "state"))
                return last.enter_context(SqliteStore(directory, vault, boot_id="boot-1")).tokens

            yield open_one

    @pytest.mark.parametrize(
        "odd",
        [{"digest": bytes(31)}, {"id": "0"}, {"label": "\ud800"}],
        ids=["digest", "id", "text"],
    )
    async def test_what_is_no_token_is_not_stored(
        self, book: TokenBook, odd: dict[str, Any]
    ) -> None:
        with pytest.raises(StoreError):
            await book.add(replace(PLAIN, **odd))
        assert await book.tokens() == []
