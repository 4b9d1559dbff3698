"""The link is cut at every packet of a visit that takes records: each is taken once."""

from __future__ import annotations

import anyio
import pytest

from bleagent.policy import Backlog
from bleagent.simulator.faults import NO_FAULTS, Faults, NotifyFault, WriteFault
from tests.agent.stories import until
from tests.agent.test_records import acks, alone, values, visited
from tests.agent.world import DOOR, World, rehearse

COUNT = 3
PROFILES = ("v3.0", "v4-20", "secv2-244")


async def _visit(world: World) -> None:
    """One visit, however it ends."""
    world.doors._supervisor.owner(DOOR).called()
    await anyio.sleep(1)
    await until(lambda: not world.lock.is_connected, within=60)
    await anyio.sleep(61)


def packets(name: str) -> tuple[int, int]:
    """Writes and notifications of an undisturbed visit."""

    async def story(world: World) -> tuple[int, int]:
        await visited(world)
        await anyio.sleep(61)
        await alone(world, COUNT)
        await visited(world)
        link = world.radio.links[1]
        return len(link.written), link.notified

    return rehearse(story, name, backlog=Backlog.TAKE)


def cut(name: str, faults: Faults) -> None:
    """A first visit in peace, things that happen, a visit that is cut, and one in peace."""

    async def story(world: World) -> None:
        await visited(world)  # the lock is told the time: its records have dates of their own
        await anyio.sleep(61)
        await alone(world, COUNT)
        world.radio.faults, world.radio.then = faults, NO_FAULTS
        await _visit(world)
        await _visit(world)
        await _visit(world)
        assert sorted(str(one) for one in values(world)) == [str(one) for one in range(COUNT)]
        assert world.lock.dump()["records"] == 0
        assert acks(world) >= COUNT

    rehearse(story, name, backlog=Backlog.TAKE)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("fault", [WriteFault.DROP_BEFORE, WriteFault.DROP_AFTER, WriteFault.LOSE])
def test_cut_at_any_write(name: str, fault: WriteFault) -> None:
    writes, _ = packets(name)
    assert writes > COUNT
    for position in range(writes):
        cut(name, Faults(writes={position: fault}))


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("fault", [NotifyFault.DROP_BEFORE, NotifyFault.LOSE])
def test_cut_at_any_notification(name: str, fault: NotifyFault) -> None:
    _, notifications = packets(name)
    assert notifications > COUNT
    for position in range(notifications):
        cut(name, Faults(notifications={position: fault}))
