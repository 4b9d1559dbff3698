"""What a connection tells its driver. One frozen dataclass per event."""

from __future__ import annotations

from dataclasses import dataclass

from .credits import Origin
from .device_info import DeviceInfo
from .frame import Frame
from .reports import Report, ReportAck
from .state import State
from .times import TimeAnswer, TimeRequest
from .verdict import Question, Verdict

# -- from Central


@dataclass(frozen=True, slots=True)
class DeviceInfoReceived:
    """The handshake's first answer; the session key can be computed now."""

    info: DeviceInfo


@dataclass(frozen=True, slots=True)
class Paired:
    """Commands may be sent. ``newly_bound`` if this very request bound the lock."""

    newly_bound: bool


@dataclass(frozen=True, slots=True)
class PairRefused:
    """The lock said no (status 1: another uuid) and hangs up."""

    status: int


@dataclass(frozen=True, slots=True)
class TimeAsked:
    """The lock asks for the time; answer when it suits, nothing waits for it."""

    sn: int
    code: int
    request: TimeRequest


@dataclass(frozen=True, slots=True)
class Answered:
    """The lock's structural answer to the command that went out as ``sn``.

    ``status`` 0 says that the command was well formed, never that anything happened. ``code``
    is ours: a query may be answered under another one (protocol 3.0 does).
    """

    sn: int
    code: int
    status: int


@dataclass(frozen=True, slots=True)
class Reported:
    """A report. ``origin`` says where a timed one came from, ``None`` for states and replies."""

    sn: int
    report: Report
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """The lock's own word about the operation that was asked; the first one only."""

    question: Question
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class NetworkState:
    """Security V2 says this after pairing, where others ask for the time."""

    status: int


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """A frame that nothing here waits for: pass-through, an unknown command, a late answer."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The answer awaited in ``state`` did not come within its bound."""

    state: State


CentralEvent = (
    DeviceInfoReceived | Paired | PairRefused | TimeAsked | Answered | Reported | Judged
    | NetworkState | Unclaimed | TimedOut
)  # fmt: skip

# -- from Peripheral


@dataclass(frozen=True, slots=True)
class Notify:
    """Notifications to send, in order."""

    sn: int
    code: int
    fragments: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the connection."""

    reason: str


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A command for the lock application: a write, a query, pass-through.

    It was accepted and answered structurally, where it has such an answer.
    """

    frame: Frame


@dataclass(frozen=True, slots=True)
class ReportAcked:
    """The central acknowledged a report (it does not say which, in 3.x)."""

    ack: ReportAck


@dataclass(frozen=True, slots=True)
class TimeAnswered:
    """The central told the time."""

    code: int
    answer: TimeAnswer


@dataclass(frozen=True, slots=True)
class Bound:
    """The lock took a login key and belongs to an account now."""


@dataclass(frozen=True, slots=True)
class Unbound:
    """The lock forgot its account; ``reset`` also its virtual id. It hangs up and restarts."""

    reset: bool


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something unusable was dropped in silence; a real lock says nothing at all."""

    reason: str


PeripheralEvent = (
    Notify | HangUp | CommandReceived | ReportAcked | TimeAnswered | Bound | Unbound | Dropped
)
