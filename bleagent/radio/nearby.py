"""Which locks are around, one entry each, in words: for whoever looks, not for the daemon."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bleagent.printable import printable

from .sightings import Advertiser, Claim, Sightings


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearby:
    """One advertiser. ``None`` is what was not heard: a lock says its things in two halves."""

    address: str
    name: str | None
    """What it calls itself; the air's word, made printable."""
    rssi: int
    """dBm, smoothed, of the adapter that hears it best."""
    adapter: str
    generation: str
    """The layout of its advertisement: v2, v3 or v4."""
    protocol: int | None
    """Major version."""
    security_v2: bool | None
    bound: bool | None
    """Whether it belongs to somebody's account."""
    wants_connection: bool
    uuid: str | None
    known_as: tuple[str, ...]
    """Configured locks that it is, or claims to be."""
    claim: str | None
    """By what it is recognised: ``address``, ``bound_id`` or ``uuid``."""
    age: float
    """Seconds since it was heard."""

    def to_json(self) -> dict[str, Any]:
        """For one line of JSON."""
        return asdict(self) | {"known_as": list(self.known_as), "age": round(self.age, 1)}

    @property
    def kind(self) -> str:
        """Generation, protocol and security in one word or two."""
        protocol = "" if self.protocol is None else f"/{self.protocol}"
        return f"{self.generation}{protocol}{' sec-v2' if self.security_v2 else ''}"

    @property
    def bound_or_not(self) -> str:
        """``yes``, ``no`` or, where that half was not heard, ``?``."""
        return "?" if self.bound is None else "yes" if self.bound else "no"

    @property
    def says(self) -> tuple[object, ...]:
        """What is news when it changes."""
        return self.name, self.kind, self.bound, self.wants_connection, self.uuid, self.known_as


def nearby(sightings: Sightings, now: float) -> list[Nearby]:
    """Everybody who was heard: the known by name, then the others by address."""
    found = [_entry(one, now) for one in sightings.everybody()]
    return sorted(found, key=lambda one: (not one.known_as, one.known_as, one.address))


def _entry(one: Advertiser, now: float) -> Nearby:
    best = max(one.heard.values(), key=lambda heard: (now - heard.last.at < 10, heard.rssi))
    claim: Claim | None = min(one.claims.values(), default=None)
    return Nearby(
        address=one.address,
        name=None if one.name is None else printable(one.name),
        rssi=round(best.rssi),
        adapter=best.adapter,
        generation=one.generation,
        protocol=one.protocol,
        security_v2=one.security_v2,
        bound=one.bound,
        wants_connection=one.wants_connection,
        uuid=one.uuid,
        known_as=tuple(sorted(one.claims)),
        claim=None if claim is None else claim.name.lower(),
        age=now - one.last.at,
    )
