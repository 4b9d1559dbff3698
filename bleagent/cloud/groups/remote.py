"""Openings from afar, by the vendor's cloud."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from bleagent.cloud.passwords import TICKET, with_ticket
from protocol import Secret

from .base import ApiGroup, needed, text

WITHOUT_PASSWORD = "remoteUnlockWithoutPwd"
WITH_PASSWORD = "remoteUnlockWithPwd"


class Refusal(IntEnum):
    """Why a request for a remote opening was turned down."""

    REJECTED = 1
    CANCELLED = 2


@dataclass(frozen=True, slots=True)
class Remote(ApiGroup):
    """Openings by the vendor's cloud. They are asked once, and none is an operation of ours."""

    secret: Secret = Secret(b"")  # noqa: RUF009 -- frozen

    async def open(
        self, device_id: str, *, channel_id: str | None = None, deadline: float | None = None
    ) -> None:
        """Open without a password; returning says that it was accepted, not that a door is open."""
        ticket = await self._object(TICKET, deadline, device_id=device_id)
        await self._ask(
            "doorLock.passwordFreeOpen",
            deadline,
            device_id=device_id,
            ticket_id=needed(ticket, "ticket_id", "the ticket"),
            channel_id=channel_id,
        )

    async def open_with(
        self, device_id: str, pin: Secret, *, deadline: float | None = None
    ) -> None:
        """Open with a password: Zigbee locks alone."""
        sealed = await with_ticket(
            self.client, self.secret, device_id=device_id, pin=pin, lock=self.lock,
            deadline=deadline,
        )  # fmt: skip
        await self._ask("doorLock.openDoor", deadline, device_id=device_id, **sealed)

    async def turn_down(
        self, device_id: str, why: Refusal = Refusal.REJECTED, *, deadline: float | None = None
    ) -> None:
        """Turn down what was asked for at the door: Wi-Fi locks alone."""
        name = "doorLock.cancelPasswordFreeOpen"
        await self._ask(name, deadline, device_id=device_id, type=int(why))

    async def switches(self, device_id: str, *, deadline: float | None = None) -> dict[str, bool]:
        """The ways to open from afar that a lock has, and which are on."""
        rows = await self._rows("doorLock.remoteUnlocks", deadline, device_id=device_id)
        return {text(row, "remote_unlock_type"): row.get("open") is True for row in rows}

    async def switch(
        self, device_id: str, way: str, *, on: bool, deadline: float | None = None
    ) -> None:
        """Switch one of them: ``WITHOUT_PASSWORD`` or ``WITH_PASSWORD``."""
        name = "doorLock.remoteUnlockConfig"
        await self._ask(name, deadline, device_id=device_id, remote_unlock_type=way, open=on)
