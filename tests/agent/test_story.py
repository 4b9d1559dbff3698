"""What records mean, in words: every kind, every alarm, and what nobody knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleagent.records.record import StoredRecord, TimeQuality
from bleagent.records.story import APP_CENTRAL, Category, Severity, Story, story_of
from protocol import DpType, Secret
from protocol.lock import OpenOperation, OpenRecord
from protocol.records import Alarm, RecordKind

CODE = b"CANARY72"


def record(
    kind: RecordKind, value: int | None = None, data: bytes = b"", dp: int = 99
) -> StoredRecord:
    return StoredRecord(
        seq=1, id="0" * 32, lock="front", device_id="device", dp=dp, type=DpType.VALUE, kind=kind,
        value=value, data=Secret(data), wire_time="1717364263000", at=1717364263.0,
        quality=TimeQuality.LOCK, taken_at=1717364300.0, live=False, operation=None,
        released_at=None, late=False,
    )  # fmt: skip


def general(
    *, central: int = APP_CENTRAL, operation: int = OpenOperation.OPEN, method: int = 3,
    info: bytes = b"\x07",
) -> StoredRecord:  # fmt: skip
    said = OpenRecord(
        central=central, peripheral=0x1234, code=Secret(CODE), operation=operation,
        timestamp=1717364263, method=method, info=info,
    )  # fmt: skip
    return record(RecordKind.OPENED, data=said.to_bytes(), dp=72)


TOLD = {
    (RecordKind.FINGERPRINT, 3): "opened by fingerprint 3",
    (RecordKind.PASSWORD, 0): "opened by password 0",
    (RecordKind.DYNAMIC_PASSWORD, 2): "opened by dynamic password 2",
    (RecordKind.CARD, 11): "opened by card 11",
    (RecordKind.MECHANICAL_KEY, 0): "opened by mechanical key",
    (RecordKind.MECHANICAL_KEY, 2): "opened by mechanical key 2",
    (RecordKind.FROM_INSIDE, 0): "opened from inside",
    (RecordKind.FROM_INSIDE, 1): "opened from inside",
    (RecordKind.BLUETOOTH, 5): "opened by Bluetooth, member 5",
    (RecordKind.BLUETOOTH, None): "opened by Bluetooth",
    (RecordKind.FACE, 31): "opened by face 31",
    (RecordKind.EYE, 1): "opened by eye 1",
    (RecordKind.PALM, 1): "opened by palm 1",
    (RecordKind.FINGER_VEIN, 1): "opened by finger vein 1",
    (RecordKind.TEMPORARY_PASSWORD, 41): "opened by temporary password 41",
    (RecordKind.COMBINED, 3): "opened by two methods together, combination 3",
    (RecordKind.REMOTE, 7): "opened remotely, member 7",
    (RecordKind.REMOTE_PHONE, 8): "opened remotely by phone, member 8",
    (RecordKind.REMOTE_VOICE, 7): "opened remotely by voice, member 7",
    (RecordKind.OFFLINE_PASSWORD, None): "opened by offline password",
    (RecordKind.OFFLINE_CLEARED_ONE, None): "one offline password cleared",
    (RecordKind.OFFLINE_CLEARED_ALL, None): "all offline passwords cleared",
    (RecordKind.DOOR, 0): "door contact unknown",
    (RecordKind.DOOR, 1): "door open",
    (RecordKind.DOOR, 2): "door closed",
    (RecordKind.DOOR, 9): "door contact 9",
    (RecordKind.DOOR, None): "door contact unknown",
    (RecordKind.HIJACK, 21): "alarm: duress, credential 21",
    (RecordKind.HIJACK, None): "alarm: duress",
    (RecordKind.ALARM, 10): "alarm: low battery",
    (RecordKind.CREDENTIALS, None): "the lock's list of credentials",
    (RecordKind.ADD_TEMPORARY_PASSWORD, None): "temporary password added, not of its form",
    (RecordKind.DELETE_TEMPORARY_PASSWORD, None): "temporary password deleted, not of its form",
    (RecordKind.MODIFY_TEMPORARY_PASSWORD, None): "temporary password changed, not of its form",
    (RecordKind.OPENED, None): "opening not of its form",
    (RecordKind.UNKNOWN, None): "datapoint 99",
    (RecordKind.UNKNOWN, 4): "datapoint 99: 4",
}

CATEGORIES = {
    RecordKind.DOOR: Category.HOUSEKEEPING,
    RecordKind.OFFLINE_CLEARED_ONE: Category.HOUSEKEEPING,
    RecordKind.OFFLINE_CLEARED_ALL: Category.HOUSEKEEPING,
    RecordKind.CREDENTIALS: Category.HOUSEKEEPING,
    RecordKind.ADD_TEMPORARY_PASSWORD: Category.HOUSEKEEPING,
    RecordKind.DELETE_TEMPORARY_PASSWORD: Category.HOUSEKEEPING,
    RecordKind.MODIFY_TEMPORARY_PASSWORD: Category.HOUSEKEEPING,
    RecordKind.ALARM: Category.ALARM,
    RecordKind.HIJACK: Category.ALARM,
    RecordKind.UNKNOWN: Category.UNKNOWN,
    RecordKind.OPENED: Category.UNKNOWN,  # without its bytes
}

ALARMS = {
    Alarm.FINGERPRINT: ("wrong fingerprint", Severity.WARNING),
    Alarm.PASSWORD: ("wrong password", Severity.WARNING),
    Alarm.CARD: ("wrong card", Severity.WARNING),
    Alarm.FACE: ("wrong face", Severity.WARNING),
    Alarm.FALSE_LOCK: ("not locked properly", Severity.WARNING),
    Alarm.HOT: ("too hot", Severity.CRITICAL),
    Alarm.LEFT_OPEN: ("left open", Severity.WARNING),
    Alarm.TONGUE_NOT_OUT: ("bolt did not come out", Severity.WARNING),
    Alarm.PRIED: ("pried at (tamper)", Severity.CRITICAL),
    Alarm.KEY_LEFT_IN: ("key left in", Severity.WARNING),
    Alarm.LOW_BATTERY: ("low battery", Severity.WARNING),
    Alarm.POWER_OFF: ("power off", Severity.CRITICAL),
    Alarm.SHOCK: ("shock", Severity.CRITICAL),
    Alarm.ARMED: ("armed", Severity.NOTE),
}


@pytest.mark.parametrize(("what", "title"), TOLD.items())
def test_a_record_is_told_in_a_few_words(what: tuple[RecordKind, int | None], title: str) -> None:
    kind, value = what
    story = story_of(record(kind, value))
    assert story.title == title
    assert story.category is CATEGORIES.get(kind, Category.OPENING)
    assert (story.severity is None) == (story.category is not Category.ALARM)


@pytest.mark.parametrize(
    ("kind", "data", "title"),
    [
        (RecordKind.ADD_TEMPORARY_PASSWORD, b"\x28\0", "temporary password 40 added"),
        (RecordKind.ADD_TEMPORARY_PASSWORD, b"\xff\2", "temporary password not added, result 2"),
        (RecordKind.DELETE_TEMPORARY_PASSWORD, b"\x28\0", "temporary password 40 deleted"),
        (
            RecordKind.MODIFY_TEMPORARY_PASSWORD, b"\x28\1",
            "temporary password 40 not changed, result 1",
        ),
    ],
)  # fmt: skip
def test_what_came_of_a_temporary_password_is_told(
    kind: RecordKind, data: bytes, title: str
) -> None:
    assert story_of(record(kind, data=data)).title == title


def test_the_table_above_has_every_kind() -> None:
    assert {kind for kind, _ in TOLD} == set(RecordKind)


@pytest.mark.parametrize("alarm", Alarm)
def test_every_alarm_has_its_name(alarm: Alarm) -> None:
    words, severity = ALARMS[alarm]
    assert story_of(record(RecordKind.ALARM, alarm)) == Story(
        category=Category.ALARM, title=f"alarm: {words}", severity=severity
    )


@pytest.mark.parametrize(
    ("value", "title"), [(14, "alarm: number 14"), (None, "alarm: not of its form")]
)
def test_an_alarm_that_nobody_knows_is_a_warning(value: int | None, title: str) -> None:
    story = story_of(record(RecordKind.ALARM, value))
    assert (story.title, story.severity) == (title, Severity.WARNING)


def test_duress_is_critical() -> None:
    assert story_of(record(RecordKind.HIJACK, 21)).severity is Severity.CRITICAL


@pytest.mark.parametrize(
    ("what", "title", "category"),
    [
        (general(), "opened by Bluetooth, method 3", Category.OPENING),
        (general(central=5), "opened by accessory 5, method 3", Category.OPENING),
        (general(method=0), "opened by Bluetooth, member 7", Category.OPENING),
        (general(method=0, info=b""), "opened by Bluetooth, method 0", Category.OPENING),
        (
            general(operation=OpenOperation.CLOSE),
            "asked to lock by Bluetooth, method 3",
            Category.HOUSEKEEPING,
        ),
        (general(operation=9), "operation 9 by Bluetooth, method 3", Category.UNKNOWN),
    ],
)
def test_the_general_record_tells_who_and_how(
    what: StoredRecord, title: str, category: Category
) -> None:
    story = story_of(what)
    assert (story.title, story.category) == (title, category)


def test_a_name_stands_beside_the_title() -> None:
    story = story_of(record(RecordKind.FINGERPRINT, 3), "Jane")
    assert (story.title, story.who) == ("opened by fingerprint 3", "Jane")
    assert story.sentence == "opened by fingerprint 3 (Jane)"


def test_no_name_is_no_name() -> None:
    story = story_of(record(RecordKind.FINGERPRINT, 3), "")
    assert story.who is None
    assert story.sentence == "opened by fingerprint 3"


@given(
    kind=st.sampled_from(RecordKind),
    value=st.none() | st.integers(),
    data=st.binary(max_size=40),
    dp=st.integers(),
)
def test_whatever_a_record_holds_it_is_told(
    kind: RecordKind, value: int | None, data: bytes, dp: int
) -> None:
    story = story_of(record(kind, value, data, dp))
    assert story.title.isprintable()
    assert story.category in Category


@given(code=st.from_regex(rb"[a-z]{8}", fullmatch=True), info=st.from_regex(rb"[a-z]{6}"))
def test_no_code_and_no_info_of_a_general_record_is_told(code: bytes, info: bytes) -> None:
    said = OpenRecord(
        central=1, peripheral=2, code=Secret(code), operation=1, timestamp=3, method=4, info=info
    )
    story = story_of(record(RecordKind.OPENED, data=said.to_bytes()))
    assert story.title == "opened by accessory 1, method 4"


def test_a_credential_that_calls_for_help_is_an_alarm() -> None:
    told = story_of(record(RecordKind.FINGERPRINT, 3), "Anna", duress=True)
    assert (told.category, told.severity) == (Category.ALARM, Severity.CRITICAL)
    assert told.sentence == "opened under duress by fingerprint 3 (Anna)"
    low = story_of(record(RecordKind.ALARM, Alarm.LOW_BATTERY), duress=True)
    assert low == story_of(record(RecordKind.ALARM, Alarm.LOW_BATTERY))
