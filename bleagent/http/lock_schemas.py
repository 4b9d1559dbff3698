"""What is answered about locks, as models (see ``schemas``)."""

from __future__ import annotations

from pydantic import Field

from bleagent.policy import Connection, LockVia, Offline
from bleagent.sync.passwords import State
from bleagent.sync.upkeep import Progress

from .schemas import Answer, Time


class LockRadio(Answer):
    """What the radio knows of a lock."""

    adapter: str | None
    rssi: int | None = Field(description="dBm, smoothed.")
    heard_s_ago: float | None
    attempts: int
    connections: int
    failures: dict[str, int] = Field(description="By code.")
    connected_s_today: float


class Battery(Answer):
    """What the lock said."""

    value: int = Field(description="Percent.")
    told_s_ago: float


class StateWord(Answer):
    """What the lock said."""

    value: str
    told_s_ago: float


class LockState(Answer):
    """What the lock has said of itself since the agent's start, as far as it has."""

    battery: Battery | None = None
    battery_class: StateWord | None = Field(default=None, description="high, medium, low, ...")
    bolt: StateWord | None = Field(default=None, description="open or closed.")
    door: StateWord | None = Field(default=None, description="open, closed or unknown.")


class LockSync(Answer):
    """Bringing the cloud's temporary passwords to the lock."""

    passwords: dict[State, int] = Field(description="How many are where.")
    asked_at: Time | None = Field(description="When the cloud last said what it holds.")
    last_error: str | None = Field(description="The code of what went wrong last.")


class Kept(Answer):
    """How far one part of the upkeep is."""

    progress: Progress = Field(
        description="waiting: for a visit, or for a lock that did not answer. done: the lock said "
        "that it has T0; its list was handed to the sinks. empty: nothing is on its list, or it "
        "did not understand the question. refused: it said no. unsupported: it has no such "
        "datapoint, or never answered."
    )
    at: Time


class LockUpkeep(Answer):
    """Telling the lock T0 of its offline passwords, and reporting its list of credentials."""

    clock_told_at: Time | None = Field(
        description="When it was told the time last, since the agent's start; null: it never asked."
    )
    t0: Kept | None = Field(description="null: the cloud has told no T0 so far.")
    credentials: Kept | None = Field(description="null: it was not asked so far.")
    listed: dict[str, int] | None = Field(
        description="How many of each kind were on its last list, since the agent's start."
    )
    asked_at: Time | None = Field(description="When the cloud last answered about it.")
    last_error: str | None = Field(description="The code of what went wrong last.")


class Lock(Answer):
    """One configured lock."""

    name: str
    busy: bool = Field(description="An operation is going on.")
    connection: Connection
    connected: bool
    reachable: bool | None = Field(
        description="Connected, or heard in the last minute; null where nobody listens."
    )
    lock_via: LockVia
    offline: Offline
    offline_until: Time | None = Field(
        description="Until then it opens though the cloud cannot be asked; null: it does not."
    )
    state: LockState
    radio: LockRadio | None = Field(default=None, description="With Bluetooth only.")
    sync: LockSync | None = Field(
        default=None, description="Where passwords are brought to the lock only."
    )
    upkeep: LockUpkeep | None = Field(
        default=None, description="Where the lock's upkeep is kept only."
    )


class Locks(Answer):
    """All of them."""

    locks: list[Lock]
