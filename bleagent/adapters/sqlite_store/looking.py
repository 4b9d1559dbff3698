"""What is sealed in the store, read by others and without a change."""

from __future__ import annotations

from pathlib import Path

from bleagent.vault import Sealed

from .database import look_at
from .rotation import OPERATIONS, sealed_in


def sealed_now(folder: Path) -> list[Sealed]:
    """What a start has to open of ``operations.db``; nothing where there is none yet.

    Raises:
        StoreTooNew, StoreForeign, StoreError: it cannot be read.
    """
    path = folder / "operations.db"
    if not path.exists():
        return []
    database = look_at(path, "operations")
    try:
        return database.at_start(
            lambda one: [found for table in OPERATIONS for found in sealed_in(one, table)]
        )
    finally:
        database.close()
