"""Temporary passwords reach the lock: beside visits, once, in spite of cuts, disks and doors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from bleagent.model import Outcome
from bleagent.policy import Backlog, Connection
from bleagent.simulator.cloud_passwords import Phase as CloudPhase
from bleagent.simulator.faults import DELAY, NO_FAULTS, Faults, NotifyFault, WriteFault
from bleagent.simulator.lock_app.buffer import ReplyBuffer, Request
from bleagent.simulator.lock_app.flash import Credential
from bleagent.simulator.log import LinkChanged, RecordDeleted, Replied
from bleagent.sync import password_duty as sync
from bleagent.sync.passwords import MOST_TRIES, Phase, State, Why
from protocol import DpMap, DpName
from protocol.credentials import Method, Validity
from protocol.dpmap import LockGeneration
from tests.agent.password_world import DAY, HOUR, Passwords
from tests.agent.stories import ending
from tests.agent.world import DOOR, World, rehearse

PIN, OTHER = "123456", "654321"
ADDED, LISTED = 51, 54
PROFILES = ("v3.0", "v4-20", "secv2-244")


def tell(story: Callable[[Passwords], Awaitable[None]], name: str = "v3.0", **options: Any) -> None:
    async def main(world: World) -> None:
        world.clock.trusted = True
        await story(Passwords(world))

    rehearse(main, name, **options)


@pytest.mark.parametrize("name", PROFILES)
def test_a_password_is_brought_and_taken_away_again(name: str) -> None:
    async def story(on: Passwords) -> None:
        made = on.create(PIN)
        await on.look()
        assert on.opens(PIN)
        assert on.states() == {made: State.CONFIRMED}
        assert on.book.rows[DOOR, made].hardid == 40
        on.delete(made)
        await on.look()
        assert on.at_lock() == []
        assert on.states() == {made: State.GONE}

    tell(story, name)


def test_nothing_is_visited_twice_for_the_same() -> None:
    async def story(on: Passwords) -> None:
        on.create(PIN)
        for _ in range(3):
            await on.look()  # the cloud goes on saying that it is to be sent
        assert len(on.world.radio.links) == 1
        assert on.at_lock() == [PIN]

    tell(story)


def test_a_lock_that_cannot_be_reached_is_visited_once_an_hour_for_the_same() -> None:
    async def story(on: Passwords) -> None:
        on.create(PIN)
        on.world.radio.faults = on.world.radio.then = Faults(absent=True)
        await on.look()
        await on.look()
        assert on.visits == 1
        on.create(OTHER)
        await on.look()
        assert on.visits == 2
        await anyio.sleep(HOUR)
        await on.look()
        assert on.visits == 3

    tell(story)


def test_it_opens_in_its_time_only() -> None:
    async def story(on: Passwords) -> None:
        on.create(PIN, begins=HOUR, ends=2 * HOUR)
        await on.look()
        assert not on.opens(PIN)
        await anyio.sleep(HOUR)
        assert on.opens(PIN)
        await anyio.sleep(HOUR)
        assert not on.opens(PIN)
        await on.look()
        assert on.at_lock() == []  # its place is free again

    tell(story)


def test_other_times_are_changed_in_place() -> None:
    async def story(on: Passwords) -> None:
        made = on.create(PIN)
        await on.look()
        later = int(on.world.clock.unix()) + DAY
        on.change(made, effective_time=later, invalid_time=later + HOUR)
        await on.look()
        assert not on.opens(PIN)
        assert on.at_lock() == [PIN]
        assert on.book.rows[DOOR, made].hardid == 40

    tell(story)


def test_a_password_for_once_opens_once() -> None:
    async def story(on: Passwords) -> None:
        on.create(PIN, type=1)
        await on.look()
        event = {"local": {"action": "temporary_password", "digits": PIN}}
        on.world.lock.local(event, on.world.clock.now())
        assert on.at_lock() == []
        await on.look()
        assert on.at_lock() == []  # it was brought; that it was used is no reason to bring it again

    tell(story)


def test_without_digits_it_waits_and_is_deleted_all_the_same() -> None:
    async def story(on: Passwords) -> None:
        on.cloud.without_digits = True
        made = on.create(PIN)
        await on.look()
        assert on.states() == {made: State.WAITING}
        assert on.book.rows[DOOR, made].why is Why.DIGITS_UNKNOWN
        assert on.visits == 0
        on.cloud.without_digits = False
        await on.look()
        on.cloud.without_digits = True
        on.delete(made)
        await on.look()
        assert on.at_lock() == []

    tell(story)


def test_what_no_document_explains_is_not_written() -> None:
    async def story(on: Passwords) -> None:
        hours = [{"effective_time": 480, "invalid_time": 1080, "working_day": 62}]
        made = on.create(PIN, schedule_list=hours)
        await on.look()
        assert on.states() == {made: State.GIVEN_UP}
        assert on.at_lock() == []

    tell(story)


def replies(on: Passwords, dp: int) -> list[Replied]:
    """What the lock said about one datapoint."""
    return [one for one in on.world.lock.log if isinstance(one, Replied) and one.dp == dp]


def left(on: Passwords) -> float:
    """When the lock was left last."""
    return [one.at for one in on.world.lock.log if isinstance(one, LinkChanged)][-1]


def enrol(on: Passwords, pin: str) -> int:
    """The owner's phone brings one; its number."""
    number = on.app.credentials.free(Method.TEMPORARY_PASSWORD)
    digits = bytes(int(one) for one in pin)
    validity = Validity.permanent().to_bytes()
    on.app.flash.credentials[number] = Credential(
        Method.TEMPORARY_PASSWORD, 0, 0, validity, 0, digits
    )
    return number


def test_one_that_the_phone_brought_is_taken_away_by_its_number() -> None:
    async def story(on: Passwords) -> None:
        number = enrol(on, PIN)
        made = on.create(PIN, sn=number)
        on.change(made, phase=CloudPhase.SENT)
        await on.look()
        assert on.visits == 0
        on.delete(made)
        await on.look()
        assert on.at_lock() == []

    tell(story)


def test_a_number_that_is_another_ones_by_now_is_left_alone() -> None:
    async def story(on: Passwords) -> None:
        made = on.create(PIN)
        await on.look()
        on.app.flash.credentials.clear()  # the phone deletes ours, and brings its own
        other = on.create(OTHER, sn=enrol(on, OTHER))
        on.change(other, phase=CloudPhase.SENT)
        on.delete(made)
        await on.look()
        assert on.at_lock() == [OTHER]
        assert on.states()[made] is State.GONE

    tell(story)


def test_a_number_of_no_temporary_password_is_never_deleted() -> None:
    async def story(on: Passwords) -> None:
        made = on.create(PIN, sn=1)  # a resident's password, at this lock
        enrol(on, OTHER)
        on.app.flash.credentials[1] = on.app.flash.credentials.pop(40)
        on.app.flash.credentials[1].method = Method.PASSWORD
        on.change(made, phase=CloudPhase.TO_BE_DELETED)
        await on.look()
        assert 1 in on.app.flash.credentials

    tell(story)


def test_a_second_one_is_taken_away_when_the_phone_brought_it_too() -> None:
    async def story(on: Passwords) -> None:
        made = on.create(PIN)
        await on.look()
        on.change(made, phase=CloudPhase.SENT, more={"sn": enrol(on, PIN)})
        await on.look()
        assert on.at_lock() == [PIN]
        assert list(on.app.flash.credentials) == [41]

    tell(story)


def test_a_full_lock_is_asked_again_when_there_is_room() -> None:
    async def story(on: Passwords) -> None:
        for index in range(10):
            enrol(on, f"{index:06d}")
        made = on.create(PIN)
        await on.look()
        assert on.states() == {made: State.REFUSED}
        assert on.book.rows[DOOR, made].result == 2
        assert len(replies(on, ADDED)) == 1  # once for each word of the cloud
        del on.app.flash.credentials[44]
        await on.look()
        await on.desk.told(await on.cloud.held(DOOR))
        on.world.doors._supervisor.called(DOOR)
        await on.quiet()
        assert on.opens(PIN)

    tell(story)


# -- cuts


def packets(name: str) -> tuple[int, int]:
    counted: list[int] = []

    async def story(on: Passwords) -> None:
        on.delete(await brought(on))
        on.create(OTHER)
        await on.look()
        link = on.world.radio.links[-1]
        counted.extend((len(link.written), link.notified))

    tell(story, name)
    return counted[0], counted[1]


async def brought(on: Passwords) -> str:
    made = on.create(PIN)
    await on.look()
    return made


def cut(name: str, faults: Faults) -> None:
    """One is to be deleted and one to be added, and something goes wrong at a packet."""

    async def story(on: Passwords) -> None:
        on.delete(await brought(on))
        made = on.create(OTHER)
        on.world.radio.faults, on.world.radio.then = faults, NO_FAULTS
        for _ in range(3):
            await on.look()
            on.world.doors._supervisor.called(DOOR)
            await on.quiet()
        assert on.at_lock() == [OTHER], faults
        assert on.states()[made] is State.CONFIRMED
        on.delete(made)
        await on.look()
        assert on.at_lock() == []

    tell(story, name)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("fault", [WriteFault.DROP_BEFORE, WriteFault.DROP_AFTER, WriteFault.LOSE])
def test_cut_at_any_write(name: str, fault: WriteFault) -> None:
    writes, _ = packets(name)
    assert writes > 4
    for position in range(writes):
        cut(name, Faults(writes={position: fault}))


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("fault", [NotifyFault.DROP_BEFORE, NotifyFault.LOSE])
def test_cut_at_any_notification(name: str, fault: NotifyFault) -> None:
    _, notifications = packets(name)
    assert notifications > 4
    for position in range(notifications):
        cut(name, Faults(notifications={position: fault}))


def test_an_addition_that_the_lock_never_does_is_given_up() -> None:
    async def story(on: Passwords) -> None:
        made = on.create(PIN)
        on.app.credentials.add_temporary = lambda *_: False  # type: ignore[method-assign]
        for _ in range(MOST_TRIES + 2):
            await on.look()
            on.world.doors._supervisor.called(DOOR)
            await on.quiet()
        assert on.states() == {made: State.GIVEN_UP}
        assert on.book.rows[DOOR, made].why is Why.UNANSWERED

    tell(story)


# -- doors go first


def test_an_opening_that_comes_in_the_middle_goes_first() -> None:
    """One frame that is on its way goes to its end, and nothing more comes between."""

    halfway: list[bool] = []

    def lasted(pins: int, after: float) -> float:
        found: list[float] = []

        async def story(on: Passwords) -> None:
            on.world.radio.then = Faults(writes=dict.fromkeys(range(8, 500), WriteFault.DELAY))
            on.world.radio.faults = on.world.radio.then
            for index in range(pins):
                on.create(f"{index:06d}")
            await on.desk.told(await on.cloud.held(DOOR))
            on.world.doors._supervisor.owner(DOOR).keep_warm()
            await anyio.sleep(after)
            on.world.cloud.takes = 5.0  # time enough to ask something more
            began = on.world.clock.now()
            request = on.world.request(deadline=30.0)
            record, _ = await on.world.doors.operate(request)
            assert ending(record).outcome is Outcome.CONFIRMED
            (actuated,) = on.world.actuations()
            halfway.append(0 < len(on.at_lock()) < pins)
            meanwhile = [one for one in replies(on, ADDED) if began < one.at <= actuated.at]
            assert len(meanwhile) <= 1
            found.append(actuated.at - began)
            await on.quiet()
            assert len(on.at_lock()) == pins

        tell(story, connection=Connection.WARM, warm_for=200.0)
        return found[0]

    frame = 4 * DELAY
    for after in (10.0, 12.3, 15.0, 20.0, 31.1):
        assert lasted(8, after) <= lasted(0, after) + frame
    assert any(halfway)


def test_nothing_is_asked_before_the_opening_that_a_visit_is_for() -> None:
    async def story(on: Passwords) -> None:
        on.create(PIN)
        await on.desk.told(await on.cloud.held(DOOR))
        assert ending(await on.world.operate()).outcome is Outcome.CONFIRMED
        (actuated,) = on.world.actuations()
        await on.quiet()
        asked = [
            one for one in on.world.lock.log if isinstance(one, Replied) and one.dp in (51, 54)
        ]
        assert {one.dp for one in asked} == {51, 54}
        assert all(one.at > actuated.at for one in asked)
        assert on.opens(PIN)

    tell(story)


def test_records_are_taken_first() -> None:
    async def story(on: Passwords) -> None:
        on.world.lock.local(
            {"local": {"action": "record", "dp": 12, "value": 21}}, on.world.clock.now()
        )
        on.create(PIN)
        await on.look()
        replied = [one for one in on.world.lock.log if isinstance(one, Replied)]
        listed = next(one.at for one in replied if one.dp == 54)
        drained = [one.at for one in on.world.lock.log if isinstance(one, RecordDeleted)]
        assert drained
        assert listed > drained[-1] + 2  # and it was quiet for a while
        assert on.opens(PIN)

    tell(story, backlog=Backlog.TAKE)


def test_an_opening_that_comes_before_the_first_packet_leaves_nothing_asked() -> None:
    async def story(on: Passwords) -> None:
        made = on.create(PIN)
        await on.desk.told(await on.cloud.held(DOOR))
        on.book.takes = 2.0
        on.world.cloud.takes = 3.0
        on.world.doors._supervisor.called(DOOR)
        await anyio.sleep(1)  # what is to be asked is on its way to the disk
        assert ending(await on.world.operate()).outcome is Outcome.CONFIRMED
        assert not replies(on, ADDED)
        assert on.states() == {made: State.WAITING}
        assert on.book.rows[DOOR, made].tries == 0
        on.book.takes = 0.0
        await on.quiet()
        assert on.opens(PIN)
        assert on.book.rows[DOOR, made].hardid == 40

    tell(story)


# -- what fails here keeps no door shut


def test_a_lock_that_was_told_no_time_gets_none_on_that_connection() -> None:
    async def story(on: Passwords) -> None:
        on.create(PIN)
        await on.desk.told(await on.cloud.held(DOOR))
        on.world.clock.trusted = False
        on.world.doors._supervisor.called(DOOR)
        await anyio.sleep(1)
        on.world.clock.trusted = True
        on.desk.tell_change()
        await on.quiet()
        assert on.at_lock() == []
        on.world.doors._supervisor.called(DOOR)
        await on.quiet()
        assert on.opens(PIN)

    tell(story)


def test_a_reply_about_another_number_is_none() -> None:
    async def story(on: Passwords) -> None:
        made = await brought(on)
        delete = on.app.credentials.delete_temporary

        def other(request: Request, reply: ReplyBuffer) -> bool:
            delete(request, reply)
            reply.set(0, 45)
            return True

        on.app.credentials.delete_temporary = other  # type: ignore[method-assign]
        on.delete(made)
        await on.look()
        assert on.states() == {made: State.WRITTEN}
        assert on.desk.state().last_error == "lock-silent"

    tell(story)


def test_a_visit_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "MOST_STEPS", 2)

    async def story(on: Passwords) -> None:
        for index in range(3):
            on.create(f"{index:06d}")
        await on.look()
        assert len(on.at_lock()) == 2
        assert left(on) < 30
        await on.look()
        assert len(on.at_lock()) == 3

    tell(story)


def test_what_neither_cloud_nor_lock_has_is_forgotten() -> None:
    async def story(on: Passwords) -> None:
        on.delete(await brought(on))
        await on.look()
        assert on.book.rows
        on.cloud.desk.passwords.clear()
        await on.look()
        assert not on.book.rows

    tell(story)


def test_a_fault_of_ours_ends_it_and_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(sync, "asking", broken)

    async def story(on: Passwords) -> None:
        on.create(PIN)
        await on.desk.told(await on.cloud.held(DOOR))
        on.world.doors._supervisor.called(DOOR)
        await anyio.sleep(1)
        assert on.desk.state().last_error == "agent-error"
        assert ending(await on.world.operate()).outcome is Outcome.CONFIRMED
        assert len(on.world.radio.links) == 1

    tell(story)


def test_a_lock_without_a_list_gets_none() -> None:
    whole = DpMap.default(LockGeneration.V3_3)
    less = dict(whole.numbers)
    del less[DpName.SYNC]

    async def story(on: Passwords) -> None:
        on.create(PIN)
        await on.look()
        assert on.at_lock() == []
        assert on.desk.state().last_error == "passwords-unsupported"

    tell(story, dps=replace(whole, numbers=less))


@pytest.mark.parametrize("name", PROFILES)  # the last one never asks for the time
def test_a_clock_that_is_not_trusted_brings_nothing(name: str) -> None:
    async def story(on: Passwords) -> None:
        on.create(PIN)
        await on.desk.told(await on.cloud.held(DOOR))
        on.world.clock.trusted = False
        on.world.doors._supervisor.called(DOOR)
        await on.quiet()
        assert on.at_lock() == []
        assert ending(await on.world.operate()).outcome is Outcome.CONFIRMED

    tell(story, name)


@pytest.mark.parametrize("trouble", ["fails", "hangs"])
def test_a_disk_that_fails_keeps_no_door_shut_and_writes_nothing(trouble: str) -> None:
    async def story(on: Passwords) -> None:
        on.create(PIN)
        await on.desk.told(await on.cloud.held(DOOR))
        setattr(on.book, trouble, True)
        before = on.world.clock.now()
        on.world.doors._supervisor.called(DOOR)
        await anyio.sleep(2)
        assert ending(await on.world.operate()).outcome is Outcome.CONFIRMED
        assert on.world.clock.now() - before < 10
        await on.quiet()
        assert on.at_lock() == []
        assert on.desk.state().last_error == "store-failed"
        on.world.tasks.cancel_scope.cancel()

    tell(story)


def test_an_old_word_of_the_cloud_is_not_acted_upon() -> None:
    async def story(on: Passwords) -> None:
        on.create(PIN)
        await on.desk.told(await on.cloud.held(DOOR))
        on.cloud.down = True
        await anyio.sleep(901)
        await on.look()
        on.world.doors._supervisor.called(DOOR)
        await on.quiet()
        assert on.at_lock() == []
        assert on.desk.state().last_error == "cloud-failed"
        on.cloud.down = False
        await on.look()
        assert on.desk.state().last_error is None
        assert on.opens(PIN)

    tell(story)


def test_the_looks_go_on_by_themselves() -> None:
    async def story(on: Passwords) -> None:
        on.world.tasks.start_soon(on.looks.run)
        await anyio.sleep(1)
        on.create(PIN)
        await anyio.sleep(601)
        await on.quiet()
        assert on.opens(PIN)
        looks = on.cloud.looks
        await anyio.sleep(6000)
        assert on.cloud.looks - looks <= 10
        on.world.tasks.cancel_scope.cancel()

    tell(story)


def test_digits_are_in_no_text() -> None:
    async def story(on: Passwords) -> None:
        on.create(PIN)
        (held,) = await on.cloud.held(DOOR)
        assert PIN not in repr(held)
        assert PIN not in repr(held.grant())
        await on.look()
        assert PIN not in repr(on.book.rows)
        assert held.phase == Phase.TO_BE_SENT

    tell(story)
