"""Between frames and ATT payloads: sealing with the right key, and what is ready to go out."""

from __future__ import annotations

from dataclasses import dataclass, field

from .commands import code_name
from .errors import SealError
from .frame import Frame
from .keys import KeyRing, SecurityFlag
from .seal import Sealed, seal, seal_plain

_CARRY_SERVER_RAND = frozenset({SecurityFlag.AUTH, SecurityFlag.V2_AUTH, SecurityFlag.V2_ANOMALY})


@dataclass(frozen=True, slots=True)
class Opened:
    """A frame together with what sealed it."""

    frame: Frame
    flag: int
    iv: bytes


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message, ready to be handed over fragment by fragment, in order, each once.

    The last fragment is the commit point: without it the message has no effect, its ``sn`` is
    not consumed and it may be given up; from the moment it was handed over the message counts
    as delivered, whatever the write call said (reference: safety A1, A4).
    """

    sn: int
    code: int
    flag: int
    fragments: tuple[bytes, ...] = field(repr=False)

    def __str__(self) -> str:
        return f"{code_name(self.code)} sn {self.sn}, {len(self.fragments)} fragments"


def open_message(
    message: bytes, ring: KeyRing, *, known_flags: frozenset[int], learns: bool = False
) -> Opened:
    """Open a whole message.

    Args:
        message: as joined from fragments, or as the cloud issued it.
        ring: the keys of this connection.
        known_flags: flags that this lock understands.

        learns: whether this is the lock's side or an onlooker, who take server_rand from a
            request under flag 1, 11 or 16.

    Raises:
        SealError: a flag that is not known here, no key for it, or a wrong length.
        FrameError: the lengths inside contradict each other.
        ChecksumError: garbled, or the wrong key.
    """
    sealed = Sealed.from_bytes(message)
    if sealed.flag not in known_flags:
        raise SealError(f"security flag {sealed.flag} is not known here")
    if learns and sealed.flag in _CARRY_SERVER_RAND:
        ring.learn_server_rand(sealed.iv)
    key = b"" if sealed.flag == SecurityFlag.PLAIN else ring.key(sealed.flag)
    return Opened(Frame.from_bytes(sealed.open(key)), sealed.flag, sealed.iv)


def close_frame(frame: Frame, *, flag: int, ring: KeyRing, iv: bytes) -> bytes:
    """Seal a frame; under flag 0 the IV is not used.

    Raises:
        SealError: no key for this flag.
        LocalProtocolError: a frame or an IV that cannot be written.
    """
    if flag == SecurityFlag.PLAIN:
        return seal_plain(frame.to_bytes())
    return seal(frame.to_bytes(), flag=flag, key=ring.key(flag), iv=iv)
