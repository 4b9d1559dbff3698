"""What people do at the lock, and what it notices by itself: the ``local`` objects of captures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bleagent.simulator.application import LocalEventError, number
from protocol import DpName, DpType
from protocol.credentials import Method, Stage

from .offline_passwords import DIGITS

if TYPE_CHECKING:
    from .lock_application import LockApplication

_BOOLS = frozenset(
    {
        DpName.CHILD_LOCK, DpName.DOUBLE_LOCK, DpName.REVERSE_LOCK, DpName.DOORBELL, DpName.BOLT,
    }
)  # fmt: skip
_NUMBERS = frozenset({DpName.BATTERY, DpName.AUTO_LOCK_COUNTDOWN})
_METHODS = {
    "password": Method.PASSWORD,
    "card": Method.CARD,
    "finger": Method.FINGERPRINT,
    "face": Method.FACE,
}
_HIGH, _MEDIUM = 66, 33
"""Percent above which a battery is of a class."""


def perform(app: LockApplication, action: Mapping[str, Any], now: float) -> bool:
    """Do it; False where this application has no such action.

    Raises:
        LocalEventError: a field that makes no sense; nothing has changed.
    """
    match action.get("action"):
        case "record":
            dp, value = number(action, "dp", 0xFF), number(action, "value", 0xFFFFFFFF)
            app.records.record_value(dp, value, now)
        case "alarm":
            app.records.record_enum(DpName.ALARM, number(action, "value", 0xFF), now)
        case "combined":
            app.records.record_enum(DpName.RECORD_COMBINED, number(action, "value", 0xFF), now)
        case "state":
            _state(app, number(action, "dp", 0xFF), number(action, "value", 0xFFFFFFFF))
        case "enrol":
            _enrol(app, action)
        case "motor":
            app.machine.motor_ok = bool(number(action, "ok", 1))
        case "temporary_password":
            _temporary_password(app, action, now)
        case "offline_password":
            _offline_password(app, action, now)
        case "factory_reset":
            app.factory_reset(now)
        case _:
            return False
    return True


def _state(app: LockApplication, dp: int, value: int) -> None:
    name, reply = app.dps.name(dp), app.records.reply
    if name is DpName.BOLT:
        app.machine.bolt_open = bool(value)
        if app.machine.quirks.silent_bolt:
            return
    if name in _NUMBERS:
        reply.begin(dp, DpType.VALUE, value.to_bytes(4, "big"))
    elif name is DpName.BATTERY_CLASS:
        reply.begin(dp, DpType.ENUM, bytes((0 if value > _HIGH else 1 if value > _MEDIUM else 2,)))
    elif name is DpName.DOOR:
        reply.begin(dp, DpType.ENUM, bytes((value & 0xFF,)))
    elif name in _BOOLS:
        reply.begin(dp, DpType.BOOL, bytes((value & 0xFF,)))
    else:
        reply.id = dp  # the firmware sends what is in the buffer
    app.report_reply()


def report_bolt(app: LockApplication) -> None:
    """The bolt has stopped (a quirk: the recorded lock has no motor that says so)."""
    _state(app, app.dps.number(DpName.BOLT), app.machine.bolt_open)


def _enrol(app: LockApplication, action: Mapping[str, Any]) -> None:
    word = str(action.get("method"))
    if word not in _METHODS:
        raise LocalEventError(f'"method" is {word!r}, where {", ".join(_METHODS)} are known')
    method = _METHODS[word]
    hardid = app.credentials.free(method)
    match action.get("stage"):
        case "step":
            count, bad = number(action, "count", 0xFF), number(action, "incomplete", 1, default=0)
            app.report_progress(Stage.RUNNING, hardid, count, bad)
        case "complete":
            app.report_progress(Stage.COMPLETE, hardid, 0, 0)
            app.credentials.enrol(app.request, method)
        case "failed":
            step, reason = number(action, "step", 0xFF), number(action, "reason", 0xFF)
            app.report_progress(Stage.FAILED, hardid, step, reason)
        case stage:
            raise LocalEventError(f'"stage" is {stage!r}, where step, complete, failed are known')


def _temporary_password(app: LockApplication, action: Mapping[str, Any], now: float) -> None:
    digits = str(action.get("digits"))
    if not (digits.isascii() and digits.isdigit()):
        raise LocalEventError('"digits" are not digits')
    typed = bytes(int(digit) for digit in digits)
    hardid = app.credentials.type_temporary(typed, int(app.clock.read(now)))
    if hardid is not None:
        number = app.dps.number(DpName.RECORD_TEMPORARY_PASSWORD)
        app.records.record_value(number, hardid, now)


def _offline_password(app: LockApplication, action: Mapping[str, Any], now: float) -> None:
    digits = str(action.get("digits"))
    if not (digits.isascii() and digits.isdigit() and len(digits) == DIGITS):
        raise LocalEventError(f'"digits" are not {DIGITS} digits')
    accepted = app.offline.type_in([int(digit) for digit in digits], app.clock.read(now))
    if accepted is not None:
        app.records.record_bytes(accepted.record, accepted.raw, now)
