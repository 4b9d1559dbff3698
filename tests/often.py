"""How much of what takes seconds is tried in each run: with BLEAGENT_LONG=1 all of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

LONG = bool(os.environ.get("BLEAGENT_LONG"))


def some(cases: Iterable[T], most: int) -> list[T]:
    """The first of these; all of them where there is time."""
    found = list(cases)
    return found if LONG else found[:most]
