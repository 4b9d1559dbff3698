"""Taking records off a lock: stored first, acknowledged as credits, in nobody's way."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
import structlog.testing

from bleagent.errors import AgentError, OutboxFull, StoreFull
from bleagent.model import IssuedConfig, IssuedInstruction, Priority
from bleagent.policy import Backlog, Connection, Policy
from bleagent.records.backlog import BacklogQuestion, how_to_ask
from bleagent.records.beside import MOST_IN_TURN, BookBeside
from bleagent.records.dating import happenings_of, without_codes
from bleagent.records.log import RecordLog
from bleagent.records.record import Kept, StoredRecord, TakenReport, TimeQuality
from bleagent.records.taking import AFTER_LINK, Drained, RecordListener
from bleagent.simulator.log import Actuated, Received, RecordDeleted, RecordSent, RecordStored
from bleagent.simulator.profiles import PROFILE_NAMES
from bleagent.simulator.quirks import Quirks
from bleagent.simulator.record_fakes import MemoryRecords
from protocol import CommandCode, Datapoint, DpMap, Report, ReportTime, Secret
from protocol.dpmap import LockGeneration
from protocol.records import RecordKind
from tests.agent.stories import happens, partings, rewire, told, until
from tests.agent.world import CODE, DOOR, World, rehearse

FINGER, PASSWORD, ALARM, BLUETOOTH, BOLT = 12, 13, 21, 19, 47
V3, V4 = "v3.0", "v4-20"
DPS = DpMap.default(LockGeneration.V3_3)
ACKS = (CommandCode.REPORT_TIMED, CommandCode.REPORT_TIMED_V4)
PROMPT = 0.5
"""Seconds in which an unlock is over that waits for nothing: 0.2 here."""
TAKES: dict[str, Any] = {"backlog": Backlog.TAKE}


def records(world: World) -> list[StoredRecord]:
    """In the book, as they were taken."""
    return [one.record for one in world.book.rows]


def values(world: World) -> list[int | None]:
    """What the fingers were."""
    return [one.value for one in records(world) if one.dp == FINGER]


def of(world: World, kind: type[Any]) -> list[Any]:
    """Entries of the lock's own log."""
    return [one for one in world.lock.log if isinstance(one, kind)]


def acks(world: World) -> int:
    """Acknowledgements of timed reports that the lock took."""
    return sum(one.code in ACKS for one in of(world, Received))


async def alone(world: World, count: int, *, apart: float = 10.0) -> None:
    """Things happen while nobody is connected."""
    for value in range(count):
        world.lock.local(
            {"local": {"action": "record", "dp": FINGER, "value": value}}, world.clock.now()
        )
        await anyio.sleep(apart)


async def finger_and_cut(world: World, value: int) -> None:
    """Somebody's finger opens while we are connected, and then the link is lost."""
    async with world.doors._supervisor.owner(DOOR).use(Priority.VISIT):
        await anyio.sleep(0.5)
        await happens(world, {"action": "record", "dp": FINGER, "value": value})
        await anyio.sleep(0.2)
        world.radio.links[-1].down("out of range")


async def visited(world: World) -> None:
    """The lock calls, is visited, and left."""
    links = len(world.radio.links)
    world.doors._supervisor.owner(DOOR).called()
    await until(lambda: len(world.radio.links) > links)
    await until(lambda: not world.lock.is_connected, within=400)


class Ears(RecordListener):
    """Writes down what it is told of drains."""

    def __init__(self) -> None:
        self.drains: list[Drained] = []

    def drained(self, drained: Drained) -> None:
        """A drain ended."""
        self.drains.append(drained)


# -- what happened while nobody was there


@pytest.mark.parametrize("name", PROFILE_NAMES)
@pytest.mark.parametrize("count", [0, 1, 5, 64, 70])
def test_everything_in_the_ring_is_taken_once_and_deleted_there(name: str, count: int) -> None:
    async def story(world: World) -> None:
        await alone(world, count)
        await visited(world)
        kept = min(count, 64)
        assert values(world) == list(range(count))[::-1][:kept]
        assert world.lock.dump()["records"] == 0
        assert acks(world) == len(of(world, RecordDeleted)) == kept
        assert all(one.released_at is not None and not one.late for one in records(world))
        assert all(one.quality is TimeQuality.LOCK for one in records(world))

    rehearse(story, name, **TAKES)


def test_an_opening_is_recorded_as_that_operations() -> None:
    async def story(world: World) -> None:
        await alone(world, 2)
        record = await world.operate()
        await until(lambda: not world.lock.is_connected)
        ours = [one for one in records(world) if one.operation is not None]
        assert [(one.operation, one.kind) for one in ours] == [(record.id, RecordKind.BLUETOOTH)]
        assert values(world) == [1, 0]
        stored = await world.ledger.operation(record.id)
        assert stored is not None
        assert stored.ending is not None
        assert {"dp": 19, "value": 1, "record": ours[0].id} in stored.ending.evidence
        assert world.book.gaps == []

    rehearse(story, V3, **TAKES)


def test_an_opening_whose_record_does_not_come_leaves_a_gap() -> None:
    async def story(world: World) -> None:
        await world.operate()
        world.radio.links[-1].down("out of range")
        await anyio.sleep(10)
        assert records(world) == []
        assert [(lock, why) for lock, _, why in world.book.gaps] == [
            (DOOR, "no record of operation op-1")
        ]

    rehearse(story, V3, **TAKES)


def test_what_the_backlog_brings_is_not_taken_for_the_record_of_an_opening() -> None:
    # One of it is on its way to the disk while the door is opened, and the link is lost then.
    async def story(world: World) -> None:
        await alone(world, 5)
        rewire(world, book=MemoryRecords(take_takes=1.5))
        world.doors._supervisor.owner(DOOR).called()
        await until(lambda: len(of(world, RecordSent)) == 1)
        await world.operate()
        world.radio.links[-1].down("out of range")
        await anyio.sleep(8)
        assert [why for _, _, why in world.book.gaps] == ["no record of operation op-1"]

    rehearse(story, V3, **TAKES)


# -- the way of an unlock is free


def test_no_operation_waits_until_a_gap_is_on_disk() -> None:
    async def story(world: World) -> None:
        rewire(world, book=MemoryRecords(gap_takes=60.0))
        await world.operate()
        world.radio.links[-1].down("out of range")
        await anyio.sleep(8)  # 3 s for the record, 2 s for the disk, and the lock's rest
        assert not world.doors.busy(DOOR)
        assert told(await world.operate()) == ("confirmed", "ok")

    rehearse(story, V3, **TAKES)


def test_a_drain_makes_way_for_an_opening_between_two_records_and_goes_on_behind_it() -> None:
    async def story(world: World) -> None:
        await alone(world, 20)
        world.build(book=MemoryRecords(take_takes=0.1))
        owner = world.doors._supervisor.owner(DOOR)
        owner.called()
        await until(lambda: len(records(world)) == 5)
        began = world.clock.now()
        world.cloud.takes = 1.0
        outcome = await world.operate()
        assert told(outcome) == ("confirmed", "ok")
        assert world.clock.now() - began < 1.5
        during = [one for one in of(world, Received) if one.code in ACKS and one.at > began]
        opened = of(world, Actuated)[0].at
        assert [one for one in during if one.at < opened] == []
        await until(lambda: not world.lock.is_connected)
        assert len(values(world)) == 20
        assert world.lock.dump()["records"] == 0
        assert len(world.radio.links) == 1

    rehearse(story, V3, quirks=Quirks(answer_delay=0.2), **TAKES)


def test_a_drain_is_left_when_the_agent_stops() -> None:
    async def story(world: World) -> None:
        await alone(world, 20)
        world.build(book=MemoryRecords(take_takes=0.5))
        owner = world.doors._supervisor.owner(DOOR)
        owner.called()
        await until(lambda: len(records(world)) == 3)
        owner.stop()
        await until(lambda: not world.lock.is_connected, within=3)
        assert len(records(world)) + world.lock.dump()["records"] in (20, 21)

    rehearse(story, V3, **TAKES)


def test_nothing_is_asked_where_somebody_else_takes_the_records() -> None:
    async def story(world: World) -> None:
        await alone(world, 3)
        await world.operate()
        await until(lambda: not world.lock.is_connected)
        assert world.lock.dump()["records"] == 3
        (ours,) = records(world)
        assert ours.released_at is not None

    rehearse(story, V3)


# -- cut off, and again


@pytest.mark.parametrize("name", [V3, V4, "secv2-20"])
@pytest.mark.parametrize("after", range(6))
def test_a_link_cut_in_a_drain_loses_and_doubles_nothing(name: str, after: int) -> None:
    async def story(world: World) -> None:
        await alone(world, 5)
        owner = world.doors._supervisor.owner(DOOR)
        owner.called()
        await until(lambda: len(of(world, RecordSent)) > min(after, 4) and acks(world) >= after - 1)
        world.radio.links[-1].down("out of range")
        await anyio.sleep(61)
        await visited(world)
        await anyio.sleep(61)
        await visited(world)
        assert sorted(value for value in values(world) if value is not None) == [0, 1, 2, 3, 4]
        assert world.lock.dump()["records"] == 0

    rehearse(story, name, **TAKES)


def test_records_of_a_drain_that_was_cut_wait_for_its_end() -> None:
    async def story(world: World) -> None:
        await alone(world, 5)
        world.build(book=MemoryRecords(take_takes=0.1))
        world.doors._supervisor.owner(DOOR).called()
        await until(lambda: len(records(world)) == 2)
        world.radio.links[-1].down("out of range")
        await anyio.sleep(0.5)
        assert len(records(world)) in (2, 3)
        assert all(one.released_at is None for one in records(world))
        await anyio.sleep(61)
        await visited(world)
        assert all(one.released_at is not None for one in records(world))

    rehearse(story, V3, **TAKES)


def test_two_of_a_kind_in_one_second_are_two() -> None:
    async def story(world: World) -> None:
        for _ in range(2):
            world.lock.local(
                {"local": {"action": "record", "dp": FINGER, "value": 7}}, world.clock.now()
            )
        await visited(world)
        assert values(world) == [7, 7]
        assert len({one.id for one in records(world)}) == 2
        await anyio.sleep(61)
        await visited(world)
        assert values(world) == [7, 7]

    rehearse(story, V3, **TAKES)


def test_what_was_seen_live_and_is_stored_too_is_one() -> None:
    # Before the first opening of a power-up a record is both sent and stored.
    async def story(world: World) -> None:
        owner = world.doors._supervisor.owner(DOOR)
        async with owner.use(Priority.VISIT):
            await anyio.sleep(0.5)
            await happens(world, {"action": "record", "dp": FINGER, "value": 7})
            await anyio.sleep(0.5)
        await until(lambda: not world.lock.is_connected)
        assert len(of(world, RecordStored)) == 1
        assert len(of(world, RecordSent)) == 2
        assert values(world) == [7]
        assert world.lock.dump()["records"] == 0

    rehearse(story, V3, **TAKES)


def test_a_lock_that_sends_again_what_is_not_acknowledged_is_understood() -> None:
    async def story(world: World) -> None:
        world.build(book=MemoryRecords(take_takes=7.0))
        await alone(world, 3)
        await visited(world)
        assert values(world) == [2, 1, 0]
        assert world.lock.dump()["records"] == 0

    rehearse(story, V4, quirks=Quirks(resends_unacked_records=True), **TAKES)


@pytest.mark.parametrize("name", [V3, V4])
def test_what_had_come_in_when_the_link_was_lost_is_kept(name: str) -> None:
    async def story(world: World) -> None:
        rewire(world, book=MemoryRecords(take_takes=0.5))
        async with world.doors._supervisor.owner(DOOR).use(Priority.VISIT):
            await anyio.sleep(0.5)
            for value in (1, 2, 3):
                await happens(world, {"action": "record", "dp": FINGER, "value": value})
            await anyio.sleep(0.2)
            world.radio.links[-1].down("out of range")
        await anyio.sleep(3)
        assert values(world) == [1, 2, 3]

    rehearse(story, name)


def test_a_record_that_comes_with_a_flag_is_acknowledged_once() -> None:
    # 0x8005 costs no credit, so nothing but us counts its acknowledgements.
    async def story(world: World) -> None:
        owner = world.doors._supervisor.owner(DOOR)
        owner.called()
        await until(lambda: len(of(world, Received)) > 0 and owner.paired)
        await anyio.sleep(1)
        report = Report(
            code=CommandCode.REPORT_FLAGGED_TIMED, sn=1,
            datapoints=(Datapoint.number(FINGER, 3),),
            time=ReportTime.unix(int(world.clock.unix()) - 1000),
        )  # fmt: skip
        world.lock._machine.report(report)
        began = world.clock.now()
        await until(lambda: not world.lock.is_connected, within=400)
        assert values(world) == [3]
        answers = [
            one for one in of(world, Received) if one.code == CommandCode.REPORT_FLAGGED_TIMED
        ]
        assert len(answers) == 1
        assert world.clock.now() - began < 20

    rehearse(story, V3, **TAKES)


def test_a_held_connection_remembers_nothing_of_what_comes_behind_its_drain() -> None:
    async def story(world: World) -> None:
        owner = world.doors._supervisor.owner(DOOR)
        async with owner.use(Priority.VISIT) as session:
            pass
        await until(lambda: not session.records.draining)
        async with owner.use(Priority.VISIT):
            for value in range(50):
                await happens(world, {"action": "record", "dp": FINGER, "value": value})
                await anyio.sleep(1)
        assert len(values(world)) == 50
        assert len(session.records._deletions.unproven) == 0
        owner.stop()

    rehearse(story, V4, connection=Connection.HELD, **TAKES)


# -- the clock


def test_nothing_is_drained_while_our_clock_is_not_trusted() -> None:
    async def story(world: World) -> None:
        world.clock.trusted = False
        await alone(world, 3)
        assert told(await world.operate()) == ("confirmed", "ok")
        await until(lambda: not world.lock.is_connected)
        assert world.lock.dump()["records"] == 3
        (ours,) = records(world)
        assert ours.quality is TimeQuality.UNKNOWN
        await anyio.sleep(61)
        assert len(world.radio.links) == 1
        world.clock.trusted = True
        world.doors._supervisor.time_known()  # nobody calls: the agent comes back by itself
        await until(lambda: values(world) == [2, 1, 0])
        await anyio.sleep(200)
        world.doors._supervisor.time_known()
        await anyio.sleep(200)
        assert len(world.radio.links) == 2, "once is enough"

    rehearse(story, V3, **TAKES)


def test_a_lock_that_was_not_told_the_time_is_not_asked_although_we_know_it_by_now() -> None:
    async def story(world: World) -> None:
        world.clock.trusted = False
        await alone(world, 3)
        assert told(await world.operate()) == ("confirmed", "ok")
        world.clock.trusted = True
        world.doors._supervisor.time_known()
        await until(lambda: len(world.radio.links) == 2)
        assert world.lock.dump()["records"] == 3
        await until(lambda: values(world) == [2, 1, 0])
        assert len(world.radio.links) == 2, "on a connection of its own"
        assert {one.quality for one in records(world) if one.dp == FINGER} == {TimeQuality.LOCK}

    rehearse(story, V3, **TAKES)


@pytest.mark.parametrize("used", [False, True])
def test_a_held_lock_that_was_not_told_the_time_is_connected_to_anew_when_we_know_it(
    used: bool,
) -> None:
    async def story(world: World) -> None:
        world.clock.trusted = False
        await alone(world, 3)
        world.doors._supervisor.start()
        await until(lambda: world.lock.paired)
        await anyio.sleep(30)
        assert (world.lock.dump()["records"], len(world.radio.links)) == (3, 1)
        if used:
            assert told(await world.operate()) == ("confirmed", "ok")
        world.clock.trusted = True
        world.doors._supervisor.time_known()
        await until(lambda: len(world.radio.links) == 2, within=20)
        await until(lambda: world.lock.dump()["records"] == 0, within=20)
        assert values(world) == [2, 1, 0]
        assert {one.quality for one in records(world) if one.dp == FINGER} == {TimeQuality.LOCK}
        await anyio.sleep(60)
        assert len(world.radio.links) == 2, "once is enough"
        world.doors._supervisor.stop()

    rehearse(story, V3, connection=Connection.HELD, **TAKES)


def test_a_lock_that_never_asks_for_the_time_has_one_of_its_own() -> None:
    async def story(world: World) -> None:
        world.clock.trusted = False
        await alone(world, 3)
        await visited(world)
        assert values(world) == [2, 1, 0]

    rehearse(story, "secv2-20", **TAKES)


@pytest.mark.parametrize(
    ("seconds", "live", "trusted", "at", "quality"),
    [
        (1_700_000_000, True, True, 1_700_000_000, TimeQuality.LOCK),
        (1_700_000_000, False, False, 1_700_000_000, TimeQuality.LOCK),
        (57, True, True, 1_700_000_100, TimeQuality.RECEIVED),
        (57, True, False, 1_700_000_100, TimeQuality.UNKNOWN),
        (57, False, True, 1_700_000_100, TimeQuality.UNKNOWN),
        (1_700_200_000, False, True, 1_700_000_100, TimeQuality.UNKNOWN),  # days ahead
    ],
)
def test_when_it_happened(
    seconds: int, live: bool, trusted: bool, at: int, quality: TimeQuality
) -> None:
    report = Report(
        code=0x8003, datapoints=(Datapoint.number(FINGER, 3),), time=ReportTime.unix(seconds)
    )
    (one,) = happenings_of(report, DPS, now=1_700_000_100.0, trusted=trusted, live=live)
    assert (one.at, one.quality, one.wire_time) == (at, quality, str(seconds))


# -- the disk


def test_no_unlock_waits_for_the_disk_that_a_lost_connection_left() -> None:
    class Durable(MemoryRecords):
        """No cancellation shortens an fsync."""

        async def take(self, report: TakenReport) -> Kept:
            """To its end."""
            with anyio.CancelScope(shield=True):
                kept = await super().take(report)
            return kept  # noqa: RET504 - for mypy a scope may swallow what is raised

    async def story(world: World) -> None:
        book = Durable(take_takes=60.0)
        rewire(world, book=BookBeside(book, world.tasks))
        await finger_and_cut(world, 1)
        began = world.clock.now()
        assert told(await world.operate()) == ("confirmed", "ok")
        assert world.clock.now() - began < PROMPT
        await anyio.sleep(120)
        assert [one.record.value for one in book.rows] == [1, 1]  # the finger, and our opening

    rehearse(story, V3)


def test_what_a_lost_connection_brought_is_stored_behind_it_and_before_what_comes_next() -> None:
    async def story(world: World) -> None:
        book = MemoryRecords(take_fails=True)
        rewire(world, book=book)
        await finger_and_cut(world, 7)
        began = world.clock.now()
        assert told(await world.operate()) == ("confirmed", "ok")
        assert world.clock.now() - began < PROMPT
        assert records(world) == []
        book.take_fails = False
        await until(lambda: len(records(world)) == 2)
        assert [(one.dp, one.value) for one in records(world)] == [(FINGER, 7), (BLUETOOTH, 1)]
        assert records(world)[0].operation is None

    rehearse(story, V3)


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_a_drain_does_not_end_while_its_records_wait_behind_an_older_connections(
    name: str,
) -> None:
    async def story(world: World) -> None:
        book, ears = MemoryRecords(take_fails=True), Ears()
        rewire(world, book=book)
        owner = world.doors._supervisor.owner(DOOR)
        object.__setattr__(owner._ports.records, "listener", ears)
        await finger_and_cut(world, 7)
        await until(lambda: not owner.paired)
        await alone(world, 1, apart=0.0)
        ears.drains.clear()
        assert owner.called()
        await until(lambda: world.lock.is_connected)
        await anyio.sleep(7)
        assert ears.drains == []
        book.take_fails = False
        await until(lambda: bool(ears.drains))
        assert [one.why for one in ears.drains] == [""]
        assert values(world) == [7, 0]
        assert world.lock.dump()["records"] == 0

    rehearse(story, name, **TAKES)


def test_what_cannot_be_stored_for_long_after_its_link_is_given_up_and_said() -> None:
    class Said(RecordListener):
        """Writes down what was said."""

        def __init__(self) -> None:
            self.tried: list[tuple[str, str]] = []
            self.lost_: list[tuple[str, str]] = []

        def not_kept(self, lock: str, error: AgentError) -> None:
            """Once more."""
            self.tried.append((lock, error.code))

        def lost(self, lock: str, error: AgentError) -> None:
            """Given up."""
            self.lost_.append((lock, error.code))

    async def story(world: World) -> None:
        book, said = MemoryRecords(take_fails=True), Said()
        rewire(world, book=book)
        owner = world.doors._supervisor.owner(DOOR)
        object.__setattr__(owner._ports.records, "listener", said)
        await finger_and_cut(world, 7)
        left_at = world.clock.now()
        owner.stop()
        await owner.left()
        assert world.clock.now() - left_at == pytest.approx(AFTER_LINK, abs=1.0)
        assert AFTER_LINK < len(said.tried) < AFTER_LINK + 3
        assert said.lost_ == [(DOOR, "store-failed")]
        assert [(lock, why) for lock, _, why in book.gaps] == [
            (DOOR, "a record that could not be stored: store-failed")
        ]
        book.take_fails = False
        await anyio.sleep(60)
        assert records(world) == []

    rehearse(story, V3)


def test_what_is_given_up_is_in_the_log() -> None:
    with structlog.testing.capture_logs() as said:
        RecordLog().lost(DOOR, StoreFull("no space"))
    (line,) = said
    assert (line["event"], line["log_level"], line["lock"]) == ("records.lost", "error", DOOR)
    assert (line["code"], line["advice"]) == (StoreFull.code, StoreFull.advice)


def test_what_a_record_says_of_an_operation_is_told_though_its_link_ended_before() -> None:
    async def story(world: World) -> None:
        rewire(world, book=MemoryRecords(take_takes=6.0))  # the operation stays for three
        operated = await world.operate()
        await until(lambda: bool(of(world, RecordSent)))
        await anyio.sleep(0.2)
        world.radio.links[-1].down("out of range")
        await anyio.sleep(8)
        (ours,) = records(world)
        stored = await world.ledger.operation(operated.id)
        assert stored is not None
        assert stored.ending is not None
        told_of = {"dp": BLUETOOTH, "value": 1, "record": ours.id}
        assert told_of in stored.ending.evidence

    rehearse(story, V3)


def test_a_disk_that_never_answers_holds_a_bounded_number_of_connections() -> None:
    async def story(world: World) -> None:
        rewire(world, book=MemoryRecords(take_takes=1e6))
        owner = world.doors._supervisor.owner(DOOR)
        await finger_and_cut(world, 1)
        for _ in range(MOST_IN_TURN - 1):
            async with owner.use(Priority.VISIT):
                pass
            await anyio.sleep(0.05)
            assert owner.make_room()
            await until(lambda: not world.lock.is_connected)
        waiting = owner._beside._under_way
        for number in range(3):
            assert told(await world.operate(f"key-{number}")) == ("confirmed", "ok")
            await until(lambda: not world.lock.is_connected)
            await anyio.sleep(2)
        assert owner._beside._under_way == waiting
        assert len(world.actuations()) == 3
        record = await world.operate("key-3")
        await happens(world, {"action": "state", "dp": BOLT, "value": 1})
        await anyio.sleep(0.1)
        stored = await world.ledger.operation(record.id)
        assert stored is not None
        assert stored.ending is not None
        assert stored.ending.evidence == ({"dp": BOLT, "value": True},)
        world.tasks.cancel_scope.cancel()

    rehearse(story, V3, **TAKES)


def test_a_slot_that_another_lock_needs_does_not_wait_for_the_records_disk() -> None:
    async def story(world: World) -> None:
        rewire(world, book=MemoryRecords(take_takes=1.5))
        owner = world.doors._supervisor.owner(DOOR)
        async with owner.use(Priority.VISIT):
            await anyio.sleep(0.5)
            await happens(world, {"action": "record", "dp": FINGER, "value": 1})
        await anyio.sleep(0.05)
        assert owner.make_room()
        await anyio.sleep(0.05)
        assert not world.lock.is_connected
        await until(lambda: values(world) == [1])

    rehearse(story, V3, linger=60.0)


def test_a_fault_while_a_record_is_stored_ends_that_connection_only() -> None:
    class Faulty(MemoryRecords):
        """The first report meets a fault of ours."""

        faulty = True

        async def take(self, report: TakenReport) -> Kept:
            """Once not."""
            if self.faulty:
                self.faulty = False
                raise ZeroDivisionError
            return await super().take(report)

    async def story(world: World) -> None:
        faults: list[Exception] = []
        rewire(world, book=Faulty())
        owner = world.doors._supervisor.owner(DOOR)
        owner._beside._fault = faults.append
        async with owner.use(Priority.VISIT) as session:
            await anyio.sleep(0.5)
            await happens(world, {"action": "record", "dp": FINGER, "value": 1})
            await until(lambda: not session.client.is_up)
        assert [type(error) for error in faults] == [ZeroDivisionError]
        assert told(await world.operate()) == ("confirmed", "ok")
        await until(lambda: len(records(world)) == 1)

    rehearse(story, V3)


@pytest.mark.parametrize("name", [V3, V4])
def test_a_store_that_fails_does_not_keep_the_lock_from_everybody_else(name: str) -> None:
    async def story(world: World) -> None:
        await alone(world, 3)
        book, ears = MemoryRecords(take_fails=True), Ears()
        rewire(world, book=book)
        owner = world.doors._supervisor.owner(DOOR)
        object.__setattr__(owner._ports.records, "listener", ears)
        owner.called()
        await until(lambda: owner.paired)
        await until(lambda: not world.lock.is_connected, within=30)
        assert [one.why for one in ears.drains] == ["store-failed"]
        assert (acks(world), world.lock.dump()["records"]) == (0, 3)
        book.take_fails = False
        await anyio.sleep(61)
        await visited(world)
        assert values(world) == [2, 1, 0]

    rehearse(story, name, **TAKES)


def test_the_link_stays_until_the_record_is_on_disk() -> None:
    async def story(world: World) -> None:
        rewire(world, book=MemoryRecords(take_takes=2.0))
        assert told(await world.operate()) == ("confirmed", "ok")
        told_at = world.clock.now()
        await until(lambda: not world.lock.is_connected)
        assert len(records(world)) == 1
        assert world.clock.now() - told_at == pytest.approx(2.2, abs=0.05)  # record after 0.2 s

    rehearse(story)


def test_the_answer_does_not_wait_for_the_record() -> None:
    async def story(world: World) -> None:
        rewire(world, book=MemoryRecords(take_takes=2.0))
        await world.operate()
        assert world.clock.now() < 0.5
        assert world.lock.is_connected

    rehearse(story, **TAKES)


def test_the_link_stays_for_three_seconds_if_no_record_comes() -> None:
    async def story(world: World) -> None:
        assert told(await world.operate()) == ("refused", "lock-result-2")
        told_at = world.clock.now()
        await until(lambda: not world.lock.is_connected)
        assert world.clock.now() - told_at == pytest.approx(3.0, abs=0.05)
        assert partings(world) == [(1, "the central left")]
        assert world.book.gaps == []

    rehearse(story, quirks=Quirks(refuse_open_with=2))


def test_a_disk_that_keeps_no_report_changes_no_outcome_and_deletes_nothing() -> None:
    async def story(world: World) -> None:
        await alone(world, 3)
        rewire(world, book=MemoryRecords(take_fails=True))
        assert told(await world.operate()) == ("confirmed", "ok")
        assert len(world.actuations()) == 1
        await anyio.sleep(20)
        world.doors._supervisor.owner(DOOR).stop()
        await until(lambda: not world.lock.is_connected)
        assert acks(world) == 0
        assert world.lock.dump()["records"] == 3

    rehearse(story, **TAKES)


def test_what_cannot_be_kept_is_kept_when_there_is_room_again() -> None:
    async def story(world: World) -> None:
        await alone(world, 3)
        book = MemoryRecords(take_fails=True)
        rewire(world, book=book)
        assert told(await world.operate()) == ("confirmed", "ok")
        await anyio.sleep(2)
        assert records(world) == []
        book.take_fails = False
        await anyio.sleep(10)
        assert values(world) == [2, 1, 0]
        assert len(records(world)) == 4
        assert len(world.radio.links) == 1

    rehearse(story, linger=60.0, **TAKES)


def test_a_full_outbox_leaves_the_backlog_at_the_lock_and_takes_what_is_live() -> None:
    class NearlyFull(MemoryRecords):
        """Room for what exists nowhere else only."""

        async def take(self, report: Any) -> Any:
            """Refuse the backlog."""
            if not report.only_copy:
                raise OutboxFull("90 % are waiting")
            return await super().take(report)

    async def story(world: World) -> None:
        ears = Ears()
        await alone(world, 3)
        rewire(world, book=NearlyFull())
        object.__setattr__(world.doors._supervisor.owner(DOOR)._ports.records, "listener", ears)
        assert told(await world.operate()) == ("confirmed", "ok")
        await until(lambda: not world.lock.is_connected)
        assert [one.kind for one in records(world)] == [RecordKind.BLUETOOTH]
        assert world.lock.dump()["records"] == 3
        assert [one.why for one in ears.drains] == ["outbox-full"]

    rehearse(story, **TAKES)


# -- what is written


@pytest.mark.parametrize("name", [V3, V4])
def test_the_question_is_what_the_cloud_issued(name: str) -> None:
    async def story(world: World) -> None:
        await alone(world, 1)
        record = IssuedInstruction(dp_id=69, distribute=True, ins=Secret(b"\xff\xff\x00\x05\x01"))
        world.memory.configs[DOOR] = IssuedConfig(
            lock_random=None, lock_record=record, fetched_at=world.clock.unix()
        )
        await visited(world)
        assert values(world) == [0]
        assert world.cloud.config_calls == 0

    rehearse(story, name, **TAKES)


def test_the_question_of_the_vendors_sample_is_asked() -> None:
    # Datapoint 56, which other products use for their motor's torque.
    sample = bytes.fromhex("ffff0005000000000000000000ffff3532373737393530")
    record = IssuedInstruction(dp_id=56, distribute=True, ins=Secret(sample))
    config = IssuedConfig(lock_random=None, lock_record=record, fetched_at=0.0)
    assert how_to_ask(config, Policy()) == BacklogQuestion(56, Secret(sample))


@pytest.mark.parametrize("dp_id", [1, 6, 46, 49, 51, 60, 61, 64, 70, 71, 73])
def test_a_question_that_would_open_the_door_is_not_written(dp_id: int) -> None:
    async def story(world: World) -> None:
        ears = Ears()
        await alone(world, 1)
        opening = b"\xff\xff\x00\x05" + CODE + b"\1\0\0\0\1\0\1"
        record = IssuedInstruction(dp_id=dp_id, distribute=True, ins=Secret(opening))
        world.memory.configs[DOOR] = IssuedConfig(
            lock_random=None, lock_record=record, fetched_at=world.clock.unix()
        )
        object.__setattr__(world.doors._supervisor.owner(DOOR)._ports.records, "listener", ears)
        await visited(world)
        assert world.actuations() == []
        assert [one.why for one in ears.drains] == ["issued-config-unusable"]

    rehearse(story, V3, **TAKES)


def test_the_cloud_is_asked_once_where_nothing_is_remembered() -> None:
    async def story(world: World) -> None:
        await alone(world, 1)
        await visited(world)
        await anyio.sleep(61)
        await visited(world)
        assert world.cloud.config_calls == 1
        assert values(world) == [0]

    rehearse(story, V3, **TAKES)


def test_acknowledgements_wait_for_numbers_below_a_reservation() -> None:
    async def story(world: World) -> None:
        await alone(world, 2)
        owner = world.doors._supervisor.owner(DOOR)
        async with owner.use(Priority.VISIT) as session:
            central = session.client.central
            reservation = central.reserve(room=1)
            await anyio.sleep(5)
            session.records.resume()  # as if somebody forgot
            await anyio.sleep(5)
            assert acks(world) == 0
            central.cancel(reservation)
        await until(lambda: not world.lock.is_connected)
        assert values(world) == [1, 0]

    rehearse(story, V3, **TAKES)


# -- what is kept


def test_a_kept_report_carries_no_check_code() -> None:
    async def story(world: World) -> None:
        event = {"action": "report", "command": "0x8003", "time": 1_700_000_000}
        record = b"\x00\x05\xff\xff" + CODE + bytes(6)
        async with anyio.create_task_group() as caller:
            caller.start_soon(world.operate)
            await until(world.actuations)
            payload = (bytes((72, 0, len(record))) + record).hex()
            await happens(world, {**event, "payload": payload})
        await until(lambda: not world.lock.is_connected)
        assert {one.lock for one in records(world)} == {DOOR}
        kept = b"".join(one.data.reveal() for one in records(world)) + b"".join(
            one.raw.reveal() for one in world.book.reports
        )
        assert b"\x00\x05\xff\xff" + bytes(14) in kept
        assert CODE not in kept

    rehearse(story, quirks=Quirks(answer_delay=2.0))


def test_only_what_is_a_code_is_zeroed() -> None:
    record = Datapoint.raw(72, b"\x00\x05\xff\xff" + CODE + b"\1\2\3\4\5\6\7")
    other = Datapoint.raw(67, b"\x00\x05\xff\xff" + CODE)
    short = Datapoint.raw(72, b"\x00\x05\xff\xff")
    time = ReportTime.unix(1_700_000_000)
    report = Report(code=0x8003, datapoints=(record, other, short), time=time)
    cleaned = without_codes(report, DPS)
    assert [one.data for one in cleaned.datapoints] == [
        b"\x00\x05\xff\xff" + bytes(8) + b"\1\2\3\4\5\6\7", other.data, short.data,
    ]  # fmt: skip
    assert (cleaned.code, cleaned.time) == (report.code, time)


def test_a_phantom_is_no_record() -> None:
    # A status query makes a lock repeat the last value of its record datapoints, without a time.
    async def story(world: World) -> None:
        async with world.doors._supervisor.owner(DOOR).use(Priority.VISIT):
            await happens(world, {"action": "state", "dp": FINGER, "value": 3})
            await anyio.sleep(1)
        assert records(world) == []

    rehearse(story, V3, **TAKES)


def test_a_held_connection_passes_on_what_happens_at_once() -> None:
    async def story(world: World) -> None:
        world.doors._supervisor.start()
        await until(lambda: world.lock.paired)
        await anyio.sleep(10)
        assert told(await world.operate()) == ("confirmed", "ok")
        await anyio.sleep(10)
        await happens(world, {"action": "record", "dp": ALARM, "value": 8})
        await anyio.sleep(0.1)
        assert [one.kind for one in records(world)] == [RecordKind.BLUETOOTH, RecordKind.ALARM]
        assert all(one.released_at is not None and one.live for one in records(world))
        assert acks(world) == 0
        world.doors._supervisor.stop()

    rehearse(story, V3, connection=Connection.HELD, **TAKES)


@pytest.mark.parametrize("number", [69, 70, 71, 72, 73])
@pytest.mark.parametrize("size", [8, 11, 12, 19, 21])
def test_no_check_code_is_kept_nor_a_piece_of_one(number: int, size: int) -> None:
    data = (b"\0\1\0\2" + b"12345678" + bytes(range(9)))[:size]
    report = Report(
        code=0x8003, datapoints=(Datapoint.raw(number, data),), time=ReportTime.unix(1_700_000_000)
    )
    (kept,) = without_codes(report, DPS).datapoints
    assert kept.data == data[:4] + bytes(len(data[4:12])) + data[12:]
