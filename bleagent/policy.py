"""Strategies: where the vendor's texts contradict themselves or operators differ.

Each has a stated default (reference: safety B3, B5, C3, C6, F2, F3) and is tested both ways.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from protocol import DpMap, InstructionAir
from protocol.dpmap import LockGeneration


class DeviceRandom(StrEnum):
    """What ``bleOpenInstruction`` is told as ``device_random``."""

    ISSUED_CODE = "issued_code"  # the default: what the vendor's text says
    CONNECTION_SRAND = "connection_srand"  # what its sample looks like


class CodeSource(StrEnum):
    """Which of the issued values is written as the check-code datapoint."""

    WAKE_UP_INS = "wake_up_ins"  # the default: the whole datapoint, as issued
    INS = "ins"  # built around the eight characters


class SnStart(StrEnum):
    """Where the numbers of a connection start."""

    STORED = "stored"  # the default: above every number ever used in a sealed frame
    ONE = "one"


class LockVia(StrEnum):
    """How a door is locked."""

    DP46 = "dp46"  # the default: the manual lock datapoint
    DP71 = "dp71"  # a sealed instruction with operation 0


class Offline(StrEnum):
    """Whether a door is opened when the cloud cannot be asked."""

    NEVER = "never"  # the default
    CACHED = "cached"  # with the last issued check code, sealed by us


class SharingLock(StrEnum):
    """For which lock a sharing ticket is good: no documented answer of the cloud says it."""

    NAMED = "named"  # the default: only for the lock that the cloud's answer names
    ONLY_LOCK = "only_lock"  # an answer without a lock means this one: the project has no other


class Backlog(StrEnum):
    """Whether a lock is asked for what it remembers. Taking a record deletes it at the lock."""

    TAKE = "take"  # the default: on every connection
    LEAVE = "leave"  # somebody else takes it, such as the vendor's app on the owner's phone


class PasswordDelivery(StrEnum):
    """Whether temporary passwords are brought from the cloud to the lock."""

    LEAVE = "leave"  # the default: the vendor's app on the owner's phone brings them
    DELIVER = "deliver"  # beside visits; needs the cloud's list, and its digits from a panel relay


class Upkeep(StrEnum):
    """Whether a lock is told T0, and asked for its list of credentials when the cloud wants it."""

    LEAVE = "leave"  # the default: the vendor's app on the owner's phone does both
    KEEP = "keep"  # beside visits


class Listening(StrEnum):
    """Whether locks are asked for what they advertise only when asked (scan responses)."""

    ACTIVE = "active"  # the default: all that a lock says is heard whenever it says it
    PASSIVE = "passive"  # where bluetoothd can, and until a lock is heard that must be asked


class Connection(StrEnum):
    """How long the connection to a lock is kept.

    One central at a time: as long as we are connected, the owner's phone is not.
    """

    ON_DEMAND = "on_demand"  # the default: for an operation or when the lock has something to say
    WARM = "warm"  # longer after each use or a hint that somebody is coming
    HELD = "held"  # always, and made again whenever it ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How one lock is operated."""

    device_random: DeviceRandom = DeviceRandom.ISSUED_CODE
    code_source: CodeSource = CodeSource.WAKE_UP_INS
    sn_start: SnStart = SnStart.STORED
    instruction_air: InstructionAir = InstructionAir.AS_SEALED
    lock_via: LockVia = LockVia.DP46
    offline: Offline = Offline.NEVER
    offline_max_age: float = 24 * 3600.0
    """Seconds since the cloud last said yes to this lock."""
    sharing: SharingLock = SharingLock.NAMED
    passwords: PasswordDelivery = PasswordDelivery.LEAVE
    upkeep: Upkeep = Upkeep.LEAVE
    major: int = 3
    security_v2: bool = False
    dps: DpMap = field(default_factory=lambda: DpMap.default(LockGeneration.V3_3))
    member: int = 1
    """Member id under which the lock records openings that we seal ourselves."""
    backlog: Backlog = Backlog.TAKE
    connection: Connection = Connection.ON_DEMAND
    linger: float = 10.0
    """Seconds that an on-demand connection stays after its last use."""
    warm_for: float = 120.0
    """Seconds that a warm connection stays after its last use or hint."""
