"""Who may operate a door now, and how often: the rules of the doors, judged by the lock's log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from bleagent.doors import Door
from bleagent.errors import (
    KeyReused,
    LockBusy,
    Rejected,
    StoreError,
    TooLate,
    UnknownLock,
    UnresolvedOperation,
)
from bleagent.model import LockFacts, OperationRecord, OperationRequest, Phase, Priority
from bleagent.simulator.fakes import MemoryLedger
from bleagent.simulator.faults import Faults
from bleagent.simulator.quirks import Quirks
from bleagent.simulator.radio import VirtualLink, VirtualRadio
from bleagent.simulator.virtual_lock import VirtualLock
from tests.agent.stories import ending, rewire, told, until
from tests.agent.world import CODE, DOOR, KEYS, World, rehearse

SILENT = Quirks(answer_delay=100.0)
"""Opens, and its word about it comes after we have left."""
SLOW = Quirks(answer_delay=1.0)


def test_a_key_that_is_used_again_while_it_runs_joins_the_one_operation() -> None:
    async def story(world: World) -> None:
        answers: list[tuple[OperationRecord, bool]] = []

        async def ask() -> None:
            answers.append(await world.doors.operate(world.request("key-1")))

        async with anyio.create_task_group() as callers:
            for _ in range(5):
                callers.start_soon(ask)
        assert {record.id for record, _ in answers} == {"op-1"}
        assert sorted(new for _, new in answers) == [False] * 4 + [True]
        assert {told(record) for record, _ in answers} == {("confirmed", "ok")}
        assert len(world.actuations()) == 1

    rehearse(story)


def test_a_key_that_is_used_again_later_is_answered_and_opens_nothing() -> None:
    async def story(world: World) -> None:
        first = await world.operate("key-1")
        for pause in (0.0, 1.0, 100.0):
            await anyio.sleep(pause)
            again, new = await world.doors.operate(world.request("key-1"))
            assert (again.id, told(again), new) == (first.id, told(first), False)
        assert len(world.actuations()) == 1
        assert len(world.radio.links) == 1

    rehearse(story)


def test_a_key_with_another_request_is_turned_away() -> None:
    async def story(world: World) -> None:
        await world.operate("key-1", fingerprint="POST unlock")
        await anyio.sleep(10)
        with pytest.raises(KeyReused):
            await world.operate("key-1", fingerprint="POST lock")
        assert len(world.actuations()) == 1

    rehearse(story)


def test_a_key_with_another_request_is_turned_away_while_the_first_runs() -> None:
    async def story(world: World) -> None:
        async with anyio.create_task_group() as callers:
            callers.start_soon(world.operate, "key-1")
            await anyio.sleep(0.01)
            with pytest.raises(KeyReused):
                await world.operate("key-1", fingerprint="another")
        assert len(world.actuations()) == 1

    rehearse(story)


def test_of_two_requests_at_once_one_opens_and_one_leaves_no_trace() -> None:
    async def story(world: World) -> None:
        outcomes: list[str] = []

        async def ask(key: str) -> None:
            try:
                outcomes.append(ending(await world.operate(key)).outcome)
            except LockBusy:
                outcomes.append("busy")

        async with anyio.create_task_group() as callers:
            callers.start_soon(ask, "key-1")
            callers.start_soon(ask, "key-2")
        assert sorted(outcomes) == ["busy", "confirmed"]
        assert [one.key for one in world.ledger.records.values()] == ["key-1"]
        assert len(world.actuations()) == 1

    rehearse(story)


def test_a_door_rests_for_two_seconds_after_its_record() -> None:
    async def story(world: World) -> None:
        await world.operate("key-1")
        assert world.doors.busy(DOOR)  # the link stays for the record
        await until(lambda: not world.doors.busy(DOOR))
        free = world.clock.now()
        for rest in (0.0, 1.0, 1.9):
            await anyio.sleep(free + rest - world.clock.now())
            with pytest.raises(LockBusy):
                await world.operate(f"key at {rest}")
        await anyio.sleep(free + 2.0 - world.clock.now())
        assert told(await world.operate("key-2")) == ("confirmed", "ok")
        first, second = world.actuations()
        assert second.at - first.at >= 2.0

    rehearse(story)


def test_a_door_that_was_not_reached_needs_no_rest() -> None:
    async def story(world: World) -> None:
        missed = await world.operate("key-1", deadline=1.0)
        assert ending(missed).outcome == "unreached"
        await until(lambda: not world.doors.busy(DOOR))
        assert told(await world.operate("key-2")) == ("confirmed", "ok")

    rehearse(story, faults=Faults(connect_delay=5.0))


def test_an_unconfirmed_operation_keeps_the_door_to_those_who_name_it() -> None:
    async def story(world: World) -> None:
        first = await world.operate("key-1")
        assert ending(first).outcome == "unconfirmed"
        await anyio.sleep(20)
        with pytest.raises(UnresolvedOperation):
            await world.operate("key-2")
        with pytest.raises(UnresolvedOperation):
            await world.operate("key-2", after="op-77")
        assert [one.key for one in world.ledger.records.values()] == ["key-1"]
        assert len(world.actuations()) == 1
        await world.operate("key-2", after=first.id)
        assert len(world.actuations()) == 2

    rehearse(story, quirks=SILENT)


@pytest.mark.parametrize(("wait", "blocked"), [(59.0, True), (60.001, False)])
def test_an_unconfirmed_operation_blocks_for_a_minute(wait: float, blocked: bool) -> None:
    async def story(world: World) -> None:
        await world.operate("key-1")
        finished = world.clock.now()
        await anyio.sleep(finished + wait - world.clock.now())
        if blocked:
            with pytest.raises(UnresolvedOperation):
                await world.operate("key-2")
        else:
            await world.operate("key-2")
        assert len(world.actuations()) == (1 if blocked else 2)

    rehearse(story, quirks=SILENT)


def test_a_lock_that_is_not_configured_is_unknown() -> None:
    async def story(world: World) -> None:
        with pytest.raises(UnknownLock):
            await world.doors.operate(replace(world.request(), lock="cellar"))
        assert world.ledger.records == {}

    rehearse(story)


@pytest.mark.parametrize("deadline", [0.0, -5.0])
def test_a_deadline_in_the_past_is_not_accepted(deadline: float) -> None:
    async def story(world: World) -> None:
        with pytest.raises(TooLate):
            await world.operate(deadline=deadline)
        assert world.ledger.records == {}
        assert world.radio.links == []

    rehearse(story)


def test_a_request_that_may_be_old_is_not_accepted_but_its_known_key_is_answered() -> None:
    async def story(world: World) -> None:
        with pytest.raises(TooLate):
            await world.doors.operate(replace(world.request("key-1"), stale=True))
        assert world.ledger.records == {}
        first = await world.operate("key-1")
        again, new = await world.doors.operate(replace(world.request("key-1"), stale=True))
        assert (again, new) == (first, False)
        assert len(world.actuations()) == 1

    rehearse(story)


async def hang_up_when(world: World, moment: Callable[[], object]) -> None:
    """Ask for an opening, and hang up at some moment."""
    async with anyio.create_task_group() as caller:
        caller.start_soon(world.operate, "key-1")
        await until(moment)
        caller.cancel_scope.cancel()


def test_a_caller_who_hangs_up_before_the_commit_point_leaves_nothing_behind() -> None:
    async def story(world: World) -> None:
        await hang_up_when(world, lambda: world.cloud.asked)
        await until(lambda: not world.doors.busy(DOOR))
        record = await world.operate("key-1")  # the key knows how it ended
        assert told(record) == ("unreached", "cancelled")
        assert world.actuations() == []
        assert not world.lock.is_connected
        assert told(await world.operate("key-2")) == ("confirmed", "ok")

    rehearse(story)


def test_a_caller_who_hangs_up_after_the_commit_point_stops_nothing() -> None:
    async def story(world: World) -> None:
        await hang_up_when(world, world.actuations)
        await until(lambda: not world.doors.busy(DOOR))
        assert told(await world.operate("key-1")) == ("confirmed", "ok")
        assert len(world.actuations()) == 1

    rehearse(story, quirks=SLOW)


def test_one_of_two_callers_of_a_key_may_hang_up() -> None:
    """Whoever joined only waits; whoever started it owns it."""

    async def story(world: World) -> None:
        async with anyio.create_task_group() as owner:
            owner.start_soon(world.operate, "key-1")
            await anyio.sleep(0.01)
            async with anyio.create_task_group() as joined:
                joined.start_soon(world.operate, "key-1")
                await anyio.sleep(0.01)
                joined.cancel_scope.cancel()
        assert len(world.actuations()) == 1
        assert told(await world.operate("key-1")) == ("confirmed", "ok")

    rehearse(story)


def test_what_was_begun_without_waiting_goes_on_by_itself() -> None:
    async def story(world: World) -> None:
        begun, new = await world.doors.begin(world.request("key-1"))
        assert (begun.phase, begun.ending, new) == (Phase.INTENT, None, True)
        again, new = await world.doors.begin(world.request("key-1"))
        assert (again.id, again.ending, new) == (begun.id, None, False)
        assert world.doors.steps(begun.id) == {}
        await until(lambda: world.cloud.asked)
        assert list(world.doors.steps(begun.id))[:3] == ["connect", "device_info", "pair"]
        assert told(await world.operate("key-1")) == ("confirmed", "ok")
        ended, new = await world.doors.begin(world.request("key-1"))
        assert (ended.id, told(ended), new) == (begun.id, ("confirmed", "ok"), False)
        assert len(world.actuations()) == 1

    rehearse(story)


def test_what_somebody_was_told_goes_on_is_not_stopped_by_who_hangs_up() -> None:
    async def story(world: World) -> None:
        async with anyio.create_task_group() as owner:
            owner.start_soon(world.operate, "key-1")
            await anyio.sleep(0.01)
            await world.doors.begin(world.request("key-1"))
            owner.cancel_scope.cancel()
        assert told(await world.operate("key-1")) == ("confirmed", "ok")

    rehearse(story)


def test_whoever_joined_is_told_when_the_owner_hangs_up() -> None:
    async def story(world: World) -> None:
        heard: list[tuple[str, str]] = []

        async def join() -> None:
            heard.append(told(await world.operate("key-1")))

        async with anyio.create_task_group() as joined, anyio.create_task_group() as owner:
            owner.start_soon(world.operate, "key-1")
            await anyio.sleep(0.01)
            joined.start_soon(join)
            await anyio.sleep(0.01)
            owner.cancel_scope.cancel()
        assert heard == [("unreached", "cancelled")]
        assert world.actuations() == []

    rehearse(story)


class FullLedger(MemoryLedger):
    """No place for a new operation."""

    async def begin(self, request: OperationRequest, *, unix: float) -> OperationRecord | None:
        """Fail."""
        raise StoreError(f"no space left for {request.key} at {unix}")


def test_nothing_happens_that_could_not_be_recorded() -> None:
    async def story(world: World) -> None:
        rewire(world, ledger=FullLedger())
        with pytest.raises(StoreError):
            await world.operate()
        await anyio.sleep(10)
        assert world.radio.links == []
        assert world.actuations() == []
        assert not world.doors.busy(DOOR)

    rehearse(story)


def test_an_ending_that_cannot_be_stored_is_told_all_the_same() -> None:
    async def story(world: World) -> None:
        world.ledger.finish_fails = True
        record = await world.operate()
        assert told(record) == ("confirmed", "ok")
        assert {"store": "failed"} in ending(record).evidence
        assert len(world.actuations()) == 1
        # On disk it stays open, for recovery to close: never as something not sent.
        assert world.ledger.records[record.id].phase is Phase.SENDING

    rehearse(story)


class Neighbourhood:
    """Implements ``ports.LockRadio``: one virtual lock behind each name."""

    def __init__(self, radios: dict[str, VirtualRadio]) -> None:
        self.radios = radios

    @asynccontextmanager
    async def connect(
        self, lock: LockFacts, *, priority: Priority = Priority.OPERATION
    ) -> AsyncIterator[VirtualLink]:
        """Connect to the one of that name."""
        async with self.radios[lock.name].connect(lock, priority=priority) as link:
            yield link


def test_a_hundred_doors_do_not_wait_for_a_busy_one() -> None:
    async def story(world: World) -> None:
        names = [f"door {number}" for number in range(100)]
        firmware, now = world.lock._machine.radio.firmware, world.clock.now()
        locks = {name: VirtualLock(KEYS, firmware, now=now) for name in names}
        for lock in locks.values():
            lock.preset_check_code(5, CODE)
        radios = {
            name: VirtualRadio(lock, world.clock, att_payload=20) for name, lock in locks.items()
        }
        radios[names[0]].faults = Faults(connect_delay=9.0)
        template = world.doors.door(DOOR)
        doors = {name: Door(replace(template.facts, name=name), template.policy) for name in names}
        world.build(doors, radio=Neighbourhood(radios))
        took: dict[str, float] = {}

        async def ask(name: str) -> None:
            request = replace(world.request(name), lock=name)
            record, _ = await world.doors.operate(request)
            assert told(record) == ("confirmed", "ok")
            took[name] = world.clock.now() - request.received_at

        async with anyio.create_task_group() as callers:
            for name in names:
                callers.start_soon(ask, name)
            await anyio.sleep(5)
            with pytest.raises(Rejected):
                await ask(names[0] + "?")
        assert took[names[0]] > 9.0
        assert max(took[name] for name in names[1:]) < 1.0
        assert [len(lock.log.openings()) for lock in locks.values()] == [1] * 100

    rehearse(story)


@pytest.mark.parametrize("quirks", [None, SILENT], ids=["confirmed", "unconfirmed"])
def test_a_lock_rests_over_a_restart(quirks: Quirks | None) -> None:
    async def story(world: World) -> None:
        first = await world.operate("key-1")
        ended = world.clock.now()
        world.build()  # another process on the same store
        with pytest.raises(LockBusy, match=first.id):
            await world.operate("key-2", after=first.id)
        await anyio.sleep(ended + 1.9 - world.clock.now())
        with pytest.raises(LockBusy):
            await world.operate("key-3", after=first.id)
        await anyio.sleep(0.11)
        await world.operate("key-4", after=first.id)
        assert len(world.actuations()) == 2

    rehearse(story, quirks=quirks)


def test_a_lock_to_which_nothing_was_sent_does_not_rest_over_a_restart() -> None:
    async def story(world: World) -> None:
        world.cloud.down = True
        assert told(await world.operate("key-1"))[0] == "unreached"
        world.cloud.down = False
        world.build()  # another process on the same store
        assert told(await world.operate("key-2")) == ("confirmed", "ok")

    rehearse(story)
