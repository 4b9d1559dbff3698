"""How often: buckets of permissions that fill again with time (reference: safety F4).

Pure: the time is passed in, tables are bounded. A caller whose token is good is never held up
here by what others do; only operating a door has a bucket of its own per caller.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

MOST_CLIENTS = 1024
"""Clients that are told apart at one time; beyond them the whole's own bucket still holds."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and so many again in a minute."""

    burst: int
    per_minute: float


@dataclass(slots=True)
class _Level:
    left: float
    at: float


class Buckets:
    """One bucket for each key; those used longest ago are forgotten first, as if full."""

    def __init__(self, rate: Rate, *, most: int = MOST_CLIENTS) -> None:
        self._rate = rate
        self._most = most
        self._levels: OrderedDict[str, _Level] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def wait(self, key: str, now: float) -> float:
        """Seconds until the next one may be had; 0 if now. Changes nothing."""
        left = self._left(key, now)
        return 0.0 if left >= 1 else (1 - left) * 60 / self._rate.per_minute

    def take(self, key: str, now: float) -> float:
        """Take one, if there is one; otherwise the seconds until there is."""
        wait = self.wait(key, now)
        taken = 0 if wait else 1
        self._levels[key] = _Level(self._left(key, now) - taken, now)
        self._levels.move_to_end(key)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)
        return wait

    def give_back(self, key: str) -> None:
        """What was taken was not used."""
        if (level := self._levels.get(key)) is not None:
            level.left = min(self._rate.burst, level.left + 1)

    def _left(self, key: str, now: float) -> float:
        level = self._levels.get(key)
        if level is None:
            return self._rate.burst
        gained = max(0.0, now - level.at) * self._rate.per_minute / 60
        return min(self._rate.burst, level.left + gained)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is allowed; the defaults are for one gateway and its few programs."""

    anonymous: Rate = Rate(burst=60, per_minute=240)
    """Requests of one client that nobody is known behind."""
    anonymous_all: Rate = Rate(burst=240, per_minute=960)
    """Those of all clients together."""
    failures: Rate = Rate(burst=10, per_minute=10)
    """Wrong tokens of one client."""
    failures_all: Rate = Rate(burst=60, per_minute=60)
    """Those of all together."""
    operations: Rate = Rate(burst=30, per_minute=30)
    """Doors operated by one caller; a known key is none."""
    wrong_tickets: Rate = Rate(burst=10, per_minute=10)
    """Sharing tickets that one caller passes on and the cloud does not take."""
    told: Rate = Rate(burst=20, per_minute=20)
    """Lines of the log about refused requests of one client: nobody fills the disk with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeLimits:
    """How slow and how many; what is counted by a minute holds for the network, not loopback."""

    within: float = 5.0
    """Seconds from the connection to the end of the handshake."""
    close_within: float = 2.0
    """Seconds for what is left of an answer, and the goodbye, when a connection is closed."""
    of_peer: int = 8
    """At one time; the oldest makes room."""
    at_once: int = 32
    """Of all together."""
    rate: Rate = Rate(burst=20, per_minute=120)
    """Of one peer."""
    rate_all: Rate = Rate(burst=40, per_minute=600)
    """Of all together."""
    told: Rate = Rate(burst=5, per_minute=1)
    """Lines of the log about failed ones of one peer."""
    told_all: Rate = Rate(burst=20, per_minute=20)
    """Those of all together."""


_ALL = "all"


@dataclass(slots=True)
class Strangers:
    """Counts what comes from those who are not known."""

    limits: Limits
    failed: int = 0
    """Wrong tokens since the start."""
    _anonymous: Buckets = field(init=False)
    _anonymous_all: Buckets = field(init=False)
    _failures: Buckets = field(init=False)
    _failures_all: Buckets = field(init=False)
    _told: Buckets = field(init=False)
    _told_held_up: Buckets = field(init=False)

    def __post_init__(self) -> None:
        self._anonymous = Buckets(self.limits.anonymous)
        self._anonymous_all = Buckets(self.limits.anonymous_all)
        self._failures = Buckets(self.limits.failures)
        self._failures_all = Buckets(self.limits.failures_all)
        self._told = Buckets(Rate(burst=1, per_minute=1))
        self._told_held_up = Buckets(Rate(burst=1, per_minute=1))

    def came(self, client: str, now: float) -> float:
        """A request without a credential: 0, or the seconds for which there are no more."""
        return take_both(self._anonymous, self._anonymous_all, client, now)

    def was_wrong(self, client: str, now: float) -> float:
        """A request with a wrong one: the same."""
        self.failed += 1
        return take_both(self._failures, self._failures_all, client, now)

    def to_tell(self, client: str, now: float, *, held_up: bool) -> bool:
        """Whether a failure is written down: one for a client and minute (safety F4).

        And one more of one that was held up: who stops after a burst would not be counted else.
        """
        return not (self._told_held_up if held_up else self._told).take(client, now)


def take_both(own: Buckets, whole: Buckets, client: str, now: float) -> float:
    """Take one of a client's own and one of all together, or none: the seconds until there is."""
    wait = max(own.wait(client, now), whole.wait(_ALL, now))
    if not wait:
        own.take(client, now)
        whole.take(_ALL, now)
    return wait
