"""The lock's own word about one operation, among everything that only looks like it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from protocol import events as ev
from protocol.capture import Kind, parse_capture
from protocol.central import Central
from protocol.commands import CommandCode, DpWrite, Sender
from protocol.datapoint import Datapoint
from protocol.errors import RemoteProtocolError, SequenceError
from protocol.fragment import split
from protocol.frame import Frame
from protocol.keys import KeyRing, Secret
from protocol.lock import METHOD_MEMBER, OpenOperation, OpenReply, OpenRequest
from protocol.message import close_frame
from protocol.reports import Report, ReportTime
from protocol.state import State
from protocol.verdict import (
    CONFIRMED,
    LockQuestion,
    Moved,
    OpenQuestion,
    Question,
    Ruling,
    Verdict,
)

FIRMWARE = Path(__file__).resolve().parents[1] / "captures/firmware"
OPEN, OPEN_RECORD, BOLT, BY_BLUETOOTH = 71, 72, 47, 19

# Source: tests/captures/firmware/lock-first-unlock.jsonl: the request and its reply.
REQUEST = OpenRequest.from_bytes(bytes.fromhex("ffff65ce333830313830383201665ce6270005"))
REPLY = OpenReply.from_bytes(bytes.fromhex("65ceffff333830313830383201665ce6270000"))
QUESTION = OpenQuestion(REQUEST, OPEN, OPEN_RECORD)


def reported(*datapoints: Datapoint, timed: bool = False) -> Report:
    if timed:
        return Report(code=0x8003, datapoints=datapoints, time=ReportTime.unix(1))
    return Report(code=0x8001, datapoints=datapoints)


def answer(dp_id: int = OPEN, /, **changes: object) -> Report:
    reply = replace(REPLY, **changes)  # type: ignore[arg-type]
    return reported(Datapoint.raw(dp_id, reply.to_bytes()))


# -- opening, field by field


def test_the_recorded_reply_confirms() -> None:
    assert QUESTION.judge(answer()) == CONFIRMED
    assert CONFIRMED.ruling is Ruling.CONFIRMED
    assert CONFIRMED.code == 0


@pytest.mark.parametrize(
    ("result", "moved"),
    [
        (1, Moved.POSSIBLE),  # the motor tried
        (2, Moved.NO),
        (3, Moved.NO),
        (4, Moved.NO),
        (5, Moved.NO),
        (6, Moved.POSSIBLE),  # nobody documents it
        (255, Moved.POSSIBLE),
    ],
)
def test_any_other_result_refuses_and_says_whether_the_motor_may_have_moved(
    result: int, moved: Moved
) -> None:
    assert QUESTION.judge(answer(result=result)) == Verdict(Ruling.REFUSED, result, moved)


@pytest.mark.parametrize("result", [0, 1, 4])
@pytest.mark.parametrize(
    "change",
    [
        {"peripheral": 0x65CF},
        {"central": 0xFFFE},
        {"peripheral": 0xFFFF, "central": 0x65CE},  # ids not swapped
        {"code": Secret("38018083")},
        {"code": Secret(bytes(8))},
        {"operation": OpenOperation.CLOSE},
        {"timestamp": REPLY.timestamp + 1},
        {"timestamp": REPLY.timestamp - 1},
        {"method": 1},
    ],
    ids=str,
)
def test_a_reply_that_differs_in_one_field_is_about_something_else(
    change: dict[str, object], result: int
) -> None:
    assert QUESTION.judge(answer(**change, result=result)) is None


@pytest.mark.parametrize("dp_id", [6, 19, 46, 47, 70, OPEN_RECORD, 73])
def test_the_same_bytes_under_another_datapoint_are_no_reply(dp_id: int) -> None:
    assert QUESTION.judge(answer(dp_id)) is None


@pytest.mark.parametrize("size", [0, 1, 17, 18, 20, 21])
def test_a_reply_has_19_bytes(size: int) -> None:
    raw = (REPLY.to_bytes() + b"\0\0\0")[:size]
    assert QUESTION.judge(reported(Datapoint.raw(OPEN, raw))) is None


def test_the_reply_is_found_among_other_datapoints() -> None:
    other = Datapoint.boolean(BOLT, True)
    reply = Datapoint.raw(OPEN, REPLY.to_bytes())
    assert QUESTION.judge(reported(other, reply)) == CONFIRMED
    assert QUESTION.judge(reported(reply, other)) == CONFIRMED


@pytest.mark.parametrize("dp_type", [0, 1, 3, 99])
def test_the_type_byte_of_a_reply_does_not_count(dp_type: int) -> None:
    report = reported(Datapoint(OPEN, dp_type, REPLY.to_bytes()))
    assert QUESTION.judge(report) == CONFIRMED


@pytest.mark.parametrize(
    "datapoint",
    [Datapoint.boolean(BOLT, True), Datapoint.number(BY_BLUETOOTH, 5), Datapoint.raw(6, b"\1\5")],
)
def test_a_bolt_that_moves_or_a_record_alone_is_no_answer(datapoint: Datapoint) -> None:
    assert QUESTION.judge(reported(datapoint)) is None


@pytest.mark.parametrize("method", [1, 2, 255])
def test_under_another_method_the_reply_comes_as_the_record(method: int) -> None:
    question = replace(QUESTION, request=replace(REQUEST, method=method))
    assert question.judge(answer(OPEN_RECORD, method=method)) == CONFIRMED
    assert question.judge(answer(OPEN, method=method)) == CONFIRMED
    assert question.judge(answer(OPEN_RECORD, method=METHOD_MEMBER)) is None
    without = replace(question, record_dp_id=None)
    assert without.judge(answer(OPEN_RECORD, method=method)) is None


def test_a_close_is_never_confirmed_by_its_echo() -> None:
    # Source: lock-close.jsonl: the last byte of the answer is the member of the request, and a
    # member 0 would look like success.
    request = OpenRequest.from_bytes(bytes.fromhex("ffff36df363135363630383400685769a00005"))
    echo = bytes.fromhex("36dfffff363135363630383400685769a00005")
    question = OpenQuestion(request, OPEN, OPEN_RECORD)
    for last in (5, 0, 1):
        datapoint = Datapoint.raw(OPEN, echo[:-1] + bytes((last,)))
        assert question.judge(reported(datapoint)) is None


# -- locking


@pytest.mark.parametrize(
    ("datapoint", "verdict"),
    [
        (Datapoint.boolean(BOLT, False), CONFIRMED),
        (Datapoint.raw(BOLT, b"\0"), CONFIRMED),
        (Datapoint.boolean(BOLT, True), None),
        (Datapoint.raw(BOLT, b""), None),
        (Datapoint.raw(BOLT, b"\0\0"), None),
        (Datapoint.boolean(46, True), None),
        (Datapoint.boolean(46, False), None),
        (Datapoint.raw(OPEN, bytes(19)), None),
    ],
)
def test_only_the_bolt_says_that_it_is_closed(
    datapoint: Datapoint, verdict: Verdict | None
) -> None:
    assert LockQuestion(BOLT).judge(reported(datapoint)) == verdict


def test_a_product_without_a_bolt_datapoint_never_confirms() -> None:
    for dp_id in (0, 46, BOLT):
        assert LockQuestion(None).judge(reported(Datapoint.boolean(dp_id, False))) is None


# -- the whole way: what the recorded lock said, and what our central makes of it


@dataclass
class Visit:
    """A central that repeats a recording and asks a question with some of its writes."""

    name: str
    questions: dict[int, Question] = field(default_factory=dict)
    """By the number of the write, counted from 0 over the whole recording."""
    hand_over: bool = True
    judged: list[tuple[float, Question, Verdict]] = field(default_factory=list)
    writes: int = 0

    def run(self) -> list[tuple[float, Question, Verdict]]:
        capture = parse_capture((FIRMWARE / f"{self.name}.jsonl").read_text())
        count = itertools.count(1)
        central = Central(capture.header.keys, new_iv=lambda: next(count).to_bytes(16, "big"))
        for event in capture.events:
            if event.kind is Kind.CONNECT:
                central.connected()
            elif event.kind is Kind.DISCONNECT:
                central.disconnected()
            elif event.value is not None and event.sender is Sender.LOCK:
                for told in central.receive(event.value, event.t):
                    if isinstance(told, ev.Judged):
                        self.judged.append((event.t, told.question, told.verdict))
            elif event.frame is not None:
                self.write(central, event.frame.code, event.frame.data)
        return self.judged

    def write(self, central: Central, code: int, data: bytes) -> None:
        if code == CommandCode.DEVICE_INFO:
            central.ask_device_info(0.0)
        elif code == CommandCode.PAIR:
            central.pair(0.0)
        elif code == CommandCode.DP_WRITE:
            question = self.questions.get(self.writes)
            self.writes += 1
            datapoint = DpWrite.from_bytes(data).datapoints[0]
            outgoing = central.write_datapoint(datapoint, 0.0, question=question)
            if self.hand_over:
                central.handed_over(outgoing)
        elif code != CommandCode.REPORT_TIMED:
            central.send(code, data)


def asked(raw: str) -> OpenQuestion:
    return OpenQuestion(OpenRequest.from_bytes(bytes.fromhex(raw)), OPEN, OPEN_RECORD)


def test_an_opening_is_confirmed_once_by_its_reply() -> None:
    question = asked("ffff65ce333830313830383201665ce6270005")
    assert Visit("lock-first-unlock", {1: question}).run() == [(0.5, question, CONFIRMED)]


def test_an_answer_before_the_last_fragment_left_is_no_answer() -> None:
    question = asked("ffff65ce333830313830383201665ce6270005")
    assert Visit("lock-first-unlock", {1: question}, hand_over=False).run() == []


def test_every_recorded_refusal_is_told_with_its_code() -> None:
    # Source: lock-open-refused.jsonl; write 1 sets the check code.
    rows = {
        0: ("ffffd4f03138363239393034016988b0f60005", 2),
        2: ("0002d4f03138363239393034016988b0f60005", 2),
        3: ("ffffd4f13138363239393034016988b0f60005", 3),
        4: ("ffffd4f03038363239393034016988b0f60005", 4),
        6: ("ffffd4f03138363239393034016988b0f60005", 0),
    }
    questions: dict[int, Question] = {write: asked(raw) for write, (raw, _) in rows.items()}
    judged = Visit("lock-open-refused", questions).run()
    assert [verdict.code for _, _, verdict in judged] == [code for _, code in rows.values()]
    assert [verdict.moved for _, _, verdict in judged[:4]] == [Moved.NO] * 4
    assert [verdict.ruling for _, _, verdict in judged] == [*[Ruling.REFUSED] * 4, Ruling.CONFIRMED]


def test_a_jammed_motor_is_a_refusal_that_may_have_moved() -> None:
    capture = parse_capture((FIRMWARE / "lock-open-jammed.jsonl").read_text())
    writes = [
        DpWrite.from_bytes(event.frame.data).datapoints[0]
        for event in capture.events
        if event.frame and event.sender is Sender.CENTRAL and event.frame.code == 2
    ]
    questions: dict[int, Question] = {
        index: OpenQuestion(OpenRequest.from_bytes(one.data), OPEN, OPEN_RECORD)
        for index, one in enumerate(writes)
        if one.id == OPEN
    }
    verdicts = [verdict for _, _, verdict in Visit("lock-open-jammed", questions).run()]
    assert verdicts[0] == Verdict(Ruling.REFUSED, 1, Moved.POSSIBLE)
    assert verdicts[-1] == CONFIRMED
    assert len(verdicts) == len(questions)


def test_a_timed_record_in_front_of_the_reply_is_not_the_reply() -> None:
    # Source: lock-open-method.jsonl: 0x8003 with datapoint 72 comes first, then 0x8001 with it.
    with_info = asked("ffff0c2e3337383331333136016741cccc01050607")
    without = asked("ffff0c2e3337383331333136016741cccd02")
    close = asked("ffff0c2e3337383331333136006741cccd0105")
    judged = Visit("lock-open-method", {1: with_info, 2: without, 3: close}).run()
    assert judged == [(0.5, with_info, CONFIRMED), (1.1, without, CONFIRMED)]


def test_a_close_stays_without_a_verdict_and_the_bolt_gives_one() -> None:
    # Source: lock-close.jsonl: writes are the check code, open, close, manual lock. The bolt is
    # reported open at 1.1 (after the opening) and closed at 2.4.
    close = asked("ffff36df363135363630383400685769a00005")
    assert Visit("lock-close", {2: close}).run() == []
    bolt = LockQuestion(BOLT)
    assert Visit("lock-close", {3: bolt}).run() == [(2.4, bolt, CONFIRMED)]
    assert Visit("lock-close", {1: bolt}).run() == [(2.4, bolt, CONFIRMED)]
    assert Visit("lock-close", {3: LockQuestion(None)}).run() == []


# -- frames of our own making under the lock's keys


class Bench:
    """A central that is logged in, and the lock's voice."""

    def __init__(self) -> None:
        capture = parse_capture((FIRMWARE / "lock-first-unlock.jsonl").read_text())
        count = itertools.count(1)
        self.new_iv: Callable[[], bytes] = lambda: next(count).to_bytes(16, "big")
        self.central = Central(capture.header.keys, new_iv=self.new_iv)
        self.ring = KeyRing(capture.header.keys)
        self.sn = 100
        self.events = capture.events
        self.log_in()

    def log_in(self) -> None:
        self.central.connected()
        self.central.ask_device_info(0.0)
        for event in self.events:
            if event.value is None or event.sender is not Sender.LOCK:
                continue
            for told in self.central.receive(event.value, 0.0):
                if isinstance(told, ev.DeviceInfoReceived):
                    self.ring.learn_srand(told.info.srand.reveal())
                    self.central.pair(0.0)
            if self.central.state is State.READY:
                break

    def say(self, code: int, data: bytes, *, ack_sn: int = 0, flag: int = 5) -> list[Verdict]:
        self.sn += 1
        frame = Frame(self.sn, ack_sn, code, data)
        message = close_frame(frame, flag=flag, ring=self.ring, iv=self.new_iv())
        events: list[ev.CentralEvent] = []
        for fragment in split(message, att_payload=20, major=3):
            events += self.central.receive(fragment, 0.0)
        assert events
        return [told.verdict for told in events if isinstance(told, ev.Judged)]

    def report(self, report: Report, *, flag: int = 5) -> list[Verdict]:
        return self.say(report.code, report.to_bytes(), flag=flag)

    def open(self, question: Question = QUESTION, *, hand_over: bool = True) -> int:
        datapoint = Datapoint.raw(OPEN, REQUEST.to_bytes())
        outgoing = self.central.write_datapoint(datapoint, 0.0, question=question)
        if hand_over:
            self.central.handed_over(outgoing)
        return outgoing.sn


def test_the_first_word_counts_and_no_second_one() -> None:
    bench = Bench()
    bench.open()
    assert bench.report(answer(result=4)) == [Verdict(Ruling.REFUSED, 4, Moved.NO)]
    assert bench.report(answer()) == []
    assert bench.report(answer(result=4)) == []


def test_everything_that_only_looks_like_an_answer_is_passed_over() -> None:
    bench = Bench()
    sn = bench.open()
    reply = Datapoint.raw(OPEN, REPLY.to_bytes())
    assert bench.say(CommandCode.DP_WRITE, b"\0", ack_sn=sn) == []
    assert bench.report(reported(Datapoint.boolean(BOLT, True))) == []
    assert bench.report(reported(reply, timed=True)) == []
    assert bench.report(reported(Datapoint.number(BY_BLUETOOTH, 5), timed=True)) == []
    assert bench.report(answer(timestamp=REPLY.timestamp - 1)) == []
    assert bench.report(answer(result=4, code=Secret("00000000"))) == []
    assert bench.report(answer()) == [CONFIRMED]


def test_a_reply_under_the_login_key_may_be_somebodys_recording() -> None:
    bench = Bench()
    bench.open()
    assert bench.report(answer(), flag=4) == []
    assert bench.report(answer(result=4), flag=4) == []
    assert bench.report(answer()) == [CONFIRMED]


def test_nothing_counts_before_the_last_fragment_was_handed_over() -> None:
    bench = Bench()
    sn = bench.open(hand_over=False)
    assert bench.report(answer()) == []
    assert bench.say(CommandCode.DP_WRITE, b"\1", ack_sn=sn) == []
    bench = Bench()
    bench.open(hand_over=False)
    other = bench.central.query()
    bench.central.handed_over(other)  # another message
    assert bench.report(answer()) == []


def test_a_refused_form_is_a_refusal_before_anything_moved() -> None:
    bench = Bench()
    sn = bench.open()
    assert bench.say(CommandCode.DP_WRITE, b"\1", ack_sn=sn + 7) == []
    assert bench.say(CommandCode.DP_WRITE, b"\1", ack_sn=sn) == [
        Verdict(Ruling.REFUSED, 1, Moved.NO, structural=True)
    ]
    assert bench.report(answer()) == []


@pytest.mark.parametrize("flag", [0, 4])
def test_a_refused_form_that_is_not_under_the_session_key_is_no_refusal(flag: int) -> None:
    # In plaintext anybody can say it. A lock answers writes under flag 5 only.
    bench = Bench()
    sn = bench.open()
    with contextlib.suppress(RemoteProtocolError):
        assert bench.say(CommandCode.DP_WRITE, b"\1\0", ack_sn=sn, flag=flag) == []
    assert bench.report(answer()) == [CONFIRMED]


def test_a_refused_form_of_another_command_is_not_ours() -> None:
    bench = Bench()
    bench.open()
    other = bench.central.query()
    bench.central.handed_over(other)
    assert bench.say(CommandCode.DP_WRITE, b"\1", ack_sn=other.sn) == []
    assert bench.report(answer()) == [CONFIRMED]


def test_a_repeated_number_of_the_lock_is_not_heard() -> None:
    bench = Bench()
    bench.open()
    bench.report(reported(Datapoint.boolean(BOLT, True)))
    bench.sn -= 1  # the same number again, with the reply in it
    with pytest.raises(SequenceError):
        bench.report(answer())
    assert bench.report(answer()) == [CONFIRMED]


def test_a_new_connection_has_forgotten_the_question() -> None:
    bench = Bench()
    bench.open()
    bench.central.disconnected()
    bench.log_in()
    assert bench.report(answer()) == []
