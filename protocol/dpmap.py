"""Which number carries which datapoint of a lock.

The numbers from 56 on moved between generations and newest locks follow a schema of their
product, so no other module may know one: names everywhere, numbers only in the tables here
(reference: protocol §6.1 and its generation note; locks in the field §5.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Self

from .errors import LocalProtocolError


class DpName(StrEnum):
    """The lock application's datapoints by meaning. ``record_*`` are reported with a time."""

    ADD_CREDENTIAL = "add_credential"
    DELETE_CREDENTIAL = "delete_credential"
    MODIFY_CREDENTIAL = "modify_credential"
    FREEZE_CREDENTIAL = "freeze_credential"
    UNFREEZE_CREDENTIAL = "unfreeze_credential"
    OPEN_OLD = "open_old"  # by member id, without a check code
    OPEN_OLD_FEEDBACK = "open_old_feedback"
    BATTERY = "battery"  # percent
    BATTERY_CLASS = "battery_class"
    CHILD_LOCK = "child_lock"
    DOUBLE_LOCK = "double_lock"  # "lift up"
    RECORD_FINGERPRINT = "record_fingerprint"
    RECORD_PASSWORD = "record_password"
    RECORD_DYNAMIC_PASSWORD = "record_dynamic_password"
    RECORD_CARD = "record_card"
    RECORD_MECHANICAL_KEY = "record_mechanical_key"
    RECORD_DOOR = "record_door"  # deprecated by DOOR
    RECORD_FROM_INSIDE = "record_from_inside"
    RECORD_BLUETOOTH = "record_bluetooth"
    ALARM = "alarm"
    HIJACK = "hijack"  # derived in the cloud; the lock application never sends it
    DOORBELL = "doorbell"
    MESSAGE_SWITCH = "message_switch"
    BELL_SOUND = "bell_sound"
    VOLUME = "volume"
    LANGUAGE = "language"
    WELCOME_WORDS = "welcome_words"
    KEY_TONE = "key_tone"
    NAVIGATION_VOLUME = "navigation_volume"
    REVERSE_LOCK = "reverse_lock"
    AUTO_LOCK = "auto_lock"
    COMBINED_LOCK = "combined_lock"
    SYNC_OLD = "sync_old"
    AUTO_LOCK_DELAY = "auto_lock_delay"
    SECOND_TIMER = "second_timer"  # the sources only say that it is a timer
    FINGER_COUNT = "finger_count"
    RECORD_FACE = "record_face"
    DOOR = "door"  # the door contact
    RECORD_EYE = "record_eye"
    RECORD_PALM = "record_palm"
    RECORD_FINGER_VEIN = "record_finger_vein"
    CLOCK = "clock"
    AUTO_LOCK_COUNTDOWN = "auto_lock_countdown"
    MANUAL_LOCK = "manual_lock"
    BOLT = "bolt"
    MOTOR_DIRECTION = "motor_direction"
    FREEZE_MEMBER = "freeze_member"
    UNFREEZE_MEMBER = "unfreeze_member"
    ADD_TEMPORARY_PASSWORD = "add_temporary_password"
    DELETE_TEMPORARY_PASSWORD = "delete_temporary_password"
    MODIFY_TEMPORARY_PASSWORD = "modify_temporary_password"
    SYNC = "sync"
    RECORD_TEMPORARY_PASSWORD = "record_temporary_password"
    MOTOR_TORQUE = "motor_torque"
    RECORD_COMBINED = "record_combined"
    AWAY_ARMING = "away_arming"
    GUIDE_PAGE = "guide_page"
    SET_REMOTE_KEY = "set_remote_key"
    REMOTE_OPEN = "remote_open"
    RECORD_REMOTE = "record_remote"  # document 2.7: phone and voice in one
    RECORD_REMOTE_PHONE = "record_remote_phone"
    RECORD_REMOTE_VOICE = "record_remote_voice"
    OFFLINE_T0 = "offline_t0"
    RECORD_OFFLINE_CLEARED_ONE = "record_offline_cleared_one"
    RECORD_OFFLINE_CLEARED_ALL = "record_offline_cleared_all"
    RECORD_OFFLINE_PASSWORD = "record_offline_password"
    GET_RECORDS = "get_records"
    CHECK_CODE = "check_code"
    OPEN_CHECKED = "open_checked"
    OPEN_RECORD = "open_record"
    SET_REMOTE_KEY_CHECKED = "set_remote_key_checked"


class LockGeneration(StrEnum):
    """Whose numbering a lock follows."""

    V1_7 = "lock-1.7"  # lock SDK 1.7: as 3.3, ends at 67, no check code
    V3_3 = "lock-3.3"  # lock application 3.3, the one that was recorded
    DOCUMENT_2_7 = "document-2.7"  # datapoint document 2.7 and lock SDK 1.x, ends at 61
    V4 = "v4"  # protocol 4.x and security V2: inferred, no such lock application is public


_UP_TO_55 = {
    DpName.ADD_CREDENTIAL: 1,
    DpName.DELETE_CREDENTIAL: 2,
    DpName.MODIFY_CREDENTIAL: 3,
    DpName.FREEZE_CREDENTIAL: 4,
    DpName.UNFREEZE_CREDENTIAL: 5,
    DpName.OPEN_OLD: 6,
    DpName.OPEN_OLD_FEEDBACK: 7,
    DpName.BATTERY: 8,
    DpName.BATTERY_CLASS: 9,
    DpName.CHILD_LOCK: 10,
    DpName.DOUBLE_LOCK: 11,
    DpName.RECORD_FINGERPRINT: 12,
    DpName.RECORD_PASSWORD: 13,
    DpName.RECORD_DYNAMIC_PASSWORD: 14,
    DpName.RECORD_CARD: 15,
    DpName.RECORD_MECHANICAL_KEY: 16,
    DpName.RECORD_DOOR: 17,
    DpName.RECORD_FROM_INSIDE: 18,
    DpName.RECORD_BLUETOOTH: 19,
    DpName.ALARM: 21,
    DpName.HIJACK: 22,
    DpName.DOORBELL: 24,
    DpName.MESSAGE_SWITCH: 25,
    DpName.BELL_SOUND: 26,
    DpName.VOLUME: 27,
    DpName.LANGUAGE: 28,
    DpName.WELCOME_WORDS: 29,
    DpName.KEY_TONE: 30,
    DpName.NAVIGATION_VOLUME: 31,
    DpName.REVERSE_LOCK: 32,
    DpName.AUTO_LOCK: 33,
    DpName.COMBINED_LOCK: 34,
    DpName.SYNC_OLD: 35,
    DpName.AUTO_LOCK_DELAY: 36,
    DpName.SECOND_TIMER: 37,
    DpName.FINGER_COUNT: 38,
    DpName.RECORD_FACE: 39,
    DpName.DOOR: 40,
    DpName.RECORD_EYE: 41,
    DpName.RECORD_PALM: 42,
    DpName.RECORD_FINGER_VEIN: 43,
    DpName.CLOCK: 44,  # seen in the field only
    DpName.AUTO_LOCK_COUNTDOWN: 45,
    DpName.MANUAL_LOCK: 46,
    DpName.BOLT: 47,
    DpName.MOTOR_DIRECTION: 48,
    DpName.FREEZE_MEMBER: 49,
    DpName.UNFREEZE_MEMBER: 50,
    DpName.ADD_TEMPORARY_PASSWORD: 51,
    DpName.DELETE_TEMPORARY_PASSWORD: 52,
    DpName.MODIFY_TEMPORARY_PASSWORD: 53,
    DpName.SYNC: 54,
    DpName.RECORD_TEMPORARY_PASSWORD: 55,
}

_V1_7 = _UP_TO_55 | {
    DpName.MOTOR_TORQUE: 56,
    DpName.RECORD_COMBINED: 57,
    DpName.AWAY_ARMING: 58,
    DpName.GUIDE_PAGE: 59,
    DpName.SET_REMOTE_KEY: 60,
    DpName.REMOTE_OPEN: 61,
    DpName.RECORD_REMOTE_PHONE: 62,
    DpName.RECORD_REMOTE_VOICE: 63,
    DpName.OFFLINE_T0: 64,
    DpName.RECORD_OFFLINE_CLEARED_ONE: 65,
    DpName.RECORD_OFFLINE_CLEARED_ALL: 66,
    DpName.RECORD_OFFLINE_PASSWORD: 67,
}

_V3_3 = _V1_7 | {
    DpName.GET_RECORDS: 69,
    DpName.CHECK_CODE: 70,
    DpName.OPEN_CHECKED: 71,
    DpName.OPEN_RECORD: 72,
    DpName.SET_REMOTE_KEY_CHECKED: 73,
}

_DOCUMENT_2_7 = _UP_TO_55 | {
    DpName.RECORD_OFFLINE_PASSWORD: 56,
    DpName.RECORD_COMBINED: 57,
    DpName.RECORD_REMOTE: 58,
    DpName.MOTOR_TORQUE: 59,
    DpName.SET_REMOTE_KEY: 60,
    DpName.REMOTE_OPEN: 61,
}

_TABLES: Mapping[LockGeneration, Mapping[DpName, int]] = {
    LockGeneration.V1_7: _V1_7,
    LockGeneration.V3_3: _V3_3,
    LockGeneration.DOCUMENT_2_7: _DOCUMENT_2_7,
    LockGeneration.V4: _V3_3,
}


@dataclass(frozen=True, slots=True)
class DpMap:
    """Names to numbers of one lock; never changes, ``override`` makes another one.

    Raises:
        LocalProtocolError: a number outside 1 .. 255, or one number for two names.
    """

    numbers: Mapping[DpName, int]
    _names: Mapping[int, DpName] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names: dict[int, DpName] = {}
        for name, number in self.numbers.items():
            if not 1 <= number <= 0xFF:
                raise LocalProtocolError(f"{name}: {number} is not a datapoint number (1-255)")
            if number in names:
                raise LocalProtocolError(f"datapoint {number} is both {names[number]} and {name}")
            names[number] = name
        # A copy behind a read-only view: whoever made the mapping cannot change it any more.
        object.__setattr__(self, "numbers", MappingProxyType(dict(self.numbers)))
        object.__setattr__(self, "_names", MappingProxyType(names))

    def __hash__(self) -> int:
        return hash(frozenset(self.numbers.items()))

    def __contains__(self, name: DpName) -> bool:
        return name in self.numbers

    @classmethod
    def default(cls, generation: LockGeneration) -> Self:
        """The numbering of a generation where no product schema says otherwise."""
        return cls(_TABLES[generation])

    def override(self, changes: Mapping[str, int | None]) -> Self:
        """This map with some numbers of a product schema; None takes a name away.

        Raises:
            LocalProtocolError: an unknown name, a number outside 1 .. 255, or one that another
                name keeps.
        """
        numbers = dict(self.numbers)
        for name, number in changes.items():
            known = _dp_name(name)
            numbers.pop(known, None)
            if number is not None:
                numbers[known] = number
        return type(self)(numbers)

    def number(self, name: DpName) -> int:
        """The datapoint number.

        Raises:
            LocalProtocolError: this lock has no such datapoint.
        """
        try:
            return self.numbers[name]
        except KeyError:
            raise LocalProtocolError(f"this lock has no datapoint {name}") from None

    def name(self, number: int) -> DpName | None:
        """What a received number means; None where this lock's map does not say."""
        return self._names.get(number)


def _dp_name(name: str) -> DpName:
    try:
        return DpName(name)
    except ValueError:
        raise LocalProtocolError(f"{name!r} is not the name of a datapoint") from None
