"""Records and what waits for the sinks as JSON. Never a byte of what the lock wrote (safety G1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Protocol

from bleagent.records.record import SinkState, StoredRecord, TakenCounts
from bleagent.records.story import story_of


class Said(Protocol):
    """One record as the cloud calls it; ``at`` is Unix seconds."""

    @property
    def code(self) -> str:
        """Its standard code."""
        ...

    @property
    def value(self) -> object:
        """Its value in the cloud's form; None for what may be the bytes of a lock."""
        ...

    @property
    def at(self) -> float:
        """When it happened."""
        ...


class Verified(Protocol):
    """What a comparison of our records with the cloud's came to."""

    @property
    def agree(self) -> int:
        """How many are here and there."""
        ...

    @property
    def lacking(self) -> Sequence[Said]:
        """Here and not there."""
        ...

    @property
    def twice(self) -> Sequence[Said]:
        """There more often than here."""
        ...

    @property
    def unknown(self) -> Sequence[Said]:
        """There and not here."""
        ...

    @property
    def complete(self) -> bool:
        """Whether the cloud could be asked about all of the time."""
        ...


def record_view(
    record: StoredRecord, name: str | None, zone: tzinfo | None, *, duress: bool = False
) -> dict[str, Any]:
    """One record; ``name`` is the person's, ``zone`` that of ``local`` (None: this machine's)."""
    story = story_of(record, name, duress=duress)
    return {
        "id": record.id,
        "seq": record.seq,
        "lock": record.lock,
        "kind": record.kind,
        "value": record.value,
        "category": story.category,
        "severity": story.severity,
        "title": story.title,
        "who": story.who,
        "at": iso(record.at),
        "local": iso(record.at, local=True, zone=zone),
        "quality": record.quality,
        "live": record.live,
        "operation": record.operation,
        "late": record.late,
        "released": record.released_at is not None,
        "taken_at": iso(record.taken_at),
        "deliveries": [
            {"sink": one.sink, "state": one.state, "attempts": one.attempts, "code": one.code}
            for one in record.deliveries
        ],
    }


def outbox_view(
    sinks: Sequence[SinkState], counts: Mapping[str, TakenCounts], *, unix: float
) -> dict[str, Any]:
    """What waits for each sink, and what was taken off each lock."""
    return {
        "sinks": [
            {
                "sink": one.sink,
                "configured": one.configured,
                "waiting": one.waiting,
                "held": one.held,
                "done": one.done,
                "parked": one.parked,
                "dropped": one.dropped,
                "oldest_waiting_s": None
                if one.oldest_waiting is None
                else round(max(0.0, unix - one.oldest_waiting), 1),
                "routes_closed": one.routes_closed,
            }
            for one in sinks
        ],
        "locks": [
            {"lock": lock, "taken": one.taken, "duplicate": one.duplicate, "gaps": one.gaps}
            for lock, one in sorted(counts.items())
        ],
    }


def verified_view(lock: str, found: Verified) -> dict[str, Any]:
    """What the cloud has of a lock's records, beside ours."""
    return {
        "lock": lock,
        "agree": found.agree,
        "lacking": [_said(one) for one in found.lacking],
        "twice": [_said(one) for one in found.twice],
        "unknown": [_said(one) for one in found.unknown],
        "complete": found.complete,
    }


def _said(one: Said) -> dict[str, Any]:
    return {"code": one.code, "value": one.value, "at": iso(one.at)}


def iso(unix: float, *, local: bool = False, zone: tzinfo | None = None) -> str | None:
    """ISO 8601 with milliseconds; None for what no calendar has: locks write anything."""
    try:
        moment = datetime.fromtimestamp(unix, UTC)
        moment = moment.astimezone(zone) if local else moment
        return moment.isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return None
