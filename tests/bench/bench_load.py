"""Many who ask at once, each door opened once: the real daemon before a street of virtual locks.

``bench_load.py [--quick] [--requests N] [--clients N] [--keys N] [--doors N] [--json FILE]``. Each
``Idempotency-Key`` is sent by several clients at about the same time, over connections of their
own. The daemon is a process with its store on disk (``street_daemon``: what limits are lifted);
locks, cloud and clients share another one, so that the times are those of a busy machine. How
often doors opened is the locks' own count. Ends with 1 if a key opened a door twice, or was
answered with two operations.

Then, in one process and without a network: what a read costs behind the guard, over one without.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # started as a script
    sys.path.insert(0, str(ROOT))

import anyio  # noqa: E402 - after the path
import httpx  # noqa: E402
from starlette.types import ASGIApp, Message  # noqa: E402

from bleagent.clock import SystemClock  # noqa: E402
from bleagent.http.app import create_app, guarded  # noqa: E402
from bleagent.simulator.cloud_actions import CloudLock  # noqa: E402
from bleagent.simulator.socket_lock import SocketLock  # noqa: E402
from bleagent.simulator.virtual_lock import VirtualLock  # noqa: E402
from protocol import Secret  # noqa: E402
from tests.agent.test_http_tokens import MASTER, Gate, before_the_door  # noqa: E402
from tests.system.daemon import CODE, KEYS, TOKEN, Site, socket_radio, unlock  # noqa: E402

STREET_DAEMON = str(Path(__file__).with_name("street_daemon.py"))
TURNED_AWAY = ("lock-busy", "too-late")
"""What an answer without an operation may say: the door is busy with another key, or the process
stood still (all cores are taken here) and trusts nothing that it read right after."""
MOMENT = 0.05
"""Seconds before such a request is sent again."""


@dataclass(frozen=True)
class Effort:
    """``requests`` are those that are answered with an operation; ``reads`` those of the guard."""

    requests: int
    clients: int
    keys: int
    doors: int
    reads: int

    @property
    def callers(self) -> int:
        """Clients that send the same key."""
        return self.requests // self.keys


FULL = Effort(requests=10_000, clients=50, keys=1_000, doors=100, reads=2_000)
QUICK = Effort(requests=40, clients=8, keys=10, doors=3, reads=20)


class Street(Site):
    """A gateway with many doors, each with a virtual lock of its own."""

    def __init__(self, folder: Path, doors: int) -> None:
        super().__init__(folder, locks=doors)
        clock = SystemClock()
        self.ports = folder / "ports"
        self.locks_of = {"front": self.lock}
        self.doors_of = {"front": self.door}
        for number in range(1, doors):
            name = f"door-{number}"
            keys = replace(KEYS, uuid=f"tuya{number:012x}", virtual_id=f"device-{number}")
            lock = VirtualLock(keys, self.firmware, now=clock.now(), clock=int(time.time()))
            lock.preset_check_code(5, CODE.encode())
            self.locks_of[name] = lock
            self.doors_of[name] = SocketLock(lock, clock, att_payload=self.firmware.att_payload)
            self.cloud.register(
                CloudLock(
                    device_id=keys.virtual_id, keys=keys, code=Secret(CODE),
                    major=self.firmware.protocol[0],
                )
            )  # fmt: skip

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """All locks and the cloud."""
        async with self.cloud.serve() as base_url, AsyncExitStack() as stack:
            ports = {
                name: await stack.enter_async_context(door.serve())
                for name, door in self.doors_of.items()
            }
            self.ports.write_text(json.dumps(ports))
            self.configure(base_url, socket_radio(ports["front"]))
            yield

    @property
    def openings(self) -> Mapping[str, int]:
        """By the locks' own count."""
        return {name: int(lock.dump()["opened"]) for name, lock in self.locks_of.items()}


@dataclass
class Heard:
    """What the clients were answered."""

    ids: dict[int, set[str]] = field(default_factory=dict)
    """Operations of each key; there should be one."""
    outcomes: dict[int, set[str]] = field(default_factory=dict)
    half: anyio.Event = field(default_factory=anyio.Event)
    """Half of all were answered."""
    seconds: list[float] = field(default_factory=list)
    """Of each request that was answered with an operation, the waiting for the lock included."""
    replayed: int = 0
    """Answers about an operation that another request had begun, whether it was over or not."""
    turned_away: int = 0
    """Requests that had to be sent again."""

    def took(self, number: int, answer: httpx.Response, seconds: float) -> None:
        """An operation was told."""
        told = answer.json()
        if "id" not in told:
            raise RuntimeError(f"neither an operation nor busy: {answer.status_code} {told}")
        self.ids.setdefault(number, set()).add(told["id"])
        self.outcomes.setdefault(number, set()).add(told["outcome"])
        self.seconds.append(seconds)
        self.replayed += "idempotency-replayed" in answer.headers


@dataclass(frozen=True)
class Load:
    """One run. Seconds and KiB; ``twice``: keys that opened a door twice, or are two operations."""

    requests: int
    clients: int
    keys: int
    doors: int
    opened: int
    replayed: int
    turned_away: int
    twice: int
    p50: float
    p99: float
    worst: float
    took: float
    resident_before: int
    resident_half: int
    """When half of the requests were answered: whether it goes on growing."""
    resident_after: int


async def load(effort: Effort) -> Load:
    """The clients against the daemon."""
    heard = Heard()
    with tempfile.TemporaryDirectory() as folder:
        street = Street(Path(folder), effort.doors)
        names = list(street.locks_of)
        async with (
            street.up(),
            street.daemon("warning", by=[STREET_DAEMON, str(street.ports)]) as (client, process),
        ):
            await client.get("/v1/locks")
            before, begun = resident(process.pid), time.perf_counter()
            async with anyio.create_task_group() as tasks:
                for number in range(effort.clients):
                    tasks.start_soon(_ask, str(client.base_url), number, names, effort, heard)
                await heard.half.wait()
                half = resident(process.pid)
            took, after = time.perf_counter() - begun, resident(process.pid)
            openings = street.openings
    opened = sum(openings.values())
    p = quantiles(heard.seconds, n=100, method="inclusive")
    return Load(
        requests=len(heard.seconds), clients=effort.clients, keys=effort.keys, doors=effort.doors,
        opened=opened, replayed=heard.replayed, turned_away=heard.turned_away,
        twice=_twice(heard, openings, names),
        p50=p[49], p99=p[98], worst=max(heard.seconds), took=took,
        resident_before=before, resident_half=half, resident_after=after,
    )  # fmt: skip


async def _ask(url: str, number: int, names: list[str], effort: Effort, heard: Heard) -> None:
    """One client: its share of the keys, which those of its group send at the same time."""
    groups = effort.clients // effort.callers
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=60, trust_env=False
    ) as client:
        for key in range(number % groups, effort.keys, groups):
            while True:
                begun = time.perf_counter()
                answer = await unlock(client, f"key-{key}", lock=names[key % len(names)])
                seconds = time.perf_counter() - begun
                told = answer.json()
                if "id" in told or told["code"] not in TURNED_AWAY:
                    break
                heard.turned_away += 1
                await anyio.sleep(MOMENT)
            heard.took(key, answer, seconds)
            if 2 * len(heard.seconds) >= effort.requests:
                heard.half.set()


def _twice(heard: Heard, openings: Mapping[str, int], names: list[str]) -> int:
    """Nobody else opens doors: more openings of one than there are keys are a second for one."""
    keys = Counter(names[key % len(names)] for key in heard.ids)
    more = sum(max(0, count - keys[name]) for name, count in openings.items())
    return more + sum(len(ids) > 1 for ids in heard.ids.values())


def resident(pid: int) -> int:
    """KiB of memory that a process occupies."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@dataclass(frozen=True)
class Guarding:
    """A read of the list of locks, in seconds; medians of batches that took turns."""

    reads: int
    bare: float
    guarded: float

    @property
    def ratio(self) -> float:
        """What it is behind the guard, over what it is without."""
        return self.guarded / self.bare


def guarding(effort: Effort, batches: int = 10) -> Guarding:
    """Time both."""
    bare: list[float] = []
    behind: list[float] = []

    async def story(gate: Gate) -> None:
        both = (create_app(gate.parts), bare), (guarded(gate.parts, ("127.0.0.1",)), behind)
        for _ in range(batches):
            for app, times in both:
                times.append(await _reads(app, max(1, effort.reads // batches)))

    before_the_door(story)
    return Guarding(effort.reads, median(bare), median(behind))


async def _reads(app: ASGIApp, count: int) -> float:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise RuntimeError(f"the bench's read was answered {message['status']}")

    headers = [
        (b"host", b"127.0.0.1:8580"), (b"authorization", f"Bearer {MASTER}".encode()),
        (b"user-agent", b"bench"), (b"accept", b"application/json"),
    ]  # fmt: skip
    scope = {
        "type": "http", "method": "GET", "path": "/v1/locks", "raw_path": b"/v1/locks",
        "query_string": b"", "headers": headers, "scheme": "http", "client": ("127.0.0.1", 1),
    }  # fmt: skip
    gc.collect()
    begun = time.perf_counter()
    for _ in range(count):
        await app(dict(scope), receive, send)
    return (time.perf_counter() - begun) / count


def _told(load: Load, guarding: Guarding) -> str:
    ms = 1000.0
    return (
        f"\n{load.requests:,} requests of {load.clients} clients with {load.keys:,} keys for "
        f"{load.doors} doors, the limits of callers and the rest of doors lifted "
        f"({platform.machine()}, Python {platform.python_version()})\n"
        f"   opened {load.opened:,} times, none twice: {'yes' if not load.twice else 'NO'}; "
        f"{load.replayed:,} requests were told of an operation of another one; "
        f"{load.turned_away:,} more were turned away\n"
        f"   p50 {ms * load.p50:.0f} ms, p99 {ms * load.p99:.0f} ms, "
        f"worst {ms * load.worst:.0f} ms; {load.requests / load.took:.0f} a second\n"
        f"   resident {load.resident_before / 1024:.0f} MiB before, "
        f"{load.resident_half / 1024:.0f} after half, {load.resident_after / 1024:.0f} after all\n"
        f"a read of the locks: {1e6 * guarding.bare:.0f} us, behind the guard "
        f"{1e6 * guarding.guarded:.0f} us, {guarding.ratio:.2f} times\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="many clients, few keys")
    parser.add_argument("--quick", action="store_true", help="numbers that mean nothing, fast")
    for name in ("requests", "clients", "keys", "doors"):
        parser.add_argument(f"--{name}", type=int, help=f"instead of {getattr(FULL, name):,}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    options = parser.parse_args(arguments)
    effort = QUICK if options.quick else FULL
    asked = {name: getattr(options, name) for name in ("requests", "clients", "keys", "doors")}
    effort = replace(effort, **{name: value for name, value in asked.items() if value})
    if effort.clients % effort.callers or effort.requests % effort.keys:
        parser.error("keys must divide requests, and requests / keys the clients")
    found, cost = anyio.run(load, effort), guarding(effort)
    print(_told(found, cost))
    if options.json is not None:
        numbers = {"load": asdict(found), "guard": asdict(cost) | {"ratio": cost.ratio}}
        options.json.write_text(json.dumps(numbers, indent=1))
    return 1 if found.twice else 0


if __name__ == "__main__":
    raise SystemExit(main())
