"""The temporary passwords of a Bluetooth lock as the cloud holds them, with their digits.

The lists for lock programs tell when a password is good, and never its digits. These stand in one
document only: in the page list of the app's panel, which a relay to a signed-in app answers
(``panel_url``). Without one a password can be deleted at a lock, and none brought there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bleagent.sync.passwords import Held, Phase
from protocol import Secret

from .catalogue import LockKind
from .fields import find
from .groups.passwords import Passwords, TemporaryPassword
from .named_calls import Caller
from .passwords import digits_of

PAGE_LIST = "tuya.m.device.lock.temppwd.pagelist"
PAGE = 50
MOST_PAGES = 4
"""A lock has room for ten."""


class CloudPasswords:
    """Implements ``password_look.PasswordSource`` for the locks of ``devices`` (name: device id).

    ``relayed``: whether the panel's list can be asked for.
    """

    def __init__(self, client: Caller, devices: Mapping[str, str], *, relayed: bool) -> None:
        self._client = client
        self._passwords = Passwords(client)
        self._devices = devices
        self._relayed = relayed

    async def held(self, lock: str) -> tuple[Held, ...]:
        """What the cloud holds, the good ones and those that it calls over. Raises CloudError."""
        device_id = self._devices[lock]
        rows = {
            one.password_id: one
            for valid in (False, True)
            for one in await self._passwords.list(device_id, valid=valid)
        }
        told: Mapping[str, tuple[Secret | None, bool]] = {}
        if self._relayed and any(one.phase == Phase.TO_BE_SENT for one in rows.values()):
            told = await self._told(device_id)
        return tuple(_held(one, *told.get(one.password_id, (None, False))) for one in rows.values())

    async def _told(self, device_id: str) -> dict[str, tuple[Secret | None, bool]]:
        """Of each password its digits, and whether it is good for one opening."""
        found: dict[str, tuple[Secret | None, bool]] = {}
        for page in range(MOST_PAGES):
            answer = await self._client.call(
                PAGE_LIST, for_lock=LockKind.BLUETOOTH, devId=device_id, useful=True,
                offset=page * PAGE, limit=PAGE,
            )  # fmt: skip
            rows = find(answer, "datas") or [] if isinstance(answer, dict) else answer or []
            for row in rows:
                found[str(find(row, "id"))] = (
                    _digits(find(row, "password")),
                    bool(find(row, "oneTime")),
                )
            if len(rows) < PAGE:
                break
        return found


def _digits(told: object) -> Secret | None:
    """Digits of a Bluetooth lock; anything else, such as encrypted ones, is none."""
    if not isinstance(told, str) or len(told) != digits_of(LockKind.BLUETOOTH):
        return None
    return Secret(told) if told.isascii() and told.isdigit() else None


def _held(one: TemporaryPassword, digits: Secret | None, once: bool) -> Held:  # noqa: FBT001
    return Held(
        password_id=one.password_id,
        phase=one.phase,
        begins=_unix(one.begins),
        ends=_unix(one.ends),
        once=once,
        scheduled=bool(one.schedule),
        sn=one.sn,
        digits=digits,
    )


def _unix(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
