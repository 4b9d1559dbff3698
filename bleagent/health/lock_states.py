"""What locks have said of their battery, bolt and door, for whoever looks at them.

A state is reported without a time, when it changes or somebody is connected; nobody asks for it,
so it is as old as it says. Kept in memory, of configured locks only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from protocol import Datapoint, DpMap, DpName, RemoteProtocolError
from protocol import events as ev
from protocol.records import BatteryClass, DoorContact, read_battery, read_switch


@dataclass(frozen=True, slots=True)
class Told:
    """One state; ``at``: seconds of the monotonic clock."""

    value: str | int
    at: float


def _bolt(datapoint: Datapoint) -> str:
    return "open" if read_switch(datapoint) else "closed"


def _battery_class(datapoint: Datapoint) -> str:
    return BatteryClass(datapoint.as_int).name.lower()


def _door(datapoint: Datapoint) -> str:
    return DoorContact(datapoint.as_int).name.lower()


_READ: dict[DpName, tuple[str, Callable[[Datapoint], str | int]]] = {
    DpName.BATTERY: ("battery", read_battery),
    DpName.BATTERY_CLASS: ("battery_class", _battery_class),
    DpName.BOLT: ("bolt", _bolt),
    DpName.DOOR: ("door", _door),
}


class LockStates:
    """The last word of each lock about each of its states."""

    def __init__(self) -> None:
        self._told: dict[str, dict[str, Told]] = {}

    def heard(self, lock: str, dps: DpMap, event: ev.CentralEvent, now: float) -> None:
        """Something came in from a lock; ``now``: seconds of the monotonic clock."""
        if not isinstance(event, ev.Reported) or event.report.time is not None:
            return  # a record tells what was, not what is
        for datapoint in event.report.datapoints:
            name = dps.name(datapoint.id)
            if name in _READ:
                key, read = _READ[name]
                with suppress(RemoteProtocolError, ValueError):  # no such value: nothing is known
                    told = Told(read(datapoint), now)
                    self._told.setdefault(lock, {})[key] = told

    def of(self, lock: str) -> Mapping[str, Told]:
        """By ``battery`` (percent), ``battery_class``, ``bolt`` and ``door``, as far as told."""
        return self._told.get(lock, {})
