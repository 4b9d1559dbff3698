"""Whether a record is one that was taken before: exact times, and converted ones."""

from __future__ import annotations

import pytest

from bleagent.records.identity import Candidate, choose, is_same
from bleagent.records.record import Happening, TimeQuality
from protocol import DpType, Secret
from protocol.records import RecordKind

NOON = 1_700_000_000


def happening(seconds: float, at: float | None = None) -> Happening:
    return Happening(
        dp=12, type=DpType.VALUE, kind=RecordKind.FINGERPRINT, value=3, data=Secret(b"\0\0\0\3"),
        wire_time=str(int(seconds)), lock_seconds=seconds, at=seconds if at is None else at,
        quality=TimeQuality.LOCK,
    )  # fmt: skip


def candidate(
    seconds: float, *, seq: int = 1, at: float | None = None, converted: bool = False
) -> Candidate:
    return Candidate(seq, str(int(seconds)), seconds, seconds if at is None else at, converted)


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        (candidate(NOON), happening(NOON), True),
        (candidate(NOON), happening(NOON + 1), False),  # two events a second apart are two
        (candidate(NOON, converted=True), happening(NOON + 2), True),
        (candidate(NOON, converted=True), happening(NOON - 2), True),
        (candidate(NOON, converted=True), happening(NOON + 3), False),
        (candidate(57, at=NOON), happening(NOON + 2), True),  # seen before the lock had a date
        (candidate(57, at=NOON), happening(NOON + 3), False),
        (candidate(NOON), happening(57, at=NOON - 1), True),
        (candidate(57, at=NOON), happening(58, at=NOON), False),
    ],
)
def test_same(before: Candidate, now: Happening, same: bool) -> None:
    assert is_same(before, now) is same


def test_the_exact_one_before_a_converted_one_and_the_earlier_before_the_later() -> None:
    converted = candidate(NOON + 1, seq=1, converted=True)
    exact, later = candidate(NOON, seq=5), candidate(NOON, seq=7)
    assert choose([converted, later, exact], happening(NOON)) == exact
    assert choose([converted], happening(NOON)) == converted
    assert choose([candidate(NOON + 9)], happening(NOON)) is None
    assert choose([], happening(NOON)) is None
