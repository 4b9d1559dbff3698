"""What the virtual cloud knows of locks, and how it answers about them.

Frames are sealed with ``protocol``: they are real, and a lock opens on them.
Source: the vendor's mini program API document; reference cloud §3.5, protocol §6.6.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from protocol import CommandCode, Datapoint, Dialect, Frame, LockKeys, Secret
from protocol.commands import DpWrite, DpWriteV4
from protocol.keys import KeyRing
from protocol.lock import (
    APP_CENTRAL,
    METHOD_MEMBER,
    NO_CODE,
    CheckCodeOperation,
    CheckCodeSet,
    OpenOperation,
    OpenRequest,
)
from protocol.message import close_frame

from .cloud_checks import Failure
from .cloud_faults import Fault, FaultKind
from .cloud_members import MemberDesk
from .cloud_panel import PanelDesk
from .cloud_passwords import PasswordDesk
from .cloud_records import RecordDesk
from .cloud_samples import sample
from .cloud_sharing import SharingDesk

Params = Mapping[str, Any]

LIST_DEVICES = "account.listDevices"
"""Has a path and no action."""


class RandomCheck(StrEnum):
    """What the cloud wants as ``device_random``: the vendor's texts disagree."""

    ISSUED_CODE = "issued_code"  # the check code: 8 digits, or their hexadecimal
    SRAND = "srand"  # the lock's random of this connection, in hexadecimal
    ANYTHING = "anything"


@dataclass(slots=True, kw_only=True)
class CloudLock:
    """One lock as the cloud knows it; a test or a story changes it as it goes on.

    ``distributed`` is what the cloud calls "this datapoint still has to be sent". ``srand`` is
    told by whoever connects, where the cloud checks it. ``member`` opens.
    """

    device_id: str
    keys: LockKeys
    code: Secret
    name: str = "Front door"
    product_id: str = "virtual00000lock"
    category: str = "jtmspro"
    major: int = 3
    security_v2: bool = False
    peripheral: int = 5
    old_code: Secret = NO_CODE
    distributed: bool = False
    srand: Secret | None = None
    member: int = 1
    check_dp: int = 70
    open_dp: int = 71
    record_dp: int = 69
    online: bool = True
    active_time: int = 1622000424
    last_timestamp: int = 0

    def reissue(self, code: Secret) -> None:
        """The cloud issues another check code, to be sent to the lock."""
        self.old_code, self.code, self.distributed = self.code, code, True

    @property
    def check_code(self) -> bytes:
        """The check-code datapoint that has to be sent (``wake_up_ins``)."""
        return CheckCodeSet(
            central=APP_CENTRAL,
            peripheral=self.peripheral,
            code=self.old_code,
            operation=CheckCodeOperation.ADD,
            new_central=APP_CENTRAL,
            new_code=self.code,
        ).to_bytes()


class Actions:
    """The actions, by name, over a set of locks.

    Args:
        unix: the cloud's time.
        random_check: what ``device_random`` has to be.
        next_sn: the number to go on with, of the one that was asked for.
        new_iv: 16 fresh bytes.
    """

    def __init__(
        self,
        unix: Callable[[], float],
        *,
        random_check: RandomCheck = RandomCheck.ISSUED_CODE,
        next_sn: Callable[[int], int] = lambda sn: sn + 1,
        new_iv: Callable[[], bytes] = lambda: os.urandom(16),
    ) -> None:
        self.locks: dict[str, CloudLock] = {}
        self.records = RecordDesk(self.locks.__contains__)
        self.passwords = PasswordDesk(self.locks.__contains__, unix)
        self.records.heard = self.passwords.heard
        self.members = MemberDesk(self.records, self.passwords, unix)
        self.panel = PanelDesk(self.passwords, self.members)
        self.random_check = random_check
        self.next_sn = next_sn
        self._unix = unix
        self._new_iv = new_iv
        self.names: dict[str, Callable[[Params, Fault | None], object]] = {
            "doorLock.getIssuedConfig": self._issued_config,
            "doorLock.bleOpenInstruction": self._ble_open_instruction,
            "doorLock.unlockInstruction": self._unlock_instruction,
            "device.getListByIds": self._list_by_ids,
            "timer.currentTime": self._current_time,
            LIST_DEVICES: self._list_devices,
        }
        self.sharing = SharingDesk(self.locks.__contains__, unix)
        self._about_others = (
            self.records.actions() | self.passwords.actions() | self.members.actions()
            | self.sharing.actions() | self.panel.actions()
        )  # fmt: skip

    def run(self, action: str, params: Params, fault: Fault | None = None) -> object:
        """The result of an action.

        Raises:
            Failure: the cloud's no.
        """
        if action in self._about_others:
            return self._about_others[action](params)
        if action in self.names:
            return self.names[action](params, fault)
        if "device_id" in params and action.startswith("doorLock."):
            self._lock(params)
        return sample(action, params)

    # -- one method per action

    def _issued_config(self, params: Params, _fault: Fault | None) -> object:
        lock = self._lock(params)
        return {
            "lock_random": {
                "dev_unlock_id": f"{lock.peripheral:04x}",
                "dp_id": lock.check_dp,
                "wake_up_ins": lock.check_code.hex(),
                "distributed": lock.distributed,
                "ins": lock.code.reveal().hex(),
            },
            "lock_record": {
                "dpId": lock.record_dp,
                "distributed": True,
                "ins": lock.check_code.hex(),
            },
        }

    def _ble_open_instruction(self, params: Params, fault: Fault | None) -> object:
        opens, major = params.get("open", True), params.get("bluetooth_major_version", 3)
        if not isinstance(opens, bool) or not isinstance(major, int):
            raise Failure(1104, "type is incorrect")
        return self._instruction(params, major, fault, opens=opens)

    def _unlock_instruction(self, params: Params, fault: Fault | None) -> object:
        return self._instruction(params, 3, fault, opens=True)

    def _list_by_ids(self, params: Params, _fault: Fault | None) -> object:
        wanted = params.get("device_ids")
        if not isinstance(wanted, str) or not wanted:
            raise Failure(1100, "param is empty")
        return [_device(self.locks[one]) for one in wanted.split(",") if one in self.locks]

    def _list_devices(self, params: Params, _fault: Fault | None) -> object:
        """Of all accounts that are linked: a page, and by what to ask for the next one."""
        size, after = int(params.get("size", 20)), str(params.get("last_row_key", ""))
        rows = [_device(one) for one in self.locks.values()]
        start = int(after) if after.isdigit() else 0
        more = start + size < len(rows)
        return {
            "devices": rows[start : start + size], "has_more": more, "total": len(rows),
            "last_row_key": str(start + size) if more else "",
        }  # fmt: skip

    def _current_time(self, _params: Params, _fault: Fault | None) -> object:
        return round(self._unix() * 1000)

    # -- sealing

    def _instruction(
        self, params: Params, major: int, fault: Fault | None, *, opens: bool
    ) -> dict[str, object]:
        lock, sn = self._lock(params), params.get("bluetooth_sn")
        if not isinstance(sn, int) or not 0 < sn < 2**32:
            raise Failure(1101, "param is out of range")
        self._check_random(lock, params.get("device_random"))
        lock.last_timestamp = max(int(self._unix()), lock.last_timestamp + 1)
        kind = fault.kind if fault else None
        if kind is FaultKind.WRONG_FRAMING:
            major = 3 if major >= 4 else 4
        frame_sn = sn + 1 if kind is FaultKind.WRONG_SN else sn
        operation = int(opens) ^ (kind is FaultKind.WRONG_OPERATION)
        sealed = self._seal(self._sealing_lock(lock, kind), frame_sn, operation, major)
        return {"instruction": sealed.hex(), "next_sn": self.next_sn(sn)}

    def _seal(self, lock: CloudLock, sn: int, operation: int, major: int) -> bytes:
        opening = OpenRequest(
            central=APP_CENTRAL,
            peripheral=lock.peripheral,
            code=lock.code,
            operation=OpenOperation(operation),
            timestamp=lock.last_timestamp,
            method=METHOD_MEMBER,
            info=bytes([lock.member]),
        )
        datapoints = (Datapoint.raw(lock.open_dp, opening.to_bytes()),)
        code, data = CommandCode.DP_WRITE, DpWrite(datapoints).to_bytes()
        if major >= 4:
            code, data = CommandCode.DP_WRITE_V4, DpWriteV4(datapoints).to_bytes()
        flag = Dialect(major, lock.security_v2).login_flag
        frame = Frame(sn, 0, code, data)
        return close_frame(frame, flag=flag, ring=KeyRing(lock.keys), iv=self._new_iv())

    def _sealing_lock(self, lock: CloudLock, kind: FaultKind | None) -> CloudLock:
        """The lock the frame is for, as a fault would have it."""
        match kind:
            case FaultKind.WRONG_RANDOM:
                return replace(lock, code=_turned(lock.code))
            case FaultKind.STALE_LOCAL_KEY:
                return replace(lock, keys=_other_keys(lock.keys))
            case FaultKind.OTHER_LOCK:
                others = [one for one in self.locks.values() if one is not lock]
                other = others[0] if others else replace(lock, keys=_other_keys(lock.keys))
                return replace(other, last_timestamp=lock.last_timestamp)
            case _:
                return lock

    def _check_random(self, lock: CloudLock, given: object) -> None:
        if not isinstance(given, str) or not given:
            raise Failure(1102, "device_random is null")
        code = lock.code.reveal()
        match self.random_check:
            case RandomCheck.ISSUED_CODE:
                wanted = {code.decode("ascii", "replace"), code.hex()}
            case RandomCheck.SRAND:
                wanted = {lock.srand.reveal().hex()} if lock.srand else set()
            case RandomCheck.ANYTHING:
                return
        if given.lower() not in wanted:
            raise Failure(1109, "param is illegal,please check it")

    def _lock(self, params: Params) -> CloudLock:
        lock = self.locks.get(str(params.get("device_id", "")))
        if lock is None:
            raise Failure(1106, "permission deny")
        return lock


def _device(lock: CloudLock) -> dict[str, object]:
    keys = lock.keys
    found: dict[str, object] = {
        "id": lock.device_id,
        "name": lock.name,
        "uuid": keys.uuid,
        "local_key": keys.local_key.reveal().decode() if keys.local_key else "",
        "product_id": lock.product_id,
        "product_name": "Virtual lock",
        "category": lock.category,
        "biz_type": 0,
        "sub": True,
        "online": lock.online,
        "owner_id": "34720161",
        "time_zone": "+00:00",
        "create_time": lock.active_time,
        "update_time": lock.active_time,
        "active_time": lock.active_time,
        "status": [],
    }
    if keys.sec_key is not None:
        found["sec_key"] = keys.sec_key.reveal().decode()
    return found


def _turned(secret: Secret) -> Secret:
    return Secret(secret.reveal()[::-1][:-1] + b"~")


def _other_keys(keys: LockKeys) -> LockKeys:
    return replace(keys, local_key=_turned(keys.local_key) if keys.local_key else None)
