"""A record as the operator's own sinks are told of it. Pure.

No raw bytes: in them travel PINs and codes (reference: safety G1). A person's name is added where
the cloud gave one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bleagent.record import StoredRecord
from bleagent.story import story_of

NameOf = Callable[[str, StoredRecord], str | None]
"""Whose credential it was, by lock and record; None where nobody knows."""


def record_view(record: StoredRecord, name: str | None) -> dict[str, Any]:
    """JSON values: what happened, when, at which lock, and how sure the time is."""
    story = story_of(record, name)
    return {
        "id": record.id,
        "lock": record.lock,
        "kind": record.kind.value,
        "category": story.category.value,
        "title": story.title,
        "value": record.value,
        "who": name,
        "at": datetime.fromtimestamp(record.at, UTC).isoformat(timespec="milliseconds"),
        "quality": record.quality.value,
        "live": record.live,
        "late": record.late,
        "operation": record.operation,
    }
