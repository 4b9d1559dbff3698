"""The radio in virtual time: who is connected to, when, by which adapter, and what is left."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import anyio
import pytest

from bleagent.doors import Door, Doors
from bleagent.errors import LockNotFound, PairingRefused, RadioBusy, RadioUnavailable
from bleagent.model import Action, OperationRequest, Outcome, Principal, Priority
from bleagent.policy import Policy
from bleagent.ports import HandshakeJudge, LockRadio
from bleagent.radio.settings import RadioSettings
from bleagent.session import LinkPorts
from bleagent.simulator.air import AirLock
from bleagent.simulator.fakes import DirectCloud, MemoryLedger, MemoryLocks, record_ports
from bleagent.simulator.record_fakes import MemoryRecords
from bleagent.unlock import Ports

from .air_world import FRONT, ROGUE, Air, facts, keys, rehearse
from .world import supervise

FAR, NEAR = -85, -50


def test_it_is_a_radio_for_the_jobs() -> None:
    async def story(air: Air) -> None:
        radio: LockRadio = air.radio
        assert isinstance(radio, HandshakeJudge)

    rehearse(story)


def test_a_lock_that_is_heard_is_connected_to_at_once_and_left_behind_clean() -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(1)
        began = air.clock.now()
        async with air.radio.connect(facts()) as link:
            assert air.clock.now() - began < 0.5
            assert link.att_payload == 20
            await anyio.sleep(1)  # the scan goes on as soon as the connection stands
            assert air.of_adapter().scanning
            assert air.of_lock().connected
        assert not air.locks[0].connected
        assert air.hci0.links == {}
        assert air.of_lock().connections == 1
        assert air.of_adapter().links == 0

    rehearse(story)


def test_a_lock_that_is_not_heard_is_waited_for() -> None:
    async def story(air: Air) -> None:
        air.locks[0].powered = False
        air.tasks.start_soon(wake_later, air)
        assert await air.attempt(within=10) is None
        assert 5 < air.clock.now() < 9

    async def wake_later(air: Air) -> None:
        await anyio.sleep(5)
        air.locks[0].powered = True

    rehearse(story)


def test_who_waits_in_vain_is_told_before_the_deadline_what_for() -> None:
    async def story(air: Air) -> None:
        air.locks[0].powered = False
        error = await air.attempt(within=4)
        assert isinstance(error, LockNotFound)
        assert str(error) == "lock-1 has never been heard"
        assert air.clock.now() < 4
        air.locks[0].powered = True
        await anyio.sleep(1)
        air.locks[0].powered = False
        await anyio.sleep(50)
        error = await air.attempt(within=4)
        assert str(error) == "lock-1 was last heard 54 s ago, by hci0"
        assert air.of_lock().failures == {"lock-not-found": 2}
        assert air.of_lock().attempts == 0

    rehearse(story)


def test_a_device_that_the_stack_has_forgotten_is_heard_anew_first() -> None:
    """Every attempt comes right after a sighting, whatever happened before."""

    async def story(air: Air) -> None:
        for pause in (0.0, 20.0, 60.0):
            await anyio.sleep(pause)
            assert await air.attempt() is None

    rehearse(story)


def test_two_locks_are_connected_to_one_after_the_other_and_stay_connected_together() -> None:
    async def story(air: Air) -> None:
        together: list[int] = []

        async def use(number: int) -> None:
            async with air.radio.connect(facts(number)):
                await anyio.sleep(5)
                together.append(air.of_adapter().links)

        async with anyio.create_task_group() as tasks:
            for number in (1, 2, 3):
                tasks.start_soon(use, number)
        assert together[0] == 3

    rehearse(story, locks=3)


def test_slots_are_given_in_order_and_an_operation_goes_before_visits() -> None:
    async def story(air: Air) -> None:
        order: list[int] = []

        async def use(number: int, priority: Priority) -> None:
            async with air.radio.connect(facts(number), priority=priority):
                order.append(number)
                await anyio.sleep(5)

        await anyio.sleep(1)
        async with anyio.create_task_group() as tasks:
            for number, priority in (
                (1, Priority.VISIT),
                (2, Priority.VISIT),
                (3, Priority.VISIT),
                (4, Priority.KEEPING),
                (5, Priority.OPERATION),
            ):
                tasks.start_soon(use, number, priority)
                await anyio.sleep(0.01)
        assert order == [1, 5, 2, 3, 4]
        assert ("hci0", ["lock-1", "lock-5"]) in air.full  # who could make room

    rehearse(story, locks=5, settings=RadioSettings(slots=2))


def test_who_gets_no_slot_in_time_is_told_so() -> None:
    async def story(air: Air) -> None:
        async with air.radio.connect(facts(1)):
            error = await air.attempt(2, within=4)
        assert isinstance(error, RadioBusy)
        assert "1 of 1 connections in use" in str(error)
        assert await air.attempt(2) is None

    rehearse(story, locks=2, settings=RadioSettings(slots=1))


def test_one_lock_is_not_connected_to_twice_at_once() -> None:
    async def story(air: Air) -> None:
        async with air.radio.connect(facts()):
            assert isinstance(await air.attempt(within=1), RadioBusy)
        assert await air.attempt() is None

    rehearse(story)


# -- adapters


def two(lock_1: tuple[int, int]) -> dict[str, int]:
    return dict(zip(("hci0", "hci1"), lock_1, strict=True))


def test_the_adapter_that_hears_the_lock_best_is_used_and_kept_unless_much_worse() -> None:
    async def story(air: Air) -> None:
        air.locks[0].rssi = two((FAR, NEAR))
        await anyio.sleep(1)
        assert await air.use() == "hci1"
        air.locks[0].rssi = two((-60, -64))
        await anyio.sleep(20)
        assert await air.use() == "hci1"
        air.locks[0].rssi = two((-60, -70))
        await anyio.sleep(20)
        assert await air.use() == "hci0"

    rehearse(story, adapters=("hci0", "hci1"))


def test_an_adapter_that_fails_is_left_for_the_other() -> None:
    async def story(air: Air) -> None:
        air.locks[0].rssi = two((-55, -60))
        air.hci0.failing[FRONT] = 1
        await anyio.sleep(1)
        assert isinstance(await air.attempt(), LockNotFound)
        assert await air.use() == "hci1"

    rehearse(story, adapters=("hci0", "hci1"))


def test_a_full_adapter_leaves_the_lock_to_the_other() -> None:
    async def story(air: Air) -> None:
        for lock in air.locks:
            lock.rssi = two((NEAR, FAR))
        await anyio.sleep(1)
        async with air.radio.connect(facts(1)):
            assert await air.use(2) == "hci1"

    rehearse(story, locks=2, adapters=("hci0", "hci1"), settings=RadioSettings(slots=1))


def test_a_pinned_lock_is_reached_by_its_adapter_only() -> None:
    async def story(air: Air) -> None:
        air.locks[0].rssi = two((NEAR, FAR))
        await anyio.sleep(1)
        assert await air.use() == "hci1"
        air.bluetooth.unplug("hci1")
        error = await air.attempt(within=3)
        assert isinstance(error, RadioUnavailable)
        assert "hci1" in str(error)

    pinned = RadioSettings(pins={"lock-1": "hci1"})
    rehearse(story, adapters=("hci0", "hci1"), settings=pinned)


def test_only_the_named_adapters_are_used() -> None:
    async def story(air: Air) -> None:
        air.locks[0].rssi = two((NEAR, FAR))
        await anyio.sleep(1)
        assert await air.use() == "hci1"
        assert list(air.radio.snapshot().adapters) == ["hci1"]

    rehearse(story, adapters=("hci0", "hci1"), settings=RadioSettings(adapters=("hci1",)))


def test_without_names_the_powered_ones_are_used_and_new_ones_found() -> None:
    async def story(air: Air) -> None:
        air.bluetooth.adapter["hci1"].powered = False
        await anyio.sleep(1)
        assert list(air.radio.snapshot().adapters) == ["hci0"]
        air.bluetooth.adapter["hci1"].powered = True
        await anyio.sleep(40)
        assert list(air.radio.snapshot().adapters) == ["hci0", "hci1"]

    rehearse(story, adapters=("hci0", "hci1"))


def test_without_any_adapter_it_is_said_which_and_one_that_comes_is_used() -> None:
    async def story(air: Air) -> None:
        air.hci0.powered = False
        error = await air.attempt(within=3)
        assert isinstance(error, RadioUnavailable)
        assert str(error) == "no Bluetooth adapter is powered"
        air.hci0.powered = True
        assert await air.attempt(within=6) is None

    rehearse(story)


def test_a_radio_that_does_not_run_says_so() -> None:
    async def story(air: Air) -> None:
        error = await air.attempt(within=1)
        assert isinstance(error, RadioUnavailable)
        assert str(error) == "the radio has not been started"

    rehearse(story, start=False)


# -- several who claim to be the lock


def rogue(air: Air, *, connectable: bool = True) -> AirLock:
    impostor = AirLock(address=ROGUE, keys=keys(), rssi={"hci0": -30}, connectable=connectable)
    air.locks.append(impostor)
    return impostor


def test_an_impostor_that_fails_the_handshake_is_followed_by_the_lock() -> None:
    async def story(air: Air) -> None:
        rogue(air)
        await anyio.sleep(1)
        async with air.radio.connect(facts()):
            assert air.hci0.links.keys() == {ROGUE}
            air.radio.disproved("lock-1")
        async with air.radio.connect(facts()):
            assert air.hci0.links.keys() == {FRONT}
            air.radio.proved("lock-1")
            assert air.proved == [("lock-1", FRONT)]
        await anyio.sleep(400)  # and whatever was held against the impostor is forgotten
        async with air.radio.connect(facts()):
            assert air.hci0.links.keys() == {FRONT}
            air.radio.proved("lock-1")
        assert len(air.proved) == 1

    rehearse(story)


def test_an_error_of_the_handshake_says_as_much() -> None:
    async def story(air: Air) -> None:
        rogue(air)
        await anyio.sleep(1)
        with pytest.raises(PairingRefused):
            async with air.radio.connect(facts()):
                raise PairingRefused("the lock answered 1")
        async with air.radio.connect(facts()):
            assert air.hci0.links.keys() == {FRONT}

    rehearse(story)


def test_an_impostor_that_cannot_be_connected_to_is_followed_by_the_lock() -> None:
    async def story(air: Air) -> None:
        rogue(air, connectable=False)
        await anyio.sleep(1)
        assert isinstance(await air.attempt(within=20), LockNotFound)
        async with air.radio.connect(facts()):
            assert air.hci0.links.keys() == {FRONT}

    rehearse(story)


# -- who wants to be connected to


def test_a_lock_with_something_to_report_is_told_at_once_and_then_now_and_then() -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(10)
        assert air.wanted == []
        air.locks[0].wants_connection = True
        await anyio.sleep(21)
        assert {lock for _, lock, _ in air.wanted} == {"lock-1"}
        times = [at for at, _, _ in air.wanted]
        assert times[0] < 10.5
        assert len(times) in (4, 5)
        assert all(later - earlier >= 5 for earlier, later in pairwise(times))

    rehearse(story)


def test_the_wish_of_a_second_choice_is_not_passed_on() -> None:
    async def story(air: Air) -> None:
        await air.use()
        async with air.radio.connect(facts()):
            air.radio.proved("lock-1")
        rogue(air).wants_connection = True
        await anyio.sleep(20)
        assert air.wanted == []

    rehearse(story)


# -- nothing is left behind


@pytest.mark.parametrize("after", [0.01, 0.1, 0.2, 0.3])
def test_a_connect_that_is_cancelled_leaves_nothing_behind(after: float) -> None:
    async def story(air: Air) -> None:
        air.bluetooth.untidy = True
        await anyio.sleep(1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(air.use)
            await anyio.sleep(after)
            tasks.cancel_scope.cancel()
        await anyio.sleep(5)
        assert air.hci0.remains == set()
        assert air.hci0.links == {}
        assert air.of_adapter().links == 0
        assert air.of_adapter().scanning
        assert await air.attempt() is None
        assert air.taken() == []

    rehearse(story)


def test_who_is_cancelled_while_waiting_for_a_slot_takes_none() -> None:
    async def story(air: Air) -> None:
        async with air.radio.connect(facts(1)), anyio.create_task_group() as tasks:
            tasks.start_soon(air.use, 2)
            await anyio.sleep(1)
            assert air.of_adapter().waiting == 1
            tasks.cancel_scope.cancel()
        assert air.of_adapter().waiting == 0
        assert await air.attempt(2) is None

    rehearse(story, locks=2, settings=RadioSettings(slots=1))


def test_a_connection_left_from_before_is_ended_before_anybody_connects() -> None:
    async def story(air: Air) -> None:
        air.locks[0].connected = True
        air.hci0.held = {FRONT, "AA:AA:AA:AA:AA:AA"}
        assert await air.attempt() is None
        assert air.hci0.held == {"AA:AA:AA:AA:AA:AA"}  # not ours
        order = [call for _, call, _, _ in air.bluetooth.calls if call != "adapters"]
        assert order[:4] == ["connected", "disconnect", "scan", "connect"]

    rehearse(story, known_addresses=True)
    rehearse(story, settings=RadioSettings(addresses={"lock-1": FRONT}))


# -- numbers


def test_what_was_done_is_counted() -> None:
    async def story(air: Air) -> None:
        await air.use(stay=20)
        await air.use(stay=10)
        air.hci0.failing[FRONT] = 1
        await air.attempt()
        lock = air.of_lock()
        assert (lock.attempts, lock.connections, dict(lock.failures)) == (
            3,
            2,
            {"lock-not-found": 1},
        )
        (seconds,) = lock.connected_s.values()
        assert 30 <= seconds < 31
        assert lock.adapter == "hci0"
        assert lock.last_heard_age is not None
        assert lock.last_heard_age < 10
        adapter = air.of_adapter()
        assert adapter.last_advertisement_age is not None
        assert adapter.usable

    rehearse(story)


def test_connected_seconds_belong_to_their_day() -> None:
    async def story(air: Air) -> None:
        air.locks[0].interval = 5.0
        to_midnight = -air.clock.unix() % 86_400
        await anyio.sleep(to_midnight - 100)
        async with air.radio.connect(facts()):
            await anyio.sleep(300)
            first, second = air.of_lock().connected_s.values()
            assert round(first) in range(99, 101)
            assert round(second) in range(199, 202)

    rehearse(story)


# -- an operation over it


def test_a_door_opens_over_this_radio() -> None:
    async def story(air: Air) -> None:
        lock = air.locks[0].lock
        assert lock is not None
        lock.preset_check_code(5, b"52777950")
        firmware = lock._machine.radio.firmware
        cloud = DirectCloud(keys(), firmware.dialect, air.clock)
        memory = MemoryLocks()
        policy = replace(Policy(), major=firmware.protocol[0])
        known = {"lock-1": Door(facts(), policy)}
        links = LinkPorts(
            radio=air.radio, memory=memory, clock=air.clock, new_iv=lambda: bytes(16),
            records=record_ports(MemoryRecords()),
        )  # fmt: skip
        ports = Ports(
            cloud=cloud, ledger=MemoryLedger(marks=memory.marks), memory=memory, clock=air.clock
        )
        doors = Doors(known, ports, supervise(known, links, air.tasks), air.tasks)
        now = air.clock.now()
        record, _ = await doors.operate(
            OperationRequest(
                operation_id="op", lock="lock-1", action=Action.UNLOCK,
                principal=Principal(id="tester"), key="key", fingerprint="same",
                received_at=now, deadline=now + 10,
            )
        )  # fmt: skip
        assert record.ending is not None
        assert record.ending.outcome is Outcome.CONFIRMED
        await anyio.sleep(30)
        assert not air.of_lock().connected
        assert air.proved == [("lock-1", FRONT)]  # who left without a complaint

    rehearse(story)
