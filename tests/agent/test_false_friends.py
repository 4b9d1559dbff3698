"""What looks like the lock's word about our command and is not: none of it confirms anything.

Each one was recorded or follows from a recording; the lock's own log says what happened.
"""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest

from bleagent.model import Action, OperationRecord
from bleagent.policy import LockVia, SnStart
from bleagent.simulator.faults import Faults, WriteFault
from bleagent.simulator.log import Move, Received, RecordSent, Replied
from bleagent.simulator.profiles import PROFILE_NAMES
from bleagent.simulator.quirks import Quirks
from protocol import Datapoint, Frame, Secret
from protocol.lock import OpenOperation, OpenReply, OpenRequest
from tests.agent.matrix import Calm
from tests.agent.stories import FIRST, LAST, ending, happens, partings, told, until
from tests.agent.world import CODE, World, rehearse

MUTE = Quirks(answer_delay=100.0)
"""Opens, but its word never reaches us: whatever we hear in between is something else."""
FINGER, OPEN_DP, RECORD_DP, BOLT_DP = 12, 71, 72, 47


def reply(
    world: World,
    *,
    result: int = 0,
    timestamp: int | None = None,
    code: bytes = CODE,
    central: int = 0xFFFF,
    peripheral: int = 5,
    operation: int = OpenOperation.OPEN,
    method: int = 0,
) -> bytes:
    """What the lock would say about the instruction that the cloud sealed last."""
    at = world.cloud.timestamp if timestamp is None else timestamp
    return OpenReply(peripheral, central, Secret(code), operation, at, method, result).to_bytes()


def payload(data: bytes, dp: int = OPEN_DP, *, kind: int = 0) -> str:
    """One datapoint of protocol 3.0, as hex."""
    return (bytes((dp, kind, len(data))) + data).hex()


async def operate_while(
    world: World, *events: dict[str, object], action: Action = Action.UNLOCK
) -> OperationRecord:
    """Operate the door, and let something happen at the lock while we wait for its word."""
    records: list[OperationRecord] = []

    async def ask() -> None:
        records.append(await world.operate(action=action))

    async with anyio.create_task_group() as caller:
        caller.start_soon(ask)
        await until(lambda: world.actuations() or world.actuations(Move.CLOSE))
        for event in events:
            await anyio.sleep(0.1)
            await happens(world, event)
    return records[0]


def test_the_true_reply_does_confirm() -> None:
    """The other tests here would prove nothing if this forged one did not work."""

    async def story(world: World) -> None:
        forged = {"action": "report", "command": "0x8001"}

        async def ask() -> None:
            assert told(await world.operate()) == ("confirmed", "ok")

        async with anyio.create_task_group() as caller:
            caller.start_soon(ask)
            await until(world.actuations)
            await happens(world, {**forged, "payload": payload(reply(world))})

    rehearse(story, quirks=MUTE)


def test_a_finger_on_the_lock_while_we_wait_confirms_nothing() -> None:
    async def story(world: World) -> None:
        finger = {"action": "record", "dp": FINGER, "value": 3}
        assert ending(await operate_while(world, finger)).outcome == "unconfirmed"
        sent = [one.dp for one in world.lock.log if isinstance(one, RecordSent)]
        assert FINGER in sent

    rehearse(story, quirks=MUTE)


def test_a_bolt_that_moves_while_we_wait_is_evidence_and_confirms_nothing() -> None:
    async def story(world: World) -> None:
        found = ending(await operate_while(world, {"action": "state", "dp": BOLT_DP, "value": 1}))
        assert found.outcome == "unconfirmed"
        assert {"dp": BOLT_DP, "value": True} in found.evidence

    rehearse(story, quirks=MUTE)


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_the_locks_structural_yes_confirms_nothing(name: str) -> None:
    async def story(world: World) -> None:
        assert ending(await world.operate()).outcome == "unconfirmed"
        assert len(world.actuations()) == 1

    rehearse(story, name, quirks=MUTE)


@pytest.mark.parametrize(
    "other",
    [
        {"timestamp": 1_699_999_999},
        {"code": b"11112222"},
        {"central": 1},
        {"peripheral": 6},
        {"central": 5, "peripheral": 0xFFFF},
        {"operation": 0},
        {"method": 1},
        {"result": 1, "timestamp": 1_699_999_999},
    ],
    ids=str,
)
def test_a_reply_that_differs_in_one_field_is_about_something_else(
    other: dict[str, int | bytes],
) -> None:
    async def story(world: World) -> None:
        records: list[OperationRecord] = []

        async def ask() -> None:
            records.append(await world.operate())

        async with anyio.create_task_group() as caller:
            caller.start_soon(ask)
            await until(world.actuations)
            data = reply(world, **other)  # type: ignore[arg-type]
            event = {"action": "report", "command": "0x8001", "payload": payload(data)}
            await happens(world, event)
        assert ending(records[0]).outcome == "unconfirmed"

    rehearse(story, quirks=MUTE)


@pytest.mark.parametrize("dp", [OPEN_DP, RECORD_DP])
@pytest.mark.parametrize(
    ("command", "dps"), [("0x8003", (OPEN_DP, RECORD_DP)), ("0x8001", (RECORD_DP,))]
)
def test_a_record_of_an_opening_is_never_its_result(
    command: str, dps: tuple[int, ...], dp: int
) -> None:
    """Under method 0 DP 72 is a record in any form, and what carries a time always is one."""

    async def story(world: World) -> None:
        records: list[OperationRecord] = []

        async def ask() -> None:
            records.append(await world.operate())

        async with anyio.create_task_group() as caller:
            caller.start_soon(ask)
            await until(world.actuations)
            event = {"action": "report", "command": command, "payload": payload(reply(world), dp)}
            await happens(world, {**event, "time": 1_700_000_000})
        assert (ending(records[0]).outcome == "unconfirmed") is (dp in dps)

    rehearse(story, quirks=MUTE)


def test_a_timed_record_before_the_reply_waits_for_the_reply() -> None:
    """Method 1: the record of the opening comes first (capture ``lock-open-method``)."""

    async def story(world: World) -> None:
        world.cloud.change = _method_1
        assert told(await world.operate()) == ("confirmed", "ok")
        log = list(world.lock.log)
        sent = next(i for i, one in enumerate(log) if isinstance(one, RecordSent))
        said = next(i for i, one in enumerate(log) if isinstance(one, Replied))
        assert sent < said
        assert log[sent].dp == RECORD_DP  # type: ignore[union-attr]
        assert len(world.actuations()) == 1

    rehearse(story)


def test_a_timed_record_without_the_reply_is_no_reply() -> None:
    async def story(world: World) -> None:
        world.cloud.change = _method_1
        assert ending(await world.operate()).outcome == "unconfirmed"
        sent = [one.dp for one in world.lock.log if isinstance(one, RecordSent)]
        assert RECORD_DP in sent
        assert len(world.actuations()) == 1

    rehearse(story, quirks=MUTE)


def test_a_close_whose_echoed_byte_looks_like_a_result_confirms_nothing() -> None:
    """The last byte of the reply to a close is our own (capture ``lock-close``)."""

    async def story(world: World) -> None:
        record = await world.operate(action=Action.LOCK)
        replies = [one for one in world.lock.log if isinstance(one, Replied)]
        assert [len(one.data) for one in replies] == [19]
        assert ending(record).outcome == "unconfirmed"

    rehearse(story, lock_via=LockVia.DP71)


def test_the_echo_of_the_manual_lock_is_an_acknowledgement_only() -> None:
    async def story(world: World) -> None:
        found = ending(await world.operate(action=Action.LOCK))
        assert found.outcome == "unconfirmed"
        assert {"dp": 46, "value": True} in found.evidence
        assert len(world.actuations(Move.CLOSE)) == 1

    rehearse(story)


def test_a_bolt_that_was_reported_closed_before_our_command_confirms_nothing() -> None:
    async def story(world: World) -> None:
        slammed: list[float] = []

        async def slam() -> None:
            await until(lambda: world.lock.paired)
            await happens(world, {"action": "state", "dp": BOLT_DP, "value": 0})
            slammed.append(world.clock.now())

        async with anyio.create_task_group() as others:
            others.start_soon(slam)
            assert ending(await world.operate(action=Action.LOCK)).outcome == "unconfirmed"
        (closed,) = world.actuations(Move.CLOSE)
        assert slammed[0] < closed.at

    # Our command, of three fragments, goes out slowly; the time is told after it.
    rehearse(story, faults=Faults(writes={FIRST - 3: WriteFault.DELAY}))


def test_a_stale_reply_of_the_visit_before_confirms_nothing() -> None:
    async def story(world: World) -> None:
        assert told(await world.operate("key-1")) == ("confirmed", "ok")
        stale = payload(reply(world))
        await anyio.sleep(10)
        # The second instruction is lost on the air, and the lock says the old words once more.
        world.radio.faults = Faults(writes={LAST: WriteFault.LOSE})
        records: list[OperationRecord] = []

        async def ask() -> None:
            records.append(await world.operate("key-2"))

        async with anyio.create_task_group() as caller:
            caller.start_soon(ask)
            await until(lambda: len(world.radio.links) == 2)
            await until(lambda: len(world.radio.links[1].written) > LAST)
            await happens(world, {"action": "report", "command": "0x8001", "payload": stale})
        assert ending(records[0]).outcome == "unconfirmed"
        assert len(world.actuations()) == 1

    rehearse(story)


# -- frames of an earlier visit


def recorded(world: World) -> tuple[bytes, ...]:
    """The fragments of the instruction of the first visit, off the air."""
    return tuple(world.radio.links[0].written[FIRST : LAST + 1])


@pytest.mark.parametrize("position", range(2, LAST + 1))
def test_a_frame_of_an_earlier_visit_opens_nothing_on_ours(position: int) -> None:
    async def story(world: World) -> None:
        await world.operate("key-1")
        await anyio.sleep(10)
        plan = Faults(writes={position: WriteFault.INJECT})
        world.radio.faults = plan.with_old_frame(recorded(world))
        record = await world.operate("key-2")
        on_ours = [one for one in world.actuations() if one.connection > 1]
        # Either we got through on another connection, or nothing opened at all.
        assert len(on_ours) == (ending(record).outcome == "confirmed")
        if on_ours:
            assert on_ours[0].timestamp == world.cloud.timestamp
        # The stranger's frame cost us the link, nothing else.
        assert (2, "the lock hung up") in partings(world)

    rehearse(story)


def test_where_numbers_start_at_one_a_recorded_frame_works_again_and_we_do_not_claim_it() -> None:
    """The price of ``sn_start = one`` (capture ``lock-sealed-twice``): what the default is for."""

    async def story(world: World) -> None:
        await world.operate("key-1")
        await anyio.sleep(10)
        plan = Faults(writes={FIRST: WriteFault.INJECT})
        world.radio.faults = plan.with_old_frame(recorded(world))
        record = await world.operate("key-2")
        first, second = world.actuations()
        assert second.timestamp == first.timestamp  # it was the stranger's
        assert ending(record).outcome in ("unreached", "unconfirmed")

    rehearse(story, sn_start=SnStart.ONE)


# -- the wrong framing


@pytest.mark.parametrize("name", ["v4-20", "v4-244", "secv2-20", "secv2-244"])
def test_an_instruction_in_the_old_framing_is_not_sent_to_a_new_lock(name: str) -> None:
    """4.4 drops it without a word; we would have called it unconfirmed for nothing."""

    calm = Calm(name)

    async def story(world: World) -> None:
        world.cloud.change_frame = _old_framing
        found = ending(await world.operate())
        assert (found.outcome, found.code) == ("unreached", "instruction-rejected-command")
        assert len(world.radio.links[0].written) == calm.instruction
        assert world.actuations() == []

    rehearse(story, name)


def test_an_instruction_that_is_lost_as_a_whole_is_unconfirmed() -> None:
    """What silence looks like from here, whatever its reason."""

    calm = Calm("v4-244")

    async def story(world: World) -> None:
        assert calm.writes - 1 == calm.instruction  # it is one packet
        world.radio.faults = Faults(writes={calm.instruction: WriteFault.LOSE})
        assert told(await world.operate()) == ("unconfirmed", "lock-silent")
        taken = [one for one in world.lock.log if isinstance(one, Received) and one.code == 0x27]
        assert taken == []

    rehearse(story, "v4-244")


def _method_1(request: OpenRequest) -> OpenRequest:
    return replace(request, method=1)


def _old_framing(frame: Frame) -> Frame:
    datapoint = Datapoint.raw(OPEN_DP, frame.data[-19:])
    return Frame(frame.sn, frame.ack_sn, 0x0002, bytes((OPEN_DP, 0, 19)) + datapoint.data)
