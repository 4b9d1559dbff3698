"""By the way on a visit: reports are kept, times answered, and nothing is forgotten for us."""

from __future__ import annotations

import anyio
import pytest

from bleagent.simulator.fakes import LoopClock
from bleagent.simulator.log import Received, RecordSent
from bleagent.simulator.quirks import Quirks
from bleagent.visit import time_answer
from protocol import CommandCode, DpMap
from protocol.dpmap import LockGeneration
from protocol.times import ClockAnswer, DateAnswer, SavingAnswer
from tests.agent.stories import happens, told, until
from tests.agent.world import DOOR, World, rehearse

FINGER = 12
ACKS = (CommandCode.REPORT_TIMED, CommandCode.REPORT_TIMED_V4)
SLOW = Quirks(answer_delay=2.0)
DPS = DpMap.default(LockGeneration.V3_3)


def test_a_time_question_waits_for_a_number_and_the_next_ones_are_answered_too() -> None:
    async def story(world: World) -> None:
        async with world.doors._supervisor.owner(DOOR).use() as session:
            await anyio.sleep(1)
            central = session.client.central
            reservation = central.reserve(room=1)  # nothing is left below it
            before = len(answers(world, 0x8011))
            await happens(world, {"action": "ask_time", "kind": 0})
            await anyio.sleep(2)
            assert len(answers(world, 0x8011)) == before
            central.cancel(reservation)
            await anyio.sleep(0.1)
            assert len(answers(world, 0x8011)) == before + 1
            await happens(world, {"action": "ask_time", "kind": 0})
            await anyio.sleep(0.1)
            assert len(answers(world, 0x8011)) == before + 2

    rehearse(story)


# -- times


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
@pytest.mark.parametrize("trusted", [True, False])
def test_a_time_question_is_answered_at_once(kind: int, trusted: bool) -> None:
    code = (0x8011, 0x8012, 0x8013, 0x8014)[kind]

    async def story(world: World) -> None:
        world.clock.trusted = trusted
        async with anyio.create_task_group() as caller:
            caller.start_soon(world.operate)
            await until(world.actuations)
            before = len(answers(world, code))
            await happens(world, {"action": "ask_time", "kind": kind})
            await anyio.sleep(0.01)
            assert len(answers(world, code)) == before + 1

    rehearse(story, quirks=SLOW)


def answers(world: World, code: int) -> list[Received]:
    """Answers to one kind of question that the lock took."""
    return [one for one in world.lock.log if isinstance(one, Received) and one.code == code]


@pytest.mark.parametrize("trusted", [True, False])
def test_the_lock_is_given_a_time_only_from_a_clock_that_is_trusted(trusted: bool) -> None:
    async def story(world: World) -> None:
        world.clock.trusted = trusted
        assert told(await world.operate()) == ("confirmed", "ok")
        await until(lambda: not world.lock.is_connected)
        (record,) = [one for one in world.lock.log if isinstance(one, RecordSent)]
        # Untold, the lock counts seconds from its power-up; it opened all the same.
        assert (record.time >= 1_700_000_000) is trusted
        assert trusted or record.time < 60

    rehearse(story)


def test_the_unknown_times_are_all_zero() -> None:
    clock = LoopClock(trusted=False)
    rehearsed = rehearse(lambda _: _answers(clock))
    assert [type(one) for one in rehearsed] == [ClockAnswer, DateAnswer, DateAnswer, SavingAnswer]
    assert [bytes(one.to_bytes()).strip(b"0\0") for one in rehearsed] == [b""] * 4


def test_the_clock_answer_is_the_clocks_time() -> None:
    clock = LoopClock(unix=1_700_000_000.25)
    answer = rehearse(lambda _: _answers(clock))[0]
    assert isinstance(answer, ClockAnswer)
    assert answer.unix_ms == 1_700_000_000_250


async def _answers(clock: LoopClock) -> list[ClockAnswer | DateAnswer | SavingAnswer]:
    return [time_answer(code, clock) for code in (0x8011, 0x8012, 0x8013, 0x8014)]
