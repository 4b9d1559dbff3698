"""An agent's store as a child process that is killed at a named point.

``python -m tests.agent.store_child STATE_DIR POINT``, where POINT is ``after NAME`` (the step is
done) or ``commit NAME`` (the step after it is about to commit). Small on purpose: it is started
many times.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio

from bleagent.adapters.sqlite_store import SqliteStore, StateDirectory
from bleagent.model import Action, Ending, OperationRequest, Outcome, Principal
from bleagent.vault import Vault
from protocol import Secret

NOON = 1_795_348_800.0
BOOT, OTHER_BOOT = "boot-1", "boot-2"
REQUEST = OperationRequest(
    operation_id="op-1",
    lock="front-door",
    action=Action.UNLOCK,
    principal=Principal(id="alice"),
    key="key-1",
    fingerprint="fingerprint",
    received_at=1.0,
    deadline=2.0,
)
CONFIRMED = Ending(outcome=Outcome.CONFIRMED, code="ok", by="lock", result=0)


def open_store(directory: StateDirectory, boot: str) -> SqliteStore:
    vault = Vault({1: Secret(bytes(32))}, new_nonce=lambda: os.urandom(12))
    return SqliteStore(directory, vault, boot_id=boot)


def stop_here(name: str) -> None:
    """Say where we are, and wait to be killed."""
    sys.stdout.write(f"{name}\n")
    sys.stdout.flush()
    sys.stdin.read()


async def steps(store: SqliteStore) -> AsyncIterator[str]:
    """The names of what has just been done, step by step."""
    yield "start"
    await store.ledger.begin(REQUEST, unix=NOON)
    yield "begin"
    await store.memory.raise_sealed_mark("front-door", 77)
    yield "mark"
    await store.ledger.sending("op-1", sn=77)
    yield "sending"
    await store.ledger.finish("op-1", CONFIRMED, unix=NOON + 1)
    yield "finish"


async def child(folder: Path, point: str) -> None:
    """Run to ``after NAME``, or to where the step after NAME is about to commit."""
    kind, _, name = point.partition(" ")
    store = open_store(StateDirectory(folder), BOOT)

    def at_commit(statement: str) -> None:
        if statement == "COMMIT":
            stop_here(point)

    async for done in steps(store):
        if done != name:
            continue
        if kind == "after":
            stop_here(point)
        store._operations._connection.set_trace_callback(at_commit)


if __name__ == "__main__":
    anyio.run(child, Path(sys.argv[1]), sys.argv[2])
