"""What outlives a connection: in turn, counted, and nobody's end but its own."""

from __future__ import annotations

import anyio
import pytest

from bleagent.records.beside import MOST_IN_TURN, Beside
from bleagent.simulator import virtual_time


async def _nothing() -> None:
    pass


def test_one_waits_for_the_one_before() -> None:
    said: list[int] = []

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            beside, began = Beside(tasks, lambda _: None), anyio.current_time()
            for number in range(3):

                async def duty(number: int = number) -> None:
                    await anyio.sleep(3 - number)
                    said.append(number)

                assert beside.start_in_turn(duty)
            await beside.ended()
            assert anyio.current_time() - began == pytest.approx(6)

    virtual_time.run(main)
    assert said == [0, 1, 2]


def test_so_many_may_wait_and_who_ended_makes_room() -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            beside, go_on = Beside(tasks, lambda _: None), anyio.Event()
            for _ in range(MOST_IN_TURN):
                assert beside.start_in_turn(go_on.wait)
            assert not beside.start_in_turn(_nothing)
            go_on.set()
            await beside.ended()
            for _ in range(3 * MOST_IN_TURN):
                assert beside.start_in_turn(_nothing)
                await beside.ended()

    virtual_time.run(main)


def test_a_fault_is_told_and_holds_up_nobody() -> None:
    faults: list[Exception] = []

    async def faulty() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            beside = Beside(tasks, faults.append)
            for duty in (faulty, _nothing, faulty):
                assert beside.start_in_turn(duty)
            beside.start(faulty)
            await beside.ended()

    virtual_time.run(main)
    assert [type(fault) for fault in faults] == [ZeroDivisionError] * 3
