"""Values of what locks remember: a happening, the record of it, and where it has been carried.

One report of a lock can tell several happenings (datapoints); each becomes one record. A record
has one identity for ever, frozen when it is taken first (reference: safety D3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from protocol import Secret
from protocol.records import RecordKind

RELATIVE_BELOW = 30 * 365 * 24 * 3600
"""Below this a lock's time is seconds since power-up (reference: protocol §6.7)."""


class TimeQuality(StrEnum):
    """What ``StoredRecord.at`` rests on."""

    LOCK = "lock"  # the lock's clock
    RECEIVED = "received"  # the lock has no date: when it came in live, by our trusted clock
    UNKNOWN = "unknown"  # no date can be told: when it was taken, at the latest


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One datapoint of a timed report, ready to be stored. Codes in it are zeroed (safety G1).

    ``wire_time`` is the time as the lock wrote it, in decimal digits; ``lock_seconds`` the same in
    seconds. ``value`` is a credential's hardid, a member's id or an alarm's number; None for raw
    ones. ``at`` is Unix seconds.
    """

    dp: int
    type: int
    kind: RecordKind
    value: int | None
    data: Secret
    wire_time: str
    lock_seconds: float
    at: float
    quality: TimeQuality
    operation: str | None = None
    """The operation of ours that this is the record of."""

    @property
    def value_hash(self) -> str:
        """SHA-256 of the data, hexadecimal: equal values without the value."""
        return sha256(self.data.reveal()).hexdigest()

    @property
    def is_relative(self) -> bool:
        """Whether the lock had no date when it happened, or has none now."""
        return self.lock_seconds < RELATIVE_BELOW


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenReport:
    """A timed report as it goes to the disk.

    ``raw`` is command and data, codes zeroed. ``live``: it happens now, and is in no order with
    what the backlog brings. ``only_copy``: for all that is known the lock has not stored it, so it
    may take room that is reserved (D6). ``converted``: the lock may have had no date when it
    happened. ``may_match``: it may be one that may return, delivered again. ``may_return``: the
    lock may hand it out once more. ``proves`` are the records whose deletion at the lock this
    arrival proves: they return no more. ``is_not``: records that it is not, though they may
    return: nothing is handed out twice between an acknowledgement and the end of a connection.
    ``behind``: it can only be a record with a higher number. ``release``: nothing older can come
    any more, so it may be carried at once (safety D4).
    """

    lock: str
    device_id: str
    raw: Secret
    happenings: tuple[Happening, ...]
    taken_at: float
    live: bool
    only_copy: bool
    may_match: bool
    may_return: bool
    converted: bool = False
    proves: tuple[int, ...] = ()
    is_not: tuple[int, ...] = ()
    behind: int = 0
    release: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a report came to: its records' numbers and ids, and which numbers are new."""

    records: tuple[int, ...]
    ids: tuple[str, ...]
    new: tuple[int, ...]


def message_id(device_id: str, happening: Happening, ordinal: int) -> str:
    """32 hexadecimal digits that name a record for ever (safety D3).

    ``ordinal`` counts the equal ones before it: same lock, datapoint, time and value.
    """
    data = happening.data.reveal().hex()
    base = f"{device_id}|{happening.dp}|{happening.wire_time}|{data}"
    return sha256((f"{base}|{ordinal}" if ordinal else base).encode()).hexdigest()[:32]


# -- carried


class Carriage(StrEnum):
    """How far a record is on its way to one sink."""

    WAITING = "waiting"
    DONE = "done"  # on the sink's own word
    PARKED = "parked"  # the sink will never take it as it is; somebody has to decide
    DROPPED = "dropped"  # somebody decided


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One record and one sink. ``code`` is the sink's last word about it."""

    sink: str
    state: Carriage
    attempts: int = 0
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A record as it is kept. Times are Unix seconds."""

    seq: int
    id: str
    """``message_id``."""
    lock: str
    device_id: str
    dp: int
    type: int
    kind: RecordKind
    value: int | None
    data: Secret
    wire_time: str
    at: float
    quality: TimeQuality
    taken_at: float
    live: bool
    operation: str | None
    released_at: float | None
    """Since when sinks may have it; None while older ones may still come (safety D4)."""
    late: bool
    """Released before its drain had come to its end."""
    deliveries: tuple[Delivery, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordQuery:
    """Which records, newest first. ``before`` is the cursor of the page before."""

    lock: str | None = None
    since: float | None = None
    until: float | None = None
    kinds: tuple[RecordKind, ...] = ()
    state: Carriage | None = None
    """Those with a delivery in this state."""
    before: tuple[float, int] | None = None
    """``at`` and ``seq`` of the last one seen: only what sorts behind it."""
    after_seq: int | None = None
    """Only those taken behind this one, oldest first: to follow what comes."""
    limit: int = 100


class ReceiptKind(StrEnum):
    """A sink's word about one record."""

    DONE = "done"
    LATER = "later"  # not now: nobody was there, too many, an error of theirs
    POISON = "poison"  # never: this record cannot be taken as it is
    NO_ROUTE = "no_route"  # this lock cannot be reported here at all (1106, 2009; safety D5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A sink's word, and its reason: a stable code and words without secrets.

    ``after`` are seconds to wait at least, where the sink said so.
    """

    kind: ReceiptKind
    code: str = ""
    detail: str = ""
    after: float = 0.0
    advice: str = ""
    """What a person can do, where waiting alone changes nothing."""


DONE = Receipt(kind=ReceiptKind.DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkState:
    """What one sink has and what waits for it. Ages are seconds."""

    sink: str
    waiting: int
    held: int
    """Of those that wait: not released yet (safety D4)."""
    done: int
    parked: int
    dropped: int
    oldest_waiting: float | None
    """``taken_at`` of the oldest one that waits, released or not."""
    routes_closed: dict[str, str]
    """Lock and code, where the sink refuses a lock as such."""
    configured: bool = True
    """Whether there still is such a sink: nothing carries what waits for one that is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenCounts:
    """Counters of one lock since the store was made."""

    taken: int
    duplicate: int
    gaps: int
    """Times when something may have been lost on the air (safety D2)."""
