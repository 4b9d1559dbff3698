"""The recovery ladder: each symptom's rungs in order, none of them hot."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from bleagent.radio.recovery import (
    COURSES,
    ENDLESS,
    MAX_COOLING,
    MAX_COURSES,
    Ladder,
    Remedy,
    Rung,
    Situation,
    Symptom,
)

LOCK, OTHER = "DC:23:4D:00:00:01", "DC:23:4D:00:00:02"
FREE = Situation(idle=True, alone=True)
IN_USE = Situation(idle=False, alone=True)
ONE_OF_TWO = Situation(idle=True, alone=False)
OF_A_DEVICE = (
    Symptom.CONNECT_FAILED,
    Symptom.BUSY,
    Symptom.INCOMPLETE_TABLE,
    Symptom.STALE_CONNECTION,
)


def climb(
    symptom: Symptom,
    *,
    every: float,
    until: float,
    address: str | None = LOCK,
    situation: Situation = FREE,
    times: int = 1_000_000,
) -> list[tuple[float, Rung]]:
    """Notice it again and again; when which rung was taken."""
    ladder, taken = Ladder(), []
    noticing = 0.0
    now = 0.0
    while now <= until:
        if now >= noticing and times > 0:
            ladder.notice(symptom, now, address=address, detail="again")
            noticing += every
            times -= 1
        while (remedy := ladder.due(now, situation)) is not None:
            taken.append((now, remedy.rung))
        later = min(ladder.next_due(), noticing if times > 0 else math.inf)
        assert later > now  # whoever waits for it does not spin
        now = later
    assert sum(ladder.taken.values()) == len(taken)
    return taken


def rungs(taken: list[tuple[float, Rung]]) -> list[Rung]:
    return [rung for _, rung in taken]


def test_the_rungs_have_an_order() -> None:
    assert list(Rung) == [
        Rung.CANCEL_CONNECT,
        Rung.REMOVE_DEVICE,
        Rung.RESTART_SCAN,
        Rung.CLEAR_CACHE,
        Rung.POWER_CYCLE,
        Rung.WAIT_FOR_STACK,
        Rung.GIVE_UP,
    ]


def test_failing_connections_climb_from_the_device_to_the_adapter() -> None:
    taken = climb(Symptom.CONNECT_FAILED, every=6, until=60)
    assert taken == [
        (0, Rung.CANCEL_CONNECT),
        (6, Rung.REMOVE_DEVICE),
        (12, Rung.RESTART_SCAN),
        (18, Rung.CLEAR_CACHE),
        (28, Rung.POWER_CYCLE),
        (30, Rung.REMOVE_DEVICE),
        (36, Rung.CLEAR_CACHE),
    ]


def test_two_power_cycles_that_did_not_help_end_in_an_exit_and_not_soon() -> None:
    taken = climb(Symptom.CONNECT_FAILED, every=6, until=3600)
    assert rungs(taken)[-2:] == [Rung.POWER_CYCLE, Rung.GIVE_UP]
    assert rungs(taken).count(Rung.POWER_CYCLE) == 2
    assert taken[-1][0] > 600


def test_a_connection_that_is_made_takes_failures_back_to_the_bottom() -> None:
    ladder = Ladder()
    for address in (LOCK, OTHER):
        ladder.notice(Symptom.CONNECT_FAILED, 0.0, address=address)
    first, second = ladder.due(0.0, FREE), ladder.due(0.0, FREE)
    assert first is not None
    assert second is not None
    ladder.notice(Symptom.INCOMPLETE_TABLE, 1.0, address=OTHER)
    ladder.notice(Symptom.BUSY, 1.0)
    ladder.connected(LOCK)  # so connecting works: the adapter is not to be blamed for the other
    assert ladder.active() == (Symptom.INCOMPLETE_TABLE, Symptom.BUSY)
    ladder.notice(Symptom.CONNECT_FAILED, 10.0, address=OTHER)
    ladder.healed(Symptom.INCOMPLETE_TABLE, address=OTHER)
    ladder.healed(Symptom.BUSY)
    again = ladder.due(10.0, FREE)
    assert again is not None
    assert (again.rung, again.times) == (Rung.CANCEL_CONNECT, 1)


@pytest.mark.parametrize("times", [1, 2, 1000])
def test_a_busy_stack_is_power_cycled_within_a_minute_whether_anybody_tries_again(
    times: int,
) -> None:
    taken = climb(Symptom.BUSY, every=1, until=60, times=times)
    assert rungs(taken)[:4] == [
        Rung.CANCEL_CONNECT,
        Rung.REMOVE_DEVICE,
        Rung.RESTART_SCAN,
        Rung.POWER_CYCLE,
    ]
    assert taken[3][0] <= 25
    assert (Rung.GIVE_UP in rungs(taken)) == (times == 1000)


def test_a_busy_scanner_has_no_device_to_begin_with() -> None:
    taken = climb(Symptom.BUSY, every=5, until=50, address=None)
    assert rungs(taken) == [Rung.RESTART_SCAN, Rung.POWER_CYCLE, Rung.GIVE_UP]


def test_what_was_busy_and_then_calm_begins_at_the_bottom() -> None:
    ladder = Ladder()
    for now in (0.0, 3.0, 6.0, 25.0, 400.0):
        ladder.notice(Symptom.BUSY, now, address=LOCK)
        remedy = ladder.due(now, FREE)
    assert remedy is not None
    assert remedy.rung is Rung.CANCEL_CONNECT


def test_silence_restarts_the_scan_then_power_cycles_and_never_exits() -> None:
    day = 86_400
    taken = climb(Symptom.SILENT, every=80, until=day, address=None)
    assert taken[:2] == [(0, Rung.RESTART_SCAN), (80, Rung.POWER_CYCLE)]
    assert set(rungs(taken)) == {Rung.RESTART_SCAN, Rung.POWER_CYCLE}
    cycled = [at for at, rung in taken if rung is Rung.POWER_CYCLE]
    assert min(b - a for a, b in pairwise(cycled)) >= 1800
    assert len(taken) < 80  # a place without advertisements does not fill the log


def test_an_incomplete_table_is_a_matter_of_this_device() -> None:
    taken = climb(Symptom.INCOMPLETE_TABLE, every=3, until=600)
    assert rungs(taken)[:3] == [Rung.CLEAR_CACHE, Rung.REMOVE_DEVICE, Rung.RESTART_SCAN]
    assert set(rungs(taken)) <= {Rung.CLEAR_CACHE, Rung.REMOVE_DEVICE, Rung.RESTART_SCAN}


def test_an_adapter_that_is_off_is_switched_on_now_and_then() -> None:
    taken = climb(Symptom.ADAPTER_OFF, every=2, until=1000, address=None)
    assert taken == [(0, Rung.POWER_CYCLE), (600, Rung.POWER_CYCLE)]


@pytest.mark.parametrize("symptom", [Symptom.ADAPTER_GONE, Symptom.STACK_GONE])
def test_what_is_gone_is_waited_for_and_after_five_minutes_given_up(symptom: Symptom) -> None:
    taken = climb(symptom, every=2, until=1000, address=None)
    assert taken == [(0, Rung.WAIT_FOR_STACK), (300, Rung.GIVE_UP)]
    taken = climb(symptom, every=2, until=1000, address=None, times=1)
    assert taken == [(0, Rung.WAIT_FOR_STACK), (300, Rung.GIVE_UP)]
    taken = climb(symptom, every=2, until=1000, address=None, situation=ONE_OF_TWO)
    assert taken == [(0, Rung.WAIT_FOR_STACK)]


def test_a_connection_that_is_not_ours_is_ended_removed_and_at_last_powered_off() -> None:
    taken = climb(Symptom.STALE_CONNECTION, every=3, until=8)
    assert rungs(taken) == [Rung.CANCEL_CONNECT, Rung.REMOVE_DEVICE, Rung.POWER_CYCLE]


def test_one_power_cycle_is_for_all_that_ails_the_adapter() -> None:
    ladder, taken = Ladder(), []
    for address in (None, LOCK, OTHER):
        ladder.notice(Symptom.BUSY, 0.0, address=address)
    now = 0.0
    while now < 1000:
        while (remedy := ladder.due(now, FREE)) is not None:
            taken.append(remedy.rung)
        now = ladder.next_due()
    assert taken.count(Rung.POWER_CYCLE) == 1
    assert Rung.GIVE_UP not in taken


@pytest.mark.parametrize("symptom", list(Symptom))
def test_no_other_connection_is_cut_off(symptom: Symptom) -> None:
    address = LOCK if symptom in OF_A_DEVICE else None
    taken = climb(symptom, every=2, until=2000, address=address, situation=IN_USE)
    assert not {Rung.POWER_CYCLE, Rung.GIVE_UP} & set(rungs(taken))


def test_a_harmful_rung_is_taken_as_soon_as_the_connections_have_ended() -> None:
    ladder = Ladder()
    ladder.notice(Symptom.ADAPTER_OFF, 0.0)
    assert ladder.due(0.0, IN_USE) is None
    assert 0 < ladder.next_due() <= 2
    assert ladder.due(1.0, FREE) is None
    remedy = ladder.due(2.0, FREE)
    assert remedy is not None
    assert remedy.rung is Rung.POWER_CYCLE


@pytest.mark.parametrize("symptom", list(Symptom))
def test_no_symptom_makes_the_ladder_loop_hot(symptom: Symptom) -> None:
    """A symptom ten times a second for an hour: each rung keeps its cool-down."""
    address = LOCK if symptom in OF_A_DEVICE else None
    taken = climb(symptom, every=0.1, until=3600, address=address)
    for step in COURSES[symptom]:
        at = [when for when, rung in taken if rung is step.rung]
        least = min(one.cool_down for one in COURSES[symptom] if one.rung is step.rung)
        assert all(later - earlier >= least for earlier, later in pairwise(at))
    assert len(taken) < 100


def test_a_symptom_that_is_gone_does_not_take_its_cool_downs_with_it() -> None:
    ladder = Ladder()
    ladder.notice(Symptom.ADAPTER_OFF, 0.0)
    assert ladder.due(0.0, FREE) is not None
    ladder.healed(Symptom.ADAPTER_OFF)
    assert ladder.next_due() == math.inf
    ladder.notice(Symptom.ADAPTER_OFF, 1.0)
    assert ladder.due(1.0, FREE) is None
    assert ladder.next_due() == 300


def test_a_remedy_says_why() -> None:
    remedy = Remedy(
        rung=Rung.REMOVE_DEVICE, symptom=Symptom.CONNECT_FAILED, address=LOCK, times=2,
        detail="no answer in 5 s",
    )  # fmt: skip
    assert remedy.why == f"connect-failed of {LOCK}, noticed 2 times: no answer in 5 s"


def test_devices_that_come_and_go_grow_nothing() -> None:
    ladder = Ladder()
    for number in range(1000):
        ladder.notice(Symptom.CONNECT_FAILED, number, address=f"rogue {number}")
        ladder.due(number, FREE)
    assert len(ladder._courses) <= MAX_COURSES
    assert len(ladder._last_taken) <= MAX_COOLING


def test_every_symptom_has_a_course_and_only_the_endless_have_no_end() -> None:
    assert set(COURSES) == set(Symptom)
    for symptom, steps in COURSES.items():
        assert (steps[-1].rung is Rung.GIVE_UP) != (symptom in ENDLESS)
        assert all(step.cool_down > 0 for step in steps)
