"""Tolerant reading of the cloud's values: what the documents and their samples disagree about.

A value that no rule explains is a ``BadAnswer`` naming the field, never its content.
Source: reference cloud §8.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .errors import BadAnswer

MILLISECONDS_FROM = 10**11
"""A time from here on is in milliseconds, below it in seconds."""
MAX_HEX_BYTES = 1024
MAX_ID = 128
MAX_NAME = 64

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
"""In the order of their bits, from bit 0."""
MINUTES_OF_DAY = 24 * 60

_TRUE = frozenset({"1", "1.0", "true"})
_FALSE = frozenset({"0", "0.0", "false", ""})
_DIGITS = 18
_TOO_MUCH = 10**_DIGITS
"""More than any number of the cloud."""


def plain(name: str) -> str:
    """A key without its spelling: ``dpId`` and ``dp_id`` are the same."""
    return name.replace("_", "").lower()


def find(found: Mapping[str, Any], *names: str) -> Any:
    """The first of several names in either spelling; ``None`` where there is none."""
    for name in map(plain, names):
        for key, value in found.items():
            if value is not None and plain(key) == name:
                return value
    return None


def boolean(value: object, what: str, *, default: bool = False) -> bool:
    """``true``, ``1``, ``"1"``, ``"true"``, ``"True"`` and their opposites; absent: the default."""
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    if isinstance(value, str | int | float):
        text = str(value)[:8].strip().lower()
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
    raise BadAnswer(f"{what} is not a boolean")


def number(value: object, what: str) -> int:
    """An integer, also one written as text or as ``7.0``."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _TOO_MUCH:
        return value
    if isinstance(value, str):
        text = value.strip()
        digits = text.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS:
            return int(text)
    raise BadAnswer(f"{what} is not a number")


def identifier(value: object, what: str) -> str:
    """An id: text, or a number written as one; never empty."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and 0 < len(value.strip()) <= MAX_ID:
        return value.strip()
    raise BadAnswer(f"{what} is not an id")


def text(value: object) -> str:
    """Text for people; anything else is none."""
    return value if isinstance(value, str) else ""


def printable(value: str, size: int) -> str:
    """At most ``size`` signs of a text, without control characters."""
    return "".join(sign if sign.isprintable() else " " for sign in value[:size]).strip()


def name(value: object) -> str:
    """A name for people, of at most 64 signs; anything else is none."""
    return printable(value, MAX_NAME) if isinstance(value, str) else ""


def hexadecimal(value: object, what: str) -> bytes:
    """Bytes in hexadecimal of either case; never empty."""
    if isinstance(value, str):
        digits = value.strip()
        # Without the second test, bytes.fromhex would skip blanks in the middle.
        if 0 < len(digits) <= 2 * MAX_HEX_BYTES and digits.isascii() and digits.isalnum():
            try:
                return bytes.fromhex(digits)
            except ValueError:
                pass
    raise BadAnswer(f"{what} is not hexadecimal")


def seconds(value: object, what: str) -> float:
    """A time in unix seconds, of one in seconds or milliseconds."""
    found = number(value, what)
    if found < 0:
        raise BadAnswer(f"{what} is not a time")
    return found / 1000 if found >= MILLISECONDS_FROM else float(found)


def moment(value: object, what: str) -> datetime | None:
    """A time in seconds or milliseconds; 0 and an empty text are none."""
    if value in (0, "0", ""):
        return None
    try:
        return datetime.fromtimestamp(seconds(value, what), UTC)
    except (ValueError, OverflowError, OSError):
        raise BadAnswer(f"{what} is not a time") from None


def mapping(value: object, what: str) -> Mapping[str, Any]:
    """A JSON object."""
    if isinstance(value, dict):
        return value
    raise BadAnswer(f"{what} is not an object")


def listed(value: object) -> list[Any]:
    """A list; of what should be one and is not, a list of it; absent, an empty one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def rows(value: object, what: str) -> list[Mapping[str, Any]]:
    """A list of objects: bare, alone, or inside a page (``devices``, ``records``, ``list``)."""
    if isinstance(value, dict):
        inside = find(value, "devices", "records", "list")
        value = inside if isinstance(inside, list) else [value]
    if value is None:
        return []
    if isinstance(value, list):
        return [mapping(row, f"an entry of {what}") for row in value]
    raise BadAnswer(f"{what} is not a list")
