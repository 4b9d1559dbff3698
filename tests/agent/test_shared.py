"""What the cloud says about a sharing ticket: read, and held to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleagent.authority.guests import GuestTerms
from bleagent.authority.shared import Permission, Shared, id_of
from bleagent.cloud.errors import BadAnswer
from bleagent.cloud.sharing import read_invitation, read_permission
from protocol import Secret

TICKET = "3ea6e254e83750dc924dd78dd5a61460"
VERIFIED = {"expire_time": 100, "sharing_id": "1213089", "sharing_ticket": TICKET}
CONFIRMED: dict[str, Any] = {
    "biz_type": "unlock_ble", "available_times": 1, "name": "Jane",
    "effective_time": 1621101162000, "invalid_time": 1621965162000, "schedule_start_time": 480,
    "schedule_end_time": 510, "working_day": 100, "effective_flag": 1,
    "schedule_effective_flag": 0,
}  # fmt: skip
TUE, FRI, SAT = 1, 4, 5
BARE = {"biz_type": "unlock_ble", "available_times": -1}


def test_the_samples_of_the_vendors_document_are_read() -> None:
    found = read_invitation(VERIFIED, Secret(TICKET), None)
    assert (found.sharing_id, found.ends_in, found.device_id) == ("1213089", 100.0, None)
    assert read_permission(CONFIRMED) == Permission(
        terms=GuestTerms(
            begins=1621101162.0, weekdays=frozenset({TUE, FRI, SAT}), between=(480, 510), times=1
        ),
        ends=1621965162.0, opens=True, valid=True, now=False, device_id=None,
    )  # fmt: skip
    assert read_permission({**CONFIRMED, "working_day": 38}).terms.weekdays == {0, 1, 4}


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"expire_time": "100"}, 100), ({"expire_time": 0}, 0), ({"expire_time": -5}, -5),
        ({"expire_time": 1_780_000_060}, 60), ({"expire_time": 1_780_000_060_000}, 60),
    ],
)  # fmt: skip
def test_how_long_an_invitation_is_good(change: dict[str, Any], left: float) -> None:
    assert read_invitation(VERIFIED | change, Secret(TICKET), 1.78e9).ends_in == left


@pytest.mark.parametrize("spelling", ["device_id", "deviceId", "devId", "dev_id"])
def test_a_lock_that_is_named_is_known_in_any_spelling(spelling: str) -> None:
    named = {spelling: "vdev1"}
    assert read_invitation(VERIFIED | named, Secret(TICKET), None).device_id == "vdev1"
    assert read_permission(BARE | named).device_id == "vdev1"


@pytest.mark.parametrize(
    "result",
    [
        [], None, True, {}, "yes", {**VERIFIED, "sharing_id": None},
        {**VERIFIED, "expire_time": ""}, {**VERIFIED, "sharing_ticket": "another"},
        {**VERIFIED, "expire_time": 1_780_000_060},
        {key: value for key, value in VERIFIED.items() if key != "expire_time"},
    ],
)  # fmt: skip
def test_what_is_no_invitation_is_none(result: object) -> None:
    with pytest.raises(BadAnswer) as failed:
        read_invitation(result, Secret(TICKET), None)
    assert TICKET not in str(failed.value)


@pytest.mark.parametrize(
    "change",
    [
        {"biz_type": None}, {"available_times": None}, {"available_times": -2},
        {"working_day": 128}, {"working_day": -1}, {"effective_flag": 3},
        {"schedule_effective_flag": 2}, {"schedule_start_time": 1440, "schedule_end_time": 1},
        {"schedule_start_time": 60}, {"schedule_end_time": 60},
        {"schedule_start_time": 60, "schedule_end_time": 60},
        {"schedule_start_time": 60, "schedule_end_time": 1441},
        {"schedule_start_time": 60, "schedule_end_time": 90, "working_day": 0},
        {"schedule_start_time": 0, "schedule_end_time": 0, "working_day": 4},
        {"invalid_time": "soon"}, {"invalid_time": -1},
    ],
)  # fmt: skip
def test_a_permission_that_cannot_be_held_to_is_none(change: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer):
        read_permission(BARE | change)


@pytest.mark.parametrize(
    "empty",
    [
        {}, {"schedule_start_time": None, "schedule_end_time": "", "working_day": None},
        {"schedule_start_time": 0, "schedule_end_time": 0, "working_day": 0, "invalid_time": ""},
    ],
)  # fmt: skip
def test_what_is_empty_bounds_nothing(empty: dict[str, Any]) -> None:
    found = read_permission(BARE | empty)
    assert found == Permission(terms=GuestTerms())
    assert found.open_until(1.7e9) == float("inf")


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, (True, True, True)),
        ({"effective_flag": 0}, (True, False, True)),
        ({"effective_flag": "2"}, (True, True, False)),
        ({"schedule_effective_flag": 0}, (True, True, False)),
        ({"biz_type": "unlock_fingerprint"}, (False, True, True)),
    ],
)
def test_what_the_cloud_says_of_now_is_heard(
    change: dict[str, Any], good: tuple[bool, ...]
) -> None:
    found = read_permission(BARE | change)
    assert (found.opens, found.valid, found.now) == good


def test_seconds_are_taken_for_milliseconds_where_they_are_such() -> None:
    found = read_permission(BARE | {"effective_time": "1621101162", "invalidTime": 1621965162})
    assert (found.terms.begins, found.ends) == (1621101162.0, 1621965162.0)


WHOLE = st.one_of(st.none(), st.just(""), st.integers(-2, 1500), st.text(max_size=3))


@given(
    st.fixed_dictionaries(
        {"biz_type": st.just("unlock_ble"), "available_times": st.integers(-2, 3)},
        optional={
            "schedule_start_time": WHOLE, "schedule_end_time": WHOLE, "working_day": WHOLE,
            "effective_time": WHOLE, "invalid_time": WHOLE, "effective_flag": WHOLE,
        },
    )
)  # fmt: skip
def test_whatever_is_answered_is_a_permission_with_bounds_that_make_sense_or_none(
    answered: dict[str, Any],
) -> None:
    try:
        found = read_permission(answered)
    except BadAnswer:
        return
    between = found.terms.between
    assert between is None or (0 <= between[0] < 1440 and 0 <= between[1] <= 1440)
    assert found.terms.weekdays <= set(range(7))
    until = found.open_until(1.7e9, UTC)
    assert until is None or until > 1.7e9


@given(
    st.integers(1, 127), st.integers(0, 1438), st.integers(1, 600),
    st.integers(1_600_000_000, 1_900_000_000),
)  # fmt: skip
def test_the_weekly_hours_are_those_of_the_clouds_bits(
    bits: int, first: int, length: int, unix: int
) -> None:
    last = min(first + length, 1440)
    found = read_permission(
        BARE | {"schedule_start_time": first, "schedule_end_time": last, "working_day": str(bits)}
    )
    here = datetime.fromtimestamp(unix, UTC)
    minute, sunday_first = here.hour * 60 + here.minute, int(here.strftime("%w"))
    open_now = bool(bits >> sunday_first & 1) and first <= minute < last
    until = found.open_until(unix, UTC)
    assert (until is not None) is open_now
    if until is not None:
        midnight = unix - unix % 86400
        assert until == midnight + last * 60


def test_a_ticket_is_good_until_the_first_of_its_ends() -> None:
    until_ten = Permission(terms=GuestTerms(begins=5.0), ends=10.0)
    assert until_ten.open_until(4.9) is None
    assert until_ten.open_until(5.0) == 10.0
    assert until_ten.open_until(10.0) is None
    shared = Shared(id="sharing:0", permission=until_ten, until=8.0)
    assert shared.open_until(5.0) == 8.0
    assert shared.open_until(8.0) is None
    later = Shared(id="sharing:0", permission=until_ten, until=99.0)
    assert later.open_until(5.0) == 10.0


def test_a_ticket_has_one_id_that_does_not_tell_it() -> None:
    assert id_of(Secret(TICKET)) == id_of(Secret(TICKET)) == "sharing:" + id_of(Secret(TICKET))[8:]
    assert len(id_of(Secret(TICKET))) == len("sharing:") + 16
    assert id_of(Secret(TICKET)) != id_of(Secret(TICKET[::-1]))
    assert TICKET[:6] not in id_of(Secret(TICKET))
