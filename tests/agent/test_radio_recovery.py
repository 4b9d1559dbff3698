"""The radio heals itself: each fault of the stack, and the rung that ends it, in virtual time."""

from __future__ import annotations

import anyio
import pytest

from bleagent.errors import (
    IncompleteTable,
    LinkLost,
    LockNotFound,
    RadioBusy,
    RadioStuck,
    RadioUnavailable,
)
from bleagent.radio.recovery import Rung, Symptom
from bleagent.radio.settings import RadioSettings

from .air_world import FRONT, Air, facts, rehearse

CURES = {
    "disconnect": Rung.CANCEL_CONNECT,
    "forget": Rung.REMOVE_DEVICE,
    "scan": Rung.RESTART_SCAN,
    "power_cycle": Rung.POWER_CYCLE,
}


@pytest.mark.parametrize("cure", CURES)
def test_a_busy_stack_is_healed_within_a_minute(cure: str) -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(1)
        air.hci0.busy, air.hci0.healed_by = True, {cure}
        began = air.clock.now()
        assert await air.until_connected() - began < 30
        # A scan is new after every attempt, so that one heals before its rung is reached.
        assert cure == "scan" or CURES[cure] in air.taken()
        assert air.of_adapter().symptoms == ()

    rehearse(story)


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_busy_stack_is_healed_within_a_minute_though_nobody_tries_again(attempts: int) -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(1)
        air.hci0.busy, air.hci0.healed_by = True, {"power_cycle"}
        for _ in range(attempts):
            assert isinstance(await air.attempt(within=2), RadioBusy)
        await anyio.sleep(55)
        assert not air.hci0.busy
        assert air.taken()[-1] is Rung.POWER_CYCLE
        assert await air.attempt() is None
        await anyio.sleep(600)
        assert air.taken().count(Rung.POWER_CYCLE) == 1

    rehearse(story)


def test_a_stack_that_nothing_heals_is_given_up_and_the_service_manager_is_told_why() -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(1)
        air.hci0.busy = True
        while air.stuck is None:
            assert air.clock.now() < 61
            await air.attempt(within=1)
        assert isinstance(air.stuck, RadioStuck)
        assert air.stuck.code == "radio-stuck"
        assert "busy" in str(air.stuck)
        assert air.manager.told == [f"STATUS=Bluetooth is stuck: {air.stuck}\nSTOPPING=1"]
        assert air.taken()[-1] is Rung.GIVE_UP

    rehearse(story)


@pytest.mark.parametrize("call", ["connect", "scan"])
def test_a_call_that_never_comes_back_is_cut_off_and_healed_by_power(call: str) -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(1)
        air.hci0.hanging, air.hci0.healed_by = {call}, {"power_cycle"}
        air.bluetooth.untidy = True
        await anyio.sleep(1)
        # A scan begins anew after each attempt, and hangs then.
        await air.until_connected()
        await anyio.sleep(60)
        assert await air.attempt(within=30) is None
        assert air.taken()[-1] is Rung.POWER_CYCLE
        assert air.clock.now() < 240
        assert air.of_adapter().scanning

    rehearse(story)


def test_a_disconnect_that_never_comes_back_ends_with_the_power() -> None:
    async def story(air: Air) -> None:
        air.locks[0].connected = True
        air.hci0.held = {FRONT}
        air.hci0.hanging, air.hci0.healed_by = {"disconnect"}, {"power_cycle"}
        error = await air.attempt(within=10)
        assert isinstance(error, RadioUnavailable)  # nothing is sent before it is ended
        await air.until_connected()
        assert air.hci0.held == set()
        assert air.taken() == [Rung.CANCEL_CONNECT, Rung.REMOVE_DEVICE, Rung.POWER_CYCLE]

    rehearse(story, known_addresses=True)


# -- silence


@pytest.mark.parametrize("cure", ["scan", "power_cycle"])
def test_a_scanner_that_falls_silent_is_noticed_within_90_s_and_healed(cure: str) -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(200)
        assert air.taken() == []
        air.hci0.deaf, air.hci0.healed_by = True, {cure}
        await anyio.sleep(90)
        assert air.taken() == [Rung.RESTART_SCAN]
        await anyio.sleep(90)
        assert not air.hci0.deaf
        age = air.of_adapter().last_advertisement_age
        assert age is not None
        assert age < 1
        assert air.taken()[-1] is CURES[cure]
        assert air.of_adapter().symptoms == ()

    rehearse(story)


def test_a_place_without_any_lock_costs_a_few_power_cycles_a_day_and_never_the_process() -> None:
    async def story(air: Air) -> None:
        air.locks[0].powered = False
        air.locks[0].interval = 10.0  # to be looked at less often, in this day
        await anyio.sleep(86_400)
        assert air.stuck is None
        assert set(air.taken()) == {Rung.RESTART_SCAN, Rung.POWER_CYCLE}
        assert air.taken().count(Rung.POWER_CYCLE) < 30
        assert len(air.taken()) < 80
        air.locks[0].powered = True
        assert await air.attempt(within=15) is None

    rehearse(story)


def test_silence_while_every_lock_is_connected_cuts_nobody_off() -> None:
    async def story(air: Air) -> None:
        async with air.radio.connect(facts()):
            await anyio.sleep(3600)
            assert air.of_lock().connected
            assert air.hci0.links.keys() == {FRONT}
        assert Rung.POWER_CYCLE not in air.taken()

    rehearse(story)


# -- tables, and locks that do not answer


def test_after_an_incomplete_table_the_next_attempt_believes_no_remembered_one() -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(1)
        air.hci0.stale_table.add(FRONT)
        assert isinstance(await air.attempt(), IncompleteTable)
        await anyio.sleep(0.1)
        assert await air.attempt() is None
        assert await air.attempt() is None
        assert air.bluetooth.fresh == [False, True, False]
        assert air.taken() == [Rung.CLEAR_CACHE]

    rehearse(story)


@pytest.mark.parametrize(
    ("failures", "highest"),
    [
        (1, Rung.CANCEL_CONNECT),
        (2, Rung.REMOVE_DEVICE),
        (3, Rung.RESTART_SCAN),
        (4, Rung.CLEAR_CACHE),
        (6, Rung.POWER_CYCLE),
    ],
)
def test_a_lock_that_is_heard_and_does_not_answer_is_helped_rung_by_rung(
    failures: int, highest: Rung
) -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(1)
        air.hci0.failing[FRONT] = failures
        await air.until_connected()
        assert air.taken()[-1] is highest
        assert air.of_lock().failures == {"lock-not-found": failures}

    rehearse(story)


def test_a_device_that_was_removed_is_heard_again_before_the_next_attempt() -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(1)
        air.hci0.failing[FRONT] = 2
        air.locks[0].interval = 3.0
        await air.until_connected()
        assert air.of_lock().failures == {"lock-not-found": 2}  # none for an unknown device

    rehearse(story)


def test_a_lock_that_does_not_answer_cuts_off_no_other() -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(1)
        air.locks[1].connectable = False
        async with air.radio.connect(facts(1)):
            for _ in range(20):
                assert isinstance(await air.attempt(2), LockNotFound)
            assert air.hci0.links.keys() == {FRONT}
        assert Rung.POWER_CYCLE not in air.taken()

    rehearse(story, locks=2)


def test_a_lock_out_of_reach_does_not_power_cycle_an_adapter_that_reaches_others() -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(1)
        air.locks[1].connectable = False
        for _ in range(20):
            assert isinstance(await air.attempt(2), LockNotFound)
            assert await air.attempt(1) is None
        assert Rung.POWER_CYCLE not in air.taken()

    rehearse(story, locks=2)


# -- adapters and bluetoothd that go and come


def test_bluetoothd_is_waited_for_and_used_again_when_it_is_back() -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(1)
        async with air.radio.connect(facts()) as link:
            air.bluetooth.stop_daemon()
            with pytest.raises(LinkLost):
                await anext(link.notifications())
        error = await air.attempt(within=5)
        assert isinstance(error, RadioUnavailable)
        assert not air.of_adapter().usable
        air.bluetooth.start_daemon()
        assert await air.attempt(within=5) is None
        assert air.taken() == [Rung.WAIT_FOR_STACK]

    rehearse(story)


@pytest.mark.parametrize("settings", [None, RadioSettings(adapters=("hci0",))])
def test_a_bluetoothd_that_does_not_come_is_given_up_after_five_minutes(
    settings: RadioSettings | None,
) -> None:
    async def story(air: Air) -> None:
        air.bluetooth.stop_daemon()
        await anyio.sleep(290)
        assert air.manager.told == []
        assert air.taken() == [Rung.WAIT_FOR_STACK]
        await anyio.sleep(20)
        assert isinstance(air.stuck, RadioStuck)
        assert "bluetoothd is not there" in air.manager.told[0]

    rehearse(story, settings=settings)


def test_an_adapter_that_is_unplugged_and_plugged_in_again_is_used_again() -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(1)
        air.bluetooth.unplug("hci0")
        await anyio.sleep(100)
        assert not air.of_adapter().usable
        assert air.of_adapter().symptoms == (Symptom.ADAPTER_GONE,)
        air.hci0.present = True
        assert await air.attempt(within=5) is None
        assert air.taken() == [Rung.WAIT_FOR_STACK]

    rehearse(story)


def test_one_of_two_adapters_may_be_gone_for_ever() -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(1)
        air.bluetooth.unplug("hci0")
        await anyio.sleep(3600)
        assert air.stuck is None
        assert await air.use() == "hci1"

    rehearse(story, adapters=("hci0", "hci1"))


def test_an_adapter_that_is_switched_off_is_switched_on_again() -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(1)
        air.hci0.powered = False
        air.hci0.lose("hci0 was switched off")
        assert await air.until_connected() < 6
        assert air.taken() == [Rung.POWER_CYCLE]

    rehearse(story)


def test_every_rung_is_told_with_what_it_was_for() -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(1)
        air.hci0.failing[FRONT] = 1
        await air.attempt()
        await anyio.sleep(1)
        ((_, name, remedy, outcome),) = air.rungs
        assert (name, remedy.rung, outcome) == ("hci0", Rung.CANCEL_CONNECT, "done")
        assert remedy.why.startswith(f"connect-failed of {FRONT}, noticed 1 times: {FRONT} did")
        assert air.of_adapter().rungs == {Rung.CANCEL_CONNECT: 1}

    rehearse(story)


def test_a_rung_that_fails_is_told_with_its_failure() -> None:
    async def story(air: Air) -> None:
        await anyio.sleep(1)
        air.hci0.failing[FRONT] = 1
        air.hci0.hanging = {"disconnect"}
        await air.attempt()
        await anyio.sleep(40)
        ((_, _, remedy, outcome),) = air.rungs
        assert remedy.rung is Rung.CANCEL_CONNECT
        assert outcome == f"failed: hci0: disconnecting {FRONT} took more than 15 s"

    rehearse(story)
