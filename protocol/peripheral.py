"""The lock's side of one connection, as strict and as odd as the recorded firmwares.

It does what the vendor's SDK does: keys, numbers, pairing, structural answers, time-outs, and
silence where a real lock is silent. What a lock *is* (bolt, records, passwords) belongs to the
application that drives it: the simulator, or a test replaying a recording.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from . import events as ev
from .commands import (
    TIME_CODES,
    CommandCode,
    DeviceInfoRequest,
    Sender,
    Status,
    read_payload,
)
from .datapoint import read_datapoints
from .errors import LocalProtocolError, PayloadError, RemoteProtocolError, SealError
from .firmware import UNPAIRED_TIMEOUT, Firmware
from .fragment import Joiner, split
from .frame import CRC_SIZE, MAX_SN, Frame
from .gatt import DEFAULT_ATT_PAYLOAD
from .keys import KeyRing, LockKeys, Secret, SecurityFlag
from .message import Opened, close_frame, open_message
from .pairing import PairStatus
from .reports import REPORT_CODES, Report, ReportAck
from .state import PERIPHERAL, State, Step, advance, allowed

_COUNTER_END = 16
"""Frames after which the counter nibble sticks at 0, until the lock loses power."""
_ACKED_BY_ONE_BYTE = frozenset({CommandCode.REPORT, CommandCode.REPORT_TIMED})
_KEEPS_ALIVE = frozenset({CommandCode.DP_WRITE, CommandCode.REPORT, CommandCode.REPORT_TIMED})


@dataclass(frozen=True, slots=True)
class _Command:
    """A command that was accepted: its frame and the flag it came under."""

    frame: Frame
    flag: int

    @property
    def sn(self) -> int:
        return self.frame.sn

    @property
    def code(self) -> int:
        return self.frame.code

    @property
    def data(self) -> bytes:
        return self.frame.data


class Peripheral:
    """A state machine over ``state.PERIPHERAL``.

    Args:
        keys: the lock's identity; local_key and sec_key only where it is bound.
        firmware: whose habits it has.
        bound: whether it belongs to an account.
        new_iv: gives 16 fresh random bytes at every call.
        new_srand: gives the 6 bytes of each device information.

    Every method returns events in the order in which they happen; ``Notify`` and ``HangUp``
    are for the radio, the rest for the application. Nothing that the central writes raises.
    """

    def __init__(
        self,
        keys: LockKeys,
        firmware: Firmware,
        *,
        bound: bool,
        new_iv: Callable[[], bytes],
        new_srand: Callable[[], bytes],
    ) -> None:
        self.firmware = firmware
        self.bound = bound
        self._identity = replace(keys, local_key=None, sec_key=None)
        self._virtual_id22 = keys.virtual_id22 if bound else bytes(22)
        self._ring = KeyRing(keys if bound else self._identity)
        self._ring.double_md5_auth = firmware.gives_auth_key
        self._new_iv = new_iv
        self._new_srand = new_srand
        self._joiner = Joiner(max_total=firmware.max_total)
        self._counter = 0
        self._state = State.IDLE
        self._central_sn = self._lock_sn = 0
        self._packet = DEFAULT_ATT_PAYLOAD
        self._deadline: float | None = None
        self._leaving = False

    # -- the connection

    @property
    def state(self) -> State:
        """Where the connection is."""
        return self._state

    @property
    def paired(self) -> bool:
        """Whether commands are carried out and reports leave."""
        return self._state is State.READY

    @property
    def last_sn(self) -> int:
        """The highest number of the central on this connection, 0 before the first."""
        return self._central_sn

    def connected(self, now: float) -> None:
        """A central connected: numbers start over, 30 s to pair."""
        self._state = advance(PERIPHERAL, self._state, Step.CONNECT)
        self._reset()
        self._deadline = now + UNPAIRED_TIMEOUT

    def disconnected(self) -> None:
        """The link is gone."""
        self._state = advance(PERIPHERAL, self._state, Step.DISCONNECT)
        self._reset()

    def power_cycle(self) -> None:
        """The supply was cut: what is in RAM is gone, keys and ids stay."""
        self.disconnected()
        self._counter = 0
        self._ring.server_rand = None

    def deadline(self) -> float | None:
        """When ``handle_deadline`` wants to be called."""
        return self._deadline

    def handle_deadline(self, now: float) -> list[ev.PeripheralEvent]:
        """Hang up if nothing happened for too long."""
        if self._deadline is None or now < self._deadline:
            return []
        if self.paired:
            return [ev.HangUp(f"no write or ack for {self.firmware.idle_timeout:.0f} s")]
        return [ev.HangUp(f"not paired within {UNPAIRED_TIMEOUT:.0f} s")]

    # -- what the application sends

    def send(self, code: int, data: bytes = b"", *, ack_sn: int = 0) -> list[ev.PeripheralEvent]:
        """Any frame under the session key; lost while nobody is paired, as in the firmware."""
        if not self.paired:
            return [ev.Dropped("nobody is paired: not sent")]
        return [self._notify(code, data, ack_sn=ack_sn)]

    def report(self, report: Report) -> list[ev.PeripheralEvent]:
        """A report; lost while nobody is paired."""
        return self.send(report.code, report.to_bytes())

    # -- what comes in

    def receive_write(self, value: bytes, now: float) -> list[ev.PeripheralEvent]:
        """Take one write.

        Raises:
            LocalProtocolError: not connected.
        """
        if self._state is State.IDLE:
            raise LocalProtocolError("a write without a connection")
        if self._leaving:
            return [ev.Dropped("the lock is hanging up")]
        events = self._receive(value, now)
        self._leaving = any(isinstance(event, ev.HangUp) for event in events)
        return events

    def _receive(self, value: bytes, now: float) -> list[ev.PeripheralEvent]:
        try:
            message = self._joiner.feed(value[: self.firmware.att_payload])
            if message is None:
                return []
            opened = self._open(message)
        except RemoteProtocolError as error:
            return [ev.Dropped(str(error))]
        frame = opened.frame
        if frame.sn <= self._central_sn:
            return [ev.HangUp(f"number {frame.sn} is not above {self._central_sn}")]
        self._central_sn = frame.sn
        return self._dispatch(_Command(frame, opened.flag), now)

    def _open(self, message: bytes) -> Opened:
        flags = self.firmware.dialect.known_flags
        if self.bound:
            flags -= {SecurityFlag.PLAIN}
        return open_message(message, self._ring, known_flags=flags, learns=True)

    def _dispatch(self, command: _Command, now: float) -> list[ev.PeripheralEvent]:
        code = command.code
        if not self.paired and code not in self.firmware.answers_before_pairing:
            if self.firmware.security_v2 and code == CommandCode.DP_WRITE_V4:
                return [ev.CommandReceived(command.frame)]  # carried out, not answered (§9.4)
            return [ev.Dropped(f"command {code:#06x} before pairing")]
        if self.paired and self.firmware.idle_timeout is not None and code in _KEEPS_ALIVE:
            self._deadline = now + self.firmware.idle_timeout
        if code in REPORT_CODES or code in TIME_CODES:
            return self._take_answer(command)
        handler = self._handlers().get(code)
        if handler is None:
            return [ev.Dropped(f"command {code:#06x} is not known here")]
        if code == CommandCode.PAIR:
            return self._take_pair(command, now)
        return handler(command)

    def _handlers(self) -> dict[int, Callable[[_Command], list[ev.PeripheralEvent]]]:
        write = self._take_write_v4 if self.firmware.protocol[0] >= 4 else self._take_write
        return {
            CommandCode.DEVICE_INFO: self._take_info,
            CommandCode.PAIR: lambda command: self._take_pair(command, 0.0),
            self.firmware.dialect.write_code: write,
            CommandCode.DP_QUERY: self._take_query,
            CommandCode.UNBIND: self._take_unbind,
            CommandCode.RESET: self._take_unbind,
            CommandCode.ANOMALY_UNBIND: self._take_unbind,
            CommandCode.PASSTHROUGH: lambda command: [ev.CommandReceived(command.frame)],
        }

    def _take_info(self, command: _Command) -> list[ev.PeripheralEvent]:
        request = DeviceInfoRequest.from_bytes(command.data)
        if self.firmware.protocol[0] >= 4:
            size = request.packet_size
            if size is None and self.firmware.security_v2:
                return [ev.Dropped("device information asked without a packet size")]
            if size is None:
                return [ev.HangUp(f"device information asked with {len(command.data)} bytes")]
            self._packet = self._packet_for(size)
        self._state = advance(PERIPHERAL, self._state, Step.ASK_INFO)
        srand = self._new_srand()
        self._ring.learn_srand(srand)
        info = self.firmware.device_info(
            self._ring, srand=srand, bound=self.bound, virtual_id22=self._virtual_id22
        )
        flag = command.flag
        if self.firmware.info_flag_by_binding and self.bound:
            flag = self.firmware.dialect.login_flag
        reply = self._notify(CommandCode.DEVICE_INFO, info.to_bytes(), ack_sn=command.sn, flag=flag)
        return [reply]

    def _packet_for(self, asked: int) -> int:
        """Bytes of our notifications: as asked, or the smallest where that is impossible."""
        fits = DEFAULT_ATT_PAYLOAD <= asked <= self.firmware.att_payload
        return asked if fits else DEFAULT_ATT_PAYLOAD

    def _take_pair(self, command: _Command, now: float) -> list[ev.PeripheralEvent]:
        if not allowed(PERIPHERAL, self._state, Step.ASK_PAIR):
            return [ev.Dropped("pairing before device information")]
        dialect = self.firmware.dialect
        if command.data[:16] != self._identity.uuid16:
            found: list[ev.PeripheralEvent] = [
                self._status(command, PairStatus.FAILED, flag=command.flag)
            ]
            if self.firmware.asks_time and command.flag == dialect.session_flag:
                found.append(self._notify(CommandCode.TIME_CLOCK, b""))
            return [*found, ev.HangUp("pairing with another uuid")]
        events: list[ev.PeripheralEvent] = []
        status = PairStatus.ALREADY_BOUND
        reply_flag = command.flag if self.firmware.security_v2 else None
        if not self.bound:
            status = PairStatus.BOUND
            events.append(self._bind(command.data))
        if not self.paired:  # pairing once more keeps nothing alive (reference: protocol §3.5)
            idle = self.firmware.idle_timeout
            self._deadline = None if idle is None else now + idle
        self._state = advance(PERIPHERAL, self._state, Step.PAIRED)
        if reply_flag is None:
            reply_flag = dialect.session_flag
        events.append(self._status(command, status, flag=reply_flag))
        if self.firmware.asks_time:
            events.append(self._notify(CommandCode.TIME_CLOCK, b""))
        else:
            events.append(self._notify(CommandCode.NETWORK_STATE, b"\0", flag=reply_flag))
        return events

    def _bind(self, data: bytes) -> ev.Bound:
        """Take keys and id of the request, as they are."""
        login_key, self._virtual_id22 = data[16:22], data[22:44].ljust(22, b"\0")
        local_key, sec_key = login_key.ljust(16, b"\0"), None
        if self.firmware.security_v2:
            local_key, sec_key = data[44:60].ljust(16, b"\0"), Secret(data[60:76].ljust(16, b"\0"))
        self.bound = True
        self._rekey(replace(self._identity, local_key=Secret(local_key), sec_key=sec_key))
        return ev.Bound()

    def _rekey(self, keys: LockKeys) -> None:
        ring = KeyRing(keys, self._ring.double_md5_auth, self._ring.srand, self._ring.server_rand)
        self._ring = ring

    def _take_write(self, command: _Command) -> list[ev.PeripheralEvent]:
        if not self._is_list(command.data):
            return [self._status(command, 1)]
        return [self._status(command, 0), ev.CommandReceived(command.frame)]

    def _take_write_v4(self, command: _Command) -> list[ev.PeripheralEvent]:
        data = command.data
        good = len(data) >= 5 and data[0] == 0 and self._is_list(data[5:])
        state = 0 if good or not self.firmware.checks_writes else 1
        reply = self._notify(
            CommandCode.DP_WRITE_V4, data[:5].ljust(5, b"\0") + bytes((state,)), ack_sn=command.sn
        )
        return [reply, ev.CommandReceived(command.frame)] if good else [reply]

    def _is_list(self, raw: bytes) -> bool:
        firmware = self.firmware
        try:
            found = read_datapoints(raw, firmware.dialect.dp_width)
        except PayloadError:
            return False
        empty = any(not datapoint.data for datapoint in found)
        return (
            bool(found)
            and len(raw) <= firmware.max_dp_data
            and (firmware.takes_empty_datapoints or not empty)
        )

    def _take_query(self, command: _Command) -> list[ev.PeripheralEvent]:
        reply = self._notify(self.firmware.query_answer, b"\0", ack_sn=command.sn)
        return [reply, ev.CommandReceived(command.frame)]

    def _take_unbind(self, command: _Command) -> list[ev.PeripheralEvent]:
        v2 = self.firmware.security_v2
        if v2 and command.code == CommandCode.ANOMALY_UNBIND:
            return [ev.Dropped("security V2 does not process it")]
        anomaly = command.code == CommandCode.ANOMALY_UNBIND
        flag = command.flag if v2 or anomaly else None
        reply = self._status(command, 1 if v2 else 0, flag=flag)
        reset = command.code == CommandCode.RESET
        self.forget(reset=reset)
        return [reply, ev.Unbound(reset), ev.HangUp("unbound")]

    def forget(self, *, reset: bool) -> None:
        """Belong to nobody again; the virtual id goes with a reset only (§9.11)."""
        self.bound = False
        if reset:
            self._virtual_id22 = bytes(22)
        self._rekey(self._identity)

    def _take_answer(self, command: _Command) -> list[ev.PeripheralEvent]:
        data = command.data
        if not data and command.code in _ACKED_BY_ONE_BYTE and not self.firmware.security_v2:
            # The firmware reads whatever comes next: the first byte of the checksum.
            data = command.frame.to_bytes()[-CRC_SIZE:-1]
        try:
            payload = read_payload(Sender.CENTRAL, command.code, data)
        except PayloadError as error:
            return [ev.Dropped(str(error))]
        if isinstance(payload, ReportAck):
            return [ev.ReportAcked(payload)]
        return [ev.TimeAnswered(command.code, payload)]  # type: ignore[arg-type]

    # -- plumbing

    def _reset(self) -> None:
        self._joiner.reset()
        self._ring.learn_srand(None)
        self._central_sn = 0
        self._lock_sn = 0
        self._packet = DEFAULT_ATT_PAYLOAD
        self._deadline = None
        self._leaving = False

    def _status(
        self, command: _Command, status: int, *, flag: int | None = None
    ) -> ev.Notify | ev.Dropped:
        return self._notify(command.code, Status(status).to_bytes(), ack_sn=command.sn, flag=flag)

    def _notify(
        self, code: int, data: bytes, *, ack_sn: int = 0, flag: int | None = None
    ) -> ev.Notify | ev.Dropped:
        self._lock_sn = min(self._lock_sn + 1, MAX_SN)
        frame = Frame(self._lock_sn, ack_sn, code, data)
        flag = self.firmware.dialect.session_flag if flag is None else flag
        try:
            message = close_frame(frame, flag=flag, ring=self._ring, iv=self._new_iv())
        except SealError as error:
            return ev.Dropped(f"no answer: {error}")
        fragments = split(
            message,
            att_payload=self._packet,
            major=self.firmware.protocol[0],
            counter=self._counter % _COUNTER_END,
        )
        # The vendor's counter sticks at 0 once it has counted to 16 (captures lock-counter).
        self._counter = self._counter + 1 if self._counter < _COUNTER_END else self._counter
        return ev.Notify(frame.sn, code, tuple(fragments))
