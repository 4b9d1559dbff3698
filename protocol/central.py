"""Our side of one connection, without any IO.

Feed it notifications, ``now`` and deadlines; it returns events. Ask it to send something; it
returns an ``Outgoing``, whose fragments the driver writes in order, each once. It never writes
by itself and never reads a clock: ``now`` is any monotonic number of seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from . import events as ev
from .commands import (
    CommandCode,
    DeviceInfoRequest,
    DpQuery,
    DpWrite,
    DpWriteReply,
    DpWriteV4,
    Payload,
    Status,
)
from .credits import Origin, RecordAcks
from .datapoint import Datapoint
from .device_info import DeviceInfo
from .dialect import Dialect, double_md5_auth
from .errors import LocalProtocolError
from .gatt import DEFAULT_ATT_PAYLOAD
from .instruction import Expected, Instruction, InstructionAir, check_instruction
from .keys import KeyRing, LockKeys
from .message import Opened, Outgoing
from .numbers import RESERVATION_ROOM, Reservation, SnCounter
from .pairing import PairRequest, PairStatus
from .reports import Report
from .session import INFO_TIMEOUT, PAIR_TIMEOUT, Awaited, Session
from .state import CENTRAL, State, Step, advance
from .times import ClockAnswer, TimeAnswer, TimeRequest
from .verdict import Moved, Question, Ruling, Verdict


class Central:
    """A state machine over ``state.CENTRAL``.

    Args:
        keys: what is known of the lock.
        new_iv: gives 16 fresh random bytes at every call.
        dialect: protocol major version and security generation, from the advertisement.
        att_payload: bytes in one write (``gatt.usable_att_payload``).
        sn_start: first sequence number of every connection (safety B3).
        record_acks: strategy for acknowledging records.
        get_records_dp: datapoint that asks for the backlog, where the product has one.

    Illegal calls raise ``LocalProtocolError`` and change nothing. ``receive`` raises
    ``RemoteProtocolError`` for what cannot be read; the connection stays usable.
    """

    def __init__(
        self,
        keys: LockKeys,
        *,
        new_iv: Callable[[], bytes],
        dialect: Dialect | None = None,
        att_payload: int = DEFAULT_ATT_PAYLOAD,
        sn_start: int = 1,
        record_acks: RecordAcks = RecordAcks.CREDITS,
        get_records_dp: int | None = None,
    ) -> None:
        self._keys = keys
        self._first_dialect = dialect or Dialect()
        self._att_payload = att_payload
        self._new_iv = new_iv
        self._sn_start = sn_start
        self._record_acks = record_acks
        self._get_records_dp = get_records_dp
        self._connection = 0
        self._state = State.IDLE
        self._session = self._new_session()

    # -- the connection

    @property
    def state(self) -> State:
        """Where the connection is."""
        return self._state

    @property
    def dialect(self) -> Dialect:
        """How we talk: as advertised, then as the device information says."""
        return self._session.dialect

    @property
    def info(self) -> DeviceInfo | None:
        """Device information of this connection."""
        return self._session.info

    @property
    def last_sn(self) -> int:
        """The highest number used on this connection."""
        return self._session.numbers.last

    @property
    def own_numbers_left(self) -> int:
        """Frames of our own that may go out before an open reservation is used or cancelled."""
        return self._session.numbers.own_left

    def connected(self) -> None:
        """The link is up and notifications are on."""
        self._advance(Step.CONNECT)
        self._connection += 1
        self._session = self._new_session()

    def disconnected(self) -> None:
        """The link is gone; keys, numbers, reservations and questions of it are forgotten."""
        self._advance(Step.DISCONNECT)
        self._session = self._new_session()

    def deadline(self) -> float | None:
        """When ``handle_deadline`` wants to be called, ``None`` while nothing is awaited."""
        return self._session.deadline

    def handle_deadline(self, now: float) -> list[ev.CentralEvent]:
        """Tell what was awaited in vain."""
        deadline = self._session.deadline
        if deadline is None or now < deadline:
            return []
        self._session.deadline = None
        return [ev.TimedOut(self._state)]

    # -- the handshake

    def ask_device_info(
        self,
        now: float,
        *,
        bound: bool = True,
        request: DeviceInfoRequest | None = None,
    ) -> Outgoing:
        """Ask for device information: under the login key, or the auth key while unbound."""
        if request is None and self.dialect.major >= 4:
            request = DeviceInfoRequest.for_packets(self._att_payload)
        data = request.to_bytes() if request else b""
        flag = self.dialect.login_flag if bound else self.dialect.auth_flag
        return self._ask(Step.ASK_INFO, CommandCode.DEVICE_INFO, data, flag, now + INFO_TIMEOUT)

    def pair(self, now: float, *, request: PairRequest | None = None) -> Outgoing:
        """Log in to a bound lock; bind an unbound one (the agent itself never does)."""
        request = request or PairRequest.of(self._keys, security_v2=self.dialect.security_v2)
        bound = self.info is not None and self.info.bound
        flag = self.dialect.session_flag if bound else self.dialect.auth_session_flag
        data = request.to_bytes()
        return self._ask(Step.ASK_PAIR, CommandCode.PAIR, data, flag, now + PAIR_TIMEOUT)

    def _ask(self, step: Step, code: int, data: bytes, flag: int, deadline: float) -> Outgoing:
        state = self._after(step)
        outgoing = self._session.own(code, data, flag=flag)
        self._state, self._session.asked, self._session.deadline = state, outgoing, deadline
        return outgoing

    def unbind_anomaly(self) -> Outgoing:
        """Unbind under the auth key alone, before pairing. Destroys what the lock stores."""
        self._after(Step.ANOMALY_UNBIND)
        return self._session.own(CommandCode.ANOMALY_UNBIND, flag=self.dialect.anomaly_flag)

    # -- commands of our own

    def send(self, code: int, data: bytes = b"", *, ack_sn: int = 0) -> Outgoing:
        """Any command under the session key, acknowledgements of records excepted.

        Raises:
            LocalProtocolError: not ready, no number left, or a record's acknowledgement, for
                which ``acknowledge`` keeps the books.
        """
        if code == CommandCode.REPORT_TIMED and self._record_acks is RecordAcks.CREDITS:
            raise LocalProtocolError("a record is acknowledged with acknowledge()")
        self._after(Step.COMMAND)
        return self._session.own(code, data, ack_sn=ack_sn)

    def query(self, ids: tuple[int, ...] = ()) -> Outgoing:
        """Ask for datapoints, all if none is named.

        Not between a write and its verdict: it replays old datapoints.
        """
        return self.send(CommandCode.DP_QUERY, DpQuery(ids).to_bytes())

    def write_datapoint(
        self, datapoint: Datapoint, now: float, *, question: Question | None = None, dp_sn: int = 0
    ) -> Outgoing:
        """Write one datapoint in the framing of this lock.

        ``question`` makes the lock's own word about it a ``Judged`` event; ``dp_sn`` is the
        write's own number in 4.x.
        """
        if self.dialect.write_code is CommandCode.DP_WRITE_V4:
            data = DpWriteV4((datapoint,), dp_sn).to_bytes()
        else:
            data = DpWrite((datapoint,)).to_bytes()
        outgoing = self.send(self.dialect.write_code, data)
        if question is not None:
            self._session.awaited = Awaited(question, outgoing.sn)
        if datapoint.id == self._get_records_dp:
            self.backlog_asked(now)
        return outgoing

    def answer_time(self, asked: ev.TimeAsked, answer: TimeAnswer, now: float) -> Outgoing:
        """Answer a time question; with the answer's ``unknown()`` from an untrusted clock."""
        outgoing = self.send(asked.code, answer.to_bytes(), ack_sn=asked.sn)
        if isinstance(answer, ClockAnswer) and answer.unix_ms is not None:
            self._session.lock_clock = (answer.unix_ms / 1000, now)
        return outgoing

    # -- records

    def backlog_asked(self, now: float) -> None:
        """The backlog was asked for by another way than the datapoint (pass-through)."""
        self._session.credits.asked(now, self._session.lock_time(now))

    def record_stored(self, reported: ev.Reported) -> None:
        """A timed report is on disk; if it came from the backlog this earns a credit."""
        self._session.credits.stored(reported.report)

    def may_acknowledge(self, reported: ev.Reported, now: float) -> bool:
        """Whether ``acknowledge`` with status 0 is legal now."""
        try:
            self._after(Step.COMMAND)
            self._session.check_ack(reported.report, reported.origin, now, 0)
        except LocalProtocolError:
            return False
        return True

    def backlog_is_over(self, now: float) -> bool:
        """Whether a drain has ended (quiet, nothing left to acknowledge) or none is running."""
        return self._session.credits.is_over(now)

    def acknowledge(self, reported: ev.Reported, now: float, *, status: int = 0) -> Outgoing:
        """Acknowledge a report with the length its command wants: 1, 4 or 8 bytes.

        Raises:
            LocalProtocolError: it wants none, or there is no credit for it (safety D1).
        """
        self._after(Step.COMMAND)
        ack, spend = self._session.check_ack(reported.report, reported.origin, now, status)
        outgoing = self._session.own(ack.code, ack.to_bytes(), ack_sn=reported.sn)
        if spend:
            self._session.credits.spend(now)
        elif reported.report.time is not None and status == 0:
            self._session.credits.settle(now)
        return outgoing

    # -- a frame sealed by somebody else

    def reserve(self, room: int = RESERVATION_ROOM) -> Reservation:
        """Keep a number for the cloud's instruction, with room below it for our own frames."""
        self._after(Step.COMMAND)
        return self._session.numbers.reserve(room)

    def cancel(self, reservation: Reservation) -> None:
        """Give a reservation up."""
        self._session.numbers.cancel(reservation)

    def check_instruction(self, message: bytes, expected: Expected) -> Instruction:
        """Open a sealed instruction and check every field; changes nothing (safety B4).

        Raises:
            InstructionError: it is not the one that was asked for.
            LocalProtocolError: the reservation is not open on this connection (B6).
        """
        self._after(Step.COMMAND)
        self._session.numbers.check(expected.reservation)
        after = max(expected.after_timestamp, self._session.last_timestamp)
        expected = replace(expected, after_timestamp=after)
        return check_instruction(message, expected, ring=self._session.ring, dialect=self.dialect)

    def send_instruction(
        self,
        instruction: Instruction,
        *,
        next_sn: int,
        question: Question | None = None,
        air: InstructionAir = InstructionAir.AS_SEALED,
    ) -> tuple[Outgoing, bool]:
        """Send a checked instruction, once; our numbers go on at ``next_sn`` if it is plausible.

        Returns the message and whether ``next_sn`` was believed (safety B2).
        """
        self._after(Step.COMMAND)
        session, frame = self._session, instruction.frame
        session.numbers.check(instruction.reservation)
        flag, message = instruction.flag, instruction.message.reveal()
        if air is InstructionAir.RESEALED:
            flag, message = self.dialect.session_flag, session.reseal(frame)
        outgoing = session.outgoing(message, frame.sn, frame.code, flag)
        session.numbers.use(instruction.reservation)
        session.sent[frame.sn] = frame.code
        session.last_timestamp = instruction.request.timestamp
        if question is not None:
            session.awaited = Awaited(question, frame.sn)
        return outgoing, session.numbers.continue_at(next_sn)

    def handed_over(self, outgoing: Outgoing) -> None:
        """The last fragment of a message was handed to the radio: answers count from here."""
        awaited = self._session.awaited
        if awaited is not None and awaited.sn == outgoing.sn:
            awaited.handed_over = True

    # -- what comes in

    def receive(self, notification: bytes, now: float) -> list[ev.CentralEvent]:
        """Take one notification.

        Raises:
            RemoteProtocolError: it cannot be read, or is a repetition. Nothing has changed but
                the message in progress; go on receiving.
            LocalProtocolError: not connected.
        """
        if self._state is State.IDLE:
            raise LocalProtocolError("a notification without a connection")
        taken = self._session.take(notification)
        return self._dispatch(*taken, now) if taken else []

    def _dispatch(self, opened: Opened, payload: Payload, now: float) -> list[ev.CentralEvent]:
        frame, session = opened.frame, self._session
        match payload:
            case DeviceInfo() if self._state is State.INFO_ASKED and session.answers(opened):
                return self._take_info(payload)
            case Status() if self._state is State.PAIR_ASKED and session.answers(opened):
                return self._take_pairing(payload)
            case Report():
                return self._take_report(opened, payload, now)
            case TimeRequest():
                return [ev.TimeAsked(frame.sn, frame.code, payload)]
            case Status() if frame.code == CommandCode.NETWORK_STATE:
                return [ev.NetworkState(payload.code)]
            case Status(status) | DpWriteReply(state=status) if frame.ack_sn in session.sent:
                return self._take_answer(opened, status)
            case _:
                return [ev.Unclaimed(frame)]

    def _take_info(self, info: DeviceInfo) -> list[ev.CentralEvent]:
        self._advance(Step.INFO)
        session = self._session
        session.info, session.asked, session.deadline = info, None, None
        session.dialect = session.dialect.with_protocol(info.protocol)
        session.ring.double_md5_auth = double_md5_auth(info.protocol)
        session.ring.learn_srand(info.srand.reveal())
        return [ev.DeviceInfoReceived(info)]

    def _take_pairing(self, status: Status) -> list[ev.CentralEvent]:
        self._session.asked = self._session.deadline = None
        if status.code in (PairStatus.BOUND, PairStatus.ALREADY_BOUND):
            self._advance(Step.PAIRED)
            return [ev.Paired(newly_bound=status.code == PairStatus.BOUND)]
        self._advance(Step.PAIR_REFUSED)
        return [ev.PairRefused(status.code)]

    def _take_answer(self, opened: Opened, status: int) -> list[ev.CentralEvent]:
        sn, ours = opened.frame.ack_sn, opened.flag == self.dialect.session_flag
        events: list[ev.CentralEvent] = [ev.Answered(sn, self._session.sent.pop(sn), status)]
        awaited = self._session.awaited
        if status and ours and awaited and awaited.sn == sn and awaited.handed_over:
            refused = Verdict(Ruling.REFUSED, status, Moved.NO, structural=True)
            events.append(self._judge(awaited, refused))
        return events

    def _take_report(self, opened: Opened, report: Report, now: float) -> list[ev.CentralEvent]:
        origin: Origin | None = None
        if report.time is not None:
            origin = self._session.credits.received(report, now)
        events: list[ev.CentralEvent] = [ev.Reported(opened.frame.sn, report, origin)]
        awaited = self._session.awaited
        if awaited is None or not awaited.handed_over or report.time is not None:
            return events
        # Only under the session key: a login-key frame may be somebody's recording (C1).
        verdict = awaited.question.judge(report)
        if verdict is not None and opened.flag == self.dialect.session_flag:
            events.append(self._judge(awaited, verdict))
        return events

    def _judge(self, awaited: Awaited, verdict: Verdict) -> ev.Judged:
        self._session.awaited = None
        return ev.Judged(awaited.question, verdict)

    # -- plumbing

    def _new_session(self) -> Session:
        return Session(
            ring=KeyRing(self._keys),
            numbers=SnCounter(start=self._sn_start, connection=self._connection),
            dialect=self._first_dialect,
            att_payload=self._att_payload,
            new_iv=self._new_iv,
            record_acks=self._record_acks,
        )

    def _after(self, step: Step) -> State:
        return advance(CENTRAL, self._state, step)

    def _advance(self, step: Step) -> None:
        self._state = self._after(step)
