"""Secrets and the keys made of them.

Names: the *local key* (16 characters) is what the vendor's cloud issues; its first six are
the *login key*. *srand* is the lock's random of this connection, *server_rand* the central's
(the IV of its last request under flag 1 or 11). Every derived key is a full 16-byte MD5.

Source: reference protocol §3.1, checked against every recording in ``tests/captures``.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import md5, sha256
from typing import NoReturn

from Crypto.Cipher import AES

from .errors import LocalProtocolError, SealError

ZERO16 = bytes(16)
SRAND_SIZE = 6


class Secret:
    """Bytes that must not be seen: masked in repr, str and format, compared in constant time.

    Only ``reveal()`` gives them away, so that a reader can search for the places that do.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes | str) -> None:
        self._value = value.encode() if isinstance(value, str) else bytes(value)

    def reveal(self) -> bytes:
        """The bytes themselves."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((Secret, sha256(self._value).digest()))

    def __repr__(self) -> str:
        return f"Secret({len(self._value)} bytes)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


class SecurityFlag(IntEnum):
    """First byte of a sealed message: which key seals it."""

    PLAIN = 0
    AUTH = 1  # unbound: device information
    AUTH_SESSION = 2  # unbound: pairing
    LOGIN = 4  # bound: device information, and instructions sealed by the cloud
    SESSION = 5  # bound: everything else
    V2_AUTH = 11  # security V2, as 1
    V2_AUTH_SESSION = 12  # security V2, as 2
    V2_LOGIN = 14  # security V2, as 4
    V2_SESSION = 15  # security V2, as 5
    V2_ANOMALY = 16  # security V2: unbind without the login key


def _md5(*parts: bytes) -> bytes:
    # The vendor's key derivation, not a signature of ours.
    return md5(b"".join(parts), usedforsecurity=False).digest()


def pack_uuid(uuid: str) -> bytes:
    """The 16 bytes of a uuid on the wire.

    A uuid of 16 visible ASCII characters goes as it is. One of 20 is packed: 6 bits a character
    (``0-9``, ``a-z``, ``A-Z`` are 0-61), most significant first, then FF.

    Raises:
        LocalProtocolError: neither 16 visible ASCII nor 20 alphanumeric characters.
    """
    raw = uuid.encode("ascii", "replace")
    if len(uuid) == 16 and all("!" <= sign <= "~" for sign in uuid):
        return raw
    if len(uuid) == 20 and uuid.isascii() and uuid.isalnum():
        bits = 0
        for sign in uuid:
            bits = bits << 6 | _ALPHABET.index(sign)
        return bits.to_bytes(15, "big") + b"\xff"
    raise LocalProtocolError(f"a uuid has 16 or 20 characters, not {len(uuid)}")


def unpack_uuid(raw: bytes) -> str:
    """The reverse of ``pack_uuid``; packed ones are known by their last byte FF.

    Raises:
        SealError: not a uuid (most likely deciphered with the wrong key).
    """
    if len(raw) == 16 and raw[15] == 0xFF:
        bits = int.from_bytes(raw[:15], "big")
        signs = [bits >> shift & 0x3F for shift in range(114, -1, -6)]
        if max(signs) < len(_ALPHABET):
            return "".join(_ALPHABET[sign] for sign in signs)
    elif len(raw) == 16 and all(0x20 < byte < 0x7F for byte in raw):
        return raw.decode("ascii")
    raise SealError("these 16 bytes are not a uuid")


_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockKeys:
    """What the cloud (or a capture's header) knows of one lock. Absent ones stay ``None``.

    ``uuid`` is 16 or 20 characters, ``virtual_id`` (the device id in the cloud) up to 22.
    """

    uuid: str
    virtual_id: str = ""
    local_key: Secret | None = None
    sec_key: Secret | None = None
    auth_key: Secret | None = None

    def __post_init__(self) -> None:
        pack_uuid(self.uuid)
        for name, size in (("local_key", 16), ("sec_key", 16), ("auth_key", 32)):
            secret: Secret | None = getattr(self, name)
            if secret is not None and len(secret) != size:
                raise LocalProtocolError(f"{name} has {size} characters, not {len(secret)}")
        if not (self.virtual_id.isascii() and len(self.virtual_id) <= 22):
            raise LocalProtocolError("virtual_id has at most 22 ASCII characters")

    @property
    def uuid16(self) -> bytes:
        """The uuid as it goes over the air."""
        return pack_uuid(self.uuid)

    @property
    def virtual_id22(self) -> bytes:
        """The virtual id, zero-padded as it goes over the air."""
        return self.virtual_id.encode().ljust(22, b"\0")

    @property
    def login_key(self) -> Secret:
        """The first six characters of the local key.

        Raises:
            LocalProtocolError: no local key.
        """
        if self.local_key is None:
            raise LocalProtocolError("this needs the lock's local key")
        return Secret(self.local_key.reveal()[:6])


@dataclass(slots=True)
class KeyRing:
    """The keys of one lock on one connection, by security flag.

    ``srand`` is forgotten when the connection ends; ``server_rand`` is what the lock keeps
    of the last request under flag 1, 11 or 16. ``double_md5_auth`` is the derivation of flag 2
    in protocol 3.0 (lock SDK 0.1.1) and below.
    """

    keys: LockKeys = field(repr=False)
    double_md5_auth: bool = False
    srand: Secret | None = None
    server_rand: Secret | None = None
    _cache: dict[int, bytes] = field(default_factory=dict, repr=False)

    def learn_srand(self, srand: bytes | None) -> None:
        """The lock's new random (device information, bytes 6-11), or none after a disconnect."""
        self.srand = Secret(srand) if srand is not None and any(srand) else None
        self._cache.clear()

    def learn_server_rand(self, iv: bytes) -> None:
        """The IV of a request under flag 1, 11 or 16: its answers are keyed with it."""
        self.server_rand = Secret(iv)
        self._cache.clear()

    def restore_server_rand(self, server_rand: Secret | None) -> None:
        """Undo ``learn_server_rand`` for a request that never went out."""
        self.server_rand = server_rand
        self._cache.clear()

    def key(self, flag: int) -> bytes:
        """The AES key for a flag (16 bytes).

        Raises:
            SealError: unknown flag, or a secret it needs is not there (yet).
        """
        key = self._cache.get(flag)
        if key is None:
            key = self._cache[flag] = self._derive(flag)
        return key

    def _derive(self, flag: int) -> bytes:
        match flag:
            case SecurityFlag.AUTH:
                return self._auth_key1()
            case SecurityFlag.AUTH_SESSION if self.double_md5_auth:
                return _md5(_md5(self._need(flag, "auth_key")), self._srand(flag))
            case SecurityFlag.AUTH_SESSION:
                return _md5(self._auth_key1(), self._srand(flag))
            case SecurityFlag.LOGIN:
                return _md5(self._need(flag, "local_key")[:6])
            case SecurityFlag.SESSION:
                return _md5(self._need(flag, "local_key")[:6], self._srand(flag))
            case SecurityFlag.V2_AUTH:
                return self._v2_auth()
            case SecurityFlag.V2_AUTH_SESSION:
                return _md5(self._v2_auth(), self._srand(flag))
            case SecurityFlag.V2_LOGIN:
                return _md5(self._need(flag, "local_key"), self._need(flag, "sec_key"))
            case SecurityFlag.V2_SESSION:
                return _md5(
                    self._need(flag, "local_key"), self._need(flag, "sec_key"), self._srand(flag)
                )
            case SecurityFlag.V2_ANOMALY:
                auth_key = self._need(flag, "auth_key")
                return _md5(auth_key, _md5(self.keys.uuid16), self._server_rand(flag))
            case _:
                raise SealError(f"security flag {flag} is not known")

    def _auth_key1(self) -> bytes:
        auth_key = self._need(SecurityFlag.AUTH, "auth_key")
        cipher = AES.new(auth_key[:16], AES.MODE_CBC, ZERO16)
        return cipher.encrypt(auth_key + self._server_rand(SecurityFlag.AUTH))[-16:]

    def _v2_auth(self) -> bytes:
        flag = SecurityFlag.V2_AUTH
        return _md5(self._need(flag, "auth_key"), self.keys.uuid16, self._server_rand(flag))

    def register_key(self) -> bytes:
        """Bytes 14-29 of the device information where the auth key itself is not given out.

        AES-ECB of server_rand (zero until a request under flag 1 came) under auth_key[0:16].
        """
        auth_key = self._need(SecurityFlag.AUTH, "auth_key")
        server_rand = self.server_rand.reveal() if self.server_rand else ZERO16
        return AES.new(auth_key[:16], AES.MODE_ECB).encrypt(server_rand)

    def _need(self, flag: int, name: str) -> bytes:
        secret: Secret | None = getattr(self.keys, name)
        if secret is None:
            raise SealError(f"security flag {flag} needs the {name}, which is not known")
        return secret.reveal()

    def _srand(self, flag: int) -> bytes:
        if self.srand is None:
            raise SealError(f"security flag {flag} needs srand: no device information yet")
        return self.srand.reveal()

    def _server_rand(self, flag: int) -> bytes:
        if self.server_rand is None:
            raise SealError(f"security flag {flag} needs server_rand: no request carried it")
        return self.server_rand.reveal()
