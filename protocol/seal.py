"""Sealing: security flag, IV and AES-128-CBC around a plaintext frame.

======  ====  ==========  ==================================================
offset  size  field       meaning
======  ====  ==========  ==================================================
0       1     flag        which key (``keys.SecurityFlag``)
1       16    iv          random, one per message; absent under flag 0
17      16 k  ciphertext  the frame, padded; plaintext from offset 1 under flag 0
======  ====  ==========  ==================================================

Padding is PKCS#7-like, but *none at all* when the frame already ends on a block: a strict
unpadder fails on such frames, so the frame's own length counts (reference: protocol §3).
"""

from __future__ import annotations

from dataclasses import dataclass

from Crypto.Cipher import AES

from .errors import LocalProtocolError, SealError
from .keys import SecurityFlag

BLOCK = 16
IV_SIZE = 16
_CIPHER_AT = 1 + IV_SIZE
MIN_PLAIN_SIZE = 17
"""A plaintext message (flag 0) is at least this long (reference: protocol §3)."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A message taken apart, still closed. ``iv`` is empty under flag 0."""

    flag: int
    iv: bytes
    body: bytes

    def __repr__(self) -> str:
        return f"Sealed(flag={self.flag}, {len(self.body)} bytes)"

    @classmethod
    def from_bytes(cls, message: bytes) -> Sealed:
        """Take a message apart without a key.

        Raises:
            SealError: empty, too short, or a ciphertext that is not whole blocks.
        """
        if not message:
            raise SealError("an empty message")
        if message[0] == SecurityFlag.PLAIN:
            if len(message) < MIN_PLAIN_SIZE:
                raise SealError(f"a plaintext message of {len(message)} bytes is too short")
            return cls(SecurityFlag.PLAIN, b"", message[1:])
        body = message[_CIPHER_AT:]
        if not body or len(body) % BLOCK:
            raise SealError(
                f"flag {message[0]}: {len(message)} bytes are not flag, IV and whole blocks"
            )
        return cls(message[0], message[1:_CIPHER_AT], body)

    def open(self, key: bytes) -> bytes:
        """The plaintext, padding included; under flag 0 the key is not used."""
        if self.flag == SecurityFlag.PLAIN:
            return self.body
        return AES.new(key, AES.MODE_CBC, self.iv).decrypt(self.body)


def seal(plaintext: bytes, *, flag: int, key: bytes, iv: bytes) -> bytes:
    """Close a plaintext frame.

    Args:
        plaintext: frame with CRC, unpadded.
        flag: first byte of the message.
        key: 16 bytes, from ``KeyRing.key(flag)``.
        iv: 16 random bytes, never used twice.

    Raises:
        LocalProtocolError: an IV or a key of another size, or flag 0 (``seal_plain``).
    """
    if flag == SecurityFlag.PLAIN:
        raise LocalProtocolError("flag 0 is not sealed")
    if len(iv) != IV_SIZE or len(key) != BLOCK:
        raise LocalProtocolError(f"IV and key have 16 bytes, not {len(iv)} and {len(key)}")
    short = -len(plaintext) % BLOCK
    padded = plaintext + bytes((short,)) * short
    return bytes((flag,)) + iv + AES.new(key, AES.MODE_CBC, iv).encrypt(padded)


def seal_plain(plaintext: bytes) -> bytes:
    """A message under flag 0; only unbound devices take it, and only from 17 bytes on."""
    return bytes((SecurityFlag.PLAIN,)) + plaintext
