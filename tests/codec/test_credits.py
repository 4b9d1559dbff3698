"""Acknowledgements of records are credits: recorded scenarios, and a model of the lock."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol import events as ev
from protocol.capture import Event, Kind, parse_capture
from protocol.central import Central
from protocol.commands import CommandCode, DpWrite
from protocol.credits import CLOCK_SLACK, QUIET, Origin, RecordAcks, RecordCredits
from protocol.datapoint import Datapoint
from protocol.errors import LocalProtocolError
from protocol.reports import Report, ReportTime
from protocol.times import ClockAnswer
from tests.codec.pair import Pair

FIRMWARE = Path(__file__).resolve().parents[1] / "captures/firmware"
LIVE, BACKLOG, UNSURE = Origin.LIVE, Origin.BACKLOG, Origin.UNSURE


def record(seconds: int, dp_id: int = 13) -> Report:
    time = ReportTime.unix(seconds)
    return Report(code=0x8003, datapoints=(Datapoint.number(dp_id, 1),), time=time)


# -- recorded visits


@dataclass
class Visit:
    """A careful central in place of the recorded one, on the second connection of a recording.

    It does at the recorded times what the recorded central did, stores every record at once,
    and acknowledges only where it may. What the lock says is what it said to the recorded one.
    """

    central: Central
    reports: dict[int, ev.Reported] = field(default_factory=dict)
    asked: ev.TimeAsked | None = None
    told: list[tuple[float, str, int, Origin | None]] = field(default_factory=list)

    def take(self, event: Event) -> None:
        if event.kind is Kind.CONNECT:
            self.central.connected()
            self.reports.clear()
            self.told.clear()
        elif event.kind is Kind.DISCONNECT:
            self.central.disconnected()
        elif event.kind is Kind.NOTIFY:
            assert event.value is not None
            for told in self.central.receive(event.value, event.t):
                self.hear(told, event.t)
        elif event.kind is Kind.WRITE and event.frame is not None:
            self.write(event)

    def hear(self, told: ev.CentralEvent, now: float) -> None:
        if isinstance(told, ev.TimeAsked):
            self.asked = told
        if isinstance(told, ev.Reported) and told.report.time is not None:
            self.central.record_stored(told)
            self.reports[told.sn] = told
            self.told.append((now, "record", told.report.datapoints[0].id, told.origin))

    def write(self, event: Event) -> None:
        frame, now = event.frame, event.t
        assert frame is not None
        if frame.code == CommandCode.DEVICE_INFO:
            self.central.ask_device_info(now)
        elif frame.code == CommandCode.PAIR:
            self.central.pair(now)
        elif frame.code == CommandCode.TIME_CLOCK:
            assert self.asked is not None
            self.central.answer_time(self.asked, ClockAnswer.from_bytes(frame.data), now)
        elif frame.code == CommandCode.DP_WRITE:
            datapoint = DpWrite.from_bytes(frame.data).datapoints[0]
            self.central.write_datapoint(datapoint, now)
            self.told.append((now, "write", datapoint.id, None))
        elif frame.code == CommandCode.REPORT_TIMED:
            self.acknowledge(frame.ack_sn, now)

    def acknowledge(self, ack_sn: int, now: float) -> None:
        # One recorded acknowledgement names no report: it is for the last one.
        reported = self.reports.get(ack_sn) or list(self.reports.values())[-1]
        dp_id = reported.report.datapoints[0].id
        if not self.central.may_acknowledge(reported, now):
            last = self.central.last_sn
            with pytest.raises(LocalProtocolError, match="no credit"):
                self.central.acknowledge(reported, now)
            assert self.central.last_sn == last
            self.told.append((now, "not acknowledged", dp_id, reported.origin))
            return
        self.central.acknowledge(reported, now)
        self.told.append((now, "acknowledged", dp_id, reported.origin))


def second_visit(
    name: str, acks: RecordAcks = RecordAcks.CREDITS
) -> list[tuple[float, str, int, Origin | None]]:
    capture = parse_capture((FIRMWARE / f"{name}.jsonl").read_text())
    count = itertools.count(1)
    central = Central(
        capture.header.keys,
        new_iv=lambda: next(count).to_bytes(16, "big"),
        get_records_dp=69,
        record_acks=acks,
    )
    visit = Visit(central)
    for event in capture.events:
        visit.take(event)
    return visit.told


def test_a_live_record_before_the_question_is_not_acknowledged() -> None:
    # The recorded central did, and stranded four records in the lock.
    assert second_visit("lock-records-stranded") == [
        (124.4, "record", 13, LIVE),
        (125.0, "not acknowledged", 13, LIVE),
        (126.1, "write", 69, None),
    ]


def test_the_first_record_of_a_drain_may_be_the_live_one_again_and_waits_for_quiet() -> None:
    # lock-records-not-stranded: 0.7 s old when it was asked for, so it could be either.
    told = second_visit("lock-records-not-stranded")
    assert told[:4] == [
        (124.4, "record", 13, LIVE),
        (125.0, "write", 69, None),
        (126.0, "record", 13, UNSURE),
        (126.3, "not acknowledged", 13, UNSURE),
    ]
    assert [row[3] for row in told if row[1] == "record"] == [LIVE, UNSURE, *[BACKLOG] * 4]


def test_live_records_in_the_middle_of_a_drain_are_told_apart() -> None:
    told = second_visit("lock-records-during-drain")
    assert [row[2:] for row in told if row[1] == "record"] == [
        (14, BACKLOG),
        (18, BACKLOG),
        (13, LIVE),  # 184.0, while the one before waits
        (55, BACKLOG),
        (15, BACKLOG),
        (13, BACKLOG),
        (12, BACKLOG),
    ]
    # Seven acknowledgements were recorded, six records were handed out.
    assert [row[1] for row in told].count("acknowledged") <= 6


def test_a_live_record_is_never_acknowledged_even_while_another_one_has_a_credit() -> None:
    told = second_visit("lock-records-during-drain")
    assert (184.0, "record", 13, LIVE) in told
    assert LIVE not in [row[3] for row in told if row[1] == "acknowledged"]


def test_a_careful_drain_is_acknowledged_record_by_record() -> None:
    told = second_visit("lock-records-idle-drain")
    assert told[0] == (5403.1, "write", 69, None)
    steps = [row[1] for row in told[1:]]
    assert steps == ["record", "acknowledged"] * 9  # each once
    assert {row[3] for row in told[1:]} == {BACKLOG}


def test_a_record_handed_out_twice_is_backlog_both_times() -> None:
    told = second_visit("lock-records-no-ack")
    assert told == [
        (92.3, "write", 69, None),
        (93.3, "record", 15, BACKLOG),
        (123.6, "write", 69, None),
        (124.6, "record", 15, BACKLOG),
    ]


def test_the_free_strategy_acknowledges_whatever_was_reported() -> None:
    told = second_visit("lock-records-stranded", RecordAcks.FREE)
    assert told[1] == (125.0, "acknowledged", 13, LIVE)


# -- one rule each


def test_there_is_no_credit_before_the_backlog_was_asked_for() -> None:
    books = RecordCredits()
    one = record(100)
    assert books.received(one, 0.0) is LIVE
    books.stored(one)
    for now in (0.0, QUIET, 1000.0):
        assert not books.available(now)
        with pytest.raises(LocalProtocolError, match="no credit"):
            books.spend(now)


def test_there_is_no_credit_between_the_question_and_the_first_record() -> None:
    books = RecordCredits()
    one = record(100)
    books.received(one, 0.0)
    books.stored(one)
    books.asked(1.0, 101.0)
    for now in (1.0, 1.9, 1.0 + QUIET, 60.0):
        assert not books.available(now)


def test_a_credit_is_earned_on_disk_and_not_on_the_air() -> None:
    books = RecordCredits()
    books.asked(0.0, 1000.0)
    one = record(900)
    assert books.received(one, 1.0) is BACKLOG
    for now in (1.0, 1.0 + QUIET, 60.0):
        assert not books.available(now)
    books.stored(one)
    assert books.available(60.0)


def test_only_what_was_received_earns_a_credit() -> None:
    books = RecordCredits()
    books.asked(0.0, 1000.0)
    one, twin = record(900), record(900)
    books.received(one, 1.0)
    books.stored(twin)  # equal, and not the one that was handed out
    assert not books.available(1.0)
    books.stored(one)
    assert books.available(1.0)


def test_one_record_is_worth_one_acknowledgement() -> None:
    books = RecordCredits()
    books.asked(0.0, 1000.0)
    one = record(900)
    books.received(one, 1.0)
    books.stored(one)
    books.stored(one)
    books.spend(1.1)
    for now in (1.1, 1.1 + QUIET, 60.0):
        assert not books.available(now)
    books.stored(one)
    assert not books.available(60.0)


def test_two_records_on_disk_are_still_worth_one_acknowledgement() -> None:
    # The lock forgets the one it sent last, whichever was meant.
    books = RecordCredits()
    books.asked(0.0, 1000.0)
    first, second = record(900), record(800)
    for one in (first, second):
        books.received(one, 1.0)
        books.stored(one)
    books.spend(1.1)
    assert not books.available(1.1)


def test_a_record_on_the_air_holds_the_credit_of_the_one_before() -> None:
    # The acknowledgement would delete the newer one, which is not on disk yet.
    books = RecordCredits()
    books.asked(0.0, 1000.0)
    first, second = record(900), record(800)
    books.received(first, 1.0)
    books.stored(first)
    books.received(second, 1.1)
    assert not books.available(60.0)
    books.stored(second)
    assert books.available(1.2)


@pytest.mark.parametrize(
    ("age", "origin"),
    [(1.0, UNSURE), (CLOCK_SLACK, UNSURE), (CLOCK_SLACK + 1, BACKLOG), (-5.0, UNSURE)],
)
def test_the_clock_tells_the_first_record_where_it_is_old_enough(
    age: float, origin: Origin
) -> None:
    books = RecordCredits()
    books.asked(0.0, 1000.0)
    assert books.received(record(int(1000 - age)), 1.0) is origin


def test_without_the_locks_clock_the_first_record_is_unsure_and_the_next_ones_are_not() -> None:
    books = RecordCredits()
    books.asked(0.0, None)
    assert books.received(record(500), 1.0) is UNSURE
    assert books.received(record(400), 1.1) is BACKLOG
    assert books.received(record(400), 1.2) is BACKLOG
    assert books.received(record(501), 1.3) is LIVE
    assert books.received(record(399), 1.4) is BACKLOG


def test_an_unsure_record_is_acknowledged_once_after_quiet_and_on_disk() -> None:
    books = RecordCredits()
    books.asked(0.0, None)
    one = record(500)
    books.received(one, 1.0)
    assert not books.available(1.0 + QUIET)
    books.stored(one)
    assert not books.available(1.0)
    assert not books.available(1.0 + QUIET - 0.01)
    assert books.available(1.0 + QUIET)
    assert not books.is_over(1.0 + QUIET)
    books.spend(1.0 + QUIET)
    assert not books.available(1.0 + 2 * QUIET)


def test_an_unsure_record_that_is_not_on_disk_holds_every_credit() -> None:
    books = RecordCredits()
    books.asked(0.0, None)
    first, second = record(500), record(400)
    books.received(first, 1.0)
    books.received(second, 1.1)
    books.stored(second)
    assert not books.available(60.0)
    books.stored(first)
    assert books.available(60.0)


def test_a_live_record_lengthens_the_quiet() -> None:
    books = RecordCredits()
    books.asked(0.0, None)
    one = record(500)
    books.received(one, 1.0)
    books.stored(one)
    assert books.received(record(502), 3.0) is LIVE
    assert not books.available(1.0 + QUIET)
    assert books.available(3.0 + QUIET)


def test_after_the_end_there_is_none() -> None:
    books = RecordCredits()
    assert books.is_over(0.0)
    books.asked(0.0, 1000.0)
    one = record(900)
    assert not books.is_over(QUIET - 0.01)
    books.received(one, 1.0)
    assert not books.is_over(60.0)  # it is not on disk
    books.stored(one)
    assert not books.is_over(60.0)  # nor acknowledged
    books.spend(60.0)
    assert not books.is_over(60.0 + QUIET - 0.01)
    assert books.is_over(60.0 + QUIET)
    late = record(800)
    assert books.received(late, 70.0) is LIVE
    books.stored(late)
    assert not books.available(70.0)
    assert not books.available(70.0 + QUIET)
    assert books.is_over(100.0)


def test_a_drain_without_records_ends_by_itself() -> None:
    books = RecordCredits()
    books.asked(0.0, 1000.0)
    assert not books.is_over(QUIET - 0.01)
    assert books.is_over(QUIET)


def test_a_second_question_starts_over() -> None:
    books = RecordCredits()
    books.asked(0.0, 1000.0)
    assert books.is_over(QUIET)
    books.asked(10.0, 1010.0)
    assert not books.is_over(10.0)
    one = record(1005)
    assert books.received(one, 11.0) is BACKLOG
    books.stored(one)
    assert books.available(11.0)


def test_what_the_first_drain_handed_out_says_nothing_about_the_second() -> None:
    books = RecordCredits()
    books.asked(0.0, 1000.0)
    first = record(900)
    books.received(first, 1.0)
    books.stored(first)
    books.spend(1.0)
    books.asked(100.0, 1100.0)
    assert books.received(record(950), 101.0) is BACKLOG  # newer, and from the backlog all the same


def test_two_live_records_of_one_second_give_no_credit_before_the_drain_began() -> None:
    # The lock counts whole seconds. Both came before its first backlog record, so that an
    # acknowledgement now would delete whatever its stale variable points at.
    books = RecordCredits()
    books.asked(0.0, 1000.0)
    for now in (0.2, 0.5):
        live = record(1000)
        books.received(live, now)
        books.stored(live)
    assert not books.available(0.6)


def test_an_unsure_record_on_disk_waits_for_another_unsure_one() -> None:
    books = RecordCredits()
    books.asked(0.0, None)
    first, second = record(500), record(500)
    for one in (first, second):
        assert books.received(one, 1.0) is UNSURE
    books.stored(first)
    assert not books.available(60.0)
    books.stored(second)
    assert books.available(60.0)
    books.spend(60.0)
    assert not books.available(120.0)


# -- 4.x


def test_a_report_of_4_needs_no_credit_and_bit_7_forbids_it() -> None:
    capture = parse_capture((FIRMWARE / "sdk44-20-reports.jsonl").read_text())
    central = Central(capture.header.keys, new_iv=lambda: bytes(16), att_payload=20)
    acks: list[tuple[int, bool]] = []
    for event in capture.events:
        if event.kind is Kind.CONNECT:
            central.connected()
            central.ask_device_info(0.0)
        if event.kind is not Kind.NOTIFY or event.value is None:
            continue
        for told in central.receive(event.value, event.t):
            if isinstance(told, ev.DeviceInfoReceived):
                central.pair(0.0)
            if not isinstance(told, ev.Reported):
                continue
            acks.append((told.report.sn, central.may_acknowledge(told, event.t)))
            if acks[-1][1]:
                central.acknowledge(told, event.t)
            else:
                with pytest.raises(LocalProtocolError, match="wants no acknowledgement"):
                    central.acknowledge(told, event.t)
    assert acks == [(7, True), (8, True), (9, False), (10, True), (11, True), (12, True)]


def test_failed_is_said_without_a_credit_and_costs_none() -> None:
    # Status 1 deletes nothing (capture lock-records-status-1).
    capture = parse_capture((FIRMWARE / "lock-records-5.jsonl").read_text())
    central = Central(capture.header.keys, new_iv=lambda: bytes(16))
    seen = 0
    for event in capture.events:
        if event.kind is Kind.CONNECT:
            central.connected()
            central.ask_device_info(0.0)
        if event.kind is Kind.DISCONNECT:
            central.disconnected()
        if event.kind is not Kind.NOTIFY or event.value is None:
            continue
        for told in central.receive(event.value, event.t):
            if isinstance(told, ev.DeviceInfoReceived):
                central.pair(0.0)
            if isinstance(told, ev.Reported) and told.report.time is not None:
                seen += 1
                assert not central.may_acknowledge(told, event.t)
                before = central.last_sn
                assert central.acknowledge(told, event.t, status=1).sn == before + 1
                with pytest.raises(LocalProtocolError, match="no credit"):
                    central.acknowledge(told, event.t)
    assert seen >= 5


def test_a_drain_of_4_ends_when_each_report_was_acknowledged_that_wants_it() -> None:
    def timed(seconds: int, report_type: int) -> Report:
        time = ReportTime.unix(seconds)
        return Report(
            code=0x8007, datapoints=(Datapoint.number(13, 1),), time=time, sn=7, type=report_type
        )

    books = RecordCredits()
    books.asked(0.0, 1000.0)
    wants, wants_none = timed(500, 0), timed(400, 0x80)
    for report in (wants, wants_none):
        assert books.received(report, 1.0) is BACKLOG
        books.stored(report)
    assert not books.is_over(100.0), "an acknowledgement is owed"
    books.settle(100.0)
    assert not books.is_over(100.0 + QUIET - 0.1)
    assert books.is_over(100.0 + QUIET)


def test_a_record_is_not_acknowledged_behind_the_books() -> None:
    pair = Pair()
    pair.handshake()
    last = pair.central.last_sn
    with pytest.raises(LocalProtocolError, match="acknowledge"):
        pair.central.send(CommandCode.REPORT_TIMED, b"\0")
    assert pair.central.last_sn == last
    free = Pair(record_acks=RecordAcks.FREE)
    free.handshake()
    assert free.central.send(CommandCode.REPORT_TIMED, b"\0").code == CommandCode.REPORT_TIMED


def test_a_slow_disk_is_not_taken_for_quiet() -> None:
    """An unsure record is on disk, a backlog one is not: it is what an ack would delete."""
    books = RecordCredits()
    books.asked(0.0, None)
    live, kept = record(2000), record(1)
    assert books.received(live, 0.9) is Origin.UNSURE
    assert books.received(kept, 1.2) is Origin.BACKLOG
    books.stored(live)
    assert not books.available(1.2 + 2 * QUIET)
    books.stored(kept)
    assert books.available(1.2 + 2 * QUIET)


# -- a model of the lock


@dataclass
class ModelLock:
    """The record store of a 3.x lock (reference: protocol §6.7), and what went wrong with it."""

    ring: list[int]
    """Times of the records not handed out yet in this drain, newest first."""
    last_sent: int | None = None
    """The record that an acknowledgement deletes; ``None`` is the stale variable."""
    drain_at: float | None = None
    on_disk: set[int] = field(default_factory=set)
    harm: list[str] = field(default_factory=list)

    def send_next(self) -> list[int]:
        self.last_sent = self.ring.pop(0) if self.ring else None
        return [] if self.last_sent is None else [self.last_sent]

    def step(self, now: float) -> list[int]:
        if self.drain_at is not None and now >= self.drain_at:
            self.drain_at = None
            return self.send_next()
        return []

    def acknowledged(self) -> list[int]:
        if self.last_sent is None:
            if not self.on_disk.issuperset(self.ring):
                self.harm.append(f"stranded {self.ring}")
            return []
        if self.last_sent not in self.on_disk:
            self.harm.append(f"lost {self.last_sent}")
        return self.send_next()


@given(
    stored=st.lists(st.integers(1, 2000), max_size=6, unique=True),
    clock_known=st.booleans(),
    steps=st.lists(
        st.sampled_from(["wait", "wait", "wait", "live", "store", "store"]), max_size=60
    ),
)
@example(stored=[1], clock_known=False, steps=["wait"] * 3 + ["live"] + ["wait"] * 9)
def test_no_interleaving_loses_or_strands_a_record(
    stored: list[int], clock_known: bool, steps: list[str]
) -> None:
    # The lock's clock begins at 2000 here, so everything stored is older; one second has at
    # most one live record (two of them: see above).
    lock = ModelLock(sorted(stored, reverse=True), drain_at=1.0)
    books = RecordCredits()
    books.asked(0.0, 2000.0 if clock_known else None)
    now, last_live, on_air = 0.0, 1999, list[Report]()

    def arrive(times: list[int]) -> None:
        for seconds in times:
            on_air.append(record(seconds))
            books.received(on_air[-1], now)

    acks = 0
    for step in [*steps, *["store", "wait"] * 40]:
        if step == "wait":
            now += 0.3
            arrive(lock.step(now))
        elif step == "live":
            last_live = max(last_live + 1, 2000 + int(now))
            arrive([last_live])
        elif on_air:
            report = on_air.pop(0)
            assert report.time is not None
            lock.on_disk.add(int(report.time.seconds))
            books.stored(report)
        if books.available(now):
            books.spend(now)
            acks += 1
            arrive(lock.acknowledged())
    assert lock.harm == []
    assert lock.on_disk.issuperset(stored)
    assert books.is_over(now + QUIET)
    assert len(stored) <= acks <= len(stored) + 1
