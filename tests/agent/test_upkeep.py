"""T0 and the list of credentials: beside visits, once, in spite of cuts, disks and doors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bleagent.model import Outcome
from bleagent.policy import Backlog, Connection
from bleagent.simulator.faults import DELAY, NO_FAULTS, Faults, NotifyFault, WriteFault
from bleagent.simulator.log import RecordDeleted, Replied
from bleagent.sync.upkeep import MOST_SILENT, WEEK, Progress, Subject, Wanted
from protocol import DpMap, DpName
from protocol.credential_list import SyncEnd, read_sync
from protocol.credentials import Method
from protocol.dpmap import LockGeneration
from tests.agent.password_world import Passwords
from tests.agent.stories import ending
from tests.agent.upkeep_world import ASKED, EVERY_KIND, PAIRED, T0, Upkept
from tests.agent.world import DOOR, World, rehearse
from tests.often import some

PROFILES = ("v3.0", "v4-20", "secv2-244")
WISH = Wanted(ASKED, EVERY_KIND)
WHOLE = DpMap.default(LockGeneration.V3_3)


def tell(story: Callable[[Upkept], Awaitable[None]], name: str = "v3.0", **options: Any) -> None:
    async def main(world: World) -> None:
        world.clock.trusted = True
        await story(Upkept(world))

    rehearse(main, name, **options)


def without(*names: DpName) -> DpMap:
    """A lock that does not have these datapoints."""
    return replace(WHOLE, numbers={k: v for k, v in WHOLE.numbers.items() if k not in names})


# -- T0


@pytest.mark.parametrize("name", PROFILES)
def test_t0_is_told_once(name: str) -> None:
    async def story(on: Upkept) -> None:
        for _ in range(3):
            await on.look()
            await on.visit()
        assert on.app.flash.t0 == PAIRED
        assert [one.data for one in on.replies(T0)] == [b"1622000424"]
        assert on.visits == 1
        assert on.noted == [(Subject.T0, Progress.DONE)]
        on.start()  # it is known after a start, too
        await on.look()
        assert len(on.replies(T0)) == 1

    tell(story, name)


def test_another_t0_is_told_and_the_one_before_again_if_it_comes_back() -> None:
    async def story(on: Upkept) -> None:
        for paired in (PAIRED, PAIRED + 7, PAIRED):
            on.cloud.paired = paired
            await on.look()
            await anyio.sleep(3600)
            assert on.app.flash.t0 == paired
        assert len(on.replies(T0)) == 3

    tell(story)


def test_t0_that_the_lock_did_not_hear_waits_and_is_told_at_the_next_visit() -> None:
    async def story(on: Upkept) -> None:
        on.world.radio.faults = on.world.radio.then = Faults(absent=True)
        await on.look()
        await on.look()
        assert on.visits == 1  # for the same once an hour
        state = on.desk.state()
        assert state.t0 is not None
        assert state.t0.progress is Progress.WAITING
        on.world.radio.faults = on.world.radio.then = NO_FAULTS
        await on.visit()
        assert on.app.flash.t0 == PAIRED

    tell(story)


@pytest.mark.parametrize("paired", [None, 0, 10**10])
def test_a_cloud_without_a_usable_t0_has_none_told(paired: int | None) -> None:
    async def story(on: Upkept) -> None:
        on.cloud.paired = paired
        await on.look()
        await on.visit()
        assert on.visits == 0
        assert not on.replies(T0)
        assert on.desk.state().t0 is None

    tell(story)


def test_an_old_word_of_the_cloud_is_not_told() -> None:
    async def story(on: Upkept) -> None:
        on.world.radio.faults = on.world.radio.then = Faults(absent=True)
        await on.look()
        on.world.radio.faults = on.world.radio.then = NO_FAULTS
        await anyio.sleep(2 * 3600)
        await on.visit()
        assert not on.replies(T0)
        await on.look()
        assert on.app.flash.t0 == PAIRED

    tell(story)


def test_another_t0_in_the_answer_is_the_locks_no() -> None:
    async def story(on: Upkept) -> None:
        def keeps_its_own(digits: bytes) -> None:
            del digits
            on.app.records.reply.put(0, b"1589251799")

        on.app.offline.set_t0 = keeps_its_own  # type: ignore[method-assign]
        await on.look()
        assert on.progress(Subject.T0) is Progress.REFUSED
        await on.visit()
        assert len(on.replies(T0)) == 1  # not at each visit
        on.cloud.paired = PAIRED + 1
        await on.look()
        await anyio.sleep(3600)
        await on.look()
        assert len(on.replies(T0)) == 2  # but of another one it may think otherwise

    tell(story)


@pytest.mark.parametrize("name", ["v3.0", "v4-20"])
def test_a_lock_that_rejects_the_write_is_asked_again_after_a_week(name: str) -> None:
    async def story(on: Upkept) -> None:
        radio = on.app.machine.radio
        radio._is_list = lambda raw: False  # type: ignore[method-assign] # noqa: ARG005
        await on.look()
        assert on.progress(Subject.T0) is Progress.REFUSED
        assert on.desk.state().last_error == "lock-refused"
        assert on.desk.t0 is None
        await anyio.sleep(WEEK)
        await on.looks.look()
        assert on.desk.t0 is not None

    tell(story, name)


# -- locks that do not know it


def test_a_lock_that_never_answers_is_not_asked_at_each_visit_for_ever() -> None:
    async def story(on: Upkept) -> None:
        on.app.offline.set_t0 = lambda _: False  # type: ignore[assignment, method-assign]
        on.cloud.wants = WISH
        on.app.sync.advance = lambda: iter(())  # type: ignore[method-assign]
        for _ in range(MOST_SILENT + 3):
            await on.looks.look()
            await on.visit()
            await anyio.sleep(3600)
        for subject in Subject:
            assert on.book.rows[DOOR, subject].silent == MOST_SILENT
            assert on.progress(subject) is Progress.UNSUPPORTED
        assert on.desk.state().last_error == "lock-silent"
        assert on.cloud.wishes == MOST_SILENT
        await anyio.sleep(WEEK)  # it may be updated
        await on.looks.look()
        assert on.desk.t0 is not None

    tell(story)


def test_a_lock_without_the_datapoints_is_asked_nothing() -> None:
    async def story(on: Upkept) -> None:
        on.cloud.wants = WISH
        await on.look()
        assert {one: on.progress(one) for one in Subject} == dict.fromkeys(
            Subject, Progress.UNSUPPORTED
        )
        await on.visit()
        assert on.cloud.wishes == 0
        assert not on.replies(T0) + on.replies(ASKED)
        assert on.visits == 1

    tell(story, dps=without(DpName.OFFLINE_T0, DpName.SYNC))


def test_a_lock_that_answers_something_else_counts_as_silent() -> None:
    async def story(on: Upkept) -> None:
        on.cloud.wants = WISH
        on.app.sync.advance = lambda: iter([b"\2"])  # type: ignore[method-assign]
        await on.look()
        assert on.book.rows[DOOR, Subject.CREDENTIALS].silent == 1
        assert on.desk.state().last_error == "lock-answer-unusable"

    tell(story)


# -- the list


@pytest.mark.parametrize("name", PROFILES)
def test_the_list_goes_to_the_sinks_page_by_page_once(name: str) -> None:
    async def story(on: Upkept) -> None:
        on.enrol(Method.PASSWORD, 0)
        on.enrol(Method.FINGERPRINT, 20, 21)
        on.enrol(Method.CARD, 10)
        on.cloud.wants = WISH
        await on.look()
        (told,) = on.reported()
        pages = [read_sync(one) for one in told]
        assert isinstance(pages[-1], SyncEnd)
        assert pages[-1].pages == len(pages) - 1 == 3
        assert on.desk.state().listed == {"password": 1, "fingerprint": 2, "card": 1}
        assert on.progress(Subject.CREDENTIALS) is Progress.DONE
        for _ in range(2):
            await anyio.sleep(700)
            await on.visit()  # asked again, and the same is told
            on.start()
        assert on.cloud.wishes >= 2
        assert len(on.reported()) == 1
        on.enrol(Method.CARD, 11)
        await on.looks.look()
        await anyio.sleep(700)
        await on.visit()
        assert len(on.reported()) == 2

    tell(story, name)


def test_a_list_is_not_asked_for_where_the_cloud_does_not_want_it() -> None:
    async def story(on: Upkept) -> None:
        on.enrol(Method.CARD, 10)
        await on.look()
        await on.visit()
        assert on.cloud.wishes == 1  # nor is the cloud asked at each visit
        assert not on.replies(ASKED)
        await anyio.sleep(700)
        await on.visit()
        assert on.cloud.wishes == 2

    tell(story)


@pytest.mark.parametrize("kinds", [EVERY_KIND, bytes([Method.CARD])])
def test_a_list_without_entries_is_not_reported(kinds: bytes) -> None:
    """A lock that does not understand the question answers the same (protocol §6.4)."""

    async def story(on: Upkept) -> None:
        on.cloud.wants = Wanted(ASKED, kinds)
        await on.look()
        await anyio.sleep(700)
        await on.visit()
        assert on.progress(Subject.CREDENTIALS) is Progress.EMPTY
        assert not on.reported()
        assert on.cloud.wishes == 1

    tell(story)


@pytest.mark.parametrize("wish", [Wanted(71, b"\1"), Wanted(ASKED, b""), Wanted(ASKED, bytes(65))])
def test_what_is_no_question_for_the_list_is_not_written(wish: Wanted) -> None:
    async def story(on: Upkept) -> None:
        on.enrol(Method.CARD, 10)
        on.cloud.wants = wish
        await on.look()
        assert [one.dp for one in on.world.lock.log if isinstance(one, Replied)] == [T0]
        assert on.desk.state().last_error == "sync-wish-unusable"

    tell(story)


def test_a_cloud_that_is_down_keeps_nobody_at_the_lock() -> None:
    async def story(on: Upkept) -> None:
        await on.look()
        await anyio.sleep(700)
        on.cloud.down, on.cloud.takes = True, 60.0
        before = on.world.clock.now()
        on.world.doors._supervisor.called(DOOR)
        await anyio.sleep(1)
        assert ending(await on.world.operate()).outcome is Outcome.CONFIRMED
        assert on.world.clock.now() - before < 5
        await on.quiet()
        assert on.desk.state().last_error == "cloud-failed"

    tell(story)


# -- cuts


def cut(name: str, faults: Faults) -> None:
    async def story(on: Upkept) -> None:
        on.enrol(Method.PASSWORD, 0)
        on.enrol(Method.CARD, 10)
        on.cloud.wants = WISH
        on.world.radio.faults, on.world.radio.then = faults, NO_FAULTS
        await on.looks.look()
        for _ in range(4):
            await on.quiet()
            on.world.doors._supervisor.called(DOOR)
            await anyio.sleep(400)
        await on.quiet()
        assert on.app.flash.t0 == PAIRED, faults
        assert len(on.reported()) == 1, faults
        assert {on.progress(one) for one in Subject} == {Progress.DONE}, faults

    tell(name=name, story=story)


def packets(name: str) -> tuple[int, int]:
    counted: list[int] = []

    async def story(on: Upkept) -> None:
        on.enrol(Method.PASSWORD, 0)
        on.enrol(Method.CARD, 10)
        on.cloud.wants = WISH
        await on.look()
        link = on.world.radio.links[-1]
        counted.extend((len(link.written), link.notified))

    tell(story, name)
    return counted[0], counted[1]


@pytest.mark.parametrize("name", some(PROFILES, 2))
@pytest.mark.parametrize(
    "fault", some([WriteFault.DROP_AFTER, WriteFault.LOSE, WriteFault.DROP_BEFORE], 2)
)
def test_cut_at_any_write(name: str, fault: WriteFault) -> None:
    writes, _ = packets(name)
    assert writes > 4
    for position in range(writes):
        cut(name, Faults(writes={position: fault}))


@pytest.mark.parametrize("name", some(PROFILES, 2))
@pytest.mark.parametrize("fault", some([NotifyFault.LOSE, NotifyFault.DROP_BEFORE], 1))
def test_cut_at_any_notification(name: str, fault: NotifyFault) -> None:
    _, notifications = packets(name)
    assert notifications > 4
    for position in range(notifications):
        cut(name, Faults(notifications={position: fault}))


class Killed(Exception):
    """The agent is."""


_FAULTS = st.one_of(
    st.builds(
        lambda at, fault: Faults(writes={at: fault}),
        st.integers(0, 20), st.sampled_from([WriteFault.DROP_AFTER, WriteFault.LOSE]),
    ),
    st.builds(
        lambda at, fault: Faults(notifications={at: fault}),
        st.integers(0, 30), st.sampled_from([NotifyFault.DROP_BEFORE, NotifyFault.LOSE]),
    ),
)  # fmt: skip
_STEPS = st.one_of(
    st.sampled_from(["pair", "enrol", "open", "wait", "look"]),
    st.tuples(st.just("kill"), st.integers(1, 2)),
    st.tuples(st.just("visit"), _FAULTS),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(_STEPS, min_size=2, max_size=10))
def test_at_rest_the_lock_has_the_clouds_t0_and_the_sinks_its_list(steps: list[Any]) -> None:
    async def story(on: Upkept) -> None:
        on.cloud.wants = WISH
        on.enrol(Method.CARD, 10)
        for step in steps:
            await play(on, step)
        on.world.radio.faults = on.world.radio.then = NO_FAULTS
        await anyio.sleep(3600)  # whatever rests has rested
        for _ in range(3):
            await on.looks.look()
            await on.visit()
            await anyio.sleep(3600)
        assert on.app.flash.t0 == on.cloud.paired
        assert on.desk.state().t0 == on.book.rows[DOOR, Subject.T0]
        assert {on.progress(one) for one in Subject} == {Progress.DONE}
        numbers = {
            entry.hardid
            for one in on.reported()[-1]
            if not isinstance(page := read_sync(one), SyncEnd)
            for entry in page.entries
        }
        assert numbers == set(on.app.flash.credentials)
        if not any(step[0] == "kill" for step in steps):  # between its report and the note of it
            assert all(one != other for one, other in pairwise(on.reported()))

    tell(story)


async def play(on: Upkept, step: Any) -> None:
    match step:
        case "pair":
            on.cloud.paired = (on.cloud.paired or 0) + 60
        case "enrol":
            taken = set(on.app.flash.credentials)
            on.enrol(Method.FINGERPRINT, *({20, 21, 22, 23} - taken and [20 + len(taken) % 9]))
        case "open":
            await on.world.operate(f"key-{on.world.clock.now()}")
            await on.quiet()
        case "wait":
            await anyio.sleep(900)
        case "look":
            await on.look()
        case ("kill", after):
            await kill(on, after)
        case ("visit", faults):
            on.world.radio.faults, on.world.radio.then = faults, NO_FAULTS
            await on.visit()


async def kill(on: Upkept, after: int) -> None:
    """The agent is killed right behind one of its commits, and another one begins."""
    first, killed = on.book.kept, anyio.Event()

    def then(kept: int) -> None:
        if kept >= first + after and not killed.is_set():
            on.world.radio.links[-1].down("killed") if on.world.radio.links else None
            killed.set()
            raise Killed

    on.book.then = then
    await on.look()
    on.book.then = lambda _: None
    on.start()


# -- doors go first


def test_an_opening_that_comes_in_the_middle_goes_first() -> None:
    """One message that is on its way goes to its end, and nothing more comes between."""

    def lasted(after: float, *, busy: bool) -> float:
        found: list[float] = []

        async def story(on: Upkept) -> None:
            on.world.radio.then = Faults(writes=dict.fromkeys(range(8, 500), WriteFault.DELAY))
            on.world.radio.faults = on.world.radio.then
            for method in (Method.PASSWORD, Method.CARD, Method.FINGERPRINT, Method.FACE):
                on.enrol(method, (method - 1) * 10)
            if busy:
                on.cloud.wants = WISH
                await on.looks.look()
            on.world.doors._supervisor.owner(DOOR).keep_warm()
            await anyio.sleep(after)
            on.world.cloud.takes = 5.0  # time enough to ask something more
            began = on.world.clock.now()
            record, _ = await on.world.doors.operate(on.world.request(deadline=30.0))
            assert ending(record).outcome is Outcome.CONFIRMED
            (actuated,) = on.world.actuations()
            found.append(actuated.at - began)
            await on.quiet()
            if busy:
                assert on.app.flash.t0 == PAIRED
                assert len(on.reported()) == 1

        tell(story, connection=Connection.WARM, warm_for=200.0)
        return found[0]

    for after in (1.0, 2.1, 4.3, 6.5, 8.7, 10.9):
        assert lasted(after, busy=True) <= lasted(after, busy=False) + 4 * DELAY


def test_nothing_is_asked_before_the_opening_that_a_visit_is_for() -> None:
    async def story(on: Upkept) -> None:
        on.enrol(Method.CARD, 10)
        on.cloud.wants = WISH
        await on.desk.open()
        on.desk.told_t0(PAIRED)
        assert ending(await on.world.operate()).outcome is Outcome.CONFIRMED
        (actuated,) = on.world.actuations()
        await on.quiet()
        asked = on.replies(T0) + on.replies(ASKED)
        assert {one.dp for one in asked} == {T0, ASKED}
        assert all(one.at > actuated.at for one in asked)

    tell(story)


def test_records_are_taken_first() -> None:
    async def story(on: Upkept) -> None:
        on.world.lock.local(
            {"local": {"action": "record", "dp": 12, "value": 21}}, on.world.clock.now()
        )
        await on.look()
        drained = [one.at for one in on.world.lock.log if isinstance(one, RecordDeleted)]
        (told,) = on.replies(T0)
        assert drained
        assert told.at > drained[-1] + 2

    tell(story, backlog=Backlog.TAKE)


def test_passwords_and_upkeep_take_turns_on_one_connection() -> None:
    """Both ask for the list, and an answer does not say whose it is."""

    async def main(world: World) -> None:
        world.clock.trusted = True
        passwords = Passwords(world)
        on = Upkept(world)  # over the same owner's ports
        pins = [f"{number:06d}" for number in range(6)]
        for pin in pins:
            passwords.create(pin)
        on.enrol(Method.CARD, 10)
        on.cloud.wants = WISH
        await passwords.desk.told(await passwords.cloud.held(DOOR))
        late = dict.fromkeys(range(500), NotifyFault.DELAY)  # time enough to ask something else
        world.radio.faults = world.radio.then = Faults(notifications=late)
        await on.look()
        await on.visit()
        assert passwords.at_lock() == pins
        assert on.app.flash.t0 == PAIRED
        assert on.progress(Subject.CREDENTIALS) is Progress.DONE
        assert passwords.desk.state().last_error is on.desk.state().last_error is None
        assert len(world.radio.links) <= 2

    rehearse(main)


# -- what fails here keeps no door shut


@pytest.mark.parametrize("name", PROFILES)  # the last one never asks for the time
def test_a_clock_that_is_not_trusted_tells_and_asks_nothing(name: str) -> None:
    async def story(on: Upkept) -> None:
        on.cloud.wants = WISH
        await on.desk.open()
        on.desk.told_t0(PAIRED)
        on.world.clock.trusted = False
        await on.visit()
        assert not on.replies(T0) + on.replies(ASKED)
        assert on.cloud.wishes == 0
        assert on.desk.state().clock_told_at is None
        assert ending(await on.world.operate()).outcome is Outcome.CONFIRMED

    tell(story, name)


def test_when_the_lock_was_told_the_time_is_known() -> None:
    async def story(on: Upkept) -> None:
        before = on.world.clock.unix()
        await on.look()
        told = on.desk.state().clock_told_at
        assert told is not None
        assert before <= told <= before + 5

    tell(story)


@pytest.mark.parametrize("trouble", ["fails", "hangs"])
def test_a_disk_that_fails_keeps_no_door_shut(trouble: str) -> None:
    async def story(on: Upkept) -> None:
        await on.desk.open()
        on.desk.told_t0(PAIRED)
        setattr(on.book, trouble, True)
        on.world.doors._supervisor.called(DOOR)
        await anyio.sleep(2)
        before = on.world.clock.now()
        assert ending(await on.world.operate()).outcome is Outcome.CONFIRMED
        assert on.world.clock.now() - before < 10
        await on.quiet()
        assert on.desk.state().last_error == "store-failed"
        setattr(on.book, trouble, False)
        await on.visit()
        assert on.progress(Subject.T0) is Progress.DONE  # told twice: the same
        on.world.tasks.cancel_scope.cancel()

    tell(story)


def test_a_list_that_cannot_be_kept_is_asked_for_again() -> None:
    async def story(on: Upkept) -> None:
        on.enrol(Method.CARD, 10)
        on.cloud.wants = WISH
        on.world.book.take_fails = True
        await on.look()
        assert on.desk.state().last_error == "store-failed"
        assert on.progress(Subject.CREDENTIALS) is None
        on.world.book.take_fails = False
        await on.visit()
        assert len(on.reported()) == 1

    tell(story)


def test_a_fault_of_ours_ends_it_and_no_connection() -> None:
    async def story(on: Upkept) -> None:
        await on.desk.open()
        on.desk.told_t0(PAIRED)

        def broken(*_: object) -> None:
            raise RuntimeError

        on.desk.beginning = broken  # type: ignore[assignment, method-assign]
        on.world.doors._supervisor.called(DOOR)
        await anyio.sleep(1)
        assert on.desk.state().last_error == "agent-error"
        assert ending(await on.world.operate()).outcome is Outcome.CONFIRMED
        assert len(on.world.radio.links) == 1

    tell(story)


def test_the_looks_go_on_by_themselves() -> None:
    async def story(on: Upkept) -> None:
        on.world.tasks.start_soon(on.looks.run)
        on.cloud.down = True
        await anyio.sleep(5)
        assert on.desk.state().last_error == "cloud-failed"
        on.cloud.down = False
        await anyio.sleep(700)
        await on.quiet()
        assert on.app.flash.t0 == PAIRED
        on.cloud.paired = PAIRED + 60
        await anyio.sleep(3700)
        assert on.app.flash.t0 == PAIRED + 60
        assert on.visits == 2
        on.world.tasks.cancel_scope.cancel()

    tell(story)


def test_t0_is_in_no_text() -> None:
    async def story(on: Upkept) -> None:
        await on.look()
        digits = str(PAIRED)
        for shown in (on.desk.state(), on.book.rows, on.noted, on.desk.t0, on.desk._t0):
            assert digits not in repr(shown)

    tell(story)
