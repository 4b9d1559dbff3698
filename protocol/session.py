"""What the central knows during one connection, and forgets with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .commands import CommandCode, Payload, Sender, read_payload
from .credits import Origin, RecordAcks, RecordCredits
from .device_info import DeviceInfo
from .dialect import Dialect
from .errors import LocalProtocolError, SealError, SequenceError
from .fragment import Joiner, split
from .frame import Frame
from .keys import KeyRing, SecurityFlag
from .message import Opened, Outgoing, close_frame, open_message
from .numbers import SnCounter
from .reports import Report, ReportAck
from .seal import IV_SIZE
from .verdict import Question

INFO_TIMEOUT = 2.0
"""Seconds for device information; silence means a wrong key or another lock (safety H1)."""
PAIR_TIMEOUT = 3.0
"""Seconds for the answer to pairing (safety H1)."""


@dataclass(slots=True)
class Awaited:
    """A question, and whether the last fragment of its command was handed over."""

    question: Question
    sn: int
    handed_over: bool = False


@dataclass(slots=True, kw_only=True)
class Session:
    """Keys, numbers, credits and questions of one connection."""

    ring: KeyRing
    numbers: SnCounter
    dialect: Dialect
    att_payload: int
    new_iv: Callable[[], bytes]
    record_acks: RecordAcks = RecordAcks.CREDITS
    joiner: Joiner = field(default_factory=Joiner)
    credits: RecordCredits = field(default_factory=RecordCredits)
    lock_sn: int = 0
    info: DeviceInfo | None = None
    asked: Outgoing | None = None
    """The handshake request that waits for its answer."""
    deadline: float | None = None
    sent: dict[int, int] = field(default_factory=dict)
    """Commands without an answer so far, by sn."""
    awaited: Awaited | None = None
    lock_clock: tuple[float, float] | None = None
    """The time we told the lock, and when."""
    last_timestamp: int = -1
    """Of the last opening sent on this connection (safety C5)."""

    def own(
        self, code: int, data: bytes = b"", *, ack_sn: int = 0, flag: int | None = None
    ) -> Outgoing:
        """Seal a frame of our own. Its number counts as used, written or not.

        Raises:
            LocalProtocolError: no number left, or a key that is not known. Nothing has changed.
        """
        flag = self.dialect.session_flag if flag is None else flag
        sn = self.numbers.peek()
        message = self._close(Frame(sn, ack_sn, code, data), flag)
        outgoing = self.outgoing(message, sn, code, flag)
        self.numbers.take()
        if code < CommandCode.REPORT:
            self.sent[sn] = code
        return outgoing

    def _close(self, frame: Frame, flag: int) -> bytes:
        iv, before = self.new_iv(), self.ring.server_rand
        if len(iv) != IV_SIZE:
            raise LocalProtocolError(f"an IV has {IV_SIZE} bytes, not {len(iv)}")
        if flag in (self.dialect.auth_flag, self.dialect.anomaly_flag):
            self.ring.learn_server_rand(iv)
        try:
            return close_frame(frame, flag=flag, ring=self.ring, iv=iv)
        except SealError as error:
            self.ring.restore_server_rand(before)
            raise LocalProtocolError(f"cannot seal: {error}") from error

    def reseal(self, frame: Frame) -> bytes:
        """A foreign frame under the session key."""
        return self._close(frame, self.dialect.session_flag)

    def outgoing(self, message: bytes, sn: int, code: int, flag: int) -> Outgoing:
        """A message in fragments."""
        fragments = split(message, att_payload=self.att_payload, major=self.dialect.major)
        return Outgoing(sn, code, flag, tuple(fragments))

    def take(self, notification: bytes) -> tuple[Opened, Payload] | None:
        """Take a notification; a frame and its payload once one is whole.

        Raises:
            RemoteProtocolError: it cannot be read, or its number is not above the last.
        """
        message = self.joiner.feed(notification)
        if message is None:
            return None
        # Nobody answers us in plaintext: we never speak it.
        flags = self.dialect.known_flags - {SecurityFlag.PLAIN}
        opened = open_message(message, self.ring, known_flags=flags)
        frame = opened.frame
        if frame.sn <= self.lock_sn:
            raise SequenceError(f"the lock's number {frame.sn} is not above {self.lock_sn}")
        payload = read_payload(Sender.LOCK, frame.code, frame.data)
        self.lock_sn = frame.sn
        return opened, payload

    def answers(self, opened: Opened) -> bool:
        """Whether a frame answers the handshake request that is open."""
        asked = self.asked
        return (
            asked is not None
            and opened.frame.code == asked.code
            and opened.frame.ack_sn == asked.sn
            and opened.flag in (asked.flag, self.dialect.login_flag, self.dialect.session_flag)
        )

    def check_ack(
        self, report: Report, origin: Origin | None, now: float, status: int
    ) -> tuple[ReportAck, bool]:
        """The acknowledgement of a report, and whether it costs a credit.

        Raises:
            LocalProtocolError: it wants none, is live, or there is no credit (safety D1).
        """
        ack = report.ack(status)
        if ack is None:
            raise LocalProtocolError("this report wants no acknowledgement")
        counted = self.record_acks is RecordAcks.CREDITS
        spend = counted and status == 0 and ack.code == CommandCode.REPORT_TIMED
        if spend and origin is Origin.LIVE:
            raise LocalProtocolError("no credit for a live record: it is in no backlog")
        if spend:
            self.credits.check(now)
        return ack, spend

    def lock_time(self, now: float) -> float | None:
        """The lock's clock, where we set it on this connection."""
        if self.lock_clock is None:
            return None
        told, at = self.lock_clock
        return told + now - at
