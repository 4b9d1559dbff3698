"""Who is in the air: which advertiser is which lock, how well each adapter hears it.

Nothing in an advertisement is authenticated (reference: safety H1). So an advertiser is only a
*candidate* for a lock; several may claim to be it, and they are kept in the order in which they
are tried. Whoever tried one says how it went: ``proved`` or ``failed``. Recognition only ever
adds: what somebody sends under our lock's address takes nothing away from it.

Everything that strangers can make grow has a bound: advertisers, candidates, remembered
decipherings and decipherings a second. Pure: no IO, time comes with the sightings.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar

from bleagent.model import LockFacts, Sighting
from protocol import LocalProtocolError
from protocol.advertised_id import elements
from protocol.advertisement import Advertisement

T = TypeVar("T")

MAX_STRANGERS = 256
"""Advertisers remembered that are no lock of ours; the one not heard longest goes first."""
MAX_CANDIDATES = 8
"""Advertisers remembered that claim to be one lock."""
MAX_DECIPHERED = 512
"""Deciphered uuids remembered, by address and advertisement."""
DECIPHER_RATE = 20.0
"""New decipherings a second, for strangers and for candidates each; a lock changes its
advertisement seldom."""
DECIPHER_BURST = 40.0
FORGIVEN_AFTER = 300.0
"""Seconds after which a candidate's failures no longer count."""
SMOOTHING = 0.3
"""Weight of a new signal strength; a single advertisement varies by 10 dB and more."""
SMOOTH_WITHIN = 10.0
"""Seconds within which an older signal strength says anything about the present one."""
GONE_AFTER = 10.0
"""Seconds without a sighting after which a candidate makes room for another."""
ID_SIZES = (8, 16)
"""Lengths of the bound id, those of product ids and product keys."""


class Claim(IntEnum):
    """How an advertiser claims to be a lock; the lowest is tried first."""

    PROVED = 0  # it has shown that it knows the key, by a handshake
    ADDRESS = 1  # it has the configured address
    BOUND_ID = 2  # it sends the id that only who knows the key could have made, once
    UUID = 3  # it sends the uuid, which everybody can read


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """How one adapter hears one advertiser. ``rssi``: smoothed dBm."""

    adapter: str
    rssi: float
    last: Sighting


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An advertiser that may be a lock, and who hears it; the strongest first."""

    lock: str
    address: str
    claim: Claim
    failures: int
    heard: tuple[Heard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """Whose advertisement it was, and whether it is the candidate that is tried first."""

    lock: str
    first_choice: bool
    sighting: Sighting


@dataclass(slots=True)
class Advertiser:
    """One address in the air, and what its advertisements said, both halves together.

    ``None`` is what none of them said.
    """

    address: str
    heard: dict[str, Heard] = field(default_factory=dict)
    """By adapter."""
    claims: dict[str, Claim] = field(default_factory=dict)
    """By lock."""
    name: str | None = None
    generation: str = ""
    protocol: int | None = None
    bound: bool | None = None
    security_v2: bool | None = None
    wants_connection: bool = False
    """The connect request of v3 and v4, which is also the event flag of newer locks."""
    uuid: str | None = None
    count: int = 0
    """Sightings, all told."""
    first_at: float = math.inf

    @property
    def last(self) -> Sighting:
        """The newest sighting."""
        return max((heard.last for heard in self.heard.values()), key=lambda last: last.at)

    def take(self, sighting: Sighting) -> None:
        """Remember one more sighting."""
        self.count += 1
        self.first_at = min(self.first_at, sighting.at)
        before = self.heard.get(sighting.adapter)
        rssi = float(sighting.rssi)
        if before is not None and sighting.at - before.last.at <= SMOOTH_WITHIN:
            rssi = before.rssi + SMOOTHING * (rssi - before.rssi)
        self.heard[sighting.adapter] = Heard(adapter=sighting.adapter, rssi=rssi, last=sighting)
        seen = sighting.advertisement
        self.generation = seen.format.value
        self.name = _or(seen.local_name, self.name)
        self.protocol = _or(seen.protocol_version, self.protocol)
        self.bound = _or(seen.bound, self.bound)
        self.security_v2 = _or(seen.security_v2, self.security_v2)
        self.wants_connection = _or(seen.connect_request, self.wants_connection)


def _or(new: T | None, old: T) -> T:
    return old if new is None else new


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last_at: float = 0.0


@dataclass(slots=True)
class _Bucket:
    """So much at once, so much a second."""

    left: float = DECIPHER_BURST
    at: float = 0.0

    def take(self, now: float) -> bool:
        grown = max(0.0, now - self.at) * DECIPHER_RATE
        self.left, self.at = min(DECIPHER_BURST, self.left + grown), max(now, self.at)
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Sightings:
    """What is heard, by advertiser and by lock.

    Args:
        locks: those that are configured; ``address`` where it is known.
    """

    def __init__(self, locks: Iterable[LockFacts] = ()) -> None:
        self._strangers: OrderedDict[str, Advertiser] = OrderedDict()
        self._candidates: dict[str, Advertiser] = {}
        self._of_lock: dict[str, list[str]] = {}
        self._failures: dict[tuple[str, str], _Failures] = {}
        self._proved: dict[str, str] = {}
        self._by_uuid: dict[str, str] = {}
        self._by_bound_id: dict[bytes, str] = {}
        self._by_address: dict[str, list[str]] = {}
        self._deciphered: OrderedDict[tuple[str, Advertisement], str | None] = OrderedDict()
        self._for_strangers, self._for_candidates = _Bucket(), _Bucket()
        self.deciphered = 0
        """Uuids that were deciphered, all told."""
        self.not_deciphered = 0
        """Those that were not, for the rate."""
        for lock in locks:
            self._watch(lock)

    def _watch(self, lock: LockFacts) -> None:
        self._of_lock[lock.name] = []
        self._by_uuid[lock.keys.uuid] = lock.name
        if lock.address is not None:
            self._by_address.setdefault(lock.address, []).append(lock.name)
        for size in ID_SIZES:
            for security_v2 in (False, True):
                try:
                    found = elements(lock.keys, size, security_v2=security_v2)
                except LocalProtocolError:
                    continue  # the key for that is not there
                self._by_bound_id[found] = lock.name

    # -- hearing

    def hear(self, sighting: Sighting) -> tuple[Recognised, ...]:
        """Take one sighting; says which locks it may be, none or one as a rule."""
        advertiser = self._advertiser(sighting.address)
        advertiser.take(sighting)
        for lock, claim in self._claims(advertiser, sighting):
            self._admit(lock, advertiser, claim, sighting.at)
        return tuple(
            Recognised(
                lock=lock,
                first_choice=self._order(lock, sighting.at)[0] == sighting.address,
                sighting=sighting,
            )
            for lock in advertiser.claims
        )

    def _advertiser(self, address: str) -> Advertiser:
        known = self._candidates.get(address) or self._strangers.get(address)
        if known is None:
            known = self._strangers[address] = Advertiser(address)
            if len(self._strangers) > MAX_STRANGERS:
                self._strangers.popitem(last=False)
        elif address in self._strangers:
            self._strangers.move_to_end(address)
        return known

    def _claims(self, advertiser: Advertiser, sighting: Sighting) -> Iterable[tuple[str, Claim]]:
        for lock in self._by_address.get(sighting.address, ()):
            yield lock, Claim.ADDRESS
        advertisement = sighting.advertisement
        uuid = self._uuid(advertiser, sighting)
        if uuid is not None:
            advertiser.uuid = uuid
        by_uuid = self._by_uuid.get(uuid or "")
        by_id = self._by_bound_id.get(advertisement.id_field or b"")
        # One half is enough; a uuid that is there must be the lock's, too.
        if by_id is not None and (by_id == by_uuid or advertisement.uuid_cipher is None):
            yield by_id, Claim.BOUND_ID
        if by_uuid is not None:
            yield by_uuid, Claim.UUID

    def _uuid(self, advertiser: Advertiser, sighting: Sighting) -> str | None:
        """The uuid that the advertisement says; None also when too many were asked for."""
        advertisement = sighting.advertisement
        if advertisement.uuid_cipher is None or advertisement.id_field is None:
            return None
        key = (sighting.address, advertisement)
        if key in self._deciphered:
            self._deciphered.move_to_end(key)
            return self._deciphered[key]
        bucket = self._for_candidates if advertiser.claims else self._for_strangers
        if not bucket.take(sighting.at):
            self.not_deciphered += 1
            return None
        self.deciphered += 1
        try:
            uuid = advertisement.uuid
        except LocalProtocolError:
            uuid = None  # service data of a layout that was never seen
        self._deciphered[key] = uuid
        if len(self._deciphered) > MAX_DECIPHERED:
            self._deciphered.popitem(last=False)
        return uuid

    def _admit(self, lock: str, advertiser: Advertiser, claim: Claim, now: float) -> None:
        """Let it be a candidate, or a better one; a full list lets its last one go for it."""
        address = advertiser.address
        if lock in advertiser.claims:
            advertiser.claims[lock] = min(claim, advertiser.claims[lock])
            return
        advertiser.claims[lock] = claim
        self._strangers.pop(address, None)
        self._candidates[address] = advertiser
        self._of_lock[lock].append(address)
        if len(self._of_lock[lock]) > MAX_CANDIDATES:
            self._dismiss(lock, self._worst(lock, now))

    def _worst(self, lock: str, now: float) -> str:
        """Whom to forget.

        The failed first, then weak claims, then whoever has gone; and among the rest the one
        heard least often and the newcomer: new addresses at a high rate displace each other.
        """

        def badness(address: str) -> tuple[bool, int, int, bool, int, float]:
            advertiser = self._candidates[address]
            claim = advertiser.claims[lock]
            may_go = claim > Claim.ADDRESS
            gone = now - advertiser.last.at > GONE_AFTER
            failed = self._failed(lock, address, now)
            return may_go, failed, claim, gone, -advertiser.count, advertiser.first_at

        return max(self._of_lock[lock], key=badness)

    def _dismiss(self, lock: str, address: str) -> None:
        advertiser = self._candidates[address]
        self._of_lock[lock].remove(address)
        self._failures.pop((lock, address), None)
        del advertiser.claims[lock]
        if not advertiser.claims:
            del self._candidates[address]

    # -- asking

    @property
    def locks(self) -> tuple[str, ...]:
        """The configured locks."""
        return tuple(self._of_lock)

    def candidates(self, lock: str, now: float, *, within: float) -> tuple[Candidate, ...]:
        """Who may be this lock and was heard in the last ``within`` seconds, first choice first."""
        found = []
        for address in self._order(lock, now):
            advertiser = self._candidates[address]
            heard = [one for one in advertiser.heard.values() if now - one.last.at <= within]
            if heard:
                found.append(
                    Candidate(
                        lock=lock,
                        address=address,
                        claim=advertiser.claims[lock],
                        failures=self._failed(lock, address, now),
                        heard=tuple(sorted(heard, key=lambda one: -one.rssi)),
                    )
                )
        return tuple(found)

    def best(self, lock: str, now: float) -> Advertiser | None:
        """The first choice for a lock, however long ago it was heard."""
        order = self._order(lock, now)
        return self._candidates[order[0]] if order else None

    def everybody(self) -> list[Advertiser]:
        """Candidates and strangers, the newest first."""
        both = [*self._candidates.values(), *self._strangers.values()]
        return sorted(both, key=lambda advertiser: -advertiser.last.at)

    def _order(self, lock: str, now: float) -> list[str]:
        def goodness(address: str) -> tuple[int, int, float]:
            advertiser = self._candidates[address]
            signal = max(heard.rssi for heard in advertiser.heard.values())
            return self._failed(lock, address, now), advertiser.claims[lock], -signal

        return sorted(self._of_lock.get(lock, ()), key=goodness)

    # -- being told

    def failed(self, lock: str, address: str, now: float) -> None:
        """It could not be connected to, or did not stand the handshake: the next one's turn.

        It stays a candidate. The genuine lock fails too, when its key is out of date or the
        signal is bad, and comes back in its turn, at the latest after ``FORGIVEN_AFTER``.
        """
        if address not in self._of_lock.get(lock, ()):
            return
        failures = self._failures.setdefault((lock, address), _Failures())
        failures.count = self._failed(lock, address, now) + 1
        failures.last_at = now

    def proved(self, lock: str, address: str) -> None:
        """It stood the handshake: it is the lock, and nobody else is until it is proved."""
        advertiser = self._candidates.get(address)
        if advertiser is None or lock not in advertiser.claims:
            return
        before = self._candidates.get(self._proved.get(lock, ""))
        if before is not None and lock in before.claims:
            by_address = lock in self._by_address.get(before.address, ())
            before.claims[lock] = Claim.ADDRESS if by_address else Claim.UUID
        self._proved[lock] = address
        advertiser.claims[lock] = Claim.PROVED
        self._failures.pop((lock, address), None)

    def proved_address(self, lock: str) -> str | None:
        """The address that stood the last handshake."""
        return self._proved.get(lock)

    def _failed(self, lock: str, address: str, now: float) -> int:
        failures = self._failures.get((lock, address))
        if failures is None or now - failures.last_at > FORGIVEN_AFTER:
            return 0
        return failures.count
