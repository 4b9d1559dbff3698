"""Credentials on a lock: enrolment, temporary passwords, freezing.

A *member* is a person, a *hardid* the lock's own number of one credential: passwords 0-9,
cards 10-19, fingerprints 20-29, faces 30-39, temporary passwords 40-49 on the lock
application 3.3; others go further. Digits of a password are bytes 0 to 9, not ASCII
(``digits`` makes them).

Source: reference protocol §6.2 to §6.4, checked against every recording of protocol 3.0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import ClassVar, Self

from .errors import LocalProtocolError
from .keys import Secret
from .wire import Composed, Packed, Reader, write_byte

NO_HARDID = 0xFF
"""The lock is to choose one, or none was chosen."""


class Method(IntEnum):
    """How a credential opens. The document writes temporary passwords F0, the lock sends 5."""

    PASSWORD = 1
    CARD = 2
    FINGERPRINT = 3
    FACE = 4
    TEMPORARY_PASSWORD = 5


class Stage(IntEnum):
    """Where an enrolment is. The central sends START or CANCEL."""

    START = 0
    RUNNING = 0xFC
    FAILED = 0xFD
    CANCELLED = 0xFE
    COMPLETE = 0xFF


class FailReason(IntEnum):
    """``result`` of a CredentialProgress whose stage is FAILED."""

    TIMEOUT = 0
    FAILED = 1
    REPEATED = 2
    NO_FREE_HARDID = 3
    BAD_PASSWORD = 4
    BAD_LENGTH = 5
    BAD_METHOD = 6
    FINGERPRINT_RUNNING = 7
    CARD_RUNNING = 8  # the code says it for faces too
    FACE_RUNNING = 9  # the document only
    TOO_SIMPLE = 10
    WRONG_NUMBER = 0xFE


class ChangeResult(IntEnum):
    """Last byte of ``CredentialDeleted`` and ``CredentialModified``."""

    FAILED = 0
    OK = 0xFF


class DeleteStyle(IntEnum):
    """Last byte of ``CredentialDelete``."""

    MEMBER = 0  # everything of this member
    ONE = 1


class TemporaryUse(IntEnum):
    """First byte of a temporary password: how its use is limited."""

    COUNT = 0
    CYCLE = 1


class TemporaryResult(IntEnum):
    """Last byte of ``TemporaryPasswordReply``."""

    OK = 0
    FAILED = 1
    FULL = 2


class Freeze(IntEnum):
    """Last byte of a list entry. Mind that 0 is the frozen one."""

    FROZEN = 0
    ACTIVE = 1


class Cycle(IntEnum):
    """How the hours of a ``Validity`` come back."""

    NONE = 0
    DAY = 1
    WEEK = 2
    MONTH = 3


def digits(password: str) -> Secret:
    """A password of decimal digits as the lock wants it.

    Raises:
        LocalProtocolError: something that is not 0-9.
    """
    if not (password.isascii() and password.isdigit()):
        raise LocalProtocolError("a password is made of the digits 0 to 9")
    return Secret(bytes(int(digit) for digit in password))


@dataclass(frozen=True, slots=True)
class Validity(Packed):
    """When a credential opens: 17 bytes.

    ``start`` and ``end`` in unix seconds; ``mask`` has the days of week or month for a cycle,
    within which ``start_hour:start_minute`` to ``end_hour:end_minute`` of each day count.
    """

    STRUCT: ClassVar[Struct] = Struct(">IIBIBBBB")

    start: int
    end: int
    cycle: int = Cycle.NONE
    mask: int = 0
    start_hour: int = 0
    start_minute: int = 0
    end_hour: int = 0
    end_minute: int = 0

    @classmethod
    def permanent(cls) -> Self:
        """From ever for ever."""
        return cls(0, _FOR_EVER)


_FOR_EVER = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class Grant(Composed):
    """What every password ends with: validity 17, count 1, length 1, digits.

    ``count`` is how often it opens, 0 without limit. Digits above 9 are read, because a lock
    answers them instead of dropping the request, but never written.
    """

    validity: Validity
    count: int
    digits: Secret

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        validity = Validity.from_bytes(reader.take(Validity.STRUCT.size))
        return cls(validity, reader.number(1), Secret(reader.take(reader.number(1))))

    def _parts(self) -> Iterable[bytes]:
        plain = self.digits.reveal()
        if any(digit > 9 for digit in plain):
            raise LocalProtocolError("digits of a password are bytes 0 to 9, not ASCII")
        return self.validity.to_bytes(), write_byte(self.count), write_byte(len(plain)), plain


# -- enrolled credentials


@dataclass(frozen=True, slots=True)
class CredentialHead(Packed):
    """The first five bytes of everything about one credential. ``admin`` is 0 or 1."""

    STRUCT: ClassVar[Struct] = Struct(">BBBBB")

    method: int
    stage: int
    admin: int
    member: int
    hardid: int


@dataclass(frozen=True, slots=True)
class CredentialAdd(Composed):
    """Enrol, or cancel an enrolment: ``head`` with ``NO_HARDID``; digits of a password only."""

    head: CredentialHead
    grant: Grant

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        head = CredentialHead.from_bytes(reader.take(CredentialHead.STRUCT.size))
        return cls(head, Grant.from_bytes(reader.rest()))

    def _parts(self) -> Iterable[bytes]:
        return self.head.to_bytes(), self.grant.to_bytes()


@dataclass(frozen=True, slots=True)
class CredentialModify(CredentialAdd):
    """Change one, by its hardid. The byte ``count`` is called "cycle" in the sources."""


@dataclass(frozen=True, slots=True)
class CredentialProgress(CredentialHead):
    """Where an enrolment is: at once with START, then RUNNING, at last COMPLETE or FAILED.

    ``count`` is how many touches are wanted at START, how many were taken under RUNNING (with
    ``result`` 1 for a bad one); ``result`` is a FailReason under FAILED.
    """

    STRUCT: ClassVar[Struct] = Struct(">BBBBBBB")

    count: int
    result: int


@dataclass(frozen=True, slots=True)
class CredentialModified(CredentialHead):
    """Answer to ``CredentialModify``: an echo and a ChangeResult."""

    STRUCT: ClassVar[Struct] = Struct(">BBBBBBB")

    count: int
    result: int


@dataclass(frozen=True, slots=True)
class CredentialDelete(CredentialHead):
    """Delete one credential or everything of a member, by ``style``."""

    STRUCT: ClassVar[Struct] = Struct(">BBBBBB")

    style: int


@dataclass(frozen=True, slots=True)
class CredentialDeleted(CredentialHead):
    """Answer to ``CredentialDelete``: an echo and a ChangeResult."""

    STRUCT: ClassVar[Struct] = Struct(">BBBBBBB")

    style: int
    result: int


@dataclass(frozen=True, slots=True)
class FreezeTarget(Packed):
    """Whom to freeze or release: a hardid or a member, by datapoint. Its own answer.

    The lock application echoes another length too, but does nothing.
    """

    STRUCT: ClassVar[Struct] = Struct(">I")

    target: int


# -- temporary passwords


@dataclass(frozen=True, slots=True)
class TemporaryPasswordAdd(Composed):
    """A password for a while. ``use`` is a TemporaryUse."""

    use: int
    grant: Grant

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.number(1), Grant.from_bytes(reader.rest()))

    def _parts(self) -> Iterable[bytes]:
        return write_byte(self.use), self.grant.to_bytes()


@dataclass(frozen=True, slots=True)
class TemporaryPasswordModify(Composed):
    """Change one. Always with the full digits.

    By the document no digits mean "keep them"; the lock application 3.3 for nRF overwrites
    the password with an empty one then.
    """

    hardid: int
    use: int
    grant: Grant

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.number(1), reader.number(1), Grant.from_bytes(reader.rest()))

    def _parts(self) -> Iterable[bytes]:
        return write_byte(self.hardid), write_byte(self.use), self.grant.to_bytes()


@dataclass(frozen=True, slots=True)
class TemporaryPasswordDelete(Packed):
    """Delete one."""

    STRUCT: ClassVar[Struct] = Struct(">B")

    hardid: int


@dataclass(frozen=True, slots=True)
class TemporaryPasswordReply(Packed):
    """Answer to adding (with the lock's hardid), changing and deleting: a TemporaryResult."""

    STRUCT: ClassVar[Struct] = Struct(">BB")

    hardid: int
    result: int
