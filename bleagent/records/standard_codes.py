"""What a record is called in the vendor's cloud: standard code and value. Pure.

The codes are those of the vendor's smart lock category; the seeds name the first ones, the rest
are the published standard set and unproven for a particular product. A product that calls
something otherwise says so per lock (``codes`` in the configuration).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

from protocol import DpType
from protocol.records import Alarm, RecordKind

from .record import StoredRecord

Value = int | bool | str
"""In the cloud's form."""

STANDARD_CODES: Mapping[RecordKind, str] = {
    RecordKind.FINGERPRINT: "unlock_fingerprint",
    RecordKind.PASSWORD: "unlock_password",
    RecordKind.DYNAMIC_PASSWORD: "unlock_dynamic",
    RecordKind.CARD: "unlock_card",
    RecordKind.MECHANICAL_KEY: "unlock_key",
    RecordKind.DOOR: "doorcontact_state",
    RecordKind.FROM_INSIDE: "open_inside",
    RecordKind.BLUETOOTH: "unlock_ble",
    RecordKind.FACE: "unlock_face",
    RecordKind.EYE: "unlock_eye",
    RecordKind.PALM: "unlock_hand",
    RecordKind.FINGER_VEIN: "unlock_finger_vein",
    RecordKind.TEMPORARY_PASSWORD: "unlock_temporary",
    RecordKind.COMBINED: "unlock_double",
    RecordKind.REMOTE: "unlock_remote",
    RecordKind.REMOTE_PHONE: "unlock_phone_remote",
    RecordKind.REMOTE_VOICE: "unlock_voice_remote",
    RecordKind.OFFLINE_PASSWORD: "unlock_offline_pd",
    RecordKind.OFFLINE_CLEARED_ONE: "unlock_offline_clear_single",
    RecordKind.OFFLINE_CLEARED_ALL: "unlock_offline_clear",
    RecordKind.OPENED: "unlock_record_check",
    RecordKind.ALARM: "alarm_lock",
    RecordKind.HIJACK: "hijack",
    RecordKind.CREDENTIALS: "synch_method",
    RecordKind.ADD_TEMPORARY_PASSWORD: "temporary_password_creat",
    RecordKind.DELETE_TEMPORARY_PASSWORD: "temporary_password_delete",
    RecordKind.MODIFY_TEMPORARY_PASSWORD: "temporary_password_modify",
}

NEVER_TOLD_BACK = frozenset(
    {
        RecordKind.CREDENTIALS,
        RecordKind.ADD_TEMPORARY_PASSWORD,
        RecordKind.DELETE_TEMPORARY_PASSWORD,
        RecordKind.MODIFY_TEMPORARY_PASSWORD,
    }
)
"""Words of a lock about its credentials: no call of the cloud is known to have them."""

_ALARMS: Mapping[int, str] = {
    Alarm.FINGERPRINT: "wrong_finger",
    Alarm.PASSWORD: "wrong_password",
    Alarm.CARD: "wrong_card",
    Alarm.FACE: "wrong_face",
    Alarm.FALSE_LOCK: "tongue_bad",
    Alarm.HOT: "too_hot",
    Alarm.LEFT_OPEN: "unclosed_time",
    Alarm.TONGUE_NOT_OUT: "tongue_not_out",
    Alarm.PRIED: "pry",
    Alarm.KEY_LEFT_IN: "key_in",
    Alarm.LOW_BATTERY: "low_battery",
    Alarm.POWER_OFF: "power_off",
    Alarm.SHOCK: "shock",
    Alarm.ARMED: "defense",
}

_DIGITS = 10
"""No number of a lock is longer."""


def code_of(record: StoredRecord, overrides: Mapping[int, str] = {}) -> str:
    """The standard code; ``overrides`` are a product's own, by datapoint number."""
    if record.dp in overrides:
        return overrides[record.dp]
    return STANDARD_CODES.get(record.kind, f"dp_{record.dp}")


def value_of(record: StoredRecord) -> int | bool | str:
    """The value in the cloud's form: a number, a switch, an enumeration's name, or base64."""
    if record.kind is RecordKind.ALARM and record.value is not None:
        return _ALARMS.get(record.value, str(record.value))
    if record.value is None:
        return b64encode(record.data.reveal()).decode()
    if record.type is DpType.BOOL:
        return bool(record.value)
    return record.value


def harmless(value: Value) -> Value | None:
    """A value in the cloud's form as anybody may see it: numbers, switches and alarms' names.

    None for any other text, which may be all that a lock wrote: in it travel passwords and codes
    (safety G1).
    """
    if not isinstance(value, str) or value in _ALARMS.values() or value in ("true", "false"):
        return value
    number = value.isascii() and value.isdecimal() and len(value) <= _DIGITS
    return value if number else None
