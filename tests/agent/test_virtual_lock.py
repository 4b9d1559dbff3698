"""Rules of the virtual lock that the recordings show only in part, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bleagent.simulator.application import LocalEventError
from bleagent.simulator.log import Move, RecordSent
from bleagent.simulator.profiles import PROFILE_NAMES, profile
from bleagent.simulator.virtual_lock import AppName, VirtualLock
from protocol import Datapoint, LocalProtocolError
from protocol.credential_list import (
    OldSyncChange,
    OldSyncEntry,
    OldSyncReply,
    OldSyncRequest,
    SyncEntry,
    sync_crc8,
)
from tests.agent.virtual_lock_user import CODE, KEYS, OPEN, PERIPHERAL, UNIX, User

FINGER, PASSWORD, BLUETOOTH = 12, 13, 19
GET_RECORDS, CHECK_CODE, OPEN_CHECKED, OPEN_RECORD = 69, 70, 71, 72


def check_code(*, central: int = 0xFFFF, code: bytes = CODE, new: int, operation: int = 0) -> bytes:
    ids = central.to_bytes(2, "big") + PERIPHERAL.to_bytes(2, "big")
    return ids + code + bytes((operation,)) + new.to_bytes(2, "big") + b"CENTRAL%d" % (new % 10)


def drain(user: User) -> list[tuple[int, int, bytes]]:
    """Fetch every record, one acknowledgement each."""
    user.seen.clear()
    user.write(GET_RECORDS, b"\0")
    user.wait(1.0)
    while True:
        before = len(user.records)
        if not before:
            return []
        user.acknowledge()
        if len(user.records) == before:
            return user.records


# -- opening


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_an_accepted_command_opens_exactly_once(name: str) -> None:
    user = User(name)
    user.enter()
    sn = user.write(OPEN_CHECKED, OPEN)
    assert user.happened == ["opened"]
    (opening,) = user.lock.log.openings()
    assert (opening.sn, opening.central, opening.member) == (sn, 0xFFFF, 7)
    assert opening.timestamp == UNIX
    (reply,) = user.lock.log.replies(user.lock.connection, sn)
    assert reply.data[-1] == 0
    assert user.lock.log.delivered(reply.connection, reply.sn)
    assert user.lock.dump()["opened"] == 1
    assert user.lock.dump()["bolt"] == "open"


def test_the_same_bytes_again_end_the_connection_and_open_nothing() -> None:
    user = User()
    user.enter()
    outgoing = user.central.write_datapoint(Datapoint.raw(OPEN_CHECKED, OPEN), user.now)
    user.hand(outgoing)
    for fragment in outgoing.fragments:
        user.take(user.lock.write(fragment, user.now))
    assert user.happened == ["opened", "hung up"]
    assert user.lock.dump()["opened"] == 1
    assert not user.lock.is_connected


@pytest.mark.parametrize(
    ("change", "result"),
    [
        ((0, b"\0\1"), 2),  # a central that has no code
        ((2, b"\0\6"), 3),  # another lock's id
        ((4, b"00000000"), 4),
        ((12, b"\2"), 5),
    ],
)
def test_a_refused_opening_moves_nothing(change: tuple[int, bytes], result: int) -> None:
    at, wrong = change
    user = User()
    user.enter()
    request = OPEN[:at] + wrong + OPEN[at + len(wrong) :]
    assert user.ask(OPEN_CHECKED, request)[-1] == result
    user.wait(1.0)
    assert user.happened == []
    assert user.records == []
    assert user.lock.log.actuations() == []


def test_an_opening_without_its_last_byte_opens_as_member_zero() -> None:
    # Reference protocol §6.6: no length check, 17 bytes still unlock.
    user = User()
    user.enter()
    assert user.ask(OPEN_CHECKED, OPEN[:17])[17:] == b"\0\0"
    user.wait(0.2)
    assert user.happened == ["opened"]
    assert user.records == [(UNIX, BLUETOOTH, bytes(4))]


def test_a_central_of_zeros_is_taken_for_a_free_place() -> None:
    # The firmware's table of ten has zeros where nobody is, and zeros match them.
    user = User()
    user.enter()
    zeros = bytes(2) + OPEN[2:4] + bytes(8) + OPEN[12:]
    assert user.ask(OPEN_CHECKED, zeros)[-1] == 0


def test_eleven_check_codes_are_one_too_many() -> None:
    user = User()
    user.enter()
    results = [user.ask(CHECK_CODE, check_code(new=new))[-1] for new in range(1, 11)]
    assert results == [0] * 9 + [6]


def test_a_deleted_check_code_works_until_the_next_power_cut() -> None:
    user = User()
    user.enter()
    assert user.ask(CHECK_CODE, check_code(new=9))[-1] == 0
    remote = (9).to_bytes(2, "big") + OPEN[2:4] + b"CENTRAL9" + OPEN[12:]
    assert user.ask(CHECK_CODE, check_code(new=9, operation=1))[-1] == 0
    assert user.ask(CHECK_CODE, check_code(new=9, operation=1))[-1] == 7
    assert user.ask(OPEN_CHECKED, remote)[-1] == 0
    user.leave()
    user.power("off")
    user.power("on")
    user.enter()
    assert user.ask(OPEN_CHECKED, remote)[-1] == 2
    assert user.ask(OPEN_CHECKED, OPEN)[-1] == 0


def test_the_manual_lock_closes_and_a_checked_close_does_not() -> None:
    user = User()
    user.enter()
    user.write(OPEN_CHECKED, OPEN)
    close = OPEN[:12] + b"\0" + OPEN[13:]
    assert user.ask(OPEN_CHECKED, close)[-1] == 7  # the member of the request
    assert user.lock.dump()["bolt"] == "open"
    assert user.ask(46, b"\1") == b"\1"
    assert user.happened == ["opened", "closed"]
    assert [one.move for one in user.lock.log.actuations()] == [Move.OPEN, Move.CLOSE]


def test_numbers_start_over_with_every_connection() -> None:
    user = User()
    user.enter()
    user.leave()
    assert user.lock.dump()["sn"] == 0
    user.enter()
    assert user.lock.dump()["sn"] == 3


# -- records


def test_seventy_records_into_sixty_four_places_lose_the_oldest_six() -> None:
    user = User()
    for value in range(70):
        user.local(action="record", dp=FINGER, value=value)
    assert user.lock.dump()["records"] == 64
    assert [one.reason for one in user.lock.log.lost()] == ["the ring was full"] * 6
    user.enter()
    fetched = [int.from_bytes(data, "big") for _, _, data in drain(user)]
    assert fetched == list(range(69, 5, -1))
    assert user.lock.dump()["records"] == 0


def test_records_from_before_the_first_time_answer_are_moved_when_they_are_fetched() -> None:
    user = User()
    user.wait(10.0)
    user.local(action="record", dp=FINGER, value=1)
    user.wait(20.5)
    user.enter()  # tells UNIX + 30 at 30.5 s
    assert [time for time, _, _ in drain(user)] == [UNIX + 10]


@pytest.mark.parametrize(("milliseconds", "second"), [(499, 0), (500, 1)])
def test_the_time_told_is_rounded_to_seconds(milliseconds: int, second: int) -> None:
    user = User()
    user.enter(tell_time=False)
    user.hand(user.central.send(0x8011, b"%d%03d\3\x20" % (UNIX, milliseconds)))
    user.local(action="record", dp=FINGER, value=1)
    assert [time for time, _, _ in user.records] == [UNIX + second]


def test_a_time_answer_of_zeros_leaves_the_clock_alone() -> None:
    user = User()
    user.enter()
    user.hand(user.central.send(0x8011, bytes(15)))
    user.local(action="record", dp=FINGER, value=1)
    assert [time for time, _, _ in user.records] == [UNIX]


def test_a_live_record_after_an_opening_by_the_app_is_not_stored() -> None:
    user = User()
    user.enter()
    user.write(OPEN_CHECKED, OPEN)
    user.wait(0.2)
    assert user.records == [(UNIX, BLUETOOTH, b"\0\0\0\7")]
    assert user.lock.dump()["records"] == 0
    (sent,) = [one for one in user.lock.log if isinstance(one, RecordSent)]
    assert not sent.stored
    assert user.lock.log.lost_on_the_way() == []


def test_a_live_record_whose_packets_reach_nobody_is_lost() -> None:
    user = User()
    user.enter()
    user.write(OPEN_CHECKED, OPEN)
    user.lock.tick(user.now + 0.2)  # and nobody says that it was delivered
    user.leave()
    assert [one.dp for one in user.lock.log.lost_on_the_way()] == [BLUETOOTH]
    assert user.lock.dump()["records"] == 0


def test_an_opening_whose_link_ends_before_its_record_is_stored() -> None:
    user = User()
    user.enter()
    user.write(OPEN_CHECKED, OPEN)
    user.leave()
    user.wait(0.2)
    assert user.lock.dump()["records"] == 1
    user.enter()
    assert drain(user) == [(UNIX, BLUETOOTH, b"\0\0\0\7")]


def test_two_openings_within_200_ms_leave_one_record_and_the_lock_knows() -> None:
    user = User()
    user.enter()
    user.write(OPEN_CHECKED, OPEN)
    user.wait(0.1)
    user.write(OPEN_CHECKED, OPEN[:-1] + b"\x09")
    user.wait(0.1)
    assert [data[-1] for _, _, data in user.records] == [9]
    assert [one.dp for one in user.lock.log.lost()] == [BLUETOOTH]
    assert user.lock.dump()["opened"] == 2


def test_a_record_of_another_central_is_only_stored_unless_it_is_a_members() -> None:
    # Reference protocol §9.10.
    user = User()
    user.enter()
    assert user.ask(CHECK_CODE, check_code(new=9))[-1] == 0
    user.seen.clear()
    remote = (9).to_bytes(2, "big") + OPEN[2:4] + b"CENTRAL9" + OPEN[12:17]
    user.write(OPEN_CHECKED, remote + b"\1\5")
    user.wait(0.2)
    assert (len(user.records), user.lock.dump()["records"]) == (0, 1)
    user.write(OPEN_CHECKED, remote + b"\0\5")
    user.wait(0.2)
    assert (len(user.records), user.lock.dump()["records"]) == (1, 2)


def test_a_long_general_record_keeps_29_bytes_and_ends_in_what_the_buffer_holds() -> None:
    user = User()
    user.enter()
    user.write(CHECK_CODE, check_code(new=9))
    request = (9).to_bytes(2, "big") + OPEN[2:4] + b"CENTRAL9" + OPEN[12:17] + b"\1"
    user.write(OPEN_CHECKED, request + bytes(range(0x40, 0x60)))
    ((_, dp, data),) = drain(user)
    assert dp == OPEN_RECORD
    assert len(data) == len(request) + 32
    assert data[18:29] == bytes(range(0x40, 0x4B))
    assert data[29:] == bytes(len(data) - 29)  # of the request for the records


def test_unbinding_erases_everything_and_the_lock_restarts_by_itself() -> None:
    user = User()
    user.local(action="record", dp=FINGER, value=1)
    user.enter()
    user.hand(user.central.send(0x0005))
    assert user.happened == ["hung up"]
    assert not user.lock.dump()["bound"]
    assert user.lock.dump()["records"] == 0
    user.power("restart")  # a no-op: it does so by itself
    user.wait(2.0)
    user.power("restart")
    assert user.lock.next_timer() is None


def test_a_central_that_comes_back_before_the_restart_is_sent_away() -> None:
    user = User()
    user.local(action="factory_reset")
    assert not user.lock.bound
    user.wait(0.5)
    user.take(user.lock.connected(user.now), connect=True)
    user.wait(0.5)
    assert user.happened == ["hung up"]
    user.take(user.lock.connected(user.now), connect=True)
    user.wait(1.0)
    assert user.happened == ["hung up", "hung up"]


def test_a_reset_at_the_lock_keeps_the_link_for_another_second() -> None:
    user = User()
    user.enter()
    user.local(action="factory_reset")
    user.local(action="state", dp=8, value=50)
    assert [one.report.datapoints[0].id for one in user.reports] == [8]
    user.wait(0.9)
    assert user.happened == []
    assert user.lock.bound
    user.wait(0.1)
    assert user.happened == ["hung up"]
    assert not user.lock.bound


# -- credentials


def test_a_changed_credential_is_answered_with_its_cycle() -> None:
    user = User()
    user.enter()
    validity = bytes(4) + b"\x7f\xff\xff\xff" + bytes(9)
    assert user.ask(1, b"\1\0\0\7\xff" + validity + b"\0\4\1\2\3\4")[-1] == 0
    changed = user.ask(3, b"\1\0\0\7\0" + validity + b"\2\4\4\3\2\1")
    assert changed == b"\1\0\0\7\0\2\xff"


def test_the_eleventh_card_has_no_number() -> None:
    user = User()
    user.enter()
    request = b"\2\0\0\7\xff" + bytes(19)
    for _ in range(10):
        user.write(1, request)
        user.local(action="enrol", method="card", stage="complete")
    user.seen.clear()
    user.write(1, request)
    user.wait(0.2)
    replies = [one.report.datapoints[0].data for one in user.reports]
    assert replies == [b"\2\0\0\7\xff\1\0", b"\2\xfd\0\7\xff\0\3"]


def test_a_state_without_a_form_is_sent_as_whatever_the_buffer_holds() -> None:
    user = User()
    user.enter()
    user.local(action="state", dp=8, value=50)
    user.local(action="state", dp=99, value=1)
    said = [one.report.datapoints[0] for one in user.reports]
    assert said == [Datapoint.number(8, 50), Datapoint.number(99, 50)]


@pytest.mark.parametrize("name", ["v3.0", "v4-244"])
def test_a_list_of_nothing_ends_at_once(name: str) -> None:
    user = User(name)
    user.enter()
    assert user.ask(54, b"\1\2\3\4\5") == b"\1\0"
    assert user.ask(54, b"\6") == b"\1\0"


def test_the_older_list_corrects_what_the_central_believes() -> None:
    user = User()
    user.enter()
    user.write(51, b"\0" + bytes(17) + b"\0\1\1")  # hardid 40, member 0
    user.seen.clear()
    right = OldSyncEntry(40, 5, sync_crc8(SyncEntry(40, 5, 0, 1)))
    wrong = OldSyncEntry(40, 5, right.crc8 ^ 1)
    gone, never = OldSyncEntry(3, 1, 0), OldSyncEntry(77, 1, 0)
    found = [
        OldSyncReply.from_bytes(user.ask(35, OldSyncRequest(entries).to_bytes())).changes
        for entries in ((right,), (wrong,), (), (right, gone, never))
    ]
    update = OldSyncChange(0, 40, 5, 0, 1)
    deleted = (OldSyncChange(1, 77, 1, 0, 0), OldSyncChange(1, 3, 1, 0, 0))
    assert found == [(), (update,), (update,), deleted]


# -- power, timers, bad events


def test_a_power_cut_ends_the_link_and_forgets_what_is_in_ram() -> None:
    user = User()
    user.enter()
    user.write(OPEN_CHECKED, OPEN)
    user.power("off")
    assert user.happened == ["opened", "hung up"]
    with pytest.raises(LocalEventError, match="no power"):
        user.lock.connected(user.now)
    with pytest.raises(LocalEventError, match="no power"):
        user.local(action="record", dp=FINGER, value=1)
    user.wait(5.0)
    assert user.lock.dump()["records"] == 0  # what was to be recorded 200 ms later
    user.power("on")
    user.enter(tell_time=False)
    assert user.ask(OPEN_CHECKED, OPEN)[-1] == 0


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_an_idle_lock_application_hangs_up_after_two_minutes(name: str) -> None:
    user = User(name)
    user.enter()
    user.wait(100.0)
    user.write(33, b"\1")
    user.wait(119.9)
    assert user.happened == []
    user.wait(0.1)
    assert user.happened == ["hung up"]


def test_next_timer_says_when_something_will_happen() -> None:
    user = User()
    assert user.lock.next_timer() is None
    user.enter()
    assert user.lock.next_timer() == 120.0
    user.write(OPEN_CHECKED, OPEN)
    assert user.lock.next_timer() == 0.2
    user.wait(300.0)  # one step over both: each at its own time
    assert user.records == [(UNIX, BLUETOOTH, b"\0\0\0\7")]
    assert user.happened == ["opened", "hung up"]


@pytest.mark.parametrize(
    "action",
    [
        {},
        {"action": "dance"},
        {"action": "record", "dp": 12},
        {"action": "record", "dp": 256, "value": 1},
        {"action": "record", "dp": 12, "value": "1"},
        {"action": "alarm", "value": 256},
        {"action": "enrol", "method": "nose", "stage": "complete"},
        {"action": "enrol", "method": "card", "stage": "half"},
        {"action": "offline_password", "digits": "123"},
        {"action": "report", "command": "0x8009", "payload": "01010101"},
        {"action": "report", "command": "0x8001", "payload": "0101"},
        {"action": "report", "command": "0x8001", "payload": "xx"},
        {"action": "report", "command": "0x8003", "time_text": "12", "payload": "01010101"},
        {"action": "ask_time", "kind": 4},
        {"action": "pass_through", "payload": 5},
    ],
)
def test_a_senseless_event_changes_nothing(action: dict[str, object]) -> None:
    user = User()
    user.enter()
    before = user.lock.dump()
    with pytest.raises(LocalEventError):
        user.lock.local({"local": action}, user.now)
    assert user.lock.dump() == before
    assert user.lock.tick(user.now) == []


def test_an_event_is_either_local_or_power() -> None:
    lock = User().lock
    for event in ({}, {"local": {"action": "x"}, "power": "on"}, {"power": 1}, {"power": "on"}):
        with pytest.raises(LocalEventError):
            lock.local(event, 0.0)


def test_a_write_without_a_connection_is_lost() -> None:
    user = User()
    assert user.lock.write(b"\0", 0.0) == []
    user.enter()
    with pytest.raises(LocalEventError, match="connected already"):
        user.lock.connected(user.now)


def test_there_is_no_other_profile() -> None:
    assert [profile(name).att_payload for name in PROFILE_NAMES] == [20, 20, 20, 244, 20, 244]
    with pytest.raises(LocalProtocolError, match=r"v3\.0, v3\.3"):
        profile("v9")


def test_the_echo_application_has_no_check_code() -> None:
    lock = VirtualLock(KEYS, profile("v3.3"), app=AppName.ECHO)
    with pytest.raises(LocalEventError, match="no check code"):
        lock.preset_check_code(PERIPHERAL, CODE)


def test_security_v2_echoes_what_its_schema_knows_in_reverse() -> None:
    user = User("secv2-244", app=AppName.ECHO, code=False)
    user.enter()
    written = [
        Datapoint.boolean(33, True), Datapoint.raw(71, b"ab"), Datapoint.number(8, 5),
        Datapoint.number(9, 5), Datapoint.text(33, "no"),
    ]  # fmt: skip
    data = b"".join(
        bytes((one.id, one.type)) + len(one.data).to_bytes(2, "big") + one.data for one in written
    )
    user.hand(user.central.send(0x0027, bytes(5) + data))
    echoed = [(one.report.sn, one.report.datapoints[0]) for one in user.reports]
    assert echoed == [(1, written[1]), (2, written[2]), (3, written[0])]


# -- whatever is sent


@pytest.mark.parametrize("name", PROFILE_NAMES)
@settings(max_examples=150)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 80) | st.sampled_from([1, 3, 35, 51, 53, 54, 60, 61, 70, 71, 73]),
            st.integers(0, 6),
            st.binary(max_size=60),
            st.sampled_from([0.0, 0.1, 1.0]),
        ),
        max_size=8,
    )
)
def test_no_datapoint_at_all_makes_it_fall_over(
    name: str, steps: list[tuple[int, int, bytes, float]]
) -> None:
    user = User(name)
    user.enter()
    for dp, dp_type, data, pause in steps:
        user.hand(user.central.write_datapoint(Datapoint(dp, dp_type, data), user.now))
        user.wait(pause)
        if user.reports:
            user.acknowledge()
    assert user.lock.dump()["opened"] == len(user.lock.log.openings())
    assert user.lock.is_connected


@given(writes=st.lists(st.binary(max_size=30), max_size=30))
def test_no_bytes_at_all_make_it_fall_over(writes: list[bytes]) -> None:
    user = User()
    user.enter()
    for value in writes:
        user.lock.write(value, user.now)
    assert user.lock.is_connected
    assert user.lock.dump()["opened"] == 0


def test_a_report_too_long_for_any_frame_is_not_sent() -> None:
    user = User()
    user.enter()
    user.local(action="pass_through", payload="00" * 0x10000)
    user.local(action="report", command="0x8006", payload="01000200" + "00" * 0x200)
    assert [len(one.report.datapoints[0].data) for one in user.reports] == [0x200]
