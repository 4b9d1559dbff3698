"""What the lock says after an outcome: kept with it, never changing it (safety C2, C4)."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from bleagent.doors import Listener
from bleagent.endings import contradicts
from bleagent.errors import StoreError
from bleagent.model import Action, Ending, OperationRecord, Outcome
from bleagent.simulator.fakes import MemoryLedger
from bleagent.simulator.quirks import Quirks
from bleagent.visit import FOLLOWED, MAX_HEARD, Evidence
from protocol import DpMap
from protocol.dpmap import LockGeneration
from tests.agent.stories import ending, happens, rewire, told, until
from tests.agent.world import DOOR, World, rehearse

BOLT_DP, ALARM_DP, BATTERY_DP = 47, 21, 8
OPEN, SHUT = {"dp": BOLT_DP, "value": True}, {"dp": BOLT_DP, "value": False}
STAYS: dict[str, Any] = {"linger": 30.0}


class Ears(Listener):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[Evidence, bool]] = []

    def learned(self, record: OperationRecord, evidence: Evidence, *, contradiction: bool) -> None:
        """Something was heard."""
        assert record.ending is not None
        assert evidence in record.ending.evidence
        if "record" not in evidence:
            self.heard.append((evidence, contradiction))


def besides_record(record: OperationRecord) -> tuple[Evidence, ...]:
    """The evidence, without the opening's own record."""
    return tuple(one for one in ending(record).evidence if "record" not in one)


async def bolt(world: World, value: int) -> None:
    """The lock reports its bolt."""
    await happens(world, {"action": "state", "dp": BOLT_DP, "value": value})


def test_a_bolt_that_moves_after_the_outcome_is_kept_with_it() -> None:
    async def story(world: World) -> None:
        ears = world.doors._listener = Ears()
        record = await world.operate()
        assert ending(record).evidence == ()
        await anyio.sleep(2)
        await bolt(world, 1)
        await anyio.sleep(3)
        await bolt(world, 0)
        await anyio.sleep(0.1)
        stored = await world.ledger.operation(record.id)
        assert stored is not None
        assert told(stored) == ("confirmed", "ok")
        assert besides_record(stored) == (OPEN, SHUT)
        assert ears.heard == [(OPEN, False), (SHUT, True)]
        again = await world.operate()  # the key answers what is known by now
        assert again == stored

    rehearse(story, **STAYS)


def test_after_ten_seconds_what_is_heard_is_another_story() -> None:
    async def story(world: World) -> None:
        record = await world.operate()
        await anyio.sleep(FOLLOWED + 0.1)
        await bolt(world, 0)
        await anyio.sleep(0.1)
        stored = await world.ledger.operation(record.id)
        assert stored is not None
        assert besides_record(stored) == ()

    rehearse(story, **STAYS)


def test_what_was_heard_before_our_command_left_is_no_evidence_about_it() -> None:
    async def story(world: World) -> None:
        async with world.doors._supervisor.owner(DOOR).use():
            await bolt(world, 1)
            await anyio.sleep(0.1)
        record = await world.operate()
        assert len(world.radio.links) == 1
        assert ending(record).evidence == ()

    rehearse(story, **STAYS)


def test_what_is_heard_during_the_next_operation_is_the_next_ones() -> None:
    async def story(world: World) -> None:
        first = await world.operate("key-1")
        await until(lambda: not world.doors.busy(DOOR))
        await anyio.sleep(2.1)

        async def ask() -> None:
            second = await world.operate("key-2")
            assert besides_record(second) == (OPEN,)

        async with anyio.create_task_group() as caller:
            world.lock._machine.quirks = Quirks(answer_delay=1.0)
            caller.start_soon(ask)
            await until(lambda: len(world.actuations()) == 2)
            await bolt(world, 1)
        stored = await world.ledger.operation(first.id)
        assert stored is not None
        assert besides_record(stored) == ()

    rehearse(story, **STAYS)


def test_an_alarm_after_an_opening_is_told_although_it_is_a_record() -> None:
    async def story(world: World) -> None:
        ears = world.doors._listener = Ears()
        await world.operate()
        await anyio.sleep(1)
        await happens(world, {"action": "record", "dp": ALARM_DP, "value": 6})
        await anyio.sleep(0.1)
        alarm = {"dp": ALARM_DP, "value": 6, "alarm": True}
        assert ears.heard == [(alarm, True)]

    rehearse(story, **STAYS)


def test_a_disk_that_keeps_no_evidence_does_not_keep_it_from_being_told() -> None:
    class FullLedger(MemoryLedger):
        async def add_evidence(self, operation_id: str, evidence: object) -> None:
            raise StoreError(f"no space for {evidence} of {operation_id}")

    async def story(world: World) -> None:
        rewire(world, ledger=FullLedger(marks=world.memory.marks))
        heard: list[bool] = []

        class Ear(Listener):
            def learned(
                self, record: OperationRecord, evidence: Evidence, *, contradiction: bool
            ) -> None:
                heard.append(contradiction)
                assert (record.lock, evidence) == (DOOR, SHUT)

        world.doors._listener = Ear()
        await world.operate()
        await bolt(world, 0)
        await anyio.sleep(0.1)
        assert heard == [True]

    rehearse(story, **STAYS)


def test_a_lock_that_chatters_fills_no_memory() -> None:
    async def story(world: World) -> None:
        async with world.doors._supervisor.owner(DOOR).use() as session:
            for value in range(3 * MAX_HEARD):
                await happens(world, {"action": "state", "dp": BATTERY_DP, "value": value % 100})
            await anyio.sleep(0.1)
            session.client.check_up()
            assert len(session.visit._heard) == MAX_HEARD
            assert len(session.client._events) <= MAX_HEARD + 8

    rehearse(story, **STAYS)


CONFIRMED = Ending(outcome=Outcome.CONFIRMED, code="ok", moved="yes")
UNMOVED = Ending(outcome=Outcome.REFUSED, code="lock-result-2", moved="no")
UNSURE = Ending(outcome=Outcome.UNCONFIRMED, code="lock-silent", moved="possible")


@pytest.mark.parametrize(
    ("action", "how", "evidence", "expected"),
    [
        (Action.UNLOCK, CONFIRMED, OPEN, False),
        (Action.UNLOCK, CONFIRMED, SHUT, True),
        (Action.LOCK, CONFIRMED, OPEN, True),
        (Action.LOCK, CONFIRMED, SHUT, False),
        (Action.UNLOCK, UNMOVED, OPEN, True),
        (Action.UNLOCK, UNMOVED, SHUT, False),
        (Action.UNLOCK, UNSURE, OPEN, False),
        (Action.UNLOCK, UNSURE, SHUT, False),
        (Action.UNLOCK, CONFIRMED, {"dp": BATTERY_DP, "value": 0}, False),
        (Action.UNLOCK, CONFIRMED, {"dp": ALARM_DP, "value": 1, "alarm": True}, True),
    ],
)
def test_what_does_not_fit_an_outcome(
    action: Action, how: Ending, evidence: Evidence, expected: bool
) -> None:
    dps = DpMap.default(LockGeneration.V3_3)
    assert contradicts(action, how, evidence, dps) is expected
