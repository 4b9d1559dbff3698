"""The open instruction that the cloud seals: opened and checked before it goes near a lock.

A frame in the wrong framing, for another lock, with another number or another operation looks
like silence at best (reference: safety B4). It is a key to the door: under the login key it
works again on every later connection whose numbers are lower (capture ``lock-sealed-twice``),
so it lives in memory, for one operation on one connection (B6).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .commands import DpWrite, DpWriteV4, Sender, code_name, read_payload
from .dialect import Dialect
from .errors import InstructionError, RemoteProtocolError
from .frame import Frame
from .keys import KeyRing, Secret
from .lock import OpenOperation, OpenRequest
from .message import open_message
from .numbers import Reservation


class InstructionAir(StrEnum):
    """In which form a checked instruction goes over the air."""

    AS_SEALED = "as_sealed"  # the default, as the vendor intends
    RESEALED = "resealed"  # under the session key: nothing reusable on the air (B5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What was asked for, field by field."""

    reservation: Reservation
    dp_id: int
    central: int
    peripheral: int
    code: Secret
    operation: OpenOperation
    after_timestamp: int = -1
    """Timestamp of the last opening on this connection; a new one lies above it (C5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """A checked instruction, good for one operation on one connection."""

    reservation: Reservation
    message: Secret
    flag: int
    frame: Frame
    request: OpenRequest


def check_instruction(
    message: bytes, expected: Expected, *, ring: KeyRing, dialect: Dialect
) -> Instruction:
    """Open a sealed message and compare every field with what was asked for.

    Raises:
        InstructionError: it cannot be opened, or a field differs; names the field. Nothing of
            the connection has changed.
    """
    flags = frozenset({dialect.login_flag, dialect.session_flag})
    try:
        opened = open_message(message, ring, known_flags=flags)
        payload = read_payload(Sender.CENTRAL, opened.frame.code, opened.frame.data)
    except RemoteProtocolError as error:
        raise InstructionError("seal", str(error)) from error
    frame = opened.frame
    _same("sn", frame.sn, expected.reservation.sn)
    _same("command", code_name(frame.code), code_name(dialect.write_code))
    request = _request(payload, frame, expected.dp_id)
    _same("central", request.central, expected.central)
    _same("peripheral", request.peripheral, expected.peripheral)
    if request.code != expected.code:
        raise InstructionError("check code", "another one than was issued")
    _same("operation", request.operation, expected.operation)
    if request.timestamp <= expected.after_timestamp:
        raise InstructionError(
            "timestamp", f"{request.timestamp} is not above {expected.after_timestamp}"
        )
    return Instruction(
        reservation=expected.reservation, message=Secret(message), flag=opened.flag,
        frame=frame, request=request,
    )  # fmt: skip


def _request(payload: object, frame: Frame, dp_id: int) -> OpenRequest:
    if not isinstance(payload, DpWrite | DpWriteV4):
        raise InstructionError("command", f"{code_name(frame.code)} is not a write")
    if isinstance(payload, DpWriteV4):
        _same("version", payload.version, 0)
    _same("number of datapoints", len(payload.datapoints), 1)
    datapoint = payload.datapoints[0]
    _same("datapoint", datapoint.id, dp_id)
    try:
        return OpenRequest.from_bytes(datapoint.data)
    except RemoteProtocolError as error:
        raise InstructionError("opening", str(error)) from error


def _same(field: str, found: object, expected: object) -> None:
    if found != expected:
        raise InstructionError(field, f"{found} where {expected} was asked for")
