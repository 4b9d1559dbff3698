"""One owner per lock: when it connects, to whom it lends the connection, and when it leaves."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import anyio
import pytest

from bleagent.errors import AgentError, LinkError, LinkLost, LinkTimeout, LockChanged, LockNotFound
from bleagent.model import Priority, Proven, Step
from bleagent.owner import LONGEST_SILENCE, LockOwner
from bleagent.policy import Connection
from bleagent.simulator.fakes import MemoryLedger, MemoryLocks
from bleagent.simulator.faults import Faults, NotifyFault, WriteFault
from bleagent.simulator.log import LinkChanged
from bleagent.simulator.quirks import Quirks
from bleagent.simulator.record_fakes import MemoryRecords
from protocol import events as ev
from protocol.verdict import CONFIRMED, LockQuestion
from tests.agent.stories import CALM, ending, happens, partings, told, until
from tests.agent.world import DOOR, World, rehearse


def owner_of(world: World) -> LockOwner:
    return world.doors._supervisor.owner(DOOR)


def visits(world: World) -> list[float]:
    """When connections began."""
    return [one.at for one in world.lock.log if isinstance(one, LinkChanged) and one.up]


# -- lending


def test_two_users_have_the_connection_one_after_the_other() -> None:
    async def story(world: World) -> None:
        seen: list[str] = []

        async def use(name: str) -> None:
            async with owner_of(world).use():
                seen.append(f"{name} begins")
                await anyio.sleep(1)
                seen.append(f"{name} ends")

        async with anyio.create_task_group() as users:
            users.start_soon(use, "a")
            users.start_soon(use, "b")
        assert seen == ["a begins", "a ends", "b begins", "b ends"]
        assert len(world.radio.links) == 1

    rehearse(story)


def test_somebody_before_the_door_goes_before_whoever_waits_longer() -> None:
    async def story(world: World) -> None:
        seen: list[str] = []

        async def use(name: str, priority: Priority) -> None:
            async with owner_of(world).use(priority):
                seen.append(name)
                await anyio.sleep(1)

        async with anyio.create_task_group() as users:
            users.start_soon(use, "first visit", Priority.VISIT)
            await anyio.sleep(0.5)
            users.start_soon(use, "second visit", Priority.VISIT)
            await anyio.sleep(0.1)
            users.start_soon(use, "opening", Priority.OPERATION)
        assert seen == ["first visit", "opening", "second visit"]

    rehearse(story)


def test_whoever_waits_is_told_the_steps_of_connecting_and_why_it_failed() -> None:
    async def story(world: World) -> None:
        steps: list[Step] = []
        with pytest.raises(LockNotFound):
            async with owner_of(world).use(mark=steps.append):
                pytest.fail("nobody is there")
        assert steps == []
        async with owner_of(world).use(mark=steps.append):
            pass
        assert steps == [Step.CONNECT, Step.DEVICE_INFO, Step.PAIR]
        async with owner_of(world).use(mark=steps.append):
            pass

    rehearse(story, faults=Faults(absent=True))


def test_a_user_who_leaves_in_the_middle_of_something_takes_the_connection_along() -> None:
    async def story(world: World) -> None:
        with pytest.raises(ZeroDivisionError):
            async with owner_of(world).use():
                raise ZeroDivisionError
        await until(lambda: not world.lock.is_connected, within=1.0)
        async with owner_of(world).use():
            assert len(world.radio.links) == 2

    rehearse(story, linger=60.0)


def test_a_handshake_in_vain_is_told_before_the_link_is_ended() -> None:
    """A Bluetooth stack takes seconds to disconnect; no answer waits for it."""

    async def story(world: World) -> None:
        with pytest.raises(LinkTimeout):
            async with owner_of(world).use():
                pytest.fail("the lock said nothing")
        assert world.clock.now() == pytest.approx(2.0, abs=0.1)
        async with owner_of(world).use():  # and it is a new connection, not the old failure
            assert len(world.radio.links) == 2

    mute = Faults(notifications=dict.fromkeys(range(40), NotifyFault.LOSE))
    rehearse(story, faults=mute)


@pytest.mark.parametrize("moment", ["while the cloud is asked", "while it is written down"])
def test_a_caller_who_hangs_up_before_anything_is_written_leaves_the_connection(
    moment: str,
) -> None:
    async def story(world: World) -> None:
        if moment == "while the cloud is asked":
            world.cloud.takes = 5.0
        else:
            world.build(ledger=SlowLedger(marks=world.memory.marks))
        owner_of(world).keep_warm()
        await until(lambda: owner_of(world).paired)
        with anyio.move_on_after(7):
            await world.operate("key-1")
            pytest.fail("it takes longer")
        await until(lambda: not world.doors.busy(DOOR))
        assert world.actuations() == []
        world.cloud.takes = 0.05
        record = await world.operate("key-2", deadline=30.0)
        assert told(record) == ("confirmed", "ok")
        assert "connect" not in ending(record).steps
        assert len(world.radio.links) == 1
        world.doors._supervisor.stop()

    rehearse(story, connection=Connection.HELD)


class SlowLedger(MemoryLedger):
    async def sending(self, operation_id: str, *, sn: int, sealed: bool = False) -> None:
        if operation_id == "op-1":
            await anyio.sleep(20)
        await super().sending(operation_id, sn=sn, sealed=sealed)


def test_a_caller_who_hangs_up_in_the_middle_of_a_command_takes_the_connection_along() -> None:
    async def story(world: World) -> None:
        def begun() -> bool:
            return any(len(link.written) > CALM.instruction for link in world.radio.links)

        async with anyio.create_task_group() as caller:
            caller.start_soon(world.operate)
            await until(begun)
            caller.cancel_scope.cancel()
        await until(lambda: not world.lock.is_connected, within=1.0)
        assert world.actuations() == []

    slow = dict.fromkeys([CALM.instruction], WriteFault.DELAY)
    rehearse(story, faults=Faults(writes=slow), linger=60.0)


# -- a lock that lets go at once


class LettingGo(MemoryLocks):
    """Each time it is to be checked who the lock is, it is gone."""

    world: World
    times = 5

    async def proven(self, lock: str) -> Proven | None:
        if len(self.world.radio.links) <= self.times:
            self.world.radio.links[-1].down("it let go")
            await anyio.sleep(0.01)
        return await super().proven(lock)


def letting_go(world: World, times: int) -> None:
    memory = LettingGo()
    memory.world, memory.times = world, times
    world.build(memory=memory)


def test_a_lock_that_lets_go_as_soon_as_it_is_paired_is_tried_again_after_growing_pauses() -> None:
    async def story(world: World) -> None:
        letting_go(world, times=1000)
        record = await world.operate(deadline=15.0)
        assert told(record) == ("unreached", "link-lost")
        gaps = [b - a for a, b in pairwise(visits(world))]
        assert gaps == [pytest.approx(gap, abs=0.1) for gap in (0.2, 0.4, 0.8, 1.6, 3, 3, 3)]

    rehearse(story)


def test_a_new_call_ends_the_pause_of_a_lock_that_let_go() -> None:
    async def story(world: World) -> None:
        letting_go(world, times=6)
        async with anyio.create_task_group() as users:

            async def use() -> None:
                async with owner_of(world).use():
                    pass

            users.start_soon(use)
            await until(lambda: len(visits(world)) == 6)
            await anyio.sleep(1)
            asked = world.clock.now()
            await use()
            assert world.clock.now() - asked < 0.5

    rehearse(story)


def test_a_connection_nobody_waits_for_any_more_is_given_up() -> None:
    async def story(world: World) -> None:
        with anyio.move_on_after(1.0):
            async with owner_of(world).use():
                pytest.fail("it takes five seconds to connect")
        await anyio.sleep(10)
        assert world.radio.links == []
        assert not owner_of(world)._runs

    rehearse(story, faults=Faults(connect_delay=5.0))


def test_a_fault_of_ours_at_one_lock_is_told_and_ends_nothing_else() -> None:
    async def story(world: World) -> None:
        seen: list[tuple[str, str]] = []
        owner = owner_of(world)
        owner._fault = lambda lock, error: seen.append((lock, type(error).__name__))
        whole = owner._ports
        broken: Any = None
        owner._ports = replace(whole, memory=broken)
        with pytest.raises(AgentError) as caught:
            async with owner.use():
                pytest.fail("there is no memory to read the mark from")
        assert not isinstance(caught.value, LinkError)  # it is not to be tried again
        assert seen == [(DOOR, "AttributeError")]
        owner._ports = whole
        async with owner.use():
            pass

    rehearse(story)


# -- staying


def test_a_second_opening_finds_the_connection_of_the_first() -> None:
    async def story(world: World) -> None:
        assert told(await world.operate("key-1")) == ("confirmed", "ok")
        await until(lambda: not world.doors.busy(DOOR))
        await anyio.sleep(2.5)
        record = await world.operate("key-2")
        assert told(record) == ("confirmed", "ok")
        assert len(world.radio.links) == 1
        steps = ending(record).steps
        assert "connect" not in steps
        assert "pair" not in steps
        assert len(world.actuations()) == 2

    rehearse(story, linger=10.0)


def test_after_its_linger_the_lock_is_left_to_the_owners_phone() -> None:
    async def story(world: World) -> None:
        await world.operate()
        await until(lambda: not world.doors.busy(DOOR))
        free = world.clock.now()
        await until(lambda: not world.lock.is_connected)
        assert world.clock.now() - free == pytest.approx(10.0, abs=0.1)
        assert partings(world) == [(1, "the central left")]

    rehearse(story, linger=10.0)


def test_an_operation_nobody_confirmed_leaves_no_connection_to_rely_on() -> None:
    async def story(world: World) -> None:
        record = await world.operate("key-1")
        assert told(record)[0] == "unconfirmed"
        await until(lambda: not world.doors.busy(DOOR))
        await until(lambda: not world.lock.is_connected, within=1.0)

    rehearse(story, quirks=Quirks(answer_delay=100.0), linger=60.0)


def test_an_answer_to_another_question_on_the_same_connection_is_not_ours() -> None:
    async def story(world: World) -> None:
        async with owner_of(world).use() as session:
            session.client._events.append(ev.Judged(LockQuestion(47), CONFIRMED))
        assert told(await world.operate("key-2"))[0] == "unconfirmed"
        assert len(world.radio.links) == 1

    rehearse(story, quirks=Quirks(answer_delay=100.0), linger=60.0)


def test_a_hint_connects_and_keeps_the_lock_warm() -> None:
    async def story(world: World) -> None:
        owner_of(world).keep_warm()
        await until(lambda: owner_of(world).paired)
        began = world.clock.now()
        await anyio.sleep(20)
        record = await world.operate()
        assert "connect" not in ending(record).steps
        await until(lambda: not world.doors.busy(DOOR))
        used = world.clock.now()
        await until(lambda: not world.lock.is_connected, within=100.0)
        assert world.clock.now() - used == pytest.approx(60.0, abs=0.2)
        assert visits(world) == [pytest.approx(began, abs=0.1)]

    rehearse(story, connection=Connection.WARM, warm_for=60.0)


def test_a_lock_that_calls_is_visited_and_not_all_the_time() -> None:
    async def story(world: World) -> None:
        owner = owner_of(world)
        assert owner.called()
        await until(lambda: world.lock.paired)
        await happens(world, {"action": "record", "dp": 12, "value": 3})
        for _ in range(100):
            await anyio.sleep(1)
            owner.called()
        assert len(visits(world)) == 2
        assert visits(world)[1] - visits(world)[0] == pytest.approx(60.0, abs=1.1)
        assert len(world.book.rows) == 1
        lasted = partings(world)[0]
        assert lasted == (1, "the central left")

    rehearse(story)


def test_a_call_in_somebody_elses_name_costs_one_attempt_a_minute() -> None:
    async def story(world: World) -> None:
        world.radio.faults = world.radio.then = Faults(absent=True)
        owner = owner_of(world)
        begun = []
        for _ in range(180):
            begun.append(owner.called())
            await anyio.sleep(1)
        assert sum(begun) == 3
        assert not owner._runs

    rehearse(story)


def test_while_somebody_uses_the_lock_it_need_not_be_visited() -> None:
    async def story(world: World) -> None:
        async with owner_of(world).use():
            assert not owner_of(world).called()

    rehearse(story)


def test_a_held_lock_is_connected_again_and_left_before_it_hangs_up() -> None:
    async def story(world: World) -> None:
        world.doors._supervisor.start()
        await until(lambda: owner_of(world).paired)
        await anyio.sleep(2.5 * LONGEST_SILENCE)
        assert world.lock.paired
        world.doors._supervisor.stop()
        await until(lambda: not world.lock.is_connected)
        assert {reason for _, reason in partings(world)} == {"the central left"}
        gaps = [b - a for a, b in pairwise(visits(world))]
        assert gaps == [pytest.approx(LONGEST_SILENCE, abs=0.5)] * 2

    rehearse(story, connection=Connection.HELD)


@pytest.mark.parametrize("connection", [Connection.WARM, Connection.HELD])
def test_a_hint_or_a_call_ends_the_pause_between_two_attempts(connection: Connection) -> None:
    async def story(world: World) -> None:
        world.radio.faults = world.radio.then = Faults(absent=True)
        owner = owner_of(world)
        owner.keep_warm()
        await anyio.sleep(70)  # the pause is a long one by now
        world.radio.faults = world.radio.then = Faults()
        if connection is Connection.WARM:
            owner.keep_warm()
        else:
            assert owner.called()
        await until(lambda: owner.paired, within=1.0)
        world.doors._supervisor.stop()

    rehearse(story, connection=connection)


def test_a_held_lock_that_is_away_is_looked_for_less_and_less_often() -> None:
    async def story(world: World) -> None:
        world.radio.faults = world.radio.then = Faults(absent=True)
        tried: list[float] = []
        connect = world.radio.connect

        def counted(lock: Any, *, priority: Priority) -> Any:
            assert priority is (
                Priority.OPERATION if owner_of(world)._waiting else Priority.KEEPING
            )
            tried.append(world.clock.now())
            return connect(lock, priority=priority)

        world.radio.connect = counted  # type: ignore[method-assign, assignment]
        world.doors._supervisor.start()
        await anyio.sleep(300)
        gaps = [round(b - a) for a, b in pairwise(tried)]
        assert gaps[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
        world.radio.faults = world.radio.then = Faults()
        assert told(await world.operate()) == ("confirmed", "ok")  # nobody waits for the pause
        world.doors._supervisor.stop()

    rehearse(story, connection=Connection.HELD)


def test_after_stop_nobody_is_connected_to_any_more() -> None:
    async def story(world: World) -> None:
        async with owner_of(world).use():
            world.doors._supervisor.stop()
            await anyio.sleep(1)
            assert world.lock.is_connected  # whoever uses it may finish
        await until(lambda: not world.lock.is_connected, within=1.0)
        with pytest.raises(LinkLost):
            async with owner_of(world).use():
                pytest.fail("we are leaving")

    rehearse(story, linger=60.0)


def test_another_lock_that_needs_the_slot_gets_it_from_whoever_only_lingers() -> None:
    async def story(world: World) -> None:
        owner, supervisor = owner_of(world), world.doors._supervisor
        supervisor.make_room([DOOR])  # nothing is connected
        async with owner.use():
            supervisor.make_room([DOOR])
            await anyio.sleep(1)
            assert world.lock.is_connected  # whoever uses it keeps it
        await anyio.sleep(1)
        assert world.lock.is_connected
        supervisor.make_room([DOOR])
        await until(lambda: not world.lock.is_connected, within=0.5)

    rehearse(story, linger=60.0)


def test_a_deadline_that_passes_while_connecting_says_what_was_in_the_way() -> None:
    async def story(world: World) -> None:
        owner = owner_of(world)
        owner._ports = replace(owner._ports, trouble=lambda _: LockNotFound("not heard"))
        assert told(await world.operate(deadline=2.0)) == ("unreached", "lock-not-found")
        assert world.radio.links == []

    rehearse(story, faults=Faults(connect_delay=5.0))


def test_a_deadline_between_two_attempts_says_what_the_first_one_met() -> None:
    """A lock that does not answer our key is no lock that was asked too late."""

    async def story(world: World) -> None:
        mute = Faults(notifications=dict.fromkeys(range(40), NotifyFault.LOSE))
        world.radio.faults = world.radio.then = mute
        assert told(await world.operate(deadline=5.0)) == ("unreached", "lock-silent")
        assert len(world.radio.links) > 1

    rehearse(story)


def test_a_warm_lock_is_kept_as_long_as_it_was_said() -> None:
    async def story(world: World) -> None:
        await world.operate()
        await until(lambda: not world.doors.busy(DOOR))
        await anyio.sleep(
            150
        )  # longer than the silence after which a lock is left and come back to
        assert world.lock.is_connected
        world.doors._supervisor.stop()

    rehearse(story, connection=Connection.WARM, warm_for=300.0)


@pytest.mark.parametrize("cause", ["a fault of ours", "a lock that is silent at first"])
def test_a_held_lock_is_held_again_after_whatever_happened(cause: str) -> None:
    async def story(world: World) -> None:
        owner = owner_of(world)
        whole, broken = owner._ports, cause == "a fault of ours"
        nothing: Any = None
        if broken:
            owner._ports = replace(whole, memory=nothing)
        world.doors._supervisor.start()
        await anyio.sleep(1)
        owner._ports = whole
        await until(lambda: owner.paired, within=60.0)
        world.doors._supervisor.stop()

    silent = dict.fromkeys(range(40), NotifyFault.LOSE) if "silent" in cause else {}
    rehearse(story, faults=Faults(notifications=silent), connection=Connection.HELD)


def test_a_hint_after_stop_connects_to_nobody() -> None:
    async def story(world: World) -> None:
        async with owner_of(world).use():
            world.doors._supervisor.stop()
            owner_of(world).keep_warm()
        await anyio.sleep(20)
        assert len(world.radio.links) == 1
        await world.doors._supervisor.left()

    rehearse(story)


@pytest.mark.parametrize("records", [1, 3])
def test_what_came_in_before_the_link_ended_is_stored(records: int) -> None:
    """A live record exists nowhere else (D2)."""

    async def story(world: World) -> None:
        disk = MemoryRecords(take_takes=0.3)
        world.build(book=disk)
        owner_of(world).called()
        await until(lambda: owner_of(world).paired)
        await anyio.sleep(3)
        for value in range(records):
            await happens(world, {"action": "record", "dp": 12, "value": value})
        await anyio.sleep(0.1)
        world.radio.links[-1].down("out of range")
        await anyio.sleep(20)
        assert len(disk.rows) == records

    rehearse(story)


# -- the same lock as before


def test_the_first_proven_identity_is_pinned_and_another_is_not_operated() -> None:
    async def story(world: World) -> None:
        assert told(await world.operate("key-1")) == ("confirmed", "ok")
        pinned = world.memory.pins[DOOR]
        assert (pinned.major, pinned.security_v2) == (3, False)
        await anyio.sleep(10)
        for other in (
            replace(pinned, major=4),
            replace(pinned, security_v2=True),
            replace(pinned, virtual_id="bf-another-lock"),
        ):
            world.memory.pins[DOOR] = other
            links = len(world.radio.links)
            record = await world.operate(f"against {other}")
            assert told(record) == ("unreached", LockChanged.code)
            assert len(world.radio.links) == links + 1  # and it is not tried again
        assert len(world.actuations()) == 1
        world.memory.pins[DOOR] = pinned
        assert told(await world.operate("key-2")) == ("confirmed", "ok")

    rehearse(story)


def test_what_was_pinned_is_told_in_words() -> None:
    now = Proven(major=4, security_v2=True, virtual_id=None)
    assert now.words == "protocol 4, security V2, id untold"
