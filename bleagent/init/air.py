"""What this machine's Bluetooth hears of the account's locks, for a few seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import anyio

from bleagent.clock import SystemClock
from bleagent.cloud.models import DeviceFacts
from bleagent.commands.scan import ScanOptions, listen
from bleagent.errors import AgentError, LinkError
from bleagent.model import LockFacts
from bleagent.radio.nearby import Nearby
from bleagent.radio.sightings import Sightings

SECONDS = 8.0
"""Of listening; most locks advertise about once a second while they are awake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Air:
    """``known``: by device id. ``unheard`` is why nothing could be heard."""

    known: dict[str, Nearby] = field(default_factory=dict)
    strangers: tuple[Nearby, ...] = ()
    unheard: LinkError | None = None


@dataclass(slots=True)
class _Last:
    """A view that shows nothing and keeps what was there in the end."""

    found: list[Nearby] = field(default_factory=list)

    def show(self, found: list[Nearby], elapsed: float) -> None:
        """Nothing to be seen."""

    def end(self, found: list[Nearby]) -> None:
        """That was it."""
        self.found = found


async def hear(devices: Iterable[DeviceFacts], seconds: float) -> Air:
    """Listen on every adapter that is powered. Nothing is connected to."""
    from bleagent.adapters.bluez import BluezBluetooth  # noqa: PLC0415 - the stack, only here
    from bleagent.adapters.bluez.scan import Mode  # noqa: PLC0415

    clock, last = SystemClock(), _Last()
    sightings = Sightings(_facts(devices))
    try:
        async with BluezBluetooth(clock, mode=Mode.ACTIVE) as bluetooth:
            options = ScanOptions(seconds=seconds)
            await listen(bluetooth, clock, sightings, last, options, anyio.Event())
    except LinkError as error:
        return Air(unheard=error)
    return sorted_out(last.found)


def sorted_out(found: Iterable[Nearby]) -> Air:
    """The account's locks, and others.

    Who claims to be two locks is believed neither, and of two who claim to be the same none: an
    address that is written down is tried first, whoever has it.
    """
    claims: dict[str, list[Nearby]] = {}
    strangers = []
    for one in found:
        if len(one.known_as) == 1:
            claims.setdefault(one.known_as[0], []).append(one)
        elif not one.known_as:
            strangers.append(one)
    known = {lock: who[0] for lock, who in claims.items() if len(who) == 1}
    return Air(known=known, strangers=tuple(strangers))


def _facts(devices: Iterable[DeviceFacts]) -> list[LockFacts]:
    found = []
    for one in devices:
        try:
            found.append(LockFacts(name=one.device_id, device_id=one.device_id, keys=one.keys))
        except AgentError:
            continue  # keys of another form than locks have: told with the lock
    return found
