"""The two ids in an advertisement: which lock it is, and for whom it is bound.

*uuid16* are the 16 bytes of the uuid on the wire (``keys.pack_uuid``). The vendor's sources
call them the "device id"; the device id of the cloud is not in an advertisement.

========  =====================  ===========================================================
id        when                   bytes
========  =====================  ===========================================================
id field  not bound              product id or product key, ASCII
id field  bound                  AES-128-ECB under ``login key (6) + uuid16[:10]`` of uuid16
                                 as lower-case hex, cut to the length of the id field
id field  bound, security V2     AES-128-ECB under ``MD5(sec key)`` of uuid16 as UPPER-case
                                 hex, cut to the length of the id field
uuid      always                 AES-128-CBC of uuid16, key = iv = MD5 of the id field (v2,
                                 v3) or of the whole service data (v4)
========  =====================  ===========================================================

So everybody can read the uuid, and who knows the login key can check the id field, but nobody
gets a product id out of a bound lock's. None of it changes from one advertisement to the next:
it tells locks apart, and anybody can send it again.

Source: reference protocol §1.6, §9.4; every advertisement in ``tests/captures/firmware``. That
the bound id is made of uuid16, not of the cloud's device id and not of 20 characters, and the
letter case (visible only with packed uuids) are the recordings' word.
"""

from __future__ import annotations

from hashlib import md5

from Crypto.Cipher import AES

from .errors import LocalProtocolError, SealError
from .keys import LockKeys, unpack_uuid

UUID_SIZE = 16
MAX_ELEMENTS_SIZE = 32
"""Two AES blocks: uuid16 in hex."""
PACKED_MARK = 0xFF
"""Last byte of a packed uuid of 20 characters; the flag that announces it is often missing."""


def _md5(data: bytes) -> bytes:
    # The vendor's key derivation, not a signature of ours.
    return md5(data, usedforsecurity=False).digest()


def encipher_uuid(uuid16: bytes, keyed_by: bytes) -> bytes:
    """The 16 bytes of the uuid as they are advertised.

    Args:
        uuid16: the uuid on the wire.
        keyed_by: id field (v2, v3) or service data (v4), as transmitted.

    Raises:
        LocalProtocolError: not 16 bytes.
    """
    if len(uuid16) != UUID_SIZE:
        raise LocalProtocolError(f"a uuid on the wire has {UUID_SIZE} bytes, not {len(uuid16)}")
    key = _md5(keyed_by)
    return AES.new(key, AES.MODE_CBC, key).encrypt(uuid16)


def decipher_uuid(cipher: bytes, keyed_by: bytes) -> bytes:
    """The reverse of ``encipher_uuid``; always gives 16 bytes, sensible or not.

    Raises:
        LocalProtocolError: not 16 bytes.
    """
    if len(cipher) != UUID_SIZE:
        raise LocalProtocolError(f"an advertised uuid has {UUID_SIZE} bytes, not {len(cipher)}")
    key = _md5(keyed_by)
    return AES.new(key, AES.MODE_CBC, key).decrypt(cipher)


def readable_uuid(uuid16: bytes) -> str | None:
    """The uuid's 16 or 20 characters; ``None`` if these bytes are no uuid.

    That happens to a lock whose two halves were caught before and after it was bound: the
    key of one does not fit the other.
    """
    try:
        return unpack_uuid(uuid16)
    except SealError:
        return None


def elements(keys: LockKeys, size: int, *, security_v2: bool) -> bytes:
    """The id field of a bound lock.

    Args:
        keys: with the local key, or with the sec key for security V2.
        size: length of the id field, which is that of the product id: 8 or 16 in practice.
        security_v2: which of the two forms.

    Raises:
        LocalProtocolError: the key it needs is not there, or ``size`` is above 32.
    """
    if size > MAX_ELEMENTS_SIZE:
        raise LocalProtocolError(f"a bound id has at most {MAX_ELEMENTS_SIZE} bytes, not {size}")
    text = keys.uuid16.hex()
    if security_v2:
        if keys.sec_key is None:
            raise LocalProtocolError("this needs the lock's sec key")
        key = _md5(keys.sec_key.reveal())
        text = text.upper()
    else:
        key = keys.login_key.reveal() + keys.uuid16[:10]
    return AES.new(key, AES.MODE_ECB).encrypt(text.encode())[:size]
