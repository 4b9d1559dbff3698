"""What can go wrong at the virtual cloud, by action and on demand."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

TOKEN = "token"
"""The name of token requests among the actions."""


class FaultKind(StrEnum):
    """Faults in the order in which a request meets them."""

    CUT_BEFORE = "cut before"  # closed without an answer, nothing was done
    SLOW = "slow"  # answered, but only after ``seconds``
    HTTP_ERROR = "http error"  # ``status`` with a page that is not JSON
    TOKEN_DEAD = "token dead"  # the token of the request dies now: 1010
    CLOCK_SKEW = "clock skew"  # 1013, whatever the request's time
    CODE = "code"  # the failure ``code``, nothing was done
    STALE_LOCAL_KEY = "stale local key"  # sealed with a key the lock no longer has
    WRONG_RANDOM = "wrong random"  # another check code inside
    WRONG_SN = "wrong sn"  # one number above the one that was asked for
    WRONG_OPERATION = "wrong operation"  # closes where it should open
    WRONG_FRAMING = "wrong framing"  # the write command of another protocol version
    OTHER_LOCK = "other lock"  # the frame of another lock
    CUT_BODY = "cut in mid-body"  # done, and half of the answer was sent
    CUT_AFTER = "cut after"  # done, and not a byte of the answer was sent
    NOT_JSON = "not json"  # done, and the answer is a page


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; which of the numbers count depends on the kind."""

    kind: FaultKind
    code: int = 0
    msg: str = "planned fault"
    status: int = 503
    seconds: float = 60.0


QUOTA = Fault(FaultKind.CODE, code=28841004, msg="trial quota exhausted")
RATE_LIMIT = Fault(FaultKind.CODE, code=1199, msg="requests too frequent")
SYSTEM_ERROR = Fault(FaultKind.CODE, code=500, msg="system error,please contact the admin")


class FaultPlan:
    """Faults that wait for calls: in turn, for ever, or by a seeded chance."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Fault | None]] = defaultdict(deque)
        self._always: dict[str, Fault] = {}
        self._chance: random.Random | None = None
        self._rate = 0.0
        self._choice: tuple[Fault, ...] = ()

    def next_calls(self, action: str, *faults: Fault | None) -> None:
        """The next calls of an action meet these, one each; ``None`` lets a call through."""
        self._queues[action].extend(faults)

    def always(self, action: str, fault: Fault | None) -> None:
        """Every call of an action meets it, until it is taken back with ``None``."""
        self._always.pop(action, None)
        if fault is not None:
            self._always[action] = fault

    def by_chance(self, seed: int, rate: float, faults: Sequence[Fault]) -> None:
        """Each call meets one of the faults with probability ``rate``; the same every time."""
        self._chance = random.Random(seed)  # noqa: S311 - a plan, not a secret
        self._rate, self._choice = rate, tuple(faults)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._queues.clear()
        self._always.clear()
        self._chance = None

    def meet(self, action: str) -> Fault | None:
        """The fault that this call meets."""
        if self._queues[action]:
            return self._queues[action].popleft()
        if action in self._always:
            return self._always[action]
        if self._chance is not None and self._chance.random() < self._rate:
            return self._chance.choice(self._choice)
        return None
