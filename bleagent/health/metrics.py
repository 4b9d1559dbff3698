"""What is counted while it happens: operations, calls to the cloud, answers. No library, no IO.

Counting costs an addition and never fails; whoever wants the numbers takes a copy. They begin at
zero with the process. Labels are the configured names of locks and words of ours, never an address
or an id, and there is a bound on how many of them there can be (safety F6).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from bleagent.cloud.client import CloudEvent
from bleagent.doors import Listener
from bleagent.model import OperationRecord, Step

MOST_CODES = 64
"""Codes that are told apart in one count; a lock can answer with numbers that nobody has listed."""
OTHER = "other"
"""What the rest of them is counted as."""
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0)
"""Upper ends of the buckets, seconds: a warm door answers in hundredths, a caller waits for 30."""
LONGEST = 300.0
"""Seconds that no operation lasts: the date was set while one was going on."""

_STEPS = frozenset(one.value for one in Step)

Labels = tuple[str, ...]


class Counts:
    """Counts by labels, the last of which is a code."""

    def __init__(self, most_codes: int = MOST_CODES) -> None:
        self._most_codes = most_codes
        self._codes: set[str] = set()
        self._counts: dict[Labels, int] = {}

    def add(self, *labels: str) -> None:
        """One more."""
        code = labels[-1]
        if code not in self._codes:
            if len(self._codes) < self._most_codes:
                self._codes.add(code)
            else:
                labels = (*labels[:-1], OTHER)
        self._counts[labels] = self._counts.get(labels, 0) + 1

    def copy(self) -> dict[Labels, int]:
        """As they are now."""
        return dict(self._counts)


@dataclass(frozen=True, slots=True)
class Distribution:
    """How long something took: for each of ``BOUNDS`` and no bound how often at most so long."""

    at_most: tuple[int, ...]
    seconds: float
    """All of them together."""


class Latencies:
    """Durations by labels. Labels are few: whoever adds sees to that."""

    def __init__(self) -> None:
        self._buckets: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def add(self, seconds: float, *labels: str) -> None:
        """One more."""
        buckets = self._buckets.setdefault(labels, [0] * (len(BOUNDS) + 1))
        buckets[bisect_left(BOUNDS, seconds)] += 1
        self._sums[labels] = self._sums.get(labels, 0.0) + seconds

    def copy(self) -> dict[Labels, Distribution]:
        """As they are now."""
        return {
            labels: Distribution(tuple(accumulate(buckets)), self._sums[labels])
            for labels, buckets in self._buckets.items()
        }


class Tally(Listener):
    """All that is counted. Implements ``doors.Listener``."""

    def __init__(self) -> None:
        self.operations = Counts()
        """By lock, action, outcome and code."""
        self.durations = Latencies()
        """By action and outcome: from the stored request to the stored outcome."""
        self.steps = Latencies()
        """By step: from the end of the one before it."""
        self.calls = Counts()
        """Requests to the cloud by call and ``ok`` or the error's code."""
        self.answers = Counts()
        """Answers over HTTP by class of status, such as ``2xx``."""
        self.problems = Counts()
        """Those that were problems, by code."""

    def finished(self, record: OperationRecord) -> None:
        """An operation ended."""
        ending = record.ending
        if ending is None:
            return
        self.operations.add(record.lock, record.action, ending.outcome, ending.code)
        if record.finished_at is not None:
            seconds = record.finished_at - record.requested_at
            if 0 <= seconds <= LONGEST:
                self.durations.add(seconds, record.action, ending.outcome)
        for step, seconds in durations_of(ending.steps).items():
            self.steps.add(seconds, step)

    def called(self, event: CloudEvent) -> None:
        """The cloud was asked something."""
        self.calls.add(event.call, event.outcome)

    def answered(self, status: int, problem: str | None) -> None:
        """A request was answered; ``problem`` is its code."""
        self.answers.add(f"{status // 100}xx")
        if problem is not None:
            self.problems.add(problem)


def durations_of(steps: Mapping[str, float]) -> dict[str, float]:
    """Seconds that each step took, from when each one ended; what is no ``Step`` is left out."""
    before, took = 0.0, {}
    for step, ended in sorted(steps.items(), key=lambda one: one[1]):
        if step in _STEPS:
            took[step] = ended - before
        before = ended
    return took
