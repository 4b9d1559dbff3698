"""Where the numbers of a visit start and go on (reference: safety B2, B3)."""

from __future__ import annotations

import anyio
import pytest

from bleagent.policy import SnStart
from bleagent.simulator.faults import Faults, WriteFault
from bleagent.simulator.quirks import Quirks
from tests.agent.stories import LAST, ending, happens, numbers, partings, told, until
from tests.agent.world import DOOR, World, rehearse


def test_the_numbers_of_a_visit_lie_above_every_number_that_was_sealed_before() -> None:
    async def story(world: World) -> None:
        for visit in range(1, 4):
            sealed = world.memory.marks.get(DOOR, 0)
            assert told(await world.operate(f"key-{visit}")) == ("confirmed", "ok")
            assert min(numbers(world, visit)) == sealed + 1
            assert world.memory.marks[DOOR] == world.cloud.asked[-1].bluetooth_sn > sealed
            await anyio.sleep(10)

    rehearse(story)


def test_the_mark_is_raised_even_if_the_frame_was_never_confirmed() -> None:
    async def story(world: World) -> None:
        assert ending(await world.operate()).outcome == "unconfirmed"
        assert world.memory.marks[DOOR] == world.cloud.asked[0].bluetooth_sn

    rehearse(story, faults=Faults(writes={LAST: WriteFault.LOSE}))


def test_every_visit_may_start_at_one() -> None:
    async def story(world: World) -> None:
        for visit in (1, 2):
            assert told(await world.operate(f"key-{visit}")) == ("confirmed", "ok")
            assert min(numbers(world, visit)) == 1
            await anyio.sleep(10)

    rehearse(story, sn_start=SnStart.ONE)


def test_a_mark_above_its_bound_starts_over() -> None:
    async def story(world: World) -> None:
        world.memory.marks[DOOR] = 2**31
        assert told(await world.operate()) == ("confirmed", "ok")
        assert min(numbers(world, 1)) == 1

    rehearse(story)


@pytest.mark.parametrize(
    ("step", "believed"),
    [
        (1, True),
        (7, True),
        (1000, True),
        (1001, False),
        (5000, False),
        (0, False),
        (-(10**6), False),
    ],
)
def test_only_a_plausible_next_number_is_believed(step: int, believed: bool) -> None:
    async def story(world: World) -> None:
        world.cloud.next_sn = lambda sn: max(0, sn + step)
        async with anyio.create_task_group() as caller:
            caller.start_soon(world.operate)
            await until(world.actuations)
            # The lock asks for the time meanwhile: our answer shows where the numbers go on.
            await happens(world, {"action": "ask_time", "kind": 0})
        await until(lambda: not world.lock.is_connected)
        sealed = world.cloud.asked[0].bluetooth_sn
        after = [sn for sn in numbers(world, 1) if sn > sealed]
        assert after == [sealed + (step if believed else 1)]
        assert partings(world) == [(1, "the central left")]

    rehearse(story, quirks=Quirks(answer_delay=1.0))
