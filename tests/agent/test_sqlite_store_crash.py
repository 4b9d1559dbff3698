"""Kill -9 at any line: the ledger and the marks tell the truth afterwards (safety A7).

The agent is a child process (``store_child.py``) that stops at a named point and is killed
there. A power cut is more than that: what SQLite has synced survives it, and the rule
for another boot covers cards that lie.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bleagent.adapters.sqlite_store import StateDirectory
from bleagent.errors import StoreError
from bleagent.model import Phase
from tests.agent.store_child import BOOT, NOON, OTHER_BOOT, REQUEST, open_store

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def killed_at(folder: Path, point: str) -> None:
    with subprocess.Popen(  # noqa: S603 -- ourselves
        [sys.executable, "-m", "tests.agent.store_child", str(folder), point],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().decode().strip() == point
        process.kill()


# -- what must hold afterwards

ENDED: dict[tuple[str, str], tuple[str | None, int]] = {
    # where it was killed, and the boot of the restart: outcome (None: unknown operation), mark
    ("after start", BOOT): (None, 0),
    ("commit start", BOOT): (None, 0),
    ("after begin", BOOT): ("unreached", 0),
    ("after begin", OTHER_BOOT): ("unconfirmed", 0),
    ("commit begin", BOOT): ("unreached", 0),
    ("after mark", BOOT): ("unreached", 77),
    ("after mark", OTHER_BOOT): ("unconfirmed", 77),
    ("commit mark", BOOT): ("unreached", 77),
    ("commit mark", OTHER_BOOT): ("unconfirmed", 77),
    ("after sending", BOOT): ("unconfirmed", 77),
    ("after sending", OTHER_BOOT): ("unconfirmed", 77),
    ("commit sending", BOOT): ("unconfirmed", 77),
    ("after finish", BOOT): ("confirmed", 77),
    ("after finish", OTHER_BOOT): ("confirmed", 77),
}


@pytest.mark.parametrize(("point", "boot"), ENDED, ids=lambda value: str(value).replace(" ", "-"))
async def test_killed_at_any_point_the_store_tells_the_truth(
    tmp_path: Path, point: str, boot: str
) -> None:
    outcome, mark = ENDED[point, boot]
    killed_at(tmp_path / "state", point)
    with StateDirectory(tmp_path / "state") as directory, open_store(directory, boot) as store:
        assert store.damaged is None
        await store.ledger.recover(unix=NOON + 60)
        assert await store.memory.sealed_mark("front-door") == mark
        found = await store.ledger.operation("op-1")
        if outcome is None:
            assert found is None
            return
        assert found is not None
        assert found.ending is not None
        assert (found.phase, found.ending.outcome) == (Phase.FINISHED, outcome)
        # The same key answers this truth; nothing can be sent for it any more.
        assert await store.ledger.begin(REQUEST, unix=NOON + 61) == found
        with pytest.raises(StoreError):
            await store.ledger.sending("op-1", sn=78)


# -- marks and timestamps


class MarksOnlyGrow(RuleBasedStateMachine):
    """Any order of raising marks, taking timestamps, failed writes and restarts."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(TemporaryDirectory()))
        self._directory = self._stack.enter_context(StateDirectory(folder))
        self._store = open_store(self._directory, BOOT)
        self._marks: dict[str, int] = {}
        self._used: dict[str, int] = {}

    locks = st.sampled_from(["front-door", "back-door"])

    @rule(lock=locks, sn=st.integers(-5, 2**31 + 5) | st.integers(0, 50))
    def raise_mark(self, lock: str, sn: int) -> None:
        try:
            anyio.run(self._store.memory.raise_sealed_mark, lock, sn)
        except StoreError:
            assert not 0 <= sn <= 2**31
        else:
            self._marks[lock] = max(self._marks.get(lock, 0), sn)

    @rule(lock=locks, unix=st.integers(0, 2**32 - 100) | st.integers(0, 50))
    def take_timestamp(self, lock: str, unix: int) -> None:
        last = self._used.get(lock, -1)
        given = anyio.run(self._store.memory.next_timestamp, lock, unix)
        assert given > last
        assert given >= unix
        assert given in {unix, last + 1}
        self._used[lock] = given

    @rule(lock=locks)
    def fail_in_the_middle(self, lock: str) -> None:
        def lower_and_fail(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM sealed_marks WHERE lock = ?", (lock,))
            raise StoreError("planted")

        with pytest.raises(StoreError, match="planted"):
            anyio.run(self._store._operations.write, lower_and_fail)

    @rule()
    def restart(self) -> None:
        self._store.close()
        self._store = open_store(self._directory, OTHER_BOOT)

    @invariant()
    def marks_are_the_highest_ever(self) -> None:
        for lock, mark in self._marks.items():
            assert anyio.run(self._store.memory.sealed_mark, lock) == mark

    def teardown(self) -> None:
        self._store.close()
        self._stack.close()


TestMarksOnlyGrow = MarksOnlyGrow.TestCase
TestMarksOnlyGrow.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
