"""The system clock: which date is believed, and that it never goes back."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleagent.clock import SystemClock, boot_seconds
from bleagent.ports import Clock

NOON = 1_795_348_800.0  # 2026-11-22 12:00 UTC


@dataclass
class Machine:
    """What the operating system says."""

    boottime: float = 100.0
    wall: float = 0.0
    synchronized: bool = False

    def clock(self, highest_trusted: float = 0.0) -> SystemClock:
        return SystemClock(
            highest_trusted=highest_trusted,
            boottime=lambda: self.boottime,
            wall=lambda: self.wall,
            synchronized=lambda: self.synchronized,
        )

    def sleep(self, seconds: float) -> None:
        self.boottime += seconds
        self.wall += seconds


def test_a_new_clock_is_not_trusted_and_shows_the_machines_date() -> None:
    clock: Clock = Machine(wall=7.0).clock(highest_trusted=NOON)
    assert (clock.trusted, clock.unix(), clock.now()) == (False, 7.0, 100.0)


def test_the_clouds_date_is_believed_and_runs_on_with_the_time_since_boot() -> None:
    machine = Machine()
    clock = machine.clock()
    assert clock.trust(NOON)
    machine.sleep(2.5)
    assert (clock.trusted, clock.unix()) == (True, NOON + 2.5)


def test_setting_the_machines_date_moves_a_trusted_clock_nowhere() -> None:
    machine = Machine()
    clock = machine.clock()
    clock.trust(NOON)
    machine.wall = NOON + 1e6
    assert clock.unix() == NOON


@pytest.mark.parametrize(
    ("wall", "synchronized", "believed"),
    [
        pytest.param(NOON + 60, True, True, id="ntp-agrees"),
        pytest.param(NOON - 60, True, True, id="ntp-agrees-behind"),
        pytest.param(NOON + 60.5, True, False, id="ntp-disagrees"),
        pytest.param(NOON, False, False, id="no-ntp"),
    ],
)
def test_an_unverified_date_needs_ntp_within_a_minute(
    wall: float, synchronized: bool, believed: bool
) -> None:
    clock = Machine(wall=wall, synchronized=synchronized).clock()
    assert clock.trust(NOON, verified=False) is believed
    assert clock.trusted is believed


def test_where_ntp_agrees_its_date_is_used() -> None:
    clock = Machine(wall=NOON + 0.75, synchronized=True).clock()
    clock.trust(NOON)
    assert clock.unix() == NOON + 0.75


def test_where_ntp_disagrees_a_verified_cloud_is_used() -> None:
    clock = Machine(wall=NOON + 3600, synchronized=True).clock()
    clock.trust(NOON)
    assert clock.unix() == NOON


def test_a_date_before_the_stored_maximum_is_not_believed() -> None:
    clock = Machine().clock(highest_trusted=NOON)
    assert not clock.trust(NOON - 61)
    assert (clock.trusted, clock.highest_trusted) == (False, NOON)


def test_a_date_slightly_before_the_stored_maximum_waits_at_the_maximum() -> None:
    machine = Machine()
    clock = machine.clock(highest_trusted=NOON)
    assert clock.trust(NOON - 10)
    assert clock.unix() == NOON
    machine.sleep(11)
    assert clock.unix() == NOON + 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["sleep", "trust", "set"]),
            st.floats(0, 1e5, allow_nan=False),
            st.booleans(),
        ),
        max_size=30,
    ),
    st.floats(0, 1e5),
)
def test_trusted_time_never_goes_back(
    events: list[tuple[str, float, bool]], highest: float
) -> None:
    machine = Machine(synchronized=True)
    clock = machine.clock(highest)
    seen = highest
    for event, value, verified in events:
        if event == "sleep":
            machine.sleep(value)
        elif event == "set":
            machine.wall = value
        else:
            clock.trust(value, verified=verified)
        if clock.trusted:
            assert clock.unix() >= seen
        assert clock.highest_trusted >= seen
        seen = clock.highest_trusted


def test_the_time_since_boot_is_the_kernels_and_runs_forward() -> None:
    before = boot_seconds()
    assert 0 < before <= SystemClock().now() <= boot_seconds()
