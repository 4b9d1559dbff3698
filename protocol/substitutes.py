"""Test values in place of secrets: as long as the original, and the same one every time.

They are counted, not drawn: the n-th check code of a capture becomes the n-th test check code.
So equal originals stay equal, different ones stay different, and nothing of the original can
be computed back (reference: safety G2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count

from .errors import PayloadError
from .keys import Secret

LOGIN_KEY_SIZE = 6
MIN_SEARCHED = 4
"""Bytes of the shortest original that a copy is searched for; shorter ones turn up by chance."""
_APP = b"\xff\xff"


class Sensitive(StrEnum):
    """What is replaced; the values are for people."""

    LOCAL_KEY = "local key"
    LOGIN_KEY = "login key"
    SEC_KEY = "sec key"
    AUTH_KEY = "auth key"
    REGISTER_KEY = "register key"
    BEACON_KEY = "beacon key"
    FIRMWARE_KEY = "firmware key"
    ACCESSORY_KEY = "login key of an accessory"
    SRAND = "srand"
    UUID = "uuid"
    DEVICE_ID = "device id"
    PRODUCT_ID = "product id"
    ADVERTISED_ID = "advertised id"
    MAC = "MAC address"
    CENTRAL = "central or peripheral id"
    CHECK_CODE = "check code"
    REMOTE_KEY = "remote key"
    PIN = "PIN"
    OFFLINE_T0 = "T0 of offline passwords"
    OFFLINE_RECORD = "record of an offline password"
    METHOD_INFO = "detail of an opening"
    TEXT = "text"


_WORDS = {
    Sensitive.LOGIN_KEY: "lk",
    Sensitive.SEC_KEY: "testseckey",
    Sensitive.UUID: "testuuid",
    Sensitive.DEVICE_ID: "testdeviceid",
    Sensitive.PRODUCT_ID: "test",
}
_NUMBERS = frozenset(
    {Sensitive.CHECK_CODE, Sensitive.REMOTE_KEY, Sensitive.PIN, Sensitive.OFFLINE_T0}
)


class _Shape(StrEnum):
    """Which values can stand for an original."""

    LOCAL_KEY = "local key"
    AUTH_KEY = "auth key"
    WORD = "word"
    LETTERS = "letters"
    ASCII_DIGITS = "ascii digits"
    DIGITS = "digits"  # bytes 0 to 9
    BYTES = "bytes"


@dataclass(slots=True)
class Substitutes:
    """The test values of one capture.

    Args:
        avoid: values that must not be given out, because they are secrets of this capture.
    """

    avoid: frozenset[bytes] = frozenset()
    _given: dict[tuple[Sensitive, bytes], bytes] = field(default_factory=dict, repr=False)
    _also: set[tuple[Sensitive, bytes]] = field(default_factory=set, repr=False)
    _last: dict[tuple[Sensitive, _Shape, int], int] = field(default_factory=dict, repr=False)

    def of(self, what: Sensitive, original: bytes) -> bytes:
        """The test value of an original.

        Nothing and zeros stay as they are ("there is none"), except for a PIN of zeros; so does
        the id that every app has.

        Raises:
            PayloadError: more different short originals than there are test values.
        """
        none = not original if what is Sensitive.PIN else not any(original)
        if none or (what is Sensitive.CENTRAL and original == _APP):
            return original
        new = self._given.get((what, original))
        if new is None:
            new = self._given[what, original] = self._next(what, original)
            self._remember_other_forms(what, original, new)
        return new

    def secret(self, what: Sensitive, original: Secret) -> Secret:
        """The same for a ``Secret``."""
        return Secret(self.of(what, original.reveal()))

    def also(self, what: Sensitive, original: bytes) -> None:
        """Remember an original that was replaced by something else than a value of ours."""
        self._also.add((what, original))

    def originals(self) -> Iterator[tuple[Sensitive, bytes]]:
        """Everything that must not be in the copy."""
        yield from self._given
        yield from self._also

    def issued(self) -> Iterator[bytes]:
        """The test values that were given out."""
        yield from self._given.values()

    def _remember_other_forms(self, what: Sensitive, original: bytes, new: bytes) -> None:
        if what is Sensitive.LOCAL_KEY:
            login_key = (Sensitive.LOGIN_KEY, original[:LOGIN_KEY_SIZE])
            self._given.setdefault(login_key, new[:LOGIN_KEY_SIZE])
        elif what is Sensitive.PIN and max(original) <= 9:
            self.also(what, bytes(digit + ord("0") for digit in original))

    def _next(self, what: Sensitive, original: bytes) -> bytes:
        size, shape = len(original), _shape(what, original)
        place = (what, shape, size)
        for number in count(self._last.get(place, 0) + 1):
            new = _make(what, shape, number, size)
            if new is None:
                break
            if not self._is_avoided(what, new):
                self._last[place] = number
                return new
        raise PayloadError(f"more different values ({what}, {size} bytes) than test values")

    def _is_avoided(self, what: Sensitive, new: bytes) -> bool:
        if len(new) < MIN_SEARCHED and what is not Sensitive.CENTRAL:
            return False  # there are too few of them to be choosy
        if what is Sensitive.LOCAL_KEY and new[:LOGIN_KEY_SIZE] in self.avoid:
            return True
        return new in self.avoid


def _shape(what: Sensitive, original: bytes) -> _Shape:
    if what is Sensitive.LOCAL_KEY:
        return _Shape.LOCAL_KEY
    if what is Sensitive.AUTH_KEY:
        return _Shape.AUTH_KEY
    if what is Sensitive.TEXT:
        return _Shape.LETTERS
    if what in _NUMBERS and original.isdigit():
        return _Shape.ASCII_DIGITS
    if what is Sensitive.PIN and max(original) <= 9:
        return _Shape.DIGITS
    # 16 bytes that are no uuid are replaced by such that are none either.
    if what in _WORDS and (what is not Sensitive.UUID or all(0x20 < b < 0x7F for b in original)):
        return _Shape.WORD
    return _Shape.BYTES


def _make(what: Sensitive, shape: _Shape, number: int, size: int) -> bytes | None:
    """The test value of a number, None where there are no more."""
    match shape:
        case _Shape.LOCAL_KEY:
            # Its first six characters are a key of their own, so they have the number too.
            login_key, rest = _word("test", number, LOGIN_KEY_SIZE), size - LOGIN_KEY_SIZE
            end = _word("localkey", number, rest)
            return None if login_key is None or end is None else login_key + end
        case _Shape.AUTH_KEY:
            # Its first 16 characters alone key the register key.
            half = _word("testauthkey", number, size // 2)
            return None if half is None else (half * 2).ljust(size, b"0")
        case _Shape.WORD:
            return _word(_WORDS[what], number, size)
        case _Shape.LETTERS:
            return _letters(number, size)
        case _Shape.ASCII_DIGITS:
            return _word("", number, size)
        case _Shape.DIGITS:
            digits = _word("", number, size)
            return None if digits is None else bytes(digit - ord("0") for digit in digits)
        case _Shape.BYTES:
            return _bytes(number, size)


def _word(word: str, number: int, size: int) -> bytes | None:
    """``testuuid00000001``: a word cut short if need be, and the number."""
    room = min(size, max(size - len(word), 2))
    digits = str(number).zfill(room)
    return None if len(digits) > room else (word[: size - room] + digits).encode()


def _letters(number: int, size: int) -> bytes | None:
    """``testaaab``; without the word where there is little room."""
    word = b"test" if size >= 8 else b""
    letters = bytearray()
    for _ in range(size - len(word)):
        number, letter = divmod(number, 26)
        letters.append(ord("a") + letter)
    return None if number else word + bytes(reversed(letters))


def _bytes(number: int, size: int) -> bytes | None:
    """The word again and again, and the number in the last two bytes."""
    room = min(size, 2)
    if number >= 1 << (8 * room):
        return None
    return (b"test" * size)[: size - room] + number.to_bytes(room, "big")
