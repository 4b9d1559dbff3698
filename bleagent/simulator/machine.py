"""What an application runs on: the radio, the motor, timers and the lock's own log.

The application says what should happen; here it becomes actions, in order, and entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from protocol import DpName, LocalProtocolError, LockKeys, Report, State
from protocol import events as ev

from .actions import Action, Closed, HungUp, Notification, Opened
from .log import Actuated, LockLog, Move
from .quirks import Quirks
from .radio_side import RadioSide
from .timers import Timers

MOTOR = "motor"
BOLT_REPORT = "bolt report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who asked the motor to move, by which command: what the log keeps of it."""

    dp: DpName
    sn: int
    central: int | None = None
    timestamp: int | None = None
    method: int | None = None
    member: int | None = None


@dataclass(slots=True, kw_only=True)
class Machine:
    """One lock's hardware. ``actions`` is emptied by whoever called the lock."""

    radio: RadioSide
    keys: LockKeys
    quirks: Quirks
    log: LockLog = field(default_factory=LockLog)
    timers: Timers = field(default_factory=Timers)
    actions: list[Action] = field(default_factory=list)
    connection: int = 0
    opened: int = 0
    """How often the bolt was drawn back by a command."""
    bolt_open: bool = False
    motor_ok: bool = True
    hung_up: bool = False
    """The lock ended the connection in this very step; whoever runs it clears it."""
    _late: dict[str, Callable[[float], None]] = field(default_factory=dict)
    _late_count: int = 0

    @property
    def paired(self) -> bool:
        """Whether somebody is there to report to."""
        return self.radio.paired

    # -- the radio

    def emit(self, events: Iterable[ev.PeripheralEvent]) -> int:
        """Turn what goes to the radio into actions; the lock's last number among it, or 0."""
        sn = 0
        for event in events:
            if isinstance(event, ev.Notify):
                sn = event.sn
                last = len(event.fragments) - 1
                self.actions += [
                    Notification(value, self.connection, sn, event.code, index == last)
                    for index, value in enumerate(event.fragments)
                ]
            elif isinstance(event, ev.HangUp):
                self.hang_up(event.reason)
        return sn

    @property
    def connected(self) -> bool:
        """Whether there is a link."""
        return self.radio.state is not State.IDLE and not self.hung_up

    def hang_up(self, reason: str) -> None:
        """End the connection, if there is one."""
        if self.connected:
            self.actions.append(HungUp(reason))
            self.hung_up = True

    def forget_account(self, *, reset: bool) -> None:
        """Belong to nobody from now on, and hang up; ``reset`` takes the virtual id, too."""
        self.radio.forget(reset=reset)
        self.hang_up("unbound at the lock")

    def send(self, code: int, data: bytes = b"") -> int:
        """A frame under the session key: its number, or 0 where nobody is paired."""
        return self._try(lambda: self.radio.send(code, data))

    def report(self, report: Report) -> int:
        """A report: its number, or 0 where it is lost."""
        return self._try(lambda: self.radio.report(report))

    def _try(self, send: Callable[[], list[ev.PeripheralEvent]]) -> int:
        try:
            return self.emit(send())
        except LocalProtocolError:
            return 0  # longer than this generation can write: nothing is sent

    def say_late(self, say: Callable[[float], None], due: float) -> None:
        """Something that the lock takes its time for; lost if the link ends before."""
        self._late_count += 1
        name = f"late {self._late_count}"
        self._late[name] = say
        self.timers.start(name, due)

    def take_late(self, name: str) -> Callable[[float], None] | None:
        """What is due now, if ``name`` is its timer."""
        return self._late.pop(name, None)

    def forget_late(self) -> None:
        """The link is gone, and what was to be said with it."""
        for name in self._late:
            self.timers.stop(name)
        self._late.clear()

    # -- the motor

    def motor_runs(self) -> bool:
        """Whether it is still moving."""
        return MOTOR in self.timers

    def move(self, move: Move, asked: Asked, now: float) -> bool:
        """Run the motor once; False if it is jammed."""
        moved = self.motor_ok
        self.log.add(
            Actuated(
                at=now, connection=self.connection, sn=asked.sn, move=move, moved=moved,
                dp=asked.dp, central=asked.central, timestamp=asked.timestamp,
                method=asked.method, member=asked.member,
            )
        )  # fmt: skip
        if not moved:
            return False
        self.bolt_open = move is Move.OPEN
        self.opened += self.bolt_open
        self.actions.append(Opened() if self.bolt_open else Closed())
        if self.quirks.motor_time > 0:
            self.timers.start(MOTOR, now + self.quirks.motor_time)
        if self.quirks.reports_bolt:
            self.timers.restart(BOLT_REPORT, now + self.quirks.motor_time)
        return True
