"""The agent dies at a named point between the lock and the sink, and is started again.

take -> store -> acknowledge -> release -> carry -> mark: whichever step it dies before or behind,
every record that was in the ring is at the sink exactly once, ascending, and no other (reference:
safety D1 to D5). Nobody opens here, so nothing exists on the air only and nothing is excused but
what the ring itself had no place for.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product

import anyio
import pytest

from bleagent.policy import Backlog
from bleagent.records.record import Kept, Receipt, StoredRecord, TakenReport
from bleagent.simulator import virtual_time
from bleagent.simulator.quirks import Quirks
from bleagent.simulator.record_fakes import MemoryRecords
from tests.agent.test_records_stateful import FINGER, Happens, Model, Sink
from tests.agent.world import make

POINTS = (
    "before take", "after take", "before drained", "after drained",
    "before deliver", "after deliver", "before settle", "after settle",
)  # fmt: skip
COUNTS = (0, 1, 5, 64, 70)
PROFILES = ("v3.0", "v4-244", "secv2-20")
RING = 64


@dataclass
class Death:
    """Comes when a point was reached so many times; whoever reached it never returns."""

    point: str
    times: int
    came: anyio.Event = field(default_factory=anyio.Event)
    reached: Counter[str] = field(default_factory=Counter)

    async def at(self, point: str) -> None:
        """A point was reached."""
        self.reached[point] += 1
        if point == self.point and self.reached[point] == self.times:
            self.came.set()
            await anyio.sleep_forever()


class DeadlyRecords(MemoryRecords):
    """A book in which one can die before and behind every commit."""

    death: Death

    async def take(self, report: TakenReport) -> Kept:
        """Store a report."""
        await self.death.at("before take")
        kept = await super().take(report)
        await self.death.at("after take")
        return kept

    async def drained(self, lock: str, *, up_to: int, keep: Collection[int], unix: float) -> None:
        """A drain reached its end."""
        await self.death.at("before drained")
        await super().drained(lock, up_to=up_to, keep=keep, unix=unix)
        await self.death.at("after drained")

    async def settle(self, sink: str, receipts: Sequence[tuple[int, Receipt]]) -> None:
        """Note the sink's word."""
        await self.death.at("before settle")
        await super().settle(sink, receipts)
        await self.death.at("after settle")


@dataclass
class DeadlySink(Sink):
    """A sink whose answer may find nobody any more."""

    death: Death | None = None

    async def deliver(self, records: Sequence[StoredRecord]) -> list[Receipt]:
        """Carry them."""
        assert self.death is not None
        await self.death.at("before deliver")
        receipts = await super().deliver(records)
        await self.death.at("after deliver")
        return receipts


def run(point: str, times: int, count: int, name: str) -> tuple[Model, bool]:
    """One life, one death, another life; and whether the death came."""

    async def main() -> tuple[Model, bool]:
        async with anyio.create_task_group() as tasks:
            world = make(tasks, name, quirks=Quirks(), backlog=Backlog.TAKE)
            death = Death(point, times)
            model = Model(
                world,
                tasks,
                DeadlySink(death=death),
                DeadlyRecords(names=("cloud",), take_takes=0.03),
            )
            assert isinstance(model.book, DeadlyRecords)
            model.book.death = death
            await model.start()
            for _ in range(count):
                await model.step(Happens.FINGER)
            await model.step(Happens.CALL)
            with anyio.move_on_after(60):
                await death.came.wait()
                await model.stop()
                await model.start()
            await model.settle()
            tasks.cancel_scope.cancel()
        return model, death.came.is_set()

    return virtual_time.run(main)


def seeded() -> list[tuple[str, int, int, str]]:
    """Where and when, for every point, count and profile: the first time, and some later one."""
    chance = random.Random(20261126)
    cases: list[tuple[str, int, int, str]] = []
    for point, count, name in product(POINTS, COUNTS, PROFILES):
        most = max(1, min(count, RING)) if "take" in point else 2
        often = {1, chance.randint(1, most), chance.randint(1, most)}
        cases += [(point, times, count, name) for times in sorted(often)]
    return cases


CASES = seeded()


@pytest.mark.parametrize("point", POINTS)
def test_whichever_step_it_dies_at_each_record_is_carried_once(point: str) -> None:
    died = 0
    for case in CASES:
        if case[0] != point:
            continue
        model, dead = run(*case)
        died += dead
        count = case[2]
        carried = [one for one in model.sink.stored.values() if one.dp == FINGER]
        expected = set(range(max(0, count - RING) + 1, count + 1))
        assert {one.value for one in carried} == expected, case
        assert len(carried) == len(expected), case
        assert model.world.lock.dump()["records"] == 0, case
        for call in model.sink.calls:
            assert all(a.at <= b.at for a, b in pairwise(call)), case
    assert died >= len(PROFILES) * (len(COUNTS) - 1), "hardly ever died there"


def test_there_are_hundreds_of_runs() -> None:
    assert len(CASES) >= 200
