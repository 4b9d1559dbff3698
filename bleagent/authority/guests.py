"""What a guest's token is good for: one lock, some hours of some days, so many openings. Pure.

Hours and days are those of the place where the gateway is: a window follows its clocks when they
are set for summer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo

from bleagent.errors import TokenUnusable

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MOST_TIMES = 10_000
_HOUR = r"([01][0-9]|2[0-3]):([0-5][0-9])"
_BETWEEN = re.compile(rf"{_HOUR}-(?:{_HOUR}|(24:00))")
_DAY = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestTerms:
    """When, and how often. ``begins``: Unix seconds; ``weekdays``: 0 is Monday, none: all."""

    begins: float | None = None
    weekdays: frozenset[int] = frozenset()
    between: tuple[int, int] | None = None
    """Minutes of the day; where the second is not later, it is one of the next day."""
    times: int | None = None
    """Openings; no limit by default."""

    def open_until(self, unix: float, zone: tzinfo | None = None) -> float | None:
        """Unix seconds at which the window closes that is open now; ``None``: none is.

        ``zone``: ``None`` is this machine's.
        """
        if self.begins is not None and unix < self.begins:
            return None
        if not self.weekdays and self.between is None:
            return math.inf
        first, last = self.between or (0, _DAY)
        length = last - first if last > first else last - first + _DAY
        today = datetime.fromtimestamp(unix, zone).date()
        for day in (today, today - timedelta(days=1)):  # a night began the day before
            if self.weekdays and day.weekday() not in self.weekdays:
                continue
            begin = datetime.combine(day, time(first // 60, first % 60), zone)
            end = begin + timedelta(minutes=length)  # by the clock on the wall
            if begin.timestamp() <= unix < end.timestamp():
                return end.timestamp()
        return None


def parse_weekdays(texts: Collection[str]) -> frozenset[int]:
    """From ``mon`` to ``sun``. Raises TokenUnusable."""
    for text in texts:
        if text not in WEEKDAYS:
            raise TokenUnusable(f"weekdays: found {text[:48]!r}, expected {', '.join(WEEKDAYS)}")
    return frozenset(WEEKDAYS.index(text) for text in texts)


def parse_between(text: str) -> tuple[int, int]:
    """Minutes of the day, from such as ``08:00-18:00``. Raises TokenUnusable."""
    match = _BETWEEN.fullmatch(text)
    if match is None:
        raise TokenUnusable(f"between: found {text[:48]!r}, expected such as 08:00-18:00")
    first = int(match[1]) * 60 + int(match[2])
    last = _DAY if match[5] else int(match[3]) * 60 + int(match[4])
    if first == last:
        raise TokenUnusable(f"between: found {text!r}, expected two different times")
    return first, last


def words_of(terms: GuestTerms) -> dict[str, object]:
    """The terms as they were written, without their beginning."""
    between = None
    if terms.between is not None:
        between = "-".join(f"{one // 60:02d}:{one % 60:02d}" for one in terms.between)
    return {
        "weekdays": [WEEKDAYS[one] for one in sorted(terms.weekdays)],
        "between": between,
        "times": terms.times,
    }
