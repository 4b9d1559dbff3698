"""Whether a delivered record is one that was taken before (reference: safety D3). Pure.

Delivery position decides first: the caller offers only records that may return, each at most
once. Value decides second: same datapoint, same data, same time. The time may differ by two
seconds only where the lock may have converted it: one copy has seconds since power-up and the
other a date, or the record was taken from the backlog of a lock that may have had no date when it
happened, and makes one anew at every delivery. Anywhere else two events a second apart are two.
"""

from __future__ import annotations

from dataclasses import dataclass

from .record import RELATIVE_BELOW, Happening

CONVERSION_SLACK = 2.0
"""Seconds that a lock's conversion of its own clock, and our dating of it, may be off."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record of the same lock, datapoint and data that may return."""

    seq: int
    wire_time: str
    lock_seconds: float
    at: float
    converted: bool
    """Whether the lock may have made its date when it handed it out."""


def is_same(candidate: Candidate, happening: Happening) -> bool:
    """Whether a happening is this record, delivered once more."""
    if candidate.wire_time == happening.wire_time:
        return True
    was_relative = candidate.lock_seconds < RELATIVE_BELOW
    if was_relative == happening.is_relative:
        apart = abs(candidate.lock_seconds - happening.lock_seconds)
        return candidate.converted and apart <= CONVERSION_SLACK
    return abs(candidate.at - happening.at) <= CONVERSION_SLACK


def choose(candidates: list[Candidate], happening: Happening) -> Candidate | None:
    """The one that returned: of an exact time before a converted one, the earliest taken first."""
    same = [one for one in candidates if is_same(one, happening)]
    same.sort(key=lambda one: (one.wire_time != happening.wire_time, one.seq))
    return same[0] if same else None
