"""Temporary passwords at the virtual cloud: tickets, and passwords in the phases of their locks.

A password of a Bluetooth lock is *to be sent* until somebody has carried it to the lock, and *to
be deleted* until it is gone from there. Whoever does that tells it here: ``sent``, ``failed``,
``removed``; or the lock's own words do that are reported (``heard``), which nobody knows of the
real cloud. Source: the vendor's mini program API document; reference cloud §6.
"""

from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from hashlib import sha256
from itertools import count
from typing import Any

from Crypto.Cipher import AES
from Crypto.Util.Padding import pad, unpad

from protocol import RemoteProtocolError, Secret
from protocol.credentials import TemporaryPasswordReply, TemporaryResult

from .cloud_checks import Failure
from .cloud_records import ReportedRecord

Params = Mapping[str, Any]

TICKET_LIFE = 360
"""Seconds, as in the document's sample."""
PIN_DIGITS = 6
DYNAMIC_LIFE = 300
_MAX_NAME = 64
_FIRST_ID = 1001
_ADDED = "temporary_password_creat"
_CHANGED = "temporary_password_modify"
_DELETED = "temporary_password_delete"
_WORDS = (_ADDED, _CHANGED, _DELETED)


class Phase(IntEnum):
    """Where a password of a Bluetooth lock is."""

    DELETED = 0
    TO_BE_SENT = 1
    SENT = 2
    TO_BE_DELETED = 3
    FAILED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudPassword:
    """One temporary password. Times in Unix seconds."""

    password_id: int
    device_id: str
    pin: Secret
    effective_time: int
    invalid_time: int
    name: str = ""
    phase: Phase = Phase.TO_BE_SENT
    made_at: float = 0.0
    more: Mapping[str, Any] = field(default_factory=dict)
    """``phone``, ``type``, ``time_zone``, ``schedule_list`` and ``sn`` as they were given."""

    @property
    def is_to_be_sent(self) -> bool:
        """Whether somebody has to carry it, or its change, to the lock."""
        return self.phase is Phase.TO_BE_SENT

    def row(self) -> dict[str, object]:
        """As the cloud tells it: never with its digits."""
        return {
            "password_id": self.password_id,
            "name": self.name,
            "phase": int(self.phase),
            "effective_time": self.effective_time,
            "invalid_time": self.invalid_time,
            "delivery_status": 2 if self.phase is Phase.SENT else 1,
            **self.more,
        }


@dataclass(frozen=True, slots=True)
class _Ticket:
    device_id: str
    key: Secret
    ends_at: float


@dataclass(slots=True)
class PasswordDesk:
    """Tickets and passwords.

    Args:
        has: whether a device is linked.
        unix: the cloud's time.
        secret: of the project; tickets are sealed with it.
        new_key: 16 fresh bytes.
    """

    has: Callable[[str], bool]
    unix: Callable[[], float]
    secret: Secret = field(default_factory=lambda: Secret(b""))
    new_key: Callable[[], bytes] = lambda: os.urandom(16)
    passwords: dict[int, CloudPassword] = field(default_factory=dict)
    frozen: set[int] = field(default_factory=set)
    """Open nothing for a while; Zigbee locks alone have that."""
    _tickets: dict[str, _Ticket] = field(default_factory=dict)
    _ids: count[int] = field(default_factory=lambda: count(_FIRST_ID))

    def actions(self) -> dict[str, Callable[[Params], object]]:
        """The actions, by name."""
        return {
            "doorLock.passwordTicket": self._ticket,
            "doorLock.createTemporaryPassword": self._create,
            "doorLock.createTemporaryPasswordWithoutName": self._create_without_name,
            "doorLock.getTemporaryPassword": self._get,
            "doorLock.getTemporaryPasswordList": self._list,
            "doorLock.modifyTemporaryPassword": self._modify,
            "doorLock.deleteTemporaryPassword": self._delete,
            "doorLock.removalInvalidTempPasswords": self._remove_invalid,
            "doorLock.getDynamicPassword": self._dynamic,
            "doorLock.deleteOfflinePassword": self._clearing_code,
        }

    def opens(self, device_id: str, pin: Secret) -> bool:
        """Whether it is a password of that device, and good now."""
        return any(
            one.pin == pin and one.effective_time <= self.unix() and self.valid(one)
            for one in self.of(device_id)
            if one.password_id not in self.frozen
        )

    # -- for whoever else speaks of them

    def put(
        self,
        device_id: str,
        pin: Secret,
        *,
        name: str,
        begins: int,
        ends: int,
        more: Mapping[str, Any],
    ) -> CloudPassword:
        """Another one, to be sent; times in Unix seconds. Raises Failure."""
        if name and any(one.name == name for one in self.of(device_id)):
            raise Failure(2316, "name repeats")
        if ends <= max(begins, self.unix()):
            raise Failure(2318, "time is before now")
        made = CloudPassword(
            password_id=next(self._ids), device_id=device_id, pin=pin, name=name,
            effective_time=begins, invalid_time=ends, more=more, made_at=self.unix(),
        )  # fmt: skip
        self.passwords[made.password_id] = made
        return made

    def delete(self, one: CloudPassword) -> None:
        """The cloud's people do not want it any more."""
        never_there = one.phase in (Phase.TO_BE_SENT, Phase.FAILED)
        self._to(one.password_id, Phase.DELETED if never_there else Phase.TO_BE_DELETED)

    def forget_invalid(self, device_id: str) -> None:
        """Nothing is known any more of those that have ended."""
        for one in self.of(device_id, deleted=True):
            if not self.valid(one):
                del self.passwords[one.password_id]

    def valid(self, one: CloudPassword) -> bool:
        """Whether it is neither deleted nor over."""
        return one.phase is not Phase.DELETED and one.invalid_time > self.unix()

    def of(self, device_id: str, *, deleted: bool = False) -> list[CloudPassword]:
        """A device's, in the order of their making; ``deleted``: those as well."""
        return [
            one
            for one in self.passwords.values()
            if one.device_id == device_id and (deleted or one.phase is not Phase.DELETED)
        ]

    # -- what happens at the lock

    def sent(self, password_id: int) -> None:
        """The lock has it."""
        self._to(password_id, Phase.SENT)

    def failed(self, password_id: int) -> None:
        """The lock did not take it."""
        self._to(password_id, Phase.FAILED)

    def removed(self, password_id: int) -> None:
        """The lock has it no more."""
        self._to(password_id, Phase.DELETED)

    def heard(self, record: ReportedRecord) -> None:
        """A report; if it is a lock's word about a temporary password, that comes to its phase.

        What was added has a number and no id, so it is the one that was to be sent then, if there
        was one.
        """
        if record.code not in _WORDS:
            return
        try:
            said = TemporaryPasswordReply.from_bytes(b64decode(str(record.value), validate=True))
        except (ValueError, RemoteProtocolError):
            return
        done, found = said.result == TemporaryResult.OK, self.of(record.device_id)
        by_number = [one for one in found if one.more.get("sn") == said.hardid]
        known = [one for one in found if one.made_at * 1000 <= record.time_ms]
        to_add = [one for one in known if one.is_to_be_sent and "sn" not in one.more]
        to_change = [one for one in by_number if one.is_to_be_sent]
        if record.code == _ADDED and len(to_add) == 1:
            (one,) = to_add
            if done:
                self.passwords[one.password_id] = replace(one, more={**one.more, "sn": said.hardid})
            self._to(one.password_id, Phase.SENT if done else Phase.FAILED)
        elif record.code == _CHANGED and done and to_change:
            self.sent(to_change[0].password_id)
        elif record.code == _DELETED and done and by_number:
            self.removed(by_number[0].password_id)

    def _to(self, password_id: int, phase: Phase) -> None:
        self.passwords[password_id] = replace(self.passwords[password_id], phase=phase)

    # -- tickets

    def _ticket(self, params: Params) -> object:
        device_id = self._device(params)
        key, ticket_id = Secret(self.new_key()), f"ticket{len(self._tickets):06d}"
        self._tickets[ticket_id] = _Ticket(device_id, key, self.unix() + TICKET_LIFE)
        sealed = AES.new(self.secret.reveal(), AES.MODE_ECB).encrypt(pad(key.reveal(), 16))
        return {
            "ticket_id": ticket_id,
            "ticket_key": sealed.hex().upper(),
            "expire_time": TICKET_LIFE,
        }

    def use_ticket(self, params: Params) -> Secret:
        """The key of a ticket, which is good for nothing from then on.

        Raises:
            Failure: it was used, it ended, or it is another device's.
        """
        ticket = self._tickets.pop(str(params.get("ticket_id")), None)
        if ticket is None or self.unix() >= ticket.ends_at:
            raise Failure(2405, "ticket invalid")
        if ticket.device_id != params.get("device_id"):
            raise Failure(2405, "ticket invalid")
        return ticket.key

    def pin(self, params: Params) -> Secret:
        """The digits that were encrypted with a ticket. Raises Failure."""
        if params.get("password_type") != "ticket":
            raise Failure(1109, "param is illegal,please check it")
        key = self.use_ticket(params)
        try:
            sealed = bytes.fromhex(str(params.get("password")))
            digits = unpad(AES.new(key.reveal(), AES.MODE_ECB).decrypt(sealed), 16)
        except ValueError:
            raise Failure(1109, "param is illegal,please check it") from None
        if not digits.isdigit():
            raise Failure(1109, "param is illegal,please check it")
        if len(digits) != PIN_DIGITS:
            raise Failure(2314, "password length incorrect")
        return Secret(digits)

    # -- passwords

    def _create(self, params: Params) -> object:
        name = params.get("name")
        if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME:
            raise Failure(1102, "name is null")
        return self._make(params, name)

    def _create_without_name(self, params: Params) -> object:
        return self._make(params, "")

    def _make(self, params: Params, name: str) -> object:
        device_id = self._device(params)
        begins, ends = _seconds(params, "effective_time"), _seconds(params, "invalid_time")
        pin, more = self.pin(params), _more(params)
        made = self.put(device_id, pin, name=name, begins=begins, ends=ends, more=more)
        return {"id": made.password_id}

    def _get(self, params: Params) -> object:
        return self._one(params).row()

    def _list(self, params: Params) -> object:
        wanted = str(params.get("valid", True)).lower() in ("true", "1")
        found = self.of(self._device(params), deleted=not wanted)
        return [one.row() for one in found if self.valid(one) is wanted]

    def _modify(self, params: Params) -> object:
        known = self._one(params)
        if params.get("password"):
            raise Failure(2004, "not support the lock type")
        changed = replace(known, name=str(params.get("name") or known.name))
        if params.get("effective_time") or params.get("invalid_time"):
            changed = replace(
                changed,
                effective_time=_seconds(params, "effective_time"),
                invalid_time=_seconds(params, "invalid_time"),
                phase=Phase.TO_BE_SENT,
            )
        self.passwords[known.password_id] = replace(changed, more={**known.more, **_more(params)})
        return True

    def _delete(self, params: Params) -> object:
        self.delete(self._one(params))
        return True

    def _remove_invalid(self, params: Params) -> object:
        self.forget_invalid(self._device(params))
        return True

    def _dynamic(self, params: Params) -> object:
        window = int(self.unix() // DYNAMIC_LIFE)
        return {"dynamic_password": _digits(self._device(params), window)}

    def _clearing_code(self, params: Params) -> object:
        password_id = str(params.get("password_id", ""))
        return {
            "offline_temp_password": _digits(self._device(params), password_id),
            "offline_temp_password_id": password_id,
            "offline_temp_password_name": "",
        }

    def _one(self, params: Params) -> CloudPassword:
        device_id, password_id = self._device(params), str(params.get("password_id", ""))
        for one in self.of(device_id):
            if str(one.password_id) == password_id:
                return one
        raise Failure(1000, "data not exist")

    def _device(self, params: Params) -> str:
        device_id = str(params.get("device_id", ""))
        if not self.has(device_id):
            raise Failure(1106, "permission deny")
        return device_id


def _digits(*parts: object) -> str:
    """Eight digits that are the same for the same things."""
    digest = sha256(repr(parts).encode()).digest()
    return f"{int.from_bytes(digest, 'big') % 10**8:08d}"


def _more(params: Params) -> dict[str, Any]:
    kept = ("phone", "type", "time_zone", "schedule_list", "sn")
    return {name: params[name] for name in kept if params.get(name) not in (None, "")}


def _seconds(params: Params, name: str) -> int:
    value = params.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 10**9 <= value < 10**10:
        raise Failure(1109, "param is illegal,please check it")
    return value
