"""In which ways the vendor's documents contradict themselves, as named options of its cloud.

All off: as the samples have it where there is one. A client that follows one document alone fails
on the others. Source: reference cloud §8.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
from typing import Any

CURRENT_TIME = "timer.currentTime"


class CloudQuirk(StrEnum):
    """One difference, in every answer that can have it."""

    OTHER_NAMES = "other names"  # distribute, random, id: as the tables have it
    CAMEL_KEYS = "camel keys"  # dpId for dp_id
    SNAKE_KEYS = "snake keys"  # dp_id for dpId
    SWAPPED_TIME = "swapped time"  # result and success of the current time exchanged
    NUMBERS_AS_TEXT = "numbers as text"
    BOOLEANS_AS_NUMBERS = "booleans as numbers"
    BOOLEANS_AS_TEXT = "booleans as text"
    LONE_OBJECTS = "lone objects"  # one object for a list of one
    ROWS_ALONE = "rows alone"  # a page without what is around its rows


_OTHER_NAMES = {
    "distributed": "distribute",
    "distribute": "distributed",
    "rondom": "random",
    "password_id": "id",
}
_ROWS = ("records", "logs", "datas")


def crooked(quirks: Collection[CloudQuirk], result: Any) -> Any:
    """A result with these quirks."""
    if CloudQuirk.ROWS_ALONE in quirks and isinstance(result, dict):
        result = next((result[name] for name in _ROWS if name in result), result)
    return _crooked(quirks, result)


def _crooked(quirks: Collection[CloudQuirk], value: Any) -> Any:
    if isinstance(value, dict):
        return {
            # Inside ``dps`` the keys are codes, which have one spelling.
            _key(quirks, name): inner if name == "dps" else _crooked(quirks, inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        entries = [_crooked(quirks, inner) for inner in value]
        lone = CloudQuirk.LONE_OBJECTS in quirks and len(entries) == 1
        return entries[0] if lone and isinstance(entries[0], dict) else entries
    if isinstance(value, bool):
        return _boolean(quirks, value)
    if isinstance(value, int) and CloudQuirk.NUMBERS_AS_TEXT in quirks:
        return str(value)
    return value


def _key(quirks: Collection[CloudQuirk], name: str) -> str:
    if CloudQuirk.OTHER_NAMES in quirks:
        name = _OTHER_NAMES.get(name, name)
    if CloudQuirk.CAMEL_KEYS in quirks:
        return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)
    if CloudQuirk.SNAKE_KEYS in quirks:
        return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()
    return name


def _boolean(quirks: Collection[CloudQuirk], value: bool) -> Any:  # noqa: FBT001 -- it is one
    if CloudQuirk.BOOLEANS_AS_NUMBERS in quirks:
        return int(value)
    return str(value).lower() if CloudQuirk.BOOLEANS_AS_TEXT in quirks else value


def swapped(quirks: Collection[CloudQuirk], action: str, body: Any) -> Any:
    """A whole answer: the sample of the current time has two values exchanged."""
    wanted = CloudQuirk.SWAPPED_TIME in quirks and action == CURRENT_TIME
    if not wanted or not isinstance(body, dict) or "result" not in body:
        return body
    return {**body, "result": body["success"], "success": body["result"]}
