"""Who opens a lock with what, at the virtual cloud; and how it may be opened from afar.

Members and their credentials are those of the desk of records: what is given to a member here is
told in its records. Source: the vendor's mini program API document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .cloud_checks import Failure
from .cloud_passwords import PasswordDesk
from .cloud_records import CloudCredential, RecordDesk, page

Params = Mapping[str, Any]

SYNC_PAUSE = 5.0
"""Seconds: a lock is not asked more often what it knows."""
SYNC_DP = 54
_WAYS = ("remoteUnlockWithoutPwd", "remoteUnlockWithPwd")
_ALL = "04f0080506030102"
"""All kinds of credentials, as a real cloud has answered."""


@dataclass(slots=True)
class MemberDesk:
    """Allocates and marks credentials, and keeps the switches of remote openings.

    ``unallocated`` are credentials that nobody owns, by device. ``zigbee`` are the devices that
    open with a password from afar, as Zigbee locks alone do. ``opened`` are the devices that were
    opened from afar, in order; ``commands`` what was sent to devices.
    """

    records: RecordDesk
    passwords: PasswordDesk
    unix: Callable[[], float]
    unallocated: dict[str, list[CloudCredential]] = field(default_factory=dict)
    zigbee: set[str] = field(default_factory=set)
    switches: dict[str, dict[str, bool]] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    commands: list[tuple[str, object]] = field(default_factory=list)
    _synced: dict[str, float] = field(default_factory=dict)

    def actions(self) -> dict[str, Callable[[Params], object]]:
        """The actions, by name."""
        return {
            "doorLock.getUser": self._user,
            "doorLock.listUnallocatedOpmodes": self._list_unallocated,
            "doorLock.allocateOpmode": self._allocate,
            "doorLock.deallocateOpmode": self._deallocate,
            "doorLock.setHijack": lambda params: self._mark(params, attr=1),
            "doorLock.removeHijack": lambda params: self._mark(params, attr=0),
            "doorLock.getSyncableOpmodeTypes": self._syncable,
            "doorLock.remoteUnlocks": self._remote_unlocks,
            "doorLock.remoteUnlockConfig": self._configure,
            "doorLock.passwordFreeOpen": self._open,
            "doorLock.openDoor": self._open_with_password,
            "device.control": self._control,
        }

    # -- members

    def _user(self, params: Params) -> object:
        users = self.records.users.get(self._device(params), [])
        user_id = str(params.get("user_id", ""))
        for user in users:
            if user_id in ("0", user.user_id):  # 0 is the current user: the first one here
                return {
                    "user_id": user.user_id,
                    "lock_user_id": user.lock_user_id,
                    "nick_name": user.nick_name,
                    "avatar_url": "",
                    "user_type": user.user_type,
                    "user_contact": "",
                }
        raise Failure(2006, "user not exist")

    def _list_unallocated(self, params: Params) -> object:
        free = self.unallocated.get(self._device(params), [])
        rows = [
            {
                "opmode": str(one.dp_id),
                "standard_dp": one.dp_code,
                "unlock_info": [
                    {
                        "dp_code": one.dp_code,
                        "unlock_sn": one.unlock_sn,
                        "unlock_name": one.unlock_name,
                    }
                ],
            }
            for one in free
        ]
        return page(rows, {"page_no": 1, "page_size": 50, **params})

    def _allocate(self, params: Params) -> object:
        wanted = [_named(one) for one in params.get("unlock_list") or [{}]]
        self.allocate(self._device(params), str(params.get("user_id", "")), wanted)
        return True

    def allocate(self, device_id: str, user_id: str, wanted: Sequence[tuple[str, int]]) -> None:
        """Credentials that nobody owns, by code and number, become a member's. Raises Failure."""
        free = {(one.dp_code, one.unlock_sn): one for one in self.unallocated.get(device_id, [])}
        if not all(one in free for one in wanted):
            raise Failure(1000, "data not exist")
        given = tuple(free.pop(one) for one in wanted)
        self._change(device_id, user_id, lambda owned: (*owned, *given))
        self.unallocated[device_id] = list(free.values())

    def _deallocate(self, params: Params) -> object:
        device_id = self._device(params)
        names = [_named(one) for one in params.get("unlock_list") or [params]]
        taken: list[CloudCredential] = []

        def take(owned: tuple[CloudCredential, ...]) -> tuple[CloudCredential, ...]:
            taken.extend(one for one in owned if (one.dp_code, one.unlock_sn) in names)
            if len(taken) != len(names):
                raise Failure(1000, "data not exist")
            return tuple(one for one in owned if one not in taken)

        self._change(device_id, str(params.get("user_id", "")), take)
        self.unallocated.setdefault(device_id, []).extend(taken)
        return True

    def _mark(self, params: Params, *, attr: int) -> object:
        kind = str(params.get("unlock_type", "")).removeprefix("unlock_")
        name = _named({"dp_code": f"unlock_{kind}", **params})
        return self.mark(self._device(params), name, attr=attr)

    def mark(self, device_id: str, name: tuple[str, int], *, attr: int) -> bool:
        """A credential, by code and number, is used under duress or is not. Raises Failure."""
        self.alter(device_id, name, lambda one: replace(one, attr=attr))
        return True

    def alter(
        self,
        device_id: str,
        name: tuple[str, int],
        change: Callable[[CloudCredential], CloudCredential],
    ) -> None:
        """One credential of whoever owns it. Raises Failure."""

        def altered(owned: tuple[CloudCredential, ...]) -> tuple[CloudCredential, ...]:
            return tuple(
                change(one) if (one.dp_code, one.unlock_sn) == name else one for one in owned
            )

        for user in self.records.users.get(device_id, []):
            if any((one.dp_code, one.unlock_sn) == name for one in user.credentials):
                self._change(device_id, user.user_id, altered)
                return
        raise Failure(1000, "data not exist")

    def _change(
        self,
        device_id: str,
        user_id: str,
        change: Callable[[tuple[CloudCredential, ...]], tuple[CloudCredential, ...]],
    ) -> None:
        users = self.records.users.get(device_id, [])
        for at, user in enumerate(users):
            if user.user_id == user_id:
                users[at] = replace(user, credentials=change(user.credentials))
                return
        raise Failure(2006, "user not exist")

    def _syncable(self, params: Params) -> object:
        device_id, now = self._device(params), self.unix()
        due = now - self._synced.get(device_id, -SYNC_PAUSE) >= SYNC_PAUSE
        if due:
            self._synced[device_id] = now
        return {"dp_id": SYNC_DP, "distributed": due, "ins": _ALL}

    # -- from afar

    def _remote_unlocks(self, params: Params) -> object:
        device_id = self._device(params)
        switches = self.switches.get(device_id, {})
        return [
            {"remote_unlock_type": way, "open": switches.get(way, True), "device_id": device_id}
            for way in _WAYS
        ]

    def _configure(self, params: Params) -> object:
        way, opens = params.get("remote_unlock_type"), params.get("open")
        if way not in _WAYS or not isinstance(opens, bool):
            raise Failure(1109, "param is illegal,please check it")
        self.switches.setdefault(self._device(params), {})[str(way)] = opens
        return True

    def _open(self, params: Params) -> object:
        device_id = self._device(params)
        self.passwords.use_ticket(params)
        if not self.switches.get(device_id, {}).get(_WAYS[0], True):
            raise Failure(2324, "status forbids")
        self.opened.append(device_id)
        return True

    def _open_with_password(self, params: Params) -> object:
        device_id = self._device(params)
        if device_id not in self.zigbee:
            raise Failure(2004, "not support the lock type")
        if not self.passwords.opens(device_id, self.passwords.pin(params)):
            raise Failure(2310, "zigbee password not found")
        self.opened.append(device_id)
        return True

    def _control(self, params: Params) -> object:
        commands = params.get("commands")
        if not isinstance(commands, list) or not commands:
            raise Failure(1100, "param is empty")
        self.commands.append((self._device(params), commands))
        return True

    def _device(self, params: Params) -> str:
        device_id = str(params.get("device_id", ""))
        if not self.records.has(device_id):
            raise Failure(1106, "permission deny")
        return device_id


def _named(one: Params) -> tuple[str, int]:
    """Which credential, in any of the document's spellings."""
    code = one.get("dp_code") or one.get("code")
    sn = one.get("unlock_sn", one.get("unlock_no"))
    if not isinstance(code, str) or not str(sn).isdigit():
        raise Failure(1109, "param is illegal,please check it")
    return code, int(str(sn))
