"""What the cloud has of a lock's records, held against what was carried there.

The vendor does not promise that a repeated message is one (safety D5): this looks. Records are
matched one to one by code, value and time; the cloud may tell whole seconds, so that one second of
difference is none where nothing fits better.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bleagent.errors import CloudError

from .readback import CloudRecord, ReadBack
from .record import Carriage, RecordQuery, StoredRecord
from .standard_codes import NEVER_TOLD_BACK, STANDARD_CODES, code_of, value_of

SLACK = 1.0
"""Seconds that the two times of one record may differ."""
MARGIN = 2 * SLACK
"""Read beyond both ends of the span, so that a record at an end finds its counterpart."""
PAGE = 500
MAX_RECORDS = 20_000
LIST_RECORDS, OPENING_LOGS = "listRecords", "openingLogs"
_OPENING = "unlock_"
"""How the codes begin that the opening logs tell."""

_Key = tuple[str, str]
"""Code, and value in one form."""
_Value = int | bool | str
_DIGITS = 18
"""No number of the cloud is longer."""


class Shelf(Protocol):
    """The part of ``ports.RecordShelf`` that is looked at. Raises StoreError."""

    async def records(self, query: RecordQuery) -> list[StoredRecord]:
        """Those that a query asks for, newest first, with their deliveries."""
        ...


class RecordReader(Protocol):
    """Reads back what the cloud has. Raises CloudError."""

    async def list_records(
        self, device_id: str, *, since: float, until: float, codes: Iterable[str]
    ) -> ReadBack:
        """Openings and alarms."""
        ...

    async def opening_logs(self, device_id: str, *, since: float, until: float) -> ReadBack:
        """Openings alone."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What came out, for one lock and one span of time (Unix seconds).

    ``agree`` counts carried records that the cloud has. ``lacks`` are carried ones that it has
    not, ``twice`` copies beyond the first, ``strange`` what it has and we never took.
    ``unconfirmed``: it has them, although the sink does not know so yet (an answer that was
    lost). ``cut``: one side had more than was read, so that what is missing may be behind the
    cut. ``unread`` entries nobody understood. ``not_compared``: ``source`` does not tell of such
    records.
    """

    lock: str
    sink: str
    since: float
    until: float
    source: str
    agree: int
    lacks: tuple[StoredRecord, ...] = ()
    twice: tuple[CloudRecord, ...] = ()
    strange: tuple[CloudRecord, ...] = ()
    unconfirmed: tuple[StoredRecord, ...] = ()
    cut: bool = False
    unread: int = 0
    not_compared: int = 0

    @property
    def clean(self) -> bool:
        """Whether the cloud has everything once, and all of it could be seen."""
        seen = not self.cut and not self.unread and not self.not_compared
        return seen and not (self.lacks or self.twice or self.strange)


@dataclass(slots=True)
class _Ours:
    """Ours in the span and a little beyond."""

    carried: list[StoredRecord] = field(default_factory=list)
    others: list[StoredRecord] = field(default_factory=list)
    never_told: list[StoredRecord] = field(default_factory=list)
    """Of credentials."""
    cut: bool = False


async def verify(
    shelf: Shelf,
    cloud: RecordReader,
    *,
    lock: str,
    device_id: str,
    sink: str,
    since: float,
    until: float,
    codes: Mapping[int, str] | None = None,
) -> Verification:
    """Compare what ``sink`` has carried with what the cloud tells of a span of time.

    ``codes`` are the product's own. Records of another ``device_id`` (a pairing before this one)
    are left alone. ``openingLogs`` stands in where the cloud refuses ``listRecords``.

    Raises:
        CloudError: the cloud cannot be read.
        StoreError: ours cannot.
    """
    own = codes or {}
    first, last = max(since - MARGIN, 0.0), until + MARGIN
    ours = await _ours(shelf, RecordQuery(lock=lock, since=first, until=last), device_id, sink)
    never = {STANDARD_CODES[kind] for kind in NEVER_TOLD_BACK}
    never |= {code_of(one, own) for one in ours.never_told}
    wanted = {code_of(one, own) for one in (*ours.carried, *ours.others)}
    wanted |= {*STANDARD_CODES.values(), *own.values()}
    wanted -= never
    told, source = await _read_back(cloud, device_id, first, last, sorted(wanted))
    carried = [one for one in ours.carried if _tells(source, code_of(one, own))]

    one_to_one = _Matching(
        own, [one for one in told.records if one.code not in never and _tells(source, one.code)]
    )
    agreed, lacking = one_to_one.take(carried)
    known, _ = one_to_one.take(ours.others)
    twice, strange = one_to_one.left()

    def inside(time: float) -> bool:
        return since <= time <= until

    return Verification(
        lock=lock,
        sink=sink,
        since=since,
        until=until,
        source=source,
        agree=sum(inside(one.at) for one in agreed),
        lacks=tuple(one for one in lacking if inside(one.at)),
        twice=tuple(one for one in twice if inside(one.time)),
        strange=tuple(one for one in strange if inside(one.time)),
        unconfirmed=tuple(one for one in known if inside(one.at)),
        cut=told.cut or ours.cut,
        unread=told.unread,
        not_compared=sum(inside(one.at) for one in ours.carried)
        - sum(inside(one.at) for one in carried),
    )


async def _ours(shelf: Shelf, query: RecordQuery, device_id: str, sink: str) -> _Ours:
    found, read = _Ours(), 0
    before: tuple[float, int] | None = None
    while True:
        page = await shelf.records(
            RecordQuery(
                lock=query.lock, since=query.since, until=query.until, before=before, limit=PAGE
            )
        )
        for record in page:
            if record.device_id != device_id:
                continue
            if record.kind in NEVER_TOLD_BACK:
                found.never_told.append(record)
                continue
            state = next((one.state for one in record.deliveries if one.sink == sink), None)
            (found.carried if state is Carriage.DONE else found.others).append(record)
        read += len(page)
        if len(page) < PAGE:
            return found
        if read >= MAX_RECORDS:
            found.cut = True
            return found
        before = (page[-1].at, page[-1].seq)


async def _read_back(
    cloud: RecordReader, device_id: str, first: float, last: float, codes: Sequence[str]
) -> tuple[ReadBack, str]:
    try:
        told = await cloud.list_records(device_id, since=first, until=last, codes=codes)
    except CloudError as error:
        if not error.refusal:
            raise
        return await cloud.opening_logs(device_id, since=first, until=last), OPENING_LOGS
    return told, LIST_RECORDS


def _tells(source: str, code: str) -> bool:
    return source == LIST_RECORDS or code.startswith(_OPENING)


class _Matching:
    """The cloud's records, each given to at most one of ours."""

    def __init__(self, codes: Mapping[int, str], told: Sequence[CloudRecord]) -> None:
        self._codes = codes
        self._free: dict[_Key, list[CloudRecord]] = defaultdict(list)
        self._taken: set[tuple[_Key, float]] = set()
        for one in sorted(told, key=lambda one: one.time):
            self._free[one.code, _plain(one.value)].append(one)

    def take(
        self, records: Sequence[StoredRecord]
    ) -> tuple[list[StoredRecord], list[StoredRecord]]:
        """Those that have a counterpart, which is theirs from now on; and those that have not."""
        found: list[StoredRecord] = []
        missing: list[StoredRecord] = []
        groups: dict[_Key, list[StoredRecord]] = defaultdict(list)
        for one in sorted(records, key=lambda one: (one.at, one.seq)):
            groups[code_of(one, self._codes), _plain(value_of(one))].append(one)
        for key, group in groups.items():
            pairs = _pair([one.at for one in group], [one.time for one in self._free[key]])
            for number, one in enumerate(group):
                (found if number in pairs else missing).append(one)
            self._taken |= {(key, self._free[key][other].time) for other in pairs.values()}
            gone = set(pairs.values())
            self._free[key] = [
                one for number, one in enumerate(self._free[key]) if number not in gone
            ]
        return found, missing

    def left(self) -> tuple[list[CloudRecord], list[CloudRecord]]:
        """Copies of what one of ours has taken, and what is like none of them.

        A message that was stored twice has the same time twice.
        """
        twice: list[CloudRecord] = []
        strange: list[CloudRecord] = []
        for key, free in self._free.items():
            for one in free:
                (twice if (key, one.time) in self._taken else strange).append(one)
        return twice, strange


def _pair(ours: Sequence[float], theirs: Sequence[float]) -> dict[int, int]:
    """Pairs (by position) of two ascending rows of times: the same ones first, then near ones.

    Otherwise one that is missing in a row of equal events a second apart would move all behind it.
    """
    pairs: dict[int, int] = {}
    for span in (_same_millisecond, _same_second, _near):
        left = [number for number in range(len(ours)) if number not in pairs]
        used = set(pairs.values())
        free = [number for number in range(len(theirs)) if number not in used]
        at = 0
        for number in left:
            first, last = span(ours[number])
            while at < len(free) and theirs[free[at]] < first:
                at += 1
            if at < len(free) and theirs[free[at]] <= last:
                pairs[number] = free[at]
                at += 1
    return pairs


def _same_millisecond(time: float) -> tuple[float, float]:
    return time - 0.0006, time + 0.0006


def _same_second(time: float) -> tuple[float, float]:
    """Of a cloud that cuts the rest off."""
    return math.floor(time), math.floor(time)


def _near(time: float) -> tuple[float, float]:
    return time - SLACK, time + SLACK


def _plain(value: _Value) -> str:
    """A value as the calls tell it, here as a number and there as text: ``1``, ``"1"``, ``True``.

    A switch and the numbers 0 and 1 are the same for us; the code says which of them it is.
    """
    text = str(value).strip().lower()
    if text in ("true", "false"):
        return "1" if text == "true" else "0"
    number = text.removesuffix(".0")
    digits = number.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) <= _DIGITS:
        return str(int(number))
    return text
