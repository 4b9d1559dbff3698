"""A keeper of records as a child process that is killed at a named point.

``python -m tests.agent.records_child STATE_DIR POINT``, where POINT is ``after NAME`` (the step is
done) or ``commit NAME`` (the step after it is about to commit). What it takes: a report with a
fingerprint and an alarm; the same once more, with a second alarm that proves nothing; then the
drain ends, and the sink takes one of them, parks one, and puts one off.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio

from bleagent.adapters.sqlite_store import SqliteStore, StateDirectory
from bleagent.records.record import DONE, Happening, Receipt, ReceiptKind, TakenReport, TimeQuality
from bleagent.vault import Vault
from protocol import Datapoint, DpType, Report, ReportTime, Secret
from protocol.records import RecordKind
from tests.agent.store_child import stop_here

NOON = 1_795_348_800.0
FRONT = "front-door"


def open_records(directory: StateDirectory) -> SqliteStore:
    vault = Vault({1: Secret(bytes(32))}, new_nonce=lambda: os.urandom(12))
    return SqliteStore(directory, vault, boot_id="boot-1", sinks=("cloud",))


def report_of(*values: int, proves: tuple[int, ...] = ()) -> TakenReport:
    """Openings by fingerprints, all at noon, from the backlog."""
    happenings = tuple(
        Happening(
            dp=12,
            type=DpType.VALUE,
            kind=RecordKind.FINGERPRINT,
            value=value,
            data=Secret(value.to_bytes(4, "big")),
            wire_time=str(int(NOON)),
            lock_seconds=NOON,
            at=NOON,
            quality=TimeQuality.LOCK,
        )
        for value in values
    )
    datapoints = tuple(Datapoint(12, DpType.VALUE, one.data.reveal()) for one in happenings)
    report = Report(code=0x8003, datapoints=datapoints, time=ReportTime.unix(int(NOON)))
    return TakenReport(
        lock=FRONT,
        device_id="device",
        raw=Secret(b"\x80\x03" + report.to_bytes()),
        happenings=happenings,
        taken_at=NOON + 10,
        live=False,
        only_copy=False,
        may_match=True,
        may_return=True,
        proves=proves,
    )


STEPS = ("start", "take", "take-again", "drain", "settle")
RECEIPTS = (
    (1, DONE),
    (2, Receipt(kind=ReceiptKind.POISON, code="2008")),
    (3, Receipt(kind=ReceiptKind.LATER, code="offline")),
)


async def do(store: SqliteStore, step: str) -> None:
    """One step; doing it again after a crash is what the callers of the ports would do."""
    match step:
        case "take":
            await store.records.take(report_of(1, 2))
        case "take-again":
            await store.records.take(report_of(2, 3))
        case "drain":
            await store.records.drained(FRONT, up_to=3, keep=(), unix=NOON + 20)
        case "settle":
            await store.records.settle("cloud", RECEIPTS)


async def steps(store: SqliteStore) -> AsyncIterator[str]:
    """The names of what has just been done, step by step."""
    for step in STEPS:
        await do(store, step)
        yield step


async def child(folder: Path, point: str) -> None:
    """Run to ``after NAME``, or to where the step after NAME is about to commit."""
    kind, _, name = point.partition(" ")
    store = open_records(StateDirectory(folder))

    def at_commit(statement: str) -> None:
        if statement == "COMMIT":
            stop_here(point)

    async for done in steps(store):
        if done != name:
            continue
        if kind == "after":
            stop_here(point)
        store._records._connection.set_trace_callback(at_commit)


if __name__ == "__main__":
    anyio.run(child, Path(sys.argv[1]), sys.argv[2])
