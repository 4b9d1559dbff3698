"""A day at a busy door in virtual time: everything that remembers something, over the real store.

The store's threads are left out (virtual time knows none): what they would do is done at once.
Retention is as it is, but for its numbers: so little is kept that a day reaches them. Looks at the
store are as seldom as once a minute, so that the day takes seconds.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import TaskGroup

from bleagent.adapters.sqlite_store import (
    Bounds,
    SqliteStore,
    StateDirectory,
    database,
    ledger,
    record_book,
)
from bleagent.audit.audited import AuditedBook, AuditedDoors
from bleagent.audit.writer import AuditWriter
from bleagent.authority.issued_tokens import IssuedTokens
from bleagent.cloud.client import CloudState
from bleagent.doors import Doors, Listener
from bleagent.events import Bell
from bleagent.everyone import everyone
from bleagent.health import readiness, watchdog
from bleagent.health.metrics import Tally
from bleagent.health.readiness import Readiness
from bleagent.health.watchdog import Watchdog
from bleagent.health.watches import RecordWatch
from bleagent.held_memory import HeldMemory
from bleagent.http.app import HttpParts, guarded
from bleagent.http.auth import Tokens
from bleagent.http.metrics import MetricParts
from bleagent.issued import known_or_asked
from bleagent.operation_log import OperationLog
from bleagent.policy import Backlog, Offline
from bleagent.records.beside import BookBeside
from bleagent.records.log import RecordLog
from bleagent.records.outbox import CarriageListener, Carrier, release_overdue
from bleagent.records.record import DONE, Receipt, ReceiptKind, StoredRecord
from bleagent.records.taking import RecordListener, RecordPorts
from bleagent.retention import forget_operations
from bleagent.session import LinkPorts
from bleagent.simulator import virtual_time
from bleagent.simulator.faults import Faults, seeded
from bleagent.unlock import Ports
from bleagent.vault import Vault
from bleagent.webhooks import Follower
from protocol import Secret
from tests.agent.watched import MASTER, at_once, watched
from tests.agent.world import DOOR, World, make, supervise

HOUR = 3600.0
FINGER, ALARM = 12, 21
LATER = Receipt(kind=ReceiptKind.LATER, code="away")
KEPT = 20
"""Operations, of 10,000; audit rows and hours of records and keys are made as few."""
SCHEDULE = ((5, 2 * HOUR), (6, 20 * 60.0), (1, 60.0))
"""Hours, and the seconds between two openings in them: a night, a household, a party."""


@dataclass(slots=True)
class Most:
    """The most that there was of each in some hours, looked at with nobody at the door.

    Nothing is kept of a single look: it would be what grows.
    """

    blocks: int = 0
    """Of memory that Python's objects have."""
    resident: int = 0
    """Bytes of the process, SQLite's too."""
    descriptors: int = 0
    tasks: int = 0
    bytes: int = 0
    """Of the databases, their logs included."""
    rows: dict[str, int] = field(default_factory=dict)
    """By table."""
    openings: int = 0
    """That were asked for."""

    def look(self, store: SqliteStore, folder: Path) -> None:
        """Look now."""
        for name, found in rows_of(store):
            self.rows[name] = max(self.rows.get(name, 0), found)
        self.descriptors = max(self.descriptors, len(os.listdir("/proc/self/fd")))  # noqa: PTH208
        self.tasks = max(self.tasks, len(asyncio.all_tasks()))
        files = [one.stat().st_size for one in folder.iterdir() if one.is_file()]
        self.bytes = max(self.bytes, sum(files))
        self.resident = max(self.resident, resident())
        gc.collect()
        self.blocks = max(self.blocks, sys.getallocatedblocks())


class Silent:
    """Implements ``ports.ServiceManager``."""

    def notify(self, state: str) -> None:
        """Nobody listens."""


class Moody:
    """A sink, and a receiver of webhooks, that are away now and then."""

    name = "cloud"
    batch = 7

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.taken = 0
        self.told = 0

    def _is_away(self) -> bool:
        return self._chance.random() < 0.2

    async def deliver(self, records: Sequence[StoredRecord]) -> list[Receipt]:
        """Take them all, or none."""
        await anyio.sleep(0.1)
        if self._is_away():
            return [LATER] * len(records)
        self.taken += len(records)
        return [DONE] * len(records)

    async def tell(self, _name: str, _event: object) -> Receipt:
        """Take it, or not."""
        await anyio.sleep(0.1)
        self.told += 1
        return LATER if self._is_away() else DONE


class Gateway:
    """The parts as the daemon puts them together, and the door before them."""

    def __init__(self, world: World, store: SqliteStore, chance: random.Random) -> None:
        clock, tasks = world.clock, world.tasks
        self.world, self.store, self.chance = world, store, chance
        self.moody, self.bell, tally = Moody(chance), Bell(), Tally()
        self.audit, watch = AuditWriter(store.audit, clock), RecordWatch(clock.now)
        self.told = RecordLog(lambda: self.carrier.wake(), self.bell.ring)  # noqa: PLW0108 - later
        self.carrier = Carrier(
            self.moody, store.records, clock, chance.random,
            everyone(CarriageListener, self.told, watch), {DOOR: "virtual-door"},
        )  # fmt: skip
        memory: Any = HeldMemory(store.memory)
        draws = count(1_000_000)
        links = LinkPorts(
            radio=world.radio, memory=memory, clock=clock,
            new_iv=lambda: next(draws).to_bytes(16, "big"),
            records=RecordPorts(
                book=BookBeside(AuditedBook(self.audit, store.records), tasks),
                config=lambda facts: known_or_asked(facts, world.cloud, memory),
                listener=everyone(RecordListener, self.told, watch),
            ),
            heard=lambda lock, dps, event: world.states.heard(lock, dps, event, clock.now()),
        )  # fmt: skip
        known = dict(world.doors._doors)
        self.supervisor = supervise(known, links, tasks)
        self.issued = IssuedTokens(store.tokens, clock, chance.randbytes)
        tokens = Tokens(Secret(MASTER), self.issued)
        ports = Ports(cloud=world.cloud, ledger=store.ledger, memory=memory, clock=clock)
        listener = everyone(
            Listener, OperationLog(self.bell.ring), AuditedDoors(self.audit), tally
        )  # fmt: skip
        self.doors = Doors(
            known, ports, self.supervisor, tasks, listener, allowed=tokens.require_good
        )  # fmt: skip
        self.follower = Follower(
            "home", wants=lambda _: True, events=store.operation_events, book=store.webhooks,
            tell=self.moody.tell, bell=self.bell, clock=clock, chance=chance.random,
        )  # fmt: skip
        seen = watched(clock, store.records, store=store.ledger.require_usable, records=watch)
        self.readiness = Readiness(seen)
        parts = HttpParts(
            doors=self.doors, ledger=store.ledger, clock=clock, tokens=tokens,
            new_id=lambda: chance.randbytes(12).hex(), stalled=lambda: False, air=seen.air,
            readiness=self.readiness.parts, audit=self.audit,
            metrics=MetricParts(
                tally=tally, readiness=self.readiness, doors=self.doors, clock=clock, air=seen.air,
                version="1", in_thread=at_once,
                cloud=lambda: CloudState(token=True, quota_pause=0.0),
            ),
        )  # fmt: skip
        self.app = guarded(parts)
        self.outcomes: dict[str, int] = {}

    def start(self, tasks: TaskGroup) -> None:
        """All that goes on beside the door."""
        clock, store = self.world.clock, self.store
        telling = Watchdog(clock, Silent(), self.readiness)
        telling.listens()
        jobs: list[Callable[[], Coroutine[Any, Any, None]]] = [
            self.audit.run, self.readiness.run, self.follower.run, self.carrier.run,
            telling.run,
            partial(forget_operations, store.ledger, clock, self.doors.settled),
            partial(release_overdue, store.records, clock, self.carrier.wake, self.told),
            self._forget_records,
        ]  # fmt: skip
        for job in jobs:
            tasks.start_soon(job)

    async def _forget_records(self) -> None:
        while True:
            await anyio.sleep(HOUR)
            await self.store.records.prune(self.world.clock.unix(), 2 * HOUR)

    async def ask(self, method: str, url: str, token: str, **more: Any) -> httpx.Response:
        """One request, of anybody on the network."""
        address = f"192.0.2.{self.chance.randrange(16)}"
        headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, client=(address, 1)),
            base_url="http://localhost",
        ) as client:
            return await client.request(method, url, headers=headers, **more)

    async def somebody_comes(self) -> None:
        """What was at the lock before, what is in the way, and then an opening over HTTP."""
        world, chance = self.world, self.chance
        for _ in range(chance.randrange(4)):
            event = {"action": "record", "dp": chance.choice((FINGER, ALARM)), "value": 3}
            actions = world.lock.local({"local": event}, world.clock.now())
            if world.lock.is_connected and world.radio.links:
                await world.radio.links[-1]._pass_on(actions)
        world.cloud.down = chance.random() < 0.15
        fate = chance.random()
        if fate < 0.05:
            world.radio.faults = Faults(absent=True)
        elif fate < 0.2:
            world.radio.faults = seeded(chance.randrange(10_000), writes=30, notifications=40)
        if chance.random() < 0.3:
            self.supervisor.called(DOOR)
        if chance.random() < 0.5:
            assert (await self.ask("GET", "/v1/locks", "x" * 30)).status_code in (401, 429)
        headers = {"Idempotency-Key": chance.randbytes(8).hex()}
        url = f"/v1/locks/{DOOR}/unlock"
        answer = await self.ask("POST", url, MASTER, headers=headers, json={"deadline_ms": 8000})
        told = answer.json()
        outcome = told.get("outcome", told.get("code"))
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    async def nobody_is_there(self) -> None:
        """The lock has been left, and what lock and cloud remember for tests is forgotten."""
        world = self.world
        assert (await self.ask("GET", "/metrics", MASTER)).status_code == 200
        await self.doors.settled()
        await self.supervisor.left()
        world.lock.log.entries.clear()
        world.cloud.asked.clear()
        del world.radio.links[:-1]


def resident() -> int:
    """Bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def rows_of(store: SqliteStore) -> Iterator[tuple[str, int]]:
    """How many each table has."""
    for one in (store._operations, store._records, store._audit, store._webhooks):
        connection = one._connection
        with closing(
            connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ) as all_:
            names = [name for (name,) in all_]
        for name in names:
            with closing(connection.execute(f"SELECT count(*) FROM {name}")) as counted:  # noqa: S608 - ours
                yield f"{one.path.stem}.{name}", int(counted.fetchone()[0])


def gap(hour: int, rush: float) -> float:
    """Seconds to the next opening, in the mean; ``rush`` times as often as a household's."""
    left = hour % sum(hours for hours, _ in SCHEDULE)
    for hours, seconds in SCHEDULE:
        if left < hours:
            return max(5.0, seconds / rush)
        left -= hours
    raise AssertionError(hour)


def small(patch: pytest.MonkeyPatch) -> None:
    """No threads, and retention that a day reaches."""

    async def now(work: Callable[..., Any], *given: Any, **_: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return work(*given)

    patch.setattr(anyio.to_thread, "run_sync", now)
    patch.setattr(ledger, "KEYS_KEPT", KEPT)
    patch.setattr(ledger, "KEY_AGE", 2 * HOUR)
    patch.setattr(record_book, "MOST_GAPS", 5)
    patch.setattr(readiness, "LOOK", 60.0)
    patch.setattr(watchdog, "BEAT", 60.0)
    connect = database._connect

    def carelessly(path: Path, **mode: Any) -> Any:
        connection = connect(path, **mode)
        connection.execute("PRAGMA synchronous=OFF")  # no power is cut here
        return connection

    patch.setattr(database, "_connect", carelessly)


def live(folder: Path, *, rush: float, seed: int) -> tuple[Most, Most, Gateway]:
    """A day, looked at each hour: its first and its last twelve hours."""
    chance = random.Random(seed)
    first, last = Most(), Most()

    async def main() -> Gateway:
        nonces = count(1)
        vault = Vault({1: Secret(bytes(32))}, new_nonce=lambda: next(nonces).to_bytes(12, "big"))
        with StateDirectory(folder) as directory, SqliteStore(
            directory, vault, audit_bounds=Bounds(rows=10 * KEPT, cut_at_once=KEPT),
            sinks=(Moody.name,), subscriptions=("home",), boottime=lambda: 0.0,
        ) as store:  # fmt: skip
            async with anyio.create_task_group() as tasks:
                world = make(tasks, backlog=Backlog.TAKE, linger=10.0, offline=Offline.CACHED)
                gateway = Gateway(world, store, chance)
                await gateway.issued.load()
                gateway.start(tasks)
                gc.freeze()  # what is there by now is not walked through at each look
                for hour in range(24):
                    half = first if hour < 12 else last
                    half.openings += await _an_hour(gateway, hour, rush)
                    await gateway.nobody_is_there()
                    half.look(store, folder)
                tasks.cancel_scope.cancel()
        return gateway

    try:
        gateway = virtual_time.run(main)
    finally:
        gc.unfreeze()
    return first, last, gateway


async def _an_hour(gateway: Gateway, hour: int, rush: float) -> int:
    """How many came."""
    clock, came = gateway.world.clock, 0
    while True:
        wait = gateway.chance.expovariate(1 / gap(hour, rush))
        left = (hour + 1) * HOUR - clock.now()
        if wait >= left:
            await anyio.sleep(max(0.0, left))
            return came
        await anyio.sleep(wait)
        await gateway.somebody_comes()
        came += 1
