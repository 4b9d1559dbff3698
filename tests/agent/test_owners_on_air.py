"""Owners above the Bluetooth radio: impostors, slots that are wanted, and who is left for whom."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import anyio
import pytest

from bleagent.errors import AgentError, StoreError
from bleagent.model import Priority, Proven, Step
from bleagent.policy import Backlog, Connection, Policy
from bleagent.radio import RadioSettings
from bleagent.room import Keeping
from bleagent.session import LinkPorts
from bleagent.simulator.air import AirLock
from bleagent.simulator.fakes import MemoryLocks, record_ports
from bleagent.simulator.record_fakes import MemoryRecords
from bleagent.supervisor import Supervisor
from bleagent.visit import Evidence
from tests.agent.air_world import FRONT, ROGUE, Air, facts, keys, rehearse

HELD: dict[str, Any] = {"connection": Connection.HELD}
ONE_SLOT = RadioSettings(slots=1)


def supervise(
    air: Air, *, memory: MemoryLocks | None = None, locks: int = 1, **policy: Any
) -> Supervisor:
    """Owners for the first locks, wired as in the daemon; ``policy`` is lock-1's."""
    draws, radio = count(1), air.radio
    links = LinkPorts(
        radio=radio, memory=memory or MemoryLocks(), clock=air.clock,
        new_iv=lambda: next(draws).to_bytes(16, "big"), records=record_ports(MemoryRecords()),
        judge=radio, trouble=radio.trouble, idle=radio.idle, wanted=radio.wanted,
    )  # fmt: skip
    plain = Policy(major=4, backlog=Backlog.LEAVE)  # nothing but what a story is about
    owned = {
        f"lock-{number}": (facts(number), replace(plain, **policy) if number == 1 else plain)
        for number in range(1, locks + 1)
    }
    supervisor = Supervisor(owned, links, air.tasks)
    listeners = replace(
        radio._listeners, full=lambda _, holding: supervisor.make_room(holding),
        reached=supervisor.reached,
    )  # fmt: skip
    radio._listeners = listeners
    return supervisor


def connects(air: Air) -> list[str]:
    """Whom was tried to connect to."""
    return [address for _, call, _, address in air.bluetooth.calls if call == "connect"]


def test_who_waits_is_told_how_far_the_connection_has_come() -> None:
    async def story(air: Air) -> None:
        steps: list[tuple[Step, float]] = []
        asked = air.clock.now()

        def mark(step: Step) -> None:
            steps.append((step, air.clock.now() - asked))

        async with supervise(air).owner("lock-1").use(Priority.OPERATION, mark):
            pass
        assert [step for step, _ in steps] == [
            Step.HEARD, Step.TURN, Step.LINK, Step.CONNECT, Step.DEVICE_INFO, Step.PAIR,
        ]  # fmt: skip
        assert steps[0][1] > 0  # the lock had not been heard before

    rehearse(story)


def test_whoever_does_not_stand_the_handshake_makes_way_for_the_lock() -> None:
    """One replayed advertisement must not keep a door closed (H1)."""

    async def story(air: Air) -> None:
        air.bluetooth.locks.append(AirLock(address=ROGUE, keys=keys(), rssi={"hci0": -30}))
        owner = supervise(air).owner("lock-1")
        await anyio.sleep(1)
        opened = False
        with anyio.move_on_after(20):
            while not opened:
                try:
                    async with owner.use():
                        opened = True
                except AgentError:
                    await anyio.sleep(0.1)
        assert connects(air) == [ROGUE, FRONT]

    rehearse(story)


def test_a_store_that_fails_says_nothing_about_the_lock() -> None:
    class Unreadable(MemoryLocks):
        async def proven(self, lock: str) -> Proven | None:
            raise StoreError(f"no word about {lock}")

    async def story(air: Air) -> None:
        owner = supervise(air, memory=Unreadable()).owner("lock-1")
        await anyio.sleep(1)
        with pytest.raises(StoreError):
            async with owner.use():
                pytest.fail("it could not be checked")
        await anyio.sleep(5)
        (first, *_) = air.radio.sightings.candidates("lock-1", air.clock.now(), within=10.0)
        assert first.failures == 0

    rehearse(story)


@pytest.mark.parametrize("busy", [True, False], ids=["while it is used", "while it pairs"])
def test_a_slot_is_given_up_as_soon_as_its_holder_becomes_idle(busy: bool) -> None:
    async def story(air: Air) -> None:
        supervisor = supervise(air, locks=2, **HELD)
        supervisor.start()
        holder = supervisor.owner("lock-1")
        with anyio.fail_after(30):
            while not (holder.paired if busy else air.hci0.links):
                await anyio.sleep(0.01)

        async def use() -> None:
            async with holder.use():
                await anyio.sleep(3)

        if busy:
            air.tasks.start_soon(use)
            await anyio.sleep(0.5)
        with anyio.fail_after(12):
            async with supervisor.owner("lock-2").use():
                pass
        supervisor.stop()

    rehearse(story, locks=2, settings=ONE_SLOT)


def test_two_kept_connections_do_not_displace_each_other_for_ever() -> None:
    async def story(air: Air) -> None:
        supervisor = supervise(air, locks=2, **HELD)
        other = supervisor.owner("lock-2")
        other._policy = replace(other._policy, **HELD)
        other._keep_until = float("inf")
        supervisor.start()
        await anyio.sleep(600)
        assert len(connects(air)) < 15
        supervisor.stop()

    rehearse(story, locks=2, settings=ONE_SLOT)


async def lingering(supervisor: Supervisor, name: str, follow: bool = False) -> None:
    """Connected, used, and idle from here."""
    async with supervisor.owner(name).use() as session:
        if follow:
            session.visit.follow(heard_nothing)


async def heard_nothing(_: Evidence) -> None:
    raise AssertionError("the lock said something")


def why_kept(supervisor: Supervisor, name: str) -> Keeping | None:
    claim = supervisor.owner(name).claim
    return claim and claim.keeping


def left(supervisor: Supervisor, *names: str) -> list[str]:
    """Whose connection is gone, or being left."""
    return [name for name in names if supervisor.owner(name).claim is None]


def test_the_turn_comes_by_what_the_connection_is_wanted_for_when_it_comes() -> None:
    """Somebody comes to a door whose lock is waiting to be connected to for later."""

    async def story(air: Air) -> None:
        supervisor = supervise(air, locks=3, **HELD)
        order: list[str] = []

        async def use(name: str, priority: Priority, stay: float) -> None:
            async with supervisor.owner(name).use(priority):
                order.append(name)
                await anyio.sleep(stay)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(use, "lock-2", Priority.VISIT, 5.0)
            await anyio.sleep(2)
            supervisor.owner("lock-1").wake()  # it is to be held
            await anyio.sleep(0.5)
            tasks.start_soon(use, "lock-3", Priority.VISIT, 1.0)
            await anyio.sleep(0.5)
            tasks.start_soon(use, "lock-1", Priority.OPERATION, 1.0)
        assert order == ["lock-2", "lock-1", "lock-3"]
        supervisor.stop()

    rehearse(story, locks=3, settings=ONE_SLOT)


def test_who_waits_for_later_gets_a_slot_as_soon_as_somebody_comes_to_the_door() -> None:
    async def story(air: Air) -> None:
        supervisor = supervise(air, locks=2, **HELD)
        other = supervisor.owner("lock-2")
        other._policy = replace(other._policy, linger=60.0)
        await lingering(supervisor, "lock-2")
        supervisor.owner("lock-1").wake()
        await anyio.sleep(5)
        assert why_kept(supervisor, "lock-2") is Keeping.LINGERING  # what can wait displaces nobody
        with anyio.fail_after(10):
            async with supervisor.owner("lock-1").use():
                assert why_kept(supervisor, "lock-2") is None
        supervisor.stop()

    rehearse(story, locks=2, settings=ONE_SLOT)


def test_the_link_that_has_lingered_longest_is_left_first_and_a_hinted_one_last() -> None:
    async def story(air: Air) -> None:
        supervisor = supervise(air, locks=5, **HELD)
        names = [f"lock-{number}" for number in range(1, 6)]
        for name in names[1:]:
            owner = supervisor.owner(name)
            owner._policy = replace(owner._policy, linger=300.0)
        supervisor.owner("lock-2").keep_warm()
        for name in ("lock-2", "lock-1", "lock-4", "lock-3"):
            await lingering(supervisor, name)
            await anyio.sleep(1)
        await lingering(supervisor, "lock-5", follow=True)
        await anyio.sleep(1)
        gone: list[str] = []
        for _ in names:
            assert supervisor.make_room(names)
            gone += [name for name in left(supervisor, *names) if name not in gone]
        assert gone == ["lock-4", "lock-3", "lock-1", "lock-2", "lock-5"]
        assert not supervisor.make_room(names)
        supervisor.stop()

    rehearse(story, locks=5, settings=RadioSettings(slots=5))


def test_a_lock_that_tells_what_it_remembers_is_left_after_one_that_only_lingers() -> None:
    async def story(air: Air) -> None:
        supervisor = supervise(air, locks=2, linger=60.0, backlog=Backlog.TAKE)
        await lingering(supervisor, "lock-1")
        await lingering(supervisor, "lock-2")
        await anyio.sleep(0.1)
        assert why_kept(supervisor, "lock-1") is Keeping.HINTED
        assert supervisor.make_room(["lock-1", "lock-2"])
        assert left(supervisor, "lock-1", "lock-2") == ["lock-2"]
        await anyio.sleep(30)
        assert why_kept(supervisor, "lock-1") is Keeping.LINGERING
        supervisor.stop()

    rehearse(story, locks=2, settings=RadioSettings(slots=2))


def test_a_connection_in_use_is_never_left_and_its_evidence_is_waited_for_ten_seconds() -> None:
    async def story(air: Air) -> None:
        supervisor = supervise(air, locks=2, linger=60.0)
        one, names = supervisor.owner("lock-1"), ["lock-1", "lock-2"]
        async with one.use() as session:
            session.visit.follow(heard_nothing)
            assert not supervisor.make_room(names)
        await lingering(supervisor, "lock-2")
        assert why_kept(supervisor, "lock-1") is Keeping.FOLLOWED
        await anyio.sleep(10)
        assert why_kept(supervisor, "lock-1") is Keeping.LINGERING
        supervisor.stop()

    rehearse(story, locks=2, settings=RadioSettings(slots=2))


def test_one_connection_is_left_for_one_turn_however_many_wait() -> None:
    async def story(air: Air) -> None:
        supervisor = supervise(air, locks=4, linger=60.0)
        other = supervisor.owner("lock-2")
        other._policy = replace(other._policy, linger=60.0)
        await lingering(supervisor, "lock-1")
        await lingering(supervisor, "lock-2")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lingering, supervisor, "lock-3")
            await anyio.sleep(1)
            assert left(supervisor, "lock-1", "lock-2") == ["lock-1"]
            supervisor.owner("lock-4").called()
            await anyio.sleep(1)
            assert left(supervisor, "lock-1", "lock-2") == ["lock-1"]
        supervisor.stop()

    rehearse(story, locks=4, settings=RadioSettings(slots=2))
