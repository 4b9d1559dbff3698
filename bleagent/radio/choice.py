"""Which device to connect to, and by which adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bleagent.errors import LinkError, LockNotFound, RadioUnavailable
from bleagent.ports import Clock

from .antenna import Antenna
from .sightings import Candidate, Heard, Sightings

RECENT = 15.0
"""Seconds for which a sighting is worth connecting to; BlueZ forgets a device 30 s after the end
of the scan that saw it."""
HYSTERESIS_DB = 6.0
"""The adapter that a lock was connected by last is kept unless another is so much better."""
FAILURE_DB, FAILURE_COUNTS = 10.0, 120.0
"""What a failure counts in signal strength, and for how many seconds."""
MOST_FAILURES = 4
BUSY_DB = 8.0
FULL_DB = 100.0
"""The same for an adapter that is connecting, or has no slot left."""


@dataclass(slots=True, eq=False)
class Choice:
    """Who is connected to, and by which adapter."""

    antenna: Antenna
    candidate: Candidate
    heard: Heard
    proved: bool | None = None
    """Whether it stood the handshake; None before anybody said so."""


class Chooser:
    """Chooses, and remembers what came of it.

    Args:
        sightings: who is heard.
        clock: monotonic time.
        antennas: by name; may change.
        pins: the only adapter of a lock, by lock.
    """

    def __init__(
        self,
        sightings: Sightings,
        clock: Clock,
        antennas: Mapping[str, Antenna],
        pins: Mapping[str, str],
    ) -> None:
        self._sightings = sightings
        self._clock = clock
        self._antennas = antennas
        self._pins = pins
        self._last: dict[str, str] = {}
        self._failures: dict[tuple[str, str], list[float]] = {}

    def choose(self, lock: str, only: Antenna | None = None) -> Choice | None:
        """The first candidate that is heard, by the adapter that will serve it best.

        ``only``: by this one, whose turn one has.
        """
        pin = self._pins.get(lock)
        for candidate in self._sightings.candidates(lock, self._clock.now(), within=RECENT):
            choices = [
                Choice(antenna, candidate, heard)
                for heard in candidate.heard
                if (antenna := self._antennas.get(heard.adapter)) is not None
                and antenna.ready
                and antenna.knows(heard)
                and pin in (None, antenna.name)
                and only in (None, antenna)
            ]
            if choices:
                return max(choices, key=self._worth)
        return None

    def _worth(self, choice: Choice) -> float:
        """In dB: the signal, and what makes another adapter more promising."""
        lock, antenna, now = choice.candidate.lock, choice.antenna, self._clock.now()
        failed = self._failures.get((lock, antenna.name), [])
        recent = sum(now - at <= FAILURE_COUNTS for at in failed)
        kept = antenna.name == self._last.get(lock)
        return (
            choice.heard.rssi
            + HYSTERESIS_DB * kept
            - FAILURE_DB * recent
            - BUSY_DB * antenna.gate.connecting
            - FULL_DB * antenna.gate.full
        )

    def nobody(self, lock: str, fault: LinkError) -> LinkError:
        """Why there is nobody to connect to; ``fault``: why there is no adapter, if so."""
        pin = self._pins.get(lock)
        antennas = [one for one in self._antennas.values() if pin in (None, one.name)]
        faults = [one.fault for one in antennas if one.fault is not None]
        # A new error of the same kind: raising adds to an exception, and these are kept.
        if not any(one.ready for one in antennas):
            fault = faults[0] if faults else fault
            kind = type(fault) if isinstance(fault, RadioUnavailable) else RadioUnavailable
            return kind(str(fault))
        if faults and not any(one.scanning for one in antennas):
            return type(faults[0])(str(faults[0]))
        best = self._sightings.best(lock, self._clock.now())
        if best is None:
            return LockNotFound(f"{lock} has never been heard")
        age = self._clock.now() - best.last.at
        return LockNotFound(f"{lock} was last heard {age:.0f} s ago, by {best.last.adapter}")

    def succeeded(self, choice: Choice) -> None:
        """It was connected to."""
        self._last[choice.candidate.lock] = choice.antenna.name
        self._failures.pop((choice.candidate.lock, choice.antenna.name), None)

    def failed(self, choice: Choice) -> None:
        """It was not."""
        failures = self._failures.setdefault((choice.candidate.lock, choice.antenna.name), [])
        failures[:] = [*failures[1 - MOST_FAILURES :], self._clock.now()]
