"""Devices, binding one, video doors, and whatever only an app may ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from protocol import Secret

from .base import ApiGroup, needed, secret, text


@dataclass(frozen=True, slots=True)
class Devices(ApiGroup):
    """Devices; their facts are ``CloudClient.lock_facts``, the time is its ``unix_time``."""

    async def status(self, device_id: str, *, deadline: float | None = None) -> dict[str, Any]:
        """The latest values by their codes; some are secrets."""
        rows = await self._rows("device.status", deadline, device_id=device_id)
        return {text(row, "code"): row.get("value") for row in rows if row.get("code")}

    async def control(
        self, device_id: str, commands: Mapping[str, Any], *, deadline: float | None = None
    ) -> None:
        """Send commands, by code; asked once."""
        several = [{"code": code, "value": value} for code, value in commands.items()]
        await self._ask("device.control", deadline, device_id=device_id, commands=several)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingKey:
    """With what a new device is bound."""

    encrypted: Secret
    random: Secret


@dataclass(frozen=True, slots=True)
class Bluetooth(ApiGroup):
    """Binding; ``CloudClient.issued_config`` and ``open_instruction`` are for opening."""

    async def pairing_key(
        self, home_id: str, uuid: str, uid: str, *, deadline: float | None = None
    ) -> PairingKey:
        """The key of a device that belongs to nobody yet. This agent binds none itself."""
        name = "device.pairingAuthKey"
        row = await self._object(name, deadline, home_id=home_id, uuid=uuid, uid=uid)
        return PairingKey(
            encrypted=secret(row, "encrypted_auth_key", name), random=secret(row, "random", name)
        )


@dataclass(frozen=True, slots=True)
class VideoDoor(ApiGroup):
    """Video doors, which are no locks."""

    async def open(self, device_id: str, person_id: str, *, deadline: float | None = None) -> str:
        """Open one; the number of the instruction that was accepted."""
        name = "videoDoor.open"
        row = await self._object(name, deadline, device_id=device_id, person_id=person_id)
        return str(needed(row, "sn", name))

    async def call(
        self,
        device_id: str,
        person_ids: Iterable[str],
        *,
        sn: str,
        event: int,
        room: str | None = None,
        deadline: float | None = None,
    ) -> None:
        """Ring at up to three residents, or hang up; ``sn`` and ``event`` of the call event."""
        await self._ask(
            "videoDoor.call",
            deadline,
            device_id=device_id,
            sn=sn,
            type=event,
            target_address=room,
            person_id_list=list(person_ids),
        )


@dataclass(frozen=True, slots=True)
class Panel(ApiGroup):
    """The APIs of the app's panels: one method for all, typed by the catalogue."""

    async def ask(
        self,
        name: str,
        *,
        version: str | None = None,
        deadline: float | None = None,
        **arguments: Any,
    ) -> Any:
        """Ask one by its name, with or without the ``tuya.m.`` in front of it."""
        whole = name if name.startswith("tuya.m.") else f"tuya.m.{name}"
        return await self.client.call(
            whole, version=version, for_lock=self.lock, deadline=deadline, **arguments
        )
