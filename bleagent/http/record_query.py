"""The question behind ``GET /v1/records?...``, read with words for what is wrong in it. Pure."""

from __future__ import annotations

import math
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from bleagent.records.record import Carriage, RecordQuery
from protocol.records import RecordKind

from .problems import RequestUnusable

LIMIT = 100
MAX_LIMIT = 500
_MAX_TEXT = 64
"""Characters of any one value; the longest honest one is a cursor."""
_MAX_SEQ = 2**63 - 1
LATEST = datetime.max.replace(microsecond=0, tzinfo=UTC).timestamp()
"""Unix seconds of the calendar's last second; a part of it more would be rounded up, and behind."""
_LOCK = re.compile(r"[a-z0-9-]{1,32}")
_SECONDS = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_LOST_PLUS = re.compile(r"(T\S+) (\d\d:?\d\d)")

Word = TypeVar("Word", bound=StrEnum)


def parse_query(given: Iterable[tuple[str, str]]) -> RecordQuery:
    """Read the parameters of a URL.

    Raises:
        RequestUnusable: one that is unknown, given twice or of no use, named.
    """
    found: dict[str, Any] = {}
    kinds: list[RecordKind] = []
    for name, text in given:
        if name not in _READERS:
            known = ", ".join(_READERS)
            raise RequestUnusable(f"unknown parameter {_shown(name)}; there are {known}")
        value = _READERS[name](name, text)
        if name == "kind":
            kinds.append(value)
        elif name in found:
            raise RequestUnusable(f"{name} is given twice")
        else:
            found[name] = value
    if "after" in found and "cursor" in found:
        raise RequestUnusable("after and cursor exclude each other: one goes on, one goes back")
    if found.get("since", -math.inf) > found.get("until", math.inf):
        raise RequestUnusable("since lies behind until")
    return RecordQuery(
        lock=found.get("lock"),
        since=found.get("since"),
        until=found.get("until"),
        kinds=tuple(dict.fromkeys(kinds)),
        state=found.get("state"),
        before=found.get("cursor"),
        after_seq=found.get("after"),
        limit=found.get("limit", LIMIT),
    )


def parse_time(name: str, given: str | float) -> float:
    """Unix seconds, from themselves or from ISO 8601 with an offset.

    Raises:
        RequestUnusable: neither, or outside of the calendar.
    """
    if isinstance(given, str) and not _SECONDS.fullmatch(given):
        seconds = _iso_seconds(name, given)
    else:
        seconds = float(given)
    if not 0 <= seconds <= LATEST:  # nan is not either
        raise _unusable(name, str(given), "a time between 1970 and 9999")
    return seconds


def _iso_seconds(name: str, text: str) -> float:
    # A plus that was not written as %2B arrives as a space.
    text = _LOST_PLUS.sub(r"\1+\2", text) if len(text) <= _MAX_TEXT else ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _unusable(
            name, text, "Unix seconds, or ISO 8601 with an offset such as 2026-01-31T18:30:00Z"
        ) from None
    if moment.tzinfo is None:
        raise _unusable(name, text, "an offset after it, such as Z or +01:00")
    return moment.timestamp()


def to_cursor(at: float, seq: int) -> str:
    """Where a page ended, for whoever asks for the next one."""
    return urlsafe_b64encode(f"{at!r},{seq}".encode()).decode().rstrip("=")


def _from_cursor(name: str, text: str) -> tuple[float, int]:
    padded = text + "=" * (-len(text) % 4)
    try:
        # The decoder passes over signs that it does not know.
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
            raise ValueError  # noqa: TRY301 - told below
        at, seq = urlsafe_b64decode(padded).decode("ascii").split(",")
        place = float(at), int(seq)
    except ValueError:
        raise _unusable(name, text, "the `next` of an answer, as it is") from None
    if not math.isfinite(place[0]) or not 0 <= place[1] <= _MAX_SEQ:
        raise _unusable(name, text, "the `next` of an answer, as it is")
    return place


def _lock(name: str, text: str) -> str:
    if not _LOCK.fullmatch(text):
        raise _unusable(name, text, "a lock's name: 1 to 32 of a-z, 0-9 and -")
    return text


def _number(name: str, text: str, least: int, most: int) -> int:
    # int() would also take signs, spaces, underscores and digits of other scripts.
    if not re.fullmatch(r"[0-9]{1,19}", text) or not least <= int(text) <= most:
        raise _unusable(name, text, f"a number from {least} to {most}")
    return int(text)


def _one_of(values: type[Word]) -> Callable[[str, str], Word]:
    def read(name: str, text: str) -> Word:
        try:
            return values(text)
        except ValueError:
            raise _unusable(name, text, "one of " + ", ".join(values)) from None

    return read


_READERS: dict[str, Callable[[str, str], Any]] = {
    "lock": _lock,
    "since": parse_time,
    "until": parse_time,
    "kind": _one_of(RecordKind),
    "state": _one_of(Carriage),
    "limit": lambda name, text: _number(name, text, 1, MAX_LIMIT),
    "cursor": _from_cursor,
    "after": lambda name, text: _number(name, text, 0, _MAX_SEQ),
}


def _unusable(name: str, text: str, expected: str) -> RequestUnusable:
    return RequestUnusable(f"{name}: found {_shown(text)}, expected {expected}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "...")
