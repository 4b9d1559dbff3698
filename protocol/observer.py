"""A third party that reads a conversation: both directions, from packets and keys alone.

It opens what the peers could open and refuses what they would refuse, so that a recording, a
pasted packet or a rehearsal can be shown to a person. It never answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .capture import Capture, Kind
from .commands import CommandCode, Sender
from .device_info import DeviceInfo
from .dialect import Dialect, double_md5_auth
from .errors import FragmentError, RemoteProtocolError, SealError
from .firmware import FIRMWARE_NAMES, firmware
from .fragment import MAX_TOTAL, Joiner, read_varint
from .keys import KeyRing, LockKeys, SecurityFlag
from .message import Opened, open_message
from .pairing import PairStatus

_UNBINDS = frozenset({CommandCode.UNBIND, CommandCode.RESET, CommandCode.ANOMALY_UNBIND})


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame that was read; ``line`` is where its last packet stood."""

    line: int
    sender: Sender
    opened: Opened


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Packets that gave no frame; ``line`` is where the last of them stood."""

    line: int
    sender: Sender
    error: str


Observation = Seen | Unreadable


@dataclass(slots=True)
class _Attempt:
    """Packets of one direction that belong together, from a fragment 0 to the next one."""

    line: int
    error: str | None = None
    whole: bool = False


@dataclass(slots=True)
class _Direction:
    sender: Sender
    joiner: Joiner
    most: int | None = None
    """Bytes of a packet that the receiver takes; it cuts the rest off."""
    attempt: _Attempt | None = None


@dataclass(slots=True)
class Observer:
    """Reads one conversation.

    Args:
        keys: of the lock.
        protocol: 3.0, 3.3, 4.4 or secv2 decides which flags and lengths are refused; any other
            word takes whatever some lock would take.
        bound: whether the lock is bound at the beginning; a bound lock takes no plaintext.
        att_payload: bytes of a write that the lock takes, ``None`` for any.
    """

    keys: LockKeys
    protocol: str = ""
    bound: bool = False
    att_payload: int | None = None
    _ring: KeyRing = field(init=False)
    _flags: frozenset[int] = field(init=False)
    _directions: dict[Sender, _Direction] = field(init=False)

    def __post_init__(self) -> None:
        max_total = MAX_TOTAL
        self._flags = Dialect().known_flags | Dialect(4, security_v2=True).known_flags
        if self.protocol in FIRMWARE_NAMES:
            known = firmware(self.protocol)
            max_total, self._flags = known.max_total, known.dialect.known_flags
        self._ring = KeyRing(self.keys)
        self._directions = {
            Sender.CENTRAL: _Direction(Sender.CENTRAL, Joiner(max_total), self.att_payload),
            Sender.LOCK: _Direction(Sender.LOCK, Joiner()),
        }

    def link_changed(self) -> list[Observation]:
        """A connection began or ended: half messages and the session key are gone."""
        self._ring.learn_srand(None)
        return self.finish()

    def finish(self) -> list[Observation]:
        """Nothing more comes: what is left of half messages."""
        return [seen for one in self._directions.values() for seen in self._close(one)]

    def feed(self, sender: Sender, packet: bytes, line: int) -> list[Observation]:
        """Take one packet (a write of the central, a notification of the lock).

        A message that cannot be read is told when the next one begins, so that all its
        packets are behind it; sort by ``line`` for the order of the conversation.
        """
        direction = self._directions[sender]
        if direction.most is not None:
            packet = packet[: direction.most]
        told: list[Observation] = []
        attempt = direction.attempt
        if attempt is None or attempt.whole or _begins(packet):
            told += self._close(direction)
            attempt = direction.attempt = _Attempt(line)
        attempt.line = line
        if attempt.error is None:
            try:
                told += self._take(direction, attempt, packet)
            except RemoteProtocolError as error:
                attempt.error = str(error)
        return told

    def _take(self, direction: _Direction, attempt: _Attempt, packet: bytes) -> list[Observation]:
        message = direction.joiner.feed(packet)
        if message is None:
            return []
        opened = self._open(direction.sender, message)
        attempt.whole = True
        self._learn(direction.sender, opened)
        return [Seen(attempt.line, direction.sender, opened)]

    def _open(self, sender: Sender, message: bytes) -> Opened:
        if message[0] == SecurityFlag.PLAIN and self.bound:
            raise SealError("plaintext, which a bound lock does not take")
        learns = sender is Sender.CENTRAL
        return open_message(message, self._ring, known_flags=self._flags, learns=learns)

    def _learn(self, sender: Sender, opened: Opened) -> None:
        """Follow what changes the keys: device information, binding, unbinding."""
        frame = opened.frame
        if sender is not Sender.LOCK:
            return
        if frame.code == CommandCode.DEVICE_INFO:
            try:
                info = DeviceInfo.from_bytes(frame.data)
            except RemoteProtocolError:
                return
            self._ring.double_md5_auth = double_md5_auth(info.protocol)
            self._ring.learn_srand(info.srand.reveal())
        elif frame.code == CommandCode.PAIR and frame.data[:1] == bytes((PairStatus.BOUND,)):
            self.bound = True
        elif frame.code in _UNBINDS:
            self.bound = False

    def _close(self, direction: _Direction) -> list[Observation]:
        attempt, direction.attempt = direction.attempt, None
        if attempt is None or attempt.whole:
            direction.joiner.reset()
            return []
        missing = direction.joiner.missing
        error = attempt.error or f"cut off, {missing} bytes missing"
        direction.joiner.reset()
        return [Unreadable(attempt.line, direction.sender, error)]


def _begins(packet: bytes) -> bool:
    try:
        return read_varint(packet, 0)[0] == 0
    except FragmentError:
        return False


def observe_capture(capture: Capture) -> list[Observation]:
    """Read a recorded conversation from its packets and its header's keys alone."""
    header = capture.header
    observer = Observer(header.keys, header.protocol, header.bound, header.att_payload)
    seen: list[Observation] = []
    for event in capture.events:
        if event.kind in (Kind.CONNECT, Kind.DISCONNECT):
            seen += observer.link_changed()
        elif event.value is not None:
            seen += observer.feed(event.sender, event.value, event.line)
    return in_order(seen + observer.finish())


def in_order(seen: list[Observation]) -> list[Observation]:
    """By the line on which each was complete."""
    return sorted(seen, key=lambda one: one.line)
