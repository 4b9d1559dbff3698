"""What the cloud knows of locks' upkeep: T0, and whether it wants the list of a lock."""

from __future__ import annotations

from collections.abc import Mapping

from bleagent.sync.upkeep import Wanted

from .client import CloudClient
from .groups.members import Opmodes

AT_ONCE = 20
"""Devices in one question."""


class CloudUpkeep:
    """Implements ``upkeep_look.T0Source`` for the locks of ``devices`` (name: device id)."""

    def __init__(self, client: CloudClient, devices: Mapping[str, str]) -> None:
        self._client = client
        self._devices = devices

    async def paired_at(self) -> dict[str, int | None]:
        """When each lock was paired last, Unix seconds, if it says so. Raises CloudError."""
        ids = sorted(set(self._devices.values()))
        found: dict[str, int | None] = {}
        for first in range(0, len(ids), AT_ONCE):
            for facts in await self._client.lock_facts(ids[first : first + AT_ONCE]):
                at = facts.active_time
                found[facts.device_id] = None if at is None else int(at)
        return {name: found.get(device_id) for name, device_id in self._devices.items()}

    async def wanted(self, lock: str) -> Wanted | None:
        """What it wants to be asked of a lock now, if anything. Raises CloudError."""
        said = await Opmodes(self._client).syncable(self._devices[lock])
        if not said.due or said.dp_id is None or said.command is None:
            return None
        return Wanted(said.dp_id, said.command.reveal())
