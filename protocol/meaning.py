"""What a frame means, in a few words for a person; secrets are masked.

Numbers, states and times are shown. Raw and text datapoints never are: PINs, check codes and
keys travel in them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from .commands import (
    CommandCode,
    DeviceInfoRequest,
    DpQuery,
    DpWrite,
    DpWriteReply,
    DpWriteV4,
    Opaque,
    Payload,
    Sender,
    Status,
    code_name,
    read_payload,
)
from .datapoint import Datapoint
from .device_info import DeviceInfo
from .dpmap import DpMap, DpName
from .errors import RemoteProtocolError
from .frame import Frame
from .lock import (
    CheckCodeReply,
    CheckCodeResult,
    CheckCodeSet,
    OpenOperation,
    OpenReply,
    OpenRequest,
    OpenResult,
)
from .pairing import PairRequest, PairStatus
from .records import Alarm, RecordEvent, RecordKind
from .reports import Report, ReportAck, ReportTime
from .times import ClockAnswer, DateAnswer, SavingAnswer, TimeAnswer, TimeRequest

MASK = "****"
_UNSYNCED = 30 * 365 * 24 * 3600
"""Below this a lock's time is seconds since power-up (reference: protocol §6.7)."""


def describe(sender: Sender, frame: Frame, dpmap: DpMap) -> str:
    """One line about a frame."""
    try:
        payload = read_payload(sender, frame.code, frame.data)
    except RemoteProtocolError as error:
        return f"{code_name(frame.code)}, not of its form: {error}"
    if isinstance(payload, Report):
        return _report(payload, dpmap)
    if isinstance(payload, DpWrite | DpWriteV4):
        return _all(payload.datapoints, lambda one: _write(one, dpmap)) or "write nothing"
    return _plain(sender, frame.code, payload)


def _plain(sender: Sender, code: int, payload: Payload) -> str:
    name = code_name(code).replace("_", " ")
    match payload:
        case DeviceInfoRequest(packet_size=size):
            packets = "" if size is None else f", packets of {size} bytes"
            return f"ask for device information{packets}"
        case DeviceInfo():
            major, minor = payload.protocol
            state = "bound" if payload.bound else "not bound"
            return f"device information: protocol {major}.{minor}, {state}, srand {MASK}"
        case PairRequest():
            return f"pair, login key {MASK}"
        case Status(status):
            return _answer(code, name, status)
        case DpWriteReply(state=state):
            return f"write taken: {_ok(state)}"
        case DpQuery(ids):
            return "ask for " + (", ".join(map(str, ids)) if ids else "all datapoints")
        case ReportAck(status=status):
            return f"acknowledge {name}: {_ok(status)}"
        case TimeRequest():
            return f"ask for the time ({name})"
        case ClockAnswer() | SavingAnswer() | DateAnswer():
            return _time(payload)
        case Opaque(data) if data:
            return f"{name}, {len(data)} bytes"
        case _:
            return name if sender is Sender.CENTRAL else f"{name} from the lock"


def _answer(code: int, name: str, status: int) -> str:
    if code == CommandCode.PAIR:
        return f"pairing: {_enum(PairStatus, status)}"
    if code == CommandCode.NETWORK_STATE:
        return f"network state {status}"
    return f"{name} answered: {_ok(status)}"


def _time(answer: TimeAnswer) -> str:
    zone = f"zone {answer.zone / 100:+g} h"
    match answer:
        case ClockAnswer(None) | SavingAnswer(None):
            return "the time is unknown"
        case ClockAnswer(int(unix_ms)):
            return f"the time is {_moment(unix_ms / 1000)}, {zone}"
        case SavingAnswer(int(unix_s)):
            return f"the time is {_moment(unix_s)}, {zone}"
        case DateAnswer() if answer != DateAnswer.unknown():
            date = f"{2000 + answer.year}-{answer.month:02}-{answer.day:02}"
            clock = f"{answer.hour:02}:{answer.minute:02}:{answer.second:02}"
            return f"the time is {date} {clock}, {zone}"
        case _:
            return "the time is unknown"


def _report(report: Report, dpmap: DpMap) -> str:
    if report.time is None:
        said = _all(report.datapoints, lambda one: _said(one, dpmap))
        return f"report: {said}" if said else "report of nothing"
    happened = _all(report.datapoints, lambda one: _happened(one, dpmap))
    return f"record {_when(report.time)}: {happened or 'nothing'}"


def _when(time: ReportTime) -> str:
    if time.seconds < _UNSYNCED:
        return f"{time.seconds:g} s after power-up"
    return _moment(time.seconds)


def _all(datapoints: tuple[Datapoint, ...], tell: Callable[[Datapoint], str]) -> str:
    return "; ".join(tell(one) for one in datapoints)


def _write(datapoint: Datapoint, dpmap: DpMap) -> str:
    try:
        match dpmap.name(datapoint.id):
            case DpName.OPEN_CHECKED:
                opening = OpenRequest.from_bytes(datapoint.data)
                verb = "open" if opening.operation == OpenOperation.OPEN else "close"
                return f"{verb} door, check code {MASK}"
            case DpName.CHECK_CODE:
                CheckCodeSet.from_bytes(datapoint.data)
                return f"set check code {MASK}"
            case DpName.GET_RECORDS:
                return "ask for stored records"
            case DpName.MANUAL_LOCK:
                return f"lock by hand: {_value(datapoint)}"
            case name:
                return f"write {_name(name, datapoint)} {_value(datapoint)}"
    except RemoteProtocolError as error:
        return f"write {_name(dpmap.name(datapoint.id), datapoint)}, not of its form: {error}"


def _said(datapoint: Datapoint, dpmap: DpMap) -> str:
    """A state, or the reply to a write."""
    name = dpmap.name(datapoint.id)
    try:
        match name:
            case DpName.OPEN_CHECKED | DpName.OPEN_RECORD:
                reply = OpenReply.from_bytes(datapoint.data)
                if reply.operation == OpenOperation.OPEN:
                    return f"open door: {_enum(OpenResult, reply.result)}"
                return "close door: taken (its last byte is an echo)"
            case DpName.CHECK_CODE:
                result = CheckCodeReply.from_bytes(datapoint.data).result
                return f"set check code: {_enum(CheckCodeResult, result)}"
            case DpName.BOLT:
                return f"bolt {'open' if datapoint.as_int else 'closed'}"
            case DpName.BATTERY:
                return f"battery {datapoint.as_int} %"
            case _:
                return f"{_name(name, datapoint)} {_value(datapoint)}"
    except RemoteProtocolError as error:
        return f"{_name(name, datapoint)}, not of its form: {error}"


def _happened(datapoint: Datapoint, dpmap: DpMap) -> str:
    """An event that was recorded."""
    event = RecordEvent.read(datapoint, dpmap)
    name = dpmap.name(datapoint.id)
    if event.kind is RecordKind.UNKNOWN:
        return f"{_name(name, datapoint)} {_value(datapoint)}"
    kind = str(event.kind).replace("_", " ")
    if event.kind is RecordKind.ALARM and event.value is not None:
        return f"alarm {_enum(Alarm, event.value)}"
    return kind if event.value is None else f"{kind} {event.value}"


def _name(name: DpName | None, datapoint: Datapoint) -> str:
    return f"datapoint {datapoint.id}" if name is None else str(name).replace("_", " ")


def _value(datapoint: Datapoint) -> str:
    value = datapoint.value
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if isinstance(value, int) else f"({len(datapoint.data)} bytes)"


def _enum(kind: type[PairStatus | OpenResult | CheckCodeResult | Alarm], value: int) -> str:
    try:
        return f"{kind(value).name.lower().replace('_', ' ')} ({value})"
    except ValueError:
        return str(value)


def _ok(status: int) -> str:
    return "ok" if status == 0 else f"refused ({status})"


def _moment(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s"
