"""A rehearsal meets what an opening would meet, writes nothing, and makes way for one."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest

from bleagent.cloud.errors import CloudRefused
from bleagent.errors import LockBusy
from bleagent.model import Step
from bleagent.rehearsal import WITHIN, Rehearsed
from bleagent.simulator.faults import Faults
from protocol.lock import OpenOperation
from tests.agent.stories import ending
from tests.agent.world import DOOR, World, rehearse

UP_TO_THE_WRITE = [Step.CONNECT, Step.DEVICE_INFO, Step.PAIR, Step.CONFIG, Step.INSTRUCTION]


@pytest.mark.parametrize("name", ["v3.0", "v4-244", "secv2-244"])
def test_it_comes_as_far_as_the_write_and_writes_nothing(name: str) -> None:
    async def story(world: World) -> None:
        found = await world.doors.rehearse(DOOR)
        assert (found.code, list(found.steps)) == ("ok", UP_TO_THE_WRITE)
        assert not found.gives_code
        assert len(world.cloud.asked) == 1
        assert world.actuations() == []
        record = await world.operate()
        assert ending(record).outcome == "confirmed"
        assert len(world.actuations()) == 1

    rehearse(story, name)


def test_who_opens_the_door_meanwhile_goes_first() -> None:
    async def story(world: World) -> None:
        alone = ending(await world.operate("key-1")).steps
        await anyio.sleep(100)
        world.cloud.takes = 1.0
        told: list[object] = []

        async def try_it() -> None:
            try:
                told.append(await world.doors.rehearse(DOOR))
            except LockBusy as error:
                told.append(error)

        async with anyio.create_task_group() as both:
            both.start_soon(try_it)
            await anyio.sleep(0.5)  # it has the connection, and asks the cloud
            record = await world.operate("key-2")
        assert [type(one) for one in told] == [LockBusy]
        assert ending(record).outcome == "confirmed"
        # It waits for its own call to the cloud, and for nobody else's.
        assert ending(record).steps[Step.ACK] <= alone[Step.ACK] + 1.0
        assert len(world.actuations()) == 2

    rehearse(story, linger=60.0)


def test_a_lock_that_is_operated_is_not_rehearsed() -> None:
    async def story(world: World) -> None:
        async with anyio.create_task_group() as both:
            both.start_soon(world.operate)
            await anyio.sleep(0.01)
            with pytest.raises(LockBusy):
                await world.doors.rehearse(DOOR)
        await world.doors.settled()
        async with anyio.create_task_group() as both:
            both.start_soon(world.doors.rehearse, DOOR)
            await anyio.sleep(0.01)
            with pytest.raises(LockBusy):
                await world.doors.rehearse(DOOR)

    rehearse(story)


def test_the_clouds_no_is_its_no_for_openings_too() -> None:
    async def story(world: World) -> None:
        await world.operate()  # what was issued is remembered, and fresh
        await anyio.sleep(100)
        world.cloud.refuse = CloudRefused("not yours")
        found = await world.doors.rehearse(DOOR)
        assert (found.code, Step.CONFIG in found.steps) == ("cloud-refused", True)
        assert Step.INSTRUCTION not in found.steps
        config = await world.memory.issued_config(DOOR)
        assert config is not None
        assert config.fetched_at == 0.0

    rehearse(story)


def test_an_instruction_for_something_else_is_told_by_its_field() -> None:
    async def story(world: World) -> None:
        world.cloud.change = lambda request: replace(request, operation=OpenOperation.CLOSE)
        found = await world.doors.rehearse(DOOR)
        assert found.code.startswith("instruction-rejected-")
        assert world.actuations() == []

    rehearse(story)


def test_a_lock_without_the_code_is_told_and_not_given_it() -> None:
    async def story(world: World) -> None:
        found = await world.doors.rehearse(DOOR)
        assert (found.code, found.gives_code) == ("ok", True)
        config = await world.memory.issued_config(DOOR)
        assert config is not None
        assert config.lock_random is not None
        assert config.lock_random.distribute
        assert ending(await world.operate()).outcome == "confirmed"

    rehearse(story, code_known=False)


def test_a_lock_that_is_not_there_ends_it_in_time() -> None:
    async def story(world: World) -> Rehearsed:
        world.radio.faults = Faults(absent=True)
        began = world.clock.now()
        found = await world.doors.rehearse(DOOR)
        assert world.clock.now() - began <= WITHIN
        return found

    assert rehearse(story).code == "lock-not-found"
