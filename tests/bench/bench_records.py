"""How fast records come off a lock and into a sink, beside what the link alone allows.

``bench_records.py [--quick] [--json FILE]``. A lock hands out one record after the other, each
after an acknowledgement: one round trip a record is the floor, whatever the software. The store is
the real one on this disk; the 100,000 that wait for a sink are put into memory's file system first,
because each of them would cost a durable commit.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # started as a script
    sys.path.insert(0, str(ROOT))

import anyio  # noqa: E402 - after the path

from bleagent.adapters.sqlite_store import SqliteStore, StateDirectory  # noqa: E402
from bleagent.model import LockFacts, Priority  # noqa: E402
from bleagent.policy import Policy  # noqa: E402
from bleagent.ports import LockLink  # noqa: E402
from bleagent.records.outbox import Carrier  # noqa: E402
from bleagent.records.record import (  # noqa: E402
    DONE,
    Happening,
    Kept,
    Receipt,
    StoredRecord,
    TakenReport,
    TimeQuality,
)
from bleagent.records.taking import Drained, RecordListener, RecordPorts  # noqa: E402
from bleagent.session import LinkPorts  # noqa: E402
from bleagent.simulator.fakes import LoopClock, MemoryLocks, record_ports  # noqa: E402
from bleagent.simulator.profiles import profile  # noqa: E402
from bleagent.simulator.radio import VirtualRadio  # noqa: E402
from bleagent.simulator.virtual_lock import VirtualLock  # noqa: E402
from bleagent.supervisor import Supervisor  # noqa: E402
from bleagent.vault import Vault  # noqa: E402
from protocol import DpType, Report, ReportTime, Secret  # noqa: E402
from protocol.credits import QUIET  # noqa: E402
from protocol.datapoint import Datapoint  # noqa: E402
from protocol.records import RecordKind  # noqa: E402
from tests.bench.bench_unlock import DelayedLink  # noqa: E402
from tests.system.daemon import KEYS  # noqa: E402

RING = 64
FINGER = 12
MIB_KB = 1024


@dataclass(frozen=True, slots=True)
class Effort:
    """How much."""

    drains: int
    records: int
    locks: int
    queued: int


FULL = Effort(drains=3, records=RING, locks=50, queued=100_000)
QUICK = Effort(drains=1, records=3, locks=2, queued=300)


@dataclass(frozen=True, slots=True)
class DrainRow:
    """Seconds: ``took`` from the first record on disk to the last; ``floor`` a round trip each."""

    rtt: float
    records: int
    took: float
    floor: float

    @property
    def ratio(self) -> float:
        """Over the floor."""
        return self.took / self.floor


@dataclass(frozen=True, slots=True)
class ManyRow:
    """So many locks drained at the same time. Seconds, the end's quiet not counted."""

    locks: int
    records: int
    took: float


@dataclass(frozen=True, slots=True)
class QueueRow:
    """What waited was carried: seconds, records a second, MiB resident at the begin and most."""

    queued: int
    batch: int
    took: float
    rate: float
    resident: float
    most: float


class Street:
    """Implements ``ports.LockRadio``: one virtual lock for each name, all links equally slow."""

    def __init__(self, clock: LoopClock, rtt: float) -> None:
        self._clock = clock
        self._rtt = rtt
        self._radios: dict[str, VirtualRadio] = {}

    def add(self, name: str, records: int) -> LockFacts:
        """A lock that remembers so much."""
        now = self._clock.now()
        lock = VirtualLock(KEYS, profile("v3.0"), now=now - 2.0 * records - 10)
        for number in range(records):
            event = {"action": "record", "dp": FINGER, "value": number}
            lock.local({"local": event}, now - 2.0 * (records - number) - 5)
        self._radios[name] = VirtualRadio(lock, self._clock, att_payload=20)
        return LockFacts(name=name, device_id=name, keys=KEYS)

    @asynccontextmanager
    async def connect(
        self, lock: LockFacts, *, priority: Priority = Priority.OPERATION
    ) -> AsyncIterator[LockLink]:
        """Connect."""
        async with (
            self._radios[lock.name].connect(lock, priority=priority) as link,
            anyio.create_task_group() as tasks,
        ):
            yield DelayedLink(link, self._rtt, tasks)
            tasks.cancel_scope.cancel()


class Watch(RecordListener):
    """When records came, and when the drains were over."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.ended: list[Drained] = []

    def kept(self, lock: str, kept: Kept, *, live: bool) -> None:
        """One more."""
        del lock, kept, live
        self.at.append(time.perf_counter())

    def drained(self, drained: Drained) -> None:
        """One is over."""
        self.ended.append(drained)


@contextmanager
def stored(folder: Path | None = None) -> Iterator[SqliteStore]:
    """A store in a folder of its own."""
    vault = Vault({1: Secret(bytes(32))}, new_nonce=lambda: secrets.token_bytes(12))
    with (
        tempfile.TemporaryDirectory(dir=folder) as place,
        StateDirectory(Path(place) / "state") as directory,
        SqliteStore(directory, vault, sinks=("cloud",), capacity=200_000) as store,
    ):
        yield store


async def drain(rtt: float, records: int, locks: int) -> tuple[float, int]:
    """Seconds from the first record on disk to the last, and how many there were."""
    clock, watch = LoopClock(), Watch()
    street = Street(clock, rtt)
    with stored() as store:
        ports = record_ports(store.records)
        links = LinkPorts(
            radio=street, memory=MemoryLocks(), clock=clock, new_iv=lambda: bytes(16),
            records=RecordPorts(book=ports.book, config=ports.config, listener=watch),
        )  # fmt: skip
        names = [f"door-{number}" for number in range(locks)]
        owned = {name: (street.add(name, records), Policy(linger=0.0)) for name in names}
        async with anyio.create_task_group() as tasks:
            supervisor = Supervisor(owned, links, tasks)
            for name in names:
                supervisor.called(name)
            limit = 60 + 4 * records * rtt + records * locks * 0.05
            with anyio.fail_after(limit):
                while len(watch.ended) < locks:
                    await anyio.sleep(0.05)
            supervisor.stop()
            await supervisor.left()
        if any(one.why for one in watch.ended):
            raise RuntimeError(f"a drain was not finished: {watch.ended}")
    return watch.at[-1] - watch.at[0], len(watch.at)


async def drains(effort: Effort) -> list[DrainRow]:
    """At two connection intervals."""
    rows = []
    for rtt in (0.015, 0.2):
        took = [(await drain(rtt, effort.records, 1))[0] for _ in range(effort.drains)]
        rows.append(DrainRow(rtt, effort.records, median(took), (effort.records - 1) * rtt))
    return rows


class Taker:
    """Implements ``ports.RecordSink``: takes everything at once."""

    name = "cloud"

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.taken = 0
        self.most = 0.0

    async def deliver(self, records: Sequence[StoredRecord]) -> list[Receipt]:
        """Take them."""
        await anyio.lowlevel.checkpoint()
        self.taken += len(records)
        self.most = max(self.most, resident())
        return [DONE] * len(records)


async def queue(queued: int, batch: int) -> QueueRow:
    """Carry what waits."""
    with stored(Path("/dev/shm")) as store:  # noqa: S108 - memory's file system
        for number in range(queued):
            await store.records.take(_report(number))
        sink, began, before = Taker(batch), time.perf_counter(), resident()
        carrier = Carrier(sink, store.records, LoopClock(), lambda: 0.5)
        while await carrier.carry_once():
            pass
        took = time.perf_counter() - began
    if sink.taken != queued:
        raise RuntimeError(f"{sink.taken} of {queued} were carried")
    return QueueRow(queued, batch, took, queued / took, before, sink.most)


def _report(number: int) -> TakenReport:
    seconds = 1_700_000_000 + number
    datapoint = Datapoint.number(FINGER, number % 100)
    report = Report(code=0x8003, datapoints=(datapoint,), time=ReportTime.unix(seconds))
    happening = Happening(
        dp=FINGER, type=DpType.VALUE, kind=RecordKind.FINGERPRINT, value=number % 100,
        data=Secret(datapoint.data), wire_time=str(seconds), lock_seconds=float(seconds),
        at=float(seconds), quality=TimeQuality.LOCK,
    )  # fmt: skip
    return TakenReport(
        lock=f"door-{number % 50}", device_id="door", live=True, only_copy=True,
        raw=Secret(report.code.to_bytes(2, "big") + report.to_bytes()), happenings=(happening,),
        taken_at=float(seconds), may_match=False, may_return=False, release=True,
    )  # fmt: skip


def resident() -> float:
    """MiB of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / MIB_KB


async def _all(effort: Effort) -> tuple[list[DrainRow], ManyRow, list[QueueRow]]:
    slow = await drains(effort)
    took, count = await drain(0.015, effort.records, effort.locks)
    many = ManyRow(effort.locks, count, took)
    return slow, many, [await queue(effort.queued, batch) for batch in (1, 100)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="records: off the lock, into a sink")
    parser.add_argument("--quick", action="store_true", help="numbers that mean nothing, fast")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    options = parser.parse_args(arguments)
    rows, many, queues = anyio.run(_all, QUICK if options.quick else FULL)
    print(f"records off one lock (asking takes 1 s more, the quiet at the end {QUIET} s)")
    for row in rows:
        print(
            f"  {1000 * row.rtt:4.0f} ms round trip: {row.records} records in {row.took:6.2f} s, "
            f"{row.ratio:.2f} x one round trip each"
        )
    print(f"{many.locks} locks at once, {many.records} records: {many.took:.2f} s")
    for one in queues:
        print(
            f"{one.queued} waiting records, {one.batch} a call: {one.took:.1f} s, "
            f"{one.rate:.0f} a second, resident {one.resident:.0f} MiB, at most {one.most:.0f}"
        )
    if options.json is not None:
        found = {
            "drains": [asdict(row) | {"ratio": row.ratio} for row in rows],
            "many": asdict(many),
            "queues": [asdict(one) for one in queues],
        }
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
