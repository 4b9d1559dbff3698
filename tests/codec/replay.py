"""Replaying a recorded conversation with our own roles in place of the recorded ones.

The recording gives what a role cannot know: random numbers (IVs, srand) and what the people
and applications on either side decided to do. Everything else must come out by itself, byte
for byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from protocol import Central, DpMap, DpName, Peripheral
from protocol import events as ev
from protocol.capture import Capture, Event, Kind, RecordedFrame, parse_capture
from protocol.commands import (
    CommandCode,
    DeviceInfoRequest,
    DpWrite,
    DpWriteV4,
    Payload,
    Sender,
    read_payload,
)
from protocol.credits import RecordAcks
from protocol.device_info import DeviceInfo
from protocol.dpmap import LockGeneration
from protocol.firmware import Firmware, firmware
from protocol.fragment import Joiner
from protocol.instruction import Expected
from protocol.lock import OpenOperation, OpenRequest
from protocol.message import Outgoing
from protocol.pairing import PairRequest
from protocol.reports import REPORT_CODES
from protocol.times import ClockAnswer, DateAnswer, SavingAnswer

CAPTURES = Path(__file__).parent.parent / "captures" / "firmware"
FILES = sorted(path.name for path in CAPTURES.glob("*.jsonl"))
DPS = DpMap.default(LockGeneration.V3_3)


def load(name: str) -> Capture:
    """A recording by file name."""
    return parse_capture((CAPTURES / name).read_text())


def firmware_of(capture: Capture) -> Firmware:
    """The firmware that was recorded."""
    return firmware(capture.header.protocol, att_payload=capture.header.att_payload)


def by_message(capture: Capture) -> Iterator[tuple[Event, list[bytes]]]:
    """The events, packets gathered: the event of a message's last packet, and all its packets."""
    half: dict[Sender, list[bytes]] = {Sender.CENTRAL: [], Sender.LOCK: []}
    for event in capture.events:
        if event.value is None:
            yield event, []
            continue
        half[event.sender].append(event.value)
        if event.frame is not None or event.broken is not None:
            yield event, half[event.sender]
            half[event.sender] = []


def join(packets: Iterable[bytes]) -> bytes:
    """The message in these packets."""
    joiner, message = Joiner(), None
    for packet in packets:
        assert message is None, "packets behind the end of a message"
        message = joiner.feed(packet)
    assert message is not None, "an unfinished message"
    return message


def ivs(capture: Capture, sender: Sender) -> deque[bytes]:
    """The random numbers that one side drew for its messages."""
    return deque(
        event.frame.iv
        for event in capture.events
        if event.frame is not None and event.sender is sender
    )


class CentralReplay:
    """Our central against a recorded lock: it must write what the recorded central wrote."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.ivs = ivs(capture, Sender.CENTRAL)
        self.central = Central(
            capture.header.keys,
            new_iv=self.ivs.popleft,
            dialect=firmware_of(capture).dialect,
            att_payload=capture.header.att_payload,
            record_acks=RecordAcks.FREE,  # the recorded centrals tried out what happens
        )
        self.asked: dict[int, ev.TimeAsked] = {}
        self.reported: dict[int, ev.Reported] = {}
        self.events: list[ev.CentralEvent] = []

    def run(self, until: int | None = None) -> None:
        """Go through the recording; an AssertionError names the first line that differs.

        ``until`` is the first line that is not replayed.
        """
        for event, packets in by_message(self.capture):
            if until is not None and event.line >= until:
                return
            match event.kind:
                case Kind.CONNECT:
                    self.central.connected()
                    self.asked, self.reported = {}, {}
                case Kind.DISCONNECT:
                    self.central.disconnected()
                case Kind.NOTIFY:
                    self._take(event, packets)
                case Kind.WRITE:
                    self._expect(event, packets)
                case _:
                    pass  # what happens at the lock is not for the central to see

    def _take(self, event: Event, packets: list[bytes]) -> None:
        found = [one for packet in packets for one in self.central.receive(packet, event.t)]
        assert found, f"line {event.line} gave no event"
        for one in found:
            assert not isinstance(one, ev.Unclaimed) or _has_no_type(one), f"line {event.line}"
            if isinstance(one, ev.TimeAsked):
                self.asked[one.sn] = one
            elif isinstance(one, ev.Reported):
                self.reported[one.sn] = one
        self.events += found

    def _expect(self, event: Event, packets: list[bytes]) -> None:
        assert event.frame is not None, f"line {event.line} is broken on purpose"
        outgoing = self._write(event, event.frame, packets)
        where = f"line {event.line}"
        frame = event.frame
        assert (outgoing.sn, outgoing.code, outgoing.flag) == (frame.sn, frame.code, frame.flag)
        assert join(outgoing.fragments) == join(packets), where
        if all(len(packet) == self.capture.header.att_payload for packet in packets[:-1]):
            assert list(outgoing.fragments) == packets, where
        self.central.handed_over(outgoing)

    def _write(self, event: Event, frame: RecordedFrame, packets: list[bytes]) -> Outgoing:
        """Do what the recorded central did, by the call that is meant for it."""
        central, now, data = self.central, event.t, frame.data
        if frame.code == CommandCode.DEVICE_INFO:
            bound = frame.flag == central.dialect.login_flag
            return central.ask_device_info(now, bound=bound, request=DeviceInfoRequest(data))
        if frame.code == CommandCode.ANOMALY_UNBIND:
            return central.unbind_anomaly()
        if frame.sn != central.last_sn + 1:
            return self._sealed(frame, join(packets))
        payload = read_payload(Sender.CENTRAL, frame.code, data) if data else None
        match payload:
            case PairRequest():
                return central.pair(now, request=payload)
            case ClockAnswer() | DateAnswer() | SavingAnswer() if frame.ack_sn in self.asked:
                return central.answer_time(self.asked[frame.ack_sn], payload, now)
            case DpWrite() | DpWriteV4() if _is_own_write(central, frame, payload):
                sn = payload.sn if isinstance(payload, DpWriteV4) else 0
                return central.write_datapoint(payload.datapoints[0], now, dp_sn=sn)
            case _ if frame.code in REPORT_CODES and frame.ack_sn in self.reported and data:
                return central.acknowledge(self.reported[frame.ack_sn], now, status=data[-1])
            case _:
                return central.send(frame.code, data, ack_sn=frame.ack_sn)

    def _sealed(self, frame: RecordedFrame, message: bytes) -> Outgoing:
        """A frame that was prepared elsewhere: reserve its number, check it, send it."""
        payload = read_payload(Sender.CENTRAL, frame.code, frame.data)
        assert isinstance(payload, DpWrite | DpWriteV4)
        request = OpenRequest.from_bytes(payload.datapoints[0].data)
        expected = Expected(
            reservation=self.central.reserve(frame.sn - self.central.last_sn),
            dp_id=DPS.number(DpName.OPEN_CHECKED),
            central=request.central,
            peripheral=request.peripheral,
            code=request.code,
            operation=OpenOperation(request.operation),
        )
        instruction = self.central.check_instruction(message, expected)
        self.ivs.popleft()  # its IV was drawn by whoever sealed it
        outgoing, believed = self.central.send_instruction(instruction, next_sn=frame.sn + 1)
        assert believed
        return outgoing


def _is_own_write(central: Central, frame: RecordedFrame, payload: Payload) -> bool:
    assert isinstance(payload, DpWrite | DpWriteV4)
    return frame.code == central.dialect.write_code and len(payload.datapoints) == 1


def _has_no_type(event: ev.Unclaimed) -> bool:
    return event.frame.code in (CommandCode.PASSTHROUGH, CommandCode.ANOMALY_UNBIND)


class PeripheralReplay:
    """Our lock's side against a recorded central: it must answer what the recorded lock did.

    What the lock's application decided (reports, pass-through, questions for the time) is taken
    from the recording; the frames, their order, keys, numbers and packets are ours.
    """

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.ivs = ivs(capture, Sender.LOCK)
        self.srands = deque(_srands(capture))
        self.lock = Peripheral(
            capture.header.keys,
            firmware_of(capture),
            bound=capture.header.bound,
            new_iv=self.ivs.popleft,
            new_srand=self.srands.popleft,
        )
        self.waiting: deque[ev.Notify | ev.HangUp] = deque()
        self.events: list[ev.PeripheralEvent] = []

    def run(self) -> None:
        """Go through the recording; an AssertionError names the first line that differs."""
        for event, packets in by_message(self.capture):
            self._time_passes(event)
            if event.kind is not Kind.NOTIFY and event.sender is Sender.CENTRAL:
                assert not self.waiting, f"unrecorded before line {event.line}: {self.waiting}"
            match event.kind:
                case Kind.CONNECT:
                    self.lock.connected(event.t)
                case Kind.DISCONNECT:
                    self._ended(event)
                case Kind.WRITE:
                    for packet in packets:
                        self._happened(self.lock.receive_write(packet, event.t))
                case Kind.NOTIFY:
                    self._said(event, packets)
                case Kind.POWER if event.power in ("off", "restart"):
                    self.lock.power_cycle()
                case Kind.LOCAL if event.local and event.local.get("action") == "factory_reset":
                    self.lock.forget(reset=False)
                case _:
                    pass
        assert not self.waiting
        assert not self.ivs, "fewer messages than recorded"

    def _time_passes(self, event: Event) -> None:
        deadline = self.lock.deadline()
        if deadline is not None and deadline <= event.t + 1e-6:
            self._happened(self.lock.handle_deadline(event.t + 1e-6))

    def _happened(self, events: list[ev.PeripheralEvent]) -> None:
        self.events += events
        self.waiting += (one for one in events if isinstance(one, ev.Notify | ev.HangUp))

    def _ended(self, event: Event) -> None:
        if event.sender is Sender.LOCK:
            assert self.waiting, f"line {event.line}: the recorded lock hung up, ours did not"
            assert isinstance(self.waiting.popleft(), ev.HangUp), f"line {event.line}"
        self.lock.disconnected()

    def _said(self, event: Event, packets: list[bytes]) -> None:
        assert event.frame is not None
        if not self.waiting:
            frame = event.frame
            self._happened(self.lock.send(frame.code, frame.data, ack_sn=frame.ack_sn))
        assert self.waiting, f"line {event.line}: the recorded lock spoke, ours did not"
        said = self.waiting.popleft()
        assert isinstance(said, ev.Notify), f"line {event.line}: {said}"
        assert list(said.fragments) == packets, f"line {event.line}"


def _srands(capture: Capture) -> Iterator[bytes]:
    for event in capture.events:
        frame = event.frame
        if frame is None or event.sender is not Sender.LOCK:
            continue
        if frame.code == CommandCode.DEVICE_INFO:
            yield DeviceInfo.from_bytes(frame.data).srand.reveal()
