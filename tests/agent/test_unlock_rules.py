"""The job's rules, one by one: what is written when, and what it is called afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import anyio
import pytest

from bleagent.doors import Listener
from bleagent.errors import AgentError, CloudError
from bleagent.model import Action, CodeAttempt
from bleagent.policy import Offline
from bleagent.simulator.faults import DELAY, Faults, WriteFault
from bleagent.simulator.log import Actuated, Received
from bleagent.simulator.quirks import Quirks
from protocol import Secret
from protocol.lock import OpenRequest
from tests.agent.matrix import Calm
from tests.agent.stories import (
    CALM,
    FIRST,
    LAST,
    DurableLedger,
    Job,
    JumpingClock,
    at_write,
    ending,
    rewire,
    told,
)
from tests.agent.world import CODE, DOOR, World, rehearse


def test_the_instruction_has_fragments_between_which_something_can_happen() -> None:
    assert CALM.writes == LAST + 1
    assert LAST > FIRST + 1


# -- the deadline


def test_a_commit_that_outlasts_the_deadline_writes_nothing() -> None:
    async def story(world: World) -> None:
        rewire(world, ledger=DurableLedger(sending_takes=5.0))
        record = await world.operate(deadline=2.0)
        assert ending(record).outcome == "unreached"
        assert len(world.radio.links[0].written) == FIRST
        assert world.actuations() == []

    rehearse(story)


def test_a_commit_that_fails_writes_nothing() -> None:
    async def story(world: World) -> None:
        world.ledger.sending_fails = True
        assert told(await world.operate()) == ("unreached", "store-failed")
        assert len(world.radio.links) == 1
        assert len(world.radio.links[0].written) == FIRST

    rehearse(story)


def test_a_deadline_between_two_fragments_stops_the_second() -> None:
    async def story(world: World) -> None:
        record = await world.operate(deadline=1.5 * DELAY)
        assert told(record) == ("unreached", "too-late")
        assert FIRST < len(world.radio.links[0].written) <= LAST
        assert world.actuations() == []

    slow = dict.fromkeys(range(FIRST, LAST), WriteFault.DELAY)
    rehearse(story, faults=Faults(writes=slow))


@pytest.mark.parametrize("name", ["v3.0", "v4-20"])
def test_a_gateway_that_slept_between_two_fragments_does_not_write_the_last(name: str) -> None:
    """No timer of the loop notices; only the clock that is read again does."""
    calm = Calm(name)

    async def story(world: World) -> None:
        clock = JumpingClock()
        rewire(world, clock=clock)

        def sleep() -> None:
            clock.jumped = 60.0

        at_write(world, calm.writes - 2, sleep)
        assert told(await world.operate()) == ("unreached", "too-late")
        assert len(world.radio.links[0].written) == calm.writes - 1
        assert world.actuations() == []

    rehearse(story, name)


def test_what_was_written_too_late_after_all_is_called_late() -> None:
    """The residual: nothing can be checked between the last check and the write itself."""

    async def story(world: World) -> None:
        clock = JumpingClock()
        rewire(world, clock=clock)

        def sleep() -> None:
            clock.jumped = 60.0

        at_write(world, LAST, sleep)
        record = await world.operate()
        assert len(world.actuations()) == 1
        assert ending(record).late
        assert ending(record).outcome == "confirmed"

    rehearse(story)


def test_after_the_commit_point_no_deadline_cuts_the_wait_short() -> None:
    async def story(world: World) -> None:
        record = await world.operate(deadline=1.0)
        assert told(record) == ("confirmed", "ok")
        assert not ending(record).late
        assert ending(record).steps["ack"] > 3.0

    rehearse(story, quirks=Quirks(answer_delay=3.0))


def test_an_instruction_that_comes_after_the_deadline_is_not_used() -> None:
    async def story(world: World) -> None:
        await world.operate("key-1")
        await anyio.sleep(10)
        world.cloud.takes = 20.0
        assert told(await world.operate("key-2", deadline=3.0)) == ("unreached", "too-late")
        await anyio.sleep(60)
        assert len(world.actuations()) == 1

    rehearse(story)


# -- the commit point


class Revoked(AgentError):
    """The token is no longer valid."""

    code = "revoked"


def test_who_may_no_longer_open_is_stopped_before_the_last_fragment() -> None:
    async def story(world: World) -> None:
        def revoke() -> None:
            raise Revoked("a moment ago")

        found = await Job(world, revoke).run()
        assert (found.outcome, found.code) == ("unreached", "revoked")
        assert len(world.radio.links[0].written) == LAST
        assert world.actuations() == []

    rehearse(story)


def test_permission_is_asked_for_between_the_last_two_fragments() -> None:
    async def story(world: World) -> None:
        asked: list[int] = []
        found = await Job(world, lambda: asked.append(len(world.radio.links[0].written))).run()
        assert found.outcome == "confirmed"
        assert asked == [LAST]

    rehearse(story)


@pytest.mark.parametrize("fault", [WriteFault.RAISE_AFTER, WriteFault.DROP_AFTER])
def test_a_write_that_fails_at_the_commit_point_is_never_tried_again(fault: WriteFault) -> None:
    async def story(world: World) -> None:
        record = await world.operate()
        assert ending(record).outcome in ("confirmed", "unconfirmed")
        await anyio.sleep(60)
        assert len(world.radio.links) == 1
        assert len(world.actuations()) == 1

    rehearse(story, faults=Faults(writes={LAST: fault}))


def test_a_write_that_fails_with_nothing_delivered_is_still_not_certain() -> None:
    async def story(world: World) -> None:
        assert ending(await world.operate()).outcome == "unconfirmed"
        assert len(world.radio.links) == 1
        assert world.actuations() == []

    rehearse(story, faults=Faults(writes={LAST: WriteFault.RAISE_BEFORE}))


def test_a_link_that_ends_between_two_fragments_is_not_tried_again() -> None:
    """No frame of an actuation is ever begun twice (A4)."""

    async def story(world: World) -> None:
        record = await world.operate()
        assert told(record) == ("unreached", "link-lost")
        assert len(world.radio.links) == 1
        assert world.actuations() == []

    rehearse(story, faults=Faults(writes={FIRST + 1: WriteFault.DROP_BEFORE}))


# -- the lock's no


@pytest.mark.parametrize(
    ("result", "moved"), [(1, "possible"), (2, "no"), (3, "no"), (4, "no"), (5, "no")]
)
def test_a_result_of_the_lock_is_a_refusal_that_says_whether_it_may_have_moved(
    result: int, moved: str
) -> None:
    async def story(world: World) -> None:
        found = ending(await world.operate())
        assert (found.outcome, found.code) == ("refused", f"lock-result-{result}")
        assert (found.by, found.result, found.moved) == ("lock", result, moved)
        assert not found.retryable
        assert world.actuations() == []

    rehearse(story, quirks=Quirks(refuse_open_with=result))


def test_a_jammed_motor_may_have_moved() -> None:
    async def story(world: World) -> None:
        found = ending(await world.operate())
        assert (found.outcome, found.result, found.moved) == ("refused", 1, "possible")
        tried = [one for one in world.lock.log if isinstance(one, Actuated)]
        assert [one.moved for one in tried] == [False]

    rehearse(story, quirks=Quirks(jammed=True))


def test_a_code_that_is_out_of_date_is_fetched_anew_for_the_next_request_only() -> None:
    async def story(world: World) -> None:
        assert told(await world.operate("key-1")) == ("confirmed", "ok")
        await anyio.sleep(10)
        # Somebody changed the code with the vendor's app: cloud and lock know, we do not.
        world.cloud.code = Secret("11112222")
        world.lock.preset_check_code(5, b"11112222")
        stale = world.cloud.change
        world.cloud.change = _with_code("52777950")
        calls = world.cloud.config_calls
        assert told(await world.operate("key-2")) == ("refused", "lock-result-4")
        assert len(world.cloud.asked) == 2  # one DP 71 per request
        assert len(world.actuations()) == 1
        await anyio.sleep(10)
        world.cloud.change = stale
        assert world.cloud.config_calls == calls + 1
        assert told(await world.operate("key-3")) == ("confirmed", "ok")
        assert world.cloud.asked[-1].device_random.reveal() == b"11112222".hex().encode()
        assert world.cloud.config_calls == calls + 1

    rehearse(story)


def _with_code(code: str) -> Callable[[OpenRequest], OpenRequest]:
    return lambda request: replace(request, code=Secret(code))


# -- the check code


def test_a_check_code_is_given_when_the_cloud_says_so_and_only_once() -> None:
    async def story(world: World) -> None:
        first = await world.operate("key-1")
        assert told(first) == ("confirmed", "ok")
        assert "check_code" in ending(first).steps
        await anyio.sleep(10)
        second = await world.operate("key-2")
        assert told(second) == ("confirmed", "ok")
        assert "check_code" not in ending(second).steps
        assert len(world.actuations()) == 2

    rehearse(story, code_known=False)


def test_a_check_code_that_the_lock_has_already_is_gone_on_with() -> None:
    async def story(world: World) -> None:
        world.lock.preset_check_code(5, b"52777950")
        assert told(await world.operate()) == ("confirmed", "ok")

    rehearse(story, code_known=False)


def test_a_check_code_that_the_lock_refuses_ends_it() -> None:
    async def story(world: World) -> None:
        world.lock.preset_check_code(9, b"99999999")  # it is another peripheral to someone else
        found = ending(await world.operate())
        assert (found.outcome, found.code) == ("refused", "check-code-3")
        assert (found.by, found.result, found.moved) == ("lock", 3, "no")
        assert world.cloud.asked == []
        assert world.actuations() == []

    rehearse(story, code_known=False)


def codes_written(world: World) -> int:
    """How many datapoints the lock was written before anything else happened."""
    return len([one for one in world.lock.log if isinstance(one, Received) and one.code == 2])


def test_a_check_code_that_the_lock_does_not_answer_is_not_written_twice() -> None:
    async def story(world: World) -> None:
        record = await world.operate(deadline=20.0)
        assert told(record) == ("unreached", "check-code-unanswered")
        assert codes_written(world) == 1
        assert len(world.radio.links) == 1
        assert world.cloud.asked == []
        assert world.actuations() == []

    rehearse(story, code_known=False, quirks=Quirks(answer_delay=100.0))


def test_a_check_code_that_never_left_whole_is_tried_again() -> None:
    async def story(world: World) -> None:
        assert told(await world.operate()) == ("confirmed", "ok")
        assert len(world.radio.links) == 2

    # The check code's first fragment is where the instruction's is when there is none.
    rehearse(story, code_known=False, faults=Faults(writes={FIRST: WriteFault.DROP_BEFORE}))


def test_the_attempt_is_on_disk_before_the_check_code_leaves_and_until_it_is_answered() -> None:
    async def story(world: World) -> None:
        seen: list[CodeAttempt | None] = []
        at_write(world, FIRST, lambda: seen.append(world.memory.attempts.get(DOOR)))
        assert told(await world.operate()) == ("confirmed", "ok")
        assert seen == [CodeAttempt(old=None, new=Secret(CODE))]
        assert world.memory.attempts == {}

    rehearse(story, code_known=False)


def test_the_old_code_stays_known_while_the_new_one_is_not_answered() -> None:
    async def story(world: World) -> None:
        assert told(await world.operate("key-1")) == ("confirmed", "ok")
        await anyio.sleep(2 * 3600)  # so that the configuration is asked for again
        world.cloud.code, world.cloud.distribute = Secret("11112222"), True
        world.lock._machine.quirks = Quirks(answer_delay=100.0)
        for key in ("key-2", "key-3"):
            assert told(await world.operate(key))[0] == "unreached"
            attempt = CodeAttempt(old=Secret(CODE), new=Secret("11112222"))
            assert world.memory.attempts == {DOOR: attempt}
            await anyio.sleep(10)

    rehearse(story)


def test_with_two_codes_that_may_hold_nothing_is_sealed_by_us() -> None:
    async def story(world: World) -> None:
        assert told(await world.operate("key-1")) == ("confirmed", "ok")
        await anyio.sleep(10)
        attempt = CodeAttempt(old=Secret("11112222"), new=Secret(CODE))
        world.memory.attempts[DOOR] = attempt
        world.cloud.down = True
        assert told(await world.operate("key-2"))[0] == "unreached"
        assert len(world.actuations()) == 1
        await anyio.sleep(10)
        world.cloud.down = False
        assert told(await world.operate("key-3")) == ("confirmed", "ok")
        assert world.memory.attempts == {}  # it opened with the issued one: that settles it
        await anyio.sleep(10)
        world.cloud.down = True
        assert told(await world.operate("key-4")) == ("confirmed", "ok")

    rehearse(story, offline=Offline.CACHED)


# -- the cloud


class No(CloudError):
    """The cloud's no."""

    code = "cloud-no-permission"
    refusal = True


def test_the_clouds_no_is_a_refusal_before_anything_was_written() -> None:
    async def story(world: World) -> None:
        await world.operate("key-1")
        await anyio.sleep(10)
        world.cloud.refuse = No("not yours")
        found = ending(await world.operate("key-2"))
        assert (found.outcome, found.code) == ("refused", "cloud-no-permission")
        assert (found.by, found.moved) == ("cloud", "no")
        assert len(world.actuations()) == 1

    rehearse(story)


def test_the_cloud_is_asked_while_the_radio_connects() -> None:
    async def story(world: World) -> None:
        world.cloud.takes = 1.0
        steps = ending(await world.operate()).steps
        assert steps["connect"] == pytest.approx(1.0, abs=0.01)
        assert steps["config"] == pytest.approx(1.0, abs=0.01)  # not 2 s
        assert steps["instruction"] == pytest.approx(2.0, abs=0.01)

    rehearse(story, faults=Faults(connect_delay=1.0))


# -- all in all


def test_an_operation_has_one_ending_and_the_lock_sees_one_instruction() -> None:
    async def story(world: World) -> None:
        found = await Job(world).run(action=Action.UNLOCK)
        assert found.outcome == "confirmed"
        writes = [one for one in world.lock.log if isinstance(one, Received) and one.code == 2]
        assert len(writes) == 1

    rehearse(story)


def test_moved_says_no_only_where_nothing_moved() -> None:
    async def story(world: World) -> None:
        found = ending(await world.operate())
        assert len(world.actuations()) == 1
        assert (found.outcome, found.moved) == ("unconfirmed", "possible")

    rehearse(story, quirks=Quirks(answer_delay=100.0))


@pytest.mark.parametrize(
    ("position", "expected", "moved"),
    [(FIRST, "unreached", "no"), (LAST, "unconfirmed", "possible")],
)
def test_a_fault_of_our_own_ends_the_operation_truthfully(
    position: int, expected: str, moved: str
) -> None:
    """What nobody thought of is no excuse for "safe to ask again" (A1), nor ends other tasks."""

    def fault() -> None:
        raise ZeroDivisionError

    async def story(world: World) -> None:
        seen: list[Exception] = []

        class Ears(Listener):
            def failed(self, operation_id: str, error: Exception) -> None:
                assert operation_id == "op-1"
                seen.append(error)

        at_write(world, position, fault)
        world.doors._listener = Ears()
        found = ending(await world.operate())
        assert (found.outcome, found.code, found.moved) == (expected, "internal-error", moved)
        await world.doors.settled()
        assert len(seen) == 1

    rehearse(story)
