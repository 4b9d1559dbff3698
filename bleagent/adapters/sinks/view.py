"""A record as the operator's own sinks are told of it. Pure.

No raw bytes: in them travel PINs and codes (reference: safety G1). A person's name is added where
the cloud gave one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

from bleagent.records.record import StoredRecord
from bleagent.records.story import story_of


class People(Protocol):
    """Knows whose credentials are whose (``names.Names``)."""

    def name_of(self, lock: str, record: StoredRecord) -> str | None:
        """Who it was; None where nobody knows."""
        ...

    def is_duress(self, lock: str, record: StoredRecord) -> bool:
        """Whether the credential is there to call for help."""
        ...


def record_view(record: StoredRecord, people: People) -> dict[str, Any]:
    """JSON values: what happened, when, at which lock, and how sure the time is."""
    name = people.name_of(record.lock, record)
    story = story_of(record, name, duress=people.is_duress(record.lock, record))
    return {
        "id": record.id,
        "lock": record.lock,
        "kind": record.kind.value,
        "category": story.category.value,
        "severity": None if story.severity is None else story.severity.value,
        "title": story.title,
        "value": record.value,
        "who": name,
        "at": datetime.fromtimestamp(record.at, UTC).isoformat(timespec="milliseconds"),
        "quality": record.quality.value,
        "live": record.live,
        "late": record.late,
        "operation": record.operation,
    }
