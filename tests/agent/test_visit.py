"""By the way on a visit: reports are kept, times answered, and nothing is forgotten for us."""

from __future__ import annotations

import anyio
import pytest

from bleagent.errors import StoreError
from bleagent.simulator.fakes import LoopClock, MemoryLocks
from bleagent.simulator.log import Received, RecordDeleted, RecordSent
from bleagent.simulator.profiles import PROFILE_NAMES
from bleagent.simulator.quirks import Quirks
from bleagent.visit import time_answer, without_codes
from protocol import CommandCode, Datapoint, DpMap, Report, ReportTime
from protocol.dpmap import LockGeneration
from protocol.times import ClockAnswer, DateAnswer, SavingAnswer
from tests.agent.stories import happens, partings, rewire, told, until
from tests.agent.world import CODE, DOOR, World, rehearse

FINGER = 12
ACKS = (CommandCode.REPORT_TIMED, CommandCode.REPORT_TIMED_V4)
SLOW = Quirks(answer_delay=2.0)
DPS = DpMap.default(LockGeneration.V3_3)


class SlowDisk(MemoryLocks):
    """A report takes two seconds to be on disk."""

    async def keep_report(self, lock: str, report: bytes, *, unix: float) -> None:
        """Keep it, at last."""
        await anyio.sleep(2.0)
        await super().keep_report(lock, report, unix=unix)


class FullDisk(MemoryLocks):
    """No place for a report."""

    async def keep_report(self, lock: str, report: bytes, *, unix: float) -> None:
        """Fail."""
        raise StoreError(f"no space left for a report of {lock} at {unix}: {len(report)} bytes")


# -- reports


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_the_record_of_an_opening_is_kept_and_never_acknowledged(name: str) -> None:
    async def story(world: World) -> None:
        assert told(await world.operate()) == ("confirmed", "ok")
        await until(lambda: not world.lock.is_connected)
        sent = [one for one in world.lock.log if isinstance(one, RecordSent)]
        assert len(sent) == len(world.memory.reports) == 1
        assert [one for one in world.lock.log if isinstance(one, RecordDeleted)] == []
        acks = [one for one in world.lock.log if isinstance(one, Received) and one.code in ACKS]
        assert acks == []

    rehearse(story, name)


def test_what_a_finger_did_in_between_is_kept_too() -> None:
    async def story(world: World) -> None:
        async with anyio.create_task_group() as caller:
            caller.start_soon(world.operate)
            await until(world.actuations)
            await anyio.sleep(0.5)
            await happens(world, {"action": "record", "dp": FINGER, "value": 3})
        await until(lambda: not world.lock.is_connected)
        sent = [one for one in world.lock.log if isinstance(one, RecordSent)]
        assert FINGER in [one.dp for one in sent]
        assert len(world.memory.reports) == len(sent) == 2
        assert [one for one in world.lock.log if isinstance(one, RecordDeleted)] == []

    rehearse(story, quirks=SLOW)


def test_the_link_stays_until_the_record_is_on_disk() -> None:
    async def story(world: World) -> None:
        disk = SlowDisk()
        rewire(world, memory=disk)
        assert told(await world.operate()) == ("confirmed", "ok")
        told_at = world.clock.now()
        await until(lambda: not world.lock.is_connected)
        assert len(disk.reports) == 1
        assert world.clock.now() - told_at == pytest.approx(2.2, abs=0.05)  # record after 0.2 s

    rehearse(story)


def test_the_answer_does_not_wait_for_the_record() -> None:
    async def story(world: World) -> None:
        rewire(world, memory=SlowDisk())
        await world.operate()
        assert world.clock.now() < 0.5
        assert world.lock.is_connected

    rehearse(story)


def test_the_link_stays_for_three_seconds_if_no_record_comes() -> None:
    async def story(world: World) -> None:
        assert told(await world.operate()) == ("refused", "lock-result-2")
        told_at = world.clock.now()
        await until(lambda: not world.lock.is_connected)
        assert world.clock.now() - told_at == pytest.approx(3.0, abs=0.05)
        assert partings(world) == [(1, "the central left")]

    rehearse(story, quirks=Quirks(refuse_open_with=2))


def test_a_disk_that_keeps_no_report_does_not_change_the_outcome() -> None:
    async def story(world: World) -> None:
        rewire(world, memory=FullDisk())
        assert told(await world.operate()) == ("confirmed", "ok")
        assert len(world.actuations()) == 1

    rehearse(story)


def test_a_report_that_cannot_be_kept_is_kept_when_there_is_room_again() -> None:
    class Mended(MemoryLocks):
        full = True

        async def keep_report(self, lock: str, report: bytes, *, unix: float) -> None:
            if self.full:
                raise StoreError("no space left")
            await super().keep_report(lock, report, unix=unix)

    async def story(world: World) -> None:
        disk = Mended()
        rewire(world, memory=disk)
        assert told(await world.operate()) == ("confirmed", "ok")
        await anyio.sleep(2)
        assert disk.reports == []
        disk.full = False
        await anyio.sleep(2)
        assert len(disk.reports) == 1
        assert len(world.radio.links) == 1

    rehearse(story, linger=60.0)


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


def test_a_kept_report_names_the_door_and_carries_no_check_code() -> None:
    async def story(world: World) -> None:
        event = {"action": "report", "command": "0x8003", "time": 1_700_000_000}
        record = b"\x00\x05\xff\xff" + CODE + bytes(6)
        async with anyio.create_task_group() as caller:
            caller.start_soon(world.operate)
            await until(world.actuations)
            payload = (bytes((72, 0, len(record))) + record).hex()
            await happens(world, {**event, "payload": payload})
        await until(lambda: not world.lock.is_connected)
        assert {lock for lock, _ in world.memory.reports} == {DOOR}
        kept = b"".join(raw for _, raw in world.memory.reports)
        assert b"\x00\x05\xff\xff" + bytes(14) in kept
        assert CODE not in kept

    rehearse(story, quirks=SLOW)


def test_only_the_code_of_an_openings_record_is_zeroed() -> None:
    record = Datapoint.raw(72, b"\x00\x05\xff\xff" + CODE + b"\1\2\3\4\5\6\7")
    other = Datapoint.raw(71, b"\x00\x05\xff\xff" + CODE)
    short = Datapoint.raw(72, b"\x00\x05\xff\xff")
    time = ReportTime.unix(1_700_000_000)
    report = Report(code=0x8003, datapoints=(record, other, short), time=time)
    cleaned = without_codes(report, DPS)
    assert [one.data for one in cleaned.datapoints] == [
        b"\x00\x05\xff\xff" + bytes(8) + b"\1\2\3\4\5\6\7", other.data, short.data,
    ]  # fmt: skip
    assert (cleaned.code, cleaned.time) == (report.code, time)


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
