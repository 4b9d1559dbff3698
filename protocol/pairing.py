"""Pairing: the request that logs in to a bound lock, or binds an unbound one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from .errors import LocalProtocolError, PayloadError
from .keys import LockKeys, Secret
from .wire import Reader


class PairStatus(IntEnum):
    """Answer to 0x0001."""

    BOUND = 0  # bound by this very request
    FAILED = 1  # wrong uuid; the lock hangs up
    ALREADY_BOUND = 2  # the normal answer: logged in


PAIR_SIZE = 44
PAIR_SIZE_V2 = 76
BEACON_KEY_SIZE = 16


def _beacon_key_size(size: int) -> int:
    if size > BEACON_KEY_SIZE:
        raise PayloadError(f"a beacon key has {BEACON_KEY_SIZE} bytes, not {size}")
    return size


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRequest:
    """Data of the 0x0001 request.

    ======  ====  ====================================================
    offset  size  field
    ======  ====  ====================================================
    0       16    uuid
    16      6     login key
    22      22    virtual id, zero-padded
    44      1+16  beacon key with its length (4.x, optional)
    44      32    local key and sec key (security V2: 76 bytes in all)
    ======  ====  ====================================================

    Source: reference protocol §4.1; captures ``*-handshake``, ``secv2-*``.
    """

    uuid16: bytes
    login_key: Secret
    virtual_id22: bytes
    beacon_key: Secret | None = None
    local_key: Secret | None = None
    sec_key: Secret | None = None

    @classmethod
    def of(cls, keys: LockKeys, *, security_v2: bool = False) -> Self:
        """The request for a lock whose keys are known.

        Raises:
            LocalProtocolError: a key that is needed is missing.
        """
        if not security_v2:
            return cls(uuid16=keys.uuid16, login_key=keys.login_key, virtual_id22=keys.virtual_id22)
        if keys.sec_key is None:
            raise LocalProtocolError("pairing with security V2 needs the sec_key")
        return cls(
            uuid16=keys.uuid16, login_key=keys.login_key, virtual_id22=keys.virtual_id22,
            local_key=keys.local_key, sec_key=keys.sec_key,
        )  # fmt: skip

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read 44 bytes, and what may follow them.

        Raises:
            PayloadError: any other length.
        """
        reader = Reader(raw, "pair request")
        uuid16, login_key, virtual_id22 = reader.take(16), reader.take(6), reader.take(22)
        beacon_key = local_key = sec_key = None
        if len(raw) == PAIR_SIZE_V2:
            local_key, sec_key = Secret(reader.take(16)), Secret(reader.take(16))
        elif reader.left:
            beacon_key = Secret(reader.take(_beacon_key_size(reader.number(1))))
        reader.end()
        return cls(
            uuid16=uuid16, login_key=Secret(login_key), virtual_id22=virtual_id22,
            beacon_key=beacon_key, local_key=local_key, sec_key=sec_key,
        )  # fmt: skip

    def to_bytes(self) -> bytes:
        """Write the request.

        Raises:
            LocalProtocolError: a field of the wrong size, or a beacon key beside security V2.
        """
        parts = [self.uuid16, self.login_key.reveal(), self.virtual_id22]
        if [len(part) for part in parts] != [16, 6, 22]:
            raise LocalProtocolError("a pair request has a uuid of 16, a key of 6, an id of 22")
        if self.local_key is not None and self.sec_key is not None:
            if self.beacon_key is not None or len(self.local_key) + len(self.sec_key) != 32:
                raise LocalProtocolError("security V2 pairs with two keys of 16 and no more")
            parts += [self.local_key.reveal(), self.sec_key.reveal()]
        elif self.beacon_key is not None:
            if len(self.beacon_key) > BEACON_KEY_SIZE:
                raise LocalProtocolError(f"a beacon key has {BEACON_KEY_SIZE} bytes")
            parts += [bytes((len(self.beacon_key),)), self.beacon_key.reveal()]
        return b"".join(parts)
