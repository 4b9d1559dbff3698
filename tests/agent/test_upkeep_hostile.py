"""Upkeep before a lock and a cloud that answer late, too much, or nonsense."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import anyio

from bleagent.errors import StoreError
from bleagent.policy import Connection
from bleagent.records.beside import CallsBeside
from bleagent.simulator.faults import Faults, WriteFault
from bleagent.sync.passwords import Doing, State
from bleagent.sync.questions import MOST_REPLIES
from bleagent.sync.upkeep import Progress, Subject, Wanted, digest_of
from bleagent.sync.upkeep_desk import UpkeepDesk, digest_of_t0
from bleagent.sync.upkeep_duty import LONGEST_LIST
from bleagent.sync.upkeep_look import UpkeepLooks
from protocol import DpName, Secret
from protocol import events as ev
from protocol.credential_list import SyncPage
from protocol.credentials import Method
from protocol.credits import Origin
from tests.agent.password_world import Passwords
from tests.agent.upkeep_world import ASKED, EVERY_KIND, KEY, PAIRED, T0, MemoryUpkeep, Upkept
from tests.agent.world import DOOR, World, rehearse

WISH = Wanted(ASKED, EVERY_KIND)
LATE = 6.0
"""Seconds; nobody waits for an answer that long."""


def test_a_list_that_comes_late_is_not_taken_for_the_passwords() -> None:
    """Else one that the lock has would be missing from it, and be brought twice."""

    async def main(world: World) -> None:
        world.clock.trusted = True
        passwords = Passwords(world)
        passwords.create("123456")
        await passwords.look()
        ((key, known),) = passwords.book.rows.items()
        # As after a cut of the power: the lock has it, and its word was not heard.
        passwords.book.rows[key] = replace(
            known, state=State.WRITTEN, doing=Doing.ADD, hardid=None, before=frozenset()
        )
        passwords.start()
        on = Upkept(world)  # over the same owner's ports
        on.cloud.wants = WISH
        on.app.machine.quirks = replace(on.app.machine.quirks, answer_delay=LATE)
        await on.desk.open()
        world.doors._supervisor.called(DOOR)
        await anyio.sleep(3)
        assert on.cloud.wishes == 1
        await passwords.desk.told(await passwords.cloud.held(DOOR))
        await on.quiet()
        assert passwords.at_lock() == ["123456"]
        on.app.machine.quirks = replace(on.app.machine.quirks, answer_delay=0.0)
        await on.visit()
        assert passwords.states() == {"1": State.CONFIRMED}
        assert passwords.at_lock() == ["123456"]

    rehearse(main)


def test_the_passwords_list_that_comes_late_is_not_taken_for_the_whole() -> None:
    async def main(world: World) -> None:
        world.clock.trusted = True
        passwords = Passwords(world)
        on = Upkept(world)
        on.cloud.wants = Wanted(ASKED, bytes([Method.CARD]))
        on.enrol(Method.CARD, 10)
        on.app.machine.quirks = replace(on.app.machine.quirks, answer_delay=LATE)
        await on.desk.open()
        passwords.create("123456")
        await passwords.look()
        assert on.cloud.wishes == 1
        assert on.progress(Subject.CREDENTIALS) is Progress.WAITING
        assert on.reported() == []

    rehearse(main)


def test_a_list_without_end_is_left() -> None:
    async def main(world: World) -> None:
        world.clock.trusted = True
        on, said = Upkept(world), []
        on.cloud.wants = Wanted(ASKED, bytes([Method.CARD]))

        def page() -> Iterator[bytes]:
            on.app.sync.running = True
            said.append(world.clock.now())
            yield from [SyncPage(0, ()).to_bytes()] * (3 if len(said) == 1 else 1)

        on.app.sync.advance = page  # type: ignore[method-assign]
        late = dict.fromkeys(range(8, 5000), WriteFault.DELAY)  # the next page is there before
        world.radio.faults = world.radio.then = Faults(writes=late)
        await on.desk.open()
        await on.visit()
        assert said[-1] - said[0] < LONGEST_LIST + 10
        assert on.book.rows[DOOR, Subject.CREDENTIALS].silent == 1

    rehearse(main)


def test_answers_that_nobody_waits_for_take_no_memory() -> None:
    async def main(world: World) -> None:
        world.clock.trusted = True
        on, kept = Upkept(world), []
        on.cloud.wants = Wanted(ASKED, bytes([Method.CARD]))
        await on.desk.open()
        world.doors._supervisor.owner(DOOR).keep_warm()
        await anyio.sleep(5)
        questions = on._owner._session.questions
        for _ in range(10_000):
            on.app.records.reply.begin(on.app.dps.number(DpName.SYNC), 0, b"\1\0")
            report = on.app.records.reporter.state(on.app.records.reply.datapoint())
            assert report is not None
            questions.listen(ev.Reported(sn=1, report=report, origin=Origin.LIVE))
        kept.append(len(questions._replies))
        assert kept[0] <= MOST_REPLIES
        world.tasks.cancel_scope.cancel()

    rehearse(main, connection=Connection.WARM, warm_for=60.0)


def test_a_date_to_come_is_no_t0() -> None:
    """No lock was paired in times to come; whatever it means, offline passwords are lost by it."""

    async def main(world: World) -> None:
        world.clock.trusted = True
        on = Upkept(world)
        on.cloud.paired = int(world.clock.unix()) + 2 * 24 * 3600
        await on.look()
        await on.visit()
        assert not on.replies(T0)
        assert on.desk.state().t0 is None
        on.cloud.paired = int(world.clock.unix())  # paired this moment, by either's clock
        await on.look()
        assert on.app.flash.t0 == on.cloud.paired

    rehearse(main)


def test_what_is_kept_of_one_lock_and_cannot_be_read_stops_no_other() -> None:
    async def main(world: World) -> None:
        world.clock.trusted = True
        on = Upkept(world)
        broken = MemoryUpkeep(fails=True)
        calls = CallsBeside(world.tasks, "passwords")
        desk = UpkeepDesk("broken", KEY, broken, calls, world.clock, on.cloud.wanted)
        on.looks = UpkeepLooks(
            {"broken": desk, DOOR: on.desk}, on.cloud, world.clock, on._visit, lambda *_: None
        )
        assert not await on.looks.look()
        await on.quiet()
        assert desk.state().last_error == StoreError.code
        assert on.app.flash.t0 == PAIRED

    rehearse(main)


def test_what_is_kept_of_t0_is_found_by_nobody_who_tries_all() -> None:
    """It has ten digits: a plain digest is turned back in minutes."""
    others = Secret("another lock's key")
    digits = Secret(str(PAIRED))
    assert digest_of_t0(digits, KEY) != digest_of_t0(digits, others)

    async def main(world: World) -> None:
        world.clock.trusted = True
        on = Upkept(world)
        await on.look()
        kept = on.book.rows[DOOR, Subject.T0].digest
        assert kept == digest_of_t0(digits, KEY)
        assert kept != digest_of([str(PAIRED).encode()])

    rehearse(main)
