"""What a lock says of a temporary password goes to the sinks: once, as it said it, no digits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from bleagent.errors import StoreError
from bleagent.model import Outcome
from bleagent.records.standard_codes import STANDARD_CODES
from bleagent.simulator.cloud_passwords import Phase as CloudPhase
from bleagent.simulator.cloud_records import ReportedRecord
from bleagent.simulator.faults import Faults, NotifyFault
from bleagent.sync.passwords import Doing, Held, Item, Phase, State, is_told
from protocol.credentials import TemporaryResult
from protocol.records import RecordKind
from tests.agent.password_world import DAY, DEVICE, HOUR, MemoryPasswords, Passwords
from tests.agent.stories import ending
from tests.agent.test_sync import enrol
from tests.agent.world import DOOR, World, rehearse

PIN, OTHER = "123456", "654321"
ADDED, DELETED, CHANGED = 51, 52, 53
LATER = 10**13


def tell(story: Callable[[Passwords], Awaitable[None]], name: str = "v3.0", **options: Any) -> None:
    async def main(world: World) -> None:
        world.clock.trusted = True
        await story(Passwords(world))

    rehearse(main, name, **options)


def told(on: Passwords) -> list[tuple[int, bytes]]:
    """What is on its way to the sinks."""
    reports = on.world.book.reports
    return [(one.dp, one.data.reveal()) for report in reports for one in report.happenings]


@pytest.mark.parametrize("name", ["v3.0", "v4-20", "secv2-244"])
def test_the_cloud_hears_what_became_of_a_password(name: str) -> None:
    async def story(on: Passwords) -> None:
        made = on.create(PIN)
        await on.look()
        assert told(on) == [(ADDED, b"\x28\0")]  # its number is 40
        report = on.world.book.reports[0]
        assert PIN.encode() not in report.raw.reveal()
        assert bytes(map(int, PIN)) not in report.raw.reveal()
        on.carry()
        known = on.cloud.desk.passwords[int(made)]
        assert (known.phase, known.more) == (CloudPhase.SENT, {"sn": 40})
        await on.look()
        assert on.at_lock() == [PIN]

        later = int(on.world.clock.unix()) + DAY
        on.change(
            made, effective_time=later, invalid_time=later + HOUR, phase=CloudPhase.TO_BE_SENT
        )
        await on.look()
        assert told(on) == [(CHANGED, b"\x28\0")]
        on.carry()
        assert on.cloud.desk.passwords[int(made)].phase is CloudPhase.SENT

        on.delete(made)
        await on.look()
        assert told(on) == [(DELETED, b"\x28\0")]
        on.carry()
        assert on.cloud.desk.passwords[int(made)].phase is CloudPhase.DELETED
        assert on.states() == {made: State.GONE}

    tell(story, name)


def test_of_two_that_are_to_be_sent_no_number_is_told_but_that_they_are_gone() -> None:
    async def story(on: Passwords) -> None:
        made = [on.create(PIN), on.create(OTHER)]
        await on.look()
        assert len(on.at_lock()) == 2
        assert told(on) == []
        for one in made:
            on.delete(one)
        await on.look()
        assert told(on) == [(DELETED, b"\x28\0"), (DELETED, b"\x29\0")]

    tell(story)


def test_a_word_that_was_lost_is_not_made_up() -> None:
    async def story(on: Passwords) -> None:
        made = on.create(PIN)
        said = len(on.world.book.reports)
        on.app.credentials.add_temporary = lambda *_: False  # type: ignore[method-assign]
        await on.look()
        number = enrol(on, PIN)  # it was done, and nobody heard it
        on.world.doors._supervisor.called(DOOR)
        await on.quiet()
        assert on.states() == {made: State.CONFIRMED}
        assert on.book.rows[DOOR, made].hardid == number
        assert len(on.world.book.reports) == said

    tell(story)


def test_it_is_told_once_though_the_agent_dies_before_it_knows_so() -> None:
    class Dies(MemoryPasswords):
        async def keep(self, lock: str, item: Item) -> None:
            if item.state is State.CONFIRMED and not self.fails:
                self.fails = True
                raise StoreError("dead")
            await super().keep(lock, item)

    async def main(world: World) -> None:
        world.clock.trusted = True
        on = Passwords(world, Dies())
        made = on.create(PIN)
        await on.look()
        assert len(told(on)) == 1
        on.book.fails = False
        on.book = MemoryPasswords(rows=on.book.rows)
        on.start()
        await on.look()
        assert on.states() == {made: State.CONFIRMED}
        assert on.at_lock() == [PIN]
        assert len(told(on)) == 1

    rehearse(main)


@pytest.mark.parametrize("takes", [0.0, 1e6])
def test_a_records_disk_that_fails_keeps_no_password_and_no_door(takes: float) -> None:
    async def story(on: Passwords) -> None:
        made = on.create(PIN)
        await on.desk.told(await on.cloud.held(DOOR))
        on.world.book.take_takes, on.world.book.take_fails = takes, True
        before = on.world.clock.now()
        on.world.doors._supervisor.called(DOOR)
        await anyio.sleep(2)
        assert on.at_lock() == [PIN]
        assert ending(await on.world.operate()).outcome is Outcome.CONFIRMED
        assert on.world.clock.now() - before < 5
        await anyio.sleep(10)
        assert on.states() == {made: State.CONFIRMED}
        assert on.desk.state().last_error == "store-failed"
        on.world.tasks.cancel_scope.cancel()

    tell(story)


def test_a_lost_packet_tells_nothing_twice() -> None:
    for position in range(4, 12):

        async def story(on: Passwords, position: int = position) -> None:
            on.create(PIN)
            on.world.radio.faults = Faults(notifications={position: NotifyFault.DROP_BEFORE})
            for _ in range(2):
                await on.look()
                on.world.doors._supervisor.called(DOOR)
                await on.quiet()
            assert on.at_lock() == [PIN]
            assert told(on) in ([], [(ADDED, b"\x28\0")])

        tell(story)


# -- the rule alone

HELD = Held(password_id="7", phase=Phase.TO_BE_SENT, begins=1, ends=2)
TWO = {"7": HELD, "8": replace(HELD, password_id="8")}
HERE = Item(password_id="7", state=State.CONFIRMED, hardid=40)
NO = replace(HERE, state=State.REFUSED, doing=Doing.CHANGE, result=1)


@pytest.mark.parametrize(
    ("before", "said", "doing", "held", "is_so"),
    [
        (None, HERE, Doing.ADD, {"7": HELD}, True),
        (None, HERE, Doing.ADD, TWO, False),
        (None, HERE, Doing.ADD, {"8": replace(TWO["8"], sn=41)}, True),  # it is known there
        (None, HERE, Doing.ADD, {"8": replace(TWO["8"], phase=Phase.SENT)}, True),
        (HERE, HERE, Doing.CHANGE, TWO, True),
        (HERE, replace(HERE, state=State.GONE), Doing.REMOVE, TWO, True),
        (HERE, NO, Doing.CHANGE, TWO, True),
        (NO, NO, Doing.CHANGE, TWO, False),
        (replace(NO, result=9), NO, Doing.CHANGE, TWO, True),
        (NO, replace(NO, doing=Doing.REMOVE), Doing.REMOVE, TWO, True),
        (None, replace(NO, result=TemporaryResult.FULL), Doing.ADD, {}, False),
    ],
)
def test_what_is_told(
    before: Item | None, said: Item, doing: Doing, held: dict[str, Held], *, is_so: bool
) -> None:
    assert is_told(before, said, doing, held) is is_so


# -- the cloud's side


@pytest.mark.parametrize(
    ("code", "value", "phases"),
    [
        ("temporary_password_creat", "KAA=", [1, 2, 3]),  # 40 is done; of two nobody knows which
        ("temporary_password_modify", "KAA=", [1, 2, 3]),
        ("temporary_password_delete", "KQA=", [1, 2, 0]),
        ("temporary_password_delete", "KQE=", [1, 2, 3]),  # a no
        ("temporary_password_delete", "nonsense", [1, 2, 3]),
        ("temporary_password_delete", "KQ==", [1, 2, 3]),
        ("unlock_temporary", "KQA=", [1, 2, 3]),
    ],
)
def test_a_report_moves_what_it_certainly_names(code: str, value: str, phases: list[int]) -> None:
    async def story(on: Passwords) -> None:
        on.create(PIN)
        on.create(OTHER, sn=40)
        on.create("111111", sn=41)
        on.change("2", phase=CloudPhase.SENT)
        on.change("3", phase=CloudPhase.TO_BE_DELETED)
        two = code == "temporary_password_creat"
        if two:
            on.create("222222")
        record = ReportedRecord(device_id=DEVICE, code=code, value=value, time_ms=LATER)
        on.cloud.desk.heard(record)
        found = [int(one.phase) for one in on.cloud.desk.passwords.values()]
        assert found == phases + [1] * two

    tell(story)


def test_a_lock_that_says_no_to_one_makes_it_fail() -> None:
    async def story(on: Passwords) -> None:
        on.create(PIN)
        code = STANDARD_CODES[RecordKind.ADD_TEMPORARY_PASSWORD]
        on.cloud.desk.heard(
            ReportedRecord(device_id=DEVICE, code=code, value="/wE=", time_ms=LATER)
        )
        assert on.cloud.desk.passwords[1].phase is CloudPhase.FAILED
        assert on.cloud.desk.passwords[1].more == {}

    tell(story)
