"""One target per parser: bytes in, nothing out, an exception where a promise was broken.

The promise is that whatever comes off the air, out of the cloud or out of a file ends in a
value or in one named error, and that a value goes back to the bytes it came from. Targets need
no fuzzer: ``run.py`` drives them with one, ``test_fuzz_smoke.py`` without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from protocol import credential_list, credentials, lock, records
from protocol.advertisement import Advertisement
from protocol.commands import Sender, Status, read_payload
from protocol.datapoint import Datapoint, LengthWidth, read_datapoints, write_datapoints
from protocol.device_info import DeviceInfo
from protocol.dialect import Dialect
from protocol.dpmap import DpMap, LockGeneration
from protocol.errors import (
    FragmentError,
    InstructionError,
    LocalProtocolError,
    PayloadError,
    RemoteProtocolError,
    SealError,
)
from protocol.fragment import MAX_TOTAL, Joiner, split
from protocol.frame import CRC_SIZE, HEADER, Frame, crc16
from protocol.gatt import (
    ADVERTISED_A201,
    ADVERTISED_FD50,
    COMPANY_ID,
    COMPANY_ID_V2,
    build_read_value,
    parse_read_value,
)
from protocol.instruction import Expected, check_instruction
from protocol.keys import Secret, pack_uuid, unpack_uuid
from protocol.lock import APP_CENTRAL, OpenOperation
from protocol.meaning import describe
from protocol.message import close_frame, open_message
from protocol.numbers import Reservation
from protocol.pairing import PairRequest
from protocol.records import GetRecords, OfflineT0, RecordEvent, RecordTrigger
from protocol.reports import Report, ReportAck
from protocol.seal import seal

from .capture_targets import capture, capture_values
from .central_target import central
from .conversation import IV, KEYS, full_ring, with_crc
from .lock_targets import observer, peripheral
from .source import Source

# -- fragments, seals, frames


def joiner(data: bytes) -> None:
    """Packets one after another: a message or a ``FragmentError``, and nothing stays behind."""
    source = Source(data)
    joining = Joiner((MAX_TOTAL, 1024, 256)[source.byte() % 3])
    while source.more:
        try:
            message = joining.feed(source.chunk())
        except FragmentError:
            assert joining.missing == 0
            continue
        assert 0 <= joining.missing <= joining.max_total
        if message is None:
            assert joining.missing > 0
            continue
        assert joining.missing == 0
        assert 0 < len(message) <= joining.max_total
        again = Joiner()
        packets = split(message, att_payload=20, major=joining.major)
        assert [again.feed(packet) for packet in packets] == [None] * (len(packets) - 1) + [message]


_RING = full_ring()
_ALL_FLAGS = Dialect().known_flags | Dialect(4, security_v2=True).known_flags
_FLAGS = sorted(_ALL_FLAGS)


def sealed(data: bytes) -> None:
    """A message; where the first byte is odd, its plaintext, which is then sealed."""
    message = data[1:]
    if data[:1] and data[0] & 1:
        flag = _FLAGS[(data[0] >> 1) % len(_FLAGS)]
        if flag:
            message = seal(with_crc(message), flag=flag, key=_RING.key(flag), iv=IV)
        else:
            message = b"\0" + with_crc(message)
    try:
        opened = open_message(message, _RING, known_flags=_ALL_FLAGS)
    except RemoteProtocolError:
        return
    assert opened.flag in _ALL_FLAGS
    if opened.frame.sn and not (opened.flag == 0 and len(opened.frame.data) < 2):
        again = close_frame(opened.frame, flag=opened.flag, ring=_RING, iv=opened.iv)
        assert open_message(again, _RING, known_flags=_ALL_FLAGS) == opened


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)  # noqa: PLW2901 - a shift register
        table.append(value)
    return tuple(table)


_CRC_TABLE = _crc_table()


def table_crc16(data: bytes) -> int:
    """The usual walk through a table of 256: another way to the same number."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def frame(data: bytes) -> None:
    """A plaintext; the CRC is put right, or else nothing behind it would ever be reached."""
    raw = with_crc(data[1:]) if data[:1] and data[0] & 1 else data[1:]
    assert crc16(raw) == table_crc16(raw)
    try:
        read = Frame.from_bytes(raw)
    except RemoteProtocolError:
        return
    repr(read)
    end = HEADER.size + len(read.data) + CRC_SIZE
    assert end <= len(raw) <= end + 16
    if read.sn:
        assert read.to_bytes() == raw[:end]


# -- payloads


def payload(data: bytes) -> None:
    """The data of every command in both directions."""
    source = Source(data)
    sender = Sender.LOCK if source.byte() & 1 else Sender.CENTRAL
    code = source.code()
    raw = source.rest()
    try:
        read: Any = read_payload(sender, code, raw)
    except PayloadError:
        return
    repr(read)
    match read:
        case PairRequest(beacon_key=key) if key is not None and len(key) > 16:
            return  # read as it comes, never written
        case Status():
            assert read.to_bytes() == raw[:1]
        case ReportAck():
            assert raw.startswith(read.to_bytes())
        case _:
            assert read.to_bytes() == raw
    if isinstance(read, Report):
        _look_at_report(read)
    if isinstance(read, DeviceInfo):
        _read_all(read, ("firmware", "protocol", "bound", "srand", "auth", "virtual_id", "mac"))


def _look_at_report(report: Report) -> None:
    _read_all(report, ("wants_ack", "passive"))
    if report.time is not None:
        assert report.time.seconds >= 0
    ack = report.ack()
    assert (ack is not None) == report.wants_ack
    if ack is not None:
        assert ReportAck.from_bytes(ack.code, ack.to_bytes()) == ack


def _read_all(value: object, names: Iterable[str]) -> None:
    for name in names:
        getattr(value, name)


_MAPS = [DpMap.default(generation) for generation in LockGeneration]


def datapoints(data: bytes) -> None:
    """A list of datapoints, and what each of them may mean."""
    width: LengthWidth = 2 if data[:1] and data[0] & 1 else 1
    try:
        read = read_datapoints(data[1:], width)
    except PayloadError:
        return
    assert write_datapoints(read, width) == data[1:]
    for datapoint in read[:8]:
        _look_at(datapoint)


def _look_at(datapoint: Datapoint) -> None:
    repr(datapoint)
    assert isinstance(datapoint.value, bool | int | str | bytes)
    for read in (lambda dp: dp.as_int, records.read_battery, records.read_switch):
        with suppress(PayloadError):
            read(datapoint)
    for dpmap in _MAPS:
        event = RecordEvent.read(datapoint, dpmap)
        assert event.raw == datapoint.data


def _payload_types() -> tuple[type[Any], ...]:
    """Everything of the lock application that is read from bytes, in a stable order."""
    found = [
        value
        for module in (lock, credentials, credential_list)
        for name, value in sorted(vars(module).items())
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and hasattr(value, "from_bytes")
        and not issubclass(value, int)
        and not name.startswith("_")
    ]
    return (*found, RecordTrigger, GetRecords, OfflineT0)


TYPES = _payload_types()


def lock_payload(data: bytes) -> None:
    """What the lock application's datapoints contain; the first byte says which type."""
    raw = data[1:]
    with suppress(PayloadError):
        credential_list.read_sync(raw)
    kind = TYPES[data[0] % len(TYPES)] if data else TYPES[0]
    try:
        read = kind.from_bytes(raw)
    except PayloadError:
        return
    repr(read)
    with suppress(PayloadError):
        _read_all(read, [name for name in ("member", "trigger") if hasattr(kind, name)])
    grant = read if isinstance(read, credentials.Grant) else getattr(read, "grant", None)
    if grant is not None and any(digit > 9 for digit in grant.digits.reveal()):
        return  # read as it comes, never written
    assert read.to_bytes() == raw


def uuid(data: bytes) -> None:
    """A uuid as it goes over the air."""
    try:
        read = unpack_uuid(data)
    except SealError:
        return
    assert pack_uuid(read) == data


def meaning(data: bytes) -> None:
    """Every frame has a line for a person, whatever is in it."""
    source = Source(data)
    sender = Sender.LOCK if source.byte() & 1 else Sender.CENTRAL
    told = Frame(1, 0, source.code(), source.rest())
    for dpmap in _MAPS:
        line = describe(sender, told, dpmap)
        assert line
        assert "\n" not in line


# -- advertisements


_PROPERTIES = [name for name, value in vars(Advertisement).items() if isinstance(value, property)]


def advertisement(data: bytes) -> None:
    """Both halves as raw AD structures, and the characteristic that has them in one piece."""
    source = Source(data)
    adv, scan_rsp = source.chunk(), source.rest()
    with suppress(PayloadError):
        structures = parse_read_value(scan_rsp)
        assert parse_read_value(build_read_value(structures, b"")) == structures
    try:
        heard = Advertisement.parse(adv, scan_rsp)
    except RemoteProtocolError:
        return
    _look_at_advertisement(heard)
    try:
        again = heard.to_bytes()
    except LocalProtocolError:
        return  # only one half is known, or it is longer than legacy advertising
    assert Advertisement.parse(*again) == heard


def advertisement_parts(data: bytes) -> None:
    """The same as a Bluetooth stack hands it over."""
    source = Source(data)
    services, makers, names = source.byte(), source.byte(), source.byte()
    places = [
        (ADVERTISED_A201, COMPANY_ID),
        (ADVERTISED_FD50.upper(), COMPANY_ID_V2),
        (source.chunk().decode("latin-1"), source.number(2)),
    ]
    try:
        heard = Advertisement.from_parts(
            {place[0]: source.chunk() for bit, place in enumerate(places) if services >> bit & 1},
            {place[1]: source.chunk() for bit, place in enumerate(places) if makers >> bit & 1},
            source.chunk().decode(errors="replace") if names & 1 else None,
            [place[0] for bit, place in enumerate(places) if names >> (bit + 1) & 1],
        )
    except RemoteProtocolError:
        return
    _look_at_advertisement(heard)
    with suppress(LocalProtocolError):
        heard.to_bytes()


def _look_at_advertisement(heard: Advertisement) -> None:
    repr(heard)
    _read_all(heard, _PROPERTIES)
    assert heard.verify(KEYS) in (True, False)


# -- the cloud's instruction


EXPECTED = Expected(
    reservation=Reservation(40, 1),
    dp_id=71,
    central=APP_CENTRAL,
    peripheral=1,
    code=Secret(b"12345678"),
    operation=OpenOperation.OPEN,
    after_timestamp=1_700_000_000,
)


def instruction(data: bytes) -> None:
    """A sealed opening: exactly what was asked for, or ``InstructionError``."""
    source = Source(data)
    how = source.byte()
    dialect = Dialect(4 if how & 1 else 3, security_v2=bool(how & 2))
    if how & 4:
        message = source.rest()
    else:
        sn = EXPECTED.reservation.sn if how & 8 else source.number(4) or 1
        code = source.code() if how & 16 else dialect.write_code
        flag = dialect.session_flag if how & 32 else dialect.login_flag
        message = close_frame(Frame(sn, 0, code, source.rest()), flag=flag, ring=_RING, iv=IV)
    try:
        checked = check_instruction(message, EXPECTED, ring=_RING, dialect=dialect)
    except InstructionError:
        return
    request = checked.request
    assert checked.frame.sn == EXPECTED.reservation.sn
    assert checked.frame.code == dialect.write_code
    assert checked.flag in (dialect.login_flag, dialect.session_flag)
    assert checked.message.reveal() == message
    assert (request.central, request.peripheral) == (EXPECTED.central, EXPECTED.peripheral)
    assert (request.code, request.operation) == (EXPECTED.code, EXPECTED.operation)
    assert request.timestamp > EXPECTED.after_timestamp


# -- all of them


@dataclass(frozen=True, slots=True)
class Target:
    """``share`` is how many inputs it gets for each one of a slow target, ``size`` its longest."""

    one: Callable[[bytes], None]
    share: int = 1
    size: int = 1024


TARGETS = {
    "joiner": Target(joiner, 3),
    "sealed": Target(sealed, 3),
    "frame": Target(frame, 4),
    "payload": Target(payload, 4),
    "datapoints": Target(datapoints, 3),
    "lock_payload": Target(lock_payload, 4),
    "meaning": Target(meaning),
    "uuid": Target(uuid, 3),
    "advertisement": Target(advertisement, 3),
    "advertisement_parts": Target(advertisement_parts),
    "capture": Target(capture, 3, size=4096),
    "capture_values": Target(capture_values),
    "instruction": Target(instruction),
    "observer": Target(observer, size=512),
    "central": Target(central, size=512),
    "peripheral": Target(peripheral, size=512),
}
