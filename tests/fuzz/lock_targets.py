"""The targets on the other sides of a conversation: a lock in every state, and an observer.

Their inputs are lists of steps. Most steps are frames that the other side could have sealed,
for nothing else gets past the first check.
"""

from __future__ import annotations

from protocol import events as ev
from protocol.commands import CommandCode, Sender
from protocol.firmware import FIRMWARE_NAMES
from protocol.fragment import split
from protocol.frame import Frame
from protocol.keys import LockKeys
from protocol.message import close_frame
from protocol.observer import Observer, Seen, Unreadable
from protocol.pairing import PairRequest
from protocol.peripheral import Peripheral
from protocol.reports import Report
from protocol.state import State

from .conversation import (
    FIRMWARES,
    IV,
    KEYS,
    MAX_STEPS,
    SRAND,
    run_steps,
    sealed_message,
)
from .source import Source

_UNBOUND = LockKeys(uuid=KEYS.uuid, auth_key=KEYS.auth_key)

# -- peripheral

PERIPHERAL_STATES = (State.READY, State.CONNECTED, State.KEYED, State.READY)


class _PeripheralUnderTest:
    """A lock in one of its states, and what its central can do."""

    def __init__(self, source: Source) -> None:
        first, second = source.byte(), source.byte()
        self.now = 0.0
        self.kind = FIRMWARES[FIRMWARE_NAMES[first & 3]]
        self.bound = bool(first & 4)
        self.peripheral = Peripheral(
            KEYS if self.bound else _UNBOUND,
            self.kind,
            bound=self.bound,
            new_iv=lambda: IV,
            new_srand=lambda: SRAND,
        )
        self._walk_to(PERIPHERAL_STATES[second & 3])

    def _walk_to(self, state: State) -> None:
        peripheral, dialect = self.peripheral, self.kind.dialect
        peripheral.connected(self.now)
        if state is State.CONNECTED:
            return
        flag = dialect.login_flag if self.bound else dialect.auth_flag
        self._ask(CommandCode.DEVICE_INFO, b"\0\x14" if dialect.major >= 4 else b"", flag)
        if state is State.KEYED:
            return
        request = PairRequest.of(KEYS, security_v2=dialect.security_v2)
        flag = dialect.session_flag if self.bound else dialect.auth_session_flag
        self._ask(CommandCode.PAIR, request.to_bytes(), flag)
        assert peripheral.state is state

    def _ask(self, code: int, data: bytes, flag: int) -> None:
        ring = self.peripheral._ring
        if not self.bound and ring.server_rand is None:
            ring.learn_server_rand(IV)
        frame = Frame(self.peripheral.last_sn + 1, 0, code, data)
        self._feed(close_frame(frame, flag=flag, ring=ring, iv=IV))

    def _feed(self, message: bytes) -> None:
        for packet in split(message, att_payload=20, major=self.kind.dialect.major):
            self.receive(packet)

    def receive(self, packet: bytes) -> None:
        """One write; nothing that a central writes raises."""
        peripheral = self.peripheral
        last_sn = peripheral.last_sn
        events = peripheral.receive_write(packet, self.now)
        assert peripheral.last_sn >= last_sn
        for event in events:
            repr(event)
            if isinstance(event, ev.Notify):
                limit = self.kind.att_payload
                assert all(0 < len(packet) <= limit for packet in event.fragments)

    def write(self, source: Source) -> None:
        self.receive(source.chunk())

    def sealed(self, source: Source) -> None:
        peripheral, dialect = self.peripheral, self.kind.dialect
        usual = dialect.session_flag if peripheral.bound else dialect.auth_flag
        message = sealed_message(source, peripheral._ring, peripheral.last_sn, usual)
        if len(message) <= 1536:
            self._feed(message)

    def wait(self, source: Source) -> None:
        self.now += source.byte()
        self.peripheral.handle_deadline(self.now)

    def act(self, source: Source) -> None:
        """Something that the lock application or the radio does."""
        peripheral = self.peripheral
        match source.byte() % 4:
            case 0:
                peripheral.report(Report(code=0x8001, datapoints=()))
            case 1:
                peripheral.disconnected()
                peripheral.connected(self.now)
            case 2:
                peripheral.power_cycle()
                peripheral.connected(self.now)
            case _:
                peripheral.send(CommandCode.TIME_DATE)


def peripheral(data: bytes) -> None:
    """The lock's side in every state, with frames that a central could have sent."""
    source = Source(data)
    tested = _PeripheralUnderTest(source)
    run_steps(source, (tested.sealed, tested.write, tested.wait, tested.act))


# -- observer


def observer(data: bytes) -> None:
    """A third party never raises, and tells of every packet group once, in order."""
    source = Source(data)
    first = source.byte()
    name = (*FIRMWARE_NAMES, "")[first % 5]
    watching = Observer(KEYS, name, bound=bool(first & 64), att_payload=20 if first & 128 else None)
    last_sn = {Sender.CENTRAL: 0, Sender.LOCK: 0}
    told: list[Seen | Unreadable] = []
    for line in range(1, MAX_STEPS + 1):
        if not source.more:
            break
        how = source.byte()
        sender = Sender.LOCK if how & 1 else Sender.CENTRAL
        if how & 6 == 6:
            told += watching.link_changed()
        elif how & 6 == 4:
            told += watching.feed(sender, source.chunk(), line)
        else:
            usual = 5 if name != "secv2" else 15
            message = sealed_message(source, watching._ring, last_sn[sender], usual)
            last_sn[sender] += 1
            for packet in split(message, att_payload=20, major=4 if how & 8 else 3):
                told += watching.feed(sender, packet, line)
    told += watching.finish()
    assert watching.finish() == []
    for sender in Sender:
        lines = [one.line for one in told if one.sender is sender]
        assert lines == sorted(set(lines))
    repr(told)
