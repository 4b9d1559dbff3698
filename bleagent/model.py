"""Values that the parts of the agent exchange. No IO, no clock, no library."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from protocol import LockKeys, Secret
from protocol.advertisement import Advertisement

from .authority.shared import Shared


class Action(StrEnum):
    """What can be asked of a lock."""

    UNLOCK = "unlock"
    LOCK = "lock"


class Priority(IntEnum):
    """Who goes first, for a lock's connection and for an adapter's."""

    REPAIR = 0  # of the adapter itself
    OPERATION = 1  # somebody stands at the door
    VISIT = 2  # the lock has something to tell, or housekeeping
    KEEPING = 3  # a connection that is kept for later, or made again


class Outcome(StrEnum):
    """How an operation ended. Never a boolean: silence is not a no."""

    CONFIRMED = "confirmed"  # the lock reported carrying out this very command
    REFUSED = "refused"  # lock or cloud said no
    UNREACHED = "unreached"  # certainly not delivered: safe to ask again, with a new key
    UNCONFIRMED = "unconfirmed"  # it left, nobody answered: no machine may retry it


class Phase(StrEnum):
    """How far an operation has been committed to disk."""

    INTENT = "intent"
    SENDING = "sending"
    FINISHED = "finished"


class Step(StrEnum):
    """Steps of an operation that are timed and shown."""

    HEARD = "heard"  # the lock's advertisement
    TURN = "turn"  # of this connection, at the adapter
    LINK = "link"  # the connection stands
    CONNECT = "connect"  # its services are discovered, notifications are on
    DEVICE_INFO = "device_info"
    PAIR = "pair"
    CONFIG = "config"
    CHECK_CODE = "check_code"
    INSTRUCTION = "instruction"
    COMMIT = "commit"
    WRITE = "write"
    ACK = "ack"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFacts:
    """What is known of one lock. ``name`` is the operator's, ``device_id`` the cloud's."""

    name: str
    device_id: str
    keys: LockKeys
    address: str | None = None
    product_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """What a lock was when it first took our key; it must stay so (safety H1).

    ``virtual_id`` is ``None`` where the lock does not tell it.
    """

    major: int
    security_v2: bool
    virtual_id: str | None

    @property
    def words(self) -> str:
        """For a message."""
        security = ", security V2" if self.security_v2 else ""
        return f"protocol {self.major}{security}, id {self.virtual_id or 'untold'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedInstruction:
    """One of the datapoints of ``getIssuedConfig``, as issued.

    ``distribute`` says that the lock does not have it yet. ``wake_up_ins`` is the whole
    check-code datapoint, ``ins`` the code or the datapoint's data; ``peripheral`` the lock's id.
    """

    dp_id: int
    distribute: bool
    ins: Secret | None = None
    wake_up_ins: Secret | None = None
    peripheral: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedConfig:
    """What ``getIssuedConfig`` answers; either part may be absent."""

    lock_random: IssuedInstruction | None
    lock_record: IssuedInstruction | None
    fetched_at: float
    """Unix seconds by the cloud's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeAttempt:
    """A check code on its way to a lock: both stay known until the lock has spoken (safety C6).

    ``old`` is ``None`` where none was known to hold.
    """

    old: Secret | None
    new: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionRequest:
    """What ``bleOpenInstruction`` is asked."""

    device_id: str
    bluetooth_sn: int
    device_random: Secret
    open: bool
    major: int


@dataclass(frozen=True, slots=True)
class SealedInstruction:
    """A sealed frame and the number to go on with. Never stored, never logged (safety B6)."""

    message: Secret
    next_sn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks: the id of a token or a uid, never the token."""

    id: str
    guest: bool = False
    grant: int = 0
    """Which issue of the credential was shown; an older one may have been revoked since."""
    scopes: frozenset[str] = frozenset()
    """What the credential allows (``tokens.allows``); nothing by default."""
    expires: float | None = None
    """Unix seconds of trusted time at which the credential ends, or a guest's window."""
    times: int | None = None
    """How many openings a guest has in all."""
    via: str = field(default="", compare=False)
    """Where this request came from: ``tcp ADDRESS`` or ``socket uid:N``; a ticket's id after it."""
    shared: Shared | None = None
    """The sharing ticket that this caller passes on, as the cloud has confirmed it."""
    gids: frozenset[int] = field(default=frozenset(), compare=False)
    """Of a program of this machine: it may be allowed something as one of a group."""

    @property
    def counted_as(self) -> str:
        """Whose openings are counted, where they are: a ticket's, whoever passes it on."""
        return self.id if self.shared is None else self.shared.id


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRequest:
    """One request to operate a lock. Times are the monotonic clock's seconds."""

    operation_id: str
    lock: str
    action: Action
    principal: Principal
    key: str
    fingerprint: str
    received_at: float
    deadline: float
    after: str | None = None
    stale: bool = False
    """This process stood still before it was read: it may have waited for minutes (safety A3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an operation ended and what was seen on the way."""

    outcome: Outcome
    code: str
    by: str | None = None
    result: int | None = None
    moved: str = "no"
    """``no``, ``possible`` or ``yes``: what is known of the motor (safety C4)."""
    late: bool = False
    offline: bool = False
    evidence: tuple[dict[str, Any], ...] = ()
    steps: dict[str, float] = field(default_factory=dict)
    """Seconds from the request to the end of each step."""

    @property
    def retryable(self) -> bool:
        """Whether a machine may ask again (with a new key)."""
        return self.outcome is Outcome.UNREACHED


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRecord:
    """An operation as it is stored and shown."""

    id: str
    lock: str
    action: Action
    principal: str
    key: str
    fingerprint: str
    phase: Phase
    requested_at: float
    """Unix seconds."""
    finished_at: float | None = None
    ending: Ending | None = None
    ended_at: float | None = field(default=None, compare=False)
    """Monotonic seconds of this boot, as ``Ledger.last_of`` tells them; never too early."""
    via: str = field(default="", compare=False)
    """Where the request came from (``Principal.via``), as long as it is known: it is not stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterInfo:
    """One Bluetooth adapter of this machine."""

    name: str
    """The kernel's, such as ``hci0``."""
    address: str
    powered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One advertisement of a lock as one adapter heard it. ``at``: monotonic seconds."""

    adapter: str
    address: str
    """Upper case, with colons; not authenticated (safety H1)."""
    rssi: int
    advertisement: Advertisement
    at: float
