"""What a fake Bluetooth stack has around it: virtual locks, impostors, adapters with faults."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from bleagent.errors import LinkLost
from bleagent.ports import Clock
from protocol import LockKeys
from protocol.advertised_fields import AdvertisementFormat
from protocol.advertisement import Advertisement

from .faults import NO_FAULTS, Faults
from .radio import VirtualLink
from .virtual_lock import VirtualLock


class AirLink(VirtualLink):
    """A link to a virtual lock that says when it has ended."""

    def __init__(self, lock: VirtualLock, clock: Clock, faults: Faults) -> None:
        super().__init__(lock, clock, faults, lock.att_payload)
        self.ended = anyio.Event()

    def down(self, reason: str) -> None:
        """The link ends."""
        super().down(reason)
        self.ended.set()

    def close(self) -> None:
        """Nobody reads it any more."""
        self._receive.close()


class SilentLink:
    """A link to somebody who takes everything and says nothing."""

    att_payload = 20

    def __init__(self) -> None:
        self.ended = anyio.Event()

    async def up(self, _: TaskGroup) -> None:
        """Nothing begins."""

    def down(self, _: str) -> None:
        """The link ends."""
        self.ended.set()

    def close(self) -> None:
        """Nobody reads it any more."""

    async def write(self, _: bytes) -> None:
        """One write."""
        await anyio.lowlevel.checkpoint()
        if self.ended.is_set():
            raise LinkLost("the link is gone")

    async def notifications(self) -> AsyncIterator[bytes]:
        """None."""
        await self.ended.wait()
        nothing: tuple[bytes, ...] = ()
        for value in nothing:
            yield value


@dataclass(eq=False)
class AirLock:
    """A lock in reach of some adapters, or somebody who claims to be one.

    ``lock`` None: takes connections and says nothing. ``rssi`` by adapter, in dBm.
    """

    address: str
    keys: LockKeys
    lock: VirtualLock | None = None
    rssi: dict[str, int] = field(default_factory=lambda: {"hci0": -60})
    form: AdvertisementFormat = AdvertisementFormat.V4
    bound: bool = True
    security_v2: bool = False
    wants_connection: bool = False
    powered: bool = True
    connectable: bool = True
    """Whether it answers a connect; an advertisement is easier to send than to stand behind."""
    interval: float = 0.2
    faults: Faults = NO_FAULTS
    """Of the next connection."""
    links: list[AirLink | SilentLink] = field(default_factory=list)
    connected: bool = False
    """By anybody; then it does not advertise."""

    def advertisement(self) -> Advertisement:
        """What it sends now, both halves."""
        return Advertisement.build(
            self.form, self.keys, product_id="abcdefgh", bound=self.bound,
            connect_request=self.wants_connection, security_v2=self.security_v2,
        )  # fmt: skip


@dataclass(eq=False)
class FakeAdapter:
    """One adapter, and what is wrong with it.

    ``busy``, ``deaf`` and ``hanging`` end when one of the calls named in ``healed_by`` is made:
    ``disconnect``, ``forget``, ``scan`` (a new one) or ``power_cycle``.
    """

    name: str
    present: bool = True
    powered: bool = True
    busy: bool = False
    """Everything is in progress already."""
    deaf: bool = False
    """It scans and hears nothing."""
    hanging: set[str] = field(default_factory=set)
    """Calls that never come back."""
    healed_by: set[str] = field(default_factory=set)
    failing: dict[str, int] = field(default_factory=dict)
    """By address: so many attempts get no answer."""
    stale_table: set[str] = field(default_factory=set)
    """Addresses whose remembered table lacks a characteristic, until it is read afresh."""
    held: set[str] = field(default_factory=set)
    """Connections that somebody left behind."""
    remains: set[str] = field(default_factory=set)
    """Connects that were cut short and go on; ``disconnect`` ends them."""
    known: dict[str, float] = field(default_factory=dict)
    """When it was heard last, by address."""
    scanning: bool = False
    scan_ended: float = -math.inf
    connecting: int = 0
    links: dict[str, AirLink | SilentLink] = field(default_factory=dict)
    scan_scope: anyio.CancelScope | None = None
    lost: str | None = None

    def heal(self, call: str) -> None:
        """A call was made; it may be the cure."""
        if call in self.healed_by:
            self.busy = self.deaf = False
            self.hanging.clear()
            self.failing.clear()

    def lose(self, why: str) -> None:
        """Everything on it ends."""
        self.lost = why
        self.known.clear()
        self.remains.clear()
        for link in self.links.values():
            link.down(why)
        if self.scan_scope is not None:
            self.scan_scope.cancel()
