"""Reports and the acknowledgements they want: 1, 4 or 8 bytes, or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.datapoint import Datapoint
from protocol.errors import LocalProtocolError, PayloadError
from protocol.reports import (
    REPORT_CODES,
    TIMED_CODES,
    Report,
    ReportAck,
    ReportMode,
    ReportTime,
    TimeKind,
)

BATTERY = Datapoint.number(8, 90)
MEMBER = Datapoint.number(19, 7)

# Source: tests/captures/firmware/sdk33-reports.jsonl and sdk44-20-reports.jsonl: what the lock
# said, and what the central answered (None: nothing).
LITERAL = [
    pytest.param(
        "080204000000502f010101",
        Report(code=0x8001, datapoints=(Datapoint.number(8, 80), Datapoint.boolean(47, True))),
        "00",
        id="8001",
    ),
    pytest.param(
        "016802f19a13020400000007",
        Report(code=0x8003, datapoints=(MEMBER,), time=ReportTime.unix(1745023386)),
        "00",
        id="8003-unix",
    ),
    pytest.param(
        "003137343530323333383631323315040103",
        Report(
            code=0x8003, datapoints=(Datapoint.enum(21, 3),), time=ReportTime.text(1745023386123)
        ),
        "00",
        id="8003-text",
    ),
    pytest.param(
        "0201000802040000005a",
        Report(code=0x8004, datapoints=(BATTERY,), sn=513),
        "02010000",
        id="8004",
    ),
    pytest.param(
        "020201016802f19a0802040000005a",
        Report(
            code=0x8005,
            datapoints=(BATTERY,),
            sn=514,
            mode=ReportMode.CLOUD,
            time=ReportTime.unix(1745023386),
        ),
        "02020100",
        id="8005-unix",
    ),
    pytest.param(
        "02030200313734353032333338363939390802040000005a",
        Report(
            code=0x8005,
            datapoints=(BATTERY,),
            sn=515,
            mode=ReportMode.PANEL,
            time=ReportTime.text(1745023386999),
        ),
        "02030200",
        id="8005-text",
    ),
    pytest.param(
        "00000000070000080200040000005a",
        Report(code=0x8006, datapoints=(BATTERY,), sn=7),
        "0000000007000000",
        id="8006",
    ),
    pytest.param(
        "00000000080102080200040000005a2f01000101",
        Report(
            code=0x8006,
            datapoints=(BATTERY, Datapoint.boolean(47, True)),
            sn=8,
            type=1,
            mode=ReportMode.PANEL,
        ),
        "0000000008010200",
        id="8006-passive",
    ),
    pytest.param(
        "00000000098001080200040000005a",
        Report(code=0x8006, datapoints=(BATTERY,), sn=9, type=0x80, mode=ReportMode.CLOUD),
        None,
        id="8006-no-answer",
    ),
    pytest.param(
        "000000000a0000016556d10f1302000400000007",
        Report(code=0x8007, datapoints=(MEMBER,), sn=10, time=ReportTime.unix(1700188431)),
        "000000000a000000",
        id="8007-unix",
    ),
    pytest.param(
        "000000000b000100313730303138383433313132331504000103",
        Report(
            code=0x8007,
            datapoints=(Datapoint.enum(21, 3),),
            sn=11,
            mode=ReportMode.CLOUD,
            time=ReportTime.text(1700188431123),
        ),
        "000000000b000100",
        id="8007-text",
    ),
    pytest.param(
        "000000000c0000003137303031383834333130303013020004000000071504000108",
        Report(
            code=0x8007,
            datapoints=(MEMBER, Datapoint.enum(21, 8)),
            sn=12,
            time=ReportTime.text(1700188431000),
        ),
        "000000000c000000",
        id="8007-two-datapoints",
    ),
    # Source: github.com/bertrik/bt785 (MIT), field.json "bt785-dp8006-value": a real device.
    pytest.param(
        "00f000000080007e020004000003e7",
        Report(code=0x8006, datapoints=(Datapoint.number(126, 999),), sn=0xF0000000, type=0x80),
        None,
        id="8006-real",
    ),
]


@pytest.mark.parametrize(("raw", "report", "_ack"), LITERAL)
def test_recorded_reports_are_read_and_written(raw: str, report: Report, _ack: str | None) -> None:
    assert Report.from_bytes(report.code, bytes.fromhex(raw)) == report
    assert report.to_bytes().hex() == raw


@pytest.mark.parametrize(("_raw", "report", "ack"), LITERAL)
def test_a_report_is_acknowledged_as_it_wants(_raw: str, report: Report, ack: str | None) -> None:
    built = report.ack()
    if ack is None:
        assert built is None
        assert not report.wants_ack
        return
    assert built is not None
    assert report.wants_ack
    assert built.to_bytes().hex() == ack
    assert ReportAck.from_bytes(report.code, bytes.fromhex(ack)) == built


@pytest.mark.parametrize(
    ("code", "size"), [(0x8001, 1), (0x8003, 1), (0x8004, 4), (0x8005, 4), (0x8006, 8), (0x8007, 8)]
)
def test_each_acknowledgement_has_its_length_with_the_status_last(code: int, size: int) -> None:
    time = ReportTime.unix(1) if code in TIMED_CODES else None
    numbered = {"sn": 3, "mode": 2} if size > 1 else {}
    ack = Report(code=code, datapoints=(), time=time, **numbered).ack(status=1)
    assert ack is not None
    assert len(ack.to_bytes()) == size
    assert ack.to_bytes()[-1] == 1


def test_the_table_of_reports_is_whole() -> None:
    assert {0x8001, 0x8003, 0x8004, 0x8005, 0x8006, 0x8007} == REPORT_CODES
    assert {0x8003, 0x8005, 0x8007} == TIMED_CODES


def test_bit_7_alone_says_that_no_answer_is_wanted() -> None:
    for kind in range(256):
        report = Report(code=0x8006, datapoints=(), type=kind)
        assert report.wants_ack is (kind < 0x80)
        assert (report.ack() is None) is (kind >= 0x80)
        assert report.passive is (kind & 0x0F == 1)


@pytest.mark.parametrize(
    ("code", "size"),
    [(code, size) for code in (0x8004, 0x8005) for size in (0, 1, 3, 5, 8)]
    + [(code, size) for code in (0x8006, 0x8007) for size in (0, 1, 4, 7, 9)],
)
def test_an_acknowledgement_of_another_length_is_refused(code: int, size: int) -> None:
    with pytest.raises(PayloadError):
        ReportAck.from_bytes(code, bytes(size))


@pytest.mark.parametrize("code", [0x8001, 0x8003])
def test_of_a_short_acknowledgement_the_lock_reads_one_byte_only(code: int) -> None:
    assert ReportAck.from_bytes(code, b"\1\2\3").status == 1
    with pytest.raises(PayloadError):
        ReportAck.from_bytes(code, b"")


# -- times


def test_a_time_keeps_its_bytes() -> None:
    assert ReportTime.unix(0x6802F19A) == ReportTime(TimeKind.UNIX, bytes.fromhex("6802f19a"))
    assert ReportTime.unix(0x6802F19A).seconds == 1745023386.0
    assert ReportTime.text(1745023386123) == ReportTime(TimeKind.TEXT_MS, b"1745023386123")
    assert ReportTime.text(1745023386123).seconds == 1745023386.123
    assert ReportTime.text(7).raw == b"0000000000007"
    assert ReportTime.unix(7).raw == b"\0\0\0\7"


def test_times_that_do_not_fit_are_our_bug() -> None:
    for seconds in (-1, 2**32):
        with pytest.raises(LocalProtocolError):
            ReportTime.unix(seconds)
    for milliseconds in (-1, 10**13):
        with pytest.raises(LocalProtocolError):
            ReportTime.text(milliseconds)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("", id="nothing"),
        pytest.param("01", id="kind only"),
        pytest.param("01680261", id="unix cut off"),
        pytest.param("00" + "31" * 12, id="text cut off"),
        pytest.param("00" + "31" * 12 + "3a", id="a colon is no digit"),
        pytest.param("00" + "2b" + "31" * 12, id="nor is a sign"),
        pytest.param("00" + "20" + "31" * 12, id="nor a space"),
        pytest.param("00" + "00" * 13, id="nor zero bytes"),
        pytest.param("026802f19a", id="kind 2"),
        pytest.param("ff6802f19a", id="kind 255"),
    ],
)
def test_a_time_of_no_known_form_is_refused(raw: str) -> None:
    with pytest.raises(PayloadError):
        Report.from_bytes(0x8003, bytes.fromhex(raw))


# -- shapes


@pytest.mark.parametrize(("raw", "report", "_ack"), LITERAL)
def test_a_truncated_report_is_refused_or_ends_between_two_datapoints(
    raw: str, report: Report, _ack: str | None
) -> None:
    whole = bytes.fromhex(raw)
    for size in range(len(whole)):
        try:
            read = Report.from_bytes(report.code, whole[:size])
        except PayloadError:
            continue
        assert read.datapoints == report.datapoints[: len(read.datapoints)]
        assert len(read.datapoints) < len(report.datapoints)
        assert read.to_bytes() == whole[:size]


@pytest.mark.parametrize("code", [0x8000, 0x8002, 0x8008, 0x8011, 2])
def test_another_command_is_no_report(code: int) -> None:
    with pytest.raises(LocalProtocolError):
        Report.from_bytes(code, b"")
    with pytest.raises(LocalProtocolError):
        Report(code=code, datapoints=()).to_bytes()
    with pytest.raises(LocalProtocolError):
        ReportAck(code=code, status=0).to_bytes()


@pytest.mark.parametrize(
    "report",
    [
        Report(code=0x8001, datapoints=(), time=ReportTime.unix(1)),
        Report(code=0x8003, datapoints=()),
        Report(code=0x8004, datapoints=(), sn=65536),
        Report(code=0x8004, datapoints=(), sn=-1),
        Report(code=0x8004, datapoints=(), mode=256),
        Report(code=0x8006, datapoints=(), sn=2**32),
        Report(code=0x8006, datapoints=(), type=256),
        Report(code=0x8006, datapoints=(), version=256),
        Report(code=0x8001, datapoints=(Datapoint.raw(1, bytes(256)),)),
    ],
)
def test_a_report_that_does_not_fit_its_command_is_our_bug(report: Report) -> None:
    with pytest.raises(LocalProtocolError):
        report.to_bytes()


@pytest.mark.parametrize("status", [-1, 256])
def test_a_status_is_a_byte(status: int) -> None:
    with pytest.raises(LocalProtocolError):
        ReportAck(code=0x8001, status=status).to_bytes()


reports = st.builds(
    lambda code, points, seconds, sn, mode, version, kind: Report(
        code=code,
        datapoints=tuple(points),
        time=ReportTime.unix(seconds) if code in TIMED_CODES else None,
        sn={0x8004: sn & 0xFFFF, 0x8005: sn & 0xFFFF, 0x8006: sn, 0x8007: sn}.get(code, 0),
        mode=mode if code >= 0x8004 else 0,
        version=version if code >= 0x8006 else 0,
        type=kind if code >= 0x8006 else 0,
    ),
    st.sampled_from(sorted(REPORT_CODES)),
    st.lists(
        st.builds(Datapoint, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=30)),
        max_size=4,
    ),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 255),
)


@given(reports)
def test_reports_survive_the_round_trip(report: Report) -> None:
    assert Report.from_bytes(report.code, report.to_bytes()) == report
    ack = report.ack(status=1)
    if ack is not None:
        assert ReportAck.from_bytes(report.code, ack.to_bytes()) == ack


@given(st.sampled_from(sorted(REPORT_CODES)), st.binary(max_size=100))
def test_garbage_is_refused_or_written_back_as_it_was(code: int, raw: bytes) -> None:
    try:
        report = Report.from_bytes(code, raw)
    except PayloadError:
        return
    assert report.to_bytes() == raw
