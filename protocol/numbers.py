"""Our sequence numbers on one connection.

A lock takes a number only if it is above the last one it took, and hangs up otherwise; gaps
are free, and nothing follows 2**32 - 1 (reference: protocol §3.2). So a number is used once
here, never again, and only ever grows (reference: safety B1-B3).
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import LocalProtocolError
from .frame import MAX_SN

RESERVATION_ROOM = 32
"""How far a reservation lies above the last used number: time answers and acks of the
seconds that the cloud takes to seal an instruction find their numbers below it."""
MAX_NEXT_SN_STEP = 1000
"""A ``next_sn`` further ahead than this is not believed."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """A number kept for a frame that somebody else seals, on one connection only."""

    sn: int
    connection: int


class SnCounter:
    """Numbers of one connection. Every method either changes nothing or only moves upwards."""

    __slots__ = ("_connection", "_last", "_reserved")

    def __init__(self, *, start: int = 1, connection: int = 0) -> None:
        if not 1 <= start <= MAX_SN:
            raise LocalProtocolError(f"numbers start at 1 .. 2**32 - 1, not at {start}")
        self._last = start - 1
        self._connection = connection
        self._reserved: Reservation | None = None

    @property
    def last(self) -> int:
        """The highest number used; one below the start when none was."""
        return self._last

    @property
    def reserved(self) -> Reservation | None:
        """The open reservation."""
        return self._reserved

    @property
    def own_left(self) -> int:
        """Numbers that our own frames may still take now."""
        end = self._reserved.sn if self._reserved else MAX_SN + 1
        return end - self._last - 1

    def peek(self) -> int:
        """The next number for a frame of our own, not taken yet.

        Raises:
            LocalProtocolError: none is left below the open reservation (wait until it was
                used or cancelled), or none at all on this connection.
        """
        if self.own_left < 1:
            where = "below the reservation" if self._reserved else "on this connection"
            raise LocalProtocolError(f"no sequence number left {where}")
        return self._last + 1

    def take(self) -> int:
        """Take the next number for a frame of our own.

        Raises:
            LocalProtocolError: as ``peek``.
        """
        self._last = self.peek()
        return self._last

    def reserve(self, room: int = RESERVATION_ROOM) -> Reservation:
        """Keep the number ``room`` above the last used one; one reservation at a time.

        Raises:
            LocalProtocolError: one is open already, or there is no such number.
        """
        if self._reserved is not None:
            raise LocalProtocolError(f"number {self._reserved.sn} is reserved already")
        if room < 1 or self._last + room > MAX_SN:
            raise LocalProtocolError(f"no number {room} above {self._last}")
        self._reserved = Reservation(self._last + room, self._connection)
        return self._reserved

    def check(self, reservation: Reservation) -> None:
        """Whether a reservation is the open one.

        Raises:
            LocalProtocolError: it is not: used, cancelled, or of another connection.
        """
        if reservation != self._reserved:
            raise LocalProtocolError(
                f"number {reservation.sn} is not reserved now: used, cancelled, "
                "or of an earlier connection"
            )

    def cancel(self, reservation: Reservation) -> None:
        """Give a reservation up; its number may then be used by our own frames.

        Raises:
            LocalProtocolError: it is not the open one.
        """
        self.check(reservation)
        self._reserved = None

    def use(self, reservation: Reservation) -> int:
        """Take the reserved number.

        Raises:
            LocalProtocolError: it is not the open one.
        """
        self.check(reservation)
        self._reserved = None
        self._last = reservation.sn
        return reservation.sn

    def continue_at(self, next_sn: int) -> bool:
        """Believe the cloud's ``next_sn`` if it is plausible.

        Returns whether it was believed; otherwise numbers go on one above the last
        (reference: safety B2). A jump over an open reservation is not believed either.
        """
        end = MAX_SN if self._reserved is None else self._reserved.sn
        plausible = self._last < next_sn <= min(self._last + MAX_NEXT_SN_STEP, end)
        if plausible:
            self._last = next_sn - 1
        return plausible
