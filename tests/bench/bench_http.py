"""From a POST to the lock: how long the daemon itself takes, through its real HTTP server.

``bench_http.py [--quick] [--json FILE]``. A POST for one of 200 locks arrives over loopback; the
clock runs from the first byte of it that the server reads to the moment at which the first fragment
of the sealed instruction is handed to the link. Lock and cloud answer at once, and what their own
code takes is timed and taken off: what is left is HTTP, the job, the codec, and the store.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # started as a script
    sys.path.insert(0, str(ROOT))

import anyio  # noqa: E402 - after the path
import httpx  # noqa: E402
import uvicorn  # noqa: E402
from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: E402

from bleagent.adapters.sqlite_store import SqliteStore, StateDirectory  # noqa: E402
from bleagent.doors import REST, Door, Doors  # noqa: E402
from bleagent.http.app import HttpParts, create_app  # noqa: E402
from bleagent.http.auth import Tokens  # noqa: E402
from bleagent.model import (  # noqa: E402
    InstructionRequest,
    IssuedConfig,
    LockFacts,
    Priority,
    SealedInstruction,
)
from bleagent.policy import Policy  # noqa: E402
from bleagent.ports import Ledger, LockMemory  # noqa: E402
from bleagent.records.ports import RecordBook  # noqa: E402
from bleagent.session import LinkPorts  # noqa: E402
from bleagent.simulator.actions import Action  # noqa: E402
from bleagent.simulator.fakes import (  # noqa: E402
    DirectCloud,
    LoopClock,
    MemoryLedger,
    MemoryLocks,
    record_ports,
)
from bleagent.simulator.profiles import profile  # noqa: E402
from bleagent.simulator.radio import VirtualLink, VirtualRadio  # noqa: E402
from bleagent.simulator.record_fakes import MemoryRecords  # noqa: E402
from bleagent.simulator.virtual_lock import VirtualLock  # noqa: E402
from bleagent.supervisor import Supervisor  # noqa: E402
from bleagent.unlock import Ports  # noqa: E402
from bleagent.vault import Vault  # noqa: E402
from protocol import Secret  # noqa: E402
from tests.system.daemon import CODE, KEYS, TOKEN, unlock  # noqa: E402

FULL, QUICK = 200, 3


@dataclass
class Watch:
    """One POST's times, in ``perf_counter`` seconds. ``others``: in the lock's and cloud's code."""

    received: float = 0.0
    sending: bool = False
    others: float = 0.0
    queued: float | None = None

    def begin(self) -> None:
        """The next POST."""
        self.received, self.others, self.queued, self.sending = 0.0, 0.0, None, False

    @property
    def ours(self) -> float:
        """Seconds that are neither the lock's nor the cloud's."""
        if self.queued is None:
            raise RuntimeError("no instruction was written")
        return self.queued - self.received - self.others


@dataclass(frozen=True, slots=True)
class Row:
    """Seconds over so many POSTs. ``warm``: on a connection that was there."""

    store: str
    warm: bool
    posts: int
    median: float
    p99: float
    worst: float


class InstantLock(VirtualLock):
    """A lock whose own work is timed: all that it does happens in these calls."""

    watch: Watch

    def connected(self, now: float) -> list[Action]:
        """Timed."""
        return self._timed(super().connected, now)

    def write(self, value: bytes, now: float) -> list[Action]:
        """Timed."""
        return self._timed(super().write, value, now)

    def tick(self, now: float) -> list[Action]:
        """Timed."""
        return self._timed(super().tick, now)

    def _timed(self, work: Any, *values: Any) -> list[Action]:
        began = time.perf_counter()
        try:
            return work(*values)  # type: ignore[no-any-return]
        finally:
            if self.watch.queued is None:
                self.watch.others += time.perf_counter() - began


class InstantCloud(DirectCloud):
    """Seals at once, without giving way to anybody; timed."""

    watch: Watch

    async def _answer(self) -> None:
        return

    async def issued_config(self, device_id: str) -> IssuedConfig:
        """Timed."""
        began = time.perf_counter()
        config = await DirectCloud.issued_config(self, device_id)
        self.watch.others += time.perf_counter() - began
        return config

    async def open_instruction(self, request: InstructionRequest) -> SealedInstruction:
        """Timed."""
        began = time.perf_counter()
        sealed = await DirectCloud.open_instruction(self, request)
        self.watch.others += time.perf_counter() - began
        return sealed


class WatchedLink:
    """Says when the first fragment after ``sending`` is handed over."""

    def __init__(self, link: VirtualLink, watch: Watch) -> None:
        self.att_payload = link.att_payload
        self.notifications = link.notifications
        self._link = link
        self._watch = watch

    async def write(self, value: bytes) -> None:
        """Timed."""
        if self._watch.sending and self._watch.queued is None:
            self._watch.queued = time.perf_counter()
        await self._link.write(value)


class Street:
    """Implements ``ports.LockRadio``: a lock of its own behind each name."""

    def __init__(self, clock: LoopClock, watch: Watch) -> None:
        self._clock = clock
        self._watch = watch

    @asynccontextmanager
    async def connect(
        self, lock: LockFacts, *, priority: Priority = Priority.OPERATION
    ) -> AsyncIterator[WatchedLink]:
        """Connect to a new one; making it is nobody's time."""
        del lock, priority
        began = time.perf_counter()
        device = InstantLock(
            KEYS, profile("v3.0"), now=self._clock.now(), clock=int(self._clock.unix())
        )
        device.watch = self._watch
        device.preset_check_code(5, CODE.encode())
        radio = VirtualRadio(device, self._clock, att_payload=20)
        self._watch.others += time.perf_counter() - began
        async with radio.connect(LockFacts(name="", device_id="", keys=KEYS)) as link:
            yield WatchedLink(link, self._watch)


class Watched:
    """A ledger that marks the moment of ``sending``."""

    def __init__(self, ledger: Ledger, watch: Watch) -> None:
        self._ledger = ledger
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def sending(self, operation_id: str, *, sn: int, sealed: bool = False) -> None:
        """Marked when it is on disk."""
        await self._ledger.sending(operation_id, sn=sn, sealed=sealed)
        self._watch.sending = True


class Bench:
    """The HTTP server before 200 locks that answer at once."""

    def __init__(self, ledger: Ledger, memory: LockMemory, book: RecordBook, posts: int) -> None:
        self.watch = Watch()
        self._posts = posts
        self._memory = memory
        self._book = book
        self._ledger: Any = Watched(ledger, self.watch)

    async def run(self) -> tuple[list[float], list[float]]:
        """Seconds of each POST that are the daemon's: from nothing, and once more later."""
        clock = LoopClock()
        cloud = InstantCloud(KEYS, profile("v3.0").dialect, clock, code=Secret(CODE))
        cloud.watch = self.watch
        ports = Ports(cloud=cloud, ledger=self._ledger, memory=self._memory, clock=clock)
        links = LinkPorts(
            radio=Street(clock, self.watch), memory=self._memory, clock=clock,
            new_iv=lambda: secrets.token_bytes(16), records=record_ports(self._book),
        )  # fmt: skip
        facts = LockFacts(name="", device_id="door", keys=KEYS)
        policy = Policy(major=3, linger=100.0)  # s; all first POSTs take less
        async with anyio.create_task_group() as tasks:
            street = {
                f"door-{number}": Door(replace(facts, name=f"door-{number}"), policy)
                for number in range(self._posts + 1)
            }
            owned = {name: (door.facts, door.policy) for name, door in street.items()}
            doors = Doors(street, ports, Supervisor(owned, links, tasks), tasks)
            ids = count()
            parts = HttpParts(
                doors=doors, ledger=self._ledger, clock=clock, tokens=Tokens(Secret(TOKEN)),
                new_id=lambda: f"op-{next(ids)}", stalled=lambda: False, readiness=dict,
                air=lambda: None,
            )  # fmt: skip
            async with _listening(create_app(parts), self.watch) as client:
                await self._one(client, doors, 0)  # whatever happens the first time only
                gc.freeze()  # as the daemon does when it is ready
                every = range(1, self._posts + 1)
                cold = [await self._one(client, doors, number) for number in every]
                await anyio.sleep(REST)
                warm = [await self._one(client, doors, number, "again") for number in every]
            tasks.cancel_scope.cancel()
        return cold, warm

    async def _one(
        self, client: httpx.AsyncClient, doors: Doors, number: int, key: str = "first"
    ) -> float:
        self.watch.begin()
        answer = await unlock(client, f"{key} {number}", lock=f"door-{number}")
        if answer.status_code != 200:
            raise RuntimeError(f"the bench's door stayed shut: {answer.text}")
        await doors.settled()  # the record of the opening is stored
        return self.watch.ours


@asynccontextmanager
async def _listening(app: Any, watch: Watch) -> AsyncIterator[httpx.AsyncClient]:
    class Stamped(H11Protocol):
        def data_received(self, data: bytes) -> None:
            watch.received = watch.received or time.perf_counter()
            super().data_received(data)

    config = uvicorn.Config(
        app, port=0, http=Stamped, ws="none", lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        tasks.start_soon(server.main_loop)
        port = server.servers[0].sockets[0].getsockname()[1]
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30, trust_env=False
        ) as client:
            yield client
        server.should_exit = True
        await server.shutdown()


async def _on_disk(posts: int) -> tuple[list[float], list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        vault = Vault({1: Secret(bytes(32))}, new_nonce=lambda: secrets.token_bytes(12))
        with (
            StateDirectory(Path(folder) / "state") as directory,
            SqliteStore(directory, vault) as store,
        ):
            return await Bench(store.ledger, store.memory, store.records, posts).run()


async def _in_memory(posts: int) -> tuple[list[float], list[float]]:
    memory = MemoryLocks()
    return await Bench(MemoryLedger(marks=memory.marks), memory, MemoryRecords(), posts).run()


def _rows(store: str, both: tuple[list[float], list[float]]) -> list[Row]:
    return [_row(store, took, warm=warm) for warm, took in enumerate(both)]


def _row(store: str, took: list[float], *, warm: int) -> Row:
    p99 = quantiles(took, n=100, method="inclusive")[98]
    return Row(store, bool(warm), len(took), median(took), p99, max(took))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="from a POST to the lock")
    parser.add_argument("--quick", action="store_true", help="numbers that mean nothing, fast")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    options = parser.parse_args(arguments)
    posts = QUICK if options.quick else FULL
    rows = [
        *_rows("in memory", anyio.run(_in_memory, posts)),
        *_rows("on disk", anyio.run(_on_disk, posts)),
    ]
    print(
        "\na POST received, until the instruction's first fragment is with the link, without lock "
        f"and cloud ({platform.machine()}, Python {platform.python_version()})"
    )
    print("   store      connection   POSTs   p50 ms   p99 ms   worst ms")
    for row in rows:
        print(
            f"   {row.store:11}{'there' if row.warm else 'made':10}{row.posts:8}"
            f"{1000 * row.median:9.2f}{1000 * row.p99:9.2f}{1000 * row.worst:11.2f}"
        )
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
