"""Time questions and answers: digits, zones, and "I do not know" as zero bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.commands import CommandCode, Sender, read_payload
from protocol.errors import LocalProtocolError, PayloadError
from protocol.times import (
    ClockAnswer,
    DateAnswer,
    SavingAnswer,
    SavingPeriod,
    TimeRequest,
    zone_field,
)

zones = st.integers(-(2**15), 2**15 - 1)


# -- literals


@pytest.mark.parametrize(
    ("code", "raw", "answer"),
    [
        # Source: tests/captures/firmware/sdk33-time.jsonl; the notes there say what the lock read.
        (0x8011, "313735393331383134373030300320", ClockAnswer(1759318147000, 800)),
        (0x8012, "19030e0f091a050320", DateAnswer(25, 3, 14, 15, 9, 26, 5, 800)),
        (0x8013, "19030e0f091a050320", DateAnswer(25, 3, 14, 15, 9, 26, 5, 800)),
        (
            0x8014,
            "313735393331383134380320" + "01" + "31373539333138313437" + "31373737333138313437",
            SavingAnswer(1759318148, 800, (SavingPeriod(1759318147, 1777318147),)),
        ),
        # Source: sdk44-20-time.jsonl: 11.5 hours west.
        (0x8011, "31373032353433373937303030fb82", ClockAnswer(1702543797000, -1150)),
        (0x8012, "18021d00000004fb82", DateAnswer(24, 2, 29, 0, 0, 0, 4, -1150)),
        # Reference: protocol §7.10: -3.5 hours.
        (0x8011, "31373032353433373937303030fea2", ClockAnswer(1702543797000, -350)),
    ],
)
def test_recorded_answers_are_read_and_written(
    code: int, raw: str, answer: ClockAnswer | DateAnswer | SavingAnswer
) -> None:
    assert read_payload(Sender.CENTRAL, code, bytes.fromhex(raw)) == answer
    assert answer.to_bytes().hex() == raw


def test_a_recorded_answer_with_five_years_of_daylight_saving() -> None:
    # Source: sdk44-20-time.jsonl.
    periods = [
        "17025437971720543797",
        "17340797971752079797",
        "17656157971783615797",
        "17971517971815151797",
        "18286877971846687797",
    ]
    raw = b"1702543798" + bytes.fromhex("fb8205") + "".join(periods).encode()
    answer = SavingAnswer.from_bytes(raw)
    assert (answer.unix_s, answer.zone, len(answer.periods)) == (1702543798, -1150, 5)
    assert answer.periods[0] == SavingPeriod(1702543797, 1720543797)
    assert answer.periods[4] == SavingPeriod(1828687797, 1846687797)
    assert answer.to_bytes() == raw


@pytest.mark.parametrize(
    ("code", "raw", "years"),
    [
        (0x8011, "", None),
        (0x8012, "", None),
        (0x8013, "", None),
        (0x8014, "01", 1),
        (0x8014, "05", 5),
    ],
)
def test_recorded_questions_are_read_and_written(code: int, raw: str, years: int | None) -> None:
    assert read_payload(Sender.LOCK, code, bytes.fromhex(raw)) == TimeRequest(years)
    assert TimeRequest(years).to_bytes().hex() == raw


def test_a_longer_question_is_refused() -> None:
    for size in (2, 3, 15):
        with pytest.raises(PayloadError):
            TimeRequest.from_bytes(bytes(size))


@pytest.mark.parametrize("years", [-1, 256])
def test_years_that_do_not_fit_a_byte_are_our_bug(years: int) -> None:
    with pytest.raises(LocalProtocolError):
        TimeRequest(years).to_bytes()


# -- unknown


@pytest.mark.parametrize(
    ("answer", "size"),
    [(ClockAnswer.unknown(), 15), (DateAnswer.unknown(), 9), (SavingAnswer.unknown(), 13)],
)
def test_who_does_not_know_the_time_answers_zero_bytes_and_no_digits(
    answer: ClockAnswer | DateAnswer | SavingAnswer, size: int
) -> None:
    # ASCII zeros would set the lock's clock to 1970 (reference: safety E1).
    assert answer.to_bytes() == bytes(size)
    assert type(answer).from_bytes(bytes(size)) == answer


def test_the_year_1970_is_not_unknown() -> None:
    raw = b"0" * 13 + bytes(2)
    assert ClockAnswer.from_bytes(raw) == ClockAnswer(0)
    assert ClockAnswer(0).to_bytes() == raw
    assert SavingAnswer.from_bytes(b"0" * 10 + bytes(3)) == SavingAnswer(0)


def test_an_unknown_time_may_still_have_a_zone() -> None:
    answer = ClockAnswer(None, -350)
    assert answer.to_bytes() == bytes(13) + bytes.fromhex("fea2")
    assert ClockAnswer.from_bytes(answer.to_bytes()) == answer


# -- moments and zones


@pytest.mark.parametrize(
    ("hours", "field"),
    [(8, 800), (-3.5, -350), (-11.5, -1150), (5.75, 575), (0, 0), (14, 1400), (-12, -1200)],
)
def test_a_zone_is_hours_times_100(hours: float, field: int) -> None:
    assert zone_field(int(hours * 3600)) == field


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        # A zone with daylight saving, on both sides of its change.
        (
            datetime(2026, 7, 1, 12, 0, 5, tzinfo=ZoneInfo("Europe/Berlin")),
            DateAnswer(26, 7, 1, 12, 0, 5, 3, 200),
        ),
        (
            datetime(2026, 1, 1, 12, 0, 5, tzinfo=ZoneInfo("Europe/Berlin")),
            DateAnswer(26, 1, 1, 12, 0, 5, 4, 100),
        ),
        # One hour of this night comes twice; fold says which.
        (
            datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=0),
            DateAnswer(26, 10, 25, 2, 30, 0, 0, 200),
        ),
        (
            datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
            DateAnswer(26, 10, 25, 2, 30, 0, 0, 100),
        ),
        (
            datetime(2026, 11, 22, 9, 8, 7, tzinfo=ZoneInfo("America/St_Johns")),
            DateAnswer(26, 11, 22, 9, 8, 7, 0, -350),
        ),
        (datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC), DateAnswer(26, 11, 21, 23, 59, 59, 6, 0)),
        # As the lock read it in sdk33-time.jsonl: a Friday.
        (
            datetime(2025, 3, 14, 15, 9, 26, tzinfo=timezone(timedelta(hours=8))),
            DateAnswer(25, 3, 14, 15, 9, 26, 5, 800),
        ),
    ],
)
def test_a_date_is_told_in_its_own_zone_with_sunday_as_0(
    moment: datetime, expected: DateAnswer
) -> None:
    assert DateAnswer.at(moment) == expected


def test_a_moment_without_a_zone_is_our_bug() -> None:
    with pytest.raises(LocalProtocolError, match="time zone"):
        DateAnswer.at(datetime(2026, 7, 1, 12, 0))  # noqa: DTZ001 - the very mistake


@pytest.mark.parametrize("year", [1999, 2256])
def test_a_year_that_does_not_fit_is_our_bug(year: int) -> None:
    with pytest.raises(LocalProtocolError):
        DateAnswer.at(datetime(year, 1, 1, tzinfo=UTC)).to_bytes()


@pytest.mark.parametrize(
    "answer",
    [
        ClockAnswer(-1),
        ClockAnswer(10**13),
        ClockAnswer(0, 2**15),
        ClockAnswer(0, -(2**15) - 1),
        SavingAnswer(10**10),
        SavingAnswer(0, 2**15),
        SavingAnswer(0, 0, (SavingPeriod(-1, 0),)),
        SavingAnswer(0, 0, (SavingPeriod(0, 10**10),)),
        SavingAnswer(0, 0, (SavingPeriod(0, 0),) * 256),
        DateAnswer(0, 256, 0, 0, 0, 0, 0),
        DateAnswer(0, 0, 0, 0, 0, 0, -1),
        DateAnswer(0, 0, 0, 0, 0, 0, 0, 2**15),
    ],
)
def test_an_answer_that_does_not_fit_its_fields_is_our_bug(
    answer: ClockAnswer | DateAnswer | SavingAnswer,
) -> None:
    with pytest.raises(LocalProtocolError):
        answer.to_bytes()


# -- round trips and garbage


@given(st.none() | st.integers(0, 10**13 - 1), zones)
def test_clock_answers_survive_the_round_trip(unix_ms: int | None, zone: int) -> None:
    answer = ClockAnswer(unix_ms, zone)
    assert len(answer.to_bytes()) == 15
    assert ClockAnswer.from_bytes(answer.to_bytes()) == answer


@given(
    st.none() | st.integers(0, 10**10 - 1),
    zones,
    st.lists(st.builds(SavingPeriod, *[st.integers(0, 10**10 - 1)] * 2), max_size=6),
)
def test_saving_answers_survive_the_round_trip(
    unix_s: int | None, zone: int, periods: list[SavingPeriod]
) -> None:
    answer = SavingAnswer(unix_s, zone, tuple(periods))
    assert len(answer.to_bytes()) == 13 + 20 * len(periods)
    assert SavingAnswer.from_bytes(answer.to_bytes()) == answer


@given(st.binary(min_size=9, max_size=9))
def test_any_9_bytes_are_a_date(raw: bytes) -> None:
    assert DateAnswer.from_bytes(raw).to_bytes() == raw


@pytest.mark.parametrize(
    "answer",
    [
        ClockAnswer(1759318147000, 800),
        DateAnswer(25, 3, 14, 15, 9, 26, 5, 800),
        SavingAnswer(1759318148, 800, (SavingPeriod(1759318147, 1777318147),)),
    ],
)
def test_any_other_length_is_refused(answer: ClockAnswer | DateAnswer | SavingAnswer) -> None:
    raw = answer.to_bytes()
    for size in [*range(len(raw)), len(raw) + 1]:
        with pytest.raises(PayloadError):
            type(answer).from_bytes((raw + b"0")[:size])


@pytest.mark.parametrize("digit", [b"/", b":", b" ", b"-", b"+", b"a", b"\0", b"\xb2", b"_"])
@pytest.mark.parametrize("at", [0, 6, 12])
def test_a_clock_has_13_digits(digit: bytes, at: int) -> None:
    raw = bytearray(b"1759318147000\x03\x20")
    raw[at : at + 1] = digit
    with pytest.raises(PayloadError):
        ClockAnswer.from_bytes(bytes(raw))


@given(
    st.sampled_from(
        [
            CommandCode.TIME_CLOCK,
            CommandCode.TIME_DATE,
            CommandCode.TIME_LOCAL,
            CommandCode.TIME_SAVING,
        ]
    ),
    st.sampled_from(Sender),
    st.binary(max_size=70),
)
def test_garbage_is_refused_or_written_back_as_it_was(
    code: CommandCode, sender: Sender, raw: bytes
) -> None:
    try:
        payload = read_payload(sender, code, raw)
    except PayloadError:
        return
    assert payload.to_bytes() == raw
