"""Fields of bodies as requests may write them, for their models and for the document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from .record_query import LATEST

MOMENT: dict[str, Any] = {
    "anyOf": [
        {
            "type": "string",
            # Leap days are taken, too: no pattern says when there is one.
            "pattern": "^(19[789][0-9]|2[0-9]{3})-"
            "((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
            "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])$",
            "examples": ["2026-01-31T18:30:00Z"],
            "description": "ISO 8601 with an offset; other usual forms of it are taken, too.",
        },
        {"type": "number", "minimum": 0, "maximum": LATEST, "description": "Unix seconds."},
    ]
}
Moment = Annotated[str | float, WithJsonSchema(MOMENT)]
"""ISO 8601 with an offset, or Unix seconds; ``record_query.parse_time`` reads it."""


def _whole(given: object) -> object:
    return int(given) if isinstance(given, float) and given.is_integer() else given


whole = BeforeValidator(_whole)
"""For an integer: JSON has one kind of number, and 1.0 is an integer there. Comes behind bounds."""
