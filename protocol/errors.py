"""Whose fault was it? Every error of the codec answers that first.

``LocalProtocolError`` is a bug on our side of the air: an illegal step, a number out of
range. It changes nothing. ``RemoteProtocolError`` is the other side's doing, or the air's:
anything received ends in events or in one of these, never in another exception.
"""

from __future__ import annotations


class ProtocolError(Exception):
    """Base of both; never raised itself, because it would not say whose fault it was."""

    def __init__(self, message: str) -> None:
        if type(self) is ProtocolError:
            raise TypeError("raise LocalProtocolError or RemoteProtocolError")
        super().__init__(message)


class LocalProtocolError(ProtocolError):
    """We asked for something illegal. Nothing was sent and nothing has changed."""


class RemoteProtocolError(ProtocolError):
    """The peer, the air or the cloud gave bytes that cannot be accepted."""


class FragmentError(RemoteProtocolError):
    """An ATT payload that does not continue the message, or a bad fragment header."""


class SealError(RemoteProtocolError):
    """A sealed message that cannot be opened: unknown flag, no key yet, wrong length."""


class FrameError(RemoteProtocolError):
    """A plaintext frame whose lengths contradict each other."""


class ChecksumError(FrameError):
    """The CRC does not match: garbled, or deciphered with the wrong key."""

    def __init__(self, *, expected: int, received: int) -> None:
        self.expected = expected
        self.received = received
        super().__init__(
            f"CRC is {received:#06x}, the bytes give {expected:#06x} "
            "(garbled, or sealed with another key)"
        )


class SequenceError(RemoteProtocolError):
    """A sequence number that is not above the last one of this connection."""


class PayloadError(RemoteProtocolError):
    """The data of a command or a datapoint does not have the documented shape."""


class AdvertisementError(RemoteProtocolError):
    """Advertising data that no known format explains."""


class InstructionError(RemoteProtocolError):
    """A sealed instruction that is not the one that was asked for.

    ``field`` names what did not match; the instruction never went near the lock
    (reference: safety B4).
    """

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(f"{field}: {message}")
