"""Every fault at every packet, for every profile, judged by the lock's own log.

``BLEAGENT_MATRIX_RUNS=10000`` is the long mode of the seeded part (the normal run has 500).
"""

from __future__ import annotations

import os

import pytest

from bleagent.model import Outcome
from bleagent.simulator.faults import Faults, NotifyFault, WriteFault, seeded
from bleagent.simulator.profiles import PROFILE_NAMES
from tests.agent.matrix import Calm, Rehearsal

RUNS = int(os.environ.get("BLEAGENT_MATRIX_RUNS", "500"))


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_without_a_fault_every_opening_is_confirmed(name: str) -> None:
    rehearsal = Rehearsal(name)
    rehearsal.judge()
    assert rehearsal.outcome is Outcome.CONFIRMED
    assert len(rehearsal.world.radio.links) == 1


@pytest.mark.parametrize("fault", WriteFault)
@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_a_fault_at_any_write_ends_in_the_truth(name: str, fault: WriteFault) -> None:
    calm = Calm(name)
    for index in range(calm.writes):
        rehearsal = Rehearsal(name, Faults(writes={index: fault}))
        rehearsal.judge()
        if index < calm.instruction:
            # It can be mended inside the deadline, so it must be.
            assert rehearsal.outcome is Outcome.CONFIRMED, (index, rehearsal.record.ending)


@pytest.mark.parametrize("fault", NotifyFault)
@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_a_fault_at_any_notification_ends_in_the_truth(name: str, fault: NotifyFault) -> None:
    calm = Calm(name)
    for index in range(calm.notifications):
        rehearsal = Rehearsal(name, Faults(notifications={index: fault}))
        rehearsal.judge()
        if index < calm.answers_before:
            assert rehearsal.outcome is Outcome.CONFIRMED, (index, rehearsal.record.ending)


def test_seeded_pairs_of_faults_never_open_twice_and_never_lie() -> None:
    calm = {name: Calm(name) for name in PROFILE_NAMES}
    outcomes: dict[Outcome, int] = dict.fromkeys(Outcome, 0)
    for seed in range(RUNS):
        name = PROFILE_NAMES[seed % len(PROFILE_NAMES)]
        of = calm[name]
        plan = seeded(seed, writes=of.writes, notifications=of.notifications)
        rehearsal = Rehearsal(name, plan)
        rehearsal.judge()
        outcomes[rehearsal.outcome] += 1
    # The plan really reaches every kind of ending that a fault of the air can cause.
    assert outcomes[Outcome.CONFIRMED] > RUNS / 3
    assert outcomes[Outcome.UNCONFIRMED] > 0
    assert outcomes[Outcome.UNREACHED] > 0


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_a_lock_out_of_reach_is_unreached_at_the_deadline(name: str) -> None:
    rehearsal = Rehearsal(name, Faults(connect_delay=60.0))
    rehearsal.judge()
    assert rehearsal.outcome is Outcome.UNREACHED
    assert rehearsal.record.ending is not None
    assert rehearsal.record.ending.code == "too-late"


def test_a_missed_advertisement_is_looked_for_again() -> None:
    rehearsal = Rehearsal("v3.0", Faults(absent=True))
    assert rehearsal.outcome is Outcome.CONFIRMED
