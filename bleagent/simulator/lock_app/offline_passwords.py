"""Offline passwords, typed in at the door (reference: protocol §6.8).

Ten digits, FF1 of ``type1 hours5 tail4``: the hours since T0 at which the password begins, and
its length in hours or a serial number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from Crypto.Cipher import AES

from protocol import DpName

from . import ff1
from .flash import Flash, OfflineEntry

DIGITS = 10
PLACES = 200
_HOUR = 3600
_DEFAULT_T0 = 1589251799
_HIGHEST_SERIAL = 10


class OfflineType(IntEnum):
    """First digit of the plaintext."""

    TIMED = 0
    SINGLE = 1
    CLEAR_ONE = 8
    CLEAR_ALL = 9


_FIRST_USE = {
    OfflineType.TIMED: 24 * _HOUR,
    OfflineType.SINGLE: 6 * _HOUR,
    OfflineType.CLEAR_ALL: 24 * _HOUR,
}
"""Seconds from its beginning within which a password must be used for the first time."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the lock records of a password that it took: 16 enciphered bytes."""

    record: DpName
    raw: bytes = field(repr=False)

    @property
    def opens(self) -> bool:
        """Whether the door opens for it."""
        return self.record is DpName.RECORD_OFFLINE_PASSWORD


@dataclass(frozen=True, slots=True)
class _Password:
    type: OfflineType
    begin: int
    tail: int
    number: int = field(repr=False)

    @property
    def end(self) -> int:
        return self.begin + self.tail * _HOUR


class OfflinePasswords:
    """The passwords used so far, and T0."""

    def __init__(self, flash: Flash, login_key: bytes) -> None:
        self._flash = flash
        self._key = b"0" * 10 + login_key
        self._t0 = _DEFAULT_T0 if flash.t0 is None else flash.t0

    def set_t0(self, digits: bytes) -> None:
        """Datapoint ``offline_t0``: digits up to the first other character."""
        value = 0
        for digit in digits[:DIGITS]:
            if not 0x30 <= digit <= 0x39:
                break
            value = value * 10 + digit - 0x30
        self._t0 = self._flash.t0 = value % 2**32

    def type_in(self, typed: list[int], now: int) -> Accepted | None:
        """Somebody typed ten digits; None if the lock does not take them."""
        plain = ff1.decrypt(self._key, typed)
        password = self._read(plain)
        if password is None or password.begin > now or not self._accepts(password, now):
            return None
        records = {
            OfflineType.CLEAR_ONE: DpName.RECORD_OFFLINE_CLEARED_ONE,
            OfflineType.CLEAR_ALL: DpName.RECORD_OFFLINE_CLEARED_ALL,
        }
        text = b"000000" + bytes(0x30 + digit for digit in plain)
        raw = AES.new(self._key, AES.MODE_CBC, bytes(16)).encrypt(text)
        return Accepted(records.get(password.type, DpName.RECORD_OFFLINE_PASSWORD), raw)

    def _read(self, plain: list[int]) -> _Password | None:
        number = int("".join(map(str, plain[1:])))
        try:
            kind = OfflineType(plain[0])
        except ValueError:
            return None
        begin = self._t0 - self._t0 % _HOUR + number // 10000 * _HOUR
        return _Password(kind, begin, number % 10000, number)

    def _accepts(self, password: _Password, now: int) -> bool:
        if password.type in (OfflineType.TIMED, OfflineType.CLEAR_ONE):
            if password.end < now:
                return False
        elif password.tail > _HIGHEST_SERIAL:
            return False
        if password.type is OfflineType.CLEAR_ONE:
            return self._clear_one(password.number)
        return self._used_before_or_now(password, now)

    def _used_before_or_now(self, password: _Password, now: int) -> bool:
        for entry in self._flash.offline.values():
            if (entry.type, entry.number) == (password.type, password.number):
                return entry.valid
        if now - password.begin > _FIRST_USE[password.type]:
            return False
        valid = password.type is OfflineType.TIMED
        self._flash.offline[self._place(now)] = OfflineEntry(password.type, password.number, valid)
        return password.type is not OfflineType.CLEAR_ALL or self._clear_all()

    def _clear_one(self, number: int) -> bool:
        for place, entry in self._flash.offline.items():
            if entry.number == number:
                self._flash.offline[place] = OfflineEntry(entry.type, number, valid=False)
                return entry.valid
        return False

    def _clear_all(self) -> bool:
        """Make every timed password useless; False if there was none."""
        valid = {place: one for place, one in self._flash.offline.items() if one.valid}
        for place, one in valid.items():
            self._flash.offline[place] = OfflineEntry(one.type, one.number, valid=False)
        return bool(valid)

    def _place(self, now: int) -> int:
        """Where the next one goes: free or out of date, else what is missed least."""
        taken = self._flash.offline
        for place in range(PLACES):
            if place not in taken or self._ends(taken[place]) < now:
                return place
        return min(taken, key=lambda place: self._worth(taken[place]))

    def _begins(self, entry: OfflineEntry) -> int:
        return self._t0 - self._t0 % _HOUR + entry.number // 10000 * _HOUR

    def _ends(self, entry: OfflineEntry) -> int:
        if entry.type == OfflineType.TIMED:
            return self._begins(entry) + entry.number % 10000 * _HOUR
        return self._begins(entry) + _FIRST_USE[OfflineType(entry.type)]

    def _worth(self, entry: OfflineEntry) -> tuple[int, int]:
        if entry.type == OfflineType.TIMED:
            return (1, self._begins(entry)) if entry.valid else (0, self._ends(entry))
        return (2 if entry.type == OfflineType.SINGLE else 3), self._ends(entry)
