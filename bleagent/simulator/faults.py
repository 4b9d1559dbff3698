"""What can go wrong on the air and around it: seeded, composable, by position.

Positions count from 0: the central's writes (fragments) and the lock's notifications of one
connection. The lock itself misbehaves by ``quirks``.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class WriteFault(StrEnum):
    """What happens to one write."""

    LOSE = "lose"  # gone, and nobody is told
    RAISE_BEFORE = "raise-before"  # the call fails, the lock got nothing
    RAISE_AFTER = "raise-after"  # the call fails although the lock got it
    DROP_BEFORE = "drop-before"  # the link ends instead
    DROP_AFTER = "drop-after"  # the link ends right after it
    CORRUPT = "corrupt"  # one bit changes on the way
    DUPLICATE = "duplicate"  # it arrives twice
    DELAY = "delay"  # it arrives late, the call waits as long
    INJECT = "inject"  # an old sealed frame of somebody else's recording comes first


class NotifyFault(StrEnum):
    """What happens to one notification."""

    LOSE = "lose"
    CORRUPT = "corrupt"
    DUPLICATE = "duplicate"
    DELAY = "delay"
    REORDER = "reorder"  # behind the next one
    DROP_BEFORE = "drop-before"  # the link ends, this and all later ones are lost


DELAY = 0.7
"""Seconds of a delayed packet."""
LAST = -1
"""Stands for the last position that was used, where a plan is made from a rehearsal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """A plan for one connection.

    ``connect_fails`` lets so many attempts fail, ``connect_delay`` makes each take longer.
    """

    writes: Mapping[int, WriteFault] = field(default_factory=dict)
    notifications: Mapping[int, NotifyFault] = field(default_factory=dict)
    connect_delay: float = 0.0
    absent: bool = False
    old_frame: tuple[bytes, ...] = ()
    """Fragments of what ``INJECT`` injects."""

    def with_old_frame(self, fragments: tuple[bytes, ...]) -> Faults:
        """The same plan with something to inject."""
        return replace(self, old_frame=fragments)


NO_FAULTS = Faults()


def seeded(seed: int, *, writes: int, notifications: int) -> Faults:
    """One or two faults somewhere in a conversation of that many packets."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    planned: dict[int, WriteFault] = {}
    answered: dict[int, NotifyFault] = {}
    for _ in range(chance.choice((1, 1, 2))):
        if chance.random() < 0.5:
            planned[chance.randrange(writes)] = chance.choice(list(WriteFault))
        else:
            answered[chance.randrange(notifications)] = chance.choice(list(NotifyFault))
    return Faults(writes=planned, notifications=answered)
