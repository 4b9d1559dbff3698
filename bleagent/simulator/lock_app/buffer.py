"""The two buffers that every handler of the lock application works in.

There is one reply buffer, and it starts as a copy of the request; records are written into it
as well. That is why an opening's reply can arrive as another datapoint, and why a late report
carries what was left in there (reference: protocol §6, §6.6; capture ``lock-open-method``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol import Datapoint

STORED = 32
"""Bytes of the buffer that a stored record keeps: id, type, length and 29 of data."""
_SIZE = 1024


@dataclass(frozen=True, slots=True)
class Request:
    """The command's datapoint. Behind its end there are zeros (in the firmware: anything)."""

    id: int = 0
    type: int = 0
    data: bytes = field(default=b"", repr=False)

    def byte(self, at: int) -> int:
        """One byte, 0 behind the end."""
        return self.data[at] if at < len(self.data) else 0

    def take(self, at: int, size: int) -> bytes:
        """``size`` bytes, zeros behind the end."""
        return self.data[at : at + size].ljust(size, b"\0")

    def number(self, at: int, size: int) -> int:
        """A big-endian field."""
        return int.from_bytes(self.take(at, size), "big")


class ReplyBuffer:
    """id, type, size and data; what is written stays until it is overwritten."""

    def __init__(self) -> None:
        self.id = 0
        self.type = 0
        self.size = 0
        self._data = bytearray(_SIZE)

    def copy(self, request: Request) -> None:
        """Begin a reply: everything that no handler sets echoes the request."""
        self.id, self.type, self.size = request.id, request.type, len(request.data)
        self._data[:] = request.data[:_SIZE].ljust(_SIZE, b"\0")

    def begin(self, dp_id: int, dp_type: int, data: bytes) -> None:
        """Begin something else; bytes behind ``data`` stay as they were."""
        self.id, self.type, self.size = dp_id, dp_type, len(data)
        self.put(0, data)

    def put(self, at: int, data: bytes) -> None:
        """Overwrite bytes."""
        self._data[at : at + len(data)] = data

    def set(self, at: int, value: int) -> None:
        """Overwrite one byte."""
        self._data[at] = value & 0xFF

    def datapoint(self) -> Datapoint:
        """What would be reported now."""
        return Datapoint(self.id, self.type, bytes(self._data[: self.size]))

    def head(self) -> bytes:
        """The bytes that a stored record keeps."""
        return bytes((self.id, self.type, min(self.size, 0xFF))) + self._data[: STORED - 3]

    def restore(self, head: bytes) -> None:
        """Put a stored record back; a longer one ends in what is here now."""
        self.id, self.type, self.size = head[0], head[1], head[2]
        self.put(0, head[3:])
