"""The target that is a central: our side of a conversation, in every state.

Its inputs are lists of steps. Most steps are frames that the other side could have sealed,
for nothing else gets past the first check.
"""

from __future__ import annotations

from dataclasses import replace

from protocol import events as ev
from protocol.central import Central
from protocol.commands import CommandCode, DpWrite, DpWriteV4
from protocol.credits import RecordAcks
from protocol.datapoint import Datapoint
from protocol.device_info import DeviceInfo
from protocol.errors import InstructionError, LocalProtocolError, RemoteProtocolError
from protocol.firmware import FIRMWARE_NAMES, Firmware
from protocol.fragment import split
from protocol.frame import Frame
from protocol.instruction import Expected, InstructionAir
from protocol.lock import APP_CENTRAL, METHOD_MEMBER, NO_CODE, OpenOperation, OpenReply, OpenRequest
from protocol.message import close_frame
from protocol.pairing import PairStatus
from protocol.state import CENTRAL, State
from protocol.times import ClockAnswer
from protocol.verdict import LockQuestion, OpenQuestion

from .conversation import (
    FIRMWARES,
    IV,
    KEYS,
    SRAND,
    full_ring,
    must_refuse,
    run_steps,
    sealed_message,
)
from .source import Source


def _info(kind: Firmware, *, bound: bool) -> bytes:
    info = kind.device_info(full_ring(), srand=SRAND, bound=bound, virtual_id22=KEYS.virtual_id22)
    assert isinstance(info, DeviceInfo)
    return info.to_bytes()


_INFOS = {
    (name, bound): _info(kind, bound=bound)
    for name, kind in FIRMWARES.items()
    for bound in (False, True)
}

CENTRAL_STATES = (
    State.READY,
    State.CONNECTED,
    State.INFO_ASKED,
    State.KEYED,
    State.PAIR_ASKED,
    State.REFUSED,
    State.READY,
    State.READY,
)
OPENING = OpenRequest(
    APP_CENTRAL, 1, NO_CODE, OpenOperation.OPEN, 1_700_000_001, METHOD_MEMBER, b"\1"
)
REPLY = OpenReply(
    peripheral=1, central=APP_CENTRAL, code=OPENING.code, operation=OpenOperation.OPEN,
    timestamp=OPENING.timestamp, method=METHOD_MEMBER, result=0,
)  # fmt: skip
"""Answers ``OPENING``; a seed."""


class _CentralUnderTest:
    """A central in one of its states, and what its lock can do."""

    def __init__(self, source: Source) -> None:
        first, second = source.byte(), source.byte()
        name, self.bound = FIRMWARE_NAMES[first & 3], bool(first & 4)
        kind = FIRMWARES[name]
        self.now = 0.0
        self.lock_sn = 0
        self.reported: list[ev.Reported] = []
        self.asked: list[ev.TimeAsked] = []
        self.central = Central(
            KEYS,
            new_iv=lambda: IV,
            dialect=kind.dialect,
            record_acks=RecordAcks.FREE if second & 0x80 else RecordAcks.CREDITS,
            get_records_dp=69,
        )
        self.info = _INFOS[name, self.bound]
        self._walk_to(CENTRAL_STATES[second & 7])

    def _walk_to(self, state: State) -> None:
        central, dialect = self.central, self.central.dialect
        central.connected()
        if state is State.CONNECTED:
            return
        central.ask_device_info(self.now, bound=self.bound)
        if state is State.INFO_ASKED:
            return
        flag = dialect.login_flag if self.bound else dialect.auth_flag
        self._answer(CommandCode.DEVICE_INFO, self.info, flag)
        if state is State.KEYED:
            return
        central.pair(self.now)
        if state is State.PAIR_ASKED:
            return
        refused = state is State.REFUSED
        status = PairStatus.FAILED if refused else PairStatus.ALREADY_BOUND
        self._answer(CommandCode.PAIR, bytes((status,)), dialect.session_flag)
        assert central.state is state

    def _answer(self, code: int, data: bytes, flag: int) -> None:
        sn = self.central._session.lock_sn + 1
        frame = Frame(sn, self.central.last_sn, code, data)
        self._feed(close_frame(frame, flag=flag, ring=self.central._session.ring, iv=IV))

    def _feed(self, message: bytes) -> None:
        for packet in split(message, att_payload=244, major=self.central.dialect.major):
            self.receive(packet)

    def receive(self, packet: bytes) -> None:
        """One notification, and everything that must be so afterwards."""
        central = self.central
        before, last_sn, info = central.state, central.last_sn, central.info
        awaited = central._session.awaited
        try:
            events = central.receive(packet, self.now)
        except RemoteProtocolError:
            assert (central.state, central.info) == (before, info)
            events = []
        assert central.last_sn == last_sn
        assert central.state is before or central.state in CENTRAL[before].values()
        if central.state is State.READY and before is not State.READY:
            assert [type(event) for event in events] == [ev.Paired]
        for event in events:
            repr(event)
            if isinstance(event, ev.Judged):
                assert awaited is not None
                assert awaited.handed_over
                assert central._session.awaited is None
            elif isinstance(event, ev.Reported):
                self.reported.append(event)
            elif isinstance(event, ev.TimeAsked):
                self.asked.append(event)

    # -- steps

    def notification(self, source: Source) -> None:
        self.receive(source.chunk())

    def sealed(self, source: Source) -> None:
        session = self.central._session
        usual = session.dialect.session_flag
        if self.central.state is State.INFO_ASKED:
            usual = session.dialect.login_flag
        message = sealed_message(source, session.ring, session.lock_sn, usual)
        if len(message) <= 1536:
            self._feed(message)

    def wait(self, source: Source) -> None:
        self.now += source.byte() / 16
        state = self.central.state
        for event in self.central.handle_deadline(self.now):
            assert event == ev.TimedOut(state)

    def act(self, source: Source) -> None:
        """Something of our own: legal and it goes out under a new number, or nothing happens."""
        central = self.central
        how, state, last_sn = source.byte(), central.state, central.last_sn
        try:
            self._own(how, source)
        except LocalProtocolError:
            assert (central.state, central.last_sn) == (state, last_sn)
        else:
            assert central.last_sn >= last_sn

    def reconnect(self, _: Source) -> None:
        """The link goes and comes back: nothing of the old connection is left."""
        self.central.disconnected()
        self.central.connected()
        assert (self.central.state, self.central.last_sn) == (State.CONNECTED, 0)
        assert self.central.info is None
        self.reported.clear()
        self.asked.clear()

    def _own(self, how: int, source: Source) -> None:
        central = self.central
        match how % 8:
            case 0:
                central.query()
            case 1:
                closing = LockQuestion(47)
                question = closing if how & 16 else OpenQuestion(OPENING, 71, 72)
                datapoint = Datapoint.raw(71, OPENING.to_bytes())
                outgoing = central.write_datapoint(datapoint, self.now, question=question)
                if how & 8:
                    central.handed_over(outgoing)
            case 2:
                central.write_datapoint(Datapoint.raw(69, b""), self.now)
            case 3 if self.asked:
                answer = ClockAnswer(1_700_000_000_000) if how & 8 else ClockAnswer.unknown()
                central.answer_time(self.asked[-1], answer, self.now)
            case 4 if self.reported:
                central.record_stored(self.reported[source.byte() % len(self.reported)])
            case 5 if self.reported:
                self._acknowledge(self.reported[source.byte() % len(self.reported)])
            case 6:
                central.backlog_is_over(self.now)
                self._instruct(how, source)
            case _:
                central.ask_device_info(self.now, bound=self.bound)

    def _instruct(self, how: int, source: Source) -> None:
        """The cloud's instruction: checked, sent once, and its number never used again."""
        central, dialect = self.central, self.central.dialect
        reservation = central.reserve()
        if how & 8:
            central.cancel(reservation)
            return
        datapoints = (Datapoint.raw(71, replace(OPENING, timestamp=source.number(4)).to_bytes()),)
        v4 = dialect.write_code is CommandCode.DP_WRITE_V4
        data = (DpWriteV4(datapoints) if v4 else DpWrite(datapoints)).to_bytes()
        frame = Frame(reservation.sn, 0, dialect.write_code, data)
        ring = central._session.ring
        message = close_frame(frame, flag=dialect.login_flag, ring=ring, iv=IV)
        expected = Expected(
            reservation=reservation, dp_id=71, central=APP_CENTRAL, peripheral=1, code=NO_CODE,
            operation=OpenOperation.OPEN,
        )  # fmt: skip
        try:
            instruction = central.check_instruction(message, expected)
        except InstructionError as error:
            assert error.field == "timestamp"  # noqa: PT017 - whatever is sent raises or not
            central.cancel(reservation)
            return
        next_sn = central.last_sn + source.number(2)
        air = InstructionAir.RESEALED if how & 16 else InstructionAir.AS_SEALED
        question = OpenQuestion(instruction.request, 71)
        outgoing, believed = central.send_instruction(
            instruction, next_sn=next_sn, question=question, air=air
        )
        assert outgoing.sn == reservation.sn
        assert central.last_sn == (next_sn - 1 if believed else reservation.sn)
        central.handed_over(outgoing)
        must_refuse(lambda: central.send_instruction(instruction, next_sn=next_sn))

    def _acknowledge(self, reported: ev.Reported) -> None:
        central = self.central
        if not central.may_acknowledge(reported, self.now):
            must_refuse(lambda: central.acknowledge(reported, self.now))
            return
        central.acknowledge(reported, self.now)


def central(data: bytes) -> None:
    """Our side in every state, with frames that the lock could have sent."""
    source = Source(data)
    tested = _CentralUnderTest(source)
    steps = (tested.sealed, tested.notification, tested.wait, tested.act, tested.reconnect)
    run_steps(source, steps)
