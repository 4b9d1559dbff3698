"""A whole conversation in one process: a central unlocks a bound lock."""

from __future__ import annotations

from collections import deque

from protocol import Central, LockKeys, Peripheral, Secret, firmware
from protocol import events as ev
from protocol.commands import DpWrite, DpWriteV4, Sender, read_payload
from protocol.datapoint import Datapoint
from protocol.lock import APP_CENTRAL, METHOD_MEMBER, OpenOperation, OpenReply, OpenRequest
from protocol.message import Outgoing
from protocol.reports import Report
from protocol.times import ClockAnswer
from protocol.verdict import OpenQuestion, Ruling

KEYS = LockKeys(
    uuid="tuya902d3cd868a1",
    virtual_id="bfvinca33ys82n2mslat53",
    local_key=Secret("NGKZwbmwW2G4yeMA"),
    sec_key=Secret("0123456789abcdef"),
    auth_key=Secret("Yykbwr76TMC5Jh7yGS5gftfcBwLEqE8J"),
)
OPEN_DP = 71
REQUEST = OpenRequest(
    APP_CENTRAL, 1, Secret("12345678"), OpenOperation.OPEN, 1_700_000_000, METHOD_MEMBER, b"\1"
)


class _Air:
    """Carries packets both ways until nobody has anything to say."""

    def __init__(self, name: str, att_payload: int) -> None:
        kind = firmware(name, att_payload=att_payload)
        iv = bytes(range(16))
        self.lock = Peripheral(
            KEYS, kind, bound=True, new_iv=lambda: iv, new_srand=lambda: b"\1\2\3\4\5\6"
        )
        self.central = Central(
            KEYS, new_iv=lambda: iv, dialect=kind.dialect, att_payload=att_payload
        )
        self.verdict: ev.Judged | None = None

    def connect(self) -> None:
        self.lock.connected(0.0)
        self.central.connected()

    def carry(self, outgoing: Outgoing) -> None:
        waiting = deque([outgoing])
        while waiting:
            outgoing = waiting.popleft()
            for fragment in outgoing.fragments[:-1]:
                self.lock.receive_write(fragment, 0.0)
            self.central.handed_over(outgoing)
            for told in self.lock.receive_write(outgoing.fragments[-1], 0.0):
                waiting.extend(self._lock_told(told))

    def _lock_told(self, told: ev.PeripheralEvent) -> list[Outgoing]:
        """The radio and the lock application."""
        if isinstance(told, ev.CommandReceived):
            payload = read_payload(Sender.CENTRAL, told.frame.code, told.frame.data)
            assert isinstance(payload, DpWrite | DpWriteV4)
            request = OpenRequest.from_bytes(payload.datapoints[0].data)
            return [one for event in self._reply(request) for one in self._lock_told(event)]
        if not isinstance(told, ev.Notify):
            return []
        return [
            answer
            for fragment in told.fragments
            for event in self.central.receive(fragment, 0.0)
            for answer in self._central_told(event)
        ]

    def _reply(self, request: OpenRequest) -> list[ev.PeripheralEvent]:
        reply = OpenReply(
            peripheral=request.peripheral, central=request.central, code=request.code,
            operation=request.operation, timestamp=request.timestamp, method=request.method,
            result=0,
        )  # fmt: skip
        code = self.lock.firmware.dialect.untimed_report
        return self.lock.report(
            Report(code=code, datapoints=(Datapoint.raw(OPEN_DP, reply.to_bytes()),))
        )

    def _central_told(self, event: ev.CentralEvent) -> list[Outgoing]:
        if isinstance(event, ev.TimeAsked):
            return [self.central.answer_time(event, ClockAnswer(1_700_000_000_000), 0.0)]
        if isinstance(event, ev.Judged):
            self.verdict = event
        return []


def converse(name: str, att_payload: int) -> ev.Judged:
    """Connect, device information, pairing, the lock's time question, unlock, its own word."""
    air = _Air(name, att_payload)
    air.connect()
    air.carry(air.central.ask_device_info(0.0))
    air.carry(air.central.pair(0.0))
    datapoint = Datapoint.raw(OPEN_DP, REQUEST.to_bytes())
    question = OpenQuestion(REQUEST, OPEN_DP)
    air.carry(air.central.write_datapoint(datapoint, 0.0, question=question))
    assert air.verdict is not None
    assert air.verdict.verdict.ruling is Ruling.CONFIRMED
    return air.verdict
