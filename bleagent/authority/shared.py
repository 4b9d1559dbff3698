"""What a ticket of the cloud's sharing is good for: one lock, a time, hours of some days. Pure.

The owner of a lock shares it in the vendor's app; whoever receives that has a ticket. The cloud
says what it is good for (``Invitation``, ``Permission``), and the same is held to here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo
from hashlib import sha256

from protocol import Secret

from .guests import GuestTerms

PREFIX = "sharing:"
_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """The cloud knows this ticket. ``ends_in``: seconds; 0 or less: it has ended."""

    sharing_id: str
    ends_in: float
    device_id: str | None = None
    """The lock, where the answer names it; the vendor's document has no such field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What a confirmed sharing allows. ``ends``: Unix seconds; ``None``: it does not end."""

    terms: GuestTerms
    ends: float | None = None
    opens: bool = True
    """Over Bluetooth, that is: a fingerprint can be shared, too."""
    valid: bool = True
    """The cloud does not say that it is over, spent or withdrawn."""
    now: bool = True
    """Nor that it is good at another time than that of its answer."""
    device_id: str | None = None

    def open_until(self, unix: float, zone: tzinfo | None = None) -> float | None:
        """Unix seconds at which the door closes to it again; ``None``: it is closed now."""
        until = self.terms.open_until(unix, zone)
        if until is None or self.ends is None:
            return until
        return min(until, self.ends) if unix < self.ends else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The ticket behind a request. ``id`` is made of it, and shown where it may not be."""

    id: str
    permission: Permission = field(repr=False)
    until: float
    """Unix seconds at which the invitation ends."""

    def open_until(self, unix: float, zone: tzinfo | None = None) -> float | None:
        """As the permission's, and never after the invitation has ended."""
        until = self.permission.open_until(unix, zone)
        if until is None or unix >= self.until:
            return None
        return min(until, self.until)


def id_of(ticket: Secret) -> str:
    """Always the same for a ticket; nobody finds the ticket by it."""
    return PREFIX + sha256(b"sharing ticket " + ticket.reveal()).hexdigest()[:_DIGITS]
