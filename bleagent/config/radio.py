"""Where locks are reached, and how connections to one lock are used."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from bleagent.policy import Backlog, Connection, Listening

from .base import Section, mismatch

_ADAPTER = r"^hci[0-9]{1,3}$"


def _some_and_different(adapters: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if adapters is not None and (not adapters or len(set(adapters)) != len(adapters)):
        raise ValueError
    return adapters


class RadioConfig(Section):
    """Bluetooth, or a virtual lock where ``socket`` is set."""

    socket: str | None = Field(
        default=None,
        pattern=r"^127\.0\.0\.1:[0-9]{1,5}$",
        description="127.0.0.1:PORT of a virtual lock (bleagent simulate lock)",
    )
    adapters: Annotated[
        tuple[Annotated[str, Field(pattern=_ADAPTER)], ...] | None,
        AfterValidator(_some_and_different),
    ] = Field(default=None, description='different adapters such as ["hci0"]')
    slots: int = Field(
        default=3, ge=1, le=10, description="connections per adapter at one time, from 1 to 10"
    )

    scan: Listening = Field(default=Listening.ACTIVE, description="active or passive")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.socket is not None and self.adapters is not None:
            raise mismatch("both socket and adapters", "either a virtual lock or Bluetooth")
        return self


class LockRadioConfig(Section):
    """How the connection to one lock is used; part of each ``[[locks]]``."""

    adapter: str | None = Field(
        default=None, pattern=_ADAPTER, description="the only adapter for it, such as hci0"
    )
    connection: Connection = Field(
        default=Connection.ON_DEMAND, description="on_demand, warm or held"
    )
    backlog: Backlog = Field(default=Backlog.TAKE, description="take or leave")
    linger: float = Field(default=10.0, ge=0, le=100, description="seconds from 0 to 100")
    warm: float = Field(
        default=120.0, gt=0, le=3600, description="seconds, more than 0, up to 3600"
    )


def check_radio(radio: RadioConfig, locks: tuple[LockRadioConfig, ...]) -> None:
    """Whether the locks can be reached as they are to be.

    Raises:
        PydanticCustomError: an adapter that is not used, or more held connections than slots.
    """
    known = radio.adapters
    for lock in locks:
        if known is not None and lock.adapter is not None and lock.adapter not in known:
            raise mismatch(
                f"a lock with adapter {lock.adapter}", f"one of radio.adapters: {', '.join(known)}"
            )
    held = [lock for lock in locks if lock.connection is Connection.HELD]
    for adapter in {lock.adapter for lock in held if lock.adapter is not None}:
        _check_slots(radio.slots, [lock for lock in locks if lock.adapter == adapter])
    if known is not None:
        _check_slots(radio.slots * len(known), list(locks))


def _check_slots(slots: int, locks: list[LockRadioConfig]) -> None:
    """A held connection keeps its slot for ever: the other locks need one that is left."""
    held = sum(lock.connection is Connection.HELD for lock in locks)
    if held > slots - (held < len(locks)):
        raise mismatch(
            f"{held} held connections with {slots} slots",
            "a slot for each, and one more for the locks that are not held",
        )
