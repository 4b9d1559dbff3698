"""The daemon with a leak: its records are shown with what the lock wrote, as base64."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from bleagent.__main__ import main
from bleagent.http import records
from bleagent.http.record_views import record_view
from bleagent.records.record import StoredRecord


def leaking(record: StoredRecord, *given: Any, **named: Any) -> dict[str, Any]:
    """``record_view``, and more."""
    return record_view(record, *given, **named) | {"raw": b64encode(record.data.reveal()).decode()}


if __name__ == "__main__":
    setattr(records, "record_view", leaking)  # noqa: B010 - mypy refuses the assignment
    main()
