"""The lock application: one datapoint a command, one reply buffer, one thing said later.

Protocol 3.0 is as recorded. On 3.3, 4.x and security V2 the same application is inferred.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bleagent.simulator.application import RESTART, Application
from bleagent.simulator.log import Replied
from bleagent.simulator.machine import BOLT_REPORT, Machine
from protocol import CommandCode, Datapoint, DpMap, DpName, Frame, Report
from protocol.commands import DpWrite, DpWriteV4
from protocol.credentials import FailReason, Freeze, Stage
from protocol.dpmap import LockGeneration
from protocol.firmware import IDLE_TIMEOUT
from protocol.reports import ReportAck
from protocol.times import ClockAnswer, TimeAnswer

from . import local_actions
from .buffer import Request
from .check_codes import CheckCodes
from .clock import LockClock, told_seconds
from .credential_sync import CredentialSync
from .credentials import Credentials
from .flash import Flash
from .offline_passwords import OfflinePasswords
from .openings import Openings
from .record_keeper import DRAIN, LATER, LaterProgress, LaterRecord, RecordKeeper
from .reporting import RESEND

_IDLE = "idle"
_RESET_LINK = "reset link"
_RESET_LINK_AFTER = 1.0
_RESTART_AFTER = 2.0
_WRITES = (CommandCode.DP_WRITE, CommandCode.DP_WRITE_V4)
_MOVES = frozenset({DpName.OPEN_OLD, DpName.OPEN_CHECKED, DpName.REMOTE_OPEN, DpName.MANUAL_LOCK})
"""Datapoints that a running motor makes some locks drop (a quirk)."""
_SETTINGS = frozenset(
    {
        DpName.MESSAGE_SWITCH, DpName.BELL_SOUND, DpName.VOLUME, DpName.LANGUAGE,
        DpName.WELCOME_WORDS, DpName.KEY_TONE, DpName.NAVIGATION_VOLUME, DpName.REVERSE_LOCK,
        DpName.AUTO_LOCK, DpName.COMBINED_LOCK, DpName.AUTO_LOCK_DELAY, DpName.SECOND_TIMER,
        DpName.FINGER_COUNT, DpName.MOTOR_DIRECTION, DpName.MOTOR_TORQUE, DpName.AWAY_ARMING,
    }
)  # fmt: skip
_Handler = Callable[[], bool | None]
"""Fills the reply; False says that there is none."""


class LockApplication(Application):
    """A lock with ten check codes, fifty credentials and sixty-four places for records.

    ``clock`` is for security V2, which gets its time elsewhere: unix seconds at power-up, 0 for
    a clock that is told the time over the air.
    """

    def __init__(self, machine: Machine, clock: int = 0) -> None:
        super().__init__(machine)
        self.flash = Flash()
        self.dps = DpMap.default(LockGeneration.V3_3)
        self._network_clock = clock
        self.power_on(0.0)

    # -- power

    def power_on(self, now: float) -> None:
        """Begin anew with what is in flash."""
        machine, flash = self.machine, self.flash
        self.clock = LockClock(now, unix=self._network_clock)
        self.records = RecordKeeper(machine, flash, self.clock, self.dps)
        self.codes = CheckCodes(flash)
        self.openings = Openings(machine, flash, self.codes, self.records)
        self.credentials = Credentials(flash)
        self.sync = CredentialSync(flash)
        self.offline = OfflinePasswords(flash, _login_key(machine))
        self.request = Request()
        self._sn = 0
        self._forget_with_link = False

    def unbound(self, now: float) -> None:
        """Everything is erased; a second later no link stays, another one and it restarts."""
        self.flash.erase()
        self.machine.timers.start(_RESET_LINK, now + _RESET_LINK_AFTER)
        self.machine.timers.start(RESTART, now + _RESTART_AFTER)

    def factory_reset(self, now: float) -> None:
        """The same, asked for at the lock: an open link stays for another second."""
        self.unbound(now)
        if self.machine.connected:
            self._forget_with_link = True
        else:
            self.machine.radio.forget(reset=False)

    @property
    def stored_records(self) -> int:
        """Records in the ring, stranded ones included."""
        return len(self.flash.records)

    # -- the link

    def paired(self, now: float) -> None:
        """Idle time counts from here, where the protocol's half does not count it."""
        if self.machine.radio.firmware.idle_timeout is None:
            self.machine.timers.start(_IDLE, now + IDLE_TIMEOUT)

    def link_lost(self, now: float) -> None:
        """Timers of the link stop; what was to be said later is still said, or stored."""
        self.machine.timers.stop(_IDLE)
        self.records.link_lost(now)
        if self._forget_with_link:
            self._forget_with_link = False
            self.machine.radio.forget(reset=False)

    def _busy(self, now: float) -> None:
        if _IDLE in self.machine.timers:
            self.machine.timers.restart(_IDLE, now + IDLE_TIMEOUT)

    def acked(self, ack: ReportAck, now: float) -> None:
        """Acknowledgements of 3.x are counted, never matched."""
        if ack.code in (CommandCode.REPORT, CommandCode.REPORT_V4):
            self._busy(now)
            if self.sync.running and ack.status == 0:
                self._advance_sync(now)
        elif ack.code in (CommandCode.REPORT_TIMED, CommandCode.REPORT_TIMED_V4):
            self._busy(now)
            self.records.acked(ack, now)

    def time_told(self, code: int, answer: TimeAnswer, now: float) -> None:
        """The clock is set by 0x8011 only; "unknown" is ignored."""
        if (
            code == CommandCode.TIME_CLOCK
            and isinstance(answer, ClockAnswer)
            and answer.unix_ms is not None
        ):
            self.clock.tell(told_seconds(answer.unix_ms), now)

    # -- commands

    def command(self, frame: Frame, now: float) -> None:
        """One datapoint at a time; a frame with more is acknowledged and ignored."""
        if frame.code == CommandCode.PASSTHROUGH:
            trigger = Request(data=frame.data)
            if not trigger.byte(12) and not self.codes.judge_app(trigger):
                self.records.begin_upload(now)
            return
        if frame.code not in _WRITES:
            return
        self._busy(now)
        write = (DpWriteV4 if frame.code == CommandCode.DP_WRITE_V4 else DpWrite).from_bytes(
            frame.data
        )
        if len(write.datapoints) == 1:
            self._sn = frame.sn
            self._carry_out(write.datapoints[0], now)

    def _carry_out(self, datapoint: Datapoint, now: float) -> None:
        name = self.dps.name(datapoint.id)
        if name in _MOVES and self.machine.motor_runs():
            return
        self.request = Request(datapoint.id, datapoint.type, datapoint.data)
        self.records.reply.copy(self.request)
        handler = self._handlers(now).get(name) if name is not None else None
        if handler is not None and handler() is not False:
            self._reply(now)

    def _reply(self, now: float) -> None:
        report = self.records.reporter.state(self.records.reply.datapoint())
        if report is None or not report.datapoints[0].data:
            return
        delay, command_sn = self.machine.quirks.answer_delay, self._sn
        if delay > 0:
            self.machine.say_late(lambda at: self._say(report, command_sn, at), now + delay)
        else:
            self._say(report, command_sn, now)

    def _say(self, report: Report, command_sn: int, now: float) -> None:
        sn, reply = self.machine.report(report), report.datapoints[0]
        self.machine.log.add(
            Replied(
                at=now, connection=self.machine.connection, sn=sn, command_sn=command_sn,
                dp=reply.id, data=reply.data,
            )
        )  # fmt: skip

    def _handlers(self, now: float) -> dict[DpName, _Handler]:
        request, reply, sn = self.request, self.records.reply, self._sn
        openings, credentials = self.openings, self.credentials
        time = self.clock.read(now)
        echoes: dict[DpName, _Handler] = dict.fromkeys(_SETTINGS, self._keep_setting)
        return echoes | {
            DpName.ADD_CREDENTIAL: lambda: self._add_credential(now),
            DpName.DELETE_CREDENTIAL: lambda: credentials.delete(request, reply),
            DpName.MODIFY_CREDENTIAL: lambda: credentials.modify(request, reply),
            DpName.FREEZE_CREDENTIAL: lambda: credentials.freeze_one(request, Freeze.FROZEN),
            DpName.UNFREEZE_CREDENTIAL: lambda: credentials.freeze_one(request, Freeze.ACTIVE),
            DpName.FREEZE_MEMBER: lambda: credentials.freeze_member(request, Freeze.FROZEN),
            DpName.UNFREEZE_MEMBER: lambda: credentials.freeze_member(request, Freeze.ACTIVE),
            DpName.ADD_TEMPORARY_PASSWORD: lambda: credentials.add_temporary(request, reply),
            DpName.DELETE_TEMPORARY_PASSWORD: lambda: credentials.delete_temporary(request, reply),
            DpName.MODIFY_TEMPORARY_PASSWORD: lambda: credentials.modify_temporary(request, reply),
            DpName.SYNC_OLD: lambda: self.sync.old(request, reply),
            DpName.SYNC: lambda: self._begin_sync(now),
            DpName.OPEN_OLD: lambda: openings.open_old(request, reply, sn, now),
            DpName.MANUAL_LOCK: lambda: openings.manual_lock(request, sn, now),
            DpName.GUIDE_PAGE: self._answer_guide_page,
            DpName.SET_REMOTE_KEY: lambda: openings.set_remote_key(request, reply),
            DpName.REMOTE_OPEN: lambda: openings.open_remote(
                request, reply, sn=sn, time=time, now=now
            ),
            DpName.OFFLINE_T0: lambda: self.offline.set_t0(request.data),
            DpName.GET_RECORDS: lambda: self.records.begin_upload(now),
            DpName.CHECK_CODE: lambda: self.codes.set(request, reply),
            DpName.OPEN_CHECKED: lambda: openings.open_checked(request, reply, sn, now),
            DpName.SET_REMOTE_KEY_CHECKED: lambda: openings.set_remote_key_checked(request, reply),
        }

    def _keep_setting(self) -> bool:
        name = self.dps.name(self.request.id)
        if name is not None:
            self.flash.settings[name.value] = self.request.data
        return True

    def _answer_guide_page(self) -> bool:
        self.records.reply.set(1, 0)
        self.records.reply.size = 2
        return True

    def _add_credential(self, now: float) -> bool:
        later = self.credentials.add(self.request, self.records.reply)
        if later is not None:
            stage, hardid = later
            failed = stage == Stage.FAILED
            result = FailReason.NO_FREE_HARDID if failed else FailReason.TIMEOUT
            self.records.later(LaterProgress(stage, hardid, result), now)
        return True

    def _begin_sync(self, now: float) -> bool:
        if self.sync.begin(self.request):
            self._advance_sync(now)
            self.records.reply.size = 0
            return False
        self.records.reply.put(0, b"\1\0")
        self.records.reply.size = 2
        return True

    def _advance_sync(self, now: float) -> None:
        for data in self.sync.advance():
            self.records.reply.begin(self.dps.number(DpName.SYNC), 0, data)
            self._reply(now)

    # -- timers, and what happens at the lock

    def timer(self, name: str, now: float) -> None:
        """What the lock does by itself."""
        if name == LATER:
            self._say_later(now)
        elif name == DRAIN:
            self.records.upload_one(now)
        elif name == RESEND:
            self.records.reporter.resend(now)
        elif name == BOLT_REPORT:
            local_actions.report_bolt(self)
        elif name == _IDLE:
            self.machine.hang_up(f"no write or ack for {IDLE_TIMEOUT:.0f} s")
        elif name == _RESET_LINK:
            self.machine.hang_up("reset at the lock")

    def _say_later(self, now: float) -> None:
        match self.records.take_later():
            case LaterRecord(name=name, value=value):
                self.records.record_value(self.dps.number(name), value, now)
            case LaterProgress(stage=stage, hardid=hardid, result=result):
                self.report_progress(stage, hardid, 0, result)
            case None:
                pass

    def report_progress(self, stage: int, hardid: int, count: int, result: int) -> None:
        """Where an enrolment is: written into whatever the reply buffer holds."""
        reply = self.records.reply
        reply.set(1, stage)
        reply.put(4, bytes((hardid, count, result)))
        reply.size = 7
        self.report_reply()

    def report_reply(self) -> None:
        """Report what is in the reply buffer, unasked."""
        report = self.records.reporter.state(self.records.reply.datapoint())
        if report is not None:
            self.machine.report(report)

    def local(self, action: Mapping[str, Any], now: float) -> None:
        """People at the door, the door itself, and a service cable.

        Raises:
            LocalEventError: an action or a field that makes no sense; nothing has changed.
        """
        if not local_actions.perform(self, action, now):
            super().local(action, now)


def _login_key(machine: Machine) -> bytes:
    if machine.keys.local_key is None:
        return bytes(6)
    return machine.keys.login_key.reveal()
