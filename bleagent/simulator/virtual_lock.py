"""A virtual lock: the protocol's half, an application above it, a motor and a clock.

Sans IO and without a clock of its own: every call takes ``now`` in seconds, which must not go
back, and returns what happened, in order. Timers run when ``tick`` (or any other call) says
that their time has come, each at its own time.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from protocol import Firmware, LockKeys
from protocol import events as ev

from .actions import Action, Notification
from .application import RESTART, Application, LocalEventError
from .echo_app import EchoApplication, EchoApplicationV2
from .lock_app import LockApplication
from .log import Delivered, LinkChanged, LockLog, PowerChanged, Received
from .machine import Machine
from .quirks import Quirks
from .radio_side import RadioSide
from .timers import SLACK

DEFAULT_CLOCK = 1_700_000_000
"""Unix seconds of a security V2 lock at power-up, which is never told the time by Bluetooth."""


class AppName(StrEnum):
    """Which application runs on a lock."""

    LOCK = "lock"
    ECHO = "echo"


class VirtualLock:
    """One lock.

    Args:
        keys: its identity; local_key and sec_key are those it is bound with, or will be.
        firmware: whose habits its protocol has (``profiles.profile``).
        bound: whether it belongs to an account.
        app: what runs above the protocol.
        quirks: how it differs from the recorded firmware.
        clock: unix seconds at power-up, for security V2 only.
        now: when it got power.
        new_iv: 16 random bytes a call.
        new_srand: the random of each device information.
    """

    def __init__(  # noqa: PLR0913 - each is a fact about one lock
        self,
        keys: LockKeys,
        firmware: Firmware,
        *,
        bound: bool = True,
        app: AppName = AppName.LOCK,
        quirks: Quirks | None = None,
        clock: int = DEFAULT_CLOCK,
        now: float = 0.0,
        new_iv: Callable[[], bytes] = lambda: secrets.token_bytes(16),
        new_srand: Callable[[], bytes] = lambda: secrets.token_bytes(6),
    ) -> None:
        radio = RadioSide(keys, firmware, bound=bound, new_iv=new_iv, new_srand=new_srand)
        quirks = Quirks() if quirks is None else quirks
        self._machine = Machine(radio=radio, keys=keys, quirks=quirks, motor_ok=not quirks.jammed)
        self.app = _application(self._machine, app, clock)
        self.app.power_on(now)
        self._powered = True
        self._restarted = False
        """Whether it restarted by itself since it was last connected."""

    # -- what can be seen

    @property
    def att_payload(self) -> int:
        """Bytes in one write, as the lock was built."""
        return self._machine.radio.firmware.att_payload

    @property
    def keys(self) -> LockKeys:
        """Its identity."""
        return self._machine.keys

    @property
    def firmware(self) -> Firmware:
        """Whose habits its protocol has."""
        return self._machine.radio.firmware

    @property
    def log(self) -> LockLog:
        """The lock's own truth."""
        return self._machine.log

    @property
    def is_connected(self) -> bool:
        """Whether there is a link."""
        return self._machine.connected

    @property
    def paired(self) -> bool:
        """Whether commands are carried out."""
        return self._machine.paired

    @property
    def bound(self) -> bool:
        """Whether it belongs to an account."""
        return self._machine.radio.bound

    @property
    def powered(self) -> bool:
        """Whether it has power."""
        return self._powered

    @property
    def connection(self) -> int:
        """Number of the connection that is open or was last, from 1."""
        return self._machine.connection

    def dump(self) -> dict[str, Any]:
        """State in a form for JSON: ``opened`` counts commands that drew the bolt back."""
        return {
            "opened": self._machine.opened,
            "bolt": "open" if self._machine.bolt_open else "closed",
            "records": self.app.stored_records,
            "bound": self.bound,
            "sn": self._machine.radio.last_sn,
        }

    def preset_check_code(self, peripheral: int, code: bytes) -> None:
        """Have the app's check code already, as if it had been set before.

        Raises:
            LocalEventError: this application has none.
        """
        if not isinstance(self.app, LockApplication):
            raise LocalEventError("the echo application has no check code")
        self.app.codes.learn(peripheral, code)

    def next_timer(self) -> float | None:
        """When ``tick`` will have something to do."""
        deadlines = (self._machine.radio.deadline(), self._machine.timers.next())
        return min((one for one in deadlines if one is not None), default=None)

    # -- what happens to it

    def connected(self, now: float) -> list[Action]:
        """A central connected.

        Raises:
            LocalEventError: another one is connected, or the lock has no power.
        """
        self._run_timers(now)
        if not self._powered:
            raise LocalEventError("the lock has no power")
        if self.is_connected:
            raise LocalEventError("a central is connected already")
        machine = self._machine
        machine.connection += 1
        machine.radio.connected(now)
        self._restarted = False
        self._log_link(now, up=True, reason="connected")
        if machine.quirks.pushes_info_on_connect:
            machine.emit(machine.radio.push_info())
        return self._done(now)

    def disconnected(self, now: float, reason: str = "the central left") -> list[Action]:
        """The link is gone; nothing happens if there is none."""
        self._run_timers(now)
        if self.is_connected:
            self._link_lost(now, reason)
        return self._done(now)

    def write(self, value: bytes, now: float) -> list[Action]:
        """One GATT write; lost without a connection."""
        self._run_timers(now)
        if self.is_connected:
            machine = self._machine
            was_paired = machine.paired
            before = machine.radio.last_sn
            events = machine.radio.receive_write(value, now)
            self._log_received(before, events, now)
            self._pass_on(events, now)
            if machine.paired and not was_paired:
                self.app.paired(now)
        return self._done(now)

    def tick(self, now: float) -> list[Action]:
        """Time has passed."""
        self._run_timers(now)
        return self._done(now)

    def local(self, event: Mapping[str, Any], now: float) -> list[Action]:
        """Something happened at the lock: a ``local`` or ``power`` event of the capture format.

        Raises:
            LocalEventError: it makes no sense, or needs power; nothing has changed.
        """
        self._run_timers(now)
        action, power = event.get("local"), event.get("power")
        if isinstance(power, str) and action is None:
            self._power(power, now)
        elif isinstance(action, Mapping) and power is None:
            if not self._powered:
                raise LocalEventError("the lock has no power")
            self.app.local(action, now)
        else:
            raise LocalEventError('neither a "local" object nor a "power" word')
        return self._done(now)

    def delivered(self, notification: Notification, now: float) -> None:
        """The driver of the link says that this one reached the central."""
        if notification.last:
            self.log.add(Delivered(at=now, connection=notification.connection, sn=notification.sn))

    # -- power

    def _power(self, power: str, now: float) -> None:
        match power:
            case "off" if self._powered:
                self._cut(now, "the power was cut")
                self._powered = False
            case "on" if not self._powered:
                self._powered = True
                self.app.power_on(now)
            case "restart" if RESTART in self._machine.timers or self._restarted:
                return  # it does so by itself
            case "restart" if self._powered:
                self._restart(now)
            case _:
                raise LocalEventError(f"power {power!r} makes no sense now")
        self.log.add(PowerChanged(at=now, power=power))

    def _restart(self, now: float) -> None:
        self._cut(now, "the lock restarted")
        self.app.power_on(now)

    def _cut(self, now: float, reason: str) -> None:
        self._machine.hang_up(reason)
        self._settle(now)
        self._machine.timers.clear()
        self._machine.radio.power_cycle()

    # -- inside

    def _pass_on(self, events: list[ev.PeripheralEvent], now: float) -> None:
        for event in events:
            match event:
                case ev.CommandReceived(frame=frame):
                    self.app.command(frame, now)
                case ev.ReportAcked(ack=ack):
                    self.app.acked(ack, now)
                case ev.TimeAnswered(code=code, answer=answer):
                    self.app.time_told(code, answer, now)
                case ev.Unbound():
                    self.app.unbound(now)
                case _:
                    self._machine.emit([event])
        self._settle(now)

    def _run_timers(self, now: float) -> None:
        while (due := self.next_timer()) is not None and due <= now + SLACK:
            machine = self._machine
            if due == machine.radio.deadline():
                self._pass_on(machine.radio.handle_deadline(due), due)
                continue
            name, due = machine.timers.pop()
            late = machine.take_late(name)
            if late is not None:
                late(due)
            elif name == RESTART:
                self._restart(due)
                self._restarted = True
                self.log.add(PowerChanged(at=due, power="restart"))
            else:
                self.app.timer(name, due)
            self._settle(due)

    def _settle(self, now: float) -> None:
        """End the connection if the lock hung up."""
        if self._machine.hung_up:
            self._link_lost(now, "the lock hung up")

    def _link_lost(self, now: float, reason: str) -> None:
        machine = self._machine
        machine.radio.disconnected()
        machine.hung_up = False
        machine.forget_late()
        self._log_link(now, up=False, reason=reason)
        self.app.link_lost(now)

    def _done(self, now: float) -> list[Action]:
        self._settle(now)
        actions, self._machine.actions = self._machine.actions, []
        return actions

    def _log_link(self, now: float, *, up: bool, reason: str) -> None:
        self.log.add(LinkChanged(at=now, connection=self.connection, up=up, reason=reason))

    def _log_received(self, before: int, events: list[ev.PeripheralEvent], now: float) -> None:
        if not events:
            return  # a part of a frame
        sn = self._machine.radio.last_sn
        codes = [code for event in events if (code := _code(event)) is not None]
        self.log.add(
            Received(
                at=now, connection=self.connection, sn=sn if sn != before else None,
                code=codes[0] if codes else None, effect=", ".join(map(_effect, events)),
            )
        )  # fmt: skip


def _application(machine: Machine, app: AppName, clock: int) -> Application:
    security_v2 = machine.radio.firmware.security_v2
    if app is AppName.LOCK:
        return LockApplication(machine, clock if security_v2 else 0)
    return EchoApplicationV2(machine, clock) if security_v2 else EchoApplication(machine)


def _code(event: ev.PeripheralEvent) -> int | None:
    match event:
        case ev.CommandReceived(frame=frame):
            return frame.code
        case ev.ReportAcked(ack=ack):
            return ack.code
        case ev.TimeAnswered(code=code) | ev.Notify(code=code):
            return code
        case _:
            return None


def _effect(event: ev.PeripheralEvent) -> str:
    match event:
        case ev.Dropped(reason=reason) | ev.HangUp(reason=reason):
            return f"{type(event).__name__}: {reason}"
        case _:
            return type(event).__name__
