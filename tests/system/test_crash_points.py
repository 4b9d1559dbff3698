"""The daemon dies by SIGKILL at every named point of an opening, and is started again.

What it says then follows the rule of safety A7, the same Idempotency-Key answers the stored
truth and opens nothing, and the sn marks never go back.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import anyio
import httpx
import pytest

from tests.system.crashing_daemon import AFTER_COMMIT, BEFORE_COMMIT, FINISHED, POINTS
from tests.system.daemon import Site, unlock, unlock_when_rested

pytestmark = pytest.mark.anyio
EXPECTED = {
    **dict.fromkeys(BEFORE_COMMIT, "unreached"),
    **dict.fromkeys(AFTER_COMMIT, "unconfirmed"),
    **dict.fromkeys(FINISHED, "confirmed"),
}
NEVER_OPENED = (*BEFORE_COMMIT, *AFTER_COMMIT[:4])
"""Where the last fragment was certainly not handed over."""
ALWAYS_OPENED = ("before finish", *FINISHED)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def _marks(site: Site) -> dict[str, int]:
    """The highest sealed number of each lock, read as any other program would."""
    with sqlite3.connect(f"file:{site.folder}/state/operations.db?mode=ro", uri=True) as database:
        return dict(database.execute("SELECT lock, sn FROM sealed_marks").fetchall())


def test_every_point_has_one_expectation() -> None:
    assert set(EXPECTED) == set(POINTS)
    assert len(POINTS) == len(EXPECTED)


@pytest.mark.parametrize("point", POINTS)
async def test_dead_at(point: str, tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up():
        async with site.daemon(dies=point) as (client, process):
            try:
                await unlock(client, "one")
            except httpx.HTTPError:
                # The answer is on its way when the record comes, a moment behind the lock's word.
                assert EXPECTED[point] != "confirmed" or point in FINISHED
            with anyio.fail_after(30):
                assert await process.wait() == -9, "it did not die there"
        marks = _marks(site)
        opened = site.opened
        if point in NEVER_OPENED:
            assert opened == 0
        elif point in ALWAYS_OPENED:
            assert opened == 1
        async with site.daemon() as (client, _):
            again = await unlock(client, "one")
            if point == "before begin":  # it was never heard of: this is the first asking
                assert again.json()["outcome"] == "confirmed"
                assert site.opened == 1
                return
            body = again.json()
            assert body["outcome"] == EXPECTED[point], body
            assert again.headers["Idempotency-Replayed"] == "true"
            assert body["retryable"] is (body["outcome"] == "unreached")
            assert site.opened == opened
            assert all(_marks(site)[lock] >= mark for lock, mark in marks.items())
            following = await unlock_when_rested(client, "two", after=body["id"])
            assert following.json()["outcome"] == "confirmed", following.text
            assert site.opened == opened + 1
            assert all(_marks(site)[lock] >= mark for lock, mark in marks.items())
            assert _marks(site)
