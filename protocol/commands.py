"""Commands: their numbers and the typed payloads of both directions.

Only commands that locks use have a type; anything else survives as ``Opaque``: its number is
in the frame, its bytes are here. Source: reference protocol §4, the captures named below.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Self

from .datapoint import Datapoint, read_datapoints, write_datapoints
from .device_info import DeviceInfo
from .errors import LocalProtocolError
from .pairing import PairRequest
from .reports import REPORT_CODES, Report, ReportAck
from .times import ClockAnswer, DateAnswer, SavingAnswer, TimeRequest
from .wire import Reader, write_byte


class Sender(StrEnum):
    """Who sent a frame; the words of the capture format."""

    CENTRAL = "central"
    LOCK = "lock"


class CommandCode(IntEnum):
    """Commands by number. Those with the top bit set start at the lock."""

    DEVICE_INFO = 0x0000
    PAIR = 0x0001
    DP_WRITE = 0x0002  # protocol 3.x
    DP_QUERY = 0x0003
    LOGIN_KEY = 0x0004
    UNBIND = 0x0005
    RESET = 0x0006
    BULK_INFO = 0x0007
    BULK_READ = 0x0008
    BULK_DATA = 0x0009
    BULK_ERASE = 0x000A
    OTA_START = 0x000C
    OTA_FILE_INFO = 0x000D
    OTA_OFFSET = 0x000E
    OTA_DATA = 0x000F
    OTA_END = 0x0010
    FACTORY_TEST = 0x0012
    ANOMALY_UNBIND = 0x0014
    CERTIFICATE_1 = 0x0015
    CERTIFICATE_2 = 0x0016
    CERTIFICATE_3 = 0x0017
    NETWORK_STATE = 0x001E  # security V2, from the lock after pairing
    ECDH = 0x0020
    NET_CONFIG = 0x0021
    NET_CONFIG_REPORT = 0x0022
    PASSTHROUGH = 0x0023
    WAKE = 0x0024
    DP_WRITE_V4 = 0x0027
    REPORT = 0x8001
    DEBUG = 0x8002
    REPORT_TIMED = 0x8003
    REPORT_FLAGGED = 0x8004
    REPORT_FLAGGED_TIMED = 0x8005
    REPORT_V4 = 0x8006
    REPORT_TIMED_V4 = 0x8007
    TIME_CLOCK = 0x8011  # milliseconds
    TIME_DATE = 0x8012
    TIME_LOCAL = 0x8013
    TIME_SAVING = 0x8014  # with daylight saving


TIME_CODES = frozenset(
    {
        CommandCode.TIME_CLOCK,
        CommandCode.TIME_DATE,
        CommandCode.TIME_LOCAL,
        CommandCode.TIME_SAVING,
    }
)


def code_name(code: int) -> str:
    """``dp_write``; ``0x0099`` for a command without a name."""
    try:
        return CommandCode(code).name.lower()
    except ValueError:
        return f"{code:#06x}"


@dataclass(frozen=True, slots=True)
class Opaque:
    """Data of a command that has no type here, or of one without any data."""

    data: bytes = b""

    def __repr__(self) -> str:
        return f"Opaque({len(self.data)} bytes)"

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Anything."""
        return cls(bytes(raw))

    def to_bytes(self) -> bytes:
        """The bytes."""
        return self.data


@dataclass(frozen=True, slots=True)
class Status:
    """One byte: 0 done. More after it is ignored, as the SDK does.

    Answers 0x0002, 0x0003, 0x0005, 0x0006 and 0x0014, and is 0x001E's network state. For a
    datapoint write 0 says only that its structure was right, never that anything happened.
    """

    code: int

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """The first byte.

        Raises:
            PayloadError: no data.
        """
        return cls(Reader(raw, "status").number(1))

    def to_bytes(self) -> bytes:
        """One byte.

        Raises:
            LocalProtocolError: outside 0 .. 255.
        """
        return write_byte(self.code)


@dataclass(frozen=True, slots=True)
class DeviceInfoRequest:
    """Data of the 0x0000 request: nothing in 3.x; exactly two bytes in 4.x, or it hangs up.

    The two bytes are the largest packet the lock may send us (big-endian).
    """

    data: bytes = b""

    @classmethod
    def for_packets(cls, att_payload: int) -> Self:
        """The request of 4.x.

        Raises:
            LocalProtocolError: outside 0 .. 65535.
        """
        if not 0 <= att_payload <= 0xFFFF:
            raise LocalProtocolError(f"a packet size of {att_payload} does not fit 2 bytes")
        return cls(att_payload.to_bytes(2, "big"))

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Anything; what is illegal depends on the lock."""
        return cls(bytes(raw))

    def to_bytes(self) -> bytes:
        """The bytes."""
        return self.data

    @property
    def packet_size(self) -> int | None:
        """Bytes the central takes in one notification, ``None`` where it does not say."""
        return int.from_bytes(self.data, "big") if len(self.data) == 2 else None


@dataclass(frozen=True, slots=True)
class DpWrite:
    """Data of 0x0002: datapoints with lengths of one byte.

    One datapoint per write: the lock application answers 0 to several and does nothing
    (capture ``lock-multi-dp``).
    """

    datapoints: tuple[Datapoint, ...]

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read the list.

        Raises:
            PayloadError: lengths that do not add up.
        """
        return cls(read_datapoints(raw, 1))

    def to_bytes(self) -> bytes:
        """Write the list.

        Raises:
            LocalProtocolError: a datapoint that does not fit.
        """
        return write_datapoints(self.datapoints, 1)


_V4_HEADER = struct.Struct(">BI")


def _v4_header(version: int, sn: int) -> bytes:
    try:
        return _V4_HEADER.pack(version, sn)
    except struct.error as error:
        raise LocalProtocolError(f"write: {error}") from None


@dataclass(frozen=True, slots=True)
class DpWriteV4:
    """Data of 0x0027: ``version1 sn4`` and datapoints with lengths of two bytes.

    ``sn`` is a counter of its own that the lock only echoes; ``version`` is 0.
    """

    datapoints: tuple[Datapoint, ...]
    sn: int = 0
    version: int = 0

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read header and list.

        Raises:
            PayloadError: lengths that do not add up.
        """
        reader = Reader(raw, "write")
        version, sn = reader.number(1), reader.number(4)
        return cls(read_datapoints(reader.rest(), 2), sn, version)

    def to_bytes(self) -> bytes:
        """Write header and list.

        Raises:
            LocalProtocolError: a field that does not fit.
        """
        return _v4_header(self.version, self.sn) + write_datapoints(self.datapoints, 2)


@dataclass(frozen=True, slots=True)
class DpWriteReply:
    """Answer to 0x0027: ``version1 sn4 state1``; state 0 says the structure was right."""

    version: int
    sn: int
    state: int

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read 6 bytes.

        Raises:
            PayloadError: another length.
        """
        reader = Reader(raw, "write reply")
        reply = cls(reader.number(1), reader.number(4), reader.number(1))
        reader.end()
        return reply

    def to_bytes(self) -> bytes:
        """Write 6 bytes.

        Raises:
            LocalProtocolError: a field that does not fit.
        """
        return _v4_header(self.version, self.sn) + write_byte(self.state)


@dataclass(frozen=True, slots=True)
class DpQuery:
    """Data of the 0x0003 request: datapoint ids, none for all."""

    ids: tuple[int, ...] = ()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """One id a byte."""
        return cls(tuple(raw))

    def to_bytes(self) -> bytes:
        """One id a byte.

        Raises:
            LocalProtocolError: an id outside 0 .. 255.
        """
        try:
            return bytes(self.ids)
        except ValueError:
            raise LocalProtocolError(f"datapoint ids are bytes: {self.ids}") from None


Payload = (
    Opaque | Status | DeviceInfoRequest | DeviceInfo | PairRequest | DpWrite | DpWriteV4
    | DpWriteReply | DpQuery | Report | ReportAck | TimeRequest | ClockAnswer | DateAnswer
    | SavingAnswer
)  # fmt: skip
_Read = Callable[[bytes], Payload]

_FROM_CENTRAL: dict[int, _Read] = {
    CommandCode.DEVICE_INFO: DeviceInfoRequest.from_bytes,
    CommandCode.PAIR: PairRequest.from_bytes,
    CommandCode.DP_WRITE: DpWrite.from_bytes,
    CommandCode.DP_QUERY: DpQuery.from_bytes,
    CommandCode.DP_WRITE_V4: DpWriteV4.from_bytes,
    CommandCode.TIME_CLOCK: ClockAnswer.from_bytes,
    CommandCode.TIME_DATE: DateAnswer.from_bytes,
    CommandCode.TIME_LOCAL: DateAnswer.from_bytes,
    CommandCode.TIME_SAVING: SavingAnswer.from_bytes,
}
_FROM_LOCK: dict[int, _Read] = {
    CommandCode.DEVICE_INFO: DeviceInfo.from_bytes,
    CommandCode.PAIR: Status.from_bytes,
    CommandCode.DP_WRITE: Status.from_bytes,
    CommandCode.DP_QUERY: Status.from_bytes,
    CommandCode.UNBIND: Status.from_bytes,
    CommandCode.RESET: Status.from_bytes,
    CommandCode.ANOMALY_UNBIND: Status.from_bytes,
    CommandCode.NETWORK_STATE: Status.from_bytes,
    CommandCode.DP_WRITE_V4: DpWriteReply.from_bytes,
    CommandCode.TIME_CLOCK: TimeRequest.from_bytes,
    CommandCode.TIME_DATE: TimeRequest.from_bytes,
    CommandCode.TIME_LOCAL: TimeRequest.from_bytes,
    CommandCode.TIME_SAVING: TimeRequest.from_bytes,
}


def read_payload(sender: Sender, code: int, data: bytes) -> Payload:
    """The typed payload of a frame; ``Opaque`` where the command has none.

    Raises:
        PayloadError: a known command whose data has not its shape.
    """
    if code in REPORT_CODES:
        if sender is Sender.LOCK:
            return Report.from_bytes(code, data)
        return ReportAck.from_bytes(code, data)
    table = _FROM_CENTRAL if sender is Sender.CENTRAL else _FROM_LOCK
    return table.get(code, Opaque.from_bytes)(data)
