"""How long an unlock takes beside what lock and cloud need for it, and what the daemon costs.

``bench_unlock.py [--quick] [--json FILE]``. The job runs with the real store on this disk, the
virtual lock behind a link with a round-trip time, and a cloud that answers when told to. The
floor is what no software can save, the same packets over the same link with nothing behind it,
measured in turn with the job: three exchanges for an opening from nothing, one on a connection
that is there. What
remains, less the time that the virtual lock is at work, is ours: codec, job and three commits to
disk; with the store in memory the same without the commits.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from math import nan
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # started as a script
    sys.path.insert(0, str(ROOT))

import anyio  # noqa: E402 - after the path
import httpx  # noqa: E402
from anyio.abc import TaskGroup  # noqa: E402

from bleagent.adapters.sqlite_store import SqliteStore, StateDirectory  # noqa: E402
from bleagent.doors import REST, Door, Doors  # noqa: E402
from bleagent.model import Action, LockFacts, OperationRequest, Outcome, Principal, Priority  # noqa: E402
from bleagent.policy import Policy  # noqa: E402
from bleagent.ports import Ledger, LockLink, LockMemory  # noqa: E402
from bleagent.records.ports import RecordBook  # noqa: E402
from bleagent.session import LinkPorts  # noqa: E402
from bleagent.simulator.actions import Action as LockAction  # noqa: E402
from bleagent.simulator.fakes import (  # noqa: E402
    DirectCloud,
    LoopClock,
    MemoryLedger,
    MemoryLocks,
    record_ports,
)
from bleagent.simulator.faults import Faults  # noqa: E402
from bleagent.simulator.profiles import profile  # noqa: E402
from bleagent.simulator.radio import VirtualRadio  # noqa: E402
from bleagent.simulator.record_fakes import MemoryRecords  # noqa: E402
from bleagent.simulator.virtual_lock import VirtualLock  # noqa: E402
from bleagent.supervisor import Supervisor  # noqa: E402
from bleagent.unlock import Ports  # noqa: E402
from bleagent.vault import Vault  # noqa: E402
from protocol import Secret  # noqa: E402
from tests.system.daemon import CODE, KEYS, Site, unlock  # noqa: E402

INFO, PAIR, TIME, OPEN = (2, 7), (5, 4), (3, 0), (4, 6)
"""Writes and notifications of 20 bytes: device information, pairing and the time question behind
it, its answer, the opening and the lock's word (counted on the virtual lock of protocol 3.0)."""
COLD, WARM = (INFO, PAIR, TIME, OPEN), (OPEN,)
MIB_KB = 1024
LIBRARIES = "anyio, fastapi, httpx, sqlite3, structlog, typer, uvicorn, Crypto.Cipher.AES"


@dataclass(frozen=True, slots=True)
class Effort:
    """How often."""

    unlocks: int
    starts: int
    posts: int


FULL = Effort(unlocks=30, starts=5, posts=3)
QUICK = Effort(unlocks=2, starts=1, posts=1)


@dataclass(frozen=True, slots=True)
class Overhead:
    """Seconds. ``warm``: on a connection that was there; ``store``: disk or memory."""

    store: str
    rtt: float
    warm: bool
    floor: float
    lock: float
    unlock: float
    worst: float

    @property
    def ours(self) -> float:
        """What is left of the median."""
        return self.unlock - self.floor - self.lock


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """Seconds; ``ratio`` is over what must come one after the other."""

    bound: float
    unlock: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Daemon:
    """``bleagent run`` with so many locks; resident in MiB, times in seconds.

    ``first`` and ``later``: from the request to the lock's word, over HTTP.
    """

    locks: int
    ready: float
    resident: float
    resident_used: float
    first: float
    later: float


class DelayedLink:
    """A link on which everything takes half a round trip; order is kept."""

    def __init__(self, link: LockLink, rtt: float, tasks: TaskGroup) -> None:
        self.att_payload = link.att_payload
        self._link = link
        self._half = rtt / 2
        self._send, self._leaving = anyio.create_memory_object_stream[tuple[float, bytes]](1024)
        self._take, self._arriving = anyio.create_memory_object_stream[tuple[float, bytes]](1024)
        tasks.start_soon(self._carry)
        tasks.start_soon(self._bring)

    async def write(self, value: bytes) -> None:
        """One write, there half a round trip later."""
        self._send.send_nowait((anyio.current_time() + self._half, value))

    async def _carry(self) -> None:
        with self._send, self._leaving:
            async for due, value in self._leaving:
                await anyio.sleep_until(due)
                await self._link.write(value)

    async def _bring(self) -> None:
        with self._take:
            async for value in self._link.notifications():
                self._take.send_nowait((anyio.current_time() + self._half, value))

    async def notifications(self) -> AsyncGenerator[bytes, None]:
        """Every notification, half a round trip late."""
        with self._arriving:
            async for due, value in self._arriving:
                await anyio.sleep_until(due)
                yield value


class TimedLock(VirtualLock):
    """Knows how long it has been at work: that time is the lock's and not ours."""

    busy = 0.0
    """Seconds."""

    def connected(self, now: float) -> list[LockAction]:
        """Timed."""
        with self._timed():
            return super().connected(now)

    def write(self, value: bytes, now: float) -> list[LockAction]:
        """Timed."""
        with self._timed():
            return super().write(value, now)

    def tick(self, now: float) -> list[LockAction]:
        """Timed."""
        with self._timed():
            return super().tick(now)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.busy += time.perf_counter() - began


class DelayedRadio:
    """A radio of delayed links."""

    def __init__(self, radio: VirtualRadio, rtt: float) -> None:
        self._radio = radio
        self._rtt = rtt

    @asynccontextmanager
    async def connect(
        self, lock: LockFacts, *, priority: Priority = Priority.OPERATION
    ) -> AsyncIterator[LockLink]:
        """Connect."""
        async with (
            self._radio.connect(lock, priority=priority) as link,
            anyio.create_task_group() as tasks,
        ):
            yield DelayedLink(link, self._rtt, tasks)
            tasks.cancel_scope.cancel()


class Echo:
    """A link that answers the last write of an exchange with notifications: the cheapest lock."""

    att_payload = 20

    def __init__(self) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[bytes](16)

    async def write(self, value: bytes) -> None:
        """The first byte says how many notifications answer it."""
        for _ in range(value[0]):
            self._send.send_nowait(value)

    async def notifications(self) -> AsyncGenerator[bytes, None]:
        """The answers."""
        with self._send, self._receive:
            async for value in self._receive:
                yield value


async def floor(rtt: float, exchanges: Sequence[tuple[int, int]] = COLD) -> float:
    """Seconds of the packets alone."""
    async with anyio.create_task_group() as tasks:
        link = DelayedLink(Echo(), rtt, tasks)
        async with aclosing(link.notifications()) as answers:
            began = time.perf_counter()
            for writes, notifications in exchanges:
                for _ in range(writes - 1):
                    await link.write(b"\0")
                await link.write(bytes((notifications,)))
                for _ in range(notifications):
                    await anext(answers)
            took = time.perf_counter() - began
        tasks.cancel_scope.cancel()
    return took


@dataclass(slots=True)
class BenchDoor:
    """A door, and for how many seconds its lock was at work in the last opening."""

    name: str
    lock: TimedLock
    doors: Doors
    busy: float = 0.0


@dataclass(frozen=True, slots=True)
class Stored:
    """Where operations and marks are kept."""

    name: str
    ledger: Ledger
    memory: LockMemory
    book: RecordBook


class Bench:
    """Doors whose unlocks are timed, one after the other, on one store."""

    def __init__(self, stored: Stored, tasks: TaskGroup) -> None:
        self.stored = stored
        self._tasks = tasks
        self._numbers = count(1)
        self._clock = LoopClock()

    def door(self, rtt: float, *, cloud: float = 0.0, connect: float = 0.0) -> BenchDoor:
        """A door that nobody is connected to; its connection stays for a minute."""
        name = f"door-{next(self._numbers)}"
        firmware, clock, stored = profile("v3.0"), self._clock, self.stored
        lock = TimedLock(KEYS, firmware, now=clock.now(), clock=int(clock.unix()))
        lock.preset_check_code(5, CODE.encode())
        radio = VirtualRadio(lock, clock, att_payload=20, faults=Faults(connect_delay=connect))
        sealer = DirectCloud(KEYS, firmware.dialect, clock, code=Secret(CODE), takes=cloud)
        facts = LockFacts(name=name, device_id="door", keys=KEYS)
        policy = Policy(major=3, linger=60.0)
        links = LinkPorts(
            radio=DelayedRadio(radio, rtt), memory=stored.memory, clock=clock,
            new_iv=lambda: bytes(16), records=record_ports(stored.book),
        )  # fmt: skip
        supervisor = Supervisor({name: (facts, policy)}, links, self._tasks)
        ports = Ports(cloud=sealer, ledger=stored.ledger, memory=stored.memory, clock=clock)
        doors = Doors({name: Door(facts, policy)}, ports, supervisor, self._tasks)
        return BenchDoor(name, lock, doors)

    async def unlock(self, door: BenchDoor) -> float:
        """Seconds from the request to the outcome."""
        name, now = door.name, self._clock.now()
        door.lock.busy = 0.0
        request = OperationRequest(
            operation_id=f"{name}-{next(self._numbers)}", lock=name, action=Action.UNLOCK,
            principal=Principal(id="bench"), key=f"{name}-{now}", fingerprint=name,
            received_at=now, deadline=now + 10,
        )  # fmt: skip
        began = time.perf_counter()
        record, _ = await door.doors.operate(request)
        took, door.busy = time.perf_counter() - began, door.lock.busy
        if record.ending is None or record.ending.outcome is not Outcome.CONFIRMED:
            raise RuntimeError(f"the bench's door stayed shut: {record.ending}")
        await door.doors.settled()
        return took


async def overheads(bench: Bench, effort: Effort) -> list[Overhead]:
    """The unlock beside its floor, in turns: from nothing, and again on the connection it left."""
    found = []
    for rtt in (0.0, 0.03, 0.1):
        doors = [bench.door(rtt) for _ in range(effort.unlocks)]
        for warm in (False, True):
            floors, unlocks, busy = [], [], []
            for door in doors:
                floors.append(await floor(rtt, WARM if warm else COLD))
                unlocks.append(await bench.unlock(door))
                busy.append(door.busy)
            found.append(
                Overhead(
                    bench.stored.name, rtt, warm, median(floors), median(busy), median(unlocks),
                    max(unlocks),
                )
            )  # fmt: skip
            if not warm:
                await anyio.sleep(REST + 0.1)
    return found


async def critical_path(bench: Bench, effort: Effort) -> CriticalPath:
    """A connection of 400 ms, a cloud of 150 ms, a round trip of 30 ms."""
    connect, cloud, rtt = 0.4, 0.15, 0.03
    bound = max(connect, cloud) + cloud + 3 * rtt
    doors = [bench.door(rtt, cloud=cloud, connect=connect) for _ in range(effort.unlocks // 2)]
    took = median([await bench.unlock(door) for door in doors])
    return CriticalPath(bound, took, took / bound)


async def daemon(locks: int, effort: Effort) -> Daemon:
    """``bleagent run`` from nothing to an open door."""
    ready, idle, used, first, later = [], [], [], [], []
    for _ in range(effort.starts):
        with tempfile.TemporaryDirectory() as folder:
            site = Site(Path(folder), locks=locks)
            async with site.up():
                began = time.perf_counter()
                async with site.daemon("warning", cold=True) as (client, process):
                    ready.append(time.perf_counter() - began)
                    idle.append(_resident(process.pid))
                    first.append(await _post(client, "0"))
                    for number in range(1, effort.posts):
                        await anyio.sleep(REST + 0.5)
                        later.append(await _post(client, str(number)))
                    used.append(_resident(process.pid))
    return Daemon(
        locks,
        median(ready),
        median(idle),
        median(used),
        median(first),
        median(later or [nan]),
    )


async def _post(client: httpx.AsyncClient, key: str) -> float:
    began = time.perf_counter()
    answer = await unlock(client, key)
    if answer.status_code != 200:
        raise RuntimeError(f"the bench's door stayed shut: {answer.text}")
    return time.perf_counter() - began


def libraries(effort: Effort) -> float:
    """Seconds for an interpreter that imports what the daemon stands on, and nothing of ours."""
    took = []
    for _ in range(effort.starts):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {LIBRARIES}"], check=True)  # noqa: S603
        took.append(time.perf_counter() - began)
    return median(took)


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / MIB_KB


async def _in_process(effort: Effort) -> tuple[list[Overhead], CriticalPath]:
    vault = Vault({1: Secret(bytes(32))}, new_nonce=_counting_nonce())
    memory = MemoryLocks()
    with (
        tempfile.TemporaryDirectory() as folder,
        StateDirectory(Path(folder) / "state") as directory,
        SqliteStore(directory, vault) as store,
    ):
        async with anyio.create_task_group() as tasks:
            disk = Bench(Stored("disk", store.ledger, store.memory, store.records), tasks)
            book = MemoryRecords()
            ram = Bench(Stored("memory", MemoryLedger(marks=memory.marks), memory, book), tasks)
            for bench in (disk, ram):
                await bench.unlock(bench.door(0.0))  # whatever happens the first time only
            found = [*await overheads(disk, effort), *await overheads(ram, effort)]
            path = await critical_path(disk, effort)
            tasks.cancel_scope.cancel()
    return found, path


async def _all(effort: Effort) -> tuple[list[Overhead], CriticalPath, list[Daemon]]:
    found, path = await _in_process(effort)
    return found, path, [await daemon(1, effort), await daemon(200, effort)]


def _counting_nonce() -> Callable[[], bytes]:
    numbers = count(1)
    return lambda: next(numbers).to_bytes(12, "big")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="how long an unlock takes")
    parser.add_argument("--quick", action="store_true", help="numbers that mean nothing, fast")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    options = parser.parse_args(arguments)
    found, path, daemons = anyio.run(_all, QUICK if options.quick else FULL)
    print(
        f"\nan unlock beside its floor ({platform.machine()}, Python {platform.python_version()})"
    )
    print("   store    RTT ms   connection   floor ms   lock ms   unlock ms   ours ms   worst ms")
    for row in found:
        print(
            f"   {row.store:6}{1000 * row.rtt:9.0f}   {'there' if row.warm else 'made':10}"
            f"{1000 * row.floor:11.1f}{1000 * row.lock:10.1f}{1000 * row.unlock:12.1f}"
            f"{1000 * row.ours:10.1f}{1000 * row.worst:11.1f}"
        )
    print(
        f"connect 400 ms, cloud 150 ms, RTT 30 ms: {1000 * path.unlock:.0f} ms, "
        f"{path.ratio:.3f} times what must come one after the other"
    )
    print("\nbleagent run: locks   ready s   resident MiB   after use   first POST ms   later ms")
    for one in daemons:
        print(
            f"              {one.locks:5}{one.ready:10.2f}{one.resident:15.1f}"
            f"{one.resident_used:12.1f}{1000 * one.first:16.1f}{1000 * one.later:11.1f}"
        )
    bare = libraries(QUICK if options.quick else FULL)
    print(f"importing the libraries alone takes {bare:.2f} s")
    if options.json is not None:
        rows = [asdict(row) | {"ours": row.ours} for row in found]
        text = {
            "libraries": bare,
            "overheads": rows,
            "path": asdict(path),
            "daemons": [asdict(one) for one in daemons],
        }
        options.json.write_text(json.dumps(text, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
