"""Our side of a connection, driven against the lock's side."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocol import (
    CommandCode,
    Datapoint,
    Expected,
    InstructionAir,
    InstructionError,
    LocalProtocolError,
    LockKeys,
    RemoteProtocolError,
    Report,
    ReportTime,
    Secret,
    State,
)
from protocol import events as ev
from protocol.commands import DpWrite, DpWriteV4
from protocol.credits import QUIET, Origin, RecordAcks
from protocol.errors import SequenceError
from protocol.firmware import IDLE_TIMEOUT, Firmware
from protocol.fragment import split
from protocol.frame import MAX_SN, Frame
from protocol.keys import KeyRing
from protocol.lock import OpenOperation, OpenReply, OpenRequest
from protocol.message import close_frame
from protocol.numbers import RESERVATION_ROOM, Reservation
from protocol.reports import ReportAck
from protocol.session import INFO_TIMEOUT, PAIR_TIMEOUT
from protocol.times import ClockAnswer
from protocol.verdict import LockQuestion, OpenQuestion, Ruling
from tests.codec.pair import KEYS, PROFILES, Pair

CODE = Secret("52777950")
OPEN = OpenRequest(0xFFFF, 5, CODE, OpenOperation.OPEN, 1700000000, 0, b"\x07")
OPEN_DP, RECORD_DP, GET_RECORDS_DP, BOLT_DP = 71, 72, 69, 47


def sealed(pair: Pair, sn: int, request: OpenRequest = OPEN, *, flag: int | None = None) -> bytes:
    """What the cloud would seal for this lock and number."""
    ring = KeyRing(KEYS)
    dialect = pair.central.dialect
    datapoint = Datapoint.raw(OPEN_DP, request.to_bytes())
    if dialect.write_code == CommandCode.DP_WRITE_V4:
        data = DpWriteV4((datapoint,), 1).to_bytes()
    else:
        data = DpWrite((datapoint,)).to_bytes()
    frame = Frame(sn, 0, dialect.write_code, data)
    return close_frame(frame, flag=flag or dialect.login_flag, ring=ring, iv=bytes(range(16)))


def expected(reservation: Reservation) -> Expected:
    return Expected(
        reservation=reservation,
        dp_id=OPEN_DP,
        central=0xFFFF,
        peripheral=5,
        code=CODE,
        operation=OpenOperation.OPEN,
    )


def reply(pair: Pair, request: OpenRequest = OPEN) -> Report:
    body = OpenReply(
        peripheral=request.peripheral,
        central=request.central,
        code=request.code,
        operation=request.operation,
        timestamp=request.timestamp,
        method=request.method,
        result=0,
    )
    code = pair.central.dialect.untimed_report
    return Report(code=code, datapoints=(Datapoint.raw(OPEN_DP, body.to_bytes()),))


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
@pytest.mark.parametrize("bound", [True, False])
def test_a_handshake_ends_ready_for_commands(profile: Firmware, bound: bool) -> None:
    pair = Pair(profile, bound=bound)
    pair.handshake(bound=bound)
    assert pair.central.state is State.READY
    assert pair.lock.state is State.READY
    paired = [event for event in pair.events if isinstance(event, ev.Paired)]
    assert paired == [ev.Paired(newly_bound=not bound)]
    answers = pair.deliver(pair.central.query())
    assert [type(answer) for answer in answers] == [ev.Answered]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_a_lock_bound_by_us_knows_us_on_the_next_connection(profile: Firmware) -> None:
    pair = Pair(profile, bound=False)
    pair.handshake(bound=False)
    pair.lock.disconnected()
    pair.central.disconnected()
    pair.handshake()
    assert isinstance(pair.events[-1], ev.TimeAsked | ev.NetworkState)
    assert pair.central.state is State.READY


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_a_sealed_instruction_opens_and_its_reply_confirms(profile: Firmware) -> None:
    pair = Pair(profile)
    pair.handshake()
    reservation = pair.central.reserve()
    message = sealed(pair, reservation.sn)
    instruction = pair.central.check_instruction(message, expected(reservation))
    question = OpenQuestion(instruction.request, OPEN_DP, RECORD_DP)
    outgoing, believed = pair.central.send_instruction(
        instruction, next_sn=reservation.sn + 5, question=question
    )
    assert believed
    pair.deliver(outgoing)
    assert isinstance(pair.lock_events[-1], ev.CommandReceived)
    judged = pair.back(pair.lock.report(reply(pair)))[-1]
    assert isinstance(judged, ev.Judged)
    assert judged.verdict.ruling is Ruling.CONFIRMED
    # A second reply is evidence, no second verdict; our numbers go on where the cloud said.
    assert [type(one) for one in pair.back(pair.lock.report(reply(pair)))] == [ev.Reported]
    assert pair.central.query().sn == reservation.sn + 5


def test_a_resealed_instruction_leaves_nothing_reusable_on_the_air() -> None:
    pair = Pair()
    pair.handshake()
    reservation = pair.central.reserve()
    message = sealed(pair, reservation.sn)
    instruction = pair.central.check_instruction(message, expected(reservation))
    outgoing, _ = pair.central.send_instruction(
        instruction, next_sn=reservation.sn + 1, air=InstructionAir.RESEALED
    )
    assert outgoing.flag == pair.central.dialect.session_flag
    assert b"".join(outgoing.fragments).find(message[17:33]) < 0
    pair.deliver(outgoing)
    received = pair.lock_events[-1]
    assert isinstance(received, ev.CommandReceived)
    assert received.frame == instruction.frame


def test_a_reply_before_the_last_fragment_was_handed_over_is_not_about_us() -> None:
    pair = Pair()
    pair.handshake()
    question = OpenQuestion(OPEN, OPEN_DP)
    outgoing = pair.central.write_datapoint(
        Datapoint.raw(OPEN_DP, OPEN.to_bytes()), pair.now, question=question
    )
    early = pair.back(pair.lock.report(reply(pair)))
    assert [type(one) for one in early] == [ev.Reported]
    pair.deliver(outgoing)
    judged = pair.back(pair.lock.report(reply(pair)))[-1]
    assert isinstance(judged, ev.Judged)


def test_a_refused_structure_refuses_the_operation() -> None:
    pair = Pair(PROFILES["v4-20"])
    pair.handshake()
    outgoing = pair.central.write_datapoint(
        Datapoint.raw(OPEN_DP, bytes(600)), pair.now, question=OpenQuestion(OPEN, OPEN_DP)
    )
    answered, judged = pair.deliver(outgoing)
    assert answered == ev.Answered(outgoing.sn, CommandCode.DP_WRITE_V4, 1)
    assert isinstance(judged, ev.Judged)
    assert judged.verdict.ruling is Ruling.REFUSED
    assert judged.verdict.structural


def test_locking_is_confirmed_by_the_bolt_alone() -> None:
    pair = Pair()
    pair.handshake()
    manual = Datapoint.boolean(46, True)
    pair.deliver(pair.central.write_datapoint(manual, pair.now, question=LockQuestion(BOLT_DP)))
    echo = pair.back(pair.lock.report(Report(code=0x8001, datapoints=(manual,))))
    assert [type(one) for one in echo] == [ev.Reported]
    still_open = Report(code=0x8001, datapoints=(Datapoint.boolean(BOLT_DP, True),))
    assert [type(one) for one in pair.back(pair.lock.report(still_open))] == [ev.Reported]
    closed = Report(code=0x8001, datapoints=(Datapoint.boolean(BOLT_DP, False),))
    assert isinstance(pair.back(pair.lock.report(closed))[-1], ev.Judged)


def test_an_instruction_of_an_earlier_connection_is_refused() -> None:
    pair = Pair()
    pair.handshake()
    reservation = pair.central.reserve()
    instruction = pair.central.check_instruction(
        sealed(pair, reservation.sn), expected(reservation)
    )
    pair.lock.disconnected()
    pair.central.disconnected()
    pair.handshake()
    pair.central.reserve()
    with pytest.raises(LocalProtocolError, match="not reserved now"):
        pair.central.send_instruction(instruction, next_sn=reservation.sn + 1)
    with pytest.raises(LocalProtocolError, match="not reserved now"):
        pair.central.check_instruction(sealed(pair, reservation.sn), expected(reservation))


def test_an_instruction_is_sent_once() -> None:
    pair = Pair()
    pair.handshake()
    reservation = pair.central.reserve()
    instruction = pair.central.check_instruction(
        sealed(pair, reservation.sn), expected(reservation)
    )
    pair.central.send_instruction(instruction, next_sn=reservation.sn + 1)
    with pytest.raises(LocalProtocolError, match="not reserved now"):
        pair.central.send_instruction(instruction, next_sn=reservation.sn + 1)


def test_a_second_instruction_needs_a_later_timestamp() -> None:
    pair = Pair()
    pair.handshake()
    first = pair.central.reserve()
    instruction = pair.central.check_instruction(sealed(pair, first.sn), expected(first))
    pair.central.send_instruction(instruction, next_sn=first.sn + 1)
    second = pair.central.reserve()
    with pytest.raises(InstructionError) as caught:
        pair.central.check_instruction(sealed(pair, second.sn), expected(second))
    assert caught.value.field == "timestamp"


def test_our_own_frames_stay_below_an_open_reservation_and_then_wait() -> None:
    pair = Pair()
    pair.handshake()
    reservation = pair.central.reserve()
    assert reservation.sn - pair.central.last_sn == RESERVATION_ROOM
    for _ in range(RESERVATION_ROOM - 1):
        pair.deliver(pair.central.query())
    assert pair.central.own_numbers_left == 0
    with pytest.raises(LocalProtocolError, match="below the reservation"):
        pair.central.query()
    instruction = pair.central.check_instruction(
        sealed(pair, reservation.sn), expected(reservation)
    )
    outgoing, _ = pair.central.send_instruction(instruction, next_sn=reservation.sn + 1)
    pair.deliver(outgoing)
    assert pair.hung_up is None
    pair.deliver(pair.central.query())
    assert pair.hung_up is None


def test_a_frame_the_lock_repeats_is_refused_and_the_connection_goes_on() -> None:
    pair = Pair()
    pair.handshake()
    report = Report(code=0x8001, datapoints=(Datapoint.boolean(BOLT_DP, True),))
    (notify,) = pair.lock.report(report)
    assert isinstance(notify, ev.Notify)
    for fragment in notify.fragments:
        pair.central.receive(fragment, pair.now)
    *first, last = notify.fragments
    for fragment in first:
        pair.central.receive(fragment, pair.now)
    with pytest.raises(SequenceError):
        pair.central.receive(last, pair.now)
    assert [type(one) for one in pair.deliver(pair.central.query())] == [ev.Answered]


def test_a_recorded_device_information_of_an_earlier_visit_changes_nothing() -> None:
    # Under the login key old frames can be opened on every connection (reference: safety B3).
    pair = Pair(sn_start=1)
    pair.connect()
    old = pair.central.ask_device_info(pair.now)
    recorded = [event for one in old.fragments for event in pair.lock.receive_write(one, pair.now)]
    pair.lock.disconnected()
    pair.central.disconnected()
    second = Pair(sn_start=1000)
    second.connect()
    second.central.ask_device_info(second.now)
    (notify,) = recorded
    assert isinstance(notify, ev.Notify)
    seen = [one for part in notify.fragments for one in second.central.receive(part, 0.0)]
    assert [type(one) for one in seen] == [ev.Unclaimed]
    assert second.central.state is State.INFO_ASKED
    assert second.central.info is None


def test_a_reply_under_the_login_key_is_never_a_verdict() -> None:
    pair = Pair()
    pair.handshake()
    outgoing = pair.central.write_datapoint(
        Datapoint.raw(OPEN_DP, OPEN.to_bytes()), pair.now, question=OpenQuestion(OPEN, OPEN_DP)
    )
    pair.deliver(outgoing)
    frame = Frame(1000, 0, CommandCode.REPORT, reply(pair).to_bytes())
    message = close_frame(frame, flag=4, ring=KeyRing(KEYS), iv=bytes(16))
    fragments = split(message, att_payload=20, major=3)
    seen = [one for part in fragments for one in pair.central.receive(part, pair.now)]
    assert [type(one) for one in seen] == [ev.Reported]


@pytest.mark.parametrize(
    ("wait", "state", "bound"),
    [(INFO_TIMEOUT, State.INFO_ASKED, 2.0), (PAIR_TIMEOUT, State.PAIR_ASKED, 3.0)],
)
def test_handshake_silence_ends_in_time(wait: float, state: State, bound: float) -> None:
    pair = Pair()
    pair.connect()
    outgoing = pair.central.ask_device_info(pair.now)
    if state is State.PAIR_ASKED:
        pair.deliver(outgoing)
        pair.central.pair(pair.now)
    assert wait == bound
    assert pair.central.deadline() == pair.now + wait
    assert pair.central.handle_deadline(pair.now + wait - 0.01) == []
    assert pair.central.handle_deadline(pair.now + wait) == [ev.TimedOut(state)]
    assert pair.central.handle_deadline(pair.now + wait + 9) == []


def test_an_answered_handshake_leaves_no_deadline() -> None:
    pair = Pair()
    pair.handshake()
    assert pair.central.deadline() is None


@pytest.mark.parametrize("profile", ["v3.0", "v3.3", "v4-20"])
def test_another_uuid_is_refused_and_the_lock_hangs_up(profile: str) -> None:
    pair = Pair(PROFILES[profile])
    other = LockKeys(uuid="tuyaffffffffffff", virtual_id="x", local_key=KEYS.local_key)
    pair.central._keys = other  # what the cloud gave us belongs to another lock
    pair.connect()
    pair.deliver(pair.central.ask_device_info(pair.now))
    events = pair.deliver(pair.central.pair(pair.now))
    assert ev.PairRefused(1) in events
    assert pair.hung_up is not None
    assert pair.central.state is State.REFUSED
    with pytest.raises(LocalProtocolError):
        pair.central.query()


def test_a_wrong_key_is_met_with_silence_until_the_lock_hangs_up() -> None:
    pair = Pair()
    pair.lock = Pair().lock
    pair.central._keys = LockKeys(uuid=KEYS.uuid, local_key=Secret("wrongkey00000000"))
    pair.connect()
    assert pair.deliver(pair.central.ask_device_info(pair.now)) == []
    assert isinstance(pair.lock_events[-1], ev.Dropped)
    assert isinstance(pair.lock.handle_deadline(pair.now + 30)[0], ev.HangUp)


def test_what_needs_a_key_that_is_missing_says_so_and_changes_nothing() -> None:
    pair = Pair()
    pair.central._keys = LockKeys(uuid=KEYS.uuid)
    pair.connect()
    for bound in (True, False):
        with pytest.raises(LocalProtocolError, match="cannot seal"):
            pair.central.ask_device_info(pair.now, bound=bound)
    assert pair.central.state is State.CONNECTED
    assert pair.central.last_sn == 0


def test_numbers_start_where_the_strategy_says_on_every_connection() -> None:
    pair = Pair(sn_start=4711)
    pair.connect()
    assert pair.central.ask_device_info(pair.now).sn == 4711
    pair.central.disconnected()
    pair.central.connected()
    assert pair.central.ask_device_info(pair.now).sn == 4711


def test_no_number_follows_the_last_one() -> None:
    pair = Pair(sn_start=MAX_SN - 1)
    pair.handshake()
    with pytest.raises(LocalProtocolError, match="no sequence number left"):
        pair.central.query()
    with pytest.raises(LocalProtocolError):
        pair.central.reserve()


@pytest.mark.parametrize("unknown", [True, False])
def test_a_time_question_is_answered_under_its_own_number(unknown: bool) -> None:
    pair = Pair()
    pair.handshake()
    asked = pair.events[-1]
    assert isinstance(asked, ev.TimeAsked)
    answer = ClockAnswer.unknown() if unknown else ClockAnswer(1700000000000, 800)
    pair.deliver(pair.central.answer_time(asked, answer, pair.now))
    told = pair.lock_events[-1]
    assert told == ev.TimeAnswered(CommandCode.TIME_CLOCK, answer)


# -- records (reference: safety D1)


def timed(seconds: int, value: int = 1) -> Report:
    return Report(
        code=CommandCode.REPORT_TIMED,
        time=ReportTime.unix(seconds),
        datapoints=(Datapoint.number(12, value),),
    )


def drain_pair(*, clock: bool = True) -> Pair:
    pair = Pair(get_records_dp=GET_RECORDS_DP)
    pair.handshake()
    asked = pair.events[-1]
    assert isinstance(asked, ev.TimeAsked)
    answer = ClockAnswer(1700000000000) if clock else ClockAnswer.unknown()
    pair.deliver(pair.central.answer_time(asked, answer, pair.now))
    return pair


def take(pair: Pair, seconds: int) -> ev.Reported:
    (reported,) = pair.back(pair.lock.report(timed(seconds)))
    assert isinstance(reported, ev.Reported)
    return reported


def ask_backlog(pair: Pair) -> None:
    pair.deliver(pair.central.write_datapoint(Datapoint.raw(GET_RECORDS_DP, b"\0"), pair.now))


def test_a_live_record_is_never_acknowledged_before_the_backlog_was_asked_for() -> None:
    pair = drain_pair()
    live = take(pair, 1700000001)
    assert live.origin is Origin.LIVE
    pair.central.record_stored(live)
    assert not pair.central.may_acknowledge(live, pair.now)
    with pytest.raises(LocalProtocolError, match="no credit for a live record"):
        pair.central.acknowledge(live, pair.now)
    with pytest.raises(LocalProtocolError, match="acknowledge"):
        pair.central.send(CommandCode.REPORT_TIMED, b"\0")


def test_a_backlog_record_on_disk_buys_exactly_one_acknowledgement() -> None:
    pair = drain_pair()
    ask_backlog(pair)
    pair.now += 1.0
    record = take(pair, 1699990000)
    assert record.origin is Origin.BACKLOG
    assert not pair.central.may_acknowledge(record, pair.now), "not on disk yet"
    pair.central.record_stored(record)
    outgoing = pair.central.acknowledge(record, pair.now)
    pair.deliver(outgoing)
    assert pair.lock_events[-1] == ev.ReportAcked(
        ReportAck(code=CommandCode.REPORT_TIMED, status=0)
    )
    with pytest.raises(LocalProtocolError, match="no credit"):
        pair.central.acknowledge(record, pair.now)
    # A live record in between earns nothing; the next one of the backlog does.
    live = take(pair, 1700000005)
    assert live.origin is Origin.LIVE
    pair.central.record_stored(live)
    assert not pair.central.may_acknowledge(live, pair.now)
    older = take(pair, 1699980000)
    pair.central.record_stored(older)
    assert pair.central.may_acknowledge(older, pair.now)


def test_without_the_lock_s_clock_the_first_record_waits_for_quiet() -> None:
    pair = drain_pair(clock=False)
    ask_backlog(pair)
    pair.now += 1.0
    record = take(pair, 12345)
    assert record.origin is Origin.UNSURE
    pair.central.record_stored(record)
    assert not pair.central.may_acknowledge(record, pair.now)
    pair.now += QUIET
    assert not pair.central.backlog_is_over(pair.now)
    pair.deliver(pair.central.acknowledge(record, pair.now))
    older = take(pair, 12340)
    assert older.origin is Origin.BACKLOG


def test_quiet_ends_the_drain_and_with_it_all_acknowledgements() -> None:
    pair = drain_pair()
    ask_backlog(pair)
    assert not pair.central.backlog_is_over(pair.now + QUIET - 0.1)
    pair.now += QUIET
    assert pair.central.backlog_is_over(pair.now)
    late = take(pair, 1699990000)
    assert late.origin is Origin.LIVE
    pair.central.record_stored(late)
    assert not pair.central.may_acknowledge(late, pair.now)


def test_keeping_a_record_in_the_lock_needs_no_credit() -> None:
    pair = drain_pair()
    live = take(pair, 1700000001)
    pair.deliver(pair.central.acknowledge(live, pair.now, status=1))
    assert pair.lock_events[-1] == ev.ReportAcked(
        ReportAck(code=CommandCode.REPORT_TIMED, status=1)
    )


@pytest.mark.parametrize("profile", ["v4-20", "secv2-244"])
def test_a_4x_record_is_acknowledged_at_once_unless_it_wants_none(profile: str) -> None:
    pair = Pair(PROFILES[profile])
    pair.handshake()
    report = Report(
        code=CommandCode.REPORT_TIMED_V4,
        time=ReportTime.unix(1700000000),
        datapoints=(Datapoint.number(19, 5),),
        sn=7,
        mode=1,
    )
    (reported,) = pair.back(pair.lock.report(report))
    assert isinstance(reported, ev.Reported)
    pair.deliver(pair.central.acknowledge(reported, pair.now))
    acked = pair.lock_events[-1]
    assert isinstance(acked, ev.ReportAcked)
    assert acked.ack.to_bytes().hex() == "0000000007000100"
    silent = Report(code=report.code, time=report.time, datapoints=report.datapoints, type=0x80)
    (reported,) = pair.back(pair.lock.report(silent))
    assert isinstance(reported, ev.Reported)
    assert not pair.central.may_acknowledge(reported, pair.now)
    with pytest.raises(LocalProtocolError, match="wants no acknowledgement"):
        pair.central.acknowledge(reported, pair.now)


# -- numbers under any interleaving


class Numbers(RuleBasedStateMachine):
    """Own and foreign frames in any order: the lock must never see a number twice."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair(record_acks=RecordAcks.FREE)
        self.pair.handshake()
        self.used: list[int] = [1, 2]
        self.reservation: Reservation | None = None
        self.timestamp = 1700000000

    def send(self, sn: int) -> None:
        assert sn > self.used[-1]
        self.used.append(sn)

    @rule()
    def own(self) -> None:
        if self.pair.central.own_numbers_left == 0:
            with pytest.raises(LocalProtocolError):
                self.pair.central.query()
            return
        outgoing = self.pair.central.query()
        self.send(outgoing.sn)
        self.pair.deliver(outgoing)

    @rule(fragments=st.integers(0, 1))
    def given_up_half_way(self, fragments: int) -> None:
        if self.pair.central.own_numbers_left == 0:
            return
        outgoing = self.pair.central.query()
        self.send(outgoing.sn)
        self.pair.write(*outgoing.fragments[:fragments])

    @precondition(lambda self: self.reservation is None)
    @rule(room=st.integers(1, 40))
    def reserve(self, room: int) -> None:
        self.reservation = self.pair.central.reserve(room)

    @precondition(lambda self: self.reservation is not None)
    @rule()
    def cancel(self) -> None:
        assert self.reservation is not None
        self.pair.central.cancel(self.reservation)
        self.reservation = None

    @precondition(lambda self: self.reservation is not None)
    @rule(ahead=st.integers(-50, 3000), resealed=st.booleans())
    def foreign(self, ahead: int, resealed: bool) -> None:
        assert self.reservation is not None
        sn = self.reservation.sn
        self.timestamp += 1
        request = OpenRequest(0xFFFF, 5, CODE, OpenOperation.OPEN, self.timestamp, 0, b"\1")
        message = sealed(self.pair, sn, request)
        instruction = self.pair.central.check_instruction(message, expected(self.reservation))
        air = InstructionAir.RESEALED if resealed else InstructionAir.AS_SEALED
        outgoing, believed = self.pair.central.send_instruction(
            instruction, next_sn=sn + ahead, air=air
        )
        assert believed == (0 < ahead <= 1000)
        self.reservation = None
        self.send(outgoing.sn)
        self.pair.deliver(outgoing)

    @rule(garbage=st.binary(min_size=1, max_size=40))
    def noise(self, garbage: bytes) -> None:
        before = self.pair.central.last_sn
        with contextlib.suppress(RemoteProtocolError):
            self.pair.central.receive(garbage, self.pair.now)
        assert self.pair.central.last_sn == before

    @invariant()
    def the_lock_is_content(self) -> None:
        assert self.pair.hung_up is None
        assert self.pair.lock.last_sn <= self.used[-1]


TestNumbers = Numbers.TestCase
TestNumbers.settings = settings(max_examples=60, stateful_step_count=25)


def test_pairing_once_more_does_not_put_off_the_hang_up() -> None:
    """Only writes and acknowledgements keep a lock awake (reference: protocol §3.5)."""
    pair = Pair()
    pair.handshake()
    until = pair.lock.deadline()
    assert until == pair.now + IDLE_TIMEOUT
    pair.now += 60
    pair.central = Pair(sn_start=100).central
    pair.central.connected()
    pair.deliver(pair.central.ask_device_info(pair.now))
    events = pair.deliver(pair.central.pair(pair.now))
    assert any(isinstance(event, ev.Paired) for event in events)
    assert pair.lock.deadline() == until
