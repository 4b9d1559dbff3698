"""The recovery ladder of one Bluetooth adapter: symptoms in, the next rung out.

What is done about a symptom goes from what costs nothing to what costs everybody something:
cancel the connect, remove the device, restart the scan, clear the GATT cache, power-cycle the
adapter, wait for bluetoothd, tell systemd why and exit. Each symptom has a course of its own
over these rungs. A rung needs the symptom anew after the one before it had its time, or, where
nobody may be there to try again, that much time alone; the same rung of a course is not taken
again within its cool-down, whatever happens, so that nothing here can loop hot. What cuts
others off, power-cycling and exiting, waits for an adapter without connections: a connection
that works is no sign of a broken adapter.

Pure: no IO, no clock; whoever owns the ladder carries out the rungs (reference: BLE testing §6).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum


class Symptom(StrEnum):
    """What can be noticed."""

    CONNECT_FAILED = "connect-failed"  # although the lock is heard
    BUSY = "busy"  # something is in progress already, or a call never came back
    SILENT = "silent"  # scanning, and no advertisement from anybody
    INCOMPLETE_TABLE = "incomplete-table"
    ADAPTER_OFF = "adapter-off"
    ADAPTER_GONE = "adapter-gone"
    STACK_GONE = "stack-gone"
    STALE_CONNECTION = "stale-connection"  # held by the stack, not by us


class Rung(StrEnum):
    """What can be done, from the bottom to the top."""

    CANCEL_CONNECT = "cancel-connect"
    REMOVE_DEVICE = "remove-device"
    RESTART_SCAN = "restart-scan"
    CLEAR_CACHE = "clear-cache"
    POWER_CYCLE = "power-cycle"
    WAIT_FOR_STACK = "wait-for-stack"
    GIVE_UP = "give-up"


@dataclass(frozen=True, slots=True)
class Step:
    """One rung of a course; times in seconds.

    ``settle``: what the step before it is given to work. ``alone``: when it is taken although
    the symptom was not noticed again. ``cool_down``: between two of the same in this course.
    """

    rung: Rung
    settle: float = 0.0
    alone: float = math.inf
    cool_down: float = 5.0


COURSES: dict[Symptom, tuple[Step, ...]] = {
    Symptom.CONNECT_FAILED: (
        Step(Rung.CANCEL_CONNECT),
        Step(Rung.REMOVE_DEVICE),
        Step(Rung.RESTART_SCAN),
        Step(Rung.CLEAR_CACHE),
        Step(Rung.POWER_CYCLE, settle=10, cool_down=600),
        Step(Rung.REMOVE_DEVICE),
        Step(Rung.CLEAR_CACHE),
        Step(Rung.POWER_CYCLE, settle=10, cool_down=600),
        Step(Rung.GIVE_UP, settle=60),
    ),
    # The steps alone add up to 25 s: healed within 60 s, whether somebody tries again or not.
    Symptom.BUSY: (
        Step(Rung.CANCEL_CONNECT),
        Step(Rung.REMOVE_DEVICE, settle=1, alone=3),
        Step(Rung.RESTART_SCAN, settle=1, alone=3),
        Step(Rung.POWER_CYCLE, settle=4, alone=19, cool_down=60),
        Step(Rung.GIVE_UP, settle=15),
    ),
    # Never the last rung: there are places where nobody advertises.
    Symptom.SILENT: (
        Step(Rung.RESTART_SCAN, cool_down=60),
        Step(Rung.POWER_CYCLE, cool_down=1800),
    ),
    # Never beyond this device: one that is no lock has no such characteristics, ever.
    Symptom.INCOMPLETE_TABLE: (
        Step(Rung.CLEAR_CACHE, cool_down=2),
        Step(Rung.REMOVE_DEVICE),
        Step(Rung.RESTART_SCAN, cool_down=30),
    ),
    # Not the last rung either: somebody may want it off.
    Symptom.ADAPTER_OFF: (Step(Rung.POWER_CYCLE, cool_down=300),),
    Symptom.ADAPTER_GONE: (Step(Rung.WAIT_FOR_STACK), Step(Rung.GIVE_UP, settle=300, alone=300)),
    Symptom.STACK_GONE: (Step(Rung.WAIT_FOR_STACK), Step(Rung.GIVE_UP, settle=300, alone=300)),
    Symptom.STALE_CONNECTION: (
        Step(Rung.CANCEL_CONNECT, cool_down=2),
        Step(Rung.REMOVE_DEVICE),
        Step(Rung.POWER_CYCLE, cool_down=60),
    ),
}
ENDLESS = frozenset(
    {
        Symptom.SILENT,
        Symptom.INCOMPLETE_TABLE,
        Symptom.ADAPTER_OFF,
        Symptom.STALE_CONNECTION,
    }
)
"""Courses that begin again after their last step, each time with twice the cool-downs."""
MOST_COOL_DOWN = 3600.0
"""Seconds, however often a course began again."""
CALM = 900.0
CALM_IF_BUSY = 120.0
"""Seconds without a symptom after which it begins at the bottom again."""
POSTPONED = 2.0
"""Seconds until a rung is looked at again that has to wait for connections in use."""
MAX_COURSES = 64
MAX_COOLING = 256
"""Cool-downs remembered."""
HARMFUL = frozenset({Rung.POWER_CYCLE, Rung.GIVE_UP})
"""Rungs that end other connections."""
OF_ONE_DEVICE = frozenset({Rung.CANCEL_CONNECT, Rung.REMOVE_DEVICE, Rung.CLEAR_CACHE})
"""Rungs that need an address; without one they are passed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What is to be done now, and why."""

    rung: Rung
    symptom: Symptom
    address: str | None
    times: int
    """How often the symptom was noticed since it was last gone."""
    detail: str
    """The last one in words."""

    @property
    def why(self) -> str:
        """One sentence's worth for a log and for systemd."""
        of = "" if self.address is None else f" of {self.address}"
        return f"{self.symptom}{of}, noticed {self.times} times: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the harmful rungs depend on."""

    idle: bool
    """No connection is up or being made."""
    alone: bool
    """No other adapter is usable: without this one there is no Bluetooth."""


@dataclass(slots=True)
class _Course:
    """How far one symptom has come."""

    symptom: Symptom
    address: str | None
    position: int = 0
    """Of the next step."""
    rounds: int = 0
    fresh: int = 0
    """Noticed since the last step."""
    times: int = 0
    detail: str = ""
    noticed_at: float = -math.inf
    stepped_at: float = -math.inf
    not_before: float = -math.inf
    """A step that had to wait is not looked at again earlier."""

    @property
    def steps(self) -> tuple[Step, ...]:
        whole = COURSES[self.symptom]
        if self.address is not None:
            return whole
        return tuple(step for step in whole if step.rung not in OF_ONE_DEVICE)


class Ladder:
    """The ladder of one adapter. ``taken`` counts the rungs."""

    def __init__(self) -> None:
        self._courses: OrderedDict[tuple[Symptom, str | None], _Course] = OrderedDict()
        self._last_taken: dict[tuple[Symptom, Rung, str | None], float] = {}
        self.taken: dict[Rung, int] = {}

    def notice(
        self, symptom: Symptom, now: float, *, address: str | None = None, detail: str = ""
    ) -> None:
        """A symptom was noticed; ``due`` says what is to be done about it."""
        key = (symptom, address)
        course = self._courses.get(key)
        calm = CALM_IF_BUSY if symptom is Symptom.BUSY else CALM
        if course is None or now - course.noticed_at > calm:
            course = self._courses[key] = _Course(symptom, address)
        course.fresh += 1
        course.times += 1
        course.detail = detail
        course.noticed_at = now
        self._courses.move_to_end(key)
        if len(self._courses) > MAX_COURSES:
            self._courses.popitem(last=False)

    def healed(self, *symptoms: Symptom, address: str | None = None) -> None:
        """They are gone, as a success shows; they begin at the bottom when they come again.

        Cool-downs go on all the same.
        """
        for symptom in symptoms:
            self._courses.pop((symptom, address), None)

    def connected(self, address: str) -> None:
        """A connection was made: what ailed this device, or connecting as such, is gone."""
        connecting = (Symptom.BUSY, Symptom.CONNECT_FAILED)
        for symptom, of in list(self._courses):
            if of == address or (of is not None and symptom in connecting):
                del self._courses[symptom, of]

    def active(self) -> tuple[Symptom, ...]:
        """What ails the adapter now."""
        return tuple(dict.fromkeys(symptom for symptom, _ in self._courses))

    def due(self, now: float, situation: Situation) -> Remedy | None:
        """The next rung to be taken now, which then counts as taken; None if there is none."""
        for course in list(self._courses.values()):
            if self._when(course) > now:
                continue
            index = self._index(course, now, situation)
            if index is not None:
                return self._take(course, index, now)
            course.not_before = now + POSTPONED
        return None

    def next_due(self) -> float:
        """When ``due`` is worth asking again without a new symptom; may be infinite."""
        return min((self._when(course) for course in self._courses.values()), default=math.inf)

    def _when(self, course: _Course) -> float:
        if course.position >= len(course.steps):
            return math.inf
        step = course.steps[course.position]
        wait = step.settle if course.fresh else step.alone
        # The first step waits for nothing.
        first = course.stepped_at == -math.inf
        when = max(course.not_before, course.noticed_at if first else course.stepped_at + wait)
        if course.symptom not in ENDLESS:
            return max(when, self._cooled(course, step))
        if not course.fresh:
            return math.inf
        return max(when, min(self._cooled(course, one) for one in course.steps))

    def _index(self, course: _Course, now: float, situation: Situation) -> int | None:
        """The step to take: the next one; in an endless course the next that may be taken."""
        count = len(course.steps)
        ahead = range(course.position, course.position + count)
        for index in ahead if course.symptom in ENDLESS else (course.position,):
            step = course.steps[index % count]
            if self._cooled(course, step) <= now and _allowed(step.rung, situation):
                return index % count
        return None

    def _cooled(self, course: _Course, step: Step) -> float:
        last = self._last_taken.get(self._cooling(course, step.rung), -math.inf)
        return last + min(step.cool_down * (1 << min(course.rounds, 12)), MOST_COOL_DOWN)

    @staticmethod
    def _cooling(course: _Course, rung: Rung) -> tuple[Symptom, Rung, str | None]:
        return course.symptom, rung, course.address if rung in OF_ONE_DEVICE else None

    def _take(self, course: _Course, index: int, now: float) -> Remedy:
        step = course.steps[index]
        came_round = index < course.position
        course.position = index + 1
        if course.position == len(course.steps) and course.symptom in ENDLESS:
            course.position, came_round = 0, True
        course.rounds += came_round
        course.fresh = 0
        course.stepped_at = now
        if step.rung is Rung.POWER_CYCLE:
            self._power_cycled(course, now)
        self._last_taken[self._cooling(course, step.rung)] = now
        while len(self._last_taken) > MAX_COOLING:
            del self._last_taken[min(self._last_taken, key=self._last_taken.__getitem__)]
        self.taken[step.rung] = self.taken.get(step.rung, 0) + 1
        return Remedy(
            rung=step.rung,
            symptom=course.symptom,
            address=course.address,
            times=course.times,
            detail=course.detail,
        )

    def _power_cycled(self, by: _Course, now: float) -> None:
        """It was for the other symptoms, too: none of them takes it once more for the same."""
        for course in self._courses.values():
            if course is by:
                continue
            course.fresh = 0
            course.stepped_at = now
            ahead = [step.rung for step in course.steps[course.position :]]
            if course.symptom not in ENDLESS and Rung.POWER_CYCLE in ahead:
                course.position += ahead.index(Rung.POWER_CYCLE) + 1


def _allowed(rung: Rung, situation: Situation) -> bool:
    if rung is Rung.GIVE_UP and not situation.alone:
        return False
    return situation.idle or rung not in HARMFUL
