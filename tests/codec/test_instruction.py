"""The cloud's sealed instruction: one wrong field and it never goes near the lock."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from protocol import events as ev
from protocol.capture import Capture, parse_capture
from protocol.central import Central
from protocol.commands import CommandCode, DpWrite, DpWriteV4, Sender
from protocol.datapoint import Datapoint
from protocol.dialect import Dialect
from protocol.errors import InstructionError, LocalProtocolError
from protocol.fragment import Joiner, split
from protocol.frame import Frame
from protocol.instruction import Expected, Instruction, InstructionAir
from protocol.keys import KeyRing, Secret
from protocol.lock import OpenOperation, OpenRequest
from protocol.message import Outgoing, close_frame, open_message
from protocol.numbers import Reservation
from protocol.state import State

FIRMWARE = Path(__file__).resolve().parents[1] / "captures/firmware"
OPEN = 71
IV = bytes(range(16))
REQUEST = OpenRequest(0xFFFF, 5, Secret("52777950"), OpenOperation.OPEN, 1_760_000_000, 0, b"\1")


class Bench:
    """A central that is logged in to a recorded lock, and a cloud that knows the same keys."""

    def __init__(self, name: str, dialect: Dialect, att_payload: int) -> None:
        self.capture: Capture = parse_capture((FIRMWARE / f"{name}.jsonl").read_text())
        self.count = itertools.count(1)
        self.ivs: list[bytes] = []
        self.ring = KeyRing(self.capture.header.keys)
        self.central = Central(
            self.capture.header.keys, new_iv=self.new_iv, dialect=dialect, att_payload=att_payload
        )
        self.log_in()

    @property
    def dialect(self) -> Dialect:
        return self.central.dialect

    def new_iv(self) -> bytes:
        self.ivs.append(next(self.count).to_bytes(16, "big"))
        return self.ivs[-1]

    def log_in(self) -> None:
        self.central.connected()
        self.central.ask_device_info(0.0)
        for event in self.capture.events:
            if event.value is None or event.sender is not Sender.LOCK:
                continue
            for told in self.central.receive(event.value, 0.0):
                if isinstance(told, ev.DeviceInfoReceived):
                    self.ring.learn_srand(told.info.srand.reveal())
                    self.central.pair(0.0)
            if self.central.state is State.READY:
                return

    def seal(self, frame: Frame, flag: int | None = None) -> bytes:
        flag = self.dialect.login_flag if flag is None else flag
        return close_frame(frame, flag=flag, ring=self.ring, iv=IV)

    def frame(self, sn: int, request: OpenRequest = REQUEST, dp_id: int = OPEN) -> Frame:
        return self.write(sn, Datapoint.raw(dp_id, request.to_bytes()))

    def write(self, sn: int, *datapoints: Datapoint) -> Frame:
        if self.dialect.major >= 4:
            data = DpWriteV4(datapoints, 1).to_bytes()
        else:
            data = DpWrite(datapoints).to_bytes()
        return Frame(sn, 0, self.dialect.write_code, data)

    def facts(self) -> tuple[object, ...]:
        central = self.central
        return central.state, central.last_sn, central.own_numbers_left, central.deadline()


LOCKS = {
    "3.0": ("lock-first-unlock", Dialect(3), 20),
    "3.3": ("sdk33-handshake", Dialect(3), 20),
    "4.4": ("sdk44-244-handshake", Dialect(4), 244),
    "secv2": ("secv2-244-handshake", Dialect(4, security_v2=True), 244),
}


@pytest.fixture(params=LOCKS)
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(*LOCKS[request.param])


def expected(reservation: Reservation, **changes: object) -> Expected:
    asked = Expected(
        reservation=reservation,
        dp_id=OPEN,
        central=REQUEST.central,
        peripheral=REQUEST.peripheral,
        code=REQUEST.code,
        operation=OpenOperation.OPEN,
        after_timestamp=REQUEST.timestamp - 1,
    )
    return replace(asked, **changes)  # type: ignore[arg-type]


def opened(bench: Bench, outgoing: Outgoing) -> tuple[int, bytes, Frame]:
    """What a lock reads: flag, IV and frame."""
    joiner, message = Joiner(), None
    for fragment in outgoing.fragments:
        assert message is None
        message = joiner.feed(fragment)
    assert message is not None
    found = open_message(message, bench.ring, known_flags=bench.dialect.known_flags)
    return found.flag, found.iv, found.frame


# -- the right one


@pytest.mark.parametrize("session", [False, True])
def test_the_right_instruction_is_taken_under_login_and_session_key(
    bench: Bench, session: bool
) -> None:
    flag = bench.dialect.session_flag if session else bench.dialect.login_flag
    reservation = bench.central.reserve()
    frame = bench.frame(reservation.sn)
    message = bench.seal(frame, flag)
    before = bench.facts()
    instruction = bench.central.check_instruction(message, expected(reservation))
    assert bench.facts() == before
    assert (instruction.flag, instruction.frame, instruction.request) == (flag, frame, REQUEST)
    outgoing, believed = bench.central.send_instruction(instruction, next_sn=reservation.sn + 5)
    assert believed
    assert (outgoing.sn, outgoing.code, outgoing.flag) == (reservation.sn, frame.code, flag)
    assert opened(bench, outgoing) == (flag, IV, frame)
    assert bench.central.query().sn == reservation.sn + 5


def test_as_sealed_goes_out_byte_for_byte(bench: Bench) -> None:
    reservation = bench.central.reserve()
    message = bench.seal(bench.frame(reservation.sn))
    instruction = bench.central.check_instruction(message, expected(reservation))
    outgoing, _ = bench.central.send_instruction(instruction, next_sn=0)
    assert b"".join(outgoing.fragments).find(message[:10]) == 3
    joiner = Joiner()
    assert [joiner.feed(one) for one in outgoing.fragments][-1] == message


def test_resealed_goes_out_under_the_session_key_with_a_new_iv_and_the_same_content(
    bench: Bench,
) -> None:
    reservation = bench.central.reserve()
    frame = bench.frame(reservation.sn)
    instruction = bench.central.check_instruction(bench.seal(frame), expected(reservation))
    used = len(bench.ivs)
    outgoing, _ = bench.central.send_instruction(
        instruction, next_sn=0, air=InstructionAir.RESEALED
    )
    flag, iv, found = opened(bench, outgoing)
    assert flag == outgoing.flag == bench.dialect.session_flag != instruction.flag
    assert (found, bench.ivs[used:]) == (frame, [iv])
    assert iv != IV


def test_a_recorded_prepared_frame_is_accepted_as_it_was_recorded() -> None:
    # Source: lock-sealed-open.jsonl, sdk44-244-sealed-open.jsonl: 65 bytes, flag 4, sn 7.
    for name, dialect, att_payload, request in (
        ("lock-sealed-open", Dialect(3), 20, "ffff255632313131333034390165976d550005"),
        ("sdk44-244-sealed-open", Dialect(4), 244, "ffff215a303837313535383001687129ad0005"),
    ):
        bench = Bench(name, dialect, att_payload)
        joiner = Joiner()
        prepared = b""
        for event in bench.capture.events:
            if event.value is None or event.sender is not Sender.CENTRAL:
                continue
            message = joiner.feed(event.value)
            if event.frame is not None and event.frame.flag == 4 and event.frame.sn == 7:
                prepared = message or b""
        assert len(prepared) == 65
        reservation = bench.central.reserve(7 - bench.central.last_sn)
        asked = OpenRequest.from_bytes(bytes.fromhex(request))
        instruction = bench.central.check_instruction(
            prepared,
            expected(reservation, peripheral=asked.peripheral, code=asked.code, after_timestamp=-1),
        )
        assert instruction.request == asked
        fragments = split(prepared, att_payload=att_payload, major=dialect.major)
        sent = Outgoing(7, bench.dialect.write_code, 4, tuple(fragments))
        assert bench.central.send_instruction(instruction, next_sn=8) == (sent, True)


# -- the wrong ones (reference: safety B4)


@dataclass(frozen=True)
class Wrong:
    """One field of the request that is not what was asked for."""

    field: str
    request: OpenRequest


WRONG_FIELDS = [
    Wrong("central", replace(REQUEST, central=0xFFFE)),
    Wrong("peripheral", replace(REQUEST, peripheral=6)),
    Wrong("check code", replace(REQUEST, code=Secret("52777951"))),
    Wrong("check code", replace(REQUEST, code=Secret(bytes(8)))),
    Wrong("operation", replace(REQUEST, operation=OpenOperation.CLOSE)),
    Wrong("operation", replace(REQUEST, operation=2)),
    Wrong("timestamp", replace(REQUEST, timestamp=REQUEST.timestamp - 1)),
    Wrong("timestamp", replace(REQUEST, timestamp=0)),
]


def refuse(bench: Bench, message: bytes, field: str, asked: Expected) -> None:
    """It is refused for this field, nothing has changed, and the right one still works."""
    before = bench.facts()
    with pytest.raises(InstructionError) as told:
        bench.central.check_instruction(message, asked)
    assert told.value.field == field
    assert "5277795" not in str(told.value)
    assert bench.facts() == before
    good = bench.seal(bench.frame(asked.reservation.sn))
    instruction = bench.central.check_instruction(good, expected(asked.reservation))
    outgoing, _ = bench.central.send_instruction(instruction, next_sn=0)
    assert outgoing.sn == asked.reservation.sn


@pytest.mark.parametrize("wrong", WRONG_FIELDS, ids=lambda wrong: wrong.field)
def test_one_wrong_field_of_the_opening_is_named(bench: Bench, wrong: Wrong) -> None:
    reservation = bench.central.reserve()
    message = bench.seal(bench.frame(reservation.sn, wrong.request))
    refuse(bench, message, wrong.field, expected(reservation))


@pytest.mark.parametrize("step", [-32, -1, 1, 1000])
def test_another_number_is_named(bench: Bench, step: int) -> None:
    reservation = bench.central.reserve()
    message = bench.seal(bench.frame(reservation.sn + step))
    refuse(bench, message, "sn", expected(reservation))


@pytest.mark.parametrize("dp_id", [6, 61, 70, 72, 73])
def test_another_datapoint_is_named(bench: Bench, dp_id: int) -> None:
    reservation = bench.central.reserve()
    message = bench.seal(bench.frame(reservation.sn, dp_id=dp_id))
    refuse(bench, message, "datapoint", expected(reservation))


@pytest.mark.parametrize("count", [0, 2, 3])
def test_another_number_of_datapoints_is_named(bench: Bench, count: int) -> None:
    reservation = bench.central.reserve()
    datapoint = Datapoint.raw(OPEN, REQUEST.to_bytes())
    message = bench.seal(bench.write(reservation.sn, *[datapoint] * count))
    refuse(bench, message, "number of datapoints", expected(reservation))


@pytest.mark.parametrize("size", [0, 1, 17])
def test_an_opening_that_is_too_short_is_named(bench: Bench, size: int) -> None:
    reservation = bench.central.reserve()
    datapoint = Datapoint.raw(OPEN, REQUEST.to_bytes()[:size])
    refuse(
        bench, bench.seal(bench.write(reservation.sn, datapoint)), "opening", expected(reservation)
    )


@pytest.mark.parametrize(
    "code",
    [CommandCode.DEVICE_INFO, CommandCode.DP_QUERY, CommandCode.UNBIND, CommandCode.PASSTHROUGH],
)
def test_another_command_is_named(bench: Bench, code: CommandCode) -> None:
    reservation = bench.central.reserve()
    frame = replace(bench.frame(reservation.sn), code=code)
    refuse(bench, bench.seal(frame), "command", expected(reservation))


def test_the_framing_of_the_other_generation_is_named(bench: Bench) -> None:
    # 4.4 drops it without a word (reference: protocol §9.2): in doubt for no reason.
    reservation = bench.central.reserve()
    datapoint = Datapoint.raw(OPEN, REQUEST.to_bytes())
    if bench.dialect.major >= 4:
        frame = Frame(reservation.sn, 0, CommandCode.DP_WRITE, DpWrite((datapoint,)).to_bytes())
    else:
        data = DpWriteV4((datapoint,), 1).to_bytes()
        frame = Frame(reservation.sn, 0, CommandCode.DP_WRITE_V4, data)
    refuse(bench, bench.seal(frame), "command", expected(reservation))


@pytest.mark.parametrize("lock", ["4.4", "secv2"])
@pytest.mark.parametrize("version", [1, 255])
def test_another_version_of_a_write_of_4_is_named(lock: str, version: int) -> None:
    bench = Bench(*LOCKS[lock])
    reservation = bench.central.reserve()
    datapoint = Datapoint.raw(OPEN, REQUEST.to_bytes())
    data = DpWriteV4((datapoint,), 1, version).to_bytes()
    frame = Frame(reservation.sn, 0, CommandCode.DP_WRITE_V4, data)
    refuse(bench, bench.seal(frame), "version", expected(reservation))


@pytest.mark.parametrize("how", ["empty", "cut", "no body", "other flag", "other key", "longer"])
def test_a_message_that_does_not_open_is_named(bench: Bench, how: str) -> None:
    reservation = bench.central.reserve()
    frame = bench.frame(reservation.sn)
    message = bench.seal(frame)
    stranger = KeyRing(replace(bench.capture.header.keys, local_key=Secret("?" * 16)))
    broken = {
        "empty": b"",
        "cut": message[:-1],
        "no body": message[:17],
        "other flag": b"\x63" + message[1:],
        "other key": close_frame(frame, flag=bench.dialect.login_flag, ring=stranger, iv=IV),
        "longer": message + b"\0",
    }
    refuse(bench, broken[how], "seal", expected(reservation))


def test_a_write_that_does_not_add_up_is_named(bench: Bench) -> None:
    reservation = bench.central.reserve()
    frame = bench.frame(reservation.sn)
    frame = replace(frame, data=frame.data[:-1])
    refuse(bench, bench.seal(frame), "seal", expected(reservation))


def test_no_bit_of_a_sealed_instruction_may_change() -> None:
    bench = Bench(*LOCKS["3.0"])
    reservation = bench.central.reserve()
    message = bench.seal(bench.frame(reservation.sn))
    before = bench.facts()
    for bit in range(8 * len(message)):
        other = bytearray(message)
        other[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InstructionError):
            bench.central.check_instruction(bytes(other), expected(reservation))
    assert bench.facts() == before


@pytest.mark.parametrize("flag", [4, 5])
def test_security_v2_refuses_the_older_flags(flag: int) -> None:
    bench = Bench(*LOCKS["secv2"])
    reservation = bench.central.reserve()
    message = bench.seal(bench.frame(reservation.sn), flag)
    refuse(bench, message, "seal", expected(reservation))


@pytest.mark.parametrize("lock", ["3.0", "3.3", "4.4"])
@pytest.mark.parametrize("flag", [0, 1, 2, 11, 14, 15, 16])
def test_no_flag_but_login_and_session_is_taken(lock: str, flag: int) -> None:
    bench = Bench(*LOCKS[lock])
    keys = replace(bench.capture.header.keys, sec_key=Secret("s" * 16))
    ring = KeyRing(keys, srand=bench.ring.srand)
    ring.learn_server_rand(IV)
    reservation = bench.central.reserve()
    message = close_frame(bench.frame(reservation.sn), flag=flag, ring=ring, iv=IV)
    refuse(bench, message, "seal", expected(reservation))


# -- once, on one connection (reference: safety B6)


def test_a_used_instruction_is_used_up(bench: Bench) -> None:
    reservation = bench.central.reserve()
    message = bench.seal(bench.frame(reservation.sn))
    instruction = bench.central.check_instruction(message, expected(reservation))
    bench.central.send_instruction(instruction, next_sn=0)
    before = bench.facts()
    for air in InstructionAir:
        with pytest.raises(LocalProtocolError, match="not reserved now"):
            bench.central.send_instruction(instruction, next_sn=0, air=air)
    with pytest.raises(LocalProtocolError, match="not reserved now"):
        bench.central.check_instruction(message, expected(reservation))
    assert bench.facts() == before


def test_two_instructions_for_one_reservation_open_once(bench: Bench) -> None:
    reservation = bench.central.reserve()
    frame = bench.frame(reservation.sn)
    later = bench.frame(reservation.sn, replace(REQUEST, timestamp=REQUEST.timestamp + 1))
    first, second = (
        bench.central.check_instruction(bench.seal(one), expected(reservation))
        for one in (frame, later)
    )
    bench.central.send_instruction(first, next_sn=0)
    with pytest.raises(LocalProtocolError):
        bench.central.send_instruction(second, next_sn=0)


def test_a_cancelled_reservation_takes_its_instruction_with_it(bench: Bench) -> None:
    reservation = bench.central.reserve()
    message = bench.seal(bench.frame(reservation.sn))
    instruction = bench.central.check_instruction(message, expected(reservation))
    bench.central.cancel(reservation)
    before = bench.facts()
    with pytest.raises(LocalProtocolError):
        bench.central.send_instruction(instruction, next_sn=0)
    assert bench.facts() == before


def test_an_instruction_of_an_earlier_connection_is_dead(bench: Bench) -> None:
    reservation = bench.central.reserve()
    message = bench.seal(bench.frame(reservation.sn))
    instruction: Instruction = bench.central.check_instruction(message, expected(reservation))
    bench.central.disconnected()
    with pytest.raises(LocalProtocolError):
        bench.central.send_instruction(instruction, next_sn=0)
    bench.log_in()
    again = bench.central.reserve()
    assert again.sn == reservation.sn  # the number is right, the connection is not
    before = bench.facts()
    with pytest.raises(LocalProtocolError):
        bench.central.send_instruction(instruction, next_sn=0)
    with pytest.raises(LocalProtocolError):
        bench.central.check_instruction(message, expected(reservation))
    with pytest.raises(LocalProtocolError):
        bench.central.cancel(reservation)
    assert bench.facts() == before


def test_a_timestamp_lies_above_the_last_one_of_the_connection(bench: Bench) -> None:
    # Reference: safety C5; whatever the caller remembers.
    reservation = bench.central.reserve()
    message = bench.seal(bench.frame(reservation.sn))
    instruction = bench.central.check_instruction(message, expected(reservation))
    bench.central.send_instruction(instruction, next_sn=0)
    reservation = bench.central.reserve()
    for seconds, legal in ((-1, False), (0, False), (1, True)):
        request = replace(REQUEST, timestamp=REQUEST.timestamp + seconds)
        message = bench.seal(bench.frame(reservation.sn, request))
        asked = expected(reservation, after_timestamp=-1)
        if legal:
            assert bench.central.check_instruction(message, asked).request == request
            continue
        with pytest.raises(InstructionError) as told:
            bench.central.check_instruction(message, asked)
        assert told.value.field == "timestamp"


# -- numbers around it (reference: safety B1, B2)


def test_our_own_frames_find_their_numbers_below_the_reservation(bench: Bench) -> None:
    last = bench.central.last_sn
    reservation = bench.central.reserve()
    assert reservation.sn == last + 32
    assert [bench.central.query().sn for _ in range(31)] == list(range(last + 1, last + 32))
    assert bench.central.own_numbers_left == 0
    with pytest.raises(LocalProtocolError, match="below the reservation"):
        bench.central.query()
    message = bench.seal(bench.frame(reservation.sn))
    instruction = bench.central.check_instruction(message, expected(reservation))
    outgoing, _ = bench.central.send_instruction(instruction, next_sn=reservation.sn + 1)
    assert outgoing.sn == reservation.sn
    assert bench.central.query().sn == reservation.sn + 1


@pytest.mark.parametrize(("step", "believed"), [(1, True), (1000, True), (1001, False), (0, False)])
def test_the_next_number_of_the_cloud_is_checked(bench: Bench, step: int, believed: bool) -> None:
    reservation = bench.central.reserve()
    message = bench.seal(bench.frame(reservation.sn))
    instruction = bench.central.check_instruction(message, expected(reservation))
    _, answer = bench.central.send_instruction(instruction, next_sn=reservation.sn + step)
    assert answer is believed
    assert bench.central.query().sn == reservation.sn + (step if believed else 1)


def test_the_answer_to_an_instruction_is_matched_to_it() -> None:
    bench = Bench(*LOCKS["3.0"])
    reservation = bench.central.reserve()
    message = bench.seal(bench.frame(reservation.sn))
    instruction = bench.central.check_instruction(message, expected(reservation))
    bench.central.send_instruction(instruction, next_sn=0)
    answer = bench.seal(Frame(100, reservation.sn, CommandCode.DP_WRITE, b"\0"), 5)
    events = bench.central.receive(b"\0" + bytes((len(answer),)) + b"\x30" + answer, 0.0)
    assert events == [ev.Answered(reservation.sn, CommandCode.DP_WRITE, 0)]


def test_an_instruction_shows_nothing_that_opens_a_door(bench: Bench) -> None:
    reservation = bench.central.reserve()
    message = bench.seal(bench.frame(reservation.sn))
    instruction = bench.central.check_instruction(message, expected(reservation))
    for shown in (repr(instruction), repr(expected(reservation))):
        assert "52777950" not in shown
        assert message.hex()[:20] not in shown
        assert repr(message[17:])[2:20] not in shown
    outgoing, _ = bench.central.send_instruction(instruction, next_sn=0)
    assert repr(message[20:30])[2:-1] not in repr(outgoing)
