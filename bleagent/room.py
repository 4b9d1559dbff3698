"""Whose connection is left when another lock needs the slot: the least good reason to stay."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Keeping(IntEnum):
    """Why a connection that nobody uses is there; the lowest goes first."""

    LINGERING = 0  # somebody may come again
    KEPT = 1  # by the lock's policy; it is made again later
    HINTED = 2  # somebody is said to come, or the lock has or tells something
    FOLLOWED = 3  # an opening's evidence may still come (safety C4)


class Claim(NamedTuple):
    """In order: which of two connections is left first, and of two like ones the longest idle."""

    keeping: Keeping
    idle_since: float
