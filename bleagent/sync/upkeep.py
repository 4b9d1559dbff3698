"""What a lock is told and asked by the way: T0 of its offline passwords, and who may open it.

Pure. T0 is the moment of the last pairing, from which a lock counts the hours of offline
passwords: told once, and again when the cloud names another one. The list of its credentials is
asked for when the cloud wants it. Telling and asking twice does no harm, so what is kept says only
what need not be done again (reference: protocol §6.4, §6.5, cloud §4, §7).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from math import inf

MOST_SILENT = 5
"""Questions without an answer, the link being up, after which a lock is taken not to know them."""
FIRST_REST, LONGEST_REST = 60.0, 3600.0
"""Seconds before a silent lock is asked again, doubled each time."""
LIST_APART = 600.0
"""Seconds between two lists of a lock; the vendor's cloud wants five at least."""
DAY = 24 * 3600.0
WEEK = 7 * DAY
"""Seconds before a lock that said no, or does not know it, is asked again: it may be updated."""


class Subject(StrEnum):
    """What it is about."""

    T0 = "t0"
    CREDENTIALS = "credentials"


class Progress(StrEnum):
    """How far it is."""

    WAITING = "waiting"  # for a visit, or for a lock that did not answer
    DONE = "done"  # the lock said that it has T0; its list was handed to the sinks
    EMPTY = "empty"  # nothing is on its list, or it did not understand the question
    REFUSED = "refused"  # the lock said no
    UNSUPPORTED = "unsupported"  # it has no such datapoint, or never answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What is kept of one subject at one lock. ``at``: Unix seconds.

    ``digest`` is that of the T0 that it is about, or of the list that was reported last: the
    contents are kept nowhere.
    """

    subject: Subject
    progress: Progress
    at: float
    digest: str = ""
    silent: int = 0
    """Questions in a row that were not answered."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the cloud wants a lock to be asked: a datapoint and its bytes, the kinds of openers."""

    dp_id: int
    kinds: bytes


def digest_of(parts: Iterable[bytes]) -> str:
    """32 hexadecimal digits that stand for bytes."""
    return sha256(b"".join(parts)).hexdigest()[:32]


def is_due(note: Note | None, unix: float) -> bool:
    """Whether it is to be done (again) by now."""
    return note is None or not 0 <= unix - note.at < _rest(note)


def is_told(note: Note | None, digest: str, unix: float) -> bool:
    """Whether nothing is to be told of this T0 now."""
    return note is not None and note.digest == digest and not is_due(note, unix)


def _rest(note: Note) -> float:
    match note.progress:
        case Progress.WAITING:
            return min(FIRST_REST * 2.0 ** (note.silent - 1), LONGEST_REST) if note.silent else 0.0
        case Progress.DONE:
            return inf if note.subject is Subject.T0 else LIST_APART
        case Progress.EMPTY:
            return DAY
        case Progress.REFUSED | Progress.UNSUPPORTED:
            return WEEK


def silenced(note: Note, unix: float) -> Note:
    """The lock did not answer, though the link was up."""
    silent = note.silent + 1
    progress = Progress.UNSUPPORTED if silent >= MOST_SILENT else Progress.WAITING
    return replace(note, progress=progress, at=unix, silent=silent)
