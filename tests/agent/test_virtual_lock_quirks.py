"""The field's quirks, one by one; each is off unless it is asked for."""

from __future__ import annotations

import pytest

from bleagent.simulator.quirks import Quirks
from protocol import events as ev
from tests.agent.virtual_lock_user import OPEN, UNIX, User

OPEN_CHECKED, MANUAL_LOCK, BOLT = 71, 46, 47
CLOSE = OPEN[:12] + b"\0" + OPEN[13:]


def entered(quirks: Quirks, name: str = "v3.0") -> User:
    user = User(name, quirks=quirks)
    user.enter()
    return user


def said(user: User, dp: int) -> list[bytes]:
    return [
        one.report.datapoints[0].data
        for one in user.reports
        if one.report.datapoints[0].id == dp and one.report.time is None
    ]


def test_an_answer_that_takes_its_time() -> None:
    user = entered(Quirks(answer_delay=3.0))
    sn = user.write(OPEN_CHECKED, OPEN)
    assert user.happened == ["opened"]
    assert said(user, OPEN_CHECKED) == []
    assert user.lock.log.replies(1, sn) == []
    user.wait(3.0)
    assert [data[-1] for data in said(user, OPEN_CHECKED)] == [0]
    assert [one.at for one in user.lock.log.replies(1, sn)] == [3.0]


def test_a_late_answer_is_lost_with_the_link() -> None:
    user = entered(Quirks(answer_delay=3.0))
    sn = user.write(OPEN_CHECKED, OPEN)
    user.leave()
    user.enter()
    user.wait(5.0)
    assert said(user, OPEN_CHECKED) == []
    assert user.lock.log.replies(1, sn) == []
    assert user.lock.dump()["opened"] == 1


def test_a_command_is_dropped_while_the_motor_runs() -> None:
    user = entered(Quirks(motor_time=2.0))
    user.write(OPEN_CHECKED, OPEN)
    user.wait(1.9)
    user.write(MANUAL_LOCK, b"\1")
    assert user.happened == ["opened"]
    assert said(user, MANUAL_LOCK) == []
    user.wait(0.1)
    user.write(MANUAL_LOCK, b"\1")
    assert user.happened == ["opened", "closed"]


def test_the_bolt_is_reported_when_the_motor_has_stopped() -> None:
    user = entered(Quirks(motor_time=2.0, reports_bolt=True))
    user.write(OPEN_CHECKED, OPEN)
    user.wait(1.9)
    assert said(user, BOLT) == []
    user.wait(0.1)
    user.write(MANUAL_LOCK, b"\1")
    user.wait(2.0)
    assert said(user, BOLT) == [b"\1", b"\0"]


def test_a_silent_bolt_says_nothing_of_itself() -> None:
    user = entered(Quirks(silent_bolt=True, reports_bolt=True))
    user.write(OPEN_CHECKED, OPEN)
    user.local(action="state", dp=BOLT, value=0)
    user.wait(1.0)
    assert said(user, BOLT) == []
    assert user.lock.dump()["bolt"] == "closed"


def test_any_code_opens_a_lock_that_does_not_check() -> None:
    user = entered(Quirks(no_check_of_code=True))
    assert user.ask(OPEN_CHECKED, OPEN[:4] + b"00000000" + OPEN[12:])[-1] == 0


@pytest.mark.parametrize(("accepted", "result"), [(True, 0), (False, 2)])
def test_ids_the_other_way_round(*, accepted: bool, result: int) -> None:
    user = entered(Quirks(swapped_ids_accepted=accepted))
    assert user.ask(OPEN_CHECKED, OPEN[2:4] + OPEN[:2] + OPEN[4:])[-1] == result
    assert user.ask(OPEN_CHECKED, OPEN)[-1] == 0


def test_an_opening_that_is_not_newer_is_ignored() -> None:
    user = entered(Quirks(needs_newer_timestamp=True))
    user.write(OPEN_CHECKED, OPEN)
    user.write(OPEN_CHECKED, OPEN)
    assert len(said(user, OPEN_CHECKED)) == 1
    newer = OPEN[:13] + (UNIX + 1).to_bytes(4, "big") + OPEN[17:]
    user.write(OPEN_CHECKED, newer)
    assert user.happened == ["opened", "opened"]


def test_a_lock_that_closes_by_the_checked_opening() -> None:
    user = entered(Quirks(closes_by_open_checked=True))
    assert user.ask(OPEN_CHECKED, CLOSE)[-1] == 0
    assert user.happened == ["closed"]


def test_a_lock_that_speaks_first() -> None:
    user = User(quirks=Quirks(pushes_info_on_connect=True))
    actions = user.lock.connected(0.0)
    user.central.connected()
    user.take(actions)
    assert [type(one) for one in user.seen] == [ev.Unclaimed]
    user.hand(user.central.ask_device_info(0.0))
    user.hand(user.central.pair(0.0))
    assert any(isinstance(one, ev.Paired) for one in user.seen)


@pytest.mark.parametrize("name", ["v3.0", "v4-244"])
def test_a_record_that_nobody_acknowledges_comes_three_times(name: str) -> None:
    user = entered(Quirks(resends_unacked_records=True), name)
    user.local(action="record", dp=12, value=1)
    user.local(action="record", dp=12, value=2)
    user.wait(6.0)
    user.wait(6.0)
    assert [data[-1] for _, _, data in user.records] == [1, 1, 1]
    user.wait(6.0)
    assert [data[-1] for _, _, data in user.records] == [1, 1, 1, 2]


def test_an_acknowledged_record_lets_the_next_one_go_at_once() -> None:
    user = entered(Quirks(resends_unacked_records=True), "v4-244")
    user.local(action="record", dp=12, value=1)
    user.local(action="record", dp=12, value=2)
    user.acknowledge()
    assert [data[-1] for _, _, data in user.records][:2] == [1, 2]


def test_a_jammed_motor_answers_1_until_it_is_free() -> None:
    user = entered(Quirks(jammed=True))
    assert user.ask(OPEN_CHECKED, OPEN)[-1] == 1
    assert user.happened == []
    assert [one.moved for one in user.lock.log.actuations()] == [False]
    assert user.lock.log.openings() == []
    user.local(action="motor", ok=True)
    assert user.ask(OPEN_CHECKED, OPEN)[-1] == 0


def test_a_lock_that_refuses_with_a_code_does_not_move() -> None:
    user = entered(Quirks(refuse_open_with=9))
    assert user.ask(OPEN_CHECKED, OPEN)[-1] == 9
    assert user.happened == []
