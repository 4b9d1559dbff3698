"""When a guest's window is open: no clock, days and hours of a place."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleagent.authority.guests import GuestTerms, parse_between, parse_weekdays, words_of
from bleagent.errors import TokenUnusable

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600.0


def at(text: str) -> float:
    """Unix seconds of a local time in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def terms(days: str = "", between: str | None = None, begins: float | None = None) -> GuestTerms:
    return GuestTerms(
        begins=begins, weekdays=parse_weekdays(days.split(",") if days else []),
        between=None if between is None else parse_between(between),
    )  # fmt: skip


# 2026-11-23 is a Monday.
@pytest.mark.parametrize(
    ("given_terms", "moment", "until"),
    [
        (terms("mon,tue", "08:00-18:00"), "2026-11-23 07:59:59", None),
        (terms("mon,tue", "08:00-18:00"), "2026-11-23 08:00:00", "2026-11-23 18:00:00"),
        (terms("mon,tue", "08:00-18:00"), "2026-11-24 17:59:59", "2026-11-24 18:00:00"),
        (terms("mon,tue", "08:00-18:00"), "2026-11-24 18:00:00", None),
        (terms("mon,tue", "08:00-18:00"), "2026-11-25 12:00:00", None),
        (terms("mon"), "2026-11-22 23:59:59", None),
        (terms("mon"), "2026-11-23 00:00:00", "2026-11-24 00:00:00"),
        (terms("mon"), "2026-11-24 00:00:00", None),
        (terms("", "20:00-24:00"), "2026-11-25 23:59:59", "2026-11-26 00:00:00"),
        # A night is one of the day on which it begins.
        (terms("fri", "22:00-06:00"), "2026-11-27 21:59:59", None),
        (terms("fri", "22:00-06:00"), "2026-11-27 22:00:00", "2026-11-28 06:00:00"),
        (terms("fri", "22:00-06:00"), "2026-11-28 05:59:59", "2026-11-28 06:00:00"),
        (terms("fri", "22:00-06:00"), "2026-11-28 06:00:00", None),
        (terms("fri", "22:00-06:00"), "2026-11-27 03:00:00", None),
        # The clocks of the place are set: what is on the wall counts.
        (terms("sun", "08:00-18:00"), "2026-10-25 08:00:00", "2026-10-25 18:00:00"),
        (terms("sun", "08:00-18:00"), "2026-03-29 17:59:59", "2026-03-29 18:00:00"),
        (terms("sat", "22:00-06:00"), "2026-03-29 05:59:59", "2026-03-29 06:00:00"),
        (terms("sat", "22:00-06:00"), "2026-03-29 06:00:00", None),
    ],
)
def test_a_window_is_open_until_its_end(
    given_terms: GuestTerms, moment: str, until: str | None
) -> None:
    expected = None if until is None else at(until)
    assert given_terms.open_until(at(moment), BERLIN) == expected


def test_without_days_and_hours_it_is_open_from_its_beginning_on() -> None:
    begins = at("2026-11-23 12:00")
    later = terms(begins=begins)
    assert later.open_until(begins - 1, BERLIN) is None
    assert later.open_until(begins, BERLIN) == math.inf
    daily = terms("", "08:00-18:00", begins=begins)
    assert daily.open_until(begins - 1, BERLIN) is None
    assert daily.open_until(begins, BERLIN) == begins + 6 * HOUR


def test_by_default_the_hours_are_those_of_this_machine() -> None:
    now = datetime(2026, 11, 23, 12, 0)  # noqa: DTZ001 -- the machine's own
    assert (
        terms("mon", "08:00-18:00").open_until(now.timestamp())
        == (now + timedelta(hours=6)).timestamp()
    )


@given(
    st.floats(1.7e9, 1.9e9), st.integers(0, 1439), st.integers(0, 1440),
    st.frozensets(st.integers(0, 6)),
)  # fmt: skip
def test_a_window_that_is_open_ends_within_its_length_and_began_on_its_day(
    unix: float, first: int, last: int, days: frozenset[int]
) -> None:
    if first == last:
        return
    one = GuestTerms(weekdays=days, between=(first, last))
    until = one.open_until(unix, UTC)
    local = datetime.fromtimestamp(unix, UTC)
    minute = local.hour * 60 + local.minute
    night = last < first
    inside = minute >= first and (night or minute < last)
    early = night and minute < last
    began_today = inside and (not days or local.weekday() in days)
    began_before = early and (not days or (local.weekday() - 1) % 7 in days)
    assert (until is not None) == (began_today or began_before)
    if until is not None:
        assert 0 < until - unix <= ((last - first) % 1440 or 1440) * 60


@pytest.mark.parametrize(
    "text", ["", "8-18", "08:00", "08:00-25:00", "24:00-08:00", "08:60-09:00", "08:00-08:00",
             "08:00-18:00 ", "0\u0663:00-18:00", "x" * 5000]
)  # fmt: skip
def test_what_are_no_hours_is_said(text: str) -> None:
    with pytest.raises(TokenUnusable, match="between: found"):
        parse_between(text)


def test_what_is_no_weekday_is_said() -> None:
    with pytest.raises(TokenUnusable, match="weekdays: found 'monday', expected mon, tue"):
        parse_weekdays(["mon", "monday"])


def test_terms_are_told_as_they_were_written() -> None:
    told = words_of(terms("sun,mon", "22:00-06:00"))
    assert told == {"weekdays": ["mon", "sun"], "between": "22:00-06:00", "times": None}
    assert words_of(terms("", "00:00-24:00"))["between"] == "00:00-24:00"
    assert words_of(GuestTerms(times=3)) == {"weekdays": [], "between": None, "times": 3}
