"""What was done at a lock (``local`` events of a capture), without its secrets.

The fields are a person's or a recorder's, so only known ones of a known form are taken over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .datapoint import LengthWidth, read_datapoints, write_datapoints
from .dpmap import DpName
from .errors import PayloadError
from .reports import SHAPES
from .scrub import SECRET_DATAPOINTS, Scrubber
from .substitutes import Sensitive

ACTIONS = frozenset(
    {
        "alarm", "ask_time", "combined", "enrol", "factory_reset", "motor", "offline_password",
        "pass_through", "record", "report", "state",
    }
)  # fmt: skip
WORDS = {
    "method": frozenset({"password", "card", "finger", "fingerprint", "face"}),
    "stage": frozenset({"start", "step", "complete", "failed", "cancel", "cancelled"}),
}
_NUMBERS = frozenset(
    {
        "count", "dp", "incomplete", "kind", "mode", "no_answer", "ok", "reason", "sn", "step",
        "time", "type", "value", "years",
    }
)  # fmt: skip
_COMMAND = re.compile(r"0x[0-9a-f]{4}")
_TIME_TEXT = re.compile(r"[0-9]{13}")
_DIGITS = re.compile(r"[0-9]{1,32}")


def scrub_local(
    found: Mapping[str, Any], scrubber: Scrubber
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields that can be shared, and a reason for each one that went.

    Raises:
        PayloadError: nothing of it can be shared.
    """
    action, number = found.get("action"), found.get("dp")
    if not isinstance(action, str) or action not in ACTIONS:
        raise PayloadError("something was done at the lock that has no known name")
    if number is not None and not scrubber.keep_unknown and _name(number, scrubber) is None:
        raise PayloadError("a local event of a datapoint that is not known")
    kept: dict[str, Any] = {}
    dropped: list[str] = []
    for name, value in found.items():
        try:
            kept[name] = _field(name, value, found, scrubber, dropped)
        except _UnknownFieldError:
            # Not even the field's name is told: anything may stand there.
            dropped.append("a field of a local event that is not known, or has no known form")
    return kept, tuple(dropped)


class _UnknownFieldError(Exception):
    """This field goes, the others can stay."""


def _name(number: object, scrubber: Scrubber) -> DpName | None:
    return scrubber.dpmap.name(number) if isinstance(number, int) else None


def _field(
    name: str, value: object, found: Mapping[str, Any], scrubber: Scrubber, dropped: list[str]
) -> object:
    match name, value:
        case "action", _:
            return value
        case _, int() if name in _NUMBERS and abs(value) < 1 << 32:
            if name == "value" and _name(found.get("dp"), scrubber) in SECRET_DATAPOINTS:
                raise _UnknownFieldError
            return value
        case _, str() if value in WORDS.get(name, ()):
            return value
        case "command", str() if _COMMAND.fullmatch(value) and int(value, 16) in SHAPES:
            return value
        case "time_text", str() if _TIME_TEXT.fullmatch(value):
            return value
        case "digits", str() if _DIGITS.fullmatch(value):
            return _digits(value, scrubber)
        case "payload", str():
            return _payload(value, found, scrubber, dropped)
        case _:
            raise _UnknownFieldError


def _digits(typed: str, scrubber: Scrubber) -> str:
    new = scrubber.values.of(Sensitive.PIN, bytes(int(digit) for digit in typed))
    return "".join(str(digit) for digit in new)


def _payload(text: str, found: Mapping[str, Any], scrubber: Scrubber, dropped: list[str]) -> str:
    """Datapoints of a report, or what was passed through. Without them the event says nothing."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raise PayloadError("the payload of a local event is not hexadecimal") from None
    if found["action"] == "pass_through":
        return scrubber.passed_through(raw).hex()
    width = _width(found)
    kept, gone = scrubber.datapoints(read_datapoints(raw, width))
    dropped += gone
    return write_datapoints(kept, width).hex()


def _width(found: Mapping[str, Any]) -> LengthWidth:
    command = found.get("command")
    if not isinstance(command, str) or not _COMMAND.fullmatch(command):
        raise PayloadError("a local event has datapoints, but no command that says their form")
    shape = SHAPES.get(int(command, 16))
    if shape is None:
        raise PayloadError("a local event has datapoints under a command that is no report")
    return shape.width
